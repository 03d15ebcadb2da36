//! What Prometheus finds while kv-bench runs (`--metrics-port`): figures that the collector has
//! anyway, kept where a thread of its own can read them. Nothing on the measured path knows of it.

mod spread;
mod state;

pub(crate) use spread::Spreads;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use kv_server::Shutdown;
use kv_server::metrics::{Exporter, Sheet, serve, write_process};

use self::state::State;
use crate::measurement::{Measurement, Scene};

/// From one judgement to the next: it reads what each server's threads have used.
const JUDGE_EVERY: Duration = Duration::from_secs(2);

/// The port that answers, until it is dropped.
pub(crate) struct Metrics {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    judged: Option<Instant>,
    shutdown: Shutdown,
    exporter: Option<Exporter>,
}

/// Reads what is typed for `--metrics-port`: a port of this machine alone, or an address of it.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let port = text.parse().ok().map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    port.or_else(|| text.parse().ok()).ok_or_else(|| {
        "no port from 0 to 65535 (such as 9122, 0 for any that is free, or 0.0.0.0:9122 for other \
         machines)"
            .to_owned()
    })
}

impl Metrics {
    /// Answers on `address` from now on; port 0 chooses a free one.
    ///
    /// # Errors
    ///
    /// Names the flag, and another value for it.
    pub(crate) fn listen(address: SocketAddr) -> anyhow::Result<Self> {
        let refused = || {
            format!(
                "cannot listen on {address} for --metrics-port: choose another port, or 0 for any \
                 that is free"
            )
        };
        let listener = TcpListener::bind(address).with_context(refused)?;
        listener.set_nonblocking(true).with_context(refused)?;
        let address = listener.local_addr().with_context(refused)?;
        let (began, state) = (Instant::now(), Arc::new(Mutex::new(State::default())));
        let shown = Arc::clone(&state);
        let write = move |sheet: &mut Sheet<'_>| {
            write_process(began, sheet)?;
            shown.lock().unwrap_or_else(PoisonError::into_inner).write(sheet)
        };
        let shutdown = Shutdown::new().with_context(refused)?;
        // Who may reach the address was decided with it.
        let admit = Box::new(|_: &_| true);
        let exporter = serve("kv-bench", shutdown.clone(), vec![listener], admit, Box::new(write))
            .with_context(refused)?;
        Ok(Self { address, state, judged: None, shutdown, exporter: Some(exporter) })
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// A new measurement begins.
    pub(crate) fn step(&mut self, what: &str) {
        self.judged = None;
        self.change(|state| state.step(what));
    }

    /// The measurement is this far; `name` is the name of each server.
    pub(crate) fn show(&mut self, scene: &Scene<'_>, name: &dyn Fn(usize) -> String) {
        let has_begun = scene.live.efforts.iter().any(|effort| effort.wall_ns > 0);
        let is_due = self.judged.is_none_or(|at| at.elapsed() >= JUDGE_EVERY);
        let trust = if has_begun && is_due { (scene.trust)() } else { None };
        if trust.is_some() {
            self.judged = Some(Instant::now());
        }
        self.change(|state| state.show(scene.live, trust, name));
    }

    /// The measurement is over: what it counted in all.
    pub(crate) fn settle(&self, measurement: &Measurement, name: &dyn Fn(usize) -> String) {
        self.change(|state| state.settle(measurement, name));
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        self.shutdown.raise();
        // It has nothing to tell that matters any more.
        drop(self.exporter.take().map(Exporter::join));
    }
}
