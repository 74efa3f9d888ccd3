//! The door: what becomes of a message before the SIP machine sees it.
//!
//! ```text
//!   bytes ─▶ banned? ─▶ parsed ─▶ of a dialog or transaction of ours? ──────────────▶ user agent
//!              │ yes                 │ no
//!              ▼                     ▼
//!            nothing          admitted? ──yes──▶ its sender within his share? ──yes──▶ user agent
//!                              │ no: silence, or an answer without a transaction  │ no: 503
//! ```
//!
//! The law: whoever has not proven who he is leaves nothing behind. A challenge, a refusal and the
//! answer to OPTIONS are stateless (RFC 3261 §8.2.7): no transaction, nothing sent again, no session.
//! What was decided here about a request is not decided again: a digest nonce counts once.

use std::net::SocketAddr;

use bytes::Bytes;
use clock::Now;
use sip::auth::DenyReason;
use sip::dialog::TimerPolicy;
use sip::message::{Message, Method};
use sip::transport::{Flow, ListenerId, Transport};
use sip::ua::Belongs;

use super::inbound::ALLOWED;
use super::{Control, Event, GuardCounts, Output, Refusal, What};
use crate::trunk::{Admission, Ban, Disproof, TrunkConfig};

/// What a request that is not taken gets to hear.
type Answer = (u16, Vec<(String, String)>);

impl Control {
    /// Takes one message from the network. A stranger on UDP hears nothing, not even that a server is
    /// here: the source of a datagram may be forged.
    pub fn receive(&mut self, now: Now, flow: Flow, bytes: Bytes) {
        let trunks = &self.trunks;
        if !self.guard.hears(now, flow, || trunks.is_of_trunk(flow)) {
            return;
        }
        self.guard.received(now, flow, bytes.len());
        let known = self.trunks.may_speak(flow);
        match Message::parse(bytes.clone()) {
            Ok(message) => {
                let rewritten = self.trunks.rewritten(&message, flow.remote);
                let message = rewritten.unwrap_or(message);
                if self.lets_in(now, flow, &message, known) {
                    self.ua.set_timers(self.timers_decided());
                    self.ua.receive_message(now, flow, &message, known);
                }
            }
            Err(_) => self.ua.receive(now, flow, bytes, known),
        }
        self.pump(now);
        // The user agent had its own reasons not to take it: then its place is free again.
        if let Some(Admission::Trunk(call)) = self.decided.take()
            && let Some(admitted) = call.admitted
        {
            self.trunks.release(now, admitted);
        }
    }

    /// The session timer of the call that the request would begin.
    fn timers_decided(&self) -> Option<TimerPolicy> {
        match &self.decided {
            Some(Admission::Trunk(call)) => Some(self.timers_of(&call.trunk)),
            _ => None,
        }
    }

    /// The session timer of a trunk's calls.
    pub(super) fn timers_of(&self, trunk: &TrunkConfig) -> TimerPolicy {
        trunk.timers.policy(self.ua.config().timers())
    }

    /// Whether a source is heard: not while it is banned.
    pub(super) fn hears(&mut self, now: Now, flow: Flow) -> bool {
        let trunks = &self.trunks;
        let is_trunks = || trunks.is_of_trunk(flow);
        self.guard.hears(now, flow, is_trunks)
    }

    fn lets_in(&mut self, now: Now, flow: Flow, message: &Message, known: bool) -> bool {
        match self.ua.belongs(message) {
            Belongs::Proven => {
                self.guard.proved(now, flow);
                self.vouch(flow);
                return true;
            }
            Belongs::Known => return true,
            Belongs::Nowhere if !message.is_request() => return true,
            Belongs::Nowhere => {}
        }
        let opens = message.is_untagged();
        match message.method() {
            // Never answered.
            Some(Method::Ack) => true,
            // 481, or what is wrong with it: for those who may speak.
            Some(Method::Cancel) => known,
            _ if !opens => known || flow.transport != Transport::Udp,
            _ => self.admits(now, flow, message),
        }
    }

    /// Decides about a request that would begin something.
    fn admits(&mut self, now: Now, flow: Flow, request: &Message) -> bool {
        let admission = self.trunks.admit(now, request, flow);
        let method = request.method();
        match admission {
            // Who would be refused in any case need not prove himself first.
            Admission::Challenge(_) if self.draining && method == Some(Method::Invite) => {
                self.takes(now, flow, request, admission)
            }
            Admission::Challenge(challenge) => {
                let answer = (challenge.status, challenge.headers.clone());
                self.answer(now, flow, request, answer);
                // After the answer, which takes as long whoever it was.
                self.note_denial(now, &challenge, (request, flow));
                if let Some(denied) = challenge.denied {
                    self.on_failed_proof(now, flow, request, denied);
                }
                false
            }
            Admission::Refused(refusal) => {
                if refusal.status().is_none() {
                    self.note_refusal(now, 0, &refusal.into(), Some((request, flow)));
                } else if method == Some(Method::Invite) && refusal.status() != Some(403) {
                    // A cap may have room a moment later: what was said to an INVITE is said again to
                    // its copies, so it takes a transaction.
                    return self.takes(now, flow, request, Admission::Refused(refusal));
                } else {
                    let ending = self.refusal(now, refusal, (request, flow));
                    self.answer(now, flow, request, (ending.status, ending.headers));
                }
                false
            }
            Admission::Endpoint(_) | Admission::Trunk(_) => {
                self.takes(now, flow, request, admission)
            }
        }
    }

    /// Whether there is room for what an admitted request begins.
    fn takes(&mut self, now: Now, flow: Flow, request: &Message, admission: Admission) -> bool {
        let by_proof = match &admission {
            Admission::Trunk(call) => call.trunk.inbound.is_some(),
            Admission::Endpoint(_) => true,
            Admission::Challenge(_) | Admission::Refused(_) => false,
        };
        if by_proof {
            self.guard.proved(now, flow);
        }
        if matches!(admission, Admission::Trunk(_) | Admission::Endpoint(_)) {
            self.vouch(flow);
        }
        if let Admission::Endpoint(call) = &admission {
            self.holders.note(flow, &call.endpoint.name);
        }
        let method = request.method();
        let refused = match method {
            Some(Method::Options) => Some(self.options()),
            // Who is proven calls for help whatever else he does.
            Some(Method::Invite)
                if self.guard.is_proven(now, flow) && self.trunks.is_emergency(request) =>
            {
                None
            }
            Some(Method::Invite) => self.too_many_invites(now, flow, request),
            Some(Method::Register) => None,
            _ if self.guard.is_proven(now, flow) => None,
            Some(Method::Subscribe) => Some((489, Vec::new())),
            _ => Some((405, vec![("Allow".to_owned(), ALLOWED.to_owned())])),
        };
        let Some(answer) = refused else {
            self.decided = Some(admission);
            return true;
        };
        if let Admission::Trunk(call) = admission
            && let Some(admitted) = call.admitted
        {
            self.trunks.release(now, admitted);
        }
        self.answer(now, flow, request, answer);
        false
    }

    fn vouch(&mut self, flow: Flow) {
        if self.guard.vouches(flow) {
            self.outputs.push_back(Output::Vouch { flow });
        }
    }

    fn too_many_invites(&mut self, now: Now, flow: Flow, request: &Message) -> Option<Answer> {
        let waiting = self.ua.unacknowledged(flow.remote.ip());
        if self.guard.may_invite(now, flow, waiting) {
            return None;
        }
        let why = Refusal::Unacknowledged {
            source: flow.remote.ip().to_canonical(),
            waiting,
        };
        self.note_refusal(now, 503, &why, Some((request, flow)));
        Some((503, vec![("Retry-After".to_owned(), "5".to_owned())]))
    }

    /// What was decided about a request at the door, or is decided now.
    pub(super) fn admission(&mut self, now: Now, request: &Message, flow: Flow) -> Admission {
        match self.decided.take() {
            Some(admission) => admission,
            None => self.trunks.admit(now, request, flow),
        }
    }

    /// 200 while calls are taken, 503 while draining.
    fn options(&self) -> Answer {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        if self.draining {
            return (503, vec![header("Retry-After", "60")]);
        }
        let allow = header("Allow", ALLOWED);
        (200, vec![allow, header("Accept", "application/sdp")])
    }

    /// Answers without a transaction.
    pub(super) fn answer(
        &mut self,
        now: Now,
        flow: Flow,
        request: &Message,
        (status, headers): Answer,
    ) {
        if let Some((flow, bytes)) = self.ua.refusal(request, flow, status, &headers) {
            self.transmit(now, flow, bytes);
        }
    }

    /// Sends, unless whoever would get it has had his share.
    pub(super) fn transmit(&mut self, now: Now, flow: Flow, bytes: Bytes) {
        if self.guard.may_send(now, flow, &bytes) {
            self.outputs.push_back(Output::Transmit { flow, bytes });
        }
    }

    /// Credentials came that were not good: told in one line, and counted against their sender if he
    /// is known to be where he says.
    fn on_failed_proof(&mut self, now: Now, flow: Flow, request: &Message, why: Disproof) {
        let hears_us = match why {
            Disproof::Digest(denied) => denied.hears_us,
            Disproof::Token(_) => false,
        };
        let is_proven = hears_us || flow.transport != Transport::Udp;
        if hears_us {
            self.guard.proved(now, flow);
        }
        let is_guess = match why {
            // A stale nonce is nobody's guess: the next proof, with a fresh one, shows what he knows.
            Disproof::Digest(denied) => !denied.stale && denied.why != DenyReason::OtherRealm,
            Disproof::Token(denied) => denied.is_guess(),
        };
        if is_guess {
            let user = crate::trunk::claimed_user(request);
            let method = request.method_str().unwrap_or_default();
            self.count_guess(now, flow, is_proven, (&user, method));
        }
    }

    /// Counts a wrong proof, and tells of it in one line.
    fn count_guess(&mut self, now: Now, flow: Flow, is_proven: bool, (user, method): (&str, &str)) {
        let counts = is_proven && !self.trunks.is_of_trunk(flow);
        let banned = self.guard.failed(now, flow, counts);
        if banned.is_none() && !self.guard.may_tell(now) {
            return;
        }
        let what = What::AuthFailed {
            source: flow.remote.ip().to_canonical(),
            transport: flow.transport,
            is_proven,
            user: user.chars().filter(|c| !c.is_control()).take(64).collect(),
            method: method.chars().take(16).collect(),
            banned,
        };
        self.outputs.push_back(Output::Event(Event {
            at: now,
            call: None,
            what,
        }));
    }

    /// Whether whoever is at `source` may try a password: not while he is banned.
    pub fn may_log_in(&mut self, now: Now, source: SocketAddr) -> bool {
        self.hears(now, by_http(source, false))
    }

    /// Counts a wrong password that came by HTTP.
    pub fn login_failed(&mut self, now: Now, source: SocketAddr, secure: bool, agent: &str) {
        self.count_guess(now, by_http(source, secure), true, (agent, "LOGIN"));
    }

    /// The bans in force, the longest first; at most `limit`.
    pub fn bans(&self, now: Now, limit: usize) -> Vec<Ban> {
        self.guard.bans(now, limit)
    }

    /// Ends a ban; `false` if that source is not banned.
    pub fn lift_ban(&mut self, now: Now, source: std::net::IpAddr) -> bool {
        self.guard.lift(now, source)
    }

    /// What was turned away for what its sender did.
    pub fn guard_counts(&self) -> GuardCounts {
        self.guard.counts()
    }
}

/// A client of the HTTP server, as the bans know him: as on a WebSocket, which begins as HTTP does.
fn by_http(remote: SocketAddr, secure: bool) -> Flow {
    Flow {
        transport: match secure {
            true => Transport::Wss,
            false => Transport::Ws,
        },
        listener: ListenerId(u16::MAX),
        remote,
        connection: None,
        peer: None,
    }
}
