//! Why an offer or an answer did not lead to an agreement, and how to say so (RFC 3261 §20.43).

use std::fmt;
use std::net::IpAddr;

use super::crypto::CryptoFault;
use super::parse::SdpError;
use super::web::WebFault;

/// Why an offer or an answer did not lead to an agreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OfferError {
    /// The body is not a session description.
    Malformed(SdpError),
    /// Our own offer is not answered yet (RFC 3261 §14.2).
    Glare,
    /// There is no offer of ours that this could answer.
    NoOffer,
    /// No audio stream is offered, or each is at port 0.
    NoAudio,
    /// Audio is offered over this transport only.
    Profile(String),
    /// The peer's end of WebRTC's transport cannot be used: why.
    Web(WebFault),
    /// SRTP is required, and plain RTP is offered or answered.
    Unsecured,
    /// The stream was secured, and is offered or answered in clear.
    Downgrade,
    /// SRTP with no key that can be used: why, line by line; empty for no line.
    NoUsableKey(Vec<CryptoFault>),
    /// SRTP is required, and keys must not be told: signalling is in clear.
    KeysInClear,
    /// No offered codec is one of ours: theirs, as payload types.
    NoCommonCodec(Vec<u8>),
    /// Neither the session nor the stream says where to send.
    NoAddress,
    /// A host name where an address is needed; media never waits on a look-up.
    NamedAddress(String),
    /// IPv6 for a leg that has IPv4, or the reverse.
    AddressFamily(IpAddr),
    /// A multicast or broadcast address.
    Multicast(IpAddr),
    /// RTP on port 65535 leaves no port above it for RTCP.
    NoRtcpPort,
    /// They answered our audio with port 0.
    Rejected,
    /// The answer does not fit the offer: what is wrong.
    Mismatch(&'static str),
}

impl OfferError {
    /// The status that refuses the request which carried the description.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::Glare => 491,
            _ => 488,
        }
    }

    /// The warn-code of RFC 3261 §20.43 that goes with it.
    pub const fn warn_code(&self) -> u16 {
        match self {
            Self::NamedAddress(_) | Self::AddressFamily(_) => 301,
            Self::Profile(_) | Self::Web(WebFault::Transport(_)) => 302,
            Self::NoAudio | Self::Rejected => 304,
            Self::NoCommonCodec(_) => 305,
            Self::Multicast(_) => 330,
            _ => 399,
        }
    }

    /// The value of a `Warning` header; `agent` is our host name or a pseudonym, without blanks.
    pub fn warning(&self, agent: &str) -> String {
        let text = self.to_string().replace(['"', '\\'], "'");
        format!("{} {agent} \"{text}\"", self.warn_code())
    }
}

impl std::error::Error for OfferError {}

impl From<SdpError> for OfferError {
    fn from(error: SdpError) -> Self {
        Self::Malformed(error)
    }
}

impl fmt::Display for OfferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(f, "{error}"),
            Self::Glare => f.write_str("our own offer is not answered yet"),
            Self::NoOffer => f.write_str("an answer without an offer of ours"),
            Self::NoAudio => f.write_str("want an audio stream with a port, none is offered"),
            Self::Profile(protocol) => {
                write!(f, "want audio over RTP/AVP, have {}", printable(protocol))
            }
            Self::Web(fault) => write!(f, "{fault}"),
            Self::Unsecured => f.write_str("want SRTP (RTP/SAVP with a=crypto), have plain RTP"),
            Self::Downgrade => f.write_str("the stream is secured, and must not go on in clear"),
            Self::NoUsableKey(faults) => {
                let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
                let have = match faults.is_empty() {
                    true => "none".to_owned(),
                    false => faults.join(", "),
                };
                write!(f, "want a key in a=crypto that can be used, have {have}")
            }
            Self::KeysInClear => {
                f.write_str("want keys for SRTP, which must not be told over this signalling")
            }
            Self::NoCommonCodec(theirs) => {
                write!(f, "no common audio codec, have payload types {theirs:?}")
            }
            Self::NoAddress => f.write_str("no c= line for the audio stream"),
            Self::NamedAddress(name) => {
                write!(f, "want a numeric address in c=, have {}", printable(name))
            }
            Self::AddressFamily(ip) => {
                let (want, have) = if ip.is_ipv6() { (4, 6) } else { (6, 4) };
                write!(f, "want an IPv{want} media address, have IPv{have} ({ip})")
            }
            Self::Multicast(ip) => write!(f, "want a unicast media address, have {ip}"),
            Self::NoRtcpPort => f.write_str("RTP on port 65535 leaves no port for RTCP"),
            Self::Rejected => f.write_str("our audio stream was rejected"),
            Self::Mismatch(what) => write!(f, "the answer does not fit the offer: {what}"),
        }
    }
}

/// Their words inside ours: without control characters, 64 characters at most.
fn printable(text: &str) -> String {
    text.chars()
        .filter(|letter| !letter.is_control())
        .take(64)
        .collect()
}
