//! Vectors of the RFCs, an independent implementation as a peer, and packets as networks treat them.

use proptest::prelude::*;

use super::derive::SessionKeys;
use super::session::Session;
use super::{MasterKey, OVERHEAD_MAX, Protector, SrtpError, Suite, Unprotector};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn master(suite: Suite) -> MasterKey {
    let bytes: Vec<u8> = (0..suite.key_len() + suite.salt_len())
        .map(|n| (n * 37 + 11) as u8)
        .collect();
    MasterKey::new(suite, &bytes).unwrap()
}

fn pair(suite: Suite) -> (Protector, Unprotector) {
    (
        Protector::new(master(suite)).unwrap(),
        Unprotector::new(master(suite)).unwrap(),
    )
}

/// An RTP packet whose payload tells its number.
fn packet(number: u64, ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 8];
    packet.extend((number as u16).to_be_bytes());
    packet.extend((number as u32).wrapping_mul(160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend(std::iter::repeat_n(number as u8, 160));
    packet
}

fn protected(protector: &mut Protector, number: u64) -> Vec<u8> {
    sealed(protector, packet(number, 7)).unwrap()
}

fn sealed(protector: &mut Protector, mut packet: Vec<u8>) -> Result<Vec<u8>, SrtpError> {
    let len = packet.len();
    packet.resize(len + OVERHEAD_MAX, 0);
    let len = protector.rtp(&mut packet, len)?;
    packet.truncate(len);
    Ok(packet)
}

fn opened(unprotector: &mut Unprotector, mut packet: Vec<u8>) -> Result<Vec<u8>, SrtpError> {
    let len = unprotector.rtp(&mut packet)?;
    packet.truncate(len);
    Ok(packet)
}

// covers: RFC 3711 §4.3
#[test]
fn session_keys_are_those_of_rfc_3711_b_3() {
    let bytes = hex("E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6");
    let master = MasterKey::new(Suite::AesCm128HmacSha1_80, &bytes).unwrap();
    let keys = SessionKeys::rtp(&master);
    assert_eq!(keys.key[..16], hex("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(keys.salt.to_vec(), hex("30CBBC08863D8C85D49DB34A9AE1"));
    assert_eq!(
        keys.auth.to_vec(),
        hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4")
    );
}

// covers: RFC 7714 §16, RFC 7714 §17
#[test]
fn packets_are_those_of_rfc_7714_16_and_17() {
    let keys = |len: u8| SessionKeys {
        key: std::array::from_fn(|n| if n < usize::from(len) { n as u8 } else { 0 }),
        auth: [0; 20],
        salt: std::array::from_fn(|n| *b"Quid pro quo".get(n).unwrap_or(&0)),
    };
    let rtp = hex("8040f17b8041f8d35501a0b2");
    let rtp = [&rtp[..], b"Gallia est omnis divisa in partes tres"].concat();
    let rtcp = hex(
        "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61
         deadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
    );
    let table = [
        (
            Suite::AeadAes128Gcm,
            "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7
             d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce",
            "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce0
             9b4686303ded0bb9275bc84aa45896cf4d2fc5abf87245d9eade800005d4",
        ),
        (
            Suite::AeadAes256Gcm,
            "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ff
             ae0f1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a76c13",
            "81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415
             f658c61de0476f1b6fad1d1eb30c4446839f57ff6f6cb26ac3be800005d4",
        ),
    ];
    for (suite, srtp, srtcp) in table {
        let keys = keys(suite.key_len() as u8);
        let (mut protector, mut unprotector) = (
            Protector::of(Session::keyed(master(suite), &keys, &keys).unwrap()),
            Unprotector::of(Session::keyed(master(suite), &keys, &keys).unwrap()),
        );
        assert_eq!(sealed(&mut protector, rtp.clone()), Ok(hex(srtp)));
        assert_eq!(opened(&mut unprotector, hex(srtp)), Ok(rtp.clone()));
        let mut report = rtcp.clone();
        report.resize(rtcp.len() + OVERHEAD_MAX, 0);
        protector.count_reports_from(0x5d3);
        assert_eq!(protector.rtcp(&mut report, rtcp.len()), Ok(rtcp.len() + 20));
        assert_eq!(report, hex(srtcp));
        assert_eq!(unprotector.rtcp(&mut report), Ok(rtcp.len()));
        assert_eq!(report[..rtcp.len()], rtcp);
    }
}

/// The packets of another implementation, whose authors read the RFCs for themselves.
#[test]
fn another_implementation_opens_ours_and_we_open_its_own_across_the_wrap() {
    use sipx_rtp::srtp::{Context, Profile};
    let profiles = [
        (Suite::AesCm128HmacSha1_80, Profile::AesCm128HmacSha1_80),
        (Suite::AeadAes128Gcm, Profile::AeadAes128Gcm),
        (Suite::AeadAes256Gcm, Profile::AeadAes256Gcm),
    ];
    for (suite, profile) in profiles {
        let key = master(suite);
        let other = || Context::new(profile, key.key(), key.salt()).unwrap();
        let (mut ours_out, mut ours_in) = pair(suite);
        let (mut other_out, mut other_in) = (other(), other());
        for number in 65_400..65_700 {
            let plain = packet(number, 7);
            let sent = protected(&mut ours_out, number);
            assert_eq!(
                other_in.unprotect(&sent).unwrap(),
                plain,
                "{suite:?} {number}"
            );
            let sent = other_out.protect(&plain).unwrap();
            assert_eq!(opened(&mut ours_in, sent), Ok(plain), "{suite:?} {number}");
        }
        let report = [0x80, 201, 0, 1, 0, 0, 0, 7];
        for _ in 0..3 {
            let mut buffer = [0; 8 + OVERHEAD_MAX];
            buffer[..8].copy_from_slice(&report);
            let len = ours_out.rtcp(&mut buffer, 8).unwrap();
            assert_eq!(other_in.unprotect_rtcp(&buffer[..len]).unwrap(), report);
            let mut sent = other_out.protect_rtcp(&report).unwrap();
            assert_eq!(ours_in.rtcp(&mut sent), Ok(8), "{suite:?}");
            assert_eq!(sent[..8], report);
        }
    }
}

// covers: RFC 4568 §6.2.2
#[test]
fn a_short_tag_is_rtps_alone() {
    let (mut protector, mut unprotector) = pair(Suite::AesCm128HmacSha1_32);
    assert_eq!(protected(&mut protector, 1).len(), 172 + 4);
    let mut report = [0; 8 + OVERHEAD_MAX];
    report[..8].copy_from_slice(&[0x80, 201, 0, 1, 0, 0, 0, 7]);
    assert_eq!(protector.rtcp(&mut report, 8), Ok(8 + 4 + 10));
    assert_eq!(unprotector.rtcp(&mut report[..22]), Ok(8));
}

#[test]
fn header_extension_and_contributing_sources_stay_in_clear() {
    for suite in Suite::ALL {
        let (mut protector, mut unprotector) = pair(suite);
        let mut plain = vec![0x91, 8, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 9, 9, 9, 9];
        plain.extend([0xBE, 0xDE, 0, 1, 1, 2, 3, 4, 80, 81, 82, 83]);
        let sent = sealed(&mut protector, plain.clone()).unwrap();
        assert_eq!(sent[..24], plain[..24]);
        assert_ne!(sent[24..28], plain[24..28]);
        assert_eq!(opened(&mut unprotector, sent), Ok(plain));
    }
}

// covers: RFC 3711 §3.3
#[test]
fn a_packet_that_is_not_authentic_is_left_as_it_was_and_changes_nothing() {
    for suite in Suite::ALL {
        let (mut protector, mut unprotector) = pair(suite);
        let good = protected(&mut protector, 40);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let sent = bad.clone();
            assert!(unprotector.rtp(&mut bad).is_err(), "{suite:?} byte {at}");
            assert_eq!(bad, sent);
        }
        // A far sequence number, forged, does not move the window.
        let mut far = good.clone();
        far[2] ^= 0x80;
        assert_eq!(opened(&mut unprotector, far), Err(SrtpError::Unauthentic));
        assert_eq!(
            opened(&mut unprotector, packet(41, 7)),
            Err(SrtpError::Unauthentic)
        );
        assert_eq!(opened(&mut unprotector, good), Ok(packet(40, 7)));
    }
}

// covers: RFC 3711 §3.4
#[test]
fn a_report_that_is_forged_in_clear_or_a_replay_is_refused() {
    for suite in Suite::ALL {
        let (mut protector, mut unprotector) = pair(suite);
        let mut report = vec![0x80, 201, 0, 1, 0, 0, 0, 7, 1, 2, 3, 4];
        report.resize(12 + OVERHEAD_MAX, 0);
        let len = protector.rtcp(&mut report, 12).unwrap();
        report.truncate(len);
        for at in 0..len {
            let mut bad = report.clone();
            bad[at] ^= 0x80;
            let sent = bad.clone();
            assert!(unprotector.rtcp(&mut bad).is_err(), "{suite:?} byte {at}");
            assert_eq!(bad, sent);
        }
        assert_eq!(unprotector.rtcp(&mut report.clone()), Ok(12));
        assert_eq!(unprotector.rtcp(&mut report), Err(SrtpError::Replayed));
    }
}

// covers: RFC 3711 §9.1
#[test]
fn an_index_is_never_used_twice_to_send() {
    let (mut protector, _) = pair(Suite::AeadAes128Gcm);
    for number in [100, 102, 101] {
        assert!(sealed(&mut protector, packet(number, 7)).is_ok());
    }
    for number in [100, 101, 102] {
        let again = sealed(&mut protector, packet(number, 7));
        assert_eq!(again, Err(SrtpError::Replayed));
    }
    // What is older than the window cannot be told from what was sent.
    assert!(sealed(&mut protector, packet(400, 7)).is_ok());
    assert_eq!(
        sealed(&mut protector, packet(200, 7)),
        Err(SrtpError::Replayed)
    );
}

// covers: RFC 3711 §9.2
#[test]
fn a_worn_out_key_protects_nothing_more() {
    let (mut protector, _) = pair(Suite::AesCm128HmacSha1_80);
    protector.continue_from((1 << 48) - 2);
    assert!(sealed(&mut protector, packet(0xFFFF, 7)).is_ok());
    assert_eq!(
        sealed(&mut protector, packet(0, 7)),
        Err(SrtpError::Exhausted)
    );
    protector.count_reports_from((1 << 31) - 2);
    let mut report = [0; 8 + OVERHEAD_MAX];
    report[0] = 0x80;
    assert!(protector.rtcp(&mut report, 8).is_ok());
    assert_eq!(protector.rtcp(&mut report, 8), Err(SrtpError::Exhausted));
}

#[test]
fn a_buffer_without_room_is_refused_untouched_and_the_index_stays_free() {
    for suite in Suite::ALL {
        let (mut protector, _) = pair(suite);
        let mut plain = packet(1, 7);
        let len = plain.len();
        assert_eq!(protector.rtp(&mut plain, len), Err(SrtpError::NoRoom));
        assert_eq!(protector.rtcp(&mut plain, len), Err(SrtpError::NoRoom));
        assert_eq!(plain, packet(1, 7));
        assert!(sealed(&mut protector, plain).is_ok());
    }
}

// covers: RFC 3711 §3.3.1
#[test]
fn after_a_new_key_the_peer_may_go_on_counting_or_begin_anew() {
    let suite = Suite::AesCm128HmacSha1_80;
    let (mut protector, mut before) = pair(suite);
    for number in (65_000..65_600).step_by(50) {
        assert!(opened(&mut before, protected(&mut protector, number)).is_ok());
    }
    let key = MasterKey::new(suite, &[9; 30]).unwrap();
    for (continues, roc) in [(true, 1 << 16), (false, 0)] {
        let mut protector = Protector::new(key.clone()).unwrap();
        let mut unprotector = Unprotector::new(key.clone()).unwrap();
        unprotector.succeed(&before);
        protector.continue_from(roc | 70);
        for number in 80..90 {
            let sent = protected(&mut protector, number);
            assert!(opened(&mut unprotector, sent).is_ok(), "{continues}");
        }
        assert_eq!(
            opened(&mut unprotector, protected(&mut protector, 79)),
            Ok(packet(79, 7))
        );
        // The old key's packets are no longer heard.
        let (mut old, _) = pair(suite);
        let late = protected(&mut old, 91);
        assert_eq!(opened(&mut unprotector, late), Err(SrtpError::Unauthentic));
    }
}

#[test]
fn sources_have_windows_of_their_own_and_the_longest_silent_makes_room() {
    let (_, mut unprotector) = pair(Suite::AesCm128HmacSha1_80);
    let mut take = |ssrc: u32| {
        let mut protector = pair(Suite::AesCm128HmacSha1_80).0;
        let sent = sealed(&mut protector, packet(5, ssrc)).unwrap();
        opened(&mut unprotector, sent).map(|_| ())
    };
    for ssrc in 0..4 {
        assert_eq!(take(ssrc), Ok(()));
        assert_eq!(take(ssrc), Err(SrtpError::Replayed));
    }
    assert_eq!(take(4), Ok(()));
    assert_eq!(
        take(3),
        Err(SrtpError::Replayed),
        "only the oldest is forgotten"
    );
}

#[test]
fn keys_are_never_printed() {
    for suite in Suite::ALL {
        let (protector, unprotector) = pair(suite);
        let text = format!("{:?} {protector:?} {unprotector:?}", master(suite));
        // The first bytes of every key of these tests, as decimals and as hex digits.
        assert!(!text.contains("11, 48") && !text.contains("0b30"), "{text}");
        assert!(text.contains("secret"));
    }
}

proptest! {
    /// Any loss, order and repetition within the window: each packet is heard once.
    // covers: RFC 3711 §3.3.2
    #[test]
    fn what_a_network_does_to_a_stream_costs_only_what_it_lost(
        start in 0_u64..0x8000,
        steps in prop::collection::vec((0_u64..400, 0_u64..200), 1..200),
        suite in 0_usize..4,
    ) {
        let (mut protector, mut unprotector) = pair(Suite::ALL[suite]);
        let mut stream = std::collections::BTreeMap::new();
        let (mut at, mut newest, mut heard) = (start, 0, std::collections::BTreeSet::new());
        for (ahead, behind) in steps {
            at += ahead;
            let number = at.saturating_sub(behind).max(start);
            let sent = match stream.get(&number) {
                Some(sent) => Vec::clone(sent),
                None => match sealed(&mut protector, packet(number, 7)) {
                    Ok(sent) => { stream.insert(number, sent.clone()); sent }
                    Err(_) => continue,
                },
            };
            let fresh = heard.is_empty() || number + 128 > newest && !heard.contains(&number);
            let was = opened(&mut unprotector, sent);
            if fresh {
                prop_assert_eq!(was, Ok(packet(number, 7)));
                heard.insert(number);
                newest = newest.max(number);
            } else {
                prop_assert_eq!(was, Err(SrtpError::Replayed));
            }
        }
    }
}
