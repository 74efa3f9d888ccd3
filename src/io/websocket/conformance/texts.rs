//! 6: text is UTF-8, whole or in fragments.

use super::{CONTINUED, Case, Ends, FIN, TEXT, case, frame};

pub(super) fn texts() -> Vec<Case> {
    let mut cases = some_texts();
    cases.extend(hopeless());
    for (group, sequences) in (5..).zip(sequences()) {
        for (number, (good, bytes)) in (1..).zip(sequences) {
            let echo: &[(u8, &[u8])] = &[(TEXT, &bytes)];
            let (sees, ends) = match good {
                true => (echo, Ends::Open),
                false => (&[][..], Ends::Closed(1007)),
            };
            let name = format!("6.{group}.{number}");
            cases.push(case(&name, vec![frame(FIN | TEXT, &bytes)], sees, ends));
            // The suite has it in one frame only.
            let name = format!("{name} bytewise");
            cases.push(case(&name, bytewise(&bytes), sees, ends));
        }
    }
    cases
}

/// Each byte a fragment of its own, so that every sequence is cut everywhere.
fn bytewise(bytes: &[u8]) -> Vec<Vec<u8>> {
    let last = bytes.len() - 1;
    let piece = |(n, byte): (usize, &u8)| {
        let first = if n == 0 { TEXT } else { CONTINUED };
        frame(first | if n == last { FIN } else { 0 }, &[*byte])
    };
    bytes.iter().enumerate().map(piece).collect()
}

/// 6.1 and 6.2.
fn some_texts() -> Vec<Case> {
    let (first, second) = ("Hello-µ@ßöä".as_bytes(), "üàá-UTF-8!!".as_bytes());
    let hello = [first, second].concat();
    let echo = |bytes: &[u8]| vec![(TEXT, bytes.to_vec())];
    let three = |middle: &[u8]| vec![frame(TEXT, b""), frame(0, middle), frame(FIN, b"")];
    let table = [
        ("6.1.1", vec![frame(FIN | TEXT, b"")], echo(b"")),
        ("6.1.2", three(b""), echo(b"")),
        ("6.1.3", three(b"middle"), echo(b"middle")),
        ("6.2.1", vec![frame(FIN | TEXT, &hello)], echo(&hello)),
        (
            "6.2.2",
            vec![frame(TEXT, first), frame(FIN, second)],
            echo(&hello),
        ),
        ("6.2.3", bytewise(&hello), echo(&hello)),
        ("6.2.4", bytewise(KOSME), echo(KOSME)),
    ];
    let made = table.into_iter().map(|(name, sends, sees)| {
        let sees: Vec<(u8, &[u8])> = sees.iter().map(|(op, it)| (*op, it.as_slice())).collect();
        case(name, sends, &sees, Ends::Open)
    });
    made.collect()
}

/// 6.3 and 6.4: hopeless at the twelfth or thirteenth byte; and what comes of it there, when the rest never does.
/// Within a frame the suite takes it for strict to fail before its end, and so do we not.
fn hopeless() -> Vec<Case> {
    let no = Ends::Closed(1007);
    let surrogate = [KOSME, b"\xed\xa0\x80", b"edited"].concat();
    let beyond = [KOSME, b"\xf4\x90\x80\x80", b"edited"].concat();
    let cut = |parts: &[usize]| -> Vec<Vec<u8>> {
        let mut from = 0;
        let piece = |&until: &usize| {
            let first = if from == 0 { TEXT } else { CONTINUED };
            let fin = if until == beyond.len() { FIN } else { 0 };
            let bytes = frame(first | fin, &beyond[from..until]);
            from = until;
            bytes
        };
        parts.iter().map(piece).collect()
    };
    let all = beyond.len();
    let whole = || vec![frame(FIN | TEXT, &beyond)];
    vec![
        case("6.3.1", vec![frame(FIN | TEXT, &surrogate)], &[], no),
        case("6.3.2", bytewise(&surrogate), &[], no),
        case("6.4.1", cut(&[11, 15, all]), &[], no),
        case("6.4.1, no third", cut(&[11, 15]), &[], no),
        case("6.4.2", cut(&[12, 13, all]), &[], no),
        case("6.4.2, no third", cut(&[12, 13]), &[], no),
        case("6.4.3", whole(), &[], no).chopped(11),
        case("6.4.4", whole(), &[], no).chopped(1),
    ]
}

/// A group of 6.5 to 6.23: whether it is UTF-8, and its bytes.
type Sequences = Vec<(bool, Vec<u8>)>;

/// Those of Markus Kuhn's stress test, in the suite's order.
fn sequences() -> Vec<Sequences> {
    let good = |all: &[&[u8]]| all.iter().map(|it| (true, it.to_vec())).collect();
    let bad = |all: &[&[u8]]| -> Sequences { all.iter().map(|it| (false, it.to_vec())).collect() };
    let prefixes = (1..=KOSME.len()).map(|n| ([2, 5, 7, 9, 11].contains(&n), KOSME[..n].to_vec()));
    let boundaries: [&[u8]; 4] = [
        b"\xed\x9f\xbf",
        b"\xee\x80\x80",
        b"\xef\xbf\xbd",
        b"\xf4\x8f\xbf\xbf",
    ];
    let mut boundaries: Sequences = good(&boundaries);
    boundaries.push((false, b"\xf4\x90\x80\x80".to_vec()));
    vec![
        good(&[
            b"hello\x24world",
            b"hello\xc2\xa2world",
            b"hello\xe2\x82\xacworld",
            b"hello\xf0\xa4\xad\xa2world",
            KOSME,
        ]),
        prefixes.collect(),
        good(&[b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"]),
        bad(&[b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"]),
        good(&[b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"]),
        bad(&[
            b"\xf7\xbf\xbf\xbf",
            b"\xfb\xbf\xbf\xbf\xbf",
            b"\xfd\xbf\xbf\xbf\xbf\xbf",
        ]),
        boundaries,
        stray(),
        lonely(),
        bad(&CUT),
        bad(&[&CUT.concat()]),
        bad(&[b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"]),
        bad(&[
            b"\xc0\xaf",
            b"\xe0\x80\xaf",
            b"\xf0\x80\x80\xaf",
            b"\xf8\x80\x80\x80\xaf",
            b"\xfc\x80\x80\x80\x80\xaf",
        ]),
        bad(&[
            b"\xc1\xbf",
            b"\xe0\x9f\xbf",
            b"\xf0\x8f\xbf\xbf",
            b"\xf8\x87\xbf\xbf\xbf",
            b"\xfc\x83\xbf\xbf\xbf\xbf",
        ]),
        bad(&[
            b"\xc0\x80",
            b"\xe0\x80\x80",
            b"\xf0\x80\x80\x80",
            b"\xf8\x80\x80\x80\x80",
            b"\xfc\x80\x80\x80\x80\x80",
        ]),
        bad(&[
            b"\xed\xa0\x80",
            b"\xed\xad\xbf",
            b"\xed\xae\x80",
            b"\xed\xaf\xbf",
            b"\xed\xb0\x80",
            b"\xed\xbe\x80",
            b"\xed\xbf\xbf",
        ]),
        pairs(),
        no_characters(),
        (0xb9..=0xbf)
            .map(|last| (true, vec![0xef, 0xbf, last]))
            .collect(),
    ]
}

/// 6.12: bytes that continue nothing.
fn stray() -> Sequences {
    let some = [0x80, 0xbf].into_iter().map(|byte| (false, vec![byte]));
    let more = (2..=6).map(|n| (false, [0x80, 0xbf].into_iter().cycle().take(n).collect()));
    let all = (false, (0x80..0xbf).collect());
    some.chain(more).chain([all]).collect()
}

/// 6.13: beginnings that are not continued.
fn lonely() -> Sequences {
    let ranges = [
        0xc0..0xdf,
        0xe0..0xef,
        0xf0..0xf7,
        0xf8..0xfb,
        0xfc..0xfd_u8,
    ];
    let spaced = |range: std::ops::Range<u8>| range.flat_map(|byte| [byte, b' ']).collect();
    ranges.map(|range| (false, spaced(range))).into()
}

/// 6.21: surrogates in pairs.
fn pairs() -> Sequences {
    let firsts: [&[u8]; 4] = [
        b"\xed\xa0\x80",
        b"\xed\xad\xbf",
        b"\xed\xae\x80",
        b"\xed\xaf\xbf",
    ];
    let seconds: [&[u8]; 2] = [b"\xed\xb0\x80", b"\xed\xbf\xbf"];
    let pair = |first| seconds.map(|second| (false, [first, second].concat()));
    firsts.into_iter().flat_map(pair).collect()
}

/// 6.22: code points that are no characters, and UTF-8 all the same.
fn no_characters() -> Sequences {
    let mut all = vec![
        (true, b"\xef\xbf\xbe".to_vec()),
        (true, b"\xef\xbf\xbf".to_vec()),
    ];
    for first in 0xf0..=0xf4 {
        for second in [0x8f, 0x9f, 0xaf, 0xbf] {
            // Overlong, and beyond the last code point.
            if (first, second) == (0xf0, 0x8f) || first == 0xf4 && second != 0x8f {
                continue;
            }
            all.extend([0xbe, 0xbf].map(|last| (true, vec![first, second, 0xbf, last])));
        }
    }
    all
}

/// The Greek word of the stress test.
const KOSME: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";
/// Sequences without their last byte.
const CUT: [&[u8]; 10] = [
    b"\xc0",
    b"\xe0\x80",
    b"\xf0\x80\x80",
    b"\xf8\x80\x80\x80",
    b"\xfc\x80\x80\x80\x80",
    b"\xdf",
    b"\xef\xbf",
    b"\xf7\xbf\xbf",
    b"\xfb\xbf\xbf\xbf",
    b"\xfd\xbf\xbf\xbf\xbf",
];
