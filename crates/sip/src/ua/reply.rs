//! Our responses: what they say, how they are written, and where they go (RFC 3261 §8.2.6, §18.2).

use super::draft::phrase;
use super::{UserAgent, tokens};
use crate::message::{Builder, Message, Method, Name, Refusal};
use crate::transaction::ServerInput;
use crate::transport::{Flow, Transport};
use bytes::Bytes;
use clock::Now;
use std::net::SocketAddr;

/// What may stand in a response besides what it copies.
#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<(String, Bytes)>,
}

impl Reply {
    pub(super) fn new(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    /// What a refusal says, with the header that goes with it.
    pub(super) fn of(refusal: &Refusal) -> Self {
        let reply = Self::new(refusal.cause.status());
        match refusal.cause.remedy() {
            Some((name, value)) => reply.with(name, value),
            None => reply,
        }
    }

    pub(super) fn with(mut self, name: Name, value: impl Into<String>) -> Self {
        self.headers.push((name.as_str().to_owned(), value.into()));
        self
    }
}

impl UserAgent {
    /// Responds to a request of the peer. A final response given already stands.
    pub(super) fn reply(&mut self, now: Now, id: u64, reply: &Reply) {
        let Some(tx) = self.servers.get_mut(id) else {
            return;
        };
        let Some(request) = &tx.request else { return };
        let tag = tokens::hex(tx.tag);
        let face = (&*self.config.user_agent, self.oc.as_deref());
        let Some(wire) = write_response(request, reply, tx.source, &tag, face) else {
            // A header of the user cannot be written: the peer still gets its answer.
            let plain = Reply::new(reply.status);
            if !reply.headers.is_empty() || reply.body.is_some() {
                self.reply(now, id, &plain);
            } else {
                // Nothing can be said to such a request: it must not wait for ever.
                self.drive_server(now, id, ServerInput::TransportFailed);
            }
            return;
        };
        tx.response = wire;
        if reply.status >= 200 {
            tx.request = None;
            let is_invite = tx.is_invite();
            self.mark_unacked(id, is_invite);
        }
        self.drive_server(now, id, ServerInput::Respond(reply.status));
    }

    /// Tells an INVITE that nobody has answered yet that it was received.
    pub(super) fn say_trying(&mut self, now: Now, id: u64) {
        if self
            .servers
            .get(id)
            .is_some_and(|tx| tx.response.is_empty())
        {
            self.reply(now, id, &Reply::new(100));
        }
    }

    /// Responds to a request that gets no transaction.
    pub(super) fn reply_stateless(&mut self, request: &Message, flow: Flow, reply: &Reply) {
        if request.method() == Some(Method::Ack) {
            return;
        }
        // The same tag for the same request, without remembering it (§8.2.7).
        let call = request.call_id().unwrap_or_default();
        let tag = tokens::hex(self.tokens.stateless(call.as_bytes()));
        let source = flow.remote;
        let face = (&*self.config.user_agent, self.oc.as_deref());
        if let Some(wire) = write_response(request, reply, source, &tag, face) {
            self.transmit(reply_flow(request, flow), wire);
        }
    }
}

/// `server` is our name, left out if it is empty; `oc` what is told of our load.
pub(super) fn write_response(
    request: &Message,
    reply: &Reply,
    source: SocketAddr,
    tag: &str,
    (server, oc): (&str, Option<&str>),
) -> Option<Bytes> {
    let mut builder =
        Builder::response(request, reply.status, phrase(reply.status)).stamped(source, oc);
    if reply.status > 100 {
        builder = builder.to_tag(tag);
        if reply.status < 300 {
            // Dialogs take their route from any response that may make one (§12.1.1).
            builder = builder.copy(request, Name::RecordRoute);
        }
    }
    for (name, value) in &reply.headers {
        builder = builder.header(name, value);
    }
    if !server.is_empty() {
        builder = builder.header(Name::Server, server);
    }
    match &reply.body {
        Some((content_type, body)) => builder.body(content_type, body.clone()),
        None => builder,
    }
    .wire()
    .ok()
}

/// Where responses go (§18.2.2, RFC 3581 §4): back on the connection; on UDP to the source address,
/// at the source port when the request asks for `rport`, else at the port its Via names.
pub(super) fn reply_flow(request: &Message, flow: Flow) -> Flow {
    if flow.transport != Transport::Udp {
        return flow;
    }
    match request.via() {
        Ok(via) if via.rport().is_none() => {
            let port = via.port.unwrap_or(Transport::Udp.default_port());
            Flow {
                remote: SocketAddr::new(flow.remote.ip(), port),
                ..flow
            }
        }
        _ => flow,
    }
}
