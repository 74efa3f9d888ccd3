//! The transaction layer: the tables of both roles, and the wires between machines, bytes and sessions.

mod client;
mod server;

use bytes::Bytes;
use clock::Now;

use super::{Output, UserAgent};
use crate::transaction::TimerId;
use crate::transport::Flow;

pub(super) use client::{ClientOwner, ClientTx, Outcome, Sender};
pub(super) use server::{ServerOwner, ServerTx};

/// What waits on the wheel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    Client(u64),
    Server(u64),
    Session(u64),
}

impl UserAgent {
    pub(super) fn transmit(&mut self, flow: Flow, bytes: Bytes) {
        if !bytes.is_empty() {
            self.outputs.push_back(Output::Transmit { flow, bytes });
        }
    }
}

/// Moves a timer to a new deadline.
pub(super) fn arm(
    wheel: &mut crate::transaction::Wheel<Timer>,
    timer: &mut Option<(TimerId, Now)>,
    deadline: Option<Now>,
    key: Timer,
) {
    if timer.map(|(_, at)| at) == deadline {
        return;
    }
    if let Some((old, _)) = timer.take() {
        wheel.cancel(old);
    }
    *timer = deadline.map(|at| (wheel.schedule(at, key), at));
}
