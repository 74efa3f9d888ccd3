//! What was wrong with a message: where, what stood there, what should have, and the answer it
//! earns.

use super::Name;
use std::fmt;

/// Which part of a message a [`ParseError`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request or status line (RFC 3261 §7.1, §7.2).
    StartLine,
    /// A protocol version other than `SIP/2.0`.
    Version,
    /// A header line's form: its name, its colon, its line end (§7.3).
    HeaderLine,
    /// The end of the headers or the length of the body (§18.3).
    Framing,
    /// More bytes or headers than [`super::limits`] permit.
    Limit,
    /// A header this message must have is not there.
    Missing(Name),
    /// The value of this header.
    Value(Name),
    /// A value read on its own, outside a message.
    Syntax,
}

/// A fault in a message, with its place.
///
/// Offsets count bytes from the start of the message (of the text, for a value read on its own).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The part that is wrong.
    pub kind: ErrorKind,
    /// Bytes from the start to the fault.
    pub offset: usize,
    /// The byte found there, `None` at the end.
    pub found: Option<u8>,
    /// What would have been right there.
    pub expected: &'static str,
    /// The status this fault earns; `None` when nothing may be sent, as for a response or an ACK.
    pub answer: Option<u16>,
}

impl ParseError {
    /// A fault that earns a 400.
    pub(crate) const fn new(
        kind: ErrorKind,
        offset: usize,
        found: Option<u8>,
        expected: &'static str,
    ) -> Self {
        Self {
            kind,
            offset,
            found,
            expected,
            answer: Some(400),
        }
    }

    /// The same fault, answered with `status`.
    pub(crate) const fn answered(self, status: u16) -> Self {
        Self {
            answer: Some(status),
            ..self
        }
    }

    /// The same fault in a message that must not be answered.
    pub(crate) const fn unanswered(self) -> Self {
        Self {
            answer: None,
            ..self
        }
    }

    /// The same fault, of a value read alone, placed in the message that holds the value at `base`.
    pub(crate) const fn within(self, name: Name, base: usize) -> Self {
        Self {
            kind: ErrorKind::Value(name),
            offset: self.offset + base,
            ..self
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ErrorKind::StartLine => f.write_str("start line")?,
            ErrorKind::Version => f.write_str("version")?,
            ErrorKind::HeaderLine => f.write_str("header line")?,
            ErrorKind::Framing => f.write_str("framing")?,
            ErrorKind::Limit => f.write_str("limit")?,
            ErrorKind::Missing(name) => return write!(f, "{} is missing", name.as_str()),
            ErrorKind::Value(name) => f.write_str(name.as_str())?,
            ErrorKind::Syntax => f.write_str("syntax")?,
        }
        write!(
            f,
            ", offset {}: expected {}, found ",
            self.offset, self.expected
        )?;
        match self.found {
            Some(byte) => write!(f, "'{}'", byte.escape_ascii()),
            None => f.write_str("the end"),
        }
    }
}

impl std::error::Error for ParseError {}
