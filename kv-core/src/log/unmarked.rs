//! What a restart finds that no mark says is durable.
//!
//! After a sync that failed the system may hold pages for clean that never reached the disk: they
//! read well, and the next sync passes them over. So what is not known to be durable is written
//! again, in place, before it is synced.

use std::io;

use super::record::{Header, RECORD_HEADER_BYTES};
use super::scan::mark;
use super::segment::{SEGMENT_HEADER_BYTES, SegmentHeader, segment_name, segment_number};
use crate::storage::{File, Storage};

/// Makes the log that was read durable, so that a mark may say so, and removes the files from
/// `next_segment` on, prepared and not begun.
pub(super) fn settle(storage: &dyn Storage, next_segment: u64) -> io::Result<()> {
    let mut numbers: Vec<u64> =
        storage.list()?.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    // The greatest mark there is: the newest segment has it.
    let mut durable = None;
    let mut is_all_marked = false;
    for &number in numbers.iter().rev() {
        let name = segment_name(number);
        if number >= next_segment {
            storage.remove(&name)?;
            storage.sync_dir()?;
            continue;
        }
        let file = storage.open(&name)?;
        if !is_all_marked {
            is_all_marked = rewrite(&*file, &mut durable)?;
        }
        file.sync_data()?;
    }
    Ok(())
}

/// Writes a segment's records behind `durable` again, and the header where it has no others;
/// answers whether all segments before it are durable.
fn rewrite(file: &dyn File, durable: &mut Option<u64>) -> io::Result<bool> {
    let bytes = file.read_to_end()?;
    let Ok((header, _)) = SegmentHeader::decode(&bytes) else { return Ok(false) };
    let mut records = Vec::new();
    let mut at = SEGMENT_HEADER_BYTES;
    let mut newest_mark = header.durable;
    // They were verified when they were read.
    while let Some(record) = Header::read(&bytes[at..])
        && record.sequence == header.first_sequence + records.len() as u64
    {
        newest_mark =
            newest_mark.max(mark(&bytes[at + RECORD_HEADER_BYTES..at + record.record_bytes]));
        records.push(at);
        at += record.record_bytes;
    }
    let durable = *durable.get_or_insert(newest_mark);
    let marked = (durable + 1).saturating_sub(header.first_sequence) as usize;
    let from = match marked {
        0 => 0,
        _ => records.get(marked).copied().unwrap_or(at),
    };
    file.write_all_at(&bytes[from..at], from as u64)?;
    Ok(durable >= header.first_sequence.saturating_sub(1))
}
