//! A desk against a SIP machine that does what control does, and an API that says what it is told to: here, who
//! is let in, and what is asked of the API.

mod calls;

use bytes::Bytes;
use clock::{Duration, Now};
use serde_json::{Value, json};
use sip::message::{Message, Method};
use sip::transport::Transport;
use sip::ua::{Invite, Reliable, SessionId};

use super::fault::Fault;
use super::hub::News;
use super::machine::{Ask, Desk, Entered, Introduction, Out, Told};
use super::wire::Pass;
use crate::call::CallId;
use crate::center::{AgentSnapshot, AgentState, Codes, Wish};
use crate::control::CallContext;
use crate::face::line::{LineConfig, Proof};
use crate::face::rig::{self, Near, OURS, Sent, THEIRS, call_to};
use crate::store::LegRow;

const CALL: &str = "c0000000000000001";

type Rig = rig::Rig<Page>;

/// The desk, what its page has asked of the API, and the number of its last request.
struct Page {
    desk: Desk,
    asked: Vec<Ask>,
    closed: bool,
    last: u64,
}

impl Near for Page {
    type Told = Value;

    fn next(&mut self) -> Option<Sent<Value>> {
        Some(match self.desk.poll_output()? {
            Out::Say(text) => Sent::Told(serde_json::from_str(&text).unwrap()),
            Out::Transmit(bytes) => Sent::ToControl(bytes),
            Out::Ask(ask) => {
                self.asked.push(ask);
                return self.next();
            }
            Out::Close => {
                self.closed = true;
                return self.next();
            }
        })
    }

    fn sip(&mut self, now: Now, bytes: Bytes) {
        self.desk.sip(now, bytes);
    }

    fn timeout(&mut self, now: Now) {
        self.desk.timeout(now);
    }
}

impl Rig {
    fn fresh() -> Self {
        Self::around(Page {
            desk: Desk::new(Now::ZERO),
            asked: Vec::new(),
            closed: false,
            last: 0,
        })
    }

    /// A desk that anna is at.
    fn new() -> Self {
        let mut rig = Self::fresh();
        rig.ask(json!({"type": "login", "endpoint": "desk1", "password": "sesame"}));
        rig.enter();
        rig.registered(200);
        rig.introduce();
        let said = rig.told();
        let kinds: Vec<&Value> = said.iter().map(|it| &it["type"]).collect();
        assert_eq!(kinds, ["done", "welcome"]);
        rig
    }

    /// Sends a request; its number.
    fn ask(&mut self, mut message: Value) -> u64 {
        self.near.last += 1;
        message["id"] = self.near.last.into();
        self.near.desk.text(self.now, &message.to_string());
        self.run();
        self.near.last
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
        self.near.desk.told(self.now, told);
        self.run();
    }

    fn asked(&mut self) -> Vec<Ask> {
        std::mem::take(&mut self.near.asked)
    }

    /// A request within a dialog.
    fn request(&mut self, method: Method) -> Message {
        let (id, request) = self.requested_within();
        assert_eq!(request.method(), Some(method));
        self.far.respond_in(self.now, id, 202, &[], None);
        self.run();
        request
    }

    /// A call that rings at the desk, shown with what is known of it: its name there.
    fn rung(&mut self) -> (SessionId, String) {
        let invite = Invite {
            reliable: Reliable::No,
            ..call_to("desk1", &[("X-Tandem-Call", CALL)])
        };
        let session = self.far.invite(self.now, invite).unwrap();
        self.run();
        let asked = self.asked();
        let [Ask::Context { name, call }] = asked.as_slice() else {
            panic!("{asked:?}")
        };
        assert_eq!(call.to_string(), CALL);
        assert!(self.told().is_empty(), "it waits for what is known");
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
        self.told();
        self.ask(json!({"type": "answer", "call": name, "sdp": OURS}));
        assert_eq!(self.one()["type"], "done");
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
    assert!(rig.told().is_empty());
    let asked = rig.near.asked.clone();
    assert_eq!(asked, [Ask::Enter(Pass::Token("t".to_owned()))]);
    rig.enter();
    assert!(
        rig.told().is_empty(),
        "a pass that looks good proves nothing"
    );
    rig.registered(200);
    assert!(rig.told().is_empty());
    rig.introduce();
    let said = rig.told();
    assert_eq!(said[0], json!({"type": "done", "id": id}));
    let want = json!({
        "type": "welcome", "agent": "anna", "endpoint": "desk1", "queues": ["sales"],
        "dispositions": ["sold"], "break_reasons": ["lunch"], "resume": "resume-me",
        "ice_servers": [], "missed": [],
        "status": {"state": "available", "since_ms": 3_000, "next": null, "reason": null,
            "until_ms": null},
    });
    assert_eq!(said[1], want);
    assert_eq!(rig.near.desk.watches(), Some(("anna", "desk1")));
}

#[test]
fn whoever_is_not_let_in_hears_the_same_whatever_the_reason() {
    // By the pass, by the phone, for want of an agent, and for want of a log-in.
    let mut rig = Rig::fresh();
    let id = rig.ask(json!({"type": "login", "token": "t"}));
    rig.tell(Told::Entered(Err(Fault::Login)));
    let by_pass = rig.told();
    assert_eq!(by_pass[0]["error"]["id"], "desk-login");
    assert_eq!((&by_pass[0]["id"], rig.near.closed), (&json!(id), true));
    assert_eq!(by_pass[1], json!({"type": "bye", "reason": "login"}));

    let mut rig = Rig::fresh();
    rig.ask(json!({"type": "login", "token": "t"}));
    rig.enter();
    rig.registered(403);
    assert_eq!(rig.told(), by_pass);

    let mut rig = Rig::fresh();
    rig.ask(json!({"type": "login", "token": "t"}));
    rig.enter();
    rig.registered(200);
    rig.tell(Told::Introduced(Err(Fault::NoAgent)));
    assert_eq!(rig.told()[0]["error"]["id"], "desk-no-agent");
    assert!(rig.near.closed);

    let mut rig = Rig::fresh();
    rig.ask(json!({"type": "hang_up", "call": "x"}));
    assert_eq!(rig.one()["error"]["id"], "desk-login-first");
    rig.near.desk.text(rig.now, "{\"type\":");
    rig.run();
    assert_eq!(rig.one()["error"]["id"], "desk-message");
    rig.wait(Duration::from_secs(15));
    assert_eq!(rig.one(), json!({"type": "bye", "reason": "login-timeout"}));
    assert!(rig.near.closed);
}

#[test]
fn what_is_asked_of_the_api_is_answered_when_it_answers_and_by_its_number() {
    let mut rig = Rig::new();
    let (_, name) = rig.talking();
    let call: CallId = CALL.parse().unwrap();
    let first = rig.ask(json!({"type": "status", "want": "break", "reason": "lunch"}));
    let second = rig.ask(json!({"type": "note", "call": name, "text": "wants two"}));
    let third = rig.ask(json!({"type": "pick", "queue": "sales", "waiting": CALL}));
    assert!(rig.told().is_empty());
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
    assert_eq!(rig.told(), [refused, json!({"type": "done", "id": first})]);
    // A call that is over may still be written up; one that never was may not.
    rig.ask(json!({"type": "hang_up", "call": name}));
    rig.told();
    rig.ask(json!({"type": "dispose", "call": name, "code": "sold"}));
    assert!(matches!(
        rig.asked().as_slice(),
        [Ask::Write {
            disposition: Some(_),
            ..
        }]
    ));
    rig.ask(json!({"type": "dispose", "call": "x", "code": "sold"}));
    assert_eq!(rig.one()["error"]["id"], "desk-no-call");
}

#[test]
fn a_page_that_asks_without_end_is_told_so_and_then_sent_away() {
    let mut rig = Rig::new();
    for _ in 0..17 {
        rig.ask(json!({"type": "wrap_up", "do": "end"}));
    }
    assert_eq!(rig.asked().len(), 16);
    assert_eq!(rig.one()["error"]["id"], "desk-too-much");
    for _ in 0..200 {
        rig.ask(json!({"type": "hang_up", "call": "x"}));
    }
    let last = rig.told().pop().unwrap();
    assert_eq!(last, json!({"type": "bye", "reason": "too-much"}));
    assert!(rig.near.closed);
    rig.ask(json!({"type": "hang_up", "call": "x"}));
    assert!(rig.told().is_empty());
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
    assert_eq!(rig.one(), want);
    for unheard in [true, true, false] {
        rig.near.desk.news(rig.now, &News::Heard { call, unheard });
        rig.run();
    }
    let said = rig.told();
    let told: Vec<&Value> = said.iter().map(|it| &it["unheard"]).collect();
    assert_eq!(told, [&json!(true), &json!(false)], "each once");
    rig.ask(json!({"type": "hang_up", "call": name}));
    rig.asked();
    rig.wait(Duration::from_secs(5));
    assert_eq!(rig.asked(), [], "no call, no figures");
}
