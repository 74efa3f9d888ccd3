//! The caller's side: placing a call, its early dialogs, its answer or refusal (RFC 3261 §13.2, §9.1).

use super::draft::{Draft, MAX_FORWARDS, SDP, supported};
use super::event::{Busy, EndedBy, Event, Invite, Reliable, SessionId};
use super::layer::{ClientOwner, Outcome, Sender};
use super::prack::{Heard, Heed};
use super::session::{Fate, Fork, Offer, Phase, Session};
use super::{UserAgent, tokens};
use crate::dialog::{Dialog, SessionTimer, TimerPolicy, TimerUse, agree_as_caller};
use crate::message::{Message, Method, Name};
use bytes::Bytes;
use clock::Now;
use std::sync::Arc;

impl UserAgent {
    pub(super) fn place(&mut self, now: Now, invite: Invite) -> Result<SessionId, Busy> {
        if self.sessions.len() >= self.config.limits.dialogs || !self.has_room(now) {
            return Err(Busy::Full);
        }
        let contact = self.config.contact(&invite.flow, &invite.contact_user);
        let contact = contact.ok_or(Busy::NoListener)?;
        let call_id: Arc<str> =
            Arc::from(tokens::hex(self.tokens.next()) + &tokens::hex(self.tokens.next()));
        let local_tag = self.tokens.next();
        let (routes, headers) = split_routes(invite.headers);
        let timers = invite.timers.unwrap_or(self.config.timers());
        let draft = Draft {
            method: Method::Invite,
            uri: invite.request_uri,
            routes,
            from: format!("{};tag={}", invite.from, tokens::hex(local_tag)),
            to: invite.to,
            call_id: Arc::clone(&call_id),
            cseq: 1,
            contact: Some(contact.clone()),
            max_forwards: invite.max_forwards,
            proofs: Vec::new(),
            headers: [self.introduction(invite.reliable, &timers), headers].concat(),
            body: invite.offer.clone().map(|offer| (SDP.to_owned(), offer)),
        };
        let credentials = invite
            .credentials
            .map(|it| Arc::new(it.kept_to(invite.flow.remote.ip())));
        let id = self.sessions.insert(Session {
            is_caller: true,
            cseq: 1,
            credentials: credentials.clone(),
            reliable: invite.reliable,
            local_sdp: invite.offer,
            ..Session::new(Phase::Established, (call_id, local_tag), contact, timers)
        });
        let session = SessionId(id);
        let owner = ClientOwner::Invite(session);
        match self.start(now, Box::new(draft), invite.flow, owner, credentials) {
            Ok(tx) => {
                if let Some(session) = self.sessions.get_mut(id) {
                    session.phase = Phase::Inviting { tx };
                }
                self.tags.insert(local_tag, session);
                Ok(session)
            }
            Err(busy) => {
                self.sessions.remove(id);
                Err(busy)
            }
        }
    }

    /// What the INVITE that begins a session says of us.
    fn introduction(&self, reliable: Reliable, timers: &TimerPolicy) -> Vec<(String, String)> {
        let least = (timers, timers.least);
        let mut headers = self.capabilities(&SessionTimer::Off, least, reliable != Reliable::No);
        let required = [
            (reliable == Reliable::Required, "100rel"),
            (timers.how == TimerUse::Require, "timer"),
        ];
        for (_, tag) in required.into_iter().filter(|(is, _)| *is) {
            headers.push((Name::Require.as_str().to_owned(), tag.to_owned()));
        }
        headers
    }

    /// The headers by which an INVITE or UPDATE says what we can (§13.2.1, RFC 4028 §7.1).
    pub(super) fn capabilities(
        &self,
        timer: &SessionTimer,
        (policy, least): (&TimerPolicy, clock::Duration),
        reliable: bool,
    ) -> Vec<(String, String)> {
        let supported = supported(policy.is_known(), reliable);
        let asks = policy.asks() || *timer != SessionTimer::Off;
        let expires = timer.request_value(policy.expires.max(least));
        let least = least.as_secs().to_string();
        [
            Some((Name::Allow, self.served.allow().to_owned())),
            Some((Name::Supported, supported.to_owned())),
            asks.then_some((Name::SessionExpires, expires)),
            policy.is_known().then_some((Name::MinSe, least)),
            Some((Name::UserAgent, self.config.user_agent.clone())),
        ]
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str().to_owned(), value))
        .collect()
    }

    /// A provisional response to the INVITE that began a session.
    pub(super) fn on_provisional(&mut self, now: Now, id: SessionId, tx: u64, response: &Message) {
        let limit = self.config.limits.forks;
        self.change(id, |ua, session| {
            if let Phase::Abandoned { .. } = session.phase {
                ua.cancel_if_due(now, session);
                return Fate::Stays;
            }
            let status = response.status().unwrap_or(100);
            let flow = ua.clients.get(tx).map(|tx| tx.flow);
            if status == 100 || !matches!(session.phase, Phase::Inviting { .. }) {
                return Fate::Stays;
            }
            let target = ua.target_of(tx);
            let fork = flow.and_then(|flow| fork_of(session, response, flow, &target, limit));
            let heed = match fork {
                Some(fork) => ua.heed(now, id, session, (fork as usize, tx), response),
                None => Heed::Tell {
                    needs_answer: false,
                },
            };
            let Heed::Tell { needs_answer } = heed else {
                return Fate::Stays;
            };
            ua.event(Event::Progressed {
                session: id,
                status,
                body: sdp_of(response),
                fork: fork.unwrap_or(0),
                needs_answer,
                response: response.clone(),
            });
            Fate::Stays
        });
    }

    /// The final response to the INVITE that began a session, or the lack of one.
    pub(super) fn on_invite_outcome(&mut self, now: Now, id: SessionId, outcome: Outcome) {
        self.change(id, |ua, session| {
            session.proofs.clone_from(&outcome.draft.proofs);
            if (200..300).contains(&outcome.status) {
                session.pin_credentials();
            }
            let is_open = matches!(session.phase, Phase::Inviting { .. });
            match (outcome.status, &outcome.response) {
                (200..=299, Some(response)) => ua.on_answer(now, id, session, &outcome, response),
                (401 | 407 | 422, Some(_)) if is_open => {
                    ua.try_invite_again(now, id, session, outcome)
                }
                _ => {
                    if is_open {
                        ua.close_early_offers(now, id, session, None);
                        ua.refused(id, outcome.status, outcome.response);
                    }
                    Fate::Gone
                }
            }
        });
    }

    /// Tells the refusal of an INVITE of ours.
    fn refused(&mut self, session: SessionId, status: u16, response: Option<Message>) {
        let reason = match &response {
            Some(response) => response.reason().to_owned(),
            None => super::draft::phrase(status).to_owned(),
        };
        let q850 = response.as_ref().and_then(Message::q850);
        self.event(Event::Refused {
            session,
            status,
            reason,
            q850,
            response,
        });
    }

    /// Sends an INVITE again with credentials, or with a longer session interval.
    fn try_invite_again(
        &mut self,
        now: Now,
        id: SessionId,
        session: &mut Session,
        outcome: Outcome,
    ) -> Fate {
        let (status, response) = (outcome.status, outcome.response.clone());
        self.close_early_offers(now, id, session, None);
        session.forks.clear();
        let again = match status {
            422 => self.with_longer_interval(now, session, outcome),
            _ => self.with_credentials(now, outcome, session.next_cseq()),
        };
        match again {
            Some(tx) => {
                session.phase = Phase::Inviting { tx };
                Fate::Stays
            }
            None => {
                self.refused(id, status, response);
                Fate::Gone
            }
        }
    }

    /// The first 2xx.
    fn on_answer(
        &mut self,
        now: Now,
        id: SessionId,
        session: &mut Session,
        outcome: &Outcome,
        response: &Message,
    ) -> Fate {
        let limit = self.config.limits.forks.saturating_add(1);
        let target = &outcome.draft.uri;
        let fork = fork_of(session, response, outcome.flow, target, limit);
        let won = fork.and_then(|fork| {
            let index = fork as usize;
            (index < session.forks.len()).then(|| session.forks.swap_remove(index))
        });
        let (mut dialog, heard) = won.map(|fork| (fork.dialog, fork.heard)).unzip();
        let heard = heard.unwrap_or_default();
        self.close_early_offers(now, id, session, dialog.as_ref());
        if let Some(dialog) = &mut dialog {
            // The 2xx has the last word on target and route (§13.2.2.4).
            if let Ok(fresh) = Dialog::of_caller(response, dialog.flow, &dialog.remote_target) {
                let remote_cseq = dialog.remote_cseq;
                *dialog = fresh;
                dialog.remote_cseq = remote_cseq;
            }
        }
        // Its room too: the call may stand for hours.
        session.forks = Vec::new();
        session.dialog = dialog;
        let abandoned = match &mut session.phase {
            Phase::Abandoned { ending, .. } => Some(std::mem::take(ending)),
            _ => None,
        };
        if session.dialog.is_none() {
            // A 2xx that makes no dialog cannot even be acknowledged.
            if abandoned.is_none() {
                self.refused(id, 502, Some(response.clone()));
            }
            return Fate::Gone;
        }
        let cseq = outcome.draft.cseq;
        if let Some(ending) = abandoned {
            self.send_2xx_ack(session, outcome.tx, cseq, None);
            return self.send_bye(now, id, session, &ending);
        }
        session.peer_takes_update = response.allows(Method::Update) || heard.takes_update;
        let agreed = agree_as_caller(response, &session.timers);
        session.session_timer = SessionTimer::start(now, agreed);
        let needs_answer =
            outcome.draft.body.is_none() && !heard.settled && sdp_of(response).is_some();
        let body = heard.last_word(sdp_of(response));
        if needs_answer {
            session.phase = Phase::Answering {
                tx: outcome.tx,
                cseq,
            };
        } else {
            session.phase = Phase::Established;
            self.send_2xx_ack(session, outcome.tx, cseq, None);
        }
        let (fork, response) = (fork.unwrap_or(0), response.clone());
        self.event(Event::Answered {
            session: id,
            body,
            needs_answer,
            fork,
            response,
        });
        Fate::Stays
    }

    /// A 2xx to an INVITE that was answered before: a retransmission, or another fork.
    pub(super) fn on_further_2xx(&mut self, now: Now, tx: u64, response: &Message) {
        let Ok(to) = response.to() else { return };
        let tag = to.tag().unwrap_or_default();
        if self.repeat_ack(tx, tag) {
            return;
        }
        let Some((owner, flow)) = self.clients.get(tx).map(|tx| (tx.owner, tx.flow)) else {
            return;
        };
        let session = match owner {
            ClientOwner::Invite(id) => self.sessions.get(id.0),
            _ => return,
        };
        let ours = session.and_then(|session| session.dialog.as_ref());
        if ours.is_some_and(|dialog| dialog.remote_tag == tag) {
            // The user's answer to the late offer is not there yet.
            return;
        }
        let proofs = session
            .map(|session| session.proofs.clone())
            .unwrap_or_default();
        let session = match owner {
            ClientOwner::Invite(id) => self.sessions.get_mut(id.0),
            _ => None,
        };
        let bye_cseq = session.map(|session| session.next_cseq());
        self.refuse_fork(now, (tx, flow), response, proofs, bye_cseq);
    }

    /// Acknowledges and ends a dialog of a fork that answered second (§13.2.2.4). Its BYE comes after the PRACKs
    /// and UPDATEs that the early dialog had: by the session's count, or beyond all of them if that is gone.
    fn refuse_fork(
        &mut self,
        now: Now,
        (tx, flow): (u64, crate::transport::Flow),
        response: &Message,
        proofs: Vec<(Name, String)>,
        bye_cseq: Option<u32>,
    ) {
        let (Ok(dialog), Ok(cseq), Ok(call_id)) = (
            Dialog::of_caller(response, flow, ""),
            response.cseq(),
            response.call_id(),
        ) else {
            return;
        };
        let (uri, routes) = dialog.request_line();
        let hop = dialog.next_hop();
        let ack = Draft {
            method: Method::Ack,
            uri,
            routes,
            from: dialog.local.clone(),
            to: dialog.remote.clone(),
            call_id: Arc::from(call_id),
            cseq: cseq.number,
            contact: None,
            max_forwards: MAX_FORWARDS,
            proofs,
            headers: Vec::new(),
            body: None,
        };
        let bye = Draft {
            method: Method::Bye,
            cseq: bye_cseq.unwrap_or_else(|| cseq.number.saturating_add(EARLY_REQUESTS)),
            proofs: Vec::new(),
            ..ack.clone()
        };
        if let Some(wire) = self.write(&ack, &hop) {
            self.acknowledge_2xx(tx, &dialog.remote_tag, hop, wire);
        }
        // A fork that cannot be told hears nothing more of us and gives up on its own.
        let _ = self.start(now, Box::new(bye), hop, ClientOwner::Nobody, None);
    }

    /// Sends the ACK of a 2xx, and keeps it for retransmissions.
    pub(super) fn send_2xx_ack(
        &mut self,
        session: &Session,
        tx: u64,
        cseq: u32,
        body: Option<Bytes>,
    ) {
        let (Some(mut draft), Some(dialog)) =
            (self.draft_in(session, Method::Ack, cseq), &session.dialog)
        else {
            return;
        };
        draft.contact = None;
        draft.proofs.clone_from(&session.proofs);
        draft.body = body.map(|body| (SDP.to_owned(), body));
        let hop = dialog.next_hop();
        if let Some(wire) = self.write(&draft, &hop) {
            self.acknowledge_2xx(tx, &dialog.remote_tag, hop, wire);
        }
    }

    /// Writes a message that gets no transaction.
    fn write(&mut self, draft: &Draft, flow: &crate::transport::Flow) -> Option<Bytes> {
        let via = self.config.via(flow, self.tokens.next())?;
        draft.write(&via).ok()
    }

    pub(super) fn on_acknowledge(&mut self, now: Now, id: SessionId, body: Option<Bytes>) {
        self.change(id, |ua, session| {
            let (tx, cseq) = match (&session.phase, &session.offer) {
                (Phase::Answering { tx, cseq }, _) | (_, Offer::Unanswered { tx, cseq }) => {
                    (*tx, *cseq)
                }
                (Phase::Inviting { .. }, _) => {
                    ua.word_prack(now, id, session, body);
                    return Fate::Stays;
                }
                _ => return Fate::Stays,
            };
            if body.is_some() {
                session.local_sdp.clone_from(&body);
            }
            ua.send_2xx_ack(session, tx, cseq, body);
            session.offer = Offer::None;
            if let Phase::Answering { .. } = session.phase {
                session.phase = Phase::Established;
            }
            ua.end_if_overdue(now, id, session)
        });
    }

    /// Ends an INVITE of ours that has no final response yet (§9.1).
    pub(super) fn abandon(
        &mut self,
        now: Now,
        id: SessionId,
        session: &mut Session,
        ending: super::Ending,
    ) {
        let Phase::Inviting { tx } = session.phase else {
            return;
        };
        session.waiting = None;
        session.phase = Phase::Abandoned {
            tx,
            ending,
            give_up_at: None,
        };
        self.close_early_offers(now, id, session, None);
        session.forks.clear();
        self.ended(id, EndedBy::Us, None, None);
        self.cancel_if_due(now, session);
    }

    pub(super) fn has_provisional(&self, id: SessionId) -> bool {
        match self.sessions.get(id.0).map(|session| &session.phase) {
            Some(Phase::Inviting { tx }) => self.may_cancel(*tx),
            _ => false,
        }
    }

    /// Sends the CANCEL of an abandoned INVITE as soon as a provisional response came.
    pub(super) fn cancel_if_due(&mut self, now: Now, session: &mut Session) {
        let Phase::Abandoned {
            tx,
            ending,
            give_up_at: give_up_at @ None,
        } = &mut session.phase
        else {
            return;
        };
        if !self.may_cancel(*tx) {
            return;
        }
        *give_up_at = Some(now + self.config.t1 * 64);
        let reason = ending
            .reason
            .iter()
            .map(|r| (Name::Reason.as_str().to_owned(), r.clone()));
        let headers: Vec<_> = reason.chain(ending.headers.iter().cloned()).collect();
        let found = self
            .clients
            .get(*tx)
            .and_then(|tx| Some((tx.token, tx.flow, tx.draft.as_ref()?.cancel(headers))));
        if let Some((token, flow, cancel)) = found {
            let cancel = Box::new(cancel);
            // One that cannot be written (a header of the user) goes without headers.
            let bare = Box::new(Draft {
                headers: Vec::new(),
                ..(*cancel).clone()
            });
            let token = Some(token);
            let sent = self.start_as(now, token, cancel, flow, Sender::NOBODY);
            if sent.is_err() {
                let _ = self.start_as(now, token, bare, flow, Sender::NOBODY);
            }
        }
    }

    fn target_of(&self, tx: u64) -> String {
        let draft = self.clients.get(tx).and_then(|tx| tx.draft.as_ref());
        draft.map(|draft| draft.uri.clone()).unwrap_or_default()
    }
}

/// More requests than any early dialog sees; a gap in the numbers is allowed (§12.2.2).
const EARLY_REQUESTS: u32 = 1_000;

/// Finds or makes the early dialog of a response; `None` without a tag or beyond the limit.
fn fork_of(
    session: &mut Session,
    response: &Message,
    flow: crate::transport::Flow,
    target: &str,
    limit: usize,
) -> Option<u32> {
    let tag = response.to().ok()?.tag().unwrap_or_default().to_owned();
    let is_final = response.status().is_some_and(|status| status >= 200);
    if tag.is_empty() && !is_final {
        return None;
    }
    if let Some(index) = session
        .forks
        .iter()
        .position(|fork| fork.dialog.remote_tag == tag)
    {
        if let Some(fork) = session.forks.get_mut(index) {
            fork.dialog.refresh_target(response);
        }
        return u32::try_from(index).ok();
    }
    if session.forks.len() >= limit {
        return None;
    }
    session.forks.push(Fork {
        dialog: Dialog::of_caller(response, flow, target).ok()?,
        heard: Heard::default(),
    });
    u32::try_from(session.forks.len() - 1).ok()
}

/// Takes the Route headers out of the user's, since CANCEL and ACK repeat them.
pub(super) fn split_routes(headers: Vec<(String, String)>) -> (Vec<String>, Vec<(String, String)>) {
    let is_route = |(name, _): &(String, String)| Name::from_text(name) == Name::Route;
    let (routes, rest): (Vec<_>, Vec<_>) = headers.into_iter().partition(is_route);
    (routes.into_iter().map(|(_, value)| value).collect(), rest)
}

/// The session description a message carries.
pub(super) fn sdp_of(message: &Message) -> Option<Bytes> {
    let is_sdp = matches!(message.content_type(), Ok(Some(kind)) if kind.is("application", "sdp"));
    (is_sdp && !message.body().is_empty()).then(|| message.body().clone())
}
