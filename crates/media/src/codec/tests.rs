//! Each codec by its sound: level, frequency, noise; and that no payload can harm it.

use proptest::prelude::*;

use super::{Codec, Decoder, Encoder, opus};
use crate::dsp::level;

/// A sine at `rate`.
fn sine(hz: f64, dbfs: f32, rate: u32, count: usize) -> Vec<i16> {
    let amplitude = f64::from(level::amplitude(dbfs));
    let step = std::f64::consts::TAU * hz / f64::from(rate);
    (0..count)
        .map(|i| ((step * i as f64).sin() * amplitude) as i16)
        .collect()
}

/// `samples` through an encoder and a decoder in packets of `ms`.
fn through(encoder: &mut Encoder, decoder: &mut Decoder, samples: &[i16], ms: u32) -> Vec<i16> {
    let mut heard = Vec::new();
    for packet in samples.chunks_exact((encoder.rate() / 1_000 * ms) as usize) {
        let mut payload = [0; 2_000];
        let len = encoder.encode(packet, &mut payload);
        assert!(len > 0, "{encoder:?}");
        let mut out = vec![0; (decoder.rate() / 1_000 * ms) as usize];
        let count = decoder.decode(&payload[..len], &mut out);
        assert_eq!(count, out.len(), "{decoder:?}");
        heard.extend(out);
    }
    heard
}

/// Level at `hz`, and how far all else lies below it, of the middle half.
fn tone_and_noise(heard: &[i16], hz: f64, rate: u32) -> (f64, f64) {
    let middle = &heard[heard.len() / 4..heard.len() * 3 / 4];
    let step = std::f64::consts::TAU * hz / f64::from(rate);
    let share = |wave: fn(f64) -> f64| -> f64 {
        let sum: f64 = (middle.iter().enumerate())
            .map(|(i, &s)| f64::from(s) * wave(step * i as f64))
            .sum();
        sum * 2.0 / middle.len() as f64
    };
    let tone = share(f64::sin).powi(2) + share(f64::cos).powi(2);
    let all: f64 =
        middle.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() * 2.0 / middle.len() as f64;
    let db = |power: f64| 10.0 * power.max(1e-9).log10();
    (
        db(tone / 32_768.0_f64.powi(2)),
        db(tone / (all - tone).max(1e-9)),
    )
}

// covers: RFC 3551 §4.5.2, RFC 3551 §4.5.11, RFC 7587 §4.1
#[test]
fn a_tone_keeps_its_level_and_frequency_through_each_codec_at_each_packet_time() {
    for codec in Codec::ALL {
        for ms in [10, 20, 40, 60] {
            for hz in [400.0, 1_000.0, 3_000.0] {
                let (mut encoder, mut decoder) = (Encoder::new(codec), Decoder::new(codec));
                let rate = encoder.rate();
                let spoken = sine(hz, -12.0, rate, rate as usize * 6 / 5);
                let heard = through(&mut encoder, &mut decoder, &spoken, ms);
                let (tone, snr) = tone_and_noise(&heard, hz, rate);
                let least = match codec {
                    Codec::L16 | Codec::L16Wide => 60.0,
                    Codec::Opus => 15.0,
                    _ => 30.0,
                };
                assert!(
                    (tone + 12.0).abs() < 1.0,
                    "{codec:?} {ms} ms {hz} Hz: {tone} dBFS"
                );
                assert!(snr > least, "{codec:?} {ms} ms {hz} Hz: {snr} dB");
            }
        }
    }
}

#[test]
fn the_wide_codecs_carry_what_g711_cannot() {
    for codec in [Codec::G722, Codec::Opus, Codec::L16Wide] {
        let (mut encoder, mut decoder) = (Encoder::new(codec), Decoder::new(codec));
        let rate = encoder.rate();
        let heard = through(
            &mut encoder,
            &mut decoder,
            &sine(5_500.0, -12.0, rate, rate as usize),
            20,
        );
        let (tone, _) = tone_and_noise(&heard, 5_500.0, rate);
        assert!((tone + 12.0).abs() < 2.0, "{codec:?}: {tone} dBFS");
    }
}

// covers: RFC 7587 §4.2
#[test]
fn opus_is_decoded_at_each_rate_whatever_it_was_encoded_at() {
    for from in [8_000, 16_000, 48_000] {
        for to in [8_000, 16_000, 48_000] {
            let (mut encoder, mut decoder) = (Encoder::new(Codec::Opus), Decoder::new(Codec::Opus));
            encoder.tune(from);
            decoder.tune(to);
            assert_eq!((encoder.rate(), decoder.rate()), (from, to));
            let spoken = sine(1_000.0, -12.0, from, from as usize);
            let heard = through(&mut encoder, &mut decoder, &spoken, 20);
            let (tone, snr) = tone_and_noise(&heard, 1_000.0, to);
            assert!(
                (tone + 12.0).abs() < 1.0 && snr > 15.0,
                "{from} to {to}: {tone} {snr}"
            );
        }
    }
}

/// Speech-like: a harmonic sound whose pitch and level move.
fn babble(rate: u32, seconds: usize) -> Vec<i16> {
    let mut phase = 0.0_f64;
    (0..rate as usize * seconds)
        .map(|i| {
            let t = i as f64 / f64::from(rate);
            phase += std::f64::consts::TAU * (140.0 + 30.0 * (t * 5.0).sin()) / f64::from(rate);
            let loud = 0.6 + 0.4 * (t * 17.0).sin();
            let sound: f64 = (1..12)
                .map(|n| (phase * f64::from(n)).sin() / f64::from(n))
                .sum();
            (sound * loud * 5_000.0) as i16
        })
        .collect()
}

// covers: RFC 7587 §3.3
#[test]
fn reported_loss_makes_opus_tell_each_packet_again_in_the_next() {
    let mut encoder = Encoder::new(Codec::Opus);
    encoder.tune(16_000);
    let speech = babble(16_000, 3);
    let tells = |encoder: &mut Encoder| {
        let mut decoder = Decoder::new(Codec::Opus);
        decoder.tune(16_000);
        let mut recovered = 0;
        for packet in speech.chunks_exact(320) {
            let (mut payload, mut out) = ([0; 400], [0; 320]);
            let len = encoder.encode(packet, &mut payload);
            recovered += usize::from(decoder.recover(&payload[..len], &mut out) == 320);
            decoder.decode(&payload[..len], &mut out);
        }
        recovered
    };
    assert_eq!(tells(&mut encoder), 0);
    encoder.lost(15);
    assert!(tells(&mut encoder) > 100);
    encoder.lost(0);
    assert!(tells(&mut encoder) < 5);
}

#[test]
fn opus_invents_what_follows_and_the_others_leave_that_to_the_jitter_buffer() {
    for codec in Codec::ALL {
        let (mut encoder, mut decoder) = (Encoder::new(codec), Decoder::new(codec));
        let rate = encoder.rate();
        through(
            &mut encoder,
            &mut decoder,
            &sine(300.0, -12.0, rate, rate as usize / 2),
            20,
        );
        let mut out = vec![0; rate as usize / 100];
        let count = decoder.conceal(&mut out);
        if codec == Codec::Opus {
            assert_eq!(count, out.len());
            assert!(level::dbfs(&out) > -20.0, "{}", level::dbfs(&out));
        } else {
            assert_eq!((count, decoder.recover(&[0; 160], &mut out)), (0, 0));
        }
    }
}

// covers: RFC 6716 §3.1
#[test]
fn a_packets_duration_is_told_without_decoding_it() {
    for codec in Codec::ALL {
        for ms in [10, 20, 40, 60] {
            let mut encoder = Encoder::new(codec);
            let mut payload = [0; 2_000];
            let samples = vec![1_000; (encoder.rate() / 1_000 * ms) as usize];
            let len = encoder.encode(&samples, &mut payload);
            let ticks = (codec.clock_rate() / 1_000 * ms) as usize;
            assert_eq!(codec.ticks(&payload[..len]), ticks, "{codec:?} {ms}");
        }
    }
    assert_eq!(Codec::Opus.ticks(&[]), 0);
    assert!(opus::ticks(&[0xFF; 3]) <= opus::TICKS_MAX);
}

#[test]
fn silence_of_opus_with_dtx_is_next_to_nothing() {
    let settings = opus::Settings {
        dtx: true,
        ..Default::default()
    };
    let mut encoder = Encoder::opus(settings);
    encoder.tune(16_000);
    let bytes: usize = (0..100)
        .map(|_| encoder.encode(&[0; 320], &mut [0; 400]))
        .sum();
    assert!(bytes < 500, "{bytes} bytes in two seconds of silence");
}

proptest! {
    #[test]
    fn any_payload_of_any_length_decodes_to_what_fits(
        packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1_500), 1..6),
        room in 0_usize..3_000,
        rate in prop::sample::select(opus::RATES.to_vec()),
    ) {
        for codec in Codec::ALL {
            let mut decoder = Decoder::new(codec);
            decoder.tune(rate);
            let mut out = vec![0; room];
            for packet in &packets {
                prop_assert!(codec.ticks(packet) <= packet.len().max(opus::TICKS_MAX));
                prop_assert!(decoder.recover(packet, &mut out) <= room);
                prop_assert!(decoder.decode(packet, &mut out) <= room);
                prop_assert!(decoder.conceal(&mut out) <= room);
            }
        }
    }

    #[test]
    fn any_samples_of_any_length_encode_to_what_fits(
        samples in prop::collection::vec(any::<i16>(), 0..3_000),
        room in 0_usize..1_500,
    ) {
        for codec in Codec::ALL {
            let mut encoder = Encoder::new(codec);
            let mut out = vec![0; room];
            prop_assert!(encoder.encode(&samples, &mut out) <= room);
            let whole = (encoder.rate() / 50) as usize;
            let frame = samples.get(..whole).unwrap_or(&samples);
            prop_assert!(encoder.encode(frame, &mut out) <= room);
        }
    }
}
