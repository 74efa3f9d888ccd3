//! The addresses that a peer may come from: an address, a network, or an address with its port.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// One entry of an access list, matched against the true source of a packet, never against a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// IPv4 is kept as IPv4 even if it was written, or is seen, mapped into IPv6.
    network: IpAddr,
    prefix: u8,
    port: Option<u16>,
}

/// What an entry must look like.
pub(super) const SOURCE_RULE: &str = "an address (203.0.113.7), a network whose host bits are zero \
                               (203.0.113.0/24), or an address and a port (203.0.113.7:5060)";

/// What an entry of a trunk's `addresses` must look like.
pub(super) const ADDRESS_RULE: &str = "an address (203.0.113.7), a network whose host bits are zero \
                               (203.0.113.0/24), an address and a port (203.0.113.7:5060), or a name \
                               (sip.carrier.example)";

impl Source {
    /// Everything of both families.
    pub const ANYWHERE: [Self; 2] = [
        Self {
            network: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            prefix: 0,
            port: None,
        },
        Self {
            network: IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            prefix: 0,
            port: None,
        },
    ];

    /// The entry for one address, any port.
    pub fn host(ip: IpAddr) -> Self {
        let network = ip.to_canonical();
        Self {
            network,
            prefix: width(network),
            port: None,
        }
    }

    /// The network without its port: address and length of the prefix.
    pub fn network(&self) -> (IpAddr, u8) {
        (self.network, self.prefix)
    }

    /// Whether `remote` is of this entry.
    pub fn contains(&self, remote: SocketAddr) -> bool {
        let ip = remote.ip().to_canonical();
        ip.is_ipv4() == self.network.is_ipv4()
            && common_bits(ip, self.network) >= self.prefix
            && self.port.is_none_or(|port| port == remote.port())
    }

    /// Whether the entry contains the address of `remote`, and only its port is another.
    pub(super) fn is_other_port_of(&self, remote: SocketAddr) -> bool {
        let any = Self {
            port: None,
            ..*self
        };
        !self.contains(remote) && any.contains(remote)
    }

    /// How narrow the entry is: of several that contain a source, the narrowest names its owner.
    pub(super) const fn narrowness(&self) -> (bool, u8) {
        (self.port.is_some(), self.prefix)
    }

    /// How many leading bits `remote` shares with the entry; `None` for the other family.
    pub(super) fn nearness(&self, remote: SocketAddr) -> Option<u8> {
        let ip = remote.ip().to_canonical();
        (ip.is_ipv4() == self.network.is_ipv4()).then(|| common_bits(ip, self.network))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}", SocketAddr::new(self.network, port)),
            None if self.prefix == width(self.network) => write!(f, "{}", self.network),
            None => write!(f, "{}/{}", self.network, self.prefix),
        }
    }
}

/// The text is no entry: an address, a network, or an address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSource;

impl FromStr for Source {
    type Err = NoSource;

    fn from_str(text: &str) -> Result<Self, NoSource> {
        if let Ok(ip) = text.parse() {
            return Ok(Self::host(ip));
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            let port = Some(address.port()).filter(|&port| port != 0);
            return Ok(Self {
                port: Some(port.ok_or(NoSource)?),
                ..Self::host(address.ip())
            });
        }
        let (network, prefix) = text.split_once('/').ok_or(NoSource)?;
        let network: IpAddr = network.parse().map_err(|_| NoSource)?;
        let digits = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = prefix.parse().ok().filter(|_| digits).ok_or(NoSource)?;
        if prefix > width(network) || host_bits(network, prefix) {
            return Err(NoSource);
        }
        Ok(Self {
            network,
            prefix,
            port: None,
        })
    }
}

const fn width(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// The address as the top bits of 128.
const fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => (ip.to_bits() as u128) << 96,
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

fn common_bits(a: IpAddr, b: IpAddr) -> u8 {
    let same = (bits(a) ^ bits(b)).leading_zeros().min(width(a).into());
    u8::try_from(same).unwrap_or(u8::MAX)
}

/// Whether bits below the prefix are set: `203.0.113.7/24` means something else than it says.
fn host_bits(network: IpAddr, prefix: u8) -> bool {
    bits(network).checked_shl(prefix.into()).unwrap_or(0) != 0
}
