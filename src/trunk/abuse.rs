//! `[abuse]`: what a source may cost us before we know that it is where it says.

use clock::Duration;

use super::ban::BanRules;
use super::source::{SOURCE_RULE, Source};
use crate::config::{ConfigError, Section};

/// The bounds, each with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbuseConfig {
    /// Who is banned when (`failures`, `window`, `ban`, `ban_max`, `ban_entries`).
    pub bans: BanRules,
    /// Who is never banned, besides trunks' addresses (`never_ban`).
    pub never_ban: Vec<Source>,
    /// Bytes sent to a UDP source that has not shown that it hears us, for each byte received from it;
    /// 0: no bound (`amplification`). A forged source is an address that somebody wants flooded.
    pub amplification: u32,
    /// INVITEs of such a source in 32 seconds (`unproven_invites`): more than a carrier's first burst,
    /// less than what fills a server with calls that nobody is in.
    pub unproven_invites: u16,
    /// Final responses to INVITEs of one source whose ACK has not come (`unacknowledged`): each is kept
    /// and sent again for 32 seconds. At 1,000 calls a second and 200 ms of way, 200 are under way.
    pub unacknowledged: usize,
    /// Lines told of turned-away requests in a second; what is more is counted, and the count told.
    pub lines_per_second: u32,
}

impl Default for AbuseConfig {
    fn default() -> Self {
        Self {
            bans: BanRules::default(),
            never_ban: Vec::new(),
            amplification: 3,
            unproven_invites: 64,
            unacknowledged: 250,
            lines_per_second: 100,
        }
    }
}

impl AbuseConfig {
    /// Reads the section.
    ///
    /// # Errors
    /// [`ConfigError`] with key, rule and value.
    pub fn read(mut abuse: Section) -> Result<Self, ConfigError> {
        let usual = Self::default();
        let mut number = |key: &str, range, default: u64| -> Result<u64, ConfigError> {
            let read = abuse.integer(key, range)?;
            Ok(read.and_then(|n| u64::try_from(n).ok()).unwrap_or(default))
        };
        let failures = number("failures", 0..=10_000, usual.bans.failures.into())?;
        let entries = number("ban_entries", 1_000..=4_000_000, usual.bans.entries as u64)?;
        let amplification = number("amplification", 0..=100, usual.amplification.into())?;
        let invites = number(
            "unproven_invites",
            1..=10_000,
            usual.unproven_invites.into(),
        )?;
        let acks = number("unacknowledged", 1..=100_000, usual.unacknowledged as u64)?;
        let lines = number(
            "lines_per_second",
            1..=10_000,
            usual.lines_per_second.into(),
        )?;
        let day = Duration::from_secs(86_400);
        let second = Duration::from_secs(1);
        let bans = BanRules {
            failures: narrow(failures),
            window: abuse
                .duration("window", second..=day)?
                .unwrap_or(usual.bans.window),
            first: abuse
                .duration("ban", second..=day)?
                .unwrap_or(usual.bans.first),
            longest: abuse
                .duration("ban_max", second..=day * 30)?
                .unwrap_or(usual.bans.longest),
            entries: narrow(entries),
        };
        if bans.first > bans.longest {
            let value = format!("{}s", bans.longest.as_secs());
            return Err(abuse.refuse("ban_max", "no less than abuse.ban", &value));
        }
        let mut never_ban = Vec::new();
        for text in abuse.texts("never_ban")?.unwrap_or_default() {
            let source = text
                .parse()
                .map_err(|_| abuse.refuse("never_ban", SOURCE_RULE, &text))?;
            never_ban.push(source);
        }
        abuse.finish()?;
        Ok(Self {
            bans,
            never_ban,
            amplification: narrow(amplification),
            unproven_invites: narrow(invites),
            unacknowledged: narrow(acks),
            lines_per_second: narrow(lines),
        })
    }
}

/// A number whose range was checked.
fn narrow<T: TryFrom<u64> + Default>(number: u64) -> T {
    T::try_from(number).unwrap_or_default()
}
