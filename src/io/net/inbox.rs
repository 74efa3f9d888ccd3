//! What control takes from the network: datagrams straight from their sockets, what streams carry
//! from a bounded queue.
//!
//! Whoever takes reads the UDP sockets itself: a datagram reaches control without another thread's
//! wake-up, which costs as much as answering it. What control does not take in time waits in the
//! socket's buffer, and what finds that full is lost as the network itself may lose it.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use sip::transport::{Flow, ListenerId};
use tokio::sync::mpsc;

use super::udp::is_keep_alive;
use super::{NetCounts, NetInput};
use crate::io::bell::{Bell, Tell, Woken};

/// The receiving end of the transports: one reader, a thread with a [`Bell`].
#[derive(Debug)]
pub struct Inbox {
    streams: mpsc::Receiver<NetInput>,
    /// Whether something may have come since the streams were last found empty.
    streams_wait: bool,
    sockets: Vec<Datagrams>,
    /// What is read first, the streams after the last socket: each has its turn.
    turn: usize,
    buffer: Box<[u8]>,
    counts: Arc<NetCounts>,
}

/// One UDP socket.
#[derive(Debug)]
struct Datagrams {
    listener: ListenerId,
    socket: Arc<std::net::UdpSocket>,
    /// Whether something may have come since it was last found empty.
    waits: bool,
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
            waits: true,
        };
        Self {
            streams,
            streams_wait: true,
            sockets: sockets.map(datagrams).collect(),
            turn: 0,
            buffer: vec![0; DATAGRAM_MAX].into(),
            counts,
        }
    }

    /// Has the reader's bell tell of what comes; its keys are the sockets', from 0.
    ///
    /// # Errors
    /// The system's.
    pub fn watch(&self, bell: &Bell) -> io::Result<()> {
        let mut numbered = (0..).zip(&self.sockets);
        numbered.try_for_each(|(key, it)| bell.watch(&*it.socket, key, Tell::While))
    }

    /// Notes where there is something to take; keys that are no socket's are somebody else's.
    pub fn heed(&mut self, woken: Woken) {
        match woken {
            Woken::Rung => self.streams_wait = true,
            Woken::Readable(key) => {
                let socket = usize::try_from(key)
                    .ok()
                    .and_then(|at| self.sockets.get_mut(at));
                if let Some(socket) = socket {
                    socket.waits = true;
                }
            }
        }
    }

    /// Takes what has come, if anything; never waits. What it has found empty is not asked again until
    /// the bell has told of it.
    pub fn take(&mut self, cx: &mut Context<'_>) -> Option<NetInput> {
        // Each has its turn after each that was taken: no flood on one keeps the others waiting.
        for _ in 0..=self.sockets.len() {
            let at = self.turn % (self.sockets.len() + 1);
            self.turn = at + 1;
            let taken = if at < self.sockets.len() {
                self.datagram(at)
            } else {
                self.streamed(cx)
            };
            if taken.is_some() {
                return taken;
            }
        }
        None
    }

    fn streamed(&mut self, cx: &mut Context<'_>) -> Option<NetInput> {
        if !self.streams_wait {
            return None;
        }
        match self.streams.poll_recv(cx) {
            Poll::Ready(Some(input)) => Some(input),
            // Once the transports have stopped, nothing comes any more.
            Poll::Ready(None) | Poll::Pending => {
                self.streams_wait = false;
                None
            }
        }
    }

    fn datagram(&mut self, at: usize) -> Option<NetInput> {
        let datagrams = self.sockets.get_mut(at).filter(|it| it.waits)?;
        for _ in 0..KEEP_ALIVES_MAX {
            let (length, remote) = match datagrams.socket.recv_from(&mut self.buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    datagrams.waits = false;
                    return None;
                }
                // An ICMP error of an earlier datagram may end up here; it is not this socket's end.
                Err(_) => continue,
            };
            let datagram = self.buffer.get(..length)?;
            if is_keep_alive(datagram) {
                NetCounts::add(&self.counts.keep_alives);
                continue;
            }
            NetCounts::add(&self.counts.received);
            let flow = Flow::udp(datagrams.listener, remote);
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
