//! How late packets come, and the delay that follows from it.
//!
//! A packet's transit is its arrival on our clock less its timestamp on the sender's: it means
//! nothing alone, but the smallest of the last seconds is the path at its best, and what a packet
//! has above it is its lateness. Both clocks may drift: everything is forgotten after 8 s at most.

use clock::Now;

use super::JitterConfig;

/// Nanoseconds on a scale with an arbitrary zero.
pub(super) type Nanos = i64;

/// What one window of 4 s has seen.
#[derive(Clone, Copy, Debug)]
struct Window {
    least: Nanos,
    /// The three largest transits, largest first.
    most: [Nanos; 3],
}

const EMPTY: Window = Window {
    least: Nanos::MAX,
    most: [Nanos::MIN; 3],
};

impl Window {
    fn add(&mut self, transit: Nanos) {
        self.least = self.least.min(transit);
        let mut rest = transit;
        for most in &mut self.most {
            if rest > *most {
                std::mem::swap(most, &mut rest);
            }
        }
    }
}

/// The transit times of one stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delay {
    recent: Window,
    before: Window,
    turns_at: Now,
    /// No window is complete yet: the configured first delay stands as a floor.
    young: bool,
    /// What the packets' length adds when frames do not end where packets do.
    straddle: Nanos,
}

impl Delay {
    pub(super) fn new(now: Now, transit: Nanos) -> Self {
        let mut recent = EMPTY;
        recent.add(transit);
        let turns_at = now + WINDOW;
        Self {
            recent,
            before: EMPTY,
            turns_at,
            young: true,
            straddle: 0,
        }
    }

    pub(super) fn observe(&mut self, now: Now, transit: Nanos, straddle: Nanos) {
        if now >= self.turns_at {
            self.before = self.recent;
            self.recent = EMPTY;
            self.turns_at = now + WINDOW;
            self.young = false;
        }
        self.recent.add(transit);
        self.straddle = straddle;
    }

    /// The smallest transit of the last 4 to 8 s.
    pub(super) fn base(&self) -> Nanos {
        self.recent.least.min(self.before.least)
    }

    /// The delay to aim for: the third largest lateness, so that two late packets in 4 to 8 s
    /// (1 % to 0.5 % of 20 ms packets) do not hold everybody up; bounded by `config`.
    pub(super) fn target(&self, config: &JitterConfig) -> Nanos {
        let mut both = self.before;
        for transit in self.recent.most {
            both.add(transit);
        }
        let third = both.most[2];
        let late = if third == Nanos::MIN {
            0
        } else {
            third - self.base()
        };
        let floor = if self.young {
            config.initial()
        } else {
            config.min()
        };
        late.clamp(nanos(floor), nanos(config.max())) + self.straddle
    }
}

/// A configured span on the signed scale; configured spans are below 2^63 ns.
fn nanos(span: clock::Duration) -> Nanos {
    Nanos::try_from(span.as_nanos()).unwrap_or(Nanos::MAX)
}

const WINDOW: clock::Duration = clock::Duration::from_secs(4);
