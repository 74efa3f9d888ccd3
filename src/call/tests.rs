//! The call machine's flows, told as commands to SIP and media: here, how a caller is answered and how calls end.

mod dialling;
mod forking;
mod holding;
mod relaying;
mod sounding;
mod transferring;
mod voicing;
mod web;

use std::time::Duration;

use bytes::Bytes;
use clock::Now;
use media::bridge::BridgeId;
use media::port::{PlayId, PortId};
use media::source::Clip;
use media::worker::{PortCommand, PortEvent, Reserved};
use sip::message::{Builder, Message, Method};
use sip::sdp::{Codec, LocalMedia, Negotiation};
use sip::transport::{Flow, ListenerId};
use sip::ua::{EndedBy, Event, Invite, SessionId};

use super::*;

const NOW: Now = Now::ZERO;

/// A call and all it has asked for.
struct Rig {
    call: Call,
    now: Now,
    log: Vec<Output>,
}

fn media(port: u16) -> LegMedia {
    let address = "127.0.0.1".parse().unwrap();
    LegMedia {
        local: LocalMedia::new(address, port, vec![Codec::Pcmu]),
        reserved: Reserved {
            worker: 0,
            port: PortId(u32::from(port)),
            rtp: (address, port).into(),
            advertised: address,
        },
        random: u64::from(port),
        dtmf: Dtmf::Auto,
        inband_dtmf: false,
        voice: VoicePolicy::default(),
    }
}

fn phone(port: u16) -> Negotiation {
    let address = "127.0.0.2".parse().unwrap();
    Negotiation::new(
        LocalMedia::new(address, port, vec![Codec::Pcmu]),
        u64::from(port),
    )
}

fn target(port: u16) -> Target {
    let flow = Flow::udp(ListenerId(0), "127.0.0.1:5070".parse().unwrap());
    Target {
        label: Label {
            address: format!("phone-{port}"),
            ..Label::default()
        },
        route: Box::new(Invite {
            request_uri: "sip:anna@127.0.0.1:5070".to_owned(),
            flow,
            from: "<sip:bob@example.com>".to_owned(),
            to: "<sip:anna@example.com>".to_owned(),
            contact_user: "tandem".to_owned(),
            headers: Vec::new(),
            offer: None,
            credentials: None,
            max_forwards: 70,
            reliable: sip::ua::Reliable::Supported,
            timers: None,
        }),
        media: media(port),
    }
}

fn response(status: u16) -> Message {
    let request = Builder::request(Method::Invite, "sip:a@b")
        .header("Via", "SIP/2.0/UDP h;branch=z9hG4bKx")
        .header("From", "<sip:a@b>;tag=1")
        .header("To", "<sip:a@b>")
        .header("Call-ID", "x")
        .header("CSeq", "1 INVITE")
        .build()
        .unwrap();
    let mut response = Builder::response(&request, status, "x");
    if status == RELIABLE {
        response = response.header("Require", "100rel");
    }
    response.build().unwrap()
}

/// The status of responses that come reliably here.
const RELIABLE: u16 = 184;

const SESSION: fn() -> SessionId = || {
    // The call never looks at it.
    SessionId(1)
};

impl Rig {
    fn with_offer(offer: Option<Bytes>) -> Self {
        Self::on_leg(offer, media(20_000))
    }

    /// A call on a leg of our own making; nothing has been done yet.
    fn on_leg(offer: Option<Bytes>, media: LegMedia) -> Self {
        let incoming = Incoming {
            from: "+441".to_owned(),
            to: "+442".to_owned(),
            label: Label::default(),
            offer,
            media,
            recording_rate_max: 16_000,
        };
        let call = Call::incoming(CallId(1), BridgeId(1), NOW, incoming);
        let mut rig = Self {
            call,
            now: NOW,
            log: Vec::new(),
        };
        rig.drain();
        rig
    }

    fn new() -> Self {
        Self::with_offer(Some(phone(4_000).offer().unwrap()))
    }

    /// An answered call that plays music, as in a queue.
    fn waiting() -> Self {
        let mut rig = Self::new();
        rig.ask(Action::Answer);
        rig.sip(
            LegId::CALLER,
            Event::Confirmed {
                session: SESSION(),
                body: None,
            },
        );
        let items = vec![Prompt::Music("default".to_owned())];
        rig.ask(Action::Play {
            play: PlayToken(1),
            items,
            repeat: true,
        });
        rig
    }

    fn drain(&mut self) {
        while let Some(output) = self.call.poll_output() {
            let clips = match &output {
                Output::LoadClips(request) => Some((request.leg, request.play)),
                _ => None,
            };
            let closed = match &output {
                Output::Port(PortCommand::Close { port }) => Some(*port),
                _ => None,
            };
            self.log.push(output);
            if let Some((leg, play)) = clips {
                let clip = std::sync::Arc::new(Clip::from_pcm8k(vec![0; 160]).unwrap());
                self.call.clips_loaded(leg, play, Ok(vec![clip]));
            }
            if let Some(port) = closed {
                let stats = media::port::PortStats::default();
                self.call
                    .on_media(self.now, PortEvent::Closed { port, stats });
            }
        }
    }

    fn ask(&mut self, action: Action) {
        self.call.ask(self.now, action);
        self.drain();
    }

    fn sip(&mut self, leg: LegId, event: Event) {
        self.call.on_sip(self.now, leg, event);
        self.drain();
    }

    fn dial(&mut self, ports: &[u16], ringback: Ringback) -> DialToken {
        self.dial_targets(ports.iter().map(|port| target(*port)).collect(), ringback)
    }

    fn dial_targets(&mut self, targets: Vec<Target>, ringback: Ringback) -> DialToken {
        let token = DialToken(9);
        self.ask(Action::Dial(Dial {
            token,
            to: vec![Destination::Endpoint("anna".to_owned())],
            timeout: Duration::from_secs(20),
            ringback,
            caller_id: None,
            blind: false,
        }));
        self.call.resolved(self.now, token, targets);
        self.drain();
        token
    }

    /// The offer that went out to a callee.
    fn offer_to(&self, leg: LegId) -> Bytes {
        let found = self.log.iter().find_map(|output| match output {
            Output::Invite(to, invite) if *to == leg => invite.offer.clone(),
            _ => None,
        });
        found.unwrap()
    }

    fn answer_from(&mut self, leg: LegId) {
        let answer = phone(5_000).answer(&self.offer_to(leg)).unwrap();
        self.answered(leg, answer);
    }

    /// The callee's 200, with his answer.
    fn answered(&mut self, leg: LegId, answer: Bytes) {
        let event = Event::Answered {
            session: SESSION(),
            body: Some(answer),
            needs_answer: false,
            fork: 0,
            response: response(200),
        };
        self.sip(leg, event);
    }

    fn refusal_from(&mut self, leg: LegId, status: u16) {
        let reason = String::new();
        let session = SESSION();
        self.sip(
            leg,
            Event::Refused {
                session,
                status,
                reason,
                q850: None,
                response: None,
            },
        );
    }

    fn ended(&mut self, leg: LegId, by: EndedBy) {
        let session = SESSION();
        self.sip(
            leg,
            Event::Ended {
                session,
                by,
                status: None,
                q850: None,
                reason: None,
            },
        );
    }

    fn told(&self) -> Vec<Notice> {
        let notices = self.log.iter().filter_map(|output| match output {
            Output::Tell(notice) => Some(notice.clone()),
            _ => None,
        });
        notices.collect()
    }

    fn said(&self, leg: LegId) -> Vec<SipCommand> {
        let commands = self.log.iter().filter_map(|output| match output {
            Output::Sip(to, command) if *to == leg => Some(command.clone()),
            _ => None,
        });
        commands.collect()
    }

    fn bridged_ports(&self) -> Vec<u32> {
        let ports = self.log.iter().filter_map(|output| match output {
            Output::Port(PortCommand::Bridge { port, .. }) => Some(port.0),
            _ => None,
        });
        ports.collect()
    }

    fn cdr(&self) -> Option<&Cdr> {
        match self.log.last() {
            Some(Output::Finished(cdr)) => Some(cdr),
            _ => None,
        }
    }
}

#[test]
fn an_answered_caller_hears_what_is_played_and_is_told_once() {
    let rig = Rig::waiting();
    assert!(matches!(
        rig.said(LegId::CALLER).as_slice(),
        [SipCommand::Accept(Some(_))]
    ));
    assert_eq!(rig.told(), [Notice::Answered]);
    let plays = rig.log.iter().any(|output| {
        matches!(output, Output::Port(PortCommand::Play { play, .. }) if play.shared_clock)
    });
    assert!(plays, "{:?}", rig.log);
}

#[test]
fn a_prompt_before_the_answer_is_early_media_with_the_answer_in_a_183() {
    let mut rig = Rig::new();
    let items = vec![Prompt::Tone("beep".to_owned())];
    rig.ask(Action::Play {
        play: PlayToken(1),
        items,
        repeat: false,
    });
    let said = rig.said(LegId::CALLER);
    assert!(matches!(
        said.as_slice(),
        [SipCommand::Progress {
            status: 183,
            body: Some(_)
        }]
    ));
}

// covers: RFC 3264 §5
#[test]
fn a_late_offer_is_ours_in_the_200_and_their_answer_in_the_ack_opens_the_way() {
    let mut caller = phone(4_000);
    let mut rig = Rig::with_offer(None);
    rig.ask(Action::Answer);
    let said = rig.said(LegId::CALLER);
    let [SipCommand::Accept(Some(offer))] = said.as_slice() else {
        panic!("{said:?}")
    };
    assert!(rig.told().is_empty());
    let answer = caller.answer(offer).unwrap();
    rig.sip(
        LegId::CALLER,
        Event::Confirmed {
            session: SESSION(),
            body: Some(answer),
        },
    );
    assert_eq!(rig.told(), [Notice::Answered]);
    let heard = rig.log.iter().any(|output| {
        matches!(output, Output::Port(PortCommand::Update(update)) if update.remote.is_some())
    });
    assert!(heard);
}

#[test]
fn an_offer_without_a_codec_of_ours_is_refused_and_leaves_nothing() {
    let offer = Bytes::from_static(
        b"v=0\r\no=- 1 1 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\n\
          m=audio 4000 RTP/AVP 18\r\n",
    );
    let mut rig = Rig::with_offer(Some(offer));
    assert_eq!(
        rig.said(LegId::CALLER),
        [SipCommand::End(Cause::IncompatibleMedia)]
    );
    rig.ended(LegId::CALLER, EndedBy::Us);
    assert_eq!(
        rig.cdr().map(|cdr| (cdr.sip_status, cdr.answered)),
        Some((Some(488), None))
    );
}

#[test]
fn either_party_s_hang_up_ends_the_other() {
    let mut rig = Rig::waiting();
    rig.dial(&[20_002], Ringback::Keep);
    rig.answer_from(LegId(1));
    rig.ended(LegId::CALLER, EndedBy::Peer);
    assert_eq!(rig.said(LegId(1)), [SipCommand::End(Cause::Normal)]);
    assert!(rig.told().contains(&Notice::CallerGone(Cause::Normal)));
    rig.ended(LegId(1), EndedBy::Us);
    assert_eq!(rig.cdr().map(|cdr| cdr.cause), Some(Cause::Normal));

    let mut rig = Rig::waiting();
    let token = rig.dial(&[20_002], Ringback::Keep);
    rig.answer_from(LegId(1));
    rig.ended(LegId(1), EndedBy::Peer);
    let result = DialResult::Completed(Party::Callee);
    assert!(rig.told().contains(&Notice::DialEnded { token, result }));
    assert!(!rig.call.is_ending(), "the plan goes on with the caller");
}

#[test]
fn a_call_whose_peers_never_confirm_its_end_still_ends_with_one_record() {
    let mut rig = Rig::waiting();
    rig.ask(Action::Hangup(Cause::Normal));
    assert!(rig.cdr().is_none());
    rig.now = rig.call.deadline().unwrap();
    rig.call.handle_timeout(rig.now);
    rig.drain();
    assert!(rig.cdr().is_some());
    rig.ended(LegId::CALLER, EndedBy::Us);
    let records = rig
        .log
        .iter()
        .filter(|output| matches!(output, Output::Finished(_)))
        .count();
    assert_eq!(records, 1);
}
