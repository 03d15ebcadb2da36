//! A command of the user's own, ready to be sent: only the key, the value and its size are filled in.

use kv_core::resp::encode::push_decimal;

use super::{Operation, Owner};
use crate::workload::{AFFIX_BYTES_MAX, Command, Part, Word};

/// Keys are far shorter.
const WORD_BYTES_MAX: usize = 2 * AFFIX_BYTES_MAX;

#[derive(Debug, Clone)]
pub(super) struct Template {
    pieces: Vec<Piece>,
    /// What stands around the key in the word that places it.
    affixes: Option<(Vec<u8>, Vec<u8>)>,
}

#[derive(Debug, Clone)]
enum Piece {
    Bytes(Vec<u8>),
    Key,
    Value,
    /// Of a word with so many values and so many bytes beside them.
    Size {
        values: usize,
        bytes: usize,
    },
}

impl Template {
    /// Of keys of `key_size` bytes.
    pub(super) fn new(command: &Command, key_size: usize) -> Self {
        let mut pieces = vec![Piece::Bytes(format!("*{}\r\n", command.words.len()).into_bytes())];
        for word in &command.words {
            push(&mut pieces, b"$");
            push_size(&mut pieces, word, key_size);
            push(&mut pieces, b"\r\n");
            for part in word {
                match part {
                    Part::Text(text) => push(&mut pieces, text),
                    Part::Key => pieces.push(Piece::Key),
                    Part::Value => pieces.push(Piece::Value),
                }
            }
            push(&mut pieces, b"\r\n");
        }
        Self { pieces, affixes: command.key_word().and_then(affixes) }
    }

    #[inline]
    pub(super) fn encode(&self, operation: Operation<'_>, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Bytes(bytes) => out.extend_from_slice(bytes),
                Piece::Key => out.extend_from_slice(operation.key),
                Piece::Value => out.extend_from_slice(operation.value),
                Piece::Size { values, bytes } => {
                    push_decimal(out, (values * operation.value.len() + bytes) as u64);
                }
            }
        }
    }

    /// Where the word with the key belongs.
    pub(super) fn place(&self, key: &[u8], owner: &Owner) -> usize {
        let Some((before, behind)) = &self.affixes else { return owner(key) };
        let mut word = [0; WORD_BYTES_MAX];
        let mut end = 0;
        for part in [before, key, behind] {
            let Some(place) = word.get_mut(end..end + part.len()) else { return owner(key) };
            place.copy_from_slice(part);
            end += part.len();
        }
        owner(&word[..end])
    }
}

/// Adds bytes to the last piece, if that is such.
fn push(pieces: &mut Vec<Piece>, more: &[u8]) {
    if let Some(Piece::Bytes(bytes)) = pieces.last_mut() {
        bytes.extend_from_slice(more);
    } else {
        pieces.push(Piece::Bytes(more.to_vec()));
    }
}

fn push_size(pieces: &mut Vec<Piece>, word: &Word, key_size: usize) {
    let (mut values, mut bytes) = (0, 0);
    for part in word {
        match part {
            Part::Text(text) => bytes += text.len(),
            Part::Key => bytes += key_size,
            Part::Value => values += 1,
        }
    }
    if values == 0 {
        push(pieces, bytes.to_string().as_bytes());
    } else {
        pieces.push(Piece::Size { values, bytes });
    }
}

/// What stands around the key in `word`, if anything does; it has no other place.
fn affixes(word: &Word) -> Option<(Vec<u8>, Vec<u8>)> {
    let at = word.iter().position(|part| *part == Part::Key)?;
    let text = |parts: &[Part]| {
        let text = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Key | Part::Value => Vec::new(),
        };
        parts.iter().flat_map(text).collect::<Vec<u8>>()
    };
    let (before, behind) = (text(&word[..at]), text(&word[at + 1..]));
    (!before.is_empty() || !behind.is_empty()).then_some((before, behind))
}
