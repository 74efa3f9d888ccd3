//! Trunks by sound: a caller's call goes out by a carrier with several targets, and whoever answers hears
//! the caller and is heard. Each defence has its control: switched off, the call does not come about.

mod commands;
mod hunting;
mod named;
mod refreshed;
mod registering;
mod rewritten;
mod watched;
mod zone;

use std::time::Duration;

use sip::message::{Message, Method};

use crate::lab::Lab;

/// Who calls, by a trunk of his own, and what he says.
const CALLER: (&str, f32) = ("10.9.0.1:5060", 440.0);
/// A carrier's targets, and what each says.
const ONE: (&str, f32) = ("10.9.1.1:5060", 1_000.0);
const TWO: (&str, f32) = ("10.9.1.2:5060", 1_300.0);
const THREE: (&str, f32) = ("10.9.1.3:5060", 1_700.0);

const PLAN: &str = r#"
dialplan version=1 tz="UTC"
entry pattern="*" flow="out"
flow "out" { dial "+33142685300" trunk="acme" timeout="60s"; hangup; }
"#;

/// A bench with sound, the caller's trunk, and a trunk `acme` of these keys.
fn lab(acme: &str) -> Lab {
    let mut lab = Lab::sounding(&configuration(acme), PLAN);
    for (remote, hz) in [CALLER, ONE, TWO, THREE] {
        lab.speaks(remote, hz);
    }
    lab
}

fn configuration(acme: &str) -> String {
    let ip = CALLER.0.split(':').next().unwrap();
    format!("[trunks.caller]\naddresses = [\"{ip}\"]\n[trunks.acme]\n{acme}\n")
}

/// The trunk `acme` has other keys from now on.
fn reload(lab: &mut Lab, acme: &str) {
    lab.reload(&configuration(acme), PLAN);
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The caller's call, if somebody is to be asked: what we answered him last.
fn final_of(lab: &mut Lab) -> Option<Message> {
    let got = lab.take(CALLER.0);
    got.into_iter()
        .rfind(|it| it.status().is_some_and(|status| status >= 200))
}

/// Requires an INVITE at a target.
fn invite_at(lab: &mut Lab, target: (&str, f32)) -> Message {
    let troubles = lab.troubles();
    let invite = lab.invited(target.0);
    invite.unwrap_or_else(|| panic!("no INVITE at {}: {troubles}", target.0))
}

/// A target answers the INVITE; it and the caller hear each other, the caller hangs up, the target is
/// told, and nothing is left.
fn talk(lab: &mut Lab, target: (&str, f32), invite: &Message) -> String {
    lab.reply(target.0, invite, 200, "");
    lab.pass(ms(50));
    let answer = final_of(lab).unwrap_or_else(|| panic!("no answer: {}", lab.troubles()));
    assert_eq!(answer.status(), Some(200), "{}", lab.troubles());
    let levels = lab.hear_each_other(CALLER, target);
    let got = lab.take(target.0);
    assert!(got.iter().any(|it| it.method() == Some(Method::Ack)));
    lab.request(CALLER.0, &answer, "BYE");
    ended_at(lab, target);
    lab.nothing_is_left();
    lab.take(CALLER.0);
    format!("heard at {:.1} and {:.1} dBFS", levels.0, levels.1)
}

/// How many of 1,000 calls each target gets; it refuses them.
fn a_thousand_calls(lab: &mut Lab) -> [i32; 3] {
    // The caller must be known to hear us, or it may not have so many calls.
    lab.invite(CALLER.0, "+15550001", "");
    let asked = [ONE, TWO]
        .into_iter()
        .find_map(|target| Some((target, lab.invited(target.0)?)));
    let (target, invite) = asked.unwrap();
    talk(lab, target, &invite);
    let mut came = [0; 3];
    for n in 0..1_000 {
        let call = lab.invite(CALLER.0, "+15550001", "");
        for (place, target) in [ONE, TWO, THREE].into_iter().enumerate() {
            if let Some(invite) = lab.invited(target.0) {
                came[place] += 1;
                lab.reply(target.0, &invite, 486, "");
            }
        }
        lab.acknowledge(CALLER.0, &call);
        lab.take(CALLER.0);
        if n % 50 == 0 {
            lab.pass(ms(10_000));
        }
    }
    came
}

/// A target is told the end, and takes it.
fn ended_at(lab: &mut Lab, target: (&str, f32)) {
    lab.pass(ms(50));
    let got = lab.take(target.0);
    let bye = got.iter().find(|it| it.method() == Some(Method::Bye));
    let bye = bye
        .unwrap_or_else(|| panic!("no BYE at {}", target.0))
        .clone();
    lab.takes(target.0, &bye);
}
