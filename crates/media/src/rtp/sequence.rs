//! Numbers that wrap: sequence numbers (16 bits) and timestamps (32 bits), and their extension to 64.
//!
//! Neither is `Ord`: `<` would lie at the wrap. Of two values the later one is the one less than
//! half a turn ahead (RFC 1982); values exactly half a turn apart are not in any order.

/// An RTP sequence number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sequence(pub u16);

impl Sequence {
    /// The number `steps` further on.
    pub const fn plus(self, steps: u16) -> Self {
        Self(self.0.wrapping_add(steps))
    }

    /// How far `self` is ahead of `earlier`, negative when behind; between −32,768 and 32,767.
    pub const fn ahead_of(self, earlier: Self) -> i16 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }

    /// Whether `self` comes after `other`, by less than half a turn.
    pub const fn is_after(self, other: Self) -> bool {
        self.ahead_of(other) > 0
    }
}

/// A point on one stream's sampling clock. Compare with [`RtpTime::is_after`]: `<` would lie at the wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RtpTime(pub u32);

impl RtpTime {
    /// The point `ticks` of the sampling clock further on.
    pub const fn plus(self, ticks: u32) -> Self {
        Self(self.0.wrapping_add(ticks))
    }

    /// How many ticks `self` is ahead of `earlier`, negative when behind.
    pub const fn ahead_of(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }

    /// Whether `self` comes after `other`, by less than half a turn.
    pub const fn is_after(self, other: Self) -> bool {
        self.ahead_of(other) > 0
    }
}

/// Extends sequence numbers to 64 bits that never wrap.
#[derive(Clone, Copy, Debug)]
pub struct SequenceExtender {
    highest: i64,
}

impl SequenceExtender {
    /// Starts at `first`, whose extension is its own value plus one turn, so that what was sent
    /// before it still has a positive number.
    pub fn new(first: Sequence) -> Self {
        Self {
            highest: i64::from(first.0) + 0x1_0000,
        }
    }

    /// Extends `sequence` to the value nearest the highest one seen by [`SequenceExtender::extend`].
    pub fn peek(&self, sequence: Sequence) -> i64 {
        // The low 16 bits of `highest` are the wrapped number, so the cast keeps exactly those.
        let highest = Sequence((self.highest & 0xFFFF) as u16);
        self.highest + i64::from(sequence.ahead_of(highest))
    }

    /// Extends `sequence` and remembers it when it is the highest so far.
    pub fn extend(&mut self, sequence: Sequence) -> i64 {
        let extended = self.peek(sequence);
        self.highest = self.highest.max(extended);
        extended
    }

    /// The highest extended number so far.
    pub const fn highest(&self) -> i64 {
        self.highest
    }
}

/// Extends timestamps to 64 bits that never wrap.
#[derive(Clone, Copy, Debug)]
pub struct TimeExtender {
    highest: i64,
}

impl TimeExtender {
    /// Starts at `first`, whose extension is its own value plus one turn.
    pub fn new(first: RtpTime) -> Self {
        Self {
            highest: i64::from(first.0) + 0x1_0000_0000,
        }
    }

    /// Extends `time` to the value nearest the highest one seen by [`TimeExtender::extend`].
    pub fn peek(&self, time: RtpTime) -> i64 {
        let highest = RtpTime((self.highest & 0xFFFF_FFFF) as u32);
        self.highest + i64::from(time.ahead_of(highest))
    }

    /// The highest so far.
    pub fn highest(&self) -> i64 {
        self.highest
    }

    /// Extends `time` and remembers it when it is the highest so far.
    pub fn extend(&mut self, time: RtpTime) -> i64 {
        let extended = self.peek(time);
        self.highest = self.highest.max(extended);
        extended
    }
}
