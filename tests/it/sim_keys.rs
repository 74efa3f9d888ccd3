//! Keys from one side of a bridge to the other, in every way and into every other.

use std::time::Duration;

use sim::{Stage, Swarm, World};
use tandem::call::{Dtmf, DtmfVia};
use tandem::demo::phone::Act;

/// Rings ann, bob and the operator.
const RING: &str = "+15550000003";

const KEYS: &str = "15#";

fn presses() -> Vec<Act> {
    let wait = |secs| Act::Wait(Duration::from_secs(secs));
    let press = Act::Press(KEYS.to_owned());
    vec![wait(2), press, wait(4), Act::HangUp]
}

/// What the far end of `to` gets of keys pressed at a near end of `from`, way, key and length.
fn arrives(from: Dtmf, to: Dtmf) -> Vec<(char, DtmfVia, u16)> {
    let stage = Stage::new().unwrap();
    let swarm = Swarm::quiet(1, 1)
        .phone("ann", None, Vec::new())
        .caller(0, RING, presses())
        .keys(from, to);
    let report = World::new(&stage, swarm).run();
    assert!(report.violations.is_empty(), "{report}");
    let keys = report.keys[1].iter();
    keys.map(|it| (it.digit, it.via, it.held_ms)).collect()
}

// covers: RFC 4733 §2.5, RFC 6086 §4
#[test]
fn keys_arrive_once_each_the_way_the_far_end_takes_them() {
    let modes = [
        (Dtmf::Rfc4733, DtmfVia::Rfc4733),
        (Dtmf::Info, DtmfVia::Info),
        (Dtmf::InBand, DtmfVia::InBand),
    ];
    for (from, _) in modes {
        for (to, via) in modes {
            let got = arrives(from, to);
            let digits: String = got.iter().map(|it| it.0).collect();
            assert_eq!(digits, KEYS, "{from:?} to {to:?}: {got:?}");
            for (_, by, held_ms) in &got {
                assert_eq!(*by, via, "{from:?} to {to:?}: {got:?}");
                // No tone is heard beside an event or an INFO: the world's laws of sound would tell.
                // Within a frame either way of the 100 ms that the key was held, and as much again for
                // what a detector of tones takes at their ends.
                let off = i32::from(*held_ms) - 100;
                assert!(off.abs() <= 40, "{from:?} to {to:?}: {got:?}");
            }
        }
    }
}
