//! Stories from what a shard would tell, and what their bounds do.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use clock::Now;
use media::capture::RawPacket;
use media::worker::Lane;
use sip::transport::{Flow, ListenerId, Transport};

use voice::activity::Spurt;

use super::*;
use crate::call::{CallId, Cause, LegId, Party};
use crate::config::Section;
use crate::control::{Event, Note, Noted, PortFacts, RequestFacts, What};

const CALL: CallId = CallId(7);

fn at(ms: u64) -> Now {
    Now::from_nanos(ms * 1_000_000)
}

fn remote() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 2], 5_060))
}

fn local() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 5_060))
}

fn flow(transport: Transport) -> Flow {
    Flow {
        transport,
        listener: ListenerId(0),
        remote: remote(),
        connection: None,
        peer: None,
    }
}

fn config(text: &str) -> TraceConfig {
    TraceConfig::read(Section::from_toml(text.parse().unwrap())).unwrap()
}

fn journal(text: &str) -> Journal {
    Journal::new(config(text), HashMap::from([(ListenerId(0), local())]))
}

fn message(start: &str, id: &str) -> Vec<u8> {
    format!(
        "{start}\r\nCall-ID: {id}\r\nCSeq: 1 INVITE\r\n\
         Authorization: Digest username=\"a\", response=\"5ecret\"\r\n\r\n"
    )
    .into_bytes()
}

impl Journal {
    fn hears(&mut self, ms: u64, sent: bool, start: &str, id: &str) {
        let flow = flow(Transport::Udp);
        self.message(at(ms), sent, flow, &message(start, id))
            .unwrap();
    }

    fn ties(&mut self, ms: u64, call: CallId, leg: u32, id: &str) {
        let what = Noted::Leg {
            sip_call_id: id.to_owned(),
            who: format!("party{leg}"),
            remote: remote(),
        };
        self.note(Note {
            at: at(ms),
            call,
            leg: LegId(leg),
            what,
        });
    }

    fn ends(&mut self, ms: u64, call: CallId) {
        let what = What::HungUp {
            cause: Cause::Normal,
        };
        self.event(&Event {
            at: at(ms),
            call: Some(call),
            what,
        });
    }
}

fn lines(story: &Story) -> Vec<String> {
    let line = |entry: &Entry| match &entry.what {
        Told::Message(message) => summary::Summary::of(&message.bytes).line,
        Told::Step(text) | Told::Media(text) => text.clone(),
    };
    story.entries.iter().map(line).collect()
}

#[test]
fn both_legs_of_a_call_are_one_story_and_its_first_message_came_before_the_call_had_a_name() {
    let mut journal = journal("");
    journal.hears(0, false, "INVITE sip:100@h SIP/2.0", "one");
    let initiated = What::Initiated {
        from: "a".to_owned(),
        to: "100".to_owned(),
    };
    journal.event(&Event {
        at: at(0),
        call: Some(CALL),
        what: initiated,
    });
    journal.ties(0, CALL, 0, "one");
    journal.hears(2, true, "SIP/2.0 100 Trying", "one");
    journal.ties(3, CALL, 1, "two");
    journal.hears(4, true, "INVITE sip:b@h SIP/2.0", "two");
    journal.ends(9, CALL);
    // What comes after the end is still the call's.
    journal.hears(10, false, "SIP/2.0 200 OK", "two");
    for name in ["one", "two", "last", "c0000000000000007"] {
        let story = journal.find(name).unwrap();
        let expected = [
            "INVITE sip:100@h",
            "call from a to 100",
            "100 Trying (INVITE)",
            "INVITE sip:b@h",
            "ended: normal",
            "200 OK (INVITE)",
        ];
        assert_eq!(lines(story), expected, "{name}");
        let legs: Vec<_> = story
            .entries
            .iter()
            .map(|it| it.leg.map(|it| it.0))
            .collect();
        assert_eq!(legs, [Some(0), None, Some(0), Some(1), None, Some(1)]);
        assert_eq!((story.begun, story.ended), (at(0), Some(at(9))));
    }
    assert_eq!(journal.correlation("two"), CALL.to_string());
    assert_eq!(journal.correlation("three"), "three");
    assert_eq!(journal.counts().stories, 1);
}

#[test]
fn spurts_of_talk_are_told_with_their_positions() {
    let mut journal = journal("");
    journal.hears(0, false, "INVITE sip:100@h SIP/2.0", "one");
    journal.ties(0, CALL, 0, "one");
    let (began, ended) = (16_000, 24_160);
    let from = began - 3_200;
    for (party, spurt) in [
        (Party::Caller, Spurt::Began { at: began, from }),
        (Party::Caller, Spurt::Ended { began, at: ended }),
        (
            Party::Callee,
            Spurt::Began {
                at: 24_000,
                from: 0,
            },
        ),
    ] {
        let what = What::Talk { party, spurt };
        let (at, call) = (at(3), Some(CALL));
        journal.event(&Event { at, call, what });
    }
    let told = lines(journal.find("one").unwrap());
    let expected = [
        "INVITE sip:100@h",
        "caller talks since sample 16000 (1000 ms)",
        "caller talked from sample 16000 to 24160 (510 ms)",
        "callee talks since sample 24000 (1500 ms)",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_refused_request_is_a_story_with_its_reason_and_is_the_last_one() {
    let mut journal = journal("");
    journal.hears(0, false, "INVITE sip:100@h SIP/2.0", "no");
    let facts = RequestFacts {
        method: "INVITE".to_owned(),
        source: remote(),
        transport: Transport::Udp,
        sip_call_id: "no".to_owned(),
        from: "a".to_owned(),
        to: "100".to_owned(),
    };
    let why = crate::explain::Explanation {
        id: "no-trunk",
        expected: "a trunk with this source".to_owned(),
        found: "none".to_owned(),
        fix: "add it".to_owned(),
    };
    let what = What::Refused {
        status: 403,
        why,
        request: Some(Box::new(facts)),
    };
    journal.event(&Event {
        at: at(1),
        call: None,
        what,
    });
    journal.hears(2, false, "OPTIONS sip:h SIP/2.0", "ping");
    let story = journal.find("last").unwrap();
    assert_eq!(story.name(), "no");
    assert_eq!(
        lines(story),
        [
            "INVITE sip:100@h",
            "refused (403): no-trunk: want a trunk with this source, have none; add it"
        ]
    );
}

#[test]
fn secrets_are_masked_before_they_are_kept_and_with_redaction_off_they_are_not() {
    for (text, shown) in [("", false), ("redact = false", true)] {
        let mut journal = journal(text);
        let bytes = message("INVITE sip:100@h SIP/2.0", "one");
        let kept = journal.message(at(0), false, flow(Transport::Udp), &bytes);
        assert_eq!(kept.as_ref().unwrap().bytes.len(), bytes.len());
        let homer = HepConfig {
            to: remote(),
            capture_id: 1,
            password: None,
            rtcp: true,
        };
        let story = journal.find("one").unwrap();
        let views = [
            format!("{story:?}"),
            String::from_utf8_lossy(&pcapng::file(story, 0)).into_owned(),
            String::from_utf8_lossy(&hep::sip(&homer, 0, &kept.unwrap(), "one")).into_owned(),
        ];
        for view in views {
            assert_eq!(view.contains("5ecret"), shown, "{view}");
        }
    }
}

#[test]
fn a_long_call_keeps_its_beginning_and_its_latest() {
    let mut journal = journal("entries_per_call = 16");
    journal.ties(0, CALL, 0, "one");
    for n in 0..100 {
        journal.hears(n, false, &format!("INFO sip:{n} SIP/2.0"), "one");
    }
    let story = journal.find("one").unwrap();
    let kept = lines(story);
    assert_eq!(kept.len(), 16);
    assert_eq!(kept.first().map(String::as_str), Some("INFO sip:0"));
    assert_eq!(kept.last().map(String::as_str), Some("INFO sip:99"));
    assert_eq!(story.left_out, 84);
}

#[test]
fn the_tables_of_a_crowd_give_their_room_back() {
    let mut journal = journal("bytes = 33554432");
    for n in 0..4_000 {
        journal.ties(n, CallId(n), 0, &format!("call{n}"));
    }
    let room = journal.room();
    assert!(room > 8_000);
    for n in 0..4_000 {
        journal.ends(4_001, CallId(n));
    }
    journal.expire(at(4_001) + Duration::from_secs(601));
    assert_eq!((journal.counts().stories, journal.counts().bytes), (0, 0));
    assert!(journal.room() < 2_000, "{}", journal.room());
}

#[test]
fn memory_is_bounded_whatever_comes_and_the_calls_that_ended_first_go_first() {
    let mut journal = journal("bytes = 1048576");
    let text = "x".repeat(20_000);
    for n in 0..200 {
        let call = CallId(n);
        journal.ties(n, call, 0, &format!("call{n}"));
        journal.hears(
            n,
            false,
            &format!("INVITE sip:{text} SIP/2.0"),
            &format!("call{n}"),
        );
        journal.hears(
            n,
            false,
            &format!("OPTIONS sip:{text} SIP/2.0"),
            &format!("ping{n}"),
        );
        if n != 3 {
            journal.ends(n, call);
        }
    }
    let counts = journal.counts();
    assert!(counts.bytes < 1_100_000, "{counts:?}");
    assert!(counts.forgotten > 300, "{counts:?}");
    assert!(
        journal.find("call3").is_some(),
        "a live call is not forgotten"
    );
    assert!(journal.find("call199").is_some());
    assert!(journal.find("call0").is_none());
    // Live calls alone: what comes is left out and counted.
    for n in 300..500 {
        let id = format!("call{n}");
        journal.ties(n, CallId(n), 0, &id);
        journal.hears(n, false, &format!("INVITE sip:{text} SIP/2.0"), &id);
    }
    let counts = journal.counts();
    assert!(counts.bytes < 1_100_000, "{counts:?}");
    assert!(counts.left_out > 100, "{counts:?}");
    // All is given back.
    for n in 0..500 {
        journal.ends(600, CallId(n));
    }
    journal.expire(at(600) + Duration::from_secs(601));
    let counts = journal.counts();
    assert_eq!((counts.stories, counts.bytes), (0, 0));
    assert!(journal.by_sip_len() == 0);
}

#[test]
fn packets_are_kept_up_to_their_bound_and_keys_in_them_are_masked_where_asked() {
    let mut journal = journal("redact_digits = true\nrtp_bytes_per_call = 65536");
    journal.ties(0, CALL, 0, "one");
    let facts = PortFacts {
        local: Some(SocketAddr::from(([0, 0, 0, 0], 20_000))),
        remote: Some(remote()),
        codec: "PCMA",
        dtmf_payload_type: Some(101),
        ways: [true, true],
    };
    journal.note(Note {
        at: at(0),
        call: CALL,
        leg: LegId(0),
        what: Noted::Opened(facts),
    });
    for n in 0..1_000 {
        let mut bytes = [0x80; 172];
        bytes[1] = if n % 2 == 0 { 101 } else { 8 };
        bytes[12] = 5;
        let packet = RawPacket::copy(at(n), n % 2 == 0, Lane::Rtp, remote(), &bytes);
        journal.packet(CALL, LegId(0), &packet);
    }
    let story = journal.find("one").unwrap();
    assert!(journal.counts().packet_bytes <= 65_536);
    assert_eq!(story.packets.len() as u64 + story.packets_left_out, 1_000);
    let last = story.packets.back().unwrap();
    assert_eq!((last.at, last.bytes[12]), (at(999), 5));
    let key = &story.packets[story.packets.len() - 2];
    assert_eq!((key.bytes[1], key.bytes[12]), (101, 255));
    // Every address is ours, and the peer is on this machine.
    assert_eq!(last.local, SocketAddr::from(([127, 0, 0, 2], 20_000)));
}

#[test]
fn a_hostile_call_id_cannot_take_a_live_calls_story() {
    let mut journal = journal("");
    journal.ties(0, CALL, 0, "one");
    journal.hears(1, false, "INVITE sip:100@h SIP/2.0", "one");
    journal.ties(2, CallId(8), 0, "one");
    assert_eq!(lines(journal.find(&CALL.to_string()).unwrap()).len(), 1);
    journal.ends(3, CallId(8));
    journal.ends(3, CALL);
    journal.expire(at(3) + Duration::from_secs(601));
    assert_eq!(journal.counts().stories, 0);
}

#[test]
fn a_call_whose_end_was_never_told_does_not_stay_for_ever() {
    let mut journal = journal("");
    journal.ties(0, CALL, 0, "one");
    journal.hears(1, false, "INVITE sip:100@h SIP/2.0", "one");
    let hours = |n: u64| at(1) + Duration::from_secs(n * 3_600);
    journal.expire(hours(5));
    assert!(
        journal
            .find("one")
            .is_some_and(|story| story.ended.is_none())
    );
    journal.expire(hours(6));
    assert!(
        journal
            .find("one")
            .is_some_and(|story| story.ended.is_some())
    );
    journal.expire(hours(7));
    assert_eq!(journal.counts().stories, 0);
}

/// The blocks of a pcapng: kind and body.
fn blocks(mut file: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let mut blocks = Vec::new();
    while !file.is_empty() {
        let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        let len = word(4) as usize;
        assert_eq!((len % 4, word(len - 4) as usize), (0, len));
        blocks.push((word(0), file[8..len - 4].to_vec()));
        file = &file[len..];
    }
    blocks
}

/// A checksum over bytes that hold their own is zero.
fn sums_up(bytes: &[u8]) -> bool {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
    }
    (sum & 0xFFFF) + (sum >> 16) == 0xFFFF
}

#[test]
fn a_capture_has_right_headers_checksums_and_nanoseconds_and_joins_tcp() {
    let mut journal = journal("");
    journal.ties(0, CALL, 0, "one");
    for (n, transport) in [
        Transport::Udp,
        Transport::Tcp,
        Transport::Tcp,
        Transport::Tls,
    ]
    .into_iter()
    .enumerate()
    {
        let bytes = message("OPTIONS sip:odd SIP/2.0", "one");
        let now = Now::from_nanos(1_234_567_891 + n as u64);
        journal.message(now, n % 2 == 0, flow(transport), &bytes);
    }
    let file = pcapng::file(journal.find("one").unwrap(), 1_795_000_000_000_000_000);
    let blocks = blocks(&file);
    let kinds: Vec<u32> = blocks.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [0x0A0D_0D0A, 1, 6, 6, 6, 6]);
    let mut sequences = Vec::new();
    for (n, (_, body)) in blocks[2..].iter().enumerate() {
        let word = |at: usize| u32::from_le_bytes(body[at..at + 4].try_into().unwrap());
        let nanos = (u64::from(word(4)) << 32) | u64::from(word(8));
        assert_eq!(nanos, 1_795_000_001_234_567_891 + n as u64);
        let ip = &body[20..20 + word(12) as usize];
        assert_eq!(word(12), word(16));
        assert!(sums_up(&ip[..20]));
        let (protocol, inner) = (ip[9], &ip[20..]);
        assert_eq!(usize::from(u16::from_be_bytes([ip[2], ip[3]])), ip.len());
        let mut pseudo = ip[12..20].to_vec();
        pseudo.extend([0, protocol]);
        pseudo.extend((inner.len() as u16).to_be_bytes());
        pseudo.extend(inner);
        assert!(sums_up(&pseudo), "{n}");
        if protocol == 6 {
            let be = |at: usize| u32::from_be_bytes(inner[at..at + 4].try_into().unwrap());
            sequences.push((be(4), be(8), inner.len() as u32 - 20));
        }
        let text = String::from_utf8_lossy(body);
        assert!(text.contains("c0000000000000007, leg 0"));
        assert_eq!(text.contains("decrypted TLS"), n == 3);
    }
    let [(1, 1, len), (1, acknowledged, _)] = sequences[..] else {
        panic!("{sequences:?}");
    };
    assert_eq!(acknowledged, 1 + len);
}

#[test]
fn a_hep_datagram_carries_both_ends_the_time_the_secret_word_and_the_correlation() {
    let mut journal = journal("");
    let bytes = message("OPTIONS sip:h SIP/2.0", "one");
    let kept = journal.message(at(1_500), true, flow(Transport::Udp), &bytes);
    let homer = HepConfig {
        to: remote(),
        capture_id: 77,
        password: Some(crate::config::Secret::new("homer".to_owned())),
        rtcp: true,
    };
    let sent = hep::sip(&homer, 10_000_000_000, &kept.unwrap(), "c7");
    assert_eq!(&sent[..4], b"HEP3");
    assert_eq!(
        usize::from(u16::from_be_bytes([sent[4], sent[5]])),
        sent.len()
    );
    let mut chunks = HashMap::new();
    let mut rest = &sent[6..];
    while !rest.is_empty() {
        let len = usize::from(u16::from_be_bytes([rest[4], rest[5]]));
        chunks.insert(
            u16::from_be_bytes([rest[2], rest[3]]),
            rest[6..len].to_vec(),
        );
        rest = &rest[len..];
    }
    let is = |kind: u16, value: &[u8]| assert_eq!(chunks[&kind], value, "{kind:#x}");
    is(1, &[2]);
    is(2, &[17]);
    is(3, &[127, 0, 0, 1]);
    is(4, &[127, 0, 0, 2]);
    is(7, &5_060_u16.to_be_bytes());
    is(9, &11_u32.to_be_bytes());
    is(10, &500_000_u32.to_be_bytes());
    is(11, &[1]);
    is(12, &77_u32.to_be_bytes());
    is(14, b"homer");
    is(17, b"c7");
    assert!(chunks[&15].starts_with(b"OPTIONS sip:h"));
}

#[test]
fn a_report_of_sound_becomes_json_and_junk_becomes_nothing() {
    let mut bytes = vec![0x81, 201, 0, 7];
    bytes.extend(9_u32.to_be_bytes());
    bytes.extend([
        0, 0, 0, 5, 64, 0, 0, 3, 0, 0, 1, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0,
    ]);
    let mut packet = Packet {
        at: at(1),
        leg: LegId(0),
        sent: false,
        rtcp: true,
        local: local(),
        remote: remote(),
        len: 32,
        bytes: bytes.into(),
    };
    let homer = HepConfig {
        to: remote(),
        capture_id: 77,
        password: None,
        rtcp: true,
    };
    let sent = hep::report(&homer, 0, &packet, "c7").unwrap();
    let text = String::from_utf8_lossy(&sent);
    let json = &text[text.find("{\"ssrc\"").unwrap()..];
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(json["ssrc"], 9);
    assert_eq!(json["report_blocks"][0]["packets_lost"], 3);
    assert_eq!(json["report_blocks"][0]["ia_jitter"], 12);
    packet.bytes = [0; 5].into();
    assert!(hep::report(&homer, 0, &packet, "c7").is_none());
}

#[test]
fn a_call_whose_keys_are_masked_is_told_without_them_and_another_beside_it_whole() {
    let mut journal = journal("");
    let facts = PortFacts {
        local: Some(SocketAddr::from(([127, 0, 0, 2], 20_000))),
        remote: Some(remote()),
        codec: "PCMA",
        dtmf_payload_type: Some(101),
        ways: [true, true],
    };
    let mut kept = Vec::new();
    for (call, id, masks) in [(CALL, "one", true), (CallId(8), "two", false)] {
        journal.ties(0, call, 0, id);
        for what in [Noted::Opened(facts), Noted::Masks(masks)] {
            let (at, leg) = (at(0), LegId(0));
            journal.note(Note {
                at,
                call,
                leg,
                what,
            });
        }
        let info = format!(
            "INFO sip:a@b SIP/2.0\r\nCall-ID: {id}\r\nContent-Type: application/dtmf-relay\r\n\r\n\
             Signal=7\r\n"
        );
        let told = journal.message(at(1), false, flow(Transport::Udp), info.as_bytes());
        let told = String::from_utf8(told.unwrap().bytes.to_vec()).unwrap();
        let mut lengths = Vec::new();
        for payload_type in [8, 101] {
            let mut bytes = [0x80; 172];
            (bytes[1], bytes[12]) = (payload_type, 7);
            let packet = RawPacket::copy(at(2), false, Lane::Rtp, remote(), &bytes);
            journal.packet(call, LegId(0), &packet);
            let story = journal.find(id).unwrap();
            let packet = story.packets.back().unwrap();
            lengths.push((packet.bytes.len(), packet.bytes.get(12).copied()));
        }
        kept.push((told.contains("Signal=7"), lengths));
    }
    let masked = (false, vec![(12, None), (172, Some(255))]);
    let whole = (true, vec![(172, Some(7)), (172, Some(7))]);
    assert_eq!(kept, [masked, whole]);
}
