//! A server that is behind, in virtual time: serving a message costs it a fixed time, callers call at
//! several times what that allows, give up, and try again as SIP tells them to.

use std::collections::BTreeMap;
use std::time::Duration;

use clock::Now;
use sip::message::{Message, Name};
use tandem::control::{Output, OverloadCounts, What};

use crate::lab::{Lab, SERVER, invite_text};

const CARRIER: &str = "10.9.8.7:5099";
const STRANGER: &str = "203.0.113.66:5060";

const TRUNKS: &str = "[trunks.near]\naddresses = [\"10.9.8.7\"]\nsend_to = [\"10.9.8.7:5060\"]\n\
                      [emergency]\nnumbers = [\"112\"]\ndialplan = true\n[limits]\ncalls = 100000\n";

const PLAN: &str = r#"
dialplan version=1 tz="UTC"
entry pattern="*" flow="answered"
flow "answered" {
  answer
  gather timeout="10m"
}
"#;

const OFF: &str = "[overload]\nenabled = false\n";

/// What serving a new call costs, and what everything else does: some 370 calls a second.
const INVITE_COSTS: Duration = Duration::from_millis(2);
const OTHER_COSTS: Duration = Duration::from_micros(350);
const CAPACITY: f64 = 370.0;
/// How long a caller listens to nothing.
const PATIENCE: Duration = Duration::from_secs(4);

fn lab(overload: &str) -> Lab {
    Lab::new(&format!("{TRUNKS}{overload}"), PLAN)
}

/// A request of the caller after its INVITE.
fn later(method: &str, invite: &Message, tag: &str, cseq: u32) -> String {
    let line = |name| invite.header(name).unwrap();
    let (to, from, id) = (line(Name::To), line(Name::From), line(Name::CallId));
    format!(
        "{method} sip:{SERVER} SIP/2.0\r\nVia: SIP/2.0/UDP {CARRIER};branch=z9hG4bK{method}{id}\r\n\
         From: {from}\r\nTo: {to};tag={tag}\r\nCall-ID: {id}\r\nCSeq: {cseq} {method}\r\n\
         Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

struct Call {
    invite: Message,
    begun: Now,
    /// The moment of the INVITE sent last.
    sent: Now,
    tries: u32,
    over: bool,
}

/// What callers came to see.
#[derive(Default)]
struct Seen {
    /// Answered within their patience, by the second in which they began.
    good: Vec<f64>,
    refused_ms: Vec<u128>,
    answered_ms: Vec<(Now, u128)>,
    silent: u32,
}

/// Callers, and a server whose time is spent by what it serves.
struct Stress {
    lab: Lab,
    calls: BTreeMap<String, Call>,
    /// INVITEs to be sent again.
    again: BTreeMap<(Now, String), ()>,
    busy_until: Now,
    seen: Seen,
    serial: u32,
    /// What of an INVITE the gate has let through since it last let one pass.
    passed: f64,
}

impl Stress {
    fn new(overload: &str) -> Self {
        Self {
            lab: lab(overload),
            calls: BTreeMap::new(),
            again: BTreeMap::new(),
            busy_until: Now::ZERO,
            seen: Seen::default(),
            serial: 0,
            passed: 0.0,
        }
    }

    /// An INVITE comes to the server's socket, and past the gate there or not.
    fn knock(&mut self, bytes: bytes::Bytes) {
        let pass = self.lab.gates.last().map_or(1_000, |gate| gate.pass.calls);
        self.passed += f64::from(pass) / 1_000.0;
        if self.passed >= 1.0 {
            self.passed -= 1.0;
            self.lab.offer(CARRIER, bytes);
        }
    }

    /// Callers call `rate` times a second for `span`, evenly.
    fn run(&mut self, rate: f64, span: Duration) {
        let (start, end) = (self.lab.now, self.lab.now + span);
        let gap = Duration::from_secs_f64(1.0 / rate);
        let mut next = start;
        while self.lab.now < end {
            while next <= self.lab.now {
                self.call();
                next += gap;
            }
            self.repeat();
            if self.lab.now >= self.busy_until {
                self.serve();
            }
            self.hear();
            let step = next.min(end);
            self.lab.now = if self.lab.has_waiting() {
                step.min(self.busy_until.max(self.lab.now + Duration::from_micros(1)))
            } else {
                step
            };
            self.lab.tick();
        }
    }

    fn call(&mut self) {
        self.serial += 1;
        let text = invite_text(CARRIER, "+4930123456", "", self.serial);
        let invite = Message::parse(text.into()).unwrap();
        let id = invite.header(Name::CallId).unwrap().to_owned();
        let now = self.lab.now;
        self.knock(invite.bytes().clone());
        self.again.insert((now + T1, id.clone()), ());
        let call = Call {
            invite,
            begun: now,
            sent: now,
            tries: 1,
            over: false,
        };
        self.calls.insert(id, call);
    }

    /// Timer A (RFC 3261 §17.1.1.2), until the caller gives up.
    fn repeat(&mut self) {
        let now = self.lab.now;
        while let Some(((due, id), ())) = self.again.pop_first() {
            if due > now {
                self.again.insert((due, id), ());
                return;
            }
            let Some(call) = self.calls.get_mut(&id).filter(|it| !it.over) else {
                continue;
            };
            if now.since(call.begun) > PATIENCE {
                call.over = true;
                self.seen.silent += 1;
                continue;
            }
            call.sent = now;
            let bytes = call.invite.bytes().clone();
            self.again.insert((now + T1 * (1 << call.tries), id), ());
            call.tries += 1;
            self.knock(bytes);
        }
    }

    fn serve(&mut self) {
        let Some(begins) = self.lab.work() else {
            return;
        };
        let costs = if begins { INVITE_COSTS } else { OTHER_COSTS };
        self.busy_until = self.lab.now + costs;
    }

    /// Callers take what they are sent.
    fn hear(&mut self) {
        let now = self.lab.now;
        for message in self.lab.take(CARRIER) {
            let Some(status) = message.status().filter(|it| *it >= 200) else {
                continue;
            };
            let id = message.header(Name::CallId).unwrap();
            let Some(call) = self.calls.get_mut(id) else {
                continue;
            };
            let tag = message.to().unwrap().tag().unwrap().to_owned();
            let is_invite = message.cseq().unwrap().method_str == "INVITE";
            if !is_invite {
                self.calls.remove(id);
                continue;
            }
            let ack = later("ACK", &call.invite, &tag, 1);
            let was_over = std::mem::replace(&mut call.over, true);
            if status == 200 {
                let bye = later("BYE", &call.invite, &tag, 2);
                if !was_over {
                    let took = now.since(call.begun);
                    self.seen.answered_ms.push((call.begun, took.as_millis()));
                    let second = usize::try_from(call.begun.as_millis() / 1_000).unwrap();
                    self.seen
                        .good
                        .resize(self.seen.good.len().max(second + 1), 0.0);
                    self.seen.good[second] += 1.0;
                }
                self.lab.offer(CARRIER, ack);
                self.lab.offer(CARRIER, bye);
            } else {
                assert!(message.header(Name::RetryAfter).is_some());
                self.seen.refused_ms.push(now.since(call.sent).as_millis());
                self.calls.remove(id);
                self.lab.offer(CARRIER, ack);
            }
        }
    }

    /// Calls that were served in each of the seconds but the first.
    fn goodput(&self, seconds: usize) -> f64 {
        let inner = self.seen.good.iter().skip(1).take(seconds - 1);
        inner.sum::<f64>() / (seconds - 1) as f64
    }
}

#[test]
fn beyond_what_is_carried_goodput_stays_and_refusals_are_quick() {
    for times in [3.0, 10.0] {
        let mut stress = Stress::new("");
        stress.run(CAPACITY * times, Duration::from_secs(6));
        let goodput = stress.goodput(5);
        assert!(
            goodput > 0.9 * CAPACITY,
            "{times}: {goodput} calls a second"
        );
        let mut refused = std::mem::take(&mut stress.seen.refused_ms);
        refused.sort_unstable();
        assert!(refused.len() > 1_000, "{times}: {} refused", refused.len());
        let p99 = refused[refused.len() * 99 / 100];
        assert!(p99 <= 5, "{times}: a 503 took {p99} ms");
        // And back: two seconds later nobody waits.
        let end = stress.lab.now;
        stress.run(CAPACITY / 2.0, Duration::from_secs(5));
        let late = stress
            .seen
            .answered_ms
            .iter()
            .filter(|(begun, took)| *begun > end + Duration::from_secs(2) && *took > 50);
        assert_eq!(late.count(), 0, "{times}");
        assert!(!stress.lab.counts().is_over);
    }
}

#[test]
fn without_overload_control_a_server_is_busy_with_callers_who_have_gone() {
    let mut stress = Stress::new(OFF);
    stress.run(CAPACITY * 10.0, Duration::from_secs(12));
    let late = stress.seen.good.iter().skip(6).take(5).sum::<f64>() / 5.0;
    assert!(
        late < 0.1 * CAPACITY,
        "{late} calls a second: nothing to defend against"
    );
}

#[test]
fn an_episode_is_told_once_when_it_begins_and_once_when_it_is_over() {
    let mut stress = Stress::new("");
    stress.run(CAPACITY * 3.0, Duration::from_secs(3));
    stress.run(CAPACITY / 4.0, Duration::from_secs(3));
    let told = |is: fn(&What) -> bool| stress.lab.events.iter().filter(|it| is(it)).count();
    assert_eq!(told(|it| matches!(it, What::Overloaded { .. })), 1);
    assert_eq!(
        told(|it| matches!(it, What::Relieved { refused, .. } if *refused > 500)),
        1
    );
    assert_eq!(
        told(|it| matches!(it, What::Refused { .. })),
        0,
        "a line a call"
    );
}

/// A server with as many waiting as may wait.
fn swamped(overload: &str) -> Lab {
    let mut lab = lab(&format!("[overload]\nwaiting = 16\n{overload}"));
    for serial in 1..=17 {
        let text = invite_text(CARRIER, "+4930123456", "", serial);
        lab.offer(CARRIER, text);
    }
    lab
}

fn offered(lab: &mut Lab, to: &str, serial: u32) -> Option<u16> {
    lab.take(CARRIER);
    lab.offer(CARRIER, invite_text(CARRIER, to, "", serial));
    lab.status(CARRIER)
}

#[test]
fn an_emergency_call_waits_for_nobody() {
    let mut lab = swamped("");
    assert_eq!(
        offered(&mut lab, "+4930123456", 50),
        Some(503),
        "the control"
    );
    assert_eq!(offered(&mut lab, "112", 51), None);
    assert_eq!(lab.work(), Some(true));
    let answered = lab.take(CARRIER);
    let ours = |it: &&Message| it.header(Name::CallId).unwrap().starts_with("near-51-");
    assert!(
        answered
            .iter()
            .any(|it| ours(&it) && it.status() == Some(200))
    );
}

#[test]
fn an_emergency_call_is_known_however_its_number_is_written() {
    for (uri, goes) in [
        ("sip:1-1-2@tandem", true),
        ("sip:%31%312@tandem", true),
        ("sips:112;phone-context=x@tandem", true),
        ("tel:112", true),
        ("sip:1120@tandem", false),
    ] {
        let mut lab = swamped("");
        lab.take(CARRIER);
        let text = invite_text(CARRIER, "+4930123456", "", 52);
        let (line, rest) = text.split_once("\r\n").unwrap();
        assert!(line.starts_with("INVITE "));
        lab.offer(CARRIER, format!("INVITE {uri} SIP/2.0\r\n{rest}"));
        let refused = lab.status(CARRIER) == Some(503);
        assert_eq!(refused, !goes, "{uri}");
    }
}

#[test]
fn a_call_that_goes_on_by_an_address_that_nobody_knows_is_served_before_strangers() {
    let mut lab = lab("");
    let text = invite_text(CARRIER, "+4930123456", "", 1);
    let invite = Message::parse(text.clone().into()).unwrap();
    lab.offer(CARRIER, text);
    while lab.work().is_some() {}
    let answer = lab.take(CARRIER).pop().unwrap();
    let tag = answer.to().unwrap().tag().unwrap().to_owned();
    lab.offer(CARRIER, later("ACK", &invite, &tag, 1));
    for n in 0..1_000 {
        lab.offer(STRANGER, options(STRANGER, n));
    }
    let bye = |tag: &str| later("BYE", &invite, tag, 2).replacen(CARRIER, STRANGER, 1);
    let before = lab.counts();
    lab.offer(STRANGER, bye("0123456789abcdef"));
    let after = lab.counts();
    assert_eq!(after.waiting, before.waiting, "the control: no tag of ours");
    lab.offer(STRANGER, bye(&tag));
    assert_eq!(lab.counts().waiting, before.waiting + 1);
    for _ in 0..3 {
        lab.work();
    }
    assert_eq!(lab.status(STRANGER), Some(200));
}

#[test]
fn an_answered_invite_that_is_repeated_is_answered_again_and_never_refused() {
    let mut lab = lab("[overload]\nwaiting = 16\n");
    let invite = invite_text(CARRIER, "+4930123456", "", 1);
    lab.offer(CARRIER, invite.clone());
    while lab.work().is_some() {}
    assert_eq!(lab.status(CARRIER), Some(200));
    for serial in 2..=18 {
        lab.offer(CARRIER, invite_text(CARRIER, "+4930123456", "", serial));
    }
    assert_eq!(
        lab.status(CARRIER),
        Some(503),
        "the control: others are refused"
    );
    lab.offer(CARRIER, invite);
    assert_eq!(lab.status(CARRIER), None, "no 503 behind a 200");
}

#[test]
fn the_ack_of_a_refusal_is_taken_for_what_it_is() {
    let mut lab = swamped("");
    let text = invite_text(CARRIER, "+4930123456", "", 60);
    lab.take(CARRIER);
    lab.offer(CARRIER, text.clone());
    let refusal = lab.take(CARRIER).pop().unwrap();
    let tag = refusal.to().unwrap().tag().unwrap().to_owned();
    let invite = Message::parse(text.into()).unwrap();
    let before = lab.counts().waiting;
    lab.offer(CARRIER, later("ACK", &invite, &tag, 1));
    assert_eq!(lab.counts().waiting, before, "nobody waits for it");
    lab.offer(CARRIER, later("ACK", &invite, "other", 1));
    assert_eq!(
        lab.counts().waiting,
        before + 1,
        "the control: another one is served"
    );
}

#[test]
fn retry_after_is_drawn_for_each() {
    let mut lab = swamped("retry_after = \"10s\"\n");
    lab.take(CARRIER);
    let mut drawn: Vec<u32> = (100..150)
        .map(|serial| {
            lab.offer(CARRIER, invite_text(CARRIER, "+4930123456", "", serial));
            let refusal = lab.take(CARRIER).pop().unwrap();
            refusal.header(Name::RetryAfter).unwrap().parse().unwrap()
        })
        .collect();
    drawn.sort_unstable();
    drawn.dedup();
    assert!(
        drawn.len() > 4 && drawn[0] >= 10 && drawn[drawn.len() - 1] <= 20,
        "{drawn:?}"
    );
}

fn options(remote: &str, n: u32) -> String {
    format!(
        "OPTIONS sip:{SERVER} SIP/2.0\r\nVia: SIP/2.0/UDP {remote};branch=z9hG4bKo{n}\r\n\
         From: <sip:a@{remote}>;tag=o\r\nTo: <sip:{SERVER}>\r\nCall-ID: o-{n}\r\n\
         CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

#[test]
fn what_nobody_asked_for_waits_behind_calls_is_bounded_and_has_its_turn() {
    let mut lab = lab("");
    for n in 0..10_000 {
        lab.offer(STRANGER, options(STRANGER, n));
    }
    lab.offer(CARRIER, options(CARRIER, 1));
    for serial in 1..=40 {
        lab.offer(CARRIER, invite_text(CARRIER, "+4930123456", "", serial));
    }
    let counts = lab.counts();
    assert!(counts.waiting <= 512 + 40, "{counts:?}");
    assert!(counts.rest_dropped > 9_000, "{counts:?}");
    let mut served = 0;
    for _ in 0..44 {
        lab.work();
        served += usize::from(lab.status(CARRIER) == Some(200));
    }
    assert!(served >= 40, "{served} of 40 calls were served in 44 turns");
}

#[test]
fn messages_of_calls_in_progress_are_never_more_than_their_bound() {
    let mut lab = lab(OFF);
    let text = invite_text(CARRIER, "+4930123456", "", 1);
    let invite = Message::parse(text.into()).unwrap();
    for _ in 0..20_000 {
        lab.offer(CARRIER, later("BYE", &invite, "x", 2));
    }
    let OverloadCounts {
        waiting,
        going_dropped,
        ..
    } = lab.counts();
    assert_eq!((waiting, going_dropped), (16_384, 20_000 - 16_384));
}

// covers: RFC 7339 §4.1, §4.3, §4.4, §5.4
#[test]
fn a_peer_that_heeds_our_load_is_told_to_send_less_and_when_that_is_over() {
    let mut stress = Stress::new("");
    let told = |stress: &mut Stress, serial: u32| {
        let text = invite_text(CARRIER, "+4930123456", "", serial);
        let branch = format!("z9hG4bKi{serial}");
        let offering = format!("{branch};oc;oc-algo=\"loss\"");
        let text = text.replacen(&branch, &offering, 1);
        stress.lab.take(CARRIER);
        stress.lab.offer(CARRIER, text);
        while stress.lab.work().is_some() {}
        let got = stress.lab.take(CARRIER);
        let theirs = |it: &&Message| {
            let id = it.header(Name::CallId).unwrap();
            id.starts_with(&format!("near-{serial}-")) && it.status() != Some(100)
        };
        let got = got.iter().find(theirs).unwrap();
        let via = got.via().unwrap();
        let number = |name| via.params.get(name).unwrap().parse::<f64>().unwrap();
        assert_eq!(via.params.get("oc-algo"), Some("loss"));
        (number("oc"), number("oc-validity"), number("oc-seq"))
    };
    stress.run(CAPACITY * 4.0, Duration::from_secs(2));
    let (reduce, validity, first) = told(&mut stress, 900_001);
    assert!(
        (60.0..=90.0).contains(&reduce),
        "a quarter is carried, oc={reduce}"
    );
    assert!(validity >= 200.0);
    stress.run(CAPACITY / 4.0, Duration::from_secs(4));
    let (reduce, validity, second) = told(&mut stress, 900_002);
    assert_eq!((reduce, validity), (0.0, 0.0));
    assert!(second > first);
}

#[test]
fn a_flood_closes_the_gate_and_its_end_opens_it() {
    let mut stress = Stress::new("[overload]\nrefusals_per_second = 100\n");
    stress.run(CAPACITY * 10.0, Duration::from_secs(2));
    let gate = stress.lab.gates.last().unwrap().clone();
    assert!(gate.pass.calls < 500, "{gate:?}");
    assert_eq!(gate.emergency, ["112"]);
    assert_eq!(gate.known.unwrap()[0].1, 32);
    // Those who were not answered go on trying until their patience is over.
    stress.run(CAPACITY / 4.0, Duration::from_secs(8));
    let gate = stress.lab.gates.last().unwrap();
    assert_eq!(gate.pass, tandem::control::Pass::ALL);
    let quiet = Stress::new("[overload]\ngate = false\nrefusals_per_second = 100\n");
    let mut quiet = quiet;
    quiet.run(CAPACITY * 10.0, Duration::from_secs(1));
    assert!(
        quiet.lab.gates.is_empty(),
        "the control: no gate was asked for"
    );
    assert!(!matches!(
        quiet.lab.control.poll_output(),
        Some(Output::Gate(_))
    ));
}

/// RFC 3261 §17.1.1.1.
const T1: Duration = Duration::from_millis(500);
