//! The sockets of a start: SIP listeners with their certificates, HTTP, and where audio is received.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use media::jitter::JitterConfig;
use sip::transport::{ListenerId, Transport};
use tokio::net::TcpListener;
use tokio::sync::mpsc::Receiver;

use super::known::Configured;
use crate::api::{Spoken, Upgrade};
use crate::config::{self, Config, Listener};
use crate::control;
use crate::face::Faces;
use crate::io::acme::{Acme, AcmeFiles};
use crate::io::media::{MediaAddress, MediaConfig, WebConfig};
use crate::io::net::tls::{ClientTrust, KeyPairFiles, TlsConfig, TlsFiles, Trust};
use crate::io::net::{Arrival, Inbox, Limits, ListenerConfig, Net, certs};

/// Every listening socket of the server but the media ports.
pub(super) struct Sockets {
    pub(super) net: Net,
    pub(super) packets: Inbox,
    pub(super) tls: Option<TlsConfig>,
    pub(super) http: TcpListener,
    pub(super) http_address: SocketAddr,
    /// The same as SIP over WebSocket knows them.
    pub(super) web: Vec<WebFace>,
    /// HTTPS, if asked for.
    pub(super) https: Option<(TcpListener, Arc<rustls::ServerConfig>)>,
    /// Certificates by ACME, if asked for.
    pub(super) acme: Option<Acme>,
}

impl Sockets {
    /// Binds them all; an address in use is at the root of the error.
    pub(super) async fn open(config: &Config, known: &Configured) -> anyhow::Result<Self> {
        let tls = tls_of(config, known)?;
        let (net, packets) = Net::start(&listeners(config), tls.clone(), &limits(config))?;
        let http = listen("http.listen", config.http.listen).await?;
        let https = match (config.http.listen_tls, &tls) {
            (Some(address), Some(tls)) => {
                Some((listen("http.listen_tls", address).await?, tls.server()))
            }
            _ => None,
        };
        let acme = match (&config.acme, &tls) {
            (Some(acme), Some(tls)) => {
                let files = AcmeFiles::below(&config.paths.certs);
                Some(Acme::listen(acme.clone(), files, tls.clone()).await?)
            }
            _ => None,
        };
        let http_address = http.local_addr()?;
        let secure = https.as_ref().map(|(it, _)| it.local_addr()).transpose()?;
        Ok(Self {
            net,
            packets,
            tls,
            web: WebFace::all(config, http_address, secure),
            http_address,
            http,
            https,
            acme,
        })
    }
}

/// A listener of HTTP as flows of WebSockets name it; its number comes behind those of SIP's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WebFace {
    pub(super) id: ListenerId,
    pub(super) transport: Transport,
    pub(super) bound: SocketAddr,
}

impl WebFace {
    fn all(config: &Config, http: SocketAddr, https: Option<SocketAddr>) -> Vec<Self> {
        let heard = [(Transport::Ws, Some(http)), (Transport::Wss, https)];
        let first = config.sip.listeners.len();
        let numbered = heard.into_iter().zip(first..);
        let face = |((transport, bound), number): ((_, Option<SocketAddr>), usize)| {
            Some(Self {
                id: ListenerId(u16::try_from(number).ok()?),
                transport,
                bound: bound?,
            })
        };
        numbered.filter_map(face).collect()
    }
}

/// Brings the connections that HTTP lets go to the SIP transports, or to who speaks their language.
pub(super) async fn bring_in(mut upgrades: Receiver<Upgrade>, faces: Faces, at: Vec<WebFace>) {
    while let Some(upgrade) = upgrades.recv().await {
        let Upgrade {
            spoken,
            peer,
            stream,
            turn,
        } = upgrade;
        let mut listeners = at.iter();
        let Some(it) = listeners.find(|it| it.transport.is_secure() == peer.secure) else {
            continue;
        };
        let arrival = Arrival {
            listener: it.id,
            transport: it.transport,
            remote: peer.remote,
            turn,
        };
        match spoken {
            Spoken::Sip => faces.door.enter(arrival, stream).await,
            Spoken::Desk => faces.desk(arrival, stream).await,
            Spoken::Verto => faces.verto(arrival, stream).await,
        }
    }
}

async fn listen(key: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("{key}: cannot listen on {address}"))
}

/// What peers may make the transports keep.
fn limits(config: &Config) -> Limits {
    let size = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    Limits {
        connections_max: size(config.limits.connections),
        connections_per_ip_max: size(config.limits.connections_per_address),
        strangers_max: size(config.limits.strangers),
        ..Limits::default()
    }
}

fn listeners(config: &Config) -> Vec<ListenerConfig> {
    let numbered = config.sip.listeners.iter().zip(0_u16..);
    let listener = |(listener, number): (&Listener, u16)| ListenerConfig {
        id: ListenerId(number),
        transport: match listener.transport {
            config::Transport::Udp => Transport::Udp,
            config::Transport::Tcp => Transport::Tcp,
            config::Transport::Tls => Transport::Tls,
        },
        bind: listener.address,
        advertised: None,
    };
    numbered.map(listener).collect()
}

/// The listeners as the SIP machine presents them, and as control sends by them.
pub(super) fn faces(
    config: &Config,
    net: &Net,
    web: &[WebFace],
) -> (Vec<sip::ua::Listener>, Vec<control::Listener>) {
    let heard = config.sip.listeners.iter().zip(net.bound());
    let face = |(listener, bound): (&Listener, &crate::io::net::Bound)| {
        let (id, transport) = (bound.config.id, bound.config.transport);
        let presented = sip::ua::Listener {
            id,
            transport,
            advertised_host: listener.advertised_host.clone(),
            // Port 0 in the file: the system chose.
            advertised_port: match listener.advertised_port {
                0 => bound.local.port(),
                port => port,
            },
        };
        let sending = control::Listener {
            id,
            transport,
            v6: bound.local.is_ipv6(),
            bound: bound.local,
            media: listener.media,
        };
        (presented, sending)
    };
    // Nobody looks up what a page is told of us: its connection is the way.
    let first = config.sip.listeners.first();
    let host = first.map_or_else(String::new, |it| it.advertised_host.clone());
    let page = |it: &WebFace| {
        let presented = sip::ua::Listener {
            id: it.id,
            transport: it.transport,
            advertised_host: host.clone(),
            advertised_port: it.bound.port(),
        };
        let sending = control::Listener {
            id: it.id,
            transport: it.transport,
            v6: it.bound.is_ipv6(),
            bound: it.bound,
            media: None,
        };
        (presented, sending)
    };
    heard.map(face).chain(web.iter().map(page)).unzip()
}

/// TLS of both directions, wherever a listener speaks it.
fn tls_of(config: &Config, known: &Configured) -> anyhow::Result<Option<TlsConfig>> {
    let files = tls_files(config, known)?;
    let loaded = files.map(|files| TlsConfig::load(&files));
    Ok(loaded.transpose()?)
}

/// The files of it. Until ACME has a certificate, one of our own making stands in.
pub(super) fn tls_files(config: &Config, known: &Configured) -> anyhow::Result<Option<TlsFiles>> {
    let speaks = |listener: &&Listener| listener.transport == config::Transport::Tls;
    let mut secure = config.sip.listeners.iter().filter(speaks).peekable();
    let wanted = config.http.listen_tls.is_some() || config.acme.is_some();
    if secure.peek().is_none() && !wanted {
        return Ok(None);
    }
    let kept = config
        .acme
        .as_ref()
        .map(|_| AcmeFiles::below(&config.paths.certs))
        .filter(AcmeFiles::are_good);
    let (certificate, key) = match (&config.sip.tls, kept) {
        (Some(files), _) => (files.certificate.clone(), files.key.clone()),
        (None, Some(kept)) => (kept.chain, kept.key),
        (None, None) => {
            let hosts: Vec<String> = secure.map(|it| it.advertised_host.clone()).collect();
            let made = certs::ensure(&config.paths.certs, &hosts)?;
            (made.certificate, made.key)
        }
    };
    let trust = match &config.sip.trust {
        config::Trust::System => Trust::System,
        config::Trust::File(path) => Trust::Authorities(path.clone()),
        config::Trust::Anybody => Trust::Anybody,
    };
    let numbered = config.sip.listeners.iter().zip(0_u16..);
    let asks = |(listener, number): (&Listener, u16)| {
        let clients = listener.clients.as_ref()?;
        let trust = ClientTrust {
            authorities: clients.authorities.clone(),
            required: clients.required,
        };
        Some((number, trust))
    };
    Ok(Some(TlsFiles {
        own: KeyPairFiles { certificate, key },
        trust,
        callees: known.callees(),
        callers: known.callers(),
        clients: numbered.filter_map(asks).collect(),
    }))
}

/// Two ports a call, shared among the workers; of several, one may get an eighth more than its share.
fn ports_a_worker(calls: u32, workers: u8) -> usize {
    let share = calls.saturating_mul(2).div_ceil(workers.max(1).into());
    let spare = if workers > 1 { share / 8 } else { 0 };
    let ports = share.saturating_add(spare).saturating_add(PORTS_SPARE);
    usize::try_from(ports).map_or(PORTS_MAX, |ports| ports.min(PORTS_MAX))
}

/// What calls that are about to end, or are put through elsewhere, hold beside two ports each.
const PORTS_SPARE: u32 = 16;

/// 4,096 calls: more than one processor relays, which is some 2,600 (docs/media-load.md).
const PORTS_MAX: usize = 8_192;

/// Where media workers receive audio, and what SDP says of it.
pub(super) fn media_config(config: &Config, random: u64) -> MediaConfig {
    let rtp = &config.rtp;
    let fits = |ip: &IpAddr| {
        rtp.advertised
            .filter(|other| other.is_ipv4() == ip.is_ipv4())
    };
    let addresses = rtp
        .bind
        .iter()
        .map(|ip| MediaAddress {
            bind: *ip,
            advertised: fits(ip).unwrap_or(*ip),
        })
        .collect();
    let web = config.webrtc.as_ref().map(|webrtc| WebConfig {
        port: webrtc.port,
        addresses: webrtc
            .bind
            .iter()
            .map(|ip| MediaAddress {
                bind: *ip,
                advertised: webrtc.advertised(*ip),
            })
            .collect(),
    });
    let first = IpAddr::from([127, 0, 0, 1]);
    let mut media = MediaConfig::at(first, random);
    media.addresses = addresses;
    media.web = web;
    media.ports = rtp.port_min..=rtp.port_max;
    if rtp.workers > 0 {
        media.workers = rtp.workers;
    }
    // Their order is checked where they are read.
    media.worker.jitter = JitterConfig::from_ms(rtp.delay_ms).unwrap_or_default();
    media.worker.ports_max = ports_a_worker(config.limits.calls, media.workers);
    media
}
