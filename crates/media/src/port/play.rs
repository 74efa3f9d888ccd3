//! Playback: clips one after the other, into one port.
//!
//! Law: the n-th sample played is the n-th sample of the clips' concatenation, whatever the clips'
//! lengths are; nothing is inserted between two clips and nothing is lost. Hold music takes its
//! position from the worker's clock, so all who wait are at the same place. Clips are encoded
//! in G.711 already: a listener costs a copy of 160 bytes per frame. Music in other codecs is encoded once
//! for all who wait ([`edition`](crate::bridge::edition)).

use std::sync::Arc;

use crate::bridge::edition::Program;
use crate::codec::g711::Law;
use crate::source::Clip;
use crate::{FRAME, Frame, SILENCE};

/// Names a playback; chosen by control.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PlayId(pub u64);

/// What is played. Built by control, travels boxed, comes back as garbage.
#[derive(Clone, Debug)]
pub struct Playback {
    /// Its name in [`Played`](crate::worker::PortEvent::Played).
    pub id: PlayId,
    /// What is heard, in order.
    pub clips: Vec<Arc<Clip>>,
    /// Whether it begins anew at its end, until it is stopped.
    pub repeat: bool,
    /// Whether the position is the worker's clock's, as for hold music: who joins, joins in the
    /// middle, at the place where everybody is. Implies `repeat`.
    pub shared_clock: bool,
}

impl Playback {
    /// Plays `clips` once.
    pub fn once(id: PlayId, clips: Vec<Arc<Clip>>) -> Box<Self> {
        Box::new(Self {
            id,
            clips,
            repeat: false,
            shared_clock: false,
        })
    }

    /// Plays `clips` as hold music: for ever, at the same place for everybody.
    pub fn music(id: PlayId, clips: Vec<Arc<Clip>>) -> Box<Self> {
        Box::new(Self {
            id,
            clips,
            repeat: true,
            shared_clock: true,
        })
    }

    /// Samples of one round.
    pub fn samples(&self) -> u64 {
        self.clips
            .iter()
            .map(|clip| clip.samples().len() as u64)
            .sum()
    }
}

/// A playback and how far it is.
#[derive(Debug)]
pub(crate) struct Player {
    play: Box<Playback>,
    total: u64,
    clip: usize,
    offset: usize,
    ended: bool,
}

impl Player {
    /// Starts a playback.
    ///
    /// # Errors
    /// The box, when there is no sample in it.
    pub(crate) fn new(play: Box<Playback>) -> Result<Self, Box<Playback>> {
        let total = play.samples();
        if total == 0 {
            return Err(play);
        }
        Ok(Self {
            play,
            total,
            clip: 0,
            offset: 0,
            ended: false,
        })
    }

    pub(crate) fn id(&self) -> PlayId {
        self.play.id
    }

    /// What all hear who hear the same music, if it is music that follows the worker's clock.
    pub(crate) fn program(&self) -> Option<Program> {
        let first = self.play.clips.first().filter(|_| self.play.shared_clock)?;
        Some(Program::Music(Arc::as_ptr(first).addr(), self.total))
    }

    /// Whether the last sample has been played.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    pub(crate) fn into_box(self) -> Box<Playback> {
        self.play
    }

    /// The next frame in one of the laws, as clips are kept; `frame` is the worker's count of 20 ms.
    pub(crate) fn encoded(&mut self, law: Law, frame: u64, out: &mut [u8; FRAME]) {
        *out = [law.silence(); FRAME];
        self.fill(frame, out, |clip| {
            let all = clip.frames(law).as_flattened();
            all.get(..clip.samples().len()).unwrap_or(all)
        });
    }

    /// The next frame as samples.
    pub(crate) fn linear(&mut self, frame: u64, out: &mut Frame) {
        *out = SILENCE;
        self.fill(frame, out, Clip::samples);
    }

    fn fill<T: Copy>(&mut self, frame: u64, mut out: &mut [T], all: impl Fn(&Clip) -> &[T]) {
        if self.play.shared_clock {
            self.seek(frame.wrapping_mul(FRAME as u64) % self.total);
        }
        // Each turn copies at least one sample or steps over a clip; an empty round cannot repeat
        // for ever, because `total` is not zero.
        while !out.is_empty() && !self.ended {
            let Some(clip) = self.play.clips.get(self.clip) else {
                self.clip = 0;
                self.ended = !self.repeats();
                continue;
            };
            let rest = all(clip).get(self.offset..).unwrap_or_default();
            let count = rest.len().min(out.len());
            let (now, later) = out.split_at_mut(count);
            now.copy_from_slice(rest.get(..count).unwrap_or_default());
            out = later;
            self.offset += count;
            if count == rest.len() {
                self.clip += 1;
                self.offset = 0;
            }
        }
        self.ended |= !self.repeats() && self.at_end();
    }

    fn repeats(&self) -> bool {
        self.play.repeat || self.play.shared_clock
    }

    /// Whether only clips without sound are left.
    fn at_end(&self) -> bool {
        let left = self.play.clips.get(self.clip..).unwrap_or_default();
        self.offset == 0 && left.iter().all(|clip| clip.samples().is_empty())
    }

    fn seek(&mut self, sample: u64) {
        let mut left = usize::try_from(sample).unwrap_or(0);
        self.clip = 0;
        for clip in &self.play.clips {
            let length = clip.samples().len();
            if left < length {
                break;
            }
            left -= length;
            self.clip += 1;
        }
        self.offset = left;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::{PlayId, Playback, Player};
    use crate::codec::g711::Law;
    use crate::source::Clip;
    use crate::{FRAME, SILENCE};

    fn clip(samples: Vec<i16>) -> Arc<Clip> {
        Arc::new(Clip::from_pcm8k(samples).unwrap())
    }

    fn ramp(from: usize, count: usize) -> Vec<i16> {
        (from..from + count).map(|n| (n % 30_000) as i16).collect()
    }

    proptest! {
        #[test]
        fn the_samples_played_are_the_clips_end_to_end(
            lengths in prop::collection::vec(0_usize..700, 1..6),
        ) {
            let mut from = 1;
            let mut wanted = Vec::new();
            let mut clips = Vec::new();
            for length in lengths {
                let part = ramp(from, length);
                from += length;
                wanted.extend_from_slice(&part);
                clips.push(clip(part));
            }
            let Ok(mut linear) = Player::new(Playback::once(PlayId(1), clips.clone())) else {
                prop_assert!(wanted.is_empty());
                return Ok(());
            };
            let mut encoded = Player::new(Playback::once(PlayId(1), clips)).unwrap();
            let frames = wanted.len().div_ceil(FRAME);
            wanted.resize(frames * FRAME, 0);
            for (n, want) in wanted.chunks(FRAME).enumerate() {
                prop_assert!(!linear.ended());
                let (mut samples, mut bytes) = (SILENCE, [0; FRAME]);
                linear.linear(n as u64, &mut samples);
                encoded.encoded(Law::A, n as u64, &mut bytes);
                prop_assert_eq!(&samples[..], want);
                let mut payload = [0; FRAME];
                Law::A.encode(want, &mut payload);
                prop_assert_eq!(bytes, payload);
            }
            prop_assert!(linear.ended() && encoded.ended());
        }
    }

    #[test]
    fn a_repeated_clip_goes_round_without_a_gap() {
        let mut play = Playback::once(PlayId(1), vec![clip(ramp(0, 100)), clip(ramp(100, 150))]);
        play.repeat = true;
        let mut player = Player::new(play).unwrap();
        let mut heard = Vec::new();
        for frame in 0..10 {
            let mut out = SILENCE;
            player.linear(frame, &mut out);
            heard.extend_from_slice(&out);
        }
        assert!(
            heard
                .iter()
                .enumerate()
                .all(|(n, &s)| usize::try_from(s) == Ok(n % 250))
        );
        assert!(!player.ended());
    }

    #[test]
    fn all_who_wait_hear_the_same_place_whenever_they_joined() {
        let clips = vec![clip(ramp(0, 333)), clip(ramp(333, 500))];
        let mut early = Player::new(Playback::music(PlayId(1), clips.clone())).unwrap();
        let mut out = (SILENCE, SILENCE);
        for frame in 0..100 {
            early.linear(frame, &mut out.0);
        }
        let mut late = Player::new(Playback::music(PlayId(2), clips)).unwrap();
        early.linear(100, &mut out.0);
        late.linear(100, &mut out.1);
        assert_eq!(out.0, out.1);
        assert_eq!(out.0[0], (100 * 160 % 833) as i16);
    }

    #[test]
    fn a_playback_without_a_sample_is_given_back() {
        assert!(Player::new(Playback::music(PlayId(1), vec![clip(Vec::new())])).is_err());
    }
}
