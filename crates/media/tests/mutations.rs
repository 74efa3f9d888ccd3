//! Mutated packets (RTP, RTCP, redundant, SRTP) and recordings (WAV, Ogg, encrypted) against their readers, and
//! operations of the playout buffer: never a panic, never a law broken, never more
//! than a millisecond for 64 kB.
//!
//! 20,000 of each by default; `TANDEM_MUTATIONS` asks for another number, and `TANDEM_FUZZ_SECONDS`
//! (set by `make fuzz`) for a million of each at least and then on until each had its seconds. The
//! seeds are fixed: a failure repeats.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says how much it did"
)]

use media::file::{opus::OggOpus, seal, wav::Header};
use media::fuzz::{jitter_ops, ogg, red, rtcp, rtp, sealed, srtp, wav};
use media::rtp::RtpTime;
use media::rtp::red::Redundancy;
use media::rtp::rtcp::{ReportBlock, append_goodbye, write_report};
use media::rtp::xr::{VoipMetrics, append_metrics};
use std::time::{Duration, Instant};

/// xorshift64*: enough to pick places and bytes, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).unwrap() % below.max(1)
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.roll(256)).unwrap()
    }
}

fn mutate(dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut packet = corpus[dice.roll(corpus.len())].clone();
    for _ in 0..=dice.roll(5) {
        let length = packet.len();
        let at = dice.roll(length);
        match dice.roll(6) {
            0 if length > 0 => packet[at] ^= 1 << dice.roll(8),
            1 if length > 0 => packet[at] = dice.byte(),
            2 => packet.truncate(at),
            3 => packet.insert(at, dice.byte()),
            4 => {
                let piece = packet[at..(at + dice.roll(40)).min(length)].to_vec();
                let to = dice.roll(length + 1);
                packet.splice(to..to, piece);
            }
            _ => {
                // A length or a count at one of its ends.
                let word = [[0, 0], [0, 1], [0xff, 0xff], [0x1f, 0xff]][dice.roll(4)];
                for (byte, new) in packet.iter_mut().skip(at).zip(word) {
                    *byte = new;
                }
            }
        }
    }
    packet
}

fn storm(name: &str, corpus: &[Vec<u8>], seed: u64, one: impl Fn(&[u8])) {
    storm_of(name, corpus, (seed, 1), one);
}

/// For bodies that take so many times as long as reading a packet.
fn storm_of(name: &str, corpus: &[Vec<u8>], (seed, times): (u64, u64), one: impl Fn(&[u8])) {
    let number = |name: &str| {
        let text = std::env::var(name).ok()?;
        text.parse::<u64>().ok()
    };
    keep(name, corpus);
    let seconds = number("TANDEM_FUZZ_SECONDS");
    let at_least = if seconds.is_some() { 1_000_000 } else { 20_000 };
    let wanted = number("TANDEM_MUTATIONS").unwrap_or(at_least / times);
    let until = now() + Duration::from_secs(seconds.unwrap_or(0));
    let (mut dice, mut done) = (Dice(seed), 0);
    while done < wanted || now() < until {
        one(&mutate(&mut dice, corpus));
        done += 1;
    }
    println!("{name}: {done} mutated packets");
}

/// Writes the examples where coverage-guided fuzzing begins with them, if `TANDEM_FUZZ_CORPUS` says where.
fn keep(name: &str, corpus: &[Vec<u8>]) {
    let Some(folder) = std::env::var_os("TANDEM_FUZZ_CORPUS") else {
        return;
    };
    let folder = std::path::Path::new(&folder).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    for (number, example) in corpus.iter().enumerate() {
        std::fs::write(folder.join(format!("example-{number}")), example).unwrap();
    }
}

/// Plain, with extension, sources and padding, a telephone-event, comfort noise.
fn packets() -> Vec<Vec<u8>> {
    let head = |first: u8, kind: u8| vec![first, kind, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
    let plain = [head(0x80, 0), vec![0xd5; 160]].concat();
    let full = [
        head(0xb2, 0x88),
        vec![0, 0, 0, 4, 0, 0, 0, 5],
        vec![0xbe, 0xde, 0, 1, 0x10, 7, 0, 0],
        vec![5, 10, 0, 160, 0, 2],
    ];
    let event = [head(0x80, 0xe5), vec![5, 0x8a, 3, 0x20]].concat();
    let noise = [head(0x80, 13), vec![64, 1, 2]].concat();
    vec![plain, full.concat(), event, noise]
}

/// Reports with and without blocks, with a goodbye, and a description of odd items.
fn compounds() -> Vec<Vec<u8>> {
    let mut room = [0; 2_000];
    let mut written = |blocks: usize, bye: bool| {
        let blocks = vec![ReportBlock::default(); blocks];
        let mut length = write_report(&mut room, 1, None, &blocks, "us@192.0.2.1").unwrap();
        if bye {
            length = append_goodbye(&mut room, length, 1).unwrap();
        }
        room[..length].to_vec()
    };
    let mut all = vec![written(0, false), written(3, true), written(31, true)];
    let said = [
        0x81, 203, 0, 3, 0, 0, 0, 1, 4, b'd', b'o', b'n', b'e', 0, 0, 0,
    ];
    all.push([&written(1, false)[..], &said].concat());
    let report = written(1, false);
    let mut room = [0; 300];
    room[..report.len()].copy_from_slice(&report);
    let metrics = VoipMetrics::default();
    let length = append_metrics(&mut room, report.len(), 1, &metrics).unwrap();
    let length = append_metrics(&mut room, length, 2, &metrics).unwrap();
    all.push(room[..length].to_vec());
    all
}

/// Redundant payloads with no copy, one and two.
fn repeating() -> Vec<Vec<u8>> {
    let mut sender = Redundancy::new(121);
    let mut room = [0; 640];
    let mut write = |time, payload: &[u8]| {
        let length = sender.write(8, RtpTime(time), payload, &mut room).unwrap();
        room[..length].to_vec()
    };
    let mut all = vec![
        write(0, &[1; 160]),
        write(160, &[2; 160]),
        write(320, &[3; 9]),
    ];
    let two = [0x88, 5, 0, 2, 0x88, 2, 0x80, 3, 8, 1, 1, 2, 2, 2, 3];
    all.push(two.to_vec());
    all
}

/// Operations of a stream that goes on, and of one that jumps.
fn operations() -> Vec<Vec<u8>> {
    let steady = (0..500_u16).flat_map(|n| {
        let [s0, s1] = (n / 2).to_be_bytes();
        let [_, t0, t1, _] = ((u32::from(n / 2) * 160) << 8).to_be_bytes();
        let what = if n % 2 == 0 { 0x40 } else { 0x45 };
        [what, 10, s0, s1, t0, t1, 53, 0]
    });
    let wild = (0..500_u16).flat_map(|n| {
        let [a, b] = n.wrapping_mul(40_503).to_be_bytes();
        [a, b & 63, b, a, a, b, 53, b & 1]
    });
    vec![steady.collect(), wild.collect()]
}

#[test]
fn fuzz_mutated_rtp_is_rewritten_as_it_was_or_refused() {
    storm("rtp", &packets(), 0x5eed_0f51_9000_0004, rtp);
}

#[test]
fn fuzz_mutated_redundancy_is_read_whole_or_refused() {
    storm("red", &repeating(), 0x5eed_0f51_9000_0006, red);
}

#[test]
fn fuzz_mutated_srtp_is_refused_and_left_as_it_was() {
    let corpus = [packets(), compounds()].concat();
    storm_of("srtp", &corpus, (0x5eed_0f51_9000_0007, 10), srtp);
}

#[test]
fn fuzz_mutated_operations_break_no_law_of_the_playout_buffer() {
    storm_of(
        "jitter_ops",
        &operations(),
        (0x5eed_0f51_9000_0008, 100),
        jitter_ops,
    );
}

#[test]
fn fuzz_mutated_rtcp_is_walked_to_its_end_or_refused() {
    storm("rtcp", &compounds(), 0x5eed_0f51_9000_0005, rtcp);
}

#[test]
fn fuzz_mutated_headers_of_wav_are_read_as_they_were_or_refused() {
    let header = |rate, audio| Header { rate, audio }.bytes().to_vec();
    let corpus = [header(8_000, 0), header(16_000, 32_000), header(48_000, 1)];
    storm("wav", &corpus, 0x5eed_0f51_9000_0006, wav);
}

#[test]
fn fuzz_mutated_ogg_is_cut_at_its_last_whole_page() {
    let mut corpus = Vec::new();
    for (rate, count) in [(8_000, 8_000), (16_000, 5_000), (48_000, 100)] {
        let mut file = OggOpus::new(rate, 8_000, 1).unwrap();
        let sound: Vec<i16> = (0..count).map(|i| (i % 97) * 100).collect();
        file.push(&sound, &sound).unwrap();
        file.finish().unwrap();
        corpus.push(file.bytes().clone());
    }
    storm("ogg", &corpus, 0x5eed_0f51_9000_0007, ogg);
}

#[test]
fn fuzz_mutated_encrypted_recordings_give_a_beginning_of_what_they_held() {
    let (key, own) = (seal::Key::new([1; 32]), seal::Key::new([2; 32]));
    let plain: Vec<u8> = (0..=255).collect();
    let (mut sealer, header) = seal::Sealer::new(&key, &own, [3; 12]).unwrap();
    let mut file = header.to_vec();
    for (n, chunk) in plain.chunks(100).enumerate() {
        sealer.seal(chunk, n == 2, &mut file).unwrap();
    }
    let body = |bytes: &[u8]| sealed(bytes, &key, &plain);
    storm("sealed", &[file], 0x5eed_0f51_9000_0008, body);
}

/// All of the largest datagram, the body's own checks with it.
#[test]
fn fuzz_the_slowest_packet_takes_under_a_millisecond_for_64_kilobytes() {
    let report = [0x80, 201, 0, 1, 0, 0, 0, 1];
    let item = [0x9f, 202, 0x3f, 0xff];
    let worst = [
        (
            "rtp: a full datagram",
            rtp as fn(&[u8]),
            [&[0x80, 0][..], &[1; 65_500]].concat(),
        ),
        (
            "rtp: one long extension",
            rtp,
            [&[0x90, 0][..], &[0; 10], &[0, 0, 0x3f, 0xf0], &[0; 65_472]].concat(),
        ),
        ("rtcp: eight thousand reports", rtcp, report.repeat(8_100)),
        (
            "rtcp: sources without items",
            rtcp,
            [&report[..], &item, &[0; 65_500]].concat(),
        ),
    ];
    let mut slowest = (Duration::ZERO, "");
    for (what, one, packet) in worst {
        let once = || {
            let start = now();
            one(&packet);
            now() - start
        };
        let taken = (0..15).map(|_| once()).min().unwrap();
        slowest = slowest.max((taken, what));
    }
    println!("slowest of the worst: {:?} for {}", slowest.0, slowest.1);
    let bound_ms = if cfg!(debug_assertions) { 200 } else { 1 };
    assert!(slowest.0 < Duration::from_millis(bound_ms), "{slowest:?}");
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test that measures reads the clock"
)]
fn now() -> Instant {
    Instant::now()
}
