use super::{
    Compound, ReportBlock, RtcpError, RtcpPacket, SenderInfo, append_goodbye, write_report,
};
use crate::rtp::NtpTime;
use crate::rtp::RtpTime;

const SENDER: SenderInfo = SenderInfo {
    ntp: NtpTime(0x0123_4567_89AB_CDEF),
    rtp: RtpTime(0xFFFF_FF00),
    packets: 7,
    octets: 1_120,
};

fn block(ssrc: u32, lost: i32) -> ReportBlock {
    ReportBlock {
        ssrc,
        fraction_lost: 12,
        lost,
        highest_sequence: 0x0001_FFFE,
        jitter: 99,
        last_sr: 0x4567_89AB,
        delay_since_last_sr: 65_536,
    }
}

// covers: RFC 3550 §6.4.1, RFC 3550 §6.4.2, RFC 3550 §6.5, RFC 3550 §6.6
#[test]
fn what_is_written_is_read_back_for_every_number_of_blocks_and_length_of_name() {
    for sender in [None, Some(&SENDER)] {
        for count in 0..=31 {
            let blocks: Vec<_> = (0..count).map(|i| block(i, -(i as i32))).collect();
            let name = "n".repeat(count as usize * 8);
            let mut out = [0; 1_500];
            let len = write_report(&mut out, 42, sender, &blocks, &name).unwrap();
            let len = append_goodbye(&mut out, len, 42).unwrap();
            assert_eq!(len % 4, 0);
            let packets: Vec<_> = Compound::parse(&out[..len]).unwrap().packets().collect();
            let read = match &packets[0] {
                RtcpPacket::SenderReport {
                    ssrc: 42,
                    sender: read,
                    blocks,
                } => {
                    assert_eq!(Some(read), sender);
                    blocks
                }
                RtcpPacket::ReceiverReport { ssrc: 42, blocks } if sender.is_none() => blocks,
                other => panic!("{other:?}"),
            };
            assert_eq!(read.iter().collect::<Vec<_>>(), blocks);
            assert_eq!(read.about(3).is_some(), count > 3);
            let RtcpPacket::Description(chunks) = packets[1] else {
                panic!("{packets:?}")
            };
            assert_eq!(chunks.collect::<Vec<_>>(), [(42, Some(name.as_str()))]);
            let RtcpPacket::Goodbye(bye) = packets[2] else {
                panic!("{packets:?}")
            };
            assert_eq!(
                (bye.sources().collect::<Vec<_>>(), bye.reason()),
                (vec![42], None)
            );
            assert_eq!(packets.len(), 3);
        }
    }
}

#[test]
fn a_buffer_one_byte_too_short_is_not_overrun() {
    let mut out = [0; 200];
    let len = write_report(&mut out, 1, Some(&SENDER), &[block(2, 3)], "name").unwrap();
    for short in 0..len {
        let mut out = vec![0; short];
        assert_eq!(
            write_report(&mut out, 1, Some(&SENDER), &[block(2, 3)], "name"),
            None
        );
    }
    assert_eq!(append_goodbye(&mut out[..len + 7], len, 1), None);
}

#[test]
fn a_compound_that_does_not_add_up_is_refused_with_its_place() {
    let receiver_report = [0x80, 201, 0, 1, 0, 0, 0, 1];
    let with = |more: &[u8]| [&receiver_report[..], more].concat();
    let cases: [(Vec<u8>, RtcpError); 10] = [
        (vec![], RtcpError::Truncated { at: 0 }),
        (
            receiver_report[..7].to_vec(),
            RtcpError::Truncated { at: 0 },
        ),
        (vec![0x80, 202, 0, 0], RtcpError::NoReport(202)),
        (
            vec![0x40, 201, 0, 1, 0, 0, 0, 1],
            RtcpError::Version { at: 0, version: 1 },
        ),
        (
            vec![0x81, 201, 0, 1, 0, 0, 0, 1],
            RtcpError::Count { at: 0 },
        ),
        (with(&[0x80]), RtcpError::Truncated { at: 8 }),
        (
            with(&[0xA0, 203, 0, 1, 0, 0, 0, 8]),
            RtcpError::Padding { at: 8 },
        ),
        (with(&[0xA0, 203, 0, 0]), RtcpError::Padding { at: 8 }),
        (
            with(&[0x9F, 203, 0, 1, 0, 0, 0, 1]),
            RtcpError::Count { at: 8 },
        ),
        (
            [
                &[0xA0, 201, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4],
                &receiver_report[..],
            ]
            .concat(),
            RtcpError::Padding { at: 0 },
        ),
    ];
    for (bytes, want) in cases {
        assert_eq!(Compound::parse(&bytes).map(|_| ()), Err(want), "{bytes:?}");
    }
    let padded = with(&[0xA0, 203, 0, 1, 0, 0, 0, 4]);
    assert_eq!(Compound::parse(&padded).unwrap().packets().count(), 2);
}

#[test]
fn chunks_and_reasons_that_are_cut_short_show_what_is_whole() {
    let head = [0x80, 201, 0, 1, 0, 0, 0, 1];
    let two_chunks = [
        0x82, 202, 0, 6, 0, 0, 0, 1, 2, 1, b'x', 1, 1, b'a', 0,
        0, // one item more, then the name
        0, 0, 0, 2, 1, 200, b'b', 0, 0, 0, 0, 0,
    ];
    let goodbye = [0x81, 203, 0, 2, 0, 0, 0, 9, 3, b'e', b'n', b'd'];
    let bytes = [&head[..], &two_chunks, &goodbye].concat();
    let packets: Vec<_> = Compound::parse(&bytes).unwrap().packets().collect();
    let RtcpPacket::Description(chunks) = packets[1] else {
        panic!("{packets:?}")
    };
    assert_eq!(chunks.collect::<Vec<_>>(), [(1, Some("a"))]);
    let RtcpPacket::Goodbye(bye) = packets[2] else {
        panic!("{packets:?}")
    };
    assert_eq!(bye.reason(), Some("end"));
}
