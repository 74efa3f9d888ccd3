//! A whole server on loopback: what a start refuses, and what a reload changes.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::config::ConfigError;
use crate::control::Control;
use crate::store::EndpointRow;

mod access;
mod desk;
mod tls;
mod verto;
mod web;

/// A folder with a configuration, which vanishes with it.
struct Home(PathBuf);

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Home {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tandem-server-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(folder.join("plans")).unwrap();
        Self(folder)
    }

    fn write(&self, more: &str) {
        let (data, plans) = (self.0.join("data"), self.0.join("plans"));
        let text = format!(
            "data = {data:?}\ndialplans = {plans:?}\n[http]\nlisten = \"127.0.0.1:0\"\n\
             [sip]\nudp = [\"127.0.0.1:0\"]\ntcp = []\ntls = []\n\
             [speech]\nprogram = \"no-such-engine\"\n[rtp]\nport_min = 42000\nport_max = 42999\n{more}"
        );
        std::fs::write(self.0.join("tandem.toml"), text).unwrap();
    }

    fn plan(&self, text: &str) {
        std::fs::write(self.0.join("plans/main.kdl"), text).unwrap();
    }

    fn config(&self) -> Config {
        Config::load(Some(&self.0.join("tandem.toml")), []).unwrap()
    }

    /// As the API makes one.
    async fn store_endpoint(&self, name: &str) {
        let store = Store::open(&self.0.join("data")).await.unwrap();
        let hash = |length| "a".repeat(length);
        let row = EndpointRow {
            name: name.to_owned(),
            realm: "tandem".to_owned(),
            ha1_md5: hash(32),
            ha1_sha256: hash(64),
            ha1_sha512_256: hash(64),
            caller_id: Some("+4412345".to_owned()),
            created_at: 0,
        };
        assert!(store.add_endpoint(&row).await.unwrap());
        store.close().await;
    }
}

/// What the control shard answers.
async fn seen<T: Send + 'static>(
    server: &Server,
    look: impl FnOnce(&mut Control) -> T + Send + 'static,
) -> T {
    let (reply, answer) = tokio::sync::oneshot::channel();
    let ask = move |control: &mut Control, _| assert!(reply.send(look(control)).is_ok());
    server.shard.tell(ask).await;
    answer.await.unwrap()
}

fn trunks(control: &mut Control) -> Vec<String> {
    let trunks = control.trunks().trunks();
    trunks.map(|(trunk, _)| trunk.name.clone()).collect()
}

fn endpoints(control: &mut Control) -> Vec<(String, Option<String>)> {
    let endpoints = control.trunks().endpoints();
    endpoints
        .map(|it| (it.name.clone(), it.caller_id.clone()))
        .collect()
}

#[test]
fn an_endpoint_in_the_file_and_in_the_database_refuses_the_start_and_both_are_named() {
    let home = Home::new();
    home.write("[endpoints.anna]\npassword = \"secret\"\n");
    let error = runtime().unwrap().block_on(async {
        home.store_endpoint("anna").await;
        Server::start(home.config()).await.err().unwrap()
    });
    let twice = error.downcast_ref::<ConfigError>();
    assert!(
        matches!(twice, Some(ConfigError::Twice { .. })),
        "{error:#}"
    );
    let text = error.to_string();
    assert!(
        text.starts_with("endpoints.anna: endpoint \"anna\"") && text.contains("tandem.db"),
        "{text}"
    );
}

#[test]
fn a_reload_puts_all_in_force_or_nothing_and_run_time_endpoints_outlive_it() {
    let home = Home::new();
    home.write("[trunks.old]\nsend_to = [\"192.0.2.1\"]\n[endpoints.anna]\npassword = \"x\"\n");
    runtime().unwrap().block_on(async {
        home.store_endpoint("made").await;
        let server = Server::start(home.config()).await.unwrap();
        let made = ("made".to_owned(), Some("+4412345".to_owned()));
        let anna = ("anna".to_owned(), None);
        assert_eq!(seen(&server, endpoints).await, [anna, made.clone()]);

        let new = "[trunks.new]\nsend_to = [\"192.0.2.2\"]\n\
                   [endpoints.bob]\npassword = \"x\"\ncaller_id = \"100\"\n[agents.bob]\n";
        home.write(new);
        home.plan("dialplan version=1\nentry pattern=\"*\" flow=\"nowhere\"\n");
        let mistakes = server.reload().await.unwrap_err();
        assert!(
            mistakes.iter().any(|it| it.contains("main.kdl:2")),
            "{mistakes:?}"
        );
        assert_eq!(seen(&server, trunks).await, ["old"]);

        home.plan(
            "dialplan version=1\nentry pattern=\"*\" flow=\"end\"\nflow \"end\" {\n  hangup\n}\n",
        );
        assert_eq!(server.reload().await.unwrap().entries, 1);
        assert_eq!(seen(&server, trunks).await, ["new"]);
        let bob = ("bob".to_owned(), Some("100".to_owned()));
        assert_eq!(seen(&server, endpoints).await, [bob, made]);
        assert_eq!(seen(&server, |control| control.agents().len()).await, 1);

        home.write(&format!("{new}[endpoints.made]\npassword = \"x\"\n"));
        let twice = server.reload().await.unwrap_err();
        assert!(twice[0].starts_with("endpoints.made: "), "{twice:?}");
        home.write("[limits]\ncalls = 0\n");
        let wrong = server.reload().await.unwrap_err();
        assert!(wrong[0].contains(": limits.calls: want"), "{wrong:?}");
        assert_eq!(seen(&server, trunks).await, ["new"]);
        server.stop().await.unwrap();
    });
}

/// A plan whose every call waits in a queue of that name.
fn waiting_room(name: &str) -> String {
    format!(
        "dialplan version=1\nentry pattern=\"*\" flow=\"{name}\"\n\
         queue \"{name}\" max-wait=\"5m\" {{\n  agents \"*\"\n}}\n\
         flow \"{name}\" {{\n  answer\n  queue \"{name}\"\n}}\n"
    )
}

/// Where each call's plan stands, the oldest first.
async fn steps(server: &Server) -> Vec<String> {
    let look = |control: &mut Control| {
        let calls = control.calls(clock::Now::ZERO + Duration::from_secs(1_000));
        calls.into_iter().filter_map(|call| call.step).collect()
    };
    seen(server, look).await
}

/// Sends an INVITE and waits for its 200.
async fn call(server: &Server, number: u32) -> tokio::net::UdpSocket {
    let phone = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (at, me) = (server.bound()[0].local, phone.local_addr().unwrap());
    let sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
               m=audio 40404 RTP/AVP 8\r\n";
    let invite = format!(
        "INVITE sip:100@{at} SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bK{number}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:me@{me}>;tag=1\r\nTo: <sip:100@{at}>\r\n\
         Call-ID: call-{number}\r\nCSeq: 1 INVITE\r\nContact: <sip:me@{me}>\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    );
    phone.send_to(invite.as_bytes(), at).await.unwrap();
    let mut buffer = [0; 4_096];
    loop {
        let answer = phone.recv(&mut buffer);
        let length = tokio::time::timeout(Duration::from_secs(20), answer).await;
        if buffer[..length.unwrap().unwrap()].starts_with(b"SIP/2.0 200") {
            return phone;
        }
    }
}

#[test]
fn a_live_call_keeps_its_plan_over_a_reload_and_a_second_signal_ends_the_drain() {
    let home = Home::new();
    // Somebody may come to serve them: callers of a queue that is gone and has nobody would leave.
    home.write(
        "[limits]\ndrain = \"1h\"\n[trunks.phone]\naddresses = [\"127.0.0.1\"]\n\
         [endpoints.anna]\npassword = \"secret\"\n[agents.anna]\n",
    );
    home.plan(&waiting_room("old"));
    runtime().unwrap().block_on(async {
        let server = Server::start(home.config()).await.unwrap();
        let _first = call(&server, 1).await;
        assert_eq!(steps(&server).await, ["old/queue"]);
        home.plan(&waiting_room("new"));
        server.reload().await.unwrap();
        let _second = call(&server, 2).await;
        assert_eq!(steps(&server).await, ["old/queue", "new/queue"]);
        let hurry = server.hurry();
        let stopping = tokio::time::timeout(Duration::from_secs(60), server.stop());
        hurry.cancel();
        stopping.await.unwrap().unwrap();
    });
}

/// Calls as the endpoint of that name and password, and waits for the answer.
async fn call_as(server: &Server, name: &str, password: &str) {
    use sip::transport::{Flow, ListenerId, Transport};
    use sip::ua::{Invite, Listener, Output, UserAgent, UserAgentConfig};
    let phone = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (at, me) = (server.bound()[0].local, phone.local_addr().unwrap());
    let (id, transport) = (ListenerId(0), Transport::Udp);
    let listener = Listener {
        id,
        transport,
        advertised_host: me.ip().to_string(),
        advertised_port: me.port(),
    };
    let mut ua = UserAgent::new(UserAgentConfig::new(vec![listener], "phone"), 7);
    let flow = Flow {
        transport,
        listener: id,
        remote: at,
        connection: None,
        peer: None,
    };
    let invite = Invite {
        request_uri: format!("sip:100@{at}"),
        flow,
        from: format!("<sip:{name}@{at}>"),
        to: format!("<sip:100@{at}>"),
        contact_user: name.to_owned(),
        headers: Vec::new(),
        offer: None,
        credentials: Some(sip::auth::Credentials {
            user: name.to_owned(),
            secret: sip::auth::Secret::Password(password.to_owned()),
            realm: None,
            scope: Default::default(),
        }),
        max_forwards: 70,
        reliable: sip::ua::Reliable::No,
        timers: None,
    };
    let mut now = clock::Now::ZERO;
    ua.invite(now, invite).unwrap();
    let mut buffer = [0; 4_096];
    loop {
        while let Some(output) = ua.poll_output() {
            match output {
                Output::Transmit { bytes, .. } => drop(phone.send_to(&bytes, at).await.unwrap()),
                Output::Event(sip::ua::Event::Answered { .. }) => return,
                Output::Event(sip::ua::Event::Refused { status, .. }) => panic!("{status}"),
                Output::Event(_) => {}
            }
        }
        let answer = tokio::time::timeout(Duration::from_secs(20), phone.recv(&mut buffer)).await;
        let bytes = bytes::Bytes::copy_from_slice(&buffer[..answer.unwrap().unwrap()]);
        now += Duration::from_millis(1);
        ua.receive(now, flow, bytes, true);
    }
}

#[test]
fn a_call_of_an_endpoint_shows_its_caller_id() {
    let home = Home::new();
    home.write("[endpoints.desk7]\npassword = \"secret\"\ncaller_id = \"+4412345\"\n");
    home.plan(&waiting_room("hall"));
    runtime().unwrap().block_on(async {
        let server = Server::start(home.config()).await.unwrap();
        call_as(&server, "desk7", "secret").await;
        let look = |control: &mut Control| {
            let calls = control.calls(clock::Now::ZERO + Duration::from_secs(1_000));
            calls.into_iter().map(|call| call.from).collect::<Vec<_>>()
        };
        assert_eq!(seen(&server, look).await, ["+4412345"]);
        server.hurry().cancel();
        server.stop().await.unwrap();
    });
}
