//! The parser of session descriptions (RFC 8866 §9): bounded, one pass, errors with their place.
//!
//! Strict about what the grammar needs to be understood, lenient where devices are known to differ:
//! bare LF line ends, the order of lines within a section, a missing `s=` or `t=`, blanks in the
//! user name of `o=`, Latin-1 in free text.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::description::{
    Address, Attribute, Connection, Media, Origin, SessionDescription, is_rtp,
};

/// Largest description that is read, in bytes.
pub(super) const BYTES_MAX: usize = 65_536;
/// Most `m=` sections.
const MEDIA_MAX: usize = 64;
/// Most `a=` lines of one section, and most other lines kept as text.
const LINES_MAX: usize = 256;

/// Lines of one description: four times the longest that browsers make. It bounds the time that a
/// description of the shortest lines may take, to a third of a millisecond.
const LINES_IN_ALL_MAX: usize = 2_048;
/// Most formats of one `m=` line: RTP has 128 payload types.
const FORMATS_MAX: usize = 128;

/// Formats of all `m=` lines together: an answer gives each rejected one back. Browsers offer some
/// twenty in a section.
const FORMATS_IN_ALL_MAX: usize = 1_024;

/// Why a description was refused, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SdpError {
    /// The line, from 1.
    pub line: usize,
    /// The byte in the description at which the trouble starts, from 0.
    pub offset: usize,
    /// What was wrong.
    pub kind: SdpErrorKind,
}

/// What was wrong with a description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SdpErrorKind {
    /// A bound was passed: its name and value.
    TooMany(&'static str, usize),
    /// A type letter that RFC 8866 does not have, or not at this level.
    UnknownType(char),
    /// A line that may stand once stands twice.
    Duplicate(char),
    /// The description ended without this.
    Missing(&'static str),
    /// Something else stood where this was expected.
    Expected(&'static str),
}

impl std::error::Error for SdpError {}

impl fmt::Display for SdpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SDP line {}, byte {}: ", self.line, self.offset)?;
        match self.kind {
            SdpErrorKind::TooMany(what, most) => write!(f, "more than {most} {what}"),
            SdpErrorKind::UnknownType(letter) => {
                write!(f, "no line type {letter:?} at this level")
            }
            SdpErrorKind::Duplicate(letter) => write!(f, "a second {letter}= line"),
            SdpErrorKind::Missing(what) => write!(f, "missing {what}"),
            SdpErrorKind::Expected(what) => write!(f, "expected {what}"),
        }
    }
}

impl SessionDescription {
    /// Reads one description of at most 64 kB, 2,048 lines, 64 media sections, and 256 attributes in each.
    ///
    /// # Errors
    /// [`SdpError`] with the place of the first thing that is not RFC 8866 or passes a bound.
    pub fn parse(text: &[u8]) -> Result<Self, SdpError> {
        if text.len() > BYTES_MAX {
            let kind = SdpErrorKind::TooMany("bytes", BYTES_MAX);
            return Err(SdpError {
                line: 1,
                offset: BYTES_MAX,
                kind,
            });
        }
        let mut parser = Parser::default();
        let mut lines = Lines {
            rest: text,
            offset: 0,
            number: 0,
        };
        while let Some(line) = lines.next_line()? {
            if line.number > LINES_IN_ALL_MAX {
                return Err(line.error(SdpErrorKind::TooMany("lines", LINES_IN_ALL_MAX)));
            }
            parser.line(&line)?;
        }
        parser.finish(lines.number, text.len())
    }
}

/// One `x=value` line and where it stands.
struct Line<'a> {
    number: usize,
    /// Offset of the value.
    offset: usize,
    letter: char,
    value: &'a [u8],
}

impl<'a> Line<'a> {
    /// An error at the start of the line.
    fn error(&self, kind: SdpErrorKind) -> SdpError {
        SdpError {
            line: self.number,
            offset: self.offset.saturating_sub(2),
            kind,
        }
    }

    /// An error at `token`, a piece of this line's value; at its end if there is no such piece.
    fn expected(&self, token: Option<&str>, what: &'static str) -> SdpError {
        let start = self.value.as_ptr().addr();
        let within = token.map_or(self.value.len(), |token| {
            token
                .as_ptr()
                .addr()
                .saturating_sub(start)
                .min(self.value.len())
        });
        SdpError {
            line: self.number,
            offset: self.offset + within,
            kind: SdpErrorKind::Expected(what),
        }
    }

    /// The value, which the grammar wants in ASCII or UTF-8.
    fn text(&self) -> Result<&'a str, SdpError> {
        std::str::from_utf8(self.value).map_err(|error| SdpError {
            line: self.number,
            offset: self.offset + error.valid_up_to(),
            kind: SdpErrorKind::Expected("UTF-8"),
        })
    }

    /// Free text: UTF-8, else each byte as Latin-1.
    fn free_text(&self) -> String {
        match std::str::from_utf8(self.value) {
            Ok(text) => text.to_owned(),
            Err(_) => self.value.iter().map(|&byte| char::from(byte)).collect(),
        }
    }
}

/// Splits at LF, takes off CR, counts.
struct Lines<'a> {
    rest: &'a [u8],
    offset: usize,
    number: usize,
}

impl<'a> Lines<'a> {
    fn next_line(&mut self) -> Result<Option<Line<'a>>, SdpError> {
        if self.rest.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            return Ok(None);
        }
        self.number += 1;
        let (line, taken) = match memchr::memchr(b'\n', self.rest) {
            Some(at) => (self.rest.split_at(at).0, at + 1),
            None => (self.rest, self.rest.len()),
        };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (offset, number) = (self.offset, self.number);
        self.rest = self.rest.split_at(taken).1;
        self.offset += taken;
        let expected = |at: usize, what| SdpError {
            line: number,
            offset: offset + at,
            kind: SdpErrorKind::Expected(what),
        };
        if let Some(at) = memchr::memchr2(b'\r', 0, line) {
            return Err(expected(at, "text without NUL or bare CR"));
        }
        match line {
            [letter @ b'a'..=b'z', b'=', value @ ..] => Ok(Some(Line {
                number,
                offset: offset + 2,
                letter: char::from(*letter),
                value,
            })),
            _ => Err(expected(0, "a line type, one lower-case letter and '='")),
        }
    }
}

/// What has been read so far.
#[derive(Default)]
struct Parser {
    version_seen: bool,
    origin: Option<Origin>,
    name: Option<String>,
    connection: Option<Connection>,
    extra: Vec<(char, String)>,
    attributes: Vec<Attribute>,
    media: Vec<Media>,
}

impl Parser {
    fn line(&mut self, line: &Line<'_>) -> Result<(), SdpError> {
        if !self.version_seen {
            if line.letter != 'v' {
                return Err(line.error(SdpErrorKind::Expected("v=0 as the first line")));
            }
            if line.value != b"0" {
                return Err(line.expected(Some(line.text()?), "version 0"));
            }
            self.version_seen = true;
            return Ok(());
        }
        if line.letter == 'm' {
            if self.media.len() == MEDIA_MAX {
                return Err(line.error(SdpErrorKind::TooMany("media sections", MEDIA_MAX)));
            }
            let section = media(line)?;
            let before: usize = self.media.iter().map(|media| media.formats.len()).sum();
            if before + section.formats.len() > FORMATS_IN_ALL_MAX {
                let kind = SdpErrorKind::TooMany("formats in all", FORMATS_IN_ALL_MAX);
                return Err(line.error(kind));
            }
            self.media.push(section);
            return Ok(());
        }
        match self.media.last_mut() {
            Some(media) => media_line(media, line),
            None => self.session_line(line),
        }
    }

    fn session_line(&mut self, line: &Line<'_>) -> Result<(), SdpError> {
        match line.letter {
            'o' => once(&mut self.origin, origin(line)?, line),
            's' => once(&mut self.name, line.free_text(), line),
            'c' => once(&mut self.connection, connection(line)?, line),
            'a' => push_attribute(&mut self.attributes, line),
            'i' | 'u' | 'e' | 'p' | 'b' | 't' | 'r' | 'z' | 'k' => {
                push_extra(&mut self.extra, line)
            }
            'v' => Err(line.error(SdpErrorKind::Duplicate('v'))),
            letter => Err(line.error(SdpErrorKind::UnknownType(letter))),
        }
    }

    fn finish(self, line: usize, offset: usize) -> Result<SessionDescription, SdpError> {
        let missing = |what| SdpError {
            line: line.max(1),
            offset,
            kind: SdpErrorKind::Missing(what),
        };
        if !self.version_seen {
            return Err(missing("v=0"));
        }
        let Some(origin) = self.origin else {
            return Err(missing("the o= line"));
        };
        Ok(SessionDescription {
            origin,
            name: self.name.unwrap_or_else(|| "-".to_owned()),
            connection: self.connection,
            extra: self.extra,
            attributes: self.attributes,
            media: self.media,
        })
    }
}

fn once<T>(slot: &mut Option<T>, value: T, line: &Line<'_>) -> Result<(), SdpError> {
    match slot {
        Some(_) => Err(line.error(SdpErrorKind::Duplicate(line.letter))),
        None => {
            *slot = Some(value);
            Ok(())
        }
    }
}

fn media_line(media: &mut Media, line: &Line<'_>) -> Result<(), SdpError> {
    match line.letter {
        'c' if media.connections.len() == LINES_MAX => {
            Err(line.error(SdpErrorKind::TooMany("c= lines", LINES_MAX)))
        }
        'c' => {
            media.connections.push(connection(line)?);
            Ok(())
        }
        'a' => push_attribute(&mut media.attributes, line),
        'i' | 'b' | 'k' => push_extra(&mut media.extra, line),
        letter => Err(line.error(SdpErrorKind::UnknownType(letter))),
    }
}

fn push_extra(extra: &mut Vec<(char, String)>, line: &Line<'_>) -> Result<(), SdpError> {
    if extra.len() == LINES_MAX {
        return Err(line.error(SdpErrorKind::TooMany("lines of one section", LINES_MAX)));
    }
    extra.push((line.letter, line.free_text()));
    Ok(())
}

fn push_attribute(attributes: &mut Vec<Attribute>, line: &Line<'_>) -> Result<(), SdpError> {
    if attributes.len() == LINES_MAX {
        return Err(line.error(SdpErrorKind::TooMany(
            "attributes of one section",
            LINES_MAX,
        )));
    }
    let text = line.free_text();
    let (name, value) = match text.split_once(':') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text.trim_end(), None),
    };
    if name.is_empty() {
        return Err(line.error(SdpErrorKind::Expected("an attribute's name")));
    }
    attributes.push(Attribute {
        name: name.to_owned(),
        value,
    });
    Ok(())
}

/// `username sess-id sess-version IN IP4|IP6 address`; read from the right, for user names with blanks.
fn origin(line: &Line<'_>) -> Result<Origin, SdpError> {
    let text = line.text()?;
    let mut fields = text.split_ascii_whitespace().rev();
    let (address, kind, net) = (fields.next(), fields.next(), fields.next());
    let (version, session_id) = (fields.next(), fields.next());
    let mut username: Vec<&str> = fields.collect();
    username.reverse();
    if username.is_empty() {
        return Err(line.expected(None, "user, id, version, IN, IP4 or IP6, address"));
    }
    let number = |field: Option<&str>, what| match field {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Ok(digits.to_owned()),
        other => Err(line.expected(other, what)),
    };
    Ok(Origin {
        username: username.join(" "),
        session_id: number(session_id, "a session id in digits")?,
        version: number(version, "a session version in digits")?,
        address: address_of(line, net, kind, address)?,
    })
}

/// `IN IP4|IP6 address[/ttl[/count]]`.
fn connection(line: &Line<'_>) -> Result<Connection, SdpError> {
    let mut fields = line.text()?.split_ascii_whitespace();
    let (net, kind, place) = (fields.next(), fields.next(), fields.next());
    if let Some(surplus) = fields.next() {
        return Err(line.expected(Some(surplus), "nothing after the address"));
    }
    let (place, multicast) = match place.and_then(|place| place.split_once('/')) {
        Some((place, suffix)) => (Some(place), Some(suffix)),
        None => (place, None),
    };
    if let Some(suffix) = multicast {
        let numbers = suffix
            .split('/')
            .all(|number| number.parse::<u16>().is_ok());
        if !numbers {
            return Err(line.expected(Some(suffix), "a multicast ttl or count"));
        }
    }
    Ok(Connection {
        address: address_of(line, net, kind, place)?,
        multicast: multicast.map(str::to_owned),
    })
}

fn address_of(
    line: &Line<'_>,
    net: Option<&str>,
    kind: Option<&str>,
    place: Option<&str>,
) -> Result<Address, SdpError> {
    if net != Some("IN") {
        return Err(line.expected(net, "network type IN"));
    }
    let Some(place) = place else {
        return Err(line.expected(None, "an address"));
    };
    let is_name = |name: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        let numeric = name
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
        name.len() <= 255 && !numeric && name.bytes().all(allowed)
    };
    let name = |v6| Address::Name {
        name: place.to_owned(),
        v6,
    };
    match kind {
        Some("IP4") => match place.parse::<Ipv4Addr>() {
            Ok(ip) => Ok(Address::Ip(IpAddr::V4(ip))),
            Err(_) if is_name(place) => Ok(name(false)),
            Err(_) => Err(line.expected(Some(place), "an IPv4 address or a host name")),
        },
        Some("IP6") => match place.parse::<Ipv6Addr>() {
            Ok(ip) => Ok(Address::Ip(IpAddr::V6(ip))),
            Err(_) if is_name(place) => Ok(name(true)),
            Err(_) => Err(line.expected(Some(place), "an IPv6 address or a host name")),
        },
        other => Err(line.expected(other, "address type IP4 or IP6")),
    }
}

/// `kind port[/count] protocol format…`.
fn media(line: &Line<'_>) -> Result<Media, SdpError> {
    let mut fields = line.text()?.split_ascii_whitespace();
    let Some(kind) = fields.next() else {
        return Err(line.expected(None, "a media type"));
    };
    let port_field = fields.next();
    let (port_text, count) = match port_field.and_then(|field| field.split_once('/')) {
        Some((port, count)) => (Some(port), Some(count)),
        None => (port_field, None),
    };
    let Some(port) = port_text.and_then(number_u16) else {
        return Err(line.expected(port_text, "a port from 0 to 65535"));
    };
    let ports = match count {
        None => None,
        Some(text) => match number_u16(text) {
            Some(count) if count > 0 => Some(count),
            _ => return Err(line.expected(Some(text), "a number of ports")),
        },
    };
    let Some(protocol) = fields.next() else {
        return Err(line.expected(None, "a transport such as RTP/AVP"));
    };
    let formats = formats(line, fields, port != 0 && is_rtp(protocol))?;
    Ok(Media {
        kind: kind.to_owned(),
        port,
        ports,
        protocol: protocol.to_owned(),
        formats,
        connections: Vec::new(),
        extra: Vec::new(),
        attributes: Vec::new(),
    })
}

/// The formats; of a live RTP stream each must be a payload type.
fn formats<'a>(
    line: &Line<'_>,
    fields: impl Iterator<Item = &'a str>,
    payload_types: bool,
) -> Result<Vec<String>, SdpError> {
    let mut formats = Vec::new();
    for field in fields {
        if formats.len() == FORMATS_MAX {
            return Err(line.error(SdpErrorKind::TooMany("formats", FORMATS_MAX)));
        }
        if payload_types && payload_type(field).is_none() {
            return Err(line.expected(Some(field), "a payload type from 0 to 127"));
        }
        formats.push(field.to_owned());
    }
    if formats.is_empty() {
        return Err(line.expected(None, "at least one format"));
    }
    Ok(formats)
}

/// A payload type: decimal digits, 0 to 127.
pub(super) fn payload_type(text: &str) -> Option<u8> {
    let number = number_u16(text)?;
    u8::try_from(number).ok().filter(|&number| number <= 127)
}

/// Decimal digits only: `u16::from_str` would take a sign.
pub(super) fn number_u16(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}
