//! The live view: a run at a glance, on a terminal that is large enough for it.
//!
//! It is drawn by the thread that collects what workers hand over, four times a second at most, from
//! what they publish anyway: nothing on the measured path knows of it.

mod draw;
mod screen;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::driver::{Live, Until};
use crate::measurement::Scene;
use crate::result::Trust;

/// From one drawing to the next.
const DRAW_EVERY: Duration = Duration::from_millis(250);
/// From one judgement to the next: it reads what each server's threads have used.
const JUDGE_EVERY: Duration = Duration::from_secs(2);
/// Seconds of throughput that are shown.
const HISTORY: usize = 60;

/// What is shown of a run, and the terminal to show it on.
pub(crate) struct View {
    step: String,
    began: Instant,
    drawn: Option<Instant>,
    judged: Option<Instant>,
    trust: Option<Trust>,
    /// Operations of each of the last seconds, the present one last.
    history: VecDeque<u64>,
    /// Seconds since the beginning that are in the history, or were.
    seconds: u64,
    /// Attempts and time of the present step, of each drawing in the last second.
    marks: VecDeque<(Duration, u64)>,
}

/// One drawing.
struct Picture<'a> {
    step: &'a str,
    /// The part of the step that is done, 0 to 1.
    done: f64,
    progress: String,
    rate_ops_s: f64,
    history: Vec<u64>,
    live: &'a Live,
    /// Each server and its part of what was sent.
    servers: Vec<(String, f64)>,
    /// What is waited for.
    note: Option<&'a str>,
    trust: Option<&'a Trust>,
}

impl View {
    /// `None` where there is no terminal to draw on.
    pub(crate) fn new() -> Option<Self> {
        screen::is_possible().then(|| Self {
            step: String::new(),
            began: Instant::now(),
            drawn: None,
            judged: None,
            trust: None,
            history: VecDeque::from([0]),
            seconds: 0,
            marks: VecDeque::new(),
        })
    }

    /// Whether it is what the terminal shows.
    pub(crate) fn is_shown(&self) -> bool {
        self.drawn.is_some()
    }

    /// A new step begins.
    pub(crate) fn step(&mut self, what: &str) {
        what.clone_into(&mut self.step);
        self.marks.clear();
        self.trust = None;
        self.judged = None;
    }

    /// Shows how far the step is; false where the terminal does not do for that now.
    pub(crate) fn show(
        &mut self,
        scene: &Scene<'_>,
        until: Until,
        note: Option<&str>,
        name: &dyn Fn(usize) -> String,
    ) -> bool {
        self.observe(scene.live);
        if screen::wants_end() {
            screen::leave_for_good();
            // As Ctrl-C does it; a signal that can be raised by hand can be raised.
            let _ = signal_hook::low_level::raise(signal_hook::consts::SIGINT);
        }
        if !screen::is_usable() {
            self.leave();
            return false;
        }
        if self.drawn.is_some_and(|at| at.elapsed() < DRAW_EVERY) {
            return true;
        }
        self.drawn = Some(Instant::now());
        if self.judged.is_none_or(|at| at.elapsed() >= JUDGE_EVERY) {
            self.judged = Some(Instant::now());
            // Nothing has been handed over at the very beginning.
            let has_begun = scene.live.efforts.iter().any(|effort| effort.wall_ns > 0);
            self.trust = if has_begun { (scene.trust)() } else { None };
        }
        let (done, progress) = progress(scene.live, until, self.rate_ops_s());
        let sent: u64 = scene.live.tally.nodes.iter().sum();
        let share = |&operations: &u64| operations as f64 / sent.max(1) as f64;
        let shares = scene.live.tally.nodes.iter().map(share).enumerate();
        let picture = Picture {
            step: &self.step,
            done,
            progress,
            rate_ops_s: self.rate_ops_s(),
            history: self.history.iter().copied().collect(),
            live: scene.live,
            servers: shares.map(|(node, share)| (name(node), share)).collect(),
            note,
            trust: self.trust.as_ref(),
        };
        screen::draw(|frame| draw::picture(frame, &picture))
    }

    /// Gives the terminal back, as it was.
    pub(crate) fn leave(&mut self) {
        self.drawn = None;
        screen::leave();
    }

    fn observe(&mut self, live: &Live) {
        let (last_at, last) = self.marks.back().copied().unwrap_or_default();
        // A warm-up and the measurement after it are one step, and each begins at nothing.
        if live.elapsed < last_at || live.attempted < last {
            self.marks.clear();
        }
        let last = self.marks.back().map_or(0, |&(_, attempted)| attempted);
        let now_s = self.began.elapsed().as_secs();
        while self.seconds < now_s {
            self.seconds += 1;
            self.history.push_back(0);
            if self.history.len() > HISTORY {
                self.history.pop_front();
            }
        }
        if let Some(present) = self.history.back_mut() {
            *present += live.attempted - last;
        }
        self.marks.push_back((live.elapsed, live.attempted));
        let second_ago = live.elapsed.saturating_sub(Duration::from_secs(1));
        while self.marks.len() > 2 && self.marks[1].0 <= second_ago {
            self.marks.pop_front();
        }
    }

    /// Over the last second.
    fn rate_ops_s(&self) -> f64 {
        let (first, last) = match (self.marks.front(), self.marks.back()) {
            (Some(&first), Some(&last)) if self.marks.len() > 1 => (first, last),
            (_, Some(&last)) => ((Duration::ZERO, 0), last),
            _ => return 0.0,
        };
        let time_s = last.0.saturating_sub(first.0).as_secs_f64();
        (last.1 - first.1) as f64 / time_s.max(1e-3)
    }
}

impl Drop for View {
    fn drop(&mut self) {
        screen::leave();
    }
}

/// How much of the step is done, and what is left of it in words.
fn progress(live: &Live, until: Until, rate_ops_s: f64) -> (f64, String) {
    if live.warmup {
        return (0.0, "warming up".to_owned());
    }
    let left = |seconds: f64| match seconds as u64 {
        seconds @ ..60 => format!("{seconds} s left"),
        seconds @ 60..3_600 => format!("{}:{:02} min left", seconds / 60, seconds % 60),
        seconds => format!("{}:{:02} h left", seconds / 3_600, seconds / 60 % 60),
    };
    match until {
        Until::Operations(total) => {
            let done = live.attempted as f64 / total.max(1) as f64;
            let rest_s = total.saturating_sub(live.attempted) as f64 / rate_ops_s.max(1.0);
            (done.min(1.0), format!("{:.0} % · {}", done * 100.0, left(rest_s.ceil())))
        }
        Until::Elapsed(time) => {
            let done = live.elapsed.as_secs_f64() / time.as_secs_f64().max(1e-3);
            let rest_s = time.saturating_sub(live.elapsed).as_secs_f64();
            let (elapsed_s, time_s) = (live.elapsed.min(time).as_secs_f64(), time.as_secs_f64());
            let text = format!("{elapsed_s:.1} of {time_s:.1} s · {}", left(rest_s.ceil()));
            (done.min(1.0), text)
        }
    }
}
