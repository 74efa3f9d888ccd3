//! One sentence in every place: the event that is logged, the record, the ring, the response header.

use sip::message::Message;
use tandem::control::What;
use tandem::explain::Explanation;

use crate::lab::Lab;

const CARRIER: &str = "203.0.113.7:5060";

const PLAN: &str = "dialplan version=1\nentry did=\"100\" flow=\"desk\"\nflow \"desk\" {\n  dial \"anna\"\n  \
                    hangup cause=\"unreachable\"\n}\n";

fn lab(header: bool) -> Lab {
    let toml = format!(
        "[trunks.acme]\naddresses = [\"203.0.113.7\"]\nexplain_header = {header}\n\
         [endpoints.anna]\npassword = \"secret\"\nsources = [\"10.0.0.0/8\"]\n"
    );
    Lab::new(&toml, PLAN)
}

fn told(lab: &mut Lab, remote: &str) -> Option<String> {
    let got = lab.take(remote);
    let last = got
        .iter()
        .rfind(|it| it.status().is_some_and(|it| it >= 300));
    let header = |it: &Message| it.header_named("X-Tandem-Explain").map(str::to_owned);
    last.and_then(header)
}

fn logged(lab: &Lab) -> Vec<Explanation> {
    let said = lab.events.iter().filter_map(|it| match it {
        What::Refused { why, .. } | What::Trouble(why) => Some(why.clone()),
        _ => None,
    });
    said.collect()
}

#[test]
fn a_refusal_says_the_same_in_the_log_in_the_ring_and_in_the_header_that_its_trunk_is_to_see() {
    let mut open = lab(true);
    let invite = open.invite(CARRIER, "101", "");
    let why = logged(&open).remove(0);
    assert_eq!(why.id, "no-entry-nearest");
    assert_eq!(told(&mut open, CARRIER), Some(why.to_string()));
    let call_id = invite.call_id().unwrap();
    let kept: Vec<_> = open.control.refusals().of_call(call_id).collect();
    assert_eq!((kept.len(), &kept[0].why, kept[0].status), (1, &why, 404));

    let mut closed = lab(false);
    closed.invite(CARRIER, "101", "");
    assert_eq!(told(&mut closed, CARRIER), None);
    assert_eq!(logged(&closed), [why]);
}

#[test]
fn a_call_that_fails_later_has_the_same_sentence_in_its_record_and_in_the_header() {
    let mut lab = lab(true);
    lab.invite(CARRIER, "100", "");
    lab.pass(std::time::Duration::from_secs(40));
    let why = logged(&lab).remove(0);
    assert_eq!(why.id, "endpoint-not-registered");
    assert_eq!(told(&mut lab, CARRIER), Some(why.to_string()));
    assert_eq!(lab.records[0].refusal.as_ref(), Some(&why));
    let id = lab.records[0].call.to_string();
    assert_eq!(
        lab.control.refusals().of_call(&id).next().map(|it| &it.why),
        Some(&why)
    );
}

#[test]
fn strangers_who_knock_without_end_do_not_push_out_a_customers_call() {
    let mut lab = lab(false);
    let lost = lab.invite(CARRIER, "101", "");
    for port in 1..=3_000 {
        let text = format!(
            "OPTIONS sip:x@y SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.9;branch=z9hG4bKs{port}\r\n\
             From: <sip:scan@x>;tag=1\r\nTo: <sip:x@y>\r\nCall-ID: scan{port}\r\nCSeq: 1 OPTIONS\r\n\
             Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        );
        lab.receive(&format!("198.51.100.9:{port}"), text);
    }
    let kept = lab.control.refusals();
    assert!(kept.of_call(lost.call_id().unwrap()).next().is_some());
    assert!(kept.iter().count() <= 2 * tandem::control::REFUSALS_KEPT);
}

#[test]
fn a_full_disk_of_recordings_is_told_at_once_and_is_no_reason_of_the_calls_end() {
    let plan = "dialplan version=1\nentry did=\"100\" flow=\"desk\"\nflow \"desk\" {\n  answer\n  \
                gather timeout=\"60s\"\n}\n";
    let toml = "[trunks.acme]\naddresses = [\"203.0.113.7\"]\n";
    let mut lab = Lab::new(toml, plan);
    lab.invite(CARRIER, "100", "");
    let call = lab.control.calls(lab.now)[0].call;
    let file = || "day/a.wav".to_owned();
    lab.control.recording_stalled(lab.now, call, file());
    // One that is over already has nobody to be told of.
    let gone = tandem::call::CallId(77);
    lab.control.recording_stalled(lab.now, gone, file());
    lab.pass(std::time::Duration::from_millis(10));
    let told = logged(&lab);
    assert_eq!((told.len(), told[0].id), (1, "recording-disk-full"));
    assert!(told[0].to_string().contains("day/a.wav"));
    assert_eq!(lab.control.calls(lab.now).len(), 1);
    lab.control
        .hang_up_all(lab.now, tandem::call::Cause::Normal);
    lab.pass(std::time::Duration::from_secs(40));
    assert_eq!(lab.records[0].refusal, None);
}
