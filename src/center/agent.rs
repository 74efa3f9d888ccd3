//! Agents: who serves calls, and what each is doing.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use clock::{Duration, Now};

use crate::call::CallId;

/// An agent's name, unique in the centre. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentId(Arc<str>);

impl AgentId {
    /// The agent of that name.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for AgentId {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An agent as provisioned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentConfig {
    /// The agent's name.
    pub id: AgentId,
    /// The endpoint that rings for this agent.
    pub endpoint: String,
    /// What the agent wants when the server starts.
    pub wish: Wish,
}

/// Whether an agent wants calls: the only thing that he himself decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// Wants calls.
    #[default]
    Available,
    /// Wants none: a break, or gone home.
    Away,
}

/// What others see of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AgentState {
    /// Waits for a call.
    Available,
    /// Refused or missed a call a moment ago and gets none until his rest is over.
    Resting,
    /// A call is offered.
    Ringing,
    /// Serves a call.
    Busy,
    /// Writes up the last call.
    WrapUp,
    /// Wants no calls.
    Away,
}

impl AgentState {
    /// The name in the API, in logs and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Resting => "resting",
            Self::Ringing => "ringing",
            Self::Busy => "busy",
            Self::WrapUp => "wrap-up",
            Self::Away => "away",
        }
    }
}

/// What an agent is doing, with the timer that ends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    /// Free `since` then: the order in which agents are chosen.
    Idle { since: Now },
    /// Refused or missed a call.
    Resting { until: Now },
    /// Offered `call`; `idle_since` is kept for the case that the caller gives up first.
    Ringing {
        call: CallId,
        until: Now,
        idle_since: Now,
    },
    /// Serves a call: one of ours, or (`None`) one that no queue gave him.
    Busy {
        call: Option<CallId>,
        wrap_up: Duration,
    },
    /// Has finished a call and is not ready for the next.
    WrapUp { until: Now },
}

/// One agent.
#[derive(Clone, Debug)]
pub(super) struct Agent {
    pub(super) config: AgentConfig,
    pub(super) wish: Wish,
    pub(super) reachable: bool,
    pub(super) activity: Activity,
    /// Calls refused or missed in a row.
    pub(super) misses: u32,
    /// No longer configured: forgotten as soon as he has no call.
    pub(super) retired: bool,
    /// The queues he serves.
    pub(super) queues: BTreeSet<String>,
    /// The state last told, and since when.
    pub(super) shown: (AgentState, Now),
    /// His key in the index of free agents.
    pub(super) free_since: Option<Now>,
}

impl Agent {
    pub(super) fn new(now: Now, config: AgentConfig) -> Self {
        let wish = config.wish;
        let shown = match wish {
            Wish::Available => AgentState::Available,
            Wish::Away => AgentState::Away,
        };
        Self {
            config,
            wish,
            reachable: false,
            activity: Activity::Idle { since: now },
            misses: 0,
            retired: false,
            queues: BTreeSet::new(),
            shown: (shown, now),
            free_since: None,
        }
    }

    /// What others see.
    pub(super) fn state(&self) -> AgentState {
        match (&self.activity, self.wish) {
            (Activity::Ringing { .. }, _) => AgentState::Ringing,
            (Activity::Busy { .. }, _) => AgentState::Busy,
            (_, Wish::Away) => AgentState::Away,
            (Activity::WrapUp { .. }, _) => AgentState::WrapUp,
            (Activity::Resting { .. }, _) => AgentState::Resting,
            (Activity::Idle { .. }, _) => AgentState::Available,
        }
    }

    /// Whether he serves calls now or will, without doing anything, soon.
    pub(super) fn on_duty(&self) -> bool {
        self.reachable && !self.retired && self.wish == Wish::Available
    }

    /// Since when he could be offered a call; `None` if he cannot.
    pub(super) fn free(&self) -> Option<Now> {
        match self.activity {
            Activity::Idle { since } if self.on_duty() => Some(since),
            _ => None,
        }
    }

    /// When his activity ends by itself.
    pub(super) fn deadline(&self) -> Option<Now> {
        match self.activity {
            Activity::Resting { until }
            | Activity::Ringing { until, .. }
            | Activity::WrapUp { until } => Some(until),
            Activity::Idle { .. } | Activity::Busy { .. } => None,
        }
    }

    /// The call offered to him, or that he serves.
    pub(super) fn call(&self) -> Option<CallId> {
        match self.activity {
            Activity::Ringing { call, .. } => Some(call),
            Activity::Busy { call, .. } => call,
            _ => None,
        }
    }

    /// Whether this very call rings at him.
    pub(super) fn is_offered(&self, call: CallId) -> bool {
        matches!(self.activity, Activity::Ringing { call: offered, .. } if offered == call)
    }

    /// Begins to wait for calls at `now`: last in the order of choice.
    pub(super) fn idle(&mut self, now: Now) {
        self.activity = Activity::Idle { since: now };
    }
}
