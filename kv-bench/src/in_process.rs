//! The store of `engine:`: kv-core in this process, with what a server would do for it beside.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use crossbeam::channel::{RecvTimeoutError, Sender, bounded};
use kv_core::Engine;
use kv_core::data_dir::{DataDir, Durability, Progress};
use kv_core::engine::Clock;
use kv_core::log::Log;
use kv_core::storage::Disk;

use crate::progress::complain;
use crate::scratch::Scratch;

/// As kv-server's ticker.
const TICK: Duration = Duration::from_millis(100);
const TICKS_PER_S: u32 = 10;
const SWEEP_TIME: Duration = Duration::from_millis(25);

/// A store, and the thread that looks after it. It is closed when this is dropped.
pub(crate) struct Store {
    engine: Arc<Engine>,
    durability: Durability,
    /// None once it is told to end.
    ticker: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Store {
    /// An empty store; what it keeps lies in `scratch`, and goes with that.
    ///
    /// # Errors
    ///
    /// When the folder cannot be used.
    pub(crate) fn fresh(durability: Durability, scratch: &Scratch) -> anyhow::Result<Self> {
        let dir = scratch.path().join("engine");
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error)
                    .with_context(|| format!("cannot remove the folder {}", dir.display()));
            }
            _ => {}
        }
        match durability {
            Durability::None => Self::start(Engine::new(Clock::System), None, durability),
            _ => Self::open(durability, &dir),
        }
    }

    /// What lies in `dir`, and is kept there.
    ///
    /// # Errors
    ///
    /// When the folder cannot be used, or what is in it cannot be read.
    pub(crate) fn open(durability: Durability, dir: &Path) -> anyhow::Result<Self> {
        let engine = Engine::new(Clock::System);
        let disk = Arc::new(Disk::open(dir).context("the engine's store")?);
        let opened = DataDir::open(disk, &engine, durability, &Progress::default());
        let (data_dir, _) = opened.context("the engine's store")?;
        Self::start(engine, Some(data_dir), durability)
    }

    fn start(
        engine: Engine,
        data_dir: Option<DataDir>,
        durability: Durability,
    ) -> anyhow::Result<Self> {
        let engine = Arc::new(engine);
        let (end, ended) = bounded(0);
        let mut ticker = Ticker { engine: Arc::clone(&engine), data_dir, ..Ticker::default() };
        let tick = move || {
            while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                ticker.tick();
            }
            ticker.close();
        };
        let thread = std::thread::Builder::new().name("ticker".to_owned()).spawn(tick);
        let thread = thread.context("cannot start a thread for the engine")?;
        Ok(Self { engine, durability, ticker: Some((end, thread)) })
    }

    pub(crate) fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.engine)
    }

    pub(crate) fn durability(&self) -> Durability {
        self.durability
    }
}

/// The access clock, expiry, and a log that is long or idle.
#[derive(Default)]
struct Ticker {
    engine: Arc<Engine>,
    data_dir: Option<DataDir>,
    ticks: u32,
    /// The last change, a second ago.
    sequence: u64,
    /// A snapshot came to nothing.
    failed: bool,
}

impl Ticker {
    fn tick(&mut self) {
        let engine = &*self.engine;
        engine.tick();
        engine.sweep_expired(SWEEP_TIME);
        self.ticks = self.ticks.wrapping_add(1);
        let Some(data_dir) = &self.data_dir else { return };
        if !self.ticks.is_multiple_of(TICKS_PER_S) {
            return;
        }
        let before = std::mem::replace(&mut self.sequence, engine.sequence());
        if before == self.sequence {
            engine.log().iter().for_each(|log| log.mark());
        }
        if !self.failed
            && data_dir.is_log_long(engine)
            && let Err(error) = data_dir.save(engine)
        {
            self.failed = true;
            complain(format_args!("warning: engine: no snapshot, so the log grows: {error}"));
        }
    }

    /// Whoever called the engine has ended.
    fn close(&self) {
        if let Some(Err(failure)) = self.engine.log().map(Log::close) {
            complain(format_args!("warning: engine: the end of the log: {failure}"));
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.ticker.take() {
            drop(end);
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}
