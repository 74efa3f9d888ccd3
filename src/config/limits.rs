//! `[limits]`: bounds on the whole server.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{ConfigError, Section};

/// Bounds on the whole server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls at once; one more is refused with 503.
    pub calls: u32,
    /// How often one call may be transferred; one more is refused with 603.
    pub transfers: u32,
    /// How often one call may come back to us by a forwarding at a carrier; once more is refused with
    /// 482. 0 to 70.
    pub returns: u8,
    /// How long a draining server waits for its calls before it ends them.
    pub drain: Duration,
    /// Connections at once: SIP's, and browsers' once they have logged in or try to.
    pub connections: u32,
    /// Of them, those of one address, or one /64: an office behind one address has as many desks.
    pub connections_per_address: u32,
    /// Of each listener's, those whose peer has not proven who he is. An office that comes back after its line
    /// has failed is so many strangers, for a moment.
    pub strangers: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls: 1_000,
            transfers: 8,
            returns: 2,
            drain: Duration::from_secs(300),
            connections: 8_192,
            connections_per_address: 1_024,
            strangers: 1_024,
        }
    }
}

impl Limits {
    pub(super) fn read(mut limits: Section) -> Result<Self, ConfigError> {
        let usual = Self::default();
        let day = Duration::from_secs(86_400);
        let read = Self {
            calls: number(&mut limits, "calls", 1..=100_000, usual.calls)?,
            transfers: number(&mut limits, "transfers", 0..=100, usual.transfers)?,
            returns: number(&mut limits, "returns", 0..=70, usual.returns)?,
            drain: limits
                .duration("drain", Duration::ZERO..=day)?
                .unwrap_or(usual.drain),
            connections: number(&mut limits, "connections", CONNECTIONS, usual.connections)?,
            connections_per_address: number(
                &mut limits,
                "connections_per_address",
                CONNECTIONS,
                usual.connections_per_address,
            )?,
            strangers: number(&mut limits, "strangers", CONNECTIONS, usual.strangers)?,
        };
        limits.finish()?;
        Ok(read)
    }
}

fn number<T: TryFrom<i64>>(
    limits: &mut Section,
    key: &str,
    range: RangeInclusive<i64>,
    usual: T,
) -> Result<T, ConfigError> {
    let given = limits.integer(key, range)?;
    Ok(given.and_then(|it| T::try_from(it).ok()).unwrap_or(usual))
}

/// The most that control remembers to have vouched for is 65,536.
const CONNECTIONS: RangeInclusive<i64> = 16..=60_000;
