//! One binding of an endpoint's address to where it is (RFC 3261 §10.3), as the registrar and as the store
//! keep it, and how a REGISTER's words about it are read.

use std::net::SocketAddr;

use clock::{Duration, Now};
use sip::message::Message;
use sip::transport::{Flow, ListenerId, Transport};

/// A binding as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Whose.
    pub endpoint: String,
    /// The contact's URI, as written; with `endpoint` the row's key.
    pub contact: String,
    /// How long it still lasts; the store turns it into wall time and back.
    pub expires_in: Duration,
    /// Preference in thousandths.
    pub q: u16,
    /// The Call-ID of the REGISTER.
    pub call_id: String,
    /// Its CSeq.
    pub cseq: u32,
    /// The transport it came by.
    pub transport: Transport,
    /// The listener it came to.
    pub listener: ListenerId,
    /// The true source it came from.
    pub remote: SocketAddr,
    /// What the device calls itself.
    pub user_agent: String,
}

/// A binding as the registrar keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binding {
    pub(super) id: u64,
    pub(super) contact: String,
    pub(super) flow: Flow,
    pub(super) expires_at: Now,
    pub(super) q: u16,
    pub(super) call_id: String,
    pub(super) cseq: u32,
    pub(super) user_agent: String,
}

impl Binding {
    /// As the store keeps it.
    pub(super) fn row(&self, now: Now, endpoint: &str) -> Row {
        Row {
            endpoint: endpoint.to_owned(),
            contact: self.contact.clone(),
            expires_in: self.expires_at.since(now),
            q: self.q,
            call_id: self.call_id.clone(),
            cseq: self.cseq,
            transport: self.flow.transport,
            listener: self.flow.listener,
            remote: self.flow.remote,
            user_agent: self.user_agent.clone(),
        }
    }
}

/// Whether a request of this sequence comes too late for the binding: same Call-ID, CSeq not higher.
pub(super) fn outrun(binding: &Binding, call_id: &str, cseq: u32) -> bool {
    binding.call_id == call_id && binding.cseq >= cseq
}

/// Seconds in digits; a number beyond 32 bits counts as the largest (RFC 3261 §10.2.1.1).
pub(super) fn seconds(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u32::MAX))
}

/// `q` in thousandths: `1`, `0.5`, `0.125` (RFC 3261 §20.10).
pub(super) fn thousandths(text: &str) -> Option<u16> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 3 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part: u16 = format!("{part:0<3}").parse().ok()?;
    match (whole, part) {
        ("0", part) => Some(part),
        ("1", 0) => Some(1_000),
        _ => None,
    }
}

/// What the device calls itself, 128 characters at most.
pub(super) fn user_agent(request: &Message) -> String {
    let name = request.header_named("User-Agent").unwrap_or_default();
    name.chars().take(128).collect()
}
