//! `[trace]`: what is kept of calls, for how long, and where it is sent.

use std::net::SocketAddr;
use std::time::Duration;

use super::Redaction;
use crate::config::{ConfigError, Secret, Section};

/// What is kept of calls, for how long, and where it is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceConfig {
    /// Whether anything is kept at all.
    pub enabled: bool,
    /// Entries of one call: the first half and the latest half stay.
    pub entries_per_call: usize,
    /// Bytes of one call's messages and notes.
    pub bytes_per_call: usize,
    /// Bytes of all of them together: the calls that ended first are forgotten first.
    pub bytes: usize,
    /// How long a call is kept after its end.
    pub keep: Duration,
    /// What is masked before it is kept.
    pub redaction: Redaction,
    /// Packets of sound.
    pub rtp: RtpConfig,
    /// A Homer that is sent a copy.
    pub hep: Option<HepConfig>,
}

/// Packets of sound and their reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpConfig {
    /// Whether those of every call are kept; else of calls for which it is asked.
    pub every_call: bool,
    /// Bytes of one call: the latest stay.
    pub bytes_per_call: usize,
    /// Bytes of all calls together.
    pub bytes: usize,
    /// Ports captured at once; each costs a ring of some 140 kB.
    pub ports: usize,
}

/// A Homer, spoken to by HEP3 over UDP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HepConfig {
    /// Its address.
    pub to: SocketAddr,
    /// Who we are to it.
    pub capture_id: u32,
    /// What it wants to hear, if anything.
    pub password: Option<Secret>,
    /// Whether it gets the reports of sound (RTCP) of captured calls too.
    pub rtcp: bool,
}

impl TraceConfig {
    /// Reads the section.
    ///
    /// # Errors
    /// [`ConfigError`] with the key, the rule and the value.
    pub fn read(mut section: Section) -> Result<Self, ConfigError> {
        let enabled = section.boolean("enabled")?.unwrap_or(true);
        let mut size = |key: &str, range, default| -> Result<usize, ConfigError> {
            let size = section.integer(key, range)?;
            Ok(size
                .and_then(|n| usize::try_from(n).ok())
                .unwrap_or(default))
        };
        let entries_per_call = size("entries_per_call", 16..=100_000, 512)?;
        let bytes_per_call = size("bytes_per_call", 16 << 10..=64 << 20, 256 << 10)?;
        let bytes = size("bytes", 1 << 20..=4 << 30, 32 << 20)?;
        let rtp_bytes_per_call = size("rtp_bytes_per_call", 64 << 10..=1 << 30, 16 << 20)?;
        let rtp_bytes = size("rtp_bytes", 1 << 20..=16 << 30, 64 << 20)?;
        let ports = size("rtp_ports", 1..=10_000, 100)?;
        let every_call = section.boolean("rtp")?.unwrap_or(false);
        let keep = section.duration("keep", Duration::from_secs(1)..=DAY)?;
        let headers = section.texts("redact_headers")?.unwrap_or_default();
        let redaction = Redaction {
            on: section.boolean("redact")?.unwrap_or(true),
            headers: headers.iter().map(|it| it.trim().to_lowercase()).collect(),
            digits: section.boolean("redact_digits")?.unwrap_or(false),
        };
        let hep = HepConfig::read(section.section("hep")?)?;
        if hep.is_some() && !enabled {
            return Err(section.refuse("enabled", "true where trace.hep.to is set", "false"));
        }
        section.finish()?;
        Ok(Self {
            enabled,
            entries_per_call,
            bytes_per_call,
            bytes,
            keep: keep.unwrap_or(Duration::from_secs(600)),
            redaction,
            rtp: RtpConfig {
                every_call,
                bytes_per_call: rtp_bytes_per_call,
                bytes: rtp_bytes,
                ports,
            },
            hep,
        })
    }
}

impl HepConfig {
    fn read(mut section: Section) -> Result<Option<Self>, ConfigError> {
        if section.is_empty() {
            return Ok(None);
        }
        let rule = "the address and port of a Homer, such as \"10.0.0.5:9060\"";
        let to = section.parsed("to", rule)?;
        let to = to.ok_or_else(|| section.missing("to", rule))?;
        let capture_id = section.integer("capture_id", 0..=i64::from(u32::MAX))?;
        let password = section.secret("password")?.filter(|it| !it.is_empty());
        let rtcp = section.boolean("rtcp")?.unwrap_or(true);
        section.finish()?;
        Ok(Some(Self {
            to,
            capture_id: capture_id
                .and_then(|id| u32::try_from(id).ok())
                .unwrap_or(2_001),
            password: password.map(Secret::new),
            rtcp,
        }))
    }
}

const DAY: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::TraceConfig;
    use crate::config::Section;

    fn read(text: &str) -> Result<TraceConfig, String> {
        let section = Section::from_toml(text.parse().unwrap());
        TraceConfig::read(section).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_set_keeps_signalling_and_masks_secrets() {
        let config = read("").unwrap();
        assert!(config.enabled && config.redaction.on && !config.redaction.digits);
        assert!(!config.rtp.every_call && config.hep.is_none());
    }

    #[test]
    fn a_mistake_is_told_with_its_key_and_a_password_is_not_shown() {
        for (text, want) in [
            ("bytes = 5", "bytes: want a whole number from 1048576"),
            ("keeps = \"5m\"", "keeps"),
            ("[hep]\ncapture_id = 1", "to"),
            ("[hep]\nto = \"homer\"", "to: want the address"),
            (
                "enabled = false\n[hep]\nto = \"127.0.0.1:9060\"",
                "enabled: want true",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(want), "{text}: {error}");
        }
        let config = read("[hep]\nto = \"127.0.0.1:9060\"\npassword = \"5ecret\"").unwrap();
        assert!(!format!("{config:?}").contains("5ecret"));
    }
}
