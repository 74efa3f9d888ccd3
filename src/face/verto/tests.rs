//! The messages of clients against a SIP machine that does what control does: here, who is let in.

mod calls;
mod hostile;
mod returning;

use std::time::Duration;

use serde_json::{Value, json};
use sip::message::Method;
use sip::ua::{self, Ending, SessionId};

use super::*;
use crate::face::rig::{self, Near, Sent, THEIRS, call_to};

/// As clients say it that have no word of the direction.
const OURS: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n";

const WALL: &str = "2026-11-21T06:00:00Z";

type Rig = rig::Rig<Client>;

/// The face, and what its client needs to know.
struct Client {
    face: Verto,
    closed: bool,
    ids: u64,
    parked: Arc<Parked>,
}

impl Near for Client {
    type Told = Value;

    fn next(&mut self) -> Option<Sent<Value>> {
        Some(match self.face.poll_output()? {
            Out::Say(text) => Sent::Told(serde_json::from_str(&text).unwrap()),
            Out::Transmit(bytes) => Sent::ToControl(bytes),
            Out::Close => {
                self.closed = true;
                return self.next();
            }
        })
    }

    fn sip(&mut self, now: Now, bytes: Bytes) {
        self.face.sip(now, bytes);
    }

    fn timeout(&mut self, now: Now) {
        self.face.timeout(now);
    }
}

impl Rig {
    fn new() -> Self {
        let parked = Arc::new(Parked::default());
        Self::around(Client {
            face: face(&parked, 3),
            closed: false,
            ids: 0,
            parked,
        })
    }

    /// One whose client is logged in.
    fn ready() -> Self {
        let mut rig = Self::new();
        let who = json!({"login": "anna", "passwd": "sesame"});
        rig.ask("login", who);
        rig.registered(200);
        rig.told();
        rig
    }

    fn say(&mut self, text: &str) {
        self.near.face.text(self.now, text);
        self.run();
    }

    /// Sends a request of that method; what names it.
    fn ask(&mut self, method: &str, params: Value) -> String {
        self.near.ids += 1;
        let id = format!("id-{}", self.near.ids);
        self.say(
            &json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string(),
        );
        id
    }

    /// The answer to a request that is answered at once, and nothing else.
    fn answer(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params);
        let answer = self.one();
        assert_eq!(answer["id"], id);
        answer
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
        let invite = call_to("anna", &[("X-Tandem-Call", "c-2"), ("X-Account", "77")]);
        let session = self.far.invite(self.now, invite).unwrap();
        (session, self.one())
    }
}

fn access() -> Access {
    let secret = crate::config::Secret::new("0123456789abcdef0123456789abcdef".to_owned());
    Access::new(&secret, &crate::config::Access::default())
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
    let due = rig.near.face.deadline().unwrap();
    assert!(due <= Now::ZERO + Duration::from_secs(35), "{due:?}");
    rig.now = due;
    rig.near.face.timeout(due);
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
        rig.registered(403);
        let told = rig.one();
        let refused = json!({"code": -32_001, "message": "Authentication Failure"});
        assert_eq!((&told["id"], &told["error"]), (&json!(id), &refused));
        assert_eq!(rig.near.closed, n == 4);
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
    rig.registered(503);
    assert_eq!(rig.one()["error"]["code"], -32_002);
}
