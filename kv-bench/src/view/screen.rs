//! The terminal while the view has it: taken when there is something to draw, given back on every
//! way out.
//!
//! Keys still make signals, so that Ctrl-C ends a run whatever kv-bench is busy with. A thread waits for
//! those signals that end or stop a process and gives the terminal back before they do.

use std::io::{self, IsTerminal as _, Stderr, Write as _, stderr, stdin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::Duration;

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, MoveToColumn, Show};
use ratatui::crossterm::queue;
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, size,
};
use ratatui::{Frame, Terminal};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::interrupt;

/// Smaller windows have room for a line.
const COLUMNS_MIN: u16 = 50;
const ROWS_MIN: u16 = 12;

/// Held by who draws on the terminal, takes it or gives it back.
static SCREEN: Mutex<()> = Mutex::new(());
/// The terminal is the view's now.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);
/// It is not to be taken again.
static IS_OVER: AtomicBool = AtomicBool::new(false);
/// How keys were handled before; `None` where they are not ours to handle.
static MODES: OnceLock<Option<Termios>> = OnceLock::new();

fn lock() -> MutexGuard<'static, ()> {
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether there is a terminal that can be drawn on.
pub(super) fn is_possible() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    stderr().is_terminal() && !is_dumb
}

/// Whether it can be drawn on now: large enough, and ours and not that of a shell that we run in
/// the background of.
pub(super) fn is_usable() -> bool {
    let is_large = size().is_ok_and(|(columns, rows)| columns >= COLUMNS_MIN && rows >= ROWS_MIN);
    let is_ours = tcgetpgrp(stderr()).is_ok_and(|group| group == rustix::process::getpgrp());
    is_large && is_ours && !IS_OVER.load(Ordering::SeqCst)
}

/// Draws, on a terminal that is taken if need be; false when it cannot be any more.
pub(super) fn draw(picture: impl FnOnce(&mut Frame<'_>)) -> bool {
    static TERMINAL: Mutex<Option<Terminal<CrosstermBackend<Stderr>>>> = Mutex::new(None);
    static WATCHED: OnceLock<()> = OnceLock::new();
    WATCHED.get_or_init(watch);
    let _guard = lock();
    if IS_OVER.load(Ordering::SeqCst) {
        return false;
    }
    let mut terminal = TERMINAL.lock().unwrap_or_else(PoisonError::into_inner);
    let drawn = take().and_then(|is_new| {
        if is_new || terminal.is_none() {
            // What was on the screen before is not on it now.
            *terminal = Some(Terminal::new(CrosstermBackend::new(stderr()))?);
        }
        terminal.as_mut().map_or(Ok(()), |terminal| terminal.draw(picture).map(drop))
    });
    if drawn.is_err() {
        IS_OVER.store(true, Ordering::SeqCst);
        give_back();
    }
    drawn.is_ok()
}

/// Whether the user has typed `q`.
pub(super) fn wants_end() -> bool {
    if !IS_TAKEN.load(Ordering::SeqCst) || !MODES.get().is_some_and(Option::is_some) {
        return false;
    }
    let mut typed = [0; 64];
    let count = rustix::io::read(stdin(), &mut typed).unwrap_or(0);
    typed[..count].iter().any(|key| key.eq_ignore_ascii_case(&b'q'))
}

/// Gives the terminal back, if it is taken.
pub(super) fn leave() {
    let _guard = lock();
    give_back();
}

/// And does not take it again.
pub(super) fn leave_for_good() {
    IS_OVER.store(true, Ordering::SeqCst);
    leave();
}

/// True when it was not the view's before.
fn take() -> io::Result<bool> {
    if IS_TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(false);
    }
    let modes = MODES.get_or_init(|| stdin().is_terminal().then(|| tcgetattr(stdin()).ok())?);
    if let Some(modes) = modes {
        let mut ours = modes.clone();
        // Keys come one by one and unseen, and reading waits for none.
        ours.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        ours.special_codes[SpecialCodeIndex::VMIN] = 0;
        ours.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(stdin(), OptionalActions::Now, &ours)?;
    }
    let mut out = stderr();
    queue!(out, MoveToColumn(0), Clear(ClearType::CurrentLine), EnterAlternateScreen, Hide)?;
    out.flush()?;
    Ok(true)
}

fn give_back() {
    if !IS_TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = stderr();
    // A terminal that has gone has nothing to be given back.
    let _ = queue!(out, LeaveAlternateScreen, Show).and_then(|()| out.flush());
    if let Some(Some(modes)) = MODES.get() {
        let _ = tcsetattr(stdin(), OptionalActions::Now, modes);
    }
}

/// Sees to it that signals and panics find the terminal as it was.
fn watch() {
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // Whoever panics may be the one who draws: it does not wait for itself.
        let _guard = (0..20).find_map(|_| match SCREEN.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(guard)) => Some(guard.into_inner()),
            Err(TryLockError::WouldBlock) => {
                std::thread::sleep(Duration::from_millis(5));
                None
            }
        });
        IS_OVER.store(true, Ordering::SeqCst);
        give_back();
        previous(panic);
    }));
    let mut signals = vec![SIGINT, SIGTERM, SIGQUIT, SIGTSTP];
    signals.extend((!interrupt::is_ignored(SIGHUP)).then_some(SIGHUP));
    let Ok(mut signals) = Signals::new(signals) else { return };
    let thread = std::thread::Builder::new().name("terminal".to_owned());
    // Without it the terminal is given back a little later.
    let _ = thread.spawn(move || {
        for signal in signals.forever() {
            match signal {
                SIGTSTP => leave(),
                _ => leave_for_good(),
            }
            if signal == SIGTSTP || signal == SIGQUIT {
                let _ = emulate_default_handler(signal);
            }
        }
    });
}
