//! What a desk asks and is told, as clients see it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{millis, timestamp};
use crate::center::Codes;
use crate::control::{CallContext, MissedCall};
use crate::store::NoteRow;

/// What an agent wants of his wrap-up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct WrapUpJson {
    /// `end` or `extend`.
    pub(in crate::api) action: String,
}

/// The call that an agent has chosen.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct PickJson {
    /// As `GET /v1/queues` lists it.
    pub(in crate::api) call_id: String,
}

/// What an agent writes of a call.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct NoteJson {
    /// At most 4,000 bytes; it replaces what he wrote before.
    pub(in crate::api) note: Option<String>,
    /// What the call came to: one of `GET /v1/codes`.
    pub(in crate::api) disposition: Option<String>,
}

/// What an agent wrote of a call.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct WrittenJson {
    agent: String,
    note: Option<String>,
    disposition: Option<String>,
    /// When he last wrote.
    at: String,
}

impl From<NoteRow> for WrittenJson {
    fn from(row: NoteRow) -> Self {
        Self {
            agent: row.agent,
            note: row.note,
            disposition: row.disposition,
            at: timestamp(row.at),
        }
    }
}

/// A call that rang at an agent in vain.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct MissedJson {
    call_id: String,
    from: String,
    queue: String,
    at: String,
    /// `no-answer` or `caller-gone`.
    why: &'static str,
}

impl MissedJson {
    pub(in crate::api) fn new(missed: MissedCall, ago: Duration, now_ms: i64) -> Self {
        Self {
            call_id: missed.call.to_string(),
            from: missed.from,
            queue: missed.queue,
            at: timestamp(now_ms - millis(ago)),
            why: missed.why.name(),
        }
    }
}

/// What is known of a call by whoever is to take it.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct ContextJson {
    /// The caller's number; `anonymous` if he asked for that.
    number: String,
    name: String,
    to: String,
    queue: Option<String>,
    waited_secs: Option<f64>,
    /// The flows that it came through, each followed by the keys pressed in its menus: `sales`, `sales: 2`.
    path: Vec<String>,
    /// What its flow has set, without what was set while keys were masked.
    attributes: BTreeMap<String, String>,
    /// How long it rings yet at the agent to whom it is offered.
    rings_secs: Option<f64>,
}

impl From<CallContext> for ContextJson {
    fn from(context: CallContext) -> Self {
        let secs = |span: Duration| span.as_secs_f64();
        Self {
            number: context.number,
            name: context.name,
            to: context.to,
            queue: context.queue,
            waited_secs: context.waited.map(secs),
            path: context.path,
            attributes: context.attributes.into_iter().collect(),
            rings_secs: context.rings.map(secs),
        }
    }
}

/// The words that agents choose from.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct CodesJson {
    break_reasons: Vec<String>,
    dispositions: Vec<String>,
}

impl From<Codes> for CodesJson {
    fn from(codes: Codes) -> Self {
        Self {
            break_reasons: codes.break_reasons,
            dispositions: codes.dispositions,
        }
    }
}
