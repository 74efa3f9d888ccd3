//! Relay: what a call costs each server, what it adds to a packet's way, and how many a core carries.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::time::Duration;

use lab::args::{Args, object};
use lab::figures::{load, median, percentile};
use lab::talk::{Heard, Talk};
use serde_json::{Value, json};

use crate::peers::{self, Peer};

/// One server's figures at so many calls.
pub(crate) struct Point {
    calls: usize,
    /// Processor time over the calls carried, ms a call-second.
    cost: f64,
    /// Of a core, what the server used.
    cores: f64,
    heard: Heard,
    resident: u64,
    load: String,
}

impl Point {
    fn took_us(&self, percent: f64) -> f64 {
        f64::from(percentile(&self.heard.took_ns, percent)) / 1e3
    }

    fn loss(&self) -> f64 {
        self.heard.lost as f64 / self.heard.sent.max(1) as f64
    }

    fn late_us(&self) -> u32 {
        percentile(&self.heard.late_us, 99.0)
    }

    /// Whether it says something of the server: the talkers were punctual.
    fn is_fair(&self) -> bool {
        self.late_us() <= LATE_MAX_US
    }

    /// Whether so many calls are carried.
    fn passes(&self) -> bool {
        self.loss() < 0.001 && self.took_us(99.0) < TOOK_MAX_US
    }

    fn json(&self) -> Value {
        json!({
            "calls": self.calls, "cpu_ms_a_call_second": self.cost, "cores": self.cores,
            "added_p50_us": self.took_us(50.0), "added_p99_us": self.took_us(99.0),
            "added_max_us": self.took_us(100.0), "sent": self.heard.sent, "lost": self.heard.lost,
            "foreign": self.heard.foreign, "gap_max_ms": self.heard.gap_ns as f64 / 1e6,
            "resident": self.resident, "talkers_late_p99_us": self.late_us(),
            "talkers_busy": self.heard.busy, "load": self.load,
        })
    }

    fn say(&self, name: &str) {
        println!(
            "{name:10} {:5} calls: {:.3} ms a call-second, {:.2} of a core; added p50 {:.0} us p99 {:.0} us \
             max {:.0} us; lost {} of {}; largest gap {:.1} ms; resident {:.1} MB; talkers late p99 {} us, \
             busy {:.2}{}; load {}",
            self.calls,
            self.cost,
            self.cores,
            self.took_us(50.0),
            self.took_us(99.0),
            self.took_us(100.0),
            self.heard.lost,
            self.heard.sent,
            self.heard.gap_ns as f64 / 1e6,
            self.resident as f64 / 1e6,
            self.late_us(),
            self.heard.busy,
            if self.is_fair() { "" } else { " (refused)" },
            self.load,
        );
    }
}

/// Begins calls until there are `count`.
pub(crate) fn grow(peer: &mut dyn Peer, talk: &mut Talk, count: usize) -> Result<(), String> {
    while talk.calls() < count {
        let n = talk.calls() as u32;
        let ends = peers::ends(n);
        let sockets = ends.map(|end| UdpSocket::bind(end).unwrap());
        let to = peer.call(n, ends)?;
        let [a, b] = sockets;
        talk.join([(a, to[0]), (b, to[1])]);
    }
    Ok(())
}

/// The figures at the calls there are.
fn measure(peer: &dyn Peer, talk: &mut Talk, lasts: Duration) -> Point {
    talk.run(WARM);
    let before = peer.server().cpu();
    let heard = talk.run(lasts);
    let cpu = peer.server().cpu() - before;
    let seconds = lasts.as_secs_f64();
    Point {
        calls: talk.calls(),
        cost: cpu.as_secs_f64() * 1e3 / (talk.calls() as f64 * seconds),
        cores: cpu.as_secs_f64() / seconds,
        resident: peer.server().resident(),
        load: load(),
        heard,
    }
}

pub(crate) fn names(args: &Args) -> Vec<String> {
    match args.text("peers") {
        Some(names) => names.split(',').map(str::to_owned).collect(),
        None => peers::ALL.map(str::to_owned).to_vec(),
    }
}

/// What a leg of so many calls costs a server, in ms a second; `None` if it is not there or the talkers were
/// late.
pub(crate) fn alone(name: &str, calls: usize, lasts: Duration) -> Option<f64> {
    let mut peer = peers::start(name, calls as u32).ok()?;
    let mut talk = Talk::default();
    grow(peer.as_mut(), &mut talk, calls).ok()?;
    let point = measure(peer.as_ref(), &mut talk, lasts);
    point.say(name);
    point.is_fair().then_some(point.cost / 2.0)
}

/// The same calls through each server in turn, as often as `repeat` says.
pub(crate) fn cost(args: &Args) {
    let calls = args.number("calls", 300.0) as usize;
    let lasts = Duration::from_secs_f64(args.number("seconds", 8.0));
    let before = load();
    let mut points: BTreeMap<String, Vec<Point>> = BTreeMap::new();
    for _ in 0..args.number("repeat", 3.0) as usize {
        for name in names(args) {
            let measured = peers::start(&name, calls as u32).and_then(|mut peer| {
                let mut talk = Talk::default();
                let empty = peer.server().resident();
                grow(peer.as_mut(), &mut talk, calls)?;
                let point = measure(peer.as_ref(), &mut talk, lasts);
                let full = peer.server().resident();
                println!(
                    "{name:10} {:.1} kB a call",
                    (full as f64 - empty as f64) / calls as f64 / 1e3
                );
                talk.clear();
                peer.end();
                Ok(point)
            });
            match measured {
                Ok(point) => {
                    point.say(&name);
                    points.entry(name).or_default().push(point);
                }
                Err(why) => println!("{name:10} left out: {why}"),
            }
        }
    }
    let mid = |name: &str, value: fn(&Point) -> f64| {
        let fair = points.get(name)?.iter().filter(|point| point.is_fair());
        let values: Vec<f64> = fair.map(value).collect();
        (!values.is_empty()).then(|| median(&values))
    };
    let of = |name: &str| Some(mid("tandem", |it| it.cost)? / mid(name, |it| it.cost)?);
    let (of_bare, of_rtpengine) = (of("bare"), of("rtpengine"));
    println!(
        "tandem / bare loop {of_bare:.2?} (goal 1.2), tandem / rtpengine {of_rtpengine:.2?} (goal 0.7)"
    );
    let each: BTreeMap<&String, Vec<Value>> = points
        .iter()
        .map(|(name, points)| (name, points.iter().map(Point::json).collect()))
        .collect();
    args.report(
        "relay",
        object(json!({
            "calls": calls, "seconds": lasts.as_secs_f64(), "points": each,
            "of_bare": of_bare, "of_rtpengine": of_rtpengine, "load_before": before,
        })),
    );
}

/// Raises the calls until a server loses packets or is late, then looks at half and nine tenths of that.
pub(crate) fn capacity(args: &Args) {
    let step = args.number("step", 100.0) as usize;
    let lasts = Duration::from_secs_f64(args.number("seconds", 4.0));
    let most = args.number("calls", 3_200.0) as usize;
    let before = load();
    let mut found = BTreeMap::new();
    for name in names(args) {
        let mut points = Vec::new();
        let mut whole: Option<(usize, f64)> = None;
        let searched = peers::start(&name, most as u32).and_then(|mut peer| {
            let mut talk = Talk::default();
            let mut count = args.number("from", 600.0) as usize;
            let mut carried = 0;
            while count <= most {
                grow(peer.as_mut(), &mut talk, count)?;
                let point = measure(peer.as_ref(), &mut talk, lasts);
                point.say(&name);
                let (passes, is_fair) = (point.passes(), point.is_fair());
                if passes && is_fair && point.heard.lost == 0 {
                    whole = Some((count, point.cores));
                }
                points.push(point.json());
                if !is_fair {
                    println!("{name:10} at {count} calls the talkers are the limit");
                }
                if !passes || !is_fair {
                    break;
                }
                carried = count;
                count += step;
            }
            Ok(carried)
        });
        let carried = match searched {
            Ok(carried) => carried,
            Err(why) => {
                println!("{name:10} left out: {why}");
                continue;
            }
        };
        if let Some((calls, cores)) = whole {
            println!("{name:10} {calls} calls without a packet lost, {cores:.2} of a core");
        }
        let mut beside = Vec::new();
        for share in [0.5, 0.9] {
            let calls = (carried as f64 * share) as usize;
            let Ok(mut peer) = peers::start(&name, calls as u32) else {
                continue;
            };
            let mut talk = Talk::default();
            if grow(peer.as_mut(), &mut talk, calls).is_ok() && calls > 0 {
                let point = measure(peer.as_ref(), &mut talk, 2 * lasts);
                point.say(&name);
                beside.push(point.json());
            }
        }
        found.insert(
            name,
            json!({
                "calls": carried, "calls_without_loss": whole.map(|it| it.0),
                "cores_without_loss": whole.map(|it| it.1), "points": points,
                "half_and_nine_tenths": beside,
            }),
        );
    }
    let (seconds, result) = (lasts.as_secs_f64(), json!(found));
    args.report(
        "relay_capacity",
        object(json!({ "seconds": seconds, "peers": result, "load_before": before })),
    );
}

/// Packets find their ways, ports latch.
const WARM: Duration = Duration::from_secs(2);
/// The talkers' own lateness beyond which a point is refused.
const LATE_MAX_US: u32 = 2_000;
/// A packet that was under way for longer is as good as lost.
const TOOK_MAX_US: f64 = 20_000.0;
