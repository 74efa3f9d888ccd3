//! One direction of one path through the network: when, and whether, a packet arrives.

use clock::{Duration, Now};

use crate::Random;

/// Loss in bursts: a chain of two states (Gilbert 1960, Elliott 1963).
#[derive(Clone, Copy, Debug, Default)]
pub struct Gilbert {
    /// From good to bad, per mille a packet.
    pub worsens: u32,
    /// From bad to good, per mille a packet.
    pub recovers: u32,
    /// Lost while good, per mille.
    pub lost_good: u32,
    /// Lost while bad, per mille.
    pub lost_bad: u32,
}

impl Gilbert {
    /// Loss without memory.
    pub const fn even(per_mille: u32) -> Self {
        Self {
            worsens: 0,
            recovers: 1_000,
            lost_good: per_mille,
            lost_bad: per_mille,
        }
    }
}

/// What a path does to packets. The default is a perfect path without delay.
#[derive(Clone, Copy, Debug, Default)]
pub struct Impairment {
    /// Always.
    pub delay: Duration,
    /// On top, evenly distributed; packets keep their order unless reordered.
    pub jitter: Duration,
    /// What is lost.
    pub loss: Gilbert,
    /// Packets that are overtaken, per mille.
    pub reorder: u32,
    /// Packets that arrive twice, per mille.
    pub duplicate: u32,
}

impl Impairment {
    /// A path that only takes its time.
    pub fn clean(delay: Duration) -> Self {
        Self {
            delay,
            ..Self::default()
        }
    }

    /// Whether every packet arrives once, in order, evenly.
    pub fn is_clean(&self) -> bool {
        self.jitter == Duration::ZERO
            && self.loss.lost_good == 0
            && (self.loss.worsens == 0 || self.loss.lost_bad == 0)
            && self.reorder == 0
            && self.duplicate == 0
    }
}

/// One direction of a path, with its memory.
#[derive(Clone, Debug)]
pub struct Link {
    what: Impairment,
    /// A byte stream: what is lost is sent again below us, and order is kept.
    reliable: bool,
    bad: bool,
    last: Now,
    random: Random,
}

/// How long a stream takes to notice a loss: a TCP retransmission time-out of its least value.
const STREAM_RETRY: Duration = Duration::from_millis(200);

/// How far a packet that is overtaken falls back.
const OVERTAKEN: Duration = Duration::from_millis(40);

impl Link {
    /// A path for datagrams, or for a stream (`reliable`).
    pub const fn new(what: Impairment, reliable: bool, random: Random) -> Self {
        Self {
            what,
            reliable,
            bad: false,
            last: Now::ZERO,
            random,
        }
    }

    /// When a packet sent now arrives: never, once or twice.
    pub fn carry(&mut self, now: Now) -> [Option<Now>; 2] {
        let jitter_ms = self.what.jitter.as_millis() as u64;
        let mut at = now + self.what.delay + self.random.millis(0, jitter_ms.max(1));
        if self.reliable {
            let mut tries = 0;
            while tries < 5 && self.loses() {
                at += STREAM_RETRY * (1 << tries);
                tries += 1;
            }
            self.last = self.last.max(at);
            return [Some(self.last), None];
        }
        if self.loses() {
            return [None, None];
        }
        if self.random.chance(self.what.reorder) {
            at += OVERTAKEN;
        } else {
            self.last = self.last.max(at);
            at = self.last;
        }
        let twice = self.random.chance(self.what.duplicate);
        let again = twice.then(|| at + self.random.millis(0, 30));
        [Some(at), again]
    }

    fn loses(&mut self) -> bool {
        let loss = self.what.loss;
        let turn = if self.bad {
            loss.recovers
        } else {
            loss.worsens
        };
        if turn > 0 && self.random.chance(turn) {
            self.bad = !self.bad;
        }
        let lost = if self.bad {
            loss.lost_bad
        } else {
            loss.lost_good
        };
        self.random.chance(lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(what: Impairment, reliable: bool) -> Vec<Vec<u64>> {
        let mut link = Link::new(what, reliable, Random::new(7));
        let sent = (0..1_000).map(|n| Now::ZERO + Duration::from_millis(n * 20));
        sent.map(|now| {
            link.carry(now)
                .into_iter()
                .flatten()
                .map(Now::as_millis)
                .collect()
        })
        .collect()
    }

    #[test]
    fn a_clean_path_delivers_each_packet_once_after_its_delay() {
        let clean = Impairment::clean(Duration::from_millis(30));
        for (n, got) in arrivals(clean, false).into_iter().enumerate() {
            assert_eq!(got, [n as u64 * 20 + 30]);
        }
    }

    #[test]
    fn a_stream_loses_nothing_and_keeps_its_order() {
        let what = Impairment {
            loss: Gilbert::even(300),
            jitter: Duration::from_millis(100),
            reorder: 100,
            ..Impairment::default()
        };
        let got: Vec<u64> = arrivals(what, true).into_iter().flatten().collect();
        assert_eq!(got.len(), 1_000);
        assert!(got.is_sorted());
    }

    #[test]
    fn datagrams_are_lost_as_often_as_said_and_some_are_overtaken() {
        let what = Impairment {
            loss: Gilbert::even(300),
            reorder: 100,
            duplicate: 50,
            ..Impairment::default()
        };
        let got = arrivals(what, false);
        let lost = got.iter().filter(|got| got.is_empty()).count();
        assert!((250..350).contains(&lost), "{lost}");
        assert!(got.iter().any(|got| got.len() == 2));
        let first: Vec<u64> = got.iter().filter_map(|got| got.first().copied()).collect();
        assert!(!first.is_sorted());
    }
}
