//! Calls of ours that come back to us: by a carrier that a forwarding leads round in circles.
//!
//! Max-Forwards ends such a round after 70 turns, if every carrier counts it down; many set it anew.
//! So a call that comes in for the number, and from the caller, that a call of ours has just gone out
//! with is known for that call, and has come back once more often.

use std::collections::BTreeMap;

/// Calls out that may come back, by called and shown number.
#[derive(Clone, Debug)]
pub(in crate::trunk) struct Spirals {
    out: BTreeMap<(String, String), Vec<u8>>,
    returns_max: u8,
}

/// One call out, to be forgotten when it ends.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::trunk) struct Turn {
    key: (String, String),
    depth: u8,
}

impl Spirals {
    /// None yet; how often a call may come back.
    pub(in crate::trunk) fn new(returns_max: u8) -> Self {
        let out = BTreeMap::new();
        Self { out, returns_max }
    }

    /// How often a call may come back.
    pub(in crate::trunk) fn returns_max(&self) -> u8 {
        self.returns_max
    }

    /// Sets how often a call may come back from now on.
    pub(in crate::trunk) fn set_returns_max(&mut self, returns_max: u8) {
        self.returns_max = returns_max;
    }

    /// How often a call that comes in has come back already; `None` if too often.
    pub(in crate::trunk) fn depth(&self, called: &str, caller: &str) -> Option<u8> {
        let key = (called.to_owned(), caller.to_owned());
        let before = self.out.get(&key).and_then(|depths| depths.iter().max());
        let depth = before.map_or(0, |depth| depth.saturating_add(1));
        (depth <= self.returns_max).then_some(depth)
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

/// How often a call may come back, unless the operator says otherwise: once by a forwarding, once more by a forwarding of that.
pub(in crate::trunk) const RETURNS_MAX: u8 = 2;
