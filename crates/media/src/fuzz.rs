//! Fuzz bodies: what a fuzzer calls with bytes, compiled with every build. Each panics only when
//! a law is broken.

use clock::{Duration, Now};

use crate::codec::Decoder;
use crate::jitter::{Inserted, JitterBuffer, JitterConfig, Popped};
use crate::rtp::event::{EventPayload, EventReceiver};
use crate::rtp::red::{self, Redundancy};
use crate::rtp::rtcp::{Compound, RtcpPacket};
use crate::rtp::stats::Reception;
use crate::rtp::{Header, Packet, RtpTime, Sequence, rewrite_header};
use crate::srtp::{MasterKey, OVERHEAD_MAX, Protector, SrtpError, Suite, Unprotector};
use crate::{Codec, SILENCE, file};

/// Reads `bytes` as an RTP packet; rewriting its header keeps its payload.
pub fn rtp(bytes: &[u8]) {
    let Ok(packet) = Packet::parse(bytes) else {
        return;
    };
    let header = packet.header();
    assert!(packet.payload_offset() + packet.payload().len() <= bytes.len());
    assert!(packet.contributing().count() <= 15);
    let mut copy = bytes.to_vec();
    assert!(rewrite_header(&header, &mut copy));
    assert_eq!(copy, bytes, "writing what was read changes nothing");
    let mut receiver = EventReceiver::new(8_000);
    let heard = receiver.receive(Now::ZERO, &header, packet.payload());
    assert_eq!(
        heard.pressed.is_some(),
        EventPayload::parse(packet.payload()).is_some_and(is_key)
    );
}

fn is_key(payload: EventPayload) -> bool {
    payload.event < 16
}

/// Reads `bytes` as a compound RTCP packet and looks at all of it.
pub fn rtcp(bytes: &[u8]) {
    let Ok(compound) = Compound::parse(bytes) else {
        return;
    };
    let mut total = 0;
    for packet in compound.packets() {
        total += 1;
        let count = match packet {
            RtcpPacket::SenderReport { blocks, .. } | RtcpPacket::ReceiverReport { blocks, .. } => {
                blocks.iter().count()
            }
            RtcpPacket::Description(chunks) => chunks.count(),
            RtcpPacket::Goodbye(goodbye) => {
                let _ = goodbye.reason();
                goodbye.sources().count()
            }
            RtcpPacket::Extended { blocks, .. } => {
                // Each has 36 bytes.
                assert!(blocks.metrics().count() <= bytes.len() / 36);
                0
            }
            RtcpPacket::Other { .. } => 0,
        };
        assert!(count <= 31);
    }
    assert!((1..=bytes.len() / 4).contains(&total));
}

/// Reads `bytes` as a redundant payload, whose blocks lie in it one behind the other; and sends them, cut
/// in two, as two packets, of which the second must give back both.
pub fn red(bytes: &[u8]) {
    if let Some((newest, older)) = red::parse(bytes) {
        let copies: Vec<_> = older.collect();
        assert!(copies.len() <= red::COPIES_MAX);
        let held: usize = copies.iter().map(|copy| copy.payload.len()).sum();
        assert_eq!(
            held + newest.payload.len() + 4 * copies.len() + 1,
            bytes.len()
        );
        for (copy, back) in copies.iter().zip(1..) {
            assert!(copy.back == back && copy.offset < 1 << 14 && copy.payload.len() < 1 << 10);
        }
    }
    let (&step, rest) = bytes.split_first().unwrap_or((&1, bytes));
    let (first, second) = rest.split_at(rest.len() / 2);
    let mut sender = Redundancy::new(121);
    let mut out = [0; 700];
    let _ = sender.write(8, RtpTime(0), first, &mut out);
    let time = RtpTime(u32::from(step) << 7);
    let Some(packet) = sender.write(8, time, second, &mut out) else {
        return;
    };
    let read = out.get(..packet).and_then(red::parse);
    assert!(read.is_some(), "what was written is read");
    if let Some((newest, mut older)) = read {
        assert_eq!(newest.payload, second);
        if let Some(copy) = older.next() {
            assert_eq!((copy.payload, copy.offset), (first, time.0));
        }
    }
}

/// Gives `bytes` to a receiver of SRTP and to a sender: what nobody protected is refused and left as it
/// was, what was protected opens to itself, and once.
pub fn srtp(bytes: &[u8]) {
    let (which, bytes) = bytes.split_first().unwrap_or((&0, bytes));
    for suite in Suite::ALL {
        let master = [*which; 46];
        let master = master.get(..suite.key_len() + suite.salt_len());
        let master = master.and_then(|bytes| MasterKey::new(suite, bytes));
        let keyed =
            master.and_then(|it| Some((Protector::new(it.clone())?, Unprotector::new(it)?)));
        let Some((mut sender, mut receiver)) = keyed else {
            continue;
        };
        let mut copy = bytes.to_vec();
        assert!(receiver.rtp(&mut copy).is_err() && receiver.rtcp(&mut copy).is_err());
        assert_eq!(copy, bytes, "what is refused is left as it was");
        for rtcp in [false, true] {
            let mut buffer = bytes.to_vec();
            buffer.resize(bytes.len() + OVERHEAD_MAX, 0);
            let sent = match rtcp {
                false => sender.rtp(&mut buffer, bytes.len()),
                true => sender.rtcp(&mut buffer, bytes.len()),
            };
            let Some(packet) = sent.ok().and_then(|len| buffer.get_mut(..len)) else {
                continue;
            };
            let mut again = packet.to_vec();
            let mut open = |packet: &mut [u8]| match rtcp {
                false => receiver.rtp(packet),
                true => receiver.rtcp(packet),
            };
            assert_eq!(open(packet), Ok(bytes.len()));
            assert_eq!(packet.get(..bytes.len()), Some(bytes));
            assert_eq!(open(&mut again), Err(SrtpError::Replayed));
        }
    }
}

/// Reads `bytes` as the header of a recording in WAV; one that is ours is written as it was, but for
/// lengths that fit no other.
pub fn wav(bytes: &[u8]) {
    let Some(header) = file::wav::Header::parse(bytes) else {
        return;
    };
    let again = header.bytes();
    assert_eq!(file::wav::Header::parse(&again), Some(header));
    assert_eq!(again.get(8..40), bytes.get(8..40));
}

/// Walks `bytes` as an Ogg recording: its whole pages are a beginning of it, and all of themselves.
pub fn ogg(bytes: &[u8]) {
    let walk = |mut bytes: &[u8]| file::opus::whole_pages(&mut bytes).unwrap_or_default();
    let whole = walk(bytes);
    let kept = usize::try_from(whole.bytes).ok();
    let kept = kept.and_then(|len| bytes.get(..len)).unwrap_or_default();
    assert_eq!(kept.len() as u64, whole.bytes);
    assert_eq!(walk(kept), whole);
    assert!(whole.pages * 27 <= whole.bytes);
}

/// Opens `bytes` as an encrypted recording, made with a key that this knows: what comes out is a
/// beginning of `plain`, whatever was done to it.
pub fn sealed(bytes: &[u8], key: &file::seal::Key, plain: &[u8]) {
    let mut opened = Vec::new();
    let done = file::seal::open(key, &mut &*bytes, &mut opened);
    assert!(plain.starts_with(&opened));
    if done.is_ok_and(|done| done.whole) {
        assert_eq!(opened, plain);
    }
}

/// Drives a playout buffer and statistics by `bytes`, eight to an operation: packets at hostile
/// places, pops at hostile times. What is played was inserted, and never twice the same.
pub fn jitter_ops(bytes: &[u8]) {
    let mut jitter = JitterBuffer::new(JitterConfig::default(), Codec::Pcmu);
    let mut decoder = Decoder::new(Codec::Pcmu);
    let mut reception: Option<Reception> = None;
    let mut now = Now::ZERO + Duration::from_secs(1);
    let mut stored = 0;
    for op in bytes.as_chunks::<8>().0 {
        let &[what, step, s0, s1, t0, t1, len, ssrc] = op;
        now += Duration::from_millis(u64::from(step) * u64::from(what >> 6));
        let sequence = i16::from_be_bytes([s0 >> (what & 15).min(7), s1]).cast_unsigned();
        let header = Header {
            marker: what & 1 != 0,
            payload_type: 0,
            sequence: Sequence(sequence),
            time: RtpTime(u32::from_be_bytes([0, t0 >> (what & 7), t1, 0])),
            ssrc: u32::from(ssrc & 1),
        };
        let payload = [what; 600];
        let payload = payload.get(..usize::from(len) * 3).unwrap_or_default();
        reception
            .get_or_insert(Reception::new(now, &header, 8_000))
            .receive(now, &header);
        match what & 7 {
            0..=2 => stored += u64::from(jitter.insert(now, &header, payload) == Inserted::Stored),
            3 => {
                let place = (u16::from(t1 & 7), u32::from(len) * 3);
                jitter.insert_redundant(now, &header, place, payload);
            }
            4 => {
                let _ = jitter.note_other(now, &header);
            }
            _ => {
                let mut out = SILENCE;
                let popped = jitter.pop(now, &mut decoder, &mut out);
                assert!(popped != Popped::Hold || out == SILENCE);
            }
        }
    }
    let counters = jitter.counters();
    assert!(stored + counters.recovered <= counters.received);
    assert!(
        counters.played + counters.dropped + counters.overflowed <= stored + counters.recovered,
        "{counters:?} {stored}"
    );
    if let Some(mut reception) = reception {
        let _ = reception.report(now);
    }
}

#[cfg(test)]
mod tests {
    use super::{Redundancy, RtpTime, jitter_ops, red, rtcp, rtp, srtp};

    /// A small generator, so that a failure names its seed.
    fn random(seed: u64) -> impl FnMut() -> u8 {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        }
    }

    fn mutate(base: &[u8], seed: u64) -> Vec<u8> {
        let mut next = random(seed);
        let mut bytes = base.to_vec();
        for _ in 0..=next() % 4 {
            let at = usize::from(next()) % bytes.len().max(1);
            match (next() % 4, bytes.get_mut(at)) {
                (0, Some(byte)) => *byte ^= 1 << (next() % 8),
                (1, Some(byte)) => *byte = next(),
                (2, _) => bytes.truncate(at),
                _ => bytes.insert(at.min(bytes.len()), next()),
            }
        }
        bytes
    }

    #[test]
    fn mutated_packets_break_no_law() {
        let mut packet = vec![0xB1, 0x80, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4];
        packet.extend([0xBE, 0xDE, 0, 1, 0, 0, 0, 0, 5, 10, 0, 160, 0, 2]);
        let mut compound = [0; 300];
        let blocks = [crate::rtp::rtcp::ReportBlock::default(); 3];
        let len = crate::rtp::rtcp::write_report(&mut compound, 1, None, &blocks, "cname");
        let metrics = crate::rtp::xr::VoipMetrics::default();
        let len = crate::rtp::xr::append_metrics(&mut compound, len.unwrap(), 1, &metrics);
        let len = crate::rtp::rtcp::append_goodbye(&mut compound, len.unwrap(), 1).unwrap();
        let mut sender = Redundancy::new(121);
        let mut repeating = [0; 100];
        let _ = sender.write(8, RtpTime(0), &[5; 30], &mut repeating);
        let repeats = sender
            .write(8, RtpTime(160), &[6; 30], &mut repeating)
            .unwrap();
        for seed in 0..20_000 {
            rtp(&mutate(&packet, seed));
            srtp(&mutate(&packet, seed));
            rtcp(&mutate(&compound[..len], seed));
            red(&mutate(&repeating[..repeats], seed));
        }
    }

    #[test]
    fn random_operations_break_no_law_of_the_playout_buffer() {
        for seed in 0..400 {
            let mut next = random(seed);
            let bytes: Vec<u8> = (0..8 * 500).map(|_| next()).collect();
            jitter_ops(&bytes);
        }
    }
}
