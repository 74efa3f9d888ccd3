//! What the API asks of control about people who prove themselves otherwise than by SIP's digest.

use std::net::SocketAddr;

use super::Reply;
use crate::access::{Credential, Denied, Subject};
use crate::config::Secret;

/// One question, or order.
#[derive(Debug)]
pub enum AccessCommand {
    /// May whoever is at `source` try a password?
    MayLogIn {
        /// Whose connection it is.
        source: SocketAddr,
        /// Not while he is banned.
        reply: Reply<bool>,
    },
    /// A wrong password came.
    LoginFailed {
        /// From where.
        source: SocketAddr,
        /// Whether by HTTPS.
        secure: bool,
        /// For whom.
        agent: String,
        /// It is counted.
        reply: Reply<()>,
    },
    /// Does whoever showed a token still exist?
    Stands {
        /// Whose token it is.
        subject: Box<Subject>,
        /// Why not.
        reply: Reply<Result<(), Denied>>,
    },
    /// The token is good for nothing from now on, and its pages go.
    LogOut {
        /// Whose token it is.
        subject: Box<Subject>,
        /// Done.
        reply: Reply<()>,
    },
    /// Admit a credential, or have it end at another time.
    PutCredential {
        /// Which.
        credential: Credential,
        /// What proves it by digest.
        password: Secret,
        /// Done.
        reply: Reply<()>,
    },
    /// End a credential: whoever is there by it is put out.
    EndCredential {
        /// Its id.
        id: String,
        /// Whether it had not ended before.
        reply: Reply<bool>,
    },
    /// Does an entry of the dialplan take that number?
    HasEntry {
        /// The number.
        number: String,
        /// Whether.
        reply: Reply<bool>,
    },
}
