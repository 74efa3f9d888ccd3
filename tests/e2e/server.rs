//! The server under test: the binary that was just built, with a folder of its own.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::chromium::SITE;
use crate::lab::Lab;
use crate::process::{Process, wait_for};

/// What every scenario's server is told unless it says otherwise.
pub(crate) struct Setup {
    /// Lines of the configuration beside the listeners and the trunk.
    pub(crate) config: String,
    /// The dialplan.
    pub(crate) plan: String,
    /// What its environment has besides.
    pub(crate) environment: Vec<(String, String)>,
    /// A second UDP listener, from whose host the carrier may call too.
    pub(crate) more_udp: Option<SocketAddr>,
}

impl Setup {
    /// The usual plan, with these agents, who register with their name as password.
    pub(crate) fn agents(names: &[&str]) -> Self {
        let section = |name: &&str| {
            format!("[endpoints.{name}]\npassword = \"secret-{name}\"\n[agents.{name}]\n")
        };
        Self {
            config: names.iter().map(section).collect(),
            plan: plan(names),
            environment: Vec::new(),
            more_udp: None,
        }
    }

    /// One more agent, whose phone needs no registration.
    pub(crate) fn with_static(mut self, name: &str, phone: SocketAddr) -> Self {
        self.config += &format!(
            "[endpoints.{name}]\npassword = \"secret-{name}\"\ncontact = \"sip:{name}@{phone}\"\n\
             [agents.{name}]\n"
        );
        self
    }
}

/// Greeting, menu, recording, queue; and what else a scenario dials.
pub(crate) fn plan(agents: &[&str]) -> String {
    let line = |names: &[&str]| format!("agents {}", names.join(" "));
    let lines: Vec<String> = agents.chunks(16).map(line).collect();
    let template = std::fs::read_to_string(Lab::data("plan.kdl")).unwrap_or_default();
    template.replace("@AGENTS@", &lines.join("\n  "))
}

/// A running server.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) ip: IpAddr,
    http: SocketAddr,
    pub(crate) data: PathBuf,
}

const KEY: &str = "end-to-end-0123456789";

impl Server {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(lab: &Lab, setup: &Setup) -> Result<Self> {
        let server = Self::launch(lab, setup, "server")?;
        server.ready()
    }

    /// Starts it again with what it has left behind.
    pub(crate) fn restart(lab: &Lab, setup: &Setup) -> Result<Self> {
        Self::launch(lab, setup, "server-again")?.ready()
    }

    fn launch(lab: &Lab, setup: &Setup, log: &str) -> Result<Self> {
        let ip = lab.ip(1);
        let http = SocketAddr::new(ip, 8080);
        let plans = lab.path("dialplans");
        std::fs::create_dir_all(&plans)?;
        std::fs::write(plans.join("e2e.kdl"), &setup.plan)?;
        let config = lab.path("tandem.toml");
        std::fs::write(&config, configuration(lab, ip, http, setup))?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
        command
            .args(["serve", "--config"])
            .arg(&config)
            .envs(setup.environment.iter().cloned())
            .current_dir(&lab.dir)
            .stdin(std::process::Stdio::null());
        let process = Process::spawn("tandem", &mut command, &lab.path(&format!("{log}.log")))?;
        Ok(Self {
            process,
            ip,
            http,
            data: lab.path("data"),
        })
    }

    fn ready(mut self) -> Result<Self> {
        let http = self.http;
        wait_for(Duration::from_secs(40), "/readyz", || {
            if let Ok(Some(status)) = self.process.ended() {
                return Some(Err(anyhow::anyhow!("it ended: {status}")));
            }
            let url = format!("http://{http}/readyz");
            ureq::get(&url).call().is_ok().then_some(Ok(()))
        })
        .and_then(|it| it)
        .with_context(|| crate::process::tail(&self.process.log))?;
        Ok(self)
    }

    /// Where SIP over UDP and TCP listens.
    pub(crate) fn sip(&self) -> SocketAddr {
        SocketAddr::new(self.ip, 5060)
    }

    fn get(&self, path: &str) -> Result<ureq::Body> {
        let url = format!("http://{}{path}", self.http);
        let response = ureq::get(&url)
            .header("Authorization", &format!("Bearer {KEY}"))
            .call()
            .with_context(|| format!("GET {path}"))?;
        Ok(response.into_body())
    }

    /// The API's answer as JSON.
    pub(crate) fn json(&self, path: &str) -> Result<Value> {
        let text = self.get(path)?.read_to_string()?;
        serde_json::from_str(&text).with_context(|| text)
    }

    /// What the API answers to a POST without a body: status and JSON.
    pub(crate) fn post(&self, path: &str) -> Result<(u16, Value)> {
        let mut response = ureq::post(format!("http://{}{path}", self.http))
            .header("Authorization", &format!("Bearer {KEY}"))
            .config()
            .http_status_as_error(false)
            .build()
            .send_empty()
            .with_context(|| format!("POST {path}"))?;
        let text = response.body_mut().read_to_string()?;
        let json = serde_json::from_str(&text).with_context(|| text)?;
        Ok((response.status().as_u16(), json))
    }

    /// The status of a POST with a body.
    pub(crate) fn post_json(&self, path: &str, body: &Value) -> Result<u16> {
        let response = ureq::post(format!("http://{}{path}", self.http))
            .header("Authorization", &format!("Bearer {KEY}"))
            .config()
            .http_status_as_error(false)
            .build()
            .send_json(body)
            .with_context(|| format!("POST {path}"))?;
        Ok(response.status().as_u16())
    }

    /// What a command of the same binary prints about this server.
    pub(crate) fn tandem(&self, lab: &Lab, arguments: &[&str]) -> Result<String> {
        let run = Command::new(env!("CARGO_BIN_EXE_tandem"))
            .args(arguments)
            .args(["--url", &format!("http://{}", self.http)])
            .env("TANDEM_API_KEY", KEY)
            .current_dir(&lab.dir)
            .output()?;
        if !run.status.success() {
            let said = String::from_utf8_lossy(&run.stderr);
            bail!("tandem {arguments:?}: {}: {said}", run.status);
        }
        Ok(String::from_utf8(run.stdout)?)
    }

    /// A file that the API hands out.
    pub(crate) fn download(&self, path: &str, to: &std::path::Path) -> Result<()> {
        let bytes = self
            .get(path)?
            .with_config()
            .limit(64 << 20)
            .read_to_vec()?;
        Ok(std::fs::write(to, bytes)?)
    }

    /// The gauges that must come back to where they were.
    pub(crate) fn gauges(&self) -> Result<BTreeMap<String, f64>> {
        let text = self.get("/metrics")?.read_to_string()?;
        let mut gauges = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some((name, value)) = line.rsplit_once(' ') {
                gauges.insert(name.to_owned(), value.parse().unwrap_or(f64::NAN));
            }
        }
        Ok(gauges)
    }

    /// Waits until `name` is registered somewhere.
    pub(crate) fn reachable(&self, name: &str) -> Result<()> {
        let what = format!("{name} to register");
        wait_for(Duration::from_secs(20), &what, || {
            let list = self.json("/v1/endpoints").ok()?.as_array()?.clone();
            let found = list.into_iter().find(|it| it["name"] == name)?;
            (!found["contacts"].as_array()?.is_empty()).then_some(())
        })
    }

    /// Waits until a live call has come to the queue, or beyond it to an agent.
    pub(crate) fn queued(&self, limit: Duration) -> Result<Value> {
        wait_for(limit, "a call in the queue", || {
            let list = self.json("/v1/calls").ok()?.as_array()?.clone();
            list.into_iter().find(|it| it["queue"].is_string())
        })
    }

    /// The call records, newest first, once there are `count`.
    pub(crate) fn cdrs(&self, count: usize) -> Result<Vec<Value>> {
        wait_for(
            Duration::from_secs(15),
            &format!("{count} call records"),
            || {
                let page = self.json("/v1/cdrs?limit=1000").ok()?;
                let list = page["cdrs"].as_array()?.clone();
                (list.len() >= count).then_some(list)
            },
        )
    }

    /// Ends it in order, and requires exit code 0.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.process.signal(rustix::process::Signal::TERM)?;
        let status = self.process.wait(Duration::from_secs(20))?;
        if !status.success() {
            bail!("the server ended with {status}");
        }
        Ok(())
    }
}

fn configuration(lab: &Lab, ip: IpAddr, http: SocketAddr, setup: &Setup) -> String {
    let carrier = lab.ip(2);
    let (listener, source) = match setup.more_udp {
        Some(more) => (format!(", \"{more}\""), format!(", \"{}\"", more.ip())),
        None => Default::default(),
    };
    // JsSIP knows MD5 alone.
    let (origins, web, config) = match lab.browsers {
        true => (
            format!("origins = [\"{SITE}\"]\n"),
            format!("[webrtc]\nbind = [\"{ip}\"]\n"),
            setup
                .config
                .replace("password =", "digest = \"both\"\npassword ="),
        ),
        false => (String::new(), String::new(), setup.config.clone()),
    };
    format!(
        "api_key = \"{KEY}\"\n[http]\nlisten = \"{http}\"\nlisten_tls = \"{ip}:8443\"\n{origins}\
         [log]\nfilter = \"info,tandem=debug\"\n\
         [sip]\nudp = [\"{ip}:5060\"{listener}]\ntcp = [\"{ip}:5060\"]\ntls = [\"{ip}:5061\"]\n\
         [trunks.carrier]\naddresses = [\"{carrier}\"{source}]\nsend_to = [\"{carrier}:5060\"]\n\
         {config}{web}"
    )
}

/// A call record's time, in seconds since 1970.
pub(crate) fn time(cdr: &Value, key: &str) -> Result<f64> {
    let text = cdr[key]
        .as_str()
        .with_context(|| format!("{key} in {cdr}"))?;
    let time: jiff::Timestamp = text.parse()?;
    Ok(time.as_millisecond() as f64 / 1e3)
}
