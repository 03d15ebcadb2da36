//! The writer: brings records from the tail into files, and keeps them when the disk is full.

use std::io;
use std::sync::Arc;

use super::error::is_full;
use super::segment::segment_name;
use super::tail::Batch;
use crate::storage::{File, Storage};

/// How many zeros are written ahead at a time. Measured on the ext4 of a virtual machine, 3.5 kB per
/// sync, median: 390 µs where the file grows each time, 334 µs within preallocated space, 255 µs
/// over zeros.
const ZEROS_AHEAD: u64 = 1 << 20;

/// A batch this long is its own reason to grow the file; zeros would only be written twice.
const BATCH_WITH_ZEROS_MAX: u64 = ZEROS_AHEAD / 4;

/// Memory kept for the next batches. A longer one gives the rest back.
const BATCH_BYTES_KEPT: usize = 4 << 20;

static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// Why a batch could not be written.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) cause: io::Error,
    /// Whether what is in the file is unknown from now on. Otherwise nothing of what failed is in it
    /// and the same batch can be tried again.
    pub(super) lasting: bool,
}

impl Fault {
    fn lasting(cause: io::Error) -> Self {
        Self { cause, lasting: true }
    }
}

struct Current {
    file: Arc<dyn File>,
    number: u64,
    /// Where the next record goes.
    offset: u64,
    /// Up to where the file holds zeros, if that is further.
    zeros_to: u64,
    zeros_ahead: bool,
}

pub(super) struct Writer {
    storage: Arc<dyn Storage>,
    zeros_ahead: bool,
    segment_bytes_max: u64,
    /// Taken from the tail; from `done` on not yet written.
    pub(super) batch: Batch,
    done: usize,
    /// Bytes of the log up to the end of the last batch that was written whole.
    written_bytes: u64,
    current: Option<Current>,
    prepared: Option<(u64, Arc<dyn File>)>,
    /// Full segments, oldest first, and the current one if it changed: to be synced.
    full: Vec<Arc<dyn File>>,
    is_changed: bool,
}

impl Writer {
    pub(super) fn new(
        storage: Arc<dyn Storage>,
        zeros_ahead: bool,
        segment_bytes_max: u64,
        batch: Batch,
    ) -> Self {
        Self {
            storage,
            zeros_ahead,
            segment_bytes_max,
            written_bytes: batch.appended,
            batch,
            done: 0,
            current: None,
            prepared: None,
            full: Vec::new(),
            is_changed: false,
        }
    }

    /// Bytes of the log up to the end of the last batch that was written whole.
    pub(super) fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// The number of the segment that is being written.
    pub(super) fn segment(&self) -> u64 {
        self.current.as_ref().map_or(0, |current| current.number)
    }

    /// Whether all of the batch is written.
    pub(super) fn is_done(&self) -> bool {
        self.batch.bytes.is_empty()
    }

    /// Writes what is left of the batch, beginning segments where it says so.
    pub(super) fn write(&mut self) -> Result<(), Fault> {
        while self.done < self.batch.bytes.len() {
            if let Some(&(at, number)) = self.batch.breaks.first()
                && at == self.done
            {
                self.begin_segment(number)?;
                self.batch.breaks.remove(0);
            }
            let end = self.batch.breaks.first().map_or(self.batch.bytes.len(), |&(at, _)| at);
            self.write_part(end)?;
            self.done = end;
        }
        self.done = 0;
        self.written_bytes = self.batch.appended;
        self.batch.bytes.clear();
        if self.batch.bytes.capacity() > BATCH_BYTES_KEPT {
            self.batch.bytes = Vec::new();
        }
        Ok(())
    }

    fn begin_segment(&mut self, number: u64) -> Result<(), Fault> {
        let file = match self.prepared.take() {
            Some((prepared, file)) if prepared == number => file,
            _ => create(&*self.storage, number)?,
        };
        if let Some(before) = self.current.take() {
            self.full.push(before.file);
        }
        let zeros_ahead = self.zeros_ahead;
        self.current = Some(Current { file, number, offset: 0, zeros_to: 0, zeros_ahead });
        Ok(())
    }

    /// Writes the batch's bytes up to `end` into the current segment.
    fn write_part(&mut self, end: usize) -> Result<(), Fault> {
        let current = self.current.as_mut().expect("a log begins with a segment");
        let part = &self.batch.bytes[self.done..end];
        self.is_changed = true;
        if let Err(cause) = current.file.write_all_at(part, current.offset) {
            return Err(cut_back(current, cause));
        }
        current.offset += part.len() as u64;
        let is_short = (part.len() as u64) < BATCH_WITH_ZEROS_MAX;
        if current.zeros_ahead && is_short && current.offset > current.zeros_to {
            write_zeros(current, self.segment_bytes_max)?;
        }
        Ok(())
    }

    /// The files with unsynced changes, oldest first. They count as synced from here on: the caller
    /// syncs them, or the log is poisoned.
    pub(super) fn take_changed(&mut self) -> Vec<Arc<dyn File>> {
        let mut files = std::mem::take(&mut self.full);
        if std::mem::take(&mut self.is_changed) {
            files.extend(self.current.iter().map(|current| Arc::clone(&current.file)));
        }
        files
    }

    /// The number of the next segment, when it is time to prepare its file.
    pub(super) fn next_to_prepare(&self) -> Option<u64> {
        let current = self.current.as_ref()?;
        let is_time = current.offset > self.segment_bytes_max / 2 && self.prepared.is_none();
        is_time.then_some(current.number + 1)
    }

    /// Keeps a file made ahead, unless its segment was begun meanwhile.
    pub(super) fn keep_prepared(&mut self, number: u64, file: Arc<dyn File>) {
        if self.current.as_ref().is_some_and(|current| current.number + 1 == number) {
            self.prepared = Some((number, file));
        }
    }

    /// Leaves nothing behind the last record, nor behind those still to come: neither zeros nor a
    /// file not begun.
    pub(super) fn trim(&mut self) -> io::Result<()> {
        if let Some(current) = &mut self.current {
            current.zeros_ahead = false;
            if current.zeros_to > current.offset {
                current.file.set_len(current.offset)?;
                current.zeros_to = current.offset;
                self.is_changed = true;
            }
        }
        match self.prepared.take() {
            Some((number, _)) => self.storage.remove(&segment_name(number)),
            None => Ok(()),
        }
    }
}

/// Makes a segment's file, its name durable.
pub(super) fn create(storage: &dyn Storage, number: u64) -> Result<Arc<dyn File>, Fault> {
    let name = segment_name(number);
    let created = match storage.create(&name) {
        // Prepared by the other thread at this very moment, or left by an attempt that failed.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => storage.open(&name),
        created => created,
    };
    let file = created.map_err(|cause| Fault { lasting: false, cause })?;
    storage.sync_dir().map_err(Fault::lasting)?;
    Ok(file.into())
}

/// After a write that failed: where the disk is full, the file ends again with the last record that
/// is whole.
fn cut_back(current: &mut Current, cause: io::Error) -> Fault {
    if !is_full(&cause) {
        return Fault::lasting(cause);
    }
    match current.file.set_len(current.offset) {
        Ok(()) => {
            current.zeros_to = current.offset;
            Fault { cause, lasting: false }
        }
        Err(cause) => Fault::lasting(cause),
    }
}

/// Writes zeros ahead of the records, but hardly beyond the segment's end. Where there is no space
/// for them the segment goes on without.
fn write_zeros(current: &mut Current, segment_bytes_max: u64) -> Result<(), Fault> {
    let mut at = current.offset;
    let end = (at + ZEROS_AHEAD).min(segment_bytes_max);
    while at < end {
        let zeros = &ZEROS[..ZEROS.len().min((end - at) as usize)];
        if let Err(cause) = current.file.write_all_at(zeros, at) {
            let fault = cut_back(current, cause);
            current.zeros_ahead = false;
            return if fault.lasting { Err(fault) } else { Ok(()) };
        }
        at += zeros.len() as u64;
    }
    current.zeros_to = end.max(current.offset);
    Ok(())
}
