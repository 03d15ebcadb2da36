//! Replies left to the log's thread, which sends them as soon as what they tell is durable.
//!
//! A connection's thread that waits for the disk and then for the next request is woken twice per
//! request. With its replies left here it waits for the request alone; measured with 32 unpipelined
//! connections, that and the batch in which their clients hear from us is the larger part of what
//! `always` cost. An empty socket buffer of a usual size takes such replies whole. Where one is
//! smaller (`tcp_wmem`), or the system is short of memory for them, the rest goes back to the
//! connection's thread, which is woken for it and waits for its client as it does for any other.

use std::mem;
use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use kv_core::log::{Log, Notice, SyncMode};

use super::unsettled::Unsettled;
use crate::clients::Client;
use crate::shared::Shared;

/// More than this is not left to others: together with [`REPLIES_MAX`] errors in their place it fits
/// into nearly any socket's buffer that is empty.
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
    client: Arc<Client>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    replies: Vec<u8>,
    unsettled: Unsettled,
    /// The change that they wait for; `None` when there are none.
    until: Option<u64>,
    /// The socket did not take all of them: what is left waits for the connection's thread.
    is_rest: bool,
}

/// The letters of which a rest waits for its connection's thread.
#[derive(Default)]
pub(crate) struct Rests(Mutex<Vec<Weak<Letter>>>);

impl Rests {
    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Letter>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes those threads again that were only about to wait when they were woken.
    pub(crate) fn wake_again(&self) {
        self.lock().retain(|letter| {
            letter.upgrade().is_some_and(|letter| {
                letter.client.thread.wake();
                letter.lock().is_rest
            })
        });
    }
}

impl Outbox {
    pub(super) fn new(shared: &Arc<Shared>, client: &Arc<Client>) -> Self {
        let letter = Arc::new(Letter {
            shared: Arc::clone(shared),
            client: Arc::clone(client),
            held: Mutex::default(),
        });
        let notice = {
            let letter = Arc::clone(&letter);
            Arc::new(move || Letter::send(&letter))
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
        if replies.is_empty()
            || !is_short
            || self.letter.client.stream.unacknowledged().ok() != Some(0)
        {
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
        let is_rest = mem::take(&mut held.is_rest);
        let is_unsent = held.until.take().is_some() || is_rest;
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
    fn send(self: &Arc<Self>) {
        let mut held = self.lock();
        let verdict = |until| self.log().and_then(|log| log.verdict(until));
        let Some(verdict) = held.until.and_then(verdict) else { return };
        held.until = None;
        let Held { replies, unsettled, .. } = &mut *held;
        unsettled.conclude(verdict, self.log(), replies);
        match self.client.stream.try_send(replies) {
            Ok(sent) if sent == replies.len() => replies.clear(),
            Ok(sent) => {
                replies.drain(..sent);
                held.is_rest = true;
                drop(held);
                self.shared.rests.lock().push(Arc::downgrade(self));
                self.client.thread.wake();
            }
            Err(error) => {
                log::debug!("client {} ({}): {error}", self.client.id, self.client.address);
                replies.clear();
                self.client.stream.shutdown(Shutdown::Both);
            }
        }
    }
}
