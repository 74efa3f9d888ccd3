use clock::{Duration, Now};

use super::{Inserted, JitterBuffer, JitterConfig, Popped};
use crate::Codec;
use crate::rtp::{Header, RtpTime, Sequence};

fn header(sequence: u16, time: u32) -> Header {
    Header {
        marker: false,
        payload_type: 0,
        sequence: Sequence(sequence),
        time: RtpTime(time),
        ssrc: 1,
    }
}

fn at(ms: u64) -> Now {
    Now::ZERO + Duration::from_secs(10) + Duration::from_millis(ms)
}

fn buffer() -> JitterBuffer {
    JitterBuffer::new(JitterConfig::default(), Codec::Pcmu)
}

#[test]
fn packets_are_held_for_the_first_delay_and_then_played_in_order() {
    let mut jitter = buffer();
    let mut heard = Vec::new();
    for i in 0..50_u16 {
        let now = at(u64::from(i) * 20);
        let inserted = jitter.insert(now, &header(i, u32::from(i) * 160), &[i as u8; 160]);
        assert_eq!(inserted, Inserted::Stored);
        match jitter.pop(now) {
            Popped::Frame { payload, .. } => heard.push(payload.to_vec()),
            other => assert_eq!((other, i < 2), (Popped::Hold, true)),
        }
    }
    let want: Vec<_> = (0..48).map(|i| vec![i; 160]).collect();
    assert_eq!(heard, want);
    assert_eq!((jitter.delay_ms(at(980)), jitter.target_ms()), (20, 40));
}
