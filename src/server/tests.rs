//! A whole server on loopback: what a start refuses, and what a reload changes.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::config::ConfigError;
use crate::control::Control;
use crate::store::EndpointRow;

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
             [speech]\nprogram = \"no-such-engine\"\n[limits]\ndrain = \"0s\"\n{more}"
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
        home.write("[rtp]\nworkers = 65\n");
        let wrong = server.reload().await.unwrap_err();
        assert!(wrong[0].starts_with("rtp.workers: want"), "{wrong:?}");
        assert_eq!(seen(&server, trunks).await, ["new"]);
        server.stop().await.unwrap();
    });
}
