//! Latency against throughput: for each number of servers p50 and p99, from one client to all.
//!
//! Points are joined in the order of the load that was offered, never of the throughput that came
//! of it: past saturation a curve bends back, and that is the finding.

use std::collections::BTreeMap;

use plotters::backend::DrawingBackend;

use super::axis::{Axis, from_zero, positive};
use super::canvas::{Align, Canvas, GREY, INK, PALETTE, Point, Stroke, Type};
use super::frame::{Frame, LEFT, Panel, RIGHT, TITLE_GAP};
use super::labels::Placer;
use crate::number;
use crate::report::describe::{self, plural};
use crate::result::{self, RunResult, Verdict};

/// Labels of start points nearer to each other than this would say the same thing twice.
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
            title: describe::curve_claim(&result.points),
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
        for (panel, curves) in self.frame.panels.iter().zip(&self.curves) {
            let at =
                |mark: &Mark| (self.frame.x.at(mark.throughput_ops_s), panel.y.at(mark.latency_us));
            let mut placer = Placer::new(panel.label_area(self.frame.size.0));
            for curve in curves {
                draw_line(canvas, &mut placer, curve, at)?;
            }
            for curve in curves {
                for mark in curve.marks.iter().flatten() {
                    canvas.marker(at(mark), curve.series, curve.stroke().color, !mark.trusted)?;
                    placer.avoid_marker(at(mark));
                }
            }
            label_ends(canvas, &mut placer, curves, at)?;
            label_starts(canvas, &mut placer, curves, at)?;
        }
        Ok(())
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

fn draw_line<B: DrawingBackend>(
    canvas: &mut Canvas<B>,
    placer: &mut Placer,
    curve: &Curve,
    at: impl Fn(&Mark) -> Point,
) -> anyhow::Result<()> {
    for run in curve.marks.split(Option::is_none) {
        let path: Vec<Point> = run.iter().flatten().map(&at).collect();
        canvas.line(&path, &curve.stroke())?;
        for ends in path.windows(2) {
            placer.avoid_line(ends[0], ends[1]);
        }
    }
    Ok(())
}

/// Each line's name and last number of clients, at its last point.
fn label_ends<B: DrawingBackend>(
    canvas: &mut Canvas<B>,
    placer: &mut Placer,
    curves: &[Curve],
    at: impl Fn(&Mark) -> Point,
) -> anyhow::Result<()> {
    let mut ends: Vec<(&Curve, &Mark)> = curves
        .iter()
        .filter_map(|curve| Some((curve, curve.marks.iter().flatten().last()?)))
        .collect();
    // Those furthest right have the margin to go to: they choose first.
    ends.sort_by(|a, b| b.1.throughput_ops_s.total_cmp(&a.1.throughput_ops_s));
    for (curve, mark) in ends {
        let servers = format!("{} server{}", curve.servers, plural(curve.servers));
        let clients = clients(mark);
        let label = [(servers.as_str(), true, curve.stroke().color), (&clients, false, GREY)];
        placer.label(canvas, at(mark), &label)?;
    }
    Ok(())
}

/// The first number of clients, once for all lines that begin at the same place.
fn label_starts<B: DrawingBackend>(
    canvas: &mut Canvas<B>,
    placer: &mut Placer,
    curves: &[Curve],
    at: impl Fn(&Mark) -> Point,
) -> anyhow::Result<()> {
    let mut labelled: Vec<(Point, u32)> = Vec::new();
    for curve in curves {
        let mut marks = curve.marks.iter().flatten();
        let (Some(first), Some(_)) = (marks.next(), marks.next()) else { continue };
        let at = at(first);
        let is_known = labelled.iter().any(|&((x, y), clients)| {
            clients == first.clients && (x - at.0).hypot(y - at.1) < SAME_PLACE
        });
        if !is_known {
            labelled.push((at, first.clients));
            placer.label(canvas, at, &[(&clients(first), false, GREY)])?;
        }
    }
    Ok(())
}

fn clients(mark: &Mark) -> String {
    format!("{} client{}", mark.clients, plural(mark.clients))
}

impl Curve {
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
