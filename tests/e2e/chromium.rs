//! A browser as an agent's phone: a headless Chromium with JsSIP, driven by `tests/web/agent.mjs`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::baresip::Over;
use crate::lab::Lab;
use crate::process::{Process, bounded, tail, wait_for};
use crate::server::Server;
use crate::sound::Sound;

/// Where its page is from, as a server that it shall reach has to know.
pub(crate) const SITE: &str = "http://localhost";

/// A running Chromium.
pub(crate) struct Chromium {
    process: Process,
    dir: PathBuf,
    /// How many of its lines were read.
    read: usize,
    events: Vec<Value>,
}

impl Chromium {
    /// Starts the phone of `name`, saying a tone of `hz`, and waits until it is registered: over TLS by WSS, else by WS.
    /// With `answers` it takes calls by itself.
    pub(crate) fn start(
        lab: &Lab,
        server: &Server,
        (name, over): (&str, Over),
        hz: u32,
        answers: bool,
    ) -> Result<Self> {
        let phone = format!("chromium-{name}-{hz}");
        let dir = lab.path(&phone);
        std::fs::create_dir_all(&dir)?;
        let url = match over {
            Over::Tls => format!("wss://{}:8443/sip", server.ip),
            Over::Udp | Over::Tcp => format!("ws://{}:8080/sip", server.ip),
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web/agent.mjs");
        let mut command = bounded("node", LONGEST);
        command
            .arg(script)
            .args([&url, name, &hz.to_string()])
            .arg(if answers { "auto" } else { "manual" })
            .arg(&dir)
            .stdin(Stdio::piped());
        let log = lab.path(&format!("{phone}.log"));
        let mut phone = Self {
            process: Process::spawn("node", &mut command, &log)?,
            dir,
            read: 0,
            events: Vec::new(),
        };
        phone.event("REGISTERED", START)?;
        Ok(phone)
    }

    /// Gives it a command, by baresip's words.
    pub(crate) fn command(&mut self, command: &str, parameter: &str) -> Result<()> {
        let input = self.process.stdin().context("node has no input")?;
        Ok(writeln!(input, "{command} {parameter}")?)
    }

    /// Waits for an event, such as `CALL_CLOSED`; gives the second when it came, since 1970.
    pub(crate) fn event(&mut self, kind: &str, limit: Duration) -> Result<f64> {
        let what = format!("Chromium's {kind}");
        let found = wait_for(limit, &what, || {
            if !matches!(self.process.ended(), Ok(None)) {
                return Some(None);
            }
            self.read();
            let found = self.events.iter().position(|it| it["type"] == kind)?;
            Some(self.events.remove(found)["at"].as_f64())
        });
        let found = found.and_then(|it| it.context("it ended"));
        found.with_context(|| tail(&self.process.log))
    }

    fn read(&mut self) {
        let text = std::fs::read_to_string(&self.process.log).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let lines = whole.lines().skip(self.read);
        self.events
            .extend(lines.filter_map(|line| serde_json::from_str::<Value>(line).ok()));
        self.read = whole.lines().count();
    }

    /// What each of its calls has played to the agent's ear, in the order of the calls.
    pub(crate) fn heard(&self) -> Result<Vec<Sound>> {
        let mut calls = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            let file = entry?.path();
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            let mut words = name.split('-').skip(1);
            let mut number = || words.next()?.parse::<u64>().ok();
            let (Some(call), Some(began_ms)) = (number(), number()) else {
                continue;
            };
            let bytes = std::fs::read(&file)?;
            let (pairs, _) = bytes.as_chunks::<2>();
            let sound = Sound {
                begins: began_ms as f64 / 1e3,
                samples: pairs.iter().map(|it| i16::from_le_bytes(*it)).collect(),
            };
            calls.push((call, sound));
        }
        calls.sort_by_key(|(call, _)| *call);
        Ok(calls.into_iter().map(|(_, sound)| sound).collect())
    }
}

/// How long a browser lives at most: longer than the longest scenario.
const LONGEST: Duration = Duration::from_secs(400);

/// Long enough for a browser to start on a busy machine.
const START: Duration = Duration::from_secs(40);
