//! What a user agent is told about itself.

use crate::dialog::{TimerPolicy, TimerUse};
use crate::transport::{ListenerId, Transport};
use clock::Duration;

/// How a user agent presents itself, and its bounds.
#[derive(Clone, Debug)]
pub struct UserAgentConfig {
    /// The sockets it may send from; a flow names one of them.
    pub listeners: Vec<Listener>,
    /// The value of User-Agent and Server.
    pub user_agent: String,
    /// The round-trip estimate of RFC 3261 §17.1.1.1.
    pub t1: Duration,
    /// The session interval we ask for (RFC 4028 §4).
    pub session_expires: Duration,
    /// The shortest session interval we accept (RFC 4028 §5).
    pub min_se: Duration,
    /// Whether our provisional responses are sent reliably to a caller that merely supports it
    /// (RFC 3262 §3). To one that requires it they always are.
    pub reliable_progress: bool,
    /// Whether MESSAGE is taken; if not it gets 405.
    pub messages: bool,
    /// The event packages that may be subscribed to. Others get 489, and with none at all SUBSCRIBE is 405.
    pub event_packages: Vec<String>,
    /// How much may be held at once.
    pub limits: Limits,
}

impl UserAgentConfig {
    /// The standard times and bounds, for these listeners.
    pub fn new(listeners: Vec<Listener>, user_agent: &str) -> Self {
        Self {
            listeners,
            user_agent: user_agent.to_owned(),
            t1: Duration::from_millis(500),
            session_expires: Duration::from_secs(1800),
            min_se: Duration::from_secs(90),
            reliable_progress: false,
            messages: false,
            event_packages: Vec::new(),
            limits: Limits::default(),
        }
    }

    /// The session timer of sessions that nobody says anything else of: asked for.
    pub fn timers(&self) -> TimerPolicy {
        TimerPolicy {
            how: TimerUse::Ask,
            expires: self.session_expires,
            least: self.min_se,
        }
    }
}

/// One socket as the world sees it.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The number that flows carry.
    pub id: ListenerId,
    /// What it speaks.
    pub transport: Transport,
    /// The host written into Via and Contact: a name, an IPv4 address, or an IPv6 address in brackets.
    pub advertised_host: String,
    /// The port written into Via and Contact.
    pub advertised_port: u16,
}

/// Bounds on what is held. Beyond them a new INVITE gets 503 with Retry-After, other requests 503.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Transactions of each role; about 2 kB each while open. When so many are there, the oldest that only
    /// stay for copies, and have for T4, are forgotten before their time.
    pub transactions: usize,
    /// Sessions, and so dialogs; about 3 kB each.
    pub dialogs: usize,
    /// Early dialogs of one INVITE; a forking proxy makes one for each phone that rings.
    pub forks: usize,
    /// How often one request is sent with credentials: the second time for a nonce that was stale.
    pub proofs: u8,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            transactions: 100_000,
            dialogs: 50_000,
            forks: 16,
            proofs: 2,
        }
    }
}
