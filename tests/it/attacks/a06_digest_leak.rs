//! A6: a proof of who we are is a hash that its receiver may try passwords against. Nobody but the
//! trunk that the credentials are for can make us send one (CVE-2021-41158).

use super::target::*;
use sip::message::Message;
use sip::transport::Flow;

const REALM_OF_CARRIER: &str = "carrier.example";

fn asks(realm: &str, algorithm: &str, nonce: &str) -> String {
    format!(
        "WWW-Authenticate: Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm={algorithm}, \
         qop=\"auth\"\r\n"
    )
}

/// A call out; the carrier's leg is challenged from `from` in those words. Returns what we said then.
fn challenged(server: &mut Server, from: &str, ask: &str) -> Vec<(Flow, Message)> {
    let (_, said) = server.call(OUT);
    let invite = requests(&said, "INVITE").remove(0);
    server.send(udp(from), &response(&invite.1, 401, "c", ask, ""))
}

fn made(carrier: tandem::trunk::TrunkConfig) -> Server {
    Server::new(Made {
        carrier,
        ..Made::default()
    })
}

#[test]
fn a_challenge_of_the_carrier_itself_is_answered() {
    let ask = asks(REALM_OF_CARRIER, "SHA-256", "n1");
    let said = challenged(&mut made(carrier()), CARRIER, &ask);
    assert!(leaks(&said), "{said:?}");
    // Also from another address of its access list: carriers answer from where they like.
    let said = challenged(&mut made(carrier()), "203.0.113.99:5060", &ask);
    assert!(leaks(&said), "{said:?}");
}

#[test]
fn a_challenge_from_elsewhere_is_not_answered_though_it_names_realm_and_branch() {
    let ask = asks(REALM_OF_CARRIER, "SHA-256", "n1");
    let mut server = made(carrier());
    let said = challenged(&mut server, STRANGER, &ask);
    assert!(!leaks(&said), "{said:?}");
    assert_eq!(server.control.sip_counts().foreign_challenges, 1);
    // The defence off: it leaks.
    let said = challenged(&mut made(answers_anybody(carrier())), STRANGER, &ask);
    assert!(leaks(&said), "the attack is none: {said:?}");
}

#[test]
fn another_realm_gets_nothing() {
    let mut ours = carrier();
    ours.credentials.as_mut().unwrap().realm = Some(REALM_OF_CARRIER.to_owned());
    let ask = asks("another", "SHA-256", "n1");
    assert!(!leaks(&challenged(&mut made(ours), CARRIER, &ask)));
    // Without a realm in the configuration the first one counts.
    assert!(leaks(&challenged(&mut made(carrier()), CARRIER, &ask)));
}

/// A call that the carrier took after a proof for that realm with that algorithm.
fn taken(server: &mut Server, realm: &str, algorithm: &str) {
    let again = challenged(server, CARRIER, &asks(realm, algorithm, "n1"));
    let invite = requests(&again, "INVITE").remove(0);
    let contact = format!("Contact: <sip:{CARRIER}>\r\n");
    let body = sdp(udp(CARRIER), 8);
    let said = server.send(
        udp(CARRIER),
        &response(&invite.1, 200, "t", &contact, &body),
    );
    assert_eq!(requests(&said, "ACK").len(), 1, "{said:?}");
}

#[test]
fn realm_and_strength_are_pinned_by_the_first_success() {
    let table = [
        ("another", "SHA-256", false),
        (REALM_OF_CARRIER, "MD5", false),
        (REALM_OF_CARRIER, "SHA-256", true),
        (REALM_OF_CARRIER, "SHA-512-256", true),
    ];
    for (realm, algorithm, answered) in table {
        let mut server = made(carrier());
        taken(&mut server, REALM_OF_CARRIER, "SHA-256");
        let said = challenged(&mut server, CARRIER, &asks(realm, algorithm, "n2"));
        assert_eq!(leaks(&said), answered, "{realm} {algorithm}: {said:?}");
        // Who was never taken before is not bound: the harm that the pin prevents.
        let said = challenged(&mut made(carrier()), CARRIER, &asks(realm, algorithm, "n2"));
        assert!(leaks(&said), "{realm} {algorithm}");
    }
}

#[test]
fn md5_beside_sha_256_is_not_chosen() {
    let both = asks("r", "MD5", "weak") + &asks("r", "SHA-256", "strong");
    let said = challenged(&mut made(carrier()), CARRIER, &both);
    let invite = requests(&said, "INVITE").remove(0);
    let value = invite.1.header(sip::message::Name::Authorization).unwrap();
    assert!(
        value.contains("strong") && value.contains("SHA-256"),
        "{value}"
    );
}

#[test]
fn an_endpoint_that_is_rung_learns_nothing_by_the_carriers_realm() {
    let mut server = made(carrier());
    let ann = udp(ROAMING);
    server.register(ann, "ann");
    taken(&mut server, REALM_OF_CARRIER, "MD5");
    let (_, said) = server.call(RINGS);
    let invite = requests(&said, "INVITE").remove(0);
    assert_eq!(invite.0.remote, ann.remote);
    for (status, header) in [(401, "WWW"), (407, "Proxy")] {
        let ask = asks(REALM_OF_CARRIER, "MD5", "n").replace("WWW", header);
        let said = server.send(ann, &response(&invite.1, status, "c", &ask, ""));
        assert!(!leaks(&said), "{said:?}");
    }
}

#[test]
fn a_caller_who_challenges_our_bye_gets_no_proof() {
    let mut server = made(carrier());
    let words = server.standing();
    server
        .control
        .hang_up_all(server.now, tandem::call::Cause::Normal);
    let bye = requests(&server.pass(10), "BYE").remove(0);
    let ask = asks(REALM_OF_CARRIER, "MD5", "n");
    let said = server.send(words.flow, &response(&bye.1, 401, "", &ask, ""));
    assert!(!leaks(&said), "{said:?}");
}

/// The carrier, where we register too.
fn registering() -> tandem::trunk::TrunkConfig {
    let text = format!(
        "[carrier]\naddresses = [\"203.0.113.0/24\"]\nsend_to = [\"{CARRIER}\"]\nregister = true\n\
         user = \"us\"\npassword = \"sesame\"\n"
    );
    let trunks = tandem::config::Section::from_toml(text.parse().unwrap());
    tandem::trunk::TrunkConfig::read_all(trunks, REALM)
        .unwrap()
        .remove(0)
}

/// The next REGISTER of ours is challenged in those words: what we say then.
fn register_challenged(server: &mut Server, ask: &str) -> Vec<(Flow, Message)> {
    // In small steps: an old copy is no longer waited for.
    let mut steps = (0..240).flat_map(|_| requests(&server.pass(500), "REGISTER"));
    let register = steps.next().unwrap();
    server.send(udp(CARRIER), &response(&register.1, 401, "r", ask, ""))
}

#[test]
fn what_a_registrar_was_satisfied_with_it_may_not_fall_behind() {
    let first = asks(REALM_OF_CARRIER, "SHA-256", "n1");
    let table = [
        ("another", "SHA-256", false),
        (REALM_OF_CARRIER, "MD5", false),
        (REALM_OF_CARRIER, "SHA-256", true),
    ];
    for (realm, algorithm, answered) in table {
        let ask = asks(realm, algorithm, "n2");
        let mut server = made(registering());
        let again = register_challenged(&mut server, &first);
        let proven = requests(&again, "REGISTER").remove(0);
        let granted = response(&proven.1, 200, "r", "Expires: 90\r\n", "");
        server.send(udp(CARRIER), &granted);
        let said = register_challenged(&mut server, &ask);
        assert_eq!(leaks(&said), answered, "{realm} {algorithm}: {said:?}");
        // A call that the carrier took binds its registrar as well.
        let mut server = made(registering());
        taken(&mut server, REALM_OF_CARRIER, "SHA-256");
        // The REGISTER that was under way before it is given up.
        server.pass(33_000);
        let said = register_challenged(&mut server, &ask);
        assert_eq!(leaks(&said), answered, "after a call, {realm} {algorithm}");
        // Without what is remembered it would be answered: the harm that the pin prevents.
        let said = register_challenged(&mut made(registering()), &ask);
        assert!(leaks(&said), "{realm} {algorithm}");
    }
}
