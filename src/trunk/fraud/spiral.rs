//! Calls of ours that come back to us: by a carrier that a forwarding leads round in circles.
//!
//! Max-Forwards ends such a round after 70 turns, if every carrier counts it down; many set it anew.
//! So a call that comes in for the number, and from the caller, that a call of ours has just gone out
//! with is known for that call, and has come back once more often.

use std::collections::BTreeMap;

/// Calls out that may come back, by called and shown number.
#[derive(Clone, Debug, Default)]
pub(in crate::trunk) struct Spirals {
    out: BTreeMap<(String, String), Vec<u8>>,
}

/// One call out, to be forgotten when it ends.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::trunk) struct Turn {
    key: (String, String),
    depth: u8,
}

impl Spirals {
    /// How often a call that comes in has come back already; `None` if too often.
    pub(in crate::trunk) fn depth(&self, called: &str, caller: &str) -> Option<u8> {
        let key = (called.to_owned(), caller.to_owned());
        let before = self.out.get(&key).and_then(|depths| depths.iter().max());
        let depth = before.map_or(0, |depth| depth.saturating_add(1));
        (depth <= TURNS_MAX).then_some(depth)
    }

    /// A call that has come back `depth` times goes out. Held as long as the call.
    pub(in crate::trunk) fn out(&mut self, called: &str, shown: &str, depth: u8) -> Turn {
        let key = (called.to_owned(), shown.to_owned());
        self.out.entry(key.clone()).or_default().push(depth);
        Turn { key, depth }
    }

    /// It has ended.
    pub(in crate::trunk) fn forget(&mut self, turn: &Turn) {
        if let Some(depths) = self.out.get_mut(&turn.key) {
            if let Some(at) = depths.iter().position(|depth| *depth == turn.depth) {
                depths.swap_remove(at);
            }
            if depths.is_empty() {
                self.out.remove(&turn.key);
            }
        }
    }
}

/// How often a call may come back: once by a forwarding, once more by a forwarding of that.
pub(in crate::trunk) const TURNS_MAX: u8 = 2;
