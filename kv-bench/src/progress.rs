//! Progress while it runs, fed ten times a second: the view, or a line; and what is printed for good.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::OutputArgs;
use crate::driver::{Live, Until};
use crate::measurement::Scene;
use crate::number::{duration, grouped, short};
use crate::view::View;

/// From one line to the next where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// What the user is told while and after it runs: the view or the line on the terminal, a line from
/// time to time where there is none; and what is printed for good. Nothing with `--quiet`.
pub(crate) struct Progress {
    bar: ProgressBar,
    view: Option<View>,
    /// Where no line can be replaced: when the last was printed.
    lines: Option<Instant>,
    step: String,
    quiet: bool,
    /// Standard output is for the result: people read the other one.
    is_piped: bool,
    /// Attempts and time at the last redraw: the rate shown is since then.
    last: (u64, Duration),
}

/// How much has been looked at of what is read before the run.
pub(crate) fn looking(quiet: bool) -> ProgressBar {
    styled(quiet, "{prefix}: {bytes} of {total_bytes}")
}

fn styled(quiet: bool, template: &str) -> ProgressBar {
    let target =
        if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr_with_hz(10) };
    let bar = ProgressBar::with_draw_target(None, target);
    // A constant template: if it were wrong, the plain default would be shown.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

impl Progress {
    pub(crate) fn new(args: &OutputArgs) -> Self {
        let quiet = args.quiet;
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let has_lines = !quiet && (is_dumb || !io::stderr().is_terminal());
        Self {
            bar: styled(quiet, "{prefix} {wide_msg}"),
            view: if quiet || args.no_tui { None } else { View::new() },
            lines: has_lines.then(Instant::now),
            step: String::new(),
            quiet,
            is_piped: args.is_piped(),
            last: (0, Duration::ZERO),
        }
    }

    /// A new step begins.
    pub(crate) fn step(&mut self, what: impl Into<String>) {
        self.step = what.into();
        if let Some(view) = &mut self.view {
            view.step(&self.step);
        }
        if !self.view.as_ref().is_some_and(View::is_shown) {
            self.bar.set_prefix(self.step.clone());
            self.bar.set_message("");
            self.bar.tick();
        }
        self.last = (0, Duration::ZERO);
    }

    /// The step is this far; `note` is what it waits for, `name` the name of each server.
    pub(crate) fn show(
        &mut self,
        scene: &Scene<'_>,
        until: Until,
        note: Option<String>,
        name: &dyn Fn(usize) -> String,
    ) {
        if let Some(view) = &mut self.view
            && view.show(scene, until, note.as_deref(), name)
        {
            return;
        }
        if let Some(printed) = self.lines.filter(|printed| printed.elapsed() >= LINE_EVERY) {
            self.lines = Some(printed + LINE_EVERY);
            let message = self.message(scene.live, until, note);
            complain(format_args!("{}: {message}", self.step));
        } else if !self.bar.is_hidden() {
            let message = self.message(scene.live, until, note);
            self.bar.set_prefix(self.step.clone());
            self.bar.set_message(message);
        }
    }

    fn message(&mut self, live: &Live, until: Until, note: Option<String>) -> String {
        if live.elapsed <= self.last.1 {
            self.last = (0, Duration::ZERO);
        }
        let since = live.elapsed.saturating_sub(self.last.1).as_secs_f64();
        let rate = live.attempted.saturating_sub(self.last.0) as f64 / since.max(1e-3);
        self.last = (live.attempted, live.elapsed);
        let done = match until {
            _ if live.warmup => "warming up".to_owned(),
            Until::Operations(total) => format!("{} %", live.attempted * 100 / total.max(1)),
            Until::Elapsed(time) => {
                let elapsed_s = live.elapsed.min(time).as_secs_f64();
                format!("{elapsed_s:.1} of {:.1} s", time.as_secs_f64())
            }
        };
        // In a narrow terminal the end is cut off: what is waited for comes first, and says more than
        // the rate and the latencies of operations that do not come.
        let how = note.unwrap_or_else(|| {
            let latency = live.latest.map_or_else(String::new, |latest| {
                let text = |ns: u64| duration(ns as f64 / 1e3);
                format!(" · p50 {} · p99 {}", text(latest.p50_ns), text(latest.p99_ns))
            });
            format!("{} ops/s{latency}", short(rate))
        });
        format!("{done} · {how} · {} errors", grouped(live.failed))
    }

    /// Prints what stays, above the live line.
    ///
    /// # Errors
    ///
    /// As [`say`].
    pub(crate) fn print(&mut self, text: &str) -> anyhow::Result<()> {
        self.leave();
        match (self.quiet, self.is_piped) {
            (true, _) => Ok(()),
            (false, false) => self.bar.suspend(|| say(text)),
            (false, true) => self.bar.suspend(|| {
                // As with complaints, nobody needs to hear it.
                let _ = io::stderr().write_all(text.as_bytes());
                Ok(())
            }),
        }
    }

    /// Tells of a failure that ends nothing, above the line.
    pub(crate) fn warn(&mut self, error: &anyhow::Error) {
        self.leave();
        self.bar.suspend(|| complain(format_args!("warning: {error:#}")));
    }

    fn leave(&mut self) {
        if let Some(view) = &mut self.view {
            view.leave();
        }
    }

    /// Removes the line, or the view.
    pub(crate) fn clear(&mut self) {
        self.leave();
        self.bar.finish_and_clear();
    }
}

/// Prints to standard output. That nobody reads it any more is their choice, not our failure.
///
/// # Errors
///
/// When the output cannot be written for another reason, such as a full disk.
pub(crate) fn say(text: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_ref()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot print to standard output"),
    }
}

/// Prints a line to standard error. If nobody can hear it, the exit code tells.
pub(crate) fn complain(message: impl Display) {
    let _ = writeln!(io::stderr(), "{message}");
}
