//! Where a call to an endpoint or a trunk is sent.

use std::fmt;
use std::net::SocketAddr;

use sip::message::{Scheme, Uri, unescape};
use sip::transport::{Flow, Transport};

/// One place where an endpoint can be rung.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The Request-URI of the call.
    pub uri: String,
    /// The way there.
    pub way: Way,
    /// Preference in thousandths; equal ones ring at once, lower ones after (RFC 3261 §16.6).
    pub q: u16,
}

/// The way to a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Back on the flow that its REGISTER came on: through its NAT, or on its connection.
    Flow(Flow),
    /// To a configured address; the listener is chosen by family and transport.
    Address(Target),
}

/// A place to send to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// How.
    pub transport: Transport,
    /// Where.
    pub address: SocketAddr,
}

impl Target {
    /// The place that a `sip` or `sips` URI names, if its host is a numeric address; names are looked
    /// up elsewhere (RFC 3263).
    pub fn of_uri(uri: &Uri<'_>) -> Option<Self> {
        let ip = uri.host.as_ref()?.ip()?;
        let named = match uri.params.get("transport") {
            Some(name) => Some(Transport::from_text(name)?),
            None => None,
        };
        let transport = match (uri.scheme, named) {
            (Scheme::Sips, None | Some(Transport::Tcp)) => Transport::Tls,
            (_, named) => named.unwrap_or(Transport::Udp),
        };
        let port = uri.port.unwrap_or(transport.default_port());
        Some(Self {
            transport,
            address: SocketAddr::new(ip, port),
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.transport, self.address)
    }
}

/// Whether two URIs name the same resource (RFC 3261 §19.1.4): how a registrar knows a binding again.
pub(super) fn same_uri(a: &Uri<'_>, b: &Uri<'_>) -> bool {
    if !a.is_sip() || !b.is_sip() {
        return a.as_str() == b.as_str();
    }
    let hosts = match (&a.host, &b.host) {
        (Some(a), Some(b)) => a.same_as(b),
        (a, b) => a.is_none() && b.is_none(),
    };
    let users = a.user.map(unescape) == b.user.map(unescape);
    a.scheme == b.scheme && hosts && users && a.port == b.port && same_params(a, b)
}

/// A parameter in both must agree; one in either alone matters only if it is one of four.
fn same_params(a: &Uri<'_>, b: &Uri<'_>) -> bool {
    let decisive = ["user", "ttl", "method", "maddr", "transport"];
    let agrees = |one: &Uri<'_>, other: &Uri<'_>| {
        one.params
            .iter()
            .all(|(name, value)| match other.params.get(name) {
                Some(found) => unescape(found).eq_ignore_ascii_case(&unescape(value)),
                None => !decisive
                    .iter()
                    .any(|known| name.eq_ignore_ascii_case(known)),
            })
    };
    agrees(a, b) && agrees(b, a) && a.headers == b.headers
}
