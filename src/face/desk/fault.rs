//! Why a desk is refused something: a stable id, and a sentence that says what was expected.

use crate::api::ApiError;
use crate::explain::{Explanation, printable};
use crate::face::line::LineError;

/// Why a desk is refused something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A message that breaks the protocol: what, and where.
    Message(String),
    /// Something was asked before the log-in.
    LoginFirst,
    /// The log-in is not good; that is all its bearer is told.
    Login,
    /// A second log-in on one connection.
    LoggedIn,
    /// Whoever has logged in is no agent.
    NoAgent,
    /// No call of that name.
    NoCall,
    /// A call of that name stands.
    NameTaken,
    /// As many calls as a desk may have.
    Full,
    /// The call is not in a state for this.
    NotNow,
    /// An address that SIP cannot carry.
    Address(String),
    /// The other side did not agree to a change of the call's media, by that status.
    NotAgreed(u16),
    /// Too much is asked at once.
    TooMuch,
    /// What the API says to the same.
    Api { id: &'static str, message: String },
}

impl Fault {
    /// A name that never changes.
    pub(super) fn id(&self) -> &'static str {
        match self {
            Self::Message(_) => "desk-message",
            Self::LoginFirst => "desk-login-first",
            Self::Login => "desk-login",
            Self::LoggedIn => "desk-logged-in",
            Self::NoAgent => "desk-no-agent",
            Self::NoCall => "desk-no-call",
            Self::NameTaken => "desk-name-taken",
            Self::Full => "desk-full",
            Self::NotNow => "desk-not-now",
            Self::Address(_) => "desk-address",
            Self::NotAgreed(_) => "desk-not-agreed",
            Self::TooMuch => "desk-too-much",
            Self::Api { id, .. } => id,
        }
    }

    /// For people: what was expected, what was found, and what mends it.
    pub(super) fn sentence(&self) -> String {
        let parts = match self {
            Self::Message(why) => (
                "a message of tandem.desk.v1",
                why.clone(),
                "see docs/desk-protocol.md",
            ),
            Self::LoginFirst => (
                "a log-in before all else",
                "another request".to_owned(),
                "send login and wait for welcome",
            ),
            Self::Login => (
                "a good token or password",
                "another".to_owned(),
                "log in again",
            ),
            Self::LoggedIn => (
                "one log-in on a connection",
                "a second".to_owned(),
                "open another connection",
            ),
            Self::NoAgent => (
                "an agent's endpoint",
                "one that no agent has".to_owned(),
                "name it as the endpoint of an agent, [agents.NAME]",
            ),
            Self::NoCall => (
                "the name of a call of this desk",
                "another".to_owned(),
                "take the name from ring, attach or dial",
            ),
            Self::NameTaken => (
                "a new name for the call",
                "one that a call has".to_owned(),
                "choose another",
            ),
            Self::Full => ("at most 8 calls", "one more".to_owned(), "end one first"),
            Self::NotNow => (
                "a call in a state for this",
                "one that is not answered yet, or at which another change is under way".to_owned(),
                "wait for its answer, or for the change's",
            ),
            Self::Address(to) => (
                "a number, a name or a SIP URI",
                printable(to),
                "dial what the dialplan has an entry for",
            ),
            Self::NotAgreed(status) => (
                "the other side to agree",
                format!("{status}"),
                "the call stands as it was; try again",
            ),
            Self::TooMuch => (
                "at most 16 requests under way, and 200 messages within ten seconds",
                "one more".to_owned(),
                "wait for answers",
            ),
            Self::Api { message, .. } => return message.clone(),
        };
        Explanation::new(self.id(), parts).sentence()
    }
}

impl From<ApiError> for Fault {
    fn from(error: ApiError) -> Self {
        Self::Api {
            id: error.id(),
            message: error.to_string(),
        }
    }
}

impl From<LineError> for Fault {
    fn from(error: LineError) -> Self {
        match error {
            LineError::NoSuchCall => Self::NoCall,
            LineError::NameTaken => Self::NameTaken,
            LineError::Full => Self::Full,
            LineError::NotNow => Self::NotNow,
            LineError::Unwritable => Self::Address(String::new()),
        }
    }
}
