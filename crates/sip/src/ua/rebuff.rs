//! What a user agent that is behind says unread: 503 to new calls, nothing to their ACKs, and to those
//! who heed it, how much to send less (RFC 3261 §8.2.7, §21.5.4; RFC 7339).

use super::{UserAgent, draft::phrase, tokens};
use crate::message::{Glance, MAGIC_COOKIE, Method, Rebuff, TransactionKey};
use crate::transport::{Flow, Transport};
use bytes::Bytes;
use std::net::SocketAddr;

/// What responses tell of our load to those who offered to heed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// How many of a hundred new requests should not be sent.
    pub reduce_percent: u8,
    /// For how long that is so, ms; 0 means no limit any more.
    pub validity_ms: u32,
    /// Milliseconds since 1970: a later word counts.
    pub sequence_ms: u64,
}

impl UserAgent {
    /// Sets what responses tell of our load from now on (RFC 7339 §4), in the Via of whoever offered to
    /// heed it.
    pub fn set_load(&mut self, load: Load) {
        let Load {
            reduce_percent,
            validity_ms,
            sequence_ms,
        } = load;
        let (seconds, ms) = (sequence_ms / 1_000, sequence_ms % 1_000);
        self.oc = Some(format!(
            "oc={};oc-algo=\"loss\";oc-validity={validity_ms};oc-seq={seconds}.{ms:03}",
            reduce_percent.min(100)
        ));
    }

    /// Whether a request belongs to a transaction that is there, so that it must be taken.
    pub fn knows(&self, glance: &Glance<'_>) -> bool {
        let (Some(via), Some(method)) = (glance.via(), glance.method()) else {
            return false;
        };
        // A branch that names no transaction is a sender's of before 2002: taken for new.
        let Some(branch) = via.unique_branch() else {
            return false;
        };
        let key = TransactionKey::Server {
            branch,
            sent_by: via.sent_by,
            method: method.as_str(),
        };
        self.requests.contains_key(&self.known_as(&key))
    }

    /// Whether a message names something that we hold and its sender had from us: the tag of a dialog, or
    /// the branch of a request of ours. One look-up.
    pub fn awaits(&self, glance: &Glance<'_>) -> bool {
        let Some(method) = glance.method() else {
            let branch = glance.via().and_then(|via| via.unique_branch());
            let token = branch.and_then(|it| tokens::from_hex(it.strip_prefix(MAGIC_COOKIE)?));
            let method = Method::from_text(glance.cseq_method());
            return token.is_some_and(|token| self.branches.contains_key(&(token, method)));
        };
        let tag = glance.to_tag().and_then(tokens::from_hex);
        method != Method::Cancel && tag.is_some_and(|tag| self.tags.contains_key(&tag))
    }

    /// The refusal of a request with 503, and where it goes: without a transaction and without reading
    /// more than its lines. `None` for what must not be answered or cannot be.
    pub fn rebuff(
        &self,
        flow: Flow,
        glance: &Glance<'_>,
        retry_after_secs: u32,
    ) -> Option<(Flow, Bytes)> {
        let rebuff = Rebuff {
            status: 503,
            reason: phrase(503),
            tag: &self.rebuff_tag(glance),
            retry_after_secs,
            source: flow.remote,
            oc: self.oc.as_deref(),
        };
        let (bytes, via) = (glance.refuse(&rebuff)?, glance.via()?);
        let to = match flow.transport {
            Transport::Udp if via.rport().is_none() => {
                let port = via.port.unwrap_or(Transport::Udp.default_port());
                Flow {
                    remote: SocketAddr::new(flow.remote.ip(), port),
                    ..flow
                }
            }
            _ => flow,
        };
        Some((to, bytes))
    }

    /// Whether a message is the ACK of a refusal that was given statelessly: nobody waits for it.
    pub fn is_ack_of_rebuff(&self, glance: &Glance<'_>) -> bool {
        glance.method() == Some(Method::Ack)
            && glance.to_tag() == Some(self.rebuff_tag(glance).as_str())
    }

    fn rebuff_tag(&self, glance: &Glance<'_>) -> String {
        tokens::hex(self.tokens.stateless(glance.call_id().as_bytes()))
    }
}
