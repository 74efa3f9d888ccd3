use super::*;
use clock::{Duration, Now};
use std::net::{IpAddr, Ipv4Addr};

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

fn server() -> DigestServer {
    DigestServer::new([7; 32], "tandem.test", Duration::from_secs(300))
}

fn secret_of(user: &str, algorithm: Algorithm) -> Option<Ha1> {
    (user == "alice").then(|| Ha1::from_password(user, "tandem.test", "sesame", algorithm))
}

/// One honest answer to a fresh challenge.
fn proof(server: &mut DigestServer, algorithm: Algorithm, user: &str, count: u32) -> String {
    let challenge = Challenge::parse(&server.challenge(Now::ZERO, PEER, algorithm, false)).unwrap();
    prove(&challenge, user, count)
}

fn prove(challenge: &Challenge, user: &str, count: u32) -> String {
    let us = Credentials::password(user, "sesame");
    let request = ("REGISTER", "sip:tandem.test", b"".as_slice());
    answer(
        std::slice::from_ref(challenge),
        &us,
        request,
        "0a4f113b",
        count,
    )
    .unwrap()
}

fn verify(server: &mut DigestServer, at: Now, peer: IpAddr, value: &str) -> Result<(), Denied> {
    let header = AuthorizationHeader::parse(value).unwrap();
    server
        .verify(
            at,
            peer,
            &header,
            ("REGISTER", "sip:tandem.test", b""),
            secret_of,
        )
        .map(|_| ())
}

// covers: RFC 7616 §3.4.6, RFC 3261 §22.4
#[test]
fn a_proof_for_one_user_is_none_for_another_though_hosts_may_change() {
    let proof = |uri: &str| {
        format!("Digest username=\"u\", realm=\"r\", nonce=\"n\", uri=\"{uri}\", response=\"0\"")
    };
    let table = [
        ("sip:9000@tandem.test", "sip:9000@tandem.test", false),
        // As baresip and linphone digest: the Request-URI. As SIPp does: host and port.
        ("sip:127.0.0.1:5060", "sip:9000@127.0.0.1:5060", false),
        (
            "sip:9000@tandem.test",
            "sip:9000@10.0.0.2:5060;transport=tcp",
            false,
        ),
        ("sip:+49%33@a", "sip:+493@b", false),
        ("tel:+493012", "sip:+493012@tandem.test;user=phone", false),
        ("sip:9000@tandem.test", "sip:tandem.test", false),
        ("sip:9000@tandem.test", "sip:00881@tandem.test", true),
        ("sip:Bob@tandem.test", "sip:bob@tandem.test", true),
        ("/dir/index.html", "sip:9000@tandem.test", true),
    ];
    for (proven, asked, is_other) in table {
        let value = proof(proven);
        let header = AuthorizationHeader::parse(&value).unwrap();
        assert_eq!(header.is_for_another(asked), is_other, "{proven} {asked}");
    }
}

// covers: RFC 7616 §3.4.6
#[test]
fn a_right_proof_sent_with_another_target_is_denied_and_not_stale() {
    let (now, peer) = (Now::ZERO, IpAddr::from([10, 0, 0, 1]));
    let mut server = server();
    let challenge = server.challenge(now, peer, Algorithm::Md5, false);
    let challenge = Challenge::parse(&challenge).unwrap();
    let request = ("INVITE", "sip:9000@tandem.test", b"".as_slice());
    let us = Credentials::password("alice", "sesame");
    let value = answer(&[challenge], &us, request, "0a4f113b", 1).unwrap();
    let header = AuthorizationHeader::parse(&value).unwrap();
    let mut verify = |uri: &str| {
        let asked = ("INVITE", uri, b"".as_slice());
        server
            .verify(now, peer, &header, asked, secret_of)
            .map(drop)
    };
    let denied = Denied {
        why: DenyReason::OtherTarget,
        stale: false,
        hears_us: true,
    };
    assert_eq!(verify("sip:00881@tandem.test"), Err(denied));
    // And it did not use up the count.
    assert_eq!(verify("sip:9000@tandem.test"), Ok(()));
}

// covers: RFC 2617 §3.5
#[test]
fn the_example_of_rfc_2617_is_reproduced() {
    let ha1 = Ha1::from_password(
        "Mufasa",
        "testrealm@host.com",
        "Circle Of Life",
        Algorithm::Md5,
    );
    let qop = Some(Qop {
        token: "auth",
        nc: "00000001",
        cnonce: "0a4f113b",
    });
    let exchange = Exchange {
        method: "GET",
        uri: "/dir/index.html",
        nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        qop,
        body: b"",
    };
    assert_eq!(
        response(&ha1, &exchange).to_string(),
        "6629fae49393a05397450978507c4ef1"
    );
    let old = Exchange {
        qop: None,
        ..exchange
    };
    assert_eq!(
        response(&ha1, &old).to_string(),
        "670fd8c2df070c60b045671b8b24ff02"
    );
}

// covers: RFC 7616 §3.9.1
#[test]
fn the_examples_of_rfc_7616_are_reproduced() {
    let want = [
        (Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
        (
            Algorithm::Sha256,
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        ),
    ];
    for (algorithm, wanted) in want {
        let realm = "http-auth@example.org";
        let ha1 = Ha1::from_password("Mufasa", realm, "Circle of Life", algorithm);
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let exchange = Exchange {
            method: "GET",
            uri: "/dir/index.html",
            nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            qop: Some(Qop {
                token: "auth",
                nc: "00000001",
                cnonce,
            }),
            body: b"",
        };
        assert_eq!(response(&ha1, &exchange).to_string(), wanted);
    }
}

// covers: RFC 7616 §3.9.2
#[test]
fn the_sha_512_256_example_is_reproduced_as_erratum_4897_corrects_it() {
    let ha1 = Ha1::from_password(
        "J\u{e4}s\u{f8}n Doe",
        "api@example.org",
        "Secret, or not?",
        Algorithm::Sha512_256,
    );
    let exchange = Exchange {
        method: "GET",
        uri: "/doe.json",
        nonce: "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
        qop: Some(Qop {
            token: "auth",
            nc: "00000001",
            cnonce: "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
        }),
        body: b"",
    };
    assert_eq!(
        response(&ha1, &exchange).to_string(),
        "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"
    );
}

// covers: RFC 8760 §2.1, RFC 3261 §22.4
#[test]
fn an_honest_user_is_let_in_under_each_algorithm() {
    for algorithm in [Algorithm::Md5, Algorithm::Sha256, Algorithm::Sha512_256] {
        let mut server = server();
        let value = proof(&mut server, algorithm, "alice", 1);
        assert_eq!(verify(&mut server, Now::ZERO, PEER, &value), Ok(()));
    }
}

// covers: RFC 7616 §3.4
#[test]
fn the_tenth_use_of_a_nonce_is_hexadecimal_and_accepted() {
    let mut server = server();
    let challenge =
        Challenge::parse(&server.challenge(Now::ZERO, PEER, Algorithm::Md5, false)).unwrap();
    for count in 1..=300 {
        let value = prove(&challenge, "alice", count);
        assert!(value.contains(&format!("nc={count:08x}")));
        assert_eq!(
            verify(&mut server, Now::ZERO, PEER, &value),
            Ok(()),
            "count {count}"
        );
    }
}

#[test]
fn a_replayed_count_is_stale_and_a_reordered_one_is_not() {
    let mut server = server();
    let challenge =
        Challenge::parse(&server.challenge(Now::ZERO, PEER, Algorithm::Md5, false)).unwrap();
    let table = [
        (1, true),
        (3, true),
        (2, true),
        (2, false),
        (3, false),
        (100, true),
        (9, false),
    ];
    for (count, good) in table {
        let value = prove(&challenge, "alice", count);
        let result = verify(&mut server, Now::ZERO, PEER, &value);
        let replayed = Err(Denied {
            why: DenyReason::Replayed,
            stale: true,
            hears_us: true,
        });
        assert_eq!(
            result,
            if good { Ok(()) } else { replayed },
            "count {count}"
        );
    }
}

#[test]
fn an_unknown_user_and_a_wrong_password_look_the_same() {
    let mut server = server();
    let unknown = proof(&mut server, Algorithm::Sha256, "mallory", 1);
    let wrong =
        proof(&mut server, Algorithm::Sha256, "alice", 1).replace("response=\"", "response=\"f");
    let denied = Err(Denied {
        why: DenyReason::WrongProof,
        stale: false,
        hears_us: true,
    });
    assert_eq!(verify(&mut server, Now::ZERO, PEER, &unknown), denied);
    assert_eq!(verify(&mut server, Now::ZERO, PEER, &wrong), denied);
}

// covers: RFC 7616 §3.3
#[test]
fn an_old_nonce_and_another_hosts_nonce_are_stale() {
    let mut server = server();
    let value = proof(&mut server, Algorithm::Md5, "alice", 1);
    let late = Now::ZERO + Duration::from_secs(301);
    let expired = Err(Denied {
        why: DenyReason::ExpiredNonce,
        stale: true,
        hears_us: true,
    });
    let foreign = Err(Denied {
        why: DenyReason::ForeignNonce,
        stale: true,
        hears_us: false,
    });
    assert_eq!(verify(&mut server, late, PEER, &value), expired);
    assert_eq!(verify(&mut server, Now::ZERO, OTHER, &value), foreign);
    assert!(
        server
            .challenge(late, PEER, Algorithm::Md5, true)
            .contains("stale=true")
    );
}

// covers: RFC 2617 §3.2.2.1
#[test]
fn a_client_without_qop_is_let_in_once_per_nonce() {
    let mut server = server();
    let offered = server.challenge(Now::ZERO, PEER, Algorithm::Md5, false);
    let old = Challenge::parse(&offered.replace(", qop=\"auth\"", "")).unwrap();
    let value = prove(&old, "alice", 1);
    assert!(!value.contains("nc="));
    assert_eq!(verify(&mut server, Now::ZERO, PEER, &value), Ok(()));
    let replayed = Err(Denied {
        why: DenyReason::Replayed,
        stale: true,
        hears_us: true,
    });
    assert_eq!(verify(&mut server, Now::ZERO, PEER, &value), replayed);
}

// covers: RFC 8760 §2.4
#[test]
fn the_strongest_challenge_of_our_realm_is_answered_and_no_other_realm_ever() {
    let offer = |realm: &str, algorithm: &str| {
        let value = format!("Digest realm=\"{realm}\", nonce=\"n\", algorithm={algorithm}");
        Challenge::parse(&value).unwrap()
    };
    let offers = [
        offer("ours", "MD5"),
        offer("ours", "SHA-256"),
        offer("theirs", "SHA-512-256"),
        offer("ours", "SHA-3"),
    ];
    let us = Credentials {
        realm: Some("ours".into()),
        ..Credentials::password("a", "b")
    };
    let request = ("INVITE", "sip:x", b"".as_slice());
    let value = answer(&offers, &us, request, "c", 1).unwrap();
    assert!(
        value.contains("realm=\"ours\"") && value.contains("algorithm=SHA-256"),
        "{value}"
    );
    assert_eq!(answer(&offers[2..], &us, request, "c", 1), None);
}

#[test]
fn broken_headers_are_errors_with_their_place() {
    let table = [
        ("Basic abc", FieldError::OtherScheme),
        ("Digest", FieldError::OtherScheme),
        ("Digest username", FieldError::Malformed(7)),
        ("Digest username=\"a", FieldError::Malformed(7)),
        ("Digest username=\"a\" b", FieldError::Malformed(20)),
        ("Digest username=\"a\\", FieldError::Malformed(7)),
        (
            "Digest username=a, username=b, realm=r",
            FieldError::Field("username"),
        ),
        (
            "Digest username=a, realm=r, nonce=n, uri=u",
            FieldError::Field("response"),
        ),
        (
            "Digest username=a, qop=auth, nc=1",
            FieldError::Field("cnonce"),
        ),
    ];
    for (value, error) in table {
        assert_eq!(AuthorizationHeader::parse(value), Err(error), "{value}");
    }
}

#[test]
fn an_escaped_user_name_is_read_as_meant() {
    let value = r#"Digest username="a\"b", realm="r",nonce=n , uri="sip:x" ,response="00""#;
    assert_eq!(AuthorizationHeader::parse(value).unwrap().username, "a\"b");
}

#[test]
fn secrets_never_reach_a_log() {
    let ha1 = Ha1::from_password("alice", "r", "sesame", Algorithm::Md5);
    let us = Credentials::password("alice", "sesame");
    let text = format!("{ha1:?} {us:?} {:?} {:?}", us.secret, server());
    assert!(!text.contains("sesame") && !text.contains(&ha1.to_hex()) && !text.contains("7, 7"));
}
