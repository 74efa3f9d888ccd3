//! A running server's API, as commands reach it.

use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;

use super::{ConfigArgs, Failure};

/// Where the server is, and the key to it.
#[derive(Debug, Args)]
pub(super) struct RemoteArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The server's API; without it, the configured http.listen
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The API key, best given by the variable
    #[arg(
        long,
        env = "TANDEM_API_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    api_key: Option<String>,
}

/// A server that may be asked.
pub(super) struct Remote {
    url: String,
    key: String,
    agent: ureq::Agent,
}

impl RemoteArgs {
    /// Whether the server is named, and so meant to be asked.
    pub(super) fn names_url(&self) -> bool {
        self.url.is_some()
    }

    /// The configuration that the server is found by.
    pub(super) const fn config(&self) -> &ConfigArgs {
        &self.config
    }

    /// The server, not yet asked anything.
    pub(super) fn remote(&self) -> Result<Remote, Failure> {
        let config = self.config.load()?;
        let configured = config
            .http
            .api_key
            .as_ref()
            .map(|key| key.reveal().to_owned());
        let Some(key) = self.api_key.clone().or(configured) else {
            return Err(Failure::Usage(anyhow!(
                "no API key: set TANDEM_API_KEY or --api-key"
            )));
        };
        let url = self
            .url
            .clone()
            .unwrap_or_else(|| format!("http://{}", config.http.listen));
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(10)));
        Ok(Remote {
            url: url.trim_end_matches('/').to_owned(),
            key,
            agent: agent.build().into(),
        })
    }
}

impl Remote {
    /// The body of a success.
    pub(super) fn get(&self, path: &str) -> Result<String, Failure> {
        let bytes = self.ask("GET", path)?;
        String::from_utf8(bytes).map_err(|error| Failure::Failed(error.into()))
    }

    /// The body of a success after `body` was posted.
    pub(super) fn post(&self, path: &str, body: &str) -> Result<String, Failure> {
        let bytes = self.send("POST", path, body)?;
        String::from_utf8(bytes).map_err(|error| Failure::Failed(error.into()))
    }

    /// Sends one request; the body of a success.
    pub(super) fn ask(&self, method: &str, path: &str) -> Result<Vec<u8>, Failure> {
        self.send(method, path, "")
    }

    fn send(&self, method: &str, path: &str, body: &str) -> Result<Vec<u8>, Failure> {
        let url = format!("{}{path}", self.url);
        let exchange = || -> anyhow::Result<(u16, Vec<u8>)> {
            let request = ureq::http::Request::builder()
                .method(method)
                .uri(&url)
                .header("authorization", format!("Bearer {}", self.key))
                .body(body.to_owned())?;
            let mut response = self.agent.run(request)?;
            let body = response.body_mut().with_config().limit(BODY_MAX);
            let body = body.read_to_vec()?;
            Ok((response.status().as_u16(), body))
        };
        let answered =
            exchange().with_context(|| format!("{url}: no answer; does the server run?"));
        let (status, body) = answered.map_err(Failure::Failed)?;
        match status {
            200..=299 => Ok(body),
            401 => Err(Failure::Usage(anyhow!("{url}: the API key is wrong"))),
            _ => {
                let body = String::from_utf8_lossy(&body);
                Err(Failure::Failed(anyhow!("{url}: {status}: {}", body.trim())))
            }
        }
    }
}

/// A name as one segment of a path (RFC 3986 §3.3).
pub(super) fn segment(name: &str) -> String {
    let mut path = String::new();
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                path.push(byte.into());
            }
            byte => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}

/// The largest answer: a capture of `trace.rtp_bytes_per_call` at its largest, with its headers.
const BODY_MAX: u64 = 2 << 30;
