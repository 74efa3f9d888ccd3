//! A prompt or a piece of music, encoded once for everybody who will hear it.

use clock::Duration;

use crate::codec::g711::Law;
use crate::{FRAME, FRAME_DURATION, Frame, SAMPLE_RATE};

/// Immutable audio at 8 kHz: linear, and already encoded in both laws of G.711, in frames of 20 ms.
///
/// Share it as `Arc<Clip>`. The last frame is filled up with silence. Memory: four bytes a sample,
/// so the longest clip takes 19.2 MB.
#[derive(Debug)]
pub struct Clip {
    samples: usize,
    linear: Box<[Frame]>,
    pcmu: Box<[[u8; FRAME]]>,
    pcma: Box<[[u8; FRAME]]>,
}

/// Why audio does not make a [`Clip`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClipError {
    /// Longer than [`Clip::LONGEST`].
    #[error("a clip of {seconds} s is longer than 600 s")]
    TooLong {
        /// Its whole seconds.
        seconds: usize,
    },
}

impl Clip {
    /// The longest clip: ten minutes.
    pub const LONGEST: Duration = Duration::from_secs(600);

    /// Encodes `samples`, mono at 8 kHz. Not for a media thread: it allocates and takes about
    /// a millisecond per minute of audio.
    ///
    /// # Errors
    /// [`ClipError::TooLong`] beyond [`Clip::LONGEST`].
    pub fn from_pcm8k(mut samples: Vec<i16>) -> Result<Self, ClipError> {
        let count = samples.len();
        let seconds = count / SAMPLE_RATE as usize;
        if count > Self::LONGEST.as_secs() as usize * SAMPLE_RATE as usize {
            return Err(ClipError::TooLong { seconds });
        }
        samples.resize(count.next_multiple_of(FRAME), 0);
        let (linear, _) = samples.as_chunks::<FRAME>();
        let encode = |law: Law| {
            let frame = |frame: &Frame| {
                let mut out = [0; FRAME];
                law.encode(frame, &mut out);
                out
            };
            linear.iter().map(frame).collect()
        };
        Ok(Self {
            samples: count,
            pcmu: encode(Law::Mu),
            pcma: encode(Law::A),
            linear: linear.into(),
        })
    }

    /// How many frames it has, the filled-up last one included.
    pub const fn frame_count(&self) -> usize {
        self.linear.len()
    }

    /// Frame `index` encoded by `law`; `None` past the end.
    pub fn frame(&self, law: Law, index: usize) -> Option<&[u8; FRAME]> {
        self.frames(law).get(index)
    }

    /// All frames encoded by `law`.
    pub const fn frames(&self, law: Law) -> &[[u8; FRAME]] {
        match law {
            Law::Mu => &self.pcmu,
            Law::A => &self.pcma,
        }
    }

    /// Frame `index` as samples; `None` past the end.
    pub fn linear(&self, index: usize) -> Option<&Frame> {
        self.linear.get(index)
    }

    /// The samples as they were given, without the silence that fills the last frame.
    pub fn samples(&self) -> &[i16] {
        let all = self.linear.as_flattened();
        all.get(..self.samples).unwrap_or(all)
    }

    /// How long it plays, to the frame.
    pub fn duration(&self) -> Duration {
        FRAME_DURATION * u32::try_from(self.frame_count()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::{Clip, ClipError};
    use crate::codec::g711::Law;
    use clock::Duration;

    #[test]
    fn a_clip_is_cut_into_frames_and_its_last_one_filled_with_silence() {
        let clip = Clip::from_pcm8k(vec![1_000; 170]).unwrap();
        assert_eq!(
            (clip.frame_count(), clip.duration()),
            (2, Duration::from_millis(40))
        );
        assert_eq!(clip.samples(), [1_000; 170]);
        assert_eq!(clip.linear(1).unwrap()[9..12], [1_000, 0, 0]);
        assert_eq!(clip.frame(Law::Mu, 1).unwrap()[10..], [0xFF; 150]);
        assert!(clip.frame(Law::A, 2).is_none());
    }

    #[test]
    fn each_law_decodes_to_the_samples_within_its_step() {
        let ramp: Vec<i16> = (-80..80).map(|i| i * 400).collect();
        let clip = Clip::from_pcm8k(ramp.clone()).unwrap();
        for law in [Law::Mu, Law::A] {
            let mut back = [0; 160];
            law.decode(clip.frame(law, 0).unwrap(), &mut back);
            for (&was, &is) in ramp.iter().zip(&back) {
                assert!(
                    was.abs_diff(is) <= 16 + was.unsigned_abs() / 30,
                    "{law:?} {was} {is}"
                );
            }
        }
    }

    #[test]
    fn more_than_ten_minutes_are_refused() {
        assert!(Clip::from_pcm8k(vec![0; 4_800_000]).is_ok());
        let refused = Clip::from_pcm8k(vec![0; 4_800_001]).map(|_| ());
        assert_eq!(refused, Err(ClipError::TooLong { seconds: 600 }));
        assert_eq!(Clip::from_pcm8k(Vec::new()).unwrap().frame_count(), 0);
    }
}
