//! A fingerprint of what a run asks for: the same seed and flags make the same, whatever was measured.

use std::fmt::Write as _;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::driver::{Shape, Until, part};
use crate::schedule::{Arrivals, End, Schedule};
use crate::workload::{Kind, Workload};

/// Operations that it is made of, over all sequences; at least one of each.
const OPERATIONS: u64 = 65_536;
/// As much of a value as it looks at, beside its length.
const VALUE_BYTES: usize = 64;

/// 64 bits in hex, over the beginning of each sequence of operations (each client's of a closed loop,
/// each worker's of an open one): kinds, keys, values, and when they are due; also how long what is put
/// lives, and whether misses are filled. It draws them anew, and is to be called while nothing is
/// measured.
///
/// It is of what is drawn. Which key an insert takes, and which is the latest, depends on replies, and
/// so does what is filled.
pub fn operations_digest(
    workload: &Workload,
    schedule: &Schedule,
    until: Until,
    shape: Shape,
    ttl: Option<Duration>,
) -> String {
    let streams = shape.streams(schedule);
    if let Schedule::Trace(replay) = schedule {
        return replay.digest(streams);
    }
    let mut hash = Sha256::new();
    if let Some(ttl) = ttl {
        hash.update(b"ttl");
        hash.update(ttl.as_nanos().to_le_bytes());
    }
    if workload.mix.fills() {
        hash.update(b"fills");
    }
    let mut key = workload.keys.buffer();
    for stream in 0..streams {
        let (first, operations) = part(workload, until, stream, streams);
        let mut arrivals = match schedule {
            Schedule::Open(plan) => {
                let end = End::new(plan, until, stream, streams);
                Some(Arrivals::new(plan, stream, streams, end))
            }
            Schedule::Closed { .. } | Schedule::Trace(_) => None,
        };
        let mut sequence = workload.stream(stream, first);
        for _ in 0..operations.min((OPERATIONS / streams).max(1)) {
            if let Some(arrivals) = &mut arrivals {
                let Some(due_ns) = arrivals.head() else { break };
                arrivals.take();
                hash.update(due_ns.to_le_bytes());
            }
            let (kind, value) = workload.next(&mut sequence, &mut key);
            hash.update([kind.index() as u8]);
            if let Kind::Command(index) = kind {
                hash.update(workload.mix.commands()[usize::from(index)].text.as_bytes());
            }
            hash.update(key.bytes());
            hash.update((value.len() as u64).to_le_bytes());
            hash.update(&value[..value.len().min(VALUE_BYTES)]);
        }
    }
    hex(&hash.finalize()[..8])
}

/// Two digits for each byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
