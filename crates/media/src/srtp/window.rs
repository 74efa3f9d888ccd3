//! Packet indices: a sequence number's place in a stream that never wraps, and which were seen.

/// The 128 newest indices of a stream (RFC 3711 §3.3.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    highest: u64,
    /// Bit `n`: `highest - n` was seen.
    seen: u128,
}

impl Window {
    /// A stream in which nothing was seen, whose next index is near `highest`.
    pub(super) fn near(highest: u64) -> Self {
        Self { highest, seen: 0 }
    }

    /// The index of `sequence`, nearest to the highest (RFC 3711 §3.3.1 and appendix A); `None`
    /// before the stream's beginning.
    pub(super) fn guess(&self, sequence: u16) -> Option<u64> {
        let (roc, last) = (self.highest >> 16, (self.highest & 0xFFFF) as u16);
        let roc = if last < 0x8000 {
            let before = sequence > last && sequence - last > 0x8000;
            roc.checked_sub(u64::from(before))?
        } else {
            roc + u64::from(last - 0x8000 > sequence)
        };
        Some((roc << 16) | u64::from(sequence))
    }

    /// Whether `index` is new: neither seen nor older than the window.
    pub(super) fn is_new(&self, index: u64) -> bool {
        match self.highest.checked_sub(index) {
            None => true,
            Some(behind) => behind < WIDTH && self.seen & (1 << behind) == 0,
        }
    }

    /// Notes that `index` was seen; what is older than the window is not noted.
    pub(super) fn mark(&mut self, index: u64) {
        if index > self.highest {
            let ahead = index - self.highest;
            self.seen = if ahead < WIDTH { self.seen << ahead } else { 0 };
            self.highest = index;
        }
        let behind = self.highest - index;
        if behind < WIDTH {
            self.seen |= 1 << behind;
        }
    }

    pub(super) fn highest(&self) -> u64 {
        self.highest
    }
}

const WIDTH: u64 = 128;
