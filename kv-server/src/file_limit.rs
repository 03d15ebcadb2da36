//! The limit on the size of files (`ulimit -f`), which kills who writes beyond it and says nothing.

use std::sync::Arc;

use signal_hook::consts::SIGXFSZ;
use signal_hook::flag;

/// Lets a write beyond the limit fail with `EFBIG`, for the whole process: a server then refuses
/// what it cannot keep, a client says what it could not print, and a load tester what it could not
/// write. For programs' first line.
pub fn survive_file_limit() {
    // Caught rather than ignored: what a program ignores, those that it starts ignore too. The flag is
    // nobody's. Where this fails the signal stays what it is.
    let _ = flag::register(SIGXFSZ, Arc::default());
}
