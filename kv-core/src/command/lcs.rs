//! `LCS`: the longest bytes that two values have in common, in order but with gaps.

use crate::engine::Transaction;
use crate::resp::request::parse_i64;
use crate::resp::{Args, Encoder};
use crate::table::Entry;

use super::{Call, CommandError, Outcome};

#[derive(Debug, Default)]
struct Options {
    /// Only how many bytes.
    len: bool,
    /// Where they lie.
    indexes: bool,
    with_match_len: bool,
    match_len_min: usize,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut words = args.from(3);
        while let Some(word) = words.next() {
            match (word.to_ascii_lowercase().as_slice(), words.len()) {
                (b"idx", _) => options.indexes = true,
                (b"len", _) => options.len = true,
                (b"withmatchlen", _) => options.with_match_len = true,
                (b"minmatchlen", 1..) => {
                    let number = parse_i64(words.next().unwrap_or_default());
                    let number = number.ok_or(CommandError::NotAnInteger)?;
                    options.match_len_min = usize::try_from(number).unwrap_or(0);
                }
                _ => return Err(CommandError::Syntax),
            }
        }
        match options.indexes && options.len {
            true => Err(CommandError::LcsOfBoth),
            false => Ok(options),
        }
    }
}

/// A run of bytes that both values have: where it ends in each, and how long it is.
#[derive(Debug, Clone, Copy)]
struct Match {
    end_a: usize,
    end_b: usize,
    len: usize,
}

impl Match {
    fn write(self, with_len: bool, out: &mut Encoder) {
        out.array(if with_len { 3 } else { 2 });
        for end in [self.end_a, self.end_b] {
            out.array(2);
            out.integer((end - self.len) as i64);
            out.integer((end - 1) as i64);
        }
        if with_len {
            out.integer(self.len as i64);
        }
    }
}

/// The table of dynamic programming: how long the answer is for each pair of beginnings.
struct Lengths<'v> {
    a: &'v [u8],
    b: &'v [u8],
    cells: Vec<u32>,
}

impl<'v> Lengths<'v> {
    /// A table of at most `bytes_max`, which is what Redis allows it too.
    fn new(a: &'v [u8], b: &'v [u8], bytes_max: usize) -> Result<Self, CommandError> {
        let width = b.len() + 1;
        let len = (a.len() + 1) * width;
        if len.saturating_mul(size_of::<u32>()) > bytes_max {
            return Err(CommandError::LcsTooBig);
        }
        let mut cells: Vec<u32> = Vec::new();
        cells.try_reserve_exact(len).map_err(|_| CommandError::LcsTooBig)?;
        cells.resize(len, 0);
        for (row, byte) in a.iter().enumerate() {
            let (above, below) = cells.split_at_mut((row + 1) * width);
            let above = &above[row * width..];
            for (column, other) in b.iter().enumerate() {
                below[column + 1] = match byte == other {
                    true => above[column] + 1,
                    false => above[column + 1].max(below[column]),
                };
            }
        }
        Ok(Self { a, b, cells })
    }

    fn at(&self, len_a: usize, len_b: usize) -> u32 {
        self.cells[len_a * (self.b.len() + 1) + len_b]
    }

    /// Calls `found` with the matches, last first. Where two ways are equally long, Redis' is taken.
    fn for_each_match(&self, mut found: impl FnMut(Match)) {
        let (mut len_a, mut len_b) = (self.a.len(), self.b.len());
        let mut run: Option<Match> = None;
        while len_a > 0 && len_b > 0 {
            if self.a[len_a - 1] == self.b[len_b - 1] {
                let run = run.get_or_insert(Match { end_a: len_a, end_b: len_b, len: 0 });
                run.len += 1;
                len_a -= 1;
                len_b -= 1;
                continue;
            }
            run.take().into_iter().for_each(&mut found);
            match self.at(len_a - 1, len_b) > self.at(len_a, len_b - 1) {
                true => len_a -= 1,
                false => len_b -= 1,
            }
        }
        run.into_iter().for_each(found);
    }
}

pub(super) fn lcs(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    let keys = [1, 2].map(|index| tx.key(call.args.at(index)));
    for key in &keys {
        tx.read(key, |_| ());
    }
    let options = Options::parse(call.args)?;
    let [a, b] = [0, 1].map(|index| tx.peek(&keys[index]).map_or(&[][..], Entry::value));
    let lengths = Lengths::new(a, b, tx.value_bytes_max())?;
    let total = lengths.at(a.len(), b.len());
    if options.indexes {
        out.map(2);
        out.bulk(b"matches");
        out.array_of(|out| {
            let mut matches = 0;
            lengths.for_each_match(|found| {
                if found.len >= options.match_len_min {
                    found.write(options.with_match_len, out);
                    matches += 1;
                }
            });
            matches
        });
        out.bulk(b"len");
        out.integer(total.into());
    } else if options.len {
        out.integer(total.into());
    } else {
        let mut common = Vec::with_capacity(total as usize);
        lengths.for_each_match(|found| {
            common.extend(a[found.end_a - found.len..found.end_a].iter().rev());
        });
        common.reverse();
        out.bulk(&common);
    }
    Ok(())
}
