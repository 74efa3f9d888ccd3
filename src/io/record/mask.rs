//! Keys taken out of the sound of a recording.
//!
//! A key is known some 35 ms after it began to sound. So while masking is wanted, frames are held back for
//! 80 ms, and a side on which a key is heard is silenced in all that is held: from before its first sample
//! to 30 ms after its last. Other sound of that side within is lost with it.

use std::collections::VecDeque;

use media::dsp::resample::PAST_ANY;
use media::dsp::{DtmfDetector, Resampler};
use media::tap::{TAP_SAMPLES, TapFrame};
use media::{SAMPLE_RATE, SILENCE};

/// Frames on their way through.
#[derive(Debug)]
pub(super) struct KeyMask {
    rate: u32,
    sides: [Ear; 2],
    held: VecDeque<TapFrame>,
}

#[derive(Debug)]
struct Ear {
    detector: DtmfDetector,
    to_8k: Resampler<PAST_ANY>,
    /// What waits for the rest of its 20 ms.
    span: Vec<i16>,
    samples: usize,
}

impl KeyMask {
    /// For frames of `rate` samples a second.
    pub(super) fn new(rate: u32) -> Self {
        Self {
            rate,
            sides: [(); 2].map(|()| Ear::new(rate)),
            held: VecDeque::new(),
        }
    }

    /// Takes the next frame.
    pub(super) fn push(&mut self, frame: TapFrame) {
        let masked = frame.state.masked && !frame.state.paused;
        self.held.push_back(frame);
        if !masked {
            return;
        }
        let Some([left, right]) = self.held.back().map(|it| [it.left, it.right]) else {
            return;
        };
        let [on_left, on_right] = &mut self.sides;
        let key = [on_left.hears(&left), on_right.hears(&right)];
        for frame in self.held.iter_mut().filter(|it| it.state.masked) {
            let sides = [&mut frame.left, &mut frame.right];
            for (side, _) in sides.into_iter().zip(key).filter(|(_, key)| *key) {
                *side = [0; TAP_SAMPLES];
            }
        }
    }

    /// A frame that goes on; at the `end` all do.
    pub(super) fn pop(&mut self, end: bool) -> Option<TapFrame> {
        let masked = self.held.back().is_some_and(|frame| frame.state.masked);
        let hold = HELD_SPANS * (self.rate / SAMPLE_RATE) as usize;
        match masked && !end && self.held.len() <= hold {
            true => None,
            false => self.held.pop_front(),
        }
    }
}

impl Ear {
    fn new(rate: u32) -> Self {
        Self {
            detector: DtmfDetector::new(),
            to_8k: Resampler::new(rate, SAMPLE_RATE),
            span: Vec::new(),
            samples: (rate / 50) as usize,
        }
    }

    /// Whether a key sounds, or has just ceased.
    fn hears(&mut self, side: &[i16; TAP_SAMPLES]) -> bool {
        self.span.extend(side);
        if self.span.len() < self.samples {
            return self.detector.is_down();
        }
        let mut frame = SILENCE;
        self.to_8k.convert(&self.span, &mut frame);
        self.span.clear();
        let heard = self.detector.listen(&frame);
        self.detector.is_down() || heard.pressed.is_some() || heard.released.is_some()
    }
}

/// Spans of 20 ms that are held back: longer than a key takes to be known.
const HELD_SPANS: usize = 4;

#[cfg(test)]
mod tests {
    use media::Digit;
    use media::dsp::{DtmfTone, Goertzel};
    use media::tap::{TAP_SAMPLES, Tap, TapFrame, TapState};

    use super::KeyMask;

    /// Keys of 60 ms and more on the left, beside speech of both sides, as a tap of `rate` gives them.
    fn recorded(rate: u32, masked: bool, digits: &str) -> Vec<TapFrame> {
        let (tap, mut reader) = Tap::new(rate, 2_000);
        let paused = false;
        let mut tap = tap.standing(TapState { paused, masked });
        let mut at = 0;
        let mut mask = KeyMask::new(rate);
        let mut out = Vec::new();
        let mut span = |left: &[i16; 160]| {
            let right = [500; 160];
            tap.offer(at, (8_000, left), (8_000, &right));
            at += 1;
            while let Ok(frame) = reader.pop() {
                mask.push(frame);
                out.extend(std::iter::from_fn(|| mask.pop(false)));
            }
        };
        for (n, digit) in digits.chars().enumerate() {
            let mut tone = DtmfTone::new(Digit::from_char(digit).unwrap(), -12.0);
            for _ in 0..10 {
                span(&[800; 160]);
            }
            // Not at the edge of a frame, and of any length.
            let mut sound = vec![0; 37 * n % 160];
            let mut key = vec![0; 480 + 53 * n];
            tone.fill(&mut key);
            sound.extend(key);
            sound.resize(sound.len().next_multiple_of(160), 0);
            for part in sound.as_chunks().0 {
                span(part);
            }
        }
        for _ in 0..10 {
            span(&[800; 160]);
        }
        out.extend(std::iter::from_fn(|| mask.pop(true)));
        out
    }

    fn loudest_key(frames: &[TapFrame], rate: u32) -> f32 {
        let left: Vec<i16> = frames.iter().flat_map(|it| it.left).collect();
        let tones = [697.0, 770.0, 852.0, 941.0, 1_209.0, 1_336.0, 1_477.0];
        let window = rate as usize / 50;
        let levels = left.windows(window).step_by(window / 4);
        let levels = levels.flat_map(|it| tones.map(|hz| Goertzel::new(hz, rate).dbfs(it)));
        levels.fold(f32::MIN, f32::max)
    }

    #[test]
    fn no_key_is_left_the_other_side_is_whole_and_not_a_frame_is_missing() {
        let digits = "0123456789*#";
        for rate in [8_000, 16_000, 48_000] {
            let frames = recorded(rate, true, digits);
            assert!(frames.iter().map(|it| it.index).eq(0..frames.len() as u64));
            let loudest = loudest_key(&frames, rate);
            assert!(loudest < -28.0, "{rate}: {loudest}");
            let silenced = frames.iter().skip(9).any(|it| it.right == [0; TAP_SAMPLES]);
            assert!(!silenced, "the other side is silenced at {rate}");
            let kept = frames.iter().filter(|it| it.left[80].abs() > 700).count();
            assert!(
                kept * 3 > frames.len(),
                "{rate}: {kept} of {}",
                frames.len()
            );
            // Control: not masked, they are all there.
            assert!(loudest_key(&recorded(rate, false, digits), rate) > -16.0);
        }
    }
}
