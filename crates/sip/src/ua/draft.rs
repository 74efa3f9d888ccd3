//! What our messages are made of.

use super::config::UserAgentConfig;
use super::tokens;
use crate::message::{BuildError, Builder, Message, Method, Name};
use crate::transport::{Flow, ListenerId, Transport};
use bytes::Bytes;
use std::sync::Arc;

/// A request before it has a branch: kept until its final response, since a challenge or a busy
/// dialog may have it sent again.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) method: Method,
    pub(super) uri: String,
    pub(super) routes: Vec<String>,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) call_id: Arc<str>,
    pub(super) cseq: u32,
    pub(super) contact: Option<String>,
    pub(super) max_forwards: u8,
    /// Authorization and Proxy-Authorization.
    pub(super) proofs: Vec<(Name, String)>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<(String, Bytes)>,
}

impl Draft {
    /// Writes the request with this Via value.
    pub(super) fn write(&self, via: &str) -> Result<Bytes, BuildError> {
        let mut builder = Builder::request(self.method, &self.uri)
            .header(Name::Via, via)
            .header(Name::MaxForwards, &self.max_forwards.to_string());
        for route in &self.routes {
            builder = builder.header(Name::Route, route);
        }
        builder = builder
            .header(Name::From, &self.from)
            .header(Name::To, &self.to)
            .header(Name::CallId, &self.call_id)
            .header(
                Name::CSeq,
                &format!("{} {}", self.cseq, self.method.as_str()),
            );
        if let Some(contact) = &self.contact {
            builder = builder.header(Name::Contact, contact);
        }
        for (name, value) in &self.proofs {
            builder = builder.header(name, value);
        }
        for (name, value) in &self.headers {
            builder = builder.header(name, value);
        }
        match &self.body {
            Some((content_type, body)) => builder.body(content_type, body.clone()),
            None => builder,
        }
        .wire()
    }

    /// The CANCEL of this INVITE (§9.1).
    pub(super) fn cancel(&self, headers: Vec<(String, String)>) -> Self {
        Self {
            method: Method::Cancel,
            headers,
            ..self.bare()
        }
    }

    /// The ACK of this INVITE for a final response other than 2xx (§17.1.1.3).
    pub(super) fn ack(&self, response: &Message) -> Self {
        let to = response.header(Name::To).unwrap_or(&self.to).to_owned();
        Self {
            method: Method::Ack,
            to,
            ..self.bare()
        }
    }

    fn bare(&self) -> Self {
        Self {
            method: self.method,
            uri: self.uri.clone(),
            routes: self.routes.clone(),
            from: self.from.clone(),
            to: self.to.clone(),
            call_id: self.call_id.clone(),
            cseq: self.cseq,
            contact: None,
            max_forwards: MAX_FORWARDS,
            proofs: Vec::new(),
            headers: Vec::new(),
            body: None,
        }
    }
}

impl UserAgentConfig {
    /// The Via value for a request on `flow`; it asks for `rport` (RFC 3581 §3).
    pub(super) fn via(&self, flow: &Flow, token: u64) -> Option<String> {
        let (host, port) = self.advertised(flow.listener)?;
        let transport = flow.transport.via_name();
        let branch = tokens::hex(token);
        Some(format!(
            "SIP/2.0/{transport} {host}:{port};branch=z9hG4bK{branch};rport"
        ))
    }

    /// The Contact value for messages on `flow`.
    pub(super) fn contact(&self, flow: &Flow, user: &str) -> Option<String> {
        let (host, port) = self.advertised(flow.listener)?;
        let at = if user.is_empty() { "" } else { "@" };
        let transport = match flow.transport {
            Transport::Udp => String::new(),
            stream => format!(";transport={}", stream.uri_name()),
        };
        Some(format!("<sip:{user}{at}{host}:{port}{transport}>"))
    }

    fn advertised(&self, id: ListenerId) -> Option<(String, u16)> {
        let listener = self.listeners.iter().find(|listener| listener.id == id)?;
        let host = &listener.advertised_host;
        let bare_v6 = host.contains(':') && !host.starts_with('[');
        let host = if bare_v6 {
            format!("[{host}]")
        } else {
            host.clone()
        };
        Some((host, listener.advertised_port))
    }
}

/// The reason phrase of RFC 3261 §21 and its extensions.
pub fn phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        200 => "OK",
        202 => "Accepted",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        413 => "Request Entity Too Large",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        485 => "Ambiguous",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        493 => "Undecipherable",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        _ => "Unknown",
    }
}

/// The methods that are always taken.
pub(super) const METHODS: [Method; 11] = [
    Method::Invite,
    Method::Ack,
    Method::Cancel,
    Method::Bye,
    Method::Options,
    Method::Info,
    Method::Update,
    Method::Prack,
    Method::Refer,
    Method::Notify,
    Method::Register,
];
/// The extensions that a Require may name.
pub(super) const EXTENSIONS: [&str; 3] = ["timer", "replaces", "100rel"];
/// The same, as Supported says it.
pub(super) const SUPPORTED: &str = "timer, replaces, 100rel";
/// What a request says whose provisional responses shall not be reliable: one of ours in a dialog, where
/// none but a final response counts, and an INVITE whose user wants it so.
pub(super) const SUPPORTED_PLAIN: &str = "timer, replaces";
/// What Supported says: 100rel is left out where provisional responses shall not be reliable, timer where
/// we refuse session timers.
pub(super) const fn supported(timer: bool, reliable: bool) -> &'static str {
    match (timer, reliable) {
        (true, true) => SUPPORTED,
        (true, false) => SUPPORTED_PLAIN,
        (false, true) => "replaces, 100rel",
        (false, false) => "replaces",
    }
}

/// The hops our requests may take (§8.1.1.6).
pub(super) const MAX_FORWARDS: u8 = 70;
/// The content type of a session description.
pub(super) const SDP: &str = "application/sdp";
