//! A call in progress: shown, hung up, recorded, explained.

use super::*;

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
async fn a_waiting_call_says_what_keeps_each_agent_from_it() {
    let world = World::new().await;
    let (status, call) = world.ask("GET", "/v1/calls/c0000000000000001", "").await;
    assert_eq!(status, 200);
    let want = json!([{"agent": "anna", "why": "wrap-up", "left_secs": 4.0}]);
    assert_eq!(call["waits_for"], want, "{call}");
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
