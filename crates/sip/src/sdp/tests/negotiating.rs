//! One exchange: codecs, telephone-events, packet times, addresses, transports, refusals.

use super::super::{Codec, CodecOrder, LocalMedia, Negotiation, OfferError, OpusTerms};
use super::{leg, line, local, media_lines, summary, theirs};

/// Offers `lines` to a leg: the agreement in one line, or `status warn-code: why`.
fn outcome(local: LocalMedia, lines: &str) -> String {
    let mut leg = Negotiation::new(local, 1);
    match leg.answer(&theirs(lines)) {
        Ok(_) => summary(leg.agreed().unwrap()),
        Err(error) => format!("{} {}: {error}", error.status(), error.warn_code()),
    }
}

fn check(table: &[(&str, &str, &str)]) {
    for (name, lines, want) in table {
        assert_eq!(outcome(local(), lines), *want, "{name}");
    }
}

// covers: RFC 3264 §6.1, RFC 3551 §6, RFC 8866 §6.6
#[test]
fn the_codec_is_chosen_by_name_clock_and_channels_never_by_number_alone() {
    let to = "to 198.51.100.5:4000 4001 sendrecv 20ms";
    let rows = [
        (
            "static numbers need no rtpmap",
            "m=audio 4000 RTP/AVP 0",
            format!("PCMU/0 {to}"),
        ),
        (
            "ours comes first",
            "m=audio 4000 RTP/AVP 0 8",
            format!("PCMA/8 {to}"),
        ),
        (
            "a dynamic number",
            "m=audio 4000 RTP/AVP 96|a=rtpmap:96 pcma/8000",
            format!("PCMA/96 {to}"),
        ),
        (
            "one channel said",
            "m=audio 4000 RTP/AVP 96|a=rtpmap:96 PCMU/8000/1",
            format!("PCMU/96 {to}"),
        ),
        (
            "a number given twice",
            "m=audio 4000 RTP/AVP 0 0 0",
            format!("PCMU/0 {to}"),
        ),
        (
            "the first rtpmap of a number counts",
            "m=audio 4000 RTP/AVP 96|a=rtpmap:96 PCMU/8000|a=rtpmap:96 G729/8000",
            format!("PCMU/96 {to}"),
        ),
        (
            "broken attributes of others",
            "m=audio 4000 RTP/AVP 96 0|a=rtpmap:96|a=rtpmap|a=fmtp:|a=rtpmap:999 PCMA/8000",
            format!("PCMU/0 {to}"),
        ),
    ];
    for (name, lines, want) in rows {
        assert_eq!(outcome(local(), lines), want, "{name}");
    }
    check(&[
        (
            "wide-band A-law is not ours",
            "m=audio 4000 RTP/AVP 96|a=rtpmap:96 PCMA/16000",
            "488 305: no common audio codec, have payload types [96]",
        ),
        (
            "two channels are not ours",
            "m=audio 4000 RTP/AVP 96|a=rtpmap:96 PCMA/8000/2",
            "488 305: no common audio codec, have payload types [96]",
        ),
        (
            "a static number remapped",
            "m=audio 4000 RTP/AVP 0|a=rtpmap:0 G729/8000",
            "488 305: no common audio codec, have payload types [0]",
        ),
        (
            "only events and noise",
            "m=audio 4000 RTP/AVP 101 13|a=rtpmap:101 telephone-event/8000",
            "488 305: no common audio codec, have payload types [101, 13]",
        ),
    ]);
}

// covers: RFC 3264 §6.1
#[test]
fn the_offerers_order_chooses_where_it_is_configured() {
    let theirs_first = LocalMedia {
        order: CodecOrder::Offerer,
        ..local()
    };
    let only_ulaw = LocalMedia {
        codecs: vec![Codec::Pcmu],
        ..local()
    };
    let lines = "m=audio 4000 RTP/AVP 18 0 8";
    assert!(outcome(local(), lines).starts_with("PCMA/8"));
    assert!(outcome(theirs_first, lines).starts_with("PCMU/0"));
    assert!(outcome(only_ulaw, lines).starts_with("PCMU/0"));
}

// covers: RFC 4733 §2.4.1, §2.4.2, RFC 3389 §4, RFC 3264 §6.1
#[test]
fn telephone_events_and_noise_are_taken_on_the_codecs_clock_only() {
    let to = "to 198.51.100.5:4000 4001 sendrecv 20ms";
    let rows = [
        (
            "their number",
            "m=audio 4000 RTP/AVP 8 96|a=rtpmap:96 telephone-event/8000",
            format!("PCMA/8 dtmf 96 {to}"),
        ),
        (
            "the matching clock of two",
            "m=audio 4000 RTP/AVP 8 96 110|a=rtpmap:96 telephone-event/48000|a=rtpmap:110 telephone-event/8000",
            format!("PCMA/8 dtmf 110 {to}"),
        ),
        (
            "another clock alone",
            "m=audio 4000 RTP/AVP 8 96|a=rtpmap:96 telephone-event/16000",
            format!("PCMA/8 {to}"),
        ),
        (
            "static comfort noise",
            "m=audio 4000 RTP/AVP 8 13",
            format!("PCMA/8 cn 13 {to}"),
        ),
        (
            "wide-band noise",
            "m=audio 4000 RTP/AVP 8 98|a=rtpmap:98 CN/16000",
            format!("PCMA/8 {to}"),
        ),
    ];
    for (name, lines, want) in rows {
        assert_eq!(outcome(local(), lines), want, "{name}");
    }
    let neither = LocalMedia {
        dtmf: false,
        comfort_noise: false,
        ..local()
    };
    let lines = "m=audio 4000 RTP/AVP 8 13 96|a=rtpmap:96 telephone-event/8000";
    assert_eq!(outcome(neither, lines), format!("PCMA/8 {to}"));
}

// covers: RFC 3264 §6.1, RFC 4733 §2.4.1
#[test]
fn an_answer_lists_one_codec_and_its_companions_by_the_offerers_numbers() {
    let mut leg = leg();
    let offer = theirs(
        "m=audio 4000 RTP/AVP 0 97 13 99|a=rtpmap:97 PCMA/8000|a=rtpmap:99 telephone-event/8000",
    );
    let answer = leg.answer(&offer).unwrap();
    let text = String::from_utf8(answer.to_vec()).unwrap();
    let (_, media) = text.split_once("t=0 0\r\n").unwrap();
    assert_eq!(
        media.replace("\r\n", "|"),
        "m=audio 20000 RTP/AVP 97 13 99|a=rtpmap:97 PCMA/8000|a=rtpmap:13 CN/8000|\
         a=rtpmap:99 telephone-event/8000|a=fmtp:99 0-15|a=ptime:20|a=maxptime:60|a=sendrecv|"
    );
}

// covers: RFC 8866 §6.4, §6.5, RFC 3264 §6.1
#[test]
fn the_packet_time_is_theirs_within_both_limits_in_steps_of_10_ms() {
    let table = [
        ("", 20),
        ("a=ptime:20", 20),
        ("a=ptime:30", 30),
        ("a=ptime:40", 40),
        ("a=ptime:10", 10),
        ("a=ptime:0", 20),
        ("a=ptime:65536", 20),
        ("a=ptime:lots", 20),
        ("a=ptime:40.5", 40),
        ("a=ptime:240", 60),
        ("a=ptime:60|a=maxptime:40", 40),
        ("a=ptime:60|a=maxptime:10", 10),
        ("a=ptime:25", 20),
        ("a=maxptime:150", 20),
    ];
    for (lines, want) in table {
        let said = outcome(
            local(),
            format!("m=audio 4000 RTP/AVP 8|{lines}").trim_end_matches('|'),
        );
        assert!(said.ends_with(&format!(" {want}ms")), "{lines}: {said}");
    }
}

// covers: RFC 3264 §5.1, §6.1, RFC 8866 §5.7, RFC 3605 §2.1, RFC 5761 §5.1.1
#[test]
fn addresses_are_the_sections_before_the_sessions_and_rtcp_is_above_unless_said() {
    check(&[
        (
            "the section's own c=",
            "m=audio 4000 RTP/AVP 8|c=IN IP4 203.0.113.7",
            "PCMA/8 to 203.0.113.7:4000 4001 sendrecv 20ms",
        ),
        (
            "a=rtcp with a port",
            "m=audio 4000 RTP/AVP 8|a=rtcp:5005",
            "PCMA/8 to 198.51.100.5:4000 5005 sendrecv 20ms",
        ),
        (
            "a=rtcp with an address",
            "m=audio 4000 RTP/AVP 8|a=rtcp:5005 IN IP4 203.0.113.7",
            "PCMA/8 to 198.51.100.5:4000 203.0.113.7:5005 sendrecv 20ms",
        ),
        (
            "a=rtcp that cannot be read",
            "m=audio 4000 RTP/AVP 8|a=rtcp:70000",
            "PCMA/8 to 198.51.100.5:4000 4001 sendrecv 20ms",
        ),
        (
            "rtcp-mux",
            "m=audio 4000 RTP/AVP 8|a=rtcp-mux|a=rtcp:5005",
            "PCMA/8 to 198.51.100.5:4000 4000 mux sendrecv 20ms",
        ),
        (
            "no room above",
            "m=audio 65535 RTP/AVP 8",
            "488 399: RTP on port 65535 leaves no port for RTCP",
        ),
        (
            "no room needed",
            "m=audio 65535 RTP/AVP 8|a=rtcp-mux",
            "PCMA/8 to 198.51.100.5:65535 65535 mux sendrecv 20ms",
        ),
        (
            "multicast",
            "m=audio 4000 RTP/AVP 8|c=IN IP4 224.2.1.1/127",
            "488 330: want a unicast media address, have 224.2.1.1",
        ),
        (
            "broadcast",
            "m=audio 4000 RTP/AVP 8|c=IN IP4 255.255.255.255",
            "488 330: want a unicast media address, have 255.255.255.255",
        ),
        (
            "a host name",
            "m=audio 4000 RTP/AVP 8|c=IN IP4 host.example.com",
            "488 301: want a numeric address in c=, have IN IP4 host.example.com",
        ),
        (
            "IPv6 to an IPv4 leg",
            "m=audio 4000 RTP/AVP 8|c=IN IP6 2001:db8::5",
            "488 301: want an IPv4 media address, have IPv6 (2001:db8::5)",
        ),
    ]);
    let mut bare = leg();
    let offer = b"v=0\r\no=- 1 1 IN IP4 198.51.100.5\r\nm=audio 4000 RTP/AVP 8\r\n";
    assert_eq!(bare.answer(offer), Err(OfferError::NoAddress));
}

// covers: RFC 5761 §5.1.1
#[test]
fn multiplexed_rtcp_is_answered_when_offered_and_refused_when_it_was_not() {
    let mut answering = leg();
    let answer = answering
        .answer(&theirs("m=audio 4000 RTP/AVP 8|a=rtcp-mux"))
        .unwrap();
    assert_eq!(line(&answer, "a=rtcp-mux"), "a=rtcp-mux");

    let mut offering = leg();
    let offer = offering.offer().unwrap();
    assert_eq!(line(&offer, "a=rtcp-mux"), "");
    let wrong = offering.take_answer(&theirs("m=audio 4000 RTP/AVP 8|a=rtcp-mux"));
    assert_eq!(wrong, Err(OfferError::Mismatch("rtcp-mux was not offered")));

    let mut proposing = Negotiation::new(
        LocalMedia {
            rtcp_mux: true,
            ..local()
        },
        1,
    );
    let offer = proposing.offer().unwrap();
    assert_eq!(line(&offer, "a=rtcp-mux"), "a=rtcp-mux");
    proposing
        .take_answer(&theirs("m=audio 4000 RTP/AVP 8"))
        .unwrap();
    assert!(
        !proposing.agreed().unwrap().rtcp_mux,
        "not answered, not used"
    );
}

// covers: RFC 3264 §6.1, RFC 8866 §5.7
#[test]
fn an_ipv6_leg_negotiates_ipv6() {
    let address = "2001:db8::10".parse().unwrap();
    let mut leg = Negotiation::new(LocalMedia::new(address, 20_000, Codec::ALL.to_vec()), 1);
    let answer = leg
        .answer(super::examples::PHONE.replace('|', "\r\n").as_bytes())
        .unwrap();
    assert_eq!(line(&answer, "c="), "c=IN IP6 2001:db8::10");
    assert_eq!(
        summary(leg.agreed().unwrap()),
        "PCMA/8 dtmf 101 cn 13 to [2001:db8::5]:11784 11790 sendrecv 20ms"
    );
}

// covers: RFC 3264 §6, RFC 3261 §20.43, §21.4.26
#[test]
fn what_cannot_be_accepted_is_488_with_a_reason_for_the_warning_header() {
    check(&[
        (
            "RTP/SAVP",
            "m=audio 4000 RTP/SAVP 8",
            "488 302: want audio over RTP/AVP, have RTP/SAVP",
        ),
        (
            "RTP/SAVPF",
            "m=audio 4000 RTP/SAVPF 8",
            "488 302: want audio over RTP/AVP, have RTP/SAVPF",
        ),
        (
            "WebRTC",
            "m=audio 9 UDP/TLS/RTP/SAVPF 8",
            "488 302: want audio over RTP/AVP, have UDP/TLS/RTP/SAVPF",
        ),
        (
            "a fax alone",
            "m=image 4000 udptl t38",
            "488 304: want an audio stream with a port, none is offered",
        ),
        (
            "audio at port 0",
            "m=audio 0 RTP/AVP 8",
            "488 304: want an audio stream with a port, none is offered",
        ),
        (
            "no codec of ours",
            "m=audio 4000 RTP/AVP 18 3",
            "488 305: no common audio codec, have payload types [18, 3]",
        ),
        (
            "not SDP",
            "m=audio 4000 RTP/AVP 4294967296",
            "400 399: SDP line 6, byte 93: expected a payload type from 0 to 127",
        ),
    ]);
    let mut leg = leg();
    let refused = leg
        .answer(&theirs("m=audio 4000 RTP/\"SAVP\" 8"))
        .unwrap_err();
    assert_eq!(
        refused.warning("tandem"),
        "302 tandem \"want audio over RTP/AVP, have RTP/'SAVP'\""
    );
    assert!(leg.agreed().is_none());
}

// covers: RFC 3264 §6
#[test]
fn unusable_and_unknown_streams_keep_their_place_with_port_0() {
    let mut leg = leg();
    let lines = "m=audio 3000 RTP/SAVP 0|m=application 5000 udp wb|m=audio 4000 RTP/AVP 18|\
                 m=audio 4002 RTP/AVP 0|m=audio 4004 RTP/AVP 8|m=x-new 1 X/Y z|m=video 0 RTP/AVP *";
    let answer = leg.answer(&theirs(lines)).unwrap();
    assert_eq!(
        media_lines(&answer),
        [
            "m=audio 0 RTP/SAVP 0",
            "m=application 0 udp wb",
            "m=audio 0 RTP/AVP 18",
            "m=audio 20000 RTP/AVP 0",
            "m=audio 0 RTP/AVP 8",
            "m=x-new 0 X/Y z",
            "m=video 0 RTP/AVP *",
        ]
    );
    assert_eq!(leg.agreed().unwrap().remote_rtp.port(), 4002);
}

// covers: RFC 4585 §3.1
#[test]
fn feedback_profile_without_feedback_is_answered_in_kind() {
    let answer = leg().answer(&theirs("m=audio 4000 RTP/AVPF 8")).unwrap();
    assert_eq!(media_lines(&answer), ["m=audio 20000 RTP/AVPF 8"]);
}

// covers: RFC 3264 §5, §5.1, RFC 4733 §2.4.1
#[test]
fn our_offer_lists_all_that_we_take_in_our_order() {
    let offer = leg().offer().unwrap();
    assert_eq!(
        String::from_utf8(offer.to_vec())
            .unwrap()
            .replace("\r\n", "|"),
        "v=0|o=- 76354974 1 IN IP4 192.0.2.10|s=-|c=IN IP4 192.0.2.10|t=0 0|\
         m=audio 20000 RTP/AVP 8 0 13 101|a=rtpmap:8 PCMA/8000|a=rtpmap:0 PCMU/8000|\
         a=rtpmap:13 CN/8000|a=rtpmap:101 telephone-event/8000|a=fmtp:101 0-15|a=ptime:20|\
         a=maxptime:60|a=sendrecv|"
    );
}

// covers: RFC 3264 §6.1, §7, §10.2
#[test]
fn the_first_codec_of_an_answer_is_spoken_with_the_numbers_it_gives() {
    let table = [
        (
            "theirs first",
            "m=audio 4000 RTP/AVP 0 8 101|a=rtpmap:101 telephone-event/8000",
            "PCMU/0 dtmf 101 to 198.51.100.5:4000 4001 sendrecv 20ms",
        ),
        (
            "their number for events",
            "m=audio 4000 RTP/AVP 8 96|a=rtpmap:96 telephone-event/8000",
            "PCMA/8 dtmf 96 to 198.51.100.5:4000 4001 sendrecv 20ms",
        ),
        (
            "no events",
            "m=audio 4000 RTP/AVP 8",
            "PCMA/8 to 198.51.100.5:4000 4001 sendrecv 20ms",
        ),
        (
            "they listen only",
            "m=audio 4000 RTP/AVP 8|a=recvonly",
            "PCMA/8 to 198.51.100.5:4000 4001 sendonly 20ms",
        ),
    ];
    for (name, lines, want) in table {
        let mut leg = leg();
        leg.offer().unwrap();
        leg.take_answer(&theirs(lines)).unwrap();
        assert_eq!(summary(leg.agreed().unwrap()), want, "{name}");
        let ours = leg.agreed().unwrap().dtmf_receive_type;
        assert_eq!(
            ours,
            leg.agreed().unwrap().dtmf_payload_type.map(|_| 101),
            "{name}"
        );
    }
}

// covers: RFC 3264 §6, §7
#[test]
fn an_answer_that_does_not_fit_the_offer_is_refused() {
    let table = [
        (
            "two lines for one",
            "m=audio 4000 RTP/AVP 8|m=video 0 RTP/AVP 31",
            OfferError::Mismatch("another number of m= lines"),
        ),
        (
            "no lines",
            "a=x",
            OfferError::Mismatch("another number of m= lines"),
        ),
        (
            "another medium",
            "m=video 4000 RTP/AVP 8",
            OfferError::Mismatch("audio is not in its place"),
        ),
        ("rejected", "m=audio 0 RTP/AVP 8", OfferError::Rejected),
        (
            "a codec that was not offered",
            "m=audio 4000 RTP/AVP 18",
            OfferError::NoCommonCodec(vec![18]),
        ),
        (
            "another profile",
            "m=audio 4000 RTP/SAVP 8",
            OfferError::Profile("RTP/SAVP".to_owned()),
        ),
    ];
    for (name, lines, want) in table {
        let mut leg = leg();
        leg.offer().unwrap();
        assert_eq!(leg.take_answer(&theirs(lines)), Err(want), "{name}");
        assert!(leg.agreed().is_none() && !leg.awaits_answer(), "{name}");
    }
}

fn wide() -> LocalMedia {
    LocalMedia {
        codecs: vec![Codec::Opus, Codec::G722, Codec::L16Wide, Codec::Pcma],
        ..local()
    }
}

// covers: RFC 7587 §7, RFC 3551 §4.5.2, RFC 4733 §2.4.1
#[test]
fn the_wide_codecs_are_offered_with_telephone_events_on_each_clock() {
    let offer = Negotiation::new(wide(), 1).offer().unwrap();
    let text = String::from_utf8(offer.to_vec()).unwrap();
    let (_, media) = text.split_once("t=0 0\r\n").unwrap();
    assert_eq!(
        media.replace("\r\n", "|"),
        "m=audio 20000 RTP/AVP 111 9 98 8 13 110 101 113|a=rtpmap:111 opus/48000/2|\
         a=fmtp:111 minptime=10;useinbandfec=1|a=rtpmap:9 G722/8000|a=rtpmap:98 L16/16000|\
         a=rtpmap:8 PCMA/8000|a=rtpmap:13 CN/8000|a=rtpmap:110 telephone-event/48000|\
         a=fmtp:110 0-15|a=rtpmap:101 telephone-event/8000|a=fmtp:101 0-15|\
         a=rtpmap:113 telephone-event/16000|a=fmtp:113 0-15|a=ptime:20|a=maxptime:60|a=sendrecv|"
    );
}

// covers: RFC 7587 §6.1, RFC 4733 §2.5.1.1
#[test]
fn opus_is_taken_with_what_the_peer_asks_of_it_and_the_events_of_its_clock() {
    let mut leg = Negotiation::new(wide(), 1);
    let offer = theirs(
        "m=audio 4000 RTP/AVP 8 96 101 97|a=rtpmap:96 OPUS/48000/2|\
         a=fmtp:96 maxplaybackrate=16000; maxaveragebitrate=20000;stereo=1;useinbandfec=1; usedtx=1|\
         a=rtpmap:101 telephone-event/8000|a=rtpmap:97 telephone-event/48000",
    );
    let answer = leg.answer(&offer).unwrap();
    let agreed = leg.agreed().unwrap();
    assert_eq!((agreed.codec, agreed.payload_type), (Codec::Opus, 96));
    assert_eq!(agreed.dtmf_payload_type, Some(97));
    assert_eq!(agreed.cn, None);
    let wanted = OpusTerms {
        max_average_bitrate: Some(20_000),
        max_playback_rate: 16_000,
        in_band_fec: true,
        dtx: true,
        cbr: false,
    };
    assert_eq!(agreed.opus, wanted);
    assert_eq!(media_lines(&answer), ["m=audio 20000 RTP/AVP 96 97"]);
    assert_eq!(
        line(&answer, "a=fmtp:96"),
        "a=fmtp:96 minptime=10;useinbandfec=1"
    );
}

#[test]
fn opus_of_one_channel_or_another_clock_and_what_is_only_relayed_elsewhere_is_not_ours() {
    for lines in [
        "m=audio 4000 RTP/AVP 96|a=rtpmap:96 opus/48000",
        "m=audio 4000 RTP/AVP 96|a=rtpmap:96 opus/16000/2",
        "m=audio 4000 RTP/AVP 9|a=rtpmap:9 G722/16000",
        "m=audio 4000 RTP/AVP 18|a=rtpmap:18 G729/8000",
    ] {
        let said = outcome(wide(), lines);
        assert!(said.starts_with("488 305"), "{lines}: {said}");
    }
}

// covers: RFC 3551 §6
#[test]
fn g722_needs_no_rtpmap() {
    let said = outcome(wide(), "m=audio 4000 RTP/AVP 9");
    assert_eq!(said, "G722/9 to 198.51.100.5:4000 4001 sendrecv 20ms");
}

#[test]
fn what_the_other_side_speaks_is_offered_first_if_it_is_ours() {
    let mut leg = Negotiation::new(wide(), 1);
    leg.prefer(Codec::Pcma);
    leg.prefer(Codec::Pcmu);
    let offer = leg.offer().unwrap();
    assert!(media_lines(&offer)[0].starts_with("m=audio 20000 RTP/AVP 8 111 9 98 "));
}
