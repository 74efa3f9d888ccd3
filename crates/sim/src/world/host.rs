//! A phone in the world: its machine, its address and its paths to the server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clock::Now;
use sip::transport::{ConnectionId, Flow, ListenerId, Transport};
use sip::ua::Listener;
use tandem::call::{CallId, Dtmf, How};
use tandem::demo::phone::{Act, Answering, Event, Habits, Output, Phone, PhonePlan};

use super::server::{SERVER, TCP, UDP, WS};
use super::{Task, World};
use crate::Random;
use crate::check::{Side, WITHIN};
use crate::link::Link;
use crate::media::Desk;
use crate::stage::password;
use crate::swarm::{Callee, Caller, Depth};

/// A phone and what is around it.
pub(super) struct Host {
    pub(super) phone: Phone,
    pub(super) desk: Desk,
    /// The way to it, as the server names it.
    pub(super) server_flow: Flow,
    /// The way to the server, as it names it.
    pub(super) own_flow: Flow,
    pub(super) up: Link,
    pub(super) down: Link,
    pub(super) media_up: Link,
    pub(super) media_down: Link,
    /// Nothing reaches it, nothing leaves it.
    pub(super) crashed: bool,
    wake_at: Option<Now>,
    tone_hz: u16,
    /// Both ends have answered.
    is_up: bool,
    /// Calls that are over.
    done: u32,
    /// Speaks without a pause from the answer on.
    steady: bool,
}

/// Two hosts that were bridged, to be looked at when it is time.
pub(super) struct Pair {
    call: CallId,
    caller: (usize, u32),
    callee: (usize, u32),
}

/// What differs between hosts.
struct Make<'a> {
    user: String,
    password: Option<String>,
    carrier: bool,
    tcp: bool,
    tone_hz: u16,
    answering: Answering,
    script: &'a [Act],
    habits: &'a Habits,
    seed: u64,
}

/// Tones of callers, then of callees, 100 Hz apart: as many as a meter follows.
fn tones() -> impl Iterator<Item = u16> {
    (3..19).map(|n| n * 100)
}

/// The address of a host: carriers' in 10.1.0.0/16, endpoints' in 10.2.0.0/16.
fn ip_of(index: usize, carrier: bool) -> IpAddr {
    let [.., high, low] = index.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, if carrier { 1 } else { 2 }, high, low))
}

/// The host at an address.
pub(super) fn index_of(ip: IpAddr) -> Option<usize> {
    match ip {
        IpAddr::V4(ip) => match ip.octets() {
            [10, 1 | 2, high, low] => Some(usize::from(high) << 8 | usize::from(low)),
            _ => None,
        },
        IpAddr::V6(_) => None,
    }
}

impl Host {
    /// A phone that calls once, from the carrier's side.
    pub(super) fn caller(index: usize, caller: &Caller, world: &mut World<'_>, seed: u64) -> Self {
        let make = Make {
            user: format!("+1666{index:07}"),
            password: None,
            carrier: true,
            tcp: caller.tcp,
            tone_hz: tones().nth(index % 8).unwrap_or(300),
            answering: Answering::Refuse(486),
            script: &caller.script,
            habits: &caller.habits,
            seed,
        };
        Self::new(index, make, world)
    }

    /// A phone that is called.
    pub(super) fn callee(index: usize, callee: &Callee, world: &mut World<'_>, seed: u64) -> Self {
        let make = Make {
            user: callee.user.to_owned(),
            password: callee.registers.map(|_| password(callee.user)),
            carrier: callee.registers.is_none(),
            tcp: callee.tcp,
            tone_hz: tones().nth(8 + callee.tone).unwrap_or(1_100),
            answering: callee.answering,
            script: &callee.script,
            habits: &callee.habits,
            seed,
        };
        Self::new(index, make, world)
    }

    fn new(index: usize, make: Make<'_>, world: &mut World<'_>) -> Self {
        let ip = ip_of(index, make.carrier);
        let address = SocketAddr::new(ip, 5060);
        let (transport, listener) = match (make.habits.browses, make.tcp) {
            (true, _) => (Transport::Ws, WS),
            (false, true) => (Transport::Tcp, TCP),
            (false, false) => (Transport::Udp, UDP),
        };
        let streams = transport.is_reliable();
        let own_flow = Flow {
            transport,
            listener: ListenerId(0),
            remote: SERVER,
            connection: None,
            peer: None,
        };
        let server_flow = Flow {
            transport,
            listener,
            remote: address,
            connection: streams.then_some(ConnectionId(index as u64)),
            peer: None,
        };
        let steady = |act: &Act| !matches!(act, Act::Press(_) | Act::Hold(_));
        let plan = PhonePlan {
            user: make.user,
            domain: SERVER.ip().to_string(),
            password: make.password,
            server: own_flow,
            listener: Listener {
                id: ListenerId(0),
                transport,
                advertised_host: ip.to_string(),
                advertised_port: 5060,
            },
            tone_hz: make.tone_hz,
            listens_for: tones().map(f32::from).collect(),
            answering: make.answering,
            script: make.script.to_vec(),
            seed: make.seed,
        };
        let (signalling, media) = (world.swarm.signalling, world.swarm.media);
        let mut link = |what, reliable| Link::new(what, reliable, fork(&mut world.random));
        Self {
            phone: Phone::new(plan).with_habits(make.habits.clone()),
            desk: Desk::phone(world.studio.clone(), ip),
            server_flow,
            own_flow,
            up: link(signalling, streams),
            down: link(signalling, streams),
            media_up: link(media, false),
            media_down: link(media, false),
            crashed: false,
            wake_at: None,
            tone_hz: make.tone_hz,
            is_up: false,
            done: 0,
            steady: make.script.iter().all(steady),
        }
    }
}

fn fork(random: &mut Random) -> Random {
    random.fork()
}

impl World<'_> {
    /// Lets something happen to a phone, and carries what it says.
    pub(super) fn with_phone(&mut self, host: usize, act: impl FnOnce(&mut Host, Now)) {
        let now = self.now;
        if let Some(it) = self.hosts.get_mut(host) {
            act(it, now);
            self.after_host(host);
            self.settle();
        }
    }

    /// A phone asked to be woken; it may have thought better of it since.
    pub(super) fn wake(&mut self, host: usize) {
        let now = self.now;
        let due = |it: &&mut Host| it.wake_at == Some(now);
        if let Some(it) = self.hosts.get_mut(host).filter(due) {
            it.wake_at = None;
            it.phone.handle_timeout(now, &mut it.desk);
            self.after_host(host);
            self.settle();
        }
    }

    /// Carries what a phone says, and notes when it wants to be woken.
    pub(super) fn after_host(&mut self, host: usize) {
        while let Some(output) = self
            .hosts
            .get_mut(host)
            .and_then(|it| it.phone.poll_output())
        {
            match output {
                Output::Transmit { bytes, .. } => {
                    if self.hosts.get(host).is_none_or(|it| it.crashed) {
                        continue;
                    }
                    let seen = self.checks.sent(Side::Host(host), host, SERVER, &bytes);
                    if !self.passes_proxy(host, &seen, &bytes) {
                        continue;
                    }
                    let Some(it) = self.hosts.get_mut(host) else {
                        continue;
                    };
                    for at in it.up.carry(self.now).into_iter().flatten() {
                        self.plan(at, Task::ToServer(host, bytes.clone(), seen.clone()));
                    }
                }
                Output::Event(event) => self.on_phone(host, event),
            }
        }
        let Some(it) = self.hosts.get_mut(host) else {
            return;
        };
        // A deadline that has passed is one that the next moment serves.
        let wanted = it.phone.deadline().map(|at| at.max(self.now));
        if let Some(at) = wanted.filter(|at| it.wake_at.is_none_or(|set| *at < set)) {
            it.wake_at = Some(at);
            self.plan(at, Task::Wake(host));
        }
    }

    fn on_phone(&mut self, host: usize, event: Event) {
        let Some(it) = self.hosts.get_mut(host) else {
            return;
        };
        match event {
            Event::Over(heard) => {
                it.is_up = false;
                it.done += 1;
                self.checks.word(format!("host {host} is out of its call"));
                let tone_of = |other: usize| {
                    let other = self.hosts.get(other);
                    other.map_or(0.0, |other| f32::from(other.tone_hz))
                };
                let own = tone_of(host);
                let judged = self.checks.sounds.over(host, &heard, tone_of, own);
                // Where keys are tones, they are heard as what they are.
                let judged = judged.filter(|_| self.swarm.dtmf.1 != Dtmf::InBand);
                if let Some(what) = judged {
                    self.checks.broken(what);
                }
                self.checks.sounds.begins(host);
                if self.hearings.len() <= host {
                    self.hearings.resize(host + 1, Vec::new());
                }
                if let Some(hearings) = self.hearings.get_mut(host) {
                    hearings.push(heard);
                }
            }
            Event::Speaking => {
                self.checks
                    .word(format!("host {host} speaks while it rings"));
                // Whoever waits now may be whom it is rung for: either hears the other, also where the answer
                // crosses the caller's end and nobody is told of a bridge.
                for (other, it) in self.hosts.iter().enumerate() {
                    if other != host && !it.phone.is_idle() {
                        self.checks.sounds.may_hear(other, host);
                        self.checks.sounds.may_hear(host, other);
                    }
                }
            }
            Event::Up => {
                it.is_up = true;
                self.checks.word(format!("host {host} is up"));
            }
            other => self.checks.word(format!("host {host}: {other:?}")),
        }
    }

    /// Two parties hear each other, says the server.
    pub(super) fn bridged(&mut self, call: CallId, with: &str) {
        let with_whom = self.up_as(with);
        let callers = self.callers(call);
        for caller in &callers {
            for callee in with_whom.iter().filter(|callee| *callee != caller) {
                self.checks.sounds.bridged(call, *caller, *callee);
            }
        }
        if let ([caller], [callee]) = (callers.as_slice(), with_whom.as_slice()) {
            self.expect_pair(call, *caller, *callee);
        }
    }

    /// The hosts that are up under that name.
    fn up_as(&self, name: &str) -> Vec<usize> {
        let up = |host: &usize| self.hosts.get(*host).is_some_and(|it| it.is_up);
        self.named(name).into_iter().filter(up).collect()
    }

    /// The hosts of that name; numbers are the carrier's to answer.
    fn named(&self, name: &str) -> Vec<usize> {
        let caller = self.checks.calls.host_called(name);
        let is = |(index, it): &(usize, &Host)| match caller {
            Some(caller) => *index == caller,
            None => {
                let user = it.phone.user();
                user == name || (user == "carrier" && name.starts_with('+'))
            }
        };
        let hosts = self.hosts.iter().enumerate().filter(is);
        hosts.map(|(index, _)| index).collect()
    }

    /// Two hosts must hear each other soon.
    fn expect_pair(&mut self, call: CallId, caller: usize, callee: usize) {
        let done = |host: usize| (host, self.hosts.get(host).map_or(0, |it| it.done));
        let pair = Pair {
            call,
            caller: done(caller),
            callee: done(callee),
        };
        // Four crossings: two of the answer that starts the callee's tone, two of the tone itself.
        let due = self.now + WITHIN + self.swarm.media.delay * 2 + self.swarm.signalling.delay * 2;
        if self.swarm.depth == Depth::Full {
            self.plan(due, Task::Pair(pair));
        }
    }

    /// Whose call it may be: an endpoint that calls may be any of its phones.
    fn callers(&self, call: CallId) -> Vec<usize> {
        if let Some((_, hosts)) = self.successors.get(&call) {
            return hosts.clone();
        }
        if let Some(host) = self.checks.calls.host_of(call) {
            return vec![host];
        }
        let from = self.checks.calls.from(call);
        let hosts = self.hosts.iter().enumerate();
        let mine = hosts.filter(|(_, it)| from == Some(it.phone.user()));
        mine.map(|(index, _)| index).collect()
    }

    /// One party of a call gave its place to another: whoever is left must hear the new one.
    pub(super) fn transferred(&mut self, call: CallId, (by, to): (&str, &str), how: How) {
        let new = self.up_as(to);
        let callers = self.callers(call);
        let caller = match self.successors.get(&call) {
            Some((name, _)) => Some(name.as_str()),
            None => self.checks.calls.from(call),
        };
        let caller_left = caller == Some(by);
        let left = |host: usize, it: &Host| {
            it.phone.user() == by || (caller_left && callers.contains(&host))
        };
        let room: Vec<usize> = self.checks.sounds.room(call).collect();
        // Whoever has just hung up may be heard until the server knows.
        for old in &room {
            for new in self.named(to).into_iter().filter(|new| new != old) {
                self.checks.sounds.bridged(call, *old, new);
            }
        }
        let stays = |host: &&usize| {
            let here = self.hosts.get(**host).filter(|it| it.is_up);
            !new.contains(host) && here.is_some_and(|it| !left(**host, it))
        };
        let stay: Vec<usize> = room.iter().filter(stays).copied().collect();
        if caller_left {
            let place = match how {
                How::Replaced => (to.to_owned(), new.clone()),
                How::Blind | How::Attended => (String::new(), stay.clone()),
            };
            self.successors.insert(call, place);
        }
        if let ([old], [new]) = (stay.as_slice(), new.as_slice()) {
            self.expect_pair(call, *old, *new);
        }
    }

    /// On clean paths, who was bridged must hear the other by now.
    pub(super) fn judge_pair(&mut self, pair: Pair) {
        let clean = self.swarm.media.is_clean() && self.swarm.signalling.is_clean();
        if !clean || self.swarm.mischief.is_on() {
            return;
        }
        let sides = [(pair.caller, pair.callee), (pair.callee, pair.caller)];
        for ((host, done), (other, _)) in sides {
            self.with_phone(host, |host, now| {
                host.phone.handle_timeout(now, &mut host.desk)
            });
            let there = |it: &&Host| it.is_up && it.done == done && !it.crashed;
            if self.hosts.get(host).filter(there).is_none() {
                return;
            }
            if self
                .hosts
                .get(other)
                .is_none_or(|it| !it.steady || it.crashed)
            {
                return;
            }
        }
        let mut hear = 0;
        for ((host, _), (other, _)) in sides {
            let hz = self
                .hosts
                .get(other)
                .map_or(0.0, |it| f32::from(it.tone_hz));
            let heard = self.hosts.get(host).and_then(|it| it.phone.hearing());
            let track = heard.and_then(|heard| {
                heard
                    .tones
                    .into_iter()
                    .find(|track| (track.hz - hz).abs() < 0.5)
            });
            if track.is_none_or(|track| track.first_frame.is_none()) {
                self.checks.broken(format!(
                    "{}: host {host} does not hear host {other}'s {hz} Hz: {track:?}",
                    pair.call
                ));
            } else {
                hear += 1;
            }
        }
        self.heard += usize::from(hear == 2);
    }
}
