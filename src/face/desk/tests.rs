//! A desk against a SIP machine that does what control does, and an API that says what it is told to.

use bytes::Bytes;
use clock::{Duration, Now};
use serde_json::{Value, json};
use sip::message::{Message, Method};
use sip::transport::{ConnectionId, Flow, ListenerId, Transport};
use sip::ua::{self, Ending, Invite, Reliable, SessionId, UserAgent, UserAgentConfig};

use super::fault::Fault;
use super::hub::News;
use super::machine::{Ask, Desk, Entered, Introduction, Out, Told};
use super::wire::Pass;
use crate::call::CallId;
use crate::center::{AgentSnapshot, AgentState, Codes, Wish};
use crate::control::CallContext;
use crate::face::line::{LineConfig, Proof};
use crate::store::LegRow;

const OURS: &str =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\na=sendrecv\r\n";
const THEIRS: &str = "v=0\r\no=- 2 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 7 RTP/AVP 0\r\n";
const CALL: &str = "c0000000000000001";

fn flow() -> Flow {
    Flow {
        transport: Transport::Ws,
        listener: ListenerId(0),
        remote: ([127, 0, 0, 1], 9).into(),
        connection: Some(ConnectionId(5)),
        peer: None,
    }
}

/// The desk, and who is at the other ends.
struct Rig {
    now: Now,
    desk: Desk,
    far: UserAgent,
    said: Vec<Value>,
    asked: Vec<Ask>,
    heard: Vec<ua::Event>,
    closed: bool,
    next: u64,
}

impl Rig {
    fn fresh() -> Self {
        let listener = ua::Listener {
            id: ListenerId(0),
            transport: Transport::Ws,
            advertised_host: "127.0.0.1".to_owned(),
            advertised_port: 80,
        };
        Self {
            now: Now::ZERO,
            desk: Desk::new(Now::ZERO),
            far: UserAgent::new(UserAgentConfig::new(vec![listener], "control"), 12),
            said: Vec::new(),
            asked: Vec::new(),
            heard: Vec::new(),
            closed: false,
            next: 0,
        }
    }

    /// A desk that anna is at.
    fn new() -> Self {
        let mut rig = Self::fresh();
        rig.ask(json!({"type": "login", "endpoint": "desk1", "password": "sesame"}));
        rig.enter();
        rig.registered(200);
        rig.introduce();
        let said = rig.said();
        let kinds: Vec<&Value> = said.iter().map(|it| &it["type"]).collect();
        assert_eq!(kinds, ["done", "welcome"]);
        rig
    }

    /// Sends a request; its number.
    fn ask(&mut self, mut message: Value) -> u64 {
        self.next += 1;
        message["id"] = self.next.into();
        self.desk.text(self.now, &message.to_string());
        self.run();
        self.next
    }

    fn enter(&mut self) {
        assert!(matches!(self.asked().as_slice(), [Ask::Enter(_)]));
        let entered = Entered {
            line: LineConfig {
                transport: Transport::Ws,
                user: "desk1".to_owned(),
                host: "tandem.example".to_owned(),
                proof: Proof::Password("sesame".to_owned()),
                user_agent: "desk".to_owned(),
                seed: 7,
            },
            agent: None,
            session: "s1".to_owned(),
            resume: Some("resume-me".to_owned()),
            again: false,
        };
        self.tell(Told::Entered(Ok(Box::new(entered))));
    }

    fn registered(&mut self, status: u16) {
        let heard = std::mem::take(&mut self.heard);
        let Some(ua::Event::Requested { request_id, .. }) = heard.into_iter().next() else {
            panic!("want a REGISTER")
        };
        self.far.respond(self.now, request_id, status, &[], None);
        self.run();
    }

    fn introduce(&mut self) {
        let want = Ask::Introduce {
            agent: None,
            endpoint: "desk1".to_owned(),
        };
        assert_eq!(self.asked(), [want]);
        let introduction = Introduction {
            agent: agent(AgentState::Available),
            codes: Codes {
                break_reasons: vec!["lunch".to_owned()],
                dispositions: vec!["sold".to_owned()],
            },
            missed: Vec::new(),
            ice_servers: Vec::new(),
        };
        self.tell(Told::Introduced(Ok(Box::new(introduction))));
    }

    fn tell(&mut self, told: Told) {
        self.desk.told(self.now, told);
        self.run();
    }

    /// Carries messages until both are quiet.
    fn run(&mut self) {
        loop {
            let mut quiet = true;
            while let Some(out) = self.desk.poll_output() {
                quiet = false;
                match out {
                    Out::Say(text) => self.said.push(serde_json::from_str(&text).unwrap()),
                    Out::Transmit(bytes) => self.far.receive(self.now, flow(), bytes, true),
                    Out::Ask(ask) => self.asked.push(ask),
                    Out::Close => self.closed = true,
                }
            }
            while let Some(output) = self.far.poll_output() {
                quiet = false;
                match output {
                    ua::Output::Transmit { bytes, .. } => self.desk.sip(self.now, bytes),
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
        self.desk.timeout(self.now);
        self.far.handle_timeout(self.now);
        self.run();
    }

    fn said(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.said)
    }

    /// The one thing said, without what is not looked at.
    fn word(&mut self) -> Value {
        let mut said = self.said();
        assert_eq!(said.len(), 1, "{said:?}");
        said.remove(0)
    }

    fn asked(&mut self) -> Vec<Ask> {
        std::mem::take(&mut self.asked)
    }

    /// The session that was asked for by INVITE.
    fn invited(&mut self) -> SessionId {
        let heard = std::mem::take(&mut self.heard);
        let invited = heard.into_iter().find_map(|event| match event {
            ua::Event::Invited { session, .. } => Some(session),
            _ => None,
        });
        invited.unwrap()
    }

    /// A request within a dialog.
    fn request(&mut self, method: Method) -> Message {
        let heard = std::mem::take(&mut self.heard);
        let found = heard.into_iter().find_map(|event| match event {
            ua::Event::InDialog {
                session,
                request_id,
                request,
            } if request.method() == Some(method) => Some((session, request_id, request)),
            _ => None,
        });
        let (_, id, request) = found.unwrap();
        self.far.respond_in(self.now, id, 202, &[], None);
        self.run();
        request
    }

    /// A call that rings at the desk, shown with what is known of it: its name there.
    fn rung(&mut self) -> (SessionId, String) {
        let invite = Invite {
            request_uri: "sip:desk1@x.invalid".to_owned(),
            flow: flow(),
            from: "\"Bob B.\" <sip:+4930123@tandem.example>".to_owned(),
            to: "<sip:desk1@tandem.example>".to_owned(),
            contact_user: "tandem".to_owned(),
            headers: vec![("X-Tandem-Call".to_owned(), CALL.to_owned())],
            offer: Some(Bytes::from_static(THEIRS.as_bytes())),
            credentials: None,
            max_forwards: 70,
            reliable: Reliable::No,
            timers: None,
        };
        let session = self.far.invite(self.now, invite).unwrap();
        self.run();
        let asked = self.asked();
        let [Ask::Context { name, call }] = asked.as_slice() else {
            panic!("{asked:?}")
        };
        assert_eq!(call.to_string(), CALL);
        assert!(self.said().is_empty(), "it waits for what is known");
        let context = CallContext {
            number: "+4930123".to_owned(),
            to: "700".to_owned(),
            queue: Some("sales".to_owned()),
            waited: Some(Duration::from_secs(61)),
            path: vec!["main".to_owned(), "main: 2".to_owned()],
            attributes: vec![("tier".to_owned(), "gold".to_owned())],
            rings: Some(Duration::from_secs(20)),
            ..CallContext::default()
        };
        let (name, context) = (name.clone(), Some(Box::new(context)));
        self.tell(Told::Context {
            name: name.clone(),
            context,
        });
        (session, name)
    }

    /// A call that stands.
    fn talking(&mut self) -> (SessionId, String) {
        let (session, name) = self.rung();
        self.said();
        self.ask(json!({"type": "answer", "call": name, "sdp": OURS}));
        assert_eq!(self.word()["type"], "done");
        self.heard.clear();
        (session, name)
    }
}

fn agent(state: AgentState) -> AgentSnapshot {
    AgentSnapshot {
        id: "anna".into(),
        endpoint: "desk1".to_owned(),
        queues: vec!["sales".to_owned()],
        state,
        lasted: Duration::from_secs(3),
        left: None,
        next: None,
        reason: None,
        reachable: true,
        call: None,
        misses: 0,
    }
}

#[test]
fn whoever_logs_in_is_greeted_once_his_phone_has_proven_it() {
    let mut rig = Rig::fresh();
    let id = rig.ask(json!({"type": "login", "token": "t"}));
    assert!(rig.said().is_empty());
    let asked = rig.asked.clone();
    assert_eq!(asked, [Ask::Enter(Pass::Token("t".to_owned()))]);
    rig.enter();
    assert!(
        rig.said().is_empty(),
        "a pass that looks good proves nothing"
    );
    rig.registered(200);
    assert!(rig.said().is_empty());
    rig.introduce();
    let said = rig.said();
    assert_eq!(said[0], json!({"type": "done", "id": id}));
    let want = json!({
        "type": "welcome", "agent": "anna", "endpoint": "desk1", "queues": ["sales"],
        "dispositions": ["sold"], "break_reasons": ["lunch"], "resume": "resume-me",
        "ice_servers": [], "missed": [],
        "status": {"state": "available", "since_ms": 3_000, "next": null, "reason": null,
            "until_ms": null},
    });
    assert_eq!(said[1], want);
    assert_eq!(rig.desk.watches(), Some(("anna", "desk1")));
}

#[test]
fn whoever_is_not_let_in_hears_the_same_whatever_the_reason() {
    // By the pass, by the phone, for want of an agent, and for want of a log-in.
    let mut rig = Rig::fresh();
    let id = rig.ask(json!({"type": "login", "token": "t"}));
    rig.tell(Told::Entered(Err(Fault::Login)));
    let by_pass = rig.said();
    assert_eq!(by_pass[0]["error"]["id"], "desk-login");
    assert_eq!((&by_pass[0]["id"], rig.closed), (&json!(id), true));
    assert_eq!(by_pass[1], json!({"type": "bye", "reason": "login"}));

    let mut rig = Rig::fresh();
    rig.ask(json!({"type": "login", "token": "t"}));
    rig.enter();
    rig.registered(403);
    assert_eq!(rig.said(), by_pass);

    let mut rig = Rig::fresh();
    rig.ask(json!({"type": "login", "token": "t"}));
    rig.enter();
    rig.registered(200);
    rig.tell(Told::Introduced(Err(Fault::NoAgent)));
    assert_eq!(rig.said()[0]["error"]["id"], "desk-no-agent");
    assert!(rig.closed);

    let mut rig = Rig::fresh();
    rig.ask(json!({"type": "hang_up", "call": "x"}));
    assert_eq!(rig.word()["error"]["id"], "desk-login-first");
    rig.desk.text(rig.now, "{\"type\":");
    rig.run();
    assert_eq!(rig.word()["error"]["id"], "desk-message");
    rig.wait(Duration::from_secs(15));
    assert_eq!(
        rig.word(),
        json!({"type": "bye", "reason": "login-timeout"})
    );
    assert!(rig.closed);
}

#[test]
fn a_call_rings_with_what_is_known_of_it_is_answered_and_hung_up_by_either_side() {
    let mut rig = Rig::new();
    let (session, name) = rig.rung();
    let want = json!({
        "type": "ring", "call": name, "sdp": THEIRS,
        "caller": {"name": "Bob B.", "number": "+4930123"},
        "queue": "sales", "waited_ms": 61_000, "path": ["main", "main: 2"],
        "attributes": {"tier": "gold"}, "timeout_ms": 20_000,
    });
    assert_eq!(rig.word(), want);
    let id = rig.ask(json!({"type": "answer", "call": name, "sdp": OURS}));
    assert_eq!(rig.word(), json!({"type": "done", "id": id}));
    let answered = rig.heard.iter().find_map(|event| match event {
        ua::Event::Answered { body, .. } => body.clone(),
        _ => None,
    });
    assert_eq!(answered.unwrap(), OURS);
    rig.far.end(rig.now, session, Ending::default());
    rig.run();
    let ended = rig.word();
    let told = (&ended["type"], &ended["by"], &ended["cause"]);
    assert_eq!(told, (&json!("ended"), &json!("them"), &json!("normal")));

    let (_, name) = rig.talking();
    let id = rig.ask(json!({"type": "hang_up", "call": name}));
    let said = rig.said();
    assert!(
        said.contains(&json!({"type": "done", "id": id})),
        "{said:?}"
    );
    let ended = said.iter().find(|it| it["type"] == "ended").unwrap();
    assert_eq!((&ended["call"], &ended["by"]), (&json!(name), &json!("us")));
    assert!(rig.desk.calls.is_empty());
}

#[test]
fn a_call_that_is_taken_elsewhere_or_given_up_stops_ringing_and_says_why() {
    let elsewhere = "SIP;cause=200;text=\"Call completed elsewhere\"";
    let table = [
        (Some(elsewhere.to_owned()), "other-agent"),
        (Some(ua::q850(19, "no answer")), "no-answer"),
        (None, "caller"),
    ];
    for (reason, by) in table {
        let mut rig = Rig::new();
        let (session, name) = rig.rung();
        rig.said();
        let ending = Ending {
            status: 487,
            reason,
            headers: Vec::new(),
        };
        rig.far.end(rig.now, session, ending);
        rig.run();
        let ended = rig.word();
        assert_eq!((&ended["call"], &ended["by"]), (&json!(name), &json!(by)));
        let id = rig.ask(json!({"type": "answer", "call": name, "sdp": OURS}));
        let refused = rig.word();
        assert_eq!(
            (&refused["id"], &refused["error"]["id"]),
            (&json!(id), &json!("desk-no-call"))
        );
    }
    let mut rig = Rig::new();
    let (_, name) = rig.rung();
    rig.said();
    rig.ask(json!({"type": "decline", "call": name, "reason": "busy"}));
    let refused = rig.heard.iter().find_map(|event| match event {
        ua::Event::Refused { status, .. } => Some(*status),
        _ => None,
    });
    assert_eq!(refused, Some(603));
}

#[test]
fn a_call_is_dialled_held_renegotiated_keyed_and_handed_on() {
    let mut rig = Rig::new();
    rig.ask(json!({"type": "dial", "call": "d1", "to": "700", "sdp": OURS}));
    assert_eq!(rig.word()["type"], "done");
    let session = rig.invited();
    rig.far.progress(rig.now, session, 180, None);
    rig.run();
    let ringing = json!({"type": "progress", "call": "d1", "state": "ringing"});
    assert_eq!(rig.word(), ringing);
    let named = [("X-Tandem-Call".to_owned(), CALL.to_owned())];
    let body = Some(Bytes::from_static(THEIRS.as_bytes()));
    rig.far.accept(rig.now, session, body.clone(), &named);
    rig.run();
    let answered = json!({"type": "answered", "call": "d1", "sdp": THEIRS});
    assert_eq!(rig.word(), answered);

    let id = rig.ask(json!({"type": "hold", "call": "d1", "on": true}));
    assert!(rig.said().is_empty(), "done when the other side agrees");
    rig.far.answer_offer(rig.now, session, body.clone());
    rig.run();
    let held = json!({"type": "held", "call": "d1", "on": true, "by": "us"});
    assert_eq!(rig.said(), [json!({"type": "done", "id": id}), held]);

    let id = rig.ask(json!({"type": "renegotiate", "call": "d1", "sdp": OURS}));
    rig.far.refuse_offer(rig.now, session, 488);
    rig.run();
    let refused = rig.word();
    assert_eq!(
        (&refused["id"], &refused["error"]["id"]),
        (&json!(id), &json!("desk-not-agreed"))
    );
    let id = rig.ask(json!({"type": "renegotiate", "call": "d1", "sdp": OURS}));
    rig.far.answer_offer(rig.now, session, body);
    rig.run();
    assert_eq!(rig.word(), json!({"type": "done", "id": id, "sdp": THEIRS}));

    rig.heard.clear();
    rig.ask(json!({"type": "key", "call": "d1", "digit": "#"}));
    assert_eq!(rig.word()["type"], "done");
    let info = rig.request(Method::Info);
    assert!(String::from_utf8_lossy(info.body()).contains("Signal=#"));

    rig.ask(json!({"type": "transfer", "call": "d1", "to": "800"}));
    let refer = rig.request(Method::Refer);
    let to = refer.header_named("Refer-To").unwrap();
    assert!(to.contains("sip:800@tandem.example"), "{to}");
    let said = rig.said();
    let trying = json!({"type": "transferred", "call": "d1", "state": "trying", "status": 100});
    assert!(said.contains(&trying), "{said:?}");
}

#[test]
fn what_is_asked_of_the_api_is_answered_when_it_answers_and_by_its_number() {
    let mut rig = Rig::new();
    let (_, name) = rig.talking();
    let call: CallId = CALL.parse().unwrap();
    let first = rig.ask(json!({"type": "status", "want": "break", "reason": "lunch"}));
    let second = rig.ask(json!({"type": "note", "call": name, "text": "wants two"}));
    let third = rig.ask(json!({"type": "pick", "queue": "sales", "waiting": CALL}));
    assert!(rig.said().is_empty());
    let want = [
        Ask::Wish {
            id: first,
            agent: "anna".to_owned(),
            wish: Wish::Break,
            reason: Some("lunch".to_owned()),
        },
        Ask::Write {
            id: second,
            agent: "anna".to_owned(),
            call,
            note: Some("wants two".to_owned()),
            disposition: None,
        },
        Ask::Pick {
            id: third,
            agent: "anna".to_owned(),
            call,
        },
    ];
    assert_eq!(rig.asked(), want);
    let taken = Fault::Api {
        id: "pick-taken",
        message: "it rings at bob".to_owned(),
    };
    for (id, result) in [(third, Err(taken)), (first, Ok(()))] {
        let then = None;
        rig.tell(Told::Done { id, result, then });
    }
    let error = json!({"id": "pick-taken", "message": "it rings at bob"});
    let refused = json!({"type": "refused", "id": third, "error": error});
    assert_eq!(rig.said(), [refused, json!({"type": "done", "id": first})]);
    // A call that is over may still be written up; one that never was may not.
    rig.ask(json!({"type": "hang_up", "call": name}));
    rig.said();
    rig.ask(json!({"type": "dispose", "call": name, "code": "sold"}));
    assert!(matches!(
        rig.asked().as_slice(),
        [Ask::Write {
            disposition: Some(_),
            ..
        }]
    ));
    rig.ask(json!({"type": "dispose", "call": "x", "code": "sold"}));
    assert_eq!(rig.word()["error"]["id"], "desk-no-call");
}

#[test]
fn a_page_that_asks_without_end_is_told_so_and_then_sent_away() {
    let mut rig = Rig::new();
    for _ in 0..17 {
        rig.ask(json!({"type": "wrap_up", "do": "end"}));
    }
    assert_eq!(rig.asked().len(), 16);
    assert_eq!(rig.word()["error"]["id"], "desk-too-much");
    for _ in 0..200 {
        rig.ask(json!({"type": "hang_up", "call": "x"}));
    }
    let last = rig.said().pop().unwrap();
    assert_eq!(last, json!({"type": "bye", "reason": "too-much"}));
    assert!(rig.closed);
    rig.ask(json!({"type": "hang_up", "call": "x"}));
    assert!(rig.said().is_empty());
}

#[test]
fn figures_come_each_second_of_a_call_and_a_dead_microphone_at_once() {
    let mut rig = Rig::new();
    let (_, name) = rig.talking();
    rig.wait(Duration::from_secs(1));
    let call: CallId = CALL.parse().unwrap();
    let endpoint = "desk1".to_owned();
    let calls = vec![(name.clone(), call)];
    assert_eq!(rig.asked(), [Ask::Figures { endpoint, calls }]);
    let leg = LegRow {
        received: 90,
        lost: 10,
        mos: Some(3.5),
        peer_mos: Some(4.2),
        jitter_max_ms: 7.0,
        round_trip_ms: Some(30.0),
        ..LegRow::default()
    };
    rig.tell(Told::Figures(vec![(name.clone(), leg)]));
    let want = json!({
        "type": "quality", "call": name, "mos": 3.5, "loss": 0.1, "jitter_ms": 7.0,
        "rtt_ms": 30.0, "unheard": false,
    });
    assert_eq!(rig.word(), want);
    for unheard in [true, true, false] {
        rig.desk.news(rig.now, &News::Heard { call, unheard });
        rig.run();
    }
    let said = rig.said();
    let told: Vec<&Value> = said.iter().map(|it| &it["unheard"]).collect();
    assert_eq!(told, [&json!(true), &json!(false)], "each once");
    rig.ask(json!({"type": "hang_up", "call": name}));
    rig.asked();
    rig.wait(Duration::from_secs(5));
    assert_eq!(rig.asked(), [], "no call, no figures");
}

#[test]
fn a_page_that_comes_again_takes_its_calls_up() {
    let mut rig = Rig::new();
    let (_, name) = rig.talking();
    let (user, session, left) = rig.desk.gone(rig.now).unwrap();
    assert_eq!(
        (user.as_str(), session.as_str(), left.len()),
        ("desk1", "s1", 1)
    );

    let mut again = Rig::new();
    again.far = rig.far;
    again.tell(Told::Left(left));
    let invited = again.invited();
    let named = [("X-Tandem-Call".to_owned(), CALL.to_owned())];
    let offer = Some(Bytes::from_static(THEIRS.as_bytes()));
    again.far.accept(again.now, invited, offer, &named);
    again.run();
    assert!(matches!(again.asked().as_slice(), [Ask::Context { .. }]));
    let context = None;
    again.tell(Told::Context {
        name: name.clone(),
        context,
    });
    let attach = again.word();
    let told = (&attach["type"], &attach["call"], &attach["sdp"]);
    assert_eq!(told, (&json!("attach"), &json!(name), &json!(THEIRS)));
    again.ask(json!({"type": "attach", "call": name, "sdp": OURS}));
    assert_eq!(again.word()["type"], "done");
    again.ask(json!({"type": "key", "call": name, "digit": "1"}));
    assert_eq!(again.word()["type"], "done", "it stands");
}
