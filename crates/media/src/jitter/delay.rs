//! How late packets come, and the delay that follows from it.
//!
//! A packet's *transit* is its arrival on our clock less its timestamp on the sender's: it means
//! nothing alone, but the smallest of the last seconds is the path at its best, and what a packet
//! has above it is its lateness. Both clocks may drift: what is known fades.
//!
//! The histogram holds the share of packets by transit, forgetting a little with each. The delay to
//! aim for is the cheapest, where a percent of packets that come too late is worth 20 ms. Only some
//! delays can be had: a frame is taken every 20 ms and packets are whole, so that a packet's *slack*
//! (how long after the best path it is needed) can be changed in steps only. [`Delay::shift`] says
//! by how many.

use clock::Now;

use super::JitterConfig;

/// Nanoseconds on a scale with an arbitrary zero.
pub(super) type Nanos = i64;

/// The transit times of one stream.
#[derive(Clone, Debug)]
pub(super) struct Delay {
    /// Shares by transit, [`BUCKET`] each from `origin` on, the last for all beyond half a second. They add up to
    /// `total`; newer packets weigh more instead of older ones less.
    shares: [f32; BUCKETS],
    total: f32,
    weight: f32,
    origin: Nanos,
    /// The smallest transit of this window of 4 s, and of the one before.
    least: [Nanos; 2],
    turns_at: Now,
    /// Packets seen: with few, the configured first delay stands as a floor.
    seen: u32,
    /// Packets in a row that were later than any delay allowed.
    hopeless_run: u8,
}

impl Delay {
    pub(super) fn new(now: Now, transit: Nanos) -> Self {
        let mut delay = Self {
            shares: [0.0; BUCKETS],
            total: 0.0,
            weight: 1.0,
            origin: transit - MARGIN,
            least: [transit, Nanos::MAX],
            turns_at: now + WINDOW,
            seen: 0,
            hopeless_run: 0,
        };
        delay.add(transit);
        delay
    }

    /// Takes the transit of a packet that came at `now`.
    ///
    /// A run of packets later than any delay allowed means that the path has become that much longer.
    pub(super) fn observe(&mut self, now: Now, transit: Nanos, config: &JitterConfig) {
        let hopeless = transit - self.base() > nanos(config.max());
        self.hopeless_run = if hopeless { self.hopeless_run + 1 } else { 0 };
        if self.hopeless_run >= HOPELESS_RUN_MAX {
            *self = Self::new(now, transit);
            return;
        }
        if now >= self.turns_at {
            self.least = [Nanos::MAX, self.least[0]];
            self.turns_at = now + WINDOW;
        }
        self.least[0] = self.least[0].min(transit);
        self.add(transit);
    }

    /// The smallest transit of the last 4 to 8 s.
    pub(super) fn base(&self) -> Nanos {
        self.least[0].min(self.least[1])
    }

    /// By how many steps of `step` the slack should grow (or shrink, when negative) from `slack`, a
    /// point on the scale of transits, to be as cheap as it can be within the bounds of `config`.
    pub(super) fn shift(&self, config: &JitterConfig, slack: Nanos, step: Nanos) -> i64 {
        let (floor, ceiling) = self.bounds(config);
        let step = step.max(STEP_MIN);
        let (lowest, highest) = shifts((floor, ceiling), slack, step);
        // To stay is allowed a little beyond: the path at its best is not known to the millisecond.
        let within = floor - step * 3 / 4..=ceiling.max(floor + step / 2) + step / 4;
        if lowest >= highest {
            return if within.contains(&slack) { 0 } else { lowest };
        }
        let (lowest, highest) = if within.contains(&slack) {
            (lowest.min(0), highest.max(0))
        } else {
            (lowest, highest)
        };
        let (mut best, mut least) = (highest, f32::MAX);
        let mut here = f32::MAX;
        for (shift, cost) in self.costs((lowest, highest), slack, step) {
            if shift == 0 {
                here = cost;
            }
            if cost <= least {
                (best, least) = (shift, cost);
            }
        }
        // To change is heard: only for a gain that is.
        if here < least + GAIN_MIN_MS { 0 } else { best }
    }

    /// The least cost in ms of a slack that is whole steps from `slack`, within the bounds of `config`;
    /// `None` while too little is known of the path.
    pub(super) fn cost_ms(&self, config: &JitterConfig, slack: Nanos, step: Nanos) -> Option<f32> {
        if self.seen < YOUNG {
            return None;
        }
        let step = step.max(STEP_MIN);
        let (lowest, highest) = shifts(self.bounds(config), slack, step);
        let costs = self.costs((lowest, highest.max(lowest)), slack, step);
        let beyond = (self.base() - self.origin) as f32 / NANOS_PER_MS;
        costs.map(|(_, cost)| cost - beyond).reduce(f32::min)
    }

    /// What slacks some steps from `slack` cost, in ms beyond the scale's zero: the highest first, and
    /// then down, since the tail adds up on the way.
    fn costs(
        &self,
        (lowest, highest): (i64, i64),
        slack: Nanos,
        step: Nanos,
    ) -> impl Iterator<Item = (i64, f32)> {
        let mut tail = Tail::new(self);
        (lowest..=highest).rev().map(move |shift| {
            let at = slack + shift * step;
            let wait_ms = (at - self.origin) as f32 / NANOS_PER_MS;
            (shift, wait_ms + PRICE_MS * tail.beyond(at))
        })
    }

    /// The delay to aim for beyond the path at its best, were every delay to be had.
    pub(super) fn target(&self, config: &JitterConfig) -> Nanos {
        let (floor, _) = self.bounds(config);
        let slack = floor - STEP_MIN;
        (slack + self.shift(config, slack, STEP_MIN) * STEP_MIN - self.base()).max(0)
    }

    /// The least and the greatest slack.
    fn bounds(&self, config: &JitterConfig) -> (Nanos, Nanos) {
        let floor = if self.seen < YOUNG {
            config.initial()
        } else {
            config.min()
        };
        (
            self.base() + nanos(floor),
            self.base() + nanos(config.max().max(floor)),
        )
    }

    fn add(&mut self, transit: Nanos) {
        self.follow(self.base() - MARGIN);
        // When few were seen, each counts alike: what is forgotten grows to its final share.
        let forget = FORGET.min(1.0 - 1.0 / (self.seen as f32 + 2.0));
        self.seen = self.seen.saturating_add(1);
        self.weight /= forget;
        if self.weight > WEIGHT_MAX {
            for share in &mut self.shares {
                *share /= self.weight;
            }
            self.total /= self.weight;
            self.weight = 1.0;
        }
        let at = usize::try_from((transit - self.origin) / BUCKET).unwrap_or(0);
        if let Some(share) = self.shares.get_mut(at.min(BUCKETS - 1)) {
            *share += self.weight;
            self.total += self.weight;
        }
    }

    /// Moves the scale's zero to `origin`, by whole buckets, when it has gone that far.
    fn follow(&mut self, origin: Nanos) {
        let off = (origin - self.origin) / BUCKET;
        if off == 0 {
            return;
        }
        self.origin += off * BUCKET;
        let steps = usize::try_from(off.unsigned_abs())
            .unwrap_or(BUCKETS)
            .min(BUCKETS);
        if off > 0 {
            let under: f32 = self.shares.iter().take(steps).sum();
            self.shares.copy_within(steps.., 0);
            self.shares[BUCKETS - steps..].fill(0.0);
            self.shares[0] += under;
        } else {
            let beyond: f32 = self.shares.iter().rev().take(steps).sum();
            self.shares.copy_within(..BUCKETS - steps, steps);
            self.shares[..steps].fill(0.0);
            self.shares[BUCKETS - 1] += beyond;
        }
    }
}

/// By how many steps a slack may change at least and at most to be within the bounds, the least by half a
/// step: what can be had on either side of it is as good.
fn shifts((floor, ceiling): (Nanos, Nanos), slack: Nanos, step: Nanos) -> (i64, i64) {
    let lowest = (floor - step / 2 - slack).div_euclid(step) + 1;
    (lowest, (ceiling - slack).div_euclid(step))
}

/// Walks down the histogram and adds up what lies beyond.
struct Tail<'a> {
    delay: &'a Delay,
    /// The bucket below those added up.
    at: usize,
    sum: f32,
}

impl<'a> Tail<'a> {
    fn new(delay: &'a Delay) -> Self {
        Self {
            delay,
            at: BUCKETS,
            sum: 0.0,
        }
    }

    /// The share of packets with a transit beyond `slack`, which must not be more than before.
    fn beyond(&mut self, slack: Nanos) -> f32 {
        let offset = slack - self.delay.origin;
        if offset < 0 {
            return 1.0;
        }
        let bucket = usize::try_from(offset / BUCKET).unwrap_or(BUCKETS);
        if bucket >= BUCKETS - 1 {
            return 0.0;
        }
        while self.at > bucket + 1 {
            self.at -= 1;
            self.sum += self.delay.shares.get(self.at).copied().unwrap_or(0.0);
        }
        // Within the bucket the packets are taken to be spread evenly.
        let within = (offset % BUCKET) as f32 / BUCKET as f32;
        let here = self.delay.shares.get(bucket).copied().unwrap_or(0.0);
        (self.sum + here * (1.0 - within)) / self.delay.total.max(f32::MIN_POSITIVE)
    }
}

/// A configured span on the signed scale; configured spans are below 2^63 ns.
fn nanos(span: clock::Duration) -> Nanos {
    Nanos::try_from(span.as_nanos()).unwrap_or(Nanos::MAX)
}

const WINDOW: clock::Duration = clock::Duration::from_secs(4);
const BUCKET: Nanos = 2_500_000;
/// Half a second, and what lies beyond.
const BUCKETS: usize = 204;
/// What lies below the best path: room for a better one.
const MARGIN: Nanos = 4 * BUCKET;
/// What of the past remains at each packet: 10 s of 20 ms packets.
const FORGET: f32 = 0.998;
const WEIGHT_MAX: f32 = 1e6;
/// Packets to see before the delay may fall below the first: a second of them.
const YOUNG: u32 = 50;
/// Longer than the queue of a stall that soon ends: half a second of 20 ms packets.
const HOPELESS_RUN_MAX: u8 = 25;
/// What all packets' coming too late is worth in delay: 20 ms for each percent.
const PRICE_MS: f32 = 2_000.0;
/// The least that a change of the delay must gain.
const GAIN_MIN_MS: f32 = 4.0;
/// The smallest step looked at.
const STEP_MIN: Nanos = 2_500_000;
const NANOS_PER_MS: f32 = 1e6;
