//! Where the server listens, and by which addresses its peers find it.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::{ConfigError, Section};

/// SIP: listeners, identity and timers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sip {
    /// Every listener, UDP before TCP before TLS; never empty.
    pub listeners: Vec<Listener>,
    /// The operator's certificate; development certificates are made if `None`.
    pub tls: Option<TlsFiles>,
    /// Whose certificates are believed on the TLS connections that we open (`trust`).
    pub trust: Trust,
    /// The User-Agent and Server headers.
    pub user_agent: String,
    /// The realm of digest challenges (RFC 8760).
    pub realm: String,
    /// T1, the estimate of a round trip (RFC 3261 §17.1.1.1).
    pub t1: Duration,
    /// The session interval that we ask for (RFC 4028).
    pub session_expires: Duration,
    /// The shortest session interval that we take (RFC 4028).
    pub min_se: Duration,
    /// Whether what we say before the answer is sent reliably to a caller that can take it so (RFC 3262 §3).
    /// To one that requires it, it always is.
    pub reliable_progress: bool,
}

/// One SIP listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// What it speaks.
    pub transport: Transport,
    /// What it binds.
    pub address: SocketAddr,
    /// The host that peers reach it by: Via, Contact. Never an unspecified address.
    pub advertised_host: String,
    /// The port that peers reach it by.
    pub advertised_port: u16,
    /// The address for audio that SDP names on its calls; the RTP address bound if `None`.
    pub media: Option<IpAddr>,
    /// What whoever opens a connection must show, over TLS.
    pub clients: Option<Clients>,
}

/// Which certificates a TLS listener wants of whoever opens a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clients {
    /// PEM: who may have signed them (`client_authorities`).
    pub authorities: PathBuf,
    /// Whether nobody is let in without one (`client_certificates`).
    pub required: bool,
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// SIP over UDP.
    Udp,
    /// SIP over TCP.
    Tcp,
    /// SIP over TLS.
    Tls,
}

/// Whose certificates are believed on the TLS connections that we open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The authorities that the system trusts.
    System,
    /// The authorities in this PEM file.
    File(PathBuf),
    /// Any certificate: encrypted, but perhaps by somebody in between.
    Anybody,
}

/// An operator's certificate, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the server's own first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Where audio is received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rtp {
    /// The addresses bound, at most one of each family.
    pub bind: Vec<IpAddr>,
    /// The address named in SDP where neither the listener's nor the one bound will do (1:1 NAT).
    pub advertised: Option<IpAddr>,
    /// The first port, even.
    pub port_min: u16,
    /// The last port, odd.
    pub port_max: u16,
    /// Media threads; 0 means one a core, less one.
    pub workers: u8,
    /// The playout delay's least, first and largest aim, in ms and in that order.
    pub delay_ms: [u32; 3],
}

impl Sip {
    pub(super) fn read(mut sip: Section) -> Result<Self, ConfigError> {
        let advertised = sip.text("advertised")?;
        let media: Option<IpAddr> = sip.parsed("media", IP_RULE)?;
        let mut listeners = Vec::new();
        for (key, transport, default) in TRANSPORTS {
            match sip.tables(key, "address")? {
                None => listeners.push(Listener::on(
                    transport,
                    SocketAddr::from(([127, 0, 0, 1], default)),
                    advertised.clone(),
                    media,
                )),
                Some(sections) => {
                    for section in sections {
                        listeners.push(Listener::read(section, transport, &advertised, media)?);
                    }
                }
            }
        }
        if listeners.is_empty() {
            return Err(sip.refuse("udp", "a listener in udp, tcp or tls", "[] in each"));
        }
        let mut tls = sip.section("certificate")?;
        let files = match (tls.text("chain")?, tls.text("key")?) {
            (Some(chain), Some(key)) => Some(TlsFiles {
                certificate: chain.into(),
                key: key.into(),
            }),
            (None, None) => None,
            (Some(_), None) => return Err(tls.missing("key", "the private key of the chain")),
            (None, Some(_)) => return Err(tls.missing("chain", "the certificate of the key")),
        };
        tls.finish()?;
        let trust = match sip.text("trust")?.as_deref() {
            Some("system") => Trust::System,
            Some("anybody") => Trust::Anybody,
            Some("") => return Err(sip.refuse("trust", TRUST_RULE, "")),
            Some(file) => Trust::File(file.into()),
            // Who made a certificate of his own is no longer on his own machine.
            None if files.is_some() => Trust::System,
            None => Trust::Anybody,
        };
        let read = Self {
            listeners,
            tls: files,
            trust,
            user_agent: sip
                .text("user_agent")?
                .unwrap_or_else(|| "Tandem".to_owned()),
            realm: sip.text("realm")?.unwrap_or_else(|| "tandem".to_owned()),
            t1: sip
                .duration("t1", millis(50)..=millis(2_000))?
                .unwrap_or(millis(500)),
            session_expires: sip
                .duration("session_expires", millis(90_000)..=millis(86_400_000))?
                .unwrap_or(millis(1_800_000)),
            min_se: sip
                .duration("min_se", millis(90_000)..=millis(86_400_000))?
                .unwrap_or(millis(90_000)),
            reliable_progress: sip.boolean("reliable_progress")?.unwrap_or(false),
        };
        if read.min_se > read.session_expires {
            let value = format!("{}s", read.min_se.as_secs());
            return Err(sip.refuse("min_se", "no more than sip.session_expires", &value));
        }
        sip.finish()?;
        Ok(read)
    }
}

impl Listener {
    /// A listener known by `advertised`, else by the very address that it binds.
    fn on(
        transport: Transport,
        address: SocketAddr,
        advertised: Option<String>,
        media: Option<IpAddr>,
    ) -> Self {
        let host = advertised.unwrap_or_else(|| host_of(address.ip()));
        let advertised_port = address.port();
        Self {
            transport,
            address,
            advertised_host: host,
            advertised_port,
            media,
            clients: None,
        }
    }

    fn read(
        mut section: Section,
        transport: Transport,
        advertised: &Option<String>,
        media: Option<IpAddr>,
    ) -> Result<Self, ConfigError> {
        let rule = "an address and a port such as \"127.0.0.1:5060\" or \"[::1]:5060\"";
        let address: SocketAddr = section
            .parsed("address", rule)?
            .ok_or_else(|| section.missing("address", rule))?;
        let host = section.text("advertised")?.or_else(|| advertised.clone());
        if address.ip().is_unspecified() && host.is_none() {
            let rule =
                "sip.advertised, or advertised beside it, with an address that listens on all";
            return Err(section.refuse("address", rule, &address.to_string()));
        }
        let mut listener = Self::on(transport, address, host, media);
        if let Some(port) = section.integer("advertised_port", 1..=65_535)? {
            listener.advertised_port = u16::try_from(port).unwrap_or(listener.advertised_port);
        }
        if let Some(media) = section.parsed("media", IP_RULE)? {
            listener.media = Some(media);
        }
        listener.clients = Clients::read(&mut section, transport)?;
        section.finish()?;
        Ok(listener)
    }
}

impl Clients {
    fn read(section: &mut Section, transport: Transport) -> Result<Option<Self>, ConfigError> {
        let authorities = section.text("client_authorities")?;
        let required = section.one_of("client_certificates", &CLIENTS)?;
        match (authorities, required) {
            (Some(file), _) if transport != Transport::Tls => {
                Err(section.refuse("client_authorities", "a listener of sip.tls", &file))
            }
            (Some(file), required) => Ok(Some(Self {
                authorities: file.into(),
                required: required.unwrap_or(true),
            })),
            (None, Some(_)) => {
                let rule = "a PEM file of those who sign the certificates";
                Err(section.missing("client_authorities", rule))
            }
            (None, None) => Ok(None),
        }
    }
}

impl Rtp {
    pub(super) fn read(mut rtp: Section) -> Result<Self, ConfigError> {
        let bind = addresses(&mut rtp, "bind")?;
        let advertised = rtp.parsed("advertised", IP_RULE)?;
        let port_min = rtp.integer("port_min", 1_024..=65_534)?.unwrap_or(20_000);
        let port_max = rtp.integer("port_max", 1_025..=65_535)?.unwrap_or(29_999);
        if port_min % 2 != 0 {
            return Err(rtp.refuse("port_min", "an even port", &port_min.to_string()));
        }
        if port_max % 2 != 1 || port_max <= port_min {
            let rule = "an odd port above rtp.port_min";
            return Err(rtp.refuse("port_max", rule, &port_max.to_string()));
        }
        let workers = rtp.integer("workers", 0..=64)?.unwrap_or(0);
        let mut delay_ms = [0; 3];
        let delays = [("min", 10), ("initial", 40), ("max", 200)];
        for (place, (name, usual)) in delay_ms.iter_mut().zip(delays) {
            let given = rtp.integer(&format!("delay_{name}_ms"), 0..=1_000)?;
            *place = given.map_or(usual, |ms| u32::try_from(ms).unwrap_or(usual));
        }
        if !delay_ms.is_sorted() {
            let rule = "at least rtp.delay_min_ms and at most rtp.delay_max_ms";
            let [min, initial, max] = delay_ms;
            let found = format!("{min}, {initial}, {max}");
            return Err(rtp.refuse("delay_initial_ms", rule, &found));
        }
        rtp.finish()?;
        Ok(Self {
            bind,
            advertised,
            port_min: u16::try_from(port_min).unwrap_or(20_000),
            port_max: u16::try_from(port_max).unwrap_or(29_999),
            workers: u8::try_from(workers).unwrap_or(0),
            delay_ms,
        })
    }

    /// Where nothing is said, audio comes where SIP comes; a peer must be told an address it can use.
    pub(super) fn settle(&mut self, sip: &Sip) -> Result<(), ConfigError> {
        if self.bind.is_empty() {
            for listener in &sip.listeners {
                let ip = listener.address.ip();
                if !self
                    .bind
                    .iter()
                    .any(|other| other.is_ipv4() == ip.is_ipv4())
                {
                    self.bind.push(ip);
                }
            }
        }
        let named = |ip: &IpAddr| {
            !ip.is_unspecified()
                || self.advertised.is_some_and(|a| a.is_ipv4() == ip.is_ipv4())
                || sip
                    .listeners
                    .iter()
                    .all(|l| l.address.is_ipv4() != ip.is_ipv4() || l.media.is_some())
        };
        match self.bind.iter().find(|ip| !named(ip)) {
            None => Ok(()),
            Some(ip) => Err(ConfigError::Missing {
                key: "rtp.advertised".to_owned(),
                rule: format!("the address that peers send audio to, as it is received on {ip}"),
            }),
        }
    }
}

/// Takes a list of addresses, one of each family at most.
pub(super) fn addresses(section: &mut Section, key: &str) -> Result<Vec<IpAddr>, ConfigError> {
    let texts = section.texts(key)?.unwrap_or_default();
    let mut list: Vec<IpAddr> = Vec::new();
    for text in &texts {
        let ip: IpAddr = text
            .parse()
            .map_err(|_| section.refuse(key, IP_RULE, text))?;
        if list.iter().any(|other| other.is_ipv4() == ip.is_ipv4()) {
            return Err(section.refuse(key, "one address of each family", &texts.join(", ")));
        }
        list.push(ip);
    }
    Ok(list)
}

/// An address as it stands in a URI or a Via.
fn host_of(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

const TRANSPORTS: [(&str, Transport, u16); 3] = [
    ("udp", Transport::Udp, 5060),
    ("tcp", Transport::Tcp, 5060),
    ("tls", Transport::Tls, 5061),
];

const CLIENTS: [(&str, bool); 2] = [("required", true), ("asked", false)];
const TRUST_RULE: &str = "\"system\", \"anybody\" or a PEM file of authorities";
const IP_RULE: &str = "an IP address such as \"203.0.113.5\"";
