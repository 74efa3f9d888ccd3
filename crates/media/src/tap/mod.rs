//! A tap: a read-only copy of what a port says and hears, for a recorder, a recogniser or a bot.
//!
//! A tap sits on one port and outlives what the port is bridged to. Left is what the port's peer
//! says, right is what it hears. The ring's reader is on another thread: when it is slow the newest
//! frames are dropped and counted, and the index tells the reader how much silence to put there.
//! A tap has 8 kHz, whatever the rate of what it copies.

use rtrb::{Consumer, Producer, RingBuffer};

use crate::SAMPLE_RATE;
use crate::dsp::Resampler;
use crate::dsp::resample::PAST_ANY;

/// Samples of one side in a frame: 20 ms at 8 kHz.
pub const TAP_SAMPLES: usize = 160;

/// 20 ms of both sides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TapFrame {
    /// Which frame since the tap began: sample `160 · index` is this frame's first.
    pub index: u64,
    /// What the port's peer said.
    pub left: [i16; TAP_SAMPLES],
    /// What the port's peer heard.
    pub right: [i16; TAP_SAMPLES],
}

/// The worker's end of a tap. Built by control, travels boxed, comes back as garbage.
#[derive(Debug)]
pub struct Tap {
    ring: Producer<TapFrame>,
    /// Of what is said, and of what is heard.
    to_tap: [Resampler<PAST_ANY>; 2],
    next_index: u64,
    dropped: u64,
}

impl Tap {
    /// A tap and the ring's reading end. `frames` of 20 ms fit (50 are a second).
    pub fn new(frames: usize) -> (Box<Self>, Consumer<TapFrame>) {
        let (ring, reader) = RingBuffer::new(frames.max(1));
        (
            Box::new(Self {
                ring,
                to_tap: [const { Resampler::idle() }; 2],
                next_index: 0,
                dropped: 0,
            }),
            reader,
        )
    }

    /// Frames made so far, dropped ones included: the length of the recording in 20 ms.
    pub fn frames(&self) -> u64 {
        self.next_index
    }

    /// Frames the ring had no room for.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Offers one frame of 20 ms at `rate`; `false` when the ring was full and the frame is dropped and
    /// counted.
    ///
    /// *Media thread*: no allocation, no lock, one copy of 640 bytes.
    pub fn offer(&mut self, rate: u32, left: &[i16], right: &[i16]) -> bool {
        let index = self.next_index;
        self.next_index += 1;
        let mut frame = TapFrame {
            index,
            left: [0; TAP_SAMPLES],
            right: [0; TAP_SAMPLES],
        };
        let sides = [(left, &mut frame.left), (right, &mut frame.right)];
        for (resampler, (from, to)) in self.to_tap.iter_mut().zip(sides) {
            resampler.tune(rate, SAMPLE_RATE);
            resampler.convert(from, to);
        }
        let taken = self.ring.push(frame).is_ok();
        if !taken {
            self.dropped += 1;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::{TAP_SAMPLES, Tap};

    #[test]
    fn a_full_ring_drops_the_newest_frame_and_the_index_shows_the_hole() {
        let (mut tap, mut reader) = Tap::new(2);
        let silence = [0; TAP_SAMPLES];
        let taken: Vec<bool> = (0..3)
            .map(|_| tap.offer(8_000, &silence, &silence))
            .collect();
        assert_eq!(taken, [true, true, false]);
        while reader.pop().is_ok() {}
        assert!(tap.offer(8_000, &silence, &silence));
        assert_eq!(reader.pop().map(|frame| frame.index), Ok(3));
        assert_eq!((tap.frames(), tap.dropped()), (4, 1));
    }
}
