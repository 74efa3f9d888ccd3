//! Mutated messages, streams, session descriptions and keys against the parsers, their views, the framer
//! and the stateless refusal: never a panic, never a message that reads differently a second time,
//! never more than a millisecond for 64 kB.
//!
//! 20,000 of each by default; `TANDEM_MUTATIONS` asks for another number, and `TANDEM_FUZZ_SECONDS`
//! (set by `make fuzz`) for a million of each at least and then on until each had its seconds. The
//! seeds are fixed: a failure repeats.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says how much it did"
)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sip::fuzz::{crypto, sdp, sip_message, sip_stream};
use sip::message::{Builder, Message, Name, limits, refusal_of};
use sip::sdp::{Codec, LocalMedia, Negotiation, SessionDescription};
use sip::transport::StreamFramer;
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

/// The same for descriptions.
const SDP_BAIT: [&[u8]; 20] = [
    b"\r",
    b"\n",
    b"\0",
    b"=",
    b"/",
    b" ",
    b":",
    b"*",
    b"v=0\r\n",
    b"m=audio 0 RTP/AVP 0\r\n",
    b"m=audio 4000/2 RTP/SAVPF 96 97\r\n",
    b"c=IN IP6 ::1\r\n",
    b"a=\r\n",
    b"a=rtpmap:96 opus/48000/2\r\n",
    b"a=fmtp:101 0-15,66-255\r\n",
    b"a=inactive\r\n",
    b"a=ptime:0\r\n",
    b"a=rtcp:1 IN IP4 0.0.0.0\r\n",
    b"18446744073709551616",
    "ü\u{ff}".as_bytes(),
];

/// The same for keys.
const KEY_BAIT: [&[u8]; 14] = [
    b" ",
    b"\t",
    b"\n",
    b"|",
    b":",
    b";",
    b"=",
    b"inline:",
    b"2^",
    b"|1:4",
    b"99999999999999999999",
    b" AES_CM_128_HMAC_SHA1_80 ",
    b" WSH=64",
    "ü\u{ff}".as_bytes(),
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

/// The descriptions that the corpus carries, one with everything, and a browser's.
fn descriptions() -> Vec<Vec<u8>> {
    let carried = corpus().into_iter().filter_map(|bytes| {
        let message = Message::parse(Bytes::from(bytes)).ok()?;
        let is_sdp = message.body().starts_with(b"v=");
        is_sdp.then(|| message.body().to_vec())
    });
    let rich = "v=0|o=- 1 2 IN IP6 2001:db8::1|s=x|i=y|b=AS:84|t=0 0|a=group:BUNDLE 0 1|\
        m=audio 4000 RTP/AVP 9 8 0 96 101 13|c=IN IP6 2001:db8::2|a=mid:0|a=rtpmap:96 opus/48000/2|\
        a=fmtp:96 useinbandfec=1|a=rtpmap:101 telephone-event/8000|a=fmtp:101 0-15|a=ptime:20|\
        a=rtcp-mux|a=sendonly|m=video 0 RTP/SAVP 97|a=mid:1|a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x|";
    let browser = include_bytes!("../../../tests/data/sip/offer_jssip.sdp");
    carried
        .chain([rich.replace('|', "\r\n").into_bytes(), browser.to_vec()])
        .collect()
}

fn mutate(dice: &mut Dice, corpus: &[Vec<u8>], bait: &[&[u8]]) -> Vec<u8> {
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
                message.splice(at..at, bait[dice.roll(bait.len())].iter().copied());
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

/// Writes the examples where coverage-guided fuzzing begins with them, if `TANDEM_FUZZ_CORPUS` says where.
fn keep(name: &str, corpus: &[Vec<u8>]) {
    let Some(folder) = std::env::var_os("TANDEM_FUZZ_CORPUS") else {
        return;
    };
    let folder = std::path::Path::new(&folder).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    for (number, example) in corpus.iter().enumerate() {
        std::fs::write(folder.join(format!("example-{number}")), example).unwrap();
    }
}

/// Runs `one` as often and as long as the environment asks; returns how often.
fn storm(mut one: impl FnMut()) -> u64 {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let seconds = number("TANDEM_FUZZ_SECONDS");
    let at_least = if seconds.is_some() { 1_000_000 } else { 20_000 };
    let wanted = number("TANDEM_MUTATIONS").unwrap_or(at_least);
    let until = now() + Duration::from_secs(seconds.unwrap_or(0));
    let mut done = 0;
    while done < wanted || now() < until {
        one();
        done += 1;
    }
    done
}

#[test]
fn fuzz_mutated_messages_never_panic_and_read_the_same_twice() {
    let corpus = corpus();
    keep("sip_message", &corpus);
    let mut dice = Dice(0x5eed_0f51_9000_0001);
    let mut parsed = 0u64;
    let done = storm(|| {
        let message = mutate(&mut dice, &corpus, &BAIT);
        check(&message);
        parsed += u64::from(Message::parse(Bytes::from(message)).is_ok());
    });
    println!("sip_message: {done} mutated messages, {parsed} of them parse");
    assert!(
        parsed * 10 > done,
        "mutations that never parse test only the first check"
    );
}

#[test]
fn fuzz_mutated_streams_are_cut_or_refused() {
    let corpus = corpus();
    let mut dice = Dice(0x5eed_0f51_9000_0002);
    let done = storm(|| {
        let mut stream = vec![u8::try_from(dice.roll(256)).unwrap()];
        for _ in 0..=dice.roll(3) {
            stream.extend(mutate(&mut dice, &corpus, &BAIT));
        }
        sip_stream(&stream);
    });
    println!("sip_stream: {done} mutated streams");
}

#[test]
fn fuzz_mutated_descriptions_print_what_they_say_and_break_no_negotiation() {
    let corpus = descriptions();
    keep("sdp", &corpus);
    let mut dice = Dice(0x5eed_0f51_9000_0003);
    let mut parsed = 0u64;
    let done = storm(|| {
        let description = mutate(&mut dice, &corpus, &SDP_BAIT);
        sdp(&description);
        parsed += u64::from(SessionDescription::parse(&description).is_ok());
    });
    println!("sdp: {done} mutated descriptions, {parsed} of them parse");
    assert!(parsed * 20 > done, "{parsed} of {done} parse");
}

/// Keys of each suite, with lifetimes and parameters, and lines that name what is not spoken here.
fn keys() -> Vec<Vec<u8>> {
    let line = |suite: &str, length: usize, more: &str| {
        let key = STANDARD.encode((0..length).map(|n| n as u8).collect::<Vec<_>>());
        format!("1 {suite} inline:{key}{more}").into_bytes()
    };
    let mut all = vec![
        line("AES_CM_128_HMAC_SHA1_80", 30, "|2^20"),
        line("AES_CM_128_HMAC_SHA1_32", 30, "|1048576 WSH=128"),
        line("AEAD_AES_128_GCM", 28, ""),
        line("AEAD_AES_256_GCM", 44, "|2^48|1:4"),
        line("F8_128_HMAC_SHA1_80", 30, "|2^31 KDR=3 UNENCRYPTED_SRTCP"),
    ];
    all.push(all.join(&b"\n"[..]));
    all
}

#[test]
fn fuzz_mutated_keys_are_read_as_they_were_or_refused() {
    let corpus = keys();
    keep("crypto", &corpus);
    let mut dice = Dice(0x5eed_0f51_9000_0009);
    let mut agreed = 0u64;
    let done = storm(|| {
        let lines = mutate(&mut dice, &corpus, &KEY_BAIT);
        agreed += u64::from(crypto(&lines));
    });
    println!("crypto: {done} mutated keys, {agreed} of them secure a stream");
    assert!(agreed * 20 > done, "{agreed} of {done} secure a stream");
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

/// The best of several: a busy machine delays some runs, a slow parser all of them.
fn fastest<T>(mut parse: impl FnMut() -> T) -> Duration {
    let mut once = || {
        let start = now();
        let outcome = parse();
        let taken = now() - start;
        drop(outcome);
        taken
    };
    (0..15).map(|_| once()).min().unwrap()
}

/// Says which of the worst was the slowest, and that even it was fast.
fn judge(parser: &str, timed: impl Iterator<Item = (&'static str, Duration)>) {
    let (what, taken) = timed.max_by_key(|&(_, taken)| taken).unwrap();
    println!("{parser}: the slowest of the worst took {taken:?}: {what}");
    let bound_ms = if cfg!(debug_assertions) { 200 } else { 1 };
    assert!(
        taken < Duration::from_millis(bound_ms),
        "{parser}: {what}: {taken:?}"
    );
}

#[test]
fn fuzz_the_slowest_parse_takes_under_a_millisecond_for_64_kilobytes() {
    let timed = worst_cases().into_iter().map(|(what, message)| {
        check(&message);
        let buffer = Bytes::from(message);
        (what, fastest(|| Message::parse(buffer.clone())))
    });
    judge("sip_message", timed);
}

/// A stream in reads of one segment, as a network brings it.
#[test]
fn fuzz_the_slowest_stream_is_cut_in_under_a_millisecond_for_64_kilobytes() {
    let timed = worst_cases().into_iter().map(|(what, stream)| {
        let cut = || {
            let mut framer = StreamFramer::new();
            for segment in stream.chunks(1_448) {
                if framer.push(segment).is_err() {
                    break;
                }
                while let Ok(Some(_)) = framer.poll_frame() {}
            }
            framer
        };
        (what, fastest(cut))
    });
    judge("sip_stream", timed);
}

/// Descriptions of up to 64 kB that make a careless parser slow.
fn worst_descriptions() -> Vec<(&'static str, Vec<u8>)> {
    let start = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n";
    let filled = |unit: &str, most: usize| {
        let units = ((64_000 - start.len()) / unit.len()).min(most);
        [start, &unit.repeat(units)].concat().into_bytes()
    };
    let formats: String = (0..128).map(|number| format!(" {number}")).collect();
    let maps: String = (0..120)
        .map(|number| format!("a=rtpmap:{number} telephone-event/8000\r\na=fmtp:{number} 0-15\r\n"))
        .collect();
    let line = |length: usize| format!("a={}\r\n", "x".repeat(length));
    vec![
        ("attributes", filled("a=x\r\n", usize::MAX)),
        ("sections", filled("m=audio 4000 RTP/AVP 0\r\n", 64)),
        (
            "formats",
            filled(&format!("m=audio 4000 RTP/AVP{formats}\r\n"), 64),
        ),
        (
            "every format mapped",
            filled(&format!("m=audio 4000 RTP/AVP{formats}\r\n{maps}"), 64),
        ),
        (
            "full sections",
            filled(
                &format!("m=audio 4000 RTP/AVP 0\r\n{}", "a=b:c\r\n".repeat(250)),
                64,
            ),
        ),
        ("one long line", filled(&line(63_000), 1)),
        ("blank lines", filled("\r\n", usize::MAX)),
        ("bare line feeds", filled("a=x\n", 256)),
        (
            "Latin-1",
            [start.as_bytes(), b"i=", &[0xe9; 60_000][..], b"\r\n"].concat(),
        ),
        ("no line end", vec![b'v'; 64_000]),
    ]
}

#[test]
fn fuzz_the_slowest_description_takes_under_a_millisecond_for_64_kilobytes() {
    let worst = worst_descriptions();
    worst.iter().for_each(|(_, description)| sdp(description));
    judge(
        "sdp",
        worst
            .iter()
            .map(|(what, description)| (*what, fastest(|| SessionDescription::parse(description)))),
    );
    let address = std::net::IpAddr::from([192, 0, 2, 10]);
    judge(
        "sdp, answered",
        worst.iter().map(|(what, description)| {
            let answer = || {
                let local = LocalMedia::new(address, 20_000, Codec::ALL.to_vec());
                Negotiation::new(local, 7).answer(description)
            };
            (*what, fastest(answer))
        }),
    );
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
