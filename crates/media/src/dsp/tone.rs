//! Tones: made, found, and followed from frame to frame.

use std::f32::consts::{PI, TAU};

use super::level;
use crate::{FRAME, Frame, SAMPLE_RATE};

/// A sine of steady level whose phase runs on from frame to frame.
#[derive(Clone, Debug)]
pub struct Tone {
    hz: f32,
    amplitude: f64,
    /// The phase as a point on the unit circle, turned by `turn` each sample.
    point: (f64, f64),
    turn: (f64, f64),
}

impl Tone {
    /// A tone of `hz` (below 4,000) at `level_dbfs` (0 at most), for audio at 8 kHz.
    pub fn new(hz: f32, level_dbfs: f32) -> Self {
        let step = std::f64::consts::TAU * f64::from(hz) / f64::from(SAMPLE_RATE);
        Self {
            hz,
            amplitude: f64::from(level::amplitude(level_dbfs)),
            point: (1.0, 0.0),
            turn: (step.cos(), step.sin()),
        }
    }

    /// Its frequency.
    pub const fn hz(&self) -> f32 {
        self.hz
    }

    /// Its level in dBFS.
    pub fn level_dbfs(&self) -> f32 {
        level::of_amplitude(self.amplitude as f32)
    }

    /// Writes the next samples.
    pub fn fill(&mut self, out: &mut [i16]) {
        for sample in out {
            *sample = self.next();
        }
        self.straighten();
    }

    /// Adds the next samples to what is there, saturating.
    pub fn add(&mut self, out: &mut [i16]) {
        for sample in out {
            *sample = sample.saturating_add(self.next());
        }
        self.straighten();
    }

    /// The next 20 ms.
    pub fn frame(&mut self) -> Frame {
        let mut frame = [0; FRAME];
        self.fill(&mut frame);
        frame
    }

    fn next(&mut self) -> i16 {
        let (x, y) = self.point;
        let (c, s) = self.turn;
        self.point = (x * c - y * s, x * s + y * c);
        // `as` saturates; the amplitude never exceeds full scale.
        (y * self.amplitude).round() as i16
    }

    /// Rounding moves the point off the circle, by 1e-14 a frame: put it back.
    fn straighten(&mut self) {
        let (x, y) = self.point;
        let length = x.hypot(y);
        self.point = (x / length, y / length);
    }
}

/// Measures how much of one frequency is in a block of samples.
#[derive(Clone, Copy, Debug)]
pub struct Goertzel {
    coefficient: f32,
}

impl Goertzel {
    /// For `hz` in audio at `rate` samples a second.
    pub fn new(hz: f32, rate: u32) -> Self {
        Self {
            coefficient: 2.0 * (TAU * hz / rate as f32).cos(),
        }
    }

    /// The power at the frequency, as a share of a full-scale sine's: 1 is 0 dBFS.
    ///
    /// Exact for a sine with whole cycles in the block; other sines leak by the block's length.
    pub fn power(&self, samples: &[i16]) -> f32 {
        self.run(samples.iter().map(|&s| f32::from(s)), samples.len() as f32)
    }

    /// The level at the frequency, in dBFS.
    pub fn dbfs(&self, samples: &[i16]) -> f32 {
        level::from_power(self.power(samples))
    }

    /// `weight`: the sum of the window's weights.
    fn run(&self, samples: impl Iterator<Item = f32>, weight: f32) -> f32 {
        let (mut s1, mut s2) = (0.0_f32, 0.0_f32);
        for sample in samples {
            let s0 = sample / 32_768.0 + self.coefficient * s1 - s2;
            s2 = s1;
            s1 = s0;
        }
        let square = s1 * s1 + s2 * s2 - self.coefficient * s1 * s2;
        let amplitude = 2.0 / weight.max(1.0);
        square.max(0.0) * amplitude * amplitude
    }
}

/// The most tones that one [`ToneMeter`] follows.
pub const TONES_MAX: usize = 16;

/// Follows a small set of tones through a stream, 20 ms at a time: which are there, at what level,
/// since when, and with what gaps.
///
/// A Hann window keeps tones 100 Hz apart from each other's measure by 31 dB and more.
#[derive(Clone, Debug)]
pub struct ToneMeter {
    tones: [(Goertzel, ToneTrack); TONES_MAX],
    count: usize,
    threshold_dbfs: f32,
    frames: u32,
    window: [f32; FRAME],
}

/// What a [`ToneMeter`] knows of one tone. Times are in frames of 20 ms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ToneTrack {
    /// Its frequency.
    pub hz: f32,
    /// Its level in the last frame.
    pub level_dbfs: f32,
    /// Its level at its loudest.
    pub peak_dbfs: f32,
    /// The index of the first frame that had it.
    pub first_frame: Option<u32>,
    /// How many frames had it.
    pub frames_present: u32,
    /// The longest run of frames without it between two that had it.
    pub longest_gap: u32,
    /// Frames since it was last there, if it ever was.
    pub absent_for: u32,
}

impl ToneMeter {
    /// Follows up to [`TONES_MAX`] tones, further ones are ignored; a tone is there when it measures
    /// `threshold_dbfs` or more.
    pub fn new(tones_hz: &[f32], threshold_dbfs: f32) -> Self {
        let tones = std::array::from_fn(|i| {
            let hz = tones_hz.get(i).copied().unwrap_or(0.0);
            let track = ToneTrack {
                hz,
                level_dbfs: level::FLOOR_DBFS,
                peak_dbfs: level::FLOOR_DBFS,
                first_frame: None,
                frames_present: 0,
                longest_gap: 0,
                absent_for: 0,
            };
            (Goertzel::new(hz, SAMPLE_RATE), track)
        });
        let turn = TAU / FRAME as f32;
        Self {
            tones,
            count: tones_hz.len().min(TONES_MAX),
            threshold_dbfs,
            frames: 0,
            window: std::array::from_fn(|i| {
                0.5 - 0.5 * (turn * i as f32 + PI / FRAME as f32).cos()
            }),
        }
    }

    /// Measures the next frame.
    pub fn measure(&mut self, frame: &Frame) {
        let index = self.frames;
        self.frames = index.saturating_add(1);
        let weight: f32 = self.window.iter().sum();
        let (window, threshold) = (&self.window, self.threshold_dbfs);
        for (goertzel, track) in self.tones.iter_mut().take(self.count) {
            let weighted = frame.iter().zip(window).map(|(&s, &w)| f32::from(s) * w);
            track.level_dbfs = level::from_power(goertzel.run(weighted, weight));
            track.peak_dbfs = track.peak_dbfs.max(track.level_dbfs);
            if track.level_dbfs >= threshold {
                track.longest_gap = track.longest_gap.max(track.absent_for);
                track.absent_for = 0;
                track.frames_present += 1;
                track.first_frame.get_or_insert(index);
            } else if track.first_frame.is_some() {
                track.absent_for = track.absent_for.saturating_add(1);
            }
        }
    }

    /// What is known of each tone, in the order given to [`ToneMeter::new`].
    pub fn tracks(&self) -> impl Iterator<Item = &ToneTrack> {
        self.tones.iter().take(self.count).map(|(_, track)| track)
    }

    /// What is known of the tone of `hz`, if it is followed.
    pub fn track(&self, hz: f32) -> Option<&ToneTrack> {
        self.tracks().find(|track| (track.hz - hz).abs() < 0.5)
    }

    /// Whether the tone of `hz` was in the last frame.
    pub fn is_present(&self, hz: f32) -> bool {
        self.track(hz)
            .is_some_and(|t| t.frames_present > 0 && t.absent_for == 0)
    }

    /// Frames measured.
    pub const fn frames(&self) -> u32 {
        self.frames
    }
}

#[cfg(test)]
mod tests {
    use super::{Goertzel, Tone, ToneMeter};
    use crate::SILENCE;
    use crate::dsp::level;

    #[test]
    fn a_tone_has_its_level_and_runs_on_without_a_step() {
        let mut tone = Tone::new(1_000.0, -10.0);
        let both: Vec<i16> = [tone.frame(), tone.frame()].concat();
        assert!((level::dbfs(&both) + 10.0).abs() < 0.02);
        assert!((Goertzel::new(1_000.0, 8_000).dbfs(&both) + 10.0).abs() < 0.02);
        let mut whole = [0; 320];
        Tone::new(1_000.0, -10.0).fill(&mut whole);
        assert_eq!(both, whole);
        assert!(Goertzel::new(1_500.0, 8_000).dbfs(&both) < -60.0);
    }

    #[test]
    fn the_meter_tells_tones_apart_and_measures_the_gap() {
        let mut meter = ToneMeter::new(&[440.0, 620.0, 1_000.0], -40.0);
        let mut tone = Tone::new(440.0, -13.0);
        for index in 0..50 {
            let frame = tone.frame();
            meter.measure(if (5..45).contains(&index) && index != 20 {
                &frame
            } else {
                &SILENCE
            });
        }
        let track = meter.track(440.0).unwrap();
        assert!((track.peak_dbfs + 13.0).abs() < 0.5, "{track:?}");
        assert_eq!((track.first_frame, track.longest_gap), (Some(5), 1));
        assert_eq!((track.frames_present, track.absent_for), (39, 5));
        assert!(
            meter
                .tracks()
                .skip(1)
                .all(|other| other.first_frame.is_none())
        );
        assert!(!meter.is_present(440.0));
    }
}
