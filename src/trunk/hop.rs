//! Where a request is sent before anybody has looked it up: a host, perhaps with a port and a transport
//! (the TARGET of RFC 3263 §4).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::contact::Target;
use sip::message::{self, Scheme, Uri};
use sip::transport::Transport;

/// A host as it was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// A numeric address.
    Ip(IpAddr),
    /// A name: lower case, without the final dot, 253 letters at most.
    Name(Arc<str>),
}

/// A place to send to that may have to be looked up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NextHop {
    /// The host.
    pub host: Host,
    /// Its port; `None` leaves it to SRV, or to the transport.
    pub port: Option<u16>,
    /// The transport; `None` leaves it to NAPTR and SRV, or is UDP for a numeric address.
    pub transport: Option<Transport>,
}

/// One item of `send_to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendTo {
    /// Where.
    pub hop: NextHop,
    /// Lower ones are tried first.
    pub priority: u16,
    /// The share among those of one priority, as in RFC 2782.
    pub weight: u16,
}

impl Host {
    /// Reads a numeric address or a name.
    pub fn parse(text: &str) -> Option<Self> {
        let bare = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        if let Ok(ip) = bare.unwrap_or(text).parse() {
            return Some(Self::Ip(ip));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // A last label of digits is a mistyped address, not a name (RFC 3696 §2).
        let last_is_number = name
            .rsplit('.')
            .next()
            .is_none_or(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
        let fits = (1..=253).contains(&name.len()) && name.split('.').all(label);
        (fits && !last_is_number).then(|| Self::Name(name.to_ascii_lowercase().into()))
    }

    /// The name, if it is one.
    pub fn name(&self) -> Option<&Arc<str>> {
        match self {
            Self::Ip(_) => None,
            Self::Name(name) => Some(name),
        }
    }
}

impl NextHop {
    /// Reads `host` or `host:port`; an IPv6 address with a port stands in brackets.
    pub fn parse(text: &str, transport: Option<Transport>) -> Option<Self> {
        let hop = |host, port| Self {
            host,
            port,
            transport,
        };
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Some(hop(Host::Ip(address.ip()), Some(address.port())));
        }
        if let Some(host) = Host::parse(text) {
            return Some(hop(host, None));
        }
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        Some(hop(Host::parse(host)?, Some(port)))
    }

    /// The place that a `sip` or `sips` URI names, `maddr` first (RFC 3263 §4); `None` for other schemes
    /// and transports.
    pub fn of_uri(uri: &Uri<'_>) -> Option<Self> {
        let host = match (uri.params.get("maddr"), uri.host?) {
            (Some(maddr), _) => Host::parse(maddr)?,
            (None, message::Host::Domain(name)) => Host::parse(name)?,
            (None, host) => Host::Ip(host.ip()?),
        };
        let named = match uri.params.get("transport") {
            Some(name) => Some(Transport::from_text(name)?),
            None => None,
        };
        let transport = match (uri.scheme, named) {
            (Scheme::Sips, None | Some(Transport::Tcp | Transport::Tls)) => Some(Transport::Tls),
            (Scheme::Sip, None | Some(Transport::Udp | Transport::Tcp | Transport::Tls)) => named,
            _ => return None,
        };
        Some(Self {
            host,
            port: uri.port,
            transport,
        })
    }

    /// The target of one that need not be looked up.
    pub fn numeric(&self) -> Option<Target> {
        let Host::Ip(ip) = self.host else { return None };
        let transport = self.transport.unwrap_or(Transport::Udp);
        let port = self.port.unwrap_or(transport.default_port());
        let address = SocketAddr::new(ip, port);
        Some(Target { transport, address })
    }

    /// As the host part of a SIP URI: with the port and the transport that were given.
    pub fn uri_tail(&self) -> String {
        let transport = match self.transport {
            None | Some(Transport::Udp) => String::new(),
            Some(transport) => format!(";transport={}", transport.uri_name()),
        };
        format!("{self}{transport}")
    }
}

impl SendTo {
    /// A target with the priority and weight of one that says nothing of them.
    pub const fn plain(hop: NextHop) -> Self {
        Self {
            hop,
            priority: 0,
            weight: 1,
        }
    }

    /// A numeric one.
    pub const fn at(transport: Transport, address: SocketAddr) -> Self {
        Self::plain(NextHop {
            host: Host::Ip(address.ip()),
            port: Some(address.port()),
            transport: Some(transport),
        })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => self.host.fmt(f),
        }
    }
}

/// What an item of `send_to` must look like.
pub(super) const HOP_RULE: &str = "an address or a name, with or without a port, such as \
                               203.0.113.7:5060, [2001:db8::7]:5060 or sip.carrier.example";
