//! The server of a world: the production control shard with the stage's provisions.

use std::net::SocketAddr;
use std::sync::Arc;

use clock::{Duration, Now};
use jiff::Timestamp;
use parking_lot::Mutex;
use sip::transport::{ListenerId, Transport};
use sip::ua::UserAgentConfig;
use tandem::control::{Control, Listener, Setup, WallClock};
use tandem::trunk::{AbuseConfig, Digests, Registrar, RegistrarConfig, Trunks, TrunksConfig};

use crate::media::{Desk, SERVER_IP, Studio};
use crate::stage::{REALM, Stage};
use crate::swarm::Swarm;

/// Where it listens, for datagrams and for streams.
pub(super) const SERVER: SocketAddr = SocketAddr::new(SERVER_IP, 5060);

/// The listener for datagrams.
pub(super) const UDP: ListenerId = ListenerId(0);

/// The listener for streams.
pub(super) const TCP: ListenerId = ListenerId(1);

/// The listener for browsers.
pub(super) const WS: ListenerId = ListenerId(2);

pub(super) fn control(
    stage: &Stage,
    swarm: &Swarm,
    studio: Arc<Mutex<Studio>>,
    seed: u64,
) -> Control {
    let ways = [
        (UDP, Transport::Udp),
        (TCP, Transport::Tcp),
        (WS, Transport::Ws),
    ];
    let heard = ways.map(|(id, transport)| sip::ua::Listener {
        id,
        transport,
        advertised_host: SERVER.ip().to_string(),
        advertised_port: SERVER.port(),
    });
    let listeners = ways.map(|(id, transport)| Listener {
        id,
        transport,
        v6: false,
        bound: SERVER,
        media: None,
    });
    let mut user_agent = UserAgentConfig::new(heard.to_vec(), "Tandem");
    user_agent.session_expires = swarm.session_expires;
    let mut endpoints = stage.endpoints();
    for endpoint in &mut endpoints {
        endpoint.handling.dtmf = swarm.dtmf.1;
        endpoint.handling.srtp = swarm.srtp.1;
        endpoint.handling.srtp_keys_in_clear = true;
        endpoint.handling.voice = swarm.voice.1;
    }
    let mut trunk = Stage::trunk(swarm.trunk_calls, swarm.trunk_rate);
    trunk.handling.dtmf = swarm.dtmf.0;
    trunk.handling.srtp = swarm.srtp.0;
    trunk.handling.srtp_keys_in_clear = true;
    trunk.handling.voice = swarm.voice.0;
    let mut registrar = Registrar::new(RegistrarConfig::default());
    registrar.configure(&endpoints);
    let plan = stage.plans.get(swarm.plan).cloned().unwrap_or_default();
    let setup = Setup {
        shard: 0,
        seed,
        user_agent,
        listeners: listeners.to_vec(),
        trunks: Trunks::new(TrunksConfig {
            trunks: vec![trunk],
            endpoints,
            realm: REALM.to_owned(),
            digests: Digests::Md5,
            nonce_secret: [7; 32],
            nonce_life: Duration::from_secs(300),
        }),
        registrar,
        plan,
        agents: Stage::agents(),
        media_keys: sip::sdp::KeySeed::new([7; 32]),
        media: Box::new(Desk::server(studio)),
        wall: WallClock::new(Now::ZERO, Timestamp::UNIX_EPOCH),
        codecs: swarm.codecs.clone(),
        inband_dtmf: false,
        calls_max: 1_000,
        transfers_max: 8,
        recording: Default::default(),
        abuse: AbuseConfig::default(),
    };
    Control::new(Now::ZERO, setup)
}
