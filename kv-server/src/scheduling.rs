//! How connection threads are scheduled.

/// Puts the calling thread into the class `SCHED_BATCH`: it gets its share of the processor as
/// before, but waking up does not push others aside. A server of many threads then answers a
/// client's whole burst before the client runs again, which saves a switch for each request.
///
/// Refusal (a seccomp filter, another kernel) costs speed alone and is ignored.
pub(crate) fn batch() {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: pid 0 names the calling thread, and the parameters outlive the call that reads them.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameters) };
}
