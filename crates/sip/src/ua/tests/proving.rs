//! Credentials: a challenge is answered with the strongest proof, and not without end.

use super::pair::{Pair, Side};
use super::stories::SECOND;
use crate::auth::{Algorithm, AuthorizationHeader, Credentials, DigestServer, Ha1};
use crate::message::{Method, Name};
use crate::ua::*;

// covers: RFC 3261 §10.2, RFC 3261 §22.1, RFC 3261 §22.2, RFC 7616 §3.3
#[test]
fn a_challenged_registration_is_sent_again_with_the_strongest_proof() {
    let mut pair = Pair::clean();
    let register = OutOfDialog {
        method: Method::Register,
        request_uri: "sip:10.0.0.2".into(),
        flow: pair.flow(Side::A),
        from: "<sip:alice@10.0.0.2>".into(),
        to: "<sip:alice@10.0.0.2>".into(),
        contact_user: Some("alice".into()),
        headers: vec![
            ("Call-ID".into(), "mine".into()),
            ("CSeq".into(), "7".into()),
        ],
        body: None,
        credentials: Some(Credentials::password("alice", "sesame")),
    };
    let sent = pair
        .act(Side::A, |ua, now| ua.request(now, register))
        .unwrap();
    let mut digest = DigestServer::new([1; 32], "tandem", 60 * SECOND);
    let peer = IpAddr::from([10, 0, 0, 1]);
    for round in 0..2 {
        pair.run(SECOND);
        let Some((
            now,
            Side::B,
            Event::Requested {
                request_id,
                request,
                ..
            },
        )) = pair.events.last().cloned()
        else {
            panic!()
        };
        assert_eq!(
            (request.call_id(), request.cseq().unwrap().number),
            (Ok("mine"), 7 + round)
        );
        let lookup = |user: &str, alg| Some(Ha1::from_password(user, "tandem", "sesame", alg));
        let verified = request.header(Name::Authorization).map(|value| {
            let header = AuthorizationHeader::parse(value).unwrap();
            let uri = request.request_uri().unwrap();
            digest
                .verify(now, peer, &header, ("REGISTER", uri, b""), lookup)
                .unwrap()
                .algorithm
        });
        let challenges = [Algorithm::Md5, Algorithm::Sha256].map(|alg| {
            (
                "WWW-Authenticate".to_owned(),
                digest.challenge(now, peer, alg, false),
            )
        });
        match verified {
            None => pair.act(Side::B, |ua, now| {
                ua.respond(now, request_id, 401, &challenges, None)
            }),
            Some(algorithm) => {
                assert_eq!(algorithm, Algorithm::Sha256);
                pair.act(Side::B, |ua, now| {
                    ua.respond(now, request_id, 200, &[], None)
                });
            }
        }
    }
    pair.rest();
    let Some((
        _,
        Side::A,
        Event::Response {
            request_id, status, ..
        },
    )) = pair.events.last()
    else {
        panic!()
    };
    assert_eq!((*request_id, *status), (sent, 200));
    pair.assert_empty();
}

// covers: RFC 3261 §22.2, RFC 3261 §22.3
#[test]
fn wrong_credentials_are_sent_twice_at_most_and_never_to_another_realm() {
    let challenge = |realm: &str| {
        vec![(
            "Proxy-Authenticate".to_owned(),
            format!("Digest realm=\"{realm}\", nonce=\"n\""),
        )]
    };
    for (realm, invites) in [("ours", 3), ("theirs", 1)] {
        let mut pair = Pair::clean();
        pair.policy = match realm {
            "ours" => |pair, _, event| refuse_with(pair, event, "ours"),
            _ => |pair, _, event| refuse_with(pair, event, "theirs"),
        };
        fn refuse_with(pair: &mut Pair, event: &Event, realm: &str) {
            if let Event::Invited { session, .. } = event {
                let value = format!("Digest realm=\"{realm}\", nonce=\"n\"");
                let headers = vec![("Proxy-Authenticate".to_owned(), value)];
                let ending = Ending {
                    status: 407,
                    reason: None,
                    headers,
                };
                let session = *session;
                pair.act(Side::B, |ua, now| ua.end(now, session, ending));
            }
        }
        let us = Credentials {
            realm: Some("ours".into()),
            ..Credentials::password("a", "b")
        };
        pair.call_as(Some("offer"), Some(us));
        pair.rest();
        assert_eq!(
            pair.count(Side::A, "INVITE"),
            invites,
            "{:?}",
            challenge(realm)
        );
        assert_eq!(pair.told(Side::A), ["refused 407"]);
        pair.assert_empty();
    }
}
