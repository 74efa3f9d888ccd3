//! Floods a real server in a 256 MB memory cgroup with everything at once, while good calls are made.
//!
//! `flood SECONDS OUT.json [RATE]`: loopback only, bounded in time and rate, ends by itself. What must
//! hold: no kill, resident at most 200 MB, 90 % of the good calls set up, no unproven UDP source gets
//! more than three times what it sent, and memory is back within 10 % afterwards.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]
#![expect(
    clippy::disallowed_methods,
    reason = "a flood is made in real time, by threads of its own"
)]

mod good;
mod prison;
mod torrents;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use prison::Prison;
use serde_json::{Value, json};
use torrents::{Counts, Pace};

const MEMORY_MAX: u64 = 256 << 20;
const SLOW: usize = 10_000;
const UNACKED: u64 = 100_000;
/// Good calls begun a second, each over another transport than the one before.
const GOOD_PER_SECOND: u64 = 4;

fn main() {
    let mut words = std::env::args().skip(1);
    let seconds: u64 = words.next().and_then(|it| it.parse().ok()).unwrap_or(60);
    let out = words.next().unwrap_or_else(|| "flood.json".to_owned());
    let rate: f64 = words
        .next()
        .and_then(|it| it.parse().ok())
        .unwrap_or(10_000.0);
    let seconds = seconds.clamp(5, 3_600);
    let mut prison = Prison::start(MEMORY_MAX);
    // What the first calls of a server make once and keep does not count as left behind.
    let warm = calls(Duration::from_secs(6));
    std::thread::sleep(Duration::from_secs(3));
    let before = prison.memory("VmRSS");
    let (counts, result) = flood(Duration::from_secs(seconds), rate);
    let during = prison.memory("VmHWM");
    println!("flood over; waiting for what it left to end");
    let after = settle(&prison, before);
    let alive = prison.is_alive();
    let read = |it: &std::sync::atomic::AtomicU64| it.load(Ordering::Relaxed);
    let (made, set_up) = (result.len(), result.iter().filter(|it| it.is_ok()).count());
    let mut took: Vec<Duration> = result.iter().filter_map(|it| it.clone().ok()).collect();
    took.sort();
    let p99 = took.get(took.len() * 99 / 100).map(Duration::as_millis);
    let mut wrong: Vec<&String> = result.iter().filter_map(|it| it.as_ref().err()).collect();
    wrong.sort();
    wrong.dedup();
    let amplification = read(&counts.worst_per_mille) as f64 / 1_000.0;
    let report = json!({
        "seconds": seconds,
        "rate_per_transport": rate,
        "load_average": std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim(),
        "cgroup_limit_bytes": MEMORY_MAX,
        "sent": {
            "udp": read(&counts.udp), "tcp": read(&counts.tcp), "tls": read(&counts.tls),
            "unacknowledged_invites": read(&counts.unacked),
            "slow_connections_opened": read(&counts.slow_opened),
            "slow_connections_at_once": read(&counts.slow_most),
        },
        "killed": prison.kills(),
        "alive": alive,
        "resident_peak_bytes": during,
        "cgroup_peak_bytes": prison.group_peak(),
        "resident_before_bytes": before,
        "resident_after_bytes": after,
        "good_calls": made,
        "good_calls_set_up": set_up,
        "good_calls_before_the_flood": [warm.len(), warm.iter().filter(|it| it.is_ok()).count()],
        "good_set_up_p99_ms": p99,
        "what_went_wrong": wrong.iter().take(8).collect::<Vec<_>>(),
        "amplification_worst": amplification,
        "server": interesting(&prison.metrics()),
    });
    std::fs::write(&out, format!("{report:#}\n")).unwrap();
    println!("{report:#}");
    let holds = [
        ("no kill", alive && prison.kills() == 0),
        ("resident at most 200 MB", during <= 200 << 20),
        (
            "good calls at least 90 %",
            set_up * 10 >= made * 9 && made > 0,
        ),
        ("amplification at most 3", amplification <= 3.0),
        ("memory back within 10 %", after <= before + before / 10),
    ];
    for (what, held) in holds {
        println!("{} {what}", if held { "ok  " } else { "FAIL" });
    }
    let log = std::fs::read_to_string(prison.folder.join("log")).unwrap_or_default();
    println!("the log has {} lines", log.lines().count());
    let failed = holds.iter().any(|(_, held)| !held);
    drop(prison);
    std::process::exit(i32::from(failed));
}

/// All floods at once, and the good calls beside them.
fn flood(lasts: Duration, rate: f64) -> (Arc<Counts>, Vec<Result<Duration, String>>) {
    let counts = Arc::new(Counts::default());
    let stop = Arc::new(AtomicBool::new(false));
    let pace = Pace { stop, rate };
    let results = std::thread::scope(|scope| {
        scope.spawn(|| torrents::udp(&pace, &counts));
        scope.spawn(|| torrents::streams(&pace, &counts, false));
        scope.spawn(|| torrents::streams(&pace, &counts, true));
        scope.spawn(|| torrents::slow(&pace, &counts, SLOW));
        scope.spawn(|| torrents::unacknowledged(&pace, &counts, UNACKED, lasts.mul_f64(0.95)));
        // The floods are at full height before the first call.
        std::thread::sleep(Duration::from_secs(2));
        let results = calls(lasts.saturating_sub(Duration::from_secs(2)));
        pace.stop.store(true, Ordering::Relaxed);
        results
    });
    (counts, results)
}

/// Good calls, begun one after the other for that long.
fn calls(lasts: Duration) -> Vec<Result<Duration, String>> {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let mut under_way = Vec::new();
        let mut n = 0;
        while begun.elapsed() < lasts {
            let number = n + u64::from(std::process::id()) * 1_000_000 + epoch();
            under_way.push(scope.spawn(move || good::call(n % 3, number)));
            n += 1;
            let due = Duration::from_millis(1_000 * n / GOOD_PER_SECOND);
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
        }
        let joined = under_way.into_iter().map(|it| it.join());
        joined
            .map(|it| it.unwrap_or_else(|_| Err("the caller broke".to_owned())))
            .collect()
    })
}

/// Call-IDs of the calls before the flood must not come again.
fn epoch() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |it| it.as_millis() as u64) % (1 << 40)
}

/// Waits until resident memory is back, at most two minutes: transactions live for 32 s.
fn settle(prison: &Prison, before: u64) -> u64 {
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        let now = prison.memory("VmRSS");
        if now <= before + before / 10 || Instant::now() > until {
            return now;
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
