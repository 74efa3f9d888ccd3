//! The INVITE client transaction (RFC 3261 §17.1.1, with the Accepted state of RFC 6026 §7.2).
//!
//! ```text
//!                 INVITE sent
//!                     │      timer A: send again, interval doubles (unreliable)
//!                 ┌───▼───┐  timer B: timed out ──────────────► Terminated
//!        1xx ┌────┤Calling├────┐ 300–699: ACK
//!            │    └───┬───┘    │
//!     ┌──────▼───┐ 2xx│  ┌─────▼───┐ 300–699: ACK again
//!     │Proceeding├────┤  │Completed├─ timer D ────────────────► Terminated
//!     └──────┬───┘    │  └─────▲───┘
//!            └────────┼────────┘ 300–699: ACK
//!                 ┌───▼────┐ 2xx: delivered again (retransmissions, forks)
//!                 │Accepted├─ timer M ───────────────────────► Terminated
//!                 └────────┘
//! ```
//!
//! The user agent, not this machine, acknowledges a 2xx (§13.2.2.4).

use super::{ClientInput, ClientOutput, Outbox, Timing};
use clock::{Duration, Now};

/// One INVITE on its way to a final response.
#[derive(Clone, Debug)]
pub struct InviteClient {
    state: State,
    timing: Timing,
    /// When it ends if nobody waits for it any more.
    patience_ends: Now,
    out: Outbox<ClientOutput>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Calling {
        retransmit_at: Option<Now>,
        interval: Duration,
        give_up_at: Now,
    },
    Proceeding,
    Completed {
        until: Now,
    },
    Accepted {
        until: Now,
    },
    Terminated,
}

impl InviteClient {
    /// Starts the transaction: the first output is the request.
    pub fn new(now: Now, timing: Timing) -> Self {
        let mut out = Outbox::new();
        out.push(ClientOutput::SendRequest);
        let patience_ends = now + timing.patience();
        let state = State::Calling {
            retransmit_at: (!timing.reliable).then(|| now + timing.t1),
            interval: timing.t1,
            give_up_at: patience_ends,
        };
        Self {
            state,
            timing,
            patience_ends,
            out,
        }
    }

    /// Nobody waits for the response any more: the request is not sent again, and even one that the
    /// peer works on ends by 64·T1 after it was first sent.
    pub fn orphan(&mut self) {
        if let State::Calling { .. } | State::Proceeding = self.state {
            self.state = State::Calling {
                retransmit_at: None,
                interval: self.timing.t1,
                give_up_at: self.patience_ends,
            };
        }
    }

    /// Advances the machine. An input that the state has no use for is dropped: duplicates are normal.
    pub fn handle(&mut self, now: Now, input: ClientInput) {
        use ClientInput::{Deadline, Response, TransportFailed};
        self.state = match (self.state, input) {
            (State::Calling { .. } | State::Proceeding, Response(status)) => {
                self.on_response(now, status)
            }
            (State::Completed { .. }, Response(300..=699)) => {
                self.out.push(ClientOutput::SendAck);
                self.state
            }
            (State::Accepted { .. }, Response(200..=299)) => {
                self.out.push(ClientOutput::Deliver);
                self.state
            }
            (State::Calling { give_up_at, .. }, Deadline) if give_up_at <= now => {
                self.out.push(ClientOutput::TimedOut);
                State::Terminated
            }
            (
                State::Calling {
                    retransmit_at: Some(at),
                    interval,
                    give_up_at,
                },
                Deadline,
            ) if at <= now => {
                self.out.push(ClientOutput::SendRequest);
                let interval = interval * 2;
                State::Calling {
                    retransmit_at: Some(now + interval),
                    interval,
                    give_up_at,
                }
            }
            (State::Completed { until } | State::Accepted { until }, Deadline) if until <= now => {
                State::Terminated
            }
            (State::Calling { .. } | State::Proceeding, TransportFailed) => {
                self.out.push(ClientOutput::TransportFailed);
                State::Terminated
            }
            // The ACK did not get through; the final response was delivered, so nothing is left to do.
            (State::Completed { .. }, TransportFailed) => State::Terminated,
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
            State::Calling {
                retransmit_at,
                give_up_at,
                ..
            } => Some(retransmit_at.map_or(give_up_at, |at| at.min(give_up_at))),
            State::Completed { until } | State::Accepted { until } => Some(until),
            State::Proceeding | State::Terminated => None,
        }
    }

    /// Whether it stays only to answer copies, and has for T4: where room is short it may be forgotten
    /// before its time.
    pub fn is_spare(&self, now: Now) -> bool {
        matches!(self.state, State::Completed { until } | State::Accepted { until } if self.timing.has_outlived_copies(now, until))
    }

    /// Whether it is done but for copies of what came.
    pub fn lingers(&self) -> bool {
        matches!(self.state, State::Completed { .. } | State::Accepted { .. })
    }

    /// Whether the transaction is over and may be forgotten.
    pub fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }

    /// Whether a CANCEL may be sent now: a provisional response came, no final one (§9.1).
    pub fn may_cancel(&self) -> bool {
        matches!(self.state, State::Proceeding)
    }

    fn on_response(&mut self, now: Now, status: u16) -> State {
        match status {
            100..=199 => {
                self.out.push(ClientOutput::Deliver);
                State::Proceeding
            }
            200..=299 => {
                self.out.push(ClientOutput::Deliver);
                State::Accepted {
                    until: now + self.timing.patience(),
                }
            }
            300..=699 => {
                self.out.push(ClientOutput::SendAck);
                self.out.push(ClientOutput::Deliver);
                match self.timing.reliable {
                    true => State::Terminated,
                    false => State::Completed {
                        until: now + TIMER_D.max(self.timing.patience()),
                    },
                }
            }
            _ => self.state,
        }
    }
}

/// Timer D: at least 32 s on unreliable transports (§17.1.1.2).
const TIMER_D: Duration = Duration::from_secs(32);
