//! Targets watched by OPTIONS (RFC 3261 §11): one that is down is left out, and comes back.

use std::time::Duration;

use sip::message::{Message, Method};
use tandem::control::What;
use tandem::trunk::TargetState;

use super::{CALLER, ONE, TWO, final_of, invite_at, lab, ms, talk};
use crate::lab::Lab;

const WATCHED: &str = "send_to = [\"10.9.1.1\", \"10.9.1.2\"]
[trunks.acme.health]
interval = \"10s\"
timeout = \"2s\"
down_after = 3
up_after = 2";

/// Lets time pass while targets answer OPTIONS with these statuses; 0 is silence.
fn watch(lab: &mut Lab, secs: u64, statuses: [u16; 2]) -> [usize; 2] {
    let mut asked = [0; 2];
    for _ in 0..secs * 2 {
        lab.pass(Duration::from_millis(500));
        for (place, target) in [ONE, TWO].into_iter().enumerate() {
            for message in lab.take(target.0) {
                if message.method() == Some(Method::Options) {
                    asked[place] += 1;
                    answer(lab, target.0, &message, statuses[place]);
                }
            }
        }
    }
    asked
}

fn answer(lab: &mut Lab, remote: &str, options: &Message, status: u16) {
    if status > 0 {
        let reply = sip::message::Builder::response(options, status, "said").to_tag("far");
        lab.receive(remote, reply.build().unwrap().bytes().clone());
    }
}

fn states(lab: &Lab) -> Vec<TargetState> {
    let trunks = lab.control.trunk_snapshots(lab.now);
    let acme = trunks.into_iter().find(|it| it.name == "acme").unwrap();
    acme.targets.iter().map(|it| it.state).collect()
}

// covers: RFC 3261 §11
#[test]
fn a_target_that_is_down_is_left_out_and_taken_again_when_it_is_back() {
    let mut lab = lab(WATCHED);
    let asked = watch(&mut lab, 15, [200, 200]);
    assert!(asked[0] >= 1 && asked[1] >= 1, "{asked:?}");
    assert_eq!(states(&lab), [TargetState::Up; 2]);
    watch(&mut lab, 35, [0, 200]);
    assert_eq!(states(&lab), [TargetState::Down, TargetState::Up]);
    let told = lab.events.iter().any(|it| {
        matches!(it, What::Target { state: TargetState::Down, why, .. } if why == "no answer to OPTIONS")
    });
    assert!(told, "{:?}", lab.events);
    // The first target is not even asked: the caller waits for nobody's silence.
    lab.invite(CALLER.0, "+15550001", "");
    assert!(lab.invited(ONE.0).is_none());
    let invite = invite_at(&mut lab, TWO);
    println!(
        "past the one that is down: {}",
        talk(&mut lab, TWO, &invite)
    );
    watch(&mut lab, 12, [200, 200]);
    watch(&mut lab, 12, [200, 200]);
    assert_eq!(states(&lab), [TargetState::Up; 2]);
    lab.invite(CALLER.0, "+15550001", "");
    let invite = invite_at(&mut lab, ONE);
    println!("back again: {}", talk(&mut lab, ONE, &invite));
}

/// The control: nobody watches, so the call itself finds the target silent.
#[test]
fn without_the_watch_the_caller_waits_for_the_silent_target() {
    let mut lab = lab("send_to = [\"10.9.1.1\", \"10.9.1.2\"]");
    assert_eq!(watch(&mut lab, 50, [0, 200]), [0, 0]);
    lab.invite(CALLER.0, "+15550001", "");
    invite_at(&mut lab, ONE);
    lab.pass(ms(3_900));
    assert!(lab.invited(TWO.0).is_none());
    lab.pass(ms(200));
    let invite = invite_at(&mut lab, TWO);
    talk(&mut lab, TWO, &invite);
    // What the one call found out spares the next one its wait.
    assert_eq!(states(&lab)[0], TargetState::Unknown);
}

#[test]
fn a_target_that_drains_gets_no_new_calls_and_when_all_are_down_the_least_bad_is_tried() {
    let mut lab = lab(WATCHED);
    watch(&mut lab, 15, [503, 200]);
    assert_eq!(states(&lab), [TargetState::Draining, TargetState::Up]);
    lab.invite(CALLER.0, "+15550001", "");
    let invite = invite_at(&mut lab, TWO);
    talk(&mut lab, TWO, &invite);
    watch(&mut lab, 40, [503, 0]);
    assert_eq!(states(&lab), [TargetState::Draining, TargetState::Down]);
    lab.invite(CALLER.0, "+15550001", "");
    let invite = invite_at(&mut lab, ONE);
    assert!(
        lab.troubles().contains("trunk-all-down"),
        "{}",
        lab.troubles()
    );
    lab.reply(ONE.0, &invite, 503, "");
    lab.pass(ms(50));
    assert!(lab.invited(TWO.0).is_some());
    assert!(final_of(&mut lab).is_none());
}
