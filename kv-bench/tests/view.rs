//! The live view on a real terminal: tmux's, whose screen the tests read and whose keys they type.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

#[path = "../../kv-core/tests/peer/mod.rs"]
mod peer;
mod program;

use std::path::Path;
use std::process::Command;

use program::{kv_bench, stderr, wait_for};
use tempfile::TempDir;

const TITLE: &str = "q or Ctrl-C ends it";
/// What the view shows from the end of the warm-up on.
const MEASURING: &str = "of 100.0 s";
/// What the shell says when kv-bench has ended.
const OVER: &str = "kv-bench is over:";

/// A terminal of the test's own.
struct Terminal {
    dir: TempDir,
}

impl Terminal {
    /// With a shell that prints [`OVER`], the exit code and the terminal's modes when kv-bench, run
    /// with `words`, has ended; `None`, and a line, without tmux.
    fn with(size: (u16, u16), environment: &str, words: &str) -> Option<Self> {
        if !peer::is_there("tmux") {
            return None;
        }
        let terminal = Self { dir: TempDir::new().unwrap() };
        let script = terminal.dir.path().join("script");
        let text = format!(
            "trap : INT\nstty -g > before\n{environment} {} run --servers 1 --threads 1 --keys 1k --out out \
             {words}\necho \"{OVER} $?\"\nstty -g > after\nexec sleep 600\n",
            env!("CARGO_BIN_EXE_kv-bench"),
        );
        std::fs::write(&script, text).unwrap();
        let (columns, rows) = (size.0.to_string(), size.1.to_string());
        let folder = terminal.dir.path().to_str().unwrap();
        let session = ["new-session", "-d", "-x", &columns, "-y", &rows, "-c", folder];
        terminal.tmux(&[&session[..], &["sh", "script"]].concat());
        Some(terminal)
    }

    fn tmux(&self, words: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.env_remove("TMUX").arg("-S").arg(self.dir.path().join("tmux"));
        let output = command.args(["-f", "/dev/null"]).args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", stderr(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn screen(&self) -> String {
        // Long lines are wrapped; -J joins them.
        self.tmux(&["capture-pane", "-p", "-J", "-S", "-200"])
    }

    /// The screen, once it shows `text`.
    fn await_text(&self, text: &str) -> String {
        wait_for(|| Some(self.screen()).filter(|screen| screen.contains(text)))
    }

    fn resize(&self, columns: u16, rows: u16) {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        self.tmux(&["resize-window", "-x", &columns, "-y", &rows]);
    }

    /// Awaits the end; the summary must be on the screen, and the terminal as it was.
    fn assert_restored(&self, summary: &str) -> String {
        let screen = self.await_text(OVER);
        assert!(!screen.contains(TITLE), "{screen}");
        assert!(screen.contains(summary), "{screen}");
        let facts = "#{alternate_on} #{cursor_flag}";
        assert_eq!(self.tmux(&["display-message", "-p", facts]).trim(), "0 1", "{screen}");
        let modes = |name: &str| std::fs::read_to_string(self.dir.path().join(name)).ok();
        let after = wait_for(|| modes("after").filter(|modes| modes.ends_with('\n')));
        assert_eq!(Some(after), modes("before"));
        screen
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Nothing is left to end where it did not start.
        let mut command = Command::new("tmux");
        command.arg("-S").arg(self.dir.path().join("tmux")).arg("kill-server");
        drop(command.env_remove("TMUX").output());
    }
}

#[test]
fn the_view_shows_the_run_and_leaves_the_summary_on_the_screen() {
    let Some(terminal) = Terminal::with((90, 26), "", "--rate 500 --duration 4s") else { return };
    let screen = terminal.await_text("limited by");
    for text in [TITLE, "headline", "s left", "ops/s", "response", "p99.9", "errors", "server_1"] {
        assert!(screen.contains(text), "{text}: {screen}");
    }
    let screen = terminal.assert_restored("operations in");
    assert!(screen.contains("1 server (none)"), "what was said before is still there: {screen}");
}

#[test]
fn keys_end_the_run_and_the_terminal_is_as_it_was() {
    for key in ["q", "C-c"] {
        let Some(terminal) = Terminal::with((90, 26), "", "--duration 100s") else { return };
        terminal.await_text(MEASURING);
        terminal.tmux(&["send-keys", key]);
        let screen = terminal.assert_restored("interrupted: what was measured is kept");
        assert!(screen.contains(&format!("{OVER} 1")), "{screen}");
    }
}

#[test]
fn signals_end_the_run_and_the_terminal_is_as_it_was() {
    for (signal, told) in [("TERM", "what was measured is kept"), ("QUIT", OVER)] {
        let Some(terminal) = Terminal::with((90, 26), "echo $$ > pid; ", "--duration 100s") else {
            return;
        };
        terminal.await_text(MEASURING);
        let shell = std::fs::read_to_string(terminal.dir.path().join("pid")).unwrap();
        let child = kv_bench_below(shell.trim());
        let kill = Command::new("kill").args([&format!("-{signal}"), &child]).status().unwrap();
        assert!(kill.success());
        terminal.assert_restored(told);
    }
}

/// The process that the shell with this number waits for.
fn kv_bench_below(shell: &str) -> String {
    let path = format!("/proc/{shell}/task/{shell}/children");
    let children = std::fs::read_to_string(path).unwrap();
    children.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn a_run_that_is_stopped_gives_the_terminal_back_until_it_goes_on() {
    let Some(terminal) = Terminal::with((90, 26), "echo $$ > pid; ", "--duration 100s") else {
        return;
    };
    terminal.await_text(MEASURING);
    let shell = std::fs::read_to_string(terminal.dir.path().join("pid")).unwrap();
    let child = kv_bench_below(shell.trim());
    let tell = |signal: &str| Command::new("kill").args([signal, &child]).status().unwrap();
    let is_alternate =
        || terminal.tmux(&["display-message", "-p", "#{alternate_on}"]).trim() == "1";
    assert!(is_alternate());
    assert!(tell("-TSTP").success());
    wait_for(|| (!is_alternate()).then_some(()));
    assert!(tell("-CONT").success());
    wait_for(|| is_alternate().then_some(()));
    terminal.tmux(&["send-keys", "q"]);
    terminal.assert_restored("interrupted");
}

#[test]
fn a_window_that_is_too_small_has_a_line_and_a_larger_one_the_view() {
    let Some(terminal) = Terminal::with((90, 26), "", "--duration 100s") else { return };
    terminal.await_text(TITLE);
    terminal.resize(40, 8);
    wait_for(|| Some(()).filter(|()| !terminal.screen().contains(TITLE)));
    // So narrow that the end of the line is cut off.
    terminal.await_text(MEASURING);
    terminal.resize(120, 40);
    terminal.await_text(TITLE);
    terminal.tmux(&["send-keys", "C-c"]);
    terminal.assert_restored("interrupted");
}

#[test]
fn without_the_view_there_is_one_line() {
    let Some(terminal) = Terminal::with((90, 26), "", "--no-tui --duration 100s") else { return };
    let screen = terminal.await_text("of 100.0 s ·");
    assert!(!screen.contains(TITLE) && screen.contains("1 server (none)"), "{screen}");
    terminal.tmux(&["send-keys", "C-c"]);
    terminal.assert_restored("interrupted");
}

#[test]
fn a_dumb_terminal_gets_no_view() {
    let Some(terminal) = Terminal::with((90, 26), "TERM=dumb", "--duration 2s") else { return };
    terminal.assert_restored("operations in");
}

#[test]
fn no_color_is_honoured() {
    for (environment, expected) in [("NO_COLOR=1", false), ("NO_COLOR=", true)] {
        let Some(terminal) = Terminal::with((90, 26), environment, "--duration 100s") else {
            return;
        };
        terminal.await_text(MEASURING);
        let screen = terminal.tmux(&["capture-pane", "-p", "-e"]);
        // Cyan, as a terminal is told it: the bars are.
        let is_colored = screen.contains("\x1b[36m") || screen.contains("38;5;6m");
        assert_eq!(is_colored, expected, "{environment}: {screen:?}");
        terminal.tmux(&["send-keys", "q"]);
        terminal.assert_restored("interrupted");
    }
}

/// A log of a long run, as a CI keeps it, told nothing for as long as it went.
#[test]
fn where_there_is_no_terminal_a_line_is_printed_from_time_to_time() {
    let dir = TempDir::new().unwrap();
    let words = ["run", "--servers", "1", "--threads", "1", "--keys", "1k", "--duration", "11s"];
    let output = kv_bench(&words).arg("--out").arg(out(dir.path())).output().unwrap();
    let told = stderr(&output);
    let lines: Vec<&str> = told.lines().collect();
    let [line] = &lines[..] else { panic!("{told}") };
    assert!(line.starts_with("headline: ") && line.contains(" of 11.0 s · "), "{told}");
    assert!(line.contains(" ops/s · p50 ") && !line.contains('\x1b'), "{told}");
    let quiet = kv_bench(&["run", "--servers", "1", "--requests", "100", "--quiet", "--out"])
        .arg(out(dir.path()))
        .output()
        .unwrap();
    assert!(quiet.stderr.is_empty() && quiet.status.success());
}

fn out(dir: &Path) -> std::path::PathBuf {
    dir.join("out")
}
