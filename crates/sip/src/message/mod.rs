//! A SIP message as one `Bytes` and an index over it (RFC 3261 §7, §25).
//!
//! Parsing settles where things are and refuses what two readers could read differently; values are
//! read when asked for, by the views ([`Message::from`], [`Message::via`] …), so a header nobody
//! asks for costs its place in the index and leaves byte for byte as it came ([`Header::raw`]). A
//! message is immutable: what goes out is made by [`Builder`].
//!
//! Three layers refuse, each with what it knows: [`Message::parse`] (form and limits), the views
//! (one header's grammar), [`Message::validate_request`] and [`Message::validate_response`] (what
//! RFC 3261 §8.1.3 and §8.2 demand before anybody acts on a message).

mod address;
mod build;
mod check;
mod error;
mod glance;
mod index;
mod key;
mod method;
mod name;
mod parse;
mod replaces;
mod scan;
mod uri;
mod via;
mod views;

#[cfg(test)]
mod tests;

pub use address::{NameAddr, name_addr};
pub use build::{BuildError, Builder, refusal_of};
pub use check::{Accepts, Cause, Refusal};
pub use error::{ErrorKind, ParseError};
pub use glance::{Glance, Rebuff};
pub use key::TransactionKey;
pub use method::Method;
pub use name::Name;
pub use replaces::Replaces;
pub use uri::{Host, Params, Scheme, Uri, escape_user, unescape};
pub use via::{MAGIC_COOKIE, Via};
pub use views::{CSeq, Deltas, Labelled, MediaType, RAck, Reason};

use bytes::{Buf, Bytes};
use index::{Entry, Index, Start};
use std::fmt;
use std::sync::Arc;

/// Bounds on what is read, checked before anything is stored.
pub mod limits {
    /// Bytes of a message, head and body.
    pub const MESSAGE_MAX: usize = 65_535;
    /// Headers of a message, each line counted.
    pub const HEADERS_MAX: usize = 256;
    /// Bytes of one header with its folds, and of the start line.
    pub const HEADER_MAX: usize = 8 * 1024;
}

/// A parsed message. Cloning it copies two pointers.
#[derive(Clone)]
pub struct Message {
    bytes: Bytes,
    body: Bytes,
    index: Arc<Index>,
}

impl Message {
    /// Reads one message: a datagram, a WebSocket frame, or what a
    /// [`crate::transport::StreamFramer`] cut.
    ///
    /// CRLFs before the start line are skipped (RFC 3261 §7.5), octets behind the declared body
    /// dropped (§18.3). Without Content-Length the body is all that follows the head.
    ///
    /// # Errors
    /// The first fault found, in the order of the bytes; [`ParseError::answer`] says what it earns.
    pub fn parse(mut bytes: Bytes) -> Result<Self, ParseError> {
        while bytes.starts_with(b"\r\n") {
            bytes.advance(2);
        }
        let mut shared = Arc::new(Index::empty());
        if let Some(index) = Arc::get_mut(&mut shared) {
            parse::index(&bytes, index)?;
        }
        let index = &*shared;
        let present = bytes.len() - index.body;
        let length = index.content_length.unwrap_or(present);
        let error = if length > present {
            ParseError::new(
                ErrorKind::Framing,
                bytes.len(),
                None,
                "as many bytes as Content-Length says",
            )
        } else if index.body + length > limits::MESSAGE_MAX {
            ParseError::new(
                ErrorKind::Limit,
                limits::MESSAGE_MAX,
                None,
                "a message of at most 65535 bytes",
            )
            .answered(513)
        } else {
            let body = bytes.slice(index.body..index.body + length);
            return Ok(Self {
                bytes,
                body,
                index: shared,
            });
        };
        let is_request = matches!(index.start, Start::Request { .. });
        Err(if is_request {
            error
        } else {
            error.unanswered()
        })
    }

    /// Whether this is a request; else it is a response.
    pub fn is_request(&self) -> bool {
        matches!(self.index.start, Start::Request { .. })
    }

    /// A request's method.
    pub fn method(&self) -> Option<Method> {
        match self.index.start {
            Start::Request { method, .. } => Some(method),
            Start::Response { .. } => None,
        }
    }

    /// A request's method as spelled.
    pub fn method_str(&self) -> Option<&str> {
        match self.index.start {
            Start::Request { method_end, .. } => Some(self.text(0, method_end)),
            Start::Response { .. } => None,
        }
    }

    /// A request's Request-URI as spelled.
    pub fn request_uri(&self) -> Option<&str> {
        match self.index.start {
            Start::Request {
                method_end,
                uri_end,
                ..
            } => Some(self.text(method_end + 1, uri_end)),
            Start::Response { .. } => None,
        }
    }

    /// A response's status, 100 to 699.
    pub fn status(&self) -> Option<u16> {
        match self.index.start {
            Start::Request { .. } => None,
            Start::Response { status, .. } => Some(status),
        }
    }

    /// A response's reason phrase, empty for a request.
    pub fn reason(&self) -> &str {
        match &self.index.start {
            Start::Request { .. } => "",
            Start::Response {
                reason_latin1: Some(text),
                ..
            } => text,
            Start::Response {
                reason_start,
                reason_end,
                ..
            } => self.text(*reason_start, *reason_end),
        }
    }

    /// The first value line called `name`: unfolded, without blanks around it, not split at commas.
    pub fn header(&self, name: Name) -> Option<&str> {
        self.entry(name)
            .map(|entry| self.index.value(entry, &self.bytes))
    }

    /// Every line called `name`, top to bottom; see [`values`](Self::values) to split lists.
    pub fn headers(&self, name: Name) -> impl Iterator<Item = &str> {
        self.entries(name)
            .map(|entry| self.index.value(entry, &self.bytes))
    }

    /// Every value of a list header, across lines and commas (§7.3.1); commas in quotes or brackets
    /// separate nothing.
    pub fn values(&self, name: Name) -> impl Iterator<Item = &str> {
        self.headers(name)
            .flat_map(scan::split_values)
            .map(|(_, value)| value)
            .filter(|value| !value.is_empty())
    }

    /// The first header so named, in any case; compact forms are found by [`header`](Self::header).
    pub fn header_named(&self, name: &str) -> Option<&str> {
        match Name::from_text(name) {
            Name::Other => self
                .lines()
                .find(|line| line.name_text().eq_ignore_ascii_case(name))
                .map(|line| line.value()),
            known => self.header(known),
        }
    }

    /// Every header line in order, as needed to pass on what is not understood.
    pub fn lines(&self) -> impl Iterator<Item = Header<'_>> {
        self.index.entries().map(|entry| Header {
            message: self,
            entry,
        })
    }

    /// The body, empty if there is none.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// The whole message as it came.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    fn entry(&self, name: Name) -> Option<&Entry> {
        self.entries(name).next()
    }

    fn entries(&self, name: Name) -> impl Iterator<Item = &Entry> + Clone {
        self.index.entries().filter(move |entry| entry.name == name)
    }

    fn text(&self, start: u16, end: u16) -> &str {
        let range = usize::from(start)..usize::from(end);
        str::from_utf8(self.bytes.get(range).unwrap_or_default()).unwrap_or_default()
    }
}

impl fmt::Debug for Message {
    /// The first line only: headers hold personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status() {
            Some(status) => write!(f, "Message({status} {})", self.reason()),
            None => write!(f, "Message({})", self.method_str().unwrap_or_default()),
        }
    }
}

/// One header line.
#[derive(Clone, Copy)]
pub struct Header<'a> {
    message: &'a Message,
    entry: &'a Entry,
}

impl<'a> Header<'a> {
    /// Which header it is.
    pub const fn name(&self) -> Name {
        self.entry.name
    }

    /// Its name as spelled.
    pub fn name_text(&self) -> &'a str {
        self.message
            .text(self.entry.line, self.entry.line + self.entry.name_length)
    }

    /// Its value: unfolded, without blanks around it.
    pub fn value(&self) -> &'a str {
        self.message.index.value(self.entry, &self.message.bytes)
    }

    /// The line as it came: folds and the final CRLF with it.
    pub fn raw(&self) -> &'a [u8] {
        let range = usize::from(self.entry.line)..usize::from(self.entry.next);
        self.message.bytes.get(range).unwrap_or_default()
    }
}

/// The Content-Length of a complete head, for the one who cuts streams: the rules are those of
/// [`Message::parse`].
pub(crate) fn head_of(head: &[u8]) -> Result<Option<usize>, ParseError> {
    let mut index = Index::empty();
    parse::index(head, &mut index)?;
    Ok(index.content_length)
}
