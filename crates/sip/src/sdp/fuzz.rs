//! The bodies of the fuzz targets `sdp` and `crypto`: every build compiles them, tests drive them with
//! mutated examples.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::crypto::Crypto;
use super::parse::BYTES_MAX;
use super::{Agreed, Codec, KeySeed, LocalMedia, Negotiation, SessionDescription, Srtp, WebLocal};

/// Parses `bytes`, prints and parses again, offers them to a leg and answers its offer with them.
///
/// # Panics
/// If what was printed does not parse to the same, or an answer of ours is not a description.
pub fn sdp(bytes: &[u8]) {
    if let Ok(parsed) = SessionDescription::parse(bytes) {
        let printed = parsed.to_string();
        let again = SessionDescription::parse(printed.as_bytes());
        // Latin-1 grows as it becomes UTF-8, perhaps beyond what is read.
        if printed.len() <= BYTES_MAX {
            assert_eq!(again.map(|again| again.to_string()), Ok(printed));
        }
    }
    for srtp in [Srtp::Off, Srtp::Optional(SEED), Srtp::Required(SEED)] {
        answer(bytes, srtp);
    }
    answer_as_web(bytes);
}

/// Reads each line of `bytes` as an `a=crypto` value; one that is taken is written as what reads the same.
/// Then all of them are the keys of an offer; gives whether a leg that requires keys took it.
///
/// # Panics
/// If a key is not of its suite's length, prints as another, or is agreed upon where none could be used.
pub fn crypto(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let mut offer = String::from(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=audio 4000 RTP/SAVP 0\r\n",
    );
    let mut usable = 0;
    for line in text.split(['\r', '\n', '\0']) {
        if let Ok(read) = Crypto::parse(line) {
            usable += 1;
            assert_eq!(read.key.as_bytes().len(), read.key.suite().key_len());
            assert_eq!(Crypto::parse(&read.print()), Ok(read));
        }
        offer.push_str(&format!("a=crypto:{line}\r\n"));
    }
    for srtp in [Srtp::Off, Srtp::Optional(SEED), Srtp::Required(SEED)] {
        answer(offer.as_bytes(), srtp);
    }
    let mut leg = Negotiation::new(local(Srtp::Required(SEED)), 7);
    let keyed = leg.answer(offer.as_bytes()).is_ok();
    assert!(!keyed || usable > 0, "a secured stream without a key");
    keyed
}

const SEED: KeySeed = KeySeed::new([5; 32]);

fn answer(bytes: &[u8], srtp: Srtp) {
    let required = matches!(srtp, Srtp::Required(_));
    let mut leg = Negotiation::new(local(srtp), 7);
    if let Ok(answer) = leg.answer(bytes) {
        assert!(SessionDescription::parse(&answer).is_ok());
    }
    let offered = leg.offer();
    assert!(offered.is_ok_and(|offer| SessionDescription::parse(&offer).is_ok()));
    let answered = leg.take_answer(bytes);
    assert!(answered.is_err() || leg.agreed().is_some());
    assert!(!leg.awaits_answer());
    assert!(!required || leg.agreed().is_none_or(|agreed| agreed.keys.is_some()));
}

/// Offers them to a leg of WebRTC twice, and answers its offer with them: whatever is agreed on says who shakes
/// hands, and nothing of ours gives them letters to write with.
fn answer_as_web(bytes: &[u8]) {
    let mut local = local(Srtp::Off);
    local.web = Some(WebLocal {
        ufrag: "fuzz".to_owned(),
        password: "nobodys+own+password+24c".to_owned(),
        fingerprint: "sha-256 00".to_owned(),
        candidates: vec![SocketAddr::new(local.address, 8_443)],
        seed: SEED,
    });
    let mut leg = Negotiation::new(local, 7);
    let _ = Negotiation::wants_web(bytes);
    for _ in 0..2 {
        if let Ok(answer) = leg.answer(bytes) {
            let printed = SessionDescription::parse(&answer);
            assert!(printed.is_ok_and(|it| it.attribute("ice-lite").is_some()));
        }
    }
    let offered = leg.offer();
    assert!(offered.is_ok_and(|offer| SessionDescription::parse(&offer).is_ok()));
    let _ = leg.take_answer(bytes);
    let met = |agreed: &Agreed| agreed.web.is_some() && agreed.keys.is_none();
    assert!(leg.agreed().is_none_or(met));
}

fn local(srtp: Srtp) -> LocalMedia {
    let mut local = LocalMedia::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 20_000, Codec::ALL.to_vec());
    local.srtp = srtp;
    local
}
