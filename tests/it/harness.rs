//! Running seeds: how many, on how many threads, and what they came to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sim::{Depth, Report, Stage, Swarm, World};

/// How many seeds `make sim` asks for; `usual` in an ordinary `cargo test`.
pub(crate) fn seeds(usual: u64) -> u64 {
    let asked = std::env::var("TANDEM_SIM_SEEDS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// The first seed of all: another night, other worlds.
pub(crate) fn first_seed() -> u64 {
    let asked = std::env::var("TANDEM_SIM_FIRST").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// The world of a seed, run to its end.
pub(crate) fn run(stage: &Stage, seed: u64, depth: Depth) -> Report {
    let shown = std::env::var("TANDEM_SIM_STORY").ok();
    let shown = shown.and_then(|text| text.parse().ok()).unwrap_or(50);
    World::new(stage, Swarm::draw(seed, depth))
        .showing(shown)
        .run()
}

/// What many worlds came to.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    pub(crate) worlds: u64,
    pub(crate) calls: usize,
    pub(crate) bridged: usize,
    pub(crate) lasted: Duration,
    pub(crate) outputs: u64,
    pub(crate) broken: Vec<Report>,
}

impl Sum {
    fn take(&mut self, report: Report) {
        self.worlds += 1;
        self.calls += report.calls;
        self.bridged += report.bridged;
        self.lasted += report.lasted;
        self.outputs += report.outputs;
        if !report.violations.is_empty() {
            self.broken.push(report);
        }
    }

    fn join(&mut self, other: Self) {
        self.worlds += other.worlds;
        self.calls += other.calls;
        self.bridged += other.bridged;
        self.lasted += other.lasted;
        self.outputs += other.outputs;
        self.broken.extend(other.broken);
    }
}

/// Runs seed after seed until `enough`, on every processor.
pub(crate) fn worlds(depth: Depth, enough: impl Fn(u64, Duration) -> bool + Sync) -> Sum {
    let (next, lasted_ms) = (AtomicU64::new(first_seed()), AtomicU64::new(0));
    let broken = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let stage = Stage::new().unwrap();
        let mut sum = Sum::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let lasted = Duration::from_millis(lasted_ms.load(Ordering::Relaxed));
            let many = broken.load(Ordering::Relaxed) >= 20;
            if many || enough(seed - first_seed(), lasted) {
                return sum;
            }
            let report = run(&stage, seed, depth);
            let ms = u64::try_from(report.lasted.as_millis()).unwrap();
            lasted_ms.fetch_add(ms, Ordering::Relaxed);
            broken.fetch_add(u64::from(!report.violations.is_empty()), Ordering::Relaxed);
            sum.take(report);
        }
    };
    let before = cpu_seconds();
    let mut all = Sum::default();
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for thread in running {
            all.join(thread.join().unwrap());
        }
    });
    all.broken.sort_by_key(|report| report.seed);
    let cpu = cpu_seconds() - before;
    let lasted = all.lasted.as_secs_f64();
    println!(
        "{depth:?}: {} worlds, {} calls, {} bridged, {lasted:.0} call-seconds, {} outputs, \
         {} broken; {cpu:.1} s of CPU, {:.0} call-seconds a CPU-second",
        all.worlds,
        all.calls,
        all.bridged,
        all.outputs,
        all.broken.len(),
        lasted / cpu.max(0.001),
    );
    all
}

/// Fails with the first broken worlds, each with its story.
pub(crate) fn assert_whole(sum: &Sum) {
    let kinds: Vec<String> = sum
        .broken
        .iter()
        .map(|it| format!("seed {}: {}", it.seed, it.violations[0].what))
        .collect();
    let story = sum.broken.first().map(ToString::to_string);
    assert!(
        sum.broken.is_empty(),
        "{} of {} worlds broke a law:\n{}\n\nthe first:\n{}",
        sum.broken.len(),
        sum.worlds,
        kinds.join("\n"),
        story.unwrap_or_default()
    );
}

/// User and system time of this process so far.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after.split_whitespace().skip(11).take(2);
    ticks.filter_map(|it| it.parse::<f64>().ok()).sum::<f64>() / 100.0
}
