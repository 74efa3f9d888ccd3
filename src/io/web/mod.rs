//! Browsers' handshakes: one thread that answers their connectivity checks and makes their keys, for all workers.
//!
//! ```text
//!  browser ──UDP──▶ a worker's shared socket, read by its media thread ── media ──▶ the port that it is routed to
//!     ▲                        │ checks, handshakes: a ring, full: newest dropped, counted
//!     │                        ▼                         ◀── Order ──┐
//!     └─ a copy of the socket ─ web thread ── Lobby ── Told ─▶ io::media::Workers (control thread)
//! ```
//!
//! Law: no media thread waits for this one. What it finds out goes by control, which routes media, keys ports, and
//! says where they send to; before that a port is deaf and dumb.
//!
//! | module | has |
//! |---|---|
//! | `lobby` | every browser's session, found by what comes |
//! | `thread` | the thread: rings, sockets, time |

mod lobby;
mod thread;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use anyhow::Context;
use clock::Now;
use media::port::{Keys, PortId};
use media::worker::{Loss, WebPeer};
use rcgen::{CertificateParams, DnType, KeyPair};
use rtrb::{Consumer, Producer, RingBuffer};
use webrtc_lite::{Credentials, Identity};

use super::clock::SystemClock;
pub(in crate::io) use lobby::Counts;
pub(in crate::io) use thread::{Entrance, Plumbing, WebThread};

/// A browser's port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(in crate::io) struct Guest {
    pub(in crate::io) worker: u8,
    pub(in crate::io) port: PortId,
}

/// What came to a shared socket and is no media, or is media of a port whose browser has moved.
#[derive(Debug)]
pub(in crate::io) struct Datagram {
    from: SocketAddr,
    /// Whose it is, if it is media, and authentic.
    heard: Option<PortId>,
    len: u16,
    bytes: [u8; DATAGRAM_MAX],
}

impl Datagram {
    /// A copy of `packet`, of its first [`DATAGRAM_MAX`] bytes.
    pub(in crate::io) fn new(from: SocketAddr, packet: &[u8]) -> Self {
        let mut bytes = [0; DATAGRAM_MAX];
        for (place, byte) in bytes.iter_mut().zip(packet) {
            *place = *byte;
        }
        Self {
            from,
            heard: None,
            len: packet.len().min(DATAGRAM_MAX) as u16,
            bytes,
        }
    }

    /// That something authentic of that port's browser has come from there.
    pub(in crate::io) fn heard(from: SocketAddr, port: PortId) -> Self {
        Self {
            heard: Some(port),
            ..Self::new(from, &[])
        }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or_default()
    }
}

/// What control asks.
#[derive(Debug)]
pub(in crate::io) enum Order {
    /// A browser will check that end.
    Await(Guest, Credentials),
    /// Its SDP says who it is.
    Meet(Guest, WebPeer),
    /// Its port is gone.
    Leave(Guest),
}

/// What control is told.
#[derive(Debug)]
pub(in crate::io) enum Told {
    /// Media from there is that port's from now on.
    Path(Guest, SocketAddr),
    /// It is no longer.
    NoPath(Guest, SocketAddr),
    /// The port sends there from now on.
    Chosen(Guest, SocketAddr),
    /// Its packets are guarded so.
    Keys(Guest, Box<Keys>),
    /// It is over.
    Lost(Guest, Loss),
    /// Now and then.
    Counts(Counts),
}

/// The rings between a media thread and the web thread.
pub(in crate::io) fn checks() -> (Producer<Datagram>, Consumer<Datagram>) {
    RingBuffer::new(DATAGRAMS_MAX)
}

/// Rings the web thread.
pub(in crate::io) type Ring = Arc<OwnedFd>;

/// A certificate of this process alone, with its key (P-256, which every browser has). Who reads it compares it to
/// the print that is signalled and looks at nothing else.
///
/// # Errors
/// When the system has no random numbers.
pub(in crate::io) fn identity(clock: SystemClock) -> anyhow::Result<Identity> {
    let key = KeyPair::generate().context("no key for browsers' handshakes")?;
    let mut certificate = CertificateParams::default();
    let name = &mut certificate.distinguished_name;
    name.push(DnType::CommonName, "Tandem");
    let certificate = certificate.self_signed(&key);
    let certificate = certificate.context("no certificate for browsers' handshakes")?;
    Ok(Identity::new(
        certificate.der().to_vec(),
        key.serialize_der(),
        clock.instant(Now::ZERO),
    )?)
}

/// The longest datagram that is looked at; a handshake's are 1,200 at most.
pub(in crate::io) const DATAGRAM_MAX: usize = 1_500;

/// Datagrams that may wait, of one worker: a second's checks of 2,500 browsers.
const DATAGRAMS_MAX: usize = 1_024;

#[cfg(test)]
mod tests;
