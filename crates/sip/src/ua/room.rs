//! Room in the tables: who finds some, and what a flood made them take goes back once most of it is over.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

use clock::Now;

use super::UserAgent;

impl UserAgent {
    /// Whether a new call may have a transaction when `waiting` others have theirs: what would be turned
    /// away for want of room need not wait for that.
    pub fn has_room_for_call(&mut self, now: Now, waiting: usize) -> bool {
        let taken = self.servers.len().saturating_add(waiting);
        let limit = self.config.limits.transactions;
        taken < limit || taken - limit < self.servers.spare(|tx| tx.is_spare(now))
    }

    /// Shrinks the tables that have far too much room.
    pub(super) fn give_back(&mut self) {
        relax(&mut self.branches);
        relax(&mut self.requests);
        relax(&mut self.tags);
        relax(&mut self.unacked);
        let initials = &mut self.initials;
        if let Some(enough) = enough(initials.len(), initials.capacity()) {
            initials.shrink_to(enough);
        }
    }

    /// Entries that the tables have room for.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        let maps = self.branches.capacity() + self.requests.capacity() + self.tags.capacity();
        maps + self.initials.capacity() + self.unacked.capacity()
    }
}

fn relax<K: Eq + Hash, V, S: BuildHasher>(map: &mut HashMap<K, V, S>) {
    if let Some(enough) = enough(map.len(), map.capacity()) {
        map.shrink_to(enough);
    }
}

/// The room that a table should have instead, if it has far too much: so seldom that the copying costs
/// nothing beside what filled it.
fn enough(len: usize, capacity: usize) -> Option<usize> {
    let enough = KEPT.max(2 * len);
    (capacity / 8 > enough).then_some(enough)
}

/// Entries that an empty table keeps room for.
const KEPT: usize = 1_024;
