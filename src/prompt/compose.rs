//! Sound made by our own synthesiser: call-progress tones, and a piece of hold music.
//!
//! Pure and deterministic: the same samples on every call. Frequencies stay inside the telephone
//! band, and the music is mixed on a circle, so that the tail of its last note sounds on under its
//! first one and the loop has no seam.

use std::f32::consts::TAU;

use super::level::{self, RATE};

/// A call-progress tone: what is heard, and its rhythm, which repeats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Frequencies heard together, Hz; zero for none.
    hz: [f32; 2],
    /// On and off, ms; off 0 for a continuous tone.
    rhythm_ms: [u32; 2],
}

/// The tone called `name`, one turn of its rhythm at −10 dBm0 (ITU-T E.180: 425 Hz in Europe; the
/// `-us` tones as in North America). `None` for a name not in [`TONES`].
pub fn tone(name: &str) -> Option<Vec<i16>> {
    let (_, progress) = TONES.iter().find(|(known, _)| *known == name)?;
    let [on, off] = progress.rhythm_ms.map(|ms| ms * RATE / 1_000);
    let parts = progress.hz.iter().filter(|&&hz| hz > 0.0).count().max(1) as f32;
    let samples = (0..on + off).map(|n| {
        if n >= on {
            return 0.0;
        }
        let sum: f32 = progress.hz.iter().map(|&hz| sine(hz, n)).sum();
        // A tone that is switched hard clicks.
        let edge = if off == 0 {
            1.0
        } else {
            (n.min(on - n) as f32 / EDGE).min(1.0)
        };
        sum * PROGRESS_AMPLITUDE / parts * edge
    });
    Some(level::to_pcm(&samples.collect::<Vec<_>>()))
}

/// Every tone by name, for messages that list them.
pub const TONES: [(&str, Progress); 8] = [
    (
        "ringback",
        Progress {
            hz: [425.0, 0.0],
            rhythm_ms: [1_000, 4_000],
        },
    ),
    (
        "busy",
        Progress {
            hz: [425.0, 0.0],
            rhythm_ms: [500, 500],
        },
    ),
    (
        "congestion",
        Progress {
            hz: [425.0, 0.0],
            rhythm_ms: [240, 240],
        },
    ),
    (
        "dial",
        Progress {
            hz: [425.0, 0.0],
            rhythm_ms: [1_000, 0],
        },
    ),
    (
        "ringback-us",
        Progress {
            hz: [440.0, 480.0],
            rhythm_ms: [2_000, 4_000],
        },
    ),
    (
        "busy-us",
        Progress {
            hz: [480.0, 620.0],
            rhythm_ms: [500, 500],
        },
    ),
    (
        "congestion-us",
        Progress {
            hz: [480.0, 620.0],
            rhythm_ms: [260, 260],
        },
    ),
    (
        "beep",
        Progress {
            hz: [1_000.0, 0.0],
            rhythm_ms: [180, 20],
        },
    ),
];

/// The hold music that ships: sixteen bars at 4/4, 44.8 s, a soft electric piano over a string bed.
///
/// It never falls silent, so a gap in what a caller hears is a fault, and its level is
/// [`MUSIC_DBFS`]. Takes some tens of milliseconds; do it once.
pub fn music() -> Vec<i16> {
    let mut circle = vec![0.0_f32; (BARS.len() as u32 * BAR) as usize];
    for (bar, (chord, melody)) in (0_u32..).zip(&BARS) {
        let start = bar * BAR;
        for &note in chord {
            play(&mut circle, start, Instrument::Strings, note, BAR, 0.10);
        }
        let &[root, ..] = chord;
        play(
            &mut circle,
            start,
            Instrument::Bass,
            root - 12,
            BAR * 3 / 8,
            0.20,
        );
        play(
            &mut circle,
            start + BAR / 2,
            Instrument::Bass,
            root - 5,
            BAR * 3 / 8,
            0.14,
        );
        // The chord is broken upwards on the off-beats, like a hand that rolls over the keys.
        for (beat, &note) in (0_u32..).zip(chord) {
            let at = start + BAR / 8 + beat * BAR / 4;
            play(&mut circle, at, Instrument::Piano, note + 12, BAR / 4, 0.09);
        }
        for (eighth, &note) in (0_u32..).zip(melody) {
            if note > 0 {
                let at = start + eighth * BAR / 8;
                play(&mut circle, at, Instrument::Piano, note, BAR / 2, 0.22);
            }
        }
    }
    master(&mut circle);
    level::to_pcm(&circle)
}

/// The level of the music, dBFS over its whole length.
pub const MUSIC_DBFS: f32 = -20.0;

/// Samples in a bar of 2.8 s (85.7 beats a minute): a whole number of frames.
const BAR: u32 = 22_400;

/// Chord and melody of each bar, as MIDI notes; the melody in eighths, 0 for a rest or a held note.
type Bar = ([u8; 4], [u8; 8]);
const BARS: [Bar; 16] = [
    ([60, 64, 67, 71], [76, 0, 79, 0, 0, 76, 74, 0]),
    ([57, 60, 64, 67], [72, 0, 0, 74, 76, 0, 0, 0]),
    ([62, 65, 69, 72], [77, 0, 76, 0, 74, 0, 72, 0]),
    ([55, 59, 62, 65], [74, 0, 0, 71, 67, 0, 0, 0]),
    ([60, 64, 67, 71], [76, 0, 79, 0, 0, 81, 79, 0]),
    ([57, 60, 64, 67], [76, 0, 0, 72, 69, 0, 0, 0]),
    ([53, 57, 60, 64], [69, 0, 72, 0, 76, 0, 74, 72]),
    ([55, 59, 62, 65], [74, 0, 0, 0, 67, 0, 71, 0]),
    ([57, 60, 64, 67], [72, 0, 76, 0, 0, 79, 76, 0]),
    ([52, 55, 59, 62], [71, 0, 0, 74, 79, 0, 0, 0]),
    ([53, 57, 60, 64], [77, 0, 76, 0, 72, 0, 69, 0]),
    ([60, 64, 67, 71], [67, 0, 0, 72, 76, 0, 0, 0]),
    ([62, 65, 69, 72], [74, 0, 77, 0, 0, 81, 77, 0]),
    ([55, 59, 62, 65], [79, 0, 0, 77, 74, 0, 71, 0]),
    ([60, 64, 67, 71], [72, 0, 0, 0, 76, 0, 79, 0]),
    ([55, 59, 62, 65], [77, 0, 74, 0, 71, 0, 74, 0]),
];

#[derive(Clone, Copy)]
enum Instrument {
    Piano,
    Strings,
    Bass,
}

impl Instrument {
    /// Partials as (multiple of the note's frequency, amplitude).
    const fn partials(self) -> &'static [(f32, f32)] {
        match self {
            Self::Piano => &[(1.0, 1.0), (2.0, 0.30), (3.0, 0.10), (5.0, 0.04)],
            // Two players a hair apart beat slowly against each other, which is what makes a bed.
            Self::Strings => &[(0.9985, 0.5), (1.0015, 0.5), (2.001, 0.18), (2.999, 0.06)],
            Self::Bass => &[(1.0, 0.8), (2.0, 0.6), (3.0, 0.15)],
        }
    }

    /// Attack and the time in which a note falls to a third after its end (or, struck, at once), in samples.
    const fn envelope(self) -> (f32, f32) {
        match self {
            Self::Piano => (60.0, 5_600.0),
            Self::Strings => (4_800.0, 4_000.0),
            Self::Bass => (160.0, 4_800.0),
        }
    }
}

/// Adds one note to the circle. It sounds until it is 50 dB down, around the end if need be.
fn play(circle: &mut [f32], start: u32, of: Instrument, note: u8, length: u32, amplitude: f32) {
    let hz = 440.0 * 2.0_f32.powf((f32::from(note) - 69.0) / 12.0);
    let (attack, decay) = of.envelope();
    let held = if matches!(of, Instrument::Strings) {
        length
    } else {
        0
    };
    let sounding = held + (decay * 5.8) as u32;
    let fall = (-1.0 / decay).exp();
    for &(multiple, strength) in of.partials() {
        let partial = hz * multiple;
        if partial > HIGHEST_HZ {
            continue;
        }
        // A phasor that turns by one multiplication a sample: thirty million sines would take seconds.
        let (turn_y, turn_x) = (std::f64::consts::TAU * f64::from(partial / RATE as f32)).sin_cos();
        let (mut x, mut y) = (1.0_f64, 0.0_f64);
        let mut level = amplitude * strength;
        let mut at = start as usize % circle.len().max(1);
        for n in 0..sounding {
            if let Some(sample) = circle.get_mut(at) {
                *sample += y as f32 * level * (n as f32 / attack).min(1.0);
            }
            (x, y) = (x * turn_x - y * turn_y, x * turn_y + y * turn_x);
            if n >= held {
                level *= fall;
            }
            at = if at + 1 == circle.len() { 0 } else { at + 1 };
        }
    }
}

/// Brings the mix to [`MUSIC_DBFS`] and rounds off what stands out.
fn master(circle: &mut [f32]) {
    let power: f32 = circle.iter().map(|sample| sample * sample).sum();
    let rms = (power / circle.len().max(1) as f32)
        .sqrt()
        .max(f32::MIN_POSITIVE);
    let gain = 10.0_f32.powf(MUSIC_DBFS / 20.0) / rms;
    for sample in circle {
        let louder = *sample * gain;
        *sample = louder / (1.0 + louder.powi(4)).sqrt().sqrt();
    }
}

fn sine(hz: f32, n: u32) -> f32 {
    // In 64 bits, or the phase of a long note would drift.
    let turns = f64::from(hz) * f64::from(n) / f64::from(RATE);
    (TAU * turns.fract() as f32).sin()
}

/// −10 dBm0: a full-scale sine is +3.14 dBm0 (ITU-T G.711).
const PROGRESS_AMPLITUDE: f32 = 0.2203;
/// Samples in which a tone rises and falls: 5 ms.
const EDGE: f32 = 40.0;
/// The telephone band ends at 3,400 Hz.
const HIGHEST_HZ: f32 = 3_300.0;

#[cfg(test)]
mod tests {
    use super::{BAR, BARS, MUSIC_DBFS, TONES, music, tone};
    use crate::prompt::level::{active_dbfs, from_pcm};

    fn rms_dbfs(samples: &[i16]) -> f32 {
        let power: f64 = samples
            .iter()
            .map(|&s| (f64::from(s) / 32_768.0).powi(2))
            .sum();
        (10.0 * (power / samples.len() as f64).log10()) as f32
    }

    #[test]
    fn the_music_never_pauses_keeps_its_level_and_loops_without_a_seam() {
        let music = music();
        assert_eq!(music.len(), BARS.len() * BAR as usize);
        assert_eq!(music.len() % 160, 0, "whole frames");
        assert!(
            (rms_dbfs(&music) - MUSIC_DBFS).abs() < 0.5,
            "{}",
            rms_dbfs(&music)
        );
        for (n, frame) in music.chunks(160).enumerate() {
            let level = rms_dbfs(frame);
            assert!((-40.0..=-8.0).contains(&level), "frame {n}: {level} dBFS");
        }
        let jump = |a: i16, b: i16| i32::from(a).abs_diff(i32::from(b));
        let largest = music
            .windows(2)
            .map(|pair| jump(pair[0], pair[1]))
            .max()
            .unwrap();
        let seam = jump(*music.last().unwrap(), music[0]);
        assert!(seam <= largest, "{seam} at the seam, {largest} elsewhere");
    }

    #[test]
    fn the_music_is_a_tune_and_not_a_chord_that_stands() {
        let music = music();
        let bars: Vec<&[i16]> = music.chunks(BAR as usize).collect();
        for (n, pair) in bars.windows(2).enumerate() {
            let (a, b) = (from_pcm(pair[0]), from_pcm(pair[1]));
            let dot: f32 = a.iter().zip(&b).map(|(x, y)| x * y).sum();
            let power = |bar: &[f32]| bar.iter().map(|x| x * x).sum::<f32>();
            let likeness = dot / (power(&a) * power(&b)).sqrt();
            assert!(likeness.abs() < 0.8, "bars {n} and {}: {likeness}", n + 1);
        }
    }

    #[test]
    fn each_tone_has_its_level_and_rhythm_and_an_unknown_one_is_none() {
        for (name, progress) in TONES {
            let samples = tone(name).unwrap();
            let [on, off] = progress.rhythm_ms;
            assert_eq!(samples.len() as u32, (on + off) * 8, "{name}");
            let silence = &samples[(on * 8) as usize..];
            assert!(silence.iter().all(|&sample| sample == 0), "{name}");
            let level = active_dbfs(&from_pcm(&samples)).unwrap();
            assert!((-19.8..=-15.8).contains(&level), "{name}: {level}");
        }
        assert_eq!(tone("kazoo"), None);
    }

    #[test]
    fn a_continuous_tone_joins_its_own_beginning() {
        let dial = tone("dial").unwrap();
        let step = i32::from(dial[1]) - i32::from(dial[0]);
        let seam = i32::from(dial[0]) - i32::from(*dial.last().unwrap());
        assert!((step - seam).abs() < 50, "{step} {seam}");
    }
}
