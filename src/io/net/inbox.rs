//! What control takes from the network: datagrams straight from their sockets, what streams carry
//! from a bounded queue.
//!
//! Whoever takes reads the UDP sockets itself: a datagram reaches control without another thread's
//! wake-up, which costs as much as answering it. What control does not take in time waits in the
//! socket's buffer, and what finds that full is lost as the network itself may lose it.

use std::io;
use std::sync::Arc;
use std::task::{Poll, ready};

use bytes::Bytes;
use sip::transport::{Flow, ListenerId, Transport};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::udp::is_keep_alive;
use super::{NetCounts, NetInput};

/// The receiving end of the transports: one reader, on a runtime of its own.
#[derive(Debug)]
pub struct Inbox {
    streams: mpsc::Receiver<NetInput>,
    /// Seen by [`Inbox::ready`], not yet taken.
    head: Option<NetInput>,
    sockets: Vec<Datagrams>,
    /// What is read first, the streams after the last socket: each has its turn.
    turn: usize,
    buffer: Box<[u8]>,
    counts: Arc<NetCounts>,
}

/// One UDP socket: read directly, watched by the reader's runtime.
#[derive(Debug)]
struct Datagrams {
    listener: ListenerId,
    socket: Arc<std::net::UdpSocket>,
    watched: Option<UdpSocket>,
}

impl Inbox {
    pub(super) fn new(
        streams: mpsc::Receiver<NetInput>,
        sockets: impl Iterator<Item = (ListenerId, Arc<std::net::UdpSocket>)>,
        counts: Arc<NetCounts>,
    ) -> Self {
        let datagrams = |(listener, socket)| Datagrams {
            listener,
            socket,
            watched: None,
        };
        Self {
            streams,
            head: None,
            sockets: sockets.map(datagrams).collect(),
            turn: 0,
            buffer: vec![0; DATAGRAM_MAX].into(),
            counts,
        }
    }

    /// Has the sockets watched by the runtime it is called on: the one that will wait for them.
    ///
    /// # Errors
    /// The system's, when it has no descriptors left.
    pub fn watch(&mut self) -> io::Result<()> {
        for datagrams in &mut self.sockets {
            let socket = datagrams.socket.try_clone()?;
            datagrams.watched = Some(UdpSocket::from_std(socket)?);
        }
        Ok(())
    }

    /// Waits until [`Inbox::take`] may have something; `false` when nothing more can come. Nothing is
    /// lost if the wait is given up.
    pub async fn ready(&mut self) -> bool {
        std::future::poll_fn(|cx| {
            if self.head.is_some() {
                return Poll::Ready(true);
            }
            for datagrams in &self.sockets {
                let watched = datagrams.watched.as_ref();
                if watched.is_some_and(|it| it.poll_recv_ready(cx).is_ready()) {
                    return Poll::Ready(true);
                }
            }
            self.head = ready!(self.streams.poll_recv(cx));
            Poll::Ready(self.head.is_some())
        })
        .await
    }

    /// Takes what has come, if anything; never waits.
    pub fn take(&mut self) -> Option<NetInput> {
        if let Some(head) = self.head.take() {
            return Some(head);
        }
        // Each has its turn after each that was taken: no flood on one keeps the others waiting.
        for _ in 0..=self.sockets.len() {
            let at = self.turn % (self.sockets.len() + 1);
            self.turn = at + 1;
            let taken = if at < self.sockets.len() {
                self.datagram(at)
            } else {
                self.streams.try_recv().ok()
            };
            if taken.is_some() {
                return taken;
            }
        }
        None
    }

    /// Waits for the next input; `None` when nothing more can come.
    pub async fn recv(&mut self) -> Option<NetInput> {
        loop {
            if let Some(input) = self.take() {
                return Some(input);
            }
            if !self.ready().await {
                return None;
            }
        }
    }

    fn datagram(&mut self, at: usize) -> Option<NetInput> {
        let datagrams = self.sockets.get(at)?;
        for _ in 0..KEEP_ALIVES_MAX {
            let received = match datagrams.socket.recv_from(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // Asked once more in the watcher's way, which then waits for what comes next.
                    let watched = datagrams.watched.as_ref()?;
                    let again = || datagrams.socket.recv_from(&mut self.buffer);
                    watched.try_io(Interest::READABLE, again)
                }
                received => received,
            };
            let (length, remote) = match received {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                // An ICMP error of an earlier datagram may end up here; it is not this socket's end.
                Err(_) => continue,
            };
            let datagram = self.buffer.get(..length)?;
            if is_keep_alive(datagram) {
                NetCounts::add(&self.counts.keep_alives);
                continue;
            }
            NetCounts::add(&self.counts.received);
            let flow = Flow {
                transport: Transport::Udp,
                listener: datagrams.listener,
                remote,
                connection: None,
                peer: None,
            };
            let bytes = Bytes::copy_from_slice(datagram);
            return Some(NetInput::Packet { flow, bytes });
        }
        None
    }
}

/// Keep-alives and errors passed over before the other inputs have their turn.
const KEEP_ALIVES_MAX: usize = 64;

/// The largest UDP payload.
const DATAGRAM_MAX: usize = 65_535;
