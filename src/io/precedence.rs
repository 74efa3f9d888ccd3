//! Which threads go before which, where that is permitted.
//!
//! Media threads are real-time (`io::media`). The control thread is not: one that is behind never
//! sleeps, and would let nobody else have its processor. It is of normal class and goes before the
//! edge, whose work can wait: without that, each of the edge's threads has a turn of some milliseconds
//! between two of control's, and that long an INVITE waits to be refused.

/// Lets the calling thread go before those of normal priority; whether that is permitted
/// (`CAP_SYS_NICE`).
pub fn go_before_the_edge() -> bool {
    let own = rustix::thread::gettid();
    rustix::process::setpriority_process(Some(own), NICE).is_ok()
}

/// Some nine times the weight of a normal thread: the edge, when it has work all the time, keeps a
/// tenth of the processor for each of its threads.
const NICE: i32 = -10;
