use super::*;

const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

/// RFC 5769 §2.1: the sample request.
const SAMPLE: [u8; 108] = [
    0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86,
    0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x10, 0x53, 0x54, 0x55, 0x4e, 0x20, 0x74, 0x65, 0x73,
    0x74, 0x20, 0x63, 0x6c, 0x69, 0x65, 0x6e, 0x74, 0x00, 0x24, 0x00, 0x04, 0x6e, 0x00, 0x01, 0xff,
    0x80, 0x29, 0x00, 0x08, 0x93, 0x2f, 0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36, 0x00, 0x06, 0x00, 0x09,
    0x65, 0x76, 0x74, 0x6a, 0x3a, 0x68, 0x36, 0x76, 0x59, 0x20, 0x20, 0x20, 0x00, 0x08, 0x00, 0x14,
    0x9a, 0xea, 0xa7, 0x0c, 0xbf, 0xd8, 0xcb, 0x56, 0x78, 0x1e, 0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49,
    0xc1, 0xb5, 0x71, 0xa2, 0x80, 0x28, 0x00, 0x04, 0xe5, 0x7a, 0x3b, 0xcf,
];

// covers: RFC 8489 §14.5, §14.7
#[test]
fn the_sample_request_is_read_and_proven() {
    let check = Check::parse(&SAMPLE).unwrap();
    assert_eq!((check.ours, check.theirs), ("evtj", "h6vY"));
    assert!(!check.controls && !check.nominates);
    assert!(check.is_by(PASSWORD));
    assert!(!check.is_by("VOkJxbRl1RmTxUk/WvJxBu") && !check.is_by(""));
}

#[test]
fn a_changed_bit_anywhere_is_found() {
    // Behind the proof stands the print alone.
    for bit in 0..(SAMPLE.len() - 8) * 8 {
        let mut bytes = SAMPLE;
        bytes[bit / 8] ^= 1 << (bit % 8);
        let passes = Check::parse(&bytes).is_ok_and(|check| check.is_by(PASSWORD));
        assert!(!passes, "bit {bit}");
    }
    for end in 0..SAMPLE.len() {
        assert!(Check::parse(&SAMPLE[..end]).is_err(), "{end} bytes");
    }
}

fn request(attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut message = Message::request([7; 12]);
    for (kind, value) in attributes {
        message.push(*kind, value);
    }
    message.seal(PASSWORD)
}

#[test]
fn what_a_check_says_is_read_and_what_it_lacks_is_named() {
    let bytes = request(&[
        (USERNAME, b"us:them"),
        (CONTROLLING, &[0; 8]),
        (USE_CANDIDATE, b""),
    ]);
    let check = Check::parse(&bytes).unwrap();
    assert!(check.controls && check.nominates && check.is_by(PASSWORD));
    assert_eq!(addressee(&bytes), Some("us"));
    for (attributes, fault) in [
        (&[(PRIORITY, &[0; 4][..])][..], StunError::Name),
        (&[(USERNAME, b"us")], StunError::Name),
        (&[(USERNAME, b":them")], StunError::Name),
        (&[(USERNAME, b"us:th\xFFm")], StunError::Name),
        (
            &[(USERNAME, b"us:them"), (0x0027, b"")],
            StunError::Unknown(0x0027),
        ),
    ] {
        assert_eq!(Check::parse(&request(attributes)), Err(fault));
    }
    // Comprehension is optional above.
    assert!(Check::parse(&request(&[(USERNAME, b"us:them"), (0xC057, &[0; 4])])).is_ok());
    let many = vec![(PRIORITY, &[0; 4][..]); 40];
    assert_eq!(Check::parse(&request(&many)), Err(StunError::TooMany));
}

#[test]
fn what_stands_behind_the_proof_is_not_believed() {
    let mut bytes = request(&[(USERNAME, b"us:them")]);
    bytes.truncate(bytes.len() - 8);
    let mut message = Message(bytes);
    message.push(USE_CANDIDATE, b"");
    message.claims(0);
    let check = Check::parse(&message.0).unwrap();
    assert!(!check.nominates && check.is_by(PASSWORD));
}

#[test]
fn no_message_without_a_proof_is_a_check() {
    let mut message = Message::request([7; 12]);
    message.push(USERNAME, b"us:them");
    message.claims(0);
    assert_eq!(Check::parse(&message.0), Err(StunError::Unproven));
}

/// RFC 5769 §2.2 and §2.3: the address in the sample responses, in both families.
#[test]
fn the_address_is_told_as_in_the_samples() {
    let name = [
        0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae,
    ];
    let four = mapped("192.0.2.1:32853".parse().unwrap(), name);
    assert_eq!(four, [0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]);
    let six = mapped(
        "[2001:db8:1234:5678:11:2233:4455:6677]:32853"
            .parse()
            .unwrap(),
        name,
    );
    assert_eq!(
        six,
        [
            0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25,
            0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9
        ]
    );
    let mixed = mapped("[::ffff:192.0.2.1]:32853".parse().unwrap(), name);
    assert_eq!(mixed, four, "a socket of both families");
}

#[test]
fn an_answer_has_its_questions_name_and_a_proof() {
    let from = "192.0.2.1:32853".parse().unwrap();
    for (answer, kind) in [
        (success([9; 12], from, PASSWORD), 0x0101_u16),
        (role_conflict([9; 12], PASSWORD), 0x0111),
    ] {
        assert_eq!(answer[..2], kind.to_be_bytes());
        assert_eq!(answer[8..20], [9; 12]);
        let mut as_request = answer.clone();
        as_request[1] = 1;
        assert_eq!(head(&answer).map(|(kind, _)| kind), Ok(kind));
        assert_eq!(usize::from(word(&answer, 2).unwrap()) + 20, answer.len());
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = Check::parse(&bytes);
        let mut framed = SAMPLE.to_vec();
        for (place, byte) in framed.iter_mut().skip(20).zip(&bytes) {
            *place = *byte;
        }
        let _ = Check::parse(&framed).map(|check| check.is_by(PASSWORD));
    }
}

/// RFC 5769 §2.2: the sample response.
const ANSWER: [u8; 80] = [
    0x01, 0x01, 0x00, 0x3c, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86,
    0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x0b, 0x74, 0x65, 0x73, 0x74, 0x20, 0x76, 0x65, 0x63,
    0x74, 0x6f, 0x72, 0x20, 0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43,
    0x00, 0x08, 0x00, 0x14, 0x2b, 0x91, 0xf5, 0x99, 0xfd, 0x9e, 0x90, 0xc3, 0x8c, 0x74, 0x89, 0xf9,
    0x2a, 0xf9, 0xba, 0x53, 0xf0, 0x6b, 0xe7, 0xd7, 0x80, 0x28, 0x00, 0x04, 0xc0, 0x7d, 0x4c, 0x96,
];

// covers: RFC 8489 §14.5
#[test]
fn the_sample_answer_is_read_and_proven_and_a_changed_bit_is_found() {
    let answer = Answer::parse(&ANSWER).unwrap();
    assert!(answer.is_by(PASSWORD) && !answer.is_by("") && answer.transaction[0] == 0xb7);
    for bit in 0..(ANSWER.len() - 8) * 8 {
        let mut bytes = ANSWER;
        bytes[bit / 8] ^= 1 << (bit % 8);
        let passes = Answer::parse(&bytes).is_ok_and(|answer| answer.is_by(PASSWORD));
        assert!(!passes, "bit {bit}");
    }
    for end in 0..ANSWER.len() {
        assert!(Answer::parse(&ANSWER[..end]).is_err(), "{end} bytes");
    }
}

#[test]
fn neither_a_check_nor_an_error_nor_what_nobody_has_proven_is_an_answer() {
    let error = role_conflict([7; 12], PASSWORD);
    let unproven = {
        let mut message = Message::new(BINDING_SUCCESS, [7; 12]);
        message.push(XOR_MAPPED, &[0, 1, 0, 0, 0, 0, 0, 0]);
        message.claims(0);
        message.0
    };
    for (bytes, fault) in [
        (&SAMPLE[..], StunError::Type(BINDING_REQUEST)),
        (&error, StunError::Type(BINDING_ERROR)),
        (&unproven, StunError::Unproven),
    ] {
        assert_eq!(Answer::parse(bytes), Err(fault));
    }
}
