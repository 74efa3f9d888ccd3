//! Tables of identity: what is read of a request, and what is written for a peer.

use super::super::{
    Diversion, DiversionReason, Identity, IdentityPolicy, Numbers, SendForm, Shown,
};
use super::invite;
use crate::config::{ConfigError, Section};

fn policy(text: &str, old: Option<bool>) -> Result<IdentityPolicy, ConfigError> {
    let root = Section::from_toml(text.replace('|', "\n").parse().unwrap());
    IdentityPolicy::read(root, old)
}

/// Who it is, `(hidden)` if so, then who sent the call on.
fn read(policy: &IdentityPolicy, lines: &str) -> String {
    let french = Numbers::of("FR", SendForm::E164).unwrap();
    let request = invite("100", "0142685300", lines);
    let identity = Identity::received(&request, policy, &french).unwrap();
    let mut text = identity.number.clone();
    if !identity.name.is_empty() {
        text = format!("{} {text}", identity.name);
    }
    if identity.private {
        text.push_str(" (hidden)");
    }
    for one in &identity.diversions {
        let hidden = if one.private { " hidden" } else { "" };
        text.push_str(&format!(" < {} {}{hidden}", one.number, one.reason.word()));
    }
    text
}

// covers: RFC 3325 §9.1, RFC 3323 §4.2, RFC 5806 §4, RFC 7044 §10.2
#[test]
fn a_request_says_who_calls_as_far_as_its_trunk_is_believed() {
    let fluffy = "P-Asserted-Identity: \"Cullen Jennings\" <sip:fluffy@cisco.com>|\
                  P-Asserted-Identity: tel:+14085264000";
    let diverted = "Diversion: <sip:0142685399@x.example>;reason=no-answer;counter=2, \
                    <sip:bob@x.example>;reason=user-busy;privacy=full";
    let history = "History-Info: <sip:bob@example.com?Reason=SIP%3Bcause%3D302>;index=1, \
                   <sip:office@example.com?Reason=SIP%3Bcause%3D486&Privacy=history>;index=1.1;mp=1, \
                   <sip:home@example.com>;index=1.1.1;mp=1.1";
    let by_cause = "History-Info: <sip:bob@example.com>;index=1, \
                    <sip:home@example.com;cause=408>;index=1.1";
    let broken = "P-Asserted-Identity: <sip:broken|Remote-Party-ID: <sip:7@x>;privacy=full";
    let table = [
        ("", "+33142685300", "+33142685300"),
        (fluffy, "Cullen Jennings fluffy", "+33142685300"),
        (
            "P-Preferred-Identity: <sip:0142685301@x>",
            "+33142685301",
            "+33142685300",
        ),
        (
            "Remote-Party-ID: \"R\" <sip:7@x>;party=calling;privacy=off",
            "R 7",
            "+33142685300",
        ),
        (broken, "7 (hidden)", "+33142685300"),
        (
            "Privacy: id",
            "+33142685300 (hidden)",
            "+33142685300 (hidden)",
        ),
        (
            "Privacy: header;critical",
            "+33142685300 (hidden)",
            "+33142685300 (hidden)",
        ),
        ("Privacy: none", "+33142685300", "+33142685300"),
        ("Privacy: session", "+33142685300", "+33142685300"),
        (
            diverted,
            "+33142685300 < +33142685399 no-answer < bob user-busy hidden",
            "+33142685300",
        ),
        (
            history,
            "+33142685300 < office user-busy hidden < bob unconditional",
            "+33142685300",
        ),
        (by_cause, "+33142685300 < bob no-answer", "+33142685300"),
        (
            "P-Asserted-Identity: <sip:%0d%0aX-Evil%00@x>",
            "X-Evil",
            "+33142685300",
        ),
    ];
    for (lines, trusted, untrusted) in table {
        assert_eq!(
            read(&IdentityPolicy::trusting(true), lines),
            trusted,
            "{lines}"
        );
        assert_eq!(
            read(&IdentityPolicy::trusting(false), lines),
            untrusted,
            "{lines}"
        );
    }
}

fn caller() -> Identity {
    let diversion = |number: &str, reason, private| Diversion {
        number: number.to_owned(),
        reason,
        count: 1,
        private,
    };
    Identity {
        number: "+14085264000".to_owned(),
        name: "Cullen \"C\\J\" Jennings".to_owned(),
        private: false,
        diversions: vec![
            diversion("+14085551000", DiversionReason::Busy, true),
            diversion("bob", DiversionReason::NoAnswer, false),
        ],
    }
}

/// From, then each header, one a line.
fn shown(policy: &IdentityPolicy, identity: &Identity) -> String {
    let headers = policy.headers(&Shown {
        identity,
        host: "sip.us.example",
        account: Some("pilot"),
        target: "sip:+1666@203.0.113.9",
    });
    let mut text = headers.from;
    for (name, value) in headers.others {
        text.push_str(&format!("\n{name}: {value}"));
    }
    text
}

// covers: RFC 3325 §10.1, RFC 3323 §4.1.1.3, RFC 5806 §4, RFC 7044 §10.1.2
#[test]
fn a_peer_is_shown_what_its_policy_says() {
    let name = r#""Cullen \"C\\J\" Jennings" <sip:+14085264000@sip.us.example>"#;
    let anonymous = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";
    let diversions = "Diversion: <sip:+14085551000@sip.us.example>;reason=user-busy;counter=1;privacy=full\n\
                      Diversion: <sip:bob@sip.us.example>;reason=no-answer;counter=1;privacy=off";
    let (open, hidden) = (
        caller(),
        Identity {
            private: true,
            ..caller()
        },
    );
    let table = [
        ("trust = true|diversion = \"drop\"", &open, name.to_owned()),
        ("trust = true", &open, format!("{name}\n{diversions}")),
        (
            "trust = false|diversion = \"send\"",
            &open,
            format!("{name}\n{}", diversions.lines().nth(1).unwrap()),
        ),
        (
            "trust = false|send = \"pai\"",
            &open,
            format!("<sip:pilot@sip.us.example>\nP-Asserted-Identity: {name}"),
        ),
        (
            "trust = false|send = \"from+ppi+rpid\"",
            &open,
            format!(
                "{name}\nP-Preferred-Identity: {name}\n\
                 Remote-Party-ID: {name};party=calling;screen=yes;privacy=off"
            ),
        ),
        (
            "trust = true|diversion = \"drop\"|send = \"from+pai+rpid\"",
            &hidden,
            format!(
                "{anonymous}\nP-Asserted-Identity: {name}\n\
                 Remote-Party-ID: {name};party=calling;screen=yes;privacy=full\nPrivacy: id"
            ),
        ),
        (
            "trust = false|send = \"from+pai+ppi+rpid\"",
            &hidden,
            format!("{anonymous}\nPrivacy: id"),
        ),
        (
            "trust = false|privacy = \"ignore\"",
            &hidden,
            name.to_owned(),
        ),
        (
            "trust = false|history = \"send\"",
            &open,
            format!(
                "{name}\nHistory-Info: <sip:bob@sip.us.example?Reason=SIP%3Bcause%3D408>;index=1, \
                 <sip:anonymous@anonymous.invalid?Reason=SIP%3Bcause%3D486>;index=1.1;mp=1, \
                 <sip:+1666@203.0.113.9>;index=1.1.1;mp=1.1"
            ),
        ),
        (
            "trust = true|diversion = \"drop\"|history = \"send\"",
            &open,
            format!(
                "{name}\nHistory-Info: <sip:bob@sip.us.example?Reason=SIP%3Bcause%3D408>;index=1, \
                 <sip:+14085551000@sip.us.example?Privacy=history&Reason=SIP%3Bcause%3D486>;index=1.1;mp=1, \
                 <sip:+1666@203.0.113.9>;index=1.1.1;mp=1.1"
            ),
        ),
    ];
    for (text, identity, want) in table {
        assert_eq!(
            shown(&policy(text, None).unwrap(), identity),
            want,
            "{text}"
        );
    }
}

#[test]
fn a_name_or_number_with_odd_letters_is_escaped_and_an_empty_one_leaves_the_user_out() {
    let odd = Identity {
        number: "a b@c;d".to_owned(),
        name: "Line\r\nX-Evil: 1".to_owned(),
        ..Identity::default()
    };
    let text = shown(&IdentityPolicy::ENDPOINT, &odd);
    assert_eq!(text, "\"LineX-Evil: 1\" <sip:a%20b%40c;d@sip.us.example>");
    let nobody = Identity::default();
    assert_eq!(
        shown(&IdentityPolicy::ENDPOINT, &nobody),
        "<sip:sip.us.example>"
    );
}

#[test]
fn who_sends_a_call_on_again_is_counted_and_only_so_many_are_remembered() {
    let mut identity = Identity::of_number("1");
    for number in 0..12 {
        identity.divert(&number.to_string(), DiversionReason::Unconditional);
    }
    identity.divert("11", DiversionReason::Busy);
    assert_eq!(identity.diversions.len(), 8);
    assert_eq!(identity.diverted_from(), Some("11"));
    assert_eq!(identity.diversions[0].count, 2);
}

#[test]
fn the_older_key_says_the_same_as_trust_and_a_mistake_is_named() {
    assert!(policy("", None).unwrap().trust);
    assert!(!policy("", Some(false)).unwrap().trust);
    assert!(!policy("trust = false", Some(false)).unwrap().trust);
    let table = [
        ("trust = true", "trust"),
        ("send = \"from+from\"", "send"),
        ("send = \"pia\"", "send"),
        ("privacy = \"maybe\"", "privacy"),
        ("diversion = \"yes\"", "diversion"),
        ("divert = \"send\"", "divert"),
    ];
    for (text, key) in table {
        let error = policy(text, Some(false)).unwrap_err().to_string();
        assert!(error.starts_with(key), "{text}: {error}");
    }
}
