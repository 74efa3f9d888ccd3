//! The callee's side: an INVITE that came, its provisional and final responses (RFC 3261 §13.3).

use super::client_invite::sdp_of;
use super::draft::{SDP, supported};
use super::event::{EndedBy, Ending, Event, SessionId};
use super::layer::ServerOwner;
use super::reliable::{Said, Way};
use super::reply::Reply;
use super::session::{Fate, Offer, Phase, Session, Unacked};
use super::tokens::Known;
use super::{UserAgent, tokens};
use crate::dialog::{Dialog, SessionTimer, TimerPolicy, TimerRefusal, agree_as_callee};
use crate::message::{Cause, Message, Method, Name};
use crate::transport::Flow;
use bytes::Bytes;
use clock::{Duration, Now};
use std::sync::Arc;

impl UserAgent {
    /// An INVITE that begins a session.
    pub(super) fn on_new_invite(
        &mut self,
        now: Now,
        request: &Message,
        flow: Flow,
        keys: (Known, Option<u64>),
    ) {
        if self.sessions.len() >= self.config.limits.dialogs {
            self.refuse_full(request, flow);
            return;
        }
        let tx = self.begin(now, request, flow, keys, ServerOwner::Core);
        let timers = self.timers();
        if let Some(refusal) = refusal_of_timer(request, &timers) {
            let unknown = Cause::Extensions("timer".to_owned());
            let why = (refusal.status == 420).then_some(unknown);
            self.turned_away(request, flow, refusal.status, why);
            self.reply(now, tx, &refusal);
            return;
        }
        let replaces = match self.replaced_by(request) {
            Ok(replaces) => replaces,
            Err(refusal) => return self.reply(now, tx, &refusal),
        };
        let tag = self.tag_of(tx).unwrap_or_default();
        let Ok(dialog) = Dialog::of_callee(request, flow, &tokens::hex(tag)) else {
            self.reply(now, tx, &Reply::new(400));
            return;
        };
        self.trying.push_back((tx, now));
        let contact = self.contact_for(request, &flow);
        let phase = Phase::Ringing {
            tx,
            latest: None,
            repeat_at: None,
        };
        let call_id = Arc::from(request.call_id().unwrap_or_default());
        let id = SessionId(self.sessions.insert(Session {
            // An arbitrary start (§12.1.1), low enough never to reach the end.
            cseq: (self.tokens.next() >> 40) as u32,
            dialog: Some(dialog),
            said: Said::of(request, self.tokens.next()),
            peer_takes_update: request.allows(Method::Update),
            ..Session::new(phase, (call_id, tag), contact, timers)
        }));
        self.tags.insert(tag, id);
        if let Some(tx) = self.servers.get_mut(tx) {
            tx.owner = ServerOwner::Invite(id);
        }
        self.event(Event::Invited {
            session: id,
            request: request.clone(),
            flow,
            offer: sdp_of(request),
            replaces,
        });
    }

    /// Our Contact in the answer to a request: the user it asked for, at our address.
    fn contact_for(&self, request: &Message, flow: &Flow) -> String {
        let uri = request
            .request_uri()
            .and_then(|uri| crate::message::Uri::parse(uri).ok());
        let user = uri
            .filter(|uri| uri.is_sip())
            .and_then(|uri| uri.user)
            .unwrap_or_default();
        self.config.contact(flow, user).unwrap_or_default()
    }

    pub(super) fn on_progress(
        &mut self,
        now: Now,
        id: SessionId,
        status: u16,
        body: Option<Bytes>,
    ) {
        self.change(id, |ua, session| {
            if let Phase::Ringing {
                latest, repeat_at, ..
            } = &mut session.phase
            {
                let status = status.clamp(101, 199);
                *latest = Some((status, body.clone()));
                *repeat_at = Some(now + REPEAT_PROVISIONAL);
                ua.say(now, session, (status, body));
            }
            Fate::Stays
        });
    }

    /// Sends a provisional response in the way that the caller and we agreed on.
    pub(super) fn say(
        &mut self,
        now: Now,
        session: &mut Session,
        (status, body): (u16, Option<Bytes>),
    ) {
        let Phase::Ringing { tx, .. } = session.phase else {
            return;
        };
        match self.way_of(session, body.as_ref()) {
            Way::Plain => {
                let contact = session.contact.as_str();
                let mut reply = Reply::new(status).with(Name::Contact, contact);
                reply.body = body.map(|body| (SDP.to_owned(), body));
                self.reply(now, tx, &reply);
            }
            Way::Reliable => self.say_reliably(now, session, (status, body)),
            Way::Unsaid => {}
        }
    }

    pub(super) fn on_accept(
        &mut self,
        now: Now,
        id: SessionId,
        body: Option<Bytes>,
        headers: &[(String, String)],
    ) {
        self.change(id, |ua, session| {
            ua.accept_session(now, session, body, headers);
            if Self::holds_answer(session) {
                ua.event(Event::AnswerHeld { session: id });
            }
            Fate::Stays
        });
    }

    /// Sends the 2xx that begins the call, or keeps it until it may be sent.
    pub(super) fn accept_session(
        &mut self,
        now: Now,
        session: &mut Session,
        body: Option<Bytes>,
        headers: &[(String, String)],
    ) {
        let Phase::Ringing { tx, .. } = session.phase else {
            return;
        };
        let request = self.servers.get(tx).and_then(|tx| tx.request.clone());
        let Some(request) = request else { return };
        let Some(body) = Self::hold_answer(session, body, headers) else {
            return;
        };
        let mut reply = self.reply_2xx(session, &request, body.clone());
        reply.headers.extend_from_slice(headers);
        self.reply(now, tx, &reply);
        session.phase = Phase::Established;
        let has_offer = sdp_of(&request).is_none() && body.is_some();
        self.await_ack(now, session, tx, &request, (true, has_offer));
        self.agree(now, session, &request);
        session.local_sdp = body.or(session.local_sdp.take());
    }

    /// The 2xx to an INVITE or UPDATE of the peer.
    pub(super) fn reply_2xx(
        &self,
        session: &Session,
        request: &Message,
        body: Option<Bytes>,
    ) -> Reply {
        let mut reply = Reply::new(200)
            .with(Name::Contact, session.contact.as_str())
            .with(Name::Allow, self.served.allow())
            .with(Name::Supported, supported(session.timers.is_known(), true));
        let agreed = agree_as_callee(request, &session.timers_now())
            .ok()
            .flatten();
        if let Some(agreed) = agreed {
            reply = reply.with(Name::SessionExpires, agreed.response_value());
            if agreed.peer_supports {
                reply = reply.with(Name::Require, "timer");
            }
        }
        reply.body = body.map(|body| (SDP.to_owned(), body));
        reply
    }

    /// Starts the session timer that our 2xx agreed to.
    pub(super) fn agree(&self, now: Now, session: &mut Session, request: &Message) {
        let agreed = agree_as_callee(request, &session.timers_now())
            .ok()
            .flatten();
        session.session_timer = SessionTimer::start(now, agreed);
    }

    /// Sends our 2xx again until its ACK comes (§13.3.1.4), on every transport.
    pub(super) fn await_ack(
        &self,
        now: Now,
        session: &mut Session,
        tx: u64,
        request: &Message,
        (is_first, has_offer): (bool, bool),
    ) {
        session.unacked.push(Unacked {
            tx,
            cseq: request.cseq().map_or(0, |cseq| cseq.number),
            is_first,
            has_offer,
            repeat_at: now + self.config.t1,
            interval: self.config.t1,
            give_up_at: now + self.config.t1 * 64,
        });
    }

    /// An ACK for a 2xx of ours.
    pub(super) fn on_ack(&mut self, now: Now, id: SessionId, request: &Message) {
        let Ok(cseq) = request.cseq() else { return };
        self.change(id, |ua, session| {
            let Some(at) = session
                .unacked
                .iter()
                .position(|ack| ack.cseq == cseq.number)
            else {
                return Fate::Stays;
            };
            let ack = session.unacked.swap_remove(at);
            session.unacked.shrink_to_fit();
            ua.mark_unacked(ack.tx, false);
            if !session.is_told() && (ack.is_first || ack.has_offer) {
                let body = sdp_of(request);
                ua.event(Event::Confirmed { session: id, body });
            }
            ua.end_if_overdue(now, id, session)
        });
    }

    /// A CANCEL for an INVITE of the peer (§9.2): its own 200 was sent by the caller of this.
    pub(super) fn on_cancel(&mut self, now: Now, tx: u64, cancel: &Message) {
        if !self.is_open_invite(tx) {
            return;
        }
        let Some(owner) = self.servers.get(tx).map(|tx| tx.owner) else {
            return;
        };
        self.reply(now, tx, &Reply::new(487));
        match owner {
            ServerOwner::Invite(id) => self.change(id, |ua, session| {
                ua.close_early_offers(now, id, session, None);
                ua.ended(id, EndedBy::Cancelled, Some(487), Some(cancel));
                Fate::Gone
            }),
            ServerOwner::Offer(id) => self.change(id, |_, session| {
                session.offer = Offer::None;
                Fate::Stays
            }),
            ServerOwner::User | ServerOwner::Core => {}
        }
    }

    /// Refuses an INVITE that awaits our answer.
    pub(super) fn refuse(&mut self, now: Now, id: SessionId, tx: u64, ending: Ending) {
        let status = if (300..700).contains(&ending.status) {
            ending.status
        } else {
            603
        };
        let mut reply = Reply::new(status);
        if let Some(reason) = ending.reason {
            reply = reply.with(Name::Reason, reason);
        }
        reply.headers.extend(ending.headers);
        self.reply(now, tx, &reply);
        self.ended(id, EndedBy::Us, Some(status), None);
    }

    /// Turns a request away because a limit is reached.
    pub(super) fn refuse_full(&mut self, request: &Message, flow: Flow) {
        self.counts.refused_full += 1;
        let reply = Reply::new(503).with(Name::RetryAfter, RETRY_AFTER_SECS);
        self.reply_stateless(request, flow, &reply);
    }
}

/// Why a request is refused for what it says, or does not say, of the session timer (RFC 4028 §9).
pub(super) fn refusal_of_timer(request: &Message, timers: &TimerPolicy) -> Option<Reply> {
    Some(match agree_as_callee(request, timers).err()? {
        TimerRefusal::TooBrief => {
            Reply::new(422).with(Name::MinSe, timers.least.as_secs().to_string())
        }
        TimerRefusal::Unsupported => Reply::new(420).with(Name::Unsupported, "timer"),
        TimerRefusal::Missing => Reply::new(421).with(Name::Require, "timer"),
    })
}

/// A provisional response is repeated this often, lest a proxy give up (§13.3.1.1).
pub(super) const REPEAT_PROVISIONAL: Duration = Duration::from_secs(60);
/// How long a caller turned away by a limit should wait.
const RETRY_AFTER_SECS: &str = "5";
