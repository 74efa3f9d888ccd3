//! The packets that wait for their turn: one ring of places, one ring of bytes.
//!
//! A packet's place is its sequence number's low bits, so that finding one is O(1). Payloads are
//! written one behind the other into a ring of bytes; who is overtaken by the writer is lost, and
//! found to be so when his turn comes. Nothing is ever given back, moved or allocated.

/// Nothing but the capacity is taken when it is made: memory is touched with the first packet.
#[derive(Debug)]
pub(super) struct PacketRing {
    places: Vec<Place>,
    /// As long as this stream needs.
    bytes: Vec<u8>,
    /// Bytes written since the beginning, gaps at the ring's end included.
    written: u64,
}

/// What is known of one sequence number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Extended; none (negative) before the place is first used.
    pub(super) sequence: i64,
    /// Extended timestamp of its first sample.
    pub(super) time: i64,
    /// What it covers of the RTP clock; none for a packet that is not audio.
    pub(super) ticks: i64,
    pub(super) state: State,
    start: u64,
    len: usize,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its audio waits.
    Waiting,
    /// It carried no audio, but says that its time was not lost.
    Told,
    /// Its turn is over. It stays known, so that a duplicate is seen as one.
    Over,
}

const VACANT: Place = Place {
    sequence: -1,
    time: 0,
    ticks: 0,
    state: State::Over,
    start: 0,
    len: 0,
};

impl Place {
    /// The end of its audio on the sender's clock.
    pub(super) fn end(&self) -> i64 {
        self.time + self.ticks
    }
}

impl PacketRing {
    pub(super) fn new() -> Self {
        Self {
            places: Vec::with_capacity(PLACES),
            bytes: Vec::with_capacity(BYTES),
            written: 0,
        }
    }

    /// Forgets all packets, and has room for `bytes` of the next ones, [`BYTES`] at most. Within the capacity
    /// taken by [`PacketRing::new`]: nothing is allocated.
    pub(super) fn clear(&mut self, bytes: usize) {
        self.places.clear();
        self.places.resize(PLACES, VACANT);
        self.bytes.clear();
        self.bytes.resize(bytes.min(BYTES), 0);
        self.written = 0;
    }

    #[cfg(test)]
    pub(super) fn capacities(&self) -> [usize; 2] {
        [self.places.capacity(), self.bytes.capacity()]
    }

    /// What is known in the place of `sequence`: of it, of an older or of a newer one.
    pub(super) fn known(&self, sequence: i64) -> i64 {
        self.places
            .get(index_of(sequence))
            .map_or(-1, |place| place.sequence)
    }

    /// What is known of `sequence`.
    pub(super) fn get(&self, sequence: i64) -> Option<&Place> {
        self.places
            .get(index_of(sequence))
            .filter(|place| place.sequence == sequence)
    }

    /// The payload of `place`, unless newer ones were written over it.
    pub(super) fn payload(&self, place: &Place) -> Option<&[u8]> {
        if place.start + (self.bytes.len() as u64) < self.written {
            return None;
        }
        let start = self.at(place.start);
        self.bytes.get(start..start + place.len)
    }

    /// Stores a packet in place of the one 64 before it; `true` if that one's audio still waited.
    /// A `payload` longer than the ring is not stored; an empty one tells of time without audio.
    pub(super) fn store(&mut self, sequence: i64, time: i64, ticks: i64, payload: &[u8]) -> bool {
        let mut start = self.written;
        let left = self.bytes.len() - self.at(start);
        if payload.len() > left {
            start += left as u64;
        }
        let at = self.at(start);
        let Some(bytes) = self.bytes.get_mut(at..at + payload.len()) else {
            return false;
        };
        bytes.copy_from_slice(payload);
        self.written = start + payload.len() as u64;
        let state = if payload.is_empty() {
            State::Told
        } else {
            State::Waiting
        };
        let Some(place) = self.places.get_mut(index_of(sequence)) else {
            return false;
        };
        let overwritten = place.state == State::Waiting;
        *place = Place {
            sequence,
            time,
            ticks,
            state,
            start,
            len: payload.len(),
        };
        overwritten
    }

    /// Where in the ring what was written as the byte `written` lies.
    fn at(&self, written: u64) -> usize {
        (written % (self.bytes.len() as u64).max(1)) as usize
    }

    /// Ends the turn of `sequence`; `true` if its audio waited.
    pub(super) fn finish(&mut self, sequence: i64) -> bool {
        let Some(place) = self.places.get_mut(index_of(sequence)) else {
            return false;
        };
        let waited = place.sequence == sequence && place.state == State::Waiting;
        if waited {
            place.state = State::Over;
        }
        waited
    }

    /// Packets whose audio waits.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Place> {
        self.places
            .iter()
            .filter(|place| place.state == State::Waiting)
    }
}

fn index_of(sequence: i64) -> usize {
    // PLACES is a power of two, so the low bits of a (never negative) sequence are its place.
    sequence.cast_unsigned() as usize % PLACES
}

/// Packets held: 1,280 ms of 20 ms packets, 640 ms of 10 ms packets.
pub(super) const PLACES: usize = 64;

/// Bytes held at most: 2 s of G.711 and G.722, half a second of linear sound at 16 kHz.
pub(super) const BYTES: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::{BYTES, PLACES, PacketRing, State};

    #[test]
    fn a_payload_is_what_was_stored_until_newer_ones_lie_over_it() {
        let mut ring = PacketRing::new();
        ring.clear(BYTES);
        let payload = |n: i64| vec![(n % 251) as u8; 900 + (n % 7) as usize];
        for n in 0..200_i64 {
            let over = ring.store(n, n * 160, 160, &payload(n));
            assert_eq!(over, n >= PLACES as i64, "{n}");
            let mut held = 0;
            for old in (n - 63).max(0)..=n {
                let place = *ring.get(old).unwrap();
                if let Some(bytes) = ring.payload(&place) {
                    assert_eq!(bytes, payload(old), "{n} {old}");
                    held += bytes.len();
                }
            }
            assert!(held <= BYTES && (n < 20 || held > BYTES - 2_000), "{held}");
        }
    }

    #[test]
    fn a_turn_ends_once_and_stays_known() {
        let mut ring = PacketRing::new();
        ring.clear(BYTES);
        assert!(ring.get(5).is_none() && !ring.finish(5));
        assert!(!ring.store(5, 0, 160, &[1; 160]));
        assert!(!ring.store(6, 160, 0, &[]));
        assert_eq!(ring.get(6).unwrap().state, State::Told);
        assert_eq!(ring.waiting().count(), 1);
        assert!(ring.finish(5) && !ring.finish(5) && !ring.finish(6));
        assert_eq!((ring.known(5), ring.known(5 + 64)), (5, 5));
        ring.clear(BYTES);
        assert_eq!(ring.known(5), -1);
    }

    #[test]
    fn a_smaller_ring_holds_less_and_never_tells_one_packet_for_another() {
        let mut ring = PacketRing::new();
        ring.clear(1_000);
        for n in 0..200_i64 {
            ring.store(n, n * 160, 160, &[n as u8; 160]);
            let kept = |old: &i64| {
                let place = ring.get(*old).copied();
                let bytes = place.and_then(|place| ring.payload(&place));
                assert!(
                    bytes.is_none_or(|bytes| bytes == [*old as u8; 160]),
                    "{n} {old}"
                );
                bytes.is_some()
            };
            let kept = ((n - 63).max(0)..=n).filter(kept).count();
            assert!(kept >= 6.min(n as usize + 1) && kept <= 6, "{n}: {kept}");
        }
        assert!(
            !ring.store(200, 0, 160, &[0; 1_001]),
            "longer than the ring"
        );
    }
}
