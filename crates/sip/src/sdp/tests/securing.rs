//! Keys in descriptions: who takes which, who goes without, and that a secured stream stays so.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::crypto::Crypto;
use super::super::{CryptoFault, CryptoSuite, KeySeed, LocalMedia, Negotiation, OfferError, Srtp};
use super::{line, local, theirs, version};

const KEY: &str = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";
const OTHER: &str = "NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj";

type Policy = fn(KeySeed) -> Srtp;

fn leg(srtp: Policy) -> Negotiation {
    let srtp = srtp(KeySeed::new([3; 32]));
    Negotiation::new(LocalMedia { srtp, ..local() }, 1)
}

const OFF: Policy = |_| Srtp::Off;
const OPTIONAL: Policy = Srtp::Optional;
const REQUIRED: Policy = Srtp::Required;
const WITHHELD: Policy = |_| Srtp::Withheld;

/// An agreement's suite, `clear`, or the refusal.
fn outcome(agreed: Result<&Negotiation, OfferError>) -> String {
    match agreed {
        Ok(leg) => match &leg.agreed().unwrap().keys {
            Some(keys) => {
                assert_eq!(keys.send.suite(), keys.receive.suite());
                keys.send.suite().as_str().to_owned()
            }
            None => "clear".to_owned(),
        },
        Err(error) => format!("{} {error}", error.status()),
    }
}

fn answered(srtp: Policy, offer: &str) -> (String, String) {
    let mut leg = leg(srtp);
    match leg.answer(&theirs(offer)) {
        Ok(answer) => {
            let lines = ["m=", "a=crypto"].map(|start| line(&answer, start).to_owned());
            let [media, key] = lines;
            let key = key.split(" inline:").next().unwrap_or_default().to_owned();
            (outcome(Ok(&leg)), format!("{media}|{key}"))
        }
        Err(error) => (outcome(Err(error)), String::new()),
    }
}

// covers: RFC 4568 §5.1.2, RFC 4568 §6.1, RFC 8643 §4
#[test]
fn an_offer_is_answered_as_the_policy_says() {
    let avp = "m=audio 4000 RTP/AVP 8";
    let savp = "m=audio 4000 RTP/SAVP 8";
    let cm80 = format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}");
    let unknown = "a=crypto:1 AES_256_CM_HMAC_SHA1_80 inline:abcd";
    let secured = "AES_CM_128_HMAC_SHA1_80";
    let plain = "m=audio 20000 RTP/AVP 8|";
    let taken = |profile: &str, tag: u32| {
        format!("m=audio 20000 RTP/{profile} 8|a=crypto:{tag} AES_CM_128_HMAC_SHA1_80")
    };
    let no_key = "488 want a key in a=crypto that can be used, have ";
    let unsecured = "488 want SRTP (RTP/SAVP with a=crypto), have plain RTP";
    type Row = (Policy, String, String, String);
    let rows: [Row; 14] = [
        (OFF, avp.into(), "clear".into(), plain.into()),
        (OFF, format!("{avp}|{cm80}"), "clear".into(), plain.into()),
        (
            OFF,
            format!("{savp}|{cm80}"),
            "488 want audio over RTP/AVP, have RTP/SAVP".into(),
            String::new(),
        ),
        (OPTIONAL, avp.into(), "clear".into(), plain.into()),
        (
            OPTIONAL,
            format!("{avp}|{cm80}"),
            secured.into(),
            taken("AVP", 1),
        ),
        (
            OPTIONAL,
            format!("{savp}|{cm80}"),
            secured.into(),
            taken("SAVP", 1),
        ),
        (
            OPTIONAL,
            format!("{avp}|{unknown}"),
            "clear".into(),
            plain.into(),
        ),
        (
            OPTIONAL,
            format!("{savp}|{unknown}"),
            format!("{no_key}AES_256_CM_HMAC_SHA1_80"),
            String::new(),
        ),
        (REQUIRED, avp.into(), unsecured.into(), String::new()),
        (
            REQUIRED,
            savp.into(),
            format!("{no_key}none"),
            String::new(),
        ),
        (
            REQUIRED,
            format!("{avp}|{unknown}"),
            format!("{no_key}AES_256_CM_HMAC_SHA1_80"),
            String::new(),
        ),
        (
            REQUIRED,
            format!("{savp}|{unknown}|a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            secured.into(),
            taken("SAVP", 7),
        ),
        // Two streams for one, as telephones that leave the choice offer them.
        (
            REQUIRED,
            format!("{avp}|m=audio 4002 RTP/SAVP 8|{cm80}"),
            secured.into(),
            "m=audio 0 RTP/AVP 8|a=crypto:1 AES_CM_128_HMAC_SHA1_80".into(),
        ),
        (
            WITHHELD,
            format!("{savp}|{cm80}"),
            "488 want keys for SRTP, which must not be told over this signalling".into(),
            String::new(),
        ),
    ];
    for (srtp, offer, agreed, answer) in rows {
        assert_eq!(answered(srtp, &offer), (agreed, answer), "{offer}");
    }
}

// covers: RFC 4568 §6.1
#[test]
fn the_first_key_that_can_be_used_is_taken_in_the_offerers_order() {
    let gcm = STANDARD.encode([7; 28]);
    let lines = format!(
        "m=audio 4000 RTP/SAVP 8|a=crypto:9 AES_CM_128_HMAC_SHA1_32 inline:{KEY}|\
         a=crypto:10 AEAD_AES_128_GCM inline:{gcm}"
    );
    assert_eq!(answered(REQUIRED, &lines).0, "AES_CM_128_HMAC_SHA1_32");
}

// covers: RFC 4568 §9.1, RFC 4568 §6.3
#[test]
fn a_line_is_read_or_says_why_not() {
    let suite = "AES_CM_128_HMAC_SHA1_80";
    let parameter = |name: &str| Some(CryptoFault::Parameter(name.to_owned()));
    let rows = [
        (format!("1 {suite} inline:{KEY}"), None),
        (format!("1 {suite} inline:{KEY}|2^48"), None),
        (format!("1 {suite} inline:{KEY}|1048576"), None),
        (format!("1 {suite} INLINE:{KEY} WSH=64"), None),
        (
            format!("1 {suite} inline:{KEY}|2^49"),
            Some(CryptoFault::Malformed),
        ),
        (
            format!("1 {suite} inline:{KEY}|0"),
            Some(CryptoFault::Malformed),
        ),
        (
            format!("1 {suite} inline:{KEY}|2^20|1:4"),
            Some(CryptoFault::Mki),
        ),
        (
            format!("1 {suite} inline:{KEY}|1:4"),
            Some(CryptoFault::Mki),
        ),
        (
            format!("1 {suite} inline:{KEY}|1:1;inline:{KEY}|2:1"),
            Some(CryptoFault::Mki),
        ),
        (
            format!("1 {suite} inline:{KEY} UNENCRYPTED_SRTCP"),
            parameter("UNENCRYPTED_SRTCP"),
        ),
        (format!("1 {suite} inline:{KEY} KDR=2"), parameter("KDR=2")),
        (
            format!("1 F8_128_HMAC_SHA1_80 inline:{KEY}"),
            Some(CryptoFault::Suite("F8_128_HMAC_SHA1_80".to_owned())),
        ),
        (
            format!("1 {suite} inline:AAAA"),
            Some(CryptoFault::Malformed),
        ),
        (
            format!("1 {suite} inline:{KEY}AAAA"),
            Some(CryptoFault::Malformed),
        ),
        (format!("1 {suite} {KEY}"), Some(CryptoFault::Malformed)),
        (
            format!("x {suite} inline:{KEY}"),
            Some(CryptoFault::Malformed),
        ),
        (
            format!("9999999999 {suite} inline:{KEY}"),
            Some(CryptoFault::Malformed),
        ),
        (String::new(), Some(CryptoFault::Malformed)),
        (
            "1 é inline:é".to_owned(),
            Some(CryptoFault::Suite(String::new())),
        ),
        (format!("1 {suite} inlineé"), Some(CryptoFault::Malformed)),
    ];
    for (value, fault) in rows {
        assert_eq!(Crypto::parse(&value).err(), fault, "{value}");
    }
    for suite in CryptoSuite::ALL {
        let line = Crypto {
            tag: 4,
            key: KeySeed::new([5; 32]).key(suite, 0),
        };
        assert_eq!(Crypto::parse(&line.print()), Ok(line));
    }
    // Without the padding that 44 bytes have.
    let unpadded = STANDARD.encode([7; 44]).replace('=', "");
    assert!(Crypto::parse(&format!("1 AEAD_AES_256_GCM inline:{unpadded}")).is_ok());
}

// covers: RFC 4568 §5.1.1, RFC 4568 §5.1.3, RFC 8643 §4
#[test]
fn an_offer_has_the_keys_that_its_policy_wants_and_takes_the_answer_by_its_tag() {
    let offered = |srtp| {
        let offer = leg(srtp).offer().unwrap();
        let text = String::from_utf8(offer.to_vec()).unwrap();
        let keys = text
            .lines()
            .filter(|it| it.starts_with("a=crypto:"))
            .count();
        (
            line(&offer, "m=").split(' ').nth(2).unwrap().to_owned(),
            keys,
        )
    };
    assert_eq!(offered(OFF), ("RTP/AVP".to_owned(), 0));
    assert_eq!(offered(OPTIONAL), ("RTP/AVP".to_owned(), 4));
    assert_eq!(offered(REQUIRED), ("RTP/SAVP".to_owned(), 4));
    assert_eq!(leg(WITHHELD).offer(), Err(OfferError::KeysInClear));

    let cm80 = |tag| format!("a=crypto:{tag} AES_CM_128_HMAC_SHA1_80 inline:{KEY}");
    let misfit = "488 the answer does not fit the offer: its key is none that was offered";
    let rows: [(Policy, String, &str); 7] = [
        (OPTIONAL, "m=audio 4000 RTP/AVP 8".into(), "clear"),
        (
            OPTIONAL,
            format!("m=audio 4000 RTP/AVP 8|{}", cm80(3)),
            "AES_CM_128_HMAC_SHA1_80",
        ),
        (
            REQUIRED,
            format!("m=audio 4000 RTP/SAVP 8|{}", cm80(3)),
            "AES_CM_128_HMAC_SHA1_80",
        ),
        // The tag of another suite, and one that was not offered.
        (
            REQUIRED,
            format!("m=audio 4000 RTP/SAVP 8|{}", cm80(1)),
            misfit,
        ),
        (
            OPTIONAL,
            format!("m=audio 4000 RTP/AVP 8|{}", cm80(8)),
            misfit,
        ),
        (
            REQUIRED,
            "m=audio 4000 RTP/AVP 8".into(),
            "488 want SRTP (RTP/SAVP with a=crypto), have plain RTP",
        ),
        (
            OFF,
            format!("m=audio 4000 RTP/SAVP 8|{}", cm80(1)),
            "488 want audio over RTP/AVP, have RTP/SAVP",
        ),
    ];
    for (srtp, answer, want) in rows {
        let mut leg = leg(srtp);
        leg.offer().unwrap();
        let taken = leg.take_answer(&theirs(&answer));
        assert_eq!(outcome(taken.map(|()| &leg)), want, "{answer}");
    }
}

// covers: RFC 4568 §7.1.4
#[test]
fn a_reoffer_keeps_our_key_follows_theirs_and_never_goes_on_in_clear() {
    let offer = |key: &str| {
        theirs(&format!(
            "m=audio 4000 RTP/AVP 8|a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}"
        ))
    };
    let mut leg = leg(OPTIONAL);
    leg.answer(&offer(KEY)).unwrap();
    let first = leg.agreed().unwrap().keys.clone().unwrap();
    leg.answer(&offer(KEY)).unwrap();
    assert_eq!(leg.agreed().unwrap().keys.as_ref(), Some(&first));
    leg.answer(&offer(OTHER)).unwrap();
    let second = leg.agreed().unwrap().keys.clone().unwrap();
    assert_eq!(second.send, first.send);
    assert_ne!(second.receive, first.receive);

    // In clear, whoever offers: what was agreed stands.
    let clear = theirs("m=audio 4000 RTP/AVP 8");
    assert_eq!(leg.answer(&clear), Err(OfferError::Downgrade));
    let ours = leg.offer().unwrap();
    assert!(line(&ours, "a=crypto:").starts_with("a=crypto:1 AES_CM_128_HMAC_SHA1_80 "));
    assert_eq!(leg.take_answer(&clear), Err(OfferError::Downgrade));
    assert_eq!(leg.agreed().unwrap().keys.as_ref(), Some(&second));

    // A refresh of ours is the same text; another port has another key.
    let same = leg.offer().unwrap();
    assert_eq!(version(&same), version(&ours));
    leg.abandon();
    leg.set_port(30_000);
    let moved = leg.offer().unwrap();
    assert_ne!(line(&moved, "a=crypto:"), line(&ours, "a=crypto:"));
}

// covers: RFC 8643 §4
#[test]
fn a_stream_that_began_in_clear_offers_no_keys_later() {
    let mut leg = leg(OPTIONAL);
    leg.answer(&theirs("m=audio 4000 RTP/AVP 8")).unwrap();
    assert_eq!(line(&leg.offer().unwrap(), "a=crypto"), "");
}

#[test]
fn every_leg_suite_and_port_has_a_key_of_its_own_and_none_is_printed() {
    let seed = KeySeed::new([9; 32]);
    let mut keys = std::collections::HashSet::new();
    for number in 0..4 {
        for suite in CryptoSuite::ALL {
            for generation in 0..3 {
                let key = seed.of_leg(number).key(suite, generation);
                assert!(keys.insert(key.as_bytes()[..16].to_vec()));
            }
        }
    }
    let mut leg = leg(REQUIRED);
    let offer = leg.offer().unwrap();
    let printed = line(&offer, "a=crypto:").split("inline:").nth(1).unwrap();
    let cm = format!("m=audio 4000 RTP/SAVP 8|a=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:{KEY}");
    leg.take_answer(&theirs(&cm)).unwrap();
    let text = format!("{leg:?}");
    let ours = leg.agreed().unwrap().keys.as_ref().unwrap().send.as_bytes();
    let decimals = format!("{:?}", &ours[..4]);
    for secret in [
        printed,
        KEY,
        &STANDARD.encode(ours),
        "3, 3, 3",
        &decimals[1..decimals.len() - 1],
    ] {
        assert!(!text.contains(secret), "{text}");
    }
}
