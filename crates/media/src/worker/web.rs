//! What control and a plane say to each other of a browser's port: what either end's SDP names it by, and why
//! its media ended. The handshake itself is the edge's; here it is data.

use std::fmt;
use std::net::SocketAddr;

/// Our end of a browser's port, as our SDP says it (RFC 8839 §5.4, RFC 8122 §5).
#[derive(Clone, PartialEq, Eq)]
pub struct WebEnd {
    /// Its name in checks.
    pub ufrag: String,
    /// What proves a check.
    pub password: String,
    /// Our certificate's print: `sha-256 AA:BB…`.
    pub fingerprint: String,
    /// Where it is reached by UDP, one of each family at most; never empty.
    pub candidates: Vec<SocketAddr>,
}

/// Never tells the password.
impl fmt::Debug for WebEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebEnd")
            .field("ufrag", &self.ufrag)
            .field("fingerprint", &self.fingerprint)
            .field("candidates", &self.candidates)
            .finish_non_exhaustive()
    }
}

/// The browser's end, as its SDP says it.
#[derive(Clone, PartialEq, Eq)]
pub struct WebPeer {
    /// Its name in checks.
    pub ufrag: String,
    /// What proves its answer, should it have to be asked where it is.
    pub password: String,
    /// Its certificate's print: `sha-256 AA:BB…`.
    pub fingerprint: String,
    /// What its checks call us from now on, where an ICE restart gave us another name than the port was taken
    /// with (RFC 8839 §4.4.3).
    pub renamed: Option<WebRenamed>,
}

/// Never tells the password.
impl fmt::Debug for WebPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebPeer")
            .field("ufrag", &self.ufrag)
            .field("fingerprint", &self.fingerprint)
            .field("renamed", &self.renamed)
            .finish_non_exhaustive()
    }
}

/// A name of ours that came after the first.
#[derive(Clone, PartialEq, Eq)]
pub struct WebRenamed {
    /// Our name in checks.
    pub ufrag: String,
    /// What proves a check.
    pub password: String,
}

/// Never tells the password.
impl fmt::Debug for WebRenamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebRenamed({})", self.ufrag)
    }
}

/// Why a browser's media ended: told once, and nothing is sent or taken any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Loss {
    /// Nobody proved an address.
    #[error("no connectivity check came")]
    NoCheck,
    /// It checked, and never shook hands.
    #[error("no handshake came")]
    NoHandshake,
    /// Its checks have ceased: it is gone, or does not want to hear us any longer (RFC 7675).
    #[error("the connectivity checks ceased")]
    NoConsent,
    /// Whoever shook hands has not the certificate that its SDP names.
    #[error("the peer's certificate is not the one that its SDP names")]
    Stranger,
    /// The handshake failed, or made no keys for media.
    #[error("the handshake failed")]
    Handshake,
    /// It closed the connection: its page was left.
    #[error("the peer closed the connection")]
    Closed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_does_not_show_its_password() {
        let end = WebEnd {
            ufrag: "name".to_owned(),
            password: "secret".to_owned(),
            fingerprint: "sha-256 00".to_owned(),
            candidates: vec![([192, 0, 2, 1], 8_443).into()],
        };
        let shown = format!("{end:?}");
        assert!(
            shown.contains("name") && !shown.contains("secret"),
            "{shown}"
        );
    }
}
