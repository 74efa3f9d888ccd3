//! A line against a SIP machine that does what control does: here, how it registers.

mod agreeing;
mod calls;
mod handing_on;

use clock::Duration;
use sip::auth::{self, Challenge, Credentials};
use sip::message::{Method, Name};
use sip::transport::Transport;
use sip::ua;

use super::*;
use crate::face::rig::{self, Near, OURS, Sent, THEIRS, call_to};

type Rig = rig::Rig<Line>;

impl Near for Line {
    type Told = Event;

    fn next(&mut self) -> Option<Sent<Event>> {
        Some(match self.poll_output()? {
            Output::Transmit(bytes) => Sent::ToControl(bytes),
            Output::Event(event) => Sent::Told(event),
        })
    }

    fn sip(&mut self, now: Now, bytes: Bytes) {
        self.receive(now, bytes);
    }

    fn timeout(&mut self, now: Now) {
        self.handle_timeout(now);
    }
}

impl Rig {
    fn new() -> Self {
        Self::with(Proof::Password("sesame".to_owned()))
    }

    fn with(proof: Proof) -> Self {
        Self::around(line_of(proof, 11))
    }

    /// A call of that name that the line dialled and the other side has answered.
    fn dialled(&mut self, name: &str) -> SessionId {
        let dial = Dial {
            to: "700".to_owned(),
            sdp: OURS.into(),
            headers: Vec::new(),
        };
        self.near.dial(self.now, name, dial).unwrap();
        let (session, _) = self.invited();
        self.accept(session, "c-1");
        self.heard.clear();
        session
    }

    /// Has the other side call the line.
    fn called(&mut self) -> (SessionId, Incoming) {
        let invite = call_to("anna", &[("X-Tandem-Call", "c-2"), ("x-account", "77")]);
        let session = self.far.invite(self.now, invite).unwrap();
        match self.one() {
            Event::Incoming(incoming) => (session, *incoming),
            other => panic!("{other:?}"),
        }
    }
}

fn line_of(proof: Proof, seed: u64) -> Line {
    Line::new(LineConfig {
        transport: Transport::Ws,
        user: "anna".to_owned(),
        host: "tandem.example".to_owned(),
        proof,
        user_agent: "face".to_owned(),
        seed,
    })
}

fn ended(call: &str, by: By, status: Option<u16>) -> impl Fn(&[Event]) -> bool {
    let call = call.to_owned();
    move |told| {
        matches!(told, [Event::Ended { call: which, by: whose, status: of, .. }]
            if *which == call && *whose == by && *of == status)
    }
}

const CHALLENGE: &str = "Digest realm=\"x\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\"";

#[test]
fn it_registers_by_digest_and_keeps_the_time_that_it_is_granted() {
    let mut rig = Rig::new();
    rig.near.register(rig.now).unwrap();
    let (id, _) = rig.requested();
    let asks = [("WWW-Authenticate".to_owned(), CHALLENGE.to_owned())];
    rig.far.respond(rig.now, id, 401, &asks, None);
    let (id, request) = rig.requested();
    assert_eq!(request.method(), Some(Method::Register));
    let contact = request.contact().unwrap().unwrap();
    assert!(contact.uri.to_string().contains(".invalid"), "{contact}");
    let proof = request.header(Name::Authorization).unwrap();
    let read = auth::AuthorizationHeader::parse(proof).unwrap();
    assert_eq!(read.username, "anna");
    let granted = [(
        "Contact".to_owned(),
        format!("{};expires=60", contact.as_str()),
    )];
    rig.far.respond(rig.now, id, 200, &granted, None);
    assert_eq!(rig.told(), [Event::Registered]);
    rig.wait(Duration::from_secs(29));
    assert!(rig.heard().is_empty());
    rig.wait(Duration::from_secs(2));
    let (id, _) = rig.requested();
    rig.far.respond(rig.now, id, 200, &granted, None);
    assert!(rig.told().is_empty(), "a refresh is no news");
    rig.near.unregister(rig.now);
    assert_eq!(rig.requested().1.expires(), Ok(Some(0)));
}

#[test]
fn a_wrong_password_is_told_once_and_another_realm_s_proof_is_another_s() {
    let mut rig = Rig::new();
    rig.near.register(rig.now).unwrap();
    let asks = [("WWW-Authenticate".to_owned(), CHALLENGE.to_owned())];
    for _ in 0..3 {
        let heard = rig.heard();
        let Some(ua::Event::Requested { request_id, .. }) = heard.first() else {
            break;
        };
        rig.far.respond(rig.now, *request_id, 401, &asks, None);
    }
    let refused = Event::Refused {
        status: 401,
        reason: "Unauthorized".to_owned(),
    };
    assert_eq!(rig.told(), [refused]);
    assert!(!rig.near.is_registered());
    // What the proof was made of: a reader of this test finds the password right.
    let challenges = [Challenge::parse(CHALLENGE).unwrap()];
    let by = Credentials::password("anna", "sesame");
    assert!(auth::answer(&challenges, &by, ("REGISTER", "sip:x", b""), "c", 1).is_some());
}

// covers: RFC 8898 §2
#[test]
fn a_token_goes_with_every_request_outside_a_dialog_and_with_none_inside() {
    let mut rig = Rig::with(Proof::Bearer("aa.bb.cc".to_owned()));
    rig.near.register(rig.now).unwrap();
    let (_, register) = rig.requested();
    let dial = Dial {
        to: "700".to_owned(),
        sdp: OURS.into(),
        headers: Vec::new(),
    };
    rig.near.dial(rig.now, "one", dial).unwrap();
    let (session, invite) = rig.invited();
    for request in [&register, &invite] {
        assert_eq!(request.header(Name::Authorization), Some("Bearer aa.bb.cc"));
    }
    rig.far.accept(rig.now, session, Some(THEIRS.into()), &[]);
    rig.run();
    rig.heard.clear();
    rig.near.key(rig.now, "one", '5').unwrap();
    let (_, request) = rig.requested_within();
    assert_eq!(request.header(Name::Authorization), None);
    assert!(
        !format!("{:?}", rig.near).contains("aa.bb"),
        "no secret is told"
    );
}
