//! A capture: a copy of a port's packets as they came and went, to a ring, for whoever must see a call.
//!
//! It sits on one port until that closes. Both directions and both lanes, before any gate: what was
//! dropped is seen too. The ring's entries are of one size and made beforehand; when its reader is slow
//! the newest packets are dropped and counted, and sound goes on.

use std::net::SocketAddr;

use clock::Now;
use rtrb::{Consumer, Producer, RingBuffer};

use crate::port::Lane;

/// Bytes of a packet that are kept: 60 ms of G.711 with its header, and any report of ours.
pub const CAPTURED_MAX: usize = 512;

/// One packet, as it was on the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawPacket {
    /// When it came, or when the tick that sent it was.
    pub at: Now,
    /// Whether we sent it.
    pub sent: bool,
    /// On which socket.
    pub lane: Lane,
    /// The other end.
    pub remote: SocketAddr,
    /// Packets between the one before and this one that the ring had no room for.
    pub lost_before: u32,
    /// Its length on the wire, in bytes; what is above [`CAPTURED_MAX`] was cut off.
    pub len: u16,
    bytes: [u8; CAPTURED_MAX],
}

impl RawPacket {
    /// A copy of `packet`.
    pub fn copy(at: Now, sent: bool, lane: Lane, remote: SocketAddr, packet: &[u8]) -> Self {
        let mut bytes = [0; CAPTURED_MAX];
        let kept = packet.len().min(CAPTURED_MAX);
        if let (Some(place), Some(kept)) = (bytes.get_mut(..kept), packet.get(..kept)) {
            place.copy_from_slice(kept);
        }
        Self {
            at,
            sent,
            lane,
            remote,
            lost_before: 0,
            len: u16::try_from(packet.len()).unwrap_or(u16::MAX),
            bytes,
        }
    }

    /// What was kept of it.
    pub fn bytes(&self) -> &[u8] {
        let kept = usize::from(self.len).min(CAPTURED_MAX);
        self.bytes.get(..kept).unwrap_or_default()
    }
}

/// The worker's end of a capture. Built by control, travels boxed, comes back as garbage.
#[derive(Debug)]
pub struct Capture {
    ring: Producer<RawPacket>,
    /// Since the last packet that found room.
    lost: u32,
}

impl Capture {
    /// A capture and the ring's reading end. `packets` fit, some 560 bytes each.
    pub fn new(packets: usize) -> (Box<Self>, Consumer<RawPacket>) {
        let (ring, reader) = RingBuffer::new(packets.max(1));
        (Box::new(Self { ring, lost: 0 }), reader)
    }

    /// Offers a copy of a packet; a full ring drops it, and the next copy that finds room tells.
    ///
    /// *Media thread*: no allocation, no lock, a copy of some 560 bytes.
    pub(crate) fn offer(
        &mut self,
        at: Now,
        sent: bool,
        lane: Lane,
        remote: SocketAddr,
        packet: &[u8],
    ) {
        let mut copy = RawPacket::copy(at, sent, lane, remote, packet);
        copy.lost_before = self.lost;
        self.lost = match self.ring.push(copy) {
            Ok(()) => 0,
            Err(_) => self.lost.saturating_add(1),
        };
    }
}

#[cfg(test)]
mod tests {
    use clock::Now;

    use super::{CAPTURED_MAX, Capture};
    use crate::port::Lane;

    #[test]
    fn a_full_ring_drops_the_newest_and_tells_and_a_long_packet_is_cut_but_keeps_its_length() {
        let (mut capture, mut reader) = Capture::new(2);
        let remote = ([10, 0, 0, 1], 4_000).into();
        for len in [CAPTURED_MAX + 9, 3, 4] {
            let packet = vec![7; len];
            capture.offer(Now::from_nanos(5), true, Lane::Rtcp, remote, &packet);
        }
        let (long, short) = (reader.pop().unwrap(), reader.pop().unwrap());
        assert_eq!(long.len, 521);
        assert_eq!(long.bytes(), [7; CAPTURED_MAX]);
        assert_eq!(short.bytes(), [7; 3]);
        assert_eq!(
            (short.at, short.sent, short.lane),
            (Now::from_nanos(5), true, Lane::Rtcp)
        );
        assert!(reader.pop().is_err());
        assert_eq!((long.lost_before, short.lost_before), (0, 0));
        capture.offer(Now::from_nanos(6), true, Lane::Rtp, remote, &[1]);
        assert_eq!(reader.pop().map(|it| it.lost_before), Ok(1));
    }
}
