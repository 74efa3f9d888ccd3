//! Cutting a byte stream into messages (RFC 3261 §18.3) and telling keep-alives from them (RFC 5626
//! §4.4.1).
//!
//! On a stream nothing but Content-Length says where a message ends, so a head whose length is
//! absent, repeated or not a number cannot be survived: the stream has no next message. The caller
//! answers if it may, then closes.

use crate::message::limits::MESSAGE_MAX;
use crate::message::{ErrorKind, ParseError, head_of};
use bytes::{Buf, Bytes, BytesMut};
use std::fmt;

/// What answers a [`Frame::Ping`].
pub const PONG: &[u8] = b"\r\n";

/// Bytes that may wait undelivered: one message whole and one read behind it.
const BUFFER_MAX: usize = 2 * MESSAGE_MAX;

/// One thing found on the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A whole message, head and body.
    Message(Bytes),
    /// A double CRLF: answer it with [`PONG`] at once.
    Ping,
}

/// The stream cannot be cut any further: close the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameError {
    /// What was wrong with the head, offsets from its start.
    pub error: ParseError,
    /// The head that could not be framed, for a last answer; empty when none is complete.
    pub head: Bytes,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the stream cannot be cut: {}", self.error)
    }
}

impl std::error::Error for FrameError {}

/// Cuts one connection's bytes. Feed with [`push`](Self::push), then drain
/// [`poll_frame`](Self::poll_frame) to `None`.
#[derive(Debug, Default)]
pub struct StreamFramer {
    buffer: BytesMut,
    /// Bytes of `buffer` known to hold no end of headers, so that a slow sender costs no second
    /// look.
    searched: usize,
    /// The length of the message at the front, once its head has been read.
    wanted: Option<usize>,
}

impl StreamFramer {
    /// A framer at the start of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes as read from the connection.
    ///
    /// # Errors
    /// When more than twice the largest message waits undelivered: the caller does not drain, or
    /// one read brought more.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), FrameError> {
        if self.buffer.len() + bytes.len() > BUFFER_MAX {
            return Err(too_large(self.buffer.len(), Bytes::new()));
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// The next whole message or keep-alive, `None` until more bytes come.
    ///
    /// # Errors
    /// The head at the front is malformed, has no one Content-Length, or declares more than a
    /// message may hold.
    pub fn poll_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        if self.wanted.is_none() {
            if self.skip_blank_lines() {
                return Ok(Some(Frame::Ping));
            }
            self.wanted = self.measure()?;
        }
        match self.wanted {
            Some(length) if self.buffer.len() >= length => {
                self.wanted = None;
                self.searched = 0;
                Ok(Some(Frame::Message(self.buffer.split_to(length).freeze())))
            }
            _ => Ok(None),
        }
    }

    /// Whether the stream may end here: nothing of a message waits. (For the one who logs a close.)
    pub fn is_idle(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Drops line ends before a message; true when they made a ping. One CRLF alone is a pong, or
    /// padding.
    fn skip_blank_lines(&mut self) -> bool {
        if self.searched > 0 {
            return false;
        }
        loop {
            if self.buffer.starts_with(b"\r\n\r\n") {
                self.buffer.advance(4);
                return true;
            }
            let next_is_known =
                self.buffer.len() > 3 || matches!(self.buffer.get(2), Some(b) if *b != b'\r');
            if self.buffer.starts_with(b"\r\n") && next_is_known {
                self.buffer.advance(2);
            } else {
                return false;
            }
        }
    }

    /// The whole length of the message at the front, once the end of its head has come.
    fn measure(&mut self) -> Result<Option<usize>, FrameError> {
        if self.buffer.starts_with(b"\r\n") || self.buffer.as_ref() == b"\r" {
            return Ok(None);
        }
        let from = self.searched.saturating_sub(3);
        let unsearched = self.buffer.get(from..).unwrap_or_default();
        let Some(end) = memchr::memmem::find(unsearched, b"\r\n\r\n").map(|at| from + at + 4)
        else {
            self.searched = self.buffer.len();
            if self.buffer.len() > MESSAGE_MAX {
                return Err(too_large(MESSAGE_MAX, Bytes::new()));
            }
            return Ok(None);
        };
        let refuse = |error| FrameError {
            error,
            head: Bytes::copy_from_slice(
                self.buffer.get(..end.min(MESSAGE_MAX)).unwrap_or_default(),
            ),
        };
        let head = self.buffer.get(..end).unwrap_or_default();
        let declared = head_of(head).map_err(refuse)?;
        let Some(body) = declared else {
            let error = ParseError::new(
                ErrorKind::Framing,
                end,
                None,
                "a Content-Length: this is a stream",
            );
            return Err(refuse(error));
        };
        if body > MESSAGE_MAX.saturating_sub(end) {
            return Err(too_large(
                end,
                refuse(ParseError::new(ErrorKind::Limit, end, None, "")).head,
            ));
        }
        Ok(Some(end + body))
    }
}

fn too_large(offset: usize, head: Bytes) -> FrameError {
    let error = ParseError::new(
        ErrorKind::Limit,
        offset,
        None,
        "a message of at most 65535 bytes",
    );
    FrameError {
        error: error.answered(513),
        head,
    }
}

#[cfg(test)]
mod tests;
