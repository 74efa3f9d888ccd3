//! A call in progress, as clients see it and steer its recording.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::leg::LegJson;
use super::supervision::SupervisionJson;
use super::{millis, timestamp};
use crate::api::command::{CallSnapshot, CallState, WaitsFor};
use crate::call::Direction;

/// A call in progress.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct CallJson {
    /// The call's id.
    pub call_id: String,
    /// `inbound` or `outbound`.
    pub direction: String,
    /// The caller's number or user.
    pub from: String,
    /// The number or user called.
    pub to: String,
    /// The trunk it came by.
    pub trunk: Option<String>,
    /// `ringing`, `answered`, `queued` or `bridged`.
    pub state: String,
    /// When its INVITE came, RFC 3339.
    pub started_at: String,
    /// When it was answered, RFC 3339.
    pub answered_at: Option<String>,
    /// Seconds since its INVITE.
    pub age_secs: f64,
    /// The queue it waits in or came from.
    pub queue: Option<String>,
    /// The agent who serves it.
    pub agent: Option<String>,
    /// The dialplan's node that it stands at.
    pub step: Option<String>,
    /// While it waits: what keeps each agent of its queue. Empty where the queue has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<Vec<WaitsForJson>>,
    /// Who supervises it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supervision: Option<SupervisionJson>,
    /// Of its parties, those whom nobody hears: `caller`, `callee`.
    #[serde(default)]
    pub muted: Vec<String>,
    /// How the media of each leg that has a port fares, as it stood at most a second ago; only where one call is
    /// asked for.
    #[serde(default, skip_deserializing, skip_serializing_if = "Option::is_none")]
    legs: Option<Vec<LegJson>>,
}

/// What keeps an agent from a call that waits.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct WaitsForJson {
    /// Who.
    pub agent: String,
    /// `unreachable`, `away`, `resting`, `rings-for-another`, `rings-for-this`, `busy`, `wrap-up`,
    /// `unknown` (the queue names an agent who is none) or `free`.
    pub why: String,
    /// How long a rest or a wrap-up lasts yet, in seconds.
    pub left_secs: Option<f64>,
}

impl From<WaitsFor> for WaitsForJson {
    fn from(waits: WaitsFor) -> Self {
        Self {
            agent: waits.agent.to_string(),
            why: waits.obstacle.name().to_owned(),
            left_secs: waits.left.map(|left| left.as_secs_f64()),
        }
    }
}

impl CallJson {
    pub(in crate::api) fn new(call: CallSnapshot, now_ms: i64) -> Self {
        let ago = |span: Duration| timestamp(now_ms - millis(span));
        Self {
            call_id: call.call.to_string(),
            direction: match call.direction {
                Direction::Inbound => "inbound",
                Direction::Outbound => "outbound",
            }
            .to_owned(),
            from: call.from,
            to: call.to,
            trunk: call.trunk,
            state: match call.state {
                CallState::Ringing => "ringing",
                CallState::Answered => "answered",
                CallState::Queued => "queued",
                CallState::Bridged => "bridged",
            }
            .to_owned(),
            started_at: ago(call.age),
            answered_at: call.answered.map(ago),
            age_secs: call.age.as_secs_f64(),
            queue: call.queue,
            agent: call.agent,
            step: call.step,
            waits_for: (call.state == CallState::Queued)
                .then(|| call.waits_for.into_iter().map(WaitsForJson::from).collect()),
            supervision: call
                .supervision
                .map(|(by, mode)| SupervisionJson::new(by, mode)),
            muted: call
                .muted
                .iter()
                .map(|party| party.name().to_owned())
                .collect(),
            legs: call
                .legs
                .map(|legs| legs.into_iter().map(LegJson::from).collect()),
        }
    }
}

/// What a call's recording is to do.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct RecordJson {
    /// `start`, `stop`, `pause`, `resume`, `mask` or `unmask`.
    pub(in crate::api) action: String,
    /// With `start`: a key for this recording alone, 64 hexadecimal digits. It is not kept.
    pub(in crate::api) key: Option<String>,
}
