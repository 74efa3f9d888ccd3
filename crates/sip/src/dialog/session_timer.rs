//! The session timer (RFC 4028): both ends learn of a dead dialog without media to show it.
//!
//! ```text
//!   Off ──agreed──► Refresher ── refresh at half the interval ──► agreed anew, or BYE at its end
//!         └───────► Watcher ── no refresh until shortly before the end ──► BYE
//! ```

use crate::message::{Message, Name};
use clock::{Duration, Now};

/// The timer of one dialog, at one of its ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionTimer {
    /// Nobody asked for it.
    #[default]
    Off,
    /// We refresh.
    Refresher {
        /// What was agreed.
        interval: Duration,
        /// When to send the refresh.
        refresh_at: Now,
        /// When the session is over without one.
        ends_at: Now,
    },
    /// The peer refreshes.
    Watcher {
        /// What was agreed.
        interval: Duration,
        /// When to send the BYE: a little before the end, so that both ends see it (§10).
        ends_at: Now,
    },
}

/// Who refreshes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    /// This end.
    Us,
    /// The other.
    Peer,
}

/// What a request and its 2xx agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// The session interval.
    pub interval: Duration,
    /// Who refreshes.
    pub refresher: Refresher,
    /// Whether the peer speaks RFC 4028 itself.
    pub peer_supports: bool,
}

/// How an end uses session timers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimerUse {
    /// As one that has never heard of them.
    Refuse,
    /// Where the peer asks for one.
    Accept,
    /// Asks for one, and runs it alone where the peer knows none.
    #[default]
    Ask,
    /// Has no session with a peer that knows none.
    Require,
}

/// What an end wants of a session's timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerPolicy {
    /// How it is used.
    pub how: TimerUse,
    /// The interval that we like: what we ask for, and what longer ones are shortened to.
    pub expires: Duration,
    /// The shortest interval that we accept (§5).
    pub least: Duration,
}

/// Why a request is refused for its timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerRefusal {
    /// The interval asked for is below our minimum: 422 with Min-SE (§9).
    TooBrief,
    /// It requires a timer, and we have none: 420 (RFC 3261 §8.2.2.3).
    Unsupported,
    /// It knows no timer, and we require one: 421 (RFC 3261 §21.4.16).
    Missing,
}

impl TimerPolicy {
    /// Whether Supported names the extension.
    pub fn is_known(&self) -> bool {
        self.how != TimerUse::Refuse
    }

    /// Whether a request of ours asks for a timer that does not run yet.
    pub fn asks(&self) -> bool {
        matches!(self.how, TimerUse::Ask | TimerUse::Require)
    }
}

impl SessionTimer {
    /// Starts the timer, or starts it anew, at the moment of the 2xx.
    pub fn start(now: Now, agreed: Option<Agreement>) -> Self {
        match agreed {
            None => Self::Off,
            Some(Agreement {
                interval,
                refresher: Refresher::Us,
                ..
            }) => Self::Refresher {
                interval,
                refresh_at: now + interval / 2,
                ends_at: now + interval,
            },
            Some(Agreement {
                interval,
                refresher: Refresher::Peer,
                ..
            }) => Self::Watcher {
                interval,
                ends_at: now + (interval - (interval / 3).min(Duration::from_secs(32))),
            },
        }
    }

    /// When to act.
    pub fn deadline(&self) -> Option<Now> {
        match *self {
            Self::Off => None,
            Self::Refresher {
                refresh_at,
                ends_at,
                ..
            } => Some(refresh_at.min(ends_at)),
            Self::Watcher { ends_at, .. } => Some(ends_at),
        }
    }

    /// The Session-Expires value for a request of ours in the dialog; it keeps the roles (§7.4).
    pub fn request_value(&self, ours: Duration) -> String {
        match self {
            Self::Off => ours.as_secs().to_string(),
            Self::Refresher { interval, .. } => format!("{};refresher=uac", interval.as_secs()),
            Self::Watcher { interval, .. } => format!("{};refresher=uas", interval.as_secs()),
        }
    }
}

impl Agreement {
    /// The Session-Expires value for our 2xx.
    pub fn response_value(&self) -> String {
        let refresher = match self.refresher {
            Refresher::Us => "uas",
            Refresher::Peer => "uac",
        };
        format!("{};refresher={refresher}", self.interval.as_secs())
    }
}

/// What we answer a request with (§9); `None`: no timer.
///
/// # Errors
/// [`TimerRefusal`] when the request is refused instead.
pub fn agree_as_callee(
    request: &Message,
    policy: &TimerPolicy,
) -> Result<Option<Agreement>, TimerRefusal> {
    let peer_supports = request.lists(Name::Supported, "timer");
    let peer_requires = request.lists(Name::Require, "timer");
    match policy.how {
        TimerUse::Refuse if peer_requires => return Err(TimerRefusal::Unsupported),
        TimerUse::Refuse => return Ok(None),
        TimerUse::Require if !peer_supports && !peer_requires => {
            return Err(TimerRefusal::Missing);
        }
        TimerUse::Accept | TimerUse::Ask | TimerUse::Require => {}
    }
    let Ok(Some(asked)) = request.session_expires() else {
        // The caller does not ask: the timer is ours to run, if we want one.
        return Ok(policy.asks().then_some(Agreement {
            interval: policy.expires,
            refresher: Refresher::Us,
            peer_supports,
        }));
    };
    let interval = Duration::from_secs(asked.seconds.into());
    if interval < policy.least && peer_supports {
        return Err(TimerRefusal::TooBrief);
    }
    let least = request.min_se().ok().flatten().unwrap_or(0);
    let most = policy.expires.max(Duration::from_secs(least.into()));
    let refresher = match asked.params.get("refresher") {
        Some(who) if who.eq_ignore_ascii_case("uas") => Refresher::Us,
        _ if peer_supports => Refresher::Peer,
        _ => Refresher::Us,
    };
    // A proxy may ask for less than a minute on behalf of a caller that knows no 422.
    let interval = interval.min(most).max(Duration::from_secs(30));
    Ok(Some(Agreement {
        interval,
        refresher,
        peer_supports,
    }))
}

/// What the 2xx to our request agreed on; `None`: no timer (§7.2).
pub fn agree_as_caller(response: &Message, policy: &TimerPolicy) -> Option<Agreement> {
    let given = response.session_expires().ok().flatten();
    let given = given.filter(|_| policy.is_known())?;
    let refresher = match given.params.get("refresher") {
        Some(who) if who.eq_ignore_ascii_case("uas") => Refresher::Peer,
        _ => Refresher::Us,
    };
    let interval = Duration::from_secs(given.seconds.into()).max(Duration::from_secs(30));
    Some(Agreement {
        interval,
        refresher,
        peer_supports: true,
    })
}
