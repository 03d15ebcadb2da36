//! Replies left to the log's thread, which sends them as soon as what they tell is durable.
//!
//! A connection's thread that waits for the disk and then for the next request is woken twice per
//! request. With its replies left here it waits for the request alone; measured with 32 unpipelined
//! connections, that and the batch in which their clients hear from us is the larger part of what
//! `always` cost. The socket is known to take such replies whole, so that nobody has to come back
//! for the rest.

use std::mem;
use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kv_core::log::{Log, Notice, SyncMode};

use super::unsettled::Unsettled;
use crate::shared::Shared;
use crate::stream::Stream;

/// More than this is not left to others: together with [`REPLIES_MAX`] errors in their place it fits
/// into any socket's buffer that is empty.
const REPLY_BYTES_MAX: usize = 4096;
const REPLIES_MAX: usize = 64;

pub(super) struct Outbox {
    letter: Arc<Letter>,
    notice: Notice,
    /// Whether something was left since it was last asked for.
    is_used: bool,
}

struct Letter {
    shared: Arc<Shared>,
    stream: Arc<Stream>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    replies: Vec<u8>,
    unsettled: Unsettled,
    /// The change that they wait for; `None` when there are none.
    until: Option<u64>,
}

impl Outbox {
    pub(super) fn new(shared: &Arc<Shared>, stream: &Arc<Stream>) -> Self {
        let letter = Arc::new(Letter {
            shared: Arc::clone(shared),
            stream: Arc::clone(stream),
            held: Mutex::default(),
        });
        let notice = {
            let letter = Arc::clone(&letter);
            Arc::new(move || letter.send())
        };
        Self { letter, notice, is_used: false }
    }

    /// Takes replies that wait for the disk, all of them or none.
    #[inline]
    pub(super) fn hand_over(&mut self, unsettled: &mut Unsettled, replies: &mut Vec<u8>) -> bool {
        let Some(log) = self.letter.log().filter(|log| log.mode() == SyncMode::Always) else {
            return false;
        };
        let Some(until) = unsettled.last().filter(|&last| log.verdict(last).is_none()) else {
            return false;
        };
        let is_short = replies.len() <= REPLY_BYTES_MAX && unsettled.len() <= REPLIES_MAX;
        if replies.is_empty() || !is_short || self.letter.stream.unacknowledged().ok() != Some(0) {
            return false;
        }
        let mut held = self.letter.lock();
        mem::swap(&mut held.replies, replies);
        mem::swap(&mut held.unsettled, unsettled);
        held.until = Some(until);
        drop(held);
        self.is_used = true;
        log.notify(until, Arc::clone(&self.notice));
        true
    }

    /// Gives back what was not sent yet, if there is anything.
    #[inline]
    pub(super) fn take_back(&mut self, unsettled: &mut Unsettled, replies: &mut Vec<u8>) -> bool {
        if !mem::take(&mut self.is_used) {
            return false;
        }
        let mut held = self.letter.lock();
        let is_unsent = held.until.take().is_some();
        if is_unsent {
            mem::swap(&mut held.replies, replies);
            mem::swap(&mut held.unsettled, unsettled);
        }
        is_unsent
    }
}

impl Letter {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self) -> Option<&Log> {
        self.shared.engine.log()
    }

    /// Sends what waits here, if it waits no more; otherwise, taken back and left again, it has
    /// another notice.
    fn send(&self) {
        let mut held = self.lock();
        let verdict = |until| self.log().and_then(|log| log.verdict(until));
        let Some(verdict) = held.until.and_then(verdict) else { return };
        held.until = None;
        let Held { replies, unsettled, .. } = &mut *held;
        unsettled.conclude(verdict, self.log(), replies);
        let sent = self.stream.try_send(replies);
        if !matches!(sent, Ok(sent) if sent == replies.len()) {
            // The client is gone, or the system has no memory for its replies.
            log::warn!("closed a client that could not be sent {} bytes: {sent:?}", replies.len());
            self.stream.shutdown(Shutdown::Both);
        }
        replies.clear();
    }
}
