//! A session description as data (RFC 8866 §5), and its printer.
//!
//! What this crate has no use for (`i= u= e= p= b= t= r= z= k=`, unknown attributes) is kept as text
//! and printed again in the order that §9 prescribes.

use std::fmt;
use std::net::IpAddr;

/// One description: session level, then its media in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionDescription {
    /// `o=`: who made it, and which edition it is.
    pub origin: Origin,
    /// `s=`: the session's name; empty or `-` when it has none.
    pub name: String,
    /// `c=` for all media without their own.
    pub connection: Option<Connection>,
    /// The session-level lines without a field of their own: type letter and text.
    pub extra: Vec<(char, String)>,
    /// Session-level `a=`.
    pub attributes: Vec<Attribute>,
    /// The `m=` sections. Their order is meaning: RFC 3264 pairs offer and answer by position.
    pub media: Vec<Media>,
}

/// `o=` (RFC 8866 §5.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The user's login, `-` for none.
    pub username: String,
    /// Names the session together with user and address: decimal digits.
    pub session_id: String,
    /// Grows with each change of the description: decimal digits.
    pub version: String,
    /// The machine that made it; for naming only, never a place to send to.
    pub address: Address,
}

/// An address with its type: `IN IP4 …`, `IN IP6 …`; a host name is kept but nothing here resolves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A numeric address.
    Ip(IpAddr),
    /// A host name, with whether its type says IPv6.
    Name {
        /// The name as written.
        name: String,
        /// `IP6` rather than `IP4`.
        v6: bool,
    },
}

impl Address {
    /// The numeric address, unless it is a name.
    pub const fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(*ip),
            Self::Name { .. } => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V4(ip)) => write!(f, "IN IP4 {ip}"),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "IN IP6 {ip}"),
            Self::Name { name, v6: false } => write!(f, "IN IP4 {name}"),
            Self::Name { name, v6: true } => write!(f, "IN IP6 {name}"),
        }
    }
}

/// `c=` (RFC 8866 §5.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Where media goes.
    pub address: Address,
    /// `ttl` and `count` of multicast, as written after the slash.
    pub multicast: Option<String>,
}

impl From<IpAddr> for Connection {
    fn from(ip: IpAddr) -> Self {
        Self {
            address: Address::Ip(ip),
            multicast: None,
        }
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.multicast {
            None => write!(f, "{}", self.address),
            Some(suffix) => write!(f, "{}/{suffix}", self.address),
        }
    }
}

/// One `m=` section (RFC 8866 §5.14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// `audio`, `video`, `image` … as written.
    pub kind: String,
    /// Where it is received; 0 in an offer or answer means rejected or removed.
    pub port: u16,
    /// The number of port pairs after the slash.
    pub ports: Option<u16>,
    /// The transport: `RTP/AVP`, `UDP/TLS/RTP/SAVPF` …
    pub protocol: String,
    /// Payload types of RTP, or what the transport defines; at least one.
    pub formats: Vec<String>,
    /// `c=` of this section; the first is meant unless it is multicast.
    pub connections: Vec<Connection>,
    /// Lines without a field of their own: type letter and text.
    pub extra: Vec<(char, String)>,
    /// The section's `a=`.
    pub attributes: Vec<Attribute>,
}

impl Media {
    /// The value of the first attribute `name`; `Some("")` for one without a value.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        find_attribute(&self.attributes, name)
    }

    /// Whether the transport is a profile of RTP.
    pub fn is_rtp(&self) -> bool {
        is_rtp(&self.protocol)
    }
}

impl SessionDescription {
    /// The value of the first session-level attribute `name`; `Some("")` for one without a value.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        find_attribute(&self.attributes, name)
    }
}

/// `a=name` or `a=name:value` (RFC 8866 §5.13).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// The name; case matters.
    pub name: String,
    /// What stands after the colon.
    pub value: Option<String>,
}

impl Attribute {
    /// An attribute that only says its name.
    pub fn flag(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            value: None,
        }
    }

    /// An attribute with a value.
    pub fn with(name: &str, value: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            value: Some(value.into()),
        }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            None => write!(f, "a={}", self.name),
            Some(value) => write!(f, "a={}:{value}", self.name),
        }
    }
}

impl fmt::Display for SessionDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin {
            username,
            session_id,
            version,
            address,
        } = &self.origin;
        write!(
            f,
            "v=0\r\no={username} {session_id} {version} {address}\r\n"
        )?;
        write!(f, "s={}\r\n", self.name)?;
        write_lines(f, &self.extra, "iuep")?;
        if let Some(connection) = &self.connection {
            write!(f, "c={connection}\r\n")?;
        }
        write_lines(f, &self.extra, "b")?;
        if !self.extra.iter().any(|&(letter, _)| letter == 't') {
            f.write_str("t=0 0\r\n")?;
        }
        // A repeat belongs to the time before it: one group, in the order written.
        self.extra
            .iter()
            .filter(|(letter, _)| matches!(letter, 't' | 'r'))
            .try_for_each(|(letter, text)| write!(f, "{letter}={text}\r\n"))?;
        write_lines(f, &self.extra, "zk")?;
        write_attributes(f, &self.attributes)?;
        self.media.iter().try_for_each(|media| write!(f, "{media}"))
    }
}

impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m={} {}", self.kind, self.port)?;
        if let Some(ports) = self.ports {
            write!(f, "/{ports}")?;
        }
        write!(f, " {}", self.protocol)?;
        self.formats
            .iter()
            .try_for_each(|format| write!(f, " {format}"))?;
        f.write_str("\r\n")?;
        write_lines(f, &self.extra, "i")?;
        for connection in &self.connections {
            write!(f, "c={connection}\r\n")?;
        }
        write_lines(f, &self.extra, "bk")?;
        write_attributes(f, &self.attributes)
    }
}

/// Whether a transport name is a profile of RTP.
pub(super) fn is_rtp(protocol: &str) -> bool {
    protocol
        .split('/')
        .any(|part| part.eq_ignore_ascii_case("RTP"))
}

fn find_attribute<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|attribute| attribute.name == name)?;
    Some(found.value.as_deref().unwrap_or_default())
}

fn write_lines(f: &mut fmt::Formatter<'_>, lines: &[(char, String)], letters: &str) -> fmt::Result {
    letters.chars().try_for_each(|wanted| {
        lines
            .iter()
            .filter(|&&(letter, _)| letter == wanted)
            .try_for_each(|(letter, text)| write!(f, "{letter}={text}\r\n"))
    })
}

fn write_attributes(f: &mut fmt::Formatter<'_>, attributes: &[Attribute]) -> fmt::Result {
    attributes
        .iter()
        .try_for_each(|attribute| write!(f, "{attribute}\r\n"))
}
