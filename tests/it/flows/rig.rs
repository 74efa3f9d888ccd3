//! A flow that runs: its steps, one by one, and what is looked at when it is over.

use bytes::Bytes;
use clock::{Duration, Now};
use sip::auth::Credentials;
use sip::message::{Message, Method};
use sip::transport::Flow as Path;
use sip::ua::{Ending, Event, Invite, OutOfDialog, Output, Reliable, SessionId};

use super::end::{End, written};
use super::net::Net;
use super::sound::{Ear, heard};
use super::{
    A, Accept, Again, Answer, Ask, AskOffer, Await, B, Call, CallLate, Decline, Do, Early, Flow,
    Hear, Lose, Offer, On, Outside, Pass, Reply, Ring, Side, Word, WordOffer,
};

/// A flow that runs.
pub(super) struct Rig {
    now: Now,
    ends: [End; 2],
    pub(super) net: Net,
    flow: Flow,
}

impl Rig {
    pub(super) fn new(flow: &Flow, seed: u64, net: Net) -> Self {
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

    pub(super) fn play(&mut self) {
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
            Do::End(status) => end.ua.end(
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

    pub(super) fn sent(&self, side: Side) -> Vec<String> {
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
    pub(super) fn assert_silent(&mut self) {
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

    pub(super) fn story(&self) -> String {
        let ms = self.now.as_millis();
        let [a, b] = [A, B].map(|side| (&self.ends[side as usize].told, self.sent(side)));
        format!("{}, at {ms} ms\nA {a:?}\nB {b:?}", self.flow.name)
    }

    pub(super) fn assert_ends(&self) {
        for (side, wanted) in self.flow.end.iter().enumerate() {
            let last = self.ends[side].told.last().map(String::as_str);
            let is_wanted = wanted
                .split('|')
                .any(|one| last.is_some_and(|it| it.starts_with(one)));
            assert!(is_wanted, "side {side} wants {wanted}: {}", self.story());
        }
    }
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

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Until the last transaction is over: 64·T1 for the BYE of a peer that is gone, and as long again.
const REST: Duration = Duration::from_secs(200);
