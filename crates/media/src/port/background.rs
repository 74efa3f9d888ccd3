//! The background of a peer who has fallen silent and told how his silence sounds (RFC 3389).
//!
//! It is told by a packet of its own, which arrives while sound from before it still waits to be
//! played. So a level holds until sound that was sent *after* it is played.

use crate::codec::comfort_noise::{ComfortNoise, level_dbov};
use crate::dsp::mix;
use crate::rtp::Sequence;

#[derive(Debug)]
pub(crate) struct Background {
    noise: ComfortNoise,
    /// The newest packet that told of it, while it holds.
    told: Option<Sequence>,
    /// Whether sound has come that was sent after that.
    over: bool,
}

impl Background {
    /// Nothing is known; `seed` tells one port's noise from another's.
    pub(crate) const fn new(seed: u32) -> Self {
        Self {
            noise: ComfortNoise::new(seed),
            told: None,
            over: false,
        }
    }

    /// Takes a packet of comfort noise.
    pub(crate) fn told(&mut self, sequence: Sequence, payload: &[u8]) {
        if let Some(level) = level_dbov(payload) {
            self.noise.set_level(level);
            self.told = Some(sequence);
            self.over = false;
        }
    }

    /// Takes note of a packet of sound that came.
    pub(crate) fn sounded(&mut self, sequence: Sequence) {
        self.over |= self.told.is_some_and(|told| sequence.is_after(told));
    }

    /// Sound is played, or the playout begins anew.
    pub(crate) fn heard(&mut self) {
        if self.over {
            self.told = None;
        }
    }

    /// Adds the background to a frame in which the peer says nothing.
    pub(crate) fn add_to(&mut self, frame: &mut [i16]) {
        if self.told.is_some() {
            let mut noise = [0; crate::BUS_FRAME_MAX];
            let noise = noise.get_mut(..frame.len()).unwrap_or_default();
            self.noise.fill(noise);
            mix::add_to(frame, noise);
        }
    }
}
