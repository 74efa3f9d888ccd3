//! A connection whose other end is a program of ours in place of a socket: whole messages by two bounded
//! channels. It speaks SIP for whoever is on a WebSocket of another kind.
//!
//! The law: to control and to the router it is a connection like any other. It counts for its peer's address,
//! he is a stranger until control knows him, and one that says nothing, or nothing that proves who he is, ends
//! after the same waits. Framing, pings and keep-alives are the business of whoever holds the real socket.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use sip::transport::Flow;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::stream::{Connection, Why};
use super::{NetCounts, NetInput, Shared};

/// The far end of a connection. Dropped, the connection ends once what it was given has been taken.
#[derive(Debug)]
pub struct Pipe {
    /// What control is to get: one SIP message each. Closed when the connection has ended.
    pub to_control: mpsc::Sender<Bytes>,
    /// What control sends; `None` when the connection has ended. One that is not taken in time ends it.
    pub from_control: mpsc::Receiver<Bytes>,
}

/// The router's end.
#[derive(Debug)]
pub(super) struct Inner {
    messages: mpsc::Receiver<Bytes>,
    replies: mpsc::Sender<Bytes>,
}

/// Both ends.
pub(super) fn pair() -> (Pipe, Inner) {
    let (to_control, messages) = mpsc::channel(WAITING_MAX);
    let (replies, from_control) = mpsc::channel(WAITING_MAX);
    let pipe = Pipe {
        to_control,
        from_control,
    };
    (pipe, Inner { messages, replies })
}

impl Inner {
    pub(super) async fn converse(self, shared: &Shared, connection: &mut Connection) {
        let Self {
            mut messages,
            replies,
        } = self;
        let flow = connection.flow;
        let who = (&*connection.spoken, &*connection.vouched);
        let why = tokio::select! {
            why = read(shared, flow, who, &mut messages) => why,
            why = write(shared, &mut connection.outgoing, &replies) => why,
        };
        why.note(&shared.counts, flow.remote);
    }
}

/// Whether he has spoken, and whether control knows him.
type Flags<'a> = (&'a AtomicBool, &'a AtomicBool);

async fn read(
    shared: &Shared,
    flow: Flow,
    (spoken, vouched): Flags<'_>,
    messages: &mut mpsc::Receiver<Bytes>,
) -> Why {
    let limits = &shared.limits;
    let mut latest = Instant::now();
    loop {
        let (deadline, why) = if !spoken.load(Ordering::Relaxed) {
            (latest + limits.header_timeout, Why::TooSlow)
        } else if vouched.load(Ordering::Relaxed) {
            // Whoever holds the real socket knows whether the peer is alive.
            (Instant::now() + limits.idle_timeout, Why::Idle)
        } else {
            (latest + limits.stranger_timeout, Why::Idle)
        };
        let bytes = match timeout_at(deadline, messages.recv()).await {
            // Control has got to know him meanwhile, or knew him all along.
            Err(_) if vouched.load(Ordering::Relaxed) => continue,
            Err(_) => return why,
            Ok(None) => return Why::PeerClosed,
            Ok(Some(bytes)) => bytes,
        };
        latest = Instant::now();
        spoken.store(true, Ordering::Relaxed);
        // Control behind: this waits, the channel fills, and whoever writes to it waits too.
        let input = NetInput::Packet { flow, bytes };
        if shared.inputs.send(input).await.is_err() {
            return Why::WeClosed;
        }
        NetCounts::add(&shared.counts.received);
    }
}

async fn write(
    shared: &Shared,
    outgoing: &mut mpsc::Receiver<Bytes>,
    replies: &mpsc::Sender<Bytes>,
) -> Why {
    while let Some(bytes) = outgoing.recv().await {
        match timeout(shared.limits.write_timeout, replies.send(bytes)).await {
            Err(_) => return Why::WriteStalled,
            Ok(Ok(())) => NetCounts::add(&shared.counts.sent),
            // Nobody hears any more; what was said before is still to be read.
            Ok(Err(_)) => {}
        }
    }
    Why::WeClosed
}

/// Messages that wait on either way; more wait at the sender.
const WAITING_MAX: usize = 16;
