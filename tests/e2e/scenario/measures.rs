//! Whether the measures can fail: sound with known faults must be found faulty.

use anyhow::{Result, ensure};
use media::codec::g711::Law;
use media::dsp::Tone;

use super::smoke::{AGENT, CALLER, GAP_MS};
use crate::lab::Lab;
use crate::sound::{RATE, RtpPacket, Sound, Stream, TONE_DBFS, recognise};

/// Every measure against a clean sound and against its fault.
pub(crate) fn measures(_lab: &Lab) -> Result<String> {
    let clean = stream(|_| true);
    clean
        .sound()
        .hears("a clean stream", AGENT as f32, GAP_MS)?;
    clean.sound().never_hears("a clean stream", CALLER as f32)?;
    let two_lost = stream(|n| !(50..52).contains(&n)).sound();
    two_lost.hears("40 ms lost", AGENT as f32, GAP_MS)?;
    let tune = tandem::prompt::compose::music();
    let piece = |from: usize| tune[from..from + 3 * RATE].to_vec();
    let mut skipping = piece(5 * RATE);
    skipping.drain(RATE..RATE + 160);

    let faults: [(&str, Result<()>); 7] = [
        (
            "60 ms lost",
            stream(|n| !(50..53).contains(&n))
                .sound()
                .hears("", AGENT as f32, GAP_MS)
                .map(drop),
        ),
        (
            "another tone",
            clean.sound().hears("", 900.0, GAP_MS).map(drop),
        ),
        (
            "3 dB too quiet",
            tone(AGENT, TONE_DBFS - 3.0)
                .hears("", AGENT as f32, GAP_MS)
                .map(drop),
        ),
        (
            "an echo 25 dB down",
            with(tone(AGENT, TONE_DBFS), &tone(CALLER, TONE_DBFS - 25.0))
                .never_hears("", CALLER as f32),
        ),
        ("another tune", is_tune(&tone(AGENT, TONE_DBFS), &tune)),
        (
            "a tune that skips a frame",
            is_tune(&sound(skipping), &tune),
        ),
        (
            "no sound",
            Stream::default()
                .sound()
                .hears("", AGENT as f32, GAP_MS)
                .map(drop),
        ),
    ];
    for (fault, result) in &faults {
        ensure!(result.is_err(), "{fault} was not found");
    }
    is_tune(&sound(piece(5 * RATE + 160)), &tune)?;
    Ok(format!(
        "{} faults found, 4 clean sounds taken",
        faults.len()
    ))
}

fn is_tune(sound: &Sound, tune: &[i16]) -> Result<()> {
    let found = recognise(sound, tune)?;
    ensure!(found.worst > 0.9, "{found:?}");
    Ok(())
}

/// Two seconds of the agent's tone as RTP, with the packets that `keep` names.
fn stream(keep: impl Fn(u32) -> bool) -> Stream {
    let samples = tone(AGENT, TONE_DBFS).samples;
    let packets = samples.chunks_exact(160).zip(0_u32..).map(|(frame, n)| {
        let mut payload = vec![0; 160];
        Law::Mu.encode(frame, &mut payload);
        RtpPacket {
            at: f64::from(n) * 0.02,
            payload_type: 0,
            ssrc: 7,
            // The clock wraps on the way.
            time: (n * 160).wrapping_sub(4_000),
            payload,
        }
    });
    Stream(
        packets
            .filter(|it| keep((it.time.wrapping_add(4_000)) / 160))
            .collect(),
    )
}

fn tone(hz: u32, dbfs: f32) -> Sound {
    let mut samples = vec![0; 2 * RATE];
    Tone::new(hz as f32, dbfs).fill(&mut samples);
    sound(samples)
}

fn sound(samples: Vec<i16>) -> Sound {
    Sound {
        begins: 0.0,
        samples,
    }
}

fn with(mut sound: Sound, other: &Sound) -> Sound {
    for (sample, more) in sound.samples.iter_mut().zip(&other.samples) {
        *sample = sample.saturating_add(*more);
    }
    sound
}
