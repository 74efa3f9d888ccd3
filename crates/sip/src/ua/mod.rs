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

mod client_invite;
mod config;
mod door;
mod draft;
mod early;
mod effect;
mod ending;
mod event;
mod in_dialog;
mod layer;
mod offers;
mod ops;
mod outside;
mod prack;
mod reason;
mod rebuff;
mod receive;
mod reliable;
mod replaces;
mod reply;
mod room;
mod served;
mod server_invite;
mod session;
mod slab;
mod timers;
mod tokens;

pub use config::{Limits, Listener, UserAgentConfig};
pub use door::Belongs;
pub use draft::phrase;
pub use effect::{Effect, effect_of};
pub use event::{
    Busy, Counts, EndedBy, Ending, Event, Invite, OutOfDialog, Output, Reliable, RequestId,
    SessionId,
};
#[doc(hidden)]
pub use ops::{dialog_ops, transaction_ops};
pub use reason::{ELSEWHERE, q850};
pub use rebuff::Load;
pub use replaces::DialogName;

use crate::dialog::TimerPolicy;
use crate::message::Method;
use crate::transaction::Wheel;
use crate::transport::{Flow, FrameError};
use bytes::Bytes;
use clock::Now;
use layer::{ClientTx, ServerTx, Timer};
use replaces::Bygone;
use served::Served;
use session::Session;
use slab::Slab;
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use tokens::{Known, Seeded, Tokens};

/// The SIP machine of one control shard, or of one synthetic phone.
#[derive(Debug)]
pub struct UserAgent {
    config: UserAgentConfig,
    tokens: Tokens,
    wheel: Wheel<Timer>,
    outputs: VecDeque<Output>,
    /// INVITEs that are told 100 when the turn is over, unless they are answered by then (§17.2.1).
    trying: VecDeque<(u64, Now)>,
    counts: Counts,
    /// What responses tell of our load.
    oc: Option<String>,
    /// How many requests our user sent: the source of their names.
    sent: u64,
    clients: Slab<ClientTx>,
    servers: Slab<ServerTx>,
    sessions: Slab<Session>,
    /// Our requests by branch and method. No map is ever walked, so their order cannot be seen.
    branches: HashMap<(u64, Method), u64, Seeded>,
    /// The peer's requests by transaction.
    requests: HashMap<Known, u64, Seeded>,
    /// What merged copies share of the peer's requests without a To tag: while they have their
    /// transaction, an INVITE while its call stands.
    initials: HashSet<u64, Seeded>,
    /// Sessions by our tag.
    tags: HashMap<u64, SessionId, Seeded>,
    bygone: Bygone,
    served: Served,
    /// The timer of sessions that a peer begins now, where not the configuration's.
    timers: Option<TimerPolicy>,
    /// How many INVITEs of an address await the ACK of their final response.
    unacked: HashMap<IpAddr, usize, Seeded>,
}

impl UserAgent {
    /// Makes a user agent. `seed` must be unpredictable in production: tags, branches and Call-IDs
    /// come from it.
    pub fn new(config: UserAgentConfig, seed: u64) -> Self {
        let tokens = Tokens::new(seed);
        let hasher = tokens.hasher();
        let served = Served::new(&config);
        Self {
            config,
            tokens,
            wheel: Wheel::new(),
            outputs: VecDeque::new(),
            trying: VecDeque::new(),
            counts: Counts::default(),
            oc: None,
            sent: 0,
            clients: Slab::new(),
            servers: Slab::new(),
            sessions: Slab::new(),
            branches: HashMap::with_hasher(hasher),
            requests: HashMap::with_hasher(hasher),
            initials: HashSet::with_hasher(hasher),
            tags: HashMap::with_hasher(hasher),
            bygone: Bygone::default(),
            served,
            timers: None,
            unacked: HashMap::with_hasher(hasher),
        }
    }

    /// Takes one message as it came on `flow`. A malformed one is counted, and answered when `trusted`;
    /// what is well-formed and not served is refused whoever sent it.
    pub fn receive(&mut self, now: Now, flow: Flow, bytes: Bytes, trusted: bool) {
        self.on_bytes(now, flow, bytes, trusted);
    }

    /// Takes what a stream was closed for: a head that cannot be cut off. Counted, and answered like
    /// any malformed message when `trusted`.
    pub fn unframeable(&mut self, flow: Flow, refused: &FrameError, trusted: bool) {
        self.on_malformed(flow, &refused.head, &refused.error, trusted);
    }

    /// Learns that a connection was refused or lost, or a datagram bounced: requests on it fail now.
    pub fn flow_failed(&mut self, now: Now, flow: Flow) {
        self.on_flow_failed(now, flow);
    }

    /// Whoever was on the connection of `from` is on `to` now, as he has proven to who calls this: what he
    /// is sent in his dialogs and transactions goes there (RFC 5626 §5.3 leaves it to a server of ours).
    pub fn flow_moved(&mut self, from: Flow, to: Flow) {
        self.on_flow_moved(from, to);
    }

    /// Fires every timer that is due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.on_timeout(now);
    }

    /// When to call [`UserAgent::handle_timeout`]; it may ask to be woken a little early.
    pub fn deadline(&self) -> Option<Now> {
        self.wheel.deadline()
    }

    /// Takes the next thing to do, `None` when there is nothing left to do now. The 100s come last:
    /// an INVITE that its user has answered by then needs none.
    pub fn poll_output(&mut self) -> Option<Output> {
        while self.outputs.is_empty()
            && let Some((tx, now)) = self.trying.pop_front()
        {
            self.say_trying(now, tx);
        }
        self.outputs.pop_front()
    }

    /// As [`UserAgent::poll_output`], but leaves the 100s for it: for a user who has yet to act on
    /// what came before.
    pub fn poll_before_trying(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Places a call.
    ///
    /// # Errors
    /// [`Busy`]: a limit is reached, or something in `invite` cannot be written.
    pub fn invite(&mut self, now: Now, invite: Invite) -> Result<SessionId, Busy> {
        self.place(now, invite)
    }

    /// Sets the session timer of sessions that peers begin from now on; `None`: as the configuration
    /// says. Whoever knows the peer of a message says so before he hands it in.
    pub const fn set_timers(&mut self, timers: Option<TimerPolicy>) {
        self.timers = timers;
    }

    /// What peers that begin a session now find of session timers.
    pub fn timers(&self) -> TimerPolicy {
        self.timers.unwrap_or(self.config.timers())
    }

    /// Sets whether provisional responses to come are sent reliably to whoever supports it.
    pub fn set_reliable_progress(&mut self, reliable: bool) {
        self.config.reliable_progress = reliable;
    }

    /// Sends a provisional response, 101 to 199, to an INVITE that came: reliably where the caller
    /// requires it or we want it so; then one after the other, each when that before it is acknowledged.
    /// `body` is the answer, or the offer if the INVITE had none.
    pub fn progress(&mut self, now: Now, session: SessionId, status: u16, body: Option<Bytes>) {
        self.on_progress(now, session, status, body);
    }

    /// Answers an INVITE that came with a 200, sent again until its ACK comes. `body` is the answer,
    /// or the offer if the INVITE had none; it is left out if a reliable provisional response said it
    /// already, and waited with until that is acknowledged.
    pub fn accept(
        &mut self,
        now: Now,
        session: SessionId,
        body: Option<Bytes>,
        headers: &[(String, String)],
    ) {
        self.on_accept(now, session, body, headers);
    }

    /// Ends a session whatever its state: refuses an INVITE that came, cancels one of ours, or hangs
    /// up. [`Event::Ended`] by [`EndedBy::Us`] follows at once; what the protocol still owes (waiting
    /// for a provisional before CANCEL, acknowledging a 200 that crossed it, BYE) is done silently.
    pub fn end(&mut self, now: Now, session: SessionId, ending: Ending) {
        self.on_end(now, session, ending);
    }

    /// Sends the ACK, or in an early dialog the PRACK, that a response with an offer in it waits for;
    /// `body` is our answer. Of several early dialogs that wait, the first by number gets it.
    pub fn acknowledge(&mut self, now: Now, session: SessionId, body: Option<Bytes>) {
        self.on_acknowledge(now, session, body);
    }

    /// Sends a re-INVITE; without a `body` it asks for an offer. Before the call is answered it is an
    /// UPDATE (RFC 3311), which needs a `body` and an exchange that was completed reliably; a caller's
    /// goes to the latest early dialog that has one. [`Event::OfferAnswered`] follows.
    pub fn reinvite(&mut self, now: Now, session: SessionId, body: Option<Bytes>) {
        self.on_reinvite(now, session, body);
    }

    /// Answers a re-INVITE or UPDATE of the peer with 200.
    pub fn answer_offer(&mut self, now: Now, session: SessionId, body: Option<Bytes>) {
        self.on_answer_offer(now, session, body);
    }

    /// Refuses a re-INVITE or UPDATE of the peer: 488 and the like. The session goes on as it was.
    pub fn refuse_offer(&mut self, now: Now, session: SessionId, status: u16) {
        self.on_refuse_offer(now, session, status);
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
        self.send_in(now, session, method, headers, body)
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
        self.send_outside(now, request)
    }

    /// Forgets a request of ours outside any dialog: no [`Event::Response`] follows, nothing is sent
    /// again. Looks at every request under way.
    pub fn forget_request(&mut self, request: RequestId) {
        self.drop_outside(request);
    }

    /// Whether an INVITE of ours has had a provisional response, 100 included, and no final one.
    pub fn is_proceeding(&self, session: SessionId) -> bool {
        self.has_provisional(session)
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
        self.on_respond(now, request, status, headers, body);
    }

    /// How it presents itself, and its bounds.
    pub const fn config(&self) -> &UserAgentConfig {
        &self.config
    }

    /// The SIP Call-ID of a session that stands, for whoever ties messages to calls.
    pub fn sip_call_id(&self, session: SessionId) -> Option<&str> {
        self.sessions.get(session.0).map(|it| &*it.call_id)
    }

    /// What it holds and has done.
    pub fn counts(&self) -> Counts {
        Counts {
            transactions: self.clients.len() + self.servers.len(),
            dialogs: self.sessions.iter().map(Session::dialogs).sum(),
            sessions: self.sessions.len(),
            timers: self.wheel.len(),
            ..self.counts
        }
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}

#[cfg(test)]
mod tests;
