//! A shard without a server: what `tandem explain` asks when none runs.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use clock::Now;
use jiff::Timestamp;
use media::worker::IpFamily;
use sip::transport::{ListenerId, Transport};
use sip::ua::UserAgentConfig;

use super::known::Configured;
use super::plans;
use crate::config::{self, Config};
use crate::control::{self, Control, Setup, WallClock, dry_plane};
use crate::dialplan::Speech;
use crate::trunk::{Digests, Registrar, RegistrarConfig, Row, Trunks, TrunksConfig};

/// Which endpoints count as registered where no server knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registered {
    /// All: what is asked about is the configuration.
    All,
    /// These.
    Only(BTreeSet<String>),
}

/// The shard of a configuration, without sockets, calls or threads. It may only be rehearsed with.
///
/// # Errors
/// The first mistake of the configuration, or all of the dialplan.
pub fn offline(config: &Config, registered: &Registered, at: Timestamp) -> anyhow::Result<Control> {
    let realm = &config.sip.realm;
    let known = Configured::of(config, realm)?;
    let facts = known.facts(config, Speech::Voices(BTreeSet::new()), &[]);
    let plan = plans::load(&config.paths.dialplans, &facts)?;
    let (presented, listeners) = faces(config);
    let mut user_agent = UserAgentConfig::new(presented, &config.sip.user_agent);
    user_agent.session_expires = config.sip.session_expires;
    user_agent.min_se = config.sip.min_se;
    user_agent.reliable_progress = config.sip.reliable_progress;
    let names: Vec<String> = known.endpoints.iter().map(|it| it.name.clone()).collect();
    let mut registrar = Registrar::new(RegistrarConfig::default());
    registrar.configure(&known.endpoints);
    let mut trunks = Trunks::new(TrunksConfig {
        trunks: known.trunks,
        endpoints: known.endpoints,
        realm: realm.clone(),
        digests: Digests::default(),
        nonce_secret: [0; 32],
        nonce_life: Duration::from_secs(300),
    });
    trunks.set_emergency(known.emergency);
    trunks.set_returns_max(config.limits.returns);
    let bound = config.rtp.bind.iter().map(|ip| IpFamily::of(*ip));
    let setup = Setup {
        abuse: known.abuse,
        shard: 0,
        seed: 1,
        user_agent,
        listeners,
        trunks,
        registrar,
        plan: Arc::new(plan),
        agents: known.agents,
        media_keys: sip::sdp::KeySeed::new([1; 32]),
        media: dry_plane(bound),
        wall: WallClock::new(Now::ZERO, at),
        codecs: sip::sdp::Codec::DEFAULT.to_vec(),
        inband_dtmf: true,
        calls_max: usize::try_from(config.limits.calls).unwrap_or(usize::MAX),
        transfers_max: usize::try_from(config.limits.transfers).unwrap_or(usize::MAX),
        recording: Default::default(),
    };
    let mut control = Control::new(Now::ZERO, setup);
    for name in names {
        let is_there = match registered {
            Registered::All => true,
            Registered::Only(some) => some.contains(&name),
        };
        if is_there {
            control.restore(Now::ZERO, registration(name));
        }
    }
    Ok(control)
}

/// A phone that is there, at an address that no real one has (RFC 5737).
fn registration(endpoint: String) -> Row {
    let remote = SocketAddr::from(([192, 0, 2, 1], 5060));
    Row {
        contact: format!("sip:{endpoint}@{remote}"),
        endpoint,
        expires_in: Duration::from_secs(3_600),
        q: 1_000,
        call_id: "offline".to_owned(),
        cseq: 1,
        transport: Transport::Udp,
        listener: ListenerId(0),
        remote,
        user_agent: String::new(),
    }
}

/// The listeners as they would be bound.
fn faces(config: &Config) -> (Vec<sip::ua::Listener>, Vec<control::Listener>) {
    let numbered = config.sip.listeners.iter().zip(0_u16..);
    let face = |(it, number): (&config::Listener, u16)| {
        let id = ListenerId(number);
        let transport = match it.transport {
            config::Transport::Udp => Transport::Udp,
            config::Transport::Tcp => Transport::Tcp,
            config::Transport::Tls => Transport::Tls,
        };
        let presented = sip::ua::Listener {
            id,
            transport,
            advertised_host: it.advertised_host.clone(),
            advertised_port: it.advertised_port,
        };
        let sending = control::Listener {
            id,
            transport,
            v6: matches!(it.address.ip(), IpAddr::V6(_)),
            bound: it.address,
            media: it.media,
        };
        (presented, sending)
    };
    numbered.map(face).unzip()
}
