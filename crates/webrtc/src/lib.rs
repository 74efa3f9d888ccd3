//! What a server needs of WebRTC's transport (RFC 8445 lite, RFC 5763, RFC 5764): it answers a browser's
//! connectivity checks, makes SRTP keys with it by DTLS, and knows when it has gone. No sockets, no
//! clock, no threads: [`Session`] is told the time and what came, and says what is to be done.
//!
//! | module | has |
//! |---|---|
//! | [`stun`] | connectivity checks read and answered (RFC 8489) |
//! | [`ice`] | who has proven which address, and whether he still consents (RFC 8445, RFC 7675) |
//! | [`fingerprint`] | a certificate's print, as SDP says it (RFC 8122) |
//! | [`dtls`] | the handshake that makes keys (RFC 5764), through `dimpl` |
//! | [`session`] | all of that for one peer |
//! | [`fuzz`] | what a fuzzer does with the lite end |
//! | `peer` | a browser's end, for tests and load (feature `peer`) |

pub mod dtls;
pub mod fingerprint;
#[doc(hidden)]
pub mod fuzz;
pub mod ice;
#[cfg(any(test, feature = "peer"))]
pub mod peer;
pub mod session;
pub mod stun;

pub use dtls::{Identity, SrtpKeys};
pub use fingerprint::Fingerprint;
pub use ice::Credentials;
pub use session::{Output, Session, Terms, Why};

/// What a datagram on a shared port is, by its first byte (RFC 7983 §7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A connectivity check, or its answer.
    Stun,
    /// A record of a handshake.
    Dtls,
    /// RTP or RTCP, protected.
    Media,
    /// Nothing that belongs here.
    Other,
}

impl Kind {
    /// What begins with this byte.
    pub const fn of(first: u8) -> Self {
        match first {
            0..=3 => Self::Stun,
            // DTLS 1.3's records begin with up to 63.
            20..=63 => Self::Dtls,
            128..=191 => Self::Media,
            _ => Self::Other,
        }
    }
}
