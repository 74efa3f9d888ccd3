//! A soft limiter: a sum that would not fit is made quieter as a whole, not cut off.
//!
//! A frame is looked at in quarters (5 ms at 20 ms). Between two quarters the gain is what the louder of
//! both needs, and it goes there in a straight line, so that within a frame nothing is cut; only the
//! first millisecond of an onset may be. It comes back slowly. What fits is not changed by a bit.

/// The gain of one listener's mix, from frame to frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limiter {
    gain: f32,
}

impl Limiter {
    pub(crate) const fn new() -> Self {
        Self { gain: 1.0 }
    }

    /// Writes `sum` so that it fits; at most 20 ms.
    ///
    /// *Media thread*: one pass over what fits, two over what does not.
    pub(crate) fn limit(&mut self, out: &mut [i16], sum: &[i32]) {
        let quarter = sum.len().div_ceil(QUARTERS).max(1);
        let mut gains = [1.0_f32; QUARTERS];
        for (gain, part) in gains.iter_mut().zip(sum.chunks(quarter)) {
            *gain = fitting(part);
        }
        let fits = gains.iter().all(|&gain| gain >= 1.0);
        if fits && self.gain >= 1.0 {
            return super::mix::all(out, sum);
        }
        let parts = out.chunks_mut(quarter).zip(sum.chunks(quarter));
        for (n, (out, sum)) in parts.enumerate() {
            let own = gains.get(n).copied().unwrap_or(1.0);
            let next = gains.get(n + 1).copied().unwrap_or(own);
            // Never above what this quarter needs; the way down takes a millisecond, the way up its time.
            let to = own.min(next).min(self.gain + RISE);
            let ramp = if self.gain > own {
                quarter / 5
            } else {
                quarter
            };
            let (from, step) = (self.gain, (to - self.gain) / ramp.max(1) as f32);
            for (n, (out, &sample)) in out.iter_mut().zip(sum).enumerate() {
                let gain = from + step * n.min(ramp) as f32;
                let sample = sample as f32 * gain;
                *out = sample.clamp(f32::from(i16::MIN), f32::from(i16::MAX)) as i16;
            }
            self.gain = to.min(1.0);
        }
    }
}

/// The largest gain, 1 at most, by which all of `part` fits.
fn fitting(part: &[i32]) -> f32 {
    let peak = part.iter().fold(0, |peak, sample| peak.max(sample.abs()));
    let most = i32::from(i16::MAX);
    // Below full scale on the other side is one step more: it fits too.
    if peak <= most + 1 {
        1.0
    } else {
        most as f32 / peak as f32
    }
}

const QUARTERS: usize = 4;

/// How much the gain rises in a quarter of a frame: from a half to one in a quarter of a second.
const RISE: f32 = 0.01;

#[cfg(test)]
mod tests {
    use super::Limiter;
    use crate::FRAME;
    use crate::dsp::{Goertzel, Tone};

    /// `voices` tones at −3 dBFS for `frames` frames, as a sum.
    fn sum(voices: usize, frames: usize) -> Vec<Vec<i32>> {
        let hz = [440.0, 620.0, 1_000.0, 1_500.0, 1_900.0];
        let mut tones: Vec<Tone> = hz[..voices].iter().map(|&hz| Tone::new(hz, -3.0)).collect();
        let mut frame = || {
            let mut sum = vec![0; FRAME];
            for tone in &mut tones {
                crate::dsp::mix::add(&mut sum, &tone.frame());
            }
            sum
        };
        (0..frames).map(|_| frame()).collect()
    }

    #[test]
    fn what_fits_is_not_changed_by_a_bit() {
        let mut limiter = Limiter::new();
        for frame in sum(1, 50) {
            let mut out = [0; FRAME];
            limiter.limit(&mut out, &frame);
            let wanted: Vec<i16> = frame.iter().map(|&s| s as i16).collect();
            assert_eq!(out[..], wanted);
        }
        let mut out = [0; 2];
        limiter.limit(&mut out, &[-32_768, 32_767]);
        assert_eq!(out, [i16::MIN, i16::MAX]);
    }

    #[test]
    fn four_loud_voices_keep_their_tones_and_make_no_new_ones_where_cutting_off_does() {
        let frames = sum(4, 60);
        let mut limiter = Limiter::new();
        let (mut limited, mut cut) = (Vec::new(), Vec::new());
        for frame in &frames {
            let mut out = [0; FRAME];
            limiter.limit(&mut out, frame);
            limited.extend_from_slice(&out);
            crate::dsp::mix::all(&mut out, frame);
            cut.extend_from_slice(&out);
        }
        // 2 · 1,000 − 620 Hz: what a curve that is not straight makes of them.
        let strange = |sound: &[i16]| Goertzel::new(1_380.0, 8_000).dbfs(&sound[1_600..9_600]);
        assert!(
            strange(&limited) < strange(&cut) - 10.0,
            "{} {}",
            strange(&limited),
            strange(&cut)
        );
        let own = Goertzel::new(1_000.0, 8_000).dbfs(&limited[1_600..9_600]);
        assert!(own > -18.0, "{own}");
        let most = limited[160..].iter().map(|s| s.unsigned_abs()).max();
        assert!(most <= Some(32_767));
    }

    #[test]
    fn the_gain_comes_back_slowly_and_wholly() {
        let mut limiter = Limiter::new();
        let mut out = [0; FRAME];
        for frame in sum(4, 10) {
            limiter.limit(&mut out, &frame);
        }
        let low = limiter.gain;
        assert!(low < 0.5, "{low}");
        let quiet = [1_000; FRAME];
        let mut frames = 0;
        while limiter.gain < 1.0 {
            let before = limiter.gain;
            limiter.limit(&mut out, &quiet);
            assert!(limiter.gain - before < 0.05);
            frames += 1;
        }
        assert!((5..40).contains(&frames), "{frames}");
        limiter.limit(&mut out, &quiet);
        assert_eq!(out, [1_000; FRAME]);
    }
}
