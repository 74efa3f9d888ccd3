//! What a desk asks of control, and the API for it.

use std::time::Duration;

use super::Reply;
use crate::call::CallId;
use crate::center::{AgentId, AgentSnapshot, Codes, WrapUp};
use crate::control::{Board, CallContext, MissedCall, NotMerged, PickRefused};

/// What a desk asks of control.
#[derive(Debug)]
pub enum DeskCommand {
    /// One agent.
    Agent {
        /// Who.
        agent: AgentId,
        /// `None` if there is no such agent.
        reply: Reply<Option<AgentSnapshot>>,
    },
    /// The agent who is rung at an endpoint; the first by name, where it is several.
    At {
        /// Which.
        endpoint: String,
        /// `None` if nobody is.
        reply: Reply<Option<AgentSnapshot>>,
    },
    /// Have those whom an endpoint talks to in two calls hear each other.
    Merge {
        /// Which endpoint.
        endpoint: String,
        /// Which calls.
        calls: [CallId; 2],
        /// Whether they do.
        reply: Reply<Result<(), NotMerged>>,
    },
    /// An agent has done enough of his wrap-up, or wants more of it.
    WrapUp {
        /// Who.
        agent: AgentId,
        /// What.
        ask: WrapUp,
        /// Whether there is such an agent.
        reply: Reply<bool>,
    },
    /// An agent chooses a call that waits.
    Pick {
        /// Who.
        agent: AgentId,
        /// Which.
        call: CallId,
        /// Whether it rings at him now.
        reply: Reply<Result<(), PickRefused>>,
    },
    /// The calls that an agent has missed.
    Missed {
        /// Who.
        agent: AgentId,
        /// Oldest first, each with how long ago; `None` if there is no such agent.
        reply: Reply<Option<Vec<(Duration, MissedCall)>>>,
    },
    /// What is known of a call before it is taken.
    Context {
        /// Which.
        call: CallId,
        /// `None` if there is no such call now.
        reply: Reply<Option<Box<CallContext>>>,
    },
    /// The words that agents choose from.
    Codes {
        /// All of them.
        reply: Reply<Codes>,
    },
    /// The queues and the agents, with the callers of those who wait.
    Board {
        /// All of them.
        reply: Reply<Box<Board>>,
    },
}
