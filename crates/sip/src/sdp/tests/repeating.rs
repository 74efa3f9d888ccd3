//! Packets that repeat those before them (RFC 2198), and telephone-events beside Opus.

use super::super::{Codec, LocalMedia, Negotiation};
use super::{local, theirs};

fn repeating(codecs: Vec<Codec>) -> LocalMedia {
    LocalMedia {
        codecs,
        redundancy: true,
        ..local()
    }
}

fn answered(local: LocalMedia, lines: &str) -> (Negotiation, String) {
    let mut leg = Negotiation::new(local, 1);
    let answer = leg.answer(&theirs(lines)).unwrap();
    (leg, String::from_utf8(answer.to_vec()).unwrap())
}

// covers: RFC 2198 §5
#[test]
fn redundancy_is_taken_where_it_is_offered_and_configured() {
    let offers = [
        ("8 121|a=rtpmap:121 red/8000|a=fmtp:121 8/8", Some(121)),
        ("8 100|a=rtpmap:100 RED/8000/1|a=fmtp:100 8/8/8", Some(100)),
        // Of another codec, on another clock, of nothing at all.
        ("8 0 121|a=rtpmap:121 red/8000|a=fmtp:121 0/0", None),
        ("8 121|a=rtpmap:121 red/48000/2|a=fmtp:121 8/8", None),
        ("8 121|a=rtpmap:121 red/8000", None),
        ("8", None),
    ];
    for (formats, want) in offers {
        let lines = format!("m=audio 4000 RTP/AVP {formats}");
        let (leg, answer) = answered(repeating(vec![Codec::Pcma]), &lines);
        assert_eq!(leg.agreed().unwrap().redundant, want, "{formats}");
        let line =
            want.map(|number| format!("a=rtpmap:{number} red/8000\r\na=fmtp:{number} 8/8\r\n"));
        assert_eq!(answer.contains("red/"), want.is_some(), "{answer}");
        assert!(answer.contains(&line.unwrap_or_default()), "{answer}");
        let (leg, answer) = answered(local(), &lines);
        assert_eq!(leg.agreed().unwrap().redundant, None, "{formats}");
        assert!(!answer.contains("red/"), "{answer}");
    }
}

// covers: RFC 2198 §5
#[test]
fn our_offer_has_redundancy_on_each_clock_and_a_re_offer_keeps_its_number() {
    let mut leg = Negotiation::new(repeating(vec![Codec::Pcma, Codec::Pcmu, Codec::Opus]), 1);
    let offer = String::from_utf8(leg.offer().unwrap().to_vec()).unwrap();
    for line in [
        "a=rtpmap:121 red/8000\r\na=fmtp:121 8/8\r\n",
        "a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n",
    ] {
        assert!(offer.contains(line), "{offer}");
    }
    let answer = "m=audio 4000 RTP/AVP 111 63|a=rtpmap:111 opus/48000/2|a=rtpmap:63 red/48000/2|a=fmtp:63 111/111";
    leg.take_answer(&theirs(answer)).unwrap();
    assert_eq!(leg.agreed().unwrap().redundant, Some(63));
    let again = String::from_utf8(leg.offer().unwrap().to_vec()).unwrap();
    assert!(again.contains("a=fmtp:63 111/111\r\n"), "{again}");
}

// covers: RFC 4733 §2.4.1, RFC 7587 §7
#[test]
fn beside_opus_events_are_taken_on_either_clock_and_on_its_own_first() {
    let opus = "m=audio 4000 RTP/AVP 111 101 110|a=rtpmap:111 opus/48000/2";
    let narrow = "|a=rtpmap:101 telephone-event/8000";
    let own = "|a=rtpmap:110 telephone-event/48000";
    for (lines, number, clock) in [
        (format!("{opus}{narrow}"), 101, 8_000),
        (format!("{opus}{own}"), 110, 48_000),
        (format!("{opus}{narrow}{own}"), 110, 48_000),
    ] {
        let only_opus = LocalMedia {
            codecs: vec![Codec::Opus],
            ..local()
        };
        let (leg, answer) = answered(only_opus, &lines);
        let agreed = leg.agreed().unwrap();
        assert_eq!(
            (agreed.dtmf_payload_type, agreed.dtmf_clock_rate_hz),
            (Some(number), clock)
        );
        let line = format!("a=rtpmap:{number} telephone-event/{clock}\r\n");
        assert!(answer.contains(&line), "{answer}");
    }
}

// covers: RFC 4867 §8.3.1
#[test]
fn a_mode_set_is_answered_as_it_was_offered_and_chosen_only_where_none_was() {
    let wide = |modes: &str| {
        theirs(&format!(
            "m=audio 4000 RTP/AVP 96|a=rtpmap:96 AMR-WB/16000{modes}"
        ))
    };
    let held = "|a=fmtp:96 mode-set=0,1,2";
    let modes = Negotiation::modes_of(&wide(held));
    assert_eq!(modes.map(|it| it.to_string()).as_deref(), Some("0,1,2"));
    assert_eq!(
        Negotiation::modes_of(&wide("|a=fmtp:96 mode-set=0,9")),
        None
    );
    let relaying = |modes| LocalMedia {
        codecs: vec![Codec::AmrWb],
        modes,
        ..local()
    };
    for (ours, offer, answer) in [
        (None, "", Some(false)),
        (None, held, Some(true)),
        (modes, "", Some(true)),
        (
            modes,
            "|a=fmtp:96 mode-set=2,1,0; mode-change-period=2",
            Some(true),
        ),
        (modes, "|a=fmtp:96 mode-set=0,1", None),
    ] {
        let mut leg = Negotiation::new(relaying(ours), 1);
        let said = leg.answer(&wide(offer)).ok();
        let said =
            said.map(|it| String::from_utf8_lossy(&it).contains("a=fmtp:96 mode-set=0,1,2\r\n"));
        assert_eq!(said, answer, "{offer}");
    }
    for (answer, taken) in [("", true), (held, true), ("|a=fmtp:96 mode-set=2", false)] {
        let mut leg = Negotiation::new(relaying(modes), 1);
        let offer = leg.offer().unwrap();
        assert!(String::from_utf8_lossy(&offer).contains("a=fmtp:96 mode-set=0,1,2\r\n"));
        assert_eq!(leg.take_answer(&wide(answer)).is_ok(), taken, "{answer}");
        assert!(!taken || leg.agreed().unwrap().modes == modes);
    }
    // Whoever was offered all of them may choose, for both.
    let mut leg = Negotiation::new(relaying(None), 1);
    leg.offer().unwrap();
    leg.take_answer(&wide(held)).unwrap();
    assert_eq!(leg.agreed().unwrap().modes, modes);
}

// covers: RFC 4867 §8.3.1, RFC 3551 §4.5.6
#[test]
fn what_is_only_relayed_is_agreed_on_in_one_framing_and_without_silence_suppression() {
    let both = LocalMedia {
        codecs: vec![Codec::G729, Codec::AmrWb],
        ..local()
    };
    let wide = "m=audio 4000 RTP/AVP 96|a=rtpmap:96 AMR-WB/16000";
    for (lines, want) in [
        (wide.to_owned(), true),
        (format!("{wide}|a=fmtp:96 mode-set=0,1,2"), true),
        (format!("{wide}|a=fmtp:96 octet-align=0"), true),
        (format!("{wide}|a=fmtp:96 mode-set=2;octet-align=1"), false),
        (format!("{wide}|a=fmtp:96 crc=1"), false),
    ] {
        let mut leg = Negotiation::new(both.clone(), 1);
        assert_eq!(leg.answer(&theirs(&lines)).is_ok(), want, "{lines}");
    }
    let (leg, answer) = answered(both, "m=audio 4000 RTP/AVP 18");
    assert_eq!(leg.agreed().unwrap().codec, Codec::G729);
    assert!(answer.contains("a=fmtp:18 annexb=no\r\n"), "{answer}");
    // Nobody has it who does not name it.
    assert!(
        Negotiation::new(local(), 1)
            .answer(&theirs("m=audio 4000 RTP/AVP 18"))
            .is_err()
    );
}
