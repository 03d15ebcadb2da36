//! What is to be told of a measurement beside its figures.

use crate::curve;
use crate::driver::Until;
use crate::measurement::Measurement;
use crate::number::grouped;
use crate::percentiles::thin_kinds_warning;
use crate::recorder::{Counts, Time};
use crate::result::Point;
use crate::scenario::{Place, Scenario};
use crate::workload::{KeyDistribution, Kind, Preset};

/// Warnings per kind of operation.
pub(super) fn of(scenario: &Scenario, measurement: &Measurement) -> Vec<String> {
    let counts = &measurement.measured.counts;
    let mix = &scenario.demand.mix;
    let samples = |kind: Kind| {
        let of = counts.of(kind);
        (Time::Service.tag(kind, mix.commands()), of.attempted - of.errors)
    };
    let kinds = Kind::shown(mix.commands().len()).filter(|&kind| mix.shows(kind));
    let kinds: Vec<_> = kinds.map(samples).collect();
    let kinds: Vec<_> = kinds.iter().map(|(name, samples)| (name.as_str(), *samples)).collect();
    // The sum has its own warning, and a single kind is the sum.
    let thin = (kinds.len() > 1).then(|| thin_kinds_warning(&kinds));
    let deletes = counts.of(Kind::Delete);
    let own_keys = scenario.demand.key_distribution == KeyDistribution::OwnKey;
    let missed = (own_keys && deletes.misses > 0).then(|| {
        format!(
            "{} of {} deletes found no key: give more --keys, or --preload a running server",
            grouped(deletes.misses),
            grouped(deletes.attempted)
        )
    });
    let timed = match scenario.until {
        Until::Elapsed(time) => Some(time.as_secs_f64()),
        Until::Operations(_) => None,
    };
    let exhausted = timed.filter(|_| exhausts_keys(scenario, counts.attempted())).map(|asked_s| {
        format!(
            "all {} keys were deleted after {:.1} s of {asked_s} s, and each only once: give \
             more --keys",
            grouped(counts.attempted()),
            measurement.facts.wall_s
        )
    });
    let lost = lost_keys(scenario, counts);
    let in_process = matches!(scenario.place, Place::InProcess { .. }).then(|| {
        "in process, no network: the workers call kv-core themselves, so this is the ceiling of what a \
         server of it can do, and no server's figure"
            .to_owned()
    });
    let lacks = scenario.demand.preset.and_then(Preset::lacks).map(str::to_owned);
    let told = [in_process, lacks, thin.flatten(), missed, exhausted, lost, redirected(counts)];
    told.into_iter().flatten().collect()
}

/// What a cluster sent elsewhere, or asked to come back for.
fn redirected(counts: &Counts) -> Option<String> {
    let kinds = counts.redirects.by_kind().into_iter().filter(|&(_, count)| count > 0);
    let told: Vec<_> = kinds.map(|(name, count)| format!("{} {name}", grouped(count))).collect();
    (!told.is_empty()).then(|| {
        format!(
            "redirects: {}; operations took their time for them, which the latencies show",
            told.join(", ")
        )
    })
}

/// A cache that several measurements fill, or servers of others on which a trace is replayed again:
/// `count` of what is called `noun`.
pub(super) fn filled_before(scenario: &Scenario, count: usize, noun: &str) -> Option<String> {
    let is_refilled = scenario.replay().is_some() && !scenario.place.is_ours();
    ((scenario.demand.mix.fills() || is_refilled) && count > 1).then(|| {
        format!(
            "each of {count} {noun} began with what those before it had put into the same servers: \
             later ones {}",
            if is_refilled { "find what the trace put at its end" } else { "miss less" }
        )
    })
}

/// Gets that found nothing where nobody deletes, and nothing expires.
fn lost_keys(scenario: &Scenario, counts: &Counts) -> Option<String> {
    let gets = counts.of(Kind::Get);
    let demand = &scenario.demand;
    let may_miss = demand.mix.contains(Kind::Delete)
        || demand.mix.fills()
        || demand.ttl.is_some()
        || scenario.replay().is_some();
    // Where others stand in for a server, that is told.
    let is_elsewhere = counts.elsewhere.iter().any(|&operations| operations > 0);
    if gets.misses == 0 || may_miss || is_elsewhere {
        return None;
    }
    let (misses, all) = (grouped(gets.misses), grouped(gets.attempted));
    if scenario.preload {
        return Some(format!(
            "{misses} of {all} gets found no key, though all had been stored: keys were \
             evicted or flushed, or a server began anew"
        ));
    }
    (gets.hits == 0).then(|| format!("none of {all} gets found its key: --preload stores them"))
}

/// Whether so many operations have taken every key of a run that takes each only once.
fn exhausts_keys(scenario: &Scenario, operations: u64) -> bool {
    scenario.demand.key_distribution == KeyDistribution::OwnKey
        && operations >= scenario.key_count()
}

/// A warning of points that ended early.
pub(super) fn exhausted_points(scenario: &Scenario, points: &[Point]) -> Option<String> {
    let early = points.iter().filter(|point| exhausts_keys(scenario, point.operations)).count();
    (early > 0).then(|| {
        format!(
            "{early} of {} points ended before their {} s, when all {} keys were deleted, each \
             only once: give more --keys",
            points.len(),
            curve::LENGTH.as_secs_f64(),
            grouped(scenario.key_count())
        )
    })
}
