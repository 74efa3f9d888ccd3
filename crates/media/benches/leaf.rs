//! What one frame of 20 ms costs in each leaf of the audio core.
#![allow(
    missing_docs,
    reason = "criterion's macro makes an undocumented function"
)]

use std::hint::black_box;
use std::net::SocketAddr;

use clock::{Duration, Now};
use criterion::{Criterion, criterion_group, criterion_main};
use media::bridge::BridgeId;
use media::codec::{Decoder, Encoder};
use media::dsp::mix::Gain;
use media::dsp::resample::PAST_ANY;
use media::dsp::{DtmfDetector, DtmfTone, Resampler, Tone, ToneMeter, mix, resample};
use media::jitter::{JitterBuffer, JitterConfig};
use media::port::{PortId, PortPlan, Remote};
use media::rtp::{HEADER_LEN, Header, Packet, RtpTime, Sequence, write_header};
use media::srtp::{MasterKey, OVERHEAD_MAX, Protector, Suite, Unprotector};
use media::worker::{Lane, PortCommand, TICK, Worker, WorkerConfig};
use media::{BUS_FRAME_MAX, Codec, Digit, FRAME, SILENCE};

fn header(i: u32) -> Header {
    Header {
        marker: false,
        payload_type: 0,
        sequence: Sequence(i as u16),
        time: RtpTime(i.wrapping_mul(FRAME as u32)),
        ssrc: 1,
    }
}

fn packets(c: &mut Criterion) {
    let mut packet = [0; HEADER_LEN + FRAME];
    c.bench_function("rtp/write", |b| {
        b.iter(|| write_header(black_box(&header(7)), &mut packet).map(|rest| rest.len()))
    });
    c.bench_function("rtp/parse", |b| {
        b.iter(|| Packet::parse(black_box(&packet)).map(|packet| packet.payload().len()))
    });
}

/// 20 ms of each codec; Opus at each rate that a bus may have.
fn codecs(c: &mut Criterion) {
    for codec in Codec::ALL {
        let rates: &[u32] = match codec {
            Codec::Opus => &[8_000, 16_000, 48_000],
            _ => &[0],
        };
        for &rate in rates {
            let (mut encoder, mut decoder) = (Encoder::new(codec), Decoder::new(codec));
            encoder.tune(rate);
            decoder.tune(rate);
            let rate = encoder.rate();
            let name = format!("{}/{}k", codec.name(), rate / 1_000);
            let frames = harmonics(rate, 50);
            let mut payload = [0; 640];
            let mut frame = frames.iter().cycle();
            c.bench_function(&format!("codec/encode/{name}"), |b| {
                b.iter(|| {
                    let frame = frame.next().map_or(&[][..], Vec::as_slice);
                    encoder.encode(black_box(frame), &mut payload)
                })
            });
            let payloads: Vec<Vec<u8>> = frames
                .iter()
                .map(|frame| {
                    let len = encoder.encode(frame, &mut payload);
                    payload.get(..len).unwrap_or_default().to_vec()
                })
                .collect();
            let mut packet = payloads.iter().cycle();
            let mut samples = vec![0; rate as usize / 50];
            c.bench_function(&format!("codec/decode/{name}"), |b| {
                b.iter(|| {
                    let packet = packet.next().map_or(&[][..], Vec::as_slice);
                    decoder.decode(black_box(packet), &mut samples)
                })
            });
        }
    }
}

/// Frames of 20 ms of a voice-like sound: harmonics of a pitch that moves.
fn harmonics(rate: u32, frames: usize) -> Vec<Vec<i16>> {
    let len = rate as usize / 50;
    let mut phase = 0.0_f64;
    let samples: Vec<i16> = (0..len * frames)
        .map(|i| {
            let t = i as f64 / f64::from(rate);
            phase += std::f64::consts::TAU * (140.0 + 30.0 * (t * 5.0).sin()) / f64::from(rate);
            let sound: f64 = (1..12)
                .map(|n| (phase * f64::from(n)).sin() / f64::from(n))
                .sum();
            (sound * (0.6 + 0.4 * (t * 17.0).sin()) * 5_000.0) as i16
        })
        .collect();
    samples.chunks(len).map(<[i16]>::to_vec).collect()
}

/// What SRTP adds to a packet of 20 ms of G.711, each way; keyed once.
fn srtp(c: &mut Criterion) {
    for suite in Suite::ALL {
        let bytes = [7; 46];
        let key = bytes.get(..suite.key_len() + suite.salt_len());
        let key = key.and_then(|bytes| MasterKey::new(suite, bytes));
        let keyed =
            key.and_then(|key| Some((Protector::new(key.clone())?, Unprotector::new(key)?)));
        let Some((mut protector, mut unprotector)) = keyed else {
            continue;
        };
        let (mut i, mut packet) = (0, [0; HEADER_LEN + FRAME + OVERHEAD_MAX]);
        let mut protect = |packet: &mut [u8]| {
            i += 1;
            let _ = write_header(&header(i), packet);
            protector.rtp(packet, HEADER_LEN + FRAME)
        };
        c.bench_function(&format!("srtp/protect/{suite:?}"), |b| {
            b.iter(|| protect(black_box(&mut packet)))
        });
        c.bench_function(&format!("srtp/protect+open/{suite:?}"), |b| {
            b.iter(|| {
                let len = protect(black_box(&mut packet)).unwrap_or_default();
                unprotector.rtp(packet.get_mut(..len)?).ok()
            })
        });
        c.bench_function(&format!("srtp/refuse/{suite:?}"), |b| {
            let len = protect(&mut packet).unwrap_or_default();
            packet[40] ^= 1;
            b.iter(|| unprotector.rtp(black_box(&mut packet).get_mut(..len)?).ok())
        });
    }
    if let Some(key) = MasterKey::new(Suite::AesCm128HmacSha1_80, &[7; 30]) {
        c.bench_function("srtp/key", |b| {
            b.iter(|| Protector::new(black_box(key.clone())))
        });
    }
}

/// A frame of a voice, with the packet it needs: as it comes; with every third packet lost; from a
/// sender so fast or so slow that most frames are made shorter or longer.
fn playout(c: &mut Criterion) {
    for codec in [Codec::Pcmu, Codec::L16Wide] {
        for (name, lost, packet_us) in [
            ("plain", u32::MAX, 20_000),
            ("third lost", 3, 20_000),
            ("shortened", u32::MAX, 17_000),
            ("lengthened", u32::MAX, 23_000),
        ] {
            let samples = codec.sample_rate() / 50;
            let mut tone = Tone::new(150.0, -10.0);
            let frame = tone.frame();
            let sound: Vec<i16> = (0..samples as usize).map(|n| frame[n % FRAME]).collect();
            let mut payload = [0; 640];
            let len = Encoder::new(codec).encode(&sound, &mut payload);
            let mut jitter = JitterBuffer::new(JitterConfig::default(), codec);
            let mut decoder = Decoder::new(codec);
            let mut now = Now::from_nanos(1_000_000_000);
            let (mut due, mut i) = (now, 0);
            let mut out = vec![0; samples as usize];
            c.bench_function(&format!("jitter/{}/{name}", codec.name()), |b| {
                b.iter(|| {
                    now += Duration::from_millis(20);
                    while due <= now {
                        due += Duration::from_micros(packet_us);
                        i += 1;
                        let header = Header {
                            time: RtpTime(i * codec.frame_ticks()),
                            ..header(i)
                        };
                        if i % lost != 0 {
                            let _ = jitter.insert(now, &header, black_box(&payload[..len]));
                        }
                    }
                    jitter.pop(now, &mut decoder, &mut out)
                })
            });
        }
    }
}

fn signals(c: &mut Criterion) {
    let mut key = [0; FRAME];
    DtmfTone::new(Digit::ZERO, -10.0).fill(&mut key);
    let mut detector = DtmfDetector::new();
    c.bench_function("dsp/dtmf/key", |b| {
        b.iter(|| detector.listen(black_box(&key)))
    });
    let mut detector = DtmfDetector::new();
    c.bench_function("dsp/dtmf/silence", |b| {
        b.iter(|| detector.listen(black_box(&SILENCE)))
    });
    let mut meter = ToneMeter::new(&[440.0, 620.0, 1_000.0, 1_700.0], -40.0);
    c.bench_function("dsp/meter/4", |b| b.iter(|| meter.measure(black_box(&key))));
    for from in resample::RATES {
        for to in resample::RATES.into_iter().filter(|&to| to != from) {
            let mut resampler = Resampler::<PAST_ANY>::new(from, to);
            let (input, mut out) = (vec![1_000; from as usize / 50], [0; BUS_FRAME_MAX]);
            let name = format!("dsp/resample/{}to{}", from / 1_000, to / 1_000);
            c.bench_function(&name, |b| {
                b.iter(|| resampler.convert(black_box(&input), &mut out))
            });
        }
    }
    let frames = [key; 10];
    c.bench_function("dsp/mix/10", |b| {
        b.iter(|| {
            let mut sum = [0; FRAME];
            frames.iter().for_each(|frame| mix::add(&mut sum, frame));
            let mut heard = [SILENCE; 10];
            for (heard, own) in heard.iter_mut().zip(black_box(&frames)) {
                let mut others = sum;
                mix::weigh(&mut others, own, Gain::UNITY, Gain::MUTE);
                mix::all(heard, &others);
            }
            heard
        })
    });
}

/// 20 ms of a worker with one conference: what comes, what goes, three talk and the others hiss.
fn rooms(c: &mut Criterion) {
    for (codec, members) in [
        (Codec::Pcmu, 3),
        (Codec::Pcmu, 100),
        (Codec::Pcmu, 1_000),
        (Codec::Opus, 3),
        (Codec::Opus, 1_000),
    ] {
        let mut now = Now::from_nanos(1_000_000_000);
        let config = WorkerConfig {
            ports_max: members as usize,
            ..WorkerConfig::default()
        };
        let mut worker = Worker::new(config, now);
        let address = |n: u32| SocketAddr::from(([10, 0, (n >> 8) as u8, n as u8], 4_000));
        for n in 0..members {
            let (port, bridge) = (PortId(n), BridgeId(1));
            let mut plan = PortPlan::new(port, address(n), codec, u64::from(n) << 9);
            plan.remote = Some(Remote::of(address(n), false));
            worker.command(now, PortCommand::Open(Box::new(plan)));
            worker.command(now, PortCommand::Bridge { port, bridge });
            while worker.poll_event().is_some() {}
        }
        let (mut talk, mut hiss) = ([0; 640], [0; 640]);
        let mut encoder = Encoder::new(codec);
        let mut sound = vec![0; encoder.rate() as usize / 50];
        Tone::new(1_000.0, -20.0).fill(&mut sound);
        let talk_len = encoder.encode(&sound, &mut talk);
        sound.fill(3);
        for _ in 0..20 {
            encoder.encode(&sound, &mut hiss);
        }
        let hiss_len = encoder.encode(&sound, &mut hiss);
        let (mut n, mut out) = (0_u32, [0; 1_500]);
        let mut frame = || {
            n += 1;
            for member in 0..members {
                let said = if member < 3 {
                    &talk[..talk_len]
                } else {
                    &hiss[..hiss_len]
                };
                let header = Header {
                    payload_type: codec.static_payload_type().unwrap_or(96),
                    time: RtpTime(n.wrapping_mul(codec.frame_ticks())),
                    ssrc: member,
                    ..header(n)
                };
                let mut packet = [0; 1_500];
                let Some(rest) = write_header(&header, &mut packet) else {
                    return;
                };
                rest[..said.len()].copy_from_slice(said);
                let (port, len) = (PortId(member), HEADER_LEN + said.len());
                worker.receive(now, port, Lane::Rtp, address(member), &mut packet, len);
            }
            for _ in 0..4 {
                now += TICK;
                worker.tick(now);
                while worker.poll_transmit(&mut out).is_some() {}
            }
            while worker.poll_event().is_some() {}
        };
        (0..100).for_each(|_| frame());
        c.bench_function(&format!("room/{}/{members}", codec.name()), |b| {
            b.iter(&mut frame)
        });
    }
}

criterion_group!(benches, packets, codecs, srtp, playout, signals, rooms);
criterion_main!(benches);
