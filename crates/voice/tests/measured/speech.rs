//! Talkers for the measurements: synthetic speech of espeak-ng, joined with seeded pauses.
//!
//! Nobody's voice was recorded. espeak-ng is a formant synthesiser: its vowels are cleaner and its
//! pauses emptier than a person's.

use std::process::Command;

use crate::room::{Random, resampled};

/// Speech at 16 kHz, between ±1 about.
pub(crate) type Samples = Vec<f32>;

/// What a talker says.
pub(crate) struct Talk {
    pub(crate) samples: Samples,
}

/// `seconds` of one talker, with pauses between utterances of `pauses` seconds, at an active level of
/// `dbfs` (a sine of full scale has 0).
pub(crate) fn talk(
    voices: &[&str],
    seconds: f64,
    pauses: (f64, f64),
    dbfs: f64,
    seed: u64,
) -> Talk {
    let mut random = Random::new(seed);
    let wanted = (seconds * 16_000.0) as usize;
    let mut samples = Samples::new();
    let mut n = seed as usize;
    while samples.len() < wanted {
        let pause = pauses.0 + (pauses.1 - pauses.0) * f64::from(random.unit());
        samples.extend(std::iter::repeat_n(0.0, (pause * 16_000.0) as usize));
        samples.extend(utterance(
            voices[n % voices.len()],
            SENTENCES[n % SENTENCES.len()],
        ));
        n += 1;
    }
    samples.truncate(wanted);
    level(&mut samples, dbfs);
    Talk { samples }
}

/// Voices at once, each on its own.
pub(crate) fn babble(voices: usize, seconds: f64) -> Samples {
    let mut sum = vec![0.0; (seconds * 16_000.0) as usize];
    for n in 0..voices {
        let voice = VOICES[n % VOICES.len()];
        let one = talk(&[voice], seconds, (0.05, 0.4), -20.0, 77 + 13 * n as u64);
        for (to, from) in sum.iter_mut().zip(one.samples) {
            *to += from;
        }
    }
    sum
}

/// The same at another active level.
pub(crate) fn scaled(samples: &[f32], dbfs: f64) -> Samples {
    let mut samples = samples.to_vec();
    level(&mut samples, dbfs);
    samples
}

/// Scales to an active level: the mean power of the frames within 25 dB of the loudest ones.
fn level(samples: &mut [f32], dbfs: f64) {
    let gain = 10f64.powf((dbfs - active_dbfs(samples)) / 20.0) as f32;
    for sample in samples {
        *sample *= gain;
    }
}

/// The level while there is speech.
pub(crate) fn active_dbfs(samples: &[f32]) -> f64 {
    let frames: Vec<f64> = samples.chunks_exact(320).map(power).collect();
    let loudest = frames.iter().copied().fold(0.0, f64::max);
    let active: Vec<f64> = frames
        .into_iter()
        .filter(|p| *p > loudest / 316.0)
        .collect();
    10.0 * (2.0 * active.iter().sum::<f64>() / active.len().max(1) as f64).log10()
}

pub(crate) fn power(samples: &[f32]) -> f64 {
    samples.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / samples.len().max(1) as f64
}

/// An utterance without the silence around it.
fn utterance(voice: &str, text: &str) -> Samples {
    let made = Command::new("espeak-ng")
        .args(["-v", voice, "-s", "165", "--stdout", text])
        .output()
        .expect("espeak-ng is installed: apt-get install espeak-ng");
    let samples: Samples = made
        .stdout
        .get(44..)
        .expect("a WAV header")
        .chunks_exact(2)
        .map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0)
        .collect();
    let samples = resampled(&samples, 22_050.0 / 16_000.0);
    let loud = |sample: &f32| sample.abs() > 0.003;
    let from = samples.iter().position(loud).unwrap_or(0);
    let to = samples.iter().rposition(loud).unwrap_or(0);
    samples[from..to].to_vec()
}

pub(crate) const VOICES: [&str; 8] = [
    "en-us+m1", "en-gb+f2", "en-us+m3", "en-gb+f4", "en-us+m7", "en-us+f1", "en-gb+m4", "en-us+f5",
];

const SENTENCES: [&str; 20] = [
    "Good morning, you have reached the service desk of the city works.",
    "I would like to ask about the bill that came on Tuesday.",
    "Please tell me your customer number, and then the street where you live.",
    "It is four seven one, nine nine two, zero three.",
    "Thank you. One moment please, while I look for your contract.",
    "The meter was read in March, but the letter says it was in May.",
    "Would you like to speak with a colleague of the accounts department?",
    "Yes please, that would be very kind of you.",
    "Our opening hours are from eight in the morning until six in the evening.",
    "No, I have never had a problem with the connection before this week.",
    "Six shy shepherds sold seven short swords on the seashore.",
    "Could you say that again? The line is rather bad today.",
    "We will send a technician on Friday between ten and twelve.",
    "My telephone number has changed since we last talked.",
    "All of our agents are busy. Your call will be answered in turn.",
    "How many people are waiting before me in the queue?",
    "The invoice has been paid, and the reminder was sent by mistake.",
    "Could I have that confirmed in writing, to my new address?",
    "Of course. A letter is on its way to you this afternoon.",
    "Then I have no more questions. Thank you, and good bye.",
];
