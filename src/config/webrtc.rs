//! Where browsers' audio is received: one UDP port for all of them.

use std::net::IpAddr;
use std::time::Duration;

use super::access::secret;
use super::listen::{Rtp, addresses};
use super::{ConfigError, Secret, Section};

/// `[webrtc]`: without the section, browsers get no media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webrtc {
    /// The UDP port of the first media thread; each further one has the next.
    pub port: u16,
    /// The addresses bound, at most one of each family; those of `rtp` if empty.
    pub bind: Vec<IpAddr>,
    /// The addresses that browsers are told, at most one of each family; those bound where there is none.
    pub advertised: Vec<IpAddr>,
    /// The STUN and TURN servers that browsers are told of.
    pub turn: Option<Turn>,
}

/// `[webrtc.turn]`: the servers that relay for browsers where UDP is blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Their addresses: `turn:`, `turns:` and `stun:`.
    pub urls: Vec<String>,
    /// The secret that we share with them (coturn's `static-auth-secret`); there where one relays.
    pub secret: Option<Secret>,
    /// How long the credentials are good that a browser is given.
    pub ttl: Duration,
}

impl Turn {
    /// `None` without the section.
    fn read(mut turn: Section) -> Result<Option<Self>, ConfigError> {
        if turn.is_empty() {
            return Ok(None);
        }
        let Some(urls) = turn.texts("urls")?.filter(|urls| !urls.is_empty()) else {
            return Err(turn.missing("urls", "the servers, such as turn:turn.example.com:3478"));
        };
        let known = |url: &&String| SCHEMES.iter().any(|it| url.starts_with(it));
        if let Some(other) = urls.iter().find(|url| !known(url)) {
            let rule = "a URL that begins with stun:, stuns:, turn: or turns: (RFC 7064, RFC 7065)";
            return Err(turn.refuse("urls", rule, other));
        }
        let secret = secret(&mut turn, "secret", 1)?;
        if secret.is_none() && urls.iter().any(|url| url.starts_with("turn")) {
            return Err(turn.missing("secret", "the static-auth-secret of the TURN server"));
        }
        let ttl = turn.duration(
            "ttl",
            Duration::from_secs(60)..=Duration::from_secs(604_800),
        )?;
        turn.finish()?;
        Ok(Some(Self {
            urls,
            secret,
            ttl: ttl.unwrap_or(Duration::from_secs(12 * 3_600)),
        }))
    }
}

const SCHEMES: [&str; 4] = ["stun:", "stuns:", "turn:", "turns:"];

impl Webrtc {
    pub(super) fn read(mut webrtc: Section) -> Result<Self, ConfigError> {
        let port = webrtc.integer("port", 1_024..=65_471)?.unwrap_or(8_443);
        let bind = addresses(&mut webrtc, "bind")?;
        let advertised = addresses(&mut webrtc, "advertised")?;
        let turn = Turn::read(webrtc.section("turn")?)?;
        webrtc.finish()?;
        Ok(Self {
            port: u16::try_from(port).unwrap_or(8_443),
            bind,
            advertised,
            turn,
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
