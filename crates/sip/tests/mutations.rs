//! Mutated messages against the parser, its views, the framer and the stateless refusal: never a
//! panic, never a message that reads differently a second time, never more than a millisecond for
//! 64 kB.
//!
//! 20,000 messages by default; `TANDEM_MUTATIONS` asks for another number, and
//! `TANDEM_FUZZ_SECONDS` (set by `make fuzz`) for a million at least and then on until the time is
//! up. The seed is fixed: a failure repeats.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use sip::fuzz::{sip_message, sip_stream};
use sip::message::{Builder, Message, Name, limits, refusal_of};
use sipx_testkit::{rfc4475, rfc5118};
use std::time::{Duration, Instant};

const INVITE: &[u8] = include_bytes!("../../../tests/data/sip/invite_1300.sip");

/// What parsers trip over, written anywhere.
const BAIT: [&[u8]; 28] = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n ",
    b"\r\n\r\n",
    b"\0",
    b"\\\0",
    b"\\",
    b"\"",
    b"<",
    b">",
    b",",
    b";",
    b":",
    b"=",
    b"@",
    b"[",
    b"]",
    b"[:::",
    b"%",
    b"%0",
    b"\xff\xfe",
    "ü".as_bytes(),
    b"sip:",
    b"Content-Length: 0\r\n",
    b"l:9\r\n",
    b"99999999999999999999",
    b"(",
];

/// xorshift64*: enough to pick places and bytes, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).unwrap() % below.max(1)
    }

    fn range(&mut self, length: usize, at_most: usize) -> std::ops::Range<usize> {
        let start = self.roll(length + 1);
        start..(start + self.roll(at_most)).min(length)
    }
}

fn corpus() -> Vec<Vec<u8>> {
    let torture = rfc4475::CASES.iter().map(|case| case.bytes.to_vec());
    let addresses = rfc5118::CASES.iter().map(|case| case.wire().to_vec());
    torture.chain(addresses).chain([INVITE.to_vec()]).collect()
}

fn mutate(dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut message = corpus[dice.roll(corpus.len())].clone();
    for _ in 0..=dice.roll(6) {
        let length = message.len();
        match dice.roll(8) {
            0 if length > 0 => message[dice.roll(length)] ^= 1 << dice.roll(8),
            1 if length > 0 => message[dice.roll(length)] = u8::try_from(dice.roll(256)).unwrap(),
            2 => drop(message.drain(dice.range(length, 40))),
            3 => {
                let copy = message[dice.range(length, 200)].to_vec();
                let at = dice.roll(length + 1);
                message.splice(at..at, copy);
            }
            4 => {
                let other = &corpus[dice.roll(corpus.len())];
                let piece = other[dice.range(other.len(), 300)].to_vec();
                let range = dice.range(length, 300);
                message.splice(range, piece);
            }
            5 => message.truncate(dice.roll(length + 1)),
            6 if dice.roll(40) == 0 => {
                let piece = message[dice.range(length, 120)].to_vec();
                let at = dice.roll(length + 1);
                message.splice(at..at, piece.repeat(dice.roll(600)));
            }
            _ => {
                let at = dice.roll(length + 1);
                message.splice(at..at, BAIT[dice.roll(BAIT.len())].iter().copied());
            }
        }
    }
    message
}

/// What holds for any bytes: see the head of this file.
fn check(bytes: &[u8]) {
    let buffer = Bytes::copy_from_slice(bytes);
    match Message::parse(buffer) {
        Ok(message) => check_parsed(&message),
        Err(error) => {
            assert!(
                error.offset <= bytes.len().max(limits::MESSAGE_MAX),
                "{error}"
            );
            if let Some(refusal) = refusal_of(bytes, &error, "tag") {
                let refusal = Message::parse(refusal).unwrap();
                assert_eq!(refusal.status(), error.answer);
            }
        }
    }
    sip_message(bytes);
    sip_stream(bytes);
}

/// The lines put together again are the message, and its copy reads the same.
fn check_parsed(message: &Message) {
    let whole = message.bytes();
    let first = whole.windows(2).position(|pair| pair == b"\r\n").unwrap() + 2;
    let mut again = whole[..first].to_vec();
    message
        .lines()
        .for_each(|line| again.extend_from_slice(line.raw()));
    again.extend_from_slice(b"\r\n");
    again.extend_from_slice(message.body());
    assert!(whole.starts_with(&again), "a line was lost");
    let copy = Message::parse(Bytes::from(again)).unwrap();
    assert!(
        message
            .lines()
            .map(|line| line.value())
            .eq(copy.lines().map(|line| line.value()))
    );
    assert_eq!(message.transaction_key().ok(), copy.transaction_key().ok());
    if message.is_request() {
        let source = "[2001:db8::7]:5070".parse().unwrap();
        let answer = Builder::response(message, 200, "OK")
            .received(source)
            .to_tag("t")
            .build();
        if let Ok(answer) = answer {
            assert_eq!(
                answer.headers(Name::CallId).next(),
                message.headers(Name::CallId).next()
            );
        }
    }
}

#[test]
fn fuzz_mutated_messages_never_panic_and_read_the_same_twice() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let seconds = number("TANDEM_FUZZ_SECONDS");
    let wanted =
        number("TANDEM_MUTATIONS").unwrap_or(if seconds.is_some() { 1_000_000 } else { 20_000 });
    let until = now() + Duration::from_secs(seconds.unwrap_or(0));
    let corpus = corpus();
    let mut dice = Dice(0x5eed_0f51_9000_0001);
    let mut done = 0;
    let mut parsed = 0u64;
    while done < wanted || now() < until {
        let message = mutate(&mut dice, &corpus);
        check(&message);
        parsed += u64::from(Message::parse(Bytes::from(message)).is_ok());
        done += 1;
    }
    println!("{done} mutated messages, {parsed} of them parse");
    assert!(
        parsed * 10 > done,
        "mutations that never parse test only the first check"
    );
}

/// Messages of about 64 kB that make a careless parser slow.
fn worst_cases() -> Vec<(&'static str, Vec<u8>)> {
    let start: &[u8] = b"OPTIONS sip:a@b SIP/2.0\r\n";
    let filled = |unit: &[u8], last: &[u8]| {
        let units = (limits::MESSAGE_MAX - start.len() - last.len()) / unit.len();
        [start, &unit.repeat(units), last].concat()
    };
    let wide = |unit: &[u8]| {
        let mut lines = Vec::new();
        for _ in 0..7 {
            lines.extend_from_slice(b"Contact: ");
            lines.extend_from_slice(&unit.repeat(8_100 / unit.len()));
            lines.extend_from_slice(b"\r\n");
        }
        [start, &lines, b"\r\n"].concat()
    };
    vec![
        ("ten thousand Vias", filled(b"v:a\r\n", b"\r\n")),
        ("one header folded for ever", filled(b"\r\n a", b"\r\n\r\n")),
        ("folds without a value", wide(b"\r\n ")),
        ("commas", wide(b",")),
        ("semicolons", wide(b";a")),
        ("open quotes", wide(b"\"")),
        ("escapes in a quote", wide(b"\\\"")),
        ("escaped NULs", wide(b"\\\0")),
        ("backslashes before a NUL", wide(b"\\\\\\\\\\\\\\\0")),
        ("brackets", wide(b"<")),
        ("Latin-1", wide(b"\xe9")),
        ("colons", wide(b":::")),
        ("a body", [start, b"\r\n", &[b'x'; 65_000][..]].concat()),
        ("blank lines before nothing", b"\r\n".repeat(32_000)),
        ("no line end at all", vec![b'A'; limits::MESSAGE_MAX]),
        (
            "a Request-URI without end",
            [b"OPTIONS sip:", &[b'a'; 65_000][..], b" SIP/2.0\r\n\r\n"].concat(),
        ),
    ]
}

#[test]
fn fuzz_the_slowest_parse_takes_under_a_millisecond_for_64_kilobytes() {
    let mut slowest = (Duration::ZERO, "");
    for (what, message) in worst_cases() {
        check(&message);
        let buffer = Bytes::from(message);
        let parse = || {
            let start = now();
            let outcome = Message::parse(buffer.clone());
            let taken = now() - start;
            drop(outcome);
            taken
        };
        // The best of several: a busy machine delays some runs, a slow parser all of them.
        let taken = (0..9).map(|_| parse()).min().unwrap();
        slowest = slowest.max((taken, what));
    }
    println!("slowest of the worst: {:?} for {}", slowest.0, slowest.1);
    let bound_ms = if cfg!(debug_assertions) { 200 } else { 1 };
    assert!(slowest.0 < Duration::from_millis(bound_ms), "{slowest:?}");
}

#[test]
fn the_bounds_hold_whatever_the_shape() {
    let status = |message: Vec<u8>| {
        Message::parse(Bytes::from(message))
            .map(drop)
            .map_err(|e| e.answer)
    };
    let with = |lines: &[u8]| [b"OPTIONS sip:a@b SIP/2.0\r\n", lines, b"\r\n"].concat();
    let long = |length: usize| [b"X: ", &vec![b'a'; length - 3][..], b"\r\n"].concat();
    assert_eq!(status(with(&b"X: y\r\n".repeat(256))), Ok(()));
    assert_eq!(status(with(&b"X: y\r\n".repeat(257))), Err(Some(513)));
    assert_eq!(status(with(&long(8_192))), Ok(()));
    assert_eq!(status(with(&long(8_193))), Err(Some(513)));
    assert_eq!(status([&with(b"")[..], &vec![0; 65_000]].concat()), Ok(()));
    assert_eq!(
        status([&with(b"")[..], &vec![0; 66_000]].concat()),
        Err(Some(513))
    );
    let uri = [b"OPTIONS sip:", &[b'a'; 9_000][..], b" SIP/2.0\r\n\r\n"].concat();
    assert_eq!(status(uri), Err(Some(414)));
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test that measures reads the clock"
)]
fn now() -> Instant {
    Instant::now()
}
