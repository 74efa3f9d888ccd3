//! Admission: by source, by digest, by caps; and what refusals say.

use clock::Duration;
use sip::auth::{self, Credentials, DenyReason};
use sip::message::Message;
use sip::transport::{Flow, ListenerId};

use super::super::{
    Admission, Admitted, Digests, Disproof, IdentityPolicy, Numbers, Outgoing, Refusal, Secrets,
    SendForm, Strangers, TrunkConfig, Trunks, TrunksConfig,
};
use super::{REALM, at_ms, endpoint, invite, request, tcp, trunk, udp};

fn world(trunks: Vec<TrunkConfig>, endpoints: &[(&str, Digests)]) -> Trunks {
    Trunks::new(TrunksConfig {
        trunks,
        endpoints: endpoints
            .iter()
            .map(|&(name, digests)| endpoint(name, digests))
            .collect(),
        realm: REALM.to_owned(),
        digests: Digests::Md5,
        nonce_secret: [7; 32],
        nonce_life: Duration::from_secs(60),
    })
}

/// A call of ours by a trunk.
fn to(trunk: &str) -> Outgoing<'_> {
    Outgoing {
        trunk,
        number: "+33142685300",
        shown: "",
        sponsors: &[],
        depth: 0,
    }
}

/// What became of a request, in a word or two.
fn outcome(admission: &Admission) -> String {
    match admission {
        Admission::Trunk(call) => format!("trunk {} {}>{}", call.trunk, call.caller, call.called),
        Admission::Endpoint(call) => format!("endpoint {} >{}", call.endpoint.name, call.called),
        Admission::Challenge(challenge) => {
            let values = challenge.headers.iter().map(|(_, value)| value.as_str());
            let named = |value: &str| {
                auth::Challenge::parse(value)
                    .unwrap()
                    .algorithm
                    .unwrap()
                    .token()
            };
            let list: Vec<&str> = values.map(named).collect();
            format!("challenge {} {}", challenge.status, list.join(" "))
        }
        Admission::Refused(refusal) => format!("refused {} {:?}", refusal.id(), refusal.status()),
    }
}

fn admit(trunks: &mut Trunks, request: &Message, flow: Flow) -> String {
    outcome(&trunks.admit(at_ms(1_000), request, flow))
}

/// A REGISTER of `to`, with an Authorization line or none.
fn register(to: &str, authorization: Option<&str>) -> Message {
    let more = authorization
        .map(|value| format!("|Authorization: {value}"))
        .unwrap_or_default();
    let lines = format!("To: <sip:{to}@example.org>|Call-ID: r1|CSeq: 1 REGISTER{more}");
    request("REGISTER", "sip:example.org", to, &lines)
}

/// The Authorization value with which `user` answers the challenge to `bare`.
fn proof(trunks: &mut Trunks, bare: &Message, flow: Flow, user: &str, password: &str) -> String {
    let Admission::Challenge(challenge) = trunks.admit(at_ms(1_000), bare, flow) else {
        panic!("not challenged");
    };
    let values = challenge
        .headers
        .iter()
        .map(|(_, value)| auth::Challenge::parse(value).unwrap());
    let challenges: Vec<auth::Challenge> = values.collect();
    let exchange = (
        bare.method_str().unwrap(),
        bare.request_uri().unwrap(),
        &b""[..],
    );
    let credentials = Credentials::password(user, password);
    auth::answer(&challenges, &credentials, exchange, "c0ffee", 1).unwrap()
}

#[test]
fn the_true_source_says_whose_a_call_is_whatever_the_headers_say() {
    let trunks = vec![
        trunk("wide", &["203.0.113.0/24"]),
        trunk("narrow", &["203.0.113.7"]),
        trunk("port", &["203.0.113.0/24", "203.0.113.7:5080"]),
    ];
    let mut world = world(trunks, &[]);
    let table = [
        ("203.0.113.8:5060", "trunk "),
        ("203.0.113.7:5060", "trunk narrow"),
        ("203.0.113.7:5080", "trunk port"),
        ("198.51.100.1:5060", "refused trunk-unknown-source None"),
    ];
    let forged = invite("100", "200", "P-Asserted-Identity: <sip:203.0.113.7>");
    for (source, want) in table {
        let said = admit(&mut world, &forged, udp(source));
        assert!(said.starts_with(want), "{source}: {said}");
    }
}

// covers: RFC 3325 §9.1
#[test]
fn the_caller_is_whom_a_trusted_trunk_asserts_and_numbers_are_e164() {
    let french = |trust| TrunkConfig {
        numbers: Numbers::of("FR", SendForm::E164).unwrap(),
        identity: IdentityPolicy::trusting(trust),
        ..trunk("acme", &["203.0.113.7"])
    };
    let call = invite(
        "0142685300;npdi",
        "anonymous",
        "P-Asserted-Identity: <sip:0612345678@carrier.example>",
    );
    let flow = udp("203.0.113.7:5060");
    assert_eq!(
        admit(&mut world(vec![french(true)], &[]), &call, flow),
        "trunk acme +33612345678>+33142685300"
    );
    assert_eq!(
        admit(&mut world(vec![french(false)], &[]), &call, flow),
        "trunk acme anonymous>+33142685300"
    );
}

#[test]
fn strangers_hear_what_their_listeners_policy_says() {
    let flows = [udp("198.51.100.1:5060"), tcp("198.51.100.1:5060", 1)];
    let table = [
        (None, [None, Some(403)]),
        (Some(Strangers::Silent), [None, None]),
        (Some(Strangers::Forbidden), [Some(403), Some(403)]),
    ];
    for (policy, want) in table {
        let mut world = world(vec![trunk("acme", &["203.0.113.7"])], &[]);
        if let Some(policy) = policy {
            world.set_strangers(ListenerId(0), policy);
            world.set_strangers(ListenerId(1), policy);
        }
        let statuses = flows.map(
            |flow| match world.admit(at_ms(0), &invite("1", "2", ""), flow) {
                Admission::Refused(refusal) => refusal.status(),
                other => panic!("{other:?}"),
            },
        );
        assert_eq!(statuses, want, "{policy:?}");
        assert!(flows.iter().all(|&flow| !world.may_speak(flow)));
    }
}

// covers: RFC 3261 §22.1, §22.2, §22.4, RFC 8760 §2.3
#[test]
fn a_user_is_challenged_with_his_algorithms_and_a_stranger_with_those_of_some_user() {
    let users = [
        ("md", Digests::Md5),
        ("sha", Digests::Sha256),
        ("two", Digests::Both),
    ];
    let mut world = world(Vec::new(), &users);
    let table = [
        ("md", "challenge 401 MD5"),
        ("sha", "challenge 401 SHA-256"),
        ("two", "challenge 401 SHA-256 MD5"),
    ];
    for (user, want) in table {
        let to = user;
        assert_eq!(
            admit(&mut world, &register(to, None), udp("192.0.2.5:5060")),
            want,
            "{user}"
        );
        assert_eq!(
            admit(&mut world, &invite("1", to, ""), udp("192.0.2.5:5060")),
            want,
            "{user}"
        );
    }
    let users = table.map(|(_, said)| said);
    let stranger = admit(&mut world, &register("nobody", None), udp("192.0.2.5:5060"));
    assert!(users.contains(&stranger.as_str()), "{stranger}");
    // Without users it is what the server is told to ask with.
    let mut empty = self::world(Vec::new(), &[]);
    let flow = udp("192.0.2.5:5060");
    assert!(matches!(
        empty.admit(at_ms(1), &register("x", None), flow),
        Admission::Refused(_)
    ));
}

// covers: RFC 3261 §22.2, §22.4, §10.3
#[test]
fn an_endpoint_that_proves_itself_is_admitted_for_its_own_address_only() {
    for digests in [Digests::Md5, Digests::Sha256, Digests::Both] {
        let mut world = world(Vec::new(), &[("alice", digests), ("bob", digests)]);
        let flow = udp("192.0.2.5:5060");
        let right = proof(
            &mut world,
            &register("alice", None),
            flow,
            "alice",
            "alicealice",
        );
        let said = admit(&mut world, &register("alice", Some(&right)), flow);
        assert_eq!(said, "endpoint alice >");

        let other = proof(
            &mut world,
            &register("alice", None),
            flow,
            "alice",
            "alicealice",
        );
        let said = admit(&mut world, &register("bob", Some(&other)), flow);
        assert_eq!(said, "refused register-not-your-address Some(403)");
    }
}

#[test]
fn a_wrong_password_and_an_unknown_user_are_denied_alike() {
    let mut world = world(Vec::new(), &[("alice", Digests::Md5)]);
    let flow = udp("192.0.2.5:5060");
    for user in ["alice", "nobody"] {
        let wrong = proof(&mut world, &register(user, None), flow, user, "guess");
        let Admission::Challenge(challenge) =
            world.admit(at_ms(1_000), &register(user, Some(&wrong)), flow)
        else {
            panic!("admitted");
        };
        let Some(Disproof::Digest(denied)) = challenge.denied else {
            panic!("{:?}", challenge.denied);
        };
        assert_eq!(
            (denied.why, denied.stale),
            (DenyReason::WrongProof, false),
            "{user}"
        );
        let again = auth::Challenge::parse(&challenge.headers[0].1).unwrap();
        assert!(!again.stale);
    }
}

// covers: RFC 3261 §22.4, RFC 7616 §3.3
#[test]
fn a_replayed_or_aged_proof_is_challenged_as_stale() {
    let mut world = world(Vec::new(), &[("alice", Digests::Md5)]);
    let flow = udp("192.0.2.5:5060");
    let value = proof(
        &mut world,
        &register("alice", None),
        flow,
        "alice",
        "alicealice",
    );
    let proven = register("alice", Some(&value));
    assert_eq!(admit(&mut world, &proven, flow), "endpoint alice >");
    let stale = |admission: Admission| match admission {
        Admission::Challenge(challenge) => {
            auth::Challenge::parse(&challenge.headers[0].1)
                .unwrap()
                .stale
        }
        other => panic!("{other:?}"),
    };
    assert!(stale(world.admit(at_ms(1_001), &proven, flow)), "replayed");

    let value = proof(
        &mut world,
        &register("alice", None),
        flow,
        "alice",
        "alicealice",
    );
    let late = at_ms(1_000) + Duration::from_secs(61);
    assert!(
        stale(world.admit(late, &register("alice", Some(&value)), flow)),
        "aged"
    );
}

#[test]
fn an_algorithm_that_the_user_may_not_use_proves_nothing() {
    let mut world = world(
        Vec::new(),
        &[("sha", Digests::Sha256), ("md", Digests::Md5)],
    );
    let flow = udp("192.0.2.5:5060");
    // The challenge to another user is MD5; answered as the one who must use SHA-256.
    let downgraded = proof(&mut world, &register("md", None), flow, "sha", "shasha");
    assert!(downgraded.contains("MD5"));
    let said = admit(&mut world, &register("sha", Some(&downgraded)), flow);
    assert_eq!(said, "challenge 401 SHA-256");
}

#[test]
fn an_endpoint_is_admitted_only_from_where_it_may_be() {
    let mut world = world(Vec::new(), &[("roamer", Digests::Md5)]);
    let mut desk = endpoint("desk", Digests::Md5);
    desk.sources = vec!["10.0.0.0/8".parse().unwrap()];
    world.put_endpoint(desk);
    let outside = udp("192.0.2.5:5060");
    let value = proof(
        &mut world,
        &register("desk", None),
        outside,
        "desk",
        "deskdesk",
    );
    let Admission::Refused(refusal) =
        world.admit(at_ms(1_000), &register("desk", Some(&value)), outside)
    else {
        panic!("admitted");
    };
    assert_eq!(
        refusal.to_string(),
        "endpoint-source-not-allowed: want a source in 10.0.0.0/8, have desk at 192.0.2.5; \
         add \"192.0.2.5\" to endpoints.desk.sources"
    );
    assert!(world.remove_endpoint("roamer"));
    assert!(!world.may_speak(outside), "nobody else may be there now");
    assert!(world.may_speak(udp("10.9.9.9:5060")));
}

#[test]
fn a_trunk_may_have_to_prove_itself_besides_its_address() {
    let carrier = TrunkConfig {
        inbound: Some((
            "carrier".to_owned(),
            Secrets::from_password("carrier", REALM, "pw", Digests::Md5),
        )),
        ..trunk("acme", &["203.0.113.7"])
    };
    let mut world = world(vec![carrier], &[("alice", Digests::Md5)]);
    let flow = udp("203.0.113.7:5060");
    let bare = invite("100", "carrier", "");
    let value = proof(&mut world, &bare, flow, "carrier", "pw");
    let proven = invite("100", "carrier", &format!("Authorization: {value}"));
    assert_eq!(admit(&mut world, &proven, flow), "trunk acme carrier>100");

    let value = proof(&mut world, &bare, flow, "alice", "alicealice");
    let other = invite("100", "carrier", &format!("Authorization: {value}"));
    assert_eq!(admit(&mut world, &other, flow), "challenge 401 MD5");
    let elsewhere = udp("192.0.2.9:5060");
    let value = proof(&mut world, &bare, elsewhere, "carrier", "pw");
    let moved = invite("100", "carrier", &format!("Authorization: {value}"));
    assert_eq!(admit(&mut world, &moved, elsewhere), "challenge 401 MD5");
}

#[test]
fn credentials_that_cannot_be_read_are_400_and_other_schemes_are_passed_over() {
    let mut world = world(Vec::new(), &[("alice", Digests::Md5)]);
    let flow = udp("192.0.2.5:5060");
    let table = [
        ("Digest username=", "refused malformed-header Some(400)"),
        (
            "Digest realm=\"tandem\"",
            "refused malformed-header Some(400)",
        ),
        ("Bearer abc", "challenge 401 MD5"),
    ];
    for (value, want) in table {
        assert_eq!(
            admit(&mut world, &register("alice", Some(value)), flow),
            want,
            "{value}"
        );
    }
}

/// Admits an INVITE of the trunk at `ms`: its place, or the refusal's id.
fn call(world: &mut Trunks, ms: u64) -> Result<Admitted, &'static str> {
    let flow = udp("203.0.113.7:5060");
    match world.admit(at_ms(ms), &invite("1", "2", ""), flow) {
        Admission::Trunk(call) => Ok(call.admitted.unwrap()),
        Admission::Refused(refusal) => Err(refusal.id()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_concurrency_cap_is_exact_and_a_released_call_makes_room_for_one() {
    let capped = TrunkConfig {
        calls: Some(3),
        ..trunk("acme", &["203.0.113.7"])
    };
    let mut world = world(vec![capped], &[]);
    let mut live: Vec<Admitted> = (0..3).map(|_| call(&mut world, 0).unwrap()).collect();
    assert_eq!(call(&mut world, 0), Err("trunk-call-limit"));
    world.release(at_ms(0), live.pop().unwrap());
    live.push(call(&mut world, 0).unwrap());
    assert_eq!(call(&mut world, 0), Err("trunk-call-limit"));
    let options = request(
        "OPTIONS",
        "sip:x@192.0.2.1",
        "y",
        "To: <sip:x@192.0.2.1>|Call-ID: o|CSeq: 1 OPTIONS",
    );
    assert_eq!(
        admit(&mut world, &options, udp("203.0.113.7:5060")),
        "trunk acme y>x"
    );
    live.into_iter()
        .for_each(|admitted| world.release(at_ms(0), admitted));
    assert_eq!(
        world.trunks().map(|(_, calls)| calls).collect::<Vec<_>>(),
        [0]
    );
}

#[test]
fn the_rate_cap_counts_both_ways_and_a_call_refused_for_the_other_cap_costs_no_token() {
    let capped = TrunkConfig {
        calls: Some(2),
        calls_per_second: Some(3),
        targets: vec![super::super::SendTo::at(
            sip::transport::Transport::Udp,
            "203.0.113.7:5060".parse().unwrap(),
        )],
        ..trunk("acme", &["203.0.113.7"])
    };
    let mut world = world(vec![capped], &[]);
    let first = call(&mut world, 0).unwrap();
    let (_, second) = world.dial(at_ms(0), &to("acme")).unwrap();
    for _ in 0..10 {
        assert_eq!(call(&mut world, 0), Err("trunk-call-limit"));
    }
    world.release(at_ms(0), first);
    world.release(at_ms(0), second);
    let next = call(&mut world, 0).unwrap();
    world.release(at_ms(0), next);
    assert_eq!(call(&mut world, 0), Err("trunk-call-rate"));
    assert!(
        world
            .dial(at_ms(333), &to("acme"))
            .is_err_and(|refusal| refusal.retry_after_secs() == Some(1))
    );
    let next = call(&mut world, 334).unwrap();
    world.release(at_ms(0), next);
}

#[test]
fn calls_go_on_counting_across_a_reload() {
    let capped = |calls| TrunkConfig {
        calls: Some(calls),
        ..trunk("acme", &["203.0.113.7"])
    };
    let mut world = world(vec![capped(2)], &[]);
    let one = call(&mut world, 0).unwrap();
    world.configure(at_ms(0), vec![capped(1)], Vec::new());
    assert_eq!(call(&mut world, 0), Err("trunk-call-limit"));
    world.release(at_ms(0), one);
    assert!(call(&mut world, 0).is_ok());
    world.configure(at_ms(0), Vec::new(), Vec::new());
    assert_eq!(call(&mut world, 0), Err("trunk-unknown-source"));
}

#[test]
fn an_outbound_call_needs_a_trunk_with_somewhere_to_send_to() {
    let mut world = world(vec![trunk("acme", &["203.0.113.7"])], &[]);
    assert_eq!(
        world.dial(at_ms(0), &to("acmee")).unwrap_err().id(),
        "no-such-trunk"
    );
    assert_eq!(
        world.dial(at_ms(0), &to("acme")).unwrap_err().to_string(),
        "trunk-no-target: want an address in trunks.acme.send_to, have none; set trunks.acme.send_to"
    );
}

#[test]
fn a_refused_source_is_told_the_nearest_entry_and_the_fix() {
    let trunks = vec![
        trunk("far", &["10.0.0.0/8"]),
        trunk("acme", &["203.0.113.0/24", "192.0.2.1"]),
    ];
    let mut world = world(trunks, &[]);
    let Admission::Refused(refusal) =
        world.admit(at_ms(0), &invite("1", "2", ""), udp("203.0.112.9:5060"))
    else {
        panic!("admitted");
    };
    assert_eq!(
        refusal.to_string(),
        "trunk-unknown-source: want a source in a trunk's addresses, or where an endpoint may be, \
         have 203.0.112.9:5060; add \"203.0.112.9\" to trunks.acme.addresses (nearest there: 203.0.113.0/24)"
    );
}

#[test]
fn every_refusal_has_its_own_id_and_explains_itself_on_one_line() {
    let text = || "x\r\ny".to_owned();
    let all = [
        Refusal::UnknownSource {
            source: "[2001:db8::1]:5".parse().unwrap(),
            nearest: None,
            silent: false,
        },
        Refusal::SourceNotAllowed {
            endpoint: "a".into(),
            source: [10, 0, 0, 1].into(),
            allowed: Vec::new(),
        },
        Refusal::NotYourAddress {
            endpoint: "a".into(),
            claimed: text(),
        },
        Refusal::CallRate {
            trunk: "t".into(),
            limit: 1,
        },
        Refusal::CallLimit {
            trunk: "t".into(),
            limit: 1,
        },
        Refusal::NoSuchTrunk { trunk: text() },
        Refusal::NoTarget { trunk: "t".into() },
        Refusal::Malformed {
            header: "From",
            fault: "f".into(),
        },
    ];
    let ids: std::collections::BTreeSet<&str> = all.iter().map(Refusal::id).collect();
    assert_eq!(ids.len(), all.len());
    for refusal in &all {
        let said = refusal.to_string();
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(
            said.starts_with(refusal.id()) && said.contains("want") && said.contains("have"),
            "{said}"
        );
    }
}
