//! What was sent to a peer, as far back as what he says is behind him.
//!
//! An echo is found by its delay, which a canceller takes seconds to learn and which must then stay. But
//! playout leaves out or puts in whole periods of what the peer says, and a bridge may move its frames: each time
//! the delay steps by some milliseconds, and the echo would be heard until that is learned. How far the
//! voice is behind its sender is known to a sample, so the reference steps with it.

use crate::{FRAME, Frame};

/// A delay line that follows the voice.
#[derive(Debug)]
pub struct Reference {
    /// The newest last.
    line: Box<[i16; LINE]>,
    /// The voice's lag at which the line delays by [`REST`].
    at_rest: Option<i64>,
}

impl Default for Reference {
    fn default() -> Self {
        Self::new()
    }
}

impl Reference {
    /// A line of silence.
    pub fn new() -> Self {
        Self {
            line: Box::new([0; LINE]),
            at_rest: None,
        }
    }

    /// Takes what is sent while the voice lags by so many samples, and gives what was sent as much earlier as it
    /// lags more than at first, and [`REST`] samples. A lag that steps by more than the line holds is a new voice's.
    pub fn follow(&mut self, far: &Frame, lag: i64) -> Frame {
        self.line.copy_within(FRAME.., 0);
        if let Some(newest) = self.line.last_chunk_mut::<FRAME>() {
            *newest = *far;
        }
        let at_rest = *self.at_rest.get_or_insert(lag);
        let behind = REST as i64 + lag - at_rest;
        let most = (LINE - FRAME) as i64;
        let behind = match behind {
            _ if (lag - at_rest).abs() > most => {
                self.at_rest = Some(lag);
                REST as i64
            }
            behind => behind.clamp(0, most),
        };
        let from = usize::try_from(most - behind).unwrap_or(0);
        let mut frame = [0; FRAME];
        for (to, sample) in frame.iter_mut().zip(self.line.iter().skip(from)) {
            *to = *sample;
        }
        frame
    }
}

/// How much later the reference is than what is sent, so that it can be made earlier: 30 ms. No echo of a telephone
/// is sooner: packets of 20 ms each way, and playout at both ends.
pub const REST: usize = 480;
/// 200 ms.
const LINE: usize = 20 * FRAME;

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames whose samples count up.
    fn frame(n: usize) -> Frame {
        std::array::from_fn(|at| (n * FRAME + at) as i16)
    }

    fn first(line: &mut Reference, n: usize, lag: i64) -> i16 {
        let given = line.follow(&frame(n), lag);
        assert!(
            given.is_sorted_by(|a, b| *a + 1 == *b),
            "one piece: {given:?}"
        );
        given[0]
    }

    #[test]
    fn the_reference_steps_with_the_voice_to_a_sample_and_no_further_than_it_can() {
        let mut line = Reference::new();
        for n in 0..30 {
            line.follow(&frame(n), 1_000_000);
        }
        let at = |n: usize, behind: usize| (n * FRAME - behind) as i16;
        for (n, lag, behind) in [
            (30, 1_000_000, REST),
            // Half a period less is heard: the echo comes that much sooner.
            (31, 999_937, REST - 63),
            (32, 1_000_100, REST + 100),
            (33, 999_000, 0),
            (34, 1_002_800, 19 * FRAME),
            // Another voice: its echo is looked for anew.
            (35, 9_000_000, REST),
            (36, 9_000_007, REST + 7),
        ] {
            assert_eq!(first(&mut line, n, lag), at(n, behind), "{n}");
        }
    }
}
