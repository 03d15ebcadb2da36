//! A folder in memory that keeps what is durable apart from what is not, and fails when told to.
//! Each test file that needs one includes this module and uses part of it.
#![allow(dead_code, reason = "every test file is a crate of its own and needs another part")]

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use kv_core::storage::{File, Storage};

/// What a disk loses or keeps as one.
const BLOCK_BYTES: usize = 512;

/// What a call does, for choosing which one fails and counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Open,
    Rename,
    Remove,
    SyncDir,
    Write,
    Read,
    SyncData,
    SetLen,
    List,
    Size,
}

impl Operation {
    pub(crate) const ALL: [Self; 11] = [
        Self::Create,
        Self::Open,
        Self::Rename,
        Self::Remove,
        Self::SyncDir,
        Self::Write,
        Self::Read,
        Self::SyncData,
        Self::SetLen,
        Self::List,
        Self::Size,
    ];

    fn changes_something(self) -> bool {
        !matches!(self, Self::Open | Self::Read | Self::List | Self::Size)
    }
}

/// Calls that fail: those of this operation from the `first` on (counted from 1), `count` of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) operation: Operation,
    pub(crate) first: u64,
    pub(crate) count: u64,
    pub(crate) errno: i32,
}

pub(crate) const ENOSPC: i32 = 28;
pub(crate) const EIO: i32 = 5;

#[derive(Debug, Clone, Default)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// Blocks that a failed sync gave up: no sync takes them until they are written again.
    given_up: BTreeSet<usize>,
}

impl Inode {
    fn give_up(&mut self) {
        let Self { live, durable, given_up } = self;
        let is_unsynced = |index: &usize| {
            let at = index * BLOCK_BYTES;
            let end = live.len().min(at + BLOCK_BYTES);
            durable.get(at..end) != Some(&live[at..end])
        };
        given_up.extend((0..live.len().div_ceil(BLOCK_BYTES)).filter(is_unsynced));
    }

    /// What a sync that works makes durable.
    fn synced(&self) -> Vec<u8> {
        let mut synced = self.live.clone();
        for block in &self.given_up {
            for at in block * BLOCK_BYTES..synced.len().min((block + 1) * BLOCK_BYTES) {
                synced[at] = self.durable.get(at).copied().unwrap_or(0);
            }
        }
        synced
    }
}

/// Names that changed together: what each is now.
type Change = Vec<(String, Option<usize>)>;

#[derive(Debug, Clone, Default)]
struct Content {
    inodes: Vec<Inode>,
    live: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    /// Not yet durable, oldest first.
    changes: Vec<Change>,
}

#[derive(Debug, Default)]
struct State {
    content: Content,
    /// How many calls of each operation there were.
    calls: BTreeMap<u8, u64>,
    faults: Vec<Fault>,
    /// Calls that change something, and how many of them still work.
    changing: u64,
    freeze_after: Option<u64>,
    /// The one of these calls that fails, and how.
    fails: Option<(u64, i32)>,
    /// Bytes that all files may have together.
    capacity: Option<usize>,
    are_syncs_held: bool,
    /// Syncs that are waiting because they are held.
    held: u64,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// The folder. Clones are the same folder.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faulty(Arc<Shared>);

struct FaultyFile {
    folder: Faulty,
    inode: usize,
}

impl Faulty {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no panic in the folder")
    }

    fn with(content: Content) -> Self {
        let state = State { content, ..State::default() };
        Self(Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() }))
    }

    /// Makes calls fail.
    pub(crate) fn fail(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// From now on, this call of the operation (1 is the next) fails, alone.
    pub(crate) fn fail_next(&self, operation: Operation, nth: u64, errno: i32) {
        let first = self.calls(operation) + nth;
        self.fail(Fault { operation, first, count: 1, errno });
    }

    /// From now on every call of the operation fails.
    pub(crate) fn fail_from_now(&self, operation: Operation, errno: i32) {
        let first = self.calls(operation) + 1;
        self.fail(Fault { operation, first, count: u64::MAX, errno });
    }

    /// From now on, this call that changes something (1 is the next) fails, alone.
    pub(crate) fn fail_change(&self, nth: u64, errno: i32) {
        let mut state = self.state();
        state.fails = Some((state.changing + nth, errno));
    }

    pub(crate) fn mend(&self) {
        self.state().faults.clear();
    }

    /// The disk is full at this many bytes.
    pub(crate) fn limit(&self, bytes: Option<usize>) {
        self.state().capacity = bytes;
    }

    /// After this many more calls that change something, none works any more: the power is cut.
    pub(crate) fn freeze_after(&self, calls: u64) {
        let mut state = self.state();
        state.freeze_after = Some(state.changing + calls);
    }

    /// Whether the power is cut.
    pub(crate) fn is_frozen(&self) -> bool {
        let state = self.state();
        state.freeze_after.is_some_and(|after| state.changing >= after)
    }

    /// How many calls of an operation there were.
    pub(crate) fn calls(&self, operation: Operation) -> u64 {
        self.state().calls.get(&(operation as u8)).copied().unwrap_or(0)
    }

    /// How many calls that change something there were.
    pub(crate) fn changing_calls(&self) -> u64 {
        self.state().changing
    }

    /// Syncs of files hang from now on, until [`Faulty::release_syncs`].
    pub(crate) fn hold_syncs(&self) {
        self.state().are_syncs_held = true;
    }

    pub(crate) fn release_syncs(&self) {
        self.state().are_syncs_held = false;
        self.0.changed.notify_all();
    }

    /// Waits until a sync hangs.
    pub(crate) fn wait_for_held_sync(&self) {
        let state = self.state();
        drop(self.0.changed.wait_while(state, |state| state.held == 0).expect("no panic"));
    }

    /// The folder as a restart finds it after the process was killed: all that was written.
    pub(crate) fn killed(&self) -> Self {
        let mut content = self.state().content.clone();
        content.durable = content.live.clone();
        content.changes.clear();
        Self::with(content)
    }

    /// The folder as a restart finds it after a power cut: every block and every name that was not
    /// synced is kept with a chance of `keep` percent.
    pub(crate) fn survivor(&self, seed: u64, keep: u64) -> Self {
        let mut random = Random(seed);
        let mut content = self.state().content.clone();
        let mut names = content.durable.clone();
        for (name, inode) in content.changes.drain(..).filter(|_| random.percent(keep)).flatten() {
            match inode {
                Some(inode) => names.insert(name, inode),
                None => names.remove(&name),
            };
        }
        for inode in &mut content.inodes {
            let survived = survive(inode, keep, &mut random);
            *inode = Inode { live: survived.clone(), durable: survived, ..Inode::default() };
        }
        content.live = names.clone();
        content.durable = names;
        Self::with(content)
    }

    /// What a file holds.
    pub(crate) fn content(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        state.content.inodes[state.content.live[name]].live.clone()
    }

    /// Changes bits of a byte.
    pub(crate) fn flip(&self, name: &str, at: usize, bits: u8) {
        let mut state = self.state();
        let inode = state.content.live[name];
        state.content.inodes[inode].live[at] ^= bits;
    }

    /// Puts a file there, durably, whatever was there.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let mut state = self.state();
        let inode = state.content.inodes.len();
        state.content.inodes.push(Inode {
            live: bytes.to_vec(),
            durable: bytes.to_vec(),
            ..Inode::default()
        });
        state.content.live.insert(name.to_owned(), inode);
        state.content.durable.insert(name.to_owned(), inode);
    }

    /// Counts a call; fails if it is to.
    fn call(&self, operation: Operation) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        let number = {
            let calls = state.calls.entry(operation as u8).or_default();
            *calls += 1;
            *calls
        };
        if operation.changes_something() {
            if state.freeze_after.is_some_and(|after| state.changing >= after) {
                return Err(io::Error::from_raw_os_error(EIO));
            }
            state.changing += 1;
            if let Some((_, errno)) = state.fails.filter(|&(nth, _)| nth == state.changing) {
                return Err(io::Error::from_raw_os_error(errno));
            }
        }
        let hit = |fault: &&Fault| {
            fault.operation == operation
                && number >= fault.first
                && number - fault.first < fault.count
        };
        match state.faults.iter().find(hit).map(|fault| fault.errno) {
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
            None => Ok(state),
        }
    }

    fn file(&self, inode: usize) -> Box<dyn File> {
        Box::new(FaultyFile { folder: self.clone(), inode })
    }
}

/// The bytes of a file after a power cut.
fn survive(inode: &Inode, keep: u64, random: &mut Random) -> Vec<u8> {
    let Inode { live, durable, .. } = inode;
    if live == durable {
        return live.clone();
    }
    let mut survived = durable.clone();
    // The length is a part of the file like any other: old, new, or where the last kept block ends.
    if live.len() < durable.len() && random.percent(keep) {
        survived.truncate(live.len());
    }
    for (index, block) in live.chunks(BLOCK_BYTES).enumerate() {
        let (at, end) = (index * BLOCK_BYTES, index * BLOCK_BYTES + block.len());
        if durable.get(at..end) != Some(block) && random.percent(keep) {
            if survived.len() < end {
                survived.resize(end, 0);
            }
            survived[at..end].copy_from_slice(block);
        }
    }
    survived
}

/// The random crashes that the long mode wants: `KV_SEEDS` is how many, or `FIRST-END`, so that it can
/// be done in portions.
pub(crate) fn seeds_wanted() -> Option<Range<u64>> {
    let text = std::env::var("KV_SEEDS").ok()?;
    let (first, end) = text.split_once('-').unwrap_or(("0", &text));
    match (first.parse(), end.parse()) {
        (Ok(first), Ok(end)) => Some(first..end),
        _ => panic!("KV_SEEDS={text} is neither a number nor FIRST-END"),
    }
}

/// splitmix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

impl Storage for Faulty {
    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let mut state = self.call(Operation::Create)?;
        let content = &mut state.content;
        if content.live.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = content.inodes.len();
        content.inodes.push(Inode::default());
        content.live.insert(name.to_owned(), inode);
        content.changes.push(vec![(name.to_owned(), Some(inode))]);
        Ok(self.file(inode))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        let state = self.call(Operation::Open)?;
        let inode = state.content.live.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.file(*inode))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.call(Operation::List)?.content.live.keys().cloned().collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.call(Operation::Rename)?;
        let content = &mut state.content;
        let inode = content.live.remove(from).ok_or(io::ErrorKind::NotFound)?;
        content.live.insert(to.to_owned(), inode);
        content.changes.push(vec![(from.to_owned(), None), (to.to_owned(), Some(inode))]);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.call(Operation::Remove)?;
        let content = &mut state.content;
        content.live.remove(name).ok_or(io::ErrorKind::NotFound)?;
        content.changes.push(vec![(name.to_owned(), None)]);
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.call(Operation::SyncDir)?;
        state.content.changes.clear();
        state.content.durable = state.content.live.clone();
        Ok(())
    }

    fn path(&self, name: &str) -> String {
        format!("memory/{name}")
    }
}

impl File for FaultyFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let offset = offset as usize;
        let mut guard = self.folder.call(Operation::Write)?;
        let state = &mut *guard;
        let used: usize = {
            let content = &state.content;
            content.live.values().map(|&inode| content.inodes[inode].live.len()).sum()
        };
        let Inode { live, given_up, .. } = &mut state.content.inodes[self.inode];
        let mut end = offset + bytes.len();
        if let Some(capacity) = state.capacity {
            let room = live.len() + capacity.saturating_sub(used);
            end = end.min(room);
        }
        if end <= offset {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        if live.len() < end {
            live.resize(end, 0);
        }
        live[offset..end].copy_from_slice(&bytes[..end - offset]);
        given_up.retain(|block| !(offset / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES)).contains(block));
        Ok(end - offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.folder.call(Operation::Read)?;
        let live = &state.content.inodes[self.inode].live;
        let rest = live.get(offset as usize..).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn sync_data(&self) -> io::Result<()> {
        // What is durable after the call is what was written before it: also while it hangs.
        let synced = {
            let called = self.folder.call(Operation::SyncData);
            let mut state = called.inspect_err(|_| {
                self.folder.state().content.inodes[self.inode].give_up();
            })?;
            let live = state.content.inodes[self.inode].synced();
            if state.are_syncs_held {
                state.held += 1;
                self.folder.0.changed.notify_all();
                let held = |state: &mut State| state.are_syncs_held;
                state = self.folder.0.changed.wait_while(state, held).expect("no panic");
                state.held -= 1;
            }
            live
        };
        self.folder.state().content.inodes[self.inode].durable = synced;
        Ok(())
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.folder.call(Operation::SetLen)?;
        state.content.inodes[self.inode].live.resize(bytes as usize, 0);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.folder.call(Operation::Size)?.content.inodes[self.inode].live.len() as u64)
    }
}
