//! Rooms: what a member of a conference costs, how long sound takes from mouth to ear, and how many a
//! core carries; many rooms of three in which all speak, and one large room in which three do.

use std::net::UdpSocket;
use std::time::Duration;

use lab::args::{Args, object};
use lab::chorus::{Chorus, Sung};
use lab::figures::{load, percentile};
use serde_json::{Value, json};

use crate::peers::tandem::{Sort, Tandem};
use crate::peers::{self, Peer};
use crate::relay;

/// Many rooms of three.
pub(crate) fn rooms(args: &Args) {
    let counts = counts(args, &[300, 600, 900, 1_200, 1_320, 1_500]);
    run(args, "rooms", &counts, |member| (member / 3, true));
}

/// One room, in which three speak.
pub(crate) fn room(args: &Args) {
    let counts = counts(args, &[100, 500, 1_000]);
    let speakers = args.number("speakers", 3.0) as usize;
    run(args, "room", &counts, |member| (0, member < speakers));
}

fn counts(args: &Args, usual: &[usize]) -> Vec<usize> {
    match args.text("members") {
        Some(text) => {
            let each = text.split(',');
            each.map(|it| {
                it.parse()
                    .unwrap_or_else(|_| panic!("members={text}: want numbers"))
            })
            .collect()
        }
        None => usual.to_vec(),
    }
}

/// Lets members join up to each of the counts in turn, and measures there.
fn run(args: &Args, mode: &str, counts: &[usize], place: impl Fn(usize) -> (usize, bool)) {
    let lasts = Duration::from_secs_f64(args.number("seconds", 8.0));
    let before = load();
    let most = counts.iter().copied().max().unwrap_or(0);
    let mut points = Vec::new();
    for &count in counts {
        let mut peer = Tandem::of(most as u32, Sort::Rooms);
        let mut chorus = Chorus::default();
        let empty = peer.server().resident();
        let joined = (0..count).try_for_each(|n| {
            let (room, speaks) = place(n);
            let end = peers::ends(n as u32)[0];
            let socket = UdpSocket::bind(end).unwrap();
            let to = peer.enter(n as u32, &(7_000 + room).to_string(), end)?;
            chorus.join(room, speaks, socket, to);
            Ok::<(), String>(())
        });
        if let Err(why) = joined {
            println!("{mode} of {count}: {why}");
            break;
        }
        let mut used = Duration::ZERO;
        let sung = chorus.run(WARM, lasts, || used = peer.server().cpu());
        let cpu = peer.server().cpu() - used;
        let resident = peer.server().resident() - empty;
        points.push(point(mode, count, (cpu, lasts), &sung, resident));
        peer.end();
    }
    let bare = args.text("bare").is_none_or(|text| text != "0");
    let beside = bare
        .then(|| relay::alone("bare", most / 2, lasts))
        .flatten();
    if let Some(cost) = beside {
        println!("bare loop: as many packets without a mix, {cost:.3} ms a member-second");
    }
    args.report(
        mode,
        object(json!({
            "seconds": lasts.as_secs_f64(), "points": points,
            "bare_cpu_ms_a_member_second": beside, "load_before": before,
        })),
    );
}

fn point(
    mode: &str,
    count: usize,
    (cpu, lasts): (Duration, Duration),
    sung: &Sung,
    resident: u64,
) -> Value {
    let seconds = lasts.as_secs_f64();
    let cost = cpu.as_secs_f64() * 1e3 / (count as f64 * seconds);
    let cores = cpu.as_secs_f64() / seconds;
    let took = |percent| f64::from(percentile(&sung.took_us, percent)) / 1e3;
    let (p50, p99, late) = (took(50.0), took(99.0), percentile(&sung.late_us, 99.0));
    let gap_ms = sung.gap_ns as f64 / 1e6;
    let heard = sung.took_us.len() as f64 / sung.said.max(1) as f64;
    let (load, resident_kb) = (load(), resident as f64 / 1e3 / count as f64);
    println!(
        "{mode:5} {count:5} members: {cost:.3} ms a member-second, {cores:.2} of a core; mouth to ear beyond \
         packetisation p50 {p50:.1} ms p99 {p99:.1} ms, heard {:.1} %; {} packets heard, {} lost, largest gap \
         {gap_ms:.1} ms; {resident_kb:.1} kB a member; members late p99 {late} us, busy {:.2}{}; load {load}",
        100.0 * heard,
        sung.heard,
        sung.lost,
        sung.busy,
        if late > LATE_MAX_US { " (refused)" } else { "" },
    );
    json!({
        "members": count, "cpu_ms_a_member_second": cost, "cores": cores, "mouth_to_ear_p50_ms": p50,
        "mouth_to_ear_p99_ms": p99, "heard_share": heard, "packets": sung.heard, "lost": sung.lost,
        "gap_max_ms": gap_ms, "resident_kb": resident_kb, "members_late_p99_us": late,
        "members_busy": sung.busy, "load": load,
    })
}

/// Ports latch, members' playouts settle.
const WARM: Duration = Duration::from_secs(4);
/// The members' own lateness beyond which a point is refused.
const LATE_MAX_US: u32 = 2_000;
