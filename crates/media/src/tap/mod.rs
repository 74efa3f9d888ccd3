//! A tap: a read-only copy of what a port says and hears, for a recorder, a recogniser or a bot.
//!
//! A tap sits on one port and outlives what the port is bridged to. Left is what the port's peer
//! says, right is what it hears. The ring's reader is on another thread: when it is slow the newest
//! frames are dropped and counted, and the index tells the reader how much silence to put there.
//!
//! A tap has one rate for its life; what it copies may change its own at any frame and is resampled. A
//! frame's place is that on the worker's wheel, not a count: what a late worker left out is a hole of its
//! true length, so that a recording is as long as the call.

pub mod voice;

pub use voice::{Processed, VoiceEnd, VoiceTap};

use rtrb::{Consumer, Producer, RingBuffer};

use crate::dsp::Resampler;
use crate::dsp::resample::PAST_ANY;
use crate::{BUS_FRAME_MAX, SAMPLE_RATE};

/// Samples of one side in a frame: 20 ms at 8 kHz, 10 ms at 16 kHz, a third of that at 48 kHz.
pub const TAP_SAMPLES: usize = 160;

/// Some samples of both sides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TapFrame {
    /// Which frame since the tap began: sample `160 · index` is this frame's first.
    pub index: u64,
    /// How the tap stood.
    pub state: TapState,
    /// How far what is said is behind its sender, in samples, apart from a constant: it steps where playout
    /// leaves sound out or puts some in, and where a port's ticks move.
    pub lag: i64,
    /// What the port's peer said.
    pub left: [i16; TAP_SAMPLES],
    /// What the port's peer heard.
    pub right: [i16; TAP_SAMPLES],
}

/// How a tap stands: changed by whoever records, kept in every frame, so that it is exact to a frame.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct TapState {
    /// Nothing is copied: frames hold silence. No sound of a pause leaves the worker.
    pub paused: bool,
    /// Keys in the sound are to be taken out by the reader.
    pub masked: bool,
}

/// The worker's end of a tap. Built by control, travels boxed, comes back as garbage.
#[derive(Debug)]
pub struct Tap {
    ring: Producer<TapFrame>,
    rate: u32,
    state: TapState,
    lag: i64,
    /// Of what is said, and of what is heard.
    to_tap: [Resampler<PAST_ANY>; 2],
    /// The wheel's frames at which the tap began and at which it goes on.
    span: Option<(u64, u64)>,
    dropped: u64,
}

/// 20 ms of one side, at its own rate.
pub type Side<'a> = (u32, &'a [i16]);

impl Tap {
    /// A tap of `rate` samples a second (8,000, 16,000, 24,000 or 48,000; others are 8,000) and the
    /// ring's reading end, for `spans` of 20 ms.
    pub fn new(rate: u32, spans: usize) -> (Box<Self>, Consumer<TapFrame>) {
        let known = crate::dsp::resample::RATES.contains(&rate);
        let rate = if known { rate } else { SAMPLE_RATE };
        let (ring, reader) = RingBuffer::new(spans.max(1) * frames_of(rate));
        (
            Box::new(Self {
                ring,
                rate,
                state: TapState::default(),
                lag: 0,
                to_tap: [const { Resampler::idle() }; 2],
                span: None,
                dropped: 0,
            }),
            reader,
        )
    }

    /// The same, standing so from its first frame on.
    #[must_use]
    pub fn standing(mut self: Box<Self>, state: TapState) -> Box<Self> {
        self.state = state;
        self
    }

    /// Samples per second of each side.
    pub const fn rate(&self) -> u32 {
        self.rate
    }

    /// Spans of 20 ms from the first to the last frame, with what was dropped or left out between.
    pub fn spans(&self) -> u64 {
        self.span.map_or(0, |(began, next)| next - began)
    }

    /// Frames the ring had no room for.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Frames that the ring has room for now.
    pub fn room(&self) -> usize {
        self.ring.slots()
    }

    /// Tells how far what is said is behind its sender from the next frame on.
    pub fn lags(&mut self, lag: i64) {
        self.lag = lag;
    }

    /// Stands so from the next frame on.
    pub fn stand(&mut self, state: TapState) {
        self.state = state;
    }

    /// Offers the sound of the wheel's frame `at`, 20 ms of each side. Gives how many frames the ring
    /// had no room for. A frame of the wheel that it has already is left out: a port that changes its
    /// phase may meet one twice.
    ///
    /// *Media thread*: no allocation, no lock, one copy of 640 bytes a frame.
    pub fn offer(&mut self, at: u64, left: Side<'_>, right: Side<'_>) -> u32 {
        let (began, next) = self.span.unwrap_or((at, at));
        if at < next {
            return 0;
        }
        self.span = Some((began, at + 1));
        let mut sides = [[0; BUS_FRAME_MAX]; 2];
        let offered = [left, right].into_iter().zip(&mut sides);
        for (resampler, ((rate, from), to)) in self.to_tap.iter_mut().zip(offered) {
            resampler.tune(rate, self.rate);
            resampler.convert(from, to);
        }
        if self.state.paused {
            sides = [[0; BUS_FRAME_MAX]; 2];
        }
        let [left, right] = &sides;
        let count = frames_of(self.rate);
        let first = (at - began) * count as u64;
        let parts = left.as_chunks().0.iter().zip(right.as_chunks().0);
        let mut lost = 0;
        for (index, (&left, &right)) in (first..).zip(parts.take(count)) {
            let frame = TapFrame {
                index,
                state: self.state,
                lag: self.lag,
                left,
                right,
            };
            lost += u32::from(self.ring.push(frame).is_err());
        }
        self.dropped += u64::from(lost);
        lost
    }
}

/// Frames that 20 ms make.
const fn frames_of(rate: u32) -> usize {
    (rate / SAMPLE_RATE) as usize
}

#[cfg(test)]
mod tests {
    use super::{TAP_SAMPLES, Tap, TapState};

    const SILENCE: [i16; TAP_SAMPLES] = [0; TAP_SAMPLES];

    #[test]
    fn a_full_ring_drops_the_newest_frame_and_the_index_shows_the_hole() {
        let (mut tap, mut reader) = Tap::new(8_000, 2);
        let mut lost = 0;
        for at in 7..10 {
            lost += tap.offer(at, (8_000, &SILENCE), (8_000, &SILENCE));
        }
        assert_eq!(lost, 1);
        while reader.pop().is_ok() {}
        tap.offer(10, (8_000, &SILENCE), (8_000, &SILENCE));
        assert_eq!(reader.pop().map(|frame| frame.index), Ok(3));
        assert_eq!((tap.spans(), tap.dropped()), (4, 1));
    }

    #[test]
    fn what_the_wheel_left_out_is_a_hole_and_what_it_met_twice_is_once() {
        let (mut tap, mut reader) = Tap::new(8_000, 9);
        for at in [100, 101, 101, 105] {
            tap.offer(at, (8_000, &SILENCE), (8_000, &SILENCE));
        }
        let heard: Vec<u64> = std::iter::from_fn(|| reader.pop().ok())
            .map(|frame| frame.index)
            .collect();
        assert_eq!((heard, tap.spans()), (vec![0, 1, 5], 6));
    }

    #[test]
    fn a_tap_keeps_its_rate_and_its_count_when_what_it_copies_changes_its_own() {
        let (mut tap, mut reader) = Tap::new(16_000, 40);
        for (at, rate) in [8_000, 16_000, 48_000, 16_000].into_iter().enumerate() {
            let side = vec![1_000; rate as usize / 50];
            tap.offer(at as u64, (rate, &side), (rate, &side));
        }
        let frames: Vec<_> = std::iter::from_fn(|| reader.pop().ok()).collect();
        assert!(frames.iter().map(|it| it.index).eq(0..8));
        // At its own rate nothing is changed.
        assert_eq!(frames[2].left, [1_000; TAP_SAMPLES]);
        assert!((frames[7].right[150] - 1_000).abs() < 2);
    }

    #[test]
    fn no_sound_of_a_pause_leaves_it() {
        let (mut tap, mut reader) = Tap::new(8_000, 9);
        let loud = [9_000; TAP_SAMPLES];
        for (at, paused) in [false, true, false].into_iter().enumerate() {
            let masked = false;
            tap.stand(TapState { paused, masked });
            tap.offer(at as u64, (8_000, &loud), (8_000, &loud));
        }
        let heard: Vec<(bool, i16)> = std::iter::from_fn(|| reader.pop().ok())
            .map(|frame| (frame.state.paused, frame.left[80] | frame.right[80]))
            .collect();
        assert_eq!(heard, [(false, 9_000), (true, 0), (false, 9_000)]);
    }
}
