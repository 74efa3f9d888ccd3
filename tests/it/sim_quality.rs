//! How calls fare on bad networks, as events and records tell it.

use std::time::Duration;

use clock::Now;
use media::quality::{Path, Robustness, rate};
use sim::{Report, Stage, Swarm, World};
use tandem::call::{Hearing, LegFigures};
use tandem::demo::phone::Act;

/// Rings ann, bob and the operator.
const RING: &str = "+15550000003";

fn waits(secs: u64) -> Act {
    Act::Wait(Duration::from_secs(secs))
}

/// The carrier's caller is host 2, ann is host 1.
fn call(seed: u64, secs: u64) -> Swarm {
    Swarm::quiet(seed, 1).phone("ann", None, Vec::new()).caller(
        0,
        RING,
        vec![waits(secs), Act::HangUp],
    )
}

fn run(swarm: Swarm) -> Report {
    let stage = Stage::new().unwrap();
    let report = World::new(&stage, swarm).showing(100).run();
    assert_eq!(report.bridged, 1, "{report}");
    report
}

/// When something was told, in ms after the start of what happens.
fn told(report: &Report) -> Vec<(u64, &str, Hearing)> {
    let settled = |at: Now| at.as_millis() - 2_500;
    let told = report.audio.iter();
    told.map(|(at, who, is)| (settled(*at), who.as_str(), *is))
        .collect()
}

#[test]
fn one_way_audio_is_told_within_two_seconds_of_the_last_packet_and_when_it_is_back() {
    for (host, who) in [(1, "ann"), (2, "+16660000002")] {
        let report = run(call(1, 20).cut(host, [8_000, 14_000]));
        let told = told(&report);
        let [
            (lost, first, Hearing::OneWay),
            (back, again, Hearing::Heard),
        ] = told[..]
        else {
            panic!("{told:?} {report}")
        };
        assert_eq!((first, again), (who, who));
        assert!((9_500..=10_000).contains(&lost), "{told:?}");
        assert!((14_000..14_100).contains(&back), "{told:?}");
        let leg = report.legs.iter().find(|leg| leg.who == who).unwrap();
        assert_eq!(leg.stats.silences, 1);
    }
}

#[test]
fn a_call_that_both_sides_hear_has_nothing_to_tell() {
    let hold = vec![
        waits(2),
        Act::Hold(true),
        waits(6),
        Act::Hold(false),
        waits(20),
        Act::HangUp,
    ];
    let held =
        Swarm::quiet(3, 1)
            .phone("ann", None, hold)
            .caller(0, RING, vec![waits(16), Act::HangUp]);
    for swarm in [call(2, 20), held] {
        let report = run(swarm);
        assert_eq!(told(&report), [], "{report}");
        assert_eq!(report.legs.len(), 2);
        for leg in &report.legs {
            assert!(leg.stats.rating.unwrap().mos() > 4.3, "{leg:?}");
            assert_eq!((leg.stats.lost, leg.stats.silences), (0, 0), "{leg:?}");
        }
    }
}

#[test]
fn five_percent_of_loss_lower_the_opinion_as_the_formula_says() {
    for per_mille in [10, 50, 200] {
        let report = run(call(4, 60).losing_sound(per_mille));
        assert_eq!(report.legs.len(), 2);
        for leg in &report.legs {
            let LegFigures { stats, .. } = leg;
            let lost = stats.lost as f64 * 100.0 / stats.expected as f64;
            assert!((lost - f64::from(per_mille) / 10.0).abs() < 2.0, "{leg:?}");
            let path = Path {
                delay: Duration::from_millis(20) + stats.round_trip.unwrap_or_default() / 2,
                loss_percent: lost,
                burst_ratio: 1.0,
            };
            let want = rate(Robustness::of(media::Codec::Pcma), &path).mos();
            let got = stats.rating.unwrap().mos();
            assert!((got - want).abs() < 0.08, "{got}, want {want}: {leg:?}");
        }
    }
}
