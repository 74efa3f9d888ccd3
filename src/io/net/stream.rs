//! One TCP or TLS connection: established, framed, read and written until either side ends it; a WebSocket
//! ([`super::web`]) lives in the same frame.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use sip::transport::{Flow, Frame, FrameError, PONG, PeerId, StreamFramer, Transport};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use tokio_util::sync::CancellationToken;

use super::{Limits, NetCounts, NetInput, Shared, pipe, web};

/// Where a connection comes from.
pub(super) enum Origin {
    /// A peer opened it.
    Accepted(TcpStream),
    /// We open it, from this local address.
    Opened(IpAddr),
    /// A browser opened it by HTTP.
    Upgraded(OnUpgrade),
    /// A program of ours speaks in the peer's place.
    Pipe(pipe::Inner),
}

/// The router's end of a connection is the other half of these.
pub(super) struct Connection {
    pub(super) flow: Flow,
    pub(super) outgoing: mpsc::Receiver<Bytes>,
    /// Set once a whole message has come, or from the start if we opened it.
    pub(super) spoken: Arc<AtomicBool>,
    /// Set once control knows who is on it, or from the start if we opened it.
    pub(super) vouched: Arc<AtomicBool>,
    pub(super) evict: CancellationToken,
}

/// Lives as long as the connection. It ends when the peer closes, breaks a bound of [`super::Limits`],
/// is evicted, or the router drops its sender and what was queued has been written.
pub(super) async fn run(shared: Arc<Shared>, mut connection: Connection, origin: Origin) {
    let evict = connection.evict.clone();
    let life = async {
        let limit = shared.limits.connect_timeout;
        let opened = timeout(limit, establish(&shared, connection.flow, origin)).await;
        let failure = match opened {
            Ok(Ok(Stream::Plain(stream))) => {
                return converse(&shared, &mut connection, stream).await;
            }
            Ok(Ok(Stream::Tls(stream, caller))) => {
                connection.flow.peer = connection.flow.peer.or(caller);
                return converse(&shared, &mut connection, *stream).await;
            }
            Ok(Ok(Stream::Web(web))) => return web.converse(&shared, &mut connection).await,
            Ok(Ok(Stream::Pipe(pipe))) => return pipe.converse(&shared, &mut connection).await,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("not established within {limit:?}"),
        };
        tracing::debug!(remote = %connection.flow.remote, failure, "connection not established");
    };
    tokio::select! {
        () = evict.cancelled() => {}
        () = life => {}
    }
}

enum Stream {
    Plain(TcpStream),
    /// And who the peer has proven to be, if it opened the connection.
    Tls(Box<TlsStream<TcpStream>>, Option<PeerId>),
    Web(web::Web),
    Pipe(pipe::Inner),
}

async fn establish(shared: &Shared, flow: Flow, origin: Origin) -> io::Result<Stream> {
    let accepted = matches!(origin, Origin::Accepted(_));
    let tcp = match origin {
        Origin::Accepted(stream) => stream,
        Origin::Opened(local) => connect(local, flow.remote).await?,
        Origin::Upgraded(stream) => {
            let web = web::Web::upgraded(stream).await?;
            prepare(web.tcp())?;
            return Ok(Stream::Web(web));
        }
        Origin::Pipe(inner) => return Ok(Stream::Pipe(inner)),
    };
    prepare(&tcp)?;
    if flow.transport != Transport::Tls {
        return Ok(Stream::Plain(tcp));
    }
    let Some(tls) = &shared.tls else {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "TLS has no certificate",
        ));
    };
    if accepted {
        let acceptor = TlsAcceptor::from(tls.server_of(flow.listener));
        let stream = acceptor.accept(tcp).await?;
        let caller = tls.caller(stream.get_ref().1.peer_certificates());
        return Ok(Stream::Tls(Box::new(stream.into()), caller));
    }
    let Some((client, name)) = tls.client_of(flow.peer, flow.remote.ip()) else {
        return Err(io::Error::other(
            "whoever was asked for is configured no more",
        ));
    };
    let stream = TlsConnector::from(client).connect(name, tcp).await?;
    Ok(Stream::Tls(Box::new(stream.into()), None))
}

/// Small messages leave at once, and a peer that is gone is found out.
fn prepare(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    SockRef::from(tcp).set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(KEEP_ALIVE_AFTER)
            .with_interval(KEEP_ALIVE_EVERY),
    )
}

/// Connects from the listener's own address, so that a peer that admits by address knows us.
async fn connect(local: IpAddr, remote: SocketAddr) -> io::Result<TcpStream> {
    let socket = if remote.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    if !local.is_unspecified() {
        socket.bind(SocketAddr::new(local, 0))?;
    }
    socket.connect(remote).await
}

async fn converse<S>(shared: &Shared, connection: &mut Connection, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (reader, writer) = tokio::io::split(stream);
    let pong = Notify::new();
    let peer = Peer {
        flow: connection.flow,
        spoken: &connection.spoken,
        vouched: &connection.vouched,
        pong: &pong,
    };
    let read = read(shared, peer, reader);
    let write = write(shared, &mut connection.outgoing, &pong, writer);
    let why = tokio::select! { why = read => why, why = write => why };
    why.note(&shared.counts, connection.flow.remote);
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Why {
    PeerClosed,
    WeClosed,
    Unframeable,
    TooSlow,
    Idle,
    WriteStalled,
}

impl Why {
    /// Notes it.
    pub(super) fn note(self, counts: &NetCounts, remote: SocketAddr) {
        if let Some(count) = self.count(counts) {
            NetCounts::add(count);
        }
        tracing::debug!(%remote, why = ?self, "connection ended");
    }

    fn count(self, counts: &NetCounts) -> Option<&AtomicU64> {
        match self {
            Self::PeerClosed | Self::WeClosed => None,
            Self::Unframeable => Some(&counts.unframeable),
            Self::TooSlow => Some(&counts.too_slow),
            Self::Idle => Some(&counts.idle),
            Self::WriteStalled => Some(&counts.write_stalled),
        }
    }
}

/// Who is on a connection, as its reader finds out.
pub(super) struct Peer<'a> {
    pub(super) flow: Flow,
    pub(super) spoken: &'a AtomicBool,
    pub(super) vouched: &'a AtomicBool,
    pub(super) pong: &'a Notify,
}

impl Peer<'_> {
    /// Until when the next byte may come, and what it means if it does not. A message that was begun
    /// has to be whole in time; a stranger's keep-alives are no message.
    fn patience(&self, limits: &Limits, began: Option<Instant>, latest: Instant) -> (Instant, Why) {
        match began {
            Some(began) => (began + limits.header_timeout, Why::TooSlow),
            None if self.vouched.load(Ordering::Relaxed) => {
                (Instant::now() + limits.idle_timeout, Why::Idle)
            }
            None => (latest + limits.stranger_timeout, Why::Idle),
        }
    }
}

async fn read(shared: &Shared, peer: Peer<'_>, mut reader: impl AsyncRead + Unpin) -> Why {
    let limits = &shared.limits;
    let mut framer = StreamFramer::new();
    let mut latest = Instant::now();
    let mut began = (!peer.spoken.load(Ordering::Relaxed)).then_some(latest);
    loop {
        let was_vouched = peer.vouched.load(Ordering::Relaxed);
        let (deadline, why) = peer.patience(limits, began, latest);
        let mut fed = match timeout_at(deadline, feed(&mut framer, &mut reader)).await {
            // Control has got to know him meanwhile.
            Err(_) if began.is_none() && !was_vouched && peer.vouched.load(Ordering::Relaxed) => {
                continue;
            }
            Err(_) => return why,
            Ok(None) => return Why::PeerClosed,
            Ok(Some(fed)) => fed,
        };
        loop {
            match fed.and_then(|()| framer.poll_frame()) {
                Err(error) => return refuse(shared, peer.flow, error).await,
                Ok(None) => break,
                Ok(Some(Frame::Ping)) => {
                    NetCounts::add(&shared.counts.keep_alives);
                    peer.pong.notify_one();
                }
                Ok(Some(Frame::Message(bytes))) => {
                    peer.spoken.store(true, Ordering::Relaxed);
                    began = None;
                    latest = Instant::now();
                    let flow = peer.flow;
                    // Control behind: this waits, the socket's buffer fills, and the peer waits too.
                    if shared
                        .inputs
                        .send(NetInput::Packet { flow, bytes })
                        .await
                        .is_err()
                    {
                        return Why::WeClosed;
                    }
                    NetCounts::add(&shared.counts.received);
                }
            }
            fed = Ok(());
        }
        if !framer.is_idle() && began.is_none() {
            began = Some(Instant::now());
        }
    }
}

/// Reads what has come into the framer; `None` at the stream's end. The bytes pass by the stack:
/// thousands of connections that say nothing have no buffer each.
async fn feed(
    framer: &mut StreamFramer,
    reader: &mut (impl AsyncRead + Unpin),
) -> Option<Result<(), FrameError>> {
    std::future::poll_fn(|context| {
        let mut space = [0_u8; READ_MAX];
        let mut buffer = ReadBuf::new(&mut space);
        match Pin::new(&mut *reader).poll_read(context, &mut buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(_)) => Poll::Ready(None),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => Poll::Ready(None),
            Poll::Ready(Ok(())) => Poll::Ready(Some(framer.push(buffer.filled()))),
        }
    })
    .await
}

/// Tells control why the stream ends, and leaves it a moment to answer before it does.
async fn refuse(shared: &Shared, flow: Flow, error: FrameError) -> Why {
    if !error.head.is_empty() {
        let input = NetInput::Unframeable { flow, error };
        if shared.inputs.send(input).await.is_ok() {
            tokio::time::sleep(LAST_ANSWER).await;
        }
    }
    Why::Unframeable
}

async fn write(
    shared: &Shared,
    outgoing: &mut mpsc::Receiver<Bytes>,
    pong: &Notify,
    mut writer: impl AsyncWrite + Unpin,
) -> Why {
    let limit = shared.limits.write_timeout;
    loop {
        let (bytes, message) = tokio::select! {
            queued = outgoing.recv() => match queued {
                Some(bytes) => (bytes, true),
                None => {
                    // The peer may be gone already; then there is nobody to say goodbye to.
                    let _ = timeout(limit, writer.shutdown()).await;
                    return Why::WeClosed;
                }
            },
            () = pong.notified() => (Bytes::from_static(PONG), false),
        };
        let written = async {
            writer.write_all(&bytes).await?;
            writer.flush().await
        };
        match timeout(limit, written).await {
            Err(_) => return Why::WriteStalled,
            Ok(Err(_)) => return Why::PeerClosed,
            Ok(Ok(())) if message => NetCounts::add(&shared.counts.sent),
            Ok(Ok(())) => {}
        }
    }
}

/// How long a connection that cannot be cut any further stays open for one last answer.
const LAST_ANSWER: Duration = Duration::from_millis(500);
/// Bytes read at once; most messages fit.
const READ_MAX: usize = 4_096;
/// A dead peer is found by the system some two minutes after its last word.
const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);
