//! Call detail records: what a call came to, written once, when its last leg has ended.

use std::time::Duration;

use clock::Now;

use super::{CallId, Cause, Handover, LegFigures};
use crate::explain::Explanation;

/// Who began the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// A trunk or an endpoint called us.
    Inbound,
    /// The API had us call.
    Outbound,
}

/// One call's record. Times are points of the monotonic clock: whoever stores it maps them to wall time.
#[derive(Clone, Debug, PartialEq)]
pub struct Cdr {
    /// Which call.
    pub call: CallId,
    /// Who began it.
    pub direction: Direction,
    /// The caller's number or user.
    pub from: String,
    /// The number or user called.
    pub to: String,
    /// The trunk it came by, if any.
    pub trunk: Option<String>,
    /// When the INVITE came.
    pub started: Now,
    /// When the caller's leg was answered.
    pub answered: Option<Now>,
    /// When the caller and somebody first heard each other.
    pub bridged: Option<Now>,
    /// When the last leg ended.
    pub ended: Now,
    /// Why.
    pub cause: Cause,
    /// The SIP status that ended it, where one did.
    pub sip_status: Option<u16>,
    /// The Q.850 value: the peer's own if it sent one.
    pub q850: u16,
    /// The queue it last waited in.
    pub queue: Option<String>,
    /// The agent who last served it.
    pub agent: Option<String>,
    /// How long it waited in queues.
    pub waited: Duration,
    /// How the media of each leg fared, in the order in which they ended.
    pub legs: Vec<LegFigures>,
    /// Who handed whom on, in order.
    pub handovers: Vec<Handover>,
    /// The recording's file name below the recordings folder.
    pub recording: Option<String>,
    /// What last went wrong, unless somebody was reached since.
    pub refusal: Option<Explanation>,
}

impl Cdr {
    /// From answer to end; zero if never answered.
    pub fn billed(&self) -> Duration {
        self.answered.map_or(Duration::ZERO, |at| self.ended - at)
    }
}
