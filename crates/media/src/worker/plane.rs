//! The media plane as control sees it: reserve a port, command it, read events.
//!
//! Two implementations: worker threads with real sockets, and the simulated world. Nothing here
//! waits: a plane that cannot take a command says so, and the call is refused.

use std::net::{IpAddr, SocketAddr};

use crate::port::PortId;
use crate::worker::{PortCommand, PortEvent, WebEnd, WebPeer};

/// The address family of a leg's media.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum IpFamily {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl IpFamily {
    /// The family of `address`.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() {
            Self::V4
        } else {
            Self::V6
        }
    }
}

/// A port that is bound but not yet open: its address can stand in an SDP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reserved {
    /// The worker that holds it; every port of one bridge is on the same worker.
    pub worker: u8,
    /// Its name.
    pub port: PortId,
    /// The bound RTP address: an even port; RTCP is bound to the next (RFC 3550 §11). Of a browser's port the
    /// address that its worker's browsers share.
    pub rtp: SocketAddr,
    /// The address to write into SDP: not the bound one behind 1:1 NAT.
    pub advertised: IpAddr,
}

/// Why no port could be reserved: refuse the call with 503.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoPort {
    /// Every pair of the configured range is taken.
    #[error("every RTP port of the configured range is taken")]
    RangeExhausted,
    /// The worker holds as many ports as it was built for.
    #[error("the media worker holds as many ports as it was built for")]
    WorkerFull,
    /// No media address of this family is configured.
    #[error("no media address of this family is configured")]
    NoAddress,
    /// There is no such worker.
    #[error("there is no such media worker")]
    NoWorker,
    /// The system refused the socket (limit of open files).
    #[error("the system refused a socket")]
    System,
    /// Nothing is received from browsers; or their port was to go to another worker, where it is not reached.
    #[error("no browser's media can be received there")]
    NoWeb,
}

/// The worker's command ring is full: it has fallen far behind. Refuse the call with 503.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the media worker's command ring is full")]
pub struct RingFull;

/// What control needs of media.
pub trait MediaPlane {
    /// Binds a port on the least loaded worker.
    ///
    /// # Errors
    /// [`NoPort`], which says what ran out.
    fn reserve(&mut self, family: IpFamily) -> Result<Reserved, NoPort>;

    /// Binds a port on `worker`: the second leg of a bridge.
    ///
    /// # Errors
    /// [`NoPort`], which says what ran out.
    fn reserve_beside(&mut self, worker: u8, family: IpFamily) -> Result<Reserved, NoPort>;

    /// Moves an open port to the worker `to`, with its sockets; gives the name it has from now on, by which
    /// it is commanded and told of. It leaves its bridge; all else of it goes on.
    ///
    /// # Errors
    /// [`NoPort`] when there is no such worker, or it is full or far behind.
    fn relocate(&mut self, from: u8, port: PortId, to: u8) -> Result<PortId, NoPort>;

    /// Takes a port for a browser, on the worker `beside` or the least loaded one. It has no socket of its own:
    /// what comes to its worker's shared one is its once the browser has proven where it is, and that is where
    /// it sends to. Its plan awaits keys, has RTCP beside RTP, and [`Latch::Proven`](crate::port::Latch::Proven).
    /// A command to close it, or [`MediaPlane::release`], tells the browser that it is over.
    ///
    /// # Errors
    /// [`NoPort`], which says what ran out; [`NoPort::NoWeb`] of a plane without browsers.
    fn reserve_web(&mut self, beside: Option<u8>) -> Result<(Reserved, WebEnd), NoPort> {
        let _ = beside;
        Err(NoPort::NoWeb)
    }

    /// Tells whom a browser's port is with, once its SDP is known, and again when that says something new (ICE
    /// restart): nobody is trusted before.
    ///
    /// # Errors
    /// [`RingFull`] when whoever shakes hands has fallen behind.
    fn meet(&mut self, worker: u8, port: PortId, peer: WebPeer) -> Result<(), RingFull> {
        let _ = (worker, port, peer);
        Ok(())
    }

    /// Gives `worker` a command; commands to one worker are carried out in order.
    ///
    /// # Errors
    /// [`RingFull`] when the worker has fallen behind; [`PortCommand::Close`] is always taken.
    fn command(&mut self, worker: u8, command: PortCommand) -> Result<(), RingFull>;

    /// Gives back a reserved port that was never opened. An open port is given back by `Close`.
    fn release(&mut self, worker: u8, port: PortId);

    /// The next event of any worker, with the worker's number.
    fn poll_event(&mut self) -> Option<(u8, PortEvent)>;
}
