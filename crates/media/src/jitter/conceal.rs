//! Loss concealment on decoded audio: the last pitch period repeated and faded out.
//!
//! In the manner of ITU-T G.711 appendix I, without its 3.75 ms of delay: the joint into an invented
//! frame is smoothed by fading out the step, the joint out of it by a cross-fade of 5 ms.

use crate::{FRAME, Frame, SILENCE};

/// Invents the frames that are missing from one stream of samples at 8 kHz.
///
/// *Media thread*: fixed memory; a search of about 13,000 multiplications at the first frame of a
/// loss, 160 steps otherwise.
#[derive(Clone, Debug)]
pub struct Concealer {
    /// The last samples played, newest last.
    history: [i16; HISTORY],
    /// The period being repeated.
    period: [i16; LAG_MAX],
    lag: usize,
    phase: usize,
    /// Samples invented since the last real one.
    invented: usize,
    /// The step at the joint, faded out over [`JOINT`] samples.
    step: i32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The last frame was real, or nothing has been played.
    Real,
    /// The last frame was invented.
    Invented,
    /// The last frame was silence that was meant.
    Silent,
}

impl Default for Concealer {
    fn default() -> Self {
        Self::new()
    }
}

impl Concealer {
    /// A concealer that has heard nothing: it invents silence.
    pub const fn new() -> Self {
        Self {
            history: [0; HISTORY],
            period: [0; LAG_MAX],
            lag: LAG_MAX,
            phase: 0,
            invented: 0,
            step: 0,
            state: State::Silent,
        }
    }

    /// Takes a real frame on its way to be played, and smooths its start when it does not continue
    /// what was played: after an invented frame, after silence, or when `spliced`.
    pub fn real(&mut self, frame: &mut Frame, spliced: bool) {
        match self.state {
            State::Real if spliced => {
                self.begin();
                self.fade_into(frame);
            }
            State::Invented => self.fade_into(frame),
            State::Real => {}
            State::Silent => fade_in(frame),
        }
        self.state = State::Real;
        self.remember(frame);
    }

    /// Writes the frame to play in place of a lost one. Silent 60 ms after the last real one.
    pub fn invent(&mut self, out: &mut Frame) {
        if self.state == State::Silent {
            *out = SILENCE;
            return;
        }
        if self.state == State::Real {
            self.begin();
            self.state = State::Invented;
        }
        for sample in out.iter_mut() {
            *sample = self.next();
        }
        self.remember(out);
    }

    /// Writes the frame to play where the sender is silent: what sounded before is faded out.
    pub fn silence(&mut self, out: &mut Frame) {
        if self.state == State::Silent {
            *out = SILENCE;
            return;
        }
        self.invent(out);
        for (left, sample) in (0..FADE).rev().zip(out.iter_mut()) {
            *sample = scale(*sample, left, FADE);
        }
        for sample in out.iter_mut().skip(FADE) {
            *sample = 0;
        }
        self.state = State::Silent;
        self.remember(out);
    }

    /// Finds the pitch and makes its period a loop without a step.
    fn begin(&mut self) {
        self.lag = pitch(&self.history);
        let lag = self.lag;
        let last = self
            .history
            .last_chunk::<LAG_MAX>()
            .unwrap_or(&[0; LAG_MAX]);
        let tail = last.get(LAG_MAX - lag..).unwrap_or_default();
        for (to, &from) in self.period.iter_mut().zip(tail) {
            *to = from;
        }
        // Blend the loop's last quarter into what preceded it, so that its end runs into its start.
        let quarter = lag / 4;
        let before = HISTORY - lag - quarter;
        for i in 0..quarter {
            let (Some(to), Some(&early)) = (
                self.period.get_mut(lag - quarter + i),
                self.history.get(before + i),
            ) else {
                break;
            };
            *to = mix(*to, early, i + 1, quarter);
        }
        self.phase = 0;
        self.invented = 0;
        // The sample that stands before the loop's first is its last: what differs is the step.
        let newest = i32::from(self.history[HISTORY - 1]);
        let before_loop = i32::from(self.period.get(lag - 1).copied().unwrap_or(0));
        self.step = newest - before_loop;
    }

    /// The next invented sample.
    fn next(&mut self) -> i16 {
        let looped = i32::from(self.period.get(self.phase).copied().unwrap_or(0));
        self.phase = if self.phase + 1 >= self.lag {
            0
        } else {
            self.phase + 1
        };
        let at = self.invented;
        self.invented = at.saturating_add(1);
        let left = JOINT.saturating_sub(at + 1) as i32;
        let joined = looped + self.step * left / JOINT as i32;
        let gain = match at {
            0..FULL => FULL_GAIN,
            FULL..GONE => FULL_GAIN * (GONE - at) as i32 / (GONE - FULL) as i32,
            _ => 0,
        };
        saturate(joined * gain / FULL_GAIN)
    }

    fn fade_into(&mut self, frame: &mut Frame) {
        for (i, sample) in frame.iter_mut().take(FADE).enumerate() {
            let invented = self.next();
            *sample = mix(invented, *sample, i + 1, FADE);
        }
    }

    fn remember(&mut self, frame: &Frame) {
        self.history.copy_within(FRAME.., 0);
        if let Some(newest) = self.history.last_chunk_mut::<FRAME>() {
            *newest = *frame;
        }
    }
}

fn fade_in(frame: &mut Frame) {
    for (i, sample) in frame.iter_mut().take(FADE).enumerate() {
        *sample = scale(*sample, i + 1, FADE);
    }
}

/// The lag at which the last 10 ms are most like what was played before, by normalised correlation:
/// the shortest that is nearly the best, lest a multiple of the period be taken for it.
fn pitch(history: &[i16; HISTORY]) -> usize {
    let mut scores = [0.0_f32; LAG_MAX - LAG_MIN + 1];
    let newest = history.get(HISTORY - MATCH..).unwrap_or_default();
    for (lag, score) in (LAG_MIN..).zip(&mut scores) {
        let older = history
            .get(HISTORY - MATCH - lag..HISTORY - lag)
            .unwrap_or_default();
        let (mut cross, mut energy) = (0.0_f32, 1.0_f32);
        for (&a, &b) in newest.iter().zip(older) {
            let (a, b) = (f32::from(a), f32::from(b));
            cross += a * b;
            energy += b * b;
        }
        *score = if cross > 0.0 {
            cross * cross / energy
        } else {
            0.0
        };
    }
    let best = scores.iter().copied().fold(0.0, f32::max);
    let is_peak = |&(i, &score): &(usize, &f32)| {
        let near = scores
            .get(i.saturating_sub(1)..(i + 2).min(scores.len()))
            .unwrap_or_default();
        score >= best * 0.85 && near.iter().all(|&other| other <= score)
    };
    let peak = scores
        .iter()
        .enumerate()
        .find(is_peak)
        .filter(|_| best > 0.0);
    peak.map_or(LAG_MAX, |(i, _)| LAG_MIN + i)
}

/// `(whole - part)` shares of `from` and `part` of `to`; both counts are at most a frame.
fn mix(from: i16, to: i16, part: usize, whole: usize) -> i16 {
    let (part, whole) = (part as i32, whole.max(1) as i32);
    saturate((i32::from(from) * (whole - part) + i32::from(to) * part) / whole)
}

fn scale(sample: i16, part: usize, whole: usize) -> i16 {
    mix(0, sample, part, whole)
}

fn saturate(sample: i32) -> i16 {
    sample.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

/// Pitch from 2.5 ms (400 Hz) to 15 ms (66 Hz).
const LAG_MIN: usize = 20;
const LAG_MAX: usize = 120;

/// Samples compared in the search: 10 ms.
const MATCH: usize = 80;

/// Two frames: enough for the longest lag, its quarter, and the match.
const HISTORY: usize = 2 * FRAME;

/// The step into an invented frame fades over 4 ms.
const JOINT: usize = 32;

/// Cross-fades last 5 ms.
const FADE: usize = 40;

/// Invented audio has full level for 10 ms and is gone after 60 ms.
const FULL: usize = 80;
const GONE: usize = 480;
const FULL_GAIN: i32 = 1 << 12;

const _: () = assert!(LAG_MAX + LAG_MAX / 4 <= HISTORY && MATCH + LAG_MAX <= HISTORY);
