//! How far an echo has stepped.
//!
//! A phone's own playout leaves out or puts in some milliseconds of what it plays to keep its delay, and nobody tells us:
//! from one moment to the next its echo is that much sooner or later, and the filter predicts the echo of before, for
//! seconds. But that prediction is in what is heard still, at another place. Where, their correlation says, and the
//! reference then steps as far.

use crate::echo::BLOCK;

/// Watches a filter's prediction beside what is heard, by blocks.
#[derive(Debug)]
pub(crate) struct Steps {
    heard: Span,
    known: Span,
    /// Blocks until the next look.
    rests: u16,
    /// What the newest look has found, and how many in a row found that.
    found: (Option<i64>, u16),
}

/// The newest samples, whitened; the newest last.
#[derive(Debug)]
struct Span {
    samples: Box<[f32; SPAN]>,
    before: f32,
}

impl Default for Steps {
    fn default() -> Self {
        Self {
            heard: Span::new(),
            known: Span::new(),
            rests: SPAN_BLOCKS,
            found: (None, 0),
        }
    }
}

impl Steps {
    /// Takes what went into the canceller and what came out of its filter. Gives by how many samples the echo
    /// is later now than the filter believes, once that is clear.
    pub(crate) fn handle(
        &mut self,
        heard: &[f32; BLOCK],
        filtered: &[f32; BLOCK],
        delay_ms: u32,
    ) -> Option<i64> {
        self.heard.push(heard.iter().copied());
        let known = heard.iter().zip(filtered).map(|(y, e)| y - e);
        self.known.push(known);
        self.rests = self.rests.saturating_sub(1);
        if self.rests > 0 {
            return None;
        }
        self.rests = LOOKS;
        let found = self.look();
        let same = found
            .zip(self.found.0)
            .is_some_and(|(a, b)| a.abs_diff(b) <= 1);
        let again = if same { self.found.1 } else { 0 };
        self.found = (found, again + 1);
        let step = found.filter(|_| again + 1 >= SURE)?;
        // What was sent is given later from now on, and comes back after its delay; all that is kept is of before.
        self.rests = SPAN_BLOCKS + FILTER_BLOCKS + (delay_ms / 4) as u16;
        Some(step)
    }

    fn look(&self) -> Option<i64> {
        let heard = self.heard.at(REACH);
        let (had, knew) = (power(heard), power(self.known.at(REACH)));
        if had.min(knew) < AUDIBLE * WINDOW as f32 {
            return None;
        }
        // One where the prediction is right, whoever talks besides; about nothing where it is of another place.
        if dot(heard, self.known.at(REACH)) > FITS * knew {
            return None;
        }
        let mut found = [0.0; 2 * REACH + 1];
        for (from, place) in found.iter_mut().enumerate() {
            let known = self.known.at(from);
            *place = dot(heard, known) / (had * power(known)).max(1.0).sqrt();
        }
        let best = |from: usize, to: usize| {
            let range = found.iter().enumerate().take(to).skip(from);
            range.fold(
                (0, 0.0),
                |best, (at, &it)| if it > best.1 { (at, it) } else { best },
            )
        };
        let (at, clear) = best(0, found.len());
        // A voice is like itself a period later, too.
        let (_, below) = best(0, at.saturating_sub(NEAR));
        let (_, above) = best(at + NEAR + 1, found.len());
        let step = REACH as i64 - at as i64;
        let is_clear = clear > CLEAR && below.max(above) < RIVAL * clear;
        Some(step).filter(|step| is_clear && *step != 0)
    }
}

impl Span {
    fn new() -> Self {
        Self {
            samples: Box::new([0.0; SPAN]),
            before: 0.0,
        }
    }

    /// Speech is mostly low, and would be like itself at many places: what is high counts as much.
    fn push(&mut self, block: impl Iterator<Item = f32>) {
        self.samples.copy_within(BLOCK.., 0);
        let newest = self.samples.iter_mut().skip(SPAN - BLOCK);
        for (to, sample) in newest.zip(block) {
            *to = sample - WHITE * self.before;
            self.before = sample;
        }
    }

    fn at(&self, from: usize) -> &[f32] {
        self.samples.get(from..from + WINDOW).unwrap_or_default()
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn power(samples: &[f32]) -> f32 {
    dot(samples, samples)
}

/// Playout steps by a period of a voice at one time: 12 ms at most.
const REACH: usize = 192;
/// 64 ms are compared.
const WINDOW: usize = 1_024;
const SPAN: usize = WINDOW + 2 * REACH;
const SPAN_BLOCKS: u16 = SPAN.div_ceil(BLOCK) as u16;
/// What a filter reaches over.
const FILTER_BLOCKS: u16 = 13;
/// Each 16 ms.
const LOOKS: u16 = 4;
const WHITE: f32 = 0.9;
/// Less than -70 dBFS, whitened, tells nothing.
const AUDIBLE: f32 = 100.0;
/// Below this the prediction is of another place,
const FITS: f32 = 0.5;
/// if so much of what is heard is the prediction at that place,
const CLEAR: f32 = 0.35;
/// and at no other, but for those so many samples around, so nearly as much.
const NEAR: usize = 12;
const RIVAL: f32 = 0.8;
/// So often in a row.
const SURE: u16 = 3;
