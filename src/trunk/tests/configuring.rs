//! Sections of the file become trunks and endpoints, or an error with key, rule and value.

use sip::auth::Algorithm;
use sip::dialog::{TimerPolicy, TimerUse};
use sip::sdp::{Codec, CodecOrder};
use sip::transport::Transport;

use super::super::{
    EndpointConfig, HeaderRule, Numbers, SendForm, Source, SrtpPolicy, TrunkConfig,
};
use super::REALM;
use crate::call::Reach;
use crate::config::{ConfigError, Section};

fn section(text: &str, name: &str) -> Section {
    let table: toml::Table = text.replace('|', "\n").parse().unwrap();
    Section::from_toml(table).section(name).unwrap()
}

fn trunks(text: &str) -> Result<Vec<TrunkConfig>, ConfigError> {
    TrunkConfig::read_all(section(&format!("[trunks.acme]|{text}"), "trunks"), REALM)
}

fn endpoints(text: &str) -> Result<Vec<EndpointConfig>, ConfigError> {
    let text = format!("[endpoints.alice]|{text}");
    EndpointConfig::read_all(section(&text, "endpoints"), REALM)
}

#[test]
fn encryption_is_one_of_three_and_off_if_not_given() {
    let trunk = |lines: &str| trunks(&format!("addresses = [\"203.0.113.9\"]|{lines}"));
    let handling = |lines: &str| trunk(lines).unwrap().remove(0).handling;
    assert_eq!(handling("").srtp, SrtpPolicy::Off);
    let given = handling("srtp = \"required\"|srtp_keys_in_clear = true");
    assert_eq!(
        (given.srtp, given.srtp_keys_in_clear),
        (SrtpPolicy::Required, true)
    );
    let endpoint = endpoints("password = \"x\"|srtp = \"optional\"").unwrap();
    assert_eq!(endpoint[0].handling.srtp, SrtpPolicy::Optional);
    let mistake = trunk("srtp = \"yes\"").unwrap_err().to_string();
    for part in ["trunks.acme.srtp", "\"required\"", "\"yes\""] {
        assert!(mistake.contains(part), "{mistake}");
    }
}

#[test]
fn what_is_done_with_a_voice_reaches_nobody_a_tap_or_the_other_party() {
    let trunk = |lines: &str| trunks(&format!("addresses = [\"203.0.113.9\"]|{lines}"));
    let usual = trunk("").unwrap()[0].handling.voice;
    assert_eq!(
        (usual.echo, usual.noise, usual.gain),
        (Reach::Tap, Reach::Tap, Reach::Tap)
    );
    assert!(!usual.talk && !usual.is_detour());
    let given = trunk("echo = \"leg\"|noise = \"off\"|talk_events = true").unwrap();
    let voice = given[0].handling.voice;
    assert_eq!((voice.echo, voice.noise), (Reach::Leg, Reach::Off));
    assert!(voice.talk && voice.is_detour());
    let mistake = endpoints("password = \"x\"|gain = \"on\"")
        .unwrap_err()
        .to_string();
    for part in ["endpoints.alice.gain", "\"tap\"", "\"on\""] {
        assert!(mistake.contains(part), "{mistake}");
    }
}

#[test]
fn redundancy_is_yes_or_no_and_no_if_not_given() {
    let trunk = |lines: &str| trunks(&format!("addresses = [\"203.0.113.9\"]|{lines}"));
    let on = |lines: &str| trunk(lines).unwrap().remove(0).handling.redundancy;
    assert!(!on("") && on("redundancy = true"));
    let endpoint = endpoints("password = \"x\"|redundancy = true").unwrap();
    assert!(endpoint[0].handling.redundancy);
    let mistake = trunk("redundancy = \"opus\"").unwrap_err().to_string();
    for part in ["trunks.acme.redundancy", "true", "\"opus\""] {
        assert!(mistake.contains(part), "{mistake}");
    }
}

#[test]
fn every_key_of_a_trunk_is_read() {
    let read = trunks(
        "addresses = [\"203.0.113.0/24\", \"198.51.100.7:5060\"]|send_to = [\"203.0.113.9\", \"[2001:db8::9]:5090\"]|\
         transport = \"tls\"|inbound_user = \"carrier\"|inbound_password = \"in\"|digest = \"sha-256\"|\
         user = \"me\"|password = \"out\"|realm = \"carrier.example\"|codecs = [\"pcmu\", \"pcma\"]|\
         codec_order = \"theirs\"|calls_per_second = 20|calls = 100|trust_identity = false|\
         normalize = { country = \"FR\", send = \"national\" }",
    );
    let trunk = read.unwrap().remove(0);
    let sources: Vec<String> = trunk.sources.iter().map(Source::to_string).collect();
    assert_eq!(sources, ["203.0.113.0/24", "198.51.100.7:5060"]);
    let targets: Vec<String> = trunk
        .targets
        .iter()
        .map(|target| target.hop.to_string())
        .collect();
    assert_eq!(targets, ["203.0.113.9", "[2001:db8::9]:5090"]);
    assert!(
        trunk
            .targets
            .iter()
            .all(|target| target.hop.transport == Some(Transport::Tls))
    );
    let (user, secrets) = trunk.inbound.unwrap();
    assert!(user == "carrier" && secrets.hash(Algorithm::Sha256).is_some());
    assert_eq!(secrets.hash(Algorithm::Md5), None);
    let credentials = trunk.credentials.unwrap();
    assert_eq!(
        (credentials.user.as_str(), credentials.realm.as_deref()),
        ("me", Some("carrier.example"))
    );
    assert_eq!(
        (trunk.codecs, trunk.codec_order),
        (vec![Codec::Pcmu, Codec::Pcma], CodecOrder::Offerer)
    );
    assert_eq!((trunk.calls_per_second, trunk.calls), (Some(20), Some(100)));
    assert_eq!(
        trunk.numbers,
        Numbers::of("FR", SendForm::National).unwrap()
    );
    assert!(!trunk.identity.trust);
}

#[test]
fn names_of_an_access_list_are_read_beside_addresses() {
    let read = trunks("addresses = [\"203.0.113.7\", \"Gate.Acme.example\"]");
    let trunk = read.unwrap().remove(0);
    assert_eq!(trunk.sources, [Source::host([203, 0, 113, 7].into())]);
    let names: Vec<String> = trunk.source_names.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["gate.acme.example"]);
    assert!(!trunk.learns && !trunk.is_roaming());
    for wrong in [
        "203.0.113.1-9",
        "203.0.113.300",
        "gate.acme.example:5060",
        "a b",
        "",
    ] {
        let read = trunks(&format!("addresses = [\"{wrong}\"]"));
        let error = read.unwrap_err().to_string();
        assert!(
            error.contains("or a name (sip.carrier.example), have"),
            "{error}"
        );
    }
    let many: Vec<String> = (0..17).map(|n| format!("\"h{n}.example\"")).collect();
    let error = trunks(&format!("addresses = [{}]", many.join(", "))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "trunks.acme.addresses: want at most 16 names, have \"17\""
    );
}

#[test]
fn a_session_timer_is_read_and_its_mistakes_are_told() {
    let usual = TimerPolicy {
        how: TimerUse::Ask,
        expires: clock::Duration::from_secs(1_800),
        least: clock::Duration::from_secs(90),
    };
    let policy = |text: &str| {
        let read = trunks(&format!(
            "addresses = [\"1.2.3.4\"]|session_timer = {{ {text} }}"
        ));
        let policy = read.unwrap().remove(0).timers.policy(usual);
        (policy.how, policy.expires.as_secs(), policy.least.as_secs())
    };
    assert_eq!(policy(""), (TimerUse::Ask, 1_800, 90));
    assert_eq!(policy("mode = \"refuse\""), (TimerUse::Refuse, 1_800, 90));
    assert_eq!(
        policy("mode = \"require\", expires = \"10m\", min = \"2m\""),
        (TimerUse::Require, 600, 120)
    );
    // The trunk's own word is followed where it crosses the server's.
    assert_eq!(policy("min = \"1h\""), (TimerUse::Ask, 3_600, 3_600));
    for (text, want) in [
        (
            "mode = \"of\"",
            "session_timer.mode: want \"refuse\" or \"accept\" or \"ask\" or \"require\", have \"of\"",
        ),
        (
            "min = \"10s\"",
            "session_timer.min: want a time such as \"20s\", from 90s to 24h, have \"10s\"",
        ),
        (
            "min = \"20m\", expires = \"10m\"",
            "session_timer.min: want no more than expires beside it, have \"1200s\"",
        ),
        (
            "mode = \"refuse\", expires = \"10m\"",
            "session_timer.expires: want nothing beside mode = \"refuse\", have \"600s\"",
        ),
        (
            "expire = \"10m\"",
            "session_timer.expire: no such key; did you mean expires?",
        ),
    ] {
        let read = trunks(&format!(
            "addresses = [\"1.2.3.4\"]|session_timer = {{ {text} }}"
        ));
        let error = read.unwrap_err().to_string();
        assert!(error.ends_with(want), "{error}");
    }
}

#[test]
fn rules_for_headers_that_come_are_read_like_those_for_headers_that_go() {
    let read = trunks("addresses = [\"1.2.3.4\"]|headers_in = [\"Diversion\"]");
    let remove = HeaderRule::Remove("Diversion".to_owned());
    assert_eq!(read.unwrap().remove(0).headers_in, [remove]);
    for (text, want) in [
        (
            "addresses = [\"1.2.3.4\"]|headers_in = [{ set = \"Via\", value = \"x\" }]",
            "a header that the signalling does not live by",
        ),
        (
            "inbound_user = \"a\"|inbound_password = \"b\"|headers_in = [\"Diversion\"]",
            "whose calls they are, beside headers_in",
        ),
    ] {
        let error = trunks(text).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
}

#[test]
fn a_trunk_that_is_only_sent_to_may_call_from_there() {
    let trunk = trunks("send_to = [\"203.0.113.9:5090\"]")
        .unwrap()
        .remove(0);
    assert_eq!(trunk.sources, [Source::host([203, 0, 113, 9].into())]);
    assert_eq!(trunk.targets[0].hop.transport, None);
}

#[test]
fn targets_are_in_the_lists_order_unless_one_says_more() {
    let places = |text: &str| {
        let trunk = trunks(text).unwrap().remove(0);
        let place = |it: &super::super::SendTo| (it.hop.to_string(), it.priority, it.weight);
        trunk.targets.iter().map(place).collect::<Vec<_>>()
    };
    let at = |host: &str, priority, weight| (host.to_owned(), priority, weight);
    assert_eq!(
        places("send_to = [\"192.0.2.1\", \"sip.a.example:5070\"]"),
        [at("192.0.2.1", 0, 1), at("sip.a.example:5070", 1, 1)]
    );
    let tables = "send_to = [{ host = \"192.0.2.1\", weight = 3 }, \"192.0.2.2\", \
                  { host = \"b.example\", priority = 5, transport = \"tcp\" }]";
    assert_eq!(
        places(tables),
        [
            at("192.0.2.1", 0, 3),
            at("192.0.2.2", 0, 1),
            at("b.example", 5, 1)
        ]
    );
    let trunk = trunks(tables).unwrap().remove(0);
    assert_eq!(trunk.targets[2].hop.transport, Some(Transport::Tcp));
    assert!(trunk.learns && trunk.sources.len() == 2);
}

#[test]
fn a_trunks_other_tables_are_read() {
    let read = trunks(
        "send_to = [\"sip.a.example\"]|proxy = \"192.0.2.9:5070\"|register = true|\
         register_expires = \"10m\"|contact_user = \"me\"|unregistered = \"refuse\"|\
         user = \"u\"|password = \"p\"|redirect = \"any\"|target_timeout = \"2s\"|\
         health = { interval = \"10s\", down_after = 2 }|\
         numbers = { in = [{ prefix = \"00\", replace = \"+\" }], out = [\"+\"] }|\
         headers = [{ set = \"X-A\", value = \"1\" }, \"Diversion\"]",
    );
    let trunk = read.unwrap().remove(0);
    assert_eq!(trunk.proxy.unwrap().to_string(), "192.0.2.9:5070");
    let registration = trunk.registration.unwrap();
    assert_eq!(registration.registrar.to_string(), "sip.a.example");
    assert!(registration.refuses && registration.expires == clock::Duration::from_secs(600));
    assert_eq!(trunk.health.unwrap().down_after, 2);
    assert_eq!(trunk.rules.on_received("0044"), "+44");
    assert_eq!(trunk.rules.on_sent("+44"), "44");
    let set = HeaderRule::Set("X-A".to_owned(), "1".to_owned());
    let remove = HeaderRule::Remove("Diversion".to_owned());
    assert_eq!(trunk.headers, [set, remove]);
    let refused = [
        "headers = [{ set = \"Via\", value = \"x\" }]",
        "headers = [{ set = \"m\", value = \"x\" }]",
        "headers = [{ set = \"X A\", value = \"x\" }]",
        "headers = [{ set = \"X-A\" }]",
        "headers = [{ value = \"x\" }]",
        "headers = [{ set = \"X-A\", add = \"X-B\", value = \"x\" }]",
        "headers = [{ add = \"X-A\", value = \"a\\r\\nVia: x\" }]",
        "numbers = { in = [{ prefix = \"0x\" }] }",
        "register_expires = \"10m\"",
        "register = true|contact_user = \"a b\"",
        "proxy = \"sip:x\"",
        "health = { interval = \"0s\" }",
        "redirect = \"all\"",
        "target_timeout = \"60s\"",
    ];
    for text in refused {
        let text = format!("send_to = [\"192.0.2.1\"]|{text}");
        assert!(trunks(&text).is_err(), "{text}");
    }
}

#[test]
fn a_mistake_in_a_trunk_names_key_rule_and_value() {
    let table = [
        (
            "",
            "trunks.acme.addresses: missing; want who may call by it, or send_to",
        ),
        (
            "addresses = [\"203.0.113.7/24\"]",
            "trunks.acme.addresses: want an address (203.0.113.7), a network whose host bits are zero (203.0.113.0/24), an address and a port (203.0.113.7:5060), or a name (sip.carrier.example), have \"203.0.113.7/24\"",
        ),
        (
            "send_to = [\"203.0.113.700\"]",
            "trunks.acme.send_to[0].host: want an address or a name, with or without a port, such as 203.0.113.7:5060, [2001:db8::7]:5060 or sip.carrier.example, have \"203.0.113.700\"",
        ),
        (
            "addresses = [\"1.2.3.4\"]|calls = 0",
            "trunks.acme.calls: want a whole number from 1 to 100000, have 0",
        ),
        (
            "addresses = [\"1.2.3.4\"]|calls_per_seconds = 5",
            "trunks.acme.calls_per_seconds: no such key; did you mean calls_per_second?",
        ),
        (
            "addresses = [\"1.2.3.4\"]|codecs = [\"ilbc\"]",
            "trunks.acme.codecs: want \"pcma\", \"pcmu\", \"g722\", \"opus\", \"l16/16000\", \"l16/8000\", \"g729\" or \"amr-wb\", \
             have \"ilbc\"",
        ),
        (
            "addresses = [\"1.2.3.4\"]|codecs = [\"pcma\", \"alaw\"]",
            "trunks.acme.codecs: want each codec once, have \"PCMA\"",
        ),
        (
            "addresses = [\"1.2.3.4\"]|user = \"me\"",
            "trunks.acme.password: missing; want the password of user",
        ),
        (
            "addresses = [\"1.2.3.4\"]|inbound_password = \"x\"",
            "trunks.acme.inbound_user: missing; want the user of inbound_password",
        ),
        (
            "addresses = [\"1.2.3.4\"]|normalize = { country = \"fr\" }",
            "trunks.acme.normalize.country: want two capital letters of ISO 3166-1, such as \"FR\", have \"fr\"",
        ),
        (
            "addresses = [\"1.2.3.4\"]|normalize = { send = \"e164\" }",
            "trunks.acme.normalize.country: missing; want two capital letters of ISO 3166-1, such as \"FR\"",
        ),
        (
            "addresses = [\"1.2.3.4\"]|normalize = { country = \"FR\", form = \"x\" }",
            "trunks.acme.normalize.form: no such key",
        ),
        (
            "addresses = [\"1.2.3.4\"]|transport = \"sctp\"",
            "trunks.acme.transport: want \"udp\" or \"tcp\" or \"tls\", have \"sctp\"",
        ),
        (
            "send_to = [\"1.2.3.4\"]|tls_certificate = \"a.pem\"|tls_key = \"a.key\"",
            "trunks.acme.tls_certificate: want transport = \"tls\" beside it, have \"a.pem\"",
        ),
        (
            "send_to = [\"1.2.3.4\"]|transport = \"tls\"|tls_certificate = \"a.pem\"",
            "trunks.acme.tls_key: missing; want the private key of tls_certificate",
        ),
        (
            "send_to = [\"1.2.3.4\"]|transport = \"tls\"|tls_key = \"a.key\"",
            "trunks.acme.tls_certificate: missing; want the certificate of tls_key",
        ),
        (
            "send_to = [\"1.2.3.4\"]|transport = \"tls\"|tls_name = \"*.acme.example\"",
            "trunks.acme.tls_name: want a name or an address that a certificate can hold, such as sip.carrier.example, have \"*.acme.example\"",
        ),
        (
            "tls_caller = \"sbc of acme\"",
            "trunks.acme.tls_caller: want a name or an address that a certificate can hold, such as sip.carrier.example, have \"sbc of acme\"",
        ),
    ];
    for (text, want) in table {
        assert_eq!(trunks(text).unwrap_err().to_string(), want);
    }
}

#[test]
fn whom_a_connection_must_lead_to_changes_with_whatever_must_be_proven_on_it() {
    let peers = |text: &str| {
        let trunk = trunks(text).unwrap().remove(0);
        let hosts = ["203.0.113.9", "sip.acme.example", "elsewhere.example"];
        let hosts = hosts.map(|host| crate::trunk::Host::parse(host).unwrap());
        let [numeric, named, other] = hosts.map(|host| trunk.peer_at(&host));
        assert_eq!(other, None, "a redirection leads to nobody of ours");
        let proven: Vec<_> = trunk.called_peers().into_iter().map(|it| it.name).collect();
        (numeric, named, proven)
    };
    let targets = "send_to = [\"203.0.113.9\", \"sip.acme.example\"]|transport = \"tls\"";
    // An address proves itself; a name is proven, wherever it was looked up to be.
    let (numeric, named, proven) = peers(targets);
    assert_eq!((numeric, named.is_some()), (None, true));
    assert_eq!(proven, [Some("sip.acme.example".to_owned())]);
    // A name for all of them.
    let (first, second, proven) = peers(&format!("{targets}|tls_name = \"acme.example\""));
    assert!(first.is_some() && first == second && first != named);
    assert_eq!(proven, [Some("acme.example".to_owned())]);
    // A certificate of ours is somebody else's connection too.
    let shown = "tls_certificate = \"acme.pem\"|tls_key = \"acme.key\"";
    let (numeric, shown, proven) = peers(&format!("{targets}|{shown}"));
    assert!(numeric.is_some() && shown.is_some() && shown != named && numeric != shown);
    assert_eq!(proven, [None, Some("sip.acme.example".to_owned())]);
}

#[test]
fn who_is_known_by_his_certificate_is_not_known_by_where_calls_are_sent_to() {
    let read = |text: &str| trunks(text).unwrap().remove(0);
    let by_address = read("send_to = [\"203.0.113.9\"]");
    assert_eq!(by_address.sources.len(), 1);
    let by_name = read("send_to = [\"203.0.113.9\"]|tls_caller = \"sbc.acme.example\"");
    assert!(by_name.sources.is_empty() && !by_name.learns && !by_name.is_roaming());
    let both = "tls_caller = \"sbc.acme.example\"|addresses = [\"203.0.113.9\"]";
    assert_eq!(read(both).sources.len(), 1);
}

#[test]
fn every_key_of_an_endpoint_is_read() {
    let read = endpoints(
        "password = \"secret\"|digest = \"both\"|sources = [\"10.0.0.0/8\"]|codecs = [\"pcma\"]|contacts = 2|\
         contact = \"sip:desk@192.0.2.7:5070;transport=tcp\"|caller_id = \"+33123456789\"",
    );
    let alice = read.unwrap().remove(0);
    let secrets = alice.secrets.as_ref().unwrap();
    assert!(secrets.hash(Algorithm::Md5).is_some() && secrets.hash(Algorithm::Sha256).is_some());
    assert!(alice.may_be_at("10.1.2.3:5".parse().unwrap()));
    assert!(!alice.may_be_at("11.1.2.3:5".parse().unwrap()));
    let (uri, target) = alice.contact.unwrap();
    assert_eq!(uri, "sip:desk@192.0.2.7:5070;transport=tcp");
    assert_eq!(
        (target.transport, target.address.to_string()),
        (Transport::Tcp, "192.0.2.7:5070".to_owned())
    );
    assert_eq!((alice.codecs, alice.contacts_max), (vec![Codec::Pcma], 2));
    assert_eq!(alice.caller_id.as_deref(), Some("+33123456789"));
}

#[test]
fn a_stored_hash_serves_as_well_as_its_password() {
    let by_password = endpoints("password = \"secret\"")
        .unwrap()
        .remove(0)
        .secrets
        .unwrap();
    let hash = by_password.hash(Algorithm::Md5).unwrap().to_hex();
    let by_hash = endpoints(&format!("ha1_md5 = \"{hash}\""))
        .unwrap()
        .remove(0)
        .secrets
        .unwrap();
    assert_eq!(by_hash, by_password);
}

#[test]
fn a_mistake_in_an_endpoint_names_key_and_rule_but_never_a_secret() {
    let table = [
        (
            "",
            "endpoints.alice.password: missing; want a password, ha1_md5, ha1_sha256 or a contact",
        ),
        (
            "password = \"\"",
            "endpoints.alice.password: want a password that is not empty, have (hidden)",
        ),
        (
            "ha1_md5 = \"hunter2\"",
            "endpoints.alice.ha1_md5: want 32 hexadecimal digits: MD5 of user:realm:password, have (hidden)",
        ),
        (
            "password = \"hunter2\"|ha1_md5 = \"00112233445566778899aabbccddeeff\"",
            "endpoints.alice.password: want either a password or hashes, have (hidden)",
        ),
        (
            "ha1_md5 = \"00112233445566778899aabbccddeeff\"|digest = \"both\"",
            "endpoints.alice.ha1_sha256: missing; want 64 hexadecimal digits: SHA-256 of user:realm:password",
        ),
        (
            "password = \"x\"|caller_id = \"a b\"",
            "endpoints.alice.caller_id: want a number such as +33123456789, or 1 to 64 letters, digits, '+', '*', '#', '-', '_' and '.', have \"a b\"",
        ),
        (
            "password = \"x\"|contacts = 65",
            "endpoints.alice.contacts: want a whole number from 1 to 64, have 65",
        ),
        (
            "password = \"x\"|digest = \"sha-1\"",
            "endpoints.alice.digest: want \"md5\" or \"sha-256\" or \"both\", have \"sha-1\"",
        ),
        (
            "contact = \"sip:desk@phone.example\"",
            "endpoints.alice.contact: want a SIP URI with a numeric address, such as sip:desk@192.0.2.7:5060, have \"sip:desk@phone.example\"",
        ),
        (
            "password = \"x\"|source = [\"10.0.0.0/8\"]",
            "endpoints.alice.source: no such key; did you mean sources?",
        ),
    ];
    for (text, want) in table {
        let said = endpoints(text).unwrap_err().to_string();
        assert_eq!(said, want);
        assert!(!said.contains("hunter2"));
    }
}

#[test]
fn a_name_that_could_not_stand_in_a_uri_or_a_file_name_is_refused() {
    for name in ["front desk", "a/b", "a@b", "", "é"] {
        let text = format!("[endpoints.\"{name}\"]|password = \"x\"");
        assert!(
            EndpointConfig::read_all(section(&text, "endpoints"), REALM).is_err(),
            "{name}"
        );
    }
}
