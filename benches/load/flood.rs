//! Floods a real server in a 256 MB memory cgroup with everything at once, while good calls are made.
//!
//! `flood SECONDS OUT.json [RATE]`: loopback only, bounded in time and rate, ends by itself. What must
//! hold: no kill, resident at most 200 MB, 90 % of the good calls set up, no unproven UDP source gets
//! more than three times what it sent, and memory is back within 10 % afterwards.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measurement that cannot go on says so and ends"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "a flood is made in real time, by threads of its own"
)]

mod good;
mod prison;
mod slow;
mod torrents;
mod trust;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prison::Prison;
use serde_json::{Map, Value, json};
use torrents::{Counts, Pace};

const MEMORY_MAX: u64 = 256 << 20;
const RESIDENT_MAX: u64 = 200 << 20;
const SLOW: usize = 10_000;
/// Open at either end.
const FILES: u64 = 12_000;
const UNACKED: u64 = 100_000;
/// How calls come, each over another transport than the one before.
struct Calls {
    per_second: u64,
    each_lasts: Duration,
}

/// Beside the floods.
const GOOD: Calls = Calls {
    per_second: 4,
    each_lasts: Duration::from_secs(1),
};
/// As many at once as the floods may hold, and a few more.
const FULL_HOUSE: Calls = Calls {
    per_second: 200,
    each_lasts: Duration::from_secs(3),
};
/// Messages a second of a day's scanners, over UDP and over TCP each.
const SCANNERS_RATE: f64 = 500.0;
/// After the flood's last packet; some 40 s more have passed by then.
const SETTLED_WITHIN: Duration = Duration::from_secs(120);
const WAYS: [&str; 3] = ["udp", "tcp", "tls"];

fn main() {
    let mut words = std::env::args().skip(1);
    let seconds: u64 = words.next().and_then(|it| it.parse().ok()).unwrap_or(60);
    let out = words.next().unwrap_or_else(|| "flood.json".to_owned());
    let rate: f64 = words
        .next()
        .and_then(|it| it.parse().ok())
        .unwrap_or(10_000.0);
    let seconds = seconds.clamp(5, 3_600);
    lab::server::allow_files(FILES);
    let mut prison = Prison::start(MEMORY_MAX);
    // A busy minute: what a full house makes once and keeps, such as the buffers of its ports, is not
    // left behind by a flood.
    let warm = calls(Duration::from_secs(6), &FULL_HOUSE);
    // So is what any server remembers after its first day on the internet: its lists of the last refusals
    // are of a fixed length, and full.
    scanners(Duration::from_secs(6), SCANNERS_RATE);
    std::thread::sleep(Duration::from_secs(40));
    let before = prison.memory("VmRSS");
    let parts_before = parts(&prison);
    let flooded = flood(&prison, Duration::from_secs(seconds), rate);
    let peak = prison.memory("VmHWM");
    println!("flood over; waiting for what it left to end");
    let (after, settled) = settle(&prison, before);
    let alive = prison.is_alive();
    let good = Good::of(&flooded.calls);
    let amplification = read(&flooded.counts.worst_per_mille) as f64 / 1_000.0;
    let holds = [
        ("no kill", alive && prison.kills() == 0),
        ("resident at most 200 MB", peak <= RESIDENT_MAX),
        ("good calls at least 90 % over each transport", good.hold()),
        ("amplification at most 3", amplification <= 3.0),
        ("memory back within 10 %", after <= before + before / 10),
    ];
    let (counts, slow) = (&flooded.counts, &flooded.slow);
    let report = json!({
        "seconds": seconds,
        "rate_per_transport": rate,
        "load_average": std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim(),
        "cgroup_limit_bytes": MEMORY_MAX,
        "traces_kept_seconds": 30,
        "sent": {
            "udp": read(&counts.udp), "tcp": read(&counts.tcp), "tls": read(&counts.tls),
            "unacknowledged_invites": read(&counts.unacked),
        },
        "slow_connections": {
            "places": SLOW,
            "tried": read(&slow.tried),
            "closed_by_the_server": read(&slow.closed),
            "tls_handshakes_done": read(&slow.secured),
            "most_at_once": read(&slow.most),
            "most_at_once_tls": read(&slow.most_secured),
            "most_at_once_as_the_server_counts": flooded.connections,
        },
        "killed": prison.kills(),
        "alive": alive,
        "resident_peak_bytes": peak,
        "resident_each_ten_seconds": flooded.resident,
        "cgroup_peak_bytes": prison.group_peak(),
        "resident_before_bytes": before,
        "resident_after_bytes": after,
        "resident_parts_before": parts_before,
        "resident_parts_after": parts(&prison),
        "resident_settled_after_seconds": settled.as_secs(),
        "good_calls": good.told(),
        "good_calls_before_the_flood": Good::of(&warm).told(),
        "amplification_worst": amplification,
        "server": interesting(&prison.metrics()),
        "holds": holds.iter().map(|(what, held)| ((*what).to_owned(), json!(held))).collect::<Map<_, _>>(),
    });
    std::fs::write(&out, format!("{report:#}\n")).unwrap();
    println!("{report:#}");
    for (what, held) in holds {
        println!("{} {what}", if held { "ok  " } else { "FAIL" });
    }
    let log = std::fs::read_to_string(prison.folder.join("log")).unwrap_or_default();
    println!("the log has {} lines", log.lines().count());
    let failed = holds.iter().any(|(_, held)| !held);
    drop(prison);
    std::process::exit(i32::from(failed));
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

/// How a good call went, and over which of [`WAYS`].
type Outcome = (usize, Result<Duration, String>);

/// What the flood was, and what was seen while it lasted.
struct Flooded {
    counts: Counts,
    slow: slow::Tally,
    calls: Vec<Outcome>,
    /// The most connections that the server said it had.
    connections: u64,
    /// Its resident memory every ten seconds.
    resident: Vec<u64>,
}

/// All floods at once, and the good calls beside them.
fn flood(prison: &Prison, lasts: Duration, rate: f64) -> Flooded {
    let (counts, slow) = (Counts::default(), slow::Tally::default());
    let stop = Arc::new(AtomicBool::new(false));
    let pace = Pace { stop, rate };
    let (calls, seen) = std::thread::scope(|scope| {
        scope.spawn(|| torrents::udp(&pace, &counts));
        scope.spawn(|| torrents::streams(&pace, &counts, false));
        scope.spawn(|| torrents::streams(&pace, &counts, true));
        scope.spawn(|| slow::run(&pace, &slow, SLOW));
        scope.spawn(|| torrents::unacknowledged(&pace, &counts, UNACKED, lasts.mul_f64(0.95)));
        let watcher = scope.spawn(|| watch::run(&pace, prison));
        // The floods are at full height before the first call.
        std::thread::sleep(Duration::from_secs(2));
        let calls = calls(lasts.saturating_sub(Duration::from_secs(2)), &GOOD);
        pace.stop.store(true, Ordering::Relaxed);
        (calls, watcher.join().unwrap())
    });
    Flooded {
        counts,
        slow,
        calls,
        connections: seen.connections,
        resident: seen.resident,
    }
}

/// A trickle of what floods later, so that whatever remembers it is full.
fn scanners(lasts: Duration, rate: f64) {
    let counts = Counts::default();
    let stop = Arc::new(AtomicBool::new(false));
    let pace = Pace { stop, rate };
    std::thread::scope(|scope| {
        scope.spawn(|| torrents::udp(&pace, &counts));
        scope.spawn(|| torrents::streams(&pace, &counts, false));
        std::thread::sleep(lasts);
        pace.stop.store(true, Ordering::Relaxed);
    });
}

/// Good calls, begun one after the other for that long.
fn calls(lasts: Duration, how: &Calls) -> Vec<Outcome> {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let mut under_way = Vec::new();
        let mut n = 0;
        while begun.elapsed() < lasts {
            let number = n + u64::from(std::process::id()) * 1_000_000 + epoch();
            let way = (n % 3) as usize;
            under_way.push((
                way,
                scope.spawn(move || good::call(way, number, how.each_lasts)),
            ));
            n += 1;
            let due = Duration::from_millis(1_000 * n / how.per_second);
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
        }
        let broke = |_| Err("the caller broke".to_owned());
        let joined = under_way.into_iter();
        joined
            .map(|(way, it)| (way, it.join().unwrap_or_else(broke)))
            .collect()
    })
}

/// Good calls by transport: begun, set up, and how long the slowest hundredth took.
struct Good {
    of: [(usize, Vec<Duration>); 3],
    wrong: Vec<String>,
}

impl Good {
    fn of(outcomes: &[Outcome]) -> Self {
        let mut of: [(usize, Vec<Duration>); 3] = Default::default();
        let mut wrong = Vec::new();
        for (way, outcome) in outcomes {
            of[*way].0 += 1;
            match outcome {
                Ok(took) => of[*way].1.push(*took),
                Err(why) => wrong.push(format!("{}: {why}", WAYS[*way])),
            }
        }
        of.iter_mut().for_each(|(_, took)| took.sort());
        wrong.sort();
        wrong.dedup();
        wrong.truncate(8);
        Self { of, wrong }
    }

    fn hold(&self) -> bool {
        let mut of = self.of.iter();
        of.all(|(begun, took)| *begun > 0 && took.len() * 10 >= begun * 9)
    }

    fn told(&self) -> Value {
        let of_way = |(begun, took): &(usize, Vec<Duration>)| {
            let p99 = took.get(took.len() * 99 / 100).map(Duration::as_millis);
            json!({ "begun": begun, "set_up": took.len(), "set_up_p99_ms": p99 })
        };
        let told = WAYS.iter().zip(&self.of);
        let mut told: Map<_, _> = told
            .map(|(way, it)| ((*way).to_owned(), of_way(it)))
            .collect();
        told.insert("what_went_wrong".to_owned(), json!(self.wrong));
        Value::Object(told)
    }
}

/// Call-IDs of the calls before the flood must not come again.
fn epoch() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |it| it.as_millis() as u64) % (1 << 40)
}

/// What resident memory consists of: the process's own, and pages of its program that it has looked at,
/// which the system takes back whenever it wants them; and what the allocator says of its part.
fn parts(prison: &Prison) -> Value {
    let metrics = prison.metrics();
    let allocator = metrics.lines().filter_map(|line| {
        let (of, bytes) = line
            .strip_prefix("tandem_memory_bytes{of=\"")?
            .split_once("\"} ")?;
        Some((of.to_owned(), json!(bytes.parse::<f64>().ok()?)))
    });
    json!({
        "own": prison.memory("RssAnon"), "of_files": prison.memory("RssFile"),
        "allocator": allocator.collect::<Map<_, _>>(),
    })
}

/// Waits until resident memory is back, at most two minutes: transactions live for 32 s.
fn settle(prison: &Prison, before: u64) -> (u64, Duration) {
    let began = Instant::now();
    loop {
        let (now, waited) = (prison.memory("VmRSS"), began.elapsed());
        if now <= before + before / 10 || waited > SETTLED_WITHIN {
            return (now, waited);
        }
        std::thread::sleep(Duration::from_secs(2));
    }
}

/// What the server itself says of it.
fn interesting(metrics: &str) -> Value {
    const NAMES: [&str; 5] = [
        "tandem_sip_turned_away_total",
        "tandem_sip_transport_total",
        "tandem_sip_transactions",
        "tandem_sip_connections",
        "tandem_calls_active",
    ];
    let lines = metrics
        .lines()
        .filter(|line| NAMES.iter().any(|it| line.starts_with(it)));
    let pairs = lines.filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), json!(value.parse::<f64>().ok()?)))
    });
    Value::Object(pairs.collect())
}
