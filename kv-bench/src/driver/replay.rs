//! One worker's part of a trace: what is handed to it, and which of its clients it waits for.
//!
//! Operations on one key go to one client, which sends them in their order over one connection. One whose
//! client has no room waits in that client's queue, while those behind it go on to other clients; the look
//! ahead is bounded by the blocks that a worker holds.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use crossbeam::channel::TryRecvError;

use super::feeder::Feed;
use crate::trace::{Block, Payload, Record};

/// Blocks that a worker holds at most: of 64 KiB each, unless a request is longer.
const SLOTS: usize = 32;
/// How soon a worker looks again for a block that has not come.
const LOOK_AGAIN_NS: u64 = 100_000;
/// And at the latest, where nothing is due before then.
const LOOK_AGAIN_NS_MAX: u64 = 1_000_000;
/// Operations that wait for this long, while a worker has no room for more, are too many.
const OVERDUE_NS: u64 = 10_000_000_000;
/// Operations per place of its clients that a worker looks ahead where there are no due times.
const LOOK_AHEAD: usize = 4;
const LOOK_AHEAD_MIN: usize = 1024;

/// Where a record is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    slot: usize,
    index: usize,
}

struct Slot {
    block: Block,
    /// Of its records, those that have not been sent.
    left: usize,
}

pub(super) struct Part {
    feed: Feed,
    is_timed: bool,
    start_ns: u64,
    slots: [Option<Slot>; SLOTS],
    /// The slots whose records have not all been looked at, in their order; and the first one's next.
    fresh: VecDeque<usize>,
    next: usize,
    /// Of each client, those that wait for it.
    queues: Box<[VecDeque<Place>]>,
    waiting: usize,
    look_ahead: usize,
    /// The trace has no more.
    is_over: bool,
    /// What the reader's status said at the tick before.
    dry: u64,
    /// Since when there was nothing to do for want of the reader, and for how long there had been before.
    hungry_since_ns: Option<u64>,
    pub(super) hungry_ns: u64,
    pub(super) hungers: u64,
    pub(super) waited_for_client: u64,
}

impl Part {
    pub(super) fn new(
        feed: Feed,
        is_timed: bool,
        start_ns: u64,
        (clients, pipeline): (u32, u32),
    ) -> Self {
        let places = clients as usize * pipeline as usize;
        Self {
            feed,
            is_timed,
            start_ns,
            slots: [const { None }; SLOTS],
            fresh: VecDeque::with_capacity(SLOTS),
            next: 0,
            queues: (0..clients).map(|_| VecDeque::new()).collect(),
            waiting: 0,
            look_ahead: (places * LOOK_AHEAD).max(LOOK_AHEAD_MIN),
            is_over: false,
            dry: 0,
            hungry_since_ns: None,
            hungry_ns: 0,
            hungers: 0,
            waited_for_client: 0,
        }
    }

    /// When the operation in this place is due; 0 where there are no due times.
    #[inline]
    pub(super) fn due_ns(&self, record: &Record) -> u64 {
        if self.is_timed { self.start_ns + record.due_ns } else { 0 }
    }

    /// The next operation that no client has been asked for, if it is its time.
    #[inline]
    pub(super) fn next(&mut self, now_ns: u64) -> Option<(Place, Record)> {
        let (place, record) = self.head(now_ns)?;
        if self.is_timed && self.due_ns(&record) > now_ns {
            return None;
        }
        if !self.is_timed && self.waiting >= self.look_ahead {
            return None;
        }
        self.next += 1;
        let block = &self.slots[place.slot].as_ref()?.block;
        if self.next == block.records.len() {
            self.fresh.pop_front();
            self.next = 0;
        }
        Some((place, record))
    }

    fn head(&mut self, now_ns: u64) -> Option<(Place, Record)> {
        if self.fresh.is_empty() {
            self.load(now_ns);
        }
        let place = Place { slot: *self.fresh.front()?, index: self.next };
        Some((place, self.record(place)?))
    }

    fn record(&self, place: Place) -> Option<Record> {
        self.slots[place.slot].as_ref()?.block.records.get(place.index).copied()
    }

    /// Takes a block, if there is one and room for it.
    #[inline(never)]
    fn load(&mut self, now_ns: u64) {
        if self.is_over {
            return;
        }
        let Some(free) = self.slots.iter().position(Option::is_none) else { return };
        // Before it is looked for: what the reader hands out meanwhile is no excuse.
        let is_excused = self.feed.status.is_waiting.load(Ordering::Relaxed)
            || (self.is_timed && now_ns < self.horizon_ns());
        match self.feed.blocks.try_recv() {
            Ok(block) => {
                self.slots[free] = Some(Slot { left: block.records.len(), block });
                self.fresh.push_back(free);
                self.next = 0;
                self.end_hunger(now_ns);
            }
            Err(TryRecvError::Disconnected) => {
                self.is_over = true;
                self.end_hunger(now_ns);
            }
            Err(TryRecvError::Empty) if is_excused => self.end_hunger(now_ns),
            Err(TryRecvError::Empty) => {
                if self.hungry_since_ns.is_none() {
                    self.hungers += 1;
                    self.hungry_since_ns = Some(now_ns);
                }
            }
        }
    }

    pub(super) fn end_hunger(&mut self, now_ns: u64) {
        if let Some(since_ns) = self.hungry_since_ns.take() {
            self.hungry_ns += now_ns.saturating_sub(since_ns);
        }
    }

    fn horizon_ns(&self) -> u64 {
        self.start_ns.saturating_add(self.feed.status.horizon_ns.load(Ordering::Acquire))
    }

    /// It waits for its client.
    pub(super) fn queue(&mut self, client: usize, place: Place) {
        self.waited_for_client += u64::from(self.is_timed);
        self.queues[client].push_back(place);
        self.waiting += 1;
    }

    /// Whether operations wait for this client.
    #[inline]
    pub(super) fn has_queue(&self, client: usize) -> bool {
        !self.queues[client].is_empty()
    }

    /// The first operation that waits for this client.
    #[inline]
    pub(super) fn unqueue(&mut self, client: usize) -> Option<(Place, Record)> {
        let place = self.queues[client].pop_front()?;
        self.waiting -= 1;
        Some((place, self.record(place)?))
    }

    /// The key of what is in this place.
    #[inline]
    pub(super) fn key(&self, place: Place, record: &Record) -> &[u8] {
        self.slots[place.slot].as_ref().map_or(&[], |slot| slot.block.key(record))
    }

    /// Writes the request of what is in this place.
    #[inline]
    pub(super) fn encode(&self, place: Place, record: &Record, out: &mut Vec<u8>) {
        let payload: &Payload = &self.feed.payload;
        if let Some(slot) = &self.slots[place.slot] {
            slot.block.encode(record, payload, out);
        }
    }

    /// What is in this place has been sent.
    #[inline]
    pub(super) fn done(&mut self, place: Place) {
        let Some(slot) = &mut self.slots[place.slot] else { return };
        slot.left -= 1;
        if slot.left == 0
            && let Some(slot) = self.slots[place.slot].take()
        {
            // A reader that is gone needs none.
            let _ = self.feed.recycle.send(slot.block);
        }
    }

    /// Whether there is nothing more to begin.
    pub(super) fn is_done(&mut self) -> bool {
        self.is_over && self.fresh.is_empty() && self.waiting == 0
    }

    /// The time is over, as each tick from then on says: what a pipe has not brought from one to the next
    /// is no part of it. Returns whether there is nothing more to begin.
    pub(super) fn expire(&mut self) -> bool {
        // In this order: what came was handed out before.
        let dry = self.feed.status.dry.load(Ordering::Acquire);
        let is_stalled = dry > 0 && dry == std::mem::replace(&mut self.dry, dry);
        self.is_over |= is_stalled && self.fresh.is_empty() && self.feed.blocks.is_empty();
        self.is_done()
    }

    /// When to look again.
    pub(super) fn wake_ns(&mut self, now_ns: u64) -> Option<u64> {
        if let Some(&slot) = self.fresh.front() {
            let record = self.record(Place { slot, index: self.next })?;
            return self.is_timed.then(|| self.due_ns(&record));
        }
        if self.is_over || self.slots.iter().all(Option::is_some) {
            return None;
        }
        let soon = now_ns + LOOK_AGAIN_NS..=now_ns + LOOK_AGAIN_NS_MAX;
        let horizon_ns = if self.is_timed { self.horizon_ns() } else { 0 };
        Some(horizon_ns.clamp(*soon.start(), *soon.end()))
    }

    /// Operations that are due and not sent, as far as they are known.
    pub(super) fn backlog(&self) -> u64 {
        if self.is_timed { self.waiting as u64 } else { 0 }
    }

    /// Whether operations wait that should have been sent long ago, and there is no room for more.
    pub(super) fn overflows(&self, now_ns: u64) -> bool {
        let is_full = || self.slots.iter().all(Option::is_some);
        let oldest_ns = || {
            let heads = self.queues.iter().filter_map(|queue| self.record(*queue.front()?));
            heads.map(|record| self.due_ns(&record)).min()
        };
        self.is_timed && is_full() && oldest_ns().is_some_and(|due_ns| now_ns > due_ns + OVERDUE_NS)
    }

    /// Nothing more is begun. Returns how many operations were due and are not sent.
    pub(super) fn cut(&mut self) -> u64 {
        let unsent = self.backlog();
        self.queues.iter_mut().for_each(VecDeque::clear);
        self.waiting = 0;
        self.fresh.clear();
        self.is_over = true;
        unsent
    }
}
