//! Logging in, what a page is told, and telephony credentials: shapes and words.

use super::control::give;
use super::*;
use crate::access::{Book, Kind, Subject};
use crate::config::Section;

/// `password`, by the reference implementation of Argon2.
const HASH: &str =
    "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

pub(super) fn book() -> Book {
    let text = format!("[anna]\npassword_hash = '{HASH}'\nendpoint = 'desk1'");
    Book::read(Section::from_toml(text.parse().unwrap())).unwrap()
}

pub(super) fn turn() -> Turn {
    Turn {
        urls: vec![
            "stun:t.example:3478".to_owned(),
            "turn:t.example:3478".to_owned(),
        ],
        secret: Some(Secret::new("north".to_owned())),
        ttl: Duration::from_secs(3_600),
    }
}

pub(super) fn answer(command: AccessCommand) {
    match command {
        AccessCommand::MayLogIn { reply, .. } => give(reply, true),
        AccessCommand::LoginFailed { reply, .. } => give(reply, ()),
        AccessCommand::Stands { reply, .. } => give(reply, Ok(())),
        AccessCommand::LogOut { reply, .. } => give(reply, ()),
        AccessCommand::PutCredential { reply, .. } => give(reply, ()),
        AccessCommand::EndCredential { reply, .. } => give(reply, true),
        AccessCommand::HasEntry { number, reply } => give(reply, number == "100"),
    }
}

fn access() -> Access {
    Access::new(&Secret::new("x".repeat(32)), &Default::default())
}

fn subject(token: &Value) -> Subject {
    let token = token.as_str().unwrap();
    access().verify(token, jiff::Timestamp::now()).unwrap()
}

#[tokio::test]
async fn an_agent_gets_a_token_for_his_password_without_the_key() {
    let world = World::new().await;
    let given = r#"{"agent":"anna","password":"password"}"#;
    let (status, body) = world.send("POST", "/v1/login", None, given).await;
    assert_eq!(status, 200, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    let subject = subject(&body["token"]);
    assert_eq!(
        (subject.kind, subject.endpoint.as_str()),
        (Kind::Login, "desk1")
    );
    let ends = subject.expires.as_millisecond();
    assert_eq!(body["expires_at"], wire::timestamp(ends));
    let wrong = [
        r#"{"agent":"anna","password":"Password"}"#,
        r#"{"agent":"bob","password":"password"}"#,
    ];
    let mut heard = Vec::new();
    for given in wrong {
        heard.push(world.send("POST", "/v1/login", None, given).await);
    }
    assert_eq!(heard[0], heard[1], "who exists is not told");
    assert_eq!(heard[0].0, 401);
    assert!(
        heard[0].1.contains("\"id\":\"login-refused\""),
        "{}",
        heard[0].1
    );
    for given in [
        "",
        "{}",
        r#"{"agent":"anna"}"#,
        r#"{"agent":"a","password":"p","x":1}"#,
    ] {
        assert_eq!(
            world.send("POST", "/v1/login", None, given).await.0,
            400,
            "{given}"
        );
    }
}

#[tokio::test]
async fn whoever_shows_a_token_or_the_key_is_told_the_relays() {
    let world = World::new().await;
    let (status, body) = world.ask("GET", "/v1/ice_servers", "").await;
    let [stun, turn] = &body["ice_servers"].as_array().unwrap()[..] else {
        panic!("{body}")
    };
    assert_eq!(status, 200);
    assert_eq!(*stun, json!({ "urls": ["stun:t.example:3478"] }));
    assert_eq!(turn["urls"], json!(["turn:t.example:3478"]));
    assert!(turn["username"].as_str().unwrap().ends_with(":api"));
    assert_eq!(turn["credential"].as_str().unwrap().len(), 28);
    assert!(body["expires_at"].as_str().unwrap().ends_with('Z'));
    let click = access().click(("100", "web"), "c", jiff::Timestamp::now(), None);
    let (status, body) = world
        .send("GET", "/v1/ice_servers", Some(&click.token), "")
        .await;
    assert!(status == 200 && body.contains(":web\""), "{body}");
    for bearer in [None, Some("nothing"), Some("a.b.c")] {
        let (status, body) = world.send("GET", "/v1/ice_servers", bearer, "").await;
        assert!(status == 401 && body.contains("\"unauthorized\""), "{body}");
    }
}

#[tokio::test]
async fn a_click_is_made_for_an_entry_that_exists_and_its_mistakes_are_told() {
    let world = World::new().await;
    let (status, body) = world
        .ask(
            "POST",
            "/v1/click_to_call",
            r#"{"entry":"100","from":"shop","ttl":60}"#,
        )
        .await;
    let subject = subject(&body["token"]);
    assert_eq!((status, subject.kind), (201, Kind::Click));
    assert_eq!(subject.entry.as_deref(), Some("100"));
    assert_eq!(subject.endpoint, "shop", "whom the call shows");
    let left = subject.expires.duration_since(jiff::Timestamp::now());
    assert!((55..=60).contains(&left.as_secs()), "{left:?}");
    for (body, status, id) in [
        (r#"{"entry":"999"}"#, 422, "click-no-entry"),
        (r#"{"from":"x"}"#, 400, "bad-request"),
        (r#"{"entry":"100","from":"a b"}"#, 400, "bad-request"),
        (r#"{"entry":"100","ttl":0}"#, 400, "bad-request"),
        (r#"{"entry":"100","until":1}"#, 400, "bad-request"),
    ] {
        let refused = world.ask("POST", "/v1/click_to_call", body).await;
        assert_eq!(
            (refused.0, &refused.1["error"]["id"]),
            (status, &json!(id)),
            "{body}"
        );
    }
    let (status, _) = world.send("POST", "/v1/click_to_call", None, "{}").await;
    assert_eq!(status, 401);
}

const CREDENTIALS: &str = "/v2/telephony_credentials";

/// As the libraries send it, whatever they send besides.
// covers: S3-15
#[tokio::test]
async fn a_credential_has_every_field_of_the_api_that_it_stands_in_for() {
    let world = World::new().await;
    let asked = r#"{"connection_id":"1234567890","name":"My-new-credential","expires_at":"2030-01-01T00:00:00Z"}"#;
    let (status, made) = world.ask("POST", CREDENTIALS, asked).await;
    let data = &made["data"];
    let text = |key: &str| data[key].as_str().unwrap().to_owned();
    assert_eq!(status, 201, "{made}");
    assert_eq!(text("record_type"), "credential");
    assert_eq!(text("name"), "My-new-credential");
    assert_eq!(text("resource_id"), "connection:1234567890");
    assert_eq!(data["expired"], false);
    assert!(text("sip_username").starts_with("gencred") && text("sip_username").len() == 47);
    assert_eq!(text("sip_password").len(), 40);
    assert_eq!(text("expires_at"), "2030-01-01T00:00:00.000Z");
    assert_eq!(text("created_at"), text("updated_at"));
    assert_eq!((text("user_id").as_str(), text("id").len()), ("tandem", 36));
    let one = format!("{CREDENTIALS}/{}", text("id"));
    assert_eq!(world.ask("GET", &one, "").await, (200, made.clone()));

    let changed = world
        .ask("PATCH", &one, r#"{"name":"other","expires_at":null}"#)
        .await;
    assert_eq!(changed.0, 200);
    assert_eq!(changed.1["data"]["name"], "other");
    assert_eq!(changed.1["data"]["expires_at"], Value::Null);
    assert_eq!(
        changed.1["data"]["resource_id"], "connection:1234567890",
        "it stays"
    );
    let (status, deleted) = world.ask("DELETE", &one, "").await;
    assert_eq!((status, &deleted["data"]["id"]), (200, &data["id"]));
    assert_eq!(world.ask("GET", &one, "").await.0, 404);
}

// covers: S3-16
#[tokio::test]
async fn a_credentials_token_is_plain_text_and_says_when_it_ends() {
    let world = World::new().await;
    let (_, made) = world
        .ask("POST", CREDENTIALS, r#"{"connection_id":"1"}"#)
        .await;
    let id = made["data"]["id"].as_str().unwrap();
    let path = format!("{CREDENTIALS}/{id}/token");
    // A body, none, or an empty one.
    for body in ["", "{}", "nothing of interest"] {
        let (status, token) = world.send("POST", &path, Some(KEY), body).await;
        assert_eq!(status, 201);
        let subject = subject(&json!(token));
        assert_eq!(subject.credential.as_deref(), Some(id));
        assert_eq!(made["data"]["sip_username"], subject.endpoint);
    }
    let (status, body) = world
        .ask("POST", &format!("{CREDENTIALS}/none/token"), "")
        .await;
    assert_eq!((status, &body["errors"][0]["code"]), (404, &json!("10005")));
}

#[tokio::test]
async fn a_list_is_cut_into_pages_and_narrowed() {
    let world = World::new().await;
    for number in 0..5 {
        let asked = json!({
            "connection_id": number.to_string(), "name": "n", "tag": if number < 2 { "a" } else { "b" },
        });
        assert_eq!(
            world.ask("POST", CREDENTIALS, &asked.to_string()).await.0,
            201
        );
    }
    let list = async |query: &str| {
        let (status, body) = world
            .ask("GET", &format!("{CREDENTIALS}?{query}"), "")
            .await;
        assert_eq!(status, 200, "{query}: {body}");
        (body["data"].as_array().unwrap().len(), body["meta"].clone())
    };
    let meta = json!({ "total_pages": 3, "total_results": 5, "page_number": 2, "page_size": 2 });
    assert_eq!(list("page%5Bnumber%5D=2&page%5Bsize%5D=2").await, (2, meta));
    assert_eq!(list("page[number]=3&page[size]=2").await.0, 1);
    assert_eq!(list("").await.0, 5);
    assert_eq!(list("filter[tag]=a").await.0, 2);
    assert_eq!(list("filter[resource_id]=connection:3").await.0, 1);
    assert_eq!(list("filter[status]=expired").await.0, 0);
    assert_eq!(list("filter[status]=active&filter[name]=n").await.0, 5);
    assert_eq!(list("filter[sip_username]=x").await.0, 0);
    let (status, body) = world
        .ask("GET", &format!("{CREDENTIALS}?page[size]=0"), "")
        .await;
    assert_eq!((status, &body["errors"][0]["code"]), (400, &json!("10015")));
}

#[tokio::test]
async fn what_is_wrong_with_a_credential_is_told_as_its_clients_read_it() {
    let world = World::new().await;
    for (body, status, code, pointer) in [
        ("{}", 422, "10004", json!("/connection_id")),
        ("", 422, "10004", json!("/connection_id")),
        (
            r#"{"connection_id":""}"#,
            422,
            "10004",
            json!("/connection_id"),
        ),
        (
            r#"{"connection_id":"1","expires_at":"yesterday"}"#,
            422,
            "10015",
            json!("/expires_at"),
        ),
        (
            r#"{"connection_id":"1","expires_at":"2001-01-01T00:00:00Z"}"#,
            422,
            "10015",
            json!("/expires_at"),
        ),
        (
            r#"{"connection_id":"1","name":"a\u0000"}"#,
            422,
            "10015",
            json!("/name"),
        ),
        ("no json", 400, "10015", Value::Null),
    ] {
        let refused = world.ask("POST", CREDENTIALS, body).await;
        let error = &refused.1["errors"][0];
        assert_eq!(
            (refused.0, &error["code"]),
            (status, &json!(code)),
            "{body}"
        );
        assert_eq!(error["source"]["pointer"], pointer, "{body}");
        assert!(error["title"].is_string() && error["detail"].is_string());
    }
    // Without a zone it is UTC; what is not known is left alone.
    let asked = r#"{"connection_id":"1","expires_at":"2099-01-01T00:00:00","more":1}"#;
    let (status, made) = world.ask("POST", CREDENTIALS, asked).await;
    assert_eq!(
        (status, &made["data"]["expires_at"]),
        (201, &json!("2099-01-01T00:00:00.000Z"))
    );
    for (method, path) in [
        ("GET", ""),
        ("POST", ""),
        ("DELETE", "/x"),
        ("POST", "/x/token"),
    ] {
        let path = format!("{CREDENTIALS}{path}");
        let (status, body) = world.send(method, &path, Some("wrong"), "{}").await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (status, &body["errors"][0]["code"]),
            (401, &json!("10009")),
            "{path}"
        );
    }
}
