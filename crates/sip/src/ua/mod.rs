//! The user agent: transactions, dialogs, digest and timers composed into the one SIP machine that the
//! server and the synthetic phones share (RFC 3261 §8, §9, §11–§15).
//!
//! Sans-I/O: feed it what came ([`UserAgent::receive`]), what failed, the time, and what its user
//! wants; drain [`UserAgent::poll_output`] until `None`; sleep until [`UserAgent::deadline`]. The same
//! seed and inputs give the same bytes. Bodies are opaque here: offers and answers are the user's.
//!
//! ```text
//!   bytes ─► receive ─► transaction ─► dialog ─► session ─► Event
//!                           ▲                       │
//!   bytes ◄─── Transmit ────┴───────────────────────┴──── invite · accept · end · reinvite …
//! ```

mod config;
mod event;
mod reason;

pub use config::{Limits, Listener, UserAgentConfig};
pub use event::{
    Busy, Counts, EndedBy, Ending, Event, Invite, OutOfDialog, Output, RequestId, SessionId,
};
pub use reason::q850;

use crate::message::Method;
use crate::transport::Flow;
use bytes::Bytes;
use clock::Now;
use std::collections::VecDeque;

/// The SIP machine of one control shard, or of one synthetic phone.
#[derive(Debug)]
pub struct UserAgent {
    config: UserAgentConfig,
    outputs: VecDeque<Output>,
    counts: Counts,
}

impl UserAgent {
    /// Makes a user agent. `seed` must be unpredictable in production: tags, branches and Call-IDs
    /// come from it.
    pub fn new(config: UserAgentConfig, seed: u64) -> Self {
        let _ = seed;
        Self {
            config,
            outputs: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// Takes one message as it came on `flow`. A malformed one is counted, and answered when `trusted`.
    pub fn receive(&mut self, now: Now, flow: Flow, bytes: Bytes, trusted: bool) {
        let _ = (now, flow, bytes, trusted);
    }

    /// Learns that a connection was refused or lost, or a datagram bounced: requests on it fail now.
    pub fn flow_failed(&mut self, now: Now, flow: Flow) {
        let _ = (now, flow);
    }

    /// Fires every timer that is due.
    pub fn handle_timeout(&mut self, now: Now) {
        let _ = now;
    }

    /// When to call [`UserAgent::handle_timeout`]; it may ask to be woken a little early.
    pub fn deadline(&self) -> Option<Now> {
        None
    }

    /// Takes the next thing to do, `None` when there is nothing left to do now.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Places a call.
    ///
    /// # Errors
    /// [`Busy`]: a limit is reached, or something in `invite` cannot be written.
    pub fn invite(&mut self, now: Now, invite: Invite) -> Result<SessionId, Busy> {
        let _ = (now, invite, &self.config);
        Err(Busy::Full)
    }

    /// Sends a provisional response, 101 to 199, to an INVITE that came.
    pub fn progress(&mut self, now: Now, session: SessionId, status: u16, body: Option<Bytes>) {
        let _ = (now, session, status, body);
    }

    /// Answers an INVITE that came with a 200, sent again until its ACK comes. `body` is the answer,
    /// or the offer if the INVITE had none.
    pub fn accept(
        &mut self,
        now: Now,
        session: SessionId,
        body: Option<Bytes>,
        headers: &[(String, String)],
    ) {
        let _ = (now, session, body, headers);
    }

    /// Ends a session whatever its state: refuses an INVITE that came, cancels one of ours, or hangs
    /// up. [`Event::Ended`] by [`EndedBy::Us`] follows at once; what the protocol still owes (waiting
    /// for a provisional before CANCEL, acknowledging a 200 that crossed it, BYE) is done silently.
    pub fn end(&mut self, now: Now, session: SessionId, ending: Ending) {
        let _ = (now, session, ending);
    }

    /// Sends the ACK that an answer with an offer in it waits for; `body` is our answer.
    pub fn acknowledge(&mut self, now: Now, session: SessionId, body: Option<Bytes>) {
        let _ = (now, session, body);
    }

    /// Sends a re-INVITE; without a `body` it asks for an offer. [`Event::OfferAnswered`] follows.
    pub fn reinvite(&mut self, now: Now, session: SessionId, body: Option<Bytes>) {
        let _ = (now, session, body);
    }

    /// Answers a re-INVITE or UPDATE of the peer with 200.
    pub fn answer_offer(&mut self, now: Now, session: SessionId, body: Option<Bytes>) {
        let _ = (now, session, body);
    }

    /// Refuses a re-INVITE or UPDATE of the peer: 488 and the like. The session goes on as it was.
    pub fn refuse_offer(&mut self, now: Now, session: SessionId, status: u16) {
        let _ = (now, session, status);
    }

    /// Sends a request in the dialog: INFO, REFER, NOTIFY, MESSAGE, OPTIONS.
    ///
    /// # Errors
    /// [`Busy`]: no such dialog, a limit, or something that cannot be written.
    pub fn request_in(
        &mut self,
        now: Now,
        session: SessionId,
        method: Method,
        headers: &[(String, String)],
        body: Option<(String, Bytes)>,
    ) -> Result<RequestId, Busy> {
        let _ = (now, session, method, headers, body);
        Err(Busy::NotNow)
    }

    /// Answers [`Event::InDialog`] with a final status.
    pub fn respond_in(
        &mut self,
        now: Now,
        request: RequestId,
        status: u16,
        headers: &[(String, String)],
        body: Option<(String, Bytes)>,
    ) {
        self.respond(now, request, status, headers, body);
    }

    /// Sends a request outside any dialog.
    ///
    /// # Errors
    /// [`Busy`]: a limit, or something that cannot be written.
    pub fn request(&mut self, now: Now, request: OutOfDialog) -> Result<RequestId, Busy> {
        let _ = (now, request);
        Err(Busy::Full)
    }

    /// Answers [`Event::Requested`] with a final status.
    pub fn respond(
        &mut self,
        now: Now,
        request: RequestId,
        status: u16,
        headers: &[(String, String)],
        body: Option<(String, Bytes)>,
    ) {
        let _ = (now, request, status, headers, body);
    }

    /// What it holds and has done.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}
