//! Passwords, tokens and credentials at a whole server: over HTTP, and what a page may do with them.

use serde_json::{Value, json};

use super::web::{Page, open};
use super::*;

const KEY: &str = "a key that only the test knows";

fn agents(more: &str) -> String {
    let hash = crate::access::hash("correct horse", [2; 16]).unwrap();
    format!("[agents.anna]\npassword_hash = '{}'\n{more}", hash.text())
}

impl Home {
    /// As [`Home::write`], with the key of the API.
    fn write_keyed(&self, more: &str) {
        self.write(more);
        let path = self.0.join("tandem.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, format!("api_key = \"{KEY}\"\n{text}")).unwrap();
    }
}

/// One exchange; `bearer` is a key, a token, or nothing.
async fn http(
    server: &Server,
    method: &str,
    path: &str,
    bearer: &str,
    body: Value,
) -> (u16, String) {
    let url = format!("http://{}{path}", server.http());
    let mut request = axum::http::Request::builder().method(method).uri(url);
    if !bearer.is_empty() {
        request = request.header("authorization", format!("Bearer {bearer}"));
    }
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let request = request.body(body).unwrap();
    let exchange = move || {
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let agent: ureq::Agent = config.allow_non_standard_methods(true).build().into();
        let mut response = agent.run(request).unwrap();
        let status = response.status().as_u16();
        (status, response.body_mut().read_to_string().unwrap())
    };
    tokio::task::spawn_blocking(exchange).await.unwrap()
}

async fn log_in(server: &Server, agent: &str, password: &str) -> (u16, Value) {
    let given = json!({ "agent": agent, "password": password });
    let (status, body) = http(server, "POST", "/v1/login", "", given).await;
    (status, serde_json::from_str(&body).unwrap())
}

pub(super) async fn token_of_anna(server: &Server) -> String {
    let (status, body) = log_in(server, "anna", "correct horse").await;
    assert_eq!(status, 200, "{body}");
    body["token"].as_str().unwrap().to_owned()
}

/// A page that shows that token; the status of its REGISTER.
async fn page(server: &Server, user: &str, token: &str) -> (Page<tokio::net::TcpStream>, u16) {
    let mut page = open(server.http(), ("x-nothing", "")).await.unwrap();
    page.user = user.to_owned();
    let status = register(&mut page, token).await;
    (page, status)
}

async fn register(page: &mut Page<tokio::net::TcpStream>, token: &str) -> u16 {
    let proof = format!("Authorization: Bearer {token}\r\n");
    page.send_register(&proof).await;
    page.next().await.status().unwrap()
}

async fn registered(server: &Server, endpoint: &str) -> usize {
    let endpoint = endpoint.to_owned();
    let look = move |control: &mut Control| {
        let now = clock::Now::ZERO + Duration::from_secs(1);
        control.contacts(now, &endpoint).len()
    };
    seen(server, look).await
}

// covers: RFC 8898 §2.2
#[test]
fn an_agent_logs_in_by_password_and_his_page_registers_by_the_token() {
    let home = Home::new();
    home.write_keyed(&agents(""));
    runtime().unwrap().block_on(async {
        let server = Server::start(home.config()).await.unwrap();
        let token = token_of_anna(&server).await;
        let (_page, status) = page(&server, "anna", &token).await;
        assert_eq!((status, registered(&server, "anna").await), (200, 1));
        // What is wrong is told in the same words.
        let wrong = log_in(&server, "anna", "wrong horse").await;
        assert_eq!(wrong.0, 401);
        assert_eq!(wrong.1["error"]["id"], "login-refused");
        assert_eq!(wrong, log_in(&server, "nobody", "correct horse").await);
        let (status, body) = log_in(&server, "anna", &"x".repeat(300)).await;
        assert_eq!((status, &body["error"]["id"]), (400, &json!("bad-request")));
        let files = std::fs::metadata(home.0.join("data/access.secret")).unwrap();
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(files.permissions().mode() & 0o777, 0o600);
        server.stop().await.unwrap();
        // The secret is kept: the token of before a restart is good after it.
        let server = Server::start(home.config()).await.unwrap();
        let (_page, status) = page(&server, "anna", &token).await;
        assert_eq!(status, 200);
        server.stop().await.unwrap();
    });
}

#[test]
fn who_guesses_an_agents_password_is_slowed_and_banned_unless_nobody_ever_is() {
    for (failures, banned) in [(4, true), (0, false)] {
        let home = Home::new();
        home.write_keyed(&agents(&format!("[abuse]\nfailures = {failures}\n")));
        runtime().unwrap().block_on(async {
            let server = Server::start(home.config()).await.unwrap();
            let began = tokio::time::Instant::now();
            for _ in 0..4 {
                assert_eq!(log_in(&server, "anna", "guess").await.0, 401);
            }
            let taken = began.elapsed();
            assert!(taken >= Duration::from_millis(750), "slowed: {taken:?}");
            let (status, body) = log_in(&server, "anna", "correct horse").await;
            let want = if banned {
                (403, "login-banned")
            } else {
                (200, "")
            };
            let id = body["error"]["id"].as_str().unwrap_or_default();
            assert_eq!((status, id), want);
            let (_, bans) = http(&server, "GET", "/v1/bans", KEY, Value::Null).await;
            assert_eq!(bans.contains("127.0.0.1"), banned, "{bans}");
            if banned {
                let lift = "/v1/bans/127.0.0.1";
                assert_eq!(http(&server, "DELETE", lift, KEY, Value::Null).await.0, 204);
                token_of_anna(&server).await;
            }
            server.stop().await.unwrap();
        });
    }
}

#[test]
fn logging_out_another_password_and_removal_end_a_login() {
    let home = Home::new();
    home.write_keyed(&agents(""));
    runtime().unwrap().block_on(async {
        let server = Server::start(home.config()).await.unwrap();
        let token = token_of_anna(&server).await;
        let (mut page, status) = page(&server, "anna", &token).await;
        assert_eq!(status, 200);
        let out = http(&server, "DELETE", "/v1/login", &token, Value::Null).await;
        assert_eq!(out.0, 204);
        page.is_closed().await;
        assert_eq!(registered(&server, "anna").await, 0);
        assert_eq!(self::page(&server, "anna", &token).await.1, 401);
        let servers = http(&server, "GET", "/v1/ice_servers", &token, Value::Null).await;
        assert_eq!(servers.0, 401);

        let token = token_of_anna(&server).await;
        let (mut page, status) = self::page(&server, "anna", &token).await;
        assert_eq!(status, 200);
        server.reload().await.unwrap();
        assert_eq!(
            register(&mut page, &token).await,
            200,
            "nothing has changed"
        );
        let other = crate::access::hash("another horse", [1; 16])
            .unwrap()
            .text();
        home.write_keyed(&format!("[agents.anna]\npassword_hash = '{other}'\n"));
        server.reload().await.unwrap();
        page.is_closed().await;
        assert_eq!(self::page(&server, "anna", &token).await.1, 401);
        assert_eq!(log_in(&server, "anna", "correct horse").await.0, 401);

        let (_, body) = log_in(&server, "anna", "another horse").await;
        let token = body["token"].as_str().unwrap().to_owned();
        let (mut page, status) = self::page(&server, "anna", &token).await;
        assert_eq!(status, 200);
        home.write_keyed("");
        server.reload().await.unwrap();
        page.is_closed().await;
        assert_eq!(log_in(&server, "anna", "another horse").await.0, 401);
        server.stop().await.unwrap();
    });
}

async fn credential(server: &Server, more: Value) -> Value {
    let mut asked = json!({ "connection_id": "1234567890", "name": "My-new-credential" });
    let fields = asked.as_object_mut().unwrap();
    fields.extend(more.as_object().cloned().unwrap_or_default());
    let made = http(server, "POST", "/v2/telephony_credentials", KEY, asked).await;
    assert_eq!(made.0, 201, "{}", made.1);
    let body: Value = serde_json::from_str(&made.1).unwrap();
    body["data"].clone()
}

fn word(data: &Value, key: &str) -> String {
    data[key].as_str().unwrap().to_owned()
}

async fn token_of(server: &Server, id: &str) -> (u16, String) {
    let path = format!("/v2/telephony_credentials/{id}/token");
    http(server, "POST", &path, KEY, Value::Null).await
}

// covers: S3-15, S3-16
#[test]
fn a_credential_made_by_the_api_logs_in_and_its_deletion_puts_its_page_out() {
    let home = Home::new();
    home.write_keyed("");
    runtime().unwrap().block_on(async {
        let server = Server::start(home.config()).await.unwrap();
        let data = credential(&server, json!({ "expires_at": "2099-01-01T00:00:00Z" })).await;
        assert_eq!(data["expires_at"], "2099-01-01T00:00:00.000Z");
        let (id, user) = (word(&data, "id"), word(&data, "sip_username"));
        let (status, token) = token_of(&server, &id).await;
        assert_eq!((status, token.split('.').count()), (201, 3), "{token}");
        let (mut by_token, status) = page(&server, &user, &token).await;
        assert_eq!(status, 200);
        // And by digest, with the name and the password.
        let mut by_digest = open(server.http(), ("x-nothing", "")).await.unwrap();
        by_digest.user.clone_from(&user);
        by_digest.device = "22222222-4f10-4692-abdb-99484c26d1ad";
        let (offered, answer) = by_digest.register(&word(&data, "sip_password")).await;
        assert_eq!(offered, ["SHA-256", "MD5"]);
        assert_eq!(answer.status(), Some(200));
        // The control: another credential stays.
        let other = credential(&server, json!({})).await;
        let others = token_of(&server, &word(&other, "id")).await.1;
        let name = word(&other, "sip_username");
        let (mut stays, status) = page(&server, &name, &others).await;
        assert_eq!(status, 200);

        let began = tokio::time::Instant::now();
        let path = format!("/v2/telephony_credentials/{id}");
        assert_eq!(
            http(&server, "DELETE", &path, KEY, Value::Null).await.0,
            200
        );
        by_token.is_closed().await;
        by_digest.is_closed().await;
        println!(
            "put out {:?} after the deletion was asked for",
            began.elapsed()
        );
        assert!(began.elapsed() < Duration::from_secs(5));
        assert_eq!(registered(&server, &user).await, 0);
        assert_eq!(page(&server, &user, &token).await.1, 401);
        assert_eq!(token_of(&server, &id).await.0, 404);
        assert_eq!(register(&mut stays, &others).await, 200);
        server.stop().await.unwrap();
        // What was made outlives the server, what was deleted does not come back.
        let server = Server::start(home.config()).await.unwrap();
        assert_eq!(page(&server, &name, &others).await.1, 200);
        assert_eq!(page(&server, &user, &token).await.1, 401);
        server.stop().await.unwrap();
    });
}

// covers: S3-15
#[test]
fn a_credential_works_until_its_time_is_over_and_is_put_out_then() {
    let home = Home::new();
    home.write_keyed("");
    runtime().unwrap().block_on(async {
        let server = Server::start(home.config()).await.unwrap();
        let ends = jiff::Timestamp::now() + Duration::from_secs(2);
        let data = credential(&server, json!({ "expires_at": ends.to_string() })).await;
        let (id, user) = (word(&data, "id"), word(&data, "sip_username"));
        let token = token_of(&server, &id).await.1;
        let (mut page, status) = page(&server, &user, &token).await;
        assert_eq!(status, 200);
        page.is_closed().await;
        let late = jiff::Timestamp::now().duration_since(ends).as_millis();
        println!("put out {late} ms after its end");
        assert!((-50..5_000).contains(&late), "{late}");
        assert_eq!(registered(&server, &user).await, 0);
        assert_eq!(self::page(&server, &user, &token).await.1, 401);
        assert_eq!(token_of(&server, &id).await.0, 422);
        let path = format!("/v2/telephony_credentials/{id}");
        let (status, body) = http(&server, "GET", &path, KEY, Value::Null).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["data"]["expired"]), (200, &json!(true)));
        server.stop().await.unwrap();
    });
}

#[test]
fn an_agent_whose_endpoint_cannot_be_one_and_a_secret_that_is_short_refuse_the_start() {
    let home = Home::new();
    home.write_keyed(&agents("endpoint = 'a desk'\n"));
    let start = |home: &Home| {
        let started = runtime().unwrap().block_on(Server::start(home.config()));
        format!("{:#}", started.err().unwrap())
    };
    assert_eq!(
        start(&home),
        "agents.anna.endpoint: want a name of 1 to 64 letters, digits, '-', '_' and '.', \
         have \"a desk\""
    );
    home.write_keyed("");
    std::fs::create_dir_all(home.0.join("data")).unwrap();
    std::fs::write(home.0.join("data/access.secret"), "short").unwrap();
    let why = start(&home);
    assert!(
        why.contains("access.secret") && why.contains("want 32 characters"),
        "{why}"
    );
}

/// A page of a listed site asks first whether it may ask, and may read what it is told; another's may not.
#[test]
fn a_page_of_a_listed_site_may_log_in_and_anothers_may_not_read_the_answer() {
    let home = Home::new();
    home.write_keyed(&agents(""));
    let path = home.0.join("tandem.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let listed = "[http]\norigins = [\"https://desk.example\"]\n";
    std::fs::write(&path, text.replace("[http]\n", listed)).unwrap();
    runtime().unwrap().block_on(async {
        let server = Server::start(home.config()).await.unwrap();
        let ask = async |method: &str, site: &str| {
            let url = format!("http://{}/v1/login", server.http());
            let request = axum::http::Request::builder().method(method).uri(url);
            let given = json!({ "agent": "anna", "password": "correct horse" });
            let request = request.header("origin", site).body(given.to_string());
            let exchange = move || {
                let config = ureq::Agent::config_builder().http_status_as_error(false);
                let agent: ureq::Agent = config.allow_non_standard_methods(true).build().into();
                let response = agent.run(request.unwrap()).unwrap();
                let header = |name: &str| {
                    let value = response.headers().get(name)?;
                    Some(value.to_str().unwrap().to_owned())
                };
                let may = header("access-control-allow-headers").is_some();
                (
                    response.status().as_u16(),
                    header("access-control-allow-origin"),
                    may,
                )
            };
            tokio::task::spawn_blocking(exchange).await.unwrap()
        };
        let site = "https://desk.example";
        let told = Some(site.to_owned());
        assert_eq!(ask("OPTIONS", site).await, (204, told.clone(), true));
        assert_eq!(ask("POST", site).await, (200, told, false));
        let other = "https://evil.example";
        assert_eq!(ask("OPTIONS", other).await, (405, None, false));
        assert_eq!(ask("POST", other).await.1, None);
        server.stop().await.unwrap();
    });
}
