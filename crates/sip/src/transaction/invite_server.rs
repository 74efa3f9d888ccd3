//! The INVITE server transaction (RFC 3261 §17.2.1, with the Accepted state of RFC 6026 §7.1).
//!
//! ```text
//!               INVITE came
//!                    │
//!             ┌──────▼───┐ 1xx: sent; INVITE again: latest 1xx again
//!             │Proceeding├───────────────┐
//!             └──────┬───┘               │2xx: sent
//!      300–699: sent │                   │
//!             ┌──────▼──┐            ┌───▼────┐ INVITE again: swallowed
//!             │Completed│            │Accepted│ 2xx again (by the user): sent
//!             └──┬───┬──┘            └───┬────┘ ACK: to the user
//!            ACK │   │ timer G: again    │ timer L
//!        ┌───────▼─┐ │ timer H: failed   │
//!        │Confirmed│ └───────────────────┼────► Terminated
//!        └───────┬─┘ timer I             │
//!                └───────────────────────┘
//! ```

use super::{Outbox, ServerInput, ServerOutput, Timing};
use clock::{Duration, Now};

/// One INVITE that came, until its final response is safely delivered.
#[derive(Clone, Debug)]
pub struct InviteServer {
    state: State,
    timing: Timing,
    out: Outbox<ServerOutput>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Proceeding {
        responded: bool,
    },
    Completed {
        retransmit_at: Option<Now>,
        interval: Duration,
        give_up_at: Now,
    },
    Confirmed {
        until: Now,
    },
    Accepted {
        until: Now,
    },
    Terminated,
}

impl InviteServer {
    /// Starts the transaction for an INVITE that just came; its user responds 100 unless it does better
    /// at once.
    pub fn new(timing: Timing) -> Self {
        Self {
            state: State::Proceeding { responded: false },
            timing,
            out: Outbox::new(),
        }
    }

    /// Advances the machine. An input that the state has no use for is dropped.
    pub fn handle(&mut self, now: Now, input: ServerInput) {
        use ServerInput::{Ack, Deadline, Request, Respond, TransportFailed};
        self.state = match (self.state, input) {
            (State::Proceeding { .. }, Respond(status)) => self.on_respond(now, status),
            (State::Proceeding { responded: true } | State::Completed { .. }, Request)
            | (State::Accepted { .. }, Respond(200..=299)) => {
                self.out.push(ServerOutput::SendResponse);
                self.state
            }
            (State::Completed { .. }, Ack) => match self.timing.reliable {
                true => State::Terminated,
                false => State::Confirmed {
                    until: now + self.timing.t4,
                },
            },
            (State::Accepted { .. }, Ack) => {
                self.out.push(ServerOutput::DeliverAck);
                self.state
            }
            (State::Completed { give_up_at, .. }, Deadline) if give_up_at <= now => {
                self.out.push(ServerOutput::Failed);
                State::Terminated
            }
            (
                State::Completed {
                    retransmit_at: Some(at),
                    interval,
                    give_up_at,
                },
                Deadline,
            ) if at <= now => {
                self.out.push(ServerOutput::SendResponse);
                let interval = (interval * 2).min(self.timing.t2);
                State::Completed {
                    retransmit_at: Some(now + interval),
                    interval,
                    give_up_at,
                }
            }
            (State::Confirmed { until } | State::Accepted { until }, Deadline) if until <= now => {
                State::Terminated
            }
            (State::Proceeding { .. } | State::Completed { .. }, TransportFailed) => {
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
            State::Completed {
                retransmit_at,
                give_up_at,
                ..
            } => Some(retransmit_at.map_or(give_up_at, |at| at.min(give_up_at))),
            State::Confirmed { until } | State::Accepted { until } => Some(until),
            State::Proceeding { .. } | State::Terminated => None,
        }
    }

    /// Whether it sent a 2xx T4 ago or longer, and that was acknowledged: where room is short it may be forgotten
    /// before its time.
    pub fn is_spare(&self, now: Now) -> bool {
        matches!(self.state, State::Accepted { until } if self.timing.has_outlived_copies(now, until))
    }

    /// Whether it sent a 2xx, whose ACK is its user's to wait for.
    pub fn lingers(&self) -> bool {
        matches!(self.state, State::Accepted { .. })
    }

    /// Whether the transaction is over and may be forgotten.
    pub fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }

    /// Whether no final response has been given: it may still be cancelled or answered.
    pub fn is_proceeding(&self) -> bool {
        matches!(self.state, State::Proceeding { .. })
    }

    fn on_respond(&mut self, now: Now, status: u16) -> State {
        self.out.push(ServerOutput::SendResponse);
        match status {
            ..200 => State::Proceeding { responded: true },
            200..=299 => State::Accepted {
                until: now + self.timing.patience(),
            },
            _ => State::Completed {
                retransmit_at: (!self.timing.reliable).then(|| now + self.timing.t1),
                interval: self.timing.t1,
                give_up_at: now + self.timing.patience(),
            },
        }
    }
}
