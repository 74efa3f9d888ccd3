//! Bytes to index: one pass over the head that settles where everything is, and refuses what could
//! be read two ways.
//!
//! Lenient where RFC 3261 asks for it (folds, blanks around the colon, compact forms, Latin-1 in
//! display text, octets behind the body of a datagram); strict where two readers might disagree on
//! what the message says: a bare CR or LF, a NUL, two Content-Length headers or one that is no
//! number, a blank before the colon of a header that others trust.

use super::index::{Entry, Index, Start};
use super::limits::{HEADER_MAX, HEADERS_MAX, MESSAGE_MAX};
use super::scan::is_token;
use super::{ErrorKind, Method, Name, ParseError};

/// Reads the head of `bytes`, which must hold all of it, into an empty index. Leading CRLFs must be
/// gone.
pub(crate) fn index(bytes: &[u8], index: &mut Index) -> Result<(), ParseError> {
    let is_response = bytes
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"));
    read(bytes, index).map_err(|error| {
        if is_response {
            error.unanswered()
        } else {
            error
        }
    })
}

fn read(bytes: &[u8], index: &mut Index) -> Result<(), ParseError> {
    let at_most = bytes.len().min(MESSAGE_MAX);
    index.is_ascii = bytes.len() <= SMALL && bytes.is_ascii();
    let start_end = line_end(bytes, 0)?;
    if start_end > HEADER_MAX {
        return Err(limit(HEADER_MAX, "a start line of at most 8192 bytes").answered(414));
    }
    index.start = start_line(bytes.get(..start_end).unwrap_or_default())?;
    let mut at = start_end + 2;
    loop {
        if at >= at_most && bytes.len() > MESSAGE_MAX {
            return Err(limit(MESSAGE_MAX, "a message of at most 65535 bytes").answered(513));
        }
        if bytes.get(at..at + 2) == Some(b"\r\n") {
            index.body = at + 2;
            return Ok(());
        }
        at = header(bytes, at, index)?;
    }
}

/// Bytes up to which one look at the whole costs less than a look at each value.
const SMALL: usize = 4096;

/// Reads the header line (with its folds) at `at` into the index; returns where the next begins.
#[inline]
fn header(bytes: &[u8], at: usize, index: &mut Index) -> Result<usize, ParseError> {
    let mut end = line_end(bytes, at)?;
    let mut is_folded = false;
    while matches!(bytes.get(end + 2), Some(b' ' | b'\t')) {
        is_folded = true;
        end = line_end(bytes, end + 2)?;
        if end - at > HEADER_MAX {
            break;
        }
    }
    if end - at > HEADER_MAX {
        return Err(limit(at + HEADER_MAX, "a header of at most 8192 bytes").answered(513));
    }
    if index.len() >= HEADERS_MAX {
        return Err(limit(at, "at most 256 headers").answered(513));
    }
    let line = bytes.get(at..end).unwrap_or_default();
    let name_length = line
        .iter()
        .position(|&b| !is_token(b))
        .unwrap_or(line.len());
    let name = Name::from_bytes(line.get(..name_length).unwrap_or_default());
    let fault = |offset: usize, what| {
        let found = line.get(offset).copied();
        ParseError::new(ErrorKind::HeaderLine, at + offset, found, what)
    };
    if name_length == 0 {
        return Err(fault(0, "a header's name"));
    }
    let colon = skip_blanks(line, name_length);
    if line.get(colon) != Some(&b':') {
        return Err(fault(colon, "a colon after the name"));
    }
    if colon != name_length && name.is_trusted() {
        return Err(fault(
            name_length,
            "the colon at once: this header is trusted",
        ));
    }
    let value = colon + 1;
    let blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n');
    let tail = line.get(value..).unwrap_or_default();
    let lead = tail.iter().take_while(|b| blank(b)).count();
    let trail = tail.iter().rev().take_while(|b| blank(b)).count();
    let value_start = value + lead.min(tail.len());
    let value_end = (line.len() - trail).max(value_start);
    index.add(
        Entry::new(
            name,
            at,
            name_length,
            (at + value_start, at + value_end),
            end + 2,
        ),
        line.get(value_start..value_end).unwrap_or_default(),
        is_folded,
    );
    if name == Name::ContentLength {
        let length = content_length(bytes, at + value_start, at + value_end)?;
        if index.content_length.replace(length).is_some() {
            let found = line.first().copied();
            return Err(ParseError::new(
                ErrorKind::Framing,
                at,
                found,
                "one Content-Length",
            ));
        }
    }
    Ok(end + 2)
}

/// Reads a length that is digits and nothing else; one too large to be true saturates, and is
/// refused as too large.
fn content_length(bytes: &[u8], start: usize, end: usize) -> Result<usize, ParseError> {
    let value = bytes.get(start..end).unwrap_or_default();
    let bad = value.iter().position(|b| !b.is_ascii_digit());
    if bad.is_some() || value.is_empty() {
        let at = start + bad.unwrap_or(0);
        let found = bytes.get(at).copied();
        return Err(ParseError::new(
            ErrorKind::Framing,
            at,
            found,
            "a length in digits",
        ));
    }
    let add = |length: usize, digit: &u8| {
        length
            .saturating_mul(10)
            .saturating_add(usize::from(digit - b'0'))
    };
    Ok(value.iter().fold(0, add))
}

fn start_line(line: &[u8]) -> Result<Start, ParseError> {
    if line
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"))
    {
        status_line(line)
    } else {
        request_line(line)
    }
}

/// `Method SP Request-URI SP SIP-Version`, with exactly these two blanks (RFC 3261 §7.1).
fn request_line(line: &[u8]) -> Result<Start, ParseError> {
    let fault =
        |at: usize, what| ParseError::new(ErrorKind::StartLine, at, line.get(at).copied(), what);
    let method_length = line
        .iter()
        .position(|&b| !is_token(b))
        .unwrap_or(line.len());
    if method_length == 0 {
        return Err(fault(0, "a method"));
    }
    if line.get(method_length) != Some(&b' ') {
        return Err(fault(method_length, "a space after the method"));
    }
    let uri = method_length + 1;
    let tail = line.get(uri..).unwrap_or_default();
    let uri_length = tail.iter().position(|&b| !is_request_uri(b));
    let uri_length = uri_length.unwrap_or(tail.len());
    let uri_end = uri + uri_length;
    if uri_length == 0 {
        return Err(fault(uri, "a Request-URI"));
    }
    if line.get(uri_end) != Some(&b' ') {
        return Err(fault(uri_end, "one space after the Request-URI"));
    }
    version(
        line,
        uri_end + 1,
        line.len(),
        "SIP/2.0 and the end of the line",
    )?;
    let method = str::from_utf8(line.get(..method_length).unwrap_or_default()).unwrap_or_default();
    Ok(Start::Request {
        method: Method::from_text(method),
        method_end: narrow(method_length),
        uri_end: narrow(uri_end),
    })
}

/// A byte of a Request-URI.
pub(super) const fn is_request_uri(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"')
}

/// `SIP-Version SP 3DIGIT SP Reason-Phrase` (§7.2); a missing last blank is forgiven, as many leave
/// it out.
fn status_line(line: &[u8]) -> Result<Start, ParseError> {
    let fault =
        |at: usize, what| ParseError::new(ErrorKind::StartLine, at, line.get(at).copied(), what);
    let version_end = line.iter().position(|&b| b == b' ').unwrap_or(line.len());
    version(line, 0, version_end, "SIP/2.0")?;
    let digits = line
        .get(version_end + 1..version_end + 4)
        .unwrap_or_default();
    if digits.len() != 3 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(fault(version_end + 1, "three digits"));
    }
    let status = digits
        .iter()
        .fold(0u16, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    if !(100..700).contains(&status) {
        return Err(fault(version_end + 1, "a status from 100 to 699"));
    }
    let code_end = version_end + 4;
    if !matches!(line.get(code_end), Some(b' ') | None) {
        return Err(fault(code_end, "a space after the status"));
    }
    let reason = (code_end + 1).min(line.len());
    let latin1 = line
        .get(reason..)
        .filter(|text| str::from_utf8(text).is_err());
    Ok(Start::Response {
        status,
        reason_start: narrow(reason),
        reason_end: narrow(line.len()),
        reason_latin1: latin1.map(|text| super::index::readable(text).into()),
    })
}

/// Checks `SIP/2.0` at `start..end`; another version of SIP earns a 505, anything else a 400.
fn version(line: &[u8], start: usize, end: usize, what: &'static str) -> Result<(), ParseError> {
    let text = line.get(start..end).unwrap_or_default();
    if text.eq_ignore_ascii_case(b"SIP/2.0") {
        return Ok(());
    }
    let found = line.get(start).copied();
    let fault = ParseError::new(ErrorKind::StartLine, start, found, what);
    let Some((b"SIP/" | b"sip/", number)) = text.split_at_checked(4) else {
        return Err(fault);
    };
    let dots = number.iter().filter(|&&b| b == b'.').count();
    let is_version = dots == 1 && number.iter().all(|b| b.is_ascii_digit() || *b == b'.');
    let other = ParseError {
        kind: ErrorKind::Version,
        ..fault.answered(505)
    };
    Err(if is_version { other } else { fault })
}

/// Finds the CR that ends the line holding `from`, and refuses a bare CR, a bare LF and a NUL on
/// the way.
#[inline]
fn line_end(bytes: &[u8], from: usize) -> Result<usize, ParseError> {
    let rest = bytes.get(from..).unwrap_or_default();
    let hit = memchr::memchr3(b'\r', b'\n', 0, rest).map(|hit| from + hit);
    match hit.and_then(|hit| bytes.get(hit)) {
        Some(0) => stop_at(bytes, quoted_line_end(rest).map(|hit| from + hit)),
        _ => stop_at(bytes, hit),
    }
}

/// The first CR, LF or NUL that no backslash takes the meaning of: RFC 4475 §3.1.1.2 has a NUL as a
/// quoted pair, and nowhere else is one legal.
fn quoted_line_end(rest: &[u8]) -> Option<usize> {
    let mut escaped = false;
    rest.iter().position(|&byte| {
        let stops = matches!(byte, b'\r' | b'\n') || (byte == 0 && !escaped);
        escaped = byte == b'\\' && !escaped;
        stops
    })
}

/// `hit` if a CRLF stands there.
#[inline]
fn stop_at(bytes: &[u8], hit: Option<usize>) -> Result<usize, ParseError> {
    let Some(hit) = hit else {
        let what = "a line end, and a blank line after the headers";
        return Err(ParseError::new(ErrorKind::Framing, bytes.len(), None, what));
    };
    let what = match (bytes.get(hit), bytes.get(hit + 1)) {
        (Some(b'\r'), Some(b'\n')) => return Ok(hit),
        (Some(b'\r'), None) => {
            let what = "a line feed";
            return Err(ParseError::new(ErrorKind::Framing, bytes.len(), None, what));
        }
        (Some(b'\r'), _) => "no carriage return within a line",
        (Some(b'\n'), _) => "no line feed without a carriage return",
        _ => "no NUL",
    };
    Err(ParseError::new(
        ErrorKind::HeaderLine,
        hit,
        bytes.get(hit).copied(),
        what,
    ))
}

fn skip_blanks(line: &[u8], from: usize) -> usize {
    let tail = line.get(from..).unwrap_or_default();
    from + tail
        .iter()
        .take_while(|b| matches!(b, b' ' | b'\t'))
        .count()
}

fn limit(offset: usize, what: &'static str) -> ParseError {
    ParseError::new(ErrorKind::Limit, offset, None, what)
}

/// Offsets fit 16 bits: what is longer was refused before.
fn narrow(offset: usize) -> u16 {
    u16::try_from(offset).unwrap_or(u16::MAX)
}
