//! Rows: the stored shape of what the layers above the store call by other types.

use std::time::Duration;

use clock::Now;
use sip::transport::{ListenerId, Transport};

use super::LegRow;
use crate::call::{Cdr, Direction, Handover};
use crate::explain::Explanation;
use crate::trunk;

/// One moment on both clocks, by which monotonic times become wall time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The moment on the monotonic clock.
    pub now: Now,
    /// The same moment in milliseconds since 1970-01-01 UTC.
    pub wall_ms: i64,
}

impl Anchor {
    /// `at` in milliseconds since 1970-01-01 UTC.
    pub fn wall_ms(&self, at: Now) -> i64 {
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        self.wall_ms
            .saturating_sub(millis(self.now.since(at)))
            .saturating_add(millis(at.since(self.now)))
    }
}

/// One call's record, in wall time.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct CdrRow {
    /// Its number in the store: higher is later. 0 until stored.
    pub id: i64,
    /// The call.
    pub call_id: String,
    /// `inbound` or `outbound`.
    pub direction: String,
    /// The caller's number or user.
    pub caller: String,
    /// The number or user called.
    pub called: String,
    /// The trunk it came by.
    pub trunk: Option<String>,
    /// When the INVITE came, in milliseconds since 1970 UTC, as all times here.
    pub started_at: i64,
    /// When it was answered.
    pub answered_at: Option<i64>,
    /// When two parties first heard each other.
    pub bridged_at: Option<i64>,
    /// When its last leg ended.
    pub ended_at: i64,
    /// From answer to end, in milliseconds.
    pub bill_ms: i64,
    /// Why it ended, by the name of [`crate::call::Cause`].
    pub hangup_cause: String,
    /// The SIP status that ended it.
    pub sip_status: Option<i64>,
    /// The Q.850 value.
    pub q850: i64,
    /// The queue it last waited in.
    pub queue: Option<String>,
    /// The agent who last served it.
    pub agent: Option<String>,
    /// How long it waited in queues, in milliseconds.
    pub wait_ms: i64,
    /// The recording's file name below the recordings folder.
    pub recording: Option<String>,
    /// The id of what last went wrong, unless somebody was reached since.
    pub refusal_id: Option<String>,
    /// The same in a sentence.
    pub refusal: Option<String>,
    /// Who handed it on to whom: a JSON list of [`TransferRow`]s.
    pub transfers: String,
    /// How the media of each leg fared: a JSON list of [`LegRow`]s.
    pub legs: String,
}

/// One transfer of a call.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TransferRow {
    /// When, in milliseconds since 1970 UTC.
    pub at: i64,
    /// Who handed on, or was replaced.
    pub by: String,
    /// Who came in.
    pub to: String,
    /// `blind`, `attended` or `replaced`.
    pub how: String,
}

impl CdrRow {
    /// The row of `cdr`, its times moved to the wall clock by `anchor`.
    pub fn new(cdr: &Cdr, anchor: Anchor) -> Self {
        let wall = |at: Now| anchor.wall_ms(at);
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        let transfer = |it: &Handover| TransferRow {
            at: wall(it.at),
            by: it.by.clone(),
            to: it.to.clone(),
            how: it.how.name().to_owned(),
        };
        let transfers: Vec<TransferRow> = cdr.handovers.iter().map(transfer).collect();
        Self {
            id: 0,
            call_id: cdr.call.to_string(),
            direction: match cdr.direction {
                Direction::Inbound => "inbound",
                Direction::Outbound => "outbound",
            }
            .to_owned(),
            caller: cdr.from.clone(),
            called: cdr.to.clone(),
            trunk: cdr.trunk.clone(),
            started_at: wall(cdr.started),
            answered_at: cdr.answered.map(wall),
            bridged_at: cdr.bridged.map(wall),
            ended_at: wall(cdr.ended),
            bill_ms: millis(cdr.billed()),
            hangup_cause: cdr.cause.name().to_owned(),
            sip_status: cdr.sip_status.map(i64::from),
            q850: i64::from(cdr.q850),
            queue: cdr.queue.clone(),
            agent: cdr.agent.clone(),
            wait_ms: millis(cdr.waited),
            recording: cdr.recording.clone(),
            refusal_id: cdr.refusal.as_ref().map(|it| it.id.to_owned()),
            refusal: cdr.refusal.as_ref().map(Explanation::sentence),
            transfers: list(&transfers),
            legs: list(&cdr.legs.iter().map(LegRow::new).collect::<Vec<_>>()),
        }
    }

    /// Its transfers, in order.
    pub fn transfers(&self) -> Vec<TransferRow> {
        serde_json::from_str(&self.transfers).unwrap_or_default()
    }

    /// How its legs fared, in the order in which they ended.
    pub fn legs(&self) -> Vec<LegRow> {
        serde_json::from_str(&self.legs).unwrap_or_default()
    }
}

fn list(rows: &impl serde::Serialize) -> String {
    serde_json::to_string(rows).unwrap_or_else(|_| "[]".to_owned())
}

/// An endpoint made at run time. The password itself is never stored.
#[derive(Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct EndpointRow {
    /// The user part that registers and is dialled.
    pub name: String,
    /// The realm that the hashes are bound to.
    pub realm: String,
    /// HA1 by MD5, hexadecimal.
    pub ha1_md5: String,
    /// HA1 by SHA-256.
    pub ha1_sha256: String,
    /// HA1 by SHA-512-256.
    pub ha1_sha512_256: String,
    /// The number its calls show.
    pub caller_id: Option<String>,
    /// When it was made.
    pub created_at: i64,
}

impl std::fmt::Debug for EndpointRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EndpointRow")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Where an endpoint is registered.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct RegistrationRow {
    /// The endpoint.
    pub endpoint: String,
    /// The Contact's URI.
    pub contact: String,
    /// The transport of the flow it came by, in lower case.
    pub transport: String,
    /// The listener it came by.
    pub listener: i64,
    /// The address it came from.
    pub remote: String,
    /// When it lapses.
    pub expires_at: i64,
}

impl RegistrationRow {
    /// A binding of the registrar, at the wall time `wall_ms`.
    pub fn of(row: &trunk::Row, wall_ms: i64) -> Self {
        let lasts = i64::try_from(row.expires_in.as_millis()).unwrap_or(i64::MAX);
        Self {
            endpoint: row.endpoint.clone(),
            contact: row.contact.clone(),
            transport: row.transport.via_name().to_ascii_lowercase(),
            listener: i64::from(row.listener.0),
            remote: row.remote.to_string(),
            expires_at: wall_ms.saturating_add(lasts),
        }
    }

    /// The binding as the registrar takes it back at the wall time `wall_ms`; `None` if it has lapsed
    /// or is none of ours.
    pub fn registration(&self, wall_ms: i64) -> Option<trunk::Row> {
        let left = u64::try_from(self.expires_at.saturating_sub(wall_ms)).ok()?;
        Some(trunk::Row {
            endpoint: self.endpoint.clone(),
            contact: self.contact.clone(),
            expires_in: Duration::from_millis(left),
            // Preference and order of requests are the phone's to tell again at its next REGISTER.
            q: 1_000,
            call_id: String::new(),
            cseq: 0,
            transport: Transport::from_text(&self.transport)?,
            listener: ListenerId(u16::try_from(self.listener).ok()?),
            remote: self.remote.parse().ok()?,
            user_agent: String::new(),
        })
    }
}
