//! Requests outside any dialog: REGISTER, OPTIONS, MESSAGE, sent and received (RFC 3261 §8, §10, §11).

use super::client_invite::split_routes;
use super::door::proven_by;
use super::draft::{Draft, MAX_FORWARDS};
use super::event::{Busy, Event, OutOfDialog, RequestId};
use super::layer::{ClientOwner, Outcome, ServerOwner};
use super::reply::Reply;
use super::tokens::Known;
use super::{UserAgent, tokens};
use crate::message::{Message, Method, Name};
use crate::transport::Flow;
use bytes::Bytes;
use clock::Now;
use std::sync::Arc;

impl UserAgent {
    pub(super) fn send_outside(&mut self, now: Now, out: OutOfDialog) -> Result<RequestId, Busy> {
        if !self.has_room(now) {
            return Err(Busy::Full);
        }
        if matches!(
            out.method,
            Method::Invite | Method::Ack | Method::Cancel | Method::Bye | Method::Other
        ) {
            return Err(Busy::Malformed);
        }
        let request_id = self.next_request_id();
        let contact = out
            .contact_user
            .map(|user| self.config.contact(&out.flow, &user));
        let (routes, headers) = split_routes(out.headers);
        let mut draft = Draft {
            method: out.method,
            uri: out.request_uri,
            routes,
            from: format!("{};tag={}", out.from, tokens::hex(self.tokens.next())),
            to: out.to,
            call_id: Arc::from(tokens::hex(self.tokens.next())),
            cseq: 1,
            contact: contact.flatten(),
            max_forwards: MAX_FORWARDS,
            proofs: Vec::new(),
            headers: vec![(
                Name::UserAgent.as_str().to_owned(),
                self.config.user_agent.clone(),
            )],
            body: out.body,
        };
        for (name, value) in headers {
            match Name::from_text(&name) {
                Name::CallId => draft.call_id = Arc::from(value),
                Name::CSeq => draft.cseq = value.parse().map_err(|_| Busy::Malformed)?,
                _ => draft.headers.push((name, value)),
            }
        }
        let owner = ClientOwner::Outside(request_id);
        let credentials = out
            .credentials
            .map(|it| Arc::new(it.kept_to(out.flow.remote.ip())));
        self.start(now, Box::new(draft), out.flow, owner, credentials)?;
        Ok(request_id)
    }

    /// The final response to a request of ours outside any dialog.
    pub(super) fn on_outside_outcome(&mut self, now: Now, request_id: RequestId, outcome: Outcome) {
        let (status, response) = (outcome.status, outcome.response.clone());
        let proven = proven_by(&outcome.draft.proofs);
        if matches!(status, 401 | 407) {
            let cseq = outcome.draft.cseq.saturating_add(1);
            if self.with_credentials(now, outcome, cseq).is_some() {
                return;
            }
        }
        self.event(Event::Response {
            request_id,
            status,
            response,
            proven,
        });
    }

    pub(super) fn drop_outside(&mut self, request: RequestId) {
        let is_it = |ua: &Self, id: u64| {
            let tx = ua.clients.get(id);
            tx.is_some_and(|tx| tx.owner == ClientOwner::Outside(request))
        };
        let found = self.clients.names().into_iter().find(|&id| is_it(self, id));
        if let Some(id) = found {
            self.abandon_client(id);
        }
    }

    /// A request without a To tag, other than INVITE, ACK and CANCEL.
    pub(super) fn on_request_outside(
        &mut self,
        now: Now,
        request: &Message,
        flow: Flow,
        keys: (Known, Option<u64>),
    ) {
        let tx = self.begin(now, request, flow, keys, ServerOwner::Core);
        match request.method().unwrap_or(Method::Other) {
            Method::Register
            | Method::Options
            | Method::Message
            | Method::Subscribe
            | Method::Notify
            | Method::Refer
            | Method::Info => {
                if let Some(tx) = self.servers.get_mut(tx) {
                    tx.owner = ServerOwner::User;
                }
                self.event(Event::Requested {
                    request_id: RequestId(tx),
                    request: request.clone(),
                    flow,
                });
            }
            // BYE and UPDATE of no dialog; what nobody serves was refused before.
            _ => self.reply(now, tx, &Reply::new(481)),
        }
    }

    /// The user's answer to a request, in a dialog or not.
    pub(super) fn on_respond(
        &mut self,
        now: Now,
        request: RequestId,
        status: u16,
        headers: &[(String, String)],
        body: Option<(String, Bytes)>,
    ) {
        let is_users = self
            .servers
            .get(request.0)
            .is_some_and(|tx| tx.owner == ServerOwner::User);
        if !is_users {
            return;
        }
        let mut reply = Reply {
            status: status.clamp(200, 699),
            headers: headers.to_vec(),
            body,
        };
        let says_allow = headers
            .iter()
            .any(|(name, _)| Name::from_text(name) == Name::Allow);
        if matches!(status, 405 | 501) && !says_allow {
            reply = reply.with(Name::Allow, self.served.allow());
        }
        self.reply(now, request.0, &reply);
    }

    /// A name for a request of ours; the top bit keeps it apart from those of the peer's.
    pub(super) fn next_request_id(&mut self) -> RequestId {
        self.sent += 1;
        RequestId(1 << 63 | self.sent)
    }

    /// Tells a stray apart for the counters: a message nobody waits for.
    pub(super) fn stray(&mut self, _message: &Message) {
        self.counts.strays += 1;
    }
}
