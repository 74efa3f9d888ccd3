//! The next moment at which each call or agent has something to do: an index over the timers that
//! live in their states, holding at most one entry for each.

use std::collections::{BTreeMap, BTreeSet};

use clock::Now;

use super::AgentId;
use crate::call::CallId;

/// Whose state has a timer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    Agent(AgentId),
    Call(CallId),
}

/// Timers in order of time. Every operation is O(log n).
#[derive(Clone, Debug, Default)]
pub(super) struct Agenda {
    by_time: BTreeSet<(Now, Who)>,
    times: BTreeMap<Who, Now>,
}

impl Agenda {
    /// Replaces the time of `who`; `None` takes it off.
    pub(super) fn set(&mut self, who: Who, at: Option<Now>) {
        let before = match at {
            Some(at) => self.times.insert(who.clone(), at),
            None => self.times.remove(&who),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, who.clone()));
        }
        if let Some(at) = at {
            self.by_time.insert((at, who));
        }
    }

    /// Takes off the earliest that is due at `now`.
    pub(super) fn pop_due(&mut self, now: Now) -> Option<Who> {
        let (at, _) = self.by_time.first()?;
        if *at > now {
            return None;
        }
        let (_, who) = self.by_time.pop_first()?;
        self.times.remove(&who);
        Some(who)
    }

    /// The earliest time set.
    pub(super) fn next(&self) -> Option<Now> {
        self.by_time.first().map(|(at, _)| *at)
    }
}
