//! A rate over time, as it is typed and as operations since the start.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::driver::Until;
use crate::units;

/// More operations per second than any machine sends.
const RATE_OPS_S_MAX: u64 = 100_000_000;

/// Operations per second over the time of a run: `10k`, a ramp `1k..50k`, or steps of either with
/// their lengths, `1k:10s,1k..5k:10s,5k`, of which the last may do without and lasts to the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rate {
    steps: Vec<Step>,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    from_ops_s: u64,
    to_ops_s: u64,
    length: Option<Duration>,
}

/// Why a rate was refused, in words that name a valid form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    #[error("{0} (such as 10k, a ramp 1k..50k, or steps 1k:10s,5k:10s)")]
    Step(String),
    #[error(
        "its steps last {steps:?} and --duration is {duration:?}: leave out the length of the last step, or --duration"
    )]
    Length { steps: Duration, duration: Duration },
    #[error(
        "each of its steps has a length, and --requests another end: leave out the length of the last step, or --requests"
    )]
    TwoEnds,
    #[error(
        "the steps before the last have more operations than --requests: ask for more than {0}"
    )]
    TooFew(u64),
    #[error("it ends at 0, where --requests are never reached: give --duration, or another end")]
    NeverEnds,
    #[error("there is no operation in it: give a higher rate, or a longer --duration")]
    Empty,
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        let steps: Vec<Step> = parts.iter().map(|part| step(part)).collect::<Result<_, _>>()?;
        let (last, before) = steps.split_last().unwrap_or((&steps[0], &[]));
        if let Some(at) = before.iter().position(|step| step.length.is_none()) {
            let problem =
                format!("'{}' has no length, which only the last step may lack", parts[at]);
            return Err(RateError::Step(problem));
        }
        let is_idle = |step: &Step| step.from_ops_s == 0 && step.to_ops_s == 0;
        if is_idle(last) || steps.iter().all(is_idle) {
            return Err(RateError::Step(format!("'{text}' ends with nothing to do")));
        }
        Ok(Self { steps, text: parts.join(",") })
    }
}

fn step(text: &str) -> Result<Step, RateError> {
    let (rates, length) = match text.split_once(':') {
        Some((rates, length)) => {
            let no_length = |_| RateError::Step(format!("'{length}' is no length of a step"));
            (rates, Some(units::duration(length).map_err(no_length)?))
        }
        None => (text, None),
    };
    let (from, to) = rates.split_once("..").unwrap_or((rates, rates));
    let ops_s = |text: &str| match units::count(text) {
        // `1k...2k` is no ramp from 1k to .2k.
        Ok(rate) if rate <= RATE_OPS_S_MAX && !text.starts_with('.') => Ok(rate),
        Ok(_) if text.starts_with('.') => {
            Err(RateError::Step(format!("'{text}' is no number of ops/s")))
        }
        Ok(_) => Err(RateError::Step(format!("'{}' is above 100m ops/s", text.trim()))),
        Err(_) => Err(RateError::Step(format!("'{}' is no number of ops/s", text.trim()))),
    };
    if length.is_some_and(|length| length < Duration::from_millis(1)) {
        return Err(RateError::Step(format!("the step '{text}' is shorter than 1ms")));
    }
    Ok(Step { from_ops_s: ops_s(from)?, to_ops_s: ops_s(to)?, length })
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Rate {
    /// One rate all the time.
    pub fn constant(ops_s: u64) -> Self {
        let step = Step { from_ops_s: ops_s, to_ops_s: ops_s, length: None };
        Self { steps: vec![step], text: ops_s.to_string() }
    }

    /// The ends of a single ramp without a length: `1k..50k`.
    pub fn ramp_ops_s(&self) -> Option<(u64, u64)> {
        let [Step { from_ops_s, to_ops_s, length: None }] = *self.steps else { return None };
        (from_ops_s < to_ops_s).then_some((from_ops_s, to_ops_s))
    }

    /// How long its steps last together, when each has a length.
    pub fn length(&self) -> Option<Duration> {
        self.steps.iter().map(|step| step.length).sum()
    }

    /// The one rate of it, when it does not change.
    pub fn constant_ops_s(&self) -> Option<u64> {
        let [Step { from_ops_s, to_ops_s, .. }] = *self.steps else { return None };
        (from_ops_s == to_ops_s).then_some(from_ops_s)
    }

    /// The highest that it comes to.
    pub fn peak_ops_s(&self) -> u64 {
        self.steps.iter().map(|step| step.from_ops_s.max(step.to_ops_s)).max().unwrap_or(0)
    }

    /// A constant rate like that at its beginning, to warm up with.
    #[must_use]
    pub fn at_begin(&self) -> Self {
        let busy = |step: &&Step| step.from_ops_s + step.to_ops_s > 0;
        let begin = self.steps.iter().find(busy).map_or(1, |step| match step.from_ops_s {
            0 => step.to_ops_s.div_ceil(2),
            ops_s => ops_s,
        });
        Self::constant(begin)
    }

    /// The operations since the start that it makes, in a run that ends with `until`. The last step
    /// gets what time, or what operations, the others leave.
    ///
    /// # Errors
    ///
    /// When the steps and `until` do not go together; says which of them to leave out.
    pub fn over(&self, until: Until) -> Result<Course, RateError> {
        let mut course = Course { segments: Vec::new(), length_ns: 0.0, operations: 0.0 };
        for step in &self.steps {
            let length_ns = match (step.length, until) {
                (Some(length), _) => length.as_nanos() as f64,
                (None, Until::Elapsed(time)) => time.as_nanos() as f64 - course.length_ns,
                (None, Until::Operations(_)) if step.to_ops_s == 0 => {
                    return Err(RateError::NeverEnds);
                }
                (None, Until::Operations(count)) => {
                    let left = count as f64 - course.operations;
                    2e9 * left / (step.from_ops_s + step.to_ops_s) as f64
                }
            };
            if length_ns <= 0.0 {
                return Err(match until {
                    Until::Elapsed(duration) => {
                        RateError::Length { steps: duration_of(course.length_ns), duration }
                    }
                    Until::Operations(_) => RateError::TooFew(course.operations.ceil() as u64),
                });
            }
            course.add(step, length_ns);
        }
        match (self.length(), until) {
            (Some(_), Until::Operations(_)) => return Err(RateError::TwoEnds),
            (Some(steps), Until::Elapsed(duration)) if steps != duration => {
                return Err(RateError::Length { steps, duration });
            }
            _ => {}
        }
        if course.operations < 1.0 { Err(RateError::Empty) } else { Ok(course) }
    }
}

fn duration_of(ns: f64) -> Duration {
    Duration::from_nanos(ns as u64)
}

/// Operations since the start as a function of time, without their randomness: the integral of the
/// rate, which is linear from segment to segment.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    segments: Vec<Segment>,
    length_ns: f64,
    operations: f64,
}

/// Rates are in operations per nanosecond.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Segment {
    begin_ns: f64,
    length_ns: f64,
    from: f64,
    to: f64,
    /// Operations before it begins.
    before: f64,
}

impl Course {
    fn add(&mut self, step: &Step, length_ns: f64) {
        let segment = Segment {
            begin_ns: self.length_ns,
            length_ns,
            from: step.from_ops_s as f64 / 1e9,
            to: step.to_ops_s as f64 / 1e9,
            before: self.operations,
        };
        self.segments.push(segment);
        self.length_ns += length_ns;
        // In one product, so that whole numbers stay whole.
        self.operations += (step.from_ops_s + step.to_ops_s) as f64 * length_ns / 2e9;
    }

    /// All of its operations.
    pub fn operations(&self) -> f64 {
        self.operations
    }

    /// Operations per second, over all its time.
    pub fn mean_ops_s(&self) -> f64 {
        self.operations * 1e9 / self.length_ns
    }

    /// Operations until `ns` after the start.
    pub fn operations_at(&self, ns: f64) -> f64 {
        let before = self.segments.partition_point(|segment| segment.begin_ns <= ns);
        self.segments.get(before.saturating_sub(1)).map_or(0.0, |segment| {
            let ns = (ns - segment.begin_ns).clamp(0.0, segment.length_ns);
            let slope = (segment.to - segment.from) / segment.length_ns;
            segment.before + ns * (segment.from + slope * ns / 2.0)
        })
    }

    /// When, in nanoseconds after the start, `operations` are reached: the inverse of
    /// [`Course::operations_at`]. Beyond its end it goes on at its last rate. `segment` is where the
    /// last answer lay and must start at 0; `operations` may not become fewer.
    #[inline]
    pub(super) fn reaches(&self, operations: f64, segment: &mut usize) -> f64 {
        while let Some(next) = self.segments.get(*segment + 1)
            && operations >= next.before
        {
            *segment += 1;
        }
        let segment = &self.segments[*segment];
        segment.begin_ns + segment.reaches(operations - segment.before)
    }
}

impl Segment {
    /// Solves `from·t + (to − from)·t²/(2·length) = operations` for t, in the form that does not
    /// cancel and holds for a constant rate too.
    #[inline]
    fn reaches(&self, operations: f64) -> f64 {
        let end = f64::midpoint(self.from, self.to) * self.length_ns;
        if operations > end && self.to > 0.0 {
            return self.length_ns + (operations - end) / self.to;
        }
        let growth = 2.0 * (self.to - self.from) / self.length_ns;
        if growth == 0.0 {
            return operations / self.from;
        }
        let root = (self.from * self.from + growth * operations).max(0.0).sqrt();
        // Nothing is reached at once, also where the rate begins at 0.
        if operations <= 0.0 { 0.0 } else { 2.0 * operations / (self.from + root) }
    }
}
