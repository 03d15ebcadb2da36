//! A worker's connections, until they are ready.

use std::io;
use std::sync::atomic::Ordering;

use super::Worker;
use crate::driver::clock::now_ns;
use crate::driver::connection::{Received, State};
use crate::driver::poll::Ready;
use crate::target::{Node, Target};

/// Connections that all workers together open at the same time, below any server's listen backlog.
const OPENING_MAX: usize = 64;

impl<T: Target> Worker<T> {
    /// Opens every connection and waits until all are ready, or says which server refused and why.
    /// Where others stand in for it, one of them is enough.
    pub(in crate::driver) fn connect(&mut self) -> Result<(), String> {
        let together = (OPENING_MAX / self.shape.threads as usize).max(1);
        let wanted = (0..self.connections.len()).filter(|id| self.wants(id % self.nodes));
        for group in wanted.collect::<Vec<_>>().chunks(together) {
            self.now_ns = now_ns();
            for &id in group {
                match self.has_given_up(id % self.nodes) {
                    // Each would be waited for as long.
                    true => self.connections[id].close(self.now_ns),
                    false => self.try_open(id)?,
                }
            }
            let due_ns = now_ns() + self.shape.timeout.as_nanos() as u64;
            while group.iter().any(|&id| self.is_expected(id)) {
                self.connect_step(group, due_ns)?;
            }
        }
        Ok(())
    }

    /// Whether a connection has neither been made nor given up.
    fn is_expected(&self, id: usize) -> bool {
        self.connections[id].state != State::Ready && !self.is_given_up(id)
    }

    fn is_given_up(&self, id: usize) -> bool {
        matches!(self.connections[id].state, State::Down { retry_at_ns } if retry_at_ns > 0)
    }

    /// Whether a connection to that server was given up for now.
    fn has_given_up(&self, node: usize) -> bool {
        self.target.detours().is_some()
            && (node..self.connections.len()).step_by(self.nodes).any(|id| self.is_given_up(id))
    }

    /// A connection cannot be made: it is left for later where another server stands in. One that never
    /// was there has been refused before.
    fn give_up(&mut self, id: usize, reason: &str) -> Result<(), String> {
        let Some(detours) = self.target.detours() else { return Err(self.blame(id, reason)) };
        detours.failed(id % self.nodes);
        self.connections[id].close(self.now_ns);
        let first = id - id % self.nodes;
        match (first..first + self.nodes).all(|id| self.is_given_up(id)) {
            true => Err(self.blame(id, reason)),
            false => Ok(()),
        }
    }

    fn connect_step(&mut self, group: &[usize], due_ns: u64) -> Result<(), String> {
        let events = self.poll.wait(None).map_err(|error| error.to_string())?;
        for index in 0..events {
            if let Ready::Connection { id, writable, closing } = self.poll.event(index)
                && let Err(error) = self.advance(id, writable, closing)
            {
                self.give_up(id, &error)?;
            }
        }
        if self.stop.load(Ordering::Relaxed) {
            return Err("interrupted while connecting".to_owned());
        }
        self.now_ns = now_ns();
        for &id in group {
            if !self.is_expected(id) {
                continue;
            }
            if self.now_ns > due_ns {
                self.give_up(id, "it did not answer within --timeout")?;
            } else if matches!(self.connections[id].state, State::Down { .. }) {
                self.try_open(id)?;
            }
        }
        Ok(())
    }

    /// Opens a connection, or leaves it for the next step when the server's backlog is full: a Unix
    /// socket says so at once, where TCP tries again by itself.
    fn try_open(&mut self, id: usize) -> Result<(), String> {
        match self.open(id) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                self.give_up(id, &error.to_string())
            }
            _ => Ok(()),
        }
    }

    fn blame(&self, id: usize, reason: &str) -> String {
        let Node { name, address } = self.target.node(id % self.nodes);
        let address = address.to_string();
        let address = if name == address { String::new() } else { format!(" ({address})") };
        format!("cannot connect to {name}{address}: {reason}")
    }

    pub(super) fn open(&mut self, id: usize) -> io::Result<()> {
        let node = id % self.nodes;
        if let Some(caller) = self.target.caller() {
            self.connections[id].call_instead(caller);
            return Ok(());
        }
        let handshake = self.target.handshake(node);
        let address = self.target.node(node).address;
        self.connections[id].open(&address, handshake, &self.poll, self.now_ns)
    }

    /// Takes a connection that is not ready yet one step further.
    pub(super) fn advance(
        &mut self,
        id: usize,
        writable: bool,
        closing: bool,
    ) -> Result<(), String> {
        let replies = self.target.handshake(id % self.nodes).replies;
        let connection = &mut self.connections[id];
        let was_ready = connection.state == State::Ready;
        if writable || closing {
            let written = connection.writable(replies, &self.poll);
            written.map_err(|error| connection.lost_by(&error))?;
        }
        match connection.receive(&mut self.scratch) {
            Received::Nothing => Ok(()),
            Received::Closed(error) => Err(connection.lost_by(&error)),
            Received::Bytes { size, .. } => {
                if connection.partial.is_empty() {
                    connection.partial.extend_from_slice(&self.scratch[..size]);
                }
                let bytes = std::mem::take(&mut connection.partial);
                let taken = connection.greet(&self.codec, &bytes)?;
                // Before a phase nobody is a client yet, and the phase counts what is ready.
                let client = self.clients.get(id / self.nodes);
                let wanted = client.is_some_and(|client| !client.finished);
                if connection.state == State::Ready && !was_ready {
                    self.target.detours().inspect(|detours| detours.connected(id % self.nodes));
                }
                if connection.state == State::Ready && !was_ready && wanted {
                    self.reach.gain(id % self.nodes);
                }
                if connection.keep(bytes, taken) {
                    Ok(())
                } else {
                    Err("its greeting does not end".to_owned())
                }
            }
        }
    }
}
