//! Queues: what an operator sets, and who waits.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use clock::{Duration, Now};

use super::AgentId;
use crate::call::CallId;

/// A queue as configured. Start from [`QueueConfig::named`] and set what differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueConfig {
    /// The queue's name, unique in the centre.
    pub name: String,
    /// Who is chosen among the free agents.
    pub strategy: Strategy,
    /// Who serves it, by name; a name that is no agent is ignored until it becomes one.
    pub agents: Vec<AgentId>,
    /// The music that its callers hear; the default music if `None`.
    pub music: Option<String>,
    /// How long one agent's phone rings before the next is tried; at least [`RING_MIN`].
    pub ring: Duration,
    /// The time after a call in which its agent gets no other.
    pub wrap_up: Duration,
    /// The longest wait, unless the call brings its own; unbounded if `None`.
    pub max_wait: Option<Duration>,
    /// Calls waiting at once; who comes later is refused with [`Left::Full`](super::Left::Full).
    pub max_len: usize,
    /// Whether callers are told their position.
    pub announce: Option<Announce>,
    /// What follows when an agent refuses or misses a call.
    pub refusal: Refusal,
    /// What callers do while no agent is on duty.
    pub without_agents: WithoutAgents,
}

impl QueueConfig {
    /// A queue of that name that rings for 20 s, without agents, wrap-up, bound on waiting or announcements.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            strategy: Strategy::default(),
            agents: Vec::new(),
            music: None,
            ring: Duration::from_secs(20),
            wrap_up: Duration::ZERO,
            max_wait: None,
            max_len: 1_000,
            announce: None,
            refusal: Refusal::default(),
            without_agents: WithoutAgents::default(),
        }
    }
}

/// How the agent is chosen among those who are free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Who has been free for longest; of equals, the first by name.
    #[default]
    LongestIdle,
}

/// When callers are told their position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announce {
    /// Between two announcements; at least [`ANNOUNCE_MIN`].
    pub every: Duration,
    /// Look this often whether the position has changed, and if so tell it at once; at least
    /// [`ANNOUNCE_MIN`]. `None`: a change waits for the next regular announcement.
    pub on_change: Option<Duration>,
}

/// What follows when an agent refuses or misses a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// He gets no call for this long; at least [`REST_MIN`].
    pub rest: Duration,
    /// After so many in a row he is set away; `None`: never. An unreachable phone does not count.
    pub away_after: Option<u32>,
}

impl Default for Refusal {
    fn default() -> Self {
        Self {
            rest: Duration::from_secs(5),
            away_after: Some(3),
        }
    }
}

/// What callers do while no agent of the queue is on duty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WithoutAgents {
    /// They wait: somebody may come.
    #[default]
    Wait,
    /// They leave at once with [`Left::NoAgents`](super::Left::NoAgents).
    Leave,
}

/// The shortest ring: less, and no phone could answer.
pub const RING_MIN: Duration = Duration::from_secs(1);
/// The shortest rest: less, and a phone that refuses at once is called in a tight loop.
pub const REST_MIN: Duration = Duration::from_millis(500);
/// The shortest time between two looks at a caller's position.
pub const ANNOUNCE_MIN: Duration = Duration::from_secs(1);

/// By how much one extension makes a wrap-up longer.
pub const EXTENSION: Duration = Duration::from_secs(60);
/// The longest wrap-up with its extensions: an agent who needs more takes a break.
pub const WRAP_UP_MAX: Duration = Duration::from_secs(30 * 60);

/// A call's rank: higher priority first, then first come. Unique in the centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) priority: Reverse<i32>,
    pub(super) number: u64,
}

/// One call that waits.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) call: CallId,
    pub(super) joined: Now,
    pub(super) stage: Stage,
    /// When the longest wait is over.
    pub(super) leave_at: Option<Now>,
    /// When to look at the position next.
    pub(super) look_at: Option<Now>,
    /// The position last told, and when.
    pub(super) told: Option<(usize, Now)>,
}

impl Waiting {
    /// When something is to be done for this call.
    pub(super) fn deadline(&self) -> Option<Now> {
        match (self.leave_at, self.look_at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

/// Whether the call is being offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Queued,
    Offered { agent: AgentId },
}

/// What a queue has done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) joined: u64,
    pub(super) assigned: u64,
    pub(super) abandoned: u64,
    pub(super) expired: u64,
    pub(super) refused: u64,
    pub(super) waited_assigned: Duration,
    /// For how long a call of it keeps an agent, talk and wrap-up: of the latest calls, each counting an
    /// eighth less than the next.
    pub(super) handling: Option<Duration>,
}

impl Tally {
    /// A call has kept its agent for so long.
    pub(super) fn handled(&mut self, lasted: Duration) {
        self.handling = Some(match self.handling {
            None => lasted,
            Some(before) => before - before / 8 + lasted / 8,
        });
    }
}

/// One queue.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    pub(super) config: QueueConfig,
    /// No longer configured: takes nobody in, and is forgotten once empty.
    pub(super) closing: bool,
    pub(super) waiting: BTreeMap<Place, Waiting>,
    /// Those of `waiting` that are offered to nobody.
    pub(super) open: BTreeSet<Place>,
    pub(super) tally: Tally,
}

impl Queue {
    pub(super) fn new(config: QueueConfig) -> Self {
        Self {
            config,
            closing: false,
            waiting: BTreeMap::new(),
            open: BTreeSet::new(),
            tally: Tally::default(),
        }
    }

    /// One plus those in front; O(those in front).
    pub(super) fn position(&self, place: Place) -> usize {
        1 + self.waiting.range(..place).count()
    }
}
