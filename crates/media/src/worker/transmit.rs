//! The packets a tick made, until the caller has sent them: a ring of fixed buffers.

use std::net::SocketAddr;

use crate::codec::PAYLOAD_MAX;
use crate::port::{Lane, PortId};
use crate::rtp::HEADER_LEN;

/// A packet to send, whose `len` bytes are in the buffer given to
/// [`Worker::poll_transmit`](super::Worker::poll_transmit).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transmit {
    /// From whose socket.
    pub port: PortId,
    /// From which of its sockets.
    pub lane: Lane,
    /// To where.
    pub to: SocketAddr,
    /// How many bytes.
    pub len: usize,
}

/// A packet to pass on at once: the buffer given to [`Worker::receive`](super::Worker::receive),
/// rewritten in place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Forward {
    /// From whose RTP socket.
    pub port: PortId,
    /// To where.
    pub to: SocketAddr,
    /// How many bytes.
    pub len: usize,
}

/// The largest packet a tick makes: the longest payload with its header; reports are shorter.
pub(crate) const PACKET_MAX: usize = HEADER_LEN + PAYLOAD_MAX;

/// Overflow: when nobody polls, the newest packet is dropped and counted.
#[derive(Debug)]
pub(crate) struct TransmitQueue {
    slots: Box<[Slot]>,
    first: usize,
    held: usize,
    dropped: u64,
}

#[derive(Clone, Debug)]
struct Slot {
    head: Option<Transmit>,
    /// Whether it is protected already: its port has closed.
    sealed: bool,
    bytes: [u8; PACKET_MAX],
}

impl TransmitQueue {
    /// A ring of `capacity` packets.
    pub(crate) fn new(capacity: usize) -> Self {
        let slot = Slot {
            head: None,
            sealed: false,
            bytes: [0; PACKET_MAX],
        };
        Self {
            slots: vec![slot; capacity.max(1)].into(),
            first: 0,
            held: 0,
            dropped: 0,
        }
    }

    /// Lets `write` fill the next buffer; it says how many bytes it wrote, `None` for nothing.
    /// Whether the packet was queued.
    pub(crate) fn push(
        &mut self,
        port: PortId,
        lane: Lane,
        to: SocketAddr,
        write: impl FnOnce(&mut [u8; PACKET_MAX]) -> Option<usize>,
    ) -> bool {
        self.push_as(false, (port, lane, to), write)
    }

    /// The same for a packet that is protected as it is written (`sealed`), or is not.
    pub(crate) fn push_as(
        &mut self,
        sealed: bool,
        (port, lane, to): (PortId, Lane, SocketAddr),
        write: impl FnOnce(&mut [u8; PACKET_MAX]) -> Option<usize>,
    ) -> bool {
        if self.held == self.slots.len() {
            self.dropped += 1;
            return false;
        }
        let at = (self.first + self.held) % self.slots.len();
        let Some(slot) = self.slots.get_mut(at) else {
            return false;
        };
        let Some(len) = write(&mut slot.bytes) else {
            return false;
        };
        slot.sealed = sealed;
        slot.head = Some(Transmit {
            port,
            lane,
            to,
            len: len.min(PACKET_MAX),
        });
        self.held += 1;
        true
    }

    /// Copies the oldest packet to `out`, and says whether it is protected.
    pub(crate) fn pop(&mut self, out: &mut [u8; 1500]) -> Option<(Transmit, bool)> {
        if self.held == 0 {
            return None;
        }
        let places = self.slots.len();
        let slot = self.slots.get_mut(self.first)?;
        let transmit = slot.head.take()?;
        self.first = (self.first + 1) % places;
        self.held -= 1;
        out.get_mut(..transmit.len)?
            .copy_from_slice(slot.bytes.get(..transmit.len)?);
        Some((transmit, slot.sealed))
    }

    /// Packets dropped because nobody polled.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}
