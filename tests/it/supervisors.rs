//! A supervisor on a plain call, by sound: who hears whom in each mode, that the call is relayed before and after,
//! and what becomes of each when another goes.

use std::time::Duration;

use sip::message::{Message, Method};
use tandem::call::{CallId, Cause, Party};
use tandem::conference::{Mode, NotSupervised};
use tandem::control::What;

use crate::lab::Lab;

/// Where a peer is, and what he says.
type Peer = (&'static str, f32);

/// Who calls.
const ANN: (&str, f32) = ("10.9.0.1:5060", 440.0);
/// The agent, whom her call rings.
const BOB: (&str, f32) = ("10.9.0.2:5060", 1_000.0);
/// The supervisor.
const CAT: (&str, f32) = ("10.9.0.3:5060", 1_300.0);
const DAN: (&str, f32) = ("10.9.0.4:5060", 1_700.0);

/// What taps do with a voice would do away with a tone.
const CONFIG: &str = "[trunks.callers]\naddresses = [\"10.9.0.1\", \"10.9.0.3\", \"10.9.0.4\"]\n\
                      noise = \"off\"\ngain = \"off\"\necho = \"off\"\n\
                      [endpoints.bob]\nnoise = \"off\"\ngain = \"off\"\necho = \"off\"\npassword = \"secret\"\ncontact = \"sip:bob@10.9.0.2:5060\"\n";

/// 1 rings the agent, 2 leads to a desk, what else to a prompt that goes on.
const PLAN: &str = "dialplan version=1\nentry did=\"1\" flow=\"ring\"\nentry did=\"2\" flow=\"desk\"\n\
                    entry did=\"3\" flow=\"listen\"\n\
                    flow \"ring\" {\n dial \"bob\" {\n on completed {\n play \"bye.wav\"\n play \"bye.wav\"\n }\n }\n}\n\
                    flow \"desk\" {\n conference \"desk\"\n}\n\
                    flow \"listen\" {\n gather timeout=\"60s\"\n}\n";

fn lab(workers: u8) -> Lab {
    let mut lab = Lab::sounding_on(workers, CONFIG, PLAN);
    for (remote, hz) in [ANN, BOB, CAT, DAN] {
        lab.speaks(remote, hz);
    }
    lab
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Somebody calls a number and is answered: his call, and our answer.
fn calls(lab: &mut Lab, who: (&str, f32), number: &str) -> (CallId, Message) {
    let known = ids(lab);
    lab.invite(who.0, number, "");
    lab.pass(ms(300));
    answered(lab, who, &known)
}

fn ids(lab: &Lab) -> Vec<CallId> {
    lab.control
        .calls(lab.now)
        .iter()
        .map(|it| it.call)
        .collect()
}

fn answered(lab: &mut Lab, who: (&str, f32), known: &[CallId]) -> (CallId, Message) {
    let got = lab.take(who.0).into_iter();
    let answer = got.rev().find(|it| it.status() == Some(200));
    let mine = ids(lab).into_iter().find(|it| !known.contains(it));
    mine.zip(answer)
        .unwrap_or_else(|| panic!("no call: {}", lab.troubles()))
}

/// Ann and the agent talk: the call, our answer to her, and our INVITE to him.
fn talk(lab: &mut Lab) -> (CallId, Message, Message) {
    let known = ids(lab);
    lab.invite(ANN.0, "1", "");
    lab.pass(ms(100));
    let invite = lab.invited(BOB.0).unwrap();
    lab.reply(BOB.0, &invite, 200, "");
    lab.pass(ms(300));
    let (call, answer) = answered(lab, ANN, &known);
    (call, answer, invite)
}

/// Requires of each that he hears those and nobody else, once playout has found its delay.
fn hear(lab: &mut Lab, what: &str, table: &[(Peer, &[Peer])]) {
    lab.pass(ms(2_000));
    let all = [ANN.1, BOB.1, CAT.1, DAN.1];
    for (who, heard) in table {
        let wanted: Vec<f32> = heard.iter().map(|it| it.1).collect();
        assert_eq!(
            lab.hears(who.0, &all),
            wanted,
            "{what}: {} ({} Hz)",
            who.0,
            who.1
        );
    }
}

fn supervise(lab: &mut Lab, calls: (CallId, CallId), mode: Mode) {
    lab.control.supervise(lab.now, calls, mode).unwrap();
    lab.pass(ms(100));
}

/// Packets of each leg that were passed on undecoded in a second; of both about fifty, if the call is relayed.
fn relayed(lab: &mut Lab, call: CallId) -> u64 {
    let sum = |lab: &Lab| -> u64 {
        let legs = lab.control.figures_now(call);
        assert_eq!(legs.len(), 2);
        legs.iter().map(|leg| leg.stats.relayed).sum()
    };
    // Counters are told each second.
    lab.pass(ms(1_100));
    let before = sum(lab);
    lab.pass(ms(2_000));
    (sum(lab) - before) / 4
}

fn is_told_the_end(lab: &mut Lab, who: (&str, f32)) -> bool {
    let mut got = lab.take(who.0).into_iter();
    let bye = got.find(|it| it.method() == Some(Method::Bye));
    if let Some(bye) = &bye {
        lab.takes(who.0, bye);
    }
    bye.is_some()
}

#[test]
fn a_supervisor_listens_whispers_to_either_barges_in_and_leaves_a_relayed_call() {
    for workers in [1, 2, 3] {
        let mut lab = lab(workers);
        let (cat, _) = calls(&mut lab, CAT, "2");
        let (call, ann, _) = talk(&mut lab);
        let both = (call, cat);
        assert!(relayed(&mut lab, call) > 45);
        hear(
            &mut lab,
            "alone",
            &[(ANN, &[BOB]), (BOB, &[ANN]), (CAT, &[])],
        );
        supervise(&mut lab, both, Mode::Listen);
        let told = lab.control.supervision(call).unwrap();
        assert_eq!((told.supervisor, told.mode), (cat, Mode::Listen));
        let listens: [(_, &[_]); 3] = [(ANN, &[BOB]), (BOB, &[ANN]), (CAT, &[ANN, BOB])];
        hear(&mut lab, "listen", &listens);
        assert_eq!(relayed(&mut lab, call), 0);
        for (party, peer) in [(Party::Caller, ANN), (Party::Callee, BOB)] {
            supervise(&mut lab, both, Mode::Tap(party));
            let taps: [(_, &[_]); 3] = [(ANN, &[BOB]), (BOB, &[ANN]), (CAT, &[peer])];
            hear(&mut lab, "taps one", &taps);
        }
        supervise(&mut lab, both, Mode::Whisper(Party::Callee));
        let whispers: [(_, &[_]); 3] = [(ANN, &[BOB]), (BOB, &[ANN, CAT]), (CAT, &[ANN, BOB])];
        hear(&mut lab, "whisper", &whispers);
        supervise(&mut lab, both, Mode::Whisper(Party::Caller));
        let whispers: [(_, &[_]); 3] = [(ANN, &[BOB, CAT]), (BOB, &[ANN]), (CAT, &[ANN, BOB])];
        hear(&mut lab, "whisper to the caller", &whispers);
        supervise(&mut lab, both, Mode::Barge);
        let barges: [(_, &[_]); 3] = [(ANN, &[BOB, CAT]), (BOB, &[ANN, CAT]), (CAT, &[ANN, BOB])];
        hear(&mut lab, "barge", &barges);
        supervise(&mut lab, both, Mode::Listen);
        hear(&mut lab, "listen again", &listens);
        assert!(lab.control.dismiss(lab.now, call) && !lab.control.dismiss(lab.now, call));
        hear(
            &mut lab,
            "dismissed",
            &[(ANN, &[BOB]), (BOB, &[ANN]), (CAT, &[])],
        );
        assert!(relayed(&mut lab, call) > 45);
        let desk = lab.control.conference(lab.now, "desk").unwrap();
        assert_eq!(desk.room.members.len(), 1, "he is back");
        lab.request(ANN.0, &ann, "BYE");
        lab.control.hang_up_all(lab.now, Cause::Normal);
        lab.pass(ms(100));
        assert!(is_told_the_end(&mut lab, BOB) && is_told_the_end(&mut lab, CAT));
        lab.nothing_is_left();
        assert!(lab.troubles().is_empty(), "{}", lab.troubles());
    }
}

#[test]
fn whoever_goes_leaves_the_others_as_they_were_before() {
    let mut lab = lab(2);
    let (cat, answer) = calls(&mut lab, CAT, "2");
    let (call, ..) = talk(&mut lab);
    supervise(&mut lab, (call, cat), Mode::Barge);
    // The supervisor hangs up.
    lab.request(CAT.0, &answer, "BYE");
    lab.pass(ms(100));
    assert!(lab.control.supervision(call).is_none());
    hear(
        &mut lab,
        "he hung up",
        &[(ANN, &[BOB]), (BOB, &[ANN]), (CAT, &[])],
    );
    assert!(relayed(&mut lab, call) > 45);
    // Another comes, and the agent hangs up: she goes on in her plan, he is at his desk again.
    let (dan, _) = calls(&mut lab, DAN, "2");
    supervise(&mut lab, (call, dan), Mode::Barge);
    hear(
        &mut lab,
        "another",
        &[(ANN, &[BOB, DAN]), (BOB, &[ANN, DAN]), (DAN, &[ANN, BOB])],
    );
    let leg = lab.control.supervision(call).unwrap().supervisor;
    assert_eq!(leg, dan);
    lab.control.hang_up(lab.now, call, Cause::Normal);
    lab.pass(ms(100));
    assert!(is_told_the_end(&mut lab, ANN) && is_told_the_end(&mut lab, BOB));
    let desk = lab.control.conference(lab.now, "desk").unwrap();
    assert_eq!(desk.room.members[0].call, dan);
    let (cat, _) = calls(&mut lab, CAT, "2");
    hear(&mut lab, "at the desk", &[(CAT, &[DAN]), (DAN, &[CAT])]);
    for gone in [cat, dan] {
        lab.control.hang_up(lab.now, gone, Cause::Normal);
    }
    lab.pass(ms(100));
    assert!(is_told_the_end(&mut lab, CAT) && is_told_the_end(&mut lab, DAN));
    lab.nothing_is_left();
    assert!(lab.troubles().is_empty(), "{}", lab.troubles());
}

#[test]
fn a_call_whose_agent_hangs_up_is_supervised_no_more_and_its_plan_goes_on() {
    let mut lab = lab(1);
    // One who came to no room goes back to his plan.
    let (cat, _) = calls(&mut lab, CAT, "3");
    let (call, _, invite) = talk(&mut lab);
    supervise(&mut lab, (call, cat), Mode::Barge);
    lab.within(BOB.0, &invite, "BYE", "");
    lab.pass(ms(100));
    assert!(lab.control.supervision(call).is_none());
    hear(&mut lab, "the agent is gone", &[(ANN, &[]), (CAT, &[])]);
    assert!(ids(&lab).contains(&cat));
    let told: Vec<Option<Mode>> = lab
        .events
        .iter()
        .filter_map(|event| match event {
            What::Supervision { by, is } if *by == cat => Some(*is),
            _ => None,
        })
        .collect();
    assert_eq!(told, [Some(Mode::Barge), None]);
    lab.control.hang_up_all(lab.now, Cause::Normal);
    lab.pass(ms(100));
    assert!(is_told_the_end(&mut lab, ANN) && is_told_the_end(&mut lab, CAT));
    lab.nothing_is_left();
}

#[test]
fn what_cannot_be_supervised_is_refused_and_the_call_goes_on_relayed() {
    let mut lab = lab(2);
    let (call, ..) = talk(&mut lab);
    let (cat, _) = calls(&mut lab, CAT, "2");
    let (dan, _) = calls(&mut lab, DAN, "3");
    let none = CallId(1);
    let table = [
        ((none, cat), NotSupervised::NoCall(none)),
        ((call, none), NotSupervised::NoCall(none)),
        ((dan, cat), NotSupervised::NotBridged(dan)),
        // A party cannot supervise its own call.
        ((call, call), NotSupervised::NotFree(call)),
    ];
    for (calls, why) in table {
        let asked = lab.control.supervise(lab.now, calls, Mode::Barge);
        assert_eq!(asked, Err(why));
    }
    supervise(&mut lab, (call, cat), Mode::Listen);
    let asked = lab.control.supervise(lab.now, (call, dan), Mode::Barge);
    assert_eq!(asked, Err(NotSupervised::Taken(call)));
    hear(
        &mut lab,
        "refused",
        &[(ANN, &[BOB]), (BOB, &[ANN]), (CAT, &[ANN, BOB]), (DAN, &[])],
    );
    assert!(lab.control.dismiss(lab.now, call));
    assert!(relayed(&mut lab, call) > 45);
}

#[test]
fn a_muted_party_of_a_plain_call_hears_and_is_not_heard() {
    let mut lab = lab(1);
    let (call, ..) = talk(&mut lab);
    let now = lab.now;
    assert!(lab.control.mute(now, call, Party::Caller, true));
    hear(&mut lab, "muted", &[(ANN, &[BOB]), (BOB, &[])]);
    assert_eq!(lab.control.muted(call), [Party::Caller]);
    assert!(lab.control.mute(lab.now, call, Party::Caller, false));
    hear(&mut lab, "heard again", &[(ANN, &[BOB]), (BOB, &[ANN])]);
    assert!(relayed(&mut lab, call) > 45);
    assert!(lab.control.muted(call).is_empty());
    assert!(!lab.control.mute(lab.now, call, Party::Server, true));
    assert!(!lab.control.mute(lab.now, CallId(1), Party::Caller, true));
}
