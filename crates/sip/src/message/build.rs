//! Making messages: what is built is what was asked for and parses, or it is refused.

use super::index::readable;
use super::limits::{HEADER_MAX, HEADERS_MAX, MESSAGE_MAX};
use super::parse::is_request_uri;
use super::scan::is_token;
use super::{Message, Method, Name, Params, ParseError, Via};
use bytes::Bytes;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::net::SocketAddr;
use std::ops::Range;

/// Why a message was not built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildError {
    /// A header's name is no token.
    HeaderName,
    /// A value of this header holds CR, LF or NUL: it would have become a header of its own.
    Injection(Name),
    /// A Content-Length was given; the builder writes it.
    ContentLength,
    /// The result does not parse.
    Malformed(ParseError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HeaderName => f.write_str("a header's name must be a token"),
            Self::Injection(Name::Other) => f.write_str("a value must not hold CR, LF or NUL"),
            Self::Injection(name) => write!(f, "a value of {name} must not hold CR, LF or NUL"),
            Self::ContentLength => f.write_str("Content-Length is written by the builder"),
            Self::Malformed(error) => write!(f, "what was built does not parse: {error}"),
        }
    }
}

impl std::error::Error for BuildError {}

/// Writes a message from its first line down. The first fault is remembered and returned by
/// [`build`](Self::build).
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    out: Vec<u8>,
    body: Bytes,
    /// Header lines written.
    lines: usize,
    /// Whether the first line parses: of header lines each is looked at as it is written.
    begins_well: bool,
    /// Where the topmost Via value of a response stands.
    via: Option<Range<usize>>,
    /// Where a To without a tag ends.
    untagged_to: Option<usize>,
    fault: Option<BuildError>,
}

impl Builder {
    /// Starts a request; for a method the core does not name see
    /// [`request_named`](Self::request_named).
    pub fn request(method: Method, uri: &str) -> Self {
        Self::request_named(method.as_str(), uri)
    }

    /// Starts a request with any method.
    pub fn request_named(method: &str, uri: &str) -> Self {
        let mut builder = Self::empty();
        builder.check(Name::Other, uri);
        builder.line(&[method, " ", uri, " SIP/2.0"]);
        let is_method = !method.is_empty() && method.bytes().all(is_token);
        builder.begins_well = is_method && !uri.is_empty() && uri.bytes().all(is_request_uri);
        builder
    }

    /// Starts the response to `request`: every Via, From, To, Call-ID and CSeq are copied as they
    /// came (RFC 3261 §8.2.6.2), and Timestamp into a 100 (§8.2.6.1).
    pub fn response(request: &Message, status: u16, reason: &str) -> Self {
        let mut builder = Self::empty();
        builder.check(Name::Other, reason);
        // Writing to a vector cannot fail.
        let _ = write!(builder.out, "SIP/2.0 {status} ");
        builder.line(&[reason]);
        builder.begins_well = (100..700).contains(&status);
        for line in request.lines().filter(|line| line.name() == Name::Via) {
            builder.copy_via(line.raw(), line.value());
            builder.lines += 1;
        }
        for name in [Name::From, Name::To, Name::CallId, Name::CSeq] {
            let Some(line) = request.lines().find(|line| line.name() == name) else {
                continue;
            };
            builder.out.extend_from_slice(line.raw());
            builder.lines += 1;
            if name == Name::To && request.is_untagged() {
                builder.untagged_to = Some(builder.out.trim_ascii_end().len());
            }
        }
        if status == 100 {
            builder = builder.copy(request, Name::Timestamp);
        }
        builder
    }

    /// Notes in the topmost Via of a response where its request really came from: `received` when
    /// it differs from what the Via says or `rport` asks, and the port in `rport` (§18.2.1, RFC
    /// 3581 §4).
    pub fn received(self, source: SocketAddr) -> Self {
        self.stamped(source, None)
    }

    /// As [`received`](Self::received); and tells our load there, if `oc` is given and the sender
    /// offered to heed it (RFC 7339 §4).
    pub fn stamped(mut self, source: SocketAddr, oc: Option<&str>) -> Self {
        let Some(range) = self.via.take() else {
            return self;
        };
        let text = readable(self.out.get(range.clone()).unwrap_or_default());
        let Some(stamped) = Via::parse(&text)
            .ok()
            .and_then(|via| stamp(&text, &via, source, oc.filter(|_| via.offers_oc())))
        else {
            return self;
        };
        let grown = stamped.len() as isize - range.len() as isize;
        self.untagged_to = self.untagged_to.map(|end| end.saturating_add_signed(grown));
        self.out.splice(range, stamped.into_bytes());
        self
    }

    /// Adds our tag to the To of a response that has none yet.
    pub fn to_tag(mut self, tag: &str) -> Self {
        self.check(Name::To, tag);
        if let Some(end) = self.untagged_to.take() {
            let tag = b";tag=".iter().chain(tag.as_bytes());
            self.out.splice(end..end, tag.copied());
        }
        self
    }

    /// Adds a header: `name` is a [`Name`] or any token.
    pub fn header(mut self, name: impl AsRef<str>, value: &str) -> Self {
        let name = name.as_ref();
        let known = Name::from_text(name);
        self.check(known, value);
        if name.is_empty() || !name.bytes().all(is_token) {
            self.fault.get_or_insert(BuildError::HeaderName);
        }
        if known == Name::ContentLength {
            self.fault.get_or_insert(BuildError::ContentLength);
        }
        self.line(&[name, ": ", value]);
        self.lines += 1;
        self
    }

    /// Copies every line called `name` from another message, byte for byte.
    pub fn copy(self, from: &Message, name: Name) -> Self {
        self.copy_lines(from, |header| header.name() == name)
    }

    /// Copies the lines that `wanted` picks, byte for byte and in order; Content-Length is never
    /// copied.
    pub fn copy_lines(
        mut self,
        from: &Message,
        wanted: impl Fn(&super::Header<'_>) -> bool,
    ) -> Self {
        for line in from
            .lines()
            .filter(|line| line.name() != Name::ContentLength && wanted(line))
        {
            self.out.extend_from_slice(line.raw());
            self.lines += 1;
        }
        self
    }

    /// Sets the body and its Content-Type.
    pub fn body(mut self, content_type: &str, body: Bytes) -> Self {
        self.body = body;
        self.header(Name::ContentType, content_type)
    }

    /// Writes Content-Length and the body, and reads the result.
    ///
    /// # Errors
    /// The first thing that was wrong: see [`BuildError`].
    pub fn build(self) -> Result<Message, BuildError> {
        Message::parse(self.finish()?.0).map_err(BuildError::Malformed)
    }

    /// As [`build`](Self::build), for who only sends it. What was looked at piece by piece and is short is
    /// not read again.
    ///
    /// # Errors
    /// As of [`build`](Self::build).
    pub fn wire(self) -> Result<Bytes, BuildError> {
        let is_sound = self.begins_well && self.lines < HEADERS_MAX;
        let (bytes, head) = self.finish()?;
        if !is_sound || head > HEADER_MAX || bytes.len() > MESSAGE_MAX {
            Message::parse(bytes.clone()).map_err(BuildError::Malformed)?;
        }
        debug_assert!(Message::parse(bytes.clone()).is_ok());
        Ok(bytes)
    }

    /// The bytes, and how many of them are the head.
    fn finish(mut self) -> Result<(Bytes, usize), BuildError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        // Writing to a vector cannot fail.
        let _ = write!(self.out, "Content-Length: {}\r\n\r\n", self.body.len());
        let head = self.out.len();
        self.out.extend_from_slice(&self.body);
        Ok((Bytes::from(self.out), head))
    }

    fn empty() -> Self {
        let out = Vec::with_capacity(1024);
        Self {
            out,
            body: Bytes::new(),
            lines: 0,
            begins_well: false,
            via: None,
            untagged_to: None,
            fault: None,
        }
    }

    fn line(&mut self, parts: &[&str]) {
        for part in parts {
            self.out.extend_from_slice(part.as_bytes());
        }
        self.out.extend_from_slice(b"\r\n");
    }

    /// Remembers a value that would break out of its line.
    fn check(&mut self, name: Name, value: &str) {
        if memchr::memchr3(b'\r', b'\n', 0, value.as_bytes()).is_some() {
            self.fault.get_or_insert(BuildError::Injection(name));
        }
    }

    /// Copies a Via line, and remembers where the first of all Via values lies.
    fn copy_via(&mut self, raw: &[u8], value: &str) {
        let start = self.out.len();
        self.out.extend_from_slice(raw);
        let first = super::scan::split_values(value).next();
        if let (None, Some((_, first))) = (&self.via, first) {
            let colon = raw.iter().position(|&b| b == b':').unwrap_or(0) + 1;
            let tail = raw.get(colon..).unwrap_or_default();
            let lead = tail.len() - tail.trim_ascii_start().len();
            // Octets that are no UTF-8 are copied as they came, and cannot be stamped.
            if !tail.trim_ascii_start().starts_with(first.as_bytes()) {
                return;
            }
            let begin = start + colon + lead;
            self.via = Some(begin..begin + first.len());
        }
    }
}

/// The Via text with `received` and `rport` set from `source`, and `oc` in place of what offered it
/// (RFC 7339 §4); `None` when nothing need change.
pub(super) fn stamp(
    text: &str,
    via: &Via<'_>,
    source: SocketAddr,
    oc: Option<&str>,
) -> Option<String> {
    let wants_port = via.rport().is_some();
    let is_true = !wants_port && via.host.ip() == Some(source.ip().to_canonical());
    if is_true && oc.is_none() {
        return None;
    }
    let head = text
        .get(..text.len() - params_length(text, &via.params))
        .unwrap_or(text);
    let mut out = String::with_capacity(text.len() + STAMP_USUAL);
    out.push_str(head.trim_ascii_end());
    for piece in via.params.pieces() {
        let name = piece
            .split_once('=')
            .map_or(piece, |(name, _)| name)
            .trim_ascii();
        let is = |other| name.eq_ignore_ascii_case(other);
        if !is("received") && !is("rport") && !(oc.is_some() && (is("oc") || is("oc-algo"))) {
            out.push(';');
            out.push_str(piece.trim_ascii());
        }
    }
    if let Some(oc) = oc {
        out.push(';');
        out.push_str(oc);
    }
    if is_true {
        return Some(out);
    }
    // Writing to a string cannot fail.
    let _ = write!(out, ";received={}", source.ip().to_canonical());
    if wants_port {
        let _ = write!(out, ";rport={}", source.port());
    }
    Some(out)
}

/// What `received` and `rport` add to a Via, about.
const STAMP_USUAL: usize = 64;

fn params_length(text: &str, params: &Params<'_>) -> usize {
    let blanks = text.len() - text.trim_ascii_end().len();
    params.as_str().len() + blanks
}

/// The stateless refusal of a request that did not parse, `None` when none may or can be sent.
///
/// Form faults leave no [`Message`], so the five headers a response needs are picked from the lines
/// that are whole.
pub fn refusal_of(bytes: &[u8], error: &ParseError, to_tag: &str) -> Option<Bytes> {
    let status = error.answer?;
    let mut lines = Lines::of(bytes);
    let first = lines.next()?;
    if first.starts_with(b"ACK ") || first.get(..4)?.eq_ignore_ascii_case(b"SIP/") {
        return None;
    }
    let mut picked: [Vec<&[u8]>; 5] = Default::default();
    for line in lines.take(HEADERS_MAX) {
        let name_length = line.iter().position(|&b| !is_token(b)).unwrap_or(0);
        let (name, value) = line.split_at_checked(name_length)?;
        if !value.trim_ascii_start().starts_with(b":") {
            continue;
        }
        let Some(place) = Name::from_bytes(name).copied_place() else {
            continue;
        };
        let slot = picked.get_mut(place)?;
        if place == 0 || slot.is_empty() {
            slot.push(line);
        }
    }
    if picked.iter().any(Vec::is_empty) {
        return None;
    }
    let reason = reason_of(status);
    let mut out = format!("SIP/2.0 {status} {reason}\r\n").into_bytes();
    for (place, line) in picked
        .iter()
        .enumerate()
        .flat_map(|(place, lines)| lines.iter().map(move |l| (place, *l)))
    {
        out.extend_from_slice(line);
        let is_untagged = memchr::memmem::find(line, b"tag").is_none();
        if place == 2 && is_untagged {
            out.extend_from_slice(format!(";tag={to_tag}").as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    let out = Bytes::from(out);
    Message::parse(out.clone()).is_ok().then_some(out)
}

/// The phrase RFC 3261 §21 gives the statuses this layer answers with.
pub(crate) const fn reason_of(status: u16) -> &'static str {
    match status {
        414 => "Request-URI Too Long",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        _ => "Bad Request",
    }
}

/// Header lines that end in CRLF and hold no stray CR, LF or NUL, folds joined to their line; ends
/// at the blank line.
pub(super) struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    pub(super) const fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let (mut end, mut is_clean) = crlf(self.rest, 0)?;
            while matches!(self.rest.get(end + 2), Some(b' ' | b'\t')) {
                let (further, is_clean_too) = crlf(self.rest, end + 2)?;
                (end, is_clean) = (further, is_clean && is_clean_too);
            }
            let (line, rest) = (self.rest.get(..end)?, self.rest.get(end + 2..)?);
            self.rest = rest;
            if line.is_empty() {
                return None;
            }
            if is_clean {
                return Some(line);
            }
        }
    }
}

/// Where the next CRLF stands, and whether no CR, LF or NUL stands before it.
fn crlf(bytes: &[u8], from: usize) -> Option<(usize, bool)> {
    let (mut at, mut is_clean) = (from, true);
    loop {
        at += memchr::memchr3(b'\r', b'\n', 0, bytes.get(at..)?)?;
        if bytes.get(at..at + 2) == Some(b"\r\n") {
            return Some((at, is_clean));
        }
        (at, is_clean) = (at + 1, false);
    }
}
