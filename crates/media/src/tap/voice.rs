//! A leg's way through a voice thread: a tap of its own, and on a detour the way back.
//!
//! ```text
//!  tick n:   the peer said n ──▶ kept ─────── sent n ──▶ offered to the tap: (said n, sent n)
//!  tick n+1: processed n ◀── ring, or what was kept of n if it is not there (counted)
//! ```
//!
//! On a detour everybody hears the peer one tick (20 ms) later. No worker waits: what is not back in time
//! is heard as it was, as late; what comes later still is left out.

use rtrb::{Consumer, Producer, RingBuffer};

use super::{TAP_SAMPLES, Tap, TapFrame};
use crate::BUS_FRAME_MAX;
use crate::dsp::Resampler;
use crate::dsp::resample::PAST_HALF;

/// Samples a second on the way through a voice thread.
pub const VOICE_RATE: u32 = 16_000;

/// 10 ms of a processed voice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processed {
    /// The index of the [`TapFrame`] it was.
    pub index: u64,
    /// Its left side, processed.
    pub samples: [i16; TAP_SAMPLES],
}

/// The worker's end of the way. Built by control, travels boxed, comes back as garbage.
#[derive(Debug)]
pub struct VoiceTap {
    tap: Box<Tap>,
    back: Option<Back>,
    /// What the peer said in this tick, as it came.
    said: Kept,
}

/// The way back of a detour.
#[derive(Debug)]
struct Back {
    ring: Consumer<Processed>,
    to_bus: Resampler<PAST_HALF>,
    /// What the peer said in the tick before.
    before: Kept,
    missed: u64,
}

/// A frame of the bus.
#[derive(Clone, Debug)]
struct Kept {
    rate: u32,
    samples: [i16; BUS_FRAME_MAX],
}

/// The voice thread's end.
#[derive(Debug)]
pub struct VoiceEnd {
    /// What the peer said and what was sent to it.
    pub tap: Consumer<TapFrame>,
    /// Where a detour's voice goes back.
    pub back: Option<Producer<Processed>>,
}

impl VoiceTap {
    /// A copy for a voice thread.
    pub fn tap() -> (Box<Self>, VoiceEnd) {
        Self::new(false)
    }

    /// A detour: what comes back is heard in place of what the peer said.
    pub fn detour() -> (Box<Self>, VoiceEnd) {
        Self::new(true)
    }

    fn new(detour: bool) -> (Box<Self>, VoiceEnd) {
        let (tap, frames) = Tap::new(VOICE_RATE, RING_SPANS);
        let (to, from) = RingBuffer::new(2 * RING_SPANS);
        let back = detour.then(|| Back {
            ring: from,
            to_bus: Resampler::idle(),
            before: Kept::NOTHING,
            missed: 0,
        });
        let end = VoiceEnd {
            tap: frames,
            back: detour.then_some(to),
        };
        let said = Kept::NOTHING;
        (Box::new(Self { tap, back, said }), end)
    }

    /// Whether what comes back is heard in place of what the peer said.
    pub const fn is_detour(&self) -> bool {
        self.back.is_some()
    }

    /// Frames of 10 ms that the voice thread had no room for.
    pub fn dropped(&self) -> u64 {
        self.tap.dropped()
    }

    /// Ticks whose voice was not back in time.
    pub fn missed(&self) -> u64 {
        self.back.as_ref().map_or(0, |back| back.missed)
    }

    /// Tells how far what the peer says from this tick on is behind him, in samples of [`VOICE_RATE`], apart from
    /// a constant ([`TapFrame::lag`]).
    pub fn lags(&mut self, lag: i64) {
        self.tap.lags(lag);
    }

    /// Takes what the peer said in this tick, at `rate`; on a detour puts in its place what it said in the
    /// tick before. Gives whether that was back in time.
    ///
    /// *Media thread*: no allocation, no lock; two copies of a frame and a change of rate.
    pub fn hear(&mut self, rate: u32, said: &mut [i16]) -> bool {
        self.said.keep(rate, said);
        let Some(back) = &mut self.back else {
            return true;
        };
        // None before the first tick was offered.
        let Some(due) = self.tap.spans().checked_sub(1) else {
            said.fill(0);
            back.before = self.said.clone();
            return true;
        };
        let in_time = back.fetch(2 * due, rate, said);
        if !in_time {
            back.missed += 1;
            back.before.restore(rate, said);
        }
        back.before = self.said.clone();
        in_time
    }

    /// Offers the tick: what the peer said in it, and what was `sent` to it, at `rate`. Gives how many
    /// frames the voice thread had no room for.
    ///
    /// *Media thread*: as [`Tap::offer`].
    pub fn offer(&mut self, at: u64, rate: u32, sent: &[i16]) -> u32 {
        let said = self.said.samples();
        self.tap.offer(at, (self.said.rate, said), (rate, sent))
    }
}

impl Back {
    /// The two halves of a tick, the first of which has this index.
    fn fetch(&mut self, first: u64, rate: u32, out: &mut [i16]) -> bool {
        let mut voice = [0; 2 * TAP_SAMPLES];
        let mut found = 0;
        while let Ok(processed) = self.ring.pop() {
            let half = match processed.index.checked_sub(first) {
                Some(half @ 0..2) => half as usize,
                _ => continue,
            };
            let place = voice.get_mut(half * TAP_SAMPLES..).unwrap_or_default();
            for (to, from) in place.iter_mut().zip(processed.samples) {
                *to = from;
            }
            found += 1;
        }
        if found < 2 {
            return false;
        }
        self.to_bus.tune(VOICE_RATE, rate);
        self.to_bus.convert(&voice, out);
        true
    }
}

impl Kept {
    const NOTHING: Self = Self {
        rate: VOICE_RATE,
        samples: [0; BUS_FRAME_MAX],
    };

    fn keep(&mut self, rate: u32, samples: &[i16]) {
        self.rate = rate;
        for (to, &from) in self.samples.iter_mut().zip(samples) {
            *to = from;
        }
    }

    fn samples(&self) -> &[i16] {
        let count = (self.rate as usize / 50).min(BUS_FRAME_MAX);
        self.samples.get(..count).unwrap_or_default()
    }

    /// Silence if the bus has changed its rate since.
    fn restore(&self, rate: u32, out: &mut [i16]) {
        out.fill(0);
        if rate == self.rate {
            for (to, &from) in out.iter_mut().zip(self.samples()) {
                *to = from;
            }
        }
    }
}

/// What fits into each ring, in ticks: a fifth of a second. A voice thread that is later is no use.
const RING_SPANS: usize = 10;

#[cfg(test)]
mod tests {
    use super::{Processed, VoiceEnd, VoiceTap};

    /// A voice thread that is there in time and makes all it hears half as loud.
    fn serve(end: &mut VoiceEnd) {
        while let Ok(frame) = end.tap.pop() {
            let samples = frame.left.map(|sample| sample / 2);
            let index = frame.index;
            let back = end.back.as_mut().unwrap();
            back.push(Processed { index, samples }).unwrap();
        }
    }

    fn tick(tap: &mut VoiceTap, at: u64, level: i16) -> i16 {
        let mut said = [level; 320];
        tap.hear(16_000, &mut said);
        tap.offer(at, 16_000, &[0; 320]);
        assert!(said.iter().all(|sample| *sample == said[0]));
        said[0]
    }

    #[test]
    fn on_a_detour_everybody_hears_what_came_back_one_tick_later() {
        let (mut tap, mut end) = VoiceTap::detour();
        let heard: Vec<i16> = (0..5)
            .map(|n| {
                let heard = tick(&mut tap, n, 100 * (n as i16 + 1));
                serve(&mut end);
                heard
            })
            .collect();
        assert_eq!(heard, [0, 50, 100, 150, 200]);
        assert_eq!(tap.missed(), 0);
    }

    #[test]
    fn what_is_late_is_heard_as_it_was_and_counted_and_never_heard_again() {
        let (mut tap, mut end) = VoiceTap::detour();
        let mut heard = Vec::new();
        for n in 0..6 {
            heard.push(tick(&mut tap, n, 100 * (n as i16 + 1)));
            // The thread sleeps for two ticks and then does all at once.
            if !(1..3).contains(&n) {
                serve(&mut end);
            }
        }
        assert_eq!(heard, [0, 50, 200, 300, 200, 250]);
        assert_eq!(tap.missed(), 2);
    }

    #[test]
    fn a_voice_thread_that_is_gone_leaves_the_voice_as_it_was() {
        let (mut tap, end) = VoiceTap::detour();
        drop(end);
        let heard: Vec<i16> = (0..3).map(|n| tick(&mut tap, n, 70)).collect();
        assert_eq!(heard, [0, 70, 70]);
    }

    #[test]
    fn a_tap_changes_nothing_of_what_is_heard() {
        let (mut tap, mut end) = VoiceTap::tap();
        assert_eq!(tick(&mut tap, 0, 9), 9);
        assert_eq!(end.tap.pop().map(|frame| frame.left[0]), Ok(9));
    }
}
