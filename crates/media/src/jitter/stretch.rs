//! Sound made shorter or longer by whole periods, at its own pitch.
//!
//! A period is left out by fading from what comes first into what comes a period later, and put in
//! by fading back. The joint is where the sound is most like itself; a sound that is nowhere like
//! itself is left alone, unless it is quiet or it is urgent.

use super::pitch::{Pitch, Search};
use super::sound::Sound;

/// Leaves a period of at most `most` samples out of what waits, if the likeness is at least
/// `threshold`; gives how many samples it was.
pub(super) fn accelerate(sound: &mut Sound, most: usize, threshold: f32) -> usize {
    let here = sound.here();
    let longest = most.min(sound.tenths(LAG_MAX)).min(sound.pending() / 2);
    let len = sound.tenths(MATCH).min(sound.pending() - longest);
    let Some(lag) = lag(sound, len, longest, true, threshold) else {
        return 0;
    };
    blend(sound, [here, here + lag], lag);
    sound.remove(here + lag, lag);
    lag
}

/// Puts a period of at most `most` samples before what waits, if the likeness is at least
/// `threshold`; gives how many samples it is.
pub(super) fn lengthen(sound: &mut Sound, most: usize, threshold: f32) -> usize {
    let here = sound.here();
    let longest = most.min(sound.tenths(LAG_MAX)).min(sound.pending());
    let len = sound.tenths(MATCH).min(sound.pending());
    let Some(lag) = lag(sound, len, longest, false, threshold) else {
        return 0;
    };
    // What was played last is put in again, and what comes first leads into it.
    if !sound.open(here, lag) {
        return 0;
    }
    let whole = sound.whole_mut();
    whole.copy_within(here + lag..here + 2 * lag, here);
    blend(sound, [here, here - lag], lag);
    lag
}

/// The period of what waits.
fn lag(sound: &Sound, len: usize, longest: usize, ahead: bool, threshold: f32) -> Option<usize> {
    let shortest = sound.tenths(LAG_MIN);
    if longest < shortest || len < shortest {
        return None;
    }
    let whole = sound.whole();
    let waiting = whole.get(sound.here()..)?;
    let power = waiting.iter().map(|&s| f32::from(s).powi(2)).sum::<f32>();
    if power < QUIET * QUIET * waiting.len() as f32 {
        return Some(longest);
    }
    let search = Search {
        at: sound.here(),
        len,
        lags: [shortest, longest],
        ahead,
    };
    let Pitch { lag, likeness } = search.run(whole, sound.rate())?;
    (likeness >= threshold).then_some(lag)
}

/// Fades `len` samples at `from` over into those at `to`.
pub(super) fn blend(sound: &mut Sound, [from, to]: [usize; 2], len: usize) {
    let whole = sound.whole_mut();
    for i in 0..len {
        let (Some(&a), Some(&b)) = (whole.get(from + i), whole.get(to + i)) else {
            return;
        };
        let (part, rest) = ((2 * i + 1) as i32, (2 * (len - i) - 1) as i32);
        if let Some(place) = whole.get_mut(from + i) {
            *place = ((i32::from(a) * rest + i32::from(b) * part) / (2 * len as i32)) as i16;
        }
    }
}

/// All in tenths of a millisecond. Pitch from 400 to 66 Hz.
const LAG_MIN: u32 = 25;
const LAG_MAX: u32 = 150;
/// The stretch compared in the search.
const MATCH: u32 = 100;
/// The level below which nobody hears a joint: about -55 dBFS.
const QUIET: f32 = 40.0;
