//! Call records, with what was recorded, written and handed on, as clients ask for them and see them.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::desk::WrittenJson;
use super::leg::LegJson;
use super::timestamp;
use crate::store::{CdrRow, HoleRow, RecordingRow, TransferRow};

/// Which call records.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct CdrQuery {
    /// Records in a page, 1 to 1,000; 100 if not given.
    pub(in crate::api) limit: Option<u32>,
    /// The `next` of the page before.
    pub(in crate::api) cursor: Option<i64>,
    pub(in crate::api) call_id: Option<String>,
    pub(in crate::api) queue: Option<String>,
    pub(in crate::api) agent: Option<String>,
    pub(in crate::api) from: Option<String>,
    pub(in crate::api) to: Option<String>,
    /// Started then or later, RFC 3339.
    pub(in crate::api) since: Option<String>,
    /// Started before then, RFC 3339.
    pub(in crate::api) until: Option<String>,
}

/// A page of call records, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct CdrPageJson {
    pub(in crate::api) cdrs: Vec<CdrJson>,
    /// The cursor of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) next: Option<i64>,
}

/// What a call came to.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct CdrJson {
    call_id: String,
    /// `inbound` or `outbound`.
    direction: String,
    from: String,
    to: String,
    trunk: Option<String>,
    started_at: String,
    answered_at: Option<String>,
    /// When two parties first heard each other.
    bridged_at: Option<String>,
    ended_at: String,
    /// From start to end, in seconds.
    duration: f64,
    /// From answer to end, in seconds.
    billsec: f64,
    hangup_cause: String,
    sip_status: Option<i64>,
    q850: i64,
    /// The id of what last went wrong, unless somebody was reached since: a page of docs/errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal_id: Option<String>,
    /// The same in a sentence: what was expected, what was found, the fix.
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<String>,
    queue: Option<String>,
    agent: Option<String>,
    wait_secs: f64,
    recording_url: Option<String>,
    /// What became of its recordings, in order.
    recordings: Vec<RecordingJson>,
    /// What agents wrote of it.
    notes: Vec<WrittenJson>,
    /// Who handed the call on to whom, in order.
    transfers: Vec<TransferJson>,
    /// How the media of each leg fared, in the order in which they ended.
    legs: Vec<LegJson>,
}

impl CdrJson {
    /// The same with its recordings and notes.
    pub(in crate::api) fn with(
        self,
        recordings: Vec<RecordingJson>,
        notes: Vec<WrittenJson>,
    ) -> Self {
        Self {
            recordings,
            notes,
            ..self
        }
    }
}

impl From<CdrRow> for CdrJson {
    fn from(row: CdrRow) -> Self {
        let secs = |ms: i64| ms as f64 / 1_000.0;
        Self {
            transfers: row.transfers().into_iter().map(Into::into).collect(),
            legs: row.legs().into_iter().map(Into::into).collect(),
            recording_url: row
                .recording
                .map(|_| format!("/v1/recordings/{}", row.call_id)),
            recordings: Vec::new(),
            notes: Vec::new(),
            call_id: row.call_id,
            direction: row.direction,
            from: row.caller,
            to: row.called,
            trunk: row.trunk,
            started_at: timestamp(row.started_at),
            answered_at: row.answered_at.map(timestamp),
            bridged_at: row.bridged_at.map(timestamp),
            ended_at: timestamp(row.ended_at),
            duration: secs(row.ended_at - row.started_at),
            billsec: secs(row.bill_ms),
            hangup_cause: row.hangup_cause,
            sip_status: row.sip_status,
            q850: row.q850,
            refusal_id: row.refusal_id,
            refusal: row.refusal,
            queue: row.queue,
            agent: row.agent,
            wait_secs: secs(row.wait_ms),
        }
    }
}

/// One recording of a call.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct RecordingJson {
    /// Below the recordings folder.
    file: String,
    /// Which of the call's, from 1.
    part: i64,
    began_at: String,
    /// How long it plays, in seconds; 0 for an encrypted one that a crash cut off.
    duration: f64,
    /// Samples per second.
    rate: i64,
    /// How much of it was lost against anybody's will, in seconds.
    lost: f64,
    /// Where it holds silence instead of what was said.
    holes: Vec<HoleJson>,
    encrypted: bool,
    /// The name of the key that opens it.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    /// `complete`, `too-long`, `stopped`, `crashed`, `disk-full` or `failed`.
    ending: String,
}

/// A stretch of silence in a recording.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct HoleJson {
    /// From there, in seconds from the recording's beginning.
    at: f64,
    /// For so many seconds.
    duration: f64,
    /// `paused`, `lost` or `disk-full`.
    why: String,
}

impl From<RecordingRow> for RecordingJson {
    fn from(row: RecordingRow) -> Self {
        let secs = |ms: i64| ms as f64 / 1_000.0;
        let hole = |it: HoleRow| HoleJson {
            at: secs(it.at),
            duration: secs(it.lasts),
            why: it.why,
        };
        Self {
            holes: row.holes().into_iter().map(hole).collect(),
            file: row.file,
            part: row.part,
            began_at: timestamp(row.began_at),
            duration: secs(row.length_ms),
            rate: row.rate,
            lost: secs(row.lost_ms),
            encrypted: row.key_id.is_some(),
            key_id: row.key_id,
            ending: row.ending,
        }
    }
}

/// One party of a call gave its place to another.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct TransferJson {
    at: String,
    /// Who handed on, or was replaced.
    by: String,
    /// Who came in.
    to: String,
    /// `blind`, `attended` or `replaced`.
    how: String,
}

impl From<TransferRow> for TransferJson {
    fn from(row: TransferRow) -> Self {
        Self {
            at: timestamp(row.at),
            by: row.by,
            to: row.to,
            how: row.how,
        }
    }
}
