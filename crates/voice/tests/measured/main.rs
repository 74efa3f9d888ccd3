//! Voice processing measured on synthetic speech, rooms and lines, and held to bounds.
//!
//! `cargo test -p voice --test measured -- --nocapture` prints the tables; `TANDEM_BENCH_RECORD=1` keeps
//! them in `benches/results/voice.json`. The speech is espeak-ng's (`speech.rs`), nobody's voice was
//! recorded; rooms, noise and clocks are seeded.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints its table"
)]

mod activity;
mod echo;
mod line;
mod room;
mod speech;
mod table;

use activity::{Background, Score, Stretch, Verdict};
use echo::{Outcome, Scene, Talkers};
use line::Line;
use room::Room;
use table::Table;
use voice::activity::Patience;
use voice::chain::{Chain, Wanted};
use voice::echo::EchoCanceller;

const ECHO: Wanted = Wanted {
    echo: true,
    noise: false,
    gain: false,
};
const ALL: Wanted = Wanted {
    echo: true,
    noise: true,
    gain: true,
};

/// The line, the delay in ms, the skew in ppm, and whether the loudspeaker is driven hard.
const SCENES: [(Line, f64, f64, bool); 12] = [
    (Line::Linear, 120.0, 0.0, false),
    (Line::Pcmu, 40.0, 0.0, false),
    (Line::Pcmu, 120.0, 0.0, false),
    (Line::Pcmu, 400.0, 0.0, false),
    (Line::Pcmu, 120.0, 100.0, false),
    (Line::Pcmu, 120.0, -100.0, false),
    (Line::Pcmu, 120.0, 0.0, true),
    (Line::Opus, 40.0, 0.0, false),
    (Line::Opus, 120.0, 0.0, false),
    (Line::Opus, 400.0, 0.0, false),
    (Line::Opus, 120.0, 100.0, false),
    (Line::Opus, 120.0, -100.0, false),
];

#[test]
fn echo_goes_soon_and_stays_away_and_the_near_talker_is_heard() {
    let talkers = Talkers::new(1);
    let mut table = Table::default();
    let mut all = Vec::new();
    for (line, delay_ms, skew_ppm, bent) in SCENES {
        let room = Room {
            delay_ms,
            loss_db: 12.0,
            decay_ms: 120.0,
            skew_ppm,
            bends_at: bent.then_some(0.25),
        };
        let scene = Scene { line, room };
        let heard = scene.hear(&talkers);
        let ours = scene.run(&heard, Chain::new(ECHO), ECHO);
        let plain = scene.run(&heard, Chain::with(ECHO, EchoCanceller::plain), ECHO);
        let name = format!("{line:?}{}", if bent { ", bent" } else { "" });
        let place = [("delay_ms", delay_ms), ("skew_ppm", skew_ppm)];
        for (what, outcome) in [("ours", ours), ("aec3 alone", plain)] {
            let texts = [("what", "echo"), ("line", name.as_str()), ("by", what)];
            table.line(&texts, &[&place[..], &outcome.numbers()[..]].concat());
        }
        let raw = scene.run(&heard, Chain::new(Wanted::default()), Wanted::default());
        all.push((name, ours, plain, raw));
    }
    table.keep("echo");
    for (name, ours, plain, raw) in &all {
        let Outcome {
            soon_db,
            steady_db,
            cut_pc,
            ..
        } = *ours;
        assert!(soon_db >= 25.0, "{name}: {soon_db} dB by 2 s");
        // A filter cannot follow a loudspeaker that bends.
        let least = if name.ends_with("bent") { 20.0 } else { 35.0 };
        assert!(steady_db >= least, "{name}: {steady_db} dB steady");
        assert!(cut_pc <= 10.0, "{name}: {cut_pc} % of the near talker cut");
        // An echo is nobody's voice; without a canceller it is.
        assert_eq!(ours.false_spurts, 0.0, "{name}");
        assert!(raw.false_spurts > 0.0, "{name}");
        // What the guard is for: without it a third is cut.
        assert!(
            plain.cut_pc > 20.0,
            "{name}: {} % cut by AEC3 alone",
            plain.cut_pc
        );
    }
}

/// A phone's playout leaves something out, or puts something in, and the echo is sooner or later from then on.
#[test]
fn an_echo_that_steps_is_gone_again_within_half_a_second() {
    let talkers = Talkers::new(1);
    let room = Room {
        delay_ms: 120.0,
        loss_db: 12.0,
        decay_ms: 120.0,
        skew_ppm: 0.0,
        bends_at: None,
    };
    for line in [Line::Pcmu, Line::Opus] {
        for ms in [-9.2, -8.0, -2.0, 2.0, 5.0] {
            let scene = Scene { line, room };
            let heard = scene.hear_step(&talkers, 8.0, ms);
            let [with, without] = [true, false].map(|follows| {
                let out = scene.echo_left(&heard, Chain::new(ECHO), follows);
                [(8.0, 8.5), (8.5, 9.0), (9.0, 13.0)].map(|span| heard.lowered(&out, &[span]))
            });
            println!(
                "{line:?} {ms} ms: {with:.0?} dB in half a second, another, and later; {without:.0?} without"
            );
            assert!(
                with[1] >= 25.0 && with[2] >= 30.0,
                "{line:?} {ms} ms: {with:?}"
            );
            // The control: the filter alone takes a second and more.
            assert!(without[1] < 20.0, "{line:?} {ms} ms: {without:?}");
        }
    }
}

#[test]
fn what_it_costs_a_leg_is_told_and_gates_nothing() {
    let talkers = Talkers::new(2);
    let room = Room {
        delay_ms: 120.0,
        loss_db: 12.0,
        decay_ms: 120.0,
        skew_ppm: 0.0,
        bends_at: None,
    };
    let scene = Scene {
        line: Line::Pcmu,
        room,
    };
    let heard = scene.hear(&talkers);
    let mut table = Table::default();
    for (name, wanted) in [("echo", ECHO), ("echo, noise, gain", ALL)] {
        let runs = [(); 3].map(|()| scene.run(&heard, Chain::new(wanted), wanted));
        // What others do on the machine at the time only adds.
        let least = runs.iter().map(|run| run.us_least).fold(f64::MAX, f64::min);
        let numbers = [
            ("us", runs[2].us),
            ("us_least", least),
            ("core_pc", least / 100.0),
        ];
        table.line(&[("what", "cost"), ("of", name)], &numbers);
    }
    table.keep("cost");
}

#[test]
fn speech_is_found_in_noise_and_babble_soon_and_little_else_is() {
    let stretch = Stretch::new(3);
    let mut table = Table::default();
    let noises =
        [Background::White, Background::Babble].map(|it| [20.0, 10.0, 5.0].map(|snr| (it, snr)));
    let noises = [(Background::White, 60.0)]
        .into_iter()
        .chain(noises.into_iter().flatten());
    let mut all = Vec::new();
    for (sound, snr) in noises {
        let mix = stretch.within(sound, snr);
        for line in [Line::Linear, Line::Pcmu] {
            let heard = line.carry(&mix);
            let judged: [(&str, Verdict); 3] = [
                ("ours", activity::two_steps(&heard, Patience::default())),
                ("webrtc-vad", activity::webrtc(&heard)),
                ("earshot", activity::earshot(&heard)),
            ];
            for (by, verdict) in judged {
                let score = activity::score(&stretch.speech, &verdict);
                let names = [format!("{line:?}"), format!("{sound:?}")];
                let texts = [
                    ("what", "activity"),
                    ("line", names[0].as_str()),
                    ("noise", names[1].as_str()),
                    ("by", by),
                ];
                table.line(
                    &texts,
                    &[&[("snr_db", snr)][..], &score.numbers()[..]].concat(),
                );
                all.push(((line, sound, snr as u32, by), score));
            }
        }
    }
    table.keep("activity");
    let of = |line, sound, snr, by| -> Score {
        let key = (line, sound, snr, by);
        all.iter().find(|it| it.0 == key).unwrap().1
    };
    for line in [Line::Linear, Line::Pcmu] {
        for snr in [60, 20, 10, 5] {
            let ours = of(line, Background::White, snr, "ours");
            assert!(ours.precision >= 96.0, "{line:?} white {snr}: {ours:?}");
            assert!(
                ours.recall >= if snr == 5 { 85.0 } else { 90.0 },
                "{line:?} white {snr}: {ours:?}"
            );
            assert!(
                ours.onset_ms[0] <= 100.0 && ours.missed == 0.0,
                "{line:?} white {snr}: {ours:?}"
            );
        }
        let ours = of(line, Background::Babble, 20, "ours");
        assert!(
            ours.precision >= 90.0 && ours.recall >= 95.0,
            "{line:?} babble 20: {ours:?}"
        );
        // Babble of 10 dB is speech all the time to either alone.
        let ours = of(line, Background::Babble, 10, "ours");
        assert!(
            ours.precision >= 85.0 && ours.recall >= 90.0,
            "{line:?} babble 10: {ours:?}"
        );
        for by in ["webrtc-vad", "earshot"] {
            let other = of(line, Background::Babble, 10, by);
            assert!(other.precision < 80.0, "{by} {line:?} babble 10: {other:?}");
        }
    }
}
