//! Call flows as data: what each of two production user agents does, in which order, and what each must have
//! sent when it is over. A flow runs over the simulated link, where every message is compared, and over real
//! sockets on a bad network, where only the end is.
//!
//! A message is written `INVITE`, `180 INVITE`, `200 PRACK` …; a `+` behind it says that it carries a session
//! description. Offers and answers are made by the production negotiation at either end; where a flow says
//! [`Step::Hear`] each end plays a tone by what it agreed to, and the other listens by what it did.

mod net;
mod proxy;
mod sound;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;
use clock::{Duration, Now};
use net::Net;
use sim::Random;
use sip::auth::Credentials;
use sip::message::{Message, Method};
use sip::sdp::{Codec, Direction, LocalMedia, Negotiation};
use sip::transport::{Flow as Path, ListenerId, Transport};
use sip::ua::{
    Ending, Event, Invite, Listener, OutOfDialog, Output, Reliable, RequestId, SessionId,
    UserAgent, UserAgentConfig,
};

pub(crate) use net::Lossy;
use sound::{Ear, heard};

/// An end. `A` calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    A,
    B,
}
pub(crate) use Side::{A, B};

impl Side {
    pub(crate) const fn other(self) -> Self {
        match self {
            A => B,
            B => A,
        }
    }
}

/// What an end does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Do {
    /// Calls, with an offer.
    Call,
    /// Calls without one.
    CallLate,
    /// Says a provisional status without a description.
    Ring(u16),
    /// Says one with the answer, or the offer if none came.
    Early(u16),
    Accept,
    /// Refuses, cancels or hangs up.
    End(u16),
    /// Acknowledges what waits for it: with the answer to the offer that came, if one did.
    Word,
    /// Acknowledges a reliable response with an offer.
    WordOffer,
    /// Offers again: a re-INVITE, or an UPDATE in an early dialog.
    Offer(Direction),
    /// Sends a re-INVITE without an offer.
    AskOffer,
    /// Answers the offer that came, or makes the one that was asked for.
    Answer,
    Decline(u16),
    /// A request in the dialog, with a header.
    Ask(Method, &'static str, &'static str),
    /// A request outside any, with a header.
    Outside(Method, &'static str, &'static str),
    /// The final response to the request that came, with a header.
    Reply(u16, &'static str, &'static str),
}

/// One step of a flow.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    On(Side, Do),
    /// Until that end is told one of these (parted by `|`) since it last awaited.
    Await(Side, &'static str),
    /// Milliseconds.
    Pass(u64),
    /// The next so many messages that this end sends get lost.
    Lose(Side, usize),
    /// The end sends its latest message of this kind again, as a network would.
    Again(Side, &'static str),
    /// Whether what A says is heard by B, and the other way round. Whoever was told that its call is over
    /// neither speaks nor listens.
    Hear(bool, bool),
}
pub(crate) use Do::*;
pub(crate) use Step::{Again, Await, Hear, Lose, On, Pass};

/// One flow of a document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    /// The section and its title.
    pub(crate) name: &'static str,
    pub(crate) steps: &'static [Step],
    /// What A and B send over a perfect link.
    pub(crate) a: &'static [&'static str],
    pub(crate) b: &'static [&'static str],
    /// What each is told last.
    pub(crate) end: [&'static str; 2],
    pub(crate) with: With,
}

/// How the ends are set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct With {
    pub(crate) reliable: Reliable,
    /// B says its provisional responses reliably where it may.
    pub(crate) reliably: bool,
    /// Offers are answered as they come, instead of by a step.
    pub(crate) answers: bool,
    /// Record-routing proxies between the ends; each asks for credentials or not.
    pub(crate) proxies: &'static [bool],
}

impl With {
    pub(crate) const PLAIN: Self = Self {
        reliable: Reliable::No,
        reliably: false,
        answers: false,
        proxies: &[],
    };
    pub(crate) const RELIABLE: Self = Self {
        reliable: Reliable::Supported,
        reliably: true,
        ..Self::PLAIN
    };
    pub(crate) const ANSWERING: Self = Self {
        answers: true,
        ..Self::PLAIN
    };
}

/// One end: the machine, its media, and what it knows.
pub(crate) struct End {
    ua: UserAgent,
    media: SocketAddr,
    negotiation: Negotiation,
    session: Option<SessionId>,
    /// Told that the session is no more.
    is_over: bool,
    request: Option<RequestId>,
    /// Their offer that nobody answered yet.
    offer: Option<Bytes>,
    /// What we said of ourselves before the answer.
    early: Option<Bytes>,
    /// We asked for an offer by a re-INVITE.
    asked: bool,
    told: Vec<String>,
    /// How much of `told` was awaited.
    seen: usize,
    sent: Vec<Message>,
    lose: usize,
}

impl End {
    fn new(side: Side, seed: u64, advertised: SocketAddr, with: &With, hasty: bool) -> Self {
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
    fn describe(&mut self) -> Bytes {
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

    fn is_told(&mut self, event: &Event) {
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

/// A flow that runs.
pub(crate) struct Rig {
    now: Now,
    ends: [End; 2],
    net: Net,
    flow: Flow,
}

impl Rig {
    fn new(flow: &Flow, seed: u64, net: Net) -> Self {
        let end = |side| End::new(side, seed, net.advertised(side), &flow.with, net.is_real());
        Self {
            now: Now::ZERO,
            ends: [end(A), end(B)],
            net,
            flow: *flow,
        }
    }

    fn end(&mut self, side: Side) -> &mut End {
        &mut self.ends[side as usize]
    }

    fn play(&mut self) {
        for (at, step) in self.flow.steps.iter().enumerate() {
            match *step {
                On(side, what) => self.act(side, what),
                Await(side, wanted) => {
                    let came = self.run(PATIENCE, |rig| rig.came(side, wanted));
                    assert!(came, "step {at}, {step:?}: {}", self.story());
                }
                Pass(ms) => drop(self.run(Duration::from_millis(ms), |_| false)),
                Lose(side, count) => self.end(side).lose = count,
                Again(side, line) => {
                    let mut sent = self.ends[side as usize].sent.iter().rev();
                    let again = sent.find(|it| written(it) == line).unwrap().clone();
                    self.net.send(self.now, side, again.bytes().clone());
                }
                Hear(to_b, to_a) => self.compare(at, to_b, to_a),
            }
        }
    }

    /// Looks past what was awaited for an event, and awaits what follows it from now on.
    fn came(&mut self, side: Side, wanted: &str) -> bool {
        let end = self.end(side);
        let fresh = end.told.get(end.seen..).unwrap_or_default();
        let is_wanted = |line: &String| wanted.split('|').any(|one| line.starts_with(one));
        let Some(at) = fresh.iter().position(is_wanted) else {
            return false;
        };
        end.seen += at + 1;
        true
    }

    /// Both ends must believe the same of the sound, and hear it: A's tone is one, B's another.
    fn compare(&self, at: usize, to_b: bool, to_a: bool) {
        let ear = |side: Side| {
            let end = &self.ends[side as usize];
            let agreed = end.negotiation.agreed().filter(|_| !end.is_over)?;
            Some(Ear {
                at: end.media,
                agreed,
            })
        };
        let (a, b) = (ear(A), ear(B));
        for (from, to, hz, wanted) in [(&a, &b, 440.0, to_b), (&b, &a, 1_000.0, to_a)] {
            let story = || format!("step {at}, {hz} Hz: {}", self.story());
            let believed = (
                from.as_ref().is_some_and(|it| it.agreed.send),
                to.as_ref().is_some_and(|it| it.agreed.receive),
            );
            assert_eq!(believed, (wanted, wanted), "{}", story());
            let level = from.as_ref().zip(to.as_ref());
            match level.and_then(|(from, to)| heard(from, to, hz)) {
                Some(level) => assert!(
                    wanted && (-11.0..-9.0).contains(&level),
                    "{level}: {}",
                    story()
                ),
                None => assert!(!wanted, "nothing is heard: {}", story()),
            }
        }
    }

    fn act(&mut self, side: Side, what: Do) {
        let (now, path) = (self.now, self.net.path(side));
        let with = self.flow.with;
        let end = self.end(side);
        let session = end.session.unwrap_or(SessionId(u64::MAX));
        match what {
            Call | CallLate => {
                let offer = matches!(what, Call).then(|| end.negotiation.offer().unwrap());
                let invite = invite(path, offer, with.reliable);
                end.session = Some(end.ua.invite(now, invite).unwrap());
                end.is_over = false;
            }
            Ring(status) => end.ua.progress(now, session, status, None),
            Early(status) => {
                let body = end.early.clone().unwrap_or_else(|| end.describe());
                end.early = Some(body.clone());
                end.ua.progress(now, session, status, Some(body));
            }
            Accept => {
                let body = end.early.clone().unwrap_or_else(|| end.describe());
                end.ua.accept(now, session, Some(body), &[]);
            }
            End(status) => end.ua.end(
                now,
                session,
                Ending {
                    status,
                    ..Ending::default()
                },
            ),
            Word => {
                let body = end.offer.is_some().then(|| end.describe());
                end.ua.acknowledge(now, session, body);
            }
            WordOffer => {
                let offer = end.negotiation.offer().unwrap();
                end.ua.acknowledge(now, session, Some(offer));
            }
            Offer(direction) => {
                end.negotiation.set_direction(direction);
                let offer = end.negotiation.offer().unwrap();
                end.ua.reinvite(now, session, Some(offer));
            }
            AskOffer => {
                end.asked = true;
                end.ua.reinvite(now, session, None);
            }
            Answer => {
                let body = end.describe();
                end.ua.answer_offer(now, session, Some(body));
            }
            Decline(status) => {
                end.offer = None;
                end.ua.refuse_offer(now, session, status);
            }
            Ask(method, name, value) => {
                let sent = end
                    .ua
                    .request_in(now, session, method, &headers(name, value), None);
                let _ = sent;
            }
            Outside(method, name, value) => {
                let request = outside(path, method, headers(name, value));
                end.ua.request(now, request).unwrap();
            }
            Reply(status, name, value) => {
                let request = end.request.take().unwrap();
                end.ua
                    .respond(now, request, status, &headers(name, value), None);
            }
        }
        self.drain();
    }

    /// Runs until something holds, or that long.
    fn run(&mut self, patience: Duration, mut until: impl FnMut(&mut Self) -> bool) -> bool {
        let over = self.now + patience;
        loop {
            self.drain();
            if until(self) {
                return true;
            }
            if self.now >= over {
                return false;
            }
            let deadlines = self.ends.iter().filter_map(|end| end.ua.deadline());
            let next = deadlines.chain([over]).min().unwrap_or(over);
            self.now = self.net.wait(self.now, next);
            while let Some((to, bytes)) = self.net.arrived(self.now) {
                let (now, path) = (self.now, self.net.path(to));
                self.end(to).ua.receive(now, path, bytes, true);
                self.drain();
            }
            for end in &mut self.ends {
                end.ua.handle_timeout(self.now);
            }
        }
    }

    fn drain(&mut self) {
        for side in [A, B, A] {
            while let Some(output) = self.end(side).ua.poll_output() {
                match output {
                    Output::Transmit { bytes, .. } => self.transmit(side, bytes),
                    Output::Event(event) => {
                        self.end(side).is_told(&event);
                        if self.flow.with.answers && matches!(event, Event::Offered { .. }) {
                            self.act(side, Answer);
                        }
                    }
                }
            }
        }
    }

    fn transmit(&mut self, side: Side, bytes: Bytes) {
        let now = self.now;
        let end = self.end(side);
        end.sent.push(Message::parse(bytes.clone()).unwrap());
        if end.lose > 0 {
            end.lose -= 1;
        } else {
            self.net.send(now, side, bytes);
        }
    }

    fn sent(&self, side: Side) -> Vec<String> {
        self.ends[side as usize].sent.iter().map(written).collect()
    }

    /// Whether a session, a transaction or a dialog is left at either end.
    fn holds(&self) -> bool {
        let held = |end: &End| {
            let counts = end.ua.counts();
            (counts.sessions, counts.transactions, counts.dialogs) != (0, 0, 0)
        };
        self.ends.iter().any(held)
    }

    /// All is over: nothing is held, and neither end speaks or listens.
    fn assert_silent(&mut self) {
        let rests = self.run(REST, |rig| !rig.holds());
        assert!(rests, "something is left: {}", self.story());
        for end in &self.ends {
            let counts = end.ua.counts();
            assert_eq!(
                (counts.timers, counts.malformed),
                (0, 0),
                "{}",
                self.story()
            );
        }
        self.compare(self.flow.steps.len(), false, false);
    }

    fn story(&self) -> String {
        let ms = self.now.as_millis();
        let [a, b] = [A, B].map(|side| (&self.ends[side as usize].told, self.sent(side)));
        format!("{}, at {ms} ms\nA {a:?}\nB {b:?}", self.flow.name)
    }

    fn assert_ends(&self) {
        for (side, wanted) in self.flow.end.iter().enumerate() {
            let last = self.ends[side].told.last().map(String::as_str);
            let is_wanted = wanted
                .split('|')
                .any(|one| last.is_some_and(|it| it.starts_with(one)));
            assert!(is_wanted, "side {side} wants {wanted}: {}", self.story());
        }
    }
}

/// Plays a flow over the simulated link, and compares every message.
pub(crate) fn check(flow: &Flow) {
    let mut rig = Rig::new(flow, 1, Net::simulated(flow.with.proxies));
    rig.play();
    rig.assert_silent();
    assert_eq!(rig.sent(A), flow.a, "A of {}", rig.story());
    assert_eq!(rig.sent(B), flow.b, "B of {}", rig.story());
    rig.assert_ends();
}

/// Plays a flow over real sockets on a network that loses, and compares how it ends. Returns how many
/// datagrams were sent, and lost.
pub(crate) fn check_lossy(flow: &Flow, seed: u64, what: Lossy) -> (u32, u32) {
    // Another stream of luck for each flow, not the same few for all.
    let name = flow
        .name
        .bytes()
        .fold(0, |sum, b| Random::new(sum ^ u64::from(b)).next());
    let mut rig = Rig::new(flow, seed, Net::sockets(what, name ^ seed));
    rig.play();
    rig.assert_silent();
    rig.assert_ends();
    rig.net.losses()
}

fn headers(name: &str, value: &str) -> Vec<(String, String)> {
    if name.is_empty() {
        return Vec::new();
    }
    vec![(name.to_owned(), value.to_owned())]
}

fn invite(flow: Path, offer: Option<Bytes>, reliable: Reliable) -> Invite {
    Invite {
        request_uri: "sip:bob@biloxi.example.com".to_owned(),
        flow,
        from: "\"Alice\" <sip:alice@atlanta.example.com>".to_owned(),
        to: "\"Bob\" <sip:bob@biloxi.example.com>".to_owned(),
        contact_user: "alice".to_owned(),
        headers: Vec::new(),
        offer,
        credentials: Some(Credentials::password("alice", "sesame")),
        max_forwards: 70,
        reliable,
        timers: None,
    }
}

fn outside(flow: Path, method: Method, headers: Vec<(String, String)>) -> OutOfDialog {
    OutOfDialog {
        method,
        request_uri: "sip:ss2.biloxi.example.com".to_owned(),
        flow,
        from: "\"Bob\" <sip:bob@biloxi.example.com>".to_owned(),
        to: "\"Bob\" <sip:bob@biloxi.example.com>".to_owned(),
        contact_user: None,
        headers,
        body: None,
        credentials: Some(Credentials::password("bob", "sesame")),
    }
}

/// A message in short, with `+` if it carries a description.
fn written(message: &Message) -> String {
    let plus = if message.body().is_empty() { "" } else { "+" };
    match message.status() {
        None => format!("{}{plus}", message.method_str().unwrap()),
        Some(status) => format!("{status} {}{plus}", message.cseq().unwrap().method_str),
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

/// The address an end has in the simulated network.
pub(crate) fn address(side: Side) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1 + side as u8), 5060))
}

/// The path of an end's messages to the other.
pub(crate) fn path(to: SocketAddr) -> Path {
    Path {
        transport: Transport::Udp,
        listener: ListenerId(0),
        remote: to,
        connection: None,
        peer: None,
    }
}

/// Localhost.
pub(crate) const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Until the last transaction is over: 64·T1 for the BYE of a peer that is gone, and as long again.
const REST: Duration = Duration::from_secs(200);
