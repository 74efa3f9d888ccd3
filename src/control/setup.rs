//! What a control shard begins with, and what a reload changes of it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use media::worker::MediaPlane;
use sip::sdp;
use sip::transport::{ListenerId, Transport};
use sip::ua::UserAgentConfig;

use super::{OverloadConfig, RecordingSetup, WallClock};
use crate::access::Login;
use crate::center::{AgentConfig, Codes};
use crate::dialplan::Plan;
use crate::trunk::{AbuseConfig, Emergency, EndpointConfig, Registrar, TrunkConfig, Trunks};

/// What a control shard begins with.
pub struct Setup {
    /// Its number: the top eight bits of its calls' ids.
    pub shard: u8,
    /// From which all its random numbers follow: tags, branches, SSRCs. From the system, or a simulation's.
    pub seed: u64,
    /// What the keys of secured legs are made of: from the system, and told to nobody.
    pub media_keys: sdp::KeySeed,
    /// How it presents itself in SIP.
    pub user_agent: UserAgentConfig,
    /// Where it may send from.
    pub listeners: Vec<Listener>,
    /// Trunks, endpoints and what they may do.
    pub trunks: Trunks,
    /// Where endpoints are registered.
    pub registrar: Registrar,
    /// The compiled dialplans.
    pub plan: Arc<Plan>,
    /// Who serves queues.
    pub agents: Vec<AgentConfig>,
    /// The media workers.
    pub media: Box<dyn MediaPlane + Send>,
    /// Wall time at the clock's start.
    pub wall: WallClock,
    /// The codecs of legs that have no order of their own.
    pub codecs: Vec<sdp::Codec>,
    /// Whether tones in callers' audio are taken for digits.
    pub inband_dtmf: bool,
    /// Calls at once; one more is refused with 503.
    pub calls_max: usize,
    /// How often one call may be transferred; a REFER more is refused with 603.
    pub transfers_max: usize,
    /// What recordings are like.
    pub recording: RecordingSetup,
    /// What a source may cost us.
    pub abuse: AbuseConfig,
}

/// What a reload puts in force.
pub struct Reconfiguration {
    /// The compiled dialplans.
    pub plan: Arc<Plan>,
    /// The carriers.
    pub trunks: Vec<TrunkConfig>,
    /// The devices of the configuration; those made at run time stay besides.
    pub endpoints: Vec<EndpointConfig>,
    /// Who serves queues.
    pub agents: Vec<AgentConfig>,
    /// The words that agents choose from.
    pub codes: Codes,
    /// Which of them may log in.
    pub logins: Vec<Login>,
    /// Emergency numbers.
    pub emergency: Emergency,
    /// What is refused when control is behind.
    pub overload: OverloadConfig,
    /// What a source may cost us.
    pub abuse: AbuseConfig,
}

/// An endpoint of the configuration has the name of one made at run time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("endpoint {0:?} stands in the configuration and was made at run time")]
pub struct NameTaken(pub String);

/// A socket that signalling goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// As flows name it.
    pub id: ListenerId,
    /// What it speaks.
    pub transport: Transport,
    /// Whether its addresses are IPv6.
    pub v6: bool,
    /// The address bound.
    pub bound: SocketAddr,
    /// The address for audio that SDP names on its calls, if not the media plane's own.
    pub media: Option<IpAddr>,
}
