//! Damage to files.

use super::tape::Tape;

/// At most so many: 24 changed bits of a file no longer than these are found by CRC-32C but for one
/// chance in four billion.
const EDITS_MAX: u8 = 4;

/// Some damage, as the tape says; none at all where it says nothing.
pub(crate) struct Edits(Vec<Edit>);

struct Edit {
    file: usize,
    at: usize,
    /// Bits to change; none: the file ends here.
    bits: u8,
}

impl Edits {
    pub(crate) fn take(tape: &mut Tape<'_>) -> Self {
        let count = tape.byte() % EDITS_MAX;
        let edit = |_| Edit { file: tape.byte().into(), at: tape.number(), bits: tape.byte() };
        Self((0..count).map(edit).collect())
    }

    pub(crate) fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn apply(&self, files: &mut [Vec<u8>]) {
        for edit in &self.0 {
            let Some(count) = files.len().checked_sub(1) else { return };
            let file = &mut files[edit.file % (count + 1)];
            if file.is_empty() {
                continue;
            }
            let at = edit.at % file.len();
            match edit.bits {
                0 => file.truncate(at),
                bits => file[at] ^= bits,
            }
        }
    }
}
