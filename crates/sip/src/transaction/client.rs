//! The non-INVITE client transaction (RFC 3261 §17.1.2).
//!
//! ```text
//!     request sent
//!          │       timer E: send again, interval doubles up to T2 (unreliable)
//!      ┌───▼──┐    timer F: timed out ─────────────► Terminated
//!      │Trying├──────────────┐
//!      └───┬──┘              │
//!       1xx│                 │200–699
//!    ┌─────▼────┐        ┌───▼─────┐
//!    │Proceeding├────────►Completed├── timer K ────► Terminated
//!    └──────────┘200–699 └─────────┘   swallows what comes again
//!     timer E: every T2; timer F
//! ```

use super::{ClientInput, ClientOutput, Outbox, Timing};
use clock::{Duration, Now};

/// One request, other than INVITE and ACK, on its way to a final response.
#[derive(Clone, Debug)]
pub struct Client {
    state: State,
    timing: Timing,
    out: Outbox<ClientOutput>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Trying {
        retransmit_at: Option<Now>,
        interval: Duration,
        give_up_at: Now,
    },
    Proceeding {
        retransmit_at: Option<Now>,
        give_up_at: Now,
    },
    Completed {
        until: Now,
    },
    Terminated,
}

impl Client {
    /// Starts the transaction: the first output is the request.
    pub fn new(now: Now, timing: Timing) -> Self {
        let mut out = Outbox::new();
        out.push(ClientOutput::SendRequest);
        let state = State::Trying {
            retransmit_at: (!timing.reliable).then(|| now + timing.t1),
            interval: timing.t1,
            give_up_at: now + timing.patience(),
        };
        Self { state, timing, out }
    }

    /// Advances the machine. An input that the state has no use for is dropped.
    pub fn handle(&mut self, now: Now, input: ClientInput) {
        use ClientInput::{Deadline, Response, TransportFailed};
        self.state = match (self.state, input) {
            (
                State::Trying {
                    retransmit_at,
                    give_up_at,
                    ..
                },
                Response(100..=199),
            ) => {
                self.out.push(ClientOutput::Deliver);
                State::Proceeding {
                    retransmit_at,
                    give_up_at,
                }
            }
            (State::Proceeding { .. }, Response(100..=199)) => {
                self.out.push(ClientOutput::Deliver);
                self.state
            }
            (State::Trying { .. } | State::Proceeding { .. }, Response(200..=699)) => {
                self.out.push(ClientOutput::Deliver);
                match self.timing.reliable {
                    true => State::Terminated,
                    false => State::Completed {
                        until: now + self.timing.t4,
                    },
                }
            }
            (State::Trying { give_up_at, .. } | State::Proceeding { give_up_at, .. }, Deadline)
                if give_up_at <= now =>
            {
                self.out.push(ClientOutput::TimedOut);
                State::Terminated
            }
            (
                State::Trying {
                    retransmit_at: Some(at),
                    interval,
                    give_up_at,
                },
                Deadline,
            ) if at <= now => {
                self.out.push(ClientOutput::SendRequest);
                let interval = (interval * 2).min(self.timing.t2);
                State::Trying {
                    retransmit_at: Some(now + interval),
                    interval,
                    give_up_at,
                }
            }
            (
                State::Proceeding {
                    retransmit_at: Some(at),
                    give_up_at,
                },
                Deadline,
            ) if at <= now => {
                self.out.push(ClientOutput::SendRequest);
                State::Proceeding {
                    retransmit_at: Some(now + self.timing.t2),
                    give_up_at,
                }
            }
            (State::Completed { until }, Deadline) if until <= now => State::Terminated,
            (State::Trying { .. } | State::Proceeding { .. }, TransportFailed) => {
                self.out.push(ClientOutput::TransportFailed);
                State::Terminated
            }
            (state, _) => state,
        };
    }

    /// Takes the next thing to do, `None` when the input is dealt with.
    pub fn poll_output(&mut self) -> Option<ClientOutput> {
        self.out.pop()
    }

    /// When to feed in [`ClientInput::Deadline`].
    pub fn deadline(&self) -> Option<Now> {
        match self.state {
            State::Trying {
                retransmit_at,
                give_up_at,
                ..
            }
            | State::Proceeding {
                retransmit_at,
                give_up_at,
            } => Some(retransmit_at.map_or(give_up_at, |at| at.min(give_up_at))),
            State::Completed { until } => Some(until),
            State::Terminated => None,
        }
    }

    /// Whether the transaction is over and may be forgotten.
    pub fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }
}
