//! Why a token proves nothing.

use std::fmt;

use jiff::Timestamp;

use crate::explain::Explanation;

/// Why a token proves nothing. Its bearer hears one word for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// It is no token.
    Malformed,
    /// It was not made with our secret, or changed since.
    Forged,
    /// Its time is over, or has not begun.
    Expired {
        /// When it is over.
        at: Timestamp,
    },
    /// The agent, his password or the credential is no more.
    Ended,
    /// It was for one call, which has been made.
    Spent,
    /// It is good, but not for that: a click does not register, and calls one number.
    Misplaced,
}

impl Denied {
    /// A name that never changes.
    pub const fn id(&self) -> &'static str {
        match self {
            Self::Malformed => "token-malformed",
            Self::Forged => "token-forged",
            Self::Expired { .. } => "token-expired",
            Self::Ended => "token-ended",
            Self::Spent => "token-spent",
            Self::Misplaced => "token-misplaced",
        }
    }

    /// Whether whoever shows it may be guessing. A page that has slept for a week is not.
    pub const fn is_guess(&self) -> bool {
        matches!(self, Self::Malformed | Self::Forged)
    }

    /// All of it, for the log, the API's operator and `explain`.
    pub fn explanation(&self) -> Explanation {
        let parts = match self {
            Self::Malformed => (
                "a JSON Web Token of three parts after \"Bearer\"",
                "something else".to_owned(),
                "send the token as POST /v1/login or the API gave it, with \"Bearer \" before it",
            ),
            Self::Forged => (
                "a token that was made with this server's secret",
                "one of another secret, or changed on its way".to_owned(),
                "have a new token made; tokens end when access.secret or the data folder changes",
            ),
            Self::Expired { at } => (
                "a token whose time has not passed",
                format!("one that was good until {at}"),
                "have a new token made before the old one ends (exp); access.login and \
                 access.credential say how long they are good",
            ),
            Self::Ended => (
                "a token of an agent or a credential that exists",
                "one of somebody who was removed, has ended, or has another password now"
                    .to_owned(),
                "log in again, or make another credential",
            ),
            Self::Spent => (
                "a token for a call that has not been made",
                "one whose call was made".to_owned(),
                "ask POST /v1/click_to_call for one token a call",
            ),
            Self::Misplaced => (
                "a token that is good for this request",
                "one for a call to one number".to_owned(),
                "call the entry that the token was made for; it registers nobody",
            ),
        };
        Explanation::new(self.id(), parts)
    }
}

impl std::error::Error for Denied {}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.explanation().fmt(f)
    }
}
