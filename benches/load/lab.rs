//! The server under load: its files, its processor, its time and its memory.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where the server listens, who may call, and who is nobody.
pub(crate) const SERVER: &str = "127.0.9.2:5060";
pub(crate) const CALLER: &str = "127.0.9.1";
pub(crate) const STRANGER: &str = "127.0.9.3";

/// A process on the first processor; killed when dropped.
pub(crate) struct Server {
    child: Child,
    http: Option<SocketAddr>,
    folder: Option<PathBuf>,
}

impl Server {
    /// Starts Tandem alone on core 0, its group first in the queue for it, with so many media threads:
    /// each has room for 1,000 ports.
    pub(crate) fn tandem(workers: u32) -> Self {
        // Another's server would answer for ours, which could not listen.
        assert!(
            std::net::UdpSocket::bind(SERVER).is_ok(),
            "{SERVER} is taken: does another load run on this machine?"
        );
        let folder = std::env::temp_dir().join(format!("tandem-load-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("dialplans")).unwrap();
        std::fs::write(folder.join("dialplans/load.kdl"), PLAN).unwrap();
        std::fs::write(folder.join("tandem.toml"), CONFIG).unwrap();
        let program = std::env::var("TANDEM").unwrap_or_else(|_| {
            let own = std::env::current_exe().unwrap();
            own.with_file_name("tandem").to_string_lossy().into_owned()
        });
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let args = ["serve", "--config", "tandem.toml"];
        let child = pinned(Path::new(&program), &args, &folder)
            .env("TANDEM_RTP__WORKERS", workers.to_string())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}; build it: cargo build --release"));
        let server = Self {
            child,
            http: Some("127.0.9.2:8080".parse().unwrap()),
            folder: Some(folder),
        };
        server.wait_until_ready();
        server
    }

    /// Starts a bare loop that answers the same messages.
    pub(crate) fn echo() -> Self {
        let own = std::env::current_exe().unwrap();
        let child = pinned(&own, &["echo"], Path::new("/")).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        Self {
            child,
            http: None,
            folder: None,
        }
    }

    fn wait_until_ready(&self) {
        let until = Instant::now() + Duration::from_secs(40);
        while ureq::get(&self.url("/readyz")).call().is_err() {
            if Instant::now() > until {
                let log = self.folder.as_ref().unwrap().join("log");
                panic!("no server: {}", std::fs::read_to_string(log).unwrap());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http.unwrap())
    }

    /// User and system time of all its threads, those that ended included.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(self.proc("stat")).unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap();
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.map(|it| it.parse::<u64>().unwrap_or(0)).sum();
        Duration::from_millis(10 * ticks)
    }

    /// Resident memory, bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(self.proc("status")).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kb = line.and_then(|line| line.split_whitespace().nth(1));
        1_024 * kb.and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0)
    }

    fn proc(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.child.id())
    }

    /// Waits until it has no call left, at most 30 s.
    pub(crate) fn settle(&self) {
        if self.http.is_none() {
            return std::thread::sleep(Duration::from_millis(200));
        }
        let until = Instant::now() + Duration::from_secs(30);
        while self.metric("tandem_calls_active") > 0.0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn metrics(&self) -> String {
        let request = ureq::get(self.url("/metrics"));
        match request.header("Authorization", BEARER).call() {
            Ok(mut answer) => answer.body_mut().read_to_string().unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// What it tells of messages and calls, by the name of the metric and its label.
    pub(crate) fn told(&self) -> BTreeMap<String, f64> {
        let line = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            let told = TOLD.iter().any(|it| name.starts_with(it));
            let (name, value) = (name.strip_prefix("tandem_")?, value.parse().ok()?);
            (told && value > 0.0).then(|| (name.replace('"', ""), value))
        };
        self.metrics().lines().filter_map(line).collect()
    }

    /// The sum of a metric's values.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.metrics();
        let is = |line: &&str| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with([' ', '{']))
        };
        let values = text.lines().filter(is);
        values
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let keep = std::env::var_os("LOAD_KEEP").is_some();
        if let Some(folder) = self.folder.as_ref().filter(|_| !keep) {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// A session of its own, since `nice` does nothing between sessions while they are grouped.
fn pinned(program: &Path, args: &[&str], folder: &Path) -> Command {
    let mut command = Command::new("setsid");
    command
        .args(["sh", "-c"])
        .arg("echo -20 > /proc/self/autogroup 2>/dev/null; exec taskset -c 0 \"$0\" \"$@\"")
        .arg(program)
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null());
    command
}

/// Puts this process on core 1, its main thread in the real-time class where that is permitted. What it
/// starts is not (`-R`): a server all of whose threads have one real-time priority serves its audio when
/// its control thread happens to sleep.
pub(crate) fn take_place() -> bool {
    let own = std::process::id().to_string();
    let run = |program: &str, args: &[&str]| {
        let mut command = Command::new(program);
        let command = command
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    run("taskset", &["-acp", "1", &own]) && run("chrt", &["-R", "-f", "-p", "20", &own])
}

/// The load of the last minute, 5 and 15 minutes.
pub(crate) fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// The metrics that say where messages went.
const TOLD: [&str; 8] = [
    "tandem_sip_events_total",
    "tandem_sip_transport_total",
    "tandem_sip_rejected_total",
    "tandem_sip_turned_away_total",
    "tandem_overload_total",
    "tandem_sip_transactions",
    "tandem_calls_active",
    "tandem_queueing_delay_max_seconds",
];

const BEARER: &str = "Bearer load-0123456789-load";

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
