//! DTMF in the sound itself (ITU-T Q.23, Q.24): made and found.
//!
//! The detector looks at 20 ms windows every 5 ms. A window shows a key when two tones, one of each
//! group, hold most of its energy at fitting levels, and it follows the window before when their
//! phases tell that both tones are within 2.5 % of their place: voices seldom keep that. Four windows of one key in a row are a press,
//! which takes a tone of some 30 ms; six without it are its end, so that a break of 10 ms does not
//! split a press and a pause of 40 ms does.

use std::f32::consts::TAU;

use clock::Duration;

use super::Tone;
use super::level;
use crate::digit::{COLUMNS_HZ, Heard, ROWS_HZ};
use crate::{Digit, FRAME, Frame, SAMPLE_RATE};

/// The two tones of a key.
#[derive(Clone, Debug)]
pub struct DtmfTone {
    low: Tone,
    high: Tone,
}

impl DtmfTone {
    /// The tones of `digit`, each at `level_dbfs`; −9 and below does not saturate.
    pub fn new(digit: Digit, level_dbfs: f32) -> Self {
        let (low, high) = digit.tones_hz();
        Self {
            low: Tone::new(f32::from(low), level_dbfs),
            high: Tone::new(f32::from(high), level_dbfs),
        }
    }

    /// Writes the next samples.
    pub fn fill(&mut self, out: &mut [i16]) {
        self.low.fill(out);
        self.high.add(out);
    }
}

/// Finds keys in a stream of samples at 8 kHz.
///
/// *Media thread*: fixed memory; four windows of 160 samples by eight tones a frame, and next to
/// nothing while the stream is quiet.
#[derive(Clone, Debug)]
pub struct DtmfDetector {
    /// The samples a window may still need, oldest first, then the newest frame.
    samples: [i16; OVERLAP + FRAME],
    coefficients: [f32; TONES],
    tunes: [Tune; TONES],
    window: [f32; WINDOW],
    /// What the last window showed, and how many in a row have shown it.
    candidate: Option<Shown>,
    hits: u32,
    down: Option<Down>,
}

/// A key in a window, with the amplitude and phase of its tones.
#[derive(Clone, Copy, Debug)]
struct Shown {
    digit: Digit,
    low: Found,
    high: Found,
}

/// One tone in a window: its index and its complex amplitude.
#[derive(Clone, Copy, Debug)]
struct Found {
    tone: usize,
    re: f32,
    im: f32,
}

/// What the phase of a tone tells of its frequency.
#[derive(Clone, Copy, Debug)]
struct Tune {
    cos: f32,
    sin: f32,
    /// How far the phase turns from a window to the next, as a point on the unit circle.
    turn: (f32, f32),
    /// Tangent of the angle by which it may turn more or less.
    slack: f32,
}

impl Tune {
    fn new(hz: f32) -> Self {
        let omega = TAU * hz / SAMPLE_RATE as f32;
        let turn = omega * HOP as f32;
        Self {
            cos: omega.cos(),
            sin: omega.sin(),
            turn: (turn.cos(), turn.sin()),
            slack: (turn * OFF_MAX).tan(),
        }
    }

    /// Whether the phase has turned from `before` to `after` as the tone's would.
    fn holds(&self, before: &Found, after: &Found) -> bool {
        let re = after.re * before.re + after.im * before.im;
        let im = after.im * before.re - after.re * before.im;
        let (cos, sin) = self.turn;
        let (re, im) = (re * cos + im * sin, im * cos - re * sin);
        re > 0.0 && im.abs() <= re * self.slack
    }
}

/// A key that is down; times in windows of 5 ms.
#[derive(Clone, Copy, Debug)]
struct Down {
    digit: Digit,
    lasted: u32,
    misses: u32,
}

impl Default for DtmfDetector {
    fn default() -> Self {
        Self::new()
    }
}

impl DtmfDetector {
    /// A detector that has heard silence.
    pub fn new() -> Self {
        let rate = SAMPLE_RATE as f32;
        let hz = |i: usize| {
            let (rows, columns) = (ROWS_HZ.get(i), COLUMNS_HZ.get(i.wrapping_sub(GROUP)));
            f32::from(rows.or(columns).copied().unwrap_or(0))
        };
        Self {
            samples: [0; OVERLAP + FRAME],
            coefficients: std::array::from_fn(|i| 2.0 * (TAU * hz(i) / rate).cos()),
            tunes: std::array::from_fn(|i| Tune::new(hz(i))),
            window: std::array::from_fn(|i| {
                0.5 - 0.5 * (TAU * (i as f32 + 0.5) / WINDOW as f32).cos()
            }),
            candidate: None,
            hits: 0,
            down: None,
        }
    }

    /// Whether a key sounds.
    pub fn is_down(&self) -> bool {
        self.down.is_some()
    }

    /// Listens to the next 20 ms.
    pub fn listen(&mut self, frame: &Frame) -> Heard {
        self.samples.copy_within(FRAME.., 0);
        if let Some(newest) = self.samples.last_chunk_mut::<FRAME>() {
            *newest = *frame;
        }
        let mut heard = Heard::default();
        for start in (0..FRAME).step_by(HOP) {
            let window = self
                .samples
                .get(start..)
                .and_then(|rest| rest.first_chunk::<WINDOW>());
            let Some(window) = window else { continue };
            let shown = self.key_in(window);
            self.step(shown, &mut heard);
        }
        heard
    }

    fn step(&mut self, shown: Option<Shown>, heard: &mut Heard) {
        let follows = self
            .candidate
            .zip(shown)
            .is_some_and(|(was, is)| self.follows(&was, &is));
        self.hits = if follows { self.hits + 1 } else { 1 };
        self.candidate = shown;
        let shown = shown.map(|shown| shown.digit);
        let new = shown.filter(|_| self.hits >= HITS);
        if let Some(down) = &mut self.down {
            if shown == Some(down.digit) {
                down.lasted += down.misses + 1;
                down.misses = 0;
                return;
            }
            down.misses += 1;
            if down.misses < MISSES && new.is_none() {
                return;
            }
            heard.released = Some((down.digit, HOP_DURATION * down.lasted));
            self.down = None;
        }
        if let Some(digit) = new {
            // The first window that shows a key begins where the key does, give or take 5 ms.
            self.down = Some(Down {
                digit,
                lasted: self.hits + WINDOW_SHARE,
                misses: 0,
            });
            heard.pressed = Some(digit);
        }
    }

    fn follows(&self, was: &Shown, is: &Shown) -> bool {
        let holds = |was: &Found, is: &Found| {
            self.tunes
                .get(is.tone)
                .is_some_and(|tune| tune.holds(was, is))
        };
        was.digit == is.digit && holds(&was.low, &is.low) && holds(&was.high, &is.high)
    }

    /// The key that a window shows, if it shows one.
    fn key_in(&self, samples: &[i16; WINDOW]) -> Option<Shown> {
        let mut weighted = [0.0; WINDOW];
        for ((out, &sample), &weight) in weighted.iter_mut().zip(samples).zip(&self.window) {
            *out = f32::from(sample) * (weight / 32_768.0);
        }
        // In a Hann window: the sum of weights is half its length, of their squares three eighths.
        let energy: f32 = weighted.iter().map(|x| x * x).sum();
        let total = energy / (WINDOW as f32 * 0.375);
        if total < LEAST_POWER {
            return None;
        }
        let found = self.tones_in(&weighted);
        let (rows, columns) = found.split_at(GROUP);
        let (low, high) = (strongest(rows)?, strongest(columns)?);
        let digit = Digit::at(low.tone, high.tone - GROUP)?;
        let (low_power, high_power) = (low.power(), high.power());
        let twist_db = level::from_power(high_power) - level::from_power(low_power);
        let fits = low_power.min(high_power) >= LEAST_POWER / 2.0
            && (TWIST_DB.0..=TWIST_DB.1).contains(&twist_db)
            && low_power + high_power >= total * PURITY;
        fits.then_some(Shown { digit, low, high })
    }

    fn tones_in(&self, weighted: &[f32; WINDOW]) -> [Found; TONES] {
        let (s1, s2) = resonate(weighted, &self.coefficients);
        let mut found = [Found {
            tone: 0,
            re: 0.0,
            im: 0.0,
        }; TONES];
        let states = s1.iter().zip(&s2).zip(&self.tunes);
        for (tone, (found, ((&s1, &s2), tune))) in found.iter_mut().zip(states).enumerate() {
            *found = Found {
                tone,
                re: s1 - s2 * tune.cos,
                im: s2 * tune.sin,
            };
        }
        found
    }
}

impl Found {
    /// The mean power of the tone; a full-scale sine has one half.
    fn power(&self) -> f32 {
        (self.re * self.re + self.im * self.im) * (2.0 / (WINDOW as f32 / 2.0).powi(2))
    }
}

/// Goertzel's recursion for all tones at once.
fn resonate(weighted: &[f32; WINDOW], coefficients: &[f32; TONES]) -> ([f32; TONES], [f32; TONES]) {
    let (mut s1, mut s2) = ([0.0_f32; TONES], [0.0_f32; TONES]);
    for &sample in weighted {
        for ((a, b), &coefficient) in s1.iter_mut().zip(&mut s2).zip(coefficients) {
            let s0 = sample + coefficient * *a - *b;
            *b = *a;
            *a = s0;
        }
    }
    (s1, s2)
}

/// The strongest of a group, if it stands out from the others.
fn strongest(group: &[Found]) -> Option<Found> {
    let best = group
        .iter()
        .copied()
        .max_by(|a, b| a.power().total_cmp(&b.power()))?;
    let rival =
        |other: &Found| other.tone != best.tone && other.power() * STANDS_OUT >= best.power();
    (!group.iter().any(rival)).then_some(best)
}

const TONES: usize = 8;
const GROUP: usize = TONES / 2;

/// 20 ms, 5 ms on from the last.
const WINDOW: usize = 160;
const HOP: usize = 40;
const HOP_DURATION: Duration = Duration::from_millis(5);
const OVERLAP: usize = WINDOW - HOP;

/// Windows of one key that make a press: 40 ms of tone show at least five, 20 ms three at most.
const HITS: u32 = 4;

/// Windows without a key that end its press: a break of 10 ms costs five at most, 40 ms nine.
const MISSES: u32 = 6;

/// What a tone lasts beyond the count of windows that show it: each must have some 60 % of it.
const WINDOW_SHARE: u32 = 2;

/// −36 dBFS for each tone (Q.24 asks for −29 dBm0, which is −32 dBFS), as a mean power.
const LEAST_POWER: f32 = 2.5e-4;

/// The high tone against the low one: −8 to +4 dB by Q.24, and 2 dB for tones 1.5 % off.
const TWIST_DB: (f32, f32) = (-10.0, 6.0);

/// The share of the energy that must lie in the two tones. Tones 1.5 % off with the high one 4 dB up
/// and noise 15 dB down leave 0.77.
const PURITY: f32 = 0.75;

/// How far a tone may be off: Q.24 receivers take 1.5 % and leave 3.5 %.
const OFF_MAX: f32 = 0.025;

/// The strongest tone of a group has four times (6 dB) what any other has.
const STANDS_OUT: f32 = 4.0;

#[cfg(test)]
#[path = "dtmf_tests.rs"]
mod tests;
