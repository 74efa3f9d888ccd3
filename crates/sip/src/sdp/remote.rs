//! What the other side says about one stream: an `m=` section with its session-level defaults applied.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::codec::{Codec, Direction};
use super::crypto::{Crypto, CryptoFault};
use super::description::{Connection, Media, SessionDescription};
use super::modes::ModeSet;
use super::offer_error::OfferError;
use super::parse::{number_u16, payload_type};
use super::terms::OpusTerms;
use super::web::{self, Part, WebFault, WebRemote};

/// One RTP audio stream as the other side described it.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) protocol: String,
    /// Whether the transport itself asks for SRTP with keys in signalling.
    pub(super) savp: bool,
    /// Their end of WebRTC's transport, or what it lacks; `None` for another transport.
    pub(super) web: Option<Result<WebRemote, WebFault>>,
    /// What they call the section.
    pub(super) mid: Option<String>,
    /// Whether it goes through one port with the others of its group.
    pub(super) is_bundled: bool,
    /// Their `a=crypto` lines, in their order.
    pub(super) keys: Vec<Result<Crypto, CryptoFault>>,
    pub(super) rtp: SocketAddr,
    pub(super) rtcp: SocketAddr,
    pub(super) rtcp_mux: bool,
    /// As written by them, with the hold of RFC 2543 (address 0.0.0.0) folded in.
    pub(super) direction: Direction,
    /// Their payload types in their order, each once.
    pub(super) formats: Vec<Format>,
    /// What they ask of Opus.
    pub(super) opus: OpusTerms,
    /// The modes that they hold AMR-WB to.
    pub(super) modes: Option<ModeSet>,
    pub(super) ptime_ms: Option<u16>,
    pub(super) maxptime_ms: Option<u16>,
}

/// A payload type and what it means to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) payload_type: u8,
    pub(super) meaning: Meaning,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Codec(Codec),
    /// RFC 4733, on the clock of the codec it accompanies.
    TelephoneEvent {
        clock_rate_hz: u32,
    },
    /// RFC 3389.
    ComfortNoise {
        clock_rate_hz: u32,
    },
    /// RFC 2198, on the clock of the codec that it carries.
    Redundant {
        clock_rate_hz: u32,
        /// The payload type of what it carries first.
        of: u8,
    },
    /// Something that this server does not speak.
    Unknown,
}

impl Remote {
    /// Reads the section at `index`, which must be audio with a port.
    pub(super) fn read(
        session: &SessionDescription,
        media: &Media,
        part: Part,
    ) -> Result<Self, OfferError> {
        let savp = is_keyed(&media.protocol)?;
        let is_web = web::is_web(session, media);
        let connection = media.connections.first().or(session.connection.as_ref());
        let address = match numeric_unicast(connection) {
            // Browsers write any address: theirs is proven by checks.
            found if is_web => found.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            found => found?,
        };
        let written = direction(media, session);
        let direction = if address.is_unspecified() && !is_web {
            Direction::from_halves(written.sends(), false)
        } else {
            written
        };
        let rtp = SocketAddr::new(address, media.port);
        let rtcp_mux = media.attribute("rtcp-mux").is_some();
        let formats = formats(media);
        let mid = web::mid(media);
        Ok(Self {
            protocol: media.protocol.clone(),
            savp,
            web: is_web.then(|| web::read(session, media, part)),
            is_bundled: web::is_bundled(session, mid.as_deref()),
            mid,
            keys: keys(media),
            rtp,
            rtcp: match rtcp_mux || is_web {
                true => rtp,
                false => rtcp(media, rtp)?,
            },
            rtcp_mux,
            direction,
            opus: opus_terms(media, &formats),
            modes: modes(media, &formats),
            formats,
            ptime_ms: milliseconds(media, "ptime"),
            maxptime_ms: milliseconds(media, "maxptime"),
        })
    }

    /// Whether they asked not to be sent anything.
    pub(super) fn holds(&self) -> bool {
        !self.direction.receives()
    }

    /// The payload type that carries telephone-events on this clock.
    pub(super) fn telephone_event(&self, clock_rate_hz: u32) -> Option<u8> {
        self.payload_type_of(Meaning::TelephoneEvent { clock_rate_hz })
    }

    /// The payload type that carries comfort noise on this clock.
    pub(super) fn comfort_noise(&self, clock_rate_hz: u32) -> Option<u8> {
        self.payload_type_of(Meaning::ComfortNoise { clock_rate_hz })
    }

    /// The payload type of packets that repeat those before them, of the codec with this number and
    /// clock.
    pub(super) fn redundant(&self, clock_rate_hz: u32, of: u8) -> Option<u8> {
        self.payload_type_of(Meaning::Redundant { clock_rate_hz, of })
    }

    fn payload_type_of(&self, wanted: Meaning) -> Option<u8> {
        let format = self
            .formats
            .iter()
            .find(|format| format.meaning == wanted)?;
        Some(format.payload_type)
    }
}

/// Whether the transport asks for SRTP by keys in signalling.
fn is_keyed(protocol: &str) -> Result<bool, OfferError> {
    match protocol {
        "RTP/AVP" | "RTP/AVPF" | "UDP/TLS/RTP/SAVP" | "UDP/TLS/RTP/SAVPF" => Ok(false),
        "RTP/SAVP" | "RTP/SAVPF" => Ok(true),
        other => Err(OfferError::Profile(other.to_owned())),
    }
}

fn keys(media: &Media) -> Vec<Result<Crypto, CryptoFault>> {
    let lines = media.attributes.iter().filter(|it| it.name == "crypto");
    lines
        .take(KEYS_MAX)
        .map(|line| Crypto::parse(line.value.as_deref().unwrap_or_default()))
        .collect()
}

/// Lines with keys that are looked at.
const KEYS_MAX: usize = 16;

fn numeric_unicast(connection: Option<&Connection>) -> Result<IpAddr, OfferError> {
    let Some(connection) = connection else {
        return Err(OfferError::NoAddress);
    };
    let Some(address) = connection.address.ip() else {
        return Err(OfferError::NamedAddress(connection.address.to_string()));
    };
    let broadcast = matches!(address, IpAddr::V4(ip) if ip.is_broadcast());
    if address.is_multicast() || broadcast || connection.multicast.is_some() {
        return Err(OfferError::Multicast(address));
    }
    Ok(address)
}

/// The section's direction, else the session's, else both ways (RFC 8866 §6.7).
fn direction(media: &Media, session: &SessionDescription) -> Direction {
    [&media.attributes, &session.attributes]
        .into_iter()
        .find_map(|attributes| {
            attributes
                .iter()
                .find_map(|attribute| Direction::from_attribute(&attribute.name))
        })
        .unwrap_or_default()
}

/// `a=rtcp:port [IN IP4|IP6 address]` (RFC 3605), else the port above RTP's.
fn rtcp(media: &Media, rtp: SocketAddr) -> Result<SocketAddr, OfferError> {
    if let Some(value) = media.attribute("rtcp") {
        let mut fields = value.split_ascii_whitespace();
        let port = fields.next().and_then(number_u16).filter(|&port| port != 0);
        let address = fields
            .nth(2)
            .map_or(Some(rtp.ip()), |text| text.parse().ok());
        if let (Some(port), Some(address)) = (port, address)
            && address.is_ipv4() == rtp.is_ipv4()
            && !address.is_multicast()
        {
            return Ok(SocketAddr::new(address, port));
        }
    }
    let port = rtp.port().checked_add(1).ok_or(OfferError::NoRtcpPort)?;
    Ok(SocketAddr::new(rtp.ip(), port))
}

/// Their payload types, first mention first. What cannot be read is unknown, not an error: one bad
/// attribute of a codec that nobody wants is no reason to lose the call.
fn formats(media: &Media) -> Vec<Format> {
    let mut formats: Vec<Format> = Vec::new();
    for text in &media.formats {
        let Some(payload_type) = payload_type(text) else {
            continue;
        };
        if formats
            .iter()
            .any(|known| known.payload_type == payload_type)
        {
            continue;
        }
        let meaning = match rtpmap(media, payload_type) {
            Some(value) => mapped(value, || fmtp(media, payload_type)),
            None => static_meaning(payload_type),
        };
        formats.push(Format {
            payload_type,
            meaning,
        });
    }
    formats
}

fn modes(media: &Media, formats: &[Format]) -> Option<ModeSet> {
    let is_wide = |format: &&Format| format.meaning == Meaning::Codec(Codec::AmrWb);
    let wide = formats.iter().find(is_wide)?;
    ModeSet::read(fmtp(media, wide.payload_type)?)
}

/// The text after the payload type of its first `a=rtpmap`.
fn rtpmap(media: &Media, wanted: u8) -> Option<&str> {
    media
        .attributes
        .iter()
        .filter(|attribute| attribute.name == "rtpmap")
        .filter_map(|attribute| attribute.value.as_deref()?.trim_start().split_once(' '))
        .find(|(number, _)| payload_type(number) == Some(wanted))
        .map(|(_, encoding)| encoding.trim())
}

/// The parameters of the Opus among the formats.
fn opus_terms(media: &Media, formats: &[Format]) -> OpusTerms {
    let is_opus = |format: &&Format| format.meaning == Meaning::Codec(Codec::Opus);
    let Some(opus) = formats.iter().find(is_opus) else {
        return OpusTerms::default();
    };
    fmtp(media, opus.payload_type).map_or_else(OpusTerms::default, OpusTerms::read)
}

/// The text after the payload type of its first `a=fmtp`.
fn fmtp(media: &Media, wanted: u8) -> Option<&str> {
    let lines = media.attributes.iter().filter(|it| it.name == "fmtp");
    let mut lines = lines.filter_map(|it| it.value.as_deref()?.trim_start().split_once(' '));
    let (_, text) = lines.find(|(number, _)| payload_type(number) == Some(wanted))?;
    Some(text.trim())
}

/// `encoding/clock[/channels]` (RFC 8866 §6.6).
fn mapped<'a>(value: &str, parameters: impl Fn() -> Option<&'a str>) -> Meaning {
    let mut parts = value.split('/');
    let (Some(encoding), Some(clock)) = (parts.next(), parts.next()) else {
        return Meaning::Unknown;
    };
    let channels = parts.next().map_or(Some(1), |text| text.parse().ok());
    let (Ok(clock_rate_hz), Some(channels)) = (clock.parse(), channels) else {
        return Meaning::Unknown;
    };
    if encoding.eq_ignore_ascii_case("telephone-event") {
        return Meaning::TelephoneEvent { clock_rate_hz };
    }
    if encoding.eq_ignore_ascii_case("red") {
        // `111/111`: what the newest block is, then its copies (RFC 2198 §5).
        let of = parameters().and_then(|text| payload_type(text.split('/').next()?));
        return of.map_or(Meaning::Unknown, |of| Meaning::Redundant {
            clock_rate_hz,
            of,
        });
    }
    if encoding.eq_ignore_ascii_case("CN") {
        return Meaning::ComfortNoise { clock_rate_hz };
    }
    match Codec::from_rtpmap(encoding, clock_rate_hz, channels) {
        // Another framing is another format: it could not be relayed to who has this one.
        Some(Codec::AmrWb) if parameters().is_some_and(is_framed_otherwise) => Meaning::Unknown,
        Some(codec) => Meaning::Codec(codec),
        None => Meaning::Unknown,
    }
}

/// Whether parameters of AMR-WB ask for another framing than the bandwidth-efficient one (RFC 4867 §8.2).
fn is_framed_otherwise(parameters: &str) -> bool {
    let on = |parameter: &str| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, "1"));
        let name = name.trim().to_ascii_lowercase();
        let framing = ["octet-align", "crc", "robust-sorting", "interleaving"];
        framing.contains(&name.as_str()) && value.trim() != "0"
    };
    parameters.split(';').any(on)
}

/// What a payload type means without `a=rtpmap` (RFC 3551 §6).
fn static_meaning(payload_type: u8) -> Meaning {
    match payload_type {
        0 => Meaning::Codec(Codec::Pcmu),
        8 => Meaning::Codec(Codec::Pcma),
        9 => Meaning::Codec(Codec::G722),
        18 => Meaning::Codec(Codec::G729),
        13 => Meaning::ComfortNoise {
            clock_rate_hz: 8_000,
        },
        _ => Meaning::Unknown,
    }
}

/// A packet time; some devices write a fraction, which is cut off.
fn milliseconds(media: &Media, name: &str) -> Option<u16> {
    let value = media.attribute(name)?.trim();
    let whole = value.split_once('.').map_or(value, |(whole, _)| whole);
    number_u16(whole).filter(|&ms| ms > 0)
}
