//! One end of a flow: the machine, its media, and what it knows and was told.

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use clock::Duration;
use sip::message::Message;
use sip::sdp::{Codec, LocalMedia, Negotiation};
use sip::transport::{ListenerId, Transport};
use sip::ua::{Event, Listener, RequestId, SessionId, UserAgent, UserAgentConfig};

use super::{Side, With};

/// One end: the machine, its media, and what it knows.
pub(super) struct End {
    pub(super) ua: UserAgent,
    pub(super) media: SocketAddr,
    pub(super) negotiation: Negotiation,
    pub(super) session: Option<SessionId>,
    /// Told that the session is no more.
    pub(super) is_over: bool,
    pub(super) request: Option<RequestId>,
    /// Their offer that nobody answered yet.
    pub(super) offer: Option<Bytes>,
    /// What we said of ourselves before the answer.
    pub(super) early: Option<Bytes>,
    /// We asked for an offer by a re-INVITE.
    pub(super) asked: bool,
    pub(super) told: Vec<String>,
    /// How much of `told` was awaited.
    pub(super) seen: usize,
    pub(super) sent: Vec<Message>,
    pub(super) lose: usize,
}

impl End {
    pub(super) fn new(
        side: Side,
        seed: u64,
        advertised: SocketAddr,
        with: &With,
        hasty: bool,
    ) -> Self {
        let listener = Listener {
            id: ListenerId(0),
            transport: Transport::Udp,
            advertised_host: advertised.ip().to_string(),
            advertised_port: advertised.port(),
        };
        let mut config = UserAgentConfig::new(vec![listener], "flow");
        config.reliable_progress = with.reliably;
        if hasty {
            config.t1 = Duration::from_millis(100);
        }
        let media = SocketAddr::from((Ipv4Addr::new(10, 9, 0, 1 + side as u8), 4_000));
        // Each likes another codec best.
        let mut codecs = vec![Codec::Pcma, Codec::Pcmu];
        codecs.rotate_left(side as usize);
        Self {
            ua: UserAgent::new(config, seed * 2 + side as u64),
            media,
            negotiation: Negotiation::new(LocalMedia::new(media.ip(), media.port(), codecs), seed),
            session: None,
            is_over: false,
            request: None,
            offer: None,
            early: None,
            asked: false,
            told: Vec::new(),
            seen: 0,
            sent: Vec::new(),
            lose: 0,
        }
    }

    /// Our answer to what came, or our offer if nothing did.
    pub(super) fn describe(&mut self) -> Bytes {
        match self.offer.take() {
            Some(offer) => self.negotiation.answer(&offer).unwrap(),
            None => self.negotiation.offer().unwrap(),
        }
    }

    fn hears(&mut self, body: Option<Bytes>, is_offer: bool) {
        match body {
            Some(offer) if is_offer => {
                // One of ours that waits was refused already: theirs comes first.
                self.negotiation.abandon();
                self.offer = Some(offer);
            }
            Some(answer) => self.negotiation.take_answer(&answer).unwrap(),
            None => {}
        }
    }

    pub(super) fn is_told(&mut self, event: &Event) {
        let line = short(event);
        match event.clone() {
            Event::Invited { session, offer, .. } => {
                self.session = Some(session);
                self.is_over = false;
                self.offer = offer;
            }
            Event::Progressed {
                body, needs_answer, ..
            } => {
                let is_offer = needs_answer && !self.negotiation.awaits_answer();
                self.hears(body, is_offer && self.negotiation.agreed().is_none());
            }
            Event::Answered {
                body, needs_answer, ..
            } => self.hears(body, needs_answer),
            Event::Confirmed { body, .. } => self.hears(body, false),
            Event::Offered { body, .. } => {
                self.negotiation.abandon();
                self.offer = body;
            }
            Event::OfferAnswered {
                result: Ok(body), ..
            } => {
                let asked = std::mem::take(&mut self.asked);
                self.hears(body, asked);
            }
            Event::OfferAnswered { result: Err(_), .. } => self.negotiation.abandon(),
            Event::InDialog { request_id, .. } | Event::Requested { request_id, .. } => {
                self.request = Some(request_id);
            }
            // The offer of the call that was refused is nobody's any more.
            Event::Refused { .. } => {
                self.negotiation.abandon();
                self.is_over = true;
            }
            Event::Ended { .. } => self.is_over = true,
            Event::InDialogResponse { .. }
            | Event::AnswerHeld { .. }
            | Event::AnswerSent { .. }
            | Event::TurnedAway { .. }
            | Event::Response { .. } => {}
        }
        self.told.push(line);
    }
}

fn short(event: &Event) -> String {
    match event {
        Event::Invited { .. } => "invited".to_owned(),
        Event::Progressed { status, .. } => format!("progressed {status}"),
        Event::Answered { .. } => "answered".to_owned(),
        Event::Refused { status, .. } => format!("refused {status}"),
        Event::Confirmed { .. } => "confirmed".to_owned(),
        Event::Offered { .. } => "offered".to_owned(),
        Event::OfferAnswered { result: Ok(_), .. } => "agreed".to_owned(),
        Event::OfferAnswered {
            result: Err(status),
            ..
        } => format!("disagreed {status}"),
        Event::InDialog { request, .. } => format!("asked {}", written(request)),
        Event::InDialogResponse { status, .. } => format!("told {status}"),
        Event::Ended { by, .. } => format!("ended {by:?}"),
        Event::Requested { request, .. } => format!("requested {}", written(request)),
        Event::TurnedAway { status, .. } => format!("turned away {status}"),
        Event::AnswerHeld { .. } => "held".to_owned(),
        Event::AnswerSent { .. } => "sent".to_owned(),
        Event::Response { status, .. } => format!("response {status}"),
    }
}

/// A message in short, with `+` if it carries a description.
pub(super) fn written(message: &Message) -> String {
    let plus = if message.body().is_empty() { "" } else { "+" };
    match message.status() {
        None => format!("{}{plus}", message.method_str().unwrap()),
        Some(status) => format!("{status} {}{plus}", message.cseq().unwrap().method_str),
    }
}
