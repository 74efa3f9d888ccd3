//! One WebSocket that carries SIP (RFC 6455, RFC 7118): each WebSocket message, text or binary, is one SIP
//! message or a keep-alive.
//!
//! ```text
//!   HTTP server ── upgrade ──▶ WebDoor ──▶ router: caps, table ──▶ task of one connection
//!                                                 messages ──▶ control · queue ──▶ messages · pings
//! ```
//!
//! The law: the bounds are those of every connection ([`super::Limits`]). A message is at most
//! [`MESSAGE_MAX`](websocket::MESSAGE_MAX) bytes however it is cut into frames; a breach of the protocol closes the connection with
//! the code that names it.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use sip::transport::{ListenerId, Transport};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Duration, Instant, MissedTickBehavior, interval_at, timeout, timeout_at};
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::pipe::{self, Pipe};
use super::router::{ACCEPTS_MAX, Accepted};
use super::stream::{Connection, Origin, Peer, Why};
use super::{NetCounts, NetInput, Shared};
use crate::io::websocket::{self, READ_BUFFER};

/// Where connections come in that began as HTTP.
#[derive(Clone, Debug)]
pub struct WebDoor {
    accepts: mpsc::Sender<Accepted>,
}

impl WebDoor {
    /// The door, and its inner side.
    pub(super) fn new() -> (Self, (mpsc::Sender<Accepted>, mpsc::Receiver<Accepted>)) {
        let (accepts, inner) = mpsc::channel(ACCEPTS_MAX);
        let door = Self {
            accepts: accepts.clone(),
        };
        (door, (accepts, inner))
    }

    /// Takes a connection whose handshake was taken; waits while the router is behind.
    pub async fn enter(&self, arrival: Arrival, stream: OnUpgrade) {
        self.bring(arrival, Origin::Upgraded(stream)).await;
    }

    /// Opens a connection whose other end is a program of ours, which speaks for whoever is on a WebSocket
    /// of another kind: it has his address, and the bounds and counts of any other. Waits while the router
    /// is behind.
    pub async fn pipe(&self, arrival: Arrival) -> Pipe {
        let (pipe, inner) = pipe::pair();
        self.bring(arrival, Origin::Pipe(inner)).await;
        pipe
    }

    async fn bring(&self, arrival: Arrival, origin: Origin) {
        let Arrival {
            listener,
            transport,
            remote,
            turn,
        } = arrival;
        let accepted = Accepted {
            listener,
            transport,
            remote,
            origin,
            turn,
        };
        // Stopped: the connection is dropped, and so closed; a pipe is found to have ended.
        let _ = self.accepts.send(accepted).await;
    }
}

/// Whoever comes in by an HTTP listener, which flows know as `listener`.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Where.
    pub listener: ListenerId,
    /// Over TLS or not.
    pub transport: Transport,
    /// From where.
    pub remote: SocketAddr,
    /// Dropped as soon as he is known, or gone: then the next may come.
    pub turn: Option<Turn>,
}

/// Held by whoever is on his way in: so many are at once.
pub type Turn = mpsc::Sender<Infallible>;

/// What was HTTP, and what has come on it already.
pub(super) enum Web {
    Plain(TcpStream, Bytes),
    Tls(Box<TlsStream<TcpStream>>, Bytes),
}

impl Web {
    /// The connection itself, as soon as the handshake has been answered.
    pub(super) async fn upgraded(stream: OnUpgrade) -> io::Result<Self> {
        let upgraded = stream.await.map_err(io::Error::other)?;
        let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
            Ok(parts) => return Ok(Self::Plain(parts.io.into_inner(), parts.read_buf)),
            Err(upgraded) => upgraded,
        };
        match upgraded.downcast::<TokioIo<TlsStream<TcpStream>>>() {
            Ok(parts) => Ok(Self::Tls(Box::new(parts.io.into_inner()), parts.read_buf)),
            Err(_) => Err(io::Error::other("not a connection of the HTTP server")),
        }
    }

    pub(super) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp, _) => tcp,
            Self::Tls(tls, _) => tls.get_ref().0,
        }
    }

    pub(super) async fn converse(self, shared: &Shared, connection: &mut Connection) {
        match self {
            Self::Plain(tcp, early) => converse(shared, connection, tcp, early).await,
            Self::Tls(tls, early) => converse(shared, connection, tls, early).await,
        }
    }
}

async fn converse<S>(shared: &Shared, connection: &mut Connection, stream: S, early: Bytes)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let config = websocket::config();
    let early = early.into();
    let socket = WebSocketStream::from_partially_read(stream, early, Role::Server, Some(config));
    let (mut sink, mut messages) = socket.await.split();
    let pong = Notify::new();
    let peer = Peer {
        flow: connection.flow,
        spoken: &connection.spoken,
        vouched: &connection.vouched,
        pong: &pong,
    };
    let remote = peer.flow.remote;
    let (why, code) = tokio::select! {
        ended = read(shared, &peer, &mut messages) => ended,
        ended = write(shared, &mut connection.outgoing, &pong, &mut sink) => ended,
    };
    why.note(&shared.counts, remote);
    if let Some(code) = code {
        let reason = Utf8Bytes::default();
        let close = Message::Close(Some(CloseFrame { code, reason }));
        let _ = timeout(LINGER, sink.send(close)).await;
    }
    if let Ok(socket) = sink.reunite(messages) {
        linger(socket.into_inner()).await;
    }
}

/// Leaves the peer a moment to read our last word: a socket closed with something unread in it takes back
/// what it has sent.
async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut rest = [0; READ_BUFFER];
    let farewell = async {
        stream.shutdown().await?;
        for _ in 0..LINGER_READS {
            if stream.read(&mut rest).await? == 0 {
                break;
            }
        }
        io::Result::Ok(())
    };
    // The peer may be gone already.
    let _ = timeout(LINGER, farewell).await;
}

/// Why it ended, and what the peer is told.
type Ended = (Why, Option<CloseCode>);

async fn read<S>(shared: &Shared, peer: &Peer<'_>, messages: &mut SplitStream<Socket<S>>) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut heard, mut latest) = (Instant::now(), Instant::now());
    loop {
        let was_vouched = peer.vouched.load(Ordering::Relaxed);
        let (deadline, why) = patience(shared, peer, heard, latest);
        let next = match timeout_at(deadline, messages.next()).await {
            // Control has got to know him meanwhile.
            Err(_) if !was_vouched && peer.vouched.load(Ordering::Relaxed) => continue,
            Err(_) => return (why, Some(CloseCode::Policy)),
            Ok(next) => next,
        };
        let bytes = match next {
            Some(Ok(Message::Text(text))) => Bytes::from(text),
            Some(Ok(Message::Binary(bytes))) => bytes,
            // A ping is answered by the next read, as is a close.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                NetCounts::add(&shared.counts.keep_alives);
                heard = Instant::now();
                continue;
            }
            Some(Ok(Message::Close(_))) => continue,
            None => return (Why::PeerClosed, None),
            Some(Err(error)) => return breach(&error),
        };
        heard = Instant::now();
        if bytes.iter().all(|byte| b"\r\n".contains(byte)) {
            NetCounts::add(&shared.counts.keep_alives);
            if bytes.as_ref() == PING {
                peer.pong.notify_one();
            }
            continue;
        }
        latest = heard;
        peer.spoken.store(true, Ordering::Relaxed);
        let flow = peer.flow;
        // Control behind: this waits, the socket's buffer fills, and the peer waits too.
        let input = NetInput::Packet { flow, bytes };
        if shared.inputs.send(input).await.is_err() {
            return (Why::WeClosed, Some(CloseCode::Away));
        }
        NetCounts::add(&shared.counts.received);
    }
}

/// Until when the next message may come, and what it means if it does not. A stranger's pings are no
/// message; whoever is known answers ours.
fn patience(shared: &Shared, peer: &Peer<'_>, heard: Instant, latest: Instant) -> (Instant, Why) {
    let limits = &shared.limits;
    if !peer.spoken.load(Ordering::Relaxed) {
        (latest + limits.header_timeout, Why::TooSlow)
    } else if peer.vouched.load(Ordering::Relaxed) {
        (heard + limits.ping_every * PINGS_LOST, Why::Idle)
    } else {
        (latest + limits.stranger_timeout, Why::Idle)
    }
}

/// What a peer is told who broke the protocol.
fn breach(error: &Error) -> Ended {
    match websocket::breach(error) {
        None => (Why::PeerClosed, None),
        code => (Why::Unframeable, code),
    }
}

async fn write<S>(
    shared: &Shared,
    outgoing: &mut mpsc::Receiver<Bytes>,
    pong: &Notify,
    sink: &mut SplitSink<Socket<S>, Message>,
) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let every = shared.limits.ping_every;
    let mut pings = interval_at(Instant::now() + every, every);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let (message, is_sip) = tokio::select! {
            queued = outgoing.recv() => match queued {
                Some(bytes) => (as_message(bytes), true),
                None => return (Why::WeClosed, Some(CloseCode::Away)),
            },
            () = pong.notified() => (Message::Text(Utf8Bytes::from_static(PONG)), false),
            _ = pings.tick() => (Message::Ping(Bytes::new()), false),
        };
        match timeout(shared.limits.write_timeout, sink.send(message)).await {
            Err(_) => return (Why::WriteStalled, None),
            Ok(Err(_)) => return (Why::PeerClosed, None),
            Ok(Ok(())) if is_sip => NetCounts::add(&shared.counts.sent),
            Ok(Ok(())) => {}
        }
    }
}

/// Text where it is such; else binary (RFC 7118 §5).
fn as_message(bytes: Bytes) -> Message {
    match Utf8Bytes::try_from(bytes.clone()) {
        Ok(text) => Message::Text(text),
        Err(_) => Message::Binary(bytes),
    }
}

type Socket<S> = WebSocketStream<S>;

/// Keep-alives of RFC 5626 §4.4.1, as some libraries send them here too.
const PING: &[u8] = b"\r\n\r\n";
const PONG: &str = "\r\n";
/// Pings of ours without any sign of life.
const PINGS_LOST: u32 = 3;
/// How long our last word waits to be read, and how much of theirs is thrown away meanwhile.
const LINGER: Duration = Duration::from_millis(500);
const LINGER_READS: usize = 64;
