//! Axes: from values to pixels, and the ticks that people can read off.

/// Values outside this are not latencies or rates but accidents, and would make an axis useless.
const SANE: std::ops::RangeInclusive<f64> = 1e-3..=1e12;

/// A value that may stand on a logarithmic axis.
pub(super) fn positive(value: f64) -> Option<f64> {
    SANE.contains(&value).then_some(value)
}

/// A value that may stand on an axis that starts at zero.
pub(super) fn from_zero(value: f64) -> Option<f64> {
    (value == 0.0 || SANE.contains(&value)).then_some(value.abs())
}

/// One axis: its range, in the space in which it is drawn, and where it lies on the canvas.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    log: bool,
    /// Values with a label.
    pub(super) ticks: Vec<f64>,
}

impl Axis {
    /// From zero to a little more than the largest of `values`, over the pixels `from..to`.
    pub(super) fn linear(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        const TICKS: f64 = 10.0;
        let largest = values.fold(0.0, f64::max);
        let largest = if largest > 0.0 { largest } else { 1.0 };
        let step = step_125(largest / TICKS);
        let high = largest * 1.03;
        let ticks = (0..=(high / step) as u32).map(|tick| f64::from(tick) * step).collect();
        Self { low: 0.0, high, from, to, log: false, ticks }
    }

    /// Logarithmic, from the 1-2-5 step below the smallest of `values` to the one above the
    /// largest, over the pixels `from..to`.
    pub(super) fn log(values: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Self {
        const LABELS_MAX: usize = 13;
        let smallest = values.clone().fold(f64::INFINITY, f64::min);
        let largest = values.fold(0.0, f64::max);
        let (smallest, largest) =
            if smallest <= largest { (smallest, largest) } else { (1.0, 1_000.0) };
        let steps = steps_125(smallest, largest);
        let low = steps.first().copied().unwrap_or(smallest);
        let high = steps.last().copied().unwrap_or(largest);
        let ticks = if steps.len() <= LABELS_MAX {
            steps
        } else {
            let decades: Vec<f64> =
                steps.into_iter().filter(|step| is_power_of_ten(*step)).collect();
            let every = decades.len().div_ceil(LABELS_MAX);
            decades.into_iter().step_by(every).collect()
        };
        Self { low: low.log10(), high: high.log10(), from, to, log: true, ticks }
    }

    /// Logarithmic from `low` to `high` with the ticks given.
    pub(super) fn log_with(low: f64, high: f64, ticks: Vec<f64>, from: f64, to: f64) -> Self {
        Self { low: low.log10(), high: high.log10(), from, to, log: true, ticks }
    }

    /// The pixel of a value.
    pub(super) fn at(&self, value: f64) -> f64 {
        let value = if self.log { value.log10() } else { value };
        let part = (value - self.low) / (self.high - self.low);
        self.from + part.clamp(0.0, 1.0) * (self.to - self.from)
    }
}

/// The smallest of 1, 2, 5 × 10ⁿ that is not below `value`.
fn step_125(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let digit = value / decade;
    // Half a millionth forgives what the logarithm lost.
    let digit = [1.0, 2.0, 5.0].into_iter().find(|step| digit <= step * 1.000_000_5);
    decade * digit.unwrap_or(10.0)
}

/// The steps 1, 2, 5 × 10ⁿ from just below `smallest` to just above `largest`, at least two.
fn steps_125(smallest: f64, largest: f64) -> Vec<f64> {
    let decades = (smallest.log10().floor() as i32 - 1)..=(largest.log10().floor() as i32 + 1);
    let all: Vec<f64> = decades
        .flat_map(|decade| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(decade)))
        .collect();
    let first = all.iter().rposition(|&step| step <= smallest * 0.92).unwrap_or(0);
    let last = all.iter().position(|&step| step >= largest * 1.08).unwrap_or(all.len() - 1);
    all[first..=last].to_vec()
}

fn is_power_of_ten(value: f64) -> bool {
    let power = value.log10();
    (power - power.round()).abs() < 1e-9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_axes_have_readable_ticks_for_every_range() {
        let ticks = |values: &[f64]| Axis::log(values.iter().copied(), 0.0, 100.0).ticks;
        assert_eq!(ticks(&[50.0]), [20.0, 50.0, 100.0]);
        assert_eq!(ticks(&[33.0, 900.0]), [20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0]);
        assert_eq!(ticks(&[]).first(), Some(&0.5));
        let wide = ticks(&[1e-3, 1e12]);
        assert!((4..=13).contains(&wide.len()), "{wide:?}");
    }

    #[test]
    fn linear_axes_start_at_zero_and_step_by_1_2_or_5() {
        let ticks = |largest: f64| Axis::linear([largest].into_iter(), 0.0, 100.0).ticks;
        assert_eq!(ticks(74_000.0), [0.0, 1e4, 2e4, 3e4, 4e4, 5e4, 6e4, 7e4]);
        assert_eq!(ticks(0.0).first(), Some(&0.0));
    }
}
