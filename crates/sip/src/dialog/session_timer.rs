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

/// The interval asked for is below our minimum: 422 with Min-SE (§9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooBrief;

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

/// What we answer a request with (§9): `ours` is the interval we like, `min_se` the least we take.
///
/// # Errors
/// [`TooBrief`] when a caller that understands 422 asks for less than `min_se`.
pub fn agree_as_callee(
    request: &Message,
    ours: Duration,
    min_se: Duration,
) -> Result<Agreement, TooBrief> {
    let peer_supports = request.lists(Name::Supported, "timer");
    let Ok(Some(asked)) = request.session_expires() else {
        // The caller does not ask: the timer is ours to run.
        return Ok(Agreement {
            interval: ours,
            refresher: Refresher::Us,
            peer_supports,
        });
    };
    let interval = Duration::from_secs(asked.seconds.into());
    if interval < min_se && peer_supports {
        return Err(TooBrief);
    }
    let least = request.min_se().ok().flatten().unwrap_or(0);
    let most = ours.max(Duration::from_secs(least.into()));
    let refresher = match asked.params.get("refresher") {
        Some(who) if who.eq_ignore_ascii_case("uas") => Refresher::Us,
        _ if peer_supports => Refresher::Peer,
        _ => Refresher::Us,
    };
    // A proxy may ask for less than a minute on behalf of a caller that knows no 422.
    let interval = interval.min(most).max(Duration::from_secs(30));
    Ok(Agreement {
        interval,
        refresher,
        peer_supports,
    })
}

/// What the 2xx to our request agreed on; `None`: no timer (§7.2).
pub fn agree_as_caller(response: &Message) -> Option<Agreement> {
    let given = response.session_expires().ok().flatten()?;
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
