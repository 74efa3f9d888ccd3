//! The centre: queues where calls wait and agents who serve them.
//!
//! The law: [`Center`] is one pure machine and plain data. Feed it an [`Input`], drain
//! [`Center::poll_output`] until `None`, then sleep until [`Center::deadline`]. It knows calls and
//! agents by name only: who rings a phone, plays music or speaks a position is not its matter.
//!
//! What it promises, and what its property tests hold it to: whoever joins gets exactly one ending
//! ([`Output::Assigned`] or [`Output::Left`]); a call is offered to one agent at a time and an agent
//! has at most one call; within a priority the oldest is served first, unless an agent picks another
//! ([`Center::pick`]), and the agent idle for longest serves; no agent is free while somebody waits
//! whom he could serve.
//!
//! ```text
//!              Join                     Accepted
//!   call  ──────────▶ queued ──▶ offered ────────▶ assigned
//!                       ▲  │        │ declined, ring time over
//!                       └──│────────┘
//!                          └──▶ left: gone, max wait, full, no agents, closed
//!
//!   agent   idle ──▶ ringing ──▶ busy ──▶ wrap-up ──▶ idle
//!             ▲         │ declined
//!             └ resting ◀     (too many in a row: away)
//!
//! An agent who wants no calls is idle, on a break, in training or away; what he wants during a call
//! follows that call and its wrap-up.
//! ```

mod agenda;
mod agent;
mod codes;
mod exchange;
mod file;
mod machine;
mod queue;
mod snapshot;
#[cfg(test)]
mod tests;

pub use agent::{AgentConfig, AgentId, AgentState, Wish};
pub use codes::Codes;
pub use exchange::{Declined, Input, Left, Missed, NotPicked, Output, WrapUp};
pub use machine::Center;
pub use queue::{
    ANNOUNCE_MIN, Announce, EXTENSION, QueueConfig, REST_MIN, RING_MIN, Refusal, Strategy,
    WRAP_UP_MAX, WithoutAgents,
};
pub use snapshot::{AgentSnapshot, Obstacle, QueueSnapshot, Snapshot, WaitingSnapshot};
