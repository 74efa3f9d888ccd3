//! A leg's way through a voice thread: a tap of its own, and the way back, to everybody or to one who listens.
//!
//! ```text
//!  tick n:   the peer said n ──▶ kept ─────── sent n ──▶ offered to the tap: (said n, sent n)
//!  tick n+1: processed n ◀── ring, or what was kept of n if it is not there (counted)
//! ```
//!
//! On a detour everybody hears the peer one tick (20 ms) later; else only a listener does, if there is one, and all
//! others hear it as it came. No worker waits: what is not back in time
//! is heard as it was, as late; what comes later still is left out.

use rtrb::{Consumer, Producer, RingBuffer};

use super::{TAP_SAMPLES, Tap, TapFrame};
use crate::BUS_FRAME_MAX;
use crate::dsp::Resampler;
use crate::dsp::resample::PAST_HALF;
use crate::port::PortId;

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
    back: Back,
    /// What the peer said in this tick, as it came.
    said: Kept,
    whom: Whom,
    /// What came back for a listener.
    aside: Kept,
}

/// Who hears what comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whom {
    Nobody,
    One(PortId),
    /// On a detour.
    All,
}

/// The way back.
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
    /// Where the voice goes back.
    pub back: Producer<Processed>,
}

impl VoiceTap {
    /// A copy for a voice thread. What comes back is heard by nobody until somebody listens ([`VoiceTap::lend`]).
    pub fn tap() -> (Box<Self>, VoiceEnd) {
        Self::new(Whom::Nobody)
    }

    /// A detour: what comes back is heard in place of what the peer said.
    pub fn detour() -> (Box<Self>, VoiceEnd) {
        Self::new(Whom::All)
    }

    fn new(whom: Whom) -> (Box<Self>, VoiceEnd) {
        let (tap, frames) = Tap::new(VOICE_RATE, RING_SPANS);
        let (to, from) = RingBuffer::new(2 * RING_SPANS);
        let end = VoiceEnd {
            tap: frames,
            back: to,
        };
        let way = Self {
            tap,
            back: Back {
                ring: from,
                to_bus: Resampler::idle(),
                before: Kept::NOTHING,
                missed: 0,
            },
            said: Kept::NOTHING,
            whom,
            aside: Kept::NOTHING,
        };
        (Box::new(way), end)
    }

    /// Whether what comes back is heard in place of what the peer said.
    pub fn is_detour(&self) -> bool {
        self.whom == Whom::All
    }

    /// Has a listener hear what comes back, and all others what the peer said as it came; or nobody. On a detour
    /// everybody hears it, and goes on to.
    pub fn lend(&mut self, listener: Option<PortId>) {
        if !self.is_detour() {
            self.whom = listener.map_or(Whom::Nobody, Whom::One);
        }
    }

    /// What came back for that listener in this tick, at `rate`; `false` if he hears what all others do.
    pub fn aside(&self, listener: PortId, rate: u32, out: &mut [i16]) -> bool {
        let is_his = self.whom == Whom::One(listener);
        if is_his {
            self.aside.restore(rate, out);
        }
        is_his
    }

    /// Frames of 10 ms that the voice thread had no room for.
    pub fn dropped(&self) -> u64 {
        self.tap.dropped()
    }

    /// Ticks whose voice was not back in time.
    pub fn missed(&self) -> u64 {
        self.back.missed
    }

    /// Tells how far what the peer says from this tick on is behind him, in samples of [`VOICE_RATE`], apart from
    /// a constant ([`TapFrame::lag`]).
    pub fn lags(&mut self, lag: i64) {
        self.tap.lags(lag);
    }

    /// Takes what the peer said in this tick, at `rate`; on a detour puts in its place what it said in the
    /// tick before, for a listener lays that aside. Gives whether that was back in time.
    ///
    /// *Media thread*: no allocation, no lock; two copies of a frame and a change of rate.
    pub fn hear(&mut self, rate: u32, said: &mut [i16]) -> bool {
        self.said.keep(rate, said);
        // None before the first tick was offered.
        let due = self.tap.spans().checked_sub(1).map(|spans| 2 * spans);
        let in_time = match self.whom {
            Whom::Nobody => {
                while self.back.ring.pop().is_ok() {}
                true
            }
            Whom::One(_) => {
                let mut voice = [0; BUS_FRAME_MAX];
                let voice = voice.get_mut(..said.len()).unwrap_or_default();
                let in_time = self.back.next(due, rate, voice);
                self.aside.keep(rate, voice);
                in_time
            }
            Whom::All => self.back.next(due, rate, said),
        };
        self.back.before = self.said.clone();
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
    /// What the peer said in the tick before, processed if it is back in time, which is told.
    fn next(&mut self, due: Option<u64>, rate: u32, out: &mut [i16]) -> bool {
        let Some(due) = due else {
            out.fill(0);
            return true;
        };
        let in_time = self.fetch(due, rate, out);
        if !in_time {
            self.missed += 1;
            self.before.restore(rate, out);
        }
        in_time
    }

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
    use crate::port::PortId;

    /// A voice thread that is there in time and makes all it hears half as loud.
    fn serve(end: &mut VoiceEnd) {
        while let Ok(frame) = end.tap.pop() {
            let samples = frame.left.map(|sample| sample / 2);
            let index = frame.index;
            end.back.push(Processed { index, samples }).unwrap();
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
    fn a_listener_hears_what_came_back_and_all_others_what_was_said() {
        let (mut tap, mut end) = VoiceTap::tap();
        let heard = |tap: &VoiceTap, port: u32| {
            let mut out = [7; 320];
            tap.aside(PortId(port), 16_000, &mut out).then_some(out[0])
        };
        let mut list = Vec::new();
        for n in 0..6 {
            match n {
                1 => tap.lend(Some(PortId(3))),
                5 => tap.lend(None),
                _ => {}
            }
            let level = 100 * (n as i16 + 1);
            assert_eq!(tick(&mut tap, n, level), level);
            list.push(heard(&tap, 3));
            assert_eq!(heard(&tap, 4), None);
            serve(&mut end);
        }
        assert_eq!(
            list,
            [None, Some(50), Some(100), Some(150), Some(200), None]
        );
    }

    #[test]
    fn a_tap_changes_nothing_of_what_is_heard() {
        let (mut tap, mut end) = VoiceTap::tap();
        assert_eq!(tick(&mut tap, 0, 9), 9);
        assert_eq!(end.tap.pop().map(|frame| frame.left[0]), Ok(9));
    }
}
