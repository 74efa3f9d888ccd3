//! A shard without a server: what `tandem explain` asks when none runs.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use clock::Now;
use jiff::Timestamp;
use media::worker::IpFamily;
use sip::transport::{ListenerId, Transport};

use super::known::Configured;
use super::plans;
use super::setup::{Ground, Seeds, setup};
use crate::config::{self, Config};
use crate::control::{self, Control, WallClock, dry_plane};
use crate::dialplan::Speech;
use crate::trunk::Row;

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
    let known = Configured::of(config, &config.sip.realm)?;
    let facts = known.facts(config, Speech::Voices(BTreeSet::new()), &[]);
    let plan = plans::load(&config.paths.dialplans, &facts)?;
    let names: Vec<String> = known.endpoints.iter().map(|it| it.name.clone()).collect();
    let bound = config.rtp.bind.iter().map(|ip| IpFamily::of(*ip));
    let ground = Ground {
        faces: faces(config),
        media: dry_plane(bound),
        seeds: &Seeds::fixed(),
        wall: WallClock::new(Now::ZERO, at),
    };
    let setup = setup(config, known, plan, ground);
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
