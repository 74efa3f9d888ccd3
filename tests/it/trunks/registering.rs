//! Our registration with a carrier (RFC 3261 §10.2), and the call that comes of it.

use sip::message::{Message, Method, Name};
use tandem::control::What;
use tandem::trunk::RegistrationState;

use super::{CALLER, ONE, TWO, final_of, ms};
use crate::lab::Lab;

/// The carrier by name and password; its calls come from its registrar's address.
const ACME: &str = "[trunks.acme]
send_to = [\"10.9.1.1\"]
user = \"us\"
password = \"sesame\"
register = true
register_expires = \"10m\"
contact_user = \"desk\"
";
const PLAN: &str = r#"
dialplan version=1 tz="UTC"
entry pattern="*" flow="in"
flow "in" { dial "anna" timeout="60s"; hangup; }
"#;

fn lab() -> Lab {
    let toml = format!(
        "{ACME}[endpoints.anna]\npassword = \"secret\"\ncontact = \"sip:anna@10.9.1.2:5060\"\n"
    );
    let mut lab = Lab::sounding(&toml, PLAN);
    for (remote, hz) in [ONE, TWO] {
        lab.speaks(remote, hz);
    }
    lab.tick();
    lab
}

/// The REGISTER that the carrier got, if one came.
fn register(lab: &mut Lab) -> Option<Message> {
    let got = lab.take(ONE.0).into_iter();
    got.filter(|it| it.method() == Some(Method::Register))
        .last()
}

fn answer(lab: &mut Lab, request: &Message, status: u16, lines: &[(&str, &str)]) {
    let mut reply = sip::message::Builder::response(request, status, "said").to_tag("reg");
    for (name, value) in lines {
        reply = reply.header(*name, value);
    }
    lab.receive(ONE.0, reply.build().unwrap().bytes().clone());
}

/// Asks for a proof, and takes it.
fn registers(lab: &mut Lab, expires: &str) -> Message {
    let first = register(lab).unwrap();
    let asks = "Digest realm=\"acme\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"";
    assert!(first.header(Name::Authorization).is_none());
    answer(lab, &first, 401, &[("WWW-Authenticate", asks)]);
    let second = register(lab).unwrap();
    let proof = second.header(Name::Authorization).unwrap();
    assert!(proof.contains("username=\"us\""), "{proof}");
    let contact = second.header(Name::Contact).unwrap().to_owned();
    answer(
        lab,
        &second,
        200,
        &[("Contact", &format!("{contact};expires={expires}"))],
    );
    second
}

fn state(lab: &Lab) -> RegistrationState {
    let trunks = lab.control.trunk_snapshots(lab.now);
    let acme = trunks.into_iter().find(|it| it.name == "acme");
    acme.unwrap().registration.unwrap().0
}

// covers: RFC 3261 §10.2, RFC 3261 §10.2.4, RFC 3261 §22.2
#[test]
fn a_registration_that_is_proven_is_refreshed_and_the_carriers_call_to_it_is_heard() {
    let mut lab = lab();
    let second = registers(&mut lab, "600");
    assert_eq!(state(&lab), RegistrationState::Registered);
    let contact = second.contact().unwrap().unwrap().uri.as_str().to_owned();
    assert!(contact.starts_with("sip:desk@"), "{contact}");
    lab.pass(ms(479_000));
    assert!(register(&mut lab).is_none(), "before 80 % of its time");
    lab.pass(ms(62_000));
    let again = register(&mut lab).unwrap();
    assert_eq!(again.call_id(), second.call_id());
    assert!(again.cseq().unwrap().number > second.cseq().unwrap().number);
    answer(
        &mut lab,
        &again,
        200,
        &[("Contact", &format!("<{contact}>;expires=600"))],
    );
    assert_eq!(state(&lab), RegistrationState::Registered);
    // The carrier calls the contact that was registered.
    lab.invite(ONE.0, "desk", "");
    let ringing = lab
        .invited(TWO.0)
        .unwrap_or_else(|| panic!("{}", lab.troubles()));
    lab.reply(TWO.0, &ringing, 200, "");
    lab.pass(ms(20));
    let got = lab.take(ONE.0);
    let taken = got
        .iter()
        .rfind(|it| it.status() == Some(200))
        .unwrap()
        .clone();
    let heard = lab.hear_each_other(ONE, TWO);
    println!(
        "the carrier's call: heard at {:.1} and {:.1} dBFS",
        heard.0, heard.1
    );
    lab.take(TWO.0);
    lab.request(ONE.0, &taken, "BYE");
    super::ended_at(&mut lab, TWO);
    lab.nothing_is_left();
    // The control: whoever is not the carrier has no such call.
    lab.invite(CALLER.0, "desk", "");
    assert!(lab.invited(TWO.0).is_none());
    assert!(final_of(&mut lab).is_none_or(|it| it.status() >= Some(400)));
}

#[test]
fn a_registration_that_fails_is_tried_again_with_back_off_and_lapses_in_its_time() {
    let mut lab = lab();
    let mut waits = Vec::new();
    for _ in 0..4 {
        let refused = register(&mut lab).unwrap();
        answer(&mut lab, &refused, 503, &[]);
        let from = lab.now;
        let again = loop {
            lab.pass(ms(500));
            if lab.has_sent(ONE.0, Method::Register) {
                break lab.now;
            }
            assert!((lab.now - from).as_secs() < 1_000, "never again");
        };
        waits.push((again - from).as_secs_f32());
    }
    println!("tried again after {waits:?} s");
    for (wait, most) in waits.iter().zip([30.0, 60.0, 120.0, 240.0]) {
        assert!((most / 2.0..=most + 0.5).contains(wait), "{waits:?}");
    }
    assert_eq!(state(&lab), RegistrationState::Failed);
    registers(&mut lab, "60");
    assert_eq!(state(&lab), RegistrationState::Registered);
    // Nobody answers any more: it stands until its time is over.
    lab.pass(ms(55_000));
    assert_eq!(state(&lab), RegistrationState::Registered);
    lab.pass(ms(6_000));
    assert_eq!(state(&lab), RegistrationState::Failed);
    let told: Vec<_> = lab
        .events
        .iter()
        .filter_map(|it| match it {
            What::Registration { state, .. } => Some(*state),
            _ => None,
        })
        .collect();
    let want = [
        RegistrationState::Failed,
        RegistrationState::Registered,
        RegistrationState::Failed,
    ];
    assert_eq!(told, want);
}

#[test]
fn a_server_that_goes_takes_its_registration_back() {
    let mut lab = lab();
    registers(&mut lab, "600");
    lab.control.drain();
    lab.pass(ms(1_000));
    let last = register(&mut lab).unwrap();
    assert_eq!(last.header(Name::Expires), Some("0"));
    assert_eq!(state(&lab), RegistrationState::Left);
}
