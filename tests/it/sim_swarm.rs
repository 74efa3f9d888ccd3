//! The full swarm: every packet of every stream, on every path.

use std::time::Duration;

use sim::{Depth, Fault, Stage, Swarm, World};

use crate::harness::{assert_whole, run, seeds, worlds};

/// In an ordinary test run; five call-seconds a seed.
const USUAL: u64 = 200;

#[test]
fn no_world_of_the_full_swarm_breaks_a_law() {
    let wanted = Duration::from_secs(5 * seeds(USUAL));
    assert_whole(&worlds(Depth::Full, |_, lasted| lasted >= wanted));
}

#[test]
fn a_world_with_sound_runs_twice_to_the_same_digest() {
    let stage = Stage::new().unwrap();
    for seed in 1..=2 {
        let [a, b] = [(); 2].map(|()| run(&stage, seed, Depth::Full));
        assert_eq!((a.digest, a.steps), (b.digest, b.steps), "seed {seed}");
        assert!(a.outputs > 100, "seed {seed} did nothing");
    }
}

#[test]
fn a_canary_that_stutters_is_heard() {
    let stage = Stage::new().unwrap();
    let found = (1..=20).find_map(|seed| {
        let swarm = Swarm::draw(seed, Depth::Full).with(Fault::Stutter);
        let report = World::new(&stage, swarm).run();
        report.violations.first().cloned()
    });
    let found = found.unwrap_or_else(|| panic!("a stutter was planted and not found"));
    assert!(found.what.contains("sequence stepped by 0"), "{found:?}");
}
