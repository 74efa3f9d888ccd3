//! Our reliable provisional responses to an INVITE of the peer, and its PRACKs (RFC 3262 §3, §5).
//!
//! ```text
//!   progress ──► queue ──one at a time──► open: sent again after T1, 2·T1, 4·T1 … ──PRACK──► next
//!   accept ────► waits for an open one with a description            └─64·T1──► 504
//! ```

use super::UserAgent;
use super::client_invite::sdp_of;
use super::draft::{SDP, supported};
use super::event::{EndedBy, Event, SessionId};
use super::layer::ServerOwner;
use super::reply::Reply;
use super::session::{Fate, Offer, Phase, Session};
use crate::message::{Message, Method, Name};
use bytes::Bytes;
use clock::{Duration, Now};
use std::collections::VecDeque;

/// The callee's reliable provisional responses to one INVITE.
#[derive(Debug)]
pub(super) struct Said {
    is_required: bool,
    /// The INVITE carried an offer: what we say first is its answer.
    invite_offers: bool,
    /// The CSeq of the INVITE, which each RAck repeats.
    cseq: u32,
    first_rseq: u32,
    /// Of the latest that was sent.
    rseq: u32,
    open: Option<Open>,
    /// What waits for its turn: [`QUEUE_MAX`] at most, the newest is dropped beyond that.
    queue: VecDeque<(u16, Option<Bytes>)>,
    /// The exchange that the INVITE began is complete and acknowledged.
    settled: bool,
    accepted: Option<Accepted>,
}

/// One that awaits its PRACK.
#[derive(Debug)]
struct Open {
    status: u16,
    carries: Carries,
    repeat_at: Now,
    interval: Duration,
    give_up_at: Now,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carries {
    Nothing,
    Answer,
    Offer,
}

/// The user's 200, while it must not be sent.
#[derive(Debug)]
pub(super) struct Accepted {
    body: Option<Bytes>,
    headers: Vec<(String, String)>,
}

impl Said {
    /// What an INVITE says of reliable responses; `None`: nothing. `draw` is any number.
    pub(super) fn of(invite: &Message, draw: u64) -> Option<Box<Self>> {
        let is_required = invite.lists(Name::Require, "100rel");
        if !is_required && !invite.lists(Name::Supported, "100rel") {
            return None;
        }
        // Anywhere in the lower half, so that it never reaches the end (§3).
        let rseq = (draw >> 33) as u32;
        Some(Box::new(Self {
            is_required,
            invite_offers: sdp_of(invite).is_some(),
            cseq: invite.cseq().map_or(0, |cseq| cseq.number),
            first_rseq: rseq,
            rseq,
            open: None,
            queue: VecDeque::new(),
            settled: false,
            accepted: None,
        }))
    }

    pub(super) fn deadline(&self) -> Option<Now> {
        let open = self.open.as_ref()?;
        Some(open.repeat_at.min(open.give_up_at))
    }

    pub(super) fn is_settled(&self) -> bool {
        self.settled
    }

    /// Whether our offer, or our answer, was said and is not acknowledged.
    pub(super) fn awaits(&self) -> Option<bool> {
        match self.open.as_ref()?.carries {
            Carries::Nothing => None,
            carries => Some(carries == Carries::Offer),
        }
    }

    /// Whether a 2xx must wait: one with a description is not acknowledged (§3).
    fn holds_answer(&self) -> bool {
        self.awaits().is_some()
    }
}

/// How a provisional response goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Plain,
    Reliable,
    /// Not at all: it would have to be reliable, and what is reliable first must carry an offer.
    Unsaid,
}

impl UserAgent {
    /// How a provisional response to this session's INVITE goes.
    pub(super) fn way_of(&self, session: &Session, body: Option<&Bytes>) -> Way {
        let Some(said) = &session.said else {
            return Way::Plain;
        };
        let owes_offer = !said.invite_offers
            && !said.settled
            && body.is_none()
            && said
                .open
                .as_ref()
                .is_none_or(|open| open.carries != Carries::Offer)
            && said.queue.iter().all(|(_, body)| body.is_none());
        match said.is_required {
            true if owes_offer => Way::Unsaid,
            false if owes_offer || !self.config.reliable_progress => Way::Plain,
            _ => Way::Reliable,
        }
    }

    /// Sends a provisional response reliably as soon as its turn comes.
    pub(super) fn say_reliably(
        &mut self,
        now: Now,
        session: &mut Session,
        (status, body): (u16, Option<Bytes>),
    ) {
        if let Some(said) = &mut session.said
            && said.queue.len() < QUEUE_MAX
        {
            said.queue.push_back((status, body));
        }
        self.say_next(now, session);
    }

    fn say_next(&mut self, now: Now, session: &mut Session) {
        let (Phase::Ringing { tx, .. }, Some(said)) = (&session.phase, &mut session.said) else {
            return;
        };
        if said.open.is_some() {
            return;
        }
        let Some((status, body)) = said.queue.pop_front() else {
            return;
        };
        // What is agreed is not said twice: a description would look like another offer.
        let body = body.filter(|_| !said.settled);
        said.rseq = said.rseq.saturating_add(1);
        let carries = match (&body, said.invite_offers) {
            (None, _) => Carries::Nothing,
            (Some(_), true) => Carries::Answer,
            (Some(_), false) => Carries::Offer,
        };
        said.open = Some(Open {
            status,
            carries,
            repeat_at: now + self.config.t1,
            interval: self.config.t1,
            give_up_at: now + self.config.t1 * 64,
        });
        let mut reply = Reply::new(status)
            .with(Name::Contact, session.contact.as_str())
            .with(Name::Require, "100rel")
            .with(Name::RSeq, said.rseq.to_string())
            .with(Name::Allow, self.served.allow())
            .with(Name::Supported, supported(session.timers.is_known(), true));
        if body.is_some() {
            session.local_sdp.clone_from(&body);
        }
        reply.body = body.map(|body| (SDP.to_owned(), body));
        self.reply(now, *tx, &reply);
    }

    /// Sends the open one again; gives the call up after 64·T1 (§3).
    pub(super) fn repeat_reliable(
        &mut self,
        now: Now,
        id: SessionId,
        session: &mut Session,
    ) -> Fate {
        let Phase::Ringing { tx, .. } = session.phase else {
            return Fate::Stays;
        };
        let Some(open) = session.said.as_mut().and_then(|said| said.open.as_mut()) else {
            return Fate::Stays;
        };
        if open.give_up_at <= now {
            self.close_early_offers(now, id, session, None);
            self.reply(now, tx, &Reply::new(504));
            self.ended(id, EndedBy::NoAck, Some(504), None);
            return Fate::Gone;
        }
        if open.repeat_at <= now {
            open.interval *= 2;
            open.repeat_at = now + open.interval;
            let status = open.status;
            self.repeat_response(now, tx, status);
        }
        Fate::Stays
    }

    /// Keeps the user's 200 while it must not be sent (§3); gives it back if it may.
    pub(super) fn hold_answer(
        session: &mut Session,
        body: Option<Bytes>,
        headers: &[(String, String)],
    ) -> Option<Option<Bytes>> {
        let Some(said) = &mut session.said else {
            return Some(body);
        };
        if said.holds_answer() || matches!(session.offer, Offer::Theirs { .. }) {
            let headers = headers.to_vec();
            said.accepted.get_or_insert(Accepted { body, headers });
            return None;
        }
        // Nothing else may be said after it, but the answer must be.
        said.open = None;
        let queued = said.queue.drain(..).find_map(|(_, body)| body);
        Some(body.or(queued).filter(|_| !said.settled))
    }

    /// Sends the 200 that had to wait, if nothing is in its way any more.
    pub(super) fn answer_if_held(&mut self, now: Now, id: SessionId, session: &mut Session) {
        let held = session.said.as_mut().and_then(|said| said.accepted.take());
        if let Some(Accepted { body, headers }) = held {
            self.accept_session(now, session, body, &headers);
            if !Self::holds_answer(session) {
                self.event(Event::AnswerSent { session: id });
            }
        }
    }

    /// Whether the user's 200 waits.
    pub(super) fn holds_answer(session: &Session) -> bool {
        let said = session.said.as_ref();
        said.is_some_and(|said| said.accepted.is_some())
    }

    /// A PRACK of the peer.
    pub(super) fn on_prack(&mut self, now: Now, id: SessionId, tx: u64, request: &Message) {
        self.change(id, |ua, session| {
            let Ok(Some(rack)) = request.rack() else {
                ua.reply(now, tx, &Reply::new(400));
                return Fate::Stays;
            };
            let is_for = |said: &&mut Box<Said>| {
                (rack.cseq.method, rack.cseq.number) == (Method::Invite, said.cseq)
            };
            let is_early = matches!(session.phase, Phase::Ringing { .. });
            let said = session.said.as_mut().filter(is_for);
            let carries = match said {
                // The latest awaits it; those before it were acknowledged and need no more.
                Some(said) if is_early && rack.rseq == said.rseq => {
                    said.open.take().map(|open| open.carries)
                }
                // A 2xx overtook it: it is still a PRACK for something we said (§3).
                Some(said)
                    if rack.rseq > said.first_rseq && rack.rseq <= said.rseq && !is_early =>
                {
                    Some(Carries::Nothing)
                }
                _ => None,
            };
            match carries {
                None => ua.reply(now, tx, &Reply::new(481)),
                Some(carries) => ua.on_acknowledged(now, id, session, (tx, carries), request),
            }
            ua.say_next(now, session);
            ua.answer_if_held(now, id, session);
            Fate::Stays
        });
    }

    /// One of ours is acknowledged: what its PRACK brings.
    fn on_acknowledged(
        &mut self,
        now: Now,
        id: SessionId,
        session: &mut Session,
        (tx, carries): (u64, Carries),
        request: &Message,
    ) {
        let body = sdp_of(request);
        if let Some(said) = &mut session.said {
            said.settled |= carries != Carries::Nothing;
        }
        match (carries, body) {
            (Carries::Offer, body) => {
                self.reply(now, tx, &Reply::new(200));
                // Without an answer nothing is agreed, and the user may well end the call.
                let result = body.map(Some).ok_or(488);
                self.event(Event::OfferAnswered {
                    session: id,
                    result,
                });
            }
            (_, None) => self.reply(now, tx, &Reply::new(200)),
            (_, Some(body)) => {
                if let Some(refusal) = self.refusal_of_offer(session, request) {
                    return self.reply(now, tx, &refusal);
                }
                if let Some(tx) = self.servers.get_mut(tx) {
                    tx.owner = ServerOwner::Offer(id);
                }
                session.offer = Offer::Theirs {
                    tx,
                    is_invite: false,
                    had_body: true,
                };
                let body = Some(body);
                self.event(Event::Offered {
                    session: id,
                    body,
                    fork: 0,
                });
            }
        }
    }
}

/// Responses that wait for their turn; a callee rarely says more than two.
const QUEUE_MAX: usize = 8;
