//! The API over real HTTP on loopback, with a control that answers from a table.

#![expect(
    clippy::disallowed_methods,
    reason = "a test's tasks end with its runtime"
)]

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use media::port::PortStats;
use media::quality::Rating;
use serde_json::{Value, json};

mod access;
mod desk;
mod supervision;

use super::*;
use crate::call::{CallId, Cause, Cdr, Direction, Handover, How, LegFigures};
use crate::center::{Center, Input, QueueConfig, Wish};
use crate::conference::{Standing, Supervisions};
use crate::config::Secret;
use crate::control::{Refused, Rehearsal, Step, Verdict};
use crate::store::{Anchor, CdrRow, EndpointRow, HoleRow, LegRow, Record, RecordingRow, Writer};

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
        tokio::spawn(answer(commands));
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

fn call() -> CallSnapshot {
    CallSnapshot {
        call: CallId(1),
        direction: Direction::Inbound,
        from: "+33123456789".to_owned(),
        to: "100".to_owned(),
        trunk: Some("acme".to_owned()),
        state: CallState::Queued,
        age: Duration::from_secs(12),
        answered: Some(Duration::from_secs(10)),
        queue: Some("sales".to_owned()),
        agent: None,
        step: Some("menu".to_owned()),
        waits_for: vec![WaitsFor {
            agent: "anna".into(),
            obstacle: crate::center::Obstacle::WrapUp {
                until: clock::Now::ZERO,
            },
            left: Some(Duration::from_secs(4)),
        }],
        supervision: None,
        muted: Vec::new(),
        legs: None,
    }
}

fn room_of(rooms: &crate::conference::Conferences) -> crate::control::RoomSnapshot {
    let room = rooms.room("r").unwrap().clone();
    let stayed = vec![Duration::from_secs(5); room.members.len()];
    let file = room.recording.then(|| "day/conference-r.wav".to_owned());
    crate::control::RoomSnapshot { room, file, stayed }
}

/// A client that is gone needs no reply.
fn give<T>(reply: Reply<T>, value: T) {
    let _ = reply.send(value);
}

/// A control that has one call and one queue, remembers endpoints, and refuses to reload.
async fn answer(mut commands: tokio::sync::mpsc::Receiver<Command>) {
    let mut endpoints = HashSet::new();
    let mut rooms = crate::conference::Conferences::default();
    for n in [1, 2] {
        rooms.join(clock::Now::ZERO, CallId(n), "r", Default::default());
    }
    let (mut watches, mut muted) = (Supervisions::default(), Vec::new());
    let mut center = Center::new();
    let now = clock::Now::ZERO;
    let queues = vec![QueueConfig {
        agents: vec!["anna".into(), "bob".into()],
        ..QueueConfig::named("sales")
    }];
    let agent = |name: &str, wish| crate::center::AgentConfig {
        id: name.into(),
        endpoint: "desk1".to_owned(),
        wish,
    };
    let agents = vec![agent("anna", Wish::Available), agent("bob", Wish::Break)];
    center.handle(now, Input::Configure { queues, agents });
    let (bob, yes) = ("bob".into(), true);
    center.handle(now, Input::AgentReachable { agent: bob, yes });
    let (queue, max_wait) = ("sales".to_owned(), None);
    center.handle(
        now,
        Input::Join {
            call: CallId(1),
            queue,
            priority: 2,
            max_wait,
        },
    );
    while let Some(command) = commands.recv().await {
        match command {
            Command::Calls { reply } => give(reply, vec![call()]),
            Command::Call { call: id, reply } => {
                let whole = CallSnapshot {
                    legs: Some(vec![LegRow::new(&leg_figures())]),
                    supervision: watches.of(id).map(|it| (it.supervisor, it.mode)),
                    muted: muted.clone(),
                    ..call()
                };
                give(reply, Some(whole).filter(|c| c.call == id));
            }
            Command::Supervise { calls, mode, reply } => {
                let there = |call, is| (call < CallId(4)).then_some(is);
                let standing = Standing {
                    bridged: there(calls.0, calls.0 == CallId(1)),
                    free: there(calls.1, calls.1 == CallId(2)),
                    room: None,
                };
                give(reply, watches.supervise(calls, mode, standing));
            }
            Command::Dismiss { call, reply } => give(reply, watches.end(call)),
            Command::Mute {
                call,
                party,
                on,
                reply,
            } => {
                muted = on.then_some(party).into_iter().collect();
                give(reply, call == CallId(1));
            }
            Command::Hangup { call, reply, .. } => give(reply, call == CallId(1)),
            Command::Center { reply } => {
                give(reply, center.snapshot(now + Duration::from_secs(3)));
            }
            Command::SetAgent {
                agent,
                wish,
                reason,
                reply,
            } => give(reply, desk::wish(&mut center, agent, wish, reason)),
            Command::Desk(command) => desk::answer(&mut center, command),
            Command::Conferences { reply } => give(reply, vec![room_of(&rooms)]),
            Command::Conference { name, reply } => {
                give(reply, Some(room_of(&rooms)).filter(|_| name == "r"));
            }
            Command::AskConference { name, ask, reply } => give(reply, rooms.ask(&name, *ask)),
            Command::Endpoints { reply } => give(reply, Vec::new()),
            Command::Trunks { reply } => give(reply, Vec::new()),
            Command::PingTrunk { name, reply } => give(reply, name == "acme"),
            Command::AddEndpoint { new, reply } => give(
                reply,
                match new.name.as_str() {
                    "configured" => Err(EndpointRefused::Configured),
                    name if !endpoints.insert(name.to_owned()) => Err(EndpointRefused::Taken),
                    name => Ok(EndpointRow {
                        name: name.to_owned(),
                        realm: "tandem".to_owned(),
                        ha1_md5: "a".to_owned(),
                        ha1_sha256: "b".to_owned(),
                        ha1_sha512_256: "c".to_owned(),
                        caller_id: new.caller_id,
                        created_at: new.created_ms,
                    }),
                },
            ),
            Command::RemoveEndpoint { name, reply } => {
                let removed = endpoints.remove(&name);
                give(
                    reply,
                    if removed {
                        Ok(())
                    } else {
                        Err(EndpointRefused::Unknown)
                    },
                );
            }
            Command::Record { call, reply, .. } | Command::Capture { call, reply } => {
                give(reply, call == CallId(1));
            }
            Command::CaptureNext { reply, .. } => give(reply, ()),
            Command::Explain { probe, reply } => {
                let verdict = Verdict::Taken(format!("rings {}", probe.to));
                let steps = vec![Step {
                    name: "listener",
                    text: probe.source.to_string(),
                }];
                give(reply, Rehearsal { steps, verdict });
            }
            Command::Refusals { call, reply, .. } => {
                let refused = Refused {
                    at: now,
                    call: None,
                    status: 404,
                    why: crate::explain::Explanation {
                        id: "no-entry",
                        expected: "a".to_owned(),
                        found: "b".to_owned(),
                        fix: "c".to_owned(),
                    },
                    request: None,
                };
                let wanted = call.is_none_or(|call| call == "sip-1");
                let kept = wanted.then_some((Duration::from_secs(1), refused));
                give(reply, kept.into_iter().collect());
            }
            Command::Bans { reply } => give(
                reply,
                vec![crate::trunk::Ban {
                    source: "2001:db8::".parse().unwrap(),
                    left: Duration::from_secs(77),
                    times: 2,
                }],
            ),
            Command::LiftBan { source, reply } => {
                give(reply, source == std::net::IpAddr::from([192, 0, 2, 7]));
            }
            Command::Access(command) => access::answer(command),
            Command::Reload { reply } => give(reply, Err(vec!["main.kdl:3:1: no".to_owned()])),
            Command::Counts { reply } => {
                give(
                    reply,
                    Counts {
                        calls: 1,
                        ..Counts::default()
                    },
                );
            }
        }
    }
}

/// A leg of which all is known.
fn leg_figures() -> LegFigures {
    let ms = Duration::from_millis;
    LegFigures {
        who: "anna".to_owned(),
        trunk: None,
        codec: "PCMA",
        stats: PortStats {
            received: 500,
            sent: 498,
            lost: 5,
            jitter_max: ms(12),
            round_trip: Some(ms(30)),
            rating: Some(Rating::reported(90)),
            unauthentic: 2,
            ..PortStats::default()
        },
    }
}

async fn keep(store: &Store, call: u64, recording: Option<&str>) {
    let at = |secs| clock::Now::ZERO + Duration::from_secs(secs);
    let cdr = Cdr {
        call: CallId(call),
        direction: Direction::Inbound,
        from: "+33123456789".to_owned(),
        to: "100".to_owned(),
        trunk: Some("acme".to_owned()),
        started: at(0),
        answered: Some(at(1)),
        bridged: Some(at(6)),
        ended: at(11),
        cause: Cause::Normal,
        sip_status: Some(200),
        q850: 16,
        queue: Some("sales".to_owned()),
        agent: Some("anna".to_owned()),
        waited: Duration::from_millis(4_500),
        recording: recording.map(str::to_owned),
        refusal: None,
        handovers: vec![Handover {
            at: at(8),
            by: "anna".to_owned(),
            to: "bob".to_owned(),
            how: How::Blind,
        }],
        legs: vec![leg_figures()],
    };
    let row = CdrRow::new(
        &cdr,
        Anchor {
            now: at(0),
            wall_ms: 1_700_000_000_000,
        },
    );
    let (writer, task) = Writer::new(store.clone());
    writer.write(Record::Cdr(Box::new(row))).await.unwrap();
    drop(writer);
    task.run().await;
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
async fn a_call_in_progress_is_listed_shown_and_hung_up() {
    let world = World::new().await;
    let (status, calls) = world.ask("GET", "/v1/calls", "").await;
    assert_eq!(
        (status, &calls[0]["call_id"]),
        (200, &json!("c0000000000000001"))
    );
    assert_eq!(
        (&calls[0]["state"], &calls[0]["age_secs"]),
        (&json!("queued"), &json!(12.0))
    );
    let (status, one) = world.ask("GET", "/v1/calls/c0000000000000001", "").await;
    assert_eq!((status, &one["queue"]), (200, &json!("sales")));
    assert_eq!(
        world
            .ask("DELETE", "/v1/calls/c0000000000000001", "")
            .await
            .0,
        204
    );
    for path in ["/v1/calls/c0000000000000002", "/v1/calls/nonsense"] {
        let (status, error) = world.ask("DELETE", path, "").await;
        assert_eq!((status, &error["error"]["id"]), (404, &json!("not-found")));
    }
}

#[tokio::test]
async fn a_conference_is_shown_and_its_members_are_muted_whispered_to_and_put_out() {
    let world = World::new().await;
    let (one, two) = ("c0000000000000001", "c0000000000000002");
    let (status, rooms) = world.ask("GET", "/v1/conferences", "").await;
    assert_eq!((status, &rooms[0]["name"]), (200, &json!("r")));
    assert_eq!(rooms[0]["members"][1]["call_id"], json!(two));
    assert_eq!(world.ask("GET", "/v1/conferences/s", "").await.0, 404);
    let member = |call: &str| format!("/v1/conferences/r/members/{call}");
    let gain = |db: Value| json!({"from": one, "to": two, "db": db}).to_string();
    let asked = [
        ("PUT", member(one), json!({"muted": true}).to_string(), 204),
        ("PUT", member(one), json!({"loud": true}).to_string(), 400),
        (
            "PUT",
            member("c0000000000000009"),
            json!({"muted": true}).to_string(),
            404,
        ),
        (
            "PUT",
            "/v1/conferences/r/gains".to_owned(),
            gain(json!(0.0)),
            204,
        ),
        (
            "PUT",
            "/v1/conferences/r/gains".to_owned(),
            gain(json!(99.0)),
            400,
        ),
        (
            "PUT",
            "/v1/conferences/r".to_owned(),
            json!({"locked": true, "recording": true}).to_string(),
            204,
        ),
        ("PUT", "/v1/conferences/r".to_owned(), "{}".to_owned(), 400),
        (
            "PUT",
            "/v1/conferences/s".to_owned(),
            json!({"locked": true}).to_string(),
            404,
        ),
        (
            "POST",
            "/v1/conferences/r/announcement".to_owned(),
            json!({"file": "a.wav"}).to_string(),
            204,
        ),
        (
            "POST",
            "/v1/conferences/r/announcement".to_owned(),
            json!({"text": "Hello"}).to_string(),
            204,
        ),
        (
            "POST",
            "/v1/conferences/r/announcement".to_owned(),
            json!({"file": "a", "text": "b"}).to_string(),
            400,
        ),
    ];
    for (method, path, body, wanted) in asked {
        let (status, error) = world.ask(method, &path, &body).await;
        assert_eq!(status, wanted, "{method} {path} {body}: {error}");
    }
    let (_, room) = world.ask("GET", "/v1/conferences/r", "").await;
    assert_eq!(
        (
            &room["locked"],
            &room["members"][0]["muted"],
            &room["gains"][0]["db"]
        ),
        (&json!(true), &json!(true), &json!(0.0))
    );
    assert_eq!(room["recording"], json!("day/conference-r.wav"));
    assert_eq!(
        world
            .ask("PUT", "/v1/conferences/r/gains", &gain(Value::Null))
            .await
            .0,
        204
    );
    assert_eq!(world.ask("DELETE", &member(two), "").await.0, 204);
    let (_, room) = world.ask("GET", "/v1/conferences/r", "").await;
    assert_eq!(
        (room["members"].as_array().unwrap().len(), &room["gains"]),
        (1, &json!([]))
    );
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
async fn queues_and_agents_show_who_waits_and_an_agent_can_be_set_away() {
    let world = World::new().await;
    let (_, queues) = world.ask("GET", "/v1/queues", "").await;
    let waiting = &queues[0]["waiting"][0];
    assert_eq!(waiting["position"], 1);
    assert_eq!(
        (&waiting["priority"], &waiting["wait_secs"]),
        (&json!(2), &json!(3.0))
    );
    let put = |state: &str| json!({ "state": state }).to_string();
    let path = "/v1/agents/anna/state";
    assert_eq!(world.ask("PUT", path, &put("away")).await.0, 204);
    let (_, agents) = world.ask("GET", "/v1/agents", "").await;
    assert_eq!(
        (&agents[0]["name"], &agents[0]["state"]),
        (&json!("anna"), &json!("away"))
    );
    assert_eq!(
        world
            .ask("PUT", "/v1/agents/nobody/state", &put("away"))
            .await
            .0,
        404
    );
    let (status, error) = world.ask("PUT", path, &put("asleep")).await;
    assert_eq!(
        (status, &error["error"]["id"]),
        (400, &json!("bad-request"))
    );
    assert_eq!(
        world
            .ask("PUT", path, "{\"state\":\"away\",\"x\":1}")
            .await
            .0,
        400
    );
    assert_eq!(world.ask("PUT", path, &"x".repeat(2_000)).await.0, 413);
}

#[tokio::test]
async fn an_endpoint_is_made_once_stored_and_removed() {
    let world = World::new().await;
    let new = |name: &str| json!({ "name": name, "password": "12345678" }).to_string();
    assert_eq!(
        world.ask("POST", "/v1/endpoints", &new("desk9")).await.0,
        201
    );
    assert_eq!(world.store.endpoints().await.unwrap().len(), 1);
    for (name, want) in [("desk9", 409), ("configured", 409), ("a b", 400), ("", 400)] {
        assert_eq!(
            world.ask("POST", "/v1/endpoints", &new(name)).await.0,
            want,
            "{name:?}"
        );
    }
    let short = json!({ "name": "x", "password": "short" }).to_string();
    assert_eq!(world.ask("POST", "/v1/endpoints", &short).await.0, 400);
    assert_eq!(world.ask("DELETE", "/v1/endpoints/desk9", "").await.0, 204);
    assert_eq!(world.store.endpoints().await.unwrap(), []);
    assert_eq!(world.ask("DELETE", "/v1/endpoints/desk9", "").await.0, 404);
}

#[tokio::test]
async fn call_records_come_page_by_page_with_the_promised_columns() {
    let world = World::new().await;
    for call in 1..=3 {
        keep(&world.store, call, Some("one.wav").filter(|_| call == 3)).await;
    }
    let hole = HoleRow {
        at: 1_500,
        lasts: 40,
        why: "lost".to_owned(),
    };
    let row = RecordingRow {
        file: "one.wav".to_owned(),
        call_id: CallId(3).to_string(),
        part: 1,
        began_at: 1_700_000_006_000,
        length_ms: 5_000,
        rate: 16_000,
        lost_ms: 40,
        holes: RecordingRow::holes_text(&[hole]),
        key_id: Some("00ff".to_owned()),
        ending: "complete".to_owned(),
    };
    let (writer, task) = Writer::new(world.store.clone());
    let row = Record::Recording(Box::new(row));
    // Twice is once.
    for _ in 0..2 {
        writer.write(row.clone()).await.unwrap();
    }
    drop(writer);
    task.run().await;
    let (status, page) = world.ask("GET", "/v1/cdrs?limit=2", "").await;
    let record = &page["cdrs"][0];
    let want = json!({
        "call_id": "c0000000000000003", "direction": "inbound", "from": "+33123456789", "to": "100",
        "trunk": "acme", "started_at": "2023-11-14T22:13:20.000Z",
        "answered_at": "2023-11-14T22:13:21.000Z", "bridged_at": "2023-11-14T22:13:26.000Z",
        "ended_at": "2023-11-14T22:13:31.000Z", "duration": 11.0, "billsec": 10.0,
        "hangup_cause": "normal", "sip_status": 200, "q850": 16, "queue": "sales", "agent": "anna",
        "wait_secs": 4.5, "recording_url": "/v1/recordings/c0000000000000003",
        "recordings": [{
            "file": "one.wav", "part": 1, "began_at": "2023-11-14T22:13:26.000Z", "duration": 5.0,
            "rate": 16_000, "lost": 0.04, "encrypted": true, "key_id": "00ff", "ending": "complete",
            "holes": [{"at": 1.5, "duration": 0.04, "why": "lost"}],
        }],
        "transfers": [{"at": "2023-11-14T22:13:28.000Z", "by": "anna", "to": "bob", "how": "blind"}],
        "notes": [],
    });
    let mut record = record.clone();
    let legs = record.as_object_mut().unwrap().remove("legs").unwrap();
    assert_eq!((status, &record), (200, &want));
    let leg = json!({
        "who": "anna", "trunk": null, "codec": "PCMA", "received": 500, "sent": 498, "lost": 5,
        "late": 0, "recovered": 0, "frames": 0, "concealed": 0, "jitter_max_ms": 12.0,
        "round_trip_ms": 30.0, "r": 90.0, "mos": 4.34, "mos_worst": null, "peer_mos": null,
        "peer_lost": 0, "silences": 0, "silence_longest_ms": 0.0, "silent_percent": null,
        "clipped_percent": null, "foreign": 0, "srtp_bad_tag": 2, "srtp_replayed": 0,
        "srtp_no_key": 0, "srtp_unsent": 0,
    });
    assert_eq!(legs, json!([leg]));
    let next = page["next"].as_i64().unwrap();
    let (_, rest) = world
        .ask("GET", &format!("/v1/cdrs?limit=2&cursor={next}"), "")
        .await;
    assert_eq!(rest["cdrs"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&rest["cdrs"][0]["recording_url"], rest.get("next")),
        (&Value::Null, None)
    );
    let (_, none) = world.ask("GET", "/v1/cdrs?queue=other", "").await;
    assert_eq!(none["cdrs"], json!([]));
    for bad in ["limit=0", "limit=x", "since=yesterday", "colour=red"] {
        assert_eq!(
            world.ask("GET", &format!("/v1/cdrs?{bad}"), "").await.0,
            400,
            "{bad}"
        );
    }
}

#[tokio::test]
async fn a_recording_is_told_what_to_do_and_mistakes_are_told_back() {
    let world = World::new().await;
    let ask = async |n: u32, body: Value| {
        let path = format!("/v1/calls/c{n:016x}/recording");
        world.ask("POST", &path, &body.to_string()).await
    };
    for action in ["start", "stop", "pause", "resume", "mask", "unmask"] {
        assert_eq!(ask(1, json!({ "action": action })).await.0, 204, "{action}");
    }
    let key = "0a".repeat(32);
    assert_eq!(
        ask(1, json!({ "action": "start", "key": key })).await.0,
        204
    );
    assert_eq!(ask(2, json!({ "action": "start" })).await.0, 404);
    for bad in [
        json!({ "action": "rewind" }),
        json!({ "action": "start", "key": "0a" }),
        json!({ "action": "stop", "key": key }),
        json!({ "action": "stop", "loud": true }),
        json!({}),
    ] {
        let (status, error) = ask(1, bad.clone()).await;
        assert_eq!(status, 400, "{bad}: {error}");
        assert!(!error.to_string().contains(&key), "{error}");
    }
}

#[tokio::test]
async fn a_recording_is_downloaded_whole_and_never_from_outside_its_folder() {
    let world = World::new().await;
    std::fs::create_dir_all(world.folder.join("recordings")).unwrap();
    std::fs::write(world.folder.join("recordings/one.wav"), "RIFF...").unwrap();
    keep(&world.store, 1, Some("one.wav")).await;
    keep(&world.store, 2, Some("../tandem.db")).await;
    keep(&world.store, 3, Some("gone.wav")).await;
    let get = async |n: u32| {
        world
            .send("GET", &format!("/v1/recordings/c{n:016x}"), Some(KEY), "")
            .await
    };
    assert_eq!(get(1).await, (200, "RIFF...".to_owned()));
    for n in 2..=4 {
        assert_eq!(get(n).await.0, 404, "{n}");
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
async fn a_call_is_explained_and_what_was_refused_is_found_by_its_call() {
    let world = World::new().await;
    let ask = json!({"from": "+33142685300", "to": "100", "ip": "203.0.113.7:5070"}).to_string();
    let (status, told) = world.ask("POST", "/v1/explain", &ask).await;
    let steps = json!([{"step": "listener", "text": "203.0.113.7:5070"}]);
    let want = json!({"taken": true, "outcome": "rings 100", "steps": steps});
    assert_eq!((status, told), (200, want));
    for wrong in [
        json!({"from": "1", "to": "2", "ip": "here"}),
        json!({"from": "1", "to": "2", "ip": "::1", "transport": "pigeon"}),
        json!({"from": "1", "to": "2", "ip": "::1", "at": "noon"}),
        json!({"from": "1\r\nX: y", "to": "2", "ip": "::1"}),
        json!({"from": "1", "to": "2", "ip": "::1", "headers": [["X", "a\r\nb"]]}),
        json!({"from": "1", "to": "2", "ip": "::1", "colour": "red"}),
    ] {
        let (status, error) = world.ask("POST", "/v1/explain", &wrong.to_string()).await;
        assert_eq!(
            (status, &error["error"]["id"]),
            (400, &json!("bad-request")),
            "{wrong}"
        );
    }
    let (_, kept) = world.ask("GET", "/v1/refusals?call=sip-1", "").await;
    assert_eq!(kept[0]["why"]["id"], "no-entry");
    let (_, none) = world.ask("GET", "/v1/refusals?call=other", "").await;
    assert_eq!(none, json!([]));
    assert_eq!(world.ask("GET", "/v1/refusals?limit=0", "").await.0, 400);
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

#[tokio::test]
async fn a_waiting_call_says_what_keeps_each_agent_from_it() {
    let world = World::new().await;
    let (status, call) = world.ask("GET", "/v1/calls/c0000000000000001", "").await;
    assert_eq!(status, 200);
    let want = json!([{"agent": "anna", "why": "wrap-up", "left_secs": 4.0}]);
    assert_eq!(call["waits_for"], want, "{call}");
}

#[tokio::test]
async fn a_caller_id_that_no_phone_could_show_is_refused_with_the_rule() {
    let world = World::new().await;
    let body = r#"{"name":"desk7","password":"long enough","caller_id":"a b"}"#;
    let (status, error) = world.ask("POST", "/v1/endpoints", body).await;
    let message = error["error"]["message"].as_str().unwrap_or_default();
    assert_eq!(status, 400);
    assert!(message.starts_with("caller_id: want a number"), "{message}");
}

#[tokio::test]
async fn without_a_journal_there_is_no_trace_and_the_answer_says_how_to_have_one() {
    let world = World::new().await;
    for (method, path, body) in [
        ("GET", "/v1/calls/last/trace", ""),
        ("GET", "/v1/calls/last/pcap", ""),
        ("POST", "/v1/calls/c0000000000000001/capture", ""),
        ("POST", "/v1/captures", "{\"from\":\"+331\"}"),
    ] {
        let (status, answer) = world.ask(method, path, body).await;
        assert_eq!(status, 409, "{path}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("trace.enabled = true"), "{message}");
        assert_eq!(world.send(method, path, None, body).await.0, 401, "{path}");
    }
}

#[tokio::test]
async fn a_capture_is_asked_for_by_call_or_by_who_calls_next_and_a_missing_trace_is_told() {
    let (control, commands) = Control::new();
    tokio::spawn(answer(commands));
    let (traces, mut queries) = Traces::new();
    tokio::spawn(async move {
        while let Some(query) = queries.recv().await {
            match query {
                TraceQuery::Story { reply, .. } => give(reply, None),
                TraceQuery::File { name, reply } => give(reply, Some(name.into_bytes())),
            }
        }
    });
    let world = World::with_traces(control, Duration::from_secs(10), Some(traces)).await;
    for (method, path, body, want) in [
        ("POST", "/v1/calls/c0000000000000001/capture", "", 204),
        ("POST", "/v1/calls/c0000000000000002/capture", "", 404),
        ("POST", "/v1/captures", "{\"from\":\"+331\"}", 202),
        ("POST", "/v1/captures", "{\"from\":\"\"}", 400),
        ("POST", "/v1/captures", "{\"form\":\"+331\"}", 400),
        ("GET", "/v1/calls/last/trace", "", 404),
        ("GET", "/v1/calls/last/trace?before=1", "", 400),
    ] {
        assert_eq!(world.ask(method, path, body).await.0, want, "{path} {body}");
    }
    // A SIP Call-ID may have every sign that means something in a path.
    let path = "/v1/calls/a%2Fb%3Fc%40d%25/pcap";
    let (status, file) = world.send("GET", path, Some(KEY), "").await;
    assert_eq!((status, file.as_str()), (200, "a/b?c@d%"));
}
