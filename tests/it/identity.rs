//! Identity across the server: what one trunk says of who calls, what the other one is shown, and
//! what of the one side never reaches the other.

use std::time::Duration;

use sip::message::{Message, Name};

use crate::lab::Lab;

const NEAR: &str = "10.9.8.7:5099";
const FAR: &str = "203.0.113.9:5060";

/// Everything that comes by either trunk goes on by `far`.
const PLAN: &str = r#"
dialplan version=1 tz="UTC"
entry pattern="*" flow="on"
flow "on" {
  dial "+33142685300" trunk="far"
}
"#;

fn lab(near: &str, far: &str) -> Lab {
    Lab::new(
        &format!(
            "[trunks.near]\naddresses = [\"10.9.8.7\"]\n[trunks.near.identity]\n{near}\n\
             [trunks.far]\nsend_to = [\"{FAR}\"]\n[trunks.far.identity]\n{far}\n"
        ),
        PLAN,
    )
}

/// What the far trunk is sent when the near one sends `lines`; `None` if nothing.
fn sent_on(near: &str, far: &str, lines: &str) -> Option<Message> {
    let mut lab = lab(near, far);
    lab.invite(NEAR, "+4930123456", lines);
    lab.invited(FAR)
}

fn wire(message: &Message) -> String {
    String::from_utf8_lossy(message.bytes()).into_owned()
}

/// A number that only the smuggled header names.
const MARK: &str = "+666000";
const ALL: &str = "send = \"from+pai+ppi+rpid\"\ndiversion = \"send\"\nhistory = \"send\"";

/// Every header that others act upon, with a value that carries the mark.
const HEADERS: [(&str, &str); 5] = [
    ("P-Asserted-Identity", "<sip:+666000@evil.example>"),
    ("P-Preferred-Identity", "<sip:+666000@evil.example>"),
    (
        "Remote-Party-ID",
        "<sip:+666000@evil.example>;party=calling",
    ),
    (
        "Diversion",
        "<sip:+666000@evil.example>;reason=unconditional",
    ),
    (
        "History-Info",
        "<sip:+666000@evil.example?Reason=SIP%3Bcause%3D302>;index=1, <sip:x@y>;index=1.1",
    ),
];

/// A way to spell a header line.
type Spelling = (&'static str, fn(&str, &str) -> String);

/// Ways that a reader within the trust domain must take for what they are.
const PLAIN: [Spelling; 6] = [
    ("as registered", |name, value| format!("{name}: {value}")),
    ("without a blank", |name, value| format!("{name}:{value}")),
    ("lower case", |name, value| {
        format!("{}: {value}", name.to_lowercase())
    }),
    ("upper case", |name, value| {
        format!("{}: {value}", name.to_uppercase())
    }),
    ("folded", |name, value| format!("{name}:\r\n\t {value}")),
    ("doubled", |name, value| {
        format!("{name}: {value}|{name}: {value}")
    }),
];

/// Ways that make another name of it, or no message at all: nobody may read them as the header.
const CROOKED: [Spelling; 8] = [
    ("a space before the colon", |name, value| {
        format!("{name} : {value}")
    }),
    ("a tab before the colon", |name, value| {
        format!("{name}\t: {value}")
    }),
    ("blanks before the colon", |name, value| {
        format!("{name} \t : {value}")
    }),
    ("a fold before the colon", |name, value| {
        format!("{name}\r\n : {value}")
    }),
    ("a percent escape", |name, value| {
        format!(
            "{}: {value}",
            name.replacen('-', "%2D", 1).replacen('D', "%44", 1)
        )
    }),
    ("a NUL", |name, value| format!("{name}\0: {value}")),
    ("a NUL in the value", |name, value| {
        format!("{name}: \0{value}")
    }),
    ("a bare line feed", |name, value| {
        format!("X-Harmless: 1\n{name}: {value}")
    }),
];

fn untrusted_never_passes(spellings: &[Spelling]) {
    for (header, value) in HEADERS {
        for (how, spell) in spellings {
            let mut lab = lab("trust = false", ALL);
            lab.invite_bytes(NEAR, &spell(header, value));
            if let Some(sent) = lab.invited(FAR) {
                let sent = wire(&sent);
                assert!(!sent.contains(MARK), "{header}, {how}:\n{sent}");
            }
            lab.pass(Duration::from_secs(60));
            let told = format!("{:?}{:?}", lab.events, lab.records);
            let own = format!("{:?}", lab.control.calls(lab.now));
            assert!(!told.contains(MARK), "{header}, {how}: {told}");
            assert!(!own.contains(MARK), "{header}, {how}: {own}");
        }
    }
}

// covers: RFC 3325 §5
#[test]
fn identity_of_an_untrusted_trunk_reaches_nobody_in_any_plain_spelling() {
    untrusted_never_passes(&PLAIN);
}

#[test]
fn identity_of_an_untrusted_trunk_reaches_nobody_in_any_crooked_spelling() {
    untrusted_never_passes(&CROOKED);
}

/// The control of both: with trust, each plain spelling of each header is believed and sent on.
#[test]
fn the_same_headers_of_a_trusted_trunk_are_believed_in_every_plain_spelling() {
    for (header, value) in HEADERS {
        for (how, spell) in PLAIN {
            let sent = sent_on("trust = true", ALL, &spell(header, value));
            let sent = sent.unwrap_or_else(|| panic!("{header}, {how}: no call"));
            assert!(
                wire(&sent).contains(MARK),
                "{header}, {how}: {}",
                wire(&sent)
            );
        }
    }
}

/// A crooked spelling is not believed of a trusted trunk either: what a filter before us did not take
/// for the header must not become one here (Kamailio's `remove_hf`, 2020).
#[test]
fn a_crooked_spelling_is_no_identity_even_of_a_trusted_trunk() {
    for (header, value) in HEADERS {
        for (how, spell) in CROOKED {
            let mut lab = lab("trust = true", ALL);
            lab.invite_bytes(NEAR, &spell(header, value));
            if let Some(sent) = lab.invited(FAR) {
                let sent = wire(&sent);
                assert!(!sent.contains(MARK), "{header}, {how}:\n{sent}");
            }
        }
    }
}

#[test]
fn headers_that_nobody_asked_for_do_not_cross_the_server() {
    let strange = [
        "X-Account: +666000",
        "X-Account : +666000",
        "P-Charging-Vector: icid-value=+666000",
        "P-Access-Network-Info: +666000",
        "Identity: +666000",
        "y: +666000",
        "Call-Info: <http://+666000/>",
        "Alert-Info: <http://+666000/>",
        "User-to-User: +666000",
        "Subject: +666000",
        "s: +666000",
        "Reply-To: <sip:+666000@evil.example>",
        "Organization: +666000",
        "User-Agent: +666000",
        "Route: <sip:192.0.2.1;x=+666000;lr>",
        "Record-Route: <sip:+666000@10.9.8.7;lr>",
        "In-Reply-To: +666000",
    ];
    for trust in ["trust = true", "trust = false"] {
        for line in strange {
            let sent = sent_on(trust, ALL, line).unwrap_or_else(|| panic!("{line}: no call"));
            assert!(!wire(&sent).contains(MARK), "{line}: {}", wire(&sent));
        }
    }
}

// covers: RFC 3325 §7
#[test]
fn a_caller_who_asks_for_privacy_is_hidden_from_the_untrusted_and_told_to_the_trusted() {
    let lines = format!("Privacy: id|P-Asserted-Identity: \"Mark\" <sip:{MARK}@near.example>");
    let untrusted = "trust = false\nsend = \"from+pai+ppi+rpid\"\ndiversion = \"send\"";
    let sent = sent_on("trust = true", untrusted, &lines).unwrap();
    assert!(!wire(&sent).contains(MARK), "{}", wire(&sent));
    let from = sent.from().unwrap();
    assert_eq!(from.uri.as_str(), "sip:anonymous@anonymous.invalid");
    assert_eq!(sent.header(Name::Privacy), Some("id"));

    let sent = sent_on("trust = true", "trust = true\nsend = \"from+pai\"", &lines).unwrap();
    let asserted = sent.header(Name::PAssertedIdentity).unwrap();
    assert_eq!(asserted, format!("\"Mark\" <sip:{MARK}@192.0.2.1>"));
    assert_eq!(sent.header(Name::Privacy), Some("id"));
    assert!(!sent.header(Name::From).unwrap().contains(MARK));

    // The control: a policy that ignores privacy shows the caller.
    let sent = sent_on(
        "trust = true",
        "trust = false\nprivacy = \"ignore\"",
        &lines,
    )
    .unwrap();
    assert!(sent.header(Name::From).unwrap().contains(MARK));
}

/// What of the near side could tell the far side where it is.
#[test]
fn nothing_of_one_sides_topology_is_seen_on_the_other() {
    let lines = "Via: SIP/2.0/UDP 172.16.3.4:5070;branch=z9hG4bKdeep|\
                 Record-Route: <sip:10.44.0.1;lr>|User-Agent: NearPhone/1.0|\
                 P-Asserted-Identity: <sip:+15550000009@10.44.0.2>|\
                 Diversion: <sip:+15550000008@10.44.0.3>;reason=user-busy|Allow-Events: neartalk";
    let mut lab = lab("trust = true", ALL);
    let near = lab.invite(NEAR, "+4930123456", lines);
    let sent = lab.invited(FAR).unwrap();
    let text = wire(&sent);
    for secret in [
        "10.9.8.7",
        "5099",
        "172.16.3.4",
        "10.44.0.",
        "NearPhone",
        "near",
        "deep",
        "neartalk",
        near.call_id().unwrap(),
        "z9hG4bKi1",
        "40000",
    ] {
        assert!(!text.contains(secret), "{secret} is in:\n{text}");
    }
    // The control: what is meant to pass does, written anew.
    assert!(text.contains("sip:+15550000009@192.0.2.1") && text.contains("+15550000008"));

    lab.reply(
        FAR,
        &sent,
        200,
        "Server: FarBox/2.0|Record-Route: <sip:10.77.0.1;lr>",
    );
    let back: String = lab.take(NEAR).iter().map(wire).collect();
    assert!(back.contains("SIP/2.0 200"), "{back}");
    for secret in [
        "203.0.113.9",
        "FarBox",
        "10.77.0.1",
        "far",
        sent.call_id().unwrap(),
    ] {
        assert!(!back.contains(secret), "{secret} is in:\n{back}");
    }
}

// covers: RFC 3261 §16.6
#[test]
fn hops_are_counted_across_the_server_and_none_left_is_483() {
    let sent = sent_on("", "", "Max-Forwards: 12").unwrap();
    assert_eq!(sent.max_forwards().unwrap(), Some(11));
    let sent = sent_on("", "", "Max-Forwards: 255").unwrap();
    assert_eq!(sent.max_forwards().unwrap(), Some(69));
    let mut lab = lab("", "");
    lab.invite(NEAR, "+4930123456", "Max-Forwards: 0");
    assert_eq!(lab.status(NEAR), Some(483));
}

const ANNA: &str = "10.2.0.1:5060";

/// Endpoint anna and a carrier both ways; what anna calls goes out, what the carrier calls rings her.
fn office(identity: &str) -> Lab {
    Lab::new(
        &format!(
            "[endpoints.anna]\npassword = \"secret\"\ncaller_id = \"+33142685301\"\n\
             [trunks.far]\nsend_to = [\"{FAR}\"]\n[trunks.far.identity]\n{identity}\n"
        ),
        r#"
dialplan version=1 tz="UTC"
entry did="+33142685301" flow="in"
entry pattern="*" flow="out"
flow "in" { dial "anna"; }
flow "out" { dial "{to}" trunk="far"; }
"#,
    )
}

#[test]
fn an_endpoint_shows_its_own_number_whatever_it_asserts_and_may_ask_to_be_hidden() {
    let mut lab = office(ALL);
    let asserts = format!("P-Asserted-Identity: <sip:{MARK}@x.example>|Diversion: <sip:{MARK}@x>");
    lab.invite_as("anna", ANNA, "+4930123456", &asserts);
    let sent = lab
        .invited(FAR)
        .unwrap_or_else(|| panic!("{}", lab.troubles()));
    assert!(!wire(&sent).contains(MARK), "{}", wire(&sent));
    assert!(sent.header(Name::From).unwrap().contains("+33142685301"));

    let mut lab = office("trust = false");
    lab.invite_as("anna", ANNA, "+4930123456", "Privacy: id");
    let sent = lab.invited(FAR).unwrap();
    assert!(!wire(&sent).contains("+33142685301"), "{}", wire(&sent));
}

// covers: RFC 5806 §4
#[test]
fn a_call_that_is_transferred_out_again_names_who_transferred_it() {
    let mut lab = office("diversion = \"send\"\nhistory = \"send\"");
    lab.register("anna", ANNA);
    let lines = format!("From: \"Cora\" <sip:{MARK}@x.example>;tag=1");
    lab.invite(FAR, "+33142685301", &lines);
    let rung = lab
        .invited(ANNA)
        .unwrap_or_else(|| panic!("{}", lab.troubles()));
    let name = rung.from().unwrap().display().into_owned();
    assert_eq!(
        (name.as_str(), rung.header(Name::Diversion)),
        ("Cora", None)
    );
    lab.reply(ANNA, &rung, 200, "");
    lab.within(ANNA, &rung, "REFER", "Refer-To: <sip:+4930555@192.0.2.1>");
    let sent = lab
        .invited(FAR)
        .unwrap_or_else(|| panic!("{}", lab.troubles()));
    let told = sent.header(Name::Diversion).unwrap();
    let want = "<sip:+33142685301@192.0.2.1>;reason=deflection;counter=1;privacy=off";
    assert_eq!(told, want);
    let history = sent.header(Name::HistoryInfo).unwrap();
    assert!(history.starts_with("<sip:+33142685301@192.0.2.1?Reason=SIP%3Bcause%3D480>;index=1, "));
    assert!(history.ends_with(";index=1.1;mp=1"), "{history}");
    assert!(sent.header(Name::From).unwrap().contains(MARK));
}
