//! One typed line as a command.

use super::request::{Decoded, RequestDecoder, RequestLimits};

/// Splits a line into arguments by redis-cli's rules, which are those of the server's inline
/// requests: blanks separate, `"…"` knows `\n`, `\"`, `\xHH` and the like, `'…'` takes all as it is.
/// Empty for a blank line.
///
/// # Errors
/// What is wrong with it, in one line.
pub fn split_line(line: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    const UNBALANCED: &str = "unbalanced quotes: close the quote, with a blank behind it";
    if line.contains(&0) {
        return Err("a zero byte: write it as \"\\x00\"");
    }
    // The blank in front keeps a '*' from opening a multibulk request.
    let text = [b" ", line, b"\n"].concat();
    let limits = RequestLimits { line_bytes_max: usize::MAX, ..RequestLimits::DEFAULT };
    let mut decoder = RequestDecoder::new(limits);
    match decoder.decode(&text) {
        Ok(Decoded::Request { args, .. }) => Ok(args.from(0).map(<[u8]>::to_vec).collect()),
        Ok(Decoded::More { .. }) | Err(_) => Err(UNBALANCED),
    }
}
