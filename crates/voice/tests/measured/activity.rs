//! Voice activity: precision, recall and onset delay, beside `webrtc-vad` and `earshot` alone.

use std::sync::LazyLock;

use earshot::Detector;
use voice::activity::{Activity, Patience, Spurt};
use voice::{FRAME, Frame};
use webrtc_vad::{SampleRate, Vad, VadMode};

use crate::line::linear;
use crate::room::noise;
use crate::speech::{Samples, VOICES, babble, scaled, talk};

/// What a detector made of a stretch.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Score {
    /// Of the frames it called speech, how many are; in percent.
    pub(crate) precision: f64,
    /// Of the frames that are speech, how many it called so.
    pub(crate) recall: f64,
    /// From a spurt's beginning to when it was told, in ms: the median, and the ninth of ten.
    pub(crate) onset_ms: [f64; 2],
    /// Spurts of which nothing was told within half a second, in percent.
    pub(crate) missed: f64,
}

impl Score {
    pub(crate) fn numbers(&self) -> [(&'static str, f64); 5] {
        [
            ("precision", self.precision),
            ("recall", self.recall),
            ("onset_ms", self.onset_ms[0]),
            ("onset_p90_ms", self.onset_ms[1]),
            ("missed_pc", self.missed),
        ]
    }
}

/// What a detector says, by frames of 10 ms: speech or not, and what it knew at that time.
pub(crate) struct Verdict {
    /// As its listener has it in the end: a spurt begins where it was said to have begun.
    pub(crate) speech: Vec<bool>,
    /// As it was known when the frame had come.
    pub(crate) known: Vec<bool>,
}

/// 90 s of eight talkers in turn, and which frames are speech.
pub(crate) struct Stretch {
    pub(crate) clean: Samples,
    pub(crate) speech: Vec<bool>,
}

impl Stretch {
    pub(crate) fn new(seed: u64) -> Self {
        let clean = talk(&VOICES, 90.0, (0.6, 1.6), -23.0, seed).samples;
        Self {
            speech: labels(&clean),
            clean,
        }
    }

    /// With noise of `snr_db` below the active speech.
    pub(crate) fn within(&self, sound: Background, snr_db: f64) -> Vec<i16> {
        let samples = self.clean.len();
        let level = -23.0 - snr_db;
        let behind = match sound {
            Background::White => noise(samples, level, 5),
            Background::Babble => scaled(&BABBLE, level),
        };
        let mix: Vec<f32> = self.clean.iter().zip(behind).map(|(s, n)| s + n).collect();
        linear(&mix)
    }
}

/// Six talkers at once, 90 s.
static BABBLE: LazyLock<Samples> = LazyLock::new(|| babble(6, 90.1));

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Background {
    White,
    Babble,
}

/// Frames within 35 dB of the loudest, pauses of a fifth of a second within words included.
fn labels(clean: &[f32]) -> Vec<bool> {
    let powers: Vec<f64> = clean
        .chunks_exact(FRAME)
        .map(crate::speech::power)
        .collect();
    let loudest = powers.iter().copied().fold(0.0, f64::max);
    let mut speech: Vec<bool> = powers.iter().map(|p| *p > loudest / 3_162.0).collect();
    let mut last = None;
    for n in 0..speech.len() {
        if !speech[n] {
            continue;
        }
        if let Some(last) = last.filter(|last| n - last <= 20) {
            speech[last..n].fill(true);
        }
        last = Some(n);
    }
    speech
}

pub(crate) fn score(labels: &[bool], verdict: &Verdict) -> Score {
    let count = |of: &dyn Fn(bool, bool) -> bool| -> f64 {
        labels
            .iter()
            .zip(&verdict.speech)
            .filter(|(l, s)| of(**l, **s))
            .count() as f64
    };
    let hits = count(&|l, s| l && s);
    let mut delays = Vec::new();
    let mut missed = 0.0;
    let onsets = (1..labels.len()).filter(|&n| labels[n] && !labels[n - 1]);
    let mut spurts = 0.0;
    for onset in onsets {
        spurts += 1.0;
        let until = (onset + 50).min(labels.len());
        match (onset..until).find(|&n| verdict.known[n]) {
            Some(n) => delays.push((n - onset + 1) as f64 * 10.0),
            None => missed += 1.0,
        }
    }
    delays.sort_by(f64::total_cmp);
    let at = |share: f64| {
        delays
            .get((delays.len() as f64 * share) as usize)
            .copied()
            .unwrap_or(f64::NAN)
    };
    Score {
        precision: 100.0 * hits / count(&|_, s| s).max(1.0),
        recall: 100.0 * hits / count(&|l, _| l).max(1.0),
        onset_ms: [at(0.5), at(0.9)],
        missed: 100.0 * missed / spurts,
    }
}

/// Ours.
pub(crate) fn two_steps(samples: &[i16], patience: Patience) -> Verdict {
    let mut activity = Activity::new(patience);
    let frames = samples.len() / FRAME;
    let mut verdict = Verdict {
        speech: vec![false; frames],
        known: vec![false; frames],
    };
    let mut open = None;
    for (n, frame) in samples.chunks_exact(FRAME).enumerate() {
        let frame: &Frame = frame.try_into().unwrap();
        match activity.handle(frame) {
            Some(Spurt::Began { at, .. }) => open = Some(at as usize / FRAME),
            Some(Spurt::Ended { began, at }) => {
                open = None;
                verdict.speech[began as usize / FRAME..at as usize / FRAME].fill(true);
            }
            None => {}
        }
        verdict.known[n] = activity.talking();
    }
    if let Some(began) = open {
        verdict.speech[began..].fill(true);
    }
    verdict
}

/// `webrtc-vad` alone.
pub(crate) fn webrtc(samples: &[i16]) -> Verdict {
    let mut vad = Vad::new_with_rate_and_mode(SampleRate::Rate16kHz, VadMode::VeryAggressive);
    let speech: Vec<bool> = samples
        .chunks_exact(FRAME)
        .map(|frame| vad.is_voice_segment(frame).unwrap())
        .collect();
    Verdict {
        known: speech.clone(),
        speech,
    }
}

/// `earshot` alone, above a half.
pub(crate) fn earshot(samples: &[i16]) -> Verdict {
    let mut detector = Detector::default();
    let looks: Vec<bool> = samples
        .chunks_exact(256)
        .map(|frame| detector.predict_i16(frame) > 0.5)
        .collect();
    let frames = samples.len() / FRAME;
    // The look that holds a frame's middle, and the newest one that was whole when the frame had come.
    let speech = (0..frames)
        .map(|n| looks.get((n * FRAME + 80) / 256) == Some(&true))
        .collect();
    let known = (0..frames)
        .map(|n| {
            ((n + 1) * FRAME / 256)
                .checked_sub(1)
                .is_some_and(|at| looks.get(at) == Some(&true))
        })
        .collect();
    Verdict { speech, known }
}
