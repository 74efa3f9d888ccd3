//! What comes from the network: new calls, registrations, and events of live sessions.

use bytes::Bytes;
use clock::Now;
use media::worker::IpFamily;
use sip::auth::AuthorizationHeader;
use sip::message::{Message, Method, Name};
use sip::transport::{Flow, FrameError, ListenerId};
use sip::ua::{self, Ending, Event as SipEvent, RequestId, SessionId};

use super::placing::Place;
use super::{Control, Event, Output, Refusal, Signalling, Slot, What};
use crate::call::{Call, CallId, Dtmf, Incoming, Label, LegId, LegMedia, Party, VoicePolicy};
use crate::center;
use crate::dialplan::{CallFacts, CalledBy, EntryId, Run, RunInput};
use crate::explain::nearest;
use crate::trunk::{self, Admission, Admitted, Challenge, Change, Disproof, Identity};

/// A request that was admitted, as a call needs it.
pub(super) struct Caller {
    pub(super) label: Label,
    from: String,
    to: String,
    entry: Option<EntryId>,
    pub(super) codecs: Vec<sip::sdp::Codec>,
    pub(super) order: Option<sip::sdp::CodecOrder>,
    pub(super) admitted: Option<Admitted>,
    identity: Identity,
    hops: u8,
    turns: u8,
}

impl Control {
    pub(super) fn on_sip(&mut self, now: Now, output: ua::Output) {
        match output {
            ua::Output::Transmit { flow, bytes } => {
                self.transmit(now, flow, bytes);
            }
            ua::Output::Event(SipEvent::Invited {
                session,
                request,
                flow,
                offer,
                replaces,
            }) => match replaces {
                Some(replaced) => {
                    self.on_replacing(now, (session, replaced), (&request, flow), offer);
                }
                None => self.on_invited(now, session, &request, flow, offer),
            },
            ua::Output::Event(SipEvent::Requested {
                request_id,
                request,
                flow,
            }) => {
                self.on_requested(now, request_id, &request, flow);
            }
            ua::Output::Event(SipEvent::TurnedAway {
                request,
                flow,
                status,
                why,
            }) => self.on_turned_away(now, (&request, flow), status, why),
            ua::Output::Event(SipEvent::Response {
                request_id,
                status,
                response,
                proven,
            }) => {
                self.pin_registered(request_id, status, proven);
                self.on_response(now, request_id, status, response.as_ref());
            }
            ua::Output::Event(event) => self.on_session(now, event),
        }
    }

    pub(super) fn on_session(&mut self, now: Now, event: SipEvent) {
        let Some(session) = session_of(&event) else {
            return;
        };
        if self.hunted(now, session, &event) {
            return;
        }
        let over = matches!(event, SipEvent::Ended { .. } | SipEvent::Refused { .. });
        let owner = if over {
            self.sessions.remove(&session)
        } else {
            self.sessions.get(&session).copied()
        };
        let Some((call, leg)) = owner else { return };
        if let SipEvent::InDialog {
            request_id,
            request,
            ..
        } = &event
            && request.method() == Some(Method::Refer)
        {
            return self.on_refer(now, (call, leg), *request_id, request);
        }
        let Some(slot) = self.calls.get_mut(&call) else {
            return;
        };
        if over {
            slot.sessions.remove(&leg);
            if let Some(admitted) = slot.admitted.remove(&leg) {
                self.trunks.release(now, admitted);
            }
        }
        if matches!(event, SipEvent::Answered { .. })
            && let Some(admitted) = slot.admitted.get(&leg)
        {
            self.trunks.answered(now, admitted);
        }
        let trunk = match &event {
            SipEvent::Answered { .. } => slot.call.label(leg).and_then(|it| it.trunk.clone()),
            _ => None,
        };
        slot.call.on_sip(now, leg, event);
        self.dirty.push_back(call);
        if let Some(trunk) = trunk {
            self.pin(&trunk, session);
        }
    }

    fn on_invited(
        &mut self,
        now: Now,
        session: SessionId,
        request: &Message,
        flow: Flow,
        offer: Option<Bytes>,
    ) {
        let urgent = self.trunks.is_emergency(request);
        if !urgent && (self.draining || self.calls.len() >= self.calls_max) {
            let why = match self.draining {
                true => Refusal::Draining,
                false => Refusal::TooManyCalls {
                    limit: self.calls_max,
                },
            };
            self.note_refusal(now, 503, &why, Some((request, flow)));
            let retry = ("Retry-After".to_owned(), "10".to_owned());
            let headers = std::iter::once(retry).chain(self.explain_to(flow, &why));
            let headers = headers.collect();
            return self.ua.end(
                now,
                session,
                Ending {
                    status: 503,
                    reason: None,
                    headers,
                },
            );
        }
        match self.caller(now, request, flow) {
            Ok(caller) => self.begin(now, session, (request, flow), caller, offer),
            Err(ending) => self.ua.end(now, session, ending),
        }
    }

    /// Who calls, or how the call is refused.
    pub(super) fn caller(
        &mut self,
        now: Now,
        request: &Message,
        flow: Flow,
    ) -> Result<Caller, Ending> {
        // An unreadable one was refused before it came here.
        let hops = request.max_forwards().ok().flatten();
        let hops = hops.unwrap_or(HOPS_MAX).min(HOPS_MAX);
        match self.admission(now, request, flow) {
            Admission::Trunk(call) => Ok(Caller {
                label: Label {
                    address: call.caller.clone(),
                    endpoint: None,
                    trunk: Some(call.trunk.name.clone()),
                },
                entry: self.plan.entry(&call.called),
                from: call.caller,
                to: call.called,
                codecs: call.trunk.codecs.clone(),
                order: Some(call.trunk.codec_order),
                admitted: call.admitted,
                identity: call.identity,
                hops,
                turns: call.turns,
            }),
            Admission::Endpoint(call) => {
                let name = call.endpoint.name.clone();
                Ok(Caller {
                    label: Label {
                        address: name.clone(),
                        endpoint: Some(name.clone()),
                        trunk: None,
                    },
                    entry: match &call.guest {
                        // From outside, and for that number alone.
                        Some(guest) if guest.is_click() => self.plan.entry(&call.called),
                        _ => self.plan.entry_from_endpoint(&name, &call.called),
                    },
                    from: call.identity.number.clone(),
                    to: call.called,
                    codecs: call.endpoint.codecs.clone(),
                    order: None,
                    admitted: call.admitted,
                    identity: call.identity,
                    hops,
                    turns: 0,
                })
            }
            Admission::Challenge(challenge) => {
                self.note_denial(now, &challenge, (request, flow));
                Err(Ending {
                    status: challenge.status,
                    reason: None,
                    headers: challenge.headers,
                })
            }
            Admission::Refused(refusal) => Err(self.refusal(now, refusal, (request, flow))),
        }
    }

    pub(super) fn refusal(
        &mut self,
        now: Now,
        refusal: trunk::Refusal,
        request: (&Message, Flow),
    ) -> Ending {
        let status = refusal.status().unwrap_or(403);
        let retry = refusal.retry_after_secs();
        let refusal = refusal.into();
        self.note_refusal(now, status, &refusal, Some(request));
        let retry = retry.map(|secs| ("Retry-After".to_owned(), secs.to_string()));
        let told = self.explain_to(request.1, &refusal);
        Ending {
            status,
            reason: None,
            headers: retry.into_iter().chain(told).collect(),
        }
    }

    fn begin(
        &mut self,
        now: Now,
        session: SessionId,
        (request, flow): (&Message, Flow),
        caller: Caller,
        offer: Option<Bytes>,
    ) {
        let family = IpFamily::of(flow.remote.ip().to_canonical());
        let beside = self.other_call_of(caller.label.endpoint.as_deref(), flow);
        let reserved = self.place(beside, flow, offer.as_deref());
        let rescue = self.rescue_of(&caller.to, caller.entry.is_some());
        let (entry, place) = match (caller.entry, reserved) {
            (entry, Ok(place)) if entry.is_some() || rescue.is_some() => (entry, place),
            (entry, reserved) => {
                let (status, why) = match (entry, &reserved) {
                    (_, Err(why)) => (503, Refusal::NoMedia { why: *why, family }),
                    _ => (404, self.no_entry(&caller)),
                };
                if let Ok(place) = reserved {
                    let reserved = place.reserved;
                    self.media.release(reserved.worker, reserved.port);
                }
                if let Some(admitted) = caller.admitted {
                    self.trunks.release(now, admitted);
                }
                self.note_refusal(now, status, &why, Some((request, flow)));
                return self.ua.end(
                    now,
                    session,
                    Ending {
                        status,
                        headers: self.explain_to(flow, &why).into_iter().collect(),
                        ..Ending::default()
                    },
                );
            }
        };
        let call = CallId::new(self.shard, self.next_call);
        self.next_call += 1;
        let (trunk, endpoint) = (caller.label.trunk.clone(), caller.label.endpoint.clone());
        let facts = CallFacts {
            from: caller.from.clone(),
            to: caller.to.clone(),
            trunk,
            at: self.wall.at(now),
        };
        let reserved = place.reserved;
        self.ports.insert((reserved.worker, reserved.port), call);
        let media = self.leg_media(flow.listener, place, &caller.codecs, caller.order);
        let media = self.with_keys(&caller.label, flow, media);
        let from = caller.from.clone();
        self.event(
            now,
            call,
            What::Initiated {
                from: caller.from.clone(),
                to: caller.to.clone(),
            },
        );
        let incoming = Incoming {
            from: caller.from,
            to: caller.to,
            label: caller.label,
            offer,
            media,
            recording_rate_max: self.recording.rate_max,
        };
        let bridge = self.new_bridge();
        let machine = Call::incoming(call, bridge, now, incoming);
        self.sessions.insert(session, (call, LegId::CALLER));
        let entry = entry.filter(|_| rescue.is_none());
        let mut run = entry.map(|entry| Run::start(self.plan.clone(), entry, facts));
        if let Some(run) = run.as_mut().filter(|_| !machine.is_ending()) {
            run.handle(now, RunInput::Start);
        }
        let mut slot = Box::new(Slot::new(machine, run, session));
        slot.identity = caller.identity;
        slot.hops = caller.hops;
        slot.turns = caller.turns;
        slot.admitted
            .extend(caller.admitted.map(|admitted| (LegId::CALLER, admitted)));
        self.note_call(call, &from);
        self.calls.insert(call, slot);
        self.note_leg(now, (call, LegId::CALLER), session, flow.remote);
        self.engage(now, call, Party::Caller, endpoint.as_deref());
        self.dirty.push_back(call);
        if let Some(rescue) = rescue {
            self.begin_rescue(now, call, rescue);
        }
    }

    /// Our side of a leg's media.
    pub(super) fn leg_media(
        &mut self,
        listener: ListenerId,
        Place { reserved, web }: Place,
        codecs: &[sip::sdp::Codec],
        order: Option<sip::sdp::CodecOrder>,
    ) -> LegMedia {
        let codecs = if codecs.is_empty() {
            self.codecs.clone()
        } else {
            codecs.to_vec()
        };
        let own = self
            .listeners
            .iter()
            .find(|it| it.id == listener)
            .and_then(|it| it.media);
        let address = own.unwrap_or(reserved.advertised);
        let mut local = sip::sdp::LocalMedia::new(address, reserved.rtp.port(), codecs);
        if let Some(order) = order {
            local.order = order;
        }
        local.web = web.map(|end| self.web_local(end));
        // A muted page that may send comfort noise sends ten packets a second instead of fifty.
        local.comfort_noise &= local.web.is_none();
        LegMedia {
            local,
            reserved,
            random: self.random.next(),
            dtmf: Dtmf::Auto,
            inband_dtmf: self.inband_dtmf,
            voice: VoicePolicy::default(),
        }
    }

    fn no_entry(&self, caller: &Caller) -> Refusal {
        let trunk = caller.label.trunk.as_deref();
        let trunk = trunk.and_then(|name| Some((name, self.trunks.trunk(name)?.numbers)));
        let missing = self.plan.no_entry(&caller.to, CalledBy { trunk });
        Refusal::NoEntry(Box::new(missing))
    }

    /// The SIP machine refused by itself.
    fn on_turned_away(
        &mut self,
        now: Now,
        (request, flow): (&Message, Flow),
        status: u16,
        why: Option<sip::message::Cause>,
    ) {
        let why = match why {
            Some(why) => Signalling::unfit(&why, request),
            None if status == 422 => Signalling::Interval {
                asked: request
                    .header(Name::SessionExpires)
                    .unwrap_or_default()
                    .to_owned(),
                least: self.ua.timers().least.as_secs().to_string(),
                key: self
                    .timer_key(flow, "min")
                    .unwrap_or("sip.min_se".to_owned()),
            },
            None if status == 421 => Signalling::NoTimer {
                key: self.timer_key(flow, "mode").unwrap_or_default(),
            },
            None => Signalling::Merged,
        };
        let why = Refusal::Signalling(why);
        self.note_refusal(now, status, &why, Some((request, flow)));
    }

    /// The key of the session timer of the trunk that a source belongs to.
    fn timer_key(&self, flow: Flow, key: &str) -> Option<String> {
        let (trunk, _) = self.trunks.owner_entry(flow.remote)?;
        let given = match key {
            "min" => trunk.timers.least.is_some(),
            _ => true,
        };
        given.then(|| format!("trunks.{}.session_timer.{key}", trunk.name))
    }

    /// An INVITE without credentials from nobody of ours by name: a carrier that is not listed is asked
    /// for them like a phone, and never comes back. Kept, not told: a phone does the same at first.
    fn note_stranger(
        &mut self,
        now: Now,
        challenge: &Challenge,
        (request, flow): (&Message, Flow),
    ) {
        let claimed = request
            .from()
            .ok()
            .and_then(|from| from.uri.user_name().map(|it| it.into_owned()));
        let ours = claimed.is_some_and(|name| {
            self.trunks.endpoint(&name).is_some() || self.trunks.inbound_user(&name).is_some()
        });
        let first = challenge.denied.is_none() && request.method() == Some(Method::Invite);
        if first && !ours && !self.trunks.is_of_trunk(flow) {
            let why = self.trunks.stranger(flow).into();
            self.keep_refusal(now, challenge.status, &why, (request, flow));
        }
    }

    /// Credentials that came and were no proof. A request without any is only asked for them.
    pub(super) fn note_denial(
        &mut self,
        now: Now,
        challenge: &Challenge,
        request: (&Message, Flow),
    ) {
        let denied = match challenge.denied {
            Some(Disproof::Digest(denied)) if !denied.stale => denied,
            Some(Disproof::Token(denied)) => {
                let why = Refusal::Token(denied);
                return self.note_refusal(now, challenge.status, &why, Some(request));
            }
            _ => return self.note_stranger(now, challenge, request),
        };
        if !self.guard.can_tell(now) {
            return;
        }
        let user = request.0.headers(Name::Authorization).find_map(|value| {
            let header = AuthorizationHeader::parse(value).ok()?;
            Some(header.username.into_owned())
        });
        let user = user.unwrap_or_default();
        let endpoints = self.trunks.endpoints().map(|it| it.name.as_str());
        let carriers = self.trunks.trunks();
        let carriers = carriers.filter_map(|(it, _)| Some(it.inbound.as_ref()?.0.as_str()));
        let names = endpoints.chain(carriers);
        let key = match self.trunks.inbound_user(&user) {
            _ if self.trunks.endpoint(&user).is_some() => {
                Some(format!("endpoints.{user}.password"))
            }
            Some(trunk) => Some(format!("trunks.{}.inbound_password", trunk.name)),
            None => None,
        };
        let why = Refusal::Credentials {
            near: nearest(&user, names).map(str::to_owned),
            key,
            user,
            why: denied.why,
        };
        self.note_refusal(now, challenge.status, &why, Some(request));
    }

    fn on_requested(&mut self, now: Now, id: RequestId, request: &Message, flow: Flow) {
        let admission = self.admission(now, request, flow);
        let (status, headers) = match admission {
            Admission::Endpoint(by) if request.method() == Some(Method::Register) => {
                let until = by.guest.map(|guest| guest.until);
                let registrar = &mut self.registrar;
                let reply = registrar.handle_until(now, &by.endpoint, request, flow, until);
                if !reply.why.is_empty() {
                    let (status, why) = (reply.status, reply.why);
                    let why = Refusal::Register { status, why };
                    self.note_refusal(now, status, &why, Some((request, flow)));
                }
                (reply.status, reply.headers)
            }
            Admission::Endpoint(_) | Admission::Trunk(_) => {
                let allow = ("Allow".to_owned(), ALLOWED.to_owned());
                (405, vec![allow])
            }
            Admission::Challenge(challenge) => {
                self.note_denial(now, &challenge, (request, flow));
                (challenge.status, challenge.headers)
            }
            Admission::Refused(refusal) => {
                let ending = self.refusal(now, refusal, (request, flow));
                (ending.status, ending.headers)
            }
        };
        self.ua.respond(now, id, status, &headers, None);
    }

    /// Takes what a stream is closed for: told, and answered a last time if its sender may speak to us.
    pub fn unframeable(&mut self, now: Now, flow: Flow, refused: &FrameError) {
        let known = self.trunks.may_speak(flow);
        let status = refused.error.answer.filter(|_| known).unwrap_or(0);
        let why = Refusal::Unframeable {
            source: flow.remote,
            why: refused.to_string(),
        };
        self.note_refusal(now, status, &why, None);
        self.ua.unframeable(flow, refused, known);
        self.pump(now);
    }

    pub(super) fn on_registered(&mut self, now: Now, change: Change) {
        if let Change::Moved { from, to } = change {
            return self.ua.flow_moved(from, to);
        }
        if let Change::Reachable { endpoint, yes } = &change {
            let agents: Vec<center::AgentId> = self
                .agents
                .iter()
                .filter(|agent| agent.endpoint == *endpoint)
                .map(|agent| agent.id.clone())
                .collect();
            for agent in agents {
                self.center
                    .handle(now, center::Input::AgentReachable { agent, yes: *yes });
            }
            let what = What::Reachable {
                endpoint: endpoint.clone(),
                yes: *yes,
            };
            self.outputs.push_back(Output::Event(Event {
                at: now,
                call: None,
                what,
            }));
        }
        self.outputs.push_back(Output::Registered(change));
    }
}

/// The hops of a call that names none (RFC 3261 §8.1.1.6), and the most that it is believed to have left.
const HOPS_MAX: u8 = 70;

/// What we take outside and inside dialogs.
pub(super) const ALLOWED: &str =
    "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO, REFER, NOTIFY, REGISTER";

fn session_of(event: &SipEvent) -> Option<SessionId> {
    match event {
        SipEvent::Invited { session, .. }
        | SipEvent::Progressed { session, .. }
        | SipEvent::Answered { session, .. }
        | SipEvent::Refused { session, .. }
        | SipEvent::AnswerHeld { session }
        | SipEvent::AnswerSent { session }
        | SipEvent::Confirmed { session, .. }
        | SipEvent::Offered { session, .. }
        | SipEvent::OfferAnswered { session, .. }
        | SipEvent::InDialog { session, .. }
        | SipEvent::InDialogResponse { session, .. }
        | SipEvent::Ended { session, .. } => Some(*session),
        SipEvent::Requested { .. } | SipEvent::TurnedAway { .. } | SipEvent::Response { .. } => {
            None
        }
    }
}
