//! Who guesses passwords is not heard for a while.
//!
//! ```text
//!   failures within the window ──▶ banned ──▶ over, remembered ──▶ forgotten
//!                                     ▲   twice as long   │
//!                                     └───── again ───────┘
//! ```
//!
//! The law: pure and bounded. A failure counts only where its sender was proven to be at its address:
//! on a connection, or on UDP by a nonce that was sent there; a datagram's source may be forged, and
//! whoever could have others banned by forging them would have a weapon of ours. At 1,000,000 entries
//! the table takes less than 64 MB; when a set is full the entry goes that matters least: one without a
//! ban before one with, of these the one that ends first.

use std::net::IpAddr;

use clock::{Duration, Now};

use super::crowd::{Crowd, Origin};

/// When a source is banned, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BanRules {
    /// So many failures within the window ban; 0: nobody is ever banned.
    pub failures: u16,
    /// The window.
    pub window: Duration,
    /// How long the first ban lasts; each further one twice as long.
    pub first: Duration,
    /// No ban is longer; and so long is a ban remembered after its end.
    pub longest: Duration,
    /// Sources remembered.
    pub entries: usize,
}

impl Default for BanRules {
    fn default() -> Self {
        Self {
            failures: 10,
            window: Duration::from_secs(60),
            first: Duration::from_secs(600),
            longest: Duration::from_secs(86_400),
            entries: 250_000,
        }
    }
}

/// The list.
#[derive(Debug)]
pub struct Bans {
    rules: BanRules,
    sources: Crowd<Record>,
    begun: u64,
}

/// Twelve bytes a source. Times are seconds of the clock.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    /// When the window began.
    since: u32,
    /// When the ban ends; 0 without one.
    until: u32,
    failures: u16,
    /// How often it was banned.
    times: u16,
}

/// One banned source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ban {
    /// The address, or the first of a banned /64.
    pub source: IpAddr,
    /// How long yet.
    pub left: Duration,
    /// The how-manieth ban it is.
    pub times: u16,
}

impl Bans {
    /// Nobody is banned. `seed` must be unpredictable.
    pub fn new(rules: BanRules, seed: u64) -> Self {
        Self {
            sources: Crowd::new(rules.entries, seed),
            rules,
            begun: 0,
        }
    }

    /// Puts other rules in force; bans in force stay. The size of the table holds until a restart.
    pub fn configure(&mut self, rules: BanRules) {
        self.rules = rules;
    }

    /// Whether whoever is at `ip` is banned.
    pub fn is_banned(&mut self, now: Now, ip: IpAddr) -> bool {
        // Most of the time nobody is known: then this costs nothing.
        !self.sources.is_empty()
            && self
                .sources
                .get_mut(Origin::of(ip))
                .is_some_and(|record| record.until > seconds(now))
    }

    /// Counts a failure of whoever is at `ip`, who was proven to be there; `Some` if it bans him now.
    pub fn failed(&mut self, now: Now, ip: IpAddr) -> Option<Duration> {
        if self.rules.failures == 0 {
            return None;
        }
        let (at, rules) = (seconds(now), &self.rules);
        let (window, longest) = (whole(rules.window), whole(rules.longest));
        let fresh = Record::default();
        let worth = |record: &Record| match record.until > at {
            true => u64::from(record.until) << 32,
            false => u64::from(record.since),
        };
        let record = self.sources.entry(Origin::of(ip), fresh, worth)?;
        if record.until > at {
            return None;
        }
        if record.until != 0 && at - record.until > longest {
            record.times = 0;
            record.until = 0;
        }
        if record.failures == 0 || at.saturating_sub(record.since) > window {
            record.since = at;
            record.failures = 0;
        }
        record.failures = record.failures.saturating_add(1);
        if record.failures < rules.failures {
            return None;
        }
        let doubled = u64::from(whole(rules.first)) << record.times.min(20);
        let lasts = u32::try_from(doubled).map_or(longest, |lasts| lasts.min(longest));
        record.failures = 0;
        record.times = record.times.saturating_add(1);
        record.until = at.saturating_add(lasts);
        self.begun += 1;
        Some(Duration::from_secs(u64::from(lasts)))
    }

    /// Ends a ban and forgets the source; `false` if it was not banned.
    pub fn lift(&mut self, now: Now, ip: IpAddr) -> bool {
        let record = self.sources.remove(Origin::of(ip));
        record.is_some_and(|record| record.until > seconds(now))
    }

    /// The bans in force, the longest yet to last first; at most `limit`.
    pub fn list(&self, now: Now, limit: usize) -> Vec<Ban> {
        let at = seconds(now);
        let ban = |(origin, record): (Origin, &Record)| Ban {
            source: origin.address(),
            left: Duration::from_secs(u64::from(record.until - at)),
            times: record.times,
        };
        let banned = self.sources.iter().filter(|(_, record)| record.until > at);
        let mut bans: Vec<Ban> = banned.map(ban).collect();
        bans.sort_by_key(|ban| (std::cmp::Reverse(ban.left), ban.source));
        bans.truncate(limit);
        bans
    }

    /// Sources remembered, banned or not.
    pub const fn remembered(&self) -> usize {
        self.sources.len()
    }

    /// Bans that ever began, and entries forgotten for want of room.
    pub const fn counts(&self) -> (u64, u64) {
        (self.begun, self.sources.evicted())
    }

    /// Bytes that the table takes.
    pub fn bytes(&self) -> usize {
        self.sources.bytes()
    }
}

fn seconds(now: Now) -> u32 {
    u32::try_from(now.as_millis() / 1_000).unwrap_or(u32::MAX)
}

fn whole(span: Duration) -> u32 {
    u32::try_from(span.as_secs()).unwrap_or(u32::MAX)
}
