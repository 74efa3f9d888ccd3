//! Who is on a line.

use std::fmt;

use sip::message::escape_user;
use sip::transport::Transport;

/// What a line is made of.
#[derive(Clone, Debug)]
pub struct LineConfig {
    /// WS or WSS, as the client's own socket.
    pub transport: Transport,
    /// The endpoint's name: what it registers as and calls from.
    pub user: String,
    /// What the server is called, in the addresses of its users.
    pub host: String,
    /// What proves who it is.
    pub proof: Proof,
    /// What the client calls itself, for User-Agent.
    pub user_agent: String,
    /// Unpredictable, and another for each line: tags, branches and Call-IDs come from it.
    pub seed: u64,
}

impl LineConfig {
    /// The address of a user of this server.
    pub(super) fn address(&self, user: &str) -> String {
        format!("sip:{}@{}", escape_user(user), self.host)
    }

    /// Its own.
    pub(super) fn own_address(&self) -> String {
        self.address(&self.user)
    }

    /// The host of its Contact: no place, so that the way to it is its connection alone (RFC 7118 §5).
    pub(super) fn own_host(&self) -> String {
        format!("{:016x}.invalid", self.seed.rotate_left(17) ^ HOST_MIX)
    }
}

/// What proves who is on a line.
#[derive(Clone, PartialEq, Eq)]
pub enum Proof {
    /// The endpoint's password, by digest.
    Password(String),
    /// A token of ours (RFC 8898), which goes with every request outside a dialog.
    Bearer(String),
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password(…)",
            Self::Bearer(_) => "Bearer(…)",
        })
    }
}

/// Keeps the seed out of what is sent.
const HOST_MIX: u64 = 0x9e37_79b9_7f4a_7c15;
