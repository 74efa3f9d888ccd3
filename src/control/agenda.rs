//! Which call is due when: one deadline a call, the earliest first.

use std::collections::{BTreeMap, BTreeSet};

use clock::Now;

use crate::call::CallId;

/// The calls' deadlines. Setting and popping cost O(log n).
#[derive(Debug, Default)]
pub(super) struct Agenda {
    by_time: BTreeSet<(Now, CallId)>,
    by_call: BTreeMap<CallId, Now>,
}

impl Agenda {
    /// Replaces the call's deadline; `None` forgets it.
    pub(super) fn set(&mut self, call: CallId, at: Option<Now>) {
        if let Some(before) = self.by_call.remove(&call) {
            self.by_time.remove(&(before, call));
        }
        if let Some(at) = at {
            self.by_call.insert(call, at);
            self.by_time.insert((at, call));
        }
    }

    /// The next deadline of all.
    pub(super) fn next(&self) -> Option<Now> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes one call that is due at `now`.
    pub(super) fn pop_due(&mut self, now: Now) -> Option<CallId> {
        let (at, call) = self.by_time.first().copied().filter(|(at, _)| *at <= now)?;
        self.by_time.remove(&(at, call));
        self.by_call.remove(&call);
        Some(call)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_earliest_is_due_first_and_a_deadline_that_was_replaced_never_is() {
        let mut agenda = Agenda::default();
        let at = |ms| Now::ZERO + Duration::from_millis(ms);
        agenda.set(CallId(1), Some(at(10)));
        agenda.set(CallId(2), Some(at(5)));
        agenda.set(CallId(1), Some(at(3)));
        agenda.set(CallId(2), None);
        assert_eq!(agenda.next(), Some(at(3)));
        assert_eq!(agenda.pop_due(at(2)), None);
        assert_eq!(agenda.pop_due(at(20)), Some(CallId(1)));
        assert_eq!(agenda.pop_due(at(20)), None);
    }
}
