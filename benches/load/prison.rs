//! The server in a memory cgroup: what it may use, what it used, and whether it was killed for it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running server in a cgroup of its own; killed, and its cgroup removed, when dropped.
pub(crate) struct Prison {
    child: Child,
    group: PathBuf,
    pub(crate) folder: PathBuf,
}

const HTTP: &str = "127.0.30.1:8080";
pub(crate) const KEY: &str = "flood-0123456789abcdef";

/// Two trunks and two users: `good` calls in order, `flooded` is where listed floods come from; every
/// other address may be a user's. A trunk without caps would be the flood's to fill. What is remembered of
/// calls on purpose is forgotten soon, so that what remains afterwards is what should not.
const CONFIG: &str = r#"
[http]
listen = "127.0.30.1:8080"
[log]
filter = "warn"
[trace]
keep = "30s"
[sip]
udp = ["127.0.30.1:5060"]
tcp = ["127.0.30.1:5060"]
tls = ["127.0.30.1:5061"]
[trunks.good]
addresses = ["127.0.30.2"]
[trunks.flooded]
addresses = ["127.0.31.0/24"]
calls = 500
[endpoints.anna]
password = "sesame-anna"
[endpoints.bert]
password = "sesame-bert"
"#;

const PLAN: &str = r#"
dialplan version=1
entry pattern="*" flow="held"
flow "held" {
  answer
  gather digits=4 timeout="30m" into="x"
}
"#;

impl Prison {
    /// Starts the server with `limit` bytes of memory. The cgroup is one of version 1, as root.
    pub(crate) fn start(limit: u64) -> Self {
        let id = std::process::id();
        let group = PathBuf::from(format!("/sys/fs/cgroup/memory/tandem-flood-{id}"));
        std::fs::create_dir_all(&group).expect("a memory cgroup (version 1), as root");
        std::fs::write(group.join("memory.limit_in_bytes"), limit.to_string()).unwrap();
        let folder = std::env::temp_dir().join(format!("tandem-flood-{id}"));
        std::fs::create_dir_all(folder.join("dialplans")).unwrap();
        std::fs::write(folder.join("dialplans/flood.kdl"), PLAN).unwrap();
        let config = format!("api_key = \"{KEY}\"\n{CONFIG}");
        std::fs::write(folder.join("tandem.toml"), config).unwrap();
        let program = std::env::var("TANDEM").unwrap_or_else(|_| {
            let own = std::env::current_exe().unwrap();
            own.with_file_name("tandem").to_string_lossy().into_owned()
        });
        let log = std::fs::File::create(folder.join("log")).unwrap();
        // The shell joins the cgroup before the server begins, so that all of its memory counts.
        let script = format!(
            "echo $$ > {}/cgroup.procs; exec {program} serve --config tandem.toml",
            group.display()
        );
        let child = Command::new("sh")
            .args(["-c", &script])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let prison = Self {
            child,
            group,
            folder,
        };
        prison.wait_until_ready();
        prison
    }

    fn wait_until_ready(&self) {
        let until = Instant::now() + Duration::from_secs(60);
        while ureq::get(format!("http://{HTTP}/readyz")).call().is_err() {
            if Instant::now() > until {
                let log = std::fs::read_to_string(self.folder.join("log"));
                panic!("no server: {}", log.unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Whether it is still the process that was started.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// A line of its `/proc/PID/status`, in bytes: `VmRSS`, `RssAnon`.
    pub(crate) fn memory(&self, line: &str) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let found = status.lines().find(|it| it.starts_with(line));
        let kb = found.and_then(|it| it.split_whitespace().nth(1)?.parse::<u64>().ok());
        1_024 * kb.unwrap_or(0)
    }

    /// The most that the cgroup held, sockets' and the kernel's share included.
    pub(crate) fn group_peak(&self) -> u64 {
        let text = std::fs::read_to_string(self.group.join("memory.max_usage_in_bytes"));
        text.ok().and_then(|it| it.trim().parse().ok()).unwrap_or(0)
    }

    /// Processes that the kernel killed for want of memory.
    pub(crate) fn kills(&self) -> u64 {
        let text = std::fs::read_to_string(self.group.join("memory.oom_control"));
        let text = text.unwrap_or_default();
        let line = text.lines().find(|it| it.starts_with("oom_kill "));
        line.and_then(|it| it.split(' ').nth(1)?.parse().ok())
            .unwrap_or(0)
    }

    /// Every metric, as it stands.
    pub(crate) fn metrics(&self) -> String {
        let request = ureq::get(format!("http://{HTTP}/metrics"));
        let answer = request
            .header("Authorization", format!("Bearer {KEY}"))
            .call();
        let text = answer
            .ok()
            .and_then(|mut it| it.body_mut().read_to_string().ok());
        text.unwrap_or_default()
    }
}

impl Drop for Prison {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The kernel needs a moment to take the process out of it.
        std::thread::sleep(Duration::from_millis(300));
        let _ = std::fs::remove_dir(&self.group);
    }
}

/// Where it listens: UDP and TCP, and TLS.
pub(crate) fn server(tls: bool) -> SocketAddr {
    let port = if tls { 5_061 } else { 5_060 };
    SocketAddr::from(([127, 0, 30, 1], port))
}
