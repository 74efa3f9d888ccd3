use super::{DtmfDetector, DtmfTone};
use crate::FRAME;
use crate::codec::g711::Law;
use crate::digit::Digit;
use crate::dsp::Tone;

const MS: usize = 8;

/// The keys heard in `samples` and how long each was down, in milliseconds.
fn hear(samples: &[i16]) -> (String, Vec<u128>) {
    let mut detector = DtmfDetector::new();
    let (mut keys, mut spans) = (String::new(), Vec::new());
    let padded = [samples, &[0; 10 * FRAME]].concat();
    for frame in padded.as_chunks::<FRAME>().0 {
        let heard = detector.listen(frame);
        spans.extend(heard.released.map(|(_, span)| span.as_millis()));
        keys.extend(heard.pressed.map(Digit::as_char));
    }
    assert_eq!(keys.len(), spans.len(), "every press ends");
    (keys, spans)
}

fn all_keys() -> impl Iterator<Item = Digit> {
    (0..16).filter_map(Digit::from_event)
}

/// A key with tones off by `off` (a share), at `levels` in dBFS, for `ms`.
fn tones(digit: Digit, off: f32, levels: (f32, f32), ms: usize) -> Vec<i16> {
    let (low, high) = digit.tones_hz();
    let mut out = vec![0; ms * MS];
    Tone::new(f32::from(low) * (1.0 + off), levels.0).fill(&mut out);
    Tone::new(f32::from(high) * (1.0 + off), levels.1).add(&mut out);
    out
}

fn noise(seed: u32, peak: i32, count: usize) -> Vec<i16> {
    let mut state = seed;
    let mut next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((i32::from((state >> 16) as u16 as i16) * peak) >> 15) as i16
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn every_key_is_heard_once_at_forty_on_forty_off_from_every_phase() {
    let expected: String = all_keys().map(Digit::as_char).collect();
    for phase in 0..20 {
        for levels in [
            (-10.0, -10.0),
            (-30.0, -30.0),
            (-8.0, -15.0),
            (-14.0, -11.0),
        ] {
            let mut samples = vec![0; phase * MS];
            for digit in all_keys() {
                samples.extend(tones(digit, 0.0, levels, 40));
                samples.extend([0; 40 * MS]);
            }
            let (keys, spans) = hear(&samples);
            assert_eq!(keys, expected, "phase {phase} ms, {levels:?}");
            assert!(
                spans.iter().all(|span| (30..=60).contains(span)),
                "{spans:?}"
            );
        }
    }
}

#[test]
fn tones_off_by_one_and_a_half_percent_in_noise_and_through_g711_are_heard() {
    for off in [-0.015, 0.015] {
        for law in [Law::Mu, Law::A] {
            for digit in all_keys() {
                let mut samples = tones(digit, off, (-15.0, -15.0), 60);
                // 15 dB below the tones.
                for (sample, hiss) in samples.iter_mut().zip(noise(3, 1_700, 60 * MS)) {
                    *sample = sample.saturating_add(hiss);
                }
                let mut bytes = vec![0; samples.len()];
                law.encode(&samples, &mut bytes);
                law.decode(&bytes, &mut samples);
                assert_eq!(hear(&samples).0, digit.to_string(), "{off} {law:?}");
            }
        }
    }
}

#[test]
fn a_blip_of_twenty_milliseconds_is_no_key_and_a_break_of_ten_does_not_make_two() {
    for phase in 0..20 {
        for digit in all_keys() {
            let lead = vec![0; phase * MS];
            let blip = tones(digit, 0.0, (-10.0, -10.0), 20);
            assert_eq!(
                hear(&[&lead[..], &blip].concat()).0,
                "",
                "{digit} at {phase}"
            );
            let long = tones(digit, 0.0, (-10.0, -10.0), 80);
            let broken = [&lead[..], &long, &[0; 10 * MS], &long].concat();
            let (keys, spans) = hear(&broken);
            assert_eq!(keys, digit.to_string(), "{digit} at {phase}");
            assert!((150..=190).contains(&spans[0]), "{spans:?}");
        }
    }
}

#[test]
fn too_much_twist_one_tone_alone_and_too_quiet_tones_are_no_key() {
    let five = Digit::from_char('5').unwrap();
    for levels in [
        (-25.0, -12.0),
        (-10.0, -25.0),
        (-10.0, -90.0),
        (-45.0, -45.0),
    ] {
        assert_eq!(hear(&tones(five, 0.0, levels, 200)).0, "", "{levels:?}");
    }
}

#[test]
fn keys_follow_each_other_without_a_pause() {
    let samples: Vec<i16> = all_keys()
        .flat_map(|digit| tones(digit, 0.0, (-10.0, -10.0), 80))
        .collect();
    assert_eq!(hear(&samples).0, "0123456789*#ABCD");
}

/// Pulses at a voice's pitch, softened as vocal cords do it, through three resonances that glide
/// about: every vowel there is.
fn babble(seed: u32, seconds: usize) -> Vec<i16> {
    use std::f64::consts::{PI, TAU};
    let breath = noise(seed, 32_767, seconds * 8_000);
    let mut resonances = [[0.0_f64; 2]; 3];
    let (mut next_pulse, mut cords) = (0.0, 0.0);
    let start = f64::from(seed) * 100.0;
    let mut sample = |i: usize| {
        let t = start + i as f64 / 8_000.0;
        let glide =
            |rate: f64, from: f64, to: f64| from + (to - from) * (0.5 + 0.5 * (t * rate).sin());
        let mut pulse = f64::from(breath[i]) / 32_768.0 * 0.05;
        if i as f64 >= next_pulse {
            next_pulse = i as f64 + 8_000.0 / glide(1.7, 80.0, 320.0);
            pulse += 1.0;
        }
        cords += (pulse - cords) * 0.2;
        let hz = [
            glide(2.9, 300.0, 1_000.0),
            glide(4.3, 900.0, 2_200.0),
            glide(3.1, 2_300.0, 3_000.0),
        ];
        let mut sum = cords;
        for (state, hz) in resonances.iter_mut().zip(hz) {
            let r = (-PI * 90.0 / 8_000.0).exp();
            let out = cords + 2.0 * r * (TAU * hz / 8_000.0).cos() * state[0] - r * r * state[1];
            *state = [out, state[0]];
            sum += out;
        }
        (sum * 8_000.0) as i16
    };
    (0..seconds * 8_000).map(&mut sample).collect()
}

#[test]
fn voices_and_noise_press_no_key() {
    for seed in 1..6 {
        let voice = babble(seed, 60);
        assert!(
            crate::dsp::level::dbfs(&voice) > -25.0,
            "loud enough to matter"
        );
        assert_eq!(hear(&voice).0, "", "voice {seed}");
        assert_eq!(hear(&noise(seed, 20_000, 60 * 8_000)).0, "", "noise {seed}");
    }
}

#[test]
fn the_generator_makes_what_the_detector_finds() {
    for digit in all_keys() {
        let mut out = [0; 50 * MS];
        DtmfTone::new(digit, -10.0).fill(&mut out);
        assert_eq!(hear(&out).0, digit.to_string());
    }
}
