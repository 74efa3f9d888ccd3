//! The non-INVITE server transaction (RFC 3261 §17.2.2).
//!
//! ```text
//!     request came
//!          │
//!      ┌───▼──┐ request again: swallowed; no answer by the user in 64·T1 ──► Terminated
//!      │Trying├─────────────────┐
//!      └───┬──┘                 │200–699: sent
//!       1xx│                    │
//!    ┌─────▼────┐          ┌────▼────┐ request again: response again
//!    │Proceeding├──────────►Completed├── timer J ──► Terminated
//!    └──────────┘ 200–699  └─────────┘
//!    request again: 1xx again
//! ```

use super::{Outbox, ServerInput, ServerOutput, Timing};
use clock::Now;

/// One request, other than INVITE and ACK, that came.
#[derive(Clone, Debug)]
pub struct Server {
    state: State,
    timing: Timing,
    out: Outbox<ServerOutput>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Trying { give_up_at: Now },
    Proceeding { give_up_at: Now },
    Completed { until: Now },
    Terminated,
}

impl Server {
    /// Starts the transaction for a request that just came.
    pub fn new(now: Now, timing: Timing) -> Self {
        // Its client gives up then, so an answer would reach nobody (RFC 4320 §4.2).
        let state = State::Trying {
            give_up_at: now + timing.patience(),
        };
        Self {
            state,
            timing,
            out: Outbox::new(),
        }
    }

    /// Advances the machine. An input that the state has no use for is dropped.
    pub fn handle(&mut self, now: Now, input: ServerInput) {
        use ServerInput::{Deadline, Request, Respond, TransportFailed};
        self.state = match (self.state, input) {
            (State::Trying { give_up_at } | State::Proceeding { give_up_at }, Respond(..200)) => {
                self.out.push(ServerOutput::SendResponse);
                State::Proceeding { give_up_at }
            }
            (State::Trying { .. } | State::Proceeding { .. }, Respond(_)) => {
                self.out.push(ServerOutput::SendResponse);
                match self.timing.reliable {
                    true => State::Terminated,
                    false => State::Completed {
                        until: now + self.timing.patience(),
                    },
                }
            }
            (State::Proceeding { .. } | State::Completed { .. }, Request) => {
                self.out.push(ServerOutput::SendResponse);
                self.state
            }
            (State::Completed { until }, Deadline) if until <= now => State::Terminated,
            (State::Trying { give_up_at } | State::Proceeding { give_up_at }, Deadline)
                if give_up_at <= now =>
            {
                self.out.push(ServerOutput::Failed);
                State::Terminated
            }
            (State::Trying { .. } | State::Proceeding { .. }, TransportFailed) => {
                self.out.push(ServerOutput::Failed);
                State::Terminated
            }
            (state, _) => state,
        };
    }

    /// Takes the next thing to do, `None` when the input is dealt with.
    pub fn poll_output(&mut self) -> Option<ServerOutput> {
        self.out.pop()
    }

    /// When to feed in [`ServerInput::Deadline`].
    pub fn deadline(&self) -> Option<Now> {
        match self.state {
            State::Completed { until: at }
            | State::Trying { give_up_at: at }
            | State::Proceeding { give_up_at: at } => Some(at),
            State::Terminated => None,
        }
    }

    /// Whether it stays only to answer copies, and has for T4: where room is short it may be forgotten
    /// before its time.
    pub fn is_spare(&self, now: Now) -> bool {
        matches!(self.state, State::Completed { until } if self.timing.has_outlived_copies(now, until))
    }

    /// Whether it is done but for copies of what came.
    pub fn lingers(&self) -> bool {
        matches!(self.state, State::Completed { .. })
    }

    /// Whether the transaction is over and may be forgotten.
    pub fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }

    /// Whether a final response is still owed.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Trying { .. } | State::Proceeding { .. })
    }
}
