//! A conference and those in it.

use super::*;

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
