//! WebRTC's transport in descriptions, as browsers write them (RFC 8829): ICE (RFC 8839), the handshake that
//! makes SRTP's keys (RFC 5763, RFC 8842), everything through one port (RFC 8843, RFC 5761).
//!
//! Of both we are the end that waits: lite in ICE (RFC 8445 §2.5), so the peer checks, and server of the
//! handshake, so the peer begins it. Whoever would wait too is refused, as is who brings less protection.

use std::fmt;
use std::net::SocketAddr;

use super::crypto::KeySeed;
use super::description::{Attribute, Media, SessionDescription};

/// Our end of a stream whose peer proves its address and makes keys by a handshake.
#[derive(Clone, PartialEq, Eq)]
pub struct WebLocal {
    /// What the peer calls us in its checks.
    pub ufrag: String,
    /// What its checks are proven with.
    pub password: String,
    /// Of our certificate, as SDP has it: `sha-256 AB:CD…`.
    pub fingerprint: String,
    /// Where we are reached, best first; the first also stands in `m=` and `c=`.
    pub candidates: Vec<SocketAddr>,
    /// What new names are made of when the peer restarts ICE.
    pub seed: KeySeed,
}

/// Never tells the password.
impl fmt::Debug for WebLocal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebLocal({} at {:?})", self.ufrag, self.candidates)
    }
}

impl WebLocal {
    /// Takes a name and a password that it never had (RFC 8839 §4.4.1.1.1).
    pub(super) fn rename(&mut self, generation: u32) {
        (self.ufrag, self.password) = self.seed.names(generation);
    }

    /// Our lines of a section; `setup` is our part in the handshake.
    pub(super) fn write(&self, out: &mut impl fmt::Write, setup: &str) -> fmt::Result {
        let Self {
            ufrag,
            password,
            fingerprint,
            ..
        } = self;
        write!(out, "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n")?;
        write!(out, "a=fingerprint:{fingerprint}\r\na=setup:{setup}\r\n")?;
        for (n, at) in (1..=u16::MAX).zip(&self.candidates) {
            // Of our addresses the first is the best (RFC 8445 §5.1.2.1).
            let priority = HOST_PRIORITY | u32::from(u16::MAX - n + 1) << 8 | COMPONENT_PRIORITY;
            let (ip, port) = (at.ip(), at.port());
            write!(
                out,
                "a=candidate:{n} 1 udp {priority} {ip} {port} typ host\r\n"
            )?;
        }
        out.write_str("a=end-of-candidates\r\n")
    }
}

/// Of a host's own address (RFC 8445 §5.1.2.2).
const HOST_PRIORITY: u32 = 126 << 24;
/// 256 less the number of the component, which is 1.
const COMPONENT_PRIORITY: u32 = 255;

/// What the peer says of its end.
#[derive(Clone, PartialEq, Eq)]
pub struct WebRemote {
    /// What it calls itself in checks.
    pub ufrag: String,
    /// What it wants checks proven with; we make none.
    pub password: String,
    /// Of its certificate, as SDP has it: SHA-256, -384 or -512.
    pub fingerprint: String,
}

/// Never tells the password.
impl fmt::Debug for WebRemote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebRemote({}, {})", self.ufrag, self.fingerprint)
    }
}

/// Why a peer's end of WebRTC's transport cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebFault {
    /// Another transport, in clear or with keys that signalling tells.
    Transport(String),
    /// No name and password for checks, or none of the length and letters of RFC 8839 §5.4.
    NoNames,
    /// No fingerprint: anybody could shake hands.
    NoFingerprint,
    /// Only fingerprints of hashes that prove nothing, or that cannot be read: the first.
    Fingerprint(String),
    /// The peer would wait for our handshake, or said nothing where it must.
    Setup(String),
    /// RTCP would come by a port of its own.
    NoMux,
    /// Neither end would check.
    BothLite,
}

impl WebFault {
    /// Another transport than ours.
    pub(super) fn other(protocol: &str) -> Self {
        Self::Transport(short(protocol))
    }
}

impl fmt::Display for WebFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(have) => write!(f, "want audio over {WEB_PROTOCOL}, have {have}"),
            Self::NoNames => f.write_str("want a=ice-ufrag and a=ice-pwd, have none to be used"),
            Self::NoFingerprint => f.write_str("want a=fingerprint, have none"),
            Self::Fingerprint(have) => write!(
                f,
                "want a=fingerprint of sha-256, sha-384 or sha-512, have {have}"
            ),
            Self::Setup(have) => write!(
                f,
                "want a peer that begins the handshake (a=setup:active), have {have}"
            ),
            Self::NoMux => f.write_str("want a=rtcp-mux, have none"),
            Self::BothLite => f.write_str("want a peer that checks, have a=ice-lite like ours"),
        }
    }
}

/// Who wrote a description, as far as it matters to what it must say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// An offer may leave to us who begins the handshake.
    Offer,
    /// An answer must say.
    Answer,
}

/// The transport of our own offers.
pub(super) const WEB_PROTOCOL: &str = "UDP/TLS/RTP/SAVPF";

/// Whether a section's keys are made by a handshake. Some name the older profile (RFC 8829 §5.1.2).
pub(super) fn is_web(session: &SessionDescription, media: &Media) -> bool {
    match media.protocol.as_str() {
        WEB_PROTOCOL | "UDP/TLS/RTP/SAVP" => true,
        "RTP/SAVPF" | "RTP/SAVP" => {
            media.attribute("crypto").is_none()
                && of_either(session, media, "fingerprint").is_some()
        }
        _ => false,
    }
}

/// What a section says of its transport, with what the session says for all.
pub(super) fn read(
    session: &SessionDescription,
    media: &Media,
    part: Part,
) -> Result<WebRemote, WebFault> {
    if session.attribute("ice-lite").is_some() {
        return Err(WebFault::BothLite);
    }
    let fingerprint = fingerprint(session, media)?;
    let setup = of_either(session, media, "setup").map(str::trim);
    match (setup, part) {
        // Not said means active in an offer (RFC 4145 §4.1).
        (Some("active"), _) | (Some("actpass") | None, Part::Offer) => {}
        (have, _) => return Err(WebFault::Setup(short(have.unwrap_or("none")))),
    }
    let name = |name, least| {
        let value = of_either(session, media, name)?.trim();
        let fits = (least..=NAME_MAX).contains(&value.len()) && value.bytes().all(is_ice_char);
        fits.then(|| value.to_owned())
    };
    let both = name("ice-ufrag", UFRAG_MIN).zip(name("ice-pwd", PASSWORD_MIN));
    let (ufrag, password) = both.ok_or(WebFault::NoNames)?;
    if media.attribute("rtcp-mux").is_none() {
        return Err(WebFault::NoMux);
    }
    Ok(WebRemote {
        ufrag,
        password,
        fingerprint,
    })
}

/// Lengths of names and passwords (RFC 8839 §5.4).
const UFRAG_MIN: usize = 4;
const PASSWORD_MIN: usize = 22;
const NAME_MAX: usize = 256;

const fn is_ice_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

/// The first fingerprint that proves something: the section's, else the session's (RFC 8122 §5).
fn fingerprint(session: &SessionDescription, media: &Media) -> Result<String, WebFault> {
    let own = lines(&media.attributes);
    let all = match own.is_empty() {
        true => lines(&session.attributes),
        false => own,
    };
    let first = all.first().ok_or(WebFault::NoFingerprint)?;
    let found = all.iter().find(|print| is_print(print));
    let found = found.map(|print| (*print).to_owned());
    found.ok_or_else(|| {
        let hash = first
            .split_ascii_whitespace()
            .next()
            .unwrap_or("an empty one");
        let known = HASHES
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(hash));
        WebFault::Fingerprint(match known {
            true => format!("{} with other digits than it has", short(hash)),
            false => short(hash),
        })
    })
}

fn lines(attributes: &[Attribute]) -> Vec<&str> {
    let named = attributes.iter().filter(|it| it.name == "fingerprint");
    let values = named.map(|it| it.value.as_deref().unwrap_or_default().trim());
    values.take(FINGERPRINTS_MAX).collect()
}

/// Lines with fingerprints that are looked at.
const FINGERPRINTS_MAX: usize = 16;

/// Hashes that prove a certificate, and their bytes.
const HASHES: [(&str, usize); 3] = [("sha-256", 32), ("sha-384", 48), ("sha-512", 64)];

fn is_print(text: &str) -> bool {
    let Some((hash, digits)) = text.split_once(' ') else {
        return false;
    };
    let known = HASHES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(hash));
    let pair = |pair: &str| pair.len() == 2 && pair.bytes().all(|it| it.is_ascii_hexdigit());
    let pairs = || digits.trim().split(':');
    known.is_some_and(|(_, bytes)| pairs().count() == *bytes && pairs().all(pair))
}

/// What the section's `a=mid` calls it, if that is a name (RFC 5888 §4).
pub(super) fn mid(media: &Media) -> Option<String> {
    let mid = media.attribute("mid")?.trim();
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`{|}~".contains(&byte);
    let fits = (1..=MID_MAX).contains(&mid.len()) && mid.bytes().all(is_token);
    fits.then(|| mid.to_owned())
}

/// Longer than any that browsers give.
const MID_MAX: usize = 64;

/// Whether the session puts that section with others through one port (RFC 8843 §7).
pub(super) fn is_bundled(session: &SessionDescription, mid: Option<&str>) -> bool {
    let groups = session.attributes.iter().filter(|it| it.name == "group");
    let mut groups = groups.filter_map(|it| it.value.as_deref());
    mid.is_some_and(|mid| {
        groups.any(|group| {
            let mut words = group.split_ascii_whitespace();
            words.next() == Some("BUNDLE") && words.any(|word| word == mid)
        })
    })
}

/// The section's attribute, else the session's.
fn of_either<'a>(session: &'a SessionDescription, media: &'a Media, name: &str) -> Option<&'a str> {
    media.attribute(name).or_else(|| session.attribute(name))
}

/// Their word, safe to repeat.
fn short(text: &str) -> String {
    let shown = text.chars().filter(char::is_ascii_graphic);
    shown.take(40).collect()
}
