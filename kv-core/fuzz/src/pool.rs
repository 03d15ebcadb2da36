//! Who does the work of a recovery while it is fuzzed.

use rayon::ThreadPoolBuilder;

/// Has the calling thread do it: handing so little work to others takes longer than doing it.
pub(crate) fn on_this_thread() {
    let pool = ThreadPoolBuilder::new().num_threads(1).use_current_thread();
    pool.build_global().expect("the first pool");
}
