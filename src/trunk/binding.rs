//! One binding of an endpoint's address to where it is (RFC 3261 §10.3), as the registrar and as the store
//! keep it, and how a REGISTER's words about it are read.

use std::net::SocketAddr;

use clock::{Duration, Now};
use sip::message::{Message, Name, NameAddr, Uri};
use sip::transport::{Flow, ListenerId, Transport};

use super::contact::same_uri;

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
    pub(super) device: Option<Device>,
}

/// Which device registered, and by which of its flows (RFC 5626 §4.1, §4.2): what makes one registration out
/// of two whose contacts differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Device {
    /// The URN in angle brackets, as the device wrote it.
    instance: String,
    reg_id: u32,
}

impl Device {
    /// Of a contact, in a request whose sender knows outbound and came to us himself (§6): a proxy before us
    /// would be the one whose flow counts.
    pub(super) fn of(request: &Message, contact: &NameAddr<'_>) -> Option<Self> {
        let knows = |word: &str| word.eq_ignore_ascii_case(OUTBOUND);
        if !request.values(Name::Supported).any(knows) || request.vias().count() != 1 {
            return None;
        }
        let instance = contact.params.get("+sip.instance")?;
        let plain = |c: char| !c.is_control() && !"\"\\".contains(c);
        let framed = instance.starts_with('<') && instance.ends_with('>');
        if !framed || instance.len() > INSTANCE_MAX || !instance.chars().all(plain) {
            return None;
        }
        let reg_id = contact.params.get("reg-id").and_then(seconds)?;
        (1..=REG_ID_MAX).contains(&reg_id).then(|| Self {
            instance: instance.to_owned(),
            reg_id,
        })
    }

    /// The parameters that say so in a Contact.
    pub(super) fn params(&self) -> String {
        let Self { instance, reg_id } = self;
        format!(";+sip.instance=\"{instance}\";reg-id={reg_id}")
    }
}

/// The option tag of RFC 5626 §11.
pub(super) const OUTBOUND: &str = "outbound";
/// A URN of a UUID has 47 bytes.
const INSTANCE_MAX: usize = 256;
const REG_ID_MAX: u32 = i32::MAX as u32;

impl Binding {
    /// Whether a contact is this registration again: the same device's same flow, or, where either says
    /// nothing of that, the same URI.
    pub(super) fn is_of(&self, contact: &Uri<'_>, device: Option<&Device>) -> bool {
        match (&self.device, device) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => Uri::parse(&self.contact).is_ok_and(|uri| same_uri(&uri, contact)),
        }
    }

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
