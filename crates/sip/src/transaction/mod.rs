//! The four transaction machines of RFC 3261 §17, with the Accepted states of RFC 6026, and the wheel
//! their timers wait on.
//!
//! A machine is plain data: feed it inputs, drain its `poll_output`, wake it at its `deadline`. It
//! knows neither bytes nor addresses; whoever owns it keeps the message that is to be sent again.

mod client;
mod invite_client;
mod invite_server;
mod server;
mod wheel;

pub use client::Client;
pub use invite_client::InviteClient;
pub use invite_server::InviteServer;
pub use server::Server;
pub use wheel::{TimerId, Wheel};

use clock::{Duration, Now};

/// The base times of RFC 3261 §17.1.1.1, and whether the transport carries each message once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The round-trip estimate: the first retransmission interval.
    pub t1: Duration,
    /// The longest retransmission interval of everything but an INVITE request.
    pub t2: Duration,
    /// How long a message may stay in the network.
    pub t4: Duration,
    /// TCP, TLS, WebSocket: nothing is sent twice, and no stragglers are waited for.
    pub reliable: bool,
}

impl Timing {
    /// The times for a given T1, with the standard T2 of 4 s and T4 of 5 s.
    pub const fn new(t1: Duration, reliable: bool) -> Self {
        Self {
            t1,
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            reliable,
        }
    }

    /// 64·T1: the patience of timers B, F, H, J, L and M.
    pub fn patience(&self) -> Duration {
        self.t1 * 64
    }

    /// Whether a transaction that stays `until` for the sake of copies, 64·T1 behind its final response,
    /// has done so for T4: no copy sent before that response is on its way any more.
    fn has_outlived_copies(&self, now: Now, until: Now) -> bool {
        now + self.patience() >= until + self.t4
    }
}

/// What a client transaction asks of its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientOutput {
    /// Send the request, for the first time or again.
    SendRequest,
    /// Send the ACK for the final response just fed in (never for a 2xx).
    SendAck,
    /// Hand the response just fed in to the user.
    Deliver,
    /// No final response came in time: the user sees a 408.
    TimedOut,
    /// The transport failed: the user sees a 503.
    TransportFailed,
}

/// What a server transaction asks of its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerOutput {
    /// Send the latest response, for the first time or again.
    SendResponse,
    /// Hand the ACK just fed in to the user: it belongs to a 2xx.
    DeliverAck,
    /// No ACK came for a refusal, or the transport failed: the user is told, nothing more is sent.
    Failed,
}

/// What wakes a client transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientInput {
    /// A response that matches, by status.
    Response(u16),
    /// The time named by `deadline` has come.
    Deadline,
    /// The transport reports that the request cannot be delivered.
    TransportFailed,
}

/// What wakes a server transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerInput {
    /// The request came again.
    Request,
    /// An ACK that matches (INVITE only).
    Ack,
    /// The user responds with this status.
    Respond(u16),
    /// The time named by `deadline` has come.
    Deadline,
    /// The transport reports that the response cannot be delivered.
    TransportFailed,
}

/// The outputs of one input: never more than two, in order.
#[derive(Clone, Copy, Debug)]
struct Outbox<T>([Option<T>; 2]);

impl<T: Copy> Outbox<T> {
    const fn new() -> Self {
        Self([None; 2])
    }

    fn push(&mut self, output: T) {
        match self.0 {
            [None, _] => self.0[0] = Some(output),
            // Drained before the next input, hence a third cannot come.
            _ => self.0[1] = Some(output),
        }
    }

    fn pop(&mut self) -> Option<T> {
        let first = self.0[0].take();
        self.0.swap(0, 1);
        first
    }
}

#[cfg(test)]
mod tests;
