//! The server that takes the load: where it is, whom it knows, and what it tells.

use std::path::Path;

use lab::server::{Server, Setup};

/// Where the server listens, who may call, and who is nobody.
pub(crate) const SERVER: &str = "127.0.9.2:5060";
pub(crate) const CALLER: &str = "127.0.9.1";
pub(crate) const STRANGER: &str = "127.0.9.3";

/// Starts Tandem with so many media threads.
pub(crate) fn tandem(workers: u32) -> Server {
    tandem_with(workers, "")
}

/// The same with more in its configuration.
pub(crate) fn tandem_with(workers: u32, more: &str) -> Server {
    Server::tandem(&Setup {
        ip: "127.0.9.2",
        config: &format!("{CONFIG}\n{more}"),
        plan: PLAN,
        workers,
    })
}

/// Starts a bare loop that answers the same messages.
pub(crate) fn echo() -> Server {
    let own = std::env::current_exe().unwrap();
    Server::other(Path::new(&own), &["echo"])
}

/// The metrics that say where messages went.
pub(crate) const TOLD: [&str; 8] = [
    "tandem_sip_events_total",
    "tandem_sip_transport_total",
    "tandem_sip_rejected_total",
    "tandem_sip_turned_away_total",
    "tandem_overload_total",
    "tandem_sip_transactions",
    "tandem_calls_active",
    "tandem_queueing_delay_max_seconds",
];

const CONFIG: &str = r#"
api_key = "load-0123456789-load"
[http]
listen = "127.0.9.2:8080"
[log]
filter = "warn"
[sip]
udp = ["127.0.9.2:5060"]
tcp = []
tls = []
[rtp]
port_min = 20000
port_max = 59999
[limits]
calls = 20000
[trunks.load]
addresses = ["127.0.9.1"]
send_to = ["127.0.9.1:5070"]
codecs = ["pcma"]
"#;

/// 1000 is answered and waits for the caller's BYE; 2000 hears music; 3000 is put through.
const PLAN: &str = r#"dialplan version=1
entry did="1000" flow="answered"
entry did="2000" flow="music"
entry did="3000" flow="through"
flow "answered" {
  answer
  gather timeout="10m"
}
queue "music" max-len=10000 { agents "*"; }
flow "music" {
  answer
  queue "music"
}
flow "through" {
  dial "4000" trunk="load"
}
"#;
