//! The API over real HTTP on loopback, with a control that answers from a table: here the server, who is let in,
//! and what is of no one resource.

#![expect(
    clippy::disallowed_methods,
    reason = "a test's tasks end with its runtime"
)]

mod access;
mod calls;
mod center;
mod conferences;
mod control;
mod desk;
mod records;
mod supervision;
mod traces;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::*;
use crate::config::Secret;

const KEY: &str = "a key that only the test knows";

/// A server with one call, one queue, one agent, and a folder that vanishes with it.
struct World {
    address: SocketAddr,
    folder: PathBuf,
    store: Store,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl World {
    async fn new() -> Self {
        let (control, commands) = Control::new();
        tokio::spawn(control::answer(commands));
        Self::with(control, Duration::from_secs(10)).await
    }

    async fn with(control: Control, timeout: Duration) -> Self {
        Self::with_traces(control, timeout, None).await
    }

    async fn with_traces(control: Control, timeout: Duration, traces: Option<Traces>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tandem-api-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let store = Store::open(&folder).await.unwrap();
        let metrics = metrics_exporter_prometheus::PrometheusBuilder::new();
        let api = Api {
            control,
            traces,
            phones: None,
            store: store.clone(),
            key: Key::of(KEY),
            access: Access::new(&Secret::new("x".repeat(32)), &Default::default()),
            logins: Arc::new(Logins::new(access::book())),
            turn: Some(access::turn()),
            metrics: metrics.build_recorder().handle(),
            recordings: folder.join("recordings"),
            body_max_bytes: 1_024,
            timeout,
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let peer = Peer {
            remote: "192.0.2.9:40000".parse().unwrap(),
            secure: false,
        };
        let router = api.router().layer(axum::Extension(peer));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            folder,
            store,
        }
    }

    async fn send(&self, method: &str, path: &str, key: Option<&str>, body: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.address);
        let mut request = axum::http::Request::builder().method(method).uri(url);
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let request = request.body(body.to_owned()).unwrap();
        let exchange = move || {
            let config = ureq::Agent::config_builder().http_status_as_error(false);
            let agent: ureq::Agent = config.allow_non_standard_methods(true).build().into();
            let mut response = agent.run(request).unwrap();
            (
                response.status().as_u16(),
                response.body_mut().read_to_string().unwrap(),
            )
        };
        tokio::task::spawn_blocking(exchange).await.unwrap()
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (status, text) = self.send(method, path, Some(KEY), body).await;
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }
}

#[tokio::test]
async fn without_the_key_nothing_but_the_open_paths_is_shown() {
    let world = World::new().await;
    let guarded = [
        ("GET", "/v1/calls"),
        ("GET", "/v1/calls/c0000000000000001"),
        ("DELETE", "/v1/calls/c0000000000000001"),
        ("GET", "/v1/queues"),
        ("GET", "/v1/agents"),
        ("PUT", "/v1/agents/anna/state"),
        ("POST", "/v1/agents/anna/wrap_up"),
        ("POST", "/v1/agents/anna/pick"),
        ("GET", "/v1/agents/anna/missed"),
        ("GET", "/v1/calls/c0000000000000001/context"),
        ("GET", "/v1/calls/c0000000000000001/notes"),
        ("PUT", "/v1/calls/c0000000000000001/notes/anna"),
        ("GET", "/v1/codes"),
        ("GET", "/v1/conferences"),
        ("PUT", "/v1/conferences/r"),
        ("POST", "/v1/conferences/r/announcement"),
        ("PUT", "/v1/conferences/r/members/c0000000000000001"),
        ("DELETE", "/v1/conferences/r/members/c0000000000000001"),
        ("PUT", "/v1/conferences/r/gains"),
        ("PUT", "/v1/calls/c0000000000000001/supervision"),
        ("DELETE", "/v1/calls/c0000000000000001/supervision"),
        ("PUT", "/v1/calls/c0000000000000001/parties/caller"),
        ("GET", "/v1/endpoints"),
        ("POST", "/v1/endpoints"),
        ("DELETE", "/v1/endpoints/x"),
        ("GET", "/v1/cdrs"),
        ("POST", "/v1/calls/c0000000000000001/recording"),
        ("GET", "/v1/recordings/c0000000000000001"),
        ("GET", "/v1/trunks"),
        ("POST", "/v1/trunks/acme/ping"),
        ("POST", "/v1/reload"),
        ("POST", "/v1/explain"),
        ("GET", "/v1/refusals"),
    ];
    for (method, path) in guarded {
        for key in [None, Some("wrong"), Some("")] {
            let (status, body) = world.send(method, path, key, "").await;
            assert_eq!(status, 401, "{method} {path}");
            assert!(body.contains("\"unauthorized\""), "{body}");
        }
    }
    for path in [
        "/healthz",
        "/readyz",
        "/version",
        "/metrics",
        "/openapi.json",
    ] {
        assert_eq!(world.send("GET", path, None, "").await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn banned_sources_are_listed_and_lifted() {
    let world = World::new().await;
    let (status, bans) = world.ask("GET", "/v1/bans", "").await;
    let ban = json!([{"source": "2001:db8::/64", "left_secs": 77, "times": 2}]);
    assert_eq!((status, bans), (200, ban));
    for (source, wanted) in [("192.0.2.7", 204), ("192.0.2.8", 404), ("nonsense", 400)] {
        let path = format!("/v1/bans/{source}");
        assert_eq!(world.send("DELETE", &path, Some(KEY), "").await.0, wanted);
    }
}

#[tokio::test]
async fn a_reload_that_finds_mistakes_lists_them_all() {
    let world = World::new().await;
    let (status, error) = world.ask("POST", "/v1/reload", "").await;
    assert_eq!(
        (status, &error["error"]["id"]),
        (422, &json!("reload-refused"))
    );
    assert_eq!(error["error"]["details"], json!(["main.kdl:3:1: no"]));
}

#[tokio::test]
async fn a_path_or_method_that_does_not_exist_is_an_error_in_json() {
    let world = World::new().await;
    let (status, error) = world.ask("GET", "/v1/nothing", "").await;
    assert_eq!((status, &error["error"]["id"]), (404, &json!("not-found")));
    let (status, error) = world.ask("PATCH", "/v1/calls", "").await;
    assert_eq!(
        (status, &error["error"]["id"]),
        (405, &json!("method-not-allowed"))
    );
}

#[tokio::test]
async fn a_control_that_is_gone_or_silent_makes_the_server_unready_but_not_stuck() {
    let (control, commands) = Control::new();
    drop(commands);
    let world = World::with(control, Duration::from_secs(10)).await;
    let (status, ready) = world.ask("GET", "/readyz", "").await;
    assert_eq!(
        (status, ready),
        (503, json!({ "ready": false, "missing": ["control"] }))
    );
    let (status, error) = world.ask("GET", "/v1/calls", "").await;
    assert_eq!(
        (status, &error["error"]["id"]),
        (503, &json!("unavailable"))
    );
    assert_eq!(world.ask("GET", "/healthz", "").await.0, 200);

    let (control, _silent) = Control::new();
    let world = World::with(control, Duration::from_millis(50)).await;
    let (status, error) = world.ask("GET", "/v1/calls", "").await;
    assert_eq!((status, &error["error"]["id"]), (504, &json!("timeout")));
}

#[tokio::test]
async fn the_openapi_document_names_every_path_and_the_key() {
    let world = World::new().await;
    let (_, document) = world.ask("GET", "/openapi.json", "").await;
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    let want = [
        "/healthz",
        "/metrics",
        "/readyz",
        "/v1/agents",
        "/v1/agents/{name}/missed",
        "/v1/agents/{name}/pick",
        "/v1/agents/{name}/state",
        "/v1/agents/{name}/wrap_up",
        "/v1/bans",
        "/v1/bans/{source}",
        "/v1/calls",
        "/v1/calls/{call_id}",
        "/v1/calls/{call_id}/capture",
        "/v1/calls/{call_id}/context",
        "/v1/calls/{call_id}/notes",
        "/v1/calls/{call_id}/notes/{agent}",
        "/v1/calls/{call_id}/parties/{party}",
        "/v1/calls/{call_id}/pcap",
        "/v1/calls/{call_id}/recording",
        "/v1/calls/{call_id}/supervision",
        "/v1/calls/{call_id}/trace",
        "/v1/captures",
        "/v1/cdrs",
        "/v1/click_to_call",
        "/v1/codes",
        "/v1/conferences",
        "/v1/conferences/{name}",
        "/v1/conferences/{name}/announcement",
        "/v1/conferences/{name}/gains",
        "/v1/conferences/{name}/members/{call_id}",
        "/v1/endpoints",
        "/v1/endpoints/{name}",
        "/v1/explain",
        "/v1/ice_servers",
        "/v1/login",
        "/v1/queues",
        "/v1/recordings/{call_id}",
        "/v1/refusals",
        "/v1/reload",
        "/v1/trunks",
        "/v1/trunks/{name}/ping",
        "/v2/telephony_credentials",
        "/v2/telephony_credentials/{id}",
        "/v2/telephony_credentials/{id}/token",
        "/version",
    ];
    assert_eq!(paths, want);
    assert_eq!(
        document["components"]["securitySchemes"]["key"]["scheme"],
        "bearer"
    );
    assert!(document["components"]["schemas"]["CdrJson"]["properties"]["billsec"].is_object());
    assert_eq!(
        document["paths"]["/healthz"]["get"]["security"],
        json!([{}])
    );
}

#[tokio::test]
async fn the_key_is_configured_or_made_once_and_only_its_hash_is_kept() {
    let (control, _commands) = Control::new();
    let world = World::with(control, Duration::from_secs(1)).await;
    let given = Secret::new("configured key 1".to_owned());
    let found = Key::find(Some(&given), &world.store, 0).await.unwrap();
    assert!(found.key().is("configured key 1") && !found.key().is("configured key 2"));
    assert!(world.store.api_key_hash().await.unwrap().is_none());

    let KeyFound::Made(key, text) = Key::find(None, &world.store, 0).await.unwrap() else {
        panic!("the first start makes a key");
    };
    assert!(key.is(text.reveal()) && text.reveal().len() == 43);
    let again = Key::find(None, &world.store, 0).await.unwrap();
    assert!(matches!(again, KeyFound::Stored(key) if key.is(text.reveal())));
    let kept = world.store.api_key_hash().await.unwrap().unwrap();
    assert_ne!(kept, text.reveal().as_bytes());
}
