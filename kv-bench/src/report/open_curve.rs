//! A curve over offered loads in words.

use super::describe::point_latency;
use super::tables::{self, Medium};
use crate::number::{NOTHING, decimal, duration, grouped, short, table_us};
use crate::open_curve::knee::RISE_MIN;
use crate::result::{
    CurveKnee, CurveSaturation, OpenCurve, Percentiles, Point, RunResult, Verdict,
};
use crate::scenario::plural;

/// What is measured in which order.
pub(crate) fn order(curve: &OpenCurve) -> String {
    let ends = curve.loads_ops_s.first().zip(curve.loads_ops_s.last());
    let (lowest, highest) = ends.unwrap_or((&f64::NAN, &f64::NAN));
    let times = match curve.repeats {
        1 => "once".to_owned(),
        repeats => format!("{repeats} times"),
    };
    format!(
        "{} from {} to {} ops/s, each measured {times} for {} s, shuffled with seed {}",
        plural(curve.loads_ops_s.len() as u64, "load"),
        ops_s(*lowest),
        ops_s(*highest),
        decimal(curve.length_s, usize::from(curve.length_s.fract() > 0.0)),
        curve.order_seed
    )
}

/// What a point measured: `12,000 ops/s: achieved 11,990, p50 120 µs, p99 812 µs`.
pub(crate) fn point(point: &Point) -> String {
    let asked = ops_s(point.rate_asked_ops_s.unwrap_or_default());
    let latency = point_latency(point).map_or_else(String::new, |latency| {
        format!(", p50 {}, p99 {}", duration(latency.p50), duration(latency.p99))
    });
    let end = match point.saturated {
        _ if point.broken_off => ", saturated and broken off",
        Some(true) => ", saturated",
        _ => "",
    };
    format!("{asked} ops/s: achieved {}{latency}{end}", ops_s(point.achieved_ops_s()))
}

/// What was found, in a sentence.
pub(super) fn finding(result: &RunResult) -> Option<String> {
    let curve = result.open_curve.as_ref()?;
    Some(format!("{}; {}", knee(curve.knee), saturation(curve.saturation)))
}

fn knee(knee: Option<CurveKnee>) -> String {
    let Some(knee) = knee else {
        return format!(
            "no knee found: p99 does not climb to {RISE_MIN} times what it is at the lowest load, or \
             not clearly"
        );
    };
    let share = if knee.found_share < 0.995 {
        format!(", where it has one: {} % do", decimal(knee.found_share * 100.0, 0))
    } else {
        String::new()
    };
    format!(
        "p99 begins to climb at {} ops/s offered (Kneedle; {} to {} in 95 % of resampled curves{share})",
        ops_s(knee.rate_ops_s),
        ops_s(knee.low_ops_s),
        ops_s(knee.high_ops_s),
    )
}

fn saturation(saturation: Option<CurveSaturation>) -> String {
    let Some(found) = saturation else { return "as much was achieved as was offered".to_owned() };
    let kept = found.kept_ops_s.map_or_else(
        || "the lowest load".to_owned(),
        |kept| format!("{} were kept up", ops_s(kept)),
    );
    format!(
        "less is achieved than offered from {} ops/s on ({kept}): {} ops/s",
        ops_s(found.from_ops_s),
        ops_s(found.achieved_ops_s),
    )
}

/// What there is for a title: `p99 climbs from 12.3 k ops/s on, saturated at 20.1 k ops/s`, with
/// a word where most of what was kept up cannot be believed.
pub(super) fn claim(curve: &OpenCurve, points: &[Point]) -> String {
    let kept = || points.iter().filter(|point| point.saturated == Some(false));
    let untrusted = kept().filter(|point| point.trust.verdict == Verdict::Untrusted).count();
    let doubt = if 2 * untrusted > kept().count() { " (untrusted)" } else { "" };
    format!("{}{doubt}", ends(curve))
}

fn ends(curve: &OpenCurve) -> String {
    let knee =
        curve.knee.map(|knee| format!("p99 climbs from {} ops/s on", short(knee.rate_ops_s)));
    let most =
        curve.saturation.map(|end| format!("saturated at {} ops/s", short(end.achieved_ops_s)));
    let highest = curve.loads_ops_s.last().copied().unwrap_or_default();
    match (knee, most) {
        (Some(knee), Some(most)) => format!("{knee}, {most}"),
        (Some(knee), None) => format!("{knee}; all that is offered is achieved"),
        (None, Some(most)) => format!("No knee of p99; {most}"),
        (None, None) => format!("No knee and no saturation up to {} ops/s", short(highest)),
    }
}

/// What is not known, as warnings.
pub(crate) fn gaps(result: &RunResult) -> Vec<String> {
    let Some(curve) = &result.open_curve else { return Vec::new() };
    let (measured, all) = (result.points.len(), curve.loads_ops_s.len() * curve.repeats as usize);
    let cut = (measured < all)
        .then(|| format!("the curve was cut short after {measured} of {all} points"));
    let broken_off = result.points.iter().filter(|point| point.broken_off).count() as u64;
    let broken_off = (broken_off > 0).then(|| {
        format!(
            "{} broken off, their backlog being too long: their response times are of what was sent, \
             and would have been longer",
            match broken_off {
                1 => "1 point was".to_owned(),
                count => format!("{count} points were"),
            }
        )
    });
    cut.into_iter().chain(broken_off).collect()
}

/// The points by load and not in the order of measuring, in which nobody could read them.
pub(super) fn table(points: &[Point], medium: Medium) -> String {
    let mut points: Vec<&Point> = points.iter().collect();
    points.sort_by(|a, b| {
        let load = |point: &Point| point.rate_asked_ops_s.unwrap_or_default();
        load(a).total_cmp(&load(b)).then(a.repeat.cmp(&b.repeat))
    });
    let rows = points.into_iter().map(|point| {
        let samples = point.operations.saturating_sub(point.errors);
        let us = |value: Option<f64>| value.map_or_else(|| NOTHING.to_owned(), table_us);
        let mut row = vec![
            decimal(point.rate_asked_ops_s.unwrap_or(f64::NAN), 0),
            decimal(point.achieved_ops_s(), 0),
        ];
        row.extend(tables::shown_percentiles(point_latency(point), samples));
        row.push(us(point.lateness_us.as_ref().map(late)));
        row.push(grouped(point.errors));
        row.push(state(point).to_owned());
        row.push(tables::trust(&point.trust));
        row
    });
    let header = [
        "offered\nops/s",
        "achieved\nops/s",
        "p50\nµs",
        "p99\nµs",
        "p99.9\nµs",
        "late p99\nµs",
        "errors",
        "load",
        tables::TRUST,
    ];
    medium.table(0, &header, rows.collect())
}

fn late(lateness: &Percentiles) -> f64 {
    lateness.p99
}

fn state(point: &Point) -> &'static str {
    match point.saturated {
        _ if point.broken_off => "broken off",
        Some(true) => "saturated",
        _ => "kept up",
    }
}

fn ops_s(ops_s: f64) -> String {
    decimal(ops_s, 0)
}
