//! The server that is measured: its processor, its files, its time and its memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What a Tandem is started with. Its configuration names the key [`KEY`] and the dialplan `load.kdl`,
/// and listens for HTTP at port 8080 of `ip`.
pub struct Setup<'a> {
    /// Where it listens: SIP at port 5060.
    pub ip: &'a str,
    /// `tandem.toml`.
    pub config: &'a str,
    /// `dialplans/load.kdl`.
    pub plan: &'a str,
    /// Media threads.
    pub workers: u32,
}

/// A process on core 0; killed when dropped.
pub struct Server {
    child: Child,
    /// Where Tandem tells of itself.
    http: Option<String>,
    folder: Option<PathBuf>,
}

impl Server {
    /// Starts Tandem alone on core 0, its group first in the queue for it: the binary beside this
    /// program's, or the one that `TANDEM` names.
    pub fn tandem(setup: &Setup<'_>) -> Self {
        // Another's server would answer for ours, which could not listen.
        assert!(
            std::net::UdpSocket::bind((setup.ip, 5060)).is_ok(),
            "{}:5060 is taken: does another load run on this machine?",
            setup.ip
        );
        let folder = std::env::temp_dir().join(format!("tandem-load-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("dialplans")).unwrap();
        std::fs::write(folder.join("dialplans/load.kdl"), setup.plan).unwrap();
        std::fs::write(folder.join("tandem.toml"), setup.config).unwrap();
        let program = std::env::var("TANDEM").unwrap_or_else(|_| {
            let own = std::env::current_exe().unwrap();
            own.with_file_name("tandem").to_string_lossy().into_owned()
        });
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let args = ["serve", "--config", "tandem.toml"];
        let child = pinned(Path::new(&program), &args, &folder)
            .env("TANDEM_RTP__WORKERS", setup.workers.to_string())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}; build it: cargo build --release"));
        let server = Self {
            child,
            http: Some(format!("http://{}:8080", setup.ip)),
            folder: Some(folder),
        };
        server.wait_until_ready();
        server
    }

    /// Starts another program alone on core 0.
    pub fn other(program: &Path, args: &[&str]) -> Self {
        let child = pinned(program, args, Path::new("/"))
            .stdout(Stdio::null())
            .spawn();
        let child = child.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
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
            assert!(Instant::now() < until, "no server: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Tandem's files, its data and recordings among them.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// What Tandem has logged.
    pub fn log(&self) -> String {
        let log = self.folder.as_ref().map(|folder| folder.join("log"));
        log.and_then(|log| std::fs::read_to_string(log).ok())
            .unwrap_or_default()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.http.as_deref().unwrap_or_default())
    }

    /// User and system time of all its threads, those that ended included.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(self.proc("stat")).unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap();
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.map(|it| it.parse::<u64>().unwrap_or(0)).sum();
        Duration::from_millis(10 * ticks)
    }

    /// Resident memory, bytes.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(self.proc("status")).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kb = line.and_then(|line| line.split_whitespace().nth(1));
        1_024 * kb.and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0)
    }

    fn proc(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.child.id())
    }

    /// Waits until it has no call left, at most 30 s.
    pub fn settle(&self) {
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
        let bearer = format!("Bearer {KEY}");
        match request.header("Authorization", bearer).call() {
            Ok(mut answer) => answer.body_mut().read_to_string().unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// What it tells by the metrics whose names begin with one of `names`: those above zero, by name
    /// and label.
    pub fn told(&self, names: &[&str]) -> BTreeMap<String, f64> {
        let line = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            let told = names.iter().any(|it| name.starts_with(it));
            let (name, value) = (name.strip_prefix("tandem_")?, value.parse().ok()?);
            (told && value > 0.0).then(|| (name.replace('"', ""), value))
        };
        self.metrics().lines().filter_map(line).collect()
    }

    /// The sum of a metric's values.
    pub fn metric(&self, name: &str) -> f64 {
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
pub fn take_place() -> bool {
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

/// Lets this process, and the server that it starts, have as many files open as the system allows, `wanted`
/// at least: ten thousand connections need as many at either end.
pub fn allow_files(wanted: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    assert!(
        maximum.is_none_or(|it| it >= wanted),
        "want {wanted} open files or more, have {maximum:?} (ulimit -Hn)"
    );
    let current = maximum;
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
}

/// The key of Tandem's API.
pub const KEY: &str = "load-0123456789-load";
