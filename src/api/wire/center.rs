//! Queues and agents, as clients see them and set them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::center::{AgentSnapshot, QueueSnapshot, WaitingSnapshot};

/// A queue. Counts are since the start of the server.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct QueueJson {
    name: String,
    /// Whether it is no longer configured and waits to be empty.
    closing: bool,
    /// Who waits, first first.
    waiting: Vec<WaitingJson>,
    /// How long the first has waited.
    longest_wait_secs: f64,
    /// The reachable agents by what they do.
    agents: BTreeMap<&'static str, usize>,
    joined: u64,
    assigned: u64,
    abandoned: u64,
    expired: u64,
    refused: u64,
    /// The mean wait of the calls that an agent took.
    mean_wait_secs: Option<f64>,
}

/// A call that waits.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct WaitingJson {
    call_id: String,
    /// 1 is next.
    position: usize,
    priority: i32,
    wait_secs: f64,
    /// The agent who rings for it.
    offered_to: Option<String>,
    /// How long it is likely to wait yet: those in front and itself, shared among the agents on duty, each kept by
    /// a call for as long as the latest were. Null before a call was served, or while nobody is on duty.
    expected_secs: Option<f64>,
}

impl From<QueueSnapshot> for QueueJson {
    fn from(queue: QueueSnapshot) -> Self {
        let longest = queue
            .waiting
            .iter()
            .map(|w| w.waited)
            .max()
            .unwrap_or_default();
        let mean = |n: u64| queue.waited_assigned.as_secs_f64() / n as f64;
        Self {
            closing: queue.closing,
            longest_wait_secs: longest.as_secs_f64(),
            agents: queue
                .agents
                .iter()
                .map(|(state, n)| (state.name(), *n))
                .collect(),
            joined: queue.joined,
            assigned: queue.assigned,
            abandoned: queue.abandoned,
            expired: queue.expired,
            refused: queue.refused,
            mean_wait_secs: (queue.assigned > 0).then(|| mean(queue.assigned)),
            waiting: queue.waiting.into_iter().map(WaitingJson::from).collect(),
            name: queue.name,
        }
    }
}

impl From<WaitingSnapshot> for WaitingJson {
    fn from(waiting: WaitingSnapshot) -> Self {
        Self {
            call_id: waiting.call.to_string(),
            position: waiting.position,
            priority: waiting.priority,
            wait_secs: waiting.waited.as_secs_f64(),
            offered_to: waiting.offered_to.map(|agent| agent.to_string()),
            expected_secs: waiting.expected.map(|it| it.as_secs_f64()),
        }
    }
}

/// An agent.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct AgentJson {
    pub(in crate::api) name: String,
    /// The endpoint that rings for this agent.
    endpoint: String,
    queues: Vec<String>,
    /// `available`, `resting`, `ringing`, `busy`, `wrap-up`, `break`, `training` or `away`.
    state: &'static str,
    state_secs: f64,
    /// How long that lasts yet, where it ends by itself: ringing, rest, wrap-up.
    left_secs: Option<f64>,
    /// What follows his call and its wrap-up, if that is not the next call: `break`, `training` or `away`.
    next: Option<&'static str>,
    /// Why he wants no calls, now or next.
    reason: Option<String>,
    /// Whether the phone is registered.
    reachable: bool,
    call_id: Option<String>,
    /// Calls refused or missed in a row.
    misses: u32,
}

impl From<AgentSnapshot> for AgentJson {
    fn from(agent: AgentSnapshot) -> Self {
        Self {
            name: agent.id.to_string(),
            endpoint: agent.endpoint,
            queues: agent.queues,
            state: agent.state.name(),
            state_secs: agent.lasted.as_secs_f64(),
            left_secs: agent.left.map(|it| it.as_secs_f64()),
            next: agent.next.map(|wish| wish.name()),
            reason: agent.reason.map(|it| it.to_string()),
            reachable: agent.reachable,
            call_id: agent.call.map(|call| call.to_string()),
            misses: agent.misses,
        }
    }
}

/// What an agent wants.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct AgentStateJson {
    /// `available`, `break`, `training` or `away`.
    pub(in crate::api) state: String,
    /// Why, where he wants no calls: one of `GET /v1/codes`, or any where that names none.
    #[serde(default)]
    pub(in crate::api) reason: Option<String>,
}

/// What a reload read.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct ReloadedJson {
    pub(in crate::api) files: usize,
    pub(in crate::api) entries: usize,
    pub(in crate::api) queues: usize,
}
