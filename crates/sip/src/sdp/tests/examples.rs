//! Descriptions as data: examples after RFC 4317 (addresses in place of its host names, which a
//! server that never waits on a look-up refuses) and what real devices send.

use super::super::OfferError;
use super::{leg, media_lines, summary};

/// RFC 4317 §2.1: audio with three codecs, and video.
pub(super) const AUDIO_AND_VIDEO: &str = "v=0|o=alice 2890844526 2890844526 IN IP4 198.51.100.5|\
    s=|c=IN IP4 198.51.100.5|t=0 0|m=audio 49170 RTP/AVP 0 8 97|a=rtpmap:0 PCMU/8000|\
    a=rtpmap:8 PCMA/8000|a=rtpmap:97 iLBC/8000|m=video 51372 RTP/AVP 31 32|\
    a=rtpmap:31 H261/90000|a=rtpmap:32 MPV/90000|";

/// RFC 4317 §2.4: a second audio stream for telephone-events alone.
pub(super) const TWO_AUDIO: &str = "v=0|o=alice 2890844526 2890844526 IN IP4 198.51.100.5|s=|\
    c=IN IP4 198.51.100.5|t=0 0|m=audio 49170 RTP/AVP 0 97|a=rtpmap:0 PCMU/8000|\
    a=rtpmap:97 iLBC/8000|m=audio 49172 RTP/AVP 98|a=rtpmap:98 telephone-event/8000|a=sendonly|";

/// RFC 4317 §5.1: a controller's offer without media.
pub(super) const NO_MEDIA: &str =
    "v=0|o=controller 2890844526 2890844526 IN IP4 198.51.100.9|s=|c=IN IP4 198.51.100.9|t=0 0|";

/// A browser's data, cut to one codec.
pub(super) const BROWSER: &str = "v=0|o=- 4611731400430051336 2 IN IP4 127.0.0.1|s=-|t=0 0|\
    a=group:BUNDLE 0|a=msid-semantic: WMS|m=audio 9 UDP/TLS/RTP/SAVPF 111 0|c=IN IP4 0.0.0.0|\
    a=rtcp:9 IN IP4 0.0.0.0|a=ice-ufrag:Oyef|a=ice-pwd:T0teqPLNQQOf+5W+ls+P2p16|\
    a=fingerprint:sha-256 00:11:22|a=setup:actpass|a=mid:0|a=sendrecv|a=rtcp-mux|\
    a=rtpmap:111 opus/48000/2|a=fmtp:111 minptime=10;useinbandfec=1|";

/// A desk phone: everything a carrier sees in practice.
pub(super) const PHONE: &str = "v=0|o=Front Desk 20518 0 IN IP6 2001:db8::5|s=call|\
    c=IN IP6 2001:db8::5|b=AS:64|t=0 0|m=audio 11784 RTP/AVP 8 0 101 13|\
    a=rtpmap:101 telephone-event/8000|a=fmtp:101 0-16|a=ptime:20|a=maxptime:150|a=rtcp:11790|";

/// The seeds of mutation.
pub(super) const ALL: [&str; 5] = [AUDIO_AND_VIDEO, TWO_AUDIO, NO_MEDIA, BROWSER, PHONE];

/// Their description as an offer to our leg: the answer's `m=` lines and the agreement.
fn answered(offer: &str) -> Result<(Vec<String>, String), OfferError> {
    let mut leg = leg();
    let answer = leg.answer(offer.replace('|', "\r\n").as_bytes())?;
    let lines = media_lines(&answer)
        .into_iter()
        .map(str::to_owned)
        .collect();
    Ok((lines, summary(leg.agreed().unwrap())))
}

// covers: RFC 4317 §2.1, RFC 3264 §6, §6.1
#[test]
fn audio_is_taken_and_video_is_rejected_in_its_place() {
    let (lines, agreed) = answered(AUDIO_AND_VIDEO).unwrap();
    assert_eq!(
        lines,
        ["m=audio 20000 RTP/AVP 8", "m=video 0 RTP/AVP 31 32"]
    );
    assert_eq!(agreed, "PCMA/8 to 198.51.100.5:49170 49171 sendrecv 20ms");
}

// covers: RFC 4317 §2.4, RFC 3264 §6
#[test]
fn of_two_audio_streams_the_first_with_a_codec_of_ours_is_taken() {
    let (lines, agreed) = answered(TWO_AUDIO).unwrap();
    assert_eq!(lines, ["m=audio 20000 RTP/AVP 0", "m=audio 0 RTP/AVP 98"]);
    assert_eq!(agreed, "PCMU/0 to 198.51.100.5:49170 49171 sendrecv 20ms");
}

// covers: RFC 4317 §5.1
#[test]
fn an_offer_without_media_is_not_acceptable_here() {
    let refused = answered(NO_MEDIA).unwrap_err();
    assert_eq!((refused.status(), refused.warn_code()), (488, 304));
}

// covers: RFC 3264 §6
#[test]
fn a_browser_is_refused_until_its_profile_is_spoken() {
    let refused = answered(BROWSER).unwrap_err();
    assert_eq!(
        refused.warning("tandem"),
        "302 tandem \"want audio over RTP/AVP, have UDP/TLS/RTP/SAVPF\""
    );
}
