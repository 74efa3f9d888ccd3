//! What the centre is told ([`Input`]) and what it wants done or tells ([`Output`]).

use std::sync::Arc;

use clock::Duration;

use super::{AgentConfig, AgentId, AgentState, QueueConfig, Wish};
use crate::call::CallId;

/// What the centre is told. An input that the present state has no use for is dropped: an answer and
/// a withdrawal may cross on the wire.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A call wants to wait. One that waits already stays where it is.
    Join {
        /// Which call.
        call: CallId,
        /// The queue's name.
        queue: String,
        /// Higher is served first; 0 is usual.
        priority: i32,
        /// The longest wait; the queue's own if `None`.
        max_wait: Option<Duration>,
    },
    /// The caller is gone or has chosen to leave.
    Leave {
        /// Which call.
        call: CallId,
    },
    /// An agent, or a supervisor for him, says whether he wants calls.
    AgentWish {
        /// Who.
        agent: AgentId,
        /// `Available` also ends his rest; any also ends his wrap-up, and all others give back a call
        /// that rings. Said during a call, it holds when the call's wrap-up is over.
        wish: Wish,
        /// Why, in a word of the operator's; kept with a wish for no calls.
        reason: Option<Arc<str>>,
    },
    /// What an agent wants of his wrap-up; nothing if he is at none.
    WrapUp {
        /// Who.
        agent: AgentId,
        /// What.
        ask: WrapUp,
    },
    /// Whether the agent's phone can be rung at all.
    AgentReachable {
        /// Who.
        agent: AgentId,
        /// Whether.
        yes: bool,
    },
    /// The agent answered and hears the caller.
    Accepted {
        /// Which call.
        call: CallId,
        /// Who.
        agent: AgentId,
    },
    /// The agent's phone did not come to an answer.
    Declined {
        /// Which call.
        call: CallId,
        /// Who.
        agent: AgentId,
        /// How it failed.
        why: Declined,
    },
    /// The agent is in a call that no queue gave him.
    Engaged {
        /// Who.
        agent: AgentId,
    },
    /// The agent's call is over.
    Released {
        /// Who.
        agent: AgentId,
    },
    /// The whole configuration, replacing the one before.
    Configure {
        /// Every queue. One that is missing takes nobody in and is forgotten once empty.
        queues: Vec<QueueConfig>,
        /// Every agent. One that is missing is forgotten once he has no call.
        agents: Vec<AgentConfig>,
    },
    /// The time of [`Center::deadline`](super::Center::deadline) has come; early or late does no harm.
    Deadline,
}

/// What an agent may want of his wrap-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrapUp {
    /// No more of it.
    End,
    /// [`EXTENSION`](super::EXTENSION) more, [`WRAP_UP_MAX`](super::WRAP_UP_MAX) in all.
    Extend,
}

/// Why an agent does not get the call that he has picked. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotPicked {
    /// There is no such agent.
    NoAgent,
    /// His phone cannot be rung.
    Unreachable,
    /// He is in a call.
    Busy,
    /// It does not wait: it was never there, somebody has it, or the caller is gone.
    NotWaiting,
    /// It waits in a queue that he does not serve.
    NotServed {
        /// Which.
        queue: String,
    },
    /// Another agent is rung for it.
    Offered {
        /// Who.
        to: AgentId,
    },
}

/// Why an agent has missed a call that rang at him.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// Nobody picked up.
    NoAnswer,
    /// The caller gave up, or had waited for as long as it may.
    CallerGone,
}

impl Missed {
    /// The word in the API and at the desk.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoAnswer => "no-answer",
            Self::CallerGone => "caller-gone",
        }
    }
}

/// Why an offer came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declined {
    /// 486 or 600: he pressed the button, or speaks elsewhere.
    Busy,
    /// Nobody picked up: 408, 480, or the ring time is over.
    NoAnswer,
    /// Not registered, 503, or the network failed; does not count as a miss of his.
    Unreachable,
    /// Any other refusal: 603 and the like.
    Refused,
}

/// What the centre wants done or tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Ring this agent for this call.
    Offer {
        /// Which call.
        call: CallId,
        /// Whom to ring.
        agent: AgentId,
        /// The queue it waits in.
        queue: String,
        /// How long at most; the centre withdraws by itself afterwards.
        ring: Duration,
    },
    /// Stop ringing this agent for this call.
    Withdraw {
        /// Which call.
        call: CallId,
        /// Whom.
        agent: AgentId,
    },
    /// Tell the caller his position.
    Position {
        /// Which call.
        call: CallId,
        /// 1 is next.
        position: usize,
    },
    /// The agent has the call; it waits no more.
    Assigned {
        /// Which call.
        call: CallId,
        /// Who.
        agent: AgentId,
        /// The queue it waited in.
        queue: String,
        /// How long.
        waited: Duration,
    },
    /// The call waits no more, and nobody serves it.
    Left {
        /// Which call.
        call: CallId,
        /// The queue it waited in, or wanted to.
        queue: String,
        /// Why.
        why: Left,
        /// How long it waited.
        waited: Duration,
    },
    /// A call rang at this agent and he did not take it.
    Missed {
        /// Which.
        call: CallId,
        /// Who.
        agent: AgentId,
        /// The queue that it waits, or waited, in.
        queue: String,
        /// Why.
        why: Missed,
    },
    /// What others see of this agent has changed: his state, what follows it, or why.
    AgentChanged {
        /// Who.
        agent: AgentId,
        /// What he does now.
        state: AgentState,
    },
}

/// Why a call waits no more, unserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// [`Input::Leave`]: the caller hung up or chose to go.
    Gone,
    /// It waited for as long as it may.
    MaxWait,
    /// The queue held its maximum already.
    Full,
    /// No agent is on duty and the queue does not wait for one.
    NoAgents,
    /// There is no such queue.
    NoSuchQueue,
}

impl Left {
    /// The name in dialplans, events and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::MaxWait => "max-wait",
            Self::Full => "full",
            Self::NoAgents => "no-agents",
            Self::NoSuchQueue => "no-such-queue",
        }
    }
}
