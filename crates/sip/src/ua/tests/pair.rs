//! Two user agents and a link between them, in virtual time, from one seed.

use crate::message::Message;
use crate::transport::{ConnectionId, Flow, ListenerId, Transport};
use crate::ua::*;
use bytes::Bytes;
use clock::{Duration, Now};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

/// What the link does to a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) transport: Transport,
    pub(super) delay_ms: u64,
    pub(super) jitter_ms: u64,
    pub(super) loss_percent: u64,
    pub(super) duplicate_percent: u64,
}

impl Link {
    pub(super) const CLEAN: Self = Self {
        transport: Transport::Udp,
        delay_ms: 10,
        jitter_ms: 0,
        loss_percent: 0,
        duplicate_percent: 0,
    };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    A,
    B,
}

/// The two ends; `A` calls `B` unless a test has it otherwise.
pub(super) struct Pair {
    pub(super) now: Now,
    pub(super) link: Link,
    pub(super) ends: [UserAgent; 2],
    pub(super) events: Vec<(Now, Side, Event)>,
    /// Everything that was sent, whether it arrived or not.
    pub(super) sent: Vec<(Now, Side, Message)>,
    /// What lies on the wire: by arrival and order of sending.
    wire: BTreeMap<(Now, u64), (Side, Bytes)>,
    sequence: u64,
    random: u64,
    /// What an end does about an event, beside its being noted.
    pub(super) policy: fn(&mut Self, Side, &Event),
    /// What A's INVITEs say.
    pub(super) reliable: Reliable,
}

impl Pair {
    pub(super) fn new(seed: u64, link: Link) -> Self {
        let end = |side| {
            let listener = Listener {
                id: ListenerId(0),
                transport: link.transport,
                advertised_host: address(side).ip().to_string(),
                advertised_port: 5060,
            };
            UserAgent::new(
                UserAgentConfig::new(vec![listener], "pair"),
                seed * 2 + side as u64,
            )
        };
        Self {
            now: Now::ZERO,
            link,
            ends: [end(Side::A), end(Side::B)],
            events: Vec::new(),
            sent: Vec::new(),
            wire: BTreeMap::new(),
            sequence: 0,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            policy: |_, _, _| {},
            reliable: Reliable::Supported,
        }
    }

    pub(super) fn clean() -> Self {
        Self::new(1, Link::CLEAN)
    }

    pub(super) fn ua(&mut self, side: Side) -> &mut UserAgent {
        &mut self.ends[side as usize]
    }

    pub(super) fn flow(&self, side: Side) -> Flow {
        let other = if side == Side::A { Side::B } else { Side::A };
        let connection = self.link.transport.is_reliable().then_some(ConnectionId(1));
        let remote = address(other);
        Flow {
            transport: self.link.transport,
            listener: ListenerId(0),
            remote,
            connection,
            peer: None,
        }
    }

    pub(super) fn call(&mut self, offer: Option<&'static str>) -> SessionId {
        self.call_as(offer, None)
    }

    pub(super) fn call_as(
        &mut self,
        offer: Option<&'static str>,
        credentials: Option<crate::auth::Credentials>,
    ) -> SessionId {
        let invite = Invite {
            request_uri: "sip:bob@10.0.0.2".into(),
            flow: self.flow(Side::A),
            from: "<sip:alice@10.0.0.1>".into(),
            to: "<sip:bob@10.0.0.2>".into(),
            contact_user: "alice".into(),
            headers: vec![("X-Test".into(), "1".into())],
            offer: offer.map(|offer| Bytes::from_static(offer.as_bytes())),
            credentials,
            max_forwards: 70,
            reliable: self.reliable,
            timers: None,
        };
        let now = self.now;
        let session = self.ua(Side::A).invite(now, invite).unwrap();
        self.drain();
        session
    }

    /// Does something at one end, and takes what comes of it.
    pub(super) fn act<T>(&mut self, side: Side, act: impl FnOnce(&mut UserAgent, Now) -> T) -> T {
        let now = self.now;
        let result = act(self.ua(side), now);
        self.drain();
        result
    }

    /// Puts bytes on the wire as if `from` had sent them.
    pub(super) fn inject(&mut self, from: Side, bytes: Bytes) {
        self.sequence += 1;
        let at = self.now + Duration::from_millis(self.link.delay_ms);
        self.wire.insert((at, self.sequence), (from, bytes));
    }

    /// Runs for a while.
    pub(super) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(at) = self.next().filter(|&at| at <= end) {
            self.step(at);
        }
        self.now = end;
    }

    /// Runs until nothing is left to happen, an hour at most.
    pub(super) fn rest(&mut self) {
        let end = self.now + Duration::from_secs(3600);
        while let Some(at) = self.next() {
            assert!(at < end, "no rest within an hour");
            self.step(at);
        }
    }

    pub(super) fn assert_empty(&self) {
        for ua in &self.ends {
            let counts = ua.counts();
            let held = (
                counts.transactions,
                counts.sessions,
                counts.dialogs,
                counts.timers,
            );
            let left = (
                ua.clients.iter().next(),
                ua.servers.iter().next(),
                ua.sessions.iter().next(),
            );
            assert_eq!(held, (0, 0, 0, 0), "something outlived its call: {left:?}");
            assert!(ua.branches.is_empty() && ua.requests.is_empty());
            assert!(ua.initials.is_empty() && ua.tags.is_empty());
        }
    }

    /// What an end was told, in order, in short.
    pub(super) fn told(&self, side: Side) -> Vec<String> {
        let mine = self.events.iter().filter(|(_, at, _)| *at == side);
        mine.map(|(_, _, event)| short(event)).collect()
    }

    /// First lines of what an end sent, in short: `INVITE`, `200 INVITE` …
    pub(super) fn said(&self, side: Side) -> Vec<String> {
        let mine = self.sent.iter().filter(|(_, at, _)| *at == side);
        mine.map(|(_, _, message)| line(message)).collect()
    }

    pub(super) fn count(&self, side: Side, line: &str) -> usize {
        self.said(side).iter().filter(|said| *said == line).count()
    }

    /// The session that an end was told of first.
    pub(super) fn invited(&self) -> SessionId {
        self.events
            .iter()
            .find_map(|(_, _, event)| match event {
                Event::Invited { session, .. } => Some(*session),
                _ => None,
            })
            .unwrap()
    }

    /// The latest message of an end whose short line is `wanted`.
    pub(super) fn latest(&self, side: Side, wanted: &str) -> Message {
        let mine = self.sent.iter().rev();
        mine.filter(|(_, at, message)| *at == side && line(message) == wanted)
            .map(|(_, _, message)| message.clone())
            .next()
            .unwrap()
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % bound.max(1)
    }

    fn next(&self) -> Option<Now> {
        let arrival = self.wire.keys().next().map(|(at, _)| *at);
        let deadlines = self.ends.iter().map(UserAgent::deadline);
        deadlines.chain([arrival]).flatten().min()
    }

    fn step(&mut self, at: Now) {
        self.now = self.now.max(at);
        let now = self.now;
        if let Some(entry) = self.wire.first_entry().filter(|entry| entry.key().0 <= now) {
            let (from, bytes) = entry.remove();
            let to = if from == Side::A { Side::B } else { Side::A };
            let flow = self.flow(to);
            self.ua(to).receive(now, flow, bytes, true);
        } else {
            for ua in &mut self.ends {
                ua.handle_timeout(now);
            }
        }
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            let mut idle = true;
            for side in [Side::A, Side::B] {
                while let Some(output) = self.ua(side).poll_output() {
                    idle = false;
                    match output {
                        Output::Transmit { bytes, .. } => self.transmit(side, bytes),
                        Output::Event(event) => {
                            self.events.push((self.now, side, event.clone()));
                            (self.policy)(self, side, &event);
                        }
                    }
                }
            }
            if idle {
                return;
            }
        }
    }

    fn transmit(&mut self, from: Side, bytes: Bytes) {
        let message =
            Message::parse(bytes.clone()).expect("the user agent wrote what it cannot read");
        self.sent.push((self.now, from, message));
        if self.chance(self.link.loss_percent) {
            return;
        }
        let copies = 1 + u64::from(self.chance(self.link.duplicate_percent));
        for _ in 0..copies {
            self.sequence += 1;
            let delay = self.link.delay_ms + self.below(self.link.jitter_ms + 1);
            let at = self.now + Duration::from_millis(delay);
            self.wire.insert((at, self.sequence), (from, bytes.clone()));
        }
    }
}

pub(super) fn address(side: Side) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1 + side as u8), 5060))
}

pub(super) fn body(text: &'static str) -> Option<Bytes> {
    Some(Bytes::from_static(text.as_bytes()))
}

pub(super) fn status(status: u16) -> Ending {
    Ending {
        status,
        ..Ending::default()
    }
}

fn line(message: &Message) -> String {
    match message.status() {
        None => message.method_str().unwrap().to_owned(),
        Some(status) => format!("{status} {}", message.cseq().unwrap().method_str),
    }
}

fn short(event: &Event) -> String {
    let text = |body: &Option<Bytes>| {
        body.as_ref().map_or_else(String::new, |body| {
            format!(" {}", String::from_utf8_lossy(body))
        })
    };
    match event {
        Event::Invited { offer, .. } => format!("invited{}", text(offer)),
        Event::Progressed { status, body, .. } => format!("progressed {status}{}", text(body)),
        Event::Answered {
            body, needs_answer, ..
        } => {
            let late = if *needs_answer { " late" } else { "" };
            format!("answered{late}{}", text(body))
        }
        Event::Refused { status, .. } => format!("refused {status}"),
        Event::TurnedAway { status, .. } => format!("turned away {status}"),
        Event::AnswerHeld { .. } => "held".to_owned(),
        Event::AnswerSent { .. } => "sent".to_owned(),
        Event::Confirmed { body, .. } => format!("confirmed{}", text(body)),
        Event::Offered { body, .. } => format!("offered{}", text(body)),
        Event::OfferAnswered {
            result: Ok(body), ..
        } => format!("agreed{}", text(body)),
        Event::OfferAnswered {
            result: Err(status),
            ..
        } => format!("disagreed {status}"),
        Event::InDialog { request, .. } => format!("asked {}", line(request)),
        Event::InDialogResponse { status, .. } => format!("told {status}"),
        Event::Ended { by, .. } => format!("ended {by:?}"),
        Event::Requested { request, .. } => format!("requested {}", line(request)),
        Event::Response { status, .. } => format!("response {status}"),
    }
}
