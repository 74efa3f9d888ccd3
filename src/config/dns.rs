//! Who is asked for names: `[dns]`.

use std::net::SocketAddr;

use super::{ConfigError, Section};

/// Who is asked for names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dns {
    /// Name servers, in the order in which they are tried; those of `/etc/resolv.conf` if empty.
    pub servers: Vec<SocketAddr>,
}

impl Dns {
    pub(super) fn read(mut dns: Section) -> Result<Self, ConfigError> {
        let texts = dns.texts("servers")?.unwrap_or_default();
        let read = |text: &String| {
            let bare = |ip: std::net::IpAddr| SocketAddr::new(ip, 53);
            let address = text.parse().ok();
            let address = address.or_else(|| text.parse().ok().map(bare));
            let rule = "an address with or without a port, such as 192.0.2.53";
            address.ok_or_else(|| dns.refuse("servers", rule, text))
        };
        let servers = texts.iter().map(read).collect::<Result<_, _>>()?;
        dns.finish()?;
        Ok(Self { servers })
    }
}
