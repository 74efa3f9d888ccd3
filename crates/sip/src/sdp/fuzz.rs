//! The body of the fuzz target `sdp`: every build compiles it, tests drive it with mutated examples.

use std::net::{IpAddr, Ipv4Addr};

use super::parse::BYTES_MAX;
use super::{Codec, KeySeed, LocalMedia, Negotiation, SessionDescription, Srtp};

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
}

const SEED: KeySeed = KeySeed::new([5; 32]);

fn answer(bytes: &[u8], srtp: Srtp) {
    let mut local = LocalMedia::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 20_000, Codec::ALL.to_vec());
    local.srtp = srtp;
    let required = matches!(local.srtp, Srtp::Required(_));
    let mut leg = Negotiation::new(local, 7);
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
