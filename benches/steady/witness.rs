//! What the machine itself did: a thread a core, above all others, that sleeps a millisecond and sees how late it wakes.
//!
//! When it is late too, nobody ran on that core: a hypervisor had taken the processor, or the kernel was busy with
//! itself. A media thread cannot be on time then, whatever it is made of.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::Relaxed};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use clock::Now;
use rustix::event::Timespec;
use rustix::thread::{ClockId, clock_nanosleep_absolute};

/// A time in which a core ran nobody.
#[derive(Clone, Copy)]
pub(crate) struct Stall {
    pub(crate) core: usize,
    pub(crate) from: Now,
    pub(crate) until: Now,
}

impl Stall {
    pub(crate) fn length(&self) -> Duration {
        self.until.since(self.from)
    }
}

/// One watcher a core; `join` tells what they saw.
pub(crate) struct Witness {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Stall>>>,
    /// In hundredths of a second, of all cores, when the watch began.
    stolen: u64,
}

impl Witness {
    pub(crate) fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = (0..cores).map(|core| watch(core, stop.clone())).collect();
        Self {
            stop,
            threads,
            stolen: stolen(),
        }
    }

    /// The stalls of all cores by their time, and how long the hypervisor says that it took the cores away, in all.
    pub(crate) fn join(self) -> (Vec<Stall>, Duration) {
        self.stop.store(true, Relaxed);
        let seen = self.threads.into_iter().map(|it| it.join().unwrap());
        let mut stalls: Vec<Stall> = seen.flatten().collect();
        stalls.sort_by_key(|it| it.from);
        (stalls, Duration::from_millis(10 * (stolen() - self.stolen)))
    }
}

fn watch(core: usize, stop: Arc<AtomicBool>) -> JoinHandle<Vec<Stall>> {
    let id = Arc::new(AtomicI32::new(0));
    let own = id.clone();
    let look = move || {
        own.store(super::own_id(), Relaxed);
        let mut stalls = Vec::with_capacity(STALLS_MAX);
        let mut due = super::now();
        while !stop.load(Relaxed) {
            due += PERIOD;
            sleep_until(due);
            let woke = super::now();
            if woke.since(due) >= STALL_MIN && stalls.len() < STALLS_MAX {
                stalls.push(Stall {
                    core,
                    from: due,
                    until: woke,
                });
            }
            due = due.max(woke);
        }
        stalls
    };
    let thread = Builder::new().name(format!("witness-{core}")).spawn(look);
    while id.load(Relaxed) == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    super::place(id.load(Relaxed), core, "99");
    thread.unwrap()
}

fn sleep_until(due: Now) {
    let at = Timespec {
        tv_sec: (due.as_nanos() / 1_000_000_000) as i64,
        tv_nsec: (due.as_nanos() % 1_000_000_000) as i64,
    };
    let _ = clock_nanosleep_absolute(ClockId::Monotonic, &at);
}

/// The eighth number of the first line: "steal" (proc_stat(5)).
fn stolen() -> u64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let all = stat.lines().next().unwrap_or_default();
    all.split_whitespace()
        .nth(8)
        .and_then(|it| it.parse().ok())
        .unwrap_or(0)
}

const PERIOD: Duration = Duration::from_millis(1);
/// Late by less is what a kernel is.
const STALL_MIN: Duration = Duration::from_millis(2);
/// More than a minute's worth of the worst machine.
const STALLS_MAX: usize = 10_000;
