//! Configuration: one file, the environment over it, defaults beneath; an immutable snapshot.
//!
//! The law: a [`Config`] that exists is right. [`Config::load`] reads every key of its own sections
//! and refuses unknown ones; the sections of other modules stay raw ([`Section`]) and are parsed, by
//! the same rule, by whoever owns them. An error names the key, the rule and the value.
//!
//! Every key can be set by a variable: `TANDEM_`, then the key's path in capitals with `__` between
//! its levels. `TANDEM_SIP__UDP=0.0.0.0:5060` sets `sip.udp`, `TANDEM_DATA=/var/lib/tandem` sets
//! `data`, `TANDEM_TRUNKS__ACME__PASSWORD` sets `trunks.acme.password`. Lists have commas between
//! their items. `tandem.example.toml` documents every key.

mod access;
mod acme;
mod dns;
mod error;
mod limits;
mod listen;
mod origin;
mod place;
mod recording;
mod section;
#[cfg(test)]
mod tests;
mod voice;
mod webrtc;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use access::{Access, SECRET_MIN};
pub use acme::Acme;
pub use dns::Dns;
pub use error::ConfigError;
pub use limits::Limits;
pub use listen::{Clients, Listener, Rtp, Sip, TlsFiles, Transport, Trust};
pub use origin::Origins;
pub use recording::{Recording, RecordingFormat};
pub use section::Section;
pub use voice::Voice;
pub use webrtc::{Turn, Webrtc};

/// Everything that an operator can set, as one immutable snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where things are on disk.
    pub paths: Paths,
    /// Who is asked for names.
    pub dns: Dns,
    /// The HTTP interface.
    pub http: Http,
    /// What is logged, and how.
    pub log: Log,
    /// SIP listeners and timers.
    pub sip: Sip,
    /// Where audio is received.
    pub rtp: Rtp,
    /// Where browsers' audio is received; `None` without the section.
    pub webrtc: Option<Webrtc>,
    /// Tokens.
    pub access: Access,
    /// Bounds on the whole server.
    pub limits: Limits,
    /// The speech engine.
    pub speech: Speech,
    /// The voice threads.
    pub voice: Voice,
    /// How calls are recorded.
    pub recording: Recording,
    /// `trunks`, parsed by the trunk module.
    pub trunks: Section,
    /// `endpoints`, parsed by the trunk module.
    pub endpoints: Section,
    /// `agents`, parsed by the centre.
    pub agents: Section,
    /// `desk`, parsed by the centre.
    pub desk: Section,
    /// `abuse`, parsed by the trunk module.
    pub abuse: Section,
    /// `emergency`, parsed by the trunk module.
    pub emergency: Section,
    /// The account that the server becomes, if it is started by root (`process.user`).
    pub user: Option<String>,
    /// Certificates by ACME, if asked for.
    pub acme: Option<Acme>,
    /// `trace`, parsed by the trace module.
    pub trace: Section,
    /// `overload`, parsed by control.
    pub overload: Section,
    /// Variables named `TANDEM_…` that set nothing here: worth a line in the log.
    pub ignored_variables: Vec<String>,
    /// Where it was read, to read it again; `None` if it was put together otherwise.
    source: Option<Source>,
    bare: bool,
}

/// Where a configuration was read.
#[derive(Clone, PartialEq, Eq)]
struct Source {
    file: Option<PathBuf>,
    variables: Vec<(String, String)>,
}

/// Without the variables: there are secrets among them.
impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Source").field(&self.file).finish()
    }
}

/// Where things are on disk; relative to the working directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Dialplan files, `*.kdl`.
    pub dialplans: PathBuf,
    /// Recorded prompts.
    pub prompts: PathBuf,
    /// The database, recordings and caches.
    pub data: PathBuf,
    /// Certificates and keys; development ones are made here.
    pub certs: PathBuf,
}

/// The HTTP interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where it listens for HTTPS, with the certificate of SIP over TLS.
    pub listen_tls: Option<SocketAddr>,
    /// Whose pages may open a WebSocket.
    pub origins: Origins,
    /// The key that clients present; made and printed once if `None`.
    pub api_key: Option<Secret>,
    /// The largest request body, in bytes.
    pub body_max_bytes: usize,
    /// The longest that a request may take.
    pub timeout: Duration,
}

/// A text that neither logs nor errors may show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text`.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Which lines: a level, or `module=level` with commas between.
    pub filter: String,
    /// How they look.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The speech engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speech {
    /// The program, found by `PATH`.
    pub program: String,
    /// Its voice where a dialplan names none.
    pub voice: String,
}

const ROOT_KEYS: [&str; 26] = [
    "dialplans",
    "prompts",
    "data",
    "certs",
    "api_key",
    "dns",
    "http",
    "log",
    "sip",
    "rtp",
    "webrtc",
    "access",
    "limits",
    "speech",
    "recording",
    "trunks",
    "endpoints",
    "agents",
    "desk",
    "abuse",
    "emergency",
    "acme",
    "process",
    "trace",
    "overload",
    "voice",
];

impl Config {
    /// Reads `file`, if any, and lays the `TANDEM_…` variables of `environment` over it. Without a
    /// file, and with nobody named by a variable, this machine is the trunk [`LOCAL_TRUNK`].
    ///
    /// # Errors
    /// Everything in [`ConfigError`]: the first mistake found.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let ours = |(name, _): &(String, String)| name.starts_with("TANDEM_");
        Source {
            file: file.map(Path::to_owned),
            variables: environment.into_iter().filter(ours).collect(),
        }
        .read()
    }

    /// Reads again what [`Config::load`] read, with the variables of then. A configuration that was
    /// put together otherwise is itself again.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn read_again(&self) -> Result<Self, ConfigError> {
        match &self.source {
            Some(source) => source.clone().read(),
            None => Ok(self.clone()),
        }
    }

    /// Tells where in its file a mistake stands that a reader of one of its sections has found.
    pub fn place(&self, error: ConfigError) -> ConfigError {
        match &self.source {
            Some(source) => source.place(error),
            None => error,
        }
    }

    /// Forgets where it was read, so that changes made by hand outlive a reload.
    pub fn detach(&mut self) {
        self.source = None;
    }

    /// Whether [`LOCAL_TRUNK`] stands in for a configuration.
    pub fn is_bare(&self) -> bool {
        self.bare
    }

    /// The settings that differ from `other`'s and are read at a start only, by their key.
    pub fn fixed_differences(&self, other: &Self) -> Vec<&'static str> {
        let compared = [
            (
                "dialplans, prompts, data or certs",
                self.paths == other.paths,
            ),
            ("dns", self.dns == other.dns),
            ("http or api_key", self.http == other.http),
            ("log", self.log == other.log),
            ("sip", self.sip == other.sip),
            ("rtp", self.rtp == other.rtp),
            ("webrtc", self.webrtc == other.webrtc),
            ("access", self.access == other.access),
            ("limits", self.limits == other.limits),
            ("speech", self.speech == other.speech),
            ("voice", self.voice == other.voice),
            ("recording", self.recording == other.recording),
            ("acme", self.acme == other.acme),
            ("process", self.user == other.user),
            ("trace", self.trace == other.trace),
        ];
        let differ = compared.into_iter().filter(|(_, same)| !same);
        differ.map(|(key, _)| key).collect()
    }

    /// Builds the configuration from a parsed file and the variables laid over it.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_parts(
        file: toml::Table,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut root = Section::from_toml(file);
        for (variable, value) in environment {
            let levels = variable
                .strip_prefix("TANDEM_")
                .filter(|levels| *levels != "CONFIG");
            if let Some(levels) = levels {
                root.overlay(&variable, levels, &value);
            }
        }

        let ignored_variables = root.strip_foreign(&ROOT_KEYS);
        // The section is enough, be it empty.
        let browsers = root.names().iter().any(|name| name == "webrtc");
        let webrtc = root.section("webrtc")?;
        let mut config = Self {
            paths: Paths::read(&mut root)?,
            dns: Dns::read(root.section("dns")?)?,
            http: Http::read(&mut root)?,
            log: Log::read(root.section("log")?)?,
            sip: Sip::read(root.section("sip")?)?,
            rtp: Rtp::read(root.section("rtp")?)?,
            webrtc: browsers.then(|| Webrtc::read(webrtc)).transpose()?,
            access: Access::read(root.section("access")?)?,
            limits: Limits::read(root.section("limits")?)?,
            speech: Speech::read(root.section("speech")?)?,
            voice: Voice::read(root.section("voice")?)?,
            recording: Recording::read(root.section("recording")?)?,
            trunks: root.section("trunks")?,
            endpoints: root.section("endpoints")?,
            agents: root.section("agents")?,
            desk: root.section("desk")?,
            trace: root.section("trace")?,
            abuse: root.section("abuse")?,
            emergency: root.section("emergency")?,
            user: user(root.section("process")?)?,
            acme: Acme::read(root.section("acme")?)?,
            overload: root.section("overload")?,
            ignored_variables,
            source: None,
            bare: false,
        };
        root.finish()?;
        config.refuse_two_certificates()?;
        config.rtp.settle(&config.sip)?;
        if let Some(webrtc) = &mut config.webrtc {
            webrtc.settle(&config.rtp)?;
        }
        Ok(config)
    }

    fn refuse_two_certificates(&self) -> Result<(), ConfigError> {
        if self.acme.is_none() || self.sip.tls.is_none() {
            return Ok(());
        }
        Err(ConfigError::Twice {
            key: "acme".to_owned(),
            what: "the certificate".to_owned(),
            elsewhere: "in sip.certificate".to_owned(),
        })
    }

    /// Without file and variables: everything on loopback.
    ///
    /// # Errors
    /// None in practice: a test holds the defaults to their own rules.
    pub fn defaults() -> Result<Self, ConfigError> {
        Self::from_parts(toml::Table::new(), [])
    }
}

impl Source {
    fn read(self) -> Result<Config, ConfigError> {
        let table = match &self.file {
            Some(file) => read(file)?,
            None => toml::Table::new(),
        };
        let mut config = Config::from_parts(table, self.variables.iter().cloned())
            .map_err(|error| self.place(error))?;
        let nobody = config.trunks.is_empty() && config.endpoints.is_empty();
        let mut listeners = config.sip.listeners.iter();
        let loopback = listeners.all(|listener| listener.address.ip().is_loopback());
        if self.file.is_none() && nobody && loopback {
            config.trunks = local_trunk()?;
            config.bare = true;
        }
        config.source = Some(self);
        Ok(config)
    }

    /// The file may have changed since it was read: then the line is where the key stands now.
    fn place(&self, error: ConfigError) -> ConfigError {
        let line = |file: &PathBuf| {
            let text = std::fs::read_to_string(file).ok()?;
            // What a variable says stands in no file.
            let key = error.key().filter(|key| !key.contains(' '))?;
            place::line_of(&text, key)
        };
        match self
            .file
            .as_ref()
            .and_then(|file| Some((file, line(file)?)))
        {
            Some((file, line)) => ConfigError::At {
                file: file.clone(),
                line,
                error: Box::new(error),
            },
            None => error,
        }
    }
}

/// A trunk for the phones of this machine: whoever starts a server without any configuration wants
/// to hear it, and nobody else reaches a loopback address.
fn local_trunk() -> Result<Section, ConfigError> {
    let list = ["127.0.0.1", "::1"].map(toml::Value::from).to_vec();
    let trunk = toml::Table::from_iter([("addresses".to_owned(), list.into())]);
    let trunks = toml::Table::from_iter([(LOCAL_TRUNK.to_owned(), trunk.into())]);
    let root = toml::Table::from_iter([("trunks".to_owned(), trunks.into())]);
    Section::from_toml(root).section("trunks")
}

/// The trunk that a server without any configuration has.
pub const LOCAL_TRUNK: &str = "local";

impl Paths {
    fn read(root: &mut Section) -> Result<Self, ConfigError> {
        let mut path = |key: &str| -> Result<PathBuf, ConfigError> {
            Ok(root.text(key)?.unwrap_or_else(|| format!("./{key}")).into())
        };
        Ok(Self {
            dialplans: path("dialplans")?,
            prompts: path("prompts")?,
            data: path("data")?,
            certs: path("certs")?,
        })
    }
}

impl Http {
    fn read(root: &mut Section) -> Result<Self, ConfigError> {
        let api_key = root.secret("api_key")?.filter(|key| !key.is_empty());
        if api_key.as_ref().is_some_and(|key| key.len() < API_KEY_MIN) {
            let rule = format!("at least {API_KEY_MIN} characters");
            let (key, value) = (root.key("api_key"), "(hidden)".to_owned());
            return Err(ConfigError::Value { key, rule, value });
        }
        let mut http = root.section("http")?;
        let listen = http.parsed("listen", "an address and a port such as \"127.0.0.1:8080\"")?;
        let listen_tls = http.parsed(
            "listen_tls",
            "an address and a port such as \"0.0.0.0:8443\"",
        )?;
        let body_max = http.integer("body_max_bytes", 1_024..=16 * 1_024 * 1_024)?;
        let timeout = http.duration("timeout", Duration::from_millis(100)..=MINUTES_5)?;
        let origins = Origins::read(&mut http)?;
        http.finish()?;
        Ok(Self {
            listen: listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080))),
            listen_tls,
            origins,
            api_key: api_key.map(Secret::new),
            body_max_bytes: body_max
                .and_then(|n| usize::try_from(n).ok())
                .unwrap_or(65_536),
            timeout: timeout.unwrap_or(Duration::from_secs(10)),
        })
    }
}

impl Log {
    fn read(mut log: Section) -> Result<Self, ConfigError> {
        let filter = log.text("filter")?.unwrap_or_else(|| "info".to_owned());
        let words = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        let format = log.one_of("format", &words)?.unwrap_or(LogFormat::Text);
        log.finish()?;
        Ok(Self { filter, format })
    }
}

impl Speech {
    fn read(mut speech: Section) -> Result<Self, ConfigError> {
        let program = speech
            .text("program")?
            .unwrap_or_else(|| "espeak-ng".to_owned());
        let voice = speech.text("voice")?.unwrap_or_else(|| "en".to_owned());
        speech.finish()?;
        Ok(Self { program, voice })
    }
}

fn user(mut process: Section) -> Result<Option<String>, ConfigError> {
    let user = process.text("user")?;
    process.finish()?;
    Ok(user)
}

fn read(file: &Path) -> Result<toml::Table, ConfigError> {
    let text = std::fs::read_to_string(file).map_err(|error| ConfigError::Unreadable {
        file: file.to_owned(),
        message: error.to_string(),
    })?;
    text.parse()
        .map_err(|error: toml::de::Error| ConfigError::Syntax {
            file: file.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })
}

/// The shortest API key: less, and it could be guessed.
pub const API_KEY_MIN: usize = 16;

const MINUTES_5: Duration = Duration::from_secs(300);
