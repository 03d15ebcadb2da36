//! One connection: read what is there, run every complete request, write once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use kv_core::resp::request::Decoded;
use kv_core::resp::{Encoder, Protocol, ProtocolError, RequestDecoder, RequestLimits};

use crate::clients::Client;
use crate::counters::Totals;
use crate::monitor::Feed;
use crate::scout::Scout;
use crate::session::{Flow, Session};
use crate::shared::Shared;
use crate::stream::{Ready, Stream};
use crate::tls;

/// Room for one read: about 64 pipelined SETs of 100 bytes, twice over.
const READ_BYTES: usize = 16 * 1024;

/// Room for one read of a big argument.
const READ_BYTES_MAX: usize = 1024 * 1024;

/// Replies beyond this are offered to the socket before the next request runs.
const REPLY_BYTES_FLUSH: usize = 64 * 1024;

/// A buffer that grew beyond this is given back once it is empty.
const BUFFER_BYTES_KEPT: usize = 256 * 1024;

/// Bytes per second that a request must bring, once its time has passed, to be waited for further.
const PARTIAL_BYTES_PER_S: usize = 16 * 1024;

/// A client that owes us this many bytes of reading before it has authenticated is closed. What one
/// read of requests is answered with is less.
const UNAUTHENTICATED_OUTPUT_BYTES_MAX: usize = 128 * 1024;

/// How long a client over its output limit may read nothing.
const UNREAD_TIME: Duration = Duration::from_secs(1);

/// How long a closed conversation is listened to after the last that was heard, and in all.
const LINGER_TIME: Duration = Duration::from_millis(250);
const LINGER_TIME_MAX: Duration = Duration::from_secs(2);

/// How every TLS connection begins (RFC 8446, 5.1: the content type of a handshake), and no request.
const TLS_HANDSHAKE: u8 = 22;

pub(crate) struct Connection {
    shared: Arc<Shared>,
    client: Arc<Client>,
    stream: Arc<Stream>,
    session: Session,
    decoder: RequestDecoder,
    /// Looks at requests before they run.
    scout: Scout,
    input: Vec<u8>,
    /// Bytes of `input` that were run.
    consumed: usize,
    /// Bytes that the request under way still needs.
    missing_bytes: usize,
    out: Encoder,
    /// Bytes of `out` that were sent.
    sent: usize,
    /// Bytes of `out` that were handed over, so counted as sent, and taken back.
    counted_ahead: usize,
    /// Since when more than the soft limit has waited.
    over_soft_limit: Option<Instant>,
    /// Since when a request has begun and is not whole.
    partial_since: Option<Instant>,
    /// Bytes received so far.
    bytes_in: u64,
    /// Once the server drains: how many bytes had arrived by then.
    bytes_to_drain: Option<u64>,
}

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>, client: Arc<Client>) -> Self {
        let stream = Arc::clone(&client.stream);
        let session = Session::new(Arc::clone(&shared), Arc::clone(&client), stream.is_local());
        Self {
            shared,
            client,
            stream,
            session,
            decoder: RequestDecoder::default(),
            scout: Scout::new(),
            input: Vec::with_capacity(READ_BYTES),
            consumed: 0,
            missing_bytes: 1,
            out: Encoder::new(Protocol::Resp2),
            sent: 0,
            counted_ahead: 0,
            over_soft_limit: None,
            partial_since: None,
            bytes_in: 0,
            bytes_to_drain: None,
        }
    }

    /// Serves the client to its end.
    pub(crate) fn serve(mut self) {
        let time = self.shared.settings.partial_time();
        if let Err(error) = self.stream.handshake(time, &self.shared.shutdown) {
            if self.shared.shutdown.is_raised() && error.kind() == io::ErrorKind::Interrupted {
                return;
            }
            self.shared.stats.tls_failed.fetch_add(1, Ordering::Relaxed);
            return self.shared.complaint.about(format_args!(
                "closed client {} ({}): no TLS: {}",
                self.client.id,
                self.client.address,
                tls::in_words(&error)
            ));
        }
        if let Err(error) = self.converse() {
            log::debug!("client {} ({}): {error}", self.client.id, self.client.address);
        }
        self.count(0, 0);
    }

    fn converse(&mut self) -> io::Result<()> {
        loop {
            let flow = self.run_requests()?;
            if flow == Flow::Close {
                return self.flush_and_close();
            }
            if !self.hand_over() {
                self.send()?;
            }
            if self.is_drained()? {
                return self.flush_and_close();
            }
            let received = if let Some(feed) = self.session.feed() {
                self.attend(&feed)?
            } else if self.pending() > 0 {
                self.wait_both()?
            } else if self.consumed < self.input.len() {
                self.receive_rest()?
            } else {
                self.make_room();
                self.stream.recv(&mut self.input)?
            };
            match received {
                Some(0) => return self.flush_and_close(),
                Some(received) => self.received(received)?,
                None => {}
            }
        }
    }

    /// Whether the server drains and what had arrived when this connection noticed is answered. What
    /// arrives later is not waited for: a client may send for ever.
    fn is_drained(&mut self) -> io::Result<bool> {
        if !self.shared.shutdown.is_raised() {
            return Ok(false);
        }
        let taken = self.stream.taken(self.bytes_in);
        let arrived = match self.bytes_to_drain {
            Some(bytes) => bytes,
            None => *self.bytes_to_drain.insert(taken + self.stream.arrived()?),
        };
        Ok(taken >= arrived && !self.stream.has_unread())
    }

    /// Counts what was received. A client that begins with TLS is told that it is wrong here: it
    /// would wait for an answer to what for us may be half a request.
    fn received(&mut self, bytes: usize) -> io::Result<()> {
        let is_first = self.bytes_in == 0;
        self.bytes_in += bytes as u64;
        self.count(bytes, 0);
        if is_first && self.input.starts_with(&[TLS_HANDSHAKE]) {
            self.shared.complaint.about(format_args!(
                "closed client {} ({}): it speaks TLS to a port without; --tls-port is for that",
                self.client.id, self.client.address
            ));
            self.out.error("ERR this port does not speak TLS");
            self.flush_and_close()?;
            return Err(io::Error::other("it speaks TLS to a port without"));
        }
        Ok(())
    }

    /// Runs every complete request in the buffer.
    fn run_requests(&mut self) -> io::Result<Flow> {
        if self.take_back() {
            // They must not wait for what the next request waits for.
            self.send()?;
        }
        self.decoder.set_limits(self.request_limits());
        self.hold_output_limit()?;
        let mut authenticated = self.session.is_authenticated();
        self.scout.restart();
        loop {
            match self.decoder.decode(&self.input[self.consumed..]) {
                Ok(Decoded::Request { args, consumed }) => {
                    self.consumed += consumed;
                    self.partial_since = None;
                    if !args.is_empty() && self.session.handle(args, &mut self.out) == Flow::Close {
                        return Ok(Flow::Close);
                    }
                    if self.out.overflowed() {
                        return Err(self.overflow());
                    }
                    if authenticated {
                        let (engine, db) = (&self.shared.engine, self.session.db());
                        self.scout.look(engine, db, &self.input, self.consumed);
                    }
                }
                Ok(Decoded::More { missing_bytes }) => {
                    self.missing_bytes = missing_bytes;
                    return Ok(Flow::Continue);
                }
                Err(error) => {
                    self.refuse(error);
                    return Ok(Flow::Close);
                }
            }
            if self.session.is_authenticated() != authenticated {
                authenticated = !authenticated;
                self.decoder.set_limits(self.request_limits());
            }
            if self.pending() >= REPLY_BYTES_FLUSH {
                self.send()?;
                self.drop_sent();
                self.hold_output_limit()?;
            }
        }
    }

    /// With more replies pending than the limit allows, the next request waits for as long as the
    /// client reads; one that does not read is closed. A single value may be as big as it is.
    fn hold_output_limit(&mut self) -> io::Result<()> {
        let settings = &self.shared.settings;
        let output_bytes_max = settings.output_bytes_max.load(Ordering::Relaxed);
        let bulk_bytes_max = settings.limits.bulk_bytes_max;
        let pending_max = match self.session.is_authenticated() {
            true => output_bytes_max,
            false => output_bytes_max.min(UNAUTHENTICATED_OUTPUT_BYTES_MAX),
        };
        let mut deadline = Instant::now() + UNREAD_TIME;
        while self.pending() > pending_max {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.overflow());
            }
            if self.stream.wait(Ready::WRITE, Some(left))?.write {
                self.send()?;
                deadline = Instant::now() + UNREAD_TIME;
            }
        }
        self.drop_sent();
        self.out.set_bytes_max(self.sent + output_bytes_max + bulk_bytes_max);
        Ok(())
    }

    fn request_limits(&self) -> RequestLimits {
        RequestLimits {
            bulk_bytes_max: self.shared.settings.limits.bulk_bytes_max,
            authenticated: self.session.is_authenticated(),
            ..RequestLimits::DEFAULT
        }
    }

    fn refuse(&mut self, error: ProtocolError) {
        log::debug!("client {} ({}): {error}", self.client.id, self.client.address);
        if error == ProtocolError::RequestTooLong {
            self.shared.stats.input_limit_closed.fetch_add(1, Ordering::Relaxed);
        }
        self.out.error(format_args!("ERR {error}"));
    }

    fn pending(&self) -> usize {
        self.out.bytes().len() - self.sent
    }

    /// Leaves the replies to the thread that syncs the log, where they wait for it.
    fn hand_over(&mut self) -> bool {
        let bytes = self.out.bytes().len();
        let is_new = self.sent == 0 && self.counted_ahead == 0;
        let is_handed_over = is_new && self.session.hand_over(&mut self.out);
        if is_handed_over {
            self.count(0, bytes);
        }
        is_handed_over
    }

    fn take_back(&mut self) -> bool {
        let is_taken = self.session.take_back(&mut self.out);
        if is_taken {
            self.counted_ahead = self.out.bytes().len();
        }
        is_taken
    }

    /// Sends what the socket takes, once what it tells is kept.
    fn send(&mut self) -> io::Result<()> {
        self.session.settle(&mut self.out);
        if self.pending() == 0 {
            return Ok(());
        }
        let sent = self.stream.try_send(&self.out.bytes()[self.sent..])?;
        self.sent += sent;
        let counted = sent.min(self.counted_ahead);
        self.counted_ahead -= counted;
        self.count(0, sent - counted);
        if self.pending() == 0 {
            self.sent = 0;
            self.counted_ahead = 0;
            self.over_soft_limit = None;
            shrink(self.out.bytes_mut());
        }
        Ok(())
    }

    /// Waits for a client that does not read its replies, and reads its requests meanwhile, so
    /// that one which writes all of them before it reads any can finish writing.
    fn wait_both(&mut self) -> io::Result<Option<usize>> {
        self.check_soft_limit()?;
        self.drop_sent();
        // The soft limit, and that of a request under way, must strike even when nothing happens.
        let mut patience = Duration::from_secs(1);
        if self.consumed < self.input.len() {
            patience = patience.min(self.partial_time_left()?);
        }
        let ready = self.stream.wait(Ready::BOTH, Some(patience))?;
        if ready.write {
            self.send()?;
        }
        if !ready.read {
            return Ok(None);
        }
        self.make_room();
        self.stream.try_recv(&mut self.input)
    }

    /// Waits for a monitor's requests and for what others ask, which it is told.
    fn attend(&mut self, feed: &Feed) -> io::Result<Option<usize>> {
        if feed.overflowed() {
            return Err(self.overflow());
        }
        self.check_soft_limit()?;
        self.drop_sent();
        let mut patience = Duration::from_secs(1);
        if self.consumed < self.input.len() {
            patience = patience.min(self.partial_time_left()?);
        }
        // With lines on their way, more of them wait in the feed, whose size is limited.
        let idle = self.pending() == 0;
        let wanted = if idle { Ready::READ } else { Ready::BOTH };
        let ready = self.stream.wait_or(wanted, idle.then(|| feed.fd()), Some(patience))?;
        if self.pending() == 0 {
            feed.take_into(self.out.bytes_mut());
        }
        self.send()?;
        if !ready.read {
            return Ok(None);
        }
        self.make_room();
        self.stream.try_recv(&mut self.input)
    }

    /// Closes a client that has left more than the soft limit unread for too long.
    fn check_soft_limit(&mut self) -> io::Result<()> {
        let settings = &self.shared.settings;
        if self.pending() <= settings.output_soft_bytes_max.load(Ordering::Relaxed) {
            self.over_soft_limit = None;
            return Ok(());
        }
        let since = *self.over_soft_limit.get_or_insert_with(Instant::now);
        if since.elapsed() > settings.output_soft_time() { Err(self.overflow()) } else { Ok(()) }
    }

    fn overflow(&self) -> io::Error {
        self.shared.stats.output_limit_closed.fetch_add(1, Ordering::Relaxed);
        log::warn!(
            "closed client {} ({}): {} bytes of replies wait for it to read them",
            self.client.id,
            self.client.address,
            self.pending()
        );
        io::Error::other("output buffer limit")
    }

    /// Sent bytes go when they are the larger part, which keeps copying linear.
    fn drop_sent(&mut self) {
        if self.sent > self.pending() {
            self.out.bytes_mut().drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Waits for the rest of a request that has begun, but not for ever.
    fn receive_rest(&mut self) -> io::Result<Option<usize>> {
        let left = self.partial_time_left()?;
        if !self.stream.wait(Ready::READ, Some(left))?.read {
            return Ok(None);
        }
        self.make_room();
        // What is ready to be read need not, with TLS, be enough to be received.
        self.stream.try_recv(&mut self.input)
    }

    /// How long the rest of the request that has begun may still take.
    fn partial_time_left(&mut self) -> io::Result<Duration> {
        let since = *self.partial_since.get_or_insert_with(Instant::now);
        let brought = (self.input.len() - self.consumed) / PARTIAL_BYTES_PER_S;
        let allowed = self.shared.settings.partial_time() + Duration::from_secs(brought as u64);
        let left = allowed.saturating_sub(since.elapsed());
        if left.is_zero() {
            log::debug!("closed client {}: its request took too long", self.client.id);
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(left)
    }

    /// Drops what was run and makes room for the next read: as much as arrives, however much a
    /// request says that it will be.
    fn make_room(&mut self) {
        if self.consumed == self.input.len() {
            self.consumed = 0;
            shrink(&mut self.input);
        } else if self.consumed > 0 {
            self.input.drain(..self.consumed);
            self.consumed = 0;
        }
        let wanted = self.missing_bytes.clamp(READ_BYTES / 4, READ_BYTES_MAX);
        if self.input.capacity() - self.input.len() < wanted {
            self.input.reserve(wanted.max(READ_BYTES));
        }
    }

    /// Gives the last replies a chance, then closes. Closing while unread bytes wait would reset
    /// the connection and could destroy those replies on their way, so what still arrives is
    /// swallowed: until the client closes, has been silent for a moment, or does not come to an end.
    fn flush_and_close(&mut self) -> io::Result<()> {
        self.take_back();
        // Also when nothing is to be sent: a client may want no replies.
        self.session.settle(&mut self.out);
        // What a client that watches was to be told before its end came.
        self.session.feed().iter().for_each(|feed| feed.take_into(self.out.bytes_mut()));
        self.flush()?;
        self.stream.close_write();
        let began = Instant::now();
        let mut heard = began;
        loop {
            let left = LINGER_TIME.saturating_sub(heard.elapsed());
            let left = left.min(LINGER_TIME_MAX.saturating_sub(began.elapsed()));
            if left.is_zero() {
                return Ok(());
            }
            if self.stream.wait(Ready::READ, Some(left))?.read {
                if self.swallow()? == Some(0) {
                    return Ok(());
                }
                heard = Instant::now();
            }
        }
    }

    /// Sends the last replies, as long as the client reads. One that writes all its requests before
    /// it reads any can finish writing meanwhile.
    fn flush(&mut self) -> io::Result<()> {
        let patience = self.shared.settings.partial_time();
        let mut deadline = Instant::now() + patience;
        let mut wanted = Ready::BOTH;
        while self.pending() > 0 && Instant::now() < deadline {
            let before = self.pending();
            self.send()?;
            if self.pending() < before {
                deadline = Instant::now() + patience;
            } else if self.stream.wait(wanted, Some(Duration::from_millis(100)))?.read
                && self.swallow()? == Some(0)
            {
                // The end of its requests is there to be read for ever.
                wanted = Ready::WRITE;
            }
        }
        Ok(())
    }

    /// Receives and forgets.
    fn swallow(&mut self) -> io::Result<Option<usize>> {
        self.input.clear();
        self.input.reserve(READ_BYTES);
        self.stream.try_recv(&mut self.input)
    }

    fn count(&mut self, bytes_in: usize, bytes_out: usize) {
        let mut batch = self.session.take_counted();
        batch.add(&Totals {
            bytes_in: bytes_in as u64,
            bytes_out: bytes_out as u64,
            ..Totals::default()
        });
        self.client.counters.add(&batch);
        let uptime_s = self.shared.uptime_s.load(Ordering::Relaxed);
        self.client.active_s.store(uptime_s, Ordering::Relaxed);
    }
}

/// Empties a buffer, and gives back one that has grown big.
fn shrink(buffer: &mut Vec<u8>) {
    buffer.clear();
    if buffer.capacity() > BUFFER_BYTES_KEPT {
        buffer.shrink_to(READ_BYTES);
    }
}
