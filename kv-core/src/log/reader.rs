//! Reading a log: what is whole, where it ends, and whether that end is a torn tail or corruption.
//!
//! A power cut may lose any part of what was not synced, so behind a bad place whole records may
//! still stand. They tell the two cases apart: records and headers carry marks of what was durable
//! when they were written. Let *q* be the sequence of the record that should be at the first bad
//! place, and *D* the greatest sequence that any mark behind it, or the snapshot, says was durable.
//! If D ≥ q, something that was safe is damaged: corruption. Otherwise nothing from q on was ever
//! promised to survive a power cut: a torn tail, to be cut.

use super::error::{LogError, Torn};
use super::record::{Header, RECORD_HEADER_BYTES, seed};
use super::scan::greatest_mark;
use super::segment::{
    NoHeader, SEGMENT_HEADER_BYTES, SegmentHeader, is_zero, segment_name, segment_number,
    used_bytes,
};
use crate::storage::Storage;

use std::io;
use std::ops::Range;

/// From where to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogStart {
    /// The store's salt.
    pub salt: u64,
    /// The oldest segment that is needed.
    pub first_segment: u64,
    /// The snapshot's sequence, 0 without one: records up to it are already known, and are durable.
    pub after_sequence: u64,
}

/// Where a log ends, and a new segment may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEnd {
    /// The store's salt.
    pub salt: u64,
    /// The number of the next segment.
    pub next_segment: u64,
    /// The sequence of the last record, or of the snapshot when that is later.
    pub sequence: u64,
    /// The crc to chain to.
    pub chain: u32,
    /// Bytes of the segments read.
    pub bytes: u64,
    /// What has to be cut off first, with [`cut`](super::cut()).
    pub torn: Option<Torn>,
}

impl LogEnd {
    /// The end of a log that has no segment yet: a new store's, or that of a snapshot alone.
    pub fn before(segment: u64, salt: u64, sequence: u64) -> Self {
        Self { salt, next_segment: segment, sequence, chain: 0, bytes: 0, torn: None }
    }
}

/// One segment's verified records.
#[derive(Debug)]
pub struct Segment<'a> {
    /// The file, with its folder, for messages.
    pub file: &'a str,
    /// The whole file.
    pub bytes: &'a [u8],
    /// The records to apply, in order.
    pub records: &'a [Record],
}

/// One record of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its sequence.
    pub sequence: u64,
    /// Where its effects are in the segment's bytes.
    pub payload: Range<usize>,
}

/// Reads a log and shows `visit` each segment's records behind `start.after_sequence`, oldest first.
/// Changes no file. After an error, what was visited is still right, only not all.
///
/// # Errors
/// [`LogError`]; whatever `visit` answers ends the reading too.
pub fn read(
    storage: &dyn Storage,
    start: LogStart,
    mut visit: impl FnMut(Segment<'_>) -> Result<(), LogError>,
) -> Result<LogEnd, LogError> {
    let numbers = segments_from(storage, start.first_segment)?;
    let mut reader = Reader {
        storage,
        start,
        last: numbers[numbers.len() - 1],
        end: LogEnd::before(start.first_segment, start.salt, start.after_sequence),
        next_sequence: None,
        end_offset: 0,
        records: Vec::new(),
        bytes: Vec::new(),
    };
    for &number in &numbers {
        reader.check_identity(number)?;
    }
    for &number in &numbers {
        let Some(file) = reader.read_segment(number)? else { break };
        visit(Segment { file: &file, bytes: &reader.bytes, records: &reader.records })?;
        if reader.end.torn.is_some() {
            break;
        }
    }
    reader.check_missing(&numbers)?;
    reader.check_snapshot()?;
    Ok(reader.end)
}

/// The numbers of the segments there, from `first` on, in order.
fn segments_from(storage: &dyn Storage, first: u64) -> Result<Vec<u64>, LogError> {
    let names = storage.list().map_err(|cause| LogError::Io { file: storage.path(""), cause })?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.retain(|&number| number >= first);
    numbers.sort_unstable();
    if numbers.first() != Some(&first) {
        return Err(LogError::Missing { file: storage.path(&segment_name(first)), torn: None });
    }
    Ok(numbers)
}

struct Reader<'s> {
    storage: &'s dyn Storage,
    start: LogStart,
    /// The newest segment there is.
    last: u64,
    /// The end of what is right so far.
    end: LogEnd,
    /// The sequence that the next record must have. None before the first segment's header.
    next_sequence: Option<u64>,
    /// Where in segment `end.next_segment - 1` the log ends so far.
    end_offset: u64,
    records: Vec<Record>,
    bytes: Vec<u8>,
}

impl Reader<'_> {
    fn path(&self, number: u64) -> String {
        self.storage.path(&segment_name(number))
    }

    fn load(&self, number: u64, bytes_max: usize) -> Result<Vec<u8>, LogError> {
        let load = || {
            let file = self.storage.open(&segment_name(number))?;
            let mut bytes = vec![0; (file.size()? as usize).min(bytes_max)];
            file.read_exact_at(&mut bytes, 0)?;
            Ok(bytes)
        };
        load().map_err(|cause| LogError::Io { file: self.path(number), cause })
    }

    /// A segment behind a bad place, where a gap may be too.
    fn load_if_there(&self, number: u64) -> Result<Vec<u8>, LogError> {
        match self.load(number, usize::MAX) {
            Err(LogError::Io { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
                Ok(Vec::new())
            }
            loaded => loaded,
        }
    }

    /// Refuses files that are right in themselves, and not this log's or not readable by us.
    fn check_identity(&self, number: u64) -> Result<(), LogError> {
        let bytes = self.load(number, SEGMENT_HEADER_BYTES)?;
        match SegmentHeader::decode(&bytes) {
            Err(NoHeader::Version(version)) => {
                Err(LogError::UnknownVersion { file: self.path(number), version })
            }
            Ok((header, _)) if header.salt != self.start.salt => Err(LogError::Foreign {
                file: self.path(number),
                why: "it is part of another store's log".to_owned(),
            }),
            Ok((header, _)) if header.number != number => Err(LogError::Foreign {
                file: self.path(number),
                why: format!("by what it says inside it is {}", segment_name(header.number)),
            }),
            _ => Ok(()),
        }
    }

    /// Reads the next segment into `bytes` and `records`; answers its file's name, or none when the
    /// log ends before it. Where it is bad, decides between a torn tail and corruption.
    fn read_segment(&mut self, number: u64) -> Result<Option<String>, LogError> {
        if number != self.end.next_segment {
            return Ok(None);
        }
        self.bytes = self.load(number, usize::MAX)?;
        self.records.clear();
        let chain = match self.follow_on(number) {
            Ok(chain) => chain,
            Err(None) => return Ok(None),
            Err(Some(why)) => return self.end_before(number, why).map(|()| None),
        };
        self.end.next_segment = number + 1;
        self.end.bytes += used_bytes(&self.bytes) as u64;
        self.end.chain = chain;
        self.end_offset = SEGMENT_HEADER_BYTES as u64;
        if let Some(why) = self.read_records(number) {
            let from = self.end_offset as usize;
            let torn = self.torn(number, from, used_bytes(&self.bytes[from..]) as u64)?;
            self.decide(torn, number, from, why)?;
        }
        Ok(Some(self.path(number)))
    }

    /// Whether the segment goes on where the one before ended; its header's crc if so. Otherwise
    /// why not, or nothing when it was prepared as the next and not begun.
    fn follow_on(&mut self, number: u64) -> Result<u32, Option<String>> {
        let is_first = number == self.start.first_segment;
        match SegmentHeader::decode(&self.bytes) {
            Err(NoHeader::Void) if number == self.last && !is_first => Err(None),
            Err(_) => Err(Some(format!("the header of {} is unreadable", segment_name(number)))),
            Ok((header, crc)) => {
                let expected = *self.next_sequence.get_or_insert(header.first_sequence);
                if is_first && header.first_sequence > self.start.after_sequence + 1 {
                    return Err(Some(format!(
                        "the log begins with record {}, but record {} is the next that is needed",
                        header.first_sequence,
                        self.start.after_sequence + 1
                    )));
                }
                if header.first_sequence != expected || !is_first && header.chain != self.end.chain
                {
                    let name = segment_name(number);
                    return Err(Some(format!("{name} does not go on where this file ends")));
                }
                Ok(crc)
            }
        }
    }

    /// Collects the records; answers what is wrong where they end, unless nothing is.
    fn read_records(&mut self, number: u64) -> Option<String> {
        let seed = seed(self.start.salt, number);
        loop {
            let at = self.end_offset as usize;
            let rest = &self.bytes[at..];
            let next_sequence = self.next_sequence.unwrap_or(1);
            let header = match Header::read(rest) {
                Some(header)
                    if header.sequence == next_sequence
                        && header.chain == self.end.chain
                        && header.is_right(rest, seed) =>
                {
                    header
                }
                _ if is_zero(rest) => return None,
                _ => return Some(format!("no valid record {next_sequence} is there")),
            };
            if header.sequence > self.start.after_sequence {
                let payload = at + RECORD_HEADER_BYTES..at + header.record_bytes;
                self.records.push(Record { sequence: header.sequence, payload });
                self.end.sequence = header.sequence;
            }
            self.end.chain = header.crc;
            self.next_sequence = Some(next_sequence + 1);
            self.end_offset += header.record_bytes as u64;
        }
    }

    /// The log ends before segment `number`, which is loaded.
    fn end_before(&mut self, number: u64, why: String) -> Result<(), LogError> {
        let mut torn = self.torn(number, 0, used_bytes(&self.bytes) as u64)?;
        if number == self.start.first_segment {
            // It was durable before anything named it as the first.
            return Err(LogError::Corrupt { torn, why });
        }
        if SegmentHeader::decode(&self.bytes).is_ok() {
            // The header is right, so it is the file before that lost its end.
            torn.segment = number - 1;
            torn.file = self.path(number - 1);
            torn.offset = self.end_offset;
        }
        self.decide(torn, number, 0, why)
    }

    /// What a cut of segment `number` at `offset` drops, given the bytes in that segment itself.
    fn torn(&self, number: u64, offset: usize, own_bytes: u64) -> Result<Torn, LogError> {
        let mut bytes = own_bytes;
        for later in number + 1..=self.last {
            bytes += used_bytes(&self.load_if_there(later)?) as u64;
        }
        let sequence = self.next_sequence.unwrap_or(self.start.after_sequence + 1);
        let (file, offset) = (self.path(number), offset as u64);
        Ok(Torn { segment: number, file, offset, sequence, bytes })
    }

    /// Torn tail or corruption, when segment `number`, which is loaded, is bad from `from` on.
    fn decide(
        &mut self,
        torn: Torn,
        number: u64,
        from: usize,
        why: String,
    ) -> Result<(), LogError> {
        let next_sequence = self.next_sequence.unwrap_or(1);
        let salt = self.start.salt;
        let scan = |bytes: &[u8], number: u64| {
            greatest_mark(bytes, seed(salt, number), next_sequence).ok_or_else(|| {
                let why = format!("{why}, and what follows is too long to search");
                LogError::Corrupt { torn: torn.clone(), why }
            })
        };
        let mut durable = self.start.after_sequence.max(scan(&self.bytes[from..], number)?);
        for later in number + 1..=self.last {
            durable = durable.max(scan(&self.load_if_there(later)?, later)?);
        }
        if durable >= next_sequence {
            return Err(LogError::Corrupt { torn, why });
        }
        self.end.torn = Some(torn);
        Ok(())
    }

    /// Refuses a gap in the numbers: a segment's name is durable before the next one is made.
    fn check_missing(&self, numbers: &[u64]) -> Result<(), LogError> {
        let expected = self.start.first_segment + numbers.len() as u64 - 1;
        if self.last == expected {
            return Ok(());
        }
        let missing =
            (self.start.first_segment..=self.last).find(|number| !numbers.contains(number));
        let missing = missing.unwrap_or(self.last);
        Err(LogError::Missing { file: self.path(missing), torn: Some(self.torn(missing, 0, 0)?) })
    }

    /// Refuses a log that ends before the snapshot does: it was durable up to there.
    fn check_snapshot(&self) -> Result<(), LogError> {
        let next = self.next_sequence.unwrap_or(1);
        if self.end.torn.is_some() || next > self.start.after_sequence {
            return Ok(());
        }
        let number = self.end.next_segment - 1;
        let torn = self.torn(number, self.end_offset as usize, 0)?;
        let why = format!(
            "the log ends before record {next}, but the snapshot goes up to record {}",
            self.start.after_sequence
        );
        Err(LogError::Corrupt { torn, why })
    }
}
