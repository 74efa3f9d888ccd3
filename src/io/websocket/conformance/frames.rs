//! 1 to 5: frames, pings, what is reserved, fragments.

use super::{BINARY, CLOSE, CONTINUED, Case, Ends, FIN, PING, PONG, TEXT, case, frame};

/// 1: framing.
pub(super) fn framing() -> Vec<Case> {
    let mut cases = Vec::new();
    for (group, opcode, byte) in [(1, TEXT, b'*'), (2, BINARY, 0xfe)] {
        let lengths = [
            (1, 0),
            (2, 125),
            (3, 126),
            (4, 127),
            (5, 128),
            (6, 65_535),
            (7, 65_536),
        ];
        for (number, length) in lengths.into_iter().chain([(8, 65_536)]) {
            let payload = vec![byte; length];
            let sees: &[(u8, &[u8])] = &[(opcode, &payload)];
            let name = format!("1.{group}.{number}");
            let it = case(&name, vec![frame(FIN | opcode, &payload)], sees, Ends::Open);
            cases.push(if number == 8 { it.chopped(997) } else { it });
        }
    }
    cases
}

/// 2: pings and pongs.
pub(super) fn pings() -> Vec<Case> {
    let ping = |payload: &[u8]| frame(FIN | PING, payload);
    let most = [0xfe; 125];
    let ten: Vec<Vec<u8>> = (0..10)
        .map(|n| ping(format!("payload-{n}").as_bytes()))
        .collect();
    let payloads: Vec<String> = (0..10).map(|n| format!("payload-{n}")).collect();
    let pongs: Vec<(u8, &[u8])> = payloads.iter().map(|it| (PONG, it.as_bytes())).collect();
    let open = Ends::Open;
    let stray = |payload: &[u8]| frame(FIN | PONG, payload);
    vec![
        case("2.1", vec![ping(b"")], &[(PONG, b"")], open),
        case(
            "2.2",
            vec![ping(b"Hello, world!")],
            &[(PONG, b"Hello, world!")],
            open,
        ),
        case(
            "2.3",
            vec![ping(b"\x00\xff\xfe\xfd")],
            &[(PONG, b"\x00\xff\xfe\xfd")],
            open,
        ),
        case("2.4", vec![ping(&most)], &[(PONG, &most)], open),
        case("2.5", vec![ping(&[0xfe; 126])], &[], Ends::Closed(1002)),
        case("2.6", vec![ping(&most)], &[(PONG, &most)], open).chopped(1),
        case("2.7", vec![stray(b"")], &[], open),
        case("2.8", vec![stray(b"unsolicited")], &[], open),
        case(
            "2.9",
            vec![stray(b"unsolicited"), ping(b"p")],
            &[(PONG, b"p")],
            open,
        ),
        case("2.10", ten.clone(), &pongs, open),
        case("2.11", ten, &pongs, open).chopped(1),
    ]
}

/// 3 and 4: reserved bits and opcodes.
pub(super) fn reserved() -> Vec<Case> {
    let hello = || frame(FIN | TEXT, b"Hello, world!");
    let after_hello = |bits: u8| vec![hello(), frame(FIN | bits | TEXT, b"*")];
    let pinged = |bits: u8| {
        let mut sent = after_hello(bits);
        sent.push(frame(FIN | PING, b""));
        sent
    };
    let bad = Ends::Closed(1002);
    let echo: &[(u8, &[u8])] = &[(TEXT, b"Hello, world!")];
    let mut cases = vec![
        case("3.1", vec![frame(FIN | 0x40 | TEXT, b"*")], &[], bad),
        case("3.2", pinged(0x20), echo, bad),
        case("3.3", pinged(0x30), echo, bad),
        case("3.4", after_hello(0x40), echo, bad).chopped(1),
        case("3.5", vec![frame(FIN | 0x50 | BINARY, b"*")], &[], bad),
        case("3.6", vec![frame(FIN | 0x60 | PING, b"*")], &[], bad),
        case("3.7", vec![frame(FIN | 0x70 | CLOSE, b"")], &[], bad),
    ];
    for (group, opcodes) in [(1, 3..=7), (2, 11..=15)] {
        for (number, opcode) in (1..).zip(opcodes) {
            let name = format!("4.{group}.{number}");
            cases.push(case(&name, vec![frame(FIN | opcode, b"")], &[], bad));
            let after = vec![hello(), frame(FIN | opcode, b"reserved")];
            cases.push(case(&format!("{name} after a message"), after, echo, bad));
        }
    }
    cases
}

/// 5: fragments.
pub(super) fn fragments() -> Vec<Case> {
    let bad = Ends::Closed(1002);
    let echo: &[(u8, &[u8])] = &[(TEXT, b"fragment1fragment2")];
    let two = || vec![frame(TEXT, b"fragment1"), frame(FIN, b"fragment2")];
    let with_ping = || {
        let ping = frame(FIN | PING, b"ping");
        vec![frame(TEXT, b"fragment1"), ping, frame(FIN, b"fragment2")]
    };
    let answered: &[(u8, &[u8])] = &[(PONG, b"ping"), (TEXT, b"fragment1fragment2")];
    let stray = |fin: u8| {
        vec![
            frame(fin | CONTINUED, b"stray"),
            frame(FIN | TEXT, b"hello"),
        ]
    };
    let mut cases = vec![
        case(
            "5.1",
            vec![frame(PING, b"fragment1"), frame(FIN, b"fragment2")],
            &[],
            bad,
        ),
        case(
            "5.2",
            vec![frame(PONG, b"fragment1"), frame(FIN, b"fragment2")],
            &[],
            bad,
        ),
        case("5.3", two(), echo, Ends::Open),
        case("5.4", two(), echo, Ends::Open).chopped(9),
        case("5.5", two(), echo, Ends::Open).chopped(1),
        case("5.6", with_ping(), answered, Ends::Open),
        case("5.7", with_ping(), answered, Ends::Open).chopped(9),
        case("5.8", with_ping(), answered, Ends::Open).chopped(1),
        case("5.15", [two(), stray(0)].concat(), echo, bad),
        case(
            "5.18",
            vec![frame(TEXT, b"fragment1"), frame(FIN | TEXT, b"fragment2")],
            &[],
            bad,
        ),
    ];
    for (number, fin) in [(9, FIN), (12, 0)] {
        for (more, chop) in [usize::MAX, 9, 1].into_iter().enumerate() {
            let name = format!("5.{}", number + more);
            cases.push(case(&name, stray(fin), &[], bad).chopped(chop));
        }
    }
    for (name, fin) in [("5.16", 0), ("5.17", FIN)] {
        let once = [
            frame(fin | CONTINUED, b"fragment1"),
            frame(TEXT, b"fragment2"),
            frame(FIN, b"fragment3"),
        ];
        cases.push(case(name, [once.clone(), once].concat(), &[], bad));
    }
    for (name, chop) in [("5.19", usize::MAX), ("5.20", 1)] {
        let pieces = (1..=5_u8).map(|n| {
            let first = if n == 1 { TEXT } else { CONTINUED };
            let fin = if n == 5 { FIN } else { 0 };
            [
                frame(FIN | PING, &[n]),
                frame(fin | first, format!("fragment{n}").as_bytes()),
            ]
            .concat()
        });
        let pongs: [[u8; 1]; 5] = [[1], [2], [3], [4], [5]];
        let whole = "fragment1fragment2fragment3fragment4fragment5";
        let mut sees: Vec<(u8, &[u8])> = pongs.iter().map(|it| (PONG, &it[..])).collect();
        sees.push((TEXT, whole.as_bytes()));
        cases.push(case(name, pieces.collect(), &sees, Ends::Open).chopped(chop));
    }
    cases
}
