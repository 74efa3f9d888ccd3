//! Sound invented where packets are missing, and its joint with the sound that comes after.
//!
//! A voice goes on in its last pitch period; what has no pitch goes on as its own mirror image,
//! which has the same spectrum and joins without a step. Both fade out. What comes after is shifted
//! by up to a period to where it fits, and faded in.

use super::pitch::Search;
use super::sound::Sound;
use super::stretch::blend;

/// The state of invention.
#[derive(Clone, Debug)]
pub(super) struct Expand {
    /// The period that is repeated; none for the mirror.
    lag: Option<usize>,
    /// Samples invented since the last real one; `None` while sound is real.
    made: Option<usize>,
    /// The step at the joint, which fades over [`Expand::joint`] samples.
    step: f32,
}

impl Expand {
    /// Nothing has been heard: it invents silence.
    pub(super) const fn new() -> Self {
        Self {
            lag: None,
            made: Some(usize::MAX),
            step: 0.0,
        }
    }

    /// Notes that the codec itself invents, or goes on without a joint.
    pub(super) fn real(&mut self) {
        self.made = None;
    }

    /// Appends `count` invented samples.
    pub(super) fn extend(&mut self, sound: &mut Sound, count: usize) {
        if self.made.is_none() {
            self.begin(sound);
        }
        let made = self.made.unwrap_or(usize::MAX);
        let count = count.min(sound.room().len());
        let end = sound.whole().len();
        let far = sound.tenths(FAR);
        let joint = self.joint(sound);
        let fade = Fade::new(sound);
        sound.grow(count);
        for i in 0..count {
            let at = made.saturating_add(i);
            let (back, gain) = match self.lag {
                Some(lag) => (lag, fade.between(at.checked_sub(lag), at)),
                // The mirror first, and then that and what it mirrored, over and over.
                None if at < far => (2 * at + 1, fade.between(None, at)),
                None => (2 * far, fade.between(at.checked_sub(2 * far), at)),
            };
            let left = joint.saturating_sub(at.saturating_add(1));
            let step = self.step * left as f32 / joint.max(1) as f32;
            let whole = sound.whole_mut();
            let source = (end + i).checked_sub(back).and_then(|at| whole.get(at));
            let sample = f32::from(source.copied().unwrap_or(0)) * gain + step;
            if let Some(place) = whole.get_mut(end + i) {
                *place = sample as i16;
            }
        }
        self.made = Some(made.saturating_add(count));
    }

    /// Appends `count` samples in which what sounded before fades out, and is silent then.
    pub(super) fn silence(&mut self, sound: &mut Sound, count: usize) {
        let (end, fade) = (sound.whole().len(), sound.tenths(FADE));
        self.extend(sound, count);
        let tail = sound.whole_mut().get_mut(end..).unwrap_or_default();
        for (i, sample) in tail.iter_mut().enumerate() {
            let left = fade.saturating_sub(i + 1);
            *sample = (i32::from(*sample) * left as i32 / fade.max(1) as i32) as i16;
        }
        self.made = Some(usize::MAX);
    }

    /// Prepares for real sound: call it, append the sound, and give what it gave to
    /// [`Expand::merge`]. `None` if the sound before is real too: it goes on by itself.
    pub(super) fn prepare(&mut self, sound: &mut Sound) -> Option<usize> {
        let made = self.made?;
        let end = sound.whole().len();
        let period = if Fade::new(sound).at(made) > 0.0 {
            self.lag.unwrap_or(0)
        } else {
            0
        };
        let fade = sound.tenths(FADE);
        self.extend(sound, period + fade);
        Some(end)
    }

    /// Joins real sound, appended after [`Expand::prepare`] gave `from` and the sound was `at` long,
    /// to what was invented. It is put where it fits best: up to a period later, or, when `spare`
    /// samples more wait than need to, up to so many of its first samples are left out.
    pub(super) fn merge(&mut self, sound: &mut Sound, from: usize, at: usize, spare: usize) {
        self.made = None;
        let (len, fade) = (sound.whole().len() - at, sound.tenths(FADE));
        let fade = fade.min(len).min(at - from);
        let later = at - from - fade;
        let sooner = spare.min(len - fade);
        let (old, new) = if later == 0 {
            (from, at)
        } else if sooner > 0 {
            let shift = best_shift(sooner, sound.rate(), |n| alike(sound, from, at + n, fade));
            (from, at + shift)
        } else {
            let shift = best_shift(later, sound.rate(), |n| alike(sound, from + n, at, fade));
            (from + shift, at)
        };
        blend(sound, [old, new], fade);
        sound.remove(old + fade, new - old);
    }

    /// Finds how the sound may go on.
    fn begin(&mut self, sound: &Sound) {
        let whole = sound.whole();
        let len = sound.tenths(MATCH);
        let search = Search {
            at: whole.len() - len,
            len,
            lags: [sound.tenths(LAG_MIN), sound.tenths(LAG_MAX)],
            ahead: false,
        };
        let pitch = search.run(whole, sound.rate());
        self.lag = pitch
            .filter(|pitch| pitch.likeness > VOICED)
            .map(|pitch| pitch.lag);
        self.made = Some(0);
        let last = |back: usize| {
            let at = whole.len().checked_sub(back);
            at.and_then(|at| whole.get(at))
                .copied()
                .map_or(0.0, f32::from)
        };
        self.step = self.lag.map_or(0.0, |lag| last(1) - last(lag + 1));
    }

    /// Within the shortest period, so that its repetition begins where the step is gone.
    fn joint(&self, sound: &Sound) -> usize {
        sound.tenths(LAG_MIN) * 3 / 4
    }
}

/// How alike two stretches are.
fn alike(sound: &Sound, a: usize, b: usize, len: usize) -> f32 {
    let stretch = |at: usize| sound.whole().get(at..at + len).unwrap_or_default();
    let (mut cross, mut energy) = (0.0_f32, 1.0_f32);
    for (&a, &b) in stretch(a).iter().zip(stretch(b)) {
        let (a, b) = (f32::from(a), f32::from(b));
        cross += a * b;
        energy += a * a + b * b;
    }
    2.0 * cross / energy
}

/// The shift of at most `most` with the greatest likeness; none if that is about as good.
fn best_shift(most: usize, rate: u32, likeness: impl Fn(usize) -> f32) -> usize {
    // An eighth of a millisecond is close enough for a joint.
    let step = (rate as usize / 8_000).max(1);
    let mut best = (0, likeness(0) + 0.1);
    for shift in (0..=most).step_by(step) {
        let score = likeness(shift);
        if score > best.1 {
            best = (shift, score);
        }
    }
    best.0
}

/// The level of invented sound: full at first, then falling to nothing.
struct Fade {
    full: usize,
    gone: usize,
}

impl Fade {
    fn new(sound: &Sound) -> Self {
        Self {
            full: sound.tenths(FULL),
            gone: sound.tenths(GONE),
        }
    }

    fn at(&self, made: usize) -> f32 {
        if made < self.full {
            1.0
        } else if made < self.gone {
            (self.gone - made) as f32 / (self.gone - self.full) as f32
        } else {
            0.0
        }
    }

    /// What a sample invented at `from` (`None`: a real one) must be multiplied by at `to`.
    fn between(&self, from: Option<usize>, to: usize) -> f32 {
        let from = from.map_or(1.0, |from| self.at(from));
        if from > 0.0 { self.at(to) / from } else { 0.0 }
    }
}

/// All in tenths of a millisecond. Pitch from 400 to 66 Hz.
const LAG_MIN: u32 = 25;
const LAG_MAX: u32 = 150;
/// The stretch compared in the search.
const MATCH: u32 = 100;
/// How much is mirrored.
const FAR: u32 = 150;
/// Cross-fades.
const FADE: u32 = 50;
/// Invented sound has full level for 20 ms and is gone after 120 ms.
const FULL: u32 = 200;
const GONE: u32 = 1_200;
/// The likeness of two periods from which a sound has a pitch.
const VOICED: f32 = 0.5;
