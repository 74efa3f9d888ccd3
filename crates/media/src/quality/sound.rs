//! What the samples themselves tell: silence, clipping, and the levels of speech and of what is
//! between.

use crate::FRAME;

/// Frames that were looked at, and what they held. Of a relayed G.711 leg one packet in sixteen is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SoundFigures {
    /// Frames of 20 ms looked at.
    pub frames: u32,
    /// Of those, digital silence or next to it: no sample beyond −66 dBFS.
    pub silent: u32,
    /// Of those, clipped: three samples or more in a row at full scale.
    pub clipped: u32,
    /// Of those, loud enough to be speech: −40 dBFS or more.
    loud: u32,
    /// Mean squares of loud frames, and of the others, summed.
    loud_power: u64,
    quiet_power: u64,
}

impl SoundFigures {
    /// Looks at one frame, of any rate.
    pub fn look(&mut self, samples: &[i16]) {
        let (mut sum, mut peak, mut run, mut longest) = (0_u64, 0_u16, 0_u8, 0_u8);
        for &sample in samples {
            let size = sample.unsigned_abs();
            sum += u64::from(size) * u64::from(size);
            peak = peak.max(size);
            run = if size >= FULL_SCALE {
                run.saturating_add(1)
            } else {
                0
            };
            longest = longest.max(run);
        }
        let power = sum / (samples.len() as u64).max(1);
        self.frames = self.frames.saturating_add(1);
        self.silent += u32::from(peak <= SILENT_PEAK);
        self.clipped += u32::from(longest >= CLIPPED_RUN);
        if power >= LOUD_POWER {
            self.loud += 1;
            self.loud_power = self.loud_power.saturating_add(power);
        } else {
            self.quiet_power = self.quiet_power.saturating_add(power);
        }
    }

    /// The level of what was loud enough to be speech, in dBm0; none if nothing was.
    pub fn speech_dbm0(&self) -> Option<i8> {
        dbm0(self.loud_power, self.loud)
    }

    /// The level of all else, in dBm0; none if all was loud.
    pub fn noise_dbm0(&self) -> Option<i8> {
        dbm0(self.quiet_power, self.frames - self.loud)
    }
}

/// Of a sum of mean squares; a sine at full scale has half of the largest square.
fn dbm0(power: u64, frames: u32) -> Option<i8> {
    if frames == 0 {
        return None;
    }
    let mean = (power as f64 / f64::from(frames)).max(0.1);
    let dbfs = 10.0 * (mean / (32_768.0 * 32_768.0 / 2.0)).log10();
    Some((dbfs + FULL_SCALE_DBM0).clamp(-127.0, 6.0) as i8)
}

/// What a sine at full scale has: 3.14 dBm0 by A-law, 3.17 by µ-law (ITU-T G.711 §4); a report has whole dB.
const FULL_SCALE_DBM0: f64 = 3.1;
/// The largest value of either law of G.711 is 32,124 or 32,256.
const FULL_SCALE: u16 = 32_000;
/// A sine that just reaches full scale has two samples there at most, from 300 Hz on.
const CLIPPED_RUN: u8 = 3;
/// −66 dBFS: A-law has no smaller sample than 8.
const SILENT_PEAK: u16 = 16;
/// −40 dBFS, as a mean square.
const LOUD_POWER: u64 = 53_687;

const _: () = assert!(FRAME == 160, "a frame is 20 ms");

#[cfg(test)]
mod tests {
    use super::SoundFigures;
    use crate::dsp::Tone;

    fn of(frames: &[[i16; 160]]) -> SoundFigures {
        let mut figures = SoundFigures::default();
        frames.iter().for_each(|frame| figures.look(frame));
        figures
    }

    #[test]
    fn silence_is_what_no_law_can_tell_from_it() {
        let figures = of(&[[0; 160], [8; 160], [-8; 160], [900; 160]]);
        assert_eq!((figures.frames, figures.silent, figures.clipped), (4, 3, 0));
        assert_eq!(SoundFigures::default().speech_dbm0(), None);
    }

    #[test]
    fn a_tone_at_full_scale_is_whole_and_one_beyond_it_is_clipped() {
        let whole = of(&[Tone::new(440.0, -0.1).frame()]);
        assert_eq!((whole.clipped, whole.silent), (0, 0));
        let mut beyond = Tone::new(440.0, -0.1).frame();
        beyond
            .iter_mut()
            .for_each(|sample| *sample = sample.saturating_mul(2));
        assert_eq!(of(&[beyond]).clipped, 1);
    }

    #[test]
    fn speech_and_noise_have_levels_of_their_own() {
        let speech = Tone::new(440.0, -20.0).frame();
        let noise = Tone::new(440.0, -60.0).frame();
        let figures = of(&[speech, noise, speech]);
        let speech = figures.speech_dbm0().unwrap();
        assert!((-18..=-16).contains(&speech), "{speech}");
        let noise = figures.noise_dbm0().unwrap();
        assert!((-59..=-55).contains(&noise), "{noise}");
    }
}
