//! Desks at a whole server: an agent's page over a WebSocket, a carrier's call over UDP, and the sound between.

use std::collections::VecDeque;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use webrtc_lite::{Credentials, Identity};

use super::*;
use crate::io::clock::SystemClock;
use phone::Phone;
use sound::{Voice, Web};

mod phone;
mod sound;

const PLAN: &str = r#"dialplan version=1
queue "sales" ring-timeout="10s" wrap-up="30s" {
  agents "anna" "ben"
}
entry did="700" flow="main"
entry endpoint="*" flow="inside"
flow "main" {
  answer
  set tier="gold"
  goto "waiting"
}
flow "waiting" {
  queue "sales"
}
flow "inside" {
  dial "desk2" timeout="10s"
}
"#;

/// Where nothing else of the tests is; each server has two ports.
fn web_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(4, Ordering::Relaxed);
    let pid = std::process::id() % 500;
    u16::try_from(44_000 + pid * 16 + next).unwrap()
}

fn home() -> Home {
    let home = Home::new();
    let port = web_port();
    let hash = crate::access::hash("correct horse", [2; 16]).unwrap();
    let hash = hash.text();
    home.write(&format!(
        "workers = 1\n[webrtc]\nport = {port}\nbind = [\"127.0.0.1\"]\n\
         [trunks.carrier]\naddresses = [\"127.0.0.2\"]\n\
         [endpoints.desk1]\npassword = \"sesame\"\n[endpoints.desk2]\npassword = \"street\"\n\
         [agents.anna]\nendpoint = \"desk1\"\npassword_hash = '{hash}'\n[agents.ben]\nendpoint = \"desk2\"\n\
         [desk]\nbreak_reasons = [\"lunch\"]\ndispositions = [\"sold\", \"call back\"]\n"
    ));
    home.plan(PLAN);
    home
}

/// An agent's page.
struct Page {
    socket: WebSocketStream<TcpStream>,
    /// What was said and not looked at yet.
    said: VecDeque<Value>,
    next: u64,
    /// A browser's certificate, and how many connections it has made.
    clock: SystemClock,
    identity: Identity,
    made: u32,
}

fn identity(clock: SystemClock) -> Identity {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default();
    let certificate = certificate.self_signed(&key).unwrap();
    let (der, key) = (certificate.der().to_vec(), key.serialize_der());
    Identity::new(der, key, clock.instant(clock::Now::ZERO)).unwrap()
}

/// The value of a line of SDP.
fn line<'a>(sdp: &'a str, name: &str) -> &'a str {
    let found = sdp.lines().find_map(|line| line.strip_prefix(name));
    found.unwrap_or_else(|| panic!("no {name} in {sdp}")).trim()
}

impl Page {
    async fn open(server: &Server) -> Self {
        let http = server.http();
        let mut request = format!("ws://{http}/desk").into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("origin", format!("http://{http}").parse().unwrap());
        let spoken = "tandem.desk.v1".parse().unwrap();
        headers.insert("sec-websocket-protocol", spoken);
        let stream = TcpStream::connect(http).await.unwrap();
        let (socket, _) = tokio_tungstenite::client_async(request, stream)
            .await
            .unwrap();
        let clock = SystemClock::start();
        Self {
            socket,
            said: VecDeque::new(),
            next: 0,
            clock,
            identity: identity(clock),
            made: 0,
        }
    }

    /// Somebody's page, logged in; the welcome.
    async fn log_in(server: &Server, endpoint: &str, password: &str) -> (Self, Value) {
        let mut page = Self::open(server).await;
        let login = json!({"type": "login", "endpoint": endpoint, "password": password});
        let answer = page.ask(login).await;
        assert_eq!(answer["type"], "done", "{answer}");
        let welcome = page.word("welcome").await;
        (page, welcome)
    }

    /// The same by a token, or the one of an earlier page.
    async fn enter(server: &Server, kind: &str, token: &str) -> (Self, Value) {
        let mut page = Self::open(server).await;
        page.does(json!({"type": "login", kind: token})).await;
        let welcome = page.word("welcome").await;
        (page, welcome)
    }

    async fn read(&mut self) -> Option<Value> {
        let read = tokio::time::timeout(Duration::from_secs(10), self.socket.next()).await;
        match read.expect("nothing was said in 10 s")?.ok()? {
            Message::Text(text) => Some(serde_json::from_str(&text).unwrap()),
            Message::Close(_) => None,
            _ => Some(Value::Null),
        }
    }

    /// The next message that is so; others are kept for later.
    async fn until(&mut self, is: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.said.iter().position(&is) {
            return self.said.remove(at).unwrap();
        }
        let began = tokio::time::Instant::now();
        while began.elapsed() < Duration::from_secs(10) {
            let said = self.read().await.expect("the connection has ended");
            if is(&said) {
                return said;
            }
            self.said.push_back(said);
        }
        panic!("not said in 10 s; what was: {:#?}", self.said)
    }

    async fn word(&mut self, kind: &str) -> Value {
        self.until(|said| said["type"] == kind).await
    }

    /// Asks, and takes the answer.
    async fn ask(&mut self, mut message: Value) -> Value {
        self.next += 1;
        let id = self.next;
        message["id"] = id.into();
        let text = Message::text(message.to_string());
        self.socket.send(text).await.unwrap();
        self.until(|said| said["id"] == id).await
    }

    async fn does(&mut self, message: Value) -> Value {
        let answer = self.ask(message.clone()).await;
        assert_eq!(answer["type"], "done", "{message}: {answer}");
        answer
    }

    /// What he does, once it is that.
    async fn state(&mut self, state: &str) -> Value {
        let is = |said: &Value| said["type"] == "status" && said["state"] == state;
        self.until(is).await
    }

    /// A browser's description with that name; the mid is the offer's.
    fn described(&mut self, setup: &str, mid: &str) -> (String, String) {
        self.made += 1;
        let ufrag = format!("page{}", self.made);
        let print = self.identity.fingerprint().to_string();
        let sdp = format!(
            "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
             a=group:BUNDLE {mid}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 8\r\nc=IN IP4 0.0.0.0\r\n\
             a=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:{ufrag}\r\n\
             a=ice-pwd:browsers/password+24char\r\na=ice-options:trickle\r\n\
             a=fingerprint:{print}\r\na=setup:{setup}\r\na=mid:{mid}\r\na=sendrecv\r\n\
             a=rtcp-mux\r\na=rtpmap:8 PCMA/8000\r\n"
        );
        (ufrag, sdp)
    }

    /// The sound of a call, by the server's description.
    fn sounds(&self, hz: f32, ufrag: String, theirs: &str) -> Voice {
        let candidate: Vec<&str> = line(theirs, "a=candidate:").split(' ').collect();
        let to = format!("{}:{}", candidate[4], candidate[5]);
        let web = Web {
            clock: self.clock,
            identity: self.identity.clone(),
            ufrag,
            theirs: Credentials {
                ufrag: line(theirs, "a=ice-ufrag:").to_owned(),
                password: line(theirs, "a=ice-pwd:").to_owned(),
            },
        };
        Voice::browser(hz, web, to.parse().unwrap())
    }

    /// Answers a call that rings, or is given back.
    async fn answers(&mut self, ring: &Value, hz: f32) -> (String, Voice) {
        let offer = ring["sdp"].as_str().unwrap();
        let (ufrag, sdp) = self.described("active", line(offer, "a=mid:"));
        let voice = self.sounds(hz, ufrag, offer);
        let call = ring["call"].as_str().unwrap().to_owned();
        let kind = if ring["type"] == "attach" {
            "attach"
        } else {
            "answer"
        };
        self.does(json!({"type": kind, "call": call, "sdp": sdp}))
            .await;
        (call, voice)
    }

    /// Calls somebody who answers.
    async fn dials(&mut self, call: &str, to: &str) -> String {
        let (ufrag, sdp) = self.described("actpass", "0");
        let dial = json!({"type": "dial", "call": call, "to": to, "sdp": sdp});
        self.does(dial).await;
        ufrag
    }
}

const SOON: Duration = Duration::from_millis(1_500);
const A_WHILE: Duration = Duration::from_millis(600);

/// Until somebody hears a tone; fails after some tries.
async fn hears(who: &str, voice: &Voice, hz: f32) {
    for _ in 0..12 {
        if voice.hears(hz, A_WHILE).await {
            return;
        }
    }
    panic!(
        "{who} does not hear {hz} Hz: {} %",
        voice.share_of(hz, SOON).await
    );
}

#[test]
fn a_caller_waits_the_desk_is_rung_with_what_is_known_of_him_and_both_hear_each_other() {
    let home = home();
    runtime().unwrap().block_on(async {
        let server = Server::start(home.config()).await.unwrap();
        let (mut page, welcome) = Page::log_in(&server, "desk1", "sesame").await;
        assert_eq!(welcome["agent"], "anna");
        assert_eq!(welcome["queues"], json!(["sales"]));
        assert_eq!(welcome["dispositions"], json!(["sold", "call back"]));
        let phone = Phone::call(&server, "700", 440.0).await;
        let ring = page.word("ring").await;
        assert_eq!(
            ring["caller"],
            json!({"name": "Bob B.", "number": "+4930123"})
        );
        assert_eq!(
            (&ring["queue"], &ring["path"], &ring["attributes"]),
            (
                &json!("sales"),
                &json!(["main", "waiting"]),
                &json!({"tier": "gold"})
            )
        );
        assert!(ring["timeout_ms"].as_u64().unwrap() > 8_000, "{ring}");
        page.state("ringing").await;
        let (call, voice) = page.answers(&ring, 1_000.0).await;
        page.state("busy").await;
        hears("the caller", &phone.voice, 1_000.0).await;
        hears("the desk", &voice, 440.0).await;
        let quality = page.word("quality").await;
        assert_eq!(
            (&quality["call"], &quality["unheard"]),
            (&json!(call), &json!(false))
        );

        // What follows the call is said during it.
        page.does(json!({"type": "status", "want": "break", "reason": "lunch"}))
            .await;
        let next = page.until(|said| said["next"] == "break").await;
        assert_eq!(
            (&next["state"], &next["reason"]),
            (&json!("busy"), &json!("lunch"))
        );

        page.does(json!({"type": "hold", "call": call, "on": true}))
            .await;
        assert!(
            phone.voice.share_of(1_000.0, A_WHILE).await < 10,
            "music, not the desk"
        );
        page.does(json!({"type": "hold", "call": call, "on": false}))
            .await;
        hears("the caller again", &phone.voice, 1_000.0).await;

        page.does(json!({"type": "note", "call": call, "text": "wants two"}))
            .await;
        page.does(json!({"type": "hang_up", "call": call})).await;
        phone.is_hung_up().await;
        let ended = page.word("ended").await;
        assert_eq!((&ended["call"], &ended["by"]), (&json!(call), &json!("us")));
        let wrap_up = page.state("wrap_up").await;
        assert!(wrap_up["until_ms"].as_u64().unwrap() > 25_000, "{wrap_up}");
        page.does(json!({"type": "dispose", "call": call, "code": "sold"}))
            .await;
        page.does(json!({"type": "wrap_up", "do": "end"})).await;
        page.state("break").await;
        let notes = server.store.notes(&[]).await.unwrap();
        assert!(notes.is_empty());
        drop(page);
        server.stop().await.unwrap();
    });
}

#[test]
fn a_dead_microphone_is_told_within_two_seconds() {
    let home = home();
    runtime().unwrap().block_on(async {
        let server = Server::start(home.config()).await.unwrap();
        let (mut page, _) = Page::log_in(&server, "desk1", "sesame").await;
        let phone = Phone::call(&server, "700", 440.0).await;
        let ring = page.word("ring").await;
        let (_, voice) = page.answers(&ring, 1_000.0).await;
        hears("the caller", &phone.voice, 1_000.0).await;
        voice.falls_silent();
        let began = tokio::time::Instant::now();
        let told = page.until(|said| said["unheard"] == true);
        let told = tokio::time::timeout(Duration::from_secs(10), told).await;
        assert!(told.is_ok(), "not told");
        let took = began.elapsed();
        assert!(took < Duration::from_secs(2), "{took:?}");
        phone.hang_up().await;
        let ended = page.word("ended").await;
        assert_eq!(ended["by"], "them");
        server.stop().await.unwrap();
    });
}

#[test]
fn three_hear_each_other_when_two_calls_are_merged_and_who_hangs_up_leaves_the_others() {
    let home = home();
    runtime().unwrap().block_on(async {
        let server = Server::start(home.config()).await.unwrap();
        let (mut anna, _) = Page::log_in(&server, "desk1", "sesame").await;
        let phone = Phone::call(&server, "700", 440.0).await;
        let ring = anna.word("ring").await;
        let (first, one) = anna.answers(&ring, 1_000.0).await;
        let (mut ben, _) = Page::log_in(&server, "desk2", "street").await;
        anna.does(json!({"type": "hold", "call": first, "on": true}))
            .await;
        let ufrag = anna.dials("second", "100").await;
        let ring = ben.word("ring").await;
        assert_eq!(ring["queue"], Value::Null);
        let (_, other) = ben.answers(&ring, 700.0).await;
        let answered = anna.word("answered").await;
        let two = anna.sounds(1_000.0, ufrag, answered["sdp"].as_str().unwrap());
        hears("ben", &other, 1_000.0).await;
        assert!(other.share_of(440.0, A_WHILE).await < 10, "not yet");

        anna.does(json!({"type": "merge", "calls": [first, "second"]}))
            .await;
        anna.word("merged").await;
        hears("ben of anna", &other, 1_000.0).await;
        hears("ben of the caller", &other, 440.0).await;
        hears("the caller of anna", &phone.voice, 1_000.0).await;
        hears("the caller of ben", &phone.voice, 700.0).await;
        hears("anna of the caller", &one, 440.0).await;
        hears("anna of ben", &two, 700.0).await;
        assert!(two.share_of(440.0, A_WHILE).await < 10, "each by one leg");
        assert!(one.share_of(1_000.0, A_WHILE).await < 10, "never herself");

        anna.does(json!({"type": "hang_up", "call": first})).await;
        hears("ben of anna", &other, 1_000.0).await;
        assert!(
            other.share_of(440.0, A_WHILE).await < 10,
            "the caller has left"
        );
        anna.does(json!({"type": "hang_up", "call": "second"}))
            .await;
        server.stop().await.unwrap();
    });
}

#[test]
fn a_page_that_comes_again_has_its_call_back_and_the_caller_never_is_alone() {
    let home = home();
    runtime().unwrap().block_on(async {
        let server = Server::start(home.config()).await.unwrap();
        let token = access::token_of_anna(&server).await;
        let (mut page, welcome) = Page::enter(&server, "token", &token).await;
        let phone = Phone::call(&server, "700", 440.0).await;
        let ring = page.word("ring").await;
        let (call, voice) = page.answers(&ring, 1_000.0).await;
        hears("the caller", &phone.voice, 1_000.0).await;
        let resume = welcome["resume"].as_str().unwrap();
        // The page is gone without a word, as of a browser that is closed.
        drop((page, voice));
        let began = tokio::time::Instant::now();
        let (mut page, welcome) = Page::enter(&server, "resume", resume).await;
        assert_eq!(welcome["agent"], "anna");
        let attach = page.word("attach").await;
        let told = (
            &attach["call"],
            &attach["queue"],
            &attach["caller"]["number"],
        );
        assert_eq!(told, (&json!(call), &json!("sales"), &json!("+4930123")));
        let (call, voice) = page.answers(&attach, 1_000.0).await;
        hears("the caller again", &phone.voice, 1_000.0).await;
        hears("the desk again", &voice, 440.0).await;
        let took = began.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?}");
        page.does(json!({"type": "hang_up", "call": call})).await;
        server.stop().await.unwrap();
    });
}

#[test]
fn what_a_page_must_not_say_is_answered_with_words_and_bounded() {
    let home = home();
    runtime().unwrap().block_on(async {
        let server = Server::start(home.config()).await.unwrap();
        let mut page = Page::open(&server).await;
        let refused = page.ask(json!({"type": "hang_up", "call": "x"})).await;
        assert_eq!(refused["error"]["id"], "desk-login-first");
        for text in ["", "{", "[[[[", "\"x\"", "{\"id\":1}"] {
            page.socket.send(Message::text(text)).await.unwrap();
            let refused = page.word("refused").await;
            assert_eq!(refused["error"]["id"], "desk-message", "{text}");
        }
        let wrong = json!({"type": "login", "endpoint": "desk1", "password": "guess"});
        let unknown = json!({"type": "login", "endpoint": "nobody", "password": "guess"});
        let mut words = Vec::new();
        for login in [wrong, unknown] {
            let mut page = Page::open(&server).await;
            let refused = page.ask(login).await;
            words.push(refused["error"].clone());
            assert_eq!(page.word("bye").await["reason"], "login");
            assert!(page.read().await.is_none(), "and closed");
        }
        assert_eq!(words[0]["id"], "desk-login");
        assert_eq!(words[0], words[1], "nothing tells who there is");
        // Longer than any message may be.
        let long = "x".repeat(70_000);
        page.socket.send(Message::text(long)).await.unwrap();
        assert!(page.read().await.is_none());
        server.stop().await.unwrap();
    });
}
