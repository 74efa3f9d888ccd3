//! A call's supervisor, its muted parties and its live figures, over HTTP.

use serde_json::json;

use super::World;

const CALL: &str = "/v1/calls/c0000000000000001";

#[tokio::test]
async fn a_call_is_supervised_in_each_mode_shown_so_and_dismissed() {
    let world = World::new().await;
    let path = format!("{CALL}/supervision");
    let by = "c0000000000000002";
    let table = [
        (json!({"mode": "listen"}), json!({"mode": "listen"})),
        (
            json!({"mode": "listen", "of": "caller"}),
            json!({"mode": "listen", "of": "caller"}),
        ),
        (
            json!({"mode": "whisper"}),
            json!({"mode": "whisper", "to": "callee"}),
        ),
        (
            json!({"mode": "whisper", "to": "caller"}),
            json!({"mode": "whisper", "to": "caller"}),
        ),
        (json!({"mode": "barge"}), json!({"mode": "barge"})),
    ];
    for (mut asked, mut shown) in table {
        asked["supervisor"] = json!(by);
        shown["supervisor"] = json!(by);
        let (status, told) = world.ask("PUT", &path, &asked.to_string()).await;
        assert_eq!(status, 204, "{told}");
        let (_, call) = world.ask("GET", CALL, "").await;
        assert_eq!(call["supervision"], shown);
    }
    assert_eq!(world.ask("DELETE", &path, "").await.0, 204);
    assert_eq!(world.ask("DELETE", &path, "").await.0, 404);
    let (_, call) = world.ask("GET", CALL, "").await;
    assert!(call["supervision"].is_null());
}

#[tokio::test]
async fn what_cannot_be_supervised_is_refused_with_its_id() {
    let world = World::new().await;
    let table = [
        (
            1,
            json!({"supervisor": "c0000000000000009", "mode": "listen"}),
            404,
            "supervise-no-call",
        ),
        (
            2,
            json!({"supervisor": "c0000000000000002", "mode": "listen"}),
            409,
            "supervise-not-bridged",
        ),
        (
            1,
            json!({"supervisor": "c0000000000000003", "mode": "listen"}),
            409,
            "supervise-not-free",
        ),
        (
            1,
            json!({"supervisor": "nonsense", "mode": "listen"}),
            404,
            "not-found",
        ),
        (
            1,
            json!({"supervisor": "c0000000000000002", "mode": "shout"}),
            400,
            "bad-request",
        ),
        (
            1,
            json!({"supervisor": "c0000000000000002", "mode": "barge", "to": "caller"}),
            400,
            "bad-request",
        ),
        (
            1,
            json!({"supervisor": "c0000000000000002", "mode": "whisper", "to": "dog"}),
            400,
            "bad-request",
        ),
        (
            1,
            json!({"supervisor": "c0000000000000002", "mode": "whisper", "of": "caller"}),
            400,
            "bad-request",
        ),
        (1, json!({"mode": "listen"}), 400, "bad-request"),
    ];
    for (call, asked, status, id) in table {
        let path = format!("/v1/calls/c000000000000000{call}/supervision");
        let (got, told) = world.ask("PUT", &path, &asked.to_string()).await;
        assert_eq!((got, &told["error"]["id"]), (status, &json!(id)), "{asked}");
    }
}

#[tokio::test]
async fn a_party_is_muted_and_a_live_call_has_the_figures_of_its_legs() {
    let world = World::new().await;
    let party = |name: &str| format!("{CALL}/parties/{name}");
    let muted = json!({"muted": true}).to_string();
    assert_eq!(world.ask("PUT", &party("caller"), &muted).await.0, 204);
    let (_, call) = world.ask("GET", CALL, "").await;
    assert_eq!(call["muted"], json!(["caller"]));
    let leg = &call["legs"][0];
    assert_eq!((&leg["who"], &leg["lost"]), (&json!("anna"), &json!(5)));
    assert_eq!(
        (&leg["jitter_max_ms"], &leg["round_trip_ms"]),
        (&json!(12.0), &json!(30.0))
    );
    assert!(leg["mos"].as_f64().is_some_and(|mos| mos > 4.0), "{leg}");
    let heard = json!({"muted": false}).to_string();
    assert_eq!(world.ask("PUT", &party("caller"), &heard).await.0, 204);
    let (_, call) = world.ask("GET", CALL, "").await;
    assert_eq!(call["muted"], json!([]));
    assert_eq!(world.ask("PUT", &party("server"), &muted).await.0, 404);
    assert_eq!(world.ask("PUT", &party("callee"), "{}").await.0, 400);
    let (_, calls) = world.ask("GET", "/v1/calls", "").await;
    assert!(calls[0]["legs"].is_null(), "{calls}");
}
