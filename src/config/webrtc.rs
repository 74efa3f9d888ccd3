//! Where browsers' audio is received: one UDP port for all of them.

use std::net::IpAddr;

use super::listen::{Rtp, addresses};
use super::{ConfigError, Section};

/// `[webrtc]`: without the section, browsers get no media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webrtc {
    /// The UDP port of the first media thread; each further one has the next.
    pub port: u16,
    /// The addresses bound, at most one of each family; those of `rtp` if empty.
    pub bind: Vec<IpAddr>,
    /// The addresses that browsers are told, at most one of each family; those bound where there is none.
    pub advertised: Vec<IpAddr>,
}

impl Webrtc {
    pub(super) fn read(mut webrtc: Section) -> Result<Self, ConfigError> {
        let port = webrtc.integer("port", 1_024..=65_471)?.unwrap_or(8_443);
        let bind = addresses(&mut webrtc, "bind")?;
        let advertised = addresses(&mut webrtc, "advertised")?;
        webrtc.finish()?;
        Ok(Self {
            port: u16::try_from(port).unwrap_or(8_443),
            bind,
            advertised,
        })
    }

    /// Where nothing is said, browsers' audio comes where all other does.
    pub(super) fn settle(&mut self, rtp: &Rtp) -> Result<(), ConfigError> {
        if self.bind.is_empty() {
            self.bind.clone_from(&rtp.bind);
        }
        if self.advertised.is_empty() {
            self.advertised.extend(rtp.advertised);
        }
        let nameless = |ip: &&IpAddr| self.advertised(**ip).is_unspecified();
        match self.bind.iter().find(nameless) {
            None => Ok(()),
            Some(ip) => Err(ConfigError::Missing {
                key: "webrtc.advertised".to_owned(),
                rule: format!("the address that browsers send audio to, as it is received on {ip}"),
            }),
        }
    }

    /// What browsers are told of an address that is bound.
    pub fn advertised(&self, bound: IpAddr) -> IpAddr {
        let mut told = self.advertised.iter();
        let told = told.find(|ip| ip.is_ipv4() == bound.is_ipv4());
        told.copied().unwrap_or(bound)
    }
}
