//! What arrives: parsed, matched to its transaction, and handed to who must answer (RFC 3261 §8.1.3,
//! §8.2, §9.2, §17.1.3, §17.2.3, §18.1.2, §18.2.1).

use super::event::Event;
use super::layer::{ClientOwner, Outcome, ServerOwner};
use super::reply::Reply;
use super::tokens::Known;
use super::{UserAgent, tokens};
use crate::message::{
    Cause, MAGIC_COOKIE, Message, Method, ParseError, Refusal, TransactionKey, refusal_of,
};
use crate::transaction::{ClientInput, ServerInput};
use crate::transport::Flow;
use bytes::Bytes;
use clock::Now;
use std::hash::BuildHasher;

impl UserAgent {
    pub(super) fn on_bytes(&mut self, now: Now, flow: Flow, bytes: Bytes, trusted: bool) {
        match Message::parse(bytes.clone()) {
            Ok(message) => self.on_message(now, flow, &message, trusted),
            Err(error) => self.on_malformed(flow, &bytes, &error, trusted),
        }
    }

    pub(super) fn on_message(&mut self, now: Now, flow: Flow, message: &Message, trusted: bool) {
        if message.is_request() {
            self.on_request(now, flow, message, trusted);
        } else {
            self.on_response(now, flow, message);
        }
    }

    /// Bytes that are no message: nothing but a stateless answer can come of them.
    pub(super) fn on_malformed(
        &mut self,
        flow: Flow,
        bytes: &[u8],
        error: &ParseError,
        trusted: bool,
    ) {
        self.counts.malformed += 1;
        if !trusted {
            return;
        }
        let tag = tokens::hex(self.tokens.stateless(bytes));
        if let Some(refusal) = refusal_of(bytes, error, &tag) {
            self.transmit(flow, refusal);
        }
    }

    /// A request whose headers nobody could act upon. It gets no transaction: a sender that cannot
    /// write a request cannot be trusted to end one.
    fn on_unfit(&mut self, flow: Flow, request: &Message, refusal: &Refusal, trusted: bool) {
        self.counts.malformed += 1;
        if trusted {
            self.reply_stateless(request, flow, &Reply::of(refusal));
        }
    }

    fn on_response(&mut self, now: Now, flow: Flow, response: &Message) {
        match response.validate_response() {
            Ok(()) => {}
            // Some proxy lost it on its way (§8.1.3.3).
            Err(refusal) if refusal.cause == Cause::ForeignVia => return self.stray(response),
            Err(_) => {
                self.counts.malformed += 1;
                return;
            }
        }
        let Some(status) = response.status() else {
            return;
        };
        let found = self.request_of(response);
        let Some(id) = found else {
            return self.stray(response);
        };
        if let Some(tx) = self.clients.get_mut(id) {
            tx.answered_by = Some(flow.remote.ip());
            if flow.connection.is_some() {
                tx.flow = flow;
            }
        }
        self.drive_client(now, id, ClientInput::Response(status), Some(response));
    }

    /// The final response to a request of ours, or the lack of one, goes to who sent it.
    pub(super) fn on_outcome(&mut self, now: Now, outcome: Outcome) {
        match outcome.owner {
            ClientOwner::Invite(id) => self.on_invite_outcome(now, id, outcome),
            ClientOwner::Offer(id) | ClientOwner::Refresh(id) => {
                self.on_offer_outcome(now, id, outcome);
            }
            ClientOwner::Prack(id) => self.on_prack_outcome(now, id, outcome),
            ClientOwner::Bye(id) => self.on_bye_outcome(now, id, outcome),
            ClientOwner::InDialog(id, request) => {
                self.on_in_dialog_outcome(now, (id, request), outcome);
            }
            ClientOwner::Outside(request) => self.on_outside_outcome(now, request, outcome),
            ClientOwner::Nobody => {}
        }
    }

    fn on_request(&mut self, now: Now, flow: Flow, request: &Message, trusted: bool) {
        let refusal = request
            .validate_request(&self.served.accepts(request))
            .err();
        if let Some(refusal) = refusal.as_ref().filter(|it| it.cause.is_malformed()) {
            return self.on_unfit(flow, request, refusal, trusted);
        }
        let Ok(key) = request.transaction_key() else {
            return;
        };
        let key = self.known_as(&key);
        let known = self.requests.get(&key).copied();
        match request.method() {
            Some(Method::Ack) => self.on_ack_request(now, known, request),
            Some(Method::Cancel) => self.on_cancel_request(now, flow, request, known, key),
            _ => match known {
                Some(tx) => {
                    self.counts.retransmissions += 1;
                    self.drive_server(now, tx, ServerInput::Request);
                }
                None => self.on_new_request(now, flow, request, (key, refusal)),
            },
        }
    }

    fn on_ack_request(&mut self, now: Now, known: Option<u64>, request: &Message) {
        if let Some(tx) = known {
            self.mark_unacked(tx, false);
            self.drive_server(now, tx, ServerInput::Ack);
        }
        match self.session_of(request) {
            Some(session) => self.on_ack(now, session, request),
            None if known.is_none() => self.stray(request),
            None => {}
        }
    }

    /// A CANCEL is answered by itself, then ends the INVITE it names (§9.2).
    fn on_cancel_request(
        &mut self,
        now: Now,
        flow: Flow,
        request: &Message,
        known: Option<u64>,
        key: Known,
    ) {
        if let Some(tx) = known {
            self.counts.retransmissions += 1;
            return self.drive_server(now, tx, ServerInput::Request);
        }
        let invite =
            invite_key(request).and_then(|key| self.requests.get(&self.known_as(&key)).copied());
        let Some(invite) = invite else {
            return self.reply_stateless(request, flow, &Reply::new(481));
        };
        let tx = self.begin(now, request, flow, (key, None), ServerOwner::Core);
        self.reply(now, tx, &Reply::new(200));
        self.on_cancel(now, invite, request);
    }

    fn on_new_request(
        &mut self,
        now: Now,
        flow: Flow,
        request: &Message,
        (key, refusal): (Known, Option<Refusal>),
    ) {
        let method = request.method().unwrap_or(Method::Other);
        let in_dialog = request.to_tag().is_some();
        if !self.has_room_for_server(now) {
            // The BYE of a call we know frees more than it takes.
            let frees = method == Method::Bye && self.session_of(request).is_some();
            if !frees {
                return self.refuse_full(request, flow);
            }
        }
        if in_dialog {
            return self.on_request_in_dialog(now, request, flow, (key, refusal));
        }
        let merge = self.merge_key(request);
        if merge.is_some_and(|merge| self.initials.contains(&merge)) {
            // The same request by another way (§8.2.2.2).
            self.turned_away(request, flow, 482, None);
            return self.reply_stateless(request, flow, &Reply::new(482));
        }
        if let Some(refusal) = refusal {
            let tx = self.begin(now, request, flow, (key, merge), ServerOwner::Core);
            let status = refusal.cause.status();
            self.turned_away(request, flow, status, Some(refusal.cause.clone()));
            return self.reply(now, tx, &Reply::of(&refusal));
        }
        let unserved = match super::replaces::is_misplaced(request, false) {
            true => Some(Reply::new(400)),
            false if self.is_loop(request) => Some(Reply::new(482)),
            false => self.served.refusal_of_event(request),
        };
        if let Some(refusal) = unserved {
            let tx = self.begin(now, request, flow, (key, merge), ServerOwner::Core);
            self.turned_away(request, flow, refusal.status, None);
            return self.reply(now, tx, &refusal);
        }
        match method {
            Method::Invite => self.on_new_invite(now, request, flow, (key, merge)),
            _ => self.on_request_outside(now, request, flow, (key, merge)),
        }
    }
}

impl UserAgent {
    /// Whether an INVITE of ours came back as it went: it carries our Via still, and asks for what we asked
    /// for. One that asks for something else is a spiral, which its hops bound (§16.3).
    fn is_loop(&self, request: &Message) -> bool {
        request.method() == Some(Method::Invite)
            && request.vias().flatten().any(|via| {
                let branch = via.branch().and_then(|it| it.strip_prefix(MAGIC_COOKIE));
                let token = branch.and_then(tokens::from_hex);
                let id = token.and_then(|token| self.branches.get(&(token, Method::Invite)));
                let ours = id.and_then(|id| self.clients.get(*id)?.draft.as_ref());
                ours.is_some_and(|draft| request.request_uri() == Some(draft.uri.as_str()))
            })
    }

    /// What a transaction of the peer is known as.
    pub(super) fn known_as(&self, key: &TransactionKey<'_>) -> Known {
        Known::of(key, self.requests.hasher())
    }

    /// What two copies of one request share, whatever way they came, as a hash that nobody can aim at.
    fn merge_key(&self, request: &Message) -> Option<u64> {
        let cseq = request.cseq().ok()?;
        let share = (
            request.call_id().ok()?,
            request.from_tag()?,
            cseq.number,
            cseq.method_str,
        );
        Some(self.initials.hasher().hash_one(share))
    }

    pub(super) fn turned_away(
        &mut self,
        request: &Message,
        flow: Flow,
        status: u16,
        why: Option<Cause>,
    ) {
        let request = request.clone();
        self.event(Event::TurnedAway {
            request,
            flow,
            status,
            why,
        });
    }
}

/// The key of the INVITE that a CANCEL names.
pub(super) fn invite_key(cancel: &Message) -> Option<TransactionKey<'_>> {
    Some(match cancel.transaction_key().ok()? {
        TransactionKey::Server {
            branch, sent_by, ..
        } => TransactionKey::Server {
            branch,
            sent_by,
            method: "INVITE",
        },
        TransactionKey::Legacy {
            uri,
            from_tag,
            call_id,
            cseq,
            via,
            ..
        } => TransactionKey::Legacy {
            uri,
            from_tag,
            call_id,
            cseq,
            via,
            method: "INVITE",
        },
        TransactionKey::Client { .. } => return None,
    })
}
