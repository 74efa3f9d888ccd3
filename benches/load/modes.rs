//! The modes: each starts its servers, asks for plans, and reports medians of its repeats.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use lab::args::{Args, object};
use lab::figures::{load, median, percentile};
use lab::server::Server;
use serde_json::{Value, json};

use crate::caller::{Caller, LATE_MAX_US, Outcome, Plan};
use crate::hearing::Ear;
use crate::noise::Noise;
use crate::target::{CALLER, SERVER, TOLD, echo, tandem, tandem_with};

fn server_address() -> SocketAddr {
    SERVER.parse().unwrap()
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// Calls that end as soon as they are answered.
fn short(rate: f64, lasts: f64) -> Plan {
    Plan {
        rate,
        lasts: seconds(lasts),
        hold: Some(Duration::ZERO),
        patience: seconds(2.0),
    }
}

/// One line about a run.
fn say(what: &str, outcome: &Outcome) {
    println!(
        "{what}: begun {}, answered {}, completed {}, refused {} (not 503: {}), sent again {}; \
         answer p50 {:.1} ms p99 {:.1} ms; 503 p99 {:.1} ms, of its last copy {:.1} ms; {:.0} calls/s; \
         late p99 {} us, busy {:.2}; load {}",
        outcome.begun,
        outcome.answered,
        outcome.completed,
        outcome.refused,
        outcome.failed,
        outcome.again,
        f64::from(percentile(&outcome.answer_us, 50.0)) / 1e3,
        f64::from(percentile(&outcome.answer_us, 99.0)) / 1e3,
        f64::from(percentile(&outcome.refusal_us, 99.0)) / 1e3,
        f64::from(percentile(&outcome.refusal_of_copy_us, 99.0)) / 1e3,
        outcome.goodput(),
        outcome.late_p99(),
        outcome.busy,
        load(),
    );
}

/// Processor time a call, beside a bare loop over the same messages.
pub(crate) fn cost(args: &Args, mode: &str, number: &str) {
    let rate = args.number("rate", 1_000.0);
    let (lasts, warm) = (args.number("seconds", 20.0), args.number("warm", 35.0));
    let repeats = args.number("repeat", 3.0) as usize;
    let before = load();
    let mut caller = Caller::new(CALLER, server_address(), number);
    let (mut ours, mut bare, mut refused) = (Vec::new(), Vec::new(), 0);
    let (mut p50, mut p99, mut late) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..repeats {
        let server = tandem(1);
        let (each, outcome) = each(&server, &mut caller, rate, (warm, lasts));
        say(&format!("{mode} {round}"), &outcome);
        server.settle();
        drop(server);
        let loops = echo();
        let (bare_each, echoed) = each_of_echo(&loops, &mut caller, rate, lasts);
        drop(loops);
        println!("{mode} {round}: {each:.1} us a call; bare loop {bare_each:.1} us");
        let good = outcome.completed == outcome.begun && echoed.completed == echoed.begun;
        if outcome.late_p99() > LATE_MAX_US || !good {
            refused += 1;
            println!("{mode} {round}: refused (lateness, or calls that failed)");
        }
        ours.push(each);
        bare.push(bare_each);
        p50.push(f64::from(percentile(&outcome.answer_us, 50.0)));
        p99.push(f64::from(percentile(&outcome.answer_us, 99.0)));
        late.push(f64::from(outcome.late_p99()));
    }
    args.report(
        mode,
        object(json!({
            "rate": rate, "seconds": lasts, "warm_seconds": warm, "repeats": repeats,
            "cpu_us_a_call": median(&ours), "each": ours,
            "bare_us_a_call": median(&bare), "ratio": median(&ours) / median(&bare),
            "answer_p50_us": median(&p50), "answer_p99_us": median(&p99),
            "caller_late_p99_us": median(&late), "points_refused": refused,
            "load_before": before,
        })),
    );
}

fn each(
    server: &Server,
    caller: &mut Caller,
    rate: f64,
    (warm, lasts): (f64, f64),
) -> (f64, Outcome) {
    if warm > 0.0 {
        caller.run(&short(rate, warm));
    }
    let before = server.cpu();
    let outcome = caller.run(&short(rate, lasts));
    let took = server.cpu() - before;
    (
        took.as_secs_f64() * 1e6 / f64::from(outcome.answered.max(1)),
        outcome,
    )
}

/// A call of two legs has no more messages on its first leg: the loop sees what the caller sends.
fn each_of_echo(echo: &Server, caller: &mut Caller, rate: f64, lasts: f64) -> (f64, Outcome) {
    each(echo, caller, rate, (1.0, lasts.min(10.0)))
}

/// Whether a rate is carried: nobody fails, answers come in time, and the caller was punctual.
fn passes(outcome: &Outcome) -> bool {
    outcome.completed == outcome.begun
        && percentile(&outcome.answer_us, 99.0) < 200_000
        && outcome.late_p99() <= LATE_MAX_US
}

/// Raises the rate until calls fail, then steps down until three repeats pass; the best goodput seen.
fn capacity(args: &Args, server: &Server, caller: &mut Caller) -> (f64, f64, Vec<Value>) {
    let lasts = args.number("step", 5.0);
    let mut points = Vec::new();
    let mut goodput = 0.0_f64;
    let mut try_rate = |rate: f64, caller: &mut Caller| {
        let outcome = caller.run(&short(rate, lasts));
        say(&format!("ramp {rate:.0}"), &outcome);
        server.settle();
        let pass = passes(&outcome);
        if outcome.late_p99() <= LATE_MAX_US {
            goodput = goodput.max(outcome.goodput());
        }
        points.push(json!({
            "rate": rate, "pass": pass, "goodput": outcome.goodput(),
            "answer_p99_us": percentile(&outcome.answer_us, 99.0),
            "late_p99_us": outcome.late_p99(), "load": load(),
        }));
        pass
    };
    let mut rate = args.number("from", 1_000.0);
    while try_rate(rate, caller) && rate < RATE_MAX {
        rate *= 1.25;
    }
    // A noisy machine is not stepped down for ever.
    for _ in 0..STEPS_DOWN {
        if (0..3).all(|_| try_rate(rate, caller)) {
            break;
        }
        rate *= 0.95;
    }
    (rate, goodput, points)
}

/// The best goodput: as it is given, as this machine's `ramp` has just found it, or looked for.
fn peak(args: &Args, server: &Server, caller: &mut Caller) -> f64 {
    let known = args.number(
        "capacity",
        args.recent("ramp", "best_goodput").unwrap_or(0.0),
    );
    if known > 0.0 {
        known
    } else {
        capacity(args, server, caller).1
    }
}

/// Calls a second, answered by a dialplan, with the 99th percentile of answers below 200 ms.
pub(crate) fn ramp(args: &Args) {
    let before = load();
    let number = args.number("number", 1_000.0).to_string();
    let server = tandem(1);
    let mut caller = Caller::new(CALLER, server_address(), &number);
    let (rate, goodput, points) = capacity(args, &server, &mut caller);
    args.report(
        "ramp",
        object(json!({
            "calls_per_second": rate, "best_goodput": goodput, "points": points,
            "resident": server.resident(), "load_before": before,
        })),
    );
}

/// Calls at once, `calls` of them, begun at `rate`; with `rtp=1` each hears music.
pub(crate) fn hold(args: &Args) {
    let before = load();
    let (count, rate) = (args.number("calls", 5_000.0), args.number("rate", 500.0));
    let rtp = args.number("rtp", 0.0) > 0.0;
    let server = tandem(workers_for(args));
    let number = if rtp { "2000" } else { "1000" };
    let mut caller = Caller::new(CALLER, server_address(), number);
    let ear = Ear::start();
    let outcome = caller.run(&held(rate, count));
    say("hold", &outcome);
    let stay = args.number("seconds", 10.0);
    let cpu = server.cpu();
    std::thread::sleep(seconds(stay));
    let busy = (server.cpu() - cpu).as_secs_f64() / stay;
    let resident = server.resident();
    caller.hang_up(&outcome.held);
    server.settle();
    let heard = ear.stop();
    let left = server.metric("tandem_calls_active");
    args.report(
        if rtp { "hold_rtp" } else { "hold" },
        object(json!({
            "calls": count, "held": outcome.held.len(), "rate": rate, "cores_busy": busy,
            "resident": resident, "answer_p99_us": percentile(&outcome.answer_us, 99.0),
            "packets_heard": heard.packets, "calls_heard": heard.calls, "lost": heard.lost,
            "gap_p99_us": percentile(&heard.gaps_us, 99.0), "calls_left": left,
            "load_before": before,
        })),
    );
}

/// A media thread for each thousand calls.
fn workers_for(args: &Args) -> u32 {
    args.number("workers", 6.0) as u32
}

fn held(rate: f64, count: f64) -> Plan {
    Plan {
        hold: None,
        ..short(rate, count / rate)
    }
}

/// Resident memory a held call, when its transactions are over. Traces, which have a bound for all calls
/// together, are held to the least, so that they have reached it before the first point.
pub(crate) fn memory(args: &Args) {
    let before = load();
    let (step, steps) = (
        args.number("calls", 1_500.0),
        args.number("steps", 3.0) as usize,
    );
    let server = tandem_with(workers_for(args), "[trace]\nbytes = 1048576\n");
    let mut caller = Caller::new(CALLER, server_address(), "1000");
    let mut points = Vec::new();
    let mut standing = Vec::new();
    for _ in 0..=steps {
        let outcome = caller.run(&held(300.0, step));
        standing.extend(outcome.held);
        std::thread::sleep(seconds(args.number("rest", 36.0)));
        points.push((standing.len() as f64, server.resident() as f64));
        println!("{:?}; load {}", points.last().unwrap(), load());
    }
    let slopes: Vec<f64> = points
        .windows(2)
        .map(|pair| (pair[1].1 - pair[0].1) / (pair[1].0 - pair[0].0))
        .collect();
    let slope = median(&slopes);
    caller.hang_up(&standing);
    std::thread::sleep(seconds(args.number("rest", 36.0)));
    args.report(
        "memory",
        object(json!({
            "bytes_a_call": slope, "slopes": slopes, "points": points,
            "resident_after": server.resident(), "load_before": before,
        })),
    );
}

/// Goodput, refusals, audio and the way back at several times the rate that is carried.
pub(crate) fn overload(args: &Args) {
    let before = load();
    let lasts = args.number("seconds", 60.0);
    let server = tandem(1);
    let mut caller = Caller::new(CALLER, server_address(), "1000");
    let peak = peak(args, &server, &mut caller);
    println!("peak goodput {peak:.0} calls/s");
    let mut points = Vec::new();
    let only = args.number("times", 0.0);
    for times in [3.0, 10.0]
        .into_iter()
        .filter(|&it| only == 0.0 || it == only)
    {
        points.push(beyond(&server, &mut caller, peak, (times, lasts)));
    }
    args.report(
        "overload",
        object(json!({
            "peak": peak, "seconds": lasts, "points": points,
            "resident": server.resident(), "load_before": before,
        })),
    );
}

fn beyond(server: &Server, caller: &mut Caller, peak: f64, (times, lasts): (f64, f64)) -> Value {
    caller.dial("2000");
    let ear = Ear::start();
    let listening = caller.run(&held(50.0, LISTENERS));
    caller.dial("1000");
    let begun = server.told(&TOLD);
    let outcome = caller.run(&Plan {
        patience: Duration::ZERO,
        ..short(peak * times, lasts)
    });
    let ended = server.told(&TOLD);
    // At once, and at half of what is carried: how long does it still hurt?
    let after = caller.run(&short(peak / 2.0, 6.0));
    let calm = server.told(&TOLD);
    let heard = ear.stop();
    caller.hang_up(&listening.held);
    server.settle();
    say(&format!("{times} times"), &outcome);
    say("after", &after);
    let since = |before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>| {
        let gained = |(name, now): (&String, &f64)| {
            let gained = now - before.get(name).copied().unwrap_or(0.0);
            (gained != 0.0).then(|| (name.clone(), gained))
        };
        after.iter().filter_map(gained).collect::<BTreeMap<_, _>>()
    };
    println!("{times} times: {:?}", since(&begun, &ended));
    println!("{times} times, after: {:?}", since(&ended, &calm));
    let last_bad = after.bad_in.iter().rposition(|&bad| bad > 0);
    let back = last_bad.map_or(0.0, |at| (at + 1) as f64 / 10.0);
    println!(
        "{times} times: goodput {:.0} of {peak:.0} = {:.3}; 503s {} p99 {:.1} ms; back after {back} s; \
         {} calls heard, {} lost, largest gap {:.1} ms",
        outcome.goodput(),
        outcome.goodput() / peak,
        outcome.refusal_us.len(),
        f64::from(percentile(&outcome.refusal_us, 99.0)) / 1e3,
        heard.calls,
        heard.lost,
        heard.gap.as_secs_f64() * 1e3,
    );
    json!({
        "times": times, "offered": f64::from(outcome.begun) / lasts,
        "goodput": outcome.goodput(), "goodput_of_peak": outcome.goodput() / peak,
        "refusals": outcome.refusal_us.len(),
        "refusal_p50_us": percentile(&outcome.refusal_us, 50.0),
        "refusal_p99_us": percentile(&outcome.refusal_us, 99.0),
        "refusal_of_copy_p99_us": percentile(&outcome.refusal_of_copy_us, 99.0),
        "caller_busy": outcome.busy, "server": since(&begun, &ended),
        "answer_p99_us": percentile(&outcome.answer_us, 99.0),
        "other_refusals": outcome.failed, "sent_again": outcome.again,
        "late_p99_us": outcome.late_p99(), "back_after_s": back,
        "listeners": heard.calls, "audio_lost": heard.lost,
        "audio_gap_max_us": heard.gap.as_micros() as u64,
        "audio_gap_p99_us": percentile(&heard.gaps_us, 99.0), "load": load(),
    })
}

/// Goodput while a core sends what nobody asked for.
pub(crate) fn junk(args: &Args) {
    let before = load();
    let lasts = args.number("seconds", 60.0);
    let server = tandem(1);
    let mut caller = Caller::new(CALLER, server_address(), "1000");
    let peak = peak(args, &server, &mut caller);
    let noise = Noise::start(server_address());
    std::thread::sleep(seconds(1.0));
    let sent = noise.sent();
    let outcome = caller.run(&short(peak, lasts));
    let a_second = (noise.sent() - sent) as f64 / lasts;
    noise.stop();
    say("junk", &outcome);
    println!(
        "junk: {a_second:.0} a second = {:.1} times {peak:.0}; goodput {:.3}",
        a_second / peak,
        outcome.goodput() / peak
    );
    args.report(
        "junk",
        object(json!({
            "peak": peak, "seconds": lasts, "junk_per_second": a_second,
            "junk_times_peak": a_second / peak, "goodput": outcome.goodput(),
            "goodput_of_peak": outcome.goodput() / peak,
            "answer_p99_us": percentile(&outcome.answer_us, 99.0),
            "late_p99_us": outcome.late_p99(), "load_before": before,
        })),
    );
}

/// Held calls whose audio is listened to meanwhile.
const LISTENERS: f64 = 20.0;
/// From a rate that failed to one that is carried three times in a row.
const STEPS_DOWN: usize = 12;
/// No caller sends faster than this.
const RATE_MAX: f64 = 40_000.0;
