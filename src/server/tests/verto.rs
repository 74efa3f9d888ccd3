//! Verto at a whole server: who logs in, a call to a flow, hold, and the calls of a page that goes and comes.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::*;

const OFFER: &str = include_str!("../../../tests/data/sip/offer_jssip.sdp");
/// The flow waits: nothing is played, nobody is rung.
const PLAN: &str = "dialplan version=1\nentry pattern=\"*\" flow=\"hall\"\n\
    queue \"hall\" max-wait=\"5m\" {\n  agents \"*\"\n}\n\
    flow \"hall\" {\n  answer\n  queue \"hall\"\n}\n";
const ANNA: &str = "bind = [\"127.0.0.1\"]\n[endpoints.anna]\npassword = \"sesame\"\n\
    [endpoints.bob]\npassword = \"secret\"\n[agents.bob]\n";

/// A page of this server, at that path.
struct Page {
    socket: WebSocketStream<TcpStream>,
    id: u64,
}

impl Page {
    async fn open(server: &Server, path: &str) -> Self {
        let http = server.http();
        let mut request = format!("ws://{http}{path}").into_client_request().unwrap();
        let origin = format!("http://{http}").parse().unwrap();
        request.headers_mut().insert("origin", origin);
        let stream = TcpStream::connect(http).await.unwrap();
        let (socket, _) = tokio_tungstenite::client_async(request, stream)
            .await
            .unwrap();
        Self { socket, id: 0 }
    }

    async fn next(&mut self) -> Value {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(10), self.socket.next()).await;
            match next.unwrap().unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Close(frame) => {
                    return json!({"closed": frame.map(|it| u16::from(it.code))});
                }
                _ => {}
            }
        }
    }

    /// The next message that is what is looked for.
    async fn until(&mut self, what: impl Fn(&Value) -> bool) -> Value {
        loop {
            let told = self.next().await;
            if what(&told) {
                return told;
            }
            assert!(told["closed"].is_null(), "{told}");
        }
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.id += 1;
        let id = self.id;
        let text = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.socket
            .send(Message::text(text.to_string()))
            .await
            .unwrap();
        self.until(|told| told["id"] == id && told["method"].is_null())
            .await
    }

    async fn told(&mut self, method: &str) -> Value {
        self.until(|told| told["method"] == method).await["params"].clone()
    }

    async fn log_in(&mut self, session: Option<&str>) -> Value {
        let who = json!({
            "login": "anna", "passwd": "sesame", "sessid": session, "User-Agent": {"sdkVersion": "2.27.10"},
        });
        self.ask("login", who).await["result"]["sessid"].clone()
    }
}

async fn calls(server: &Server) -> Vec<String> {
    let look = |control: &mut Control| {
        let calls = control.calls(clock::Now::ZERO + Duration::from_secs(1_000));
        calls
            .into_iter()
            .map(|call| call.call.to_string())
            .collect()
    };
    seen(server, look).await
}

fn home() -> Home {
    let home = Home::new();
    // One that is free now.
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    home.write(&format!("[webrtc]\nport = {port}\n{ANNA}"));
    home.plan(PLAN);
    home
}

#[test]
fn a_page_logs_in_by_the_endpoint_s_password_and_nobody_else_does() {
    runtime().unwrap().block_on(async {
        let home = home();
        let server = Server::start(home.config()).await.unwrap();
        let mut page = Page::open(&server, "/verto").await;
        let mut words = Vec::new();
        for (name, password) in [("anna", "guess"), ("nobody", "guess"), ("bob", "sesame")] {
            let refused = page
                .ask("login", json!({"login": name, "passwd": password}))
                .await;
            words.push(refused["error"].clone());
        }
        let wanted = json!({"code": -32_001, "message": "Authentication Failure"});
        assert_eq!(words, [wanted.clone(), wanted.clone(), wanted]);
        let session = page.log_in(None).await;
        assert_eq!(session.as_str().unwrap().len(), 36);
        let ready = page.told("telnyx_rtc.clientReady").await;
        assert_eq!(ready["reattached_sessions"], json!([]));
        let look = |control: &mut Control| {
            control
                .contacts(clock::Now::ZERO + Duration::from_secs(1), "anna")
                .len()
        };
        assert_eq!(seen(&server, look).await, 1);
        drop(page);
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(seen(&server, look).await, 0);
        server.stop().await.unwrap();
    });
}

#[test]
fn a_page_calls_a_flow_holds_goes_comes_back_and_hangs_up() {
    runtime().unwrap().block_on(async {
        let home = home();
        let server = Server::start(home.config()).await.unwrap();
        let mut page = Page::open(&server, "/").await;
        let session = page.log_in(None).await;
        let dialog = json!({"callID": "one", "destination_number": "100"});
        let invite = json!({"sdp": OFFER, "dialogParams": dialog});
        let created = page.ask("telnyx_rtc.invite", invite).await;
        assert_eq!(created["result"]["message"], "CALL CREATED");
        let answer = page.told("telnyx_rtc.answer").await;
        let sdp = answer["sdp"].as_str().unwrap();
        assert!(
            sdp.contains("a=ice-lite") && sdp.contains("a=fingerprint"),
            "{sdp}"
        );
        let standing = calls(&server).await;
        assert_eq!(json!(standing), json!([answer["telnyx_call_control_id"]]));
        for (action, state) in [("hold", "held"), ("unhold", "active")] {
            let modify = json!({"action": action, "dialogParams": dialog});
            let held = page.ask("telnyx_rtc.modify", modify).await;
            assert_eq!(held["result"]["holdState"], state, "{held}");
        }
        let keys = json!({"dtmf": "5", "dialogParams": dialog});
        assert_eq!(
            page.ask("telnyx_rtc.info", keys).await["result"]["message"],
            "SENT"
        );

        // The page is gone without a word, and another one is the same session.
        drop(page);
        let mut page = Page::open(&server, "/").await;
        assert_eq!(page.log_in(session.as_str()).await, session);
        let ready = page.told("telnyx_rtc.clientReady").await;
        assert_eq!(ready["reattached_sessions"], json!(["one"]));
        let attach = page.told("telnyx_rtc.attach").await;
        assert_eq!(
            attach["telnyx_call_control_id"],
            answer["telnyx_call_control_id"]
        );
        assert!(attach["sdp"].as_str().unwrap().contains("a=setup:"));
        let ours = OFFER.replace("actpass", "active").replace("hbgn", "hbgo");
        let taken = page
            .ask(
                "telnyx_rtc.attach",
                json!({"sdp": ours, "dialogParams": dialog}),
            )
            .await;
        assert!(taken["error"].is_null(), "{taken}");
        assert_eq!(calls(&server).await, standing);
        let ended = page
            .ask("telnyx_rtc.bye", json!({"dialogParams": dialog}))
            .await;
        assert_eq!(ended["result"]["message"], "CALL ENDED");
        for _ in 0..100 {
            if calls(&server).await.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(calls(&server).await, [""; 0]);
        server.stop().await.unwrap();
    });
}

#[test]
fn what_is_no_text_or_too_long_is_closed_with_the_code_that_names_it() {
    runtime().unwrap().block_on(async {
        let home = home();
        let server = Server::start(home.config()).await.unwrap();
        for (message, code) in [
            (Message::binary(vec![1, 2, 3]), 1_003),
            (Message::text("x".repeat((64 << 10) + 1)), 1_009),
        ] {
            let mut page = Page::open(&server, "/verto").await;
            page.socket.send(message).await.unwrap();
            assert_eq!(page.next().await, json!({"closed": code}));
        }
        let mut page = Page::open(&server, "/verto").await;
        let wrong = page.ask("verto.dance", json!({})).await;
        assert_eq!(wrong["error"]["code"], -32_000);
        server.stop().await.unwrap();
    });
}
