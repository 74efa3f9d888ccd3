//! A call that is only asked about: the shard's own machines take it, in a shadow of the shard, and
//! whatever they decide is the answer. There is no second copy of any rule.
//!
//! The law: a rehearsal changes nothing and sends nothing. The shadow has the trunks with the caps in
//! use, the registrations, the plan, the queues and agents as they are, a media plane without media and
//! a wall clock that shows the time asked about. Time passes as fast as the machines allow; steps,
//! messages and virtual time are bounded.

mod phone;
mod plane;
mod probe;
mod view;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clock::Now;
use media::Digit;
use media::source::Clip;
use media::worker::{IpFamily, NoPort};
use rtrb::Producer;
use sip::transport::{ConnectionId, Flow};

use super::event::{Event, What};
use super::{Control, Output, Setup, WallClock};
use crate::call::{CallId, Cdr};
use crate::explain::Explanation;
use crate::trunk::AbuseConfig;
use phone::{Callee, Caller};
use plane::DryPlane;

pub use phone::CalleeDoes;
pub use plane::dry_plane;
pub use probe::Probe;

/// What a rehearsal came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rehearsal {
    /// The way that the call took, in order.
    pub steps: Vec<Step>,
    /// Where it ended.
    pub verdict: Verdict,
}

/// One decision on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was decided: `listener`, `source`, `identity`, `number`, `caps`, `entry`, `rival`, `hours`,
    /// `flow`, `queue`, `rings`, `trouble`.
    pub name: &'static str,
    /// How.
    pub text: String,
}

/// Where a rehearsed call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It came to somebody or something: how.
    Taken(String),
    /// It was refused, or what it wanted could not be done.
    Refused {
        /// The status that the caller hears; 0 for silence, 200 where the call was answered first.
        status: u16,
        /// Why.
        why: Explanation,
    },
}

impl Control {
    /// Asks what would become of a call, without placing it.
    pub fn rehearse(&mut self, now: Now, probe: &Probe) -> Rehearsal {
        let at = probe.at.unwrap_or_else(|| self.wall.at(now));
        let probe = &Probe {
            at: Some(at),
            ..probe.clone()
        };
        let mut steps = Vec::new();
        let flow = match self.heard(probe) {
            Ok((flow, text)) => {
                steps.push(Step {
                    name: "listener",
                    text,
                });
                flow
            }
            Err(why) => {
                let why = why.explanation();
                let verdict = Verdict::Refused { status: 0, why };
                return Rehearsal { steps, verdict };
            }
        };
        if let Some(other) = self.other_trunk(probe) {
            let why = other.explanation();
            self.source_steps(probe, flow, &mut steps);
            let verdict = Verdict::Refused { status: 0, why };
            return Rehearsal { steps, verdict };
        }
        let (shadow, keys) = self.shadow(now, probe);
        let host = self.host_shown(flow);
        let seen = Stage::new(shadow, flow, now, keys).play(probe, &self.trunks, &host);
        self.source_steps(probe, flow, &mut steps);
        self.call_steps(probe, &seen, &mut steps);
        let verdict = self.verdict(probe, flow, seen);
        Rehearsal { steps, verdict }
    }

    /// A shard in which nothing is going on but what this one has in use.
    fn shadow(&mut self, now: Now, probe: &Probe) -> (Self, Producer<Digit>) {
        let room = [IpFamily::V4, IpFamily::V6].map(|family| (family, self.room(family)));
        let (plane, keys) = DryPlane::new(room);
        let setup = Setup {
            shard: self.shard,
            seed: 1,
            user_agent: self.ua.config().clone(),
            listeners: self.listeners.clone(),
            trunks: self.trunks.clone(),
            registrar: self.registrar.clone(),
            plan: self.plan.clone(),
            agents: self.agents.clone(),
            media_keys: sip::sdp::KeySeed::new([1; 32]),
            media: Box::new(plane),
            wall: WallClock::new(now, probe.at.unwrap_or_default()),
            codecs: self.codecs.clone(),
            inband_dtmf: false,
            calls_max: self.calls_max.saturating_sub(self.calls.len()),
            transfers_max: self.transfers_max,
            recording: self.recording,
            // One caller, who is asked about and not feared.
            abuse: AbuseConfig {
                amplification: 0,
                ..AbuseConfig::default()
            },
        };
        let mut shadow = Self::new(now, setup);
        shadow.center = self.center.clone();
        shadow.carriers.names = self.carriers.names.clone();
        shadow.carriers.health = self.carriers.health.clone();
        shadow.draining = self.draining;
        (shadow, keys)
    }

    /// Whether the media plane would have a port now.
    fn room(&mut self, family: IpFamily) -> Result<(), NoPort> {
        let reserved = self.media.reserve(family)?;
        self.media.release(reserved.worker, reserved.port);
        Ok(())
    }
}

/// What was seen of a rehearsed call.
#[derive(Debug, Default)]
struct Seen {
    call: Option<CallId>,
    events: Vec<What>,
    record: Option<Box<Cdr>>,
    /// What the caller heard last.
    status: Option<u16>,
    cannot_prove: bool,
    /// Where INVITEs went, and to whom.
    rung: Vec<(Flow, String)>,
    /// It waits for a key that nobody presses.
    listens: bool,
    ended: bool,
}

/// The shadow and the two ends of the call.
struct Stage {
    shadow: Control,
    flow: Flow,
    now: Now,
    keys: Producer<Digit>,
    callees: Vec<(Flow, Callee)>,
    seen: Seen,
}

impl Stage {
    fn new(shadow: Control, flow: Flow, now: Now, keys: Producer<Digit>) -> Self {
        Self {
            shadow,
            flow,
            now,
            keys,
            callees: Vec::new(),
            seen: Seen::default(),
        }
    }

    /// Plays the call until nothing more comes of it.
    fn play(mut self, probe: &Probe, trunks: &crate::trunk::Trunks, host: &str) -> Seen {
        let mut caller = Caller::new(probe, trunks, host);
        let until = self.now + VIRTUAL_MAX;
        let mut waiting: Vec<Bytes> = caller.request(None).into_iter().collect();
        let mut digits = probe.digits.chars();
        for _ in 0..ROUNDS_MAX {
            for bytes in waiting.drain(..) {
                self.shadow.receive(self.now, self.flow, bytes);
            }
            self.shadow.poll_media(self.now);
            if self.drain(probe, &mut caller, &mut waiting) {
                continue;
            }
            if self.is_over(probe, &caller) {
                break;
            }
            if self.press(&mut digits) {
                continue;
            }
            let Some(at) = self.shadow.deadline().filter(|at| *at <= until) else {
                break;
            };
            self.now = self.now.max(at);
            self.shadow.handle_timeout(self.now);
        }
        self.seen.status = caller.status;
        self.seen.cannot_prove = caller.cannot_prove;
        self.seen
    }

    /// Carries out what the shadow wants; whether anything came of it.
    fn drain(&mut self, probe: &Probe, caller: &mut Caller<'_>, waiting: &mut Vec<Bytes>) -> bool {
        let mut moved = false;
        while let Some(output) = self.shadow.poll_output() {
            moved = true;
            match output {
                Output::Transmit { flow, bytes } if flow == self.flow => {
                    waiting.extend(caller.receive(bytes));
                }
                Output::Transmit { flow, bytes } => self.at_callee(probe, flow, bytes),
                Output::LoadClips { call, request } => {
                    let clip = Clip::from_pcm8k(vec![0; 160]).map(Arc::new);
                    let clips = clip.map(|clip| vec![clip]).map_err(|it| it.to_string());
                    self.shadow
                        .clips_loaded(self.now, call, request.leg, request.play, clips);
                }
                Output::Event(event) => self.note(event),
                Output::Cdr(record) => {
                    self.seen.record = Some(record);
                    self.seen.ended = true;
                }
                _ => {}
            }
        }
        moved || !waiting.is_empty()
    }

    fn note(&mut self, event: Event) {
        if event.call.is_some() {
            self.seen.call = event.call;
        }
        let about = event.call.is_some() || matches!(event.what, What::Refused { .. });
        if about && self.seen.events.len() < EVENTS_MAX {
            self.seen.events.push(event.what);
        }
    }

    /// Something went out to who is rung.
    fn at_callee(&mut self, probe: &Probe, flow: Flow, bytes: Bytes) {
        let request = sip::message::Message::parse(bytes.clone()).ok();
        let uri = request.as_ref().filter(|it| it.is_request());
        let uri = uri.and_then(|it| it.request_uri()).map(str::to_owned);
        let known = self.callees.iter().position(|(to, _)| *to == flow);
        let index = match (known, uri) {
            (Some(index), _) => index,
            (None, Some(uri)) if self.callees.len() < CALLEES_MAX => {
                self.seen.rung.push((flow, uri));
                let does = probe.callee.unwrap_or(CalleeDoes::Nothing);
                self.callees.push((flow, Callee::new(does, flow)));
                self.callees.len() - 1
            }
            _ => return,
        };
        let Some((_, callee)) = self.callees.get_mut(index) else {
            return;
        };
        for bytes in callee.receive(self.now, flow, bytes) {
            self.shadow.receive(self.now, flow, bytes);
        }
    }

    /// Whether the question is answered.
    fn is_over(&self, probe: &Probe, caller: &Caller<'_>) -> bool {
        let rung = !self.seen.rung.is_empty() && probe.callee.is_none();
        let bridged = |it: &What| matches!(it, What::Bridged { .. });
        let refused = caller
            .status
            .is_some_and(|status| status >= 300 || probe.register);
        let silent = self.seen.call.is_none()
            && matches!(
                self.seen.events.last(),
                Some(What::Refused { status: 0, .. })
            );
        self.seen.ended
            || rung
            || silent
            || caller.cannot_prove
            || (refused && self.seen.call.is_none())
            || self.seen.events.iter().any(bridged)
            || self.waits_in_queue()
    }

    fn waits_in_queue(&self) -> bool {
        let queued = |it: &What| matches!(it, What::Queued { .. });
        let call = self.seen.call;
        self.seen.events.iter().any(queued)
            && call.is_some_and(|call| self.shadow.center.queue_of(call).is_some())
    }

    /// Presses the next key where the plan listens.
    fn press(&mut self, digits: &mut std::str::Chars<'_>) -> bool {
        let slot = self.seen.call.and_then(|call| self.shadow.calls.get(&call));
        let hears = slot
            .and_then(|slot| slot.run.as_ref())
            .is_some_and(|run| run.stage() == crate::dialplan::Stage::Listening);
        if !hears {
            return false;
        }
        let Some(digit) = digits.next().and_then(Digit::from_char) else {
            self.seen.listens = true;
            return false;
        };
        self.keys.push(digit).is_ok()
    }
}

impl Probe {
    /// The way that its messages come, by that listener.
    fn flow_by(&self, listener: &super::Listener) -> Flow {
        Flow {
            transport: self.transport,
            listener: listener.id,
            remote: self.source,
            connection: self.transport.is_reliable().then_some(REHEARSED),
            peer: None,
        }
    }
}

/// The connection of a rehearsed caller: no real one has this number.
const REHEARSED: ConnectionId = ConnectionId(u64::MAX);

/// Virtual time after which a rehearsal is broken off: longer than any queue's patience.
const VIRTUAL_MAX: Duration = Duration::from_secs(3_600);
/// Turns of the loop.
const ROUNDS_MAX: u32 = 5_000;
/// Events kept.
const EVENTS_MAX: usize = 256;
/// Places rung.
const CALLEES_MAX: usize = 32;
