//! One leg's keys, as plain data: which way they come by, and those that wait to go by INFO.

use std::collections::VecDeque;

use clock::{Duration, Now};

use super::Dtmf;
use crate::call::DtmfVia;

/// One leg's keys.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    mode: Dtmf,
    /// Whether a key has come as media.
    by_media: bool,
    /// The last one that came by INFO.
    by_info: Option<(char, Now)>,
    waiting: VecDeque<(char, u16)>,
    /// Whether an INFO of ours awaits its answer.
    asked: bool,
}

/// Keys that may wait for a peer to answer the INFO before; one more is dropped.
const WAITING_MAX: usize = 32;

/// A key that comes as media this soon after the same by INFO is that key.
const SAME: Duration = Duration::from_millis(1_000);

impl Keys {
    pub(crate) fn new(mode: Dtmf) -> Self {
        Self {
            mode,
            by_media: false,
            by_info: None,
            waiting: VecDeque::new(),
            asked: false,
        }
    }

    pub(crate) fn mode(&self) -> Dtmf {
        self.mode
    }

    /// Whether a key that came counts. Some telephones send each key by INFO and as an event as well:
    /// once one came as media, INFO says nothing new.
    pub(crate) fn takes(&mut self, now: Now, digit: char, via: DtmfVia) -> bool {
        match (self.mode, via) {
            (Dtmf::Auto, DtmfVia::Info) => {
                self.by_info = Some((digit, now));
                !self.by_media
            }
            (Dtmf::Auto, DtmfVia::Rfc4733 | DtmfVia::InBand) => {
                let first = !std::mem::replace(&mut self.by_media, true);
                let same = |(was, at): (char, Now)| was == digit && now - at <= SAME;
                !(first && self.by_info.is_some_and(same))
            }
            (Dtmf::Info, via) => via == DtmfVia::Info,
            (Dtmf::Rfc4733 | Dtmf::InBand, via) => via != DtmfVia::Info,
        }
    }

    /// A key is to go by INFO: whether now, or later; `None` if too many wait.
    pub(crate) fn queue(&mut self, digit: char, duration_ms: u16) -> Option<bool> {
        if !self.asked {
            self.asked = true;
            return Some(true);
        }
        if self.waiting.len() >= WAITING_MAX {
            return None;
        }
        self.waiting.push_back((digit, duration_ms));
        Some(false)
    }

    /// The INFO before is answered: the next key to go, if one waits.
    pub(crate) fn next(&mut self) -> Option<(char, u16)> {
        let next = self.waiting.pop_front();
        self.asked = next.is_some();
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_counts_once_whichever_ways_it_comes_by() {
        use DtmfVia::{InBand, Info, Rfc4733};
        type Pressed<'a> = &'a [(u64, char, DtmfVia, bool)];
        let table: [(Dtmf, Pressed<'_>); 6] = [
            (
                Dtmf::Auto,
                &[(0, '1', Rfc4733, true), (20, '1', Info, false)],
            ),
            (
                Dtmf::Auto,
                &[
                    (0, '1', Info, true),
                    (200, '1', Rfc4733, false),
                    (900, '1', Info, false),
                    (950, '1', Rfc4733, true),
                ],
            ),
            (
                Dtmf::Auto,
                &[
                    (0, '1', Info, true),
                    (200, '1', Info, true),
                    (400, '2', InBand, true),
                ],
            ),
            (
                Dtmf::Rfc4733,
                &[(0, '1', Info, false), (20, '1', Rfc4733, true)],
            ),
            (
                Dtmf::Info,
                &[(0, '1', InBand, false), (20, '1', Info, true)],
            ),
            (
                Dtmf::InBand,
                &[(0, '1', Info, false), (20, '1', InBand, true)],
            ),
        ];
        for (mode, pressed) in table {
            let mut keys = Keys::new(mode);
            for (ms, digit, via, counts) in pressed {
                let now = Now::ZERO + Duration::from_millis(*ms);
                assert_eq!(
                    keys.takes(now, *digit, *via),
                    *counts,
                    "{mode:?} {ms} {via:?}"
                );
            }
        }
    }

    #[test]
    fn keys_by_info_wait_for_the_answer_before_in_order_and_never_too_many() {
        let mut keys = Keys::new(Dtmf::Info);
        assert_eq!(keys.queue('1', 100), Some(true));
        for _ in 0..WAITING_MAX {
            assert_eq!(keys.queue('2', 100), Some(false));
        }
        assert_eq!(keys.queue('3', 100), None);
        for _ in 0..WAITING_MAX {
            assert_eq!(keys.next(), Some(('2', 100)));
        }
        assert_eq!(keys.next(), None);
        assert_eq!(keys.queue('4', 100), Some(true));
    }
}
