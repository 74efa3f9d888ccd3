//! The messages of clients against a SIP machine that does what control does.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use sip::message::{Message as Sip, Method};
use sip::transport::{ConnectionId, Flow, ListenerId};
use sip::ua::{self, Ending, Invite, Reliable, RequestId, SessionId, UserAgent, UserAgentConfig};

use super::*;

const OURS: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n";
const THEIRS: &str = "v=0\r\no=- 2 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 7 RTP/AVP 0\r\n";

const WALL: &str = "2026-11-21T06:00:00Z";

fn access() -> Access {
    let secret = crate::config::Secret::new("0123456789abcdef0123456789abcdef".to_owned());
    Access::new(&secret, &crate::config::Access::default())
}

struct Rig {
    now: Now,
    face: Verto,
    far: UserAgent,
    told: Vec<Value>,
    heard: Vec<ua::Event>,
    closed: bool,
    ids: u64,
    parked: Arc<Parked>,
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

fn face(parked: &Arc<Parked>, seed: u64) -> Verto {
    Verto::new(Settings {
        transport: Transport::Ws,
        host: "tandem.example".to_owned(),
        random: [seed, seed ^ 77],
        parked: Arc::clone(parked),
        access: access(),
        wall: WALL.parse().unwrap(),
    })
}

impl Rig {
    fn new() -> Self {
        let listener = ua::Listener {
            id: ListenerId(0),
            transport: Transport::Ws,
            advertised_host: "127.0.0.1".to_owned(),
            advertised_port: 80,
        };
        let parked = Arc::new(Parked::default());
        Self {
            now: Now::ZERO,
            face: face(&parked, 3),
            far: UserAgent::new(UserAgentConfig::new(vec![listener], "control"), 12),
            told: Vec::new(),
            heard: Vec::new(),
            closed: false,
            ids: 0,
            parked,
        }
    }

    /// One whose client is logged in.
    fn ready() -> Self {
        let mut rig = Self::new();
        let who = json!({"login": "anna", "passwd": "sesame"});
        rig.ask("login", who);
        let (id, _) = rig.requested();
        rig.far.respond(rig.now, id, 200, &[], None);
        rig.told();
        rig
    }

    fn run(&mut self) {
        loop {
            let mut quiet = true;
            while let Some(out) = self.face.poll_output() {
                quiet = false;
                match out {
                    Out::Say(text) => self.told.push(serde_json::from_str(&text).unwrap()),
                    Out::Transmit(bytes) => self.far.receive(self.now, flow(), bytes, true),
                    Out::Close => self.closed = true,
                }
            }
            while let Some(output) = self.far.poll_output() {
                quiet = false;
                match output {
                    ua::Output::Transmit { bytes, .. } => self.face.sip(self.now, bytes),
                    ua::Output::Event(event) => self.heard.push(event),
                }
            }
            if quiet {
                return;
            }
        }
    }

    fn say(&mut self, text: &str) {
        self.face.text(self.now, text);
        self.run();
    }

    /// Sends a request of that method; what names it.
    fn ask(&mut self, method: &str, params: Value) -> String {
        self.ids += 1;
        let id = format!("id-{}", self.ids);
        self.say(
            &json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string(),
        );
        id
    }

    fn told(&mut self) -> Vec<Value> {
        self.run();
        std::mem::take(&mut self.told)
    }

    /// The one thing that was told.
    fn one(&mut self) -> Value {
        let told = self.told();
        assert_eq!(told.len(), 1, "{told:?}");
        told.into_iter().next().unwrap()
    }

    /// The answer to a request that is answered at once, and nothing else.
    fn answer(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params);
        let answer = self.one();
        assert_eq!(answer["id"], id);
        answer
    }

    fn requested(&mut self) -> (RequestId, Sip) {
        self.run();
        match self.heard.remove(0) {
            ua::Event::Requested {
                request_id,
                request,
                ..
            } => (request_id, request),
            other => panic!("{other:?}"),
        }
    }

    fn invited(&mut self) -> (SessionId, Sip) {
        self.run();
        match self.heard.remove(0) {
            ua::Event::Invited {
                session, request, ..
            } => (session, request),
            other => panic!("{other:?}"),
        }
    }

    /// A call that the client placed and that was answered.
    fn talks(&mut self, call: &str) -> SessionId {
        let dialog = json!({"callID": call, "destination_number": "700"});
        self.ask(
            "telnyx_rtc.invite",
            json!({"sdp": OURS, "dialogParams": dialog}),
        );
        let (session, _) = self.invited();
        self.far.accept(self.now, session, Some(THEIRS.into()), &[]);
        self.told();
        self.heard.clear();
        session
    }

    fn called(&mut self) -> (SessionId, Value) {
        let invite = Invite {
            request_uri: "sip:anna@x.invalid".to_owned(),
            flow: flow(),
            from: "\"Bob B.\" <sip:+4930123@tandem.example>".to_owned(),
            to: "<sip:anna@tandem.example>".to_owned(),
            contact_user: "tandem".to_owned(),
            headers: vec![
                ("X-Tandem-Call".to_owned(), "c-2".to_owned()),
                ("X-Account".to_owned(), "77".to_owned()),
            ],
            offer: Some(THEIRS.into()),
            credentials: None,
            max_forwards: 70,
            reliable: Reliable::Supported,
            timers: None,
        };
        let session = self.far.invite(self.now, invite).unwrap();
        (session, self.one())
    }
}

fn of(call: &str, more: Value) -> Value {
    let mut params = json!({"dialogParams": {"callID": call}});
    let Value::Object(members) = more else {
        panic!("{more}")
    };
    params.as_object_mut().unwrap().extend(members);
    params
}

#[test]
fn who_proves_who_he_is_is_ready_and_asked_for_signs_of_life() {
    let mut rig = Rig::new();
    let agent = json!({"sdkVersion": "2.27.10", "data": "x"});
    let who = json!({"login": "anna@tandem.example", "passwd": "sesame", "User-Agent": agent});
    let id = rig.ask("login", who);
    assert!(rig.told().is_empty(), "not before control has said so");
    let (request, register) = rig.requested();
    assert_eq!(register.method(), Some(Method::Register));
    assert_eq!(register.header_named("User-Agent"), Some("Verto 2.27.10"));
    rig.far.respond(rig.now, request, 200, &[], None);
    let told = rig.told();
    assert_eq!(told[0]["id"], id);
    assert_eq!(told[0]["result"]["message"], "logged in");
    let session = told[0]["result"]["sessid"].as_str().unwrap().to_owned();
    assert_eq!(session.len(), 36, "{session}");
    assert_eq!(told[1]["method"], "telnyx_rtc.clientReady");
    assert_eq!(told[1]["params"]["reattached_sessions"], json!([]));
    assert_eq!(told[1]["voice_sdk_id"], session);
    // The client acknowledges: nothing to say to that.
    rig.say(r#"{"jsonrpc":"2.0","id":1,"result":{"method":"telnyx_rtc.clientReady"}}"#);
    assert!(rig.told().is_empty());
    let state = rig.answer("telnyx_rtc.gatewayState", json!({}));
    assert_eq!(state["result"]["params"]["state"], "REGED");
    let due = rig.face.deadline().unwrap();
    assert!(due <= Now::ZERO + Duration::from_secs(35), "{due:?}");
    rig.now = due;
    rig.face.timeout(due);
    assert_eq!(rig.one()["method"], "telnyx_rtc.ping");
    assert!(rig.answer("telnyx_rtc.ping", json!({}))["error"].is_null());
}

#[test]
fn who_does_not_is_told_so_in_the_same_words_and_let_go_after_five_tries() {
    let mut rig = Rig::new();
    let none = rig.answer("login", json!({}));
    assert_eq!(none["error"]["code"], -32_000);
    let early = rig.answer("verto.invite", json!({"sdp": OURS}));
    assert_eq!(early["error"]["code"], -32_000);
    for (n, user) in ["anna", "nobody", "anna", "x", "anna"].iter().enumerate() {
        let id = rig.ask("login", json!({"login": user, "passwd": "guess"}));
        let (request, _) = rig.requested();
        rig.far.respond(rig.now, request, 403, &[], None);
        let told = rig.one();
        let refused = json!({"code": -32_001, "message": "Authentication Failure"});
        assert_eq!((&told["id"], &told["error"]), (&json!(id), &refused));
        assert_eq!(rig.closed, n == 4);
    }
}

// covers: RFC 8898 §2
#[test]
fn a_token_says_who_he_is_and_one_that_is_over_or_another_s_nobody() {
    let mut rig = Rig::new();
    let credential = crate::access::Credential {
        id: "cred-1".to_owned(),
        endpoint: "gencredanna".to_owned(),
        ends: None,
    };
    let made = WALL.parse().unwrap();
    let token = access().credential(&credential, "t-1", made).token;
    let forged = token.replace('.', ".x");
    for wrong in ["", "a.b.c", &forged] {
        let refused = rig.answer("login", json!({"login_token": wrong}));
        assert_eq!(
            refused["error"],
            json!({"code": -32_001, "message": "Authentication Failure"})
        );
    }
    rig.ask("login", json!({"login_token": token}));
    let (request, register) = rig.requested();
    let wanted = format!("Bearer {token}");
    assert_eq!(register.header_named("Authorization"), Some(&*wanted));
    assert!(
        register
            .header_named("To")
            .unwrap()
            .contains("gencredanna@")
    );
    rig.far.respond(rig.now, request, 200, &[], None);
    assert_eq!(rig.told()[0]["result"]["message"], "logged in");
    // A minute after its end.
    let mut late = Rig::new();
    late.now += Duration::from_secs(400 * 24 * 3_600);
    assert_eq!(
        late.answer("login", json!({"login_token": token}))["error"]["code"],
        -32_001
    );
}

#[test]
fn a_server_that_is_busy_is_no_wrong_password() {
    let mut rig = Rig::new();
    rig.ask("login", json!({"login": "anna", "passwd": "sesame"}));
    let (request, _) = rig.requested();
    rig.far.respond(rig.now, request, 503, &[], None);
    assert_eq!(rig.one()["error"]["code"], -32_002);
}

#[test]
fn a_client_calls_hears_it_ring_and_is_answered() {
    let mut rig = Rig::ready();
    let dialog = json!({
        "callID": "c-1", "destination_number": "700",
        "custom_headers": [
            {"name": "X-Order", "value": "12"},
            {"name": "Route", "value": "<sip:evil>"},
            {"name": "X-Tandem-Call", "value": "forged"},
        ],
    });
    let created = rig.answer(
        "telnyx_rtc.invite",
        json!({"sdp": OURS, "dialogParams": dialog}),
    );
    assert_eq!(created["result"]["message"], "CALL CREATED");
    assert_eq!(created["result"]["callID"], "c-1");
    let (session, invite) = rig.invited();
    assert_eq!(invite.header_named("X-Order"), Some("12"));
    assert_eq!(invite.header_named("Route"), None);
    assert_eq!(invite.header_named("X-Tandem-Call"), None);
    rig.far.progress(rig.now, session, 180, None);
    rig.far.progress(rig.now, session, 183, Some(THEIRS.into()));
    let told = rig.told();
    assert_eq!(told[0]["method"], "telnyx_rtc.ringing");
    assert_eq!(told[1]["method"], "telnyx_rtc.media");
    assert_eq!(told[1]["params"]["sdp"], THEIRS);
    let named = [("X-Tandem-Call".to_owned(), "id-9".to_owned())];
    rig.far
        .accept(rig.now, session, Some(THEIRS.into()), &named);
    let answered = rig.one();
    assert_eq!(answered["method"], "telnyx_rtc.answer");
    assert_eq!(answered["params"]["callID"], "c-1");
    assert_eq!(answered["params"]["telnyx_call_control_id"], "id-9");
    assert!(answered["params"]["sdp"].is_null(), "it was told before");
    rig.far.end(rig.now, session, Ending::default());
    let bye = rig.one();
    assert_eq!(bye["method"], "telnyx_rtc.bye");
    assert_eq!(
        (&bye["params"]["causeCode"], &bye["params"]["cause"]),
        (&json!(16), &json!("NORMAL_CLEARING"))
    );
}

#[test]
fn a_call_that_is_refused_says_why_by_number_and_by_name() {
    let mut rig = Rig::ready();
    for (status, code, cause) in [
        (486, 17, "USER_BUSY"),
        (404, 1, "UNALLOCATED_NUMBER"),
        (603, 21, "CALL_REJECTED"),
    ] {
        let dialog = json!({"callID": "c", "destination_number": "700"});
        rig.answer("verto.invite", json!({"sdp": OURS, "dialogParams": dialog}));
        let (session, _) = rig.invited();
        let ending = Ending {
            status,
            ..Ending::default()
        };
        rig.far.end(rig.now, session, ending);
        let bye = rig.one();
        assert_eq!(bye["method"], "verto.bye");
        assert_eq!(bye["params"]["causeCode"], code);
        assert_eq!(bye["params"]["cause"], cause);
        assert_eq!(bye["params"]["sipCode"], status);
        rig.heard.clear();
    }
}

#[test]
fn a_call_comes_with_who_calls_and_is_answered_hung_up_or_declined() {
    let mut rig = Rig::ready();
    rig.ask("telnyx_rtc.gatewayState", json!({}));
    rig.told();
    let (_, invite) = rig.called();
    assert_eq!(invite["method"], "telnyx_rtc.invite");
    let params = &invite["params"];
    assert_eq!(params["caller_id_name"], "Bob B.");
    assert_eq!(params["caller_id_number"], "+4930123");
    assert_eq!(params["callee_id_number"], "anna");
    assert_eq!(params["sdp"], THEIRS);
    assert_eq!(params["telnyx_call_control_id"], "c-2");
    let headers = params["dialogParams"]["custom_headers"].as_array().unwrap();
    assert!(headers.contains(&json!({"name": "X-Account", "value": "77"})));
    let call = params["callID"].as_str().unwrap().to_owned();
    let answered = rig.answer("telnyx_rtc.answer", of(&call, json!({"sdp": OURS})));
    assert_eq!(answered["result"]["callID"], call);
    let is_up = |event: &ua::Event| matches!(event, ua::Event::Answered { .. });
    assert!(rig.heard.iter().any(is_up));
    let bye = rig.answer(
        "telnyx_rtc.bye",
        of(&call, json!({"cause": "NORMAL_CLEARING"})),
    );
    assert_eq!(bye["result"]["message"], "CALL ENDED");
    let is_over = |event: &ua::Event| matches!(event, ua::Event::Ended { .. });
    assert!(rig.heard.iter().any(is_over));

    for (code, status) in [(json!(486), 486), (json!("480"), 480), (json!(null), 603)] {
        rig.heard.clear();
        let (_, invite) = rig.called();
        let call = invite["params"]["callID"].as_str().unwrap().to_owned();
        rig.answer("telnyx_rtc.bye", of(&call, json!({"sipCode": code})));
        let refused = |event: &ua::Event| matches!(event, ua::Event::Refused { status: by, .. } if *by == status);
        assert!(rig.heard.iter().any(refused), "{code}: {:?}", rig.heard);
    }
}

#[test]
fn hold_is_the_server_s_and_its_answer_comes_when_it_is_so() {
    let mut rig = Rig::ready();
    let session = rig.talks("c");
    for (action, state, direction) in [
        ("hold", "held", "inactive"),
        ("toggleHold", "active", ""),
        ("toggleHold", "held", "inactive"),
        ("unhold", "active", ""),
    ] {
        let id = rig.ask("telnyx_rtc.modify", of("c", json!({"action": action})));
        assert!(rig.told().is_empty());
        let Some(ua::Event::Offered {
            body: Some(offer), ..
        }) = rig.heard.pop()
        else {
            panic!("no offer");
        };
        let offer = String::from_utf8(offer.to_vec()).unwrap();
        assert_eq!(
            offer.contains("a=inactive"),
            !direction.is_empty(),
            "{offer}"
        );
        rig.far.answer_offer(rig.now, session, Some(THEIRS.into()));
        let held = rig.one();
        assert_eq!(held["id"], id);
        assert_eq!(held["result"]["holdState"], state);
        assert_eq!(held["result"]["action"], action);
    }
    let id = rig.ask("telnyx_rtc.modify", of("c", json!({"action": "hold"})));
    let at_once = rig.answer("telnyx_rtc.modify", of("c", json!({"action": "hold"})));
    assert_eq!(at_once["error"]["code"], -32_002, "one change at a time");
    rig.far.refuse_offer(rig.now, session, 488);
    let refused = rig.one();
    assert_eq!(
        (&refused["id"], &refused["error"]["code"]),
        (&json!(id), &json!(-32_002))
    );
}

#[test]
fn a_network_that_changed_is_agreed_on_anew() {
    let mut rig = Rig::ready();
    let session = rig.talks("c");
    let update = json!({"action": "updateMedia", "callID": "c", "sdp": OURS});
    let id = rig.ask("telnyx_rtc.modify", update.clone());
    rig.far.answer_offer(rig.now, session, Some(THEIRS.into()));
    let done = rig.one();
    assert_eq!(
        (&done["id"], &done["result"]["sdp"]),
        (&json!(id), &json!(THEIRS))
    );
    rig.ask("telnyx_rtc.modify", update);
    rig.far.refuse_offer(rig.now, session, 488);
    assert_eq!(rig.one()["error"]["code"], -32_002);
}

#[test]
fn keys_go_one_by_one() {
    let mut rig = Rig::ready();
    rig.talks("c");
    let sent = rig.answer("telnyx_rtc.info", of("c", json!({"dtmf": "5#"})));
    assert_eq!(sent["result"]["message"], "SENT");
    let keys = rig.heard.iter().filter_map(|event| match event {
        ua::Event::InDialog { request, .. } => Some(request.body().clone()),
        _ => None,
    });
    let keys: Vec<_> = keys.collect();
    assert_eq!(
        keys,
        [
            "Signal=5\r\nDuration=160\r\n",
            "Signal=#\r\nDuration=160\r\n"
        ]
    );
    for wrong in ["", "x", &"1".repeat(33)] {
        let refused = rig.answer("telnyx_rtc.info", of("c", json!({"dtmf": wrong})));
        assert_eq!(refused["error"]["code"], -32_602, "{wrong}");
    }
}

#[test]
fn a_call_is_handed_on_to_a_number_or_to_another_call() {
    let mut rig = Rig::ready();
    rig.talks("a");
    rig.talks("b");
    for (action, more, target) in [
        (
            "transfer",
            json!({"destination": "701"}),
            "<sip:701@tandem.example>",
        ),
        ("replace", json!({"replaceCallID": "b"}), "Replaces="),
    ] {
        rig.heard.clear();
        let mut params = of("a", more);
        params["action"] = json!(action);
        let id = rig.ask("telnyx_rtc.modify", params);
        let Some(ua::Event::InDialog {
            request_id,
            session,
            request,
        }) = rig.heard.pop()
        else {
            panic!("no REFER");
        };
        assert!(request.header_named("Refer-To").unwrap().contains(target));
        rig.far.respond_in(rig.now, request_id, 202, &[], None);
        let done = rig.one();
        assert_eq!(
            (&done["id"], &done["result"]["action"]),
            (&json!(id), &json!(action))
        );
        let headers = [
            ("Event".to_owned(), "refer".to_owned()),
            ("Subscription-State".to_owned(), "terminated".to_owned()),
        ];
        let body = Some((
            "message/sipfrag".to_owned(),
            "SIP/2.0 603 Decline\r\n".into(),
        ));
        rig.far
            .request_in(rig.now, session, Method::Notify, &headers, body)
            .unwrap();
        rig.told();
    }
}

#[test]
fn a_page_that_comes_back_as_the_same_session_takes_its_calls_up() {
    let mut rig = Rig::ready();
    let session = rig.face.session.clone();
    let before = rig.talks("c");
    rig.face.gone(rig.now);
    for (sessid, names) in [("another-session-1", json!([])), (&*session, json!(["c"]))] {
        rig.face = face(&rig.parked, rig.ids + 50);
        rig.heard.clear();
        rig.ask(
            "login",
            json!({"login": "anna", "passwd": "sesame", "sessid": sessid, "reconnection": true}),
        );
        let (request, _) = rig.requested();
        rig.far.respond(rig.now, request, 200, &[], None);
        let told = rig.told();
        assert_eq!(told[0]["result"]["sessid"], sessid);
        assert_eq!(told[1]["params"]["reattached_sessions"], names, "{sessid}");
        if names == json!([]) {
            continue;
        }
        let Some(ua::Event::Invited {
            session,
            replaces: Some(replaces),
            ..
        }) = rig.heard.pop()
        else {
            panic!("nobody asks for the call's place");
        };
        assert_eq!(replaces, before);
        rig.far.accept(rig.now, session, Some(THEIRS.into()), &[]);
        let attach = rig.one();
        assert!(attach["method"].as_str().unwrap().ends_with(".attach"));
        assert_eq!(
            (&attach["params"]["callID"], &attach["params"]["sdp"]),
            (&json!("c"), &json!(THEIRS))
        );
        rig.answer("telnyx_rtc.attach", of("c", json!({"sdp": OURS})));
        let confirmed =
            |event: &ua::Event| matches!(event, ua::Event::Confirmed { body: Some(_), .. });
        assert!(rig.heard.iter().any(confirmed));
    }
    let again = rig.parked.take(rig.now, ("anna", &session));
    assert!(again.is_empty(), "once");
}

#[test]
fn a_call_that_ended_while_the_page_was_away_is_told_as_over() {
    let mut rig = Rig::ready();
    let session = rig.face.session.clone();
    let before = rig.talks("c");
    rig.face.gone(rig.now);
    rig.far.end(rig.now, before, Ending::default());
    while rig.far.poll_output().is_some() {}
    rig.face = face(&rig.parked, 50);
    rig.ask(
        "login",
        json!({"login": "anna", "passwd": "sesame", "sessid": session}),
    );
    let (request, _) = rig.requested();
    rig.far.respond(rig.now, request, 200, &[], None);
    let told = rig.told();
    let bye = told.last().unwrap();
    assert!(
        bye["method"].as_str().unwrap().ends_with(".bye"),
        "{told:?}"
    );
    assert_eq!(bye["params"]["callID"], "c");
}

#[test]
fn who_comes_as_the_same_while_the_old_socket_still_stands_gets_its_calls() {
    let mut rig = Rig::ready();
    let session = rig.face.session.clone();
    rig.talks("c");
    let new = face(&rig.parked, 50);
    let mut old = std::mem::replace(&mut rig.face, new);
    rig.ask(
        "login",
        json!({"login": "anna", "passwd": "sesame", "sessid": session}),
    );
    let (request, _) = rig.requested();
    rig.far.respond(rig.now, request, 200, &[], None);
    let told = rig.told();
    assert_eq!(
        told.len(),
        1,
        "not ready before it is known which calls there are: {told:?}"
    );
    assert!(old.seat().unwrap().is_cancelled());
    old.displaced();
    let Some(Out::Say(punt)) = old.poll_output() else {
        panic!("he is not told");
    };
    assert!(punt.contains(".punt"), "{punt}");
    old.gone(rig.now);
    let due = rig.face.deadline().unwrap();
    assert!(due <= rig.now + Duration::from_millis(10));
    rig.now = due;
    rig.face.timeout(due);
    let ready = rig.told().remove(0);
    assert_eq!(ready["params"]["reattached_sessions"], json!(["c"]));
}

#[test]
fn what_is_about_no_call_or_no_method_is_refused_by_name() {
    let mut rig = Rig::ready();
    let long = "c".repeat(65);
    let table = [
        ("telnyx_rtc.bye", of("x", json!({})), -32_002),
        (
            "telnyx_rtc.modify",
            of("x", json!({"action": "hold"})),
            -32_002,
        ),
        ("telnyx_rtc.answer", of("x", json!({"sdp": OURS})), -32_002),
        ("telnyx_rtc.answer", of("x", json!({})), -32_602),
        (
            "telnyx_rtc.modify",
            of("x", json!({"action": "dance"})),
            -32_602,
        ),
        (
            "telnyx_rtc.invite",
            of(&long, json!({"sdp": OURS})),
            -32_602,
        ),
        ("telnyx_rtc.invite", of("x", json!({"sdp": OURS})), -32_602),
        ("telnyx_rtc.broadcast", json!({}), -32_601),
        ("nonsense", json!({}), -32_601),
        ("login", json!({"login": "bob", "passwd": "x"}), -32_002),
    ];
    for (method, params, code) in table {
        let refused = rig.answer(method, params);
        assert_eq!(refused["error"]["code"], code, "{method}: {refused}");
        assert!(!refused["error"]["message"].as_str().unwrap().is_empty());
    }
    // Whether candidates may trickle is asked before there is a call.
    let trickled = rig.answer("telnyx_rtc.candidate", json!({"candidate": ""}));
    assert!(trickled["error"].is_null());
}

#[test]
fn what_is_no_message_is_refused_with_its_place_and_in_the_end_the_connection_closes() {
    let mut rig = Rig::new();
    let deep = "[".repeat(17) + &"]".repeat(17);
    let many = format!(
        r#"{{"method":"verto.invite","params":{{"dialogParams":{{"custom_headers":[{}]}}}}}}"#,
        vec![r#"{"name":"X-A","value":"b"}"#; 33].join(",")
    );
    let wrong = [
        "",
        "{",
        "[1]",
        r#"{"method":7}"#,
        r#"{"id":{},"method":"login"}"#,
        &deep,
        &many,
    ];
    for (n, text) in wrong.iter().cycle().take(16).enumerate() {
        assert!(!rig.closed, "{n}");
        rig.say(text);
        let told = rig.one();
        assert_eq!(
            (&told["id"], &told["error"]["code"]),
            (&Value::Null, &json!(-32_700)),
            "{text}"
        );
    }
    assert!(rig.closed);
    rig.say(r#"{"method":"login","id":1}"#);
    assert!(rig.told().is_empty());
}

/// Some JSON, with the words that mean something here among its members.
fn any_message() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
        prop::sample::select(vec!["c", OURS, "hold", "toggleHold", "5", "\u{0}"])
            .prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "login",
        "passwd",
        "sessid",
        "sdp",
        "action",
        "dtmf",
        "callID",
        "dialogParams",
        "destination_number",
        "custom_headers",
        "name",
        "value",
        "sipCode",
        "User-Agent",
        "x",
    ]);
    let value = leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    let method = prop::sample::select(vec![
        "login",
        "telnyx_rtc.invite",
        "verto.answer",
        "telnyx_rtc.modify",
        "verto.bye",
        "verto.info",
        "telnyx_rtc.attach",
        "telnyx_rtc.candidate",
        "telnyx_rtc.",
        "",
        "verto.ping",
    ]);
    (method, value, any::<Option<i64>>()).prop_map(|(method, params, id)| {
        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(192) })]

    #[test]
    fn whatever_a_client_says_nothing_breaks_and_each_request_is_answered_at_most_once(
        messages in prop::collection::vec(any_message(), 1..12),
        torn in any::<prop::sample::Index>(),
        ready in any::<bool>(),
    ) {
        let mut rig = if ready { Rig::ready() } else { Rig::new() };
        if ready {
            rig.talks("c");
        }
        for text in &messages {
            rig.say(text);
            let at = torn.index(text.len());
            if let Some(part) = text.get(..at) {
                rig.say(part);
            }
            let answers = rig.told().into_iter().filter(|it| it["method"].is_null());
            prop_assert!(answers.count() <= 2, "{text}");
        }
        prop_assert!(rig.face.waiting.len() <= messages.len());
    }
}
