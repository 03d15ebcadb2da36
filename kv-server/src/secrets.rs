//! Which arguments no log may show.

use kv_core::resp::Args;

/// Whether an argument is a password, or the name that goes with it.
pub(crate) fn is_secret(args: &Args<'_>, index: usize) -> bool {
    let command = |name: &[u8]| args[0].eq_ignore_ascii_case(name);
    let follows = |word: &[u8], distance: usize| {
        index > distance && args[index - distance].eq_ignore_ascii_case(word)
    };
    (command(b"auth") && index > 0)
        || (command(b"hello") && (follows(b"auth", 1) || follows(b"auth", 2)))
        || (command(b"config") && follows(b"requirepass", 1))
}
