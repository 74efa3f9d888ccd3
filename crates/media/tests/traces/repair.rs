//! What is lost and made good by the packet after it: Opus FEC and RED, by codec and loss, beside the same
//! stream without.
//!
//! `cargo test -p media --test traces repair -- --nocapture` prints the table; `TANDEM_BENCH_RECORD=1` keeps
//! it in `benches/results/repair.json`. `TANDEM_REPAIR_SPEECH=FILE` (samples of 16 bits at 16 kHz, nothing else)
//! plays that instead of the talker, and `TANDEM_REPAIR_OUT=FOLDER` keeps what is heard, for a listener or
//! a measure of one's own.

use std::fmt::Write as _;
use std::path::Path;

use clock::{Duration, Now};
use media::Codec;
use media::codec::{Decoder, Encoder, opus};
use media::jitter::{JitterBuffer, Popped};
use media::rtp::{Header, RtpTime, Sequence};

use crate::trace::{self, Harm};
use crate::{CONFIG, sound};

/// How what is lost may come back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Repair {
    None,
    Fec,
    Red,
}

/// A line of the table.
struct Line {
    codec: &'static str,
    repair: Repair,
    harm: &'static str,
    lost: f64,
    concealed: f64,
    delay_ms: f64,
    kbit_s: f64,
}

const RATE: u32 = 16_000;
const SECONDS: u32 = 60;

const HARMS: [(&str, Harm, u8); 6] = [
    ("none", Harm::None, 0),
    ("1 %", Harm::Loss(0.01), 1),
    ("5 %", Harm::Loss(0.05), 5),
    ("10 %", Harm::Loss(0.10), 10),
    ("20 %", Harm::Loss(0.20), 20),
    (
        "bursts of 3, 10 %",
        Harm::Bursts {
            loss: 0.10,
            length: 3.0,
        },
        10,
    ),
];

const WAYS: [(&str, Codec, Repair); 5] = [
    ("pcmu", Codec::Pcmu, Repair::None),
    ("pcmu", Codec::Pcmu, Repair::Red),
    ("opus", Codec::Opus, Repair::None),
    ("opus", Codec::Opus, Repair::Fec),
    ("opus", Codec::Opus, Repair::Red),
];

/// What is said, at 16 kHz: a file's, or the talker's.
fn said() -> Vec<i16> {
    let Some(path) = std::env::var_os("TANDEM_REPAIR_SPEECH") else {
        return sound::talker(RATE, SECONDS, 8, true);
    };
    let bytes = std::fs::read(path).unwrap();
    let (pairs, _) = bytes.as_chunks::<2>();
    let samples: Vec<i16> = pairs.iter().map(|pair| i16::from_le_bytes(*pair)).collect();
    let whole = (SECONDS * RATE) as usize;
    samples.iter().copied().cycle().take(whole).collect()
}

/// The packets of `said`: of Opus with FEC for so much loss, or without.
fn encoded(codec: Codec, repair: Repair, percent: u8, said: &[i16]) -> Vec<Vec<u8>> {
    let mut encoder = match codec {
        Codec::Opus => Encoder::opus(opus::Settings {
            fec: repair == Repair::Fec,
            ..opus::Settings::default()
        }),
        other => Encoder::new(other),
    };
    encoder.tune(RATE);
    encoder.lost(percent);
    // Every other sample is enough to measure by: G.711 is not judged by ear here.
    let step = (RATE / encoder.rate()) as usize;
    let encode = |frame: &[i16]| {
        let frame: Vec<i16> = frame.iter().copied().step_by(step).collect();
        let mut payload = [0; 1_000];
        let len = encoder.encode(&frame, &mut payload);
        payload[..len].to_vec()
    };
    said.chunks_exact(RATE as usize / 50).map(encode).collect()
}

fn measure(
    (name, codec, repair): (&'static str, Codec, Repair),
    (harm_name, harm, percent): (&'static str, Harm, u8),
    said: &[i16],
) -> (Line, Vec<i16>) {
    let packets = encoded(codec, repair, percent, said);
    let trace = trace::make(harm, SECONDS, 7);
    let mut arrivals: Vec<_> = trace.iter().filter(|it| it.arrives_us.is_some()).collect();
    arrivals.sort_by_key(|it| it.arrives_us);
    let mut arrivals = arrivals.into_iter().peekable();
    let mut jitter = JitterBuffer::new(CONFIG, codec);
    let mut decoder = Decoder::new(codec);
    decoder.tune(RATE);
    let frame = decoder.rate() as usize / 50;
    let us = |us: u64| Now::ZERO + Duration::from_micros(us);
    let (mut concealed, mut heard, mut delay) = (0.0, 0.0, 0.0);
    let mut out = Vec::new();
    let mut bytes = 0;
    let mut at = trace[0].path_us + 7_000;
    while at < trace.last().unwrap().path_us {
        while let Some(sent) = arrivals.next_if(|it| it.arrives_us.unwrap() <= at) {
            let index = sent.index as usize;
            let header = Header {
                marker: false,
                payload_type: 96,
                sequence: Sequence(sent.index as u16),
                time: RtpTime(sent.index * codec.frame_ticks()),
                ssrc: 1,
            };
            let now = us(sent.arrives_us.unwrap());
            let _ = jitter.insert(now, &header, &packets[index]);
            if let (Repair::Red, Some(before)) = (repair, index.checked_sub(1)) {
                let place = (1, codec.frame_ticks());
                jitter.insert_redundant(now, &header, place, &packets[before]);
            }
        }
        let position = jitter.position();
        let mut samples = vec![0; frame];
        let popped = jitter.pop(us(at), &mut decoder, &mut samples);
        match (popped, position) {
            (Popped::Sound, Some(position)) => {
                let nth = f64::from(position) / f64::from(codec.frame_ticks());
                let due = trace[0].path_us as f64 + nth * 20_000.0;
                delay += (at as f64 - due) / 1_000.0;
                heard += 1.0;
            }
            (Popped::Concealed | Popped::Silence, _) => concealed += 1.0,
            _ => {}
        }
        if popped != Popped::Hold {
            out.extend(samples);
        }
        at += 20_000;
    }
    let lost = trace.iter().filter(|it| it.arrives_us.is_none()).count() as f64;
    for (index, packet) in packets.iter().enumerate() {
        bytes += packet.len();
        if repair == Repair::Red && index > 0 {
            bytes += 5 + packets[index - 1].len();
        }
    }
    let line = Line {
        codec: name,
        repair,
        harm: harm_name,
        lost: 100.0 * lost / trace.len() as f64,
        concealed: 100.0 * concealed / (concealed + heard),
        delay_ms: delay / heard,
        kbit_s: bytes as f64 * 8.0 / f64::from(SECONDS) / 1_000.0,
    };
    (line, out)
}

#[test]
fn repair_halves_what_is_invented_for_a_packet_of_delay_and_costs_none_without_loss() {
    let said = said();
    let mut lines = Vec::new();
    for way in WAYS {
        for harm in HARMS {
            let (line, heard) = measure(way, harm, &said);
            if let Some(folder) = std::env::var_os("TANDEM_REPAIR_OUT") {
                let name = format!("{}-{:?}-{}.s16", line.codec, line.repair, line.harm);
                let name = name.replace([' ', ',', '%'], "_").to_lowercase();
                let bytes: Vec<u8> = heard.iter().flat_map(|it| it.to_le_bytes()).collect();
                std::fs::write(Path::new(&folder).join(name), bytes).unwrap();
            }
            lines.push(line);
        }
    }
    let mut json = String::new();
    println!("codec repair loss               | lost %  invented %  delay ms  kbit/s");
    for it in &lines {
        let repair = format!("{:?}", it.repair).to_lowercase();
        println!(
            "{:5} {repair:6} {:18} | {:6.2}  {:10.2}  {:8.1}  {:6.1}",
            it.codec, it.harm, it.lost, it.concealed, it.delay_ms, it.kbit_s
        );
        let _ = writeln!(
            json,
            "{{\"codec\":\"{}\",\"repair\":\"{repair}\",\"loss\":\"{}\",\"lost_pc\":{:.2},\"invented_pc\":{:.2},\
             \"delay_ms\":{:.1},\"kbit_s\":{:.1}}}",
            it.codec, it.harm, it.lost, it.concealed, it.delay_ms, it.kbit_s
        );
    }
    if std::env::var_os("TANDEM_BENCH_RECORD").is_some() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../benches/results/repair.json"
        );
        std::fs::write(path, json).unwrap();
    }
    for it in lines.iter().filter(|it| it.repair != Repair::None) {
        let plain = |other: &&Line| {
            (other.codec, other.harm, other.repair) == (it.codec, it.harm, Repair::None)
        };
        let plain = lines.iter().find(plain).unwrap();
        let told = format!("{} {:?} {}", it.codec, it.repair, it.harm);
        match it.harm {
            "none" => assert!(it.delay_ms < plain.delay_ms + 1.0, "{told}"),
            // Not worth a packet of delay.
            "1 %" => assert!(it.concealed <= plain.concealed + 0.1, "{told}"),
            // Of a burst the last packet alone comes back.
            "bursts of 3, 10 %" => {
                assert!(it.concealed < plain.concealed * 0.95, "{told}");
            }
            _ => {
                // RED brings back every single loss, Opus those of voice.
                let left = if it.repair == Repair::Fec { 0.6 } else { 0.25 };
                assert!(it.concealed < plain.concealed * left, "{told}");
                assert!(it.delay_ms < plain.delay_ms + 25.0, "{told}");
            }
        }
    }
}
