//! A phone's exchanges, as a telephone writes them or as a browser does (RFC 8829).
//!
//! The offer/answer machine is the server's own, which is never the end that checks and shakes hands. So a
//! browser's descriptions are a telephone's in other clothes, and what comes is looked at as a browser looks
//! at it before it is read. Nobody shakes hands here: name, print and keys follow from where the browser's
//! sound is, so that whoever owns the media plane of a simulation knows them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;
use media::port::Keys;
use media::srtp::{MasterKey, Suite};
use sip::sdp::{Agreed, Direction, LocalMedia, Negotiation, OfferError, SessionDescription};

/// The exchanges of one call.
pub(super) struct Exchange {
    inner: Negotiation,
    browser: Option<Browser>,
}

struct Browser {
    at: SocketAddr,
    /// How often it restarted ICE.
    restarts: u8,
    /// What the server was called when it last answered.
    server: Option<String>,
    /// Whether the server must have another name in its next answer.
    wants_another: bool,
}

impl Exchange {
    pub(super) fn new(local: LocalMedia, id: u64, browses: bool) -> Self {
        let browser = browses.then(|| Browser {
            at: SocketAddr::new(local.address, local.port),
            restarts: 0,
            server: None,
            wants_another: false,
        });
        let local = LocalMedia {
            rtcp_mux: browses || local.rtcp_mux,
            ..local
        };
        Self {
            inner: Negotiation::new(local, id),
            browser,
        }
    }

    pub(super) fn agreed(&self) -> Option<&Agreed> {
        self.inner.agreed()
    }

    pub(super) fn awaits_answer(&self) -> bool {
        self.inner.awaits_answer()
    }

    pub(super) fn abandon(&mut self) {
        self.inner.abandon();
    }

    pub(super) fn set_direction(&mut self, direction: Direction) {
        self.inner.set_direction(direction);
    }

    /// The next offer has another key, or, of a browser, another name.
    pub(super) fn renew_keys(&mut self) {
        self.inner.renew_keys();
        if let Some(browser) = &mut self.browser {
            browser.restarts = browser.restarts.wrapping_add(1) % 26;
            browser.wants_another = true;
        }
    }

    /// A browser's keys, which no description tells.
    pub(super) fn keys(&self) -> Option<Box<Keys>> {
        let (own, server) = browser_keys(self.browser.as_ref()?.at)?;
        Keys::new(own, server)
    }

    pub(super) fn offer(&mut self) -> Result<Bytes, OfferError> {
        let offer = self.inner.offer()?;
        Ok(self.dressed(offer, "actpass"))
    }

    pub(super) fn answer(&mut self, offer: &[u8]) -> Result<Bytes, OfferError> {
        let offer = self.undressed(offer, "actpass")?;
        let answer = self.inner.answer(&offer)?;
        Ok(self.dressed(answer, "active"))
    }

    pub(super) fn take_answer(&mut self, answer: &[u8]) -> Result<(), OfferError> {
        let answer = self.undressed(answer, "passive")?;
        self.inner.take_answer(&answer)
    }

    /// Ours, as a browser writes it.
    fn dressed(&self, ours: Bytes, setup: &str) -> Bytes {
        let Some(browser) = &self.browser else {
            return ours;
        };
        let Ok(mut session) = SessionDescription::parse(&ours) else {
            return ours;
        };
        let with = |name: &str, value: String| sip::sdp::Attribute::with(name, value);
        session
            .attributes
            .push(with("group", "BUNDLE 0".to_owned()));
        for media in &mut session.media {
            media.protocol = PROTOCOL.to_owned();
            media.attributes.extend([
                with("ice-ufrag", name_of(browser.at, browser.restarts)),
                with("ice-pwd", "browsers/password+24char".to_owned()),
                with("ice-options", "trickle".to_owned()),
                with("fingerprint", print_of(browser.at)),
                with("setup", setup.to_owned()),
                with("mid", "0".to_owned()),
            ]);
        }
        session.to_string().into()
    }

    /// Theirs, as a telephone reads it; refused as a browser would.
    fn undressed(&mut self, theirs: &[u8], setup: &str) -> Result<Bytes, OfferError> {
        let Some(browser) = &mut self.browser else {
            return Ok(Bytes::copy_from_slice(theirs));
        };
        let mut session = SessionDescription::parse(theirs)?;
        let lite = session.attribute("ice-lite").is_some();
        let bundle = session.attribute("group") == Some("BUNDLE 0");
        for media in &mut session.media {
            let is = |name: &str, value: &str| media.attribute(name) == Some(value);
            let has = |name: &str| media.attribute(name).is_some();
            let name = media.attribute("ice-ufrag").unwrap_or_default().to_owned();
            let whole = is("setup", setup) && is("mid", "0") && has("rtcp-mux");
            let proven = has("fingerprint") && has("candidate") && has("ice-pwd");
            if media.protocol != PROTOCOL || !(lite && bundle && whole && proven) {
                return Err(OfferError::Mismatch("no browser would take it"));
            }
            let another = browser.server.as_ref().is_some_and(|it| *it != name);
            if browser.server.is_some() && another != browser.wants_another {
                return Err(OfferError::Mismatch("another name exactly after a restart"));
            }
            browser.server = Some(name);
            browser.wants_another = false;
            media.protocol = "RTP/AVP".to_owned();
        }
        Ok(session.to_string().into())
    }
}

const PROTOCOL: &str = "UDP/TLS/RTP/SAVPF";

/// What a browser whose sound is there calls itself in checks.
fn name_of(at: SocketAddr, restarts: u8) -> String {
    let IpAddr::V4(ip) = at.ip() else {
        return "IPv6".to_owned();
    };
    let letter = char::from(b'a'.wrapping_add(restarts));
    format!("{:08x}{:04x}{letter}", ip.to_bits(), at.port())
}

/// Where the sound is of a browser that calls itself so.
pub fn browser_at(name: &str) -> Option<SocketAddr> {
    let ip = u32::from_str_radix(name.get(..8)?, 16).ok()?;
    let port = u16::from_str_radix(name.get(8..12)?, 16).ok()?;
    Some(SocketAddr::new(Ipv4Addr::from_bits(ip).into(), port))
}

/// The print of its certificate.
pub fn print_of(at: SocketAddr) -> String {
    let octet = |n: u16| {
        at.port()
            .wrapping_mul(257)
            .wrapping_add(n * 31)
            .to_be_bytes()
    };
    let pairs: Vec<String> = (0..32).map(|n| format!("{:02X}", octet(n)[1])).collect();
    format!("sha-256 {}", pairs.join(":"))
}

/// What its handshake would make: what it protects with, and what the server does.
pub fn browser_keys(at: SocketAddr) -> Option<(MasterKey, MasterKey)> {
    let [high, low] = at.port().to_be_bytes();
    let key = |whose: u8| {
        MasterKey::new(
            Suite::AesCm128HmacSha1_80,
            &[[whose, high, low]; 10].concat(),
        )
    };
    key(1).zip(key(2))
}
