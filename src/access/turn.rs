//! What a browser is told of STUN and TURN servers: time-limited credentials, as coturn takes them
//! (`use-auth-secret`, draft-uberti-behave-turn-rest-00 §2.2).
//!
//! The user name is when it ends and who it is for, `1735689600:anna`; the password is the base64 of its
//! HMAC-SHA-1 under a secret that only we and the TURN server know. Nothing is stored anywhere.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha1::Sha1;

use crate::config::Turn;

/// One entry of `RTCConfiguration.iceServers`.
#[derive(Clone, PartialEq, Eq)]
pub struct IceServer {
    /// Its addresses: `stun:`, `turn:`, `turns:`.
    pub urls: Vec<String>,
    /// The TURN user name and its password; `None` for STUN.
    pub credentials: Option<(String, String)>,
}

impl std::fmt::Debug for IceServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IceServer")
            .field("urls", &self.urls)
            .finish_non_exhaustive()
    }
}

impl IceServer {
    /// What `who` is told at `now`, and until when the credentials in it are good.
    pub fn all(turn: &Turn, who: &str, now: Timestamp) -> (Vec<Self>, Timestamp) {
        let ends = now.saturating_add(turn.ttl).unwrap_or(Timestamp::MAX);
        let (plain, relays): (Vec<String>, Vec<String>) = turn
            .urls
            .iter()
            .cloned()
            .partition(|url| url.starts_with("stun"));
        let mut servers = Vec::new();
        if !plain.is_empty() {
            servers.push(Self {
                urls: plain,
                credentials: None,
            });
        }
        if let Some(secret) = turn.secret.as_ref().filter(|_| !relays.is_empty()) {
            let user = format!("{}:{who}", ends.as_second());
            let password = password(secret.reveal(), &user);
            servers.push(Self {
                urls: relays,
                credentials: Some((user, password)),
            });
        }
        (servers, ends)
    }
}

fn password(secret: &str, user: &str) -> String {
    let mut key = [0; 64];
    // HMAC's own rule for a key of at most a block; a longer secret is refused where it is read.
    for (to, from) in key.iter_mut().zip(secret.as_bytes()) {
        *to = *from;
    }
    let mut mac = Hmac::<Sha1>::new(&key.into());
    mac.update(user.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}
