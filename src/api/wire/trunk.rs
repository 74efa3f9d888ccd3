//! Carriers, and the sources that are not heard, as clients see them.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::control::TrunkSnapshot;
use crate::trunk::{Ban, TargetHealth};

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
    pub(in crate::api) fn new(trunk: TrunkSnapshot) -> Self {
        let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
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

/// A source that is not heard.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct BanJson {
    /// An IPv4 address, or the first address of an IPv6 /64.
    source: String,
    /// How long yet.
    left_secs: u64,
    /// How often it was banned, this time included.
    times: u16,
}

impl From<Ban> for BanJson {
    fn from(ban: Ban) -> Self {
        let source = match ban.source {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("{v6}/64"),
        };
        Self {
            source,
            left_secs: ban.left.as_secs(),
            times: ban.times,
        }
    }
}
