//! The playout against seeded traces of bad networks, in virtual time: what delay it adds and how
//! much it has to invent, beside the best constant delay chosen in hindsight and beside the buffer
//! before it (a target of the third largest lateness of 4 to 8 s, whole frames left out or put in).
//!
//! `cargo test -p media --test traces -- --nocapture` prints the table; `TANDEM_BENCH_RECORD=1` keeps
//! it in `benches/results/jitter.json`. Everything is seeded, so each figure is exact and gates.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints its table"
)]

mod repair;
mod sound;
mod trace;

use std::fmt::Write as _;

use clock::{Duration, Now};
use media::codec::Decoder;
use media::jitter::{JitterBuffer, JitterConfig, Popped};
use media::rtp::{Header, RtpTime, Sequence};
use media::{Codec, FRAME, Frame, SILENCE};
use trace::{Harm, Sent};

/// What a playout made of a trace.
#[derive(Clone, Copy, Default)]
struct Outcome {
    /// Of frames that were sound: the sum of their delay beyond the path at its best, in ms.
    delay_ms: f64,
    sound: f64,
    /// Frames invented or silent after the first sound.
    concealed: f64,
    /// Milliseconds put in or left out.
    stretched_ms: f64,
    /// Packets whose sound was never played.
    unheard: f64,
}

/// A talker of ten words, over and over: his packets.
fn talk() -> Vec<[u8; FRAME]> {
    sound::encoded(&sound::talker(8_000, 11, 8, true))
}

/// Plays a trace to a buffer that is asked every 20 ms, `phase_us` after the first packet's best
/// arrival; gives each frame to `heard`.
fn play(
    trace: &[Sent],
    talk: &[[u8; FRAME]],
    phase_us: u64,
    mut heard: impl FnMut(Popped, &Frame),
) -> Outcome {
    let mut waiting: Vec<&Sent> = trace.iter().filter(|s| s.arrives_us.is_some()).collect();
    waiting.sort_by_key(|sent| sent.arrives_us);
    let end = trace.last().unwrap().path_us;
    let mut jitter = JitterBuffer::new(CONFIG, Codec::Pcmu);
    let mut decoder = Decoder::new(Codec::Pcmu);
    let mut waiting = waiting.into_iter().peekable();
    let mut out = Outcome::default();
    let us = |us: u64| Now::ZERO + Duration::from_micros(us);
    let mut at = trace[0].path_us + phase_us;
    while at < end {
        while let Some(sent) = waiting.next_if(|sent| sent.arrives_us.unwrap() <= at) {
            let header = Header {
                marker: false,
                payload_type: 0,
                sequence: Sequence(sent.index as u16),
                time: RtpTime(sent.index * FRAME as u32),
                ssrc: 1,
            };
            let payload = &talk[sent.index as usize % talk.len()];
            let _ = jitter.insert(us(sent.arrives_us.unwrap()), &header, payload);
        }
        let position = jitter.position();
        let mut frame = SILENCE;
        let popped = jitter.pop(us(at), &mut decoder, &mut frame);
        heard(popped, &frame);
        match (popped, position) {
            (Popped::Sound, Some(position)) => {
                let ticks = position as usize;
                let sent = &trace[(ticks / FRAME).min(trace.len() - 1)];
                let due = sent.path_us as f64 + (ticks % FRAME) as f64 * 125.0;
                out.delay_ms += (at as f64 - due) / 1_000.0;
                out.sound += 1.0;
            }
            (Popped::Concealed | Popped::Silence, _) => out.concealed += 1.0,
            (Popped::Sound | Popped::Hold, _) => {}
        }
        at += 20_000;
    }
    let c = jitter.counters();
    out.unheard = trace.len() as f64 - c.played as f64;
    out.stretched_ms = (c.lengthened_ms + c.shortened_ms) as f64;
    out
}

/// A line of the table: means over seeds and phases.
struct Line {
    name: &'static str,
    /// The best constant delay in hindsight with 1 % late, and what of it a frame every 20 ms can have.
    constant_ms: f64,
    constant_20_ms: f64,
    /// The least delay plus 20 ms for each percent late that a constant delay has in hindsight.
    constant_cost_ms: f64,
    /// Lost on the way, in percent.
    lost: f64,
    delay_ms: f64,
    concealed: f64,
    unheard: f64,
    stretched: f64,
    /// The buffer before: delay and concealed.
    before: [f64; 2],
}

impl Line {
    /// Concealed beyond what was lost.
    fn late(&self) -> f64 {
        (self.concealed - self.lost).max(0.0)
    }

    fn cost_ms(&self) -> f64 {
        self.delay_ms + 20.0 * self.late()
    }
}

fn measure(name: &'static str, harm: Harm, before: [f64; 2]) -> Line {
    // A clock that drifts has to be watched for long.
    let seconds = if matches!(harm, Harm::Skew(_)) {
        600
    } else {
        60
    };
    let talk = talk();
    let (mut constant_ms, mut constant_20_ms) = (0.0, 0.0);
    let (mut constant_cost_ms, mut lost) = (0.0, 0.0);
    let mut sum = Outcome::default();
    let runs = SEEDS as f64 * PHASES_MS.len() as f64;
    for seed in 1..=SEEDS {
        let trace = trace::make(harm, seconds, seed);
        constant_ms += trace::constant_ms(&trace, 0.01, None) / SEEDS as f64;
        constant_cost_ms += trace::constant_cost_ms(&trace) / SEEDS as f64;
        lost += trace.iter().filter(|s| s.arrives_us.is_none()).count() as f64;
        for phase in PHASES_MS {
            constant_20_ms += trace::constant_ms(&trace, 0.01, Some(phase)) / runs;
            let one = play(&trace, &talk, phase * 1_000, |_, _| {});
            sum.delay_ms += one.delay_ms;
            sum.sound += one.sound;
            sum.concealed += one.concealed;
            sum.unheard += one.unheard;
            sum.stretched_ms += one.stretched_ms;
        }
    }
    let packets = f64::from(seconds) * 50.0 * SEEDS as f64;
    let played = packets * PHASES_MS.len() as f64;
    Line {
        name,
        constant_ms,
        constant_20_ms,
        constant_cost_ms,
        lost: 100.0 * lost / packets,
        delay_ms: sum.delay_ms / sum.sound,
        concealed: 100.0 * sum.concealed / (sum.concealed + sum.sound),
        unheard: 100.0 * sum.unheard / played,
        stretched: 100.0 * sum.stretched_ms / (played * 20.0),
        before,
    }
}

#[test]
fn the_delay_is_near_the_best_constant_one_in_hindsight_and_little_is_invented() {
    let lines: Vec<Line> = trace::ALL
        .iter()
        .map(|&(name, harm, before)| measure(name, harm, before))
        .collect();
    println!(
        "{:18} {:>8} {:>8} {:>8} {:>7} | {:>7} {:>9} {:>7} {:>7} | {:>9} {:>9}",
        "trace",
        "const 1%",
        "of 20 ms",
        "cost",
        "lost %",
        "delay",
        "concealed",
        "unheard",
        "stretch",
        "was delay",
        "concealed"
    );
    let mut json = String::new();
    for line in &lines {
        println!(
            "{:18} {:8.1} {:8.1} {:8.1} {:7.2} | {:7.1} {:9.2} {:7.2} {:7.2} | {:9.1} {:9.2}",
            line.name,
            line.constant_ms,
            line.constant_20_ms,
            line.constant_cost_ms,
            line.lost,
            line.delay_ms,
            line.concealed,
            line.unheard,
            line.stretched,
            line.before[0],
            line.before[1],
        );
        let _ = writeln!(
            json,
            "{{\"trace\":\"{}\",\"constant_1pc_ms\":{:.1},\"constant_1pc_20_ms\":{:.1},\"constant_cost_ms\":{:.1},\"lost_pc\":{:.2},\
             \"delay_ms\":{:.1},\"concealed_pc\":{:.2},\"unheard_pc\":{:.2},\"stretched_pc\":{:.2},\
             \"before_delay_ms\":{:.1},\"before_concealed_pc\":{:.2}}}",
            line.name,
            line.constant_ms,
            line.constant_20_ms,
            line.constant_cost_ms,
            line.lost,
            line.delay_ms,
            line.concealed,
            line.unheard,
            line.stretched,
            line.before[0],
            line.before[1],
        );
    }
    if std::env::var_os("TANDEM_BENCH_RECORD").is_some() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../benches/results/jitter.json"
        );
        std::fs::write(path, json).unwrap();
    }
    for line in &lines {
        check(line);
    }
    let sum = |of: fn(&Line) -> f64| lines.iter().map(of).sum::<f64>();
    let before = sum(|line| line.before[0] + 20.0 * (line.before[1] - line.lost).max(0.0));
    assert!(sum(Line::cost_ms) < before * 0.8, "{before}");
}

fn check(line: &Line) {
    let told = |what: &str| format!("{}: {what}", line.name);
    assert!(
        line.delay_ms <= line.constant_20_ms + 10.0,
        "{}",
        told("the delay is more than 10 ms above the best constant one")
    );
    match line.name {
        // Nothing pays for the delay that would cover these; what was said is heard all the same.
        "spikes" => {
            assert!(line.delay_ms < line.constant_ms / 4.0, "{}", told("delay"));
            assert!(line.unheard < 2.0, "{}", told("unheard"));
        }
        // The price of a percent says that more of these may be late.
        "queue, mean 30 ms" => {
            let cost = line.constant_cost_ms + 10.0;
            assert!(line.cost_ms() <= cost, "{}", told("cost"));
        }
        _ => assert!(line.late() <= 1.0, "{}", told("more than 1 % is late")),
    }
}

const SEEDS: u64 = 4;
/// When the buffer is asked, after packets come: a frame every 20 ms cannot be better than half of
/// that on the mean.
const PHASES_MS: [u64; 4] = [1, 6, 11, 16];

const CONFIG: JitterConfig = match JitterConfig::from_ms([0, 40, 500]) {
    Ok(config) => config,
    Err(_) => panic!("in order"),
};

/// What is heard over each trace, on all phases, from the first sound on.
fn heard(harm: Harm, seconds: u32, talk: &[[u8; FRAME]], seed: u64) -> Vec<(Popped, Frame)> {
    let trace = trace::make(harm, seconds, seed);
    let mut frames = Vec::new();
    play(&trace, talk, 7_000, |popped, frame| {
        frames.push((popped, *frame))
    });
    let hold = |(popped, _): &(Popped, Frame)| *popped == Popped::Hold;
    frames.drain(..frames.iter().take_while(|frame| hold(frame)).count());
    frames
}

#[test]
fn nothing_clicks_and_the_level_stays_whatever_the_network_does() {
    // A soft voice: a step would stand out of it.
    let talk = sound::encoded(&sound::talker(8_000, 11, 3, false));
    let said = sound::decoded(&talk);
    let usual = sound::sharpest(&said);
    let cut = [&said[..4_000], &said[4_037..]].concat();
    assert!(sound::sharpest(&cut) > 2.0 * usual, "a cut would be heard");
    for &(name, harm, _) in trace::ALL {
        let frames = heard(harm, 30, &talk, 5);
        let samples: Vec<i16> = frames.iter().flat_map(|(_, frame)| *frame).collect();
        let sharpest = sound::sharpest(&samples);
        assert!(
            sharpest <= usual * 1.25,
            "{name}: a step of {sharpest}, usually {usual}"
        );
        let real: Vec<i16> = frames
            .iter()
            .filter(|(popped, _)| *popped == Popped::Sound)
            .flat_map(|(_, frame)| *frame)
            .collect();
        let level = sound::dbfs(&real) - sound::dbfs(&said);
        assert!(level.abs() < 1.0, "{name}: {level} dB off");
    }
}

#[test]
fn a_tone_keeps_its_pitch_and_its_level_while_the_delay_changes() {
    for hz in [150.0, 333.0, 440.0, 1_000.0] {
        let talk = sound::encoded(&sound::tone(hz, 10));
        for harm in [Harm::Skew(3_000.0), Harm::Skew(-3_000.0), Harm::Jitter(100)] {
            let frames = heard(harm, 20, &talk, 6);
            let sound: Vec<&Frame> = frames.iter().map(|(_, frame)| frame).skip(100).collect();
            let samples: Vec<i16> = sound.into_iter().flatten().copied().collect();
            let found = sound::frequency(&samples, 8_000.0);
            assert!((found / hz - 1.0).abs() < 0.01, "{hz} {harm:?}: {found}");
            let quietest = samples.chunks(FRAME).map(sound::dbfs).fold(0.0, f64::min);
            assert!(
                quietest > sound::dbfs(&samples) - 3.0,
                "{hz} {harm:?}: {quietest}"
            );
        }
    }
}
