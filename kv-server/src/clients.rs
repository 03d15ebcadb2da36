//! The register of connections: for `CLIENT LIST`, `INFO`, the limit, and the end.

use std::collections::BTreeMap;
use std::net::Shutdown;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam::utils::CachePadded;

use crate::command_stats::CommandStats;
use crate::counters::{Counters, Totals};
use crate::stream::Stream;
use crate::wakeup::Sleeper;

/// How long after the first time a thread is woken again that had only been about to wait; then
/// twice as long each time.
const WAKE_AGAIN: Duration = Duration::from_millis(10);

/// How long threads may take to notice that their connections were cut.
const CUT_TIME: Duration = Duration::from_secs(1);

/// What others may know of a connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: u64,
    pub(crate) address: String,
    pub(crate) local_address: String,
    pub(crate) connected_at: Instant,
    pub(crate) counters: CachePadded<Counters>,
    /// Written by the connection's own thread, and so hardly ever waited for.
    pub(crate) command_stats: CachePadded<Mutex<CommandStats>>,
    pub(crate) labels: Mutex<Labels>,
    pub(crate) db: AtomicU8,
    /// 2 or 3.
    pub(crate) protocol: AtomicU8,
    /// Seconds of the server's life when it connected or was last heard.
    pub(crate) active_s: AtomicU32,
    /// Its thread's socket, for others to end it.
    pub(crate) stream: Arc<Stream>,
    pub(crate) thread: Sleeper,
}

/// What a connection says of itself.
#[derive(Debug, Default, Clone)]
pub(crate) struct Labels {
    pub(crate) name: String,
    pub(crate) lib_name: String,
    pub(crate) lib_ver: String,
}

impl Client {
    pub(crate) fn command_stats(&self) -> MutexGuard<'_, CommandStats> {
        self.command_stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All connections, and the sum of those that ended.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    connected: Mutex<Connected>,
    /// Told whenever a connection has ended.
    ended: Condvar,
    next_id: AtomicU64,
}

#[derive(Debug, Default)]
struct Connected {
    by_id: BTreeMap<u64, Arc<Client>>,
    retired: Totals,
    retired_commands: CommandStats,
    /// Subtracted from every sum since `CONFIG RESETSTAT`.
    reset: Totals,
    closing: bool,
}

/// A place in the register, given up when dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    clients: Arc<Clients>,
    client: Arc<Client>,
}

impl Registration {
    pub(crate) fn client(&self) -> &Arc<Client> {
        &self.client
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut connected = self.clients.lock();
        connected.by_id.remove(&self.client.id);
        connected.retired.add(&self.client.counters.totals());
        connected.retired_commands.add(&self.client.command_stats());
        drop(connected);
        self.clients.ended.notify_all();
    }
}

impl Clients {
    fn lock(&self) -> MutexGuard<'_, Connected> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a connection that begins at `uptime_s`, unless there are `clients_max` already or
    /// the server is closing.
    pub(crate) fn register(
        self: &Arc<Self>,
        stream: &Arc<Stream>,
        clients_max: usize,
        uptime_s: u32,
    ) -> Option<Registration> {
        let address = |addr: Option<std::net::SocketAddr>| {
            addr.map_or_else(|| "unix:0".to_owned(), |addr| addr.to_string())
        };
        let client = Arc::new(Client {
            id: self.next_id.fetch_add(1, Ordering::Relaxed) + 1,
            address: address(stream.peer_addr()),
            local_address: address(stream.local_addr()),
            connected_at: Instant::now(),
            counters: CachePadded::default(),
            command_stats: CachePadded::default(),
            labels: Mutex::default(),
            db: AtomicU8::new(0),
            protocol: AtomicU8::new(2),
            active_s: AtomicU32::new(uptime_s),
            stream: Arc::clone(stream),
            thread: Sleeper::default(),
        });
        let mut connected = self.lock();
        if connected.closing || connected.by_id.len() >= clients_max {
            return None;
        }
        connected.by_id.insert(client.id, Arc::clone(&client));
        Some(Registration { clients: Arc::clone(self), client })
    }

    /// Every connection, oldest first.
    pub(crate) fn list(&self) -> Vec<Arc<Client>> {
        self.lock().by_id.values().cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().by_id.len()
    }

    /// The figures of all connections, past and present, since the last reset.
    pub(crate) fn totals(&self) -> Totals {
        let connected = self.lock();
        connected.sum().since(&connected.reset)
    }

    /// What became of the commands of all connections, past and present, since the last reset.
    pub(crate) fn command_stats(&self) -> CommandStats {
        let connected = self.lock();
        let mut sum = CommandStats::default();
        sum.add(&connected.retired_commands);
        for client in connected.by_id.values() {
            sum.add(&client.command_stats());
        }
        sum
    }

    /// Counts from zero again.
    pub(crate) fn reset_totals(&self) {
        let mut connected = self.lock();
        connected.reset = connected.sum();
        connected.retired_commands.clear();
        for client in connected.by_id.values() {
            client.command_stats().clear();
        }
    }

    /// Takes no more connections, wakes the present ones, which see that the shutdown is raised and
    /// end once they have answered what they have received, and waits for that, at most for
    /// `drain_time`; then cuts the others. Answers how many that were.
    pub(crate) fn drain(&self, drain_time: Duration) -> usize {
        let deadline = Instant::now() + drain_time;
        let mut connected = self.lock();
        connected.closing = true;
        let mut pause = WAKE_AGAIN;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if connected.by_id.is_empty() || left.is_zero() {
                break;
            }
            connected.by_id.values().for_each(|client| client.thread.wake());
            connected = self.await_end(connected, pause.min(left));
            pause *= 2;
        }
        let left = connected.by_id.len();
        for client in connected.by_id.values() {
            client.stream.shutdown(Shutdown::Both);
        }
        drop(self.await_end(connected, CUT_TIME));
        left
    }

    /// Waits until no connection is left, or until `time` has passed.
    fn await_end<'a>(
        &'a self,
        mut connected: MutexGuard<'a, Connected>,
        time: Duration,
    ) -> MutexGuard<'a, Connected> {
        let deadline = Instant::now() + time;
        while !connected.by_id.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            connected = self
                .ended
                .wait_timeout(connected, left)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(connected, _)| connected);
        }
        connected
    }
}

impl Connected {
    fn sum(&self) -> Totals {
        let mut sum = self.retired;
        for client in self.by_id.values() {
            sum.add(&client.counters.totals());
        }
        sum
    }
}
