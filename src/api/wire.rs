//! What goes over the wire, and how it is made from the snapshots of the inner layers.

pub(super) mod access;
mod call;
mod cdr;
mod center;
pub(super) mod conference;
pub(super) mod desk;
mod endpoint;
mod leg;
pub(super) mod supervision;
mod trace;
mod trunk;

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

pub use call::CallJson;
pub(super) use call::RecordJson;
pub use cdr::CdrPageJson;
pub(super) use cdr::{CdrJson, CdrQuery, RecordingJson};
pub(super) use center::{AgentJson, AgentStateJson, QueueJson, ReloadedJson};
pub(super) use endpoint::{EndpointJson, NewEndpointJson};
pub(super) use trace::{CaptureJson, TraceQueryJson};
pub use trace::{TraceEntryJson, TraceJson, TraceMessageJson, TracePartyJson};
pub(super) use trunk::BanJson;
pub use trunk::TrunkJson;

/// A failed request.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorJson {
    pub(super) error: ErrorBodyJson,
}

/// Why a request failed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorBodyJson {
    /// A stable id, such as `not-found`.
    pub(super) id: String,
    /// A sentence for people.
    pub(super) message: String,
    /// The single mistakes, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) details: Vec<String>,
}

/// Whether the server takes calls.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReadyJson {
    pub(super) ready: bool,
    /// What is amiss.
    pub(super) missing: Vec<&'static str>,
}

/// Which build this is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VersionJson {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
}

/// The wall clock, in milliseconds since 1970 UTC: the API is an edge and may ask it.
pub(super) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// RFC 3339 in UTC, to the millisecond.
pub(super) fn timestamp(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .map(|t| format!("{t:.3}"))
        .unwrap_or_default()
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
