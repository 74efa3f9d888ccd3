//! Saturating sums and gains.

/// Adds `frame` to `sum`. 65,536 full-scale frames fit before it could overflow.
pub fn add(sum: &mut [i32], frame: &[i16]) {
    for (s, &x) in sum.iter_mut().zip(frame) {
        *s += i32::from(x);
    }
}

/// Takes `frame` out of `sum` as loud as it was put in, and puts it in as loud as it shall be.
/// 65,536 frames fit at unity, 1,024 at the largest gain.
pub fn weigh(sum: &mut [i32], frame: &[i16], was: Gain, shall_be: Gain) {
    if (was, shall_be) == (Gain::MUTE, Gain::UNITY) {
        return add(sum, frame);
    }
    if was == shall_be {
        return;
    }
    for (s, &x) in sum.iter_mut().zip(frame) {
        *s += shall_be.of(x) - was.of(x);
    }
}

/// Writes `sum`, saturated: what a listener who does not speak hears.
pub fn all(out: &mut [i16], sum: &[i32]) {
    for (o, &s) in out.iter_mut().zip(sum) {
        *o = saturate(s);
    }
}

/// Adds `other` to `frame`, saturated.
pub fn add_to(frame: &mut [i16], other: &[i16]) {
    for (o, &x) in frame.iter_mut().zip(other) {
        *o = o.saturating_add(x);
    }
}

/// A factor between mute and +36 dB, in steps fine enough not to be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gain(i32);

impl Gain {
    /// Leaves samples as they are.
    pub const UNITY: Self = Self(1 << 12);

    /// Turns everything to silence.
    pub const MUTE: Self = Self(0);

    /// A gain of `db` decibels; below −72 mutes, above +36 is +36, not-a-number is unity.
    pub fn from_db(db: f32) -> Self {
        if db.is_nan() {
            return Self::UNITY;
        }
        let factor = 10_f32.powf(db.min(36.0) / 20.0) * 4096.0;
        // At most 63.1 · 4096, which fits.
        Self(factor.round() as i32)
    }

    /// One sample, multiplied: 2^15 · 2^18 would overflow 32 bits, the product shifted back does not.
    fn of(self, sample: i16) -> i32 {
        ((i64::from(sample) * i64::from(self.0)) >> 12) as i32
    }

    /// Multiplies each sample, saturating.
    pub fn apply(self, samples: &mut [i16]) {
        if self == Self::UNITY {
            return;
        }
        for sample in samples {
            *sample = saturate(self.of(*sample));
        }
    }
}

fn saturate(sample: i32) -> i16 {
    sample.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

#[cfg(test)]
mod tests {
    use super::{Gain, add, add_to, all, weigh};
    use crate::{FRAME, Frame};

    fn noise(seed: u32) -> Frame {
        let mut state = seed;
        std::array::from_fn(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as u16 as i16
        })
    }

    #[test]
    fn each_party_hears_the_sum_of_the_others_as_naive_addition_gives_it() {
        for parties in [1_u32, 2, 3, 10, 50] {
            let frames: Vec<Frame> = (0..parties).map(noise).collect();
            let mut sum = [0; FRAME];
            frames.iter().for_each(|frame| add(&mut sum, frame));
            for (me, own) in frames.iter().enumerate() {
                let mut others = sum;
                weigh(&mut others, own, Gain::UNITY, Gain::MUTE);
                let mut heard = [0; FRAME];
                all(&mut heard, &others);
                for (i, &sample) in heard.iter().enumerate() {
                    let others = frames.iter().enumerate().filter(|&(other, _)| other != me);
                    let naive: i64 = others.map(|(_, frame)| i64::from(frame[i])).sum();
                    assert_eq!(i64::from(sample), naive.clamp(-32_768, 32_767));
                }
            }
        }
    }

    #[test]
    fn a_voice_that_is_weighed_anew_leaves_nothing_of_its_old_weight() {
        let (voice, other) = (noise(1), noise(2));
        for (was, shall_be) in [(0.0, -20.0), (-20.0, 0.0), (12.0, 3.0), (-200.0, 6.0)] {
            let (was, shall_be) = (Gain::from_db(was), Gain::from_db(shall_be));
            let mut sum = [0; FRAME];
            weigh(&mut sum, &other, Gain::MUTE, Gain::UNITY);
            let mut wanted = sum;
            weigh(&mut sum, &voice, Gain::MUTE, was);
            weigh(&mut sum, &voice, was, shall_be);
            weigh(&mut wanted, &voice, Gain::MUTE, shall_be);
            assert_eq!(sum, wanted);
        }
    }

    #[test]
    fn sums_saturate_and_never_wrap() {
        let mut out = [0; FRAME];
        all(&mut out, &[40_000; FRAME]);
        assert_eq!(out, [i16::MAX; FRAME]);
        add_to(&mut out, &[1; FRAME]);
        assert_eq!(out, [i16::MAX; FRAME]);
    }

    #[test]
    fn a_gain_of_six_decibels_doubles_and_saturates_and_unity_changes_nothing() {
        let mut samples = [100, -20_000, 20_000];
        Gain::from_db(6.0206).apply(&mut samples);
        assert_eq!(samples, [200, i16::MIN, i16::MAX]);
        assert_eq!(
            (Gain::from_db(0.0), Gain::from_db(-200.0)),
            (Gain::UNITY, Gain::MUTE)
        );
        Gain::from_db(1e9).apply(&mut samples);
        Gain::from_db(f32::NAN).apply(&mut samples);
        assert_eq!(samples, [12_619, i16::MIN, i16::MAX]);
    }
}
