//! What the centre looks like from outside: for the API, the metrics, and the question "why does
//! this call wait?".

use std::sync::Arc;

use clock::{Duration, Now};

use super::agent::{Activity, Agent};
use super::queue::{Queue, Stage};
use super::{AgentId, AgentState, Center, Wish};
use crate::call::CallId;

/// The whole centre at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Every queue, by name.
    pub queues: Vec<QueueSnapshot>,
    /// Every agent, by name.
    pub agents: Vec<AgentSnapshot>,
}

/// One queue at one moment. Counts are since the start of the server.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueSnapshot {
    /// Its name.
    pub name: String,
    /// Whether it is no longer configured and waits to be empty.
    pub closing: bool,
    /// Who waits, first first.
    pub waiting: Vec<WaitingSnapshot>,
    /// Its agents by what they do; an agent whose phone cannot be rung is not counted.
    pub agents: Vec<(AgentState, usize)>,
    /// Calls that wanted to wait.
    pub joined: u64,
    /// Calls that an agent took.
    pub assigned: u64,
    /// Calls that left by themselves.
    pub abandoned: u64,
    /// Calls that waited too long or lost their last agent.
    pub expired: u64,
    /// Calls that were not let in.
    pub refused: u64,
    /// The sum of the waits of `assigned`.
    pub waited_assigned: Duration,
}

/// One waiting call at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingSnapshot {
    /// Which call.
    pub call: CallId,
    /// 1 is next.
    pub position: usize,
    /// Higher is served first.
    pub priority: i32,
    /// How long it has waited.
    pub waited: Duration,
    /// The agent who rings for it.
    pub offered_to: Option<AgentId>,
    /// How long it is likely to wait yet ([`Center::expected_wait`]).
    pub expected: Option<Duration>,
}

/// One agent at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentSnapshot {
    /// Who.
    pub id: AgentId,
    /// The endpoint that rings for him.
    pub endpoint: String,
    /// The queues he serves.
    pub queues: Vec<String>,
    /// What he does.
    pub state: AgentState,
    /// For how long.
    pub lasted: Duration,
    /// How long that lasts yet, where it ends by itself: ringing, rest, wrap-up.
    pub left: Option<Duration>,
    /// What follows his call and its wrap-up, if that is not the next call.
    pub next: Option<Wish>,
    /// Why he wants no calls, now or next.
    pub reason: Option<Arc<str>>,
    /// Whether his phone can be rung.
    pub reachable: bool,
    /// The call offered to him, or that he serves.
    pub call: Option<CallId>,
    /// Calls refused or missed in a row.
    pub misses: u32,
}

/// Why an agent of the queue does not take a waiting call now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// His phone cannot be rung.
    Unreachable,
    /// He wants no calls: a break, training, or gone home.
    Away,
    /// He rests after a call refused or missed; ends at that time.
    Resting {
        /// When.
        until: Now,
    },
    /// Another call rings at him.
    RingsForAnother,
    /// This very call rings at him.
    RingsForThis,
    /// He serves a call.
    Busy,
    /// He writes up a call; ends at that time.
    WrapUp {
        /// When.
        until: Now,
    },
    /// He is configured for the queue but is no agent.
    Unknown,
    /// He is free: never seen while calls wait unoffered.
    Free,
}

impl Obstacle {
    /// The name in the API and in explanations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Away => "away",
            Self::Resting { .. } => "resting",
            Self::RingsForAnother => "rings-for-another",
            Self::RingsForThis => "rings-for-this",
            Self::Busy => "busy",
            Self::WrapUp { .. } => "wrap-up",
            Self::Unknown => "unknown",
            Self::Free => "free",
        }
    }
}

impl Center {
    /// Everything, at `now`. Costs O(calls + agents · queues).
    pub fn snapshot(&self, now: Now) -> Snapshot {
        Snapshot {
            queues: self
                .queues
                .values()
                .map(|queue| self.queue_snapshot(now, queue))
                .collect(),
            agents: self
                .agents
                .values()
                .map(|agent| agent_snapshot(now, agent))
                .collect(),
        }
    }

    /// One agent, at `now`.
    pub fn agent(&self, now: Now, id: &AgentId) -> Option<AgentSnapshot> {
        self.agents.get(id).map(|agent| agent_snapshot(now, agent))
    }

    /// Why `call` still waits: for each agent of its queue, what keeps him. `None` if it does not wait.
    pub fn why_waiting(&self, call: CallId) -> Option<Vec<(AgentId, Obstacle)>> {
        Some(self.obstacles(self.queue_of(call)?, call))
    }

    /// For each agent of a queue, what keeps him from `call`; nobody if there is no such queue.
    pub fn obstacles(&self, queue: &str, call: CallId) -> Vec<(AgentId, Obstacle)> {
        let agents = self.queue(queue).map(|queue| queue.agents.as_slice());
        let obstacle = |id: &AgentId| match self.agents.get(id) {
            Some(agent) => (id.clone(), obstacle(agent, call)),
            None => (id.clone(), Obstacle::Unknown),
        };
        agents.unwrap_or_default().iter().map(obstacle).collect()
    }

    fn queue_snapshot(&self, now: Now, queue: &Queue) -> QueueSnapshot {
        let waiting = queue.waiting.iter().enumerate();
        let mut agents: Vec<(AgentState, usize)> = Vec::new();
        let members = queue
            .config
            .agents
            .iter()
            .filter_map(|id| self.agents.get(id));
        for agent in members.filter(|a| a.reachable) {
            match agents.iter_mut().find(|(state, _)| *state == agent.state()) {
                Some((_, count)) => *count += 1,
                None => agents.push((agent.state(), 1)),
            }
        }
        agents.sort_unstable();
        QueueSnapshot {
            name: queue.config.name.clone(),
            closing: queue.closing,
            waiting: waiting
                .map(|(ahead, (place, w))| WaitingSnapshot {
                    call: w.call,
                    position: ahead + 1,
                    priority: place.priority.0,
                    waited: now - w.joined,
                    offered_to: match &w.stage {
                        Stage::Offered { agent } => Some(agent.clone()),
                        Stage::Queued => None,
                    },
                    expected: self.expected(queue, ahead + 1),
                })
                .collect(),
            agents,
            joined: queue.tally.joined,
            assigned: queue.tally.assigned,
            abandoned: queue.tally.abandoned,
            expired: queue.tally.expired,
            refused: queue.tally.refused,
            waited_assigned: queue.tally.waited_assigned,
        }
    }
}

fn agent_snapshot(now: Now, agent: &Agent) -> AgentSnapshot {
    AgentSnapshot {
        id: agent.config.id.clone(),
        endpoint: agent.config.endpoint.clone(),
        queues: agent.queues.iter().cloned().collect(),
        state: agent.shown.state,
        lasted: now - agent.shown.since,
        left: agent.deadline().map(|at| at - now),
        next: agent.next(),
        reason: agent.reason.clone(),
        reachable: agent.reachable,
        call: agent.call(),
        misses: agent.misses,
    }
}

fn obstacle(agent: &Agent, call: CallId) -> Obstacle {
    match agent.activity {
        Activity::Ringing { .. } if agent.is_offered(call) => Obstacle::RingsForThis,
        Activity::Ringing { .. } => Obstacle::RingsForAnother,
        Activity::Busy { .. } => Obstacle::Busy,
        _ if !agent.reachable => Obstacle::Unreachable,
        Activity::WrapUp { until, .. } => Obstacle::WrapUp { until },
        _ if !agent.wish.takes_calls() => Obstacle::Away,
        Activity::Resting { until, .. } => Obstacle::Resting { until },
        Activity::Idle { .. } => Obstacle::Free,
    }
}
