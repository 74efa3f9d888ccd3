//! An open loop on an absolute schedule: every turn has one moment, whatever became of those before.
//!
//! Who waits sleeps by the clock and never on a socket: on loopback the sender's system call wakes who
//! sleeps on one, and pays for it.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How a schedule was kept.
#[derive(Default)]
pub struct Pace {
    /// How late turns came, µs.
    pub late_us: Vec<u32>,
    /// Of a processor, what they took.
    pub busy: f64,
}

/// For so long gives each of `count` a turn every 20 ms, spread evenly: `turn` is told its number, from
/// 0 on and ever on, and the time.
pub fn pace(count: usize, lasts: Duration, mut turn: impl FnMut(u64, u64)) -> Pace {
    let count = count as u64;
    let turns = lasts.as_millis() as u64 / 20 * count;
    let mut kept = Pace::default();
    let used = thread_time();
    let start = nanos_now() + LEAD_NS;
    let mut at = 0;
    while at < turns {
        let now = nanos_now();
        let due = start + at * FRAME_NS / count;
        if due > now {
            std::thread::sleep(Duration::from_nanos(due - now).max(TOGETHER));
            continue;
        }
        turn(at, now);
        if kept.late_us.len() < SAMPLES_MAX {
            kept.late_us.push(((now - due) / 1_000) as u32);
        }
        at += 1;
    }
    let passed = nanos_now() - start;
    kept.busy = (thread_time() - used) as f64 / passed.max(1) as f64;
    kept
}

/// The time that the system stamps packets by, ns.
pub fn nanos_now() -> u64 {
    nanos(ClockId::Realtime)
}

/// What this thread has had of a processor, ns.
pub fn thread_time() -> u64 {
    nanos(ClockId::ThreadCPUTime)
}

fn nanos(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Times kept of a run.
pub const SAMPLES_MAX: usize = 8_000_000;
/// A packet's length in time.
const FRAME_NS: u64 = 20_000_000;
/// A little later, so that the first is not late.
const LEAD_NS: u64 = 5_000_000;
/// What so long brings is sent together.
const TOGETHER: Duration = Duration::from_micros(100);
