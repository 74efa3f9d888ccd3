//! URIs (RFC 3261 §19.1, RFC 3966 for `tel`): read where they stand, printed as they came.

use super::ParseError;
use super::scan::{Scan, is_uri, is_user};
use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A URI's scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:`
    Tel,
    /// Any other: only its text is known.
    Other,
}

/// Where a URI or a Via points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Host<'a> {
    /// A name to be resolved, as spelled; names compare without regard to case.
    Domain(&'a str),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address, in brackets on the wire.
    V6(Ipv6Addr),
}

impl Host<'_> {
    /// The address, unless this is a name.
    pub const fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Domain(_) => None,
            Self::V4(v4) => Some(IpAddr::V4(*v4)),
            Self::V6(v6) => Some(IpAddr::V6(*v6)),
        }
    }

    /// Whether both name the same host, names compared without regard to case.
    pub fn same_as(&self, other: &Host<'_>) -> bool {
        match (self, other) {
            (Self::Domain(a), Host::Domain(b)) => a.eq_ignore_ascii_case(b),
            (a, b) => a.ip().is_some() && a.ip() == b.ip(),
        }
    }
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(name) => f.write_str(name),
            Self::V4(v4) => v4.fmt(f),
            Self::V6(v6) => write!(f, "[{v6}]"),
        }
    }
}

/// Parameters after a URI, an address or a Via: `;name=value;flag`, read when asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Params<'a>(&'a str);

impl<'a> Params<'a> {
    pub(crate) const fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// The value of the parameter called `name` in any case: quotes taken off, `""` for a flag,
    /// `None` if absent.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Whether the parameter is there, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Each parameter's name and value, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.pieces().map(|piece| {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            (name.trim_ascii(), unquoted(value.trim_ascii()))
        })
    }

    /// Each parameter as spelled, without its semicolon.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let text = rest.strip_prefix(';')?;
            let (one, after) = text.split_at(param_length(text));
            rest = after;
            Some(one)
        })
    }

    /// The text, from the first semicolon on.
    pub const fn as_str(&self) -> &'a str {
        self.0
    }
}

/// A URI, borrowed from the text it stands in; [`fmt::Display`] prints that text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uri<'a> {
    text: &'a str,
    /// What kind of URI.
    pub scheme: Scheme,
    /// The part before the `@`, escapes untouched, a password after a colon with it; a `tel` URI's
    /// number.
    pub user: Option<&'a str>,
    /// The host; always there in `sip` and `sips`, never in others.
    pub host: Option<Host<'a>>,
    /// The port, where one is written.
    pub port: Option<u16>,
    /// `;transport=tcp;lr` …
    pub params: Params<'a>,
    /// What follows the `?`, without it; empty if nothing does.
    pub headers: &'a str,
}

impl<'a> Uri<'a> {
    /// Reads a URI that is all of `text`.
    ///
    /// # Errors
    /// No scheme; a character no URI may hold; in `sip` and `sips` a missing or malformed host or
    /// port, a bad escape.
    pub fn parse(text: &'a str) -> Result<Self, ParseError> {
        let mut scan = Scan::new(text);
        let scheme =
            scan.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Err(Scan::new(text).expected("a URI scheme"));
        }
        scan.require(b':', "a colon after the scheme")?;
        refuse_outsiders(scan)?;
        match scheme {
            s if s.eq_ignore_ascii_case("sip") => Self::parse_sip(text, Scheme::Sip, scan),
            s if s.eq_ignore_ascii_case("sips") => Self::parse_sip(text, Scheme::Sips, scan),
            s if s.eq_ignore_ascii_case("tel") => Self::parse_tel(text, scan),
            _ if scan.is_done() => Err(scan.expected("something after the scheme")),
            _ => Ok(Self::opaque(text, Scheme::Other)),
        }
    }

    /// The URI as written.
    pub const fn as_str(&self) -> &'a str {
        self.text
    }

    /// The user part without a password, escapes resolved.
    pub fn user_name(&self) -> Option<Cow<'a, str>> {
        let user = self.user?;
        let name = match self.scheme {
            Scheme::Tel => user,
            _ => user.split_once(':').map_or(user, |(name, _)| name),
        };
        Some(unescape(name))
    }

    /// Whether this is `sip` or `sips`.
    pub const fn is_sip(&self) -> bool {
        matches!(self.scheme, Scheme::Sip | Scheme::Sips)
    }

    /// Whether both lead to the same place (RFC 3261 §19.1.4, RFC 3966 §4); not an equivalence: it
    /// is not transitive, as a parameter that one of them lacks is mostly ignored.
    pub fn same_as(&self, other: &Uri<'_>) -> bool {
        if self.scheme != other.scheme {
            return false;
        }
        match self.scheme {
            Scheme::Sip | Scheme::Sips => self.same_sip(other),
            Scheme::Tel => self.same_tel(other),
            Scheme::Other => self.text == other.text,
        }
    }

    /// Whether both name a user, and not the same one; a `tel` number is a user. Hosts do not matter:
    /// on the way to a user they change.
    pub fn names_another_user(&self, other: &Uri<'_>) -> bool {
        match (self.user, other.user) {
            (Some(a), Some(b)) => !characters(a).eq(characters(b)),
            _ => false,
        }
    }

    fn same_sip(&self, other: &Uri<'_>) -> bool {
        let same_user =
            self.user.is_none() == other.user.is_none() && !self.names_another_user(other);
        let same_host = match (&self.host, &other.host) {
            (Some(a), Some(b)) => a.same_as(b),
            _ => false,
        };
        let fold =
            |text| characters(text).map(|(escaped, byte)| (escaped, byte.to_ascii_lowercase()));
        let both_ways = [(&self.params, &other.params), (&other.params, &self.params)];
        let same_params = both_ways.iter().all(|(a, b)| {
            a.iter().all(|(name, value)| match b.get(name) {
                Some(its) => fold(value).eq(fold(its)),
                None => !MATTERS
                    .iter()
                    .any(|matters| matters.eq_ignore_ascii_case(name)),
            })
        });
        let headers = |uri: &str| {
            let mut all: Vec<_> = uri
                .split('&')
                .map(|one| unescape(one).to_ascii_lowercase())
                .collect();
            all.sort_unstable();
            all
        };
        let same_headers = headers(self.headers) == headers(other.headers);
        same_user && same_host && self.port == other.port && same_params && same_headers
    }

    fn same_tel(&self, other: &Uri<'_>) -> bool {
        let digits = |uri: &Uri<'_>| -> String {
            let shown = uri.user.unwrap_or_default().chars();
            shown
                .filter(|c| !matches!(c, '-' | '.' | '(' | ')'))
                .map(|c| c.to_ascii_lowercase())
                .collect()
        };
        let context = |uri: &Uri<'_>| uri.params.get("phone-context").map(str::to_ascii_lowercase);
        digits(self) == digits(other) && context(self) == context(other)
    }

    const fn opaque(text: &'a str, scheme: Scheme) -> Self {
        Self {
            text,
            scheme,
            user: None,
            host: None,
            port: None,
            params: Params(""),
            headers: "",
        }
    }

    fn parse_sip(text: &'a str, scheme: Scheme, mut scan: Scan<'a>) -> Result<Self, ParseError> {
        let mut uri = Self::opaque(text, scheme);
        // The user part may hold `;`, `?` and `/`, so the last `@` before any other use decides
        // (RFC 4475 §3.1.1.9).
        if let Some(length) = scan.rest().find('@') {
            let user = scan.take_while(|b| b != b'@');
            if length == 0 {
                return Err(scan.expected("a user before the @"));
            }
            if let Some(bad) = user.bytes().position(|b| !is_user(b)) {
                return Err(
                    scan.expected_at(scan.at() - length + bad, "a character of a user part")
                );
            }
            uri.user = Some(user);
            scan.accept(b'@');
        }
        let (host, port) = host_port(&mut scan, false)?;
        (uri.host, uri.port) = (Some(host), port);
        let params = scan.take_while(|b| b != b'?');
        if !params.is_empty() && !params.starts_with(';') {
            return Err(scan.expected_at(scan.at() - params.len(), "a parameter or the end"));
        }
        uri.params = Params(params);
        if scan.accept(b'?') {
            uri.headers = scan.rest();
        }
        Ok(uri)
    }

    fn parse_tel(text: &'a str, mut scan: Scan<'a>) -> Result<Self, ParseError> {
        let mut uri = Self::opaque(text, Scheme::Tel);
        let number = scan.take_while(|b| {
            b.is_ascii_hexdigit() || matches!(b, b'+' | b'-' | b'.' | b'(' | b')' | b'*' | b'#')
        });
        if number.is_empty() {
            return Err(scan.expected("a telephone number"));
        }
        if !scan.is_done() && scan.peek() != Some(b';') {
            return Err(scan.expected("a digit or a parameter"));
        }
        uri.user = Some(number);
        uri.params = Params(scan.rest());
        Ok(uri)
    }
}

impl fmt::Display for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

/// Resolves `%hh`. An escape that is none, or that makes no UTF-8, stays as it stands.
pub fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        let pair = after.first_chunk().and_then(|&[high, low]| {
            let (high, low) = (hex(high)?, hex(low)?);
            Some(high << 4 | low)
        });
        match pair {
            Some(byte) if first == b'%' => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => bytes.push(first),
        }
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Writes `text` as a user part: what RFC 3261 §25.1 does not allow there becomes `%hh`.
pub fn escape_user(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_user(byte) && !matches!(byte, b'%' | b':') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(
                    char::from_digit(u32::from(digit), 16)
                        .unwrap_or('0')
                        .to_ascii_uppercase(),
                );
            }
        }
    }
    out
}

/// Takes `host [ : port ]`; `spaced` where the grammar lets blanks stand around the colon, as in a
/// Via.
pub(crate) fn host_port<'a>(
    scan: &mut Scan<'a>,
    spaced: bool,
) -> Result<(Host<'a>, Option<u16>), ParseError> {
    let host = host(scan)?;
    let before = *scan;
    if spaced {
        scan.skip_spaces();
    }
    if !scan.accept(b':') {
        *scan = before;
        return Ok((host, None));
    }
    if spaced {
        scan.skip_spaces();
    }
    let port = scan.number(u64::from(u16::MAX), "a port")?;
    Ok((host, Some(u16::try_from(port).unwrap_or(u16::MAX))))
}

fn host<'a>(scan: &mut Scan<'a>) -> Result<Host<'a>, ParseError> {
    let start = *scan;
    if scan.accept(b'[') {
        let inside = scan.take_while(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'));
        let Some(address) = ipv6(inside) else {
            return Err(start.expected("an IPv6 address"));
        };
        scan.require(b']', "a closing bracket")?;
        return Ok(Host::V6(address));
    }
    // An underscore is in no host name, but in many that exist.
    let name = scan.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    match name.parse() {
        Ok(v4) => Ok(Host::V4(v4)),
        Err(_) if name.is_empty() => Err(start.expected("a host")),
        Err(_) => Ok(Host::Domain(name)),
    }
}

/// Reads an IPv6 address; the three colons that RFC 3261's grammar permitted count as two (RFC 5118
/// §4.10).
pub(crate) fn ipv6(text: &str) -> Option<Ipv6Addr> {
    match text.split_once(":::") {
        Some((before, after)) => format!("{before}::{after}").parse().ok(),
        None => text.parse().ok(),
    }
}

/// No URI holds blanks, controls, quotes or angle brackets; none above ASCII either.
fn refuse_outsiders(scan: Scan<'_>) -> Result<(), ParseError> {
    let mut rest = scan;
    rest.take_while(is_uri);
    if rest.is_done() {
        Ok(())
    } else {
        Err(rest.expected("a character of a URI"))
    }
}

/// Parameters that must be in both URIs or in neither (§19.1.4).
const MATTERS: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];

/// Each character, and whether it is escaped where that makes a difference: `%41` is `A`, `%3B` is
/// not `;`.
fn characters(text: &str) -> impl Iterator<Item = (bool, u8)> {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        let (&first, after) = rest.split_first()?;
        let pair = after
            .first_chunk()
            .and_then(|&[high, low]| Some(hex(high)? << 4 | hex(low)?));
        match pair {
            Some(byte) if first == b'%' => {
                rest = after.get(2..).unwrap_or_default();
                let is_mark = matches!(
                    byte,
                    b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')'
                );
                Some((!byte.is_ascii_alphanumeric() && !is_mark, byte))
            }
            _ => {
                rest = after;
                Some((false, first))
            }
        }
    })
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Bytes up to the next semicolon outside quotes.
fn param_length(text: &str) -> usize {
    let end = memchr::memchr2(b';', b'"', text.as_bytes());
    if end.is_none_or(|at| text.as_bytes().get(at) == Some(&b';')) {
        return end.unwrap_or(text.len());
    }
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b';' if !quoted => return at,
            _ => {}
        }
    }
    text.len()
}

fn unquoted(value: &str) -> &str {
    value
        .strip_prefix('"')
        .and_then(|inner| inner.strip_suffix('"'))
        .unwrap_or(value)
}
