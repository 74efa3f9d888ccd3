use proptest::prelude::*;

use super::{
    HEADER_LEN, Header, Packet, PacketError, RtpTime, Sequence, SequenceExtender, TimeExtender,
    rewrite_header, write_header,
};

fn any_header() -> impl Strategy<Value = Header> {
    (
        any::<bool>(),
        0..128_u8,
        any::<u16>(),
        any::<u32>(),
        any::<u32>(),
    )
        .prop_map(|(marker, payload_type, sequence, time, ssrc)| Header {
            marker,
            payload_type,
            sequence: Sequence(sequence),
            time: RtpTime(time),
            ssrc,
        })
}

proptest! {
    // covers: RFC 3550 §5.1
    #[test]
    fn a_packet_written_is_read_back(
        header in any_header(), again in any_header(), payload: [u8; 20],
    ) {
        let mut bytes = [0; HEADER_LEN + 20];
        write_header(&header, &mut bytes).unwrap().copy_from_slice(&payload);
        let packet = Packet::parse(&bytes).unwrap();
        prop_assert_eq!((packet.header(), packet.payload()), (header, &payload[..]));
        prop_assert!(rewrite_header(&again, &mut bytes));
        let packet = Packet::parse(&bytes).unwrap();
        prop_assert_eq!((packet.header(), packet.payload()), (again, &payload[..]));
    }

    #[test]
    fn extension_follows_a_shuffled_stream_across_the_wraps(
        first: u16, time: u32, jumps in prop::collection::vec(-50..200_i64, 1..200),
    ) {
        let mut sequences = SequenceExtender::new(Sequence(first));
        let mut times = TimeExtender::new(RtpTime(time));
        let (start, start_time) = (sequences.highest(), times.peek(RtpTime(time)));
        let mut at = 0;
        for jump in jumps {
            at = (at + jump).max(0);
            let wrapped = first.wrapping_add(at as u16);
            prop_assert_eq!(sequences.extend(Sequence(wrapped)) - start, at);
            let wrapped = time.wrapping_add((at * 1_000_000) as u32);
            prop_assert_eq!(times.extend(RtpTime(wrapped)) - start_time, at * 1_000_000);
        }
    }
}

#[test]
fn later_is_less_than_half_a_turn_ahead() {
    assert!(Sequence(2).is_after(Sequence(65_530)) && !Sequence(65_530).is_after(Sequence(2)));
    assert!(RtpTime(2).is_after(RtpTime(u32::MAX)) && !RtpTime(u32::MAX).is_after(RtpTime(2)));
    assert!(!RtpTime(7).is_after(RtpTime(7)));
    assert_eq!(RtpTime(5).ahead_of(RtpTime(10)), -5);
}

// covers: RFC 3550 §5.1, RFC 3550 §5.3.1
#[test]
fn sources_extension_and_padding_are_told_from_the_payload() {
    let mut bytes = vec![0xB2, 0x80 | 101, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
    bytes.extend([0, 0, 0, 7, 0, 0, 0, 8]);
    bytes.extend([0xBE, 0xDE, 0, 1, 1, 2, 3, 4]);
    bytes.extend([9, 9, 9, 0, 2]);
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.payload(), [9, 9, 9]);
    assert_eq!(packet.contributing().collect::<Vec<_>>(), [7, 8]);
    assert_eq!(packet.extension(), Some((0xBEDE, &[1, 2, 3, 4][..])));
    assert_eq!(
        (packet.payload_offset(), packet.header().marker),
        (28, true)
    );
}

#[test]
fn lengths_that_do_not_fit_are_refused() {
    let base = [0x80, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
    let check = |first: u8, tail: &[u8], want: PacketError| {
        let mut bytes = [&base[..], tail].concat();
        bytes[0] = first;
        assert_eq!(Packet::parse(&bytes).map(|_| ()), Err(want));
    };
    assert_eq!(
        Packet::parse(&base[..11]).unwrap_err(),
        PacketError::TooShort(11)
    );
    check(0x40, &[], PacketError::Version(1));
    check(
        0x8F,
        &[0; 59],
        PacketError::Truncated { need: 72, have: 71 },
    );
    check(
        0x90,
        &[0, 0, 0xFF, 0xFF],
        PacketError::Truncated {
            need: 262_156,
            have: 16,
        },
    );
    check(0xA0, &[1, 2, 0], PacketError::Padding(0));
    check(0xA0, &[1, 2, 4], PacketError::Padding(4));
    assert!(Packet::parse(&base).unwrap().payload().is_empty());
    assert!(write_header(&Packet::parse(&base).unwrap().header(), &mut [0; 11]).is_none());
}
