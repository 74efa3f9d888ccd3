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

/// Whether an agent wants calls: the only thing that he himself decides. While he has a call it is what
/// follows that call and its wrap-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// Wants calls.
    #[default]
    Available,
    /// Wants none for a while.
    Break,
    /// Wants none: he learns.
    Training,
    /// Wants none: gone home.
    Away,
}

impl Wish {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Available, Self::Break, Self::Training, Self::Away];

    /// The word in the API, at the desk and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Break => "break",
            Self::Training => "training",
            Self::Away => "away",
        }
    }

    /// By its word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|wish| wish.name() == name)
    }

    /// Whether queues may give him calls.
    pub const fn takes_calls(self) -> bool {
        matches!(self, Self::Available)
    }

    /// What others see of him while he does nothing.
    const fn state(self) -> AgentState {
        match self {
            Self::Available => AgentState::Available,
            Self::Break => AgentState::Break,
            Self::Training => AgentState::Training,
            Self::Away => AgentState::Away,
        }
    }
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
    /// Wants no calls for a while.
    Break,
    /// Wants no calls: he learns.
    Training,
    /// Wants no calls.
    Away,
}

impl AgentState {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Available,
        Self::Resting,
        Self::Ringing,
        Self::Busy,
        Self::WrapUp,
        Self::Break,
        Self::Training,
        Self::Away,
    ];

    /// The name in the API, in logs and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Resting => "resting",
            Self::Ringing => "ringing",
            Self::Busy => "busy",
            Self::WrapUp => "wrap-up",
            Self::Break => "break",
            Self::Training => "training",
            Self::Away => "away",
        }
    }
}

/// What an agent is doing, with the timer that ends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    /// Free `since` then: the order in which agents are chosen.
    Idle { since: Now },
    /// Refused or missed a call; `lost`: his phone could not be reached.
    Resting { until: Now, lost: bool },
    /// Offered `call`; `idle_since` is kept for the case that the caller gives up first.
    Ringing {
        call: CallId,
        until: Now,
        idle_since: Now,
    },
    /// Serves a call: one of ours, or (`None`) one that no queue gave him.
    Busy { since: Now, serves: Option<Serves> },
    /// Has finished a call and is not ready for the next.
    WrapUp { since: Now, until: Now },
}

/// A call of a queue that an agent serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Serves {
    pub(super) call: CallId,
    pub(super) queue: String,
    /// The time that he gets afterwards.
    pub(super) wrap_up: Duration,
}

/// What was last told of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) state: AgentState,
    pub(super) since: Now,
    /// What follows, and why.
    pub(super) wish: Wish,
    pub(super) reason: Option<Arc<str>>,
}

/// One agent.
#[derive(Clone, Debug)]
pub(super) struct Agent {
    pub(super) config: AgentConfig,
    pub(super) wish: Wish,
    /// Why he wants no calls, in a word of the operator's.
    pub(super) reason: Option<Arc<str>>,
    pub(super) reachable: bool,
    pub(super) activity: Activity,
    /// Calls refused or missed in a row.
    pub(super) misses: u32,
    /// No longer configured: forgotten as soon as he has no call.
    pub(super) retired: bool,
    /// The queues he serves.
    pub(super) queues: BTreeSet<String>,
    pub(super) shown: Shown,
    /// His key in the index of free agents.
    pub(super) free_since: Option<Now>,
}

impl Agent {
    pub(super) fn new(now: Now, config: AgentConfig) -> Self {
        let wish = config.wish;
        let shown = Shown {
            state: wish.state(),
            since: now,
            wish,
            reason: None,
        };
        Self {
            config,
            wish,
            reason: None,
            reachable: false,
            activity: Activity::Idle { since: now },
            misses: 0,
            retired: false,
            queues: BTreeSet::new(),
            shown,
            free_since: None,
        }
    }

    /// What others see.
    pub(super) fn state(&self) -> AgentState {
        match (&self.activity, self.wish) {
            (Activity::Ringing { .. }, _) => AgentState::Ringing,
            (Activity::Busy { .. }, _) => AgentState::Busy,
            (Activity::WrapUp { .. }, _) => AgentState::WrapUp,
            (Activity::Resting { .. }, Wish::Available) => AgentState::Resting,
            (Activity::Resting { .. } | Activity::Idle { .. }, wish) => wish.state(),
        }
    }

    /// Whether he serves calls now or will, without doing anything, soon.
    pub(super) fn on_duty(&self) -> bool {
        self.reachable && !self.retired && self.wish.takes_calls()
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
            Activity::Resting { until, .. }
            | Activity::Ringing { until, .. }
            | Activity::WrapUp { until, .. } => Some(until),
            Activity::Idle { .. } | Activity::Busy { .. } => None,
        }
    }

    /// The call offered to him, or that he serves.
    pub(super) fn call(&self) -> Option<CallId> {
        match self.activity {
            Activity::Ringing { call, .. } => Some(call),
            Activity::Busy { ref serves, .. } => serves.as_ref().map(|it| it.call),
            _ => None,
        }
    }

    /// What follows the call that he has, or its wrap-up, if that is not the next call.
    pub(super) fn next(&self) -> Option<Wish> {
        let has_call = !matches!(
            self.activity,
            Activity::Idle { .. } | Activity::Resting { .. }
        );
        (has_call && !self.wish.takes_calls()).then_some(self.wish)
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
