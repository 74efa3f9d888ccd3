//! The cases 1 to 7 and 10 of Autobahn's test suite, by its names, with a peer of our own that writes bytes.
//!
//! Control sends back what it gets, as the suite wants of a server under test. Two things differ: an empty
//! message is no SIP message and so does not come back, and one over 64 KiB is refused.

use super::*;

/// What a case wants to see: frames in order by opcode and payload, then how it ends.
struct Case {
    name: String,
    sends: Vec<Vec<u8>>,
    /// Bytes written at once.
    chop: usize,
    sees: Vec<(u8, Vec<u8>)>,
    ends: Ends,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// Still open: a ping of the test's is answered.
    Open,
    /// Closed with that code; 0 for an empty close.
    Closed(u16),
}

const FIN: u8 = 0x80;
const CONTINUED: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// A masked frame; `first` is the whole first byte.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        len @ ..126 => bytes.push(0x80 | u8::try_from(len).unwrap()),
        len @ ..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
        len => {
            bytes.push(0x80 | 127);
            bytes.extend(u64::try_from(len).unwrap().to_be_bytes());
        }
    }
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b));
    bytes
}

/// The next frame of a server: first byte and payload; `None` at the end.
async fn read(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let read = async {
        let first = stream.read_u8().await?;
        let len = match stream.read_u8().await? {
            126 => usize::from(stream.read_u16().await?),
            127 => usize::try_from(stream.read_u64().await?).unwrap(),
            len => usize::from(len),
        };
        let mut payload = vec![0; len];
        stream.read_exact(&mut payload).await?;
        std::io::Result::Ok((first, payload))
    };
    timeout(SOON, read).await.expect("in time").ok()
}

/// The code of the close that comes, whatever comes before it; `None` if the stream just ends.
pub(super) async fn close_code(stream: &mut TcpStream) -> Option<u16> {
    loop {
        let (first, payload) = read(stream).await?;
        if first == FIN | CLOSE {
            return Some(match payload.as_slice() {
                [high, low, ..] => u16::from_be_bytes([*high, *low]),
                _ => 0,
            });
        }
    }
}

fn case(name: &str, sends: Vec<Vec<u8>>, sees: &[(u8, &[u8])], ends: Ends) -> Case {
    Case {
        name: name.to_owned(),
        sends,
        chop: usize::MAX,
        sees: sees
            .iter()
            .map(|(op, it)| (FIN | op, it.to_vec()))
            .collect(),
        ends,
    }
}

impl Case {
    fn chopped(self, chop: usize) -> Self {
        Self { chop, ..self }
    }

    async fn run(&self, mut stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        let name = &self.name;
        let bytes = self.sends.concat();
        for piece in bytes.chunks(self.chop.min(bytes.len().max(1))) {
            if stream.write_all(piece).await.is_err() {
                break;
            }
            if self.chop < 16 {
                tokio::task::yield_now().await;
            }
        }
        let mut early = None;
        for want in &self.sees {
            let seen = read(&mut stream).await;
            // What control sends back may come behind the close: "non-strict", as the suite has it.
            if self.ends != Ends::Open && seen.as_ref().is_some_and(|it| it.0 == FIN | CLOSE) {
                early = seen;
                break;
            }
            assert!(
                seen.as_ref() == Some(want),
                "{name}: {:?}",
                seen.map(|it| it.0)
            );
        }
        match self.ends {
            Ends::Open => {
                stream
                    .write_all(&frame(FIN | PING, b"open?"))
                    .await
                    .unwrap();
                let seen = read(&mut stream).await;
                assert_eq!(seen, Some((FIN | PONG, b"open?".to_vec())), "{name}");
            }
            Ends::Closed(code) => {
                let seen = match early {
                    Some(seen) => Some(seen),
                    None => read(&mut stream).await,
                };
                let Some((first, payload)) = seen else {
                    panic!("{name}: no close");
                };
                let told = match payload.as_slice() {
                    [high, low, ..] => u16::from_be_bytes([*high, *low]),
                    _ => 0,
                };
                assert_eq!((first, told), (FIN | CLOSE, code), "{name}");
                assert_eq!(read(&mut stream).await, None, "{name}");
            }
        }
    }
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// 1: framing.
fn framing() -> Vec<Case> {
    let mut cases = Vec::new();
    for (group, opcode) in [(1, TEXT), (2, BINARY)] {
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
            let payload = vec![b'*'; length];
            // What control sends back is text if it is UTF-8, whichever it came as.
            let sees: &[(u8, &[u8])] = match length {
                0 => &[],
                _ => &[(TEXT, &payload)],
            };
            let name = format!("1.{group}.{number}");
            let it = case(&name, vec![frame(FIN | opcode, &payload)], sees, Ends::Open);
            cases.push(if number == 8 { it.chopped(997) } else { it });
        }
    }
    cases
}

/// 2: pings and pongs.
fn pings() -> Vec<Case> {
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
fn reserved() -> Vec<Case> {
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
fn fragments() -> Vec<Case> {
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
        let twice = [stray(fin), stray(fin)].concat();
        cases.push(case(name, twice, &[], bad));
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

/// 6: text is UTF-8, whole or in fragments.
fn texts() -> Vec<Case> {
    let hello = "Hello-µ@ßöäüàá-UTF-8!!".as_bytes();
    let mut cases = vec![
        case("6.1.1", vec![frame(FIN | TEXT, b"")], &[], Ends::Open),
        case(
            "6.1.2",
            vec![frame(TEXT, b""), frame(0, b""), frame(FIN, b"")],
            &[],
            Ends::Open,
        ),
        case(
            "6.1.3",
            vec![frame(TEXT, b""), frame(0, b"middle"), frame(FIN, b"")],
            &[(TEXT, b"middle")],
            Ends::Open,
        ),
        case(
            "6.2.1",
            vec![frame(FIN | TEXT, hello)],
            &[(TEXT, hello)],
            Ends::Open,
        ),
    ];
    // Each byte a fragment of its own, so that every sequence is cut everywhere.
    let bytewise = |bytes: &[u8]| -> Vec<Vec<u8>> {
        let last = bytes.len() - 1;
        let piece = |(n, byte): (usize, &u8)| {
            let first = if n == 0 { TEXT } else { CONTINUED };
            frame(first | if n == last { FIN } else { 0 }, &[*byte])
        };
        bytes.iter().enumerate().map(piece).collect()
    };
    cases.push(case("6.2.3", bytewise(hello), &[(TEXT, hello)], Ends::Open));
    let good: &[(&str, &[u8])] = &[
        ("6.5.1", "\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5}".as_bytes()),
        ("6.7.1", b"\x00"),
        ("6.7.2", b"\xc2\x80"),
        ("6.7.3", b"\xe0\xa0\x80"),
        ("6.7.4", b"\xf0\x90\x80\x80"),
        ("6.9.1", b"\x7f"),
        ("6.9.2", b"\xdf\xbf"),
        ("6.9.3", b"\xef\xbf\xbf"),
        ("6.9.4", b"\xf4\x8f\xbf\xbf"),
        ("6.11.1", b"\xed\x9f\xbf"),
        ("6.11.2", b"\xee\x80\x80"),
        ("6.11.3", b"\xef\xbf\xbd"),
        ("6.11.4", b"\xf4\x8f\xbf\xbf"),
        ("6.22.1", b"\xef\xbf\xbe"),
        ("6.23.1", b"\xef\xbf\xbf"),
    ];
    for (name, bytes) in good {
        let echo: &[(u8, &[u8])] = &[(TEXT, bytes)];
        cases.push(case(name, vec![frame(FIN | TEXT, bytes)], echo, Ends::Open));
        cases.push(case(
            &format!("{name} bytewise"),
            bytewise(bytes),
            echo,
            Ends::Open,
        ));
    }
    let bad: &[(&str, &[u8])] = &[
        (
            "6.3.1",
            b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
        ),
        ("6.6.1", b"\xce"),
        ("6.6.3", b"\xce\xba\xe1"),
        ("6.6.4", b"\xce\xba\xe1\xbd"),
        ("6.8.1", b"\xf8\x88\x80\x80\x80"),
        ("6.8.2", b"\xfc\x84\x80\x80\x80\x80"),
        ("6.10.1", b"\xf7\xbf\xbf\xbf"),
        ("6.12.1", b"\x80"),
        ("6.12.2", b"\xbf"),
        ("6.12.8", b"\x80\xbf\x80\xbf\x80\xbf\xbe"),
        ("6.13.1", b"\xc0 \xc1 \xc2 \xc3 "),
        ("6.13.5", b"\xf8 \xf9 \xfa \xfb "),
        ("6.14.1", b"\xc0"),
        ("6.14.3", b"\xe0\x80"),
        ("6.14.10", b"\xfd\xbf\xbf\xbf\xbf"),
        ("6.16.1", b"\xfe"),
        ("6.16.2", b"\xff"),
        ("6.17.1", b"\xc0\xaf"),
        ("6.17.3", b"\xf0\x80\x80\xaf"),
        ("6.18.1", b"\xc1\xbf"),
        ("6.19.1", b"\xc0\x80"),
        ("6.20.1", b"\xed\xa0\x80"),
        ("6.20.7", b"\xed\xbf\xbf"),
        ("6.21.1", b"\xed\xa0\x80\xed\xb0\x80"),
    ];
    for (name, bytes) in bad {
        let no = Ends::Closed(1007);
        cases.push(case(name, vec![frame(FIN | TEXT, bytes)], &[], no));
        cases.push(case(&format!("{name} bytewise"), bytewise(bytes), &[], no));
    }
    // Fails at the byte that makes it hopeless: nothing more is sent, and no end.
    let hopeless = frame(TEXT, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xf4\x90\x80\x80");
    cases.push(case("6.4.1", vec![hopeless], &[], Ends::Closed(1007)));
    cases
}

/// 7: closing.
fn closings() -> Vec<Case> {
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
fn others() -> Vec<Case> {
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

// covers: RFC 6455 §5.2, RFC 6455 §5.4, RFC 6455 §5.5, RFC 6455 §7.4.1, RFC 6455 §8.1
#[tokio::test]
async fn autobahns_cases_1_to_7_and_10_pass() {
    let limits = Limits {
        strangers_max: 4_096,
        ..Limits::default()
    };
    let mut front = Front::open(&limits).await;
    let groups = [
        framing(),
        pings(),
        reserved(),
        fragments(),
        texts(),
        closings(),
        others(),
    ];
    let cases: Vec<Case> = groups.into_iter().flatten().collect();
    assert!(cases.len() > 180, "{}", cases.len());
    for case in cases {
        let stream = front.raw().await;
        front.echo_beside(case.run(stream)).await;
    }
}
