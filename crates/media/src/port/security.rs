//! How a port's packets are guarded on the wire, and where the keys come from.
//!
//! ```text
//!   Plain                                     Awaited ── PortCommand::Key ──▶ Srtp
//!     └──── an update (signalling, SDES) ────────────────────────────────────▶ ┘
//! ```
//!
//! Signalling knows its keys when it agrees (SDES) and states them in the plan or the update. A handshake
//! on the media path (DTLS) ends later: the plan says `Awaited`, and a command brings what it made.

use crate::srtp::{MasterKey, Protector, SrtpError, Unprotector};

/// How a port's packets are guarded on the wire.
#[derive(Debug, Default)]
pub enum Security {
    /// RTP in clear.
    #[default]
    Plain,
    /// SRTP under keys that are known.
    Srtp(Box<Keys>),
    /// SRTP under keys that [`PortCommand::Key`](crate::worker::PortCommand::Key) will bring: until then
    /// nothing is sent and nothing is taken. An update that says it again leaves the keys as they are.
    Awaited,
}

/// Both directions of one port, keyed. Built by control, travels boxed, comes back as garbage.
#[derive(Debug)]
pub struct Keys {
    send: Protector,
    receive: Unprotector,
}

impl Keys {
    /// What we send is protected with `send`, what comes is opened with `receive`. `None` never, for keys
    /// that exist.
    pub fn new(send: MasterKey, receive: MasterKey) -> Option<Box<Self>> {
        Some(Box::new(Self {
            send: Protector::new(send)?,
            receive: Unprotector::new(receive)?,
        }))
    }

    /// Takes over each key that `next` has and this has not; what is replaced leaves in `next`. A key
    /// that stays keeps its rollover counter and its window: with a fresh one, sent packets would be
    /// encrypted twice alike, and old ones heard again.
    pub(crate) fn follow(&mut self, next: &mut Self) {
        if self.send.master() != next.send.master() {
            std::mem::swap(&mut self.send, &mut next.send);
        }
        if self.receive.master() != next.receive.master() {
            next.receive.succeed(&self.receive);
            std::mem::swap(&mut self.receive, &mut next.receive);
        }
    }
}

impl Security {
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Self::Plain)
    }

    /// Whether packets wait for a key.
    pub(crate) fn is_awaited(&self) -> bool {
        matches!(self, Self::Awaited)
    }

    /// Follows what a re-offer agreed; what is replaced leaves in `next`.
    pub(crate) fn follow(&mut self, next: &mut Self) {
        match (self, next) {
            (Self::Srtp(_), Self::Awaited) => {}
            (Self::Srtp(keys), Self::Srtp(next)) => keys.follow(next),
            (security, next) => std::mem::swap(security, next),
        }
    }

    /// Opens a received packet in place and gives its length in clear.
    pub(crate) fn open(&mut self, is_rtcp: bool, packet: &mut [u8]) -> Result<usize, SrtpError> {
        match self {
            Self::Plain => Ok(packet.len()),
            Self::Awaited => Err(SrtpError::Unauthentic),
            Self::Srtp(keys) if is_rtcp => keys.receive.rtcp(packet),
            Self::Srtp(keys) => keys.receive.rtp(packet),
        }
    }

    /// Protects the packet in the first `len` bytes of `buffer` in place and gives its length on the wire;
    /// `None` when it must not be sent.
    pub(crate) fn protect(
        &mut self,
        is_rtcp: bool,
        buffer: &mut [u8],
        len: usize,
    ) -> Option<usize> {
        match self {
            Self::Plain => Some(len),
            Self::Awaited => None,
            Self::Srtp(keys) if is_rtcp => keys.send.rtcp(buffer, len).ok(),
            Self::Srtp(keys) => keys.send.rtp(buffer, len).ok(),
        }
    }
}
