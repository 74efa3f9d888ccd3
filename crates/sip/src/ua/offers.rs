//! Offers in a standing dialog: re-INVITE and UPDATE, sent and received, and glare between them
//! (RFC 3261 §14, RFC 3311, RFC 4028 §10).

use super::client_invite::sdp_of;
use super::draft::{Draft, SDP};
use super::event::{EndedBy, Ending, Event, SessionId};
use super::in_dialog::dialog_of;
use super::layer::{ClientOwner, Outcome, Sender, ServerOwner};
use super::reply::Reply;
use super::server_invite::refusal_of_timer;
use super::session::{Fate, Offer, Phase, Session, Waiting};
use super::{UserAgent, q850};
use crate::dialog::{SessionTimer, agree_as_caller};
use crate::message::{Message, Method, Name};
use bytes::Bytes;
use clock::{Duration, Now};

impl UserAgent {
    pub(super) fn on_reinvite(&mut self, now: Now, id: SessionId, body: Option<Bytes>) {
        self.change(id, |ua, session| {
            let is_free = matches!(session.offer, Offer::None) && session.waiting.is_none();
            let sent = match session.phase {
                _ if !is_free => false,
                Phase::Established => ua.send_reinvite(now, id, session, (body, 0), false),
                Phase::Inviting { .. } | Phase::Ringing { .. } => {
                    ua.offer_early(now, id, session, (body, 0))
                }
                _ => false,
            };
            // Of a session whose end was told, nothing more is.
            if !sent && !session.is_told() {
                let result = Err(491);
                ua.event(Event::OfferAnswered {
                    session: id,
                    result,
                });
            }
            Fate::Stays
        });
    }

    fn send_reinvite(
        &mut self,
        now: Now,
        id: SessionId,
        session: &mut Session,
        (body, tries): (Option<Bytes>, u8),
        is_refresh: bool,
    ) -> bool {
        let owner = if is_refresh {
            ClientOwner::Refresh(id)
        } else {
            ClientOwner::Offer(id)
        };
        if body.is_some() {
            session.local_sdp.clone_from(&body);
        }
        self.send_offer(now, session, (Method::Invite, owner), (body, tries))
    }

    fn send_offer(
        &mut self,
        now: Now,
        session: &mut Session,
        (method, owner): (Method, ClientOwner),
        (body, tries): (Option<Bytes>, u8),
    ) -> bool {
        let cseq = session.next_cseq();
        let (Some(mut draft), Some(hop)) = (self.draft_in(session, method, cseq), session.flow())
        else {
            return false;
        };
        let least = (&session.timers, session.min_se);
        draft.headers = self.capabilities(&session.session_timer, least, false);
        draft.body = body.map(|body| (SDP.to_owned(), body));
        let credentials = session.credentials.clone();
        let sent = self.start(now, Box::new(draft), hop, owner, credentials);
        if let Ok(tx) = sent {
            session.offer = ours(now, tx, tries);
        }
        sent.is_ok()
    }

    /// Refreshes the session: by UPDATE when the peer takes it, else by our last SDP again.
    pub(super) fn send_refresh(
        &mut self,
        now: Now,
        id: SessionId,
        session: &mut Session,
        tries: u8,
    ) -> bool {
        if session.peer_takes_update {
            return self.send_offer(
                now,
                session,
                (Method::Update, ClientOwner::Refresh(id)),
                (None, tries),
            );
        }
        let body = session.local_sdp.clone();
        self.send_reinvite(now, id, session, (body, tries), true)
    }

    /// The final response to a re-INVITE, UPDATE or refresh of ours.
    pub(super) fn on_offer_outcome(&mut self, now: Now, id: SessionId, outcome: Outcome) {
        let is_refresh = matches!(outcome.owner, ClientOwner::Refresh(_));
        self.change(id, |ua, session| {
            let tries = match session.offer {
                Offer::Ours { tries, .. } => tries,
                _ => 0,
            };
            session.offer = Offer::None;
            if session.is_early() {
                return ua.on_early_outcome(now, id, session, (outcome, tries));
            }
            if session.is_told() {
                // The call ended meanwhile; a 2xx still wants its ACK.
                if outcome.status < 300 && outcome.draft.method == Method::Invite {
                    session.proofs.clone_from(&outcome.draft.proofs);
                    ua.send_2xx_ack(session, outcome.tx, outcome.draft.cseq, None);
                }
                return Fate::Stays;
            }
            match (outcome.status, outcome.response.clone()) {
                (200..=299, Some(response)) => {
                    ua.on_offer_accepted(now, id, session, &outcome, &response);
                    Fate::Stays
                }
                (401 | 407, Some(_)) => {
                    let (status, cseq) = (outcome.status, session.next_cseq());
                    match ua.with_credentials(now, outcome, cseq) {
                        Some(tx) => session.offer = ours(now, tx, tries),
                        None if is_refresh => {}
                        None => ua.offer_refused(id, status),
                    }
                    Fate::Stays
                }
                (422, Some(_)) => {
                    match ua.with_longer_interval(now, session, outcome) {
                        Some(tx) => session.offer = ours(now, tx, tries),
                        None if is_refresh => {}
                        None => ua.offer_refused(id, 422),
                    }
                    Fate::Stays
                }
                (491 | 500, _) => {
                    match ua.again_at(now, session, &outcome, tries) {
                        Some(until) => {
                            session.waiting = Some(Waiting {
                                until,
                                body: outcome.draft.body.map(|(_, body)| body),
                                is_refresh,
                                tries: tries + 1,
                            });
                        }
                        None if is_refresh => {}
                        None => ua.offer_refused(id, outcome.status),
                    }
                    Fate::Stays
                }
                (408 | 481, _)
                | (503, None)
                | (404 | 410 | 416 | 482 | 484 | 485 | 502 | 604, _) => {
                    // The dialog is gone at their end (§12.2.1.2, RFC 4028 §10).
                    let by = if is_refresh {
                        EndedBy::SessionTimer
                    } else {
                        EndedBy::FlowFailed
                    };
                    let reason = Some(q850(41, "Dialog lost"));
                    let ending = Ending {
                        reason,
                        ..Ending::default()
                    };
                    ua.hang_up(now, id, session, ending, (by, Some(outcome.status)))
                }
                (405 | 501, _) if is_refresh && outcome.draft.method == Method::Update => {
                    session.peer_takes_update = false;
                    ua.send_refresh(now, id, session, 0);
                    Fate::Stays
                }
                _ if is_refresh => Fate::Stays,
                (status, _) => {
                    ua.offer_refused(id, status);
                    Fate::Stays
                }
            }
        });
    }

    /// Gives up an offer of ours that the peer keeps saying it works on.
    pub(super) fn abandon_offer(&mut self, id: SessionId, session: &mut Session) {
        if let Offer::Ours { tx, .. } = session.offer {
            let owner = self.clients.get(tx).map(|tx| tx.owner);
            self.abandon_unanswered(tx);
            session.offer = Offer::None;
            if let Some(ClientOwner::Offer(_)) = owner {
                self.offer_refused(id, 408);
            }
        }
    }

    fn offer_refused(&mut self, session: SessionId, status: u16) {
        self.event(Event::OfferAnswered {
            session,
            result: Err(status),
        });
    }

    fn on_offer_accepted(
        &mut self,
        now: Now,
        id: SessionId,
        session: &mut Session,
        outcome: &Outcome,
        response: &Message,
    ) {
        if let Some(dialog) = &mut session.dialog {
            dialog.refresh_target(response);
        }
        let agreed = agree_as_caller(response, &session.timers);
        session.session_timer = SessionTimer::start(now, agreed);
        let (is_invite, body) = (outcome.draft.method == Method::Invite, sdp_of(response));
        let is_refresh = matches!(outcome.owner, ClientOwner::Refresh(_));
        if is_invite {
            session.proofs.clone_from(&outcome.draft.proofs);
            if outcome.draft.body.is_none() && body.is_some() && !is_refresh {
                session.offer = Offer::Unanswered {
                    tx: outcome.tx,
                    cseq: outcome.draft.cseq,
                };
            } else {
                self.send_2xx_ack(session, outcome.tx, outcome.draft.cseq, None);
            }
        }
        if !is_refresh {
            self.event(Event::OfferAnswered {
                session: id,
                result: Ok(body),
            });
        }
    }

    /// Sends what a 491 put off.
    pub(super) fn retry_offer(&mut self, now: Now, id: SessionId, session: &mut Session) {
        let Some(waiting) = session.waiting.take() else {
            return;
        };
        if !matches!(session.offer, Offer::None) {
            let until = now + self.back_off(session.is_caller);
            session.waiting = Some(Waiting { until, ..waiting });
            return;
        }
        let sent = match waiting.is_refresh {
            true => self.send_refresh(now, id, session, waiting.tries),
            false if session.is_early() => {
                self.offer_early(now, id, session, (waiting.body, waiting.tries))
            }
            false => self.send_reinvite(now, id, session, (waiting.body, waiting.tries), false),
        };
        if !sent && !waiting.is_refresh {
            self.offer_refused(id, 491);
        }
    }

    /// When an offer may be made again that met one of theirs (491) or came while they had no answer yet
    /// (500 with the time to wait, RFC 3311 §5.2); `None`: it was refused for good.
    pub(super) fn again_at(
        &mut self,
        now: Now,
        session: &Session,
        outcome: &Outcome,
        tries: u8,
    ) -> Option<Now> {
        let response = outcome.response.as_ref()?;
        if tries >= TRIES_MAX {
            return None;
        }
        match outcome.status {
            491 => Some(now + self.back_off(session.is_caller)),
            500 => {
                let wait = response.retry_after().ok().flatten()?.seconds;
                let wait = Duration::from_secs(wait.into()).max(self.config.t1);
                (wait <= RETRY_AFTER_MAX).then(|| now + wait)
            }
            _ => None,
        }
    }

    /// How long to wait after a 491 (§14.1): the owner of the Call-ID 2.1 to 4 s, the other up to 2 s.
    fn back_off(&mut self, owns_call_id: bool) -> Duration {
        let tens = match owns_call_id {
            true => 210 + self.tokens.below(191),
            false => self.tokens.below(201),
        };
        Duration::from_millis(tens * 10)
    }

    /// A re-INVITE or UPDATE of the peer; its CSeq is in order.
    pub(super) fn on_peer_offer(&mut self, now: Now, id: SessionId, tx: u64, request: &Message) {
        self.change(id, |ua, session| {
            if let Some(refusal) = ua.refusal_of_offer(session, request) {
                ua.reply(now, tx, &refusal);
                return Fate::Stays;
            }
            if let Some(dialog) = dialog_of(session, request) {
                dialog.refresh_target(request);
            }
            session.peer_takes_update |= request.allows(Method::Update);
            let is_early = session.is_early();
            let (is_invite, body) = (request.method() == Some(Method::Invite), sdp_of(request));
            if !is_invite && body.is_none() {
                // A refresh: nothing for the user to decide.
                let reply = match is_early {
                    true => ua.reply_early(session, None),
                    false => ua.reply_2xx(session, request, None),
                };
                ua.reply(now, tx, &reply);
                if matches!(session.phase, Phase::Established) {
                    ua.agree(now, session, request);
                }
                return Fate::Stays;
            }
            if is_invite {
                ua.trying.push_back((tx, now));
            }
            if let Some(tx) = ua.servers.get_mut(tx) {
                tx.owner = ServerOwner::Offer(id);
            }
            session.offer = Offer::Theirs {
                tx,
                is_invite,
                had_body: body.is_some(),
            };
            let fork = fork_of_request(session, request);
            ua.event(Event::Offered {
                session: id,
                body,
                fork,
            });
            Fate::Stays
        });
    }

    /// Why an offer of the peer cannot be put to the user now (§14.2, RFC 3311 §5.2).
    pub(super) fn refusal_of_offer(
        &mut self,
        session: &Session,
        request: &Message,
    ) -> Option<Reply> {
        let is_invite = request.method() == Some(Method::Invite);
        let is_update = request.method() == Some(Method::Update);
        let has_offer = is_invite || sdp_of(request).is_some();
        let later = (1 + self.tokens.below(10)).to_string();
        match (&session.phase, &session.offer) {
            _ if session.is_told() => return Some(Reply::new(481)),
            (Phase::Established, Offer::None) => {}
            (_, Offer::Ours { .. }) if has_offer => return Some(Reply::new(491)),
            // Their own offer has no answer yet; an INVITE meets ours, which waits for its ACK (§14.2).
            (Phase::Answering { .. }, _) | (_, Offer::Unanswered { .. }) if has_offer => {
                return Some(match is_invite {
                    true => Reply::new(491),
                    false => Reply::new(500).with(Name::RetryAfter, later),
                });
            }
            // An UPDATE without an offer waits for an UPDATE alone.
            (
                _,
                Offer::Theirs {
                    is_invite: by_invite,
                    ..
                },
            ) if has_offer || (is_update && !by_invite) => {
                return Some(Reply::new(500).with(Name::RetryAfter, later));
            }
            (Phase::Inviting { .. } | Phase::Ringing { .. }, _) if is_invite => {
                let ours = matches!(session.phase, Phase::Inviting { .. });
                return Some(match ours {
                    true => Reply::new(491),
                    false => Reply::new(500).with(Name::RetryAfter, later),
                });
            }
            (Phase::Inviting { .. } | Phase::Ringing { .. }, _) if has_offer => {
                return self.refusal_of_early_offer(session, request, later);
            }
            _ => {}
        }
        if has_offer && session.unacked.iter().any(|ack| ack.has_offer) {
            return Some(Reply::new(491));
        }
        refusal_of_timer(request, &session.timers_now())
    }

    pub(super) fn on_answer_offer(&mut self, now: Now, id: SessionId, body: Option<Bytes>) {
        self.change(id, |ua, session| {
            let Offer::Theirs {
                tx,
                is_invite,
                had_body,
            } = session.offer
            else {
                return Fate::Stays;
            };
            session.offer = Offer::None;
            // What we wanted before would be said of a session that is another one now.
            if session
                .waiting
                .take_if(|waiting| !waiting.is_refresh)
                .is_some()
            {
                ua.offer_refused(id, 491);
            }
            let request = ua.servers.get(tx).and_then(|tx| tx.request.clone());
            let Some(request) = request else {
                return Fate::Stays;
            };
            let is_early = session.is_early();
            if is_early || request.method() == Some(Method::Prack) {
                ua.reply(now, tx, &ua.reply_early(session, body.clone()));
                moved(session, &request);
            } else {
                let reply = ua.reply_2xx(session, &request, body.clone());
                ua.reply(now, tx, &reply);
                ua.agree(now, session, &request);
            }
            if is_invite {
                let has_offer = !had_body && body.is_some();
                ua.await_ack(now, session, tx, &request, (false, has_offer));
            }
            session.local_sdp = body.or(session.local_sdp.take());
            ua.answer_if_held(now, id, session);
            Fate::Stays
        });
    }

    pub(super) fn on_refuse_offer(&mut self, now: Now, id: SessionId, status: u16) {
        self.change(id, |ua, session| {
            if let Offer::Theirs { tx, .. } = session.offer {
                session.offer = Offer::None;
                let status = if (300..700).contains(&status) {
                    status
                } else {
                    488
                };
                ua.reply(now, tx, &Reply::new(status));
                ua.answer_if_held(now, id, session);
            }
            Fate::Stays
        });
    }

    /// Sends an INVITE or UPDATE again with the interval that a 422 demands (RFC 4028 §7.4).
    pub(super) fn with_longer_interval(
        &mut self,
        now: Now,
        session: &mut Session,
        outcome: Outcome,
    ) -> Option<u64> {
        let least = outcome.response.as_ref()?.min_se().ok().flatten()?;
        let least = Duration::from_secs(least.into());
        if least <= session.min_se {
            // It was told that already: a peer that repeats itself would have us repeat for ever.
            return None;
        }
        session.min_se = least;
        let cseq = session.next_cseq();
        let mut draft = outcome.draft;
        draft.cseq = cseq;
        let interval = session.timers.expires.max(least).as_secs().to_string();
        for (name, value) in &mut draft.headers {
            match Name::from_text(name) {
                Name::MinSe => *value = least.as_secs().to_string(),
                Name::SessionExpires => value.clone_from(&interval),
                _ => {}
            }
        }
        let sender = Sender {
            owner: outcome.owner,
            credentials: outcome.credentials,
            tries: outcome.tries,
        };
        self.start_as(now, None, draft, outcome.flow, sender).ok()
    }

    /// Sends a request again with credentials (§22.2, §22.3): at most twice, and only when a challenge
    /// can be answered that came from whom they are for. `cseq` is its new number.
    pub(super) fn with_credentials(
        &mut self,
        now: Now,
        outcome: Outcome,
        cseq: u32,
    ) -> Option<u64> {
        let credentials = outcome.credentials?;
        let response = outcome.response?;
        if outcome.tries >= self.config.limits.proofs {
            return None;
        }
        if !outcome.by.is_some_and(|ip| credentials.scope.admits(ip)) {
            self.counts.foreign_challenges += 1;
            return None;
        }
        let (asks, proves) = match outcome.status {
            401 => (Name::WwwAuthenticate, Name::Authorization),
            _ => (Name::ProxyAuthenticate, Name::ProxyAuthorization),
        };
        let challenges: Vec<_> = response
            .headers(asks)
            .filter_map(|value| crate::auth::Challenge::parse(value).ok())
            .take(CHALLENGES_MAX)
            .collect();
        let mut draft: Box<Draft> = outcome.draft;
        draft.cseq = cseq;
        let body = draft.body.as_ref().map_or(&[][..], |(_, body)| body);
        let request = (draft.method.as_str(), draft.uri.as_str(), body);
        let cnonce = super::tokens::hex(self.tokens.next());
        let proof = crate::auth::answer(&challenges, &credentials, request, &cnonce, 1)?;
        // Each proxy on the way asks for itself (§22.3): proofs for other realms stay.
        let realm = realm_of(&proof);
        draft
            .proofs
            .retain(|(name, other)| *name != proves || realm_of(other) != realm);
        draft.proofs.push((proves, proof));
        let sender = Sender {
            owner: outcome.owner,
            credentials: Some(credentials),
            tries: outcome.tries + 1,
        };
        self.start_as(now, None, draft, outcome.flow, sender).ok()
    }
}

/// The protection space of a proof of ours.
fn realm_of(proof: &str) -> Option<String> {
    let read = crate::auth::AuthorizationHeader::parse(proof).ok()?;
    Some(read.realm.into_owned())
}

pub(super) fn ours(now: Now, tx: u64, tries: u8) -> Offer {
    Offer::Ours {
        tx,
        give_up_at: now + OFFER_PATIENCE,
        tries,
    }
}

/// Notes that an early dialog of ours agreed on something else than the answer to its INVITE.
fn moved(session: &mut Session, request: &Message) {
    let tag = request.from().ok().and_then(|from| from.tag());
    let mut forks = session.forks.iter_mut();
    if let Some(fork) = forks.find(|fork| Some(fork.dialog.remote_tag.as_str()) == tag) {
        fork.heard.answer = None;
    }
}

/// As long as a proxy waits for an INVITE it has heard of (timer C, §16.6).
const OFFER_PATIENCE: Duration = Duration::from_secs(180);
/// How often an offer is put off by a peer that is not ready for it.
const TRIES_MAX: u8 = 8;
/// The longest wait that a peer in the middle of another offer asks for (RFC 3311 §5.2).
const RETRY_AFTER_MAX: Duration = Duration::from_secs(10);
/// Challenges of one response that are looked at: one per algorithm and then some.
const CHALLENGES_MAX: usize = 8;

/// The number of the early dialog of ours that a request of the peer belongs to; 0 for any other.
fn fork_of_request(session: &Session, request: &Message) -> u32 {
    let from = request.from().ok();
    let tag = from.as_ref().and_then(|from| from.tag());
    let mut forks = session.forks.iter();
    let found = forks.position(|fork| Some(fork.dialog.remote_tag.as_str()) == tag);
    found.and_then(|at| u32::try_from(at).ok()).unwrap_or(0)
}
