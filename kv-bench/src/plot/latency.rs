//! Latency against throughput: for each number of servers p50 and p99, from one client to all.
//!
//! Points are joined in the order of the load that was offered, never of the throughput that came
//! of it: past saturation a curve bends back, and that is the finding.

use std::collections::BTreeMap;

use plotters::backend::DrawingBackend;

use super::axis::{Axis, from_zero, positive};
use super::canvas::{Align, Canvas, GREY, INK, PALETTE, Point, Stroke, Type};
use super::frame::{Frame, LEFT, Panel, RIGHT, TITLE_GAP};
use super::labels::{Area, LEADING, Label, Placer, legible};
use crate::number;
use crate::report::describe;
use crate::result::{self, RunResult, Verdict};
use crate::scenario::plural;

/// Labels of points nearer to each other than this would say the same thing twice.
const SAME_PLACE: f64 = 110.0;

/// The size of this plot in pixels, and the heights between which its two panels lie.
pub(super) const SIZE: (u32, u32) = (2_000, 1_424);
const TAIL_PANEL: (f64, f64) = (250.0, 718.0);
const MEDIAN_PANEL: (f64, f64) = (828.0, 1_296.0);

/// The plot, its data checked.
#[derive(Debug)]
pub(super) struct Plot {
    frame: Frame,
    /// The curves of p99, then those of p50: one panel each, for past saturation the one curve
    /// climbs through the other.
    curves: [Vec<Curve>; 2],
}

/// One line: one percentile for one number of servers.
#[derive(Debug)]
struct Curve {
    servers: u32,
    /// Chooses colour and marker.
    series: usize,
    tail: bool,
    /// In offered order; `None` where a run measured nothing.
    marks: Vec<Option<Mark>>,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    clients: u32,
    throughput_ops_s: f64,
    latency_us: f64,
    trusted: bool,
}

impl Plot {
    /// `None` when no point of the curve has both a throughput and a latency.
    pub(super) fn new(result: &RunResult) -> Option<Self> {
        let curves = [true, false].map(|tail| curves(&result.points, tail));
        let [tail, median] = &curves;
        let marks = |curves| marks(curves).copied();
        marks(tail).chain(marks(median)).next()?;
        let throughputs = marks(tail).chain(marks(median)).map(|mark| mark.throughput_ops_s);
        let is_open = result.points.iter().any(|point| point.response_us.is_some());
        let time = if is_open { "response time" } else { "service time" };
        let panel = |name: &str, curves, (top, bottom)| {
            let latencies = marks(curves).map(|mark| mark.latency_us);
            Panel::new(format!("{name} {time}"), latencies, top, bottom)
        };
        let frame = Frame {
            size: (f64::from(SIZE.0), f64::from(SIZE.1)),
            title: describe::curve_claim(result),
            subtitles: [
                format!("{} · {}", describe::workload(result), describe::load(result)),
                describe::environment(result),
            ],
            x_title: "Achieved throughput, operations per second",
            x_label: number::short,
            x: Axis::linear(throughputs, LEFT, RIGHT),
            panels: vec![panel("p99", tail, TAIL_PANEL), panel("p50", median, MEDIAN_PANEL)],
        };
        Some(Self { frame, curves })
    }

    pub(super) fn draw<B: DrawingBackend>(&self, canvas: &mut Canvas<B>) -> anyhow::Result<()> {
        self.frame.draw(canvas)?;
        self.draw_key(canvas)?;
        let views = || self.frame.panels.iter().zip(&self.curves).map(|pair| self.view(pair));
        let mut places: Vec<Option<Vec<Area>>> = Vec::new();
        for view in views() {
            places.push(view.placer().arrange(canvas, &view.ends())?);
        }
        // Where lines end at nearly the same place, a column of names is plainer than labels at
        // their ends; in one panel as in the other.
        let places: Option<Vec<Vec<Area>>> = places.into_iter().collect();
        for (index, view) in views().enumerate() {
            view.draw(canvas, places.as_ref().map(|places| places[index].as_slice()))?;
        }
        Ok(())
    }

    fn view<'a>(&'a self, (panel, curves): (&'a Panel, &'a Vec<Curve>)) -> View<'a> {
        View { frame: &self.frame, panel, curves }
    }

    /// What hollow markers are, where there are any.
    fn draw_key<B: DrawingBackend>(&self, canvas: &mut Canvas<B>) -> anyhow::Result<()> {
        if self.curves.iter().flat_map(|curves| marks(curves)).all(|mark| mark.trusted) {
            return Ok(());
        }
        let text = "not trusted";
        let look = Type::body(INK, Align::Right);
        let y = TAIL_PANEL.0 - TITLE_GAP;
        canvas.text(text, (RIGHT, y), look)?;
        let x = RIGHT - canvas.text_width(text, look)? - 26.0;
        canvas.marker((x, y), 0, GREY, true)
    }
}

fn marks(curves: &[Curve]) -> impl Iterator<Item = &Mark> + Clone {
    curves.iter().flat_map(|curve| curve.marks.iter().flatten())
}

/// One panel with its curves.
struct View<'a> {
    frame: &'a Frame,
    panel: &'a Panel,
    curves: &'a [Curve],
}

impl View<'_> {
    fn at(&self, mark: &Mark) -> Point {
        (self.frame.x.at(mark.throughput_ops_s), self.panel.y.at(mark.latency_us))
    }

    /// The lines of a curve, one for each stretch without a gap.
    fn paths(&self, curve: &Curve) -> Vec<Vec<Point>> {
        let stretches = curve.marks.split(Option::is_none);
        stretches.map(|run| run.iter().flatten().map(|mark| self.at(mark)).collect()).collect()
    }

    /// Keeps labels off everything in the panel.
    fn placer(&self) -> Placer {
        let mut placer = Placer::new(self.panel.label_area(self.frame.size.0));
        for curve in self.curves {
            for path in self.paths(curve) {
                path.windows(2).for_each(|ends| placer.avoid_line(ends[0], ends[1]));
            }
            curve.marks.iter().flatten().for_each(|mark| placer.avoid_marker(self.at(mark)));
        }
        placer
    }

    /// Each line's name and last number of clients, at its last point.
    fn ends(&self) -> Vec<Label> {
        let mut ends: Vec<(&Curve, &Mark)> = self
            .curves
            .iter()
            .filter_map(|curve| Some((curve, curve.marks.iter().flatten().last()?)))
            .collect();
        // Those furthest right have the margin to go to: they choose first.
        ends.sort_by(|a, b| b.1.throughput_ops_s.total_cmp(&a.1.throughput_ops_s));
        let label = |(curve, mark): (&Curve, &Mark)| Label {
            at: self.at(mark),
            lines: vec![(curve.name(), true, curve.stroke().color), (clients(mark), false, GREY)],
        };
        ends.into_iter().map(label).collect()
    }

    /// The curves, their names at their ends if there are places for them and in a column otherwise,
    /// and the first number of clients.
    fn draw<B: DrawingBackend>(
        &self,
        canvas: &mut Canvas<B>,
        found: Option<&[Area]>,
    ) -> anyhow::Result<()> {
        for curve in self.curves {
            for path in self.paths(curve) {
                canvas.line(&path, &curve.stroke())?;
            }
        }
        for curve in self.curves {
            for mark in curve.marks.iter().flatten() {
                let color = curve.stroke().color;
                canvas.marker(self.at(mark), curve.series, color, !mark.trusted)?;
            }
        }
        let mut placer = self.placer();
        match found {
            Some(areas) => {
                for (label, &place) in self.ends().iter().zip(areas) {
                    placer.draw(canvas, label, place)?;
                }
            }
            None => {
                self.draw_names(canvas)?;
                self.label_clients(canvas, &mut placer, |marks| marks.last())?;
            }
        }
        self.label_clients(canvas, &mut placer, |marks| marks.first().filter(|_| marks.len() > 1))
    }

    /// The names of the curves with their markers, one below the other in the right margin.
    fn draw_names<B: DrawingBackend>(&self, canvas: &mut Canvas<B>) -> anyhow::Result<()> {
        for (row, curve) in self.curves.iter().enumerate() {
            let color = curve.stroke().color;
            let y = self.panel.top + LEADING * (row as f64 * 1.2 + 0.5);
            canvas.marker((RIGHT + 45.0, y), curve.series, color, false)?;
            let look = Type { bold: true, ..Type::body(legible(color), Align::Left) };
            canvas.text(&curve.name(), (RIGHT + 70.0, y), look)?;
        }
        Ok(())
    }

    /// The number of clients of one mark of each curve, once for all that lie at the same place.
    fn label_clients<B: DrawingBackend>(
        &self,
        canvas: &mut Canvas<B>,
        placer: &mut Placer,
        choose: impl for<'a> Fn(&'a [&'a Mark]) -> Option<&'a &'a Mark>,
    ) -> anyhow::Result<()> {
        let mut labelled: Vec<(Point, u32)> = Vec::new();
        for curve in self.curves {
            let marks: Vec<&Mark> = curve.marks.iter().flatten().collect();
            let Some(mark) = choose(&marks) else { continue };
            let at = self.at(mark);
            let is_known = labelled.iter().any(|&((x, y), clients)| {
                clients == mark.clients && (x - at.0).hypot(y - at.1) < SAME_PLACE
            });
            if !is_known {
                labelled.push((at, mark.clients));
                placer.label(canvas, &Label { at, lines: vec![(clients(mark), false, GREY)] })?;
            }
        }
        Ok(())
    }
}

fn clients(mark: &Mark) -> String {
    plural(mark.clients.into(), "client")
}

impl Curve {
    fn name(&self) -> String {
        plural(self.servers.into(), "server")
    }

    /// The tail is the bold line: it is what a service promises.
    fn stroke(&self) -> Stroke {
        let solid = Stroke::solid(PALETTE[self.series % PALETTE.len()], 5.5);
        if self.tail { solid } else { Stroke { width: 4.0, dash: Some((16.0, 12.0)), ..solid } }
    }
}

fn curves(points: &[result::Point], tail: bool) -> Vec<Curve> {
    let mut by_servers: BTreeMap<u32, Vec<&result::Point>> = BTreeMap::new();
    for point in points {
        by_servers.entry(point.servers).or_default().push(point);
    }
    let mut curves = Vec::new();
    for (series, (servers, mut points)) in by_servers.into_iter().enumerate() {
        points.sort_by(|a, b| {
            let rate = |point: &result::Point| point.rate_asked_ops_s.unwrap_or(0.0);
            rate(a).total_cmp(&rate(b)).then(a.clients.cmp(&b.clients))
        });
        let marks = points.iter().map(|point| mark(point, tail)).collect();
        curves.push(Curve { servers, series, tail, marks });
    }
    curves
}

fn mark(point: &result::Point, tail: bool) -> Option<Mark> {
    let latency = describe::point_latency(point)?;
    Some(Mark {
        clients: point.clients,
        throughput_ops_s: from_zero(point.throughput_ops_s)?,
        latency_us: positive(if tail { latency.p99 } else { latency.p50 })?,
        trusted: point.trust.verdict == Verdict::Trusted,
    })
}
