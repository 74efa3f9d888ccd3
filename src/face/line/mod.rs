//! A SIP line for whoever speaks another language: one registration and up to eight calls, in verbs and events.
//!
//! ```text
//!   face ── dial · answer · hold · refer … ──▶ Line ── Output::Transmit ──▶ pipe ──▶ control
//!        ◀───────────── Event ───────────────      ◀────── receive ────────
//! ```
//!
//! Sans-I/O: feed it ([`Line::receive`], [`Line::handle_timeout`], the verbs), then drain
//! [`Line::poll_output`] until `None`, then sleep until [`Line::deadline`].
//!
//! The law: a call goes by the name that the face gave or was given, and is over with its one
//! [`Event::Ended`]. Descriptions are the client's and are handed on; what the line changes in them is the
//! direction, when it holds a call in the client's name, and the version that such a change needs.

mod calls;
mod config;
mod event;
mod events;
mod registration;
mod sdp;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use clock::Now;
use sip::transport::{ConnectionId, Flow, ListenerId};
use sip::ua::{self, Busy, SessionId, UserAgent, UserAgentConfig};

pub use config::{LineConfig, Proof};
pub use event::{By, Dial, Event, Incoming, Left, Output, Party, Progress};

use calls::Call;
use registration::Registration;

/// One line.
pub struct Line {
    config: LineConfig,
    ua: UserAgent,
    registration: Registration,
    calls: Vec<Call>,
    outputs: VecDeque<Output>,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Requests under way have proofs in them.
        f.debug_struct("Line")
            .field("user", &self.config.user)
            .field("calls", &self.calls)
            .finish_non_exhaustive()
    }
}

/// Why a verb was not carried out. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// No call of that name.
    #[error("there is no such call")]
    NoSuchCall,
    /// A call of that name stands.
    #[error("there is a call of that name already")]
    NameTaken,
    /// [`CALLS_MAX`] calls stand.
    #[error("a line has at most {CALLS_MAX} calls")]
    Full,
    /// The call is not in a state for this: not answered, answered already, or another change is under way.
    #[error("the call is not in a state for this")]
    NotNow,
    /// An address, a header or a key that SIP cannot carry.
    #[error("an address, a header or a key cannot be written")]
    Unwritable,
}

impl From<Busy> for LineError {
    fn from(busy: Busy) -> Self {
        match busy {
            Busy::Full => Self::Full,
            Busy::NotNow => Self::NotNow,
            Busy::NoListener | Busy::Malformed => Self::Unwritable,
        }
    }
}

impl Line {
    /// A line that is not registered and has no calls.
    pub fn new(config: LineConfig) -> Self {
        let listener = ua::Listener {
            id: LISTENER,
            transport: config.transport,
            advertised_host: config.own_host(),
            advertised_port: config.transport.default_port(),
        };
        let mut settings = UserAgentConfig::new(vec![listener], &config.user_agent);
        settings.limits = ua::Limits {
            transactions: 64,
            // Those that are over for us and not yet for SIP have room too.
            dialogs: 2 * CALLS_MAX,
            forks: 2,
            ..ua::Limits::default()
        };
        Self {
            ua: UserAgent::new(settings, config.seed),
            registration: Registration::new(&config),
            config,
            calls: Vec::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes one SIP message of control's.
    pub fn receive(&mut self, now: Now, bytes: Bytes) {
        self.ua.receive(now, self.flow(), bytes, true);
        self.pump(now);
    }

    /// Acts on what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.ua.handle_timeout(now);
        self.keep_registered(now);
        self.pump(now);
    }

    /// When [`Line::handle_timeout`] is next due.
    pub fn deadline(&self) -> Option<Now> {
        let refresh = self.registration.refresh_at();
        self.ua.deadline().into_iter().chain(refresh).min()
    }

    /// The next thing to send or to tell.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The names of the calls that stand, the oldest first.
    pub fn calls(&self) -> impl Iterator<Item = &str> {
        self.calls.iter().map(|call| &*call.name)
    }

    /// Whose line it is.
    pub fn user(&self) -> &str {
        &self.config.user
    }

    /// The one way there is: the pipe.
    fn flow(&self) -> Flow {
        Flow {
            transport: self.config.transport,
            listener: LISTENER,
            remote: SocketAddr::from((Ipv4Addr::LOCALHOST, self.config.transport.default_port())),
            connection: Some(ConnectionId(1)),
            peer: None,
        }
    }

    /// Carries on what the SIP machine has to say.
    fn pump(&mut self, now: Now) {
        while let Some(output) = self.ua.poll_output() {
            match output {
                ua::Output::Transmit { bytes, .. } => {
                    self.outputs.push_back(Output::Transmit(bytes));
                }
                ua::Output::Event(event) => self.on_event(now, event),
            }
        }
    }

    fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn at(&self, name: &str) -> Result<usize, LineError> {
        let found = self.calls.iter().position(|call| &*call.name == name);
        found.ok_or(LineError::NoSuchCall)
    }

    fn call(&mut self, name: &str) -> Result<&mut Call, LineError> {
        let at = self.at(name)?;
        self.calls.get_mut(at).ok_or(LineError::NoSuchCall)
    }

    fn call_of(&mut self, session: SessionId) -> Option<&mut Call> {
        self.calls.iter_mut().find(|call| call.session == session)
    }
}

/// Calls of one line, at once.
pub const CALLS_MAX: usize = 8;

/// The user agent's one listener.
const LISTENER: ListenerId = ListenerId(0);

/// Further headers of a call that are told to the face.
pub const HEADERS_MAX: usize = 32;
