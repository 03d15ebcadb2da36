//! Whether what is random follows its law. Both tests are wrong once in a thousand seeds.

use std::sync::Arc;

use super::check::Check;
use super::rig::Rig;
use crate::driver::Until;
use crate::schedule::{Arrivals, End, Plan, Process, Rate};

const GAPS: u64 = 100_000;
const RATE: &str = "100k";
const GAP_NS: f64 = 10_000.0;

/// Kolmogorov's distribution: D·√n above this happens once in a thousand samples.
const KOLMOGOROV_MAX: f64 = 1.949_5;

const BINS: usize = 100;
const DRAWS: usize = 200_000;
/// χ² of 99 degrees of freedom above this happens once in a thousand samples.
const CHI_SQUARE_MAX: f64 = 148.23;

/// Gaps between Poisson arrivals against the exponential law, by Kolmogorov and Smirnov.
pub(super) fn arrivals(rig: &Rig) -> anyhow::Result<Check> {
    let until = Until::Operations(GAPS);
    let course = Arc::new(RATE.parse::<Rate>()?.over(until)?);
    let plan = Plan { course, process: Process::Poisson, seed: rig.seed };
    let mut arrivals = Arrivals::new(&plan, 0, 1, End::new(&plan, until, 0, 1));
    let mut gaps = Vec::with_capacity(GAPS as usize);
    let mut before_ns = 0;
    while let Some(due_ns) = arrivals.head() {
        arrivals.take();
        gaps.push((due_ns - before_ns) as f64);
        before_ns = due_ns;
    }
    gaps.sort_by(f64::total_cmp);
    let n = gaps.len() as f64;
    let distance = gaps.iter().enumerate().map(|(index, gap)| {
        let law = 1.0 - (-gap / GAP_NS).exp();
        (law - index as f64 / n).abs().max(((index + 1) as f64 / n - law).abs())
    });
    let statistic = distance.fold(0.0, f64::max) * n.sqrt();
    Ok(Check::judged(
        "arrivals",
        format!("{GAPS} random gaps are exponential: Kolmogorov's statistic is {statistic:.2}"),
        statistic <= KOLMOGOROV_MAX,
        format!("at most {KOLMOGOROV_MAX:.2}"),
    ))
}

/// Uniform keys, as they are spelt, by Pearson's χ².
pub(super) fn keys(rig: &Rig) -> Check {
    let workload = rig.workload();
    let mut stream = workload.stream(0, 0);
    let mut key = workload.keys.buffer();
    let mut bins = [0_u32; BINS];
    for _ in 0..DRAWS {
        workload.next(&mut stream, &mut key);
        let digits = &key.bytes()[key.bytes().len() - 2..];
        bins[usize::from(digits[0] - b'0') * 10 + usize::from(digits[1] - b'0')] += 1;
    }
    let expected = DRAWS as f64 / BINS as f64;
    let statistic: f64 = bins.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
    Check::judged(
        "keys",
        format!("{DRAWS} keys are uniform: χ² over {BINS} bins is {statistic:.1}"),
        statistic <= CHI_SQUARE_MAX,
        format!("at most {CHI_SQUARE_MAX:.1}"),
    )
}
