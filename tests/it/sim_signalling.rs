//! Signalling worlds: many, cheap, without a sample of sound.

use sim::{Depth, Fault, Stage, Swarm, World};

use crate::harness::{assert_whole, run, seeds, worlds};

/// In an ordinary test run.
const USUAL: u64 = 250;

#[test]
fn no_signalling_world_breaks_a_law() {
    let count = seeds(USUAL);
    assert_whole(&worlds(Depth::Signalling, |done, _| done >= count));
}

#[test]
fn a_signalling_world_runs_twice_to_the_same_digest() {
    let stage = Stage::new().unwrap();
    for seed in 1..=10 {
        let [a, b] = [(); 2].map(|()| run(&stage, seed, Depth::Signalling));
        assert_eq!((a.digest, a.steps), (b.digest, b.steps), "seed {seed}");
        assert!(a.outputs > 10, "seed {seed} did nothing");
    }
}

#[test]
fn the_canary_sings() {
    let stage = Stage::new().unwrap();
    let planted = [
        (Fault::LoseRecord, "has no record"),
        (Fault::RefuseTwice, "two final responses"),
        (Fault::SpeakAfterEnd, "began twice"),
    ];
    for (fault, says) in planted {
        let found = (1..=20).find_map(|seed| {
            let swarm = Swarm::draw(seed, Depth::Signalling).with(fault);
            let report = World::new(&stage, swarm).run();
            report.violations.first().cloned()
        });
        let found = found.unwrap_or_else(|| panic!("{fault:?} was planted and not found"));
        assert!(found.what.contains(says), "{fault:?}: {found:?}");
    }
}
