//! A line against a SIP machine that does what control does.

use bytes::Bytes;
use clock::{Duration, Now};
use sip::auth::{self, Challenge, Credentials};
use sip::message::{Message, Method, Name};
use sip::transport::{ConnectionId, Flow, ListenerId, Transport};
use sip::ua::{self, Ending, Invite, Reliable, RequestId, SessionId, UserAgent, UserAgentConfig};

use super::*;

const OURS: &str =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\na=sendrecv\r\n";
const THEIRS: &str = "v=0\r\no=- 2 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 7 RTP/AVP 0\r\n";

/// Both ends of the pipe.
struct Rig {
    now: Now,
    line: Line,
    far: UserAgent,
    /// What the line has told, and the other side, since somebody looked.
    told: Vec<Event>,
    heard: Vec<ua::Event>,
}

fn flow() -> Flow {
    Flow {
        transport: Transport::Ws,
        listener: ListenerId(0),
        remote: ([127, 0, 0, 1], 9).into(),
        connection: Some(ConnectionId(5)),
        peer: None,
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

impl Rig {
    fn new() -> Self {
        Self::with(Proof::Password("sesame".to_owned()))
    }

    fn with(proof: Proof) -> Self {
        let listener = ua::Listener {
            id: ListenerId(0),
            transport: Transport::Ws,
            advertised_host: "127.0.0.1".to_owned(),
            advertised_port: 80,
        };
        Self {
            now: Now::ZERO,
            line: line_of(proof, 11),
            far: UserAgent::new(UserAgentConfig::new(vec![listener], "control"), 12),
            told: Vec::new(),
            heard: Vec::new(),
        }
    }

    /// Carries messages until both are quiet.
    fn run(&mut self) {
        loop {
            let mut quiet = true;
            while let Some(output) = self.line.poll_output() {
                quiet = false;
                match output {
                    Output::Transmit(bytes) => self.far.receive(self.now, flow(), bytes, true),
                    Output::Event(event) => self.told.push(event),
                }
            }
            while let Some(output) = self.far.poll_output() {
                quiet = false;
                match output {
                    ua::Output::Transmit { bytes, .. } => self.line.receive(self.now, bytes),
                    ua::Output::Event(event) => self.heard.push(event),
                }
            }
            if quiet {
                return;
            }
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.line.handle_timeout(self.now);
        self.far.handle_timeout(self.now);
        self.run();
    }

    fn told(&mut self) -> Vec<Event> {
        self.run();
        std::mem::take(&mut self.told)
    }

    fn heard(&mut self) -> Vec<ua::Event> {
        self.run();
        std::mem::take(&mut self.heard)
    }

    /// The request that came outside a dialog.
    fn requested(&mut self) -> (RequestId, Message) {
        let heard = self.heard();
        match heard.into_iter().next() {
            Some(ua::Event::Requested {
                request_id,
                request,
                ..
            }) => (request_id, request),
            other => panic!("{other:?}"),
        }
    }

    /// The call that came, and its INVITE.
    fn invited(&mut self) -> (SessionId, Message) {
        let heard = self.heard();
        match heard.into_iter().next() {
            Some(ua::Event::Invited {
                session, request, ..
            }) => (session, request),
            other => panic!("{other:?}"),
        }
    }

    /// A call of that name that the line dialled and the other side has answered.
    fn dialled(&mut self, name: &str) -> SessionId {
        let dial = Dial {
            to: "700".to_owned(),
            sdp: OURS.into(),
            headers: Vec::new(),
        };
        self.line.dial(self.now, name, dial).unwrap();
        let (session, _) = self.invited();
        let named = [("X-Tandem-Call".to_owned(), "c-1".to_owned())];
        self.far
            .accept(self.now, session, Some(THEIRS.into()), &named);
        self.run();
        self.heard.clear();
        session
    }

    /// Has the other side call the line.
    fn called(&mut self) -> (SessionId, Incoming) {
        let invite = Invite {
            request_uri: "sip:anna@x.invalid".to_owned(),
            flow: flow(),
            from: "\"Bob B.\" <sip:+4930123@tandem.example>".to_owned(),
            to: "<sip:anna@tandem.example>".to_owned(),
            contact_user: "tandem".to_owned(),
            headers: vec![
                ("X-Tandem-Call".to_owned(), "c-2".to_owned()),
                ("x-account".to_owned(), "77".to_owned()),
            ],
            offer: Some(THEIRS.into()),
            credentials: None,
            max_forwards: 70,
            reliable: Reliable::Supported,
            timers: None,
        };
        let session = self.far.invite(self.now, invite).unwrap();
        let told = self.told();
        match told.into_iter().next() {
            Some(Event::Incoming(incoming)) => (session, *incoming),
            other => panic!("{other:?}"),
        }
    }
}

fn ended(call: &str, by: By, status: Option<u16>) -> impl Fn(&[Event]) -> bool {
    let call = call.to_owned();
    move |told| {
        matches!(told, [Event::Ended { call: which, by: whose, status: of, .. }]
            if *which == call && *whose == by && *of == status)
    }
}

fn sdp_said(heard: &[ua::Event]) -> String {
    let body = heard.iter().find_map(|event| match event {
        ua::Event::Offered { body, .. } => body.clone(),
        _ => None,
    });
    String::from_utf8(body.unwrap().to_vec()).unwrap()
}

const CHALLENGE: &str = "Digest realm=\"x\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\"";

#[test]
fn it_registers_by_digest_and_keeps_the_time_that_it_is_granted() {
    let mut rig = Rig::new();
    rig.line.register(rig.now).unwrap();
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
    rig.line.unregister(rig.now);
    assert_eq!(rig.requested().1.expires(), Ok(Some(0)));
}

#[test]
fn a_wrong_password_is_told_once_and_another_realm_s_proof_is_another_s() {
    let mut rig = Rig::new();
    rig.line.register(rig.now).unwrap();
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
    assert!(!rig.line.is_registered());
    // What the proof was made of: a reader of this test finds the password right.
    let challenges = [Challenge::parse(CHALLENGE).unwrap()];
    let by = Credentials::password("anna", "sesame");
    assert!(auth::answer(&challenges, &by, ("REGISTER", "sip:x", b""), "c", 1).is_some());
}

// covers: RFC 8898 §2
#[test]
fn a_token_goes_with_every_request_outside_a_dialog_and_with_none_inside() {
    let mut rig = Rig::with(Proof::Bearer("aa.bb.cc".to_owned()));
    rig.line.register(rig.now).unwrap();
    let (_, register) = rig.requested();
    let dial = Dial {
        to: "700".to_owned(),
        sdp: OURS.into(),
        headers: Vec::new(),
    };
    rig.line.dial(rig.now, "one", dial).unwrap();
    let (session, invite) = rig.invited();
    for request in [&register, &invite] {
        assert_eq!(request.header(Name::Authorization), Some("Bearer aa.bb.cc"));
    }
    rig.far.accept(rig.now, session, Some(THEIRS.into()), &[]);
    rig.run();
    rig.heard.clear();
    rig.line.key(rig.now, "one", '5').unwrap();
    let heard = rig.heard();
    let Some(ua::Event::InDialog { request, .. }) = heard.first() else {
        panic!("{heard:?}");
    };
    assert_eq!(request.header(Name::Authorization), None);
    assert!(
        !format!("{:?}", rig.line).contains("aa.bb"),
        "no secret is told"
    );
}

#[test]
fn it_dials_hears_early_sound_is_answered_and_hung_up_on() {
    let mut rig = Rig::new();
    let dial = Dial {
        to: "sip:+49 30 1@elsewhere.example".replace(' ', ""),
        sdp: OURS.into(),
        headers: vec![("X-Mine".to_owned(), "yes".to_owned())],
    };
    rig.line.dial(rig.now, "one", dial.clone()).unwrap();
    let again = rig.line.dial(rig.now, "one", dial);
    assert_eq!(again, Err(LineError::NameTaken));
    let (session, invite) = rig.invited();
    assert_eq!(invite.request_uri(), Some("sip:+49301@tandem.example"));
    assert_eq!(invite.header_named("X-Mine"), Some("yes"));
    assert_eq!(invite.body(), &Bytes::from(OURS));
    rig.far.progress(rig.now, session, 180, None);
    rig.far.progress(rig.now, session, 183, Some(THEIRS.into()));
    let ringing = |status, sdp: Option<&'static str>| Event::Ringing {
        call: "one".to_owned(),
        status,
        sdp: sdp.map(Bytes::from),
    };
    assert_eq!(rig.told(), [ringing(180, None), ringing(183, Some(THEIRS))]);
    let named = [("X-Tandem-Call".to_owned(), "c-1".to_owned())];
    rig.far
        .accept(rig.now, session, Some(THEIRS.into()), &named);
    let answered = Event::Answered {
        call: "one".to_owned(),
        sdp: None,
        id: Some("c-1".to_owned()),
    };
    assert_eq!(rig.told(), [answered], "the same description is told once");
    rig.far.end(rig.now, session, Ending::default());
    assert!(ended("one", By::Them, None)(&rig.told()));
    assert_eq!(rig.line.calls().count(), 0);
}

#[test]
fn what_it_dials_may_be_refused_and_given_up() {
    let mut rig = Rig::new();
    let dial = || Dial {
        to: "700".to_owned(),
        sdp: OURS.into(),
        headers: Vec::new(),
    };
    rig.line.dial(rig.now, "one", dial()).unwrap();
    let (session, _) = rig.invited();
    let busy = Ending {
        status: 486,
        ..Ending::default()
    };
    rig.far.end(rig.now, session, busy);
    assert!(ended("one", By::Them, Some(486))(&rig.told()));
    rig.line.dial(rig.now, "one", dial()).unwrap();
    rig.line.hang_up(rig.now, "one").unwrap();
    assert!(ended("one", By::Us, None)(&rig.told()));
    let cancelled = rig.heard();
    let is_cancelled = |event: &ua::Event| {
        let by = ua::EndedBy::Cancelled;
        matches!(event, ua::Event::Ended { by: whose, .. } if *whose == by)
    };
    assert!(cancelled.iter().any(is_cancelled), "{cancelled:?}");
    for wrong in ["", "sip:", "sip:@", &"9".repeat(129)] {
        let dial = Dial {
            to: wrong.to_owned(),
            ..dial()
        };
        assert_eq!(
            rig.line.dial(rig.now, "two", dial),
            Err(LineError::Unwritable),
            "{wrong}"
        );
    }
    let forged = Dial {
        headers: vec![("X-A".to_owned(), "b\r\nRoute: <sip:evil>".to_owned())],
        ..dial()
    };
    assert_eq!(
        rig.line.dial(rig.now, "two", forged),
        Err(LineError::Unwritable)
    );
    assert!(rig.told().is_empty());
}

#[test]
fn a_call_that_comes_has_a_name_is_answered_or_refused_and_the_ninth_is_busy() {
    let mut rig = Rig::new();
    let (session, incoming) = rig.called();
    assert_eq!(incoming.from.name, "Bob B.");
    assert_eq!(incoming.from.number, "+4930123");
    assert_eq!(incoming.id.as_deref(), Some("c-2"));
    assert_eq!(incoming.sdp, Bytes::from(THEIRS));
    assert!(
        incoming
            .headers
            .contains(&("x-account".to_owned(), "77".to_owned()))
    );
    let parts: Vec<usize> = incoming.call.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12], "{}", incoming.call);
    rig.line
        .answer(rig.now, &incoming.call, OURS.into())
        .unwrap();
    let heard = rig.heard();
    let answered = |event: &ua::Event| matches!(event, ua::Event::Answered { body, .. } if *body == Some(OURS.into()));
    assert!(heard.iter().any(answered), "{heard:?}");
    assert_eq!(
        rig.line.answer(rig.now, &incoming.call, OURS.into()),
        Err(LineError::NotNow)
    );
    rig.far.end(rig.now, session, Ending::default());
    assert!(ended(&incoming.call, By::Them, None)(&rig.told()));

    let (_, declined) = rig.called();
    rig.line.refuse(rig.now, &declined.call, 480).unwrap();
    assert!(ended(&declined.call, By::Us, Some(480))(&rig.told()));
    let (given_up, missed) = rig.called();
    rig.far.end(rig.now, given_up, Ending::default());
    assert!(ended(&missed.call, By::Them, Some(487))(&rig.told()));

    for _ in 0..CALLS_MAX {
        rig.called();
    }
    rig.heard.clear();
    let names: std::collections::BTreeSet<&str> = rig.line.calls().collect();
    assert_eq!(names.len(), CALLS_MAX);
    let invite = Invite {
        request_uri: "sip:anna@x.invalid".to_owned(),
        flow: flow(),
        from: "<sip:b@c>".to_owned(),
        to: "<sip:anna@tandem.example>".to_owned(),
        contact_user: "tandem".to_owned(),
        headers: Vec::new(),
        offer: Some(THEIRS.into()),
        credentials: None,
        max_forwards: 70,
        reliable: Reliable::No,
        timers: None,
    };
    rig.far.invite(rig.now, invite).unwrap();
    let heard = rig.heard();
    let busy = |event: &ua::Event| matches!(event, ua::Event::Refused { status: 486, .. });
    assert!(heard.iter().any(busy), "{heard:?}");
    let full = Dial {
        to: "700".to_owned(),
        ..Dial::default()
    };
    assert_eq!(rig.line.dial(rig.now, "ninth", full), Err(LineError::Full));
}

// covers: RFC 3264 §8, RFC 3264 §8.4
#[test]
fn it_holds_in_the_client_s_name_and_goes_on() {
    let mut rig = Rig::new();
    let session = rig.dialled("one");
    rig.told();
    for (on, version, direction) in [(true, "1 2 IN", "inactive"), (false, "1 3 IN", "sendrecv")] {
        rig.line.hold(rig.now, "one", on).unwrap();
        assert_eq!(rig.line.hold(rig.now, "one", on), Err(LineError::NotNow));
        let offer = sdp_said(&rig.heard());
        assert!(offer.contains(version), "{offer}");
        assert!(offer.contains(&format!("a={direction}\r\n")), "{offer}");
        rig.far.answer_offer(rig.now, session, Some(THEIRS.into()));
        let call = "one".to_owned();
        assert_eq!(rig.told(), [Event::Held { call, on }]);
    }
    rig.line.hold(rig.now, "one", true).unwrap();
    rig.run();
    rig.far.refuse_offer(rig.now, session, 488);
    let (call, on) = ("one".to_owned(), false);
    assert_eq!(
        rig.told(),
        [Event::Held { call, on }],
        "as it is, not as it was wished"
    );
}

#[test]
fn it_offers_anew_and_a_held_call_stays_held() {
    let mut rig = Rig::new();
    let session = rig.dialled("one");
    rig.line.hold(rig.now, "one", true).unwrap();
    rig.run();
    rig.far.answer_offer(rig.now, session, Some(THEIRS.into()));
    rig.told();
    rig.heard.clear();
    let moved = OURS.replace("1 1 IN IP4 127.0.0.1", "1 2 IN IP4 127.0.0.9");
    rig.line.renegotiate(rig.now, "one", moved.into()).unwrap();
    let offer = sdp_said(&rig.heard());
    assert!(offer.contains("o=- 1 4 IN IP4 127.0.0.9"), "{offer}");
    assert!(offer.contains("a=inactive"), "{offer}");
    rig.far.answer_offer(rig.now, session, Some(THEIRS.into()));
    let told = rig.told();
    assert!(
        matches!(&told[..], [Event::Answered { call, sdp: Some(_), .. }] if call == "one"),
        "{told:?}"
    );
    rig.line.renegotiate(rig.now, "one", OURS.into()).unwrap();
    rig.run();
    rig.far.refuse_offer(rig.now, session, 488);
    let call = "one".to_owned();
    assert_eq!(rig.told(), [Event::NotRenegotiated { call, status: 488 }]);
}

#[test]
fn they_may_offer_and_are_answered_or_refused() {
    let mut rig = Rig::new();
    let session = rig.dialled("one");
    rig.told();
    for answers in [true, false] {
        rig.far.reinvite(rig.now, session, Some(THEIRS.into()));
        let told = rig.told();
        assert!(
            matches!(&told[..], [Event::Offered { call, .. }] if call == "one"),
            "{told:?}"
        );
        assert_eq!(rig.line.hold(rig.now, "one", true), Err(LineError::NotNow));
        if answers {
            rig.line.answer(rig.now, "one", OURS.into()).unwrap();
        } else {
            rig.line.refuse(rig.now, "one", 488).unwrap();
        }
        let heard = rig.heard();
        let result = heard.iter().find_map(|event| match event {
            ua::Event::OfferAnswered { result, .. } => Some(result.is_ok()),
            _ => None,
        });
        assert_eq!(result, Some(answers));
    }
}

// covers: RFC 3515 §2.4.4, RFC 3515 §2.4.5
#[test]
fn it_hands_a_call_on_and_hears_how_that_goes() {
    let mut rig = Rig::new();
    let session = rig.dialled("one");
    rig.told();
    for (status, last, progress) in [
        (603, true, Progress::Failed(603)),
        (200, true, Progress::Done),
    ] {
        rig.line.refer(rig.now, "one", "sip:701@x").unwrap();
        assert_eq!(
            rig.line.refer(rig.now, "one", "702"),
            Err(LineError::NotNow)
        );
        let heard = rig.heard();
        let Some(ua::Event::InDialog {
            request_id,
            request,
            ..
        }) = heard.first()
        else {
            panic!("{heard:?}");
        };
        assert_eq!(
            request.header(Name::ReferTo),
            Some("<sip:701@tandem.example>")
        );
        rig.far.respond_in(rig.now, *request_id, 202, &[], None);
        let referred = |progress| Event::Referred {
            call: "one".to_owned(),
            progress,
        };
        assert_eq!(rig.told(), [referred(Progress::Trying(100))]);
        for (status, last) in [(180, false), (status, last)] {
            let state = if last { "terminated" } else { "active" };
            let headers = [
                ("Event".to_owned(), "refer".to_owned()),
                ("Subscription-State".to_owned(), state.to_owned()),
            ];
            let body = format!("SIP/2.0 {status} {}\r\n", ua::phrase(status));
            let body = Some(("message/sipfrag".to_owned(), body.into()));
            rig.far
                .request_in(rig.now, session, Method::Notify, &headers, body)
                .unwrap();
        }
        assert_eq!(
            rig.told(),
            [referred(Progress::Trying(180)), referred(progress)]
        );
        rig.heard.clear();
    }
    rig.line.refer(rig.now, "one", "703").unwrap();
    let heard = rig.heard();
    let Some(ua::Event::InDialog { request_id, .. }) = heard.first() else {
        panic!("{heard:?}");
    };
    rig.far.respond_in(rig.now, *request_id, 403, &[], None);
    let told = rig.told();
    assert!(
        matches!(
            told[..],
            [Event::Referred {
                progress: Progress::Failed(403),
                ..
            }]
        ),
        "{told:?}"
    );
}

// covers: RFC 3891 §3, RFC 3891 §4
#[test]
fn it_joins_two_of_its_calls_by_the_name_that_the_other_side_knows() {
    let mut rig = Rig::new();
    rig.dialled("one");
    let second = rig.dialled("two");
    rig.line.refer_replacing(rig.now, "one", "two").unwrap();
    let heard = rig.heard();
    let Some(ua::Event::InDialog { request, .. }) = heard.first() else {
        panic!("{heard:?}");
    };
    let to = request.refer_to().unwrap().unwrap();
    let (_, value) = to.uri.headers.split_once("Replaces=").unwrap();
    let name = sip::message::unescape(value).into_owned();
    let name = sip::message::Replaces::parse(&name).unwrap();
    assert_eq!(rig.far.find_dialog(&name), Some(second));
}

// covers: RFC 3891 §3, RFC 3261 §13.2.1
#[test]
fn a_call_that_one_line_left_is_taken_up_by_another() {
    let mut rig = Rig::new();
    let before = rig.dialled("one");
    rig.told();
    rig.called();
    let left = rig.line.leave();
    assert_eq!(left.len(), 1, "one that rings is no call yet");
    assert_eq!((left[0].call.as_str(), left[0].incoming), ("one", false));
    rig.line = line_of(Proof::Password("sesame".to_owned()), 77);
    rig.told();
    rig.heard.clear();
    rig.line.attach(rig.now, left[0].clone()).unwrap();
    let heard = rig.heard();
    let Some(ua::Event::Invited {
        session,
        offer: None,
        replaces: Some(replaces),
        ..
    }) = heard.first()
    else {
        panic!("{heard:?}");
    };
    assert_eq!(*replaces, before);
    let named = [("X-Tandem-Call".to_owned(), "c-1".to_owned())];
    rig.far
        .accept(rig.now, *session, Some(THEIRS.into()), &named);
    let offered = Event::Offered {
        call: "one".to_owned(),
        sdp: THEIRS.into(),
        id: Some("c-1".to_owned()),
    };
    assert_eq!(rig.told(), [offered]);
    assert_eq!(rig.line.hold(rig.now, "one", true), Err(LineError::NotNow));
    rig.line.answer(rig.now, "one", OURS.into()).unwrap();
    let heard = rig.heard();
    let confirmed = |event: &ua::Event| matches!(event, ua::Event::Confirmed { body, .. } if *body == Some(OURS.into()));
    assert!(heard.iter().any(confirmed), "{heard:?}");
}

#[test]
fn a_name_that_is_none_and_a_key_that_is_none_are_refused() {
    let mut rig = Rig::new();
    let now = rig.now;
    assert_eq!(rig.line.hang_up(now, "x"), Err(LineError::NoSuchCall));
    assert_eq!(rig.line.hold(now, "x", true), Err(LineError::NoSuchCall));
    assert_eq!(
        rig.line.answer(now, "x", Bytes::new()),
        Err(LineError::NoSuchCall)
    );
    rig.dialled("one");
    assert_eq!(rig.line.key(now, "one", 'x'), Err(LineError::Unwritable));
    assert_eq!(rig.line.key(now, "one", '\r'), Err(LineError::Unwritable));
    assert_eq!(rig.line.refuse(now, "one", 486), Err(LineError::NotNow));
    rig.line.key(now, "one", 'd').unwrap();
    let heard = rig.heard();
    let Some(ua::Event::InDialog { request, .. }) = heard.first() else {
        panic!("{heard:?}");
    };
    assert_eq!(request.body(), &Bytes::from("Signal=D\r\nDuration=160\r\n"));
}

#[test]
fn a_silent_other_side_ends_what_was_dialled() {
    let mut rig = Rig::new();
    let dial = Dial {
        to: "700".to_owned(),
        sdp: OURS.into(),
        headers: Vec::new(),
    };
    rig.line.dial(rig.now, "one", dial).unwrap();
    while rig.line.poll_output().is_some() {}
    let due = rig.line.deadline().unwrap();
    assert!(due <= rig.now + Duration::from_secs(33));
    rig.now += Duration::from_secs(33);
    rig.line.handle_timeout(rig.now);
    assert!(ended("one", By::Nobody, Some(408))(&rig.told()));
}
