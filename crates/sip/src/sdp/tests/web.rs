//! Browsers: their offers as JsSIP and SIP.js send them from Chromium, ours to them, and what is refused.

use super::super::{
    Codec, CodecOrder, Direction, KeySeed, LocalMedia, Negotiation, OfferError, WebFault, WebLocal,
};
use super::{leg as plain, line, local, media_lines, theirs, version};

/// What Chromium 156 offers, sent by JsSIP 3.13 and by SIP.js 0.21 (their candidates, which nobody here
/// reads, are cut).
const JSSIP: &str = include_str!("../../../../../tests/data/sip/offer_jssip.sdp");
const SIPJS: &str = include_str!("../../../../../tests/data/sip/offer_sipjs.sdp");

const JSSIP_PRINT: &str = "sha-256 52:B9:82:B5:1A:39:3B:21:AA:53:22:65:ED:4B:C1:73:09:16:59:3A:29:59:97:\
     E8:23:FC:4C:5F:79:7A:BE:A3";

const OUR_PASSWORD: &str = "our+password+of/24+chars";

fn web() -> WebLocal {
    WebLocal {
        ufrag: "ourname".to_owned(),
        password: OUR_PASSWORD.to_owned(),
        fingerprint: "sha-256 AB:CD".to_owned(),
        candidates: vec![
            "203.0.113.7:8443".parse().unwrap(),
            "[2001:db8::7]:8443".parse().unwrap(),
        ],
        seed: KeySeed::new([7; 32]),
    }
}

fn leg() -> Negotiation {
    with(|_| ())
}

fn with(change: impl FnOnce(&mut LocalMedia)) -> Negotiation {
    let mut local = LocalMedia {
        web: Some(web()),
        ..local()
    };
    change(&mut local);
    Negotiation::new(local, 0x1234_5678)
}

/// An answer as Chromium writes it, by a name of the peer's.
fn chromium_answer(ufrag: &str) -> String {
    format!(
        "v=0|o=- 777 2 IN IP4 127.0.0.1|s=-|t=0 0|a=group:BUNDLE 0|a=msid-semantic: WMS x|\
         m=audio 9 UDP/TLS/RTP/SAVPF 8 0 13 101|c=IN IP4 0.0.0.0|a=rtcp:9 IN IP4 0.0.0.0|\
         a=ice-ufrag:{ufrag}|a=ice-pwd:sRTIWMNj6mA5dkT8lVHiTaLO|a=ice-options:trickle|\
         a=fingerprint:{JSSIP_PRINT}|a=setup:active|a=mid:0|a=sendrecv|a=rtcp-mux|\
         a=rtpmap:8 PCMA/8000|a=rtpmap:0 PCMU/8000|a=rtpmap:13 CN/8000|\
         a=rtpmap:101 telephone-event/8000|"
    )
    .replace('|', "\r\n")
}

fn answered(leg: &mut Negotiation, offer: &str) -> String {
    String::from_utf8(leg.answer(offer.as_bytes()).unwrap().to_vec()).unwrap()
}

// covers: RFC 8829 §5.3.1, RFC 8839 §4.2.1, RFC 8839 §5.1, RFC 8842 §5.3, RFC 8843 §7.3.1, RFC 5761 §5.1.1
#[test]
fn a_browser_s_offer_is_answered_by_who_waits_to_be_checked_and_called() {
    for (offer, ufrag) in [(JSSIP, "hbgn"), (SIPJS, "4fMD")] {
        let mut leg = leg();
        let answer = answered(&mut leg, offer);
        let wanted = "v=0|o=- 76354974 1 IN IP4 203.0.113.7|s=-|c=IN IP4 203.0.113.7|t=0 0|\
            a=group:BUNDLE 0|a=ice-lite|a=ice-options:ice2|\
            m=audio 8443 UDP/TLS/RTP/SAVPF 8 13 126|a=rtpmap:8 PCMA/8000|a=rtpmap:13 CN/8000|\
            a=rtpmap:126 telephone-event/8000|a=fmtp:126 0-15|a=ptime:20|a=maxptime:60|\
            a=ice-ufrag:ourname|a=ice-pwd:our+password+of/24+chars|a=fingerprint:sha-256 AB:CD|\
            a=setup:passive|a=candidate:1 1 udp 2130706431 203.0.113.7 8443 typ host|\
            a=candidate:2 1 udp 2130706175 2001:db8::7 8443 typ host|a=end-of-candidates|\
            a=rtcp-mux|a=sendrecv|a=mid:0|";
        let wanted = wanted.replace('|', "\r\n");
        assert_eq!(answer, wanted);
        let agreed = leg.agreed().unwrap();
        let remote = agreed.web.as_ref().unwrap();
        assert_eq!(remote.ufrag, ufrag);
        assert!(remote.fingerprint.starts_with("sha-256 5"));
        assert!(agreed.rtcp_mux && agreed.keys.is_none());
        assert_eq!(
            (agreed.codec, agreed.dtmf_payload_type),
            (Codec::Pcma, Some(126))
        );
    }
}

#[test]
fn no_password_is_ever_printed_for_a_log() {
    let mut leg = leg();
    leg.answer(JSSIP.as_bytes()).unwrap();
    let shown = format!("{leg:?}");
    assert!(shown.contains("ourname") && shown.contains("hbgn"));
    assert!(!shown.contains(OUR_PASSWORD) && !shown.contains("sRTIWMNj6mA5dkT8lVHiTaLO"));
}

/// What a leg of WebRTC says of an offer; `taken` if it takes it.
fn refusal(offer: &str) -> String {
    match leg().answer(offer.as_bytes()) {
        Ok(_) => "taken".to_owned(),
        Err(error) => format!("{} {}: {error}", error.status(), error.warn_code()),
    }
}

// covers: RFC 8122 §5, RFC 8842 §5.2, RFC 8839 §5.4, RFC 8445 §6.1.1, RFC 8827 §6.5
#[test]
fn what_would_protect_less_or_never_connect_is_refused_and_says_why() {
    let print = format!("a=fingerprint:{JSSIP_PRINT}\r\n");
    let sha1 =
        "a=fingerprint:sha-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB\r\n";
    let both = format!("{sha1}{print}");
    let profile = "UDP/TLS/RTP/SAVPF";
    let setup = "a=setup:actpass";
    let waits = "488 399: want a peer that begins the handshake (a=setup:active), have";
    let names = "488 399: want a=ice-ufrag and a=ice-pwd, have none to be used";
    let hashes = "488 399: want a=fingerprint of sha-256, sha-384 or sha-512, have";
    let over = "488 302: want audio over UDP/TLS/RTP/SAVPF, have";
    let password = "a=ice-pwd:sRTIWMNj6mA5dkT8lVHiTaLO\r\n";
    let short = "a=ice-pwd:sRTIWMNj6mA5dkT8lVHiT\r\n";
    let rows: [(&str, &str, String); 21] = [
        (setup, "a=setup:active", "taken".into()),
        ("a=setup:actpass\r\n", "", "taken".into()),
        (setup, "a=setup:passive", format!("{waits} passive")),
        (setup, "a=setup:holdconn", format!("{waits} holdconn")),
        (&print, "", "488 399: want a=fingerprint, have none".into()),
        (&print, sha1, format!("{hashes} sha-1")),
        (&print, &both, "taken".into()),
        (
            ":A3\r\n",
            "\r\n",
            format!("{hashes} sha-256 with other digits than it has"),
        ),
        (
            ":A3\r\n",
            ":G3\r\n",
            format!("{hashes} sha-256 with other digits than it has"),
        ),
        ("a=ice-ufrag:hbgn\r\n", "", names.into()),
        ("a=ice-ufrag:hbgn", "a=ice-ufrag:hbg", names.into()),
        ("a=ice-ufrag:hbgn", "a=ice-ufrag:hb gn", names.into()),
        (password, "", names.into()),
        (password, short, names.into()),
        (
            "a=rtcp-mux\r\n",
            "",
            "488 399: want a=rtcp-mux, have none".into(),
        ),
        (
            "a=group:BUNDLE 0\r\n",
            "a=ice-lite\r\n",
            "488 399: want a peer that checks, have a=ice-lite like ours".into(),
        ),
        (profile, "RTP/AVP", format!("{over} RTP/AVP")),
        (
            profile,
            "TCP/TLS/RTP/SAVPF",
            format!("{over} TCP/TLS/RTP/SAVPF"),
        ),
        (profile, "UDP/TLS/RTP/SAVP", "taken".into()),
        // The older name, where a fingerprint stands and no key.
        (profile, "RTP/SAVPF", "taken".into()),
        (
            "a=rtcp-mux\r\n",
            "a=rtcp-mux\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 \
             inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n",
            "taken".into(),
        ),
    ];
    for (from, to, want) in rows {
        assert!(JSSIP.contains(from), "{from}");
        assert_eq!(refusal(&JSSIP.replace(from, to)), want, "{from} -> {to}");
    }
    let keyed = "m=audio 4000 RTP/SAVPF 8|a=crypto:1 AES_CM_128_HMAC_SHA1_80 \
                 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";
    let keyed = String::from_utf8(theirs(keyed)).unwrap();
    assert_eq!(refusal(&keyed), format!("{over} RTP/SAVPF"));
}

#[test]
fn what_the_session_says_holds_for_its_section() {
    // As Firefox writes it.
    let print = format!("a=fingerprint:{JSSIP_PRINT}\r\n");
    let moved = JSSIP.replace(&print, "");
    let moved = moved.replace(
        "a=group:BUNDLE 0\r\n",
        &format!("a=group:BUNDLE 0\r\n{print}"),
    );
    assert_eq!(refusal(&moved), "taken");
}

#[test]
fn a_plain_leg_answers_no_browser_and_an_offer_says_which_leg_it_wants() {
    let refused = plain().answer(JSSIP.as_bytes()).unwrap_err();
    assert_eq!(refused, OfferError::Profile("UDP/TLS/RTP/SAVPF".to_owned()));
    assert!(Negotiation::wants_web(JSSIP.as_bytes()));
    assert!(Negotiation::wants_web(
        JSSIP.replace("UDP/TLS/RTP/SAVPF", "RTP/SAVPF").as_bytes()
    ));
    assert!(!Negotiation::wants_web(&theirs("m=audio 4000 RTP/AVP 8")));
    assert!(!Negotiation::wants_web(&theirs(
        "m=audio 4000 RTP/AVP 8|a=fingerprint:sha-256 00"
    )));
    assert!(!Negotiation::wants_web(b"UDP/TLS/"));
}

// covers: RFC 8843 §7.3.3, RFC 8829 §5.3.1
#[test]
fn video_is_rejected_in_its_place_and_out_of_the_group() {
    let video = JSSIP.replace("BUNDLE 0", "BUNDLE 0 v1")
        + "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=mid:v1\r\na=rtcp-mux\r\n\
           a=rtpmap:96 VP8/90000\r\n";
    let mut leg = leg();
    let answer = answered(&mut leg, &video);
    let lines = media_lines(answer.as_bytes());
    let wanted = [
        "m=audio 8443 UDP/TLS/RTP/SAVPF 8 13 126",
        "m=video 0 UDP/TLS/RTP/SAVPF 96 97",
    ];
    assert_eq!(lines, wanted);
    assert_eq!(line(answer.as_bytes(), "a=group"), "a=group:BUNDLE 0");
    assert!(answer.ends_with("97\r\na=mid:v1\r\n"));
    // Nobody is put into a group that was not offered.
    let mut alone = self::leg();
    let answer = answered(&mut alone, &JSSIP.replace("a=group:BUNDLE 0\r\n", ""));
    assert_eq!(line(answer.as_bytes(), "a=group"), "");
    assert_eq!(line(answer.as_bytes(), "a=mid"), "a=mid:0");
}

// covers: RFC 8829 §5.2.1, RFC 8842 §5.2, RFC 8842 §5.4
#[test]
fn a_browser_is_offered_all_and_must_begin_the_handshake_itself() {
    let mut leg = leg();
    let offer = String::from_utf8(leg.offer().unwrap().to_vec()).unwrap();
    for wanted in [
        "a=group:BUNDLE 0",
        "a=ice-lite",
        "m=audio 8443 UDP/TLS/RTP/SAVPF 8 0 13 101",
        "a=setup:actpass",
        "a=mid:0",
        "a=rtcp-mux",
        "a=end-of-candidates",
    ] {
        assert!(offer.contains(&format!("{wanted}\r\n")), "{wanted}");
    }
    let answer = chromium_answer("hbgn");
    let refused = |from: &str, to: &str| {
        let mut leg = leg.clone();
        let error = leg
            .take_answer(answer.replace(from, to).as_bytes())
            .unwrap_err();
        assert!(leg.agreed().is_none());
        error
    };
    let web = |fault: WebFault| OfferError::Web(fault);
    let profile = "UDP/TLS/RTP/SAVPF";
    let over = |have: &str| web(WebFault::Transport(have.to_owned()));
    let waits = |have: &str| web(WebFault::Setup(have.to_owned()));
    assert_eq!(refused(profile, "RTP/AVP"), over("RTP/AVP"));
    assert_eq!(refused("setup:active", "setup:passive"), waits("passive"));
    assert_eq!(refused("setup:active", "setup:actpass"), waits("actpass"));
    assert_eq!(refused("a=setup:active\r\n", ""), waits("none"));
    let none = web(WebFault::NoFingerprint);
    assert_eq!(refused("a=fingerprint", "a=print"), none);
    leg.take_answer(answer.as_bytes()).unwrap();
    let agreed = leg.agreed().unwrap();
    // The address 0.0.0.0 is a browser that has not looked for its own yet: no hold.
    assert!(agreed.send && agreed.receive && !agreed.peer_holds);
    assert_eq!(agreed.web.as_ref().unwrap().ufrag, "hbgn");
}

#[test]
fn of_several_forks_the_one_that_answered_last_is_the_peer() {
    let mut leg = leg();
    leg.offer().unwrap();
    for fork in ["fork1", "fork2"] {
        leg.take_answer(chromium_answer(fork).as_bytes()).unwrap();
        assert_eq!(leg.agreed().unwrap().web.as_ref().unwrap().ufrag, fork);
        assert_eq!(leg.local().web, Some(web()));
    }
}

fn names(sdp: &str) -> (String, String) {
    let line = |start| line(sdp.as_bytes(), start).to_owned();
    (line("a=ice-ufrag"), line("a=ice-pwd"))
}

// covers: RFC 3264 §8.4, RFC 8829 §5.3.2
#[test]
fn hold_and_resume_leave_the_transport_as_it_is() {
    let mut leg = leg();
    let first = answered(&mut leg, JSSIP);
    let held = answered(&mut leg, &JSSIP.replace("a=sendrecv", "a=sendonly"));
    assert!(held.contains("a=recvonly\r\n"));
    assert_eq!(names(&held), names(&first));
    assert!(leg.agreed().unwrap().peer_holds);
    let resumed = answered(&mut leg, JSSIP);
    assert!(resumed.contains("a=sendrecv\r\n"));
    assert_eq!(
        (names(&resumed), version(resumed.as_bytes())),
        (names(&first), 3)
    );
    // Ours: the stream as it stands, and the peer answers as it did.
    leg.set_direction(Direction::SendOnly);
    let ours = leg.offer().unwrap();
    let ours = String::from_utf8(ours.to_vec()).unwrap();
    assert_eq!(names(&ours), names(&first));
    assert!(ours.contains("a=setup:actpass\r\n") && ours.contains("a=sendonly\r\n"));
    let answer = chromium_answer("hbgn").replace("a=sendrecv", "a=recvonly");
    let answer = answer.replace(" 8 0 13 101", " 8 13 126");
    leg.take_answer(answer.as_bytes()).unwrap();
    assert!(leg.agreed().unwrap().send && !leg.agreed().unwrap().receive);
}

// covers: RFC 8839 §4.4.1.1.1, RFC 8839 §4.4.3, RFC 8445 §9
#[test]
fn a_peer_that_restarts_is_answered_with_names_that_were_never_used() {
    let mut leg = leg();
    let mut seen = vec![names(&answered(&mut leg, JSSIP))];
    for (name, password) in [("anew", "lO"), ("hbgn", "lP"), ("hbgn", "lQ")] {
        let restart = JSSIP.replace("ice-ufrag:hbgn", &format!("ice-ufrag:{name}"));
        let restart = restart.replace("ice-pwd:sR", &format!("ice-pwd:{password}"));
        let answer = answered(&mut leg, &restart);
        let new = names(&answer);
        assert!(!seen.contains(&new));
        let of = |line: &str| line.split_once(':').unwrap().1.len();
        assert_eq!((of(&new.0), of(&new.1)), (8, 24));
        assert_eq!(leg.agreed().unwrap().web.as_ref().unwrap().ufrag, name);
        // Said again, nothing is new.
        assert_eq!(names(&answered(&mut leg, &restart)), new);
        seen.push(new);
    }
    // An offer that is refused changes nothing.
    let broken = JSSIP.replace("ice-ufrag:hbgn", "ice-ufrag:other");
    let broken = broken.replace("111 63 9 0 8 13 110 126", "111");
    let refused = leg.answer(broken.as_bytes()).unwrap_err();
    assert!(matches!(refused, OfferError::NoCommonCodec(_)), "{refused}");
    let last = seen.last().unwrap();
    let ours = leg.offer().unwrap();
    assert_eq!(names(std::str::from_utf8(&ours).unwrap()), *last);
}

#[test]
fn two_legs_never_have_the_same_new_names() {
    let of = |seed: u8| {
        let mut leg = with(|local| {
            if let Some(web) = &mut local.web {
                web.seed = KeySeed::new([seed; 32]);
            }
        });
        leg.answer(JSSIP.as_bytes()).unwrap();
        names(&answered(&mut leg, &JSSIP.replace("hbgn", "anew")))
    };
    assert_ne!(of(1), of(2));
}

#[test]
fn what_the_other_side_speaks_is_taken_though_the_browser_would_rather_have_opus() {
    let all = vec![Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Pcma];
    let rows = [
        (CodecOrder::Ours, None, Codec::Opus),
        (CodecOrder::Offerer, None, Codec::Opus),
        (CodecOrder::Ours, Some(Codec::Pcma), Codec::Pcma),
        (CodecOrder::Offerer, Some(Codec::Pcmu), Codec::Pcmu),
    ];
    for (order, spoken, want) in rows {
        let mut leg = with(|local| {
            local.codecs.clone_from(&all);
            local.order = order;
        });
        match spoken {
            Some(codec) => leg.answer_preferring(JSSIP.as_bytes(), codec).unwrap(),
            None => leg.answer(JSSIP.as_bytes()).unwrap(),
        };
        assert_eq!(leg.agreed().unwrap().codec, want);
    }
}

#[test]
fn keys_in_signalling_are_neither_asked_for_nor_told() {
    use super::super::Srtp;
    let seed = KeySeed::new([1; 32]);
    for srtp in [
        Srtp::Optional(seed.clone()),
        Srtp::Required(seed),
        Srtp::Withheld,
    ] {
        let mut leg = with(|local| local.srtp = srtp);
        let answer = answered(&mut leg, JSSIP);
        let offer = leg.offer().unwrap();
        assert!(!answer.contains("a=crypto"));
        assert_eq!(line(&offer, "a=crypto"), "");
        assert!(line(&offer, "m=").contains(" UDP/TLS/RTP/SAVPF "));
    }
}
