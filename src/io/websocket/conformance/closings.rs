//! 7 and 10: closing, and what a library cuts by itself.

use super::{CLOSE, CONTINUED, Case, Ends, FIN, PING, TEXT, case, close, frame};

/// 7: closing.
pub(super) fn closings() -> Vec<Case> {
    let hello = || frame(FIN | TEXT, b"Hello World!");
    let echo: &[(u8, &[u8])] = &[(TEXT, b"Hello World!")];
    let normal = || close(1000, b"");
    let ends = Ends::Closed(1000);
    let bad = Ends::Closed(1002);
    let long = [b'*'; 124];
    let mut cases = vec![
        case("7.1.1", vec![hello(), normal()], echo, ends),
        case("7.1.2", vec![normal(), normal()], &[], ends),
        case("7.1.3", vec![normal(), frame(FIN | PING, b"")], &[], ends),
        case("7.1.4", vec![normal(), hello()], &[], ends),
        case(
            "7.1.5",
            vec![
                frame(TEXT, b"fragment1"),
                normal(),
                frame(FIN, b"fragment2"),
            ],
            &[],
            ends,
        ),
        // What comes of it is not said: the first is larger than anybody may send.
        case(
            "7.1.6",
            vec![
                frame(FIN | TEXT, &b"BAsd7&jh23".repeat(26_215)),
                hello(),
                normal(),
                frame(FIN | PING, b""),
            ],
            &[],
            Ends::Over,
        ),
        case("7.3.1", vec![frame(FIN | CLOSE, b"")], &[], Ends::Closed(0)),
        case("7.3.2", vec![frame(FIN | CLOSE, b"a")], &[], bad),
        case("7.3.3", vec![normal()], &[], ends),
        case("7.3.4", vec![close(1000, b"Hello World!")], &[], ends),
        case("7.3.5", vec![close(1000, &long[..123])], &[], ends),
        case("7.3.6", vec![close(1000, &long)], &[], bad),
        case(
            "7.5.1",
            vec![close(1000, b"\xce\xba\xed\xa0\x80edited")],
            &[],
            Ends::Closed(1007),
        ),
    ];
    let codes = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999,
    ];
    for (number, code) in (1..).zip(codes) {
        let name = format!("7.7.{number}");
        cases.push(case(&name, vec![close(code, b"")], &[], Ends::Closed(code)));
    }
    let wrong = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999];
    for (number, code) in (1..).zip(wrong) {
        let name = format!("7.9.{number}");
        cases.push(case(&name, vec![close(code, b"")], &[], bad));
    }
    for (name, code) in [("7.13.1", 5000), ("7.13.2", 65_535)] {
        cases.push(case(name, vec![close(code, b"")], &[], bad));
    }
    cases
}

/// 10: a message that a library cuts by itself; and what no page does, a frame without a mask.
pub(super) fn others() -> Vec<Case> {
    let payload = [b'*'; 65_536];
    let pieces = payload.chunks(1_300).enumerate().map(|(n, piece)| {
        let first = if n == 0 { TEXT } else { CONTINUED };
        let fin = if n == payload.len() / 1_300 { FIN } else { 0 };
        frame(fin | first, piece)
    });
    let unmasked = vec![FIN | TEXT, 5, b'H', b'e', b'l', b'l', b'o'];
    vec![
        case("10.1.1", pieces.collect(), &[(TEXT, &payload)], Ends::Open),
        case("unmasked", vec![unmasked], &[], Ends::Closed(1002)),
    ]
}
