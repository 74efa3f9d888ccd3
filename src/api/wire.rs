//! What goes over the wire, and how it is made from the snapshots of the inner layers.

pub(super) mod access;
pub(super) mod conference;
pub(super) mod desk;
mod leg;
pub(super) mod supervision;
mod trace;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::command::{CallSnapshot, CallState, EndpointSnapshot, WaitsFor};
use crate::call::Direction;
use crate::center::{AgentSnapshot, QueueSnapshot, WaitingSnapshot};
use crate::control::TrunkSnapshot;
use crate::store::{CdrRow, HoleRow, RecordingRow, TransferRow};
use crate::trunk::TargetHealth;
use leg::LegJson;
use supervision::SupervisionJson;

pub(super) use trace::{CaptureJson, TraceQueryJson};
pub use trace::{TraceEntryJson, TraceJson, TraceMessageJson, TracePartyJson};

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
    pub(super) fn new(call: CallSnapshot, now_ms: i64) -> Self {
        let ago = |span: std::time::Duration| timestamp(now_ms - millis(span));
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

/// A queue. Counts are since the start of the server.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct QueueJson {
    name: String,
    /// Whether it is no longer configured and waits to be empty.
    closing: bool,
    /// Who waits, first first.
    waiting: Vec<WaitingJson>,
    /// How long the first has waited.
    longest_wait_secs: f64,
    /// The reachable agents by what they do.
    agents: std::collections::BTreeMap<&'static str, usize>,
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
pub(super) struct WaitingJson {
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
pub(super) struct AgentJson {
    pub(super) name: String,
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
pub(super) struct AgentStateJson {
    /// `available`, `break`, `training` or `away`.
    pub(super) state: String,
    /// Why, where he wants no calls: one of `GET /v1/codes`, or any where that names none.
    #[serde(default)]
    pub(super) reason: Option<String>,
}

/// An endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EndpointJson {
    name: String,
    /// Whether it stands in the configuration file.
    configured: bool,
    /// Where it is registered now.
    contacts: Vec<ContactJson>,
}

/// Where an endpoint is registered.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ContactJson {
    uri: String,
    /// The address that it registered from.
    source: String,
    expires_secs: f64,
}

impl From<EndpointSnapshot> for EndpointJson {
    fn from(endpoint: EndpointSnapshot) -> Self {
        let contact = |(uri, source, left): (String, std::net::SocketAddr, std::time::Duration)| {
            ContactJson {
                uri,
                source: source.to_string(),
                expires_secs: left.as_secs_f64(),
            }
        };
        Self {
            name: endpoint.name,
            configured: endpoint.configured,
            contacts: endpoint.contacts.into_iter().map(contact).collect(),
        }
    }
}

/// A source that is not heard.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BanJson {
    /// An IPv4 address, or the first address of an IPv6 /64.
    source: String,
    /// How long yet.
    left_secs: u64,
    /// How often it was banned, this time included.
    times: u16,
}

impl From<crate::trunk::Ban> for BanJson {
    fn from(ban: crate::trunk::Ban) -> Self {
        let source = match ban.source {
            std::net::IpAddr::V4(v4) => v4.to_string(),
            std::net::IpAddr::V6(v6) => format!("{v6}/64"),
        };
        Self {
            source,
            left_secs: ban.left.as_secs(),
            times: ban.times,
        }
    }
}

/// An endpoint to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewEndpointJson {
    /// The user part that registers: 1 to 64 of `A–Z a–z 0–9 . _ -`.
    pub(super) name: String,
    /// At least eight characters; only its digests are kept.
    pub(super) password: String,
    /// The number that its calls show.
    pub(super) caller_id: Option<String>,
}

/// Which call records.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct CdrQuery {
    /// Records in a page, 1 to 1,000; 100 if not given.
    pub(super) limit: Option<u32>,
    /// The `next` of the page before.
    pub(super) cursor: Option<i64>,
    pub(super) call_id: Option<String>,
    pub(super) queue: Option<String>,
    pub(super) agent: Option<String>,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    /// Started then or later, RFC 3339.
    pub(super) since: Option<String>,
    /// Started before then, RFC 3339.
    pub(super) until: Option<String>,
}

/// A page of call records, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct CdrPageJson {
    pub(super) cdrs: Vec<CdrJson>,
    /// The cursor of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<i64>,
}

/// What a call came to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CdrJson {
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
    notes: Vec<desk::WrittenJson>,
    /// Who handed the call on to whom, in order.
    transfers: Vec<TransferJson>,
    /// How the media of each leg fared, in the order in which they ended.
    legs: Vec<LegJson>,
}

/// One recording of a call.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RecordingJson {
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
pub(super) struct HoleJson {
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

/// What a call's recording is to do.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordJson {
    /// `start`, `stop`, `pause`, `resume`, `mask` or `unmask`.
    pub(super) action: String,
    /// With `start`: a key for this recording alone, 64 hexadecimal digits. It is not kept.
    pub(super) key: Option<String>,
}

/// One party of a call gave its place to another.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TransferJson {
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

impl CdrJson {
    /// The same with its recordings and notes.
    pub(super) fn with(
        self,
        recordings: Vec<RecordingJson>,
        notes: Vec<desk::WrittenJson>,
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

/// A carrier.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TrunkJson {
    /// Its name.
    pub name: String,
    /// Its calls now, both ways.
    pub calls: u32,
    /// Where its calls are sent.
    pub targets: Vec<TargetJson>,
    /// Our registration with it, if it wants one.
    pub registration: Option<RegistrationJson>,
}

/// One address that a trunk's calls are sent to.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TargetJson {
    /// Transport and address.
    pub target: String,
    /// The host that was asked for.
    pub host: String,
    /// `unknown`, `up`, `draining` or `down`.
    pub state: String,
    /// Since when, in milliseconds before now.
    pub since_ms: u64,
    /// Why.
    pub reason: String,
    /// The latest round trip of an OPTIONS.
    pub round_trip_ms: Option<f64>,
    /// What the latest OPTIONS came to.
    pub answer: Option<String>,
    /// Whether that was an answer.
    pub answered: bool,
    /// An OPTIONS is under way.
    pub asking: bool,
}

/// Our registration with a carrier.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RegistrationJson {
    /// `trying`, `registered`, `failed` or `left`.
    pub state: String,
    /// Since when, in milliseconds before now.
    pub since_ms: u64,
    /// Why.
    pub reason: String,
}

impl TrunkJson {
    pub(super) fn new(trunk: TrunkSnapshot) -> Self {
        let ms = |span: std::time::Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let at = trunk.at;
        let target = |it: TargetHealth| TargetJson {
            target: it.hop.target.to_string(),
            host: it.hop.host.to_string(),
            state: it.state.name().to_owned(),
            since_ms: ms(at - it.since),
            asking: it.is_asking(),
            reason: it.reason,
            round_trip_ms: it.round_trip.map(|time| time.as_secs_f64() * 1e3),
            answer: it.answer,
            answered: it.answered,
        };
        let registration = trunk
            .registration
            .map(|(state, since, reason)| RegistrationJson {
                state: state.name().to_owned(),
                since_ms: ms(since),
                reason,
            });
        Self {
            name: trunk.name,
            calls: trunk.calls,
            targets: trunk.targets.into_iter().map(target).collect(),
            registration,
        }
    }
}

/// What a reload read.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReloadedJson {
    pub(super) files: usize,
    pub(super) entries: usize,
    pub(super) queues: usize,
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

fn millis(span: std::time::Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
