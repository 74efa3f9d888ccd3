//! What stands before the machine: which messages belong to something it holds, and answers that need
//! no transaction.
//!
//! Whoever decides about strangers asks here first. A request that is turned away costs nothing that
//! lasts (RFC 3261 §8.2.7): the same To tag comes of the same Call-ID, nothing is sent again, and the
//! ACK of a refusal is a stray. One whom the answer's words do not concern hears no Server header.

use super::UserAgent;
use super::event::SessionId;
use super::reply::{Reply, reply_flow, write_response};
use super::session::Session;
use super::{receive, tokens};
use crate::auth::{Algorithm, AuthorizationHeader};
use crate::message::{MAGIC_COOKIE, Message, Method, Name, TransactionKey};
use crate::transport::Flow;
use bytes::Bytes;
use clock::Now;
use std::net::IpAddr;
use std::sync::Arc;

/// What a message has to do with what the user agent holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belongs {
    /// It names a token of ours that only a receiver of our messages knows: a dialog of ours by both
    /// tags, or the branch of a request of ours. Its sender is where it says.
    Proven,
    /// A copy of, or the CANCEL or ACK for, a request that was taken: all of it was the sender's choice.
    Known,
    /// Nothing that we hold.
    Nowhere,
}

impl UserAgent {
    /// Where a message belongs.
    pub fn belongs(&mut self, message: &Message) -> Belongs {
        if !message.is_request() {
            return match self.request_of(message) {
                Some(_) => Belongs::Proven,
                None => Belongs::Nowhere,
            };
        }
        if self.session_of(message).is_some() {
            return Belongs::Proven;
        }
        let Ok(key) = message.transaction_key() else {
            return Belongs::Nowhere;
        };
        let taken = self.requests.contains_key(&self.known_as(&key))
            || message.method() == Some(Method::Cancel)
                && receive::invite_key(message)
                    .is_some_and(|key| self.requests.contains_key(&self.known_as(&key)));
        if taken {
            Belongs::Known
        } else {
            Belongs::Nowhere
        }
    }

    /// The request of ours that a response answers.
    pub(super) fn request_of(&self, response: &Message) -> Option<u64> {
        let Ok(TransactionKey::Client { branch, method }) = response.transaction_key() else {
            return None;
        };
        let token = branch
            .strip_prefix(MAGIC_COOKIE)
            .and_then(tokens::from_hex)?;
        let method = Method::from_text(method);
        self.branches.get(&(token, method)).copied()
    }

    /// Takes one message that is parsed already; else as [`UserAgent::receive`].
    pub fn receive_message(&mut self, now: Now, flow: Flow, message: &Message, trusted: bool) {
        self.on_message(now, flow, message, trusted);
    }

    /// Answers a request that was not taken, statelessly. An ACK is never answered. `None` if a header
    /// cannot be written.
    pub fn refusal(
        &self,
        request: &Message,
        flow: Flow,
        status: u16,
        headers: &[(String, String)],
    ) -> Option<(Flow, Bytes)> {
        if request.method() == Some(Method::Ack) {
            return None;
        }
        let call = request.call_id().unwrap_or_default();
        let tag = tokens::hex(self.tokens.stateless(call.as_bytes()));
        let reply = Reply {
            status,
            headers: headers.to_vec(),
            body: None,
        };
        let wire = write_response(request, &reply, flow.remote, &tag, ("", self.oc.as_deref()))?;
        Some((reply_flow(request, flow), wire))
    }

    /// The realm and algorithm of the proof that a session of ours was let in with; `None` without one,
    /// or where several proxies asked, each in its realm.
    pub fn proven_with(&self, session: SessionId) -> Option<(String, Algorithm)> {
        self.sessions.get(session.0)?.proven_with()
    }

    /// Final responses to INVITEs from that address whose ACK has not come.
    pub fn unacknowledged(&self, ip: IpAddr) -> usize {
        self.unacked.get(&ip.to_canonical()).copied().unwrap_or(0)
    }

    /// Notes that an INVITE has its final response and awaits its ACK, or no longer does.
    pub(super) fn mark_unacked(&mut self, id: u64, awaits: bool) {
        let Some(tx) = self.servers.get_mut(id) else {
            return;
        };
        if std::mem::replace(&mut tx.awaits_ack, awaits) == awaits {
            return;
        }
        let ip = tx.source.ip().to_canonical();
        self.rest_server(id);
        if awaits {
            *self.unacked.entry(ip).or_default() += 1;
        } else if let Some(count) = self.unacked.get_mut(&ip) {
            *count -= 1;
            if *count == 0 {
                self.unacked.remove(&ip);
            }
        }
    }
}

impl Session {
    fn proven_with(&self) -> Option<(String, Algorithm)> {
        proven_by(&self.proofs)
    }

    /// What was good enough for the INVITE is what may be asked for from now on: no other realm, and no
    /// weaker algorithm.
    pub(super) fn pin_credentials(&mut self) {
        if let Some((realm, algorithm)) = self.proven_with()
            && let Some(credentials) = &self.credentials
        {
            self.credentials = Some(Arc::new(credentials.pinned_to(&realm, algorithm)));
        }
    }
}

/// The realm and algorithm of the one proof that a request held.
pub(super) fn proven_by(proofs: &[(Name, String)]) -> Option<(String, Algorithm)> {
    let [(_, proof)] = proofs else {
        return None;
    };
    let proof = AuthorizationHeader::parse(proof).ok()?;
    let algorithm = proof.algorithm?;
    Some((proof.realm.into_owned(), algorithm))
}
