//! Queues, agents and the endpoints that ring for them.

use super::*;

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
async fn a_caller_id_that_no_phone_could_show_is_refused_with_the_rule() {
    let world = World::new().await;
    let body = r#"{"name":"desk7","password":"long enough","caller_id":"a b"}"#;
    let (status, error) = world.ask("POST", "/v1/endpoints", body).await;
    let message = error["error"]["message"].as_str().unwrap_or_default();
    assert_eq!(status, 400);
    assert!(message.starts_with("caller_id: want a number"), "{message}");
}
