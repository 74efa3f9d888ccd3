//! Who guesses passwords is slowed: the answer to a wrong one is held, the longer the more came before it.
//!
//! Pure, and bounded in what is under way at once and in the sources remembered. Bans are another matter:
//! they are control's, for all that a source says.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use clock::Now;

/// What is under way, and who was wrong lately.
#[derive(Clone, Debug, Default)]
pub struct Slow {
    sources: BTreeMap<IpAddr, Source>,
    under_way: usize,
}

#[derive(Clone, Copy, Debug)]
struct Source {
    under_way: usize,
    failures: u32,
    latest: Now,
}

impl Slow {
    /// Begins an attempt; `false` while the source, or all together, have as many under way as they may.
    /// Each that begins ends by [`Slow::leave`].
    pub fn enter(&mut self, now: Now, source: IpAddr) -> bool {
        let of_source = self.sources.get(&source).map_or(0, |it| it.under_way);
        if self.under_way >= UNDER_WAY_MAX || of_source >= OF_SOURCE_MAX {
            return false;
        }
        self.make_room(now);
        let fresh = Source {
            under_way: 0,
            failures: 0,
            latest: now,
        };
        let it = self.sources.entry(source).or_insert(fresh);
        if now.since(it.latest) > FORGET {
            it.failures = 0;
        }
        (it.under_way, it.latest) = (it.under_way + 1, now);
        self.under_way += 1;
        true
    }

    /// The attempt was wrong: how long its answer is to be held.
    pub fn failed(&mut self, now: Now, source: IpAddr) -> Duration {
        let Some(it) = self.sources.get_mut(&source) else {
            return Duration::ZERO;
        };
        (it.failures, it.latest) = (it.failures.saturating_add(1), now);
        match it.failures.checked_sub(FREE) {
            None | Some(0) => Duration::ZERO,
            Some(more) => (FIRST * (1 << (more - 1).min(8))).min(LONGEST),
        }
    }

    /// The attempt was right: what was wrong before it was a slip of the finger.
    pub fn succeeded(&mut self, source: IpAddr) {
        if let Some(it) = self.sources.get_mut(&source) {
            it.failures = 0;
        }
    }

    /// The attempt has been answered.
    pub fn leave(&mut self, source: IpAddr) {
        if let Some(it) = self.sources.get_mut(&source) {
            it.under_way = it.under_way.saturating_sub(1);
            if it.under_way == 0 && it.failures == 0 {
                self.sources.remove(&source);
            }
        }
        self.under_way = self.under_way.saturating_sub(1);
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.sources.len()
    }

    /// The source that was quiet for longest goes when there are [`SOURCES_MAX`].
    fn make_room(&mut self, now: Now) {
        if self.sources.len() < SOURCES_MAX {
            return;
        }
        let quiet = |it: &Source| it.under_way == 0;
        self.sources
            .retain(|_, it| !quiet(it) || now.since(it.latest) <= FORGET);
        let oldest = self.sources.iter().filter(|(_, it)| quiet(it));
        let oldest = oldest.min_by_key(|(_, it)| it.latest).map(|(ip, _)| *ip);
        if let Some(ip) = oldest.filter(|_| self.sources.len() >= SOURCES_MAX) {
            self.sources.remove(&ip);
        }
    }
}

/// Attempts under way at once: each takes a password's time, and holds a connection meanwhile.
const UNDER_WAY_MAX: usize = 128;
/// Of one source: an office behind one address logs in together.
const OF_SOURCE_MAX: usize = 32;
/// Sources remembered; some 100 bytes each.
const SOURCES_MAX: usize = 4_096;
/// So many wrong ones are answered at once.
const FREE: u32 = 2;
/// How long the next one is held; each further one twice as long.
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(4);
/// After so long a quiet, what was wrong is forgotten.
const FORGET: Duration = Duration::from_secs(600);
