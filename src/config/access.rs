//! Tokens: what they are signed with, and how long they are good (docs/access.md).

use std::time::Duration;

use super::{ConfigError, Secret, Section};

/// `[access]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// What tokens are signed with; made at the first start, and kept in the data folder, if `None`.
    pub secret: Option<Secret>,
    /// How long an agent is logged in.
    pub login: Duration,
    /// How long a credential's token is good, unless the credential ends sooner.
    pub credential: Duration,
    /// The longest that a click to call waits for its call.
    pub click_max: Duration,
    /// Calls by clicks in progress at once.
    pub click_calls: u32,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            secret: None,
            login: 12 * HOUR,
            credential: 24 * HOUR,
            click_max: HOUR / 4,
            click_calls: 100,
        }
    }
}

impl Access {
    pub(super) fn read(mut access: Section) -> Result<Self, ConfigError> {
        let usual = Self::default();
        let secret = secret(&mut access, "secret", SECRET_MIN)?;
        let (minute, days_28) = (HOUR / 60, 28 * 24 * HOUR);
        let login = access.duration("login", minute..=7 * 24 * HOUR)?;
        let credential = access.duration("credential", minute..=days_28)?;
        let click_max = access.duration("click_max", Duration::from_secs(10)..=HOUR)?;
        let click_calls = access.integer("click_calls", 0..=100_000)?;
        access.finish()?;
        Ok(Self {
            secret,
            login: login.unwrap_or(usual.login),
            credential: credential.unwrap_or(usual.credential),
            click_max: click_max.unwrap_or(usual.click_max),
            click_calls: click_calls
                .and_then(|calls| u32::try_from(calls).ok())
                .unwrap_or(usual.click_calls),
        })
    }
}

/// A secret that is the key of an HMAC, at least `least` bytes.
pub(super) fn secret(
    section: &mut Section,
    key: &str,
    least: usize,
) -> Result<Option<Secret>, ConfigError> {
    let secret = section.secret(key)?;
    match &secret {
        Some(text) if !(least..=SECRET_MAX).contains(&text.len()) => Err(ConfigError::Value {
            key: section.key(key),
            rule: format!("a secret of {least} to {SECRET_MAX} bytes"),
            value: "(hidden)".to_owned(),
        }),
        _ => Ok(secret.map(Secret::new)),
    }
}

/// The shortest secret that tokens are signed with: as many bytes as HS256 has (RFC 7518 §3.2).
pub const SECRET_MIN: usize = 32;
/// The longest: HMAC takes so many as they are.
const SECRET_MAX: usize = 64;
const HOUR: Duration = Duration::from_secs(3_600);
