//! Browsers' legs: whom their port is with, and what their media's end does.

use media::port::{Latch, PortPlan, Security};
use media::worker::{Loss, WebPeer};
use sip::sdp::{KeySeed, WebLocal};

use super::*;

const JSSIP: &str = include_str!("../../../tests/data/sip/offer_jssip.sdp");

fn page(port: u16) -> LegMedia {
    let mut media = media(port);
    media.local.web = Some(WebLocal {
        ufrag: "ours".to_owned(),
        password: "our+password+of/24+chars".to_owned(),
        fingerprint: "sha-256 AB:CD".to_owned(),
        candidates: vec![media.reserved.rtp],
        seed: KeySeed::new([4; 32]),
    });
    media
}

/// An answer to our offer, as a browser of that name writes it.
fn answer_of(ufrag: &str) -> Bytes {
    let answer = JSSIP
        .replace("actpass", "active")
        .replace("ice-ufrag:hbgn", &format!("ice-ufrag:{ufrag}"));
    answer.replace("111 63 9 0 8 13 110 126", "0 126").into()
}

impl Rig {
    fn met(&self) -> Vec<&WebPeer> {
        let met = self.log.iter().filter_map(|output| match output {
            Output::Meet { peer, .. } => Some(peer),
            _ => None,
        });
        met.collect()
    }

    fn opened(&self, port: u32) -> &PortPlan {
        let opened = self.log.iter().find_map(|output| match output {
            Output::Port(PortCommand::Open(plan)) if plan.port.0 == port => Some(plan),
            _ => None,
        });
        opened.unwrap()
    }

    fn lost(&mut self, port: u32, why: Loss) {
        let port = PortId(port);
        self.call.on_media(self.now, PortEvent::Lost { port, why });
        self.drain();
    }
}

fn confirmed() -> Event {
    Event::Confirmed {
        session: SESSION(),
        body: None,
    }
}

fn awaits(plan: &PortPlan) -> bool {
    matches!(plan.security, Security::Awaited)
        && plan.latch == Latch::Proven
        && plan.rtcp_mux
        && plan.remote.is_none()
}

#[test]
fn a_browser_s_port_opens_for_whom_its_offer_names_and_sends_nowhere_before() {
    let mut rig = Rig::on_leg(Some(JSSIP.into()), page(20_000));
    assert!(
        rig.met().is_empty(),
        "nothing is opened before somebody is to hear"
    );
    rig.ask(Action::Answer);
    assert!(awaits(rig.opened(20_000)));
    let met = rig.met();
    assert_eq!(met.len(), 1);
    assert_eq!((met[0].ufrag.as_str(), &met[0].renamed), ("hbgn", &None));
    assert!(met[0].fingerprint.starts_with("sha-256 52:B9"));
}

#[test]
fn a_re_offer_tells_a_new_peer_and_our_new_name_after_a_restart_and_else_nothing() {
    let mut rig = Rig::on_leg(Some(JSSIP.into()), page(20_000));
    rig.ask(Action::Answer);
    let offered = |body: String| Event::Offered {
        session: SESSION(),
        body: Some(body.into()),
        fork: 0,
    };
    rig.sip(
        LegId::CALLER,
        offered(JSSIP.replace("sendrecv", "sendonly")),
    );
    rig.sip(LegId::CALLER, offered(JSSIP.to_owned()));
    assert_eq!(rig.met().len(), 1, "hold and resume change nothing");
    for name in ["one1", "two2"] {
        rig.sip(LegId::CALLER, offered(JSSIP.replace("hbgn", name)));
    }
    let names: Vec<_> = rig.met().iter().map(|peer| peer.ufrag.clone()).collect();
    assert_eq!(names, ["hbgn", "one1", "two2"]);
    let ours: Vec<_> = rig
        .met()
        .iter()
        .filter_map(|peer| peer.renamed.clone())
        .collect();
    assert_eq!(ours.len(), 2);
    assert_ne!(ours[0].ufrag, ours[1].ufrag);
    let said = rig.said(LegId::CALLER);
    let Some(SipCommand::AnswerOffer(Some(answer))) = said.last() else {
        panic!("{said:?}");
    };
    let answer = std::str::from_utf8(answer).unwrap();
    assert!(answer.contains(&format!("a=ice-ufrag:{}\r\n", ours[1].ufrag)));
    assert!(answer.contains(&format!("a=ice-pwd:{}\r\n", ours[1].password)));
}

// covers: RFC 3261 §13.2.2.4
#[test]
fn of_forks_behind_a_browser_s_leg_the_last_that_is_heard_is_whom_it_is_with() {
    let mut rig = Rig::new();
    let mut browser = target(20_002);
    browser.media = page(20_002);
    rig.dial_targets(vec![browser], Ringback::Tone);
    assert!(awaits(rig.opened(20_002)));
    let leg = LegId(1);
    for (fork, name) in [(0, "fork0"), (1, "fork1")] {
        let event = Event::Progressed {
            session: SESSION(),
            status: 183,
            body: Some(answer_of(name)),
            fork,
            needs_answer: false,
            response: response(183),
        };
        rig.sip(leg, event);
    }
    let event = Event::Answered {
        session: SESSION(),
        body: Some(answer_of("fork0")),
        needs_answer: false,
        fork: 0,
        response: response(200),
    };
    rig.sip(leg, event);
    let names: Vec<_> = rig.met().iter().map(|peer| peer.ufrag.clone()).collect();
    assert_eq!(names, ["fork0", "fork1", "fork0"]);
    assert!(rig.met().iter().all(|peer| peer.renamed.is_none()));
    assert!(rig.bridged_ports().ends_with(&[20_000, 20_002]));
}

#[test]
fn a_leg_ends_with_its_media_and_the_record_says_how() {
    let rows = [
        (Loss::NoCheck, Cause::Lost),
        (Loss::NoHandshake, Cause::Lost),
        (Loss::NoConsent, Cause::Lost),
        (Loss::Stranger, Cause::IncompatibleMedia),
        (Loss::Handshake, Cause::IncompatibleMedia),
    ];
    for (why, cause) in rows {
        let mut rig = Rig::on_leg(Some(JSSIP.into()), page(20_000));
        rig.ask(Action::Answer);
        rig.lost(20_000, why);
        let said = rig.said(LegId::CALLER);
        assert_eq!(said.last(), Some(&SipCommand::End(cause)), "{why}");
        let told = rig
            .log
            .iter()
            .filter(|output| matches!(output, Output::Trouble(it) if it.id() == "media-web-lost"));
        assert_eq!(told.count(), 1, "{why}");
        // Told again, or of a port that is nobody's, it changes nothing.
        rig.lost(20_000, why);
        rig.lost(9, why);
        assert_eq!(rig.said(LegId::CALLER), said, "{why}");
    }
}

#[test]
fn a_page_that_closes_its_media_is_waited_for_some_seconds_and_then_it_has_hung_up() {
    let mut rig = Rig::on_leg(Some(JSSIP.into()), page(20_000));
    rig.ask(Action::Answer);
    let before = rig.said(LegId::CALLER);
    rig.lost(20_000, Loss::Closed);
    let until = rig.call.deadline().unwrap();
    assert_eq!(until, rig.now + Duration::from_secs(8));
    rig.now = until;
    rig.lost(20_000, Loss::Closed);
    assert_eq!(rig.said(LegId::CALLER), before, "the first word counts");
    rig.call.handle_timeout(rig.now);
    rig.drain();
    let said = rig.said(LegId::CALLER);
    assert_eq!(said.last(), Some(&SipCommand::End(Cause::Normal)));
    let told = |output: &Output| matches!(output, Output::Trouble(_));
    assert!(!rig.log.iter().any(told), "nothing is wrong with that");
}

#[test]
fn a_page_that_closes_its_media_and_comes_back_has_its_place() {
    let mut rig = Rig::on_leg(Some(JSSIP.into()), page(20_000));
    rig.ask(Action::Answer);
    rig.sip(LegId::CALLER, confirmed());
    rig.lost(20_000, Loss::Closed);
    let who = Newcomer {
        label: Label::default(),
        offer: Some(JSSIP.into()),
        media: page(20_004),
    };
    let new = rig.call.replace(LegId::CALLER, who);
    rig.sip(new, confirmed());
    let until = rig.now + Duration::from_secs(9);
    rig.now = until;
    rig.call.handle_timeout(rig.now);
    rig.drain();
    assert!(!rig.call.is_ending());
    let ends = |leg, rig: &Rig| {
        let said = rig.said(leg);
        said.iter().any(|it| matches!(it, SipCommand::End(_)))
    };
    assert!(ends(LegId::CALLER, &rig) && !ends(new, &rig));
}

#[test]
fn a_plain_answer_to_a_browser_s_offer_is_refused_with_its_words() {
    let mut rig = Rig::new();
    let mut browser = target(20_002);
    browser.media = page(20_002);
    rig.dial_targets(vec![browser], Ringback::Tone);
    let event = Event::Answered {
        session: SESSION(),
        body: Some(
            String::from_utf8_lossy(&answer_of("plain"))
                .replace("UDP/TLS/RTP/SAVPF", "RTP/AVP")
                .into(),
        ),
        needs_answer: false,
        fork: 0,
        response: response(200),
    };
    rig.sip(LegId(1), event);
    assert!(rig.met().is_empty());
    assert!(
        rig.said(LegId(1))
            .contains(&SipCommand::End(Cause::IncompatibleMedia))
    );
    let told = rig.log.iter().find_map(|output| match output {
        Output::Trouble(it) => Some(it.explanation().to_string()),
        _ => None,
    });
    let wanted = "media-webrtc: want audio over UDP/TLS/RTP/SAVPF, have RTP/AVP; have the client use WebRTC: \
                  over WebSocket nothing less protected is spoken";
    assert_eq!(told.as_deref(), Some(wanted));
}
