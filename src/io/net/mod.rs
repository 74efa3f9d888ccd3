//! SIP transports: UDP, TCP and TLS over IPv4 and IPv6 (RFC 3261 §18), and WebSocket (RFC 7118).
//!
//! Received messages go up as [`NetInput`], taken from an [`Inbox`]; a message to send comes down as
//! a flow and its bytes ([`NetSender`]). Datagrams are read and written by control's own thread, what
//! streams carry crosses two bounded channels.
//!
//! ```text
//!  UDP socket ──────────────────────────────┬──▶ Inbox ──▶ control  (full: lost in the system)
//!  TCP/TLS connection ── framer ── NetInput ┘                       (full: the peer's TCP waits)
//!  router: who is connected ◀── accept loop; WebDoor ◀── upgraded HTTP connections, pipes of faces
//!     │  ▲
//!     │  └──── (Flow, Bytes) ◀──────────── streams ─┬── NetSender   (full: refused to the caller)
//!     └▶ write queue of one connection              └─▶ UDP socket  (full: lost, counted)
//! ```
//!
//! Law: every queue, message, wait and count of connections has a bound in [`Limits`]. A datagram
//! leaves from the socket of its listener, so a peer behind a NAT sees one address (RFC 3581).

pub mod certs;
mod gate;
mod inbox;
mod pipe;
mod router;
mod strangers;
mod stream;
#[cfg(test)]
mod tests;
pub mod tls;
mod udp;
mod web;

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sip::transport::{Flow, FrameError, ListenerId, Transport};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use gate::GatePolicy;
pub use inbox::Inbox;
pub use pipe::Pipe;
pub use web::{Arrival, Turn, WebDoor};

/// One address that SIP is spoken at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Names the listener in every [`Flow`]; unique.
    pub id: ListenerId,
    /// UDP, TCP or TLS.
    pub transport: Transport,
    /// The local address; port 0 lets the system choose.
    pub bind: SocketAddr,
    /// The address that peers are told, when it is not `bind` (a server behind a 1:1 NAT).
    pub advertised: Option<SocketAddr>,
}

/// What the transports tell control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetInput {
    /// One whole message, not yet parsed; at most 64 KiB.
    Packet {
        /// Where it came from, and the way back.
        flow: Flow,
        /// The message.
        bytes: Bytes,
    },
    /// A stream that cannot be cut into messages any further; it closes half a second later, so
    /// that one last answer may be sent.
    Unframeable {
        /// The stream.
        flow: Flow,
        /// What is wrong, and the head that it is wrong with.
        error: FrameError,
    },
    /// Nothing more will come or go on this flow: refused, lost, timed out or never opened.
    FlowFailed(Flow),
}

/// Bounds on what peers can make us keep.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Messages of streams that wait for control.
    pub inputs_max: usize,
    /// Messages that wait to be routed to a stream.
    pub outputs_max: usize,
    /// Messages that wait on one connection; one more closes it, because the peer has stopped reading.
    pub write_queue_max: usize,
    /// Connections in all.
    pub connections_max: usize,
    /// Connections from one address, or one /64.
    pub connections_per_ip_max: usize,
    /// Of one listener, those whose peer has not proven who he is. One more closes one of them.
    pub strangers_max: usize,
    /// How long a TCP connect and a TLS handshake may take together, or a WebSocket's to be finished.
    pub connect_timeout: Duration,
    /// How long the first message, or one begun, may take to arrive whole.
    pub header_timeout: Duration,
    /// How long a connection lives after its latest message, if that was no proof of who sends.
    /// Keep-alives do not lengthen it.
    pub stranger_timeout: Duration,
    /// How long one write may take.
    pub write_timeout: Duration,
    /// How long a connection may say nothing, keep-alives included. Longer than the usual
    /// registration of an hour, since a phone's connection carries the calls to it.
    pub idle_timeout: Duration,
    /// How often a WebSocket is pinged, since a page cannot; one that has been silent for three of them
    /// is lost.
    pub ping_every: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inputs_max: 4_096,
            outputs_max: 4_096,
            write_queue_max: 1_024,
            connections_max: 8_192,
            connections_per_ip_max: 1_024,
            strangers_max: 1_024,
            connect_timeout: Duration::from_secs(4),
            header_timeout: Duration::from_secs(10),
            stranger_timeout: Duration::from_secs(32),
            write_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(3_900),
            ping_every: Duration::from_secs(25),
        }
    }
}

/// What the transports have done since they started. Read at any time, from any thread.
#[derive(Debug, Default)]
pub struct NetCounts {
    /// Messages delivered to control.
    pub received: AtomicU64,
    /// Messages handed to a socket.
    pub sent: AtomicU64,
    /// Messages that control could not hand over because the router was behind.
    pub output_full: AtomicU64,
    /// Datagrams the system did not take.
    pub send_failed: AtomicU64,
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Connections opened by us.
    pub opened: AtomicU64,
    /// Connections refused at a cap.
    pub refused: AtomicU64,
    /// Connections closed to make room: strangers'.
    pub evicted: AtomicU64,
    /// Connections closed for oversized or unframeable input, or a breach of RFC 6455.
    pub unframeable: AtomicU64,
    /// Connections closed because a message, or the first one, did not come in time.
    pub too_slow: AtomicU64,
    /// Connections closed because the peer did not read.
    pub write_stalled: AtomicU64,
    /// Connections closed after a long silence.
    pub idle: AtomicU64,
    /// Keep-alives received.
    pub keep_alives: AtomicU64,
    /// Open connections now.
    pub connections: AtomicU64,
    /// Failures of flows that could not be told to control in time.
    pub failures_lost: AtomicU64,
}

impl NetCounts {
    fn add(count: &AtomicU64) {
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Every count with its name, for metrics. All but `connections` only ever grow.
    pub fn named(&self) -> [(&'static str, u64); 15] {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [
            ("received", read(&self.received)),
            ("sent", read(&self.sent)),
            ("output_full", read(&self.output_full)),
            ("send_failed", read(&self.send_failed)),
            ("accepted", read(&self.accepted)),
            ("opened", read(&self.opened)),
            ("refused", read(&self.refused)),
            ("evicted", read(&self.evicted)),
            ("unframeable", read(&self.unframeable)),
            ("too_slow", read(&self.too_slow)),
            ("write_stalled", read(&self.write_stalled)),
            ("idle", read(&self.idle)),
            ("keep_alives", read(&self.keep_alives)),
            ("connections", read(&self.connections)),
            ("failures_lost", read(&self.failures_lost)),
        ]
    }
}

/// Why the transports could not start.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The system refused the address: in use, not ours, or not permitted.
    #[error("listener {id}: cannot listen on {transport} {bind}")]
    Bind {
        /// The listener's number.
        id: u16,
        /// Its transport.
        transport: Transport,
        /// The address asked for.
        bind: SocketAddr,
        /// The system's reason.
        #[source]
        error: io::Error,
    },
    /// A transport that this module does not speak.
    #[error("listener {id}: {transport:?} is not served here; want Udp, Tcp or Tls")]
    Unsupported {
        /// The listener's number.
        id: u16,
        /// The transport asked for.
        transport: Transport,
    },
    /// A TLS listener without certificates.
    #[error("listener {id}: TLS needs a certificate and a key")]
    NoCertificate {
        /// The listener's number.
        id: u16,
    },
    /// Two listeners of one number.
    #[error("listener {id} is defined twice")]
    Duplicate {
        /// The number.
        id: u16,
    },
}

/// The router's queue is full; the message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the transports are {limit} messages behind")]
pub struct Behind {
    /// Messages that may wait, [`Limits::outputs_max`].
    pub limit: usize,
}

/// Hands messages to the transports. Never waits, so control may call it.
#[derive(Clone, Debug)]
pub struct NetSender {
    outputs: mpsc::Sender<Order>,
    sockets: Sockets,
    counts: Arc<NetCounts>,
}

impl NetSender {
    /// Sends `bytes` on `flow`: on its connection if it names one, else from its listener's socket
    /// (UDP) or over a connection opened or reused (TCP, TLS). A failure comes back as
    /// [`NetInput::FlowFailed`].
    ///
    /// # Errors
    /// [`Behind`] when [`Limits::outputs_max`] messages wait already, or the transports have stopped.
    pub fn send(&self, flow: Flow, bytes: Bytes) -> Result<(), Behind> {
        let socket = self.sockets.get(&flow.listener.0);
        // What cannot be reached at all goes the router's way, which says so to control.
        if flow.transport == Transport::Udp
            && socket.is_some_and(|socket| udp::send(&self.counts, socket, flow, &bytes))
        {
            return Ok(());
        }
        self.outputs
            .try_send(Order::Send(flow, bytes))
            .map_err(|_| {
                NetCounts::add(&self.counts.output_full);
                Behind {
                    limit: self.outputs.max_capacity(),
                }
            })
    }

    /// Lets a connection live as long as a phone's does, and keeps it when room is made: somebody who
    /// is known is on it. Lost when the router is behind; the next request of his says so again.
    pub fn vouch(&self, flow: Flow) {
        let _ = self.outputs.try_send(Order::Vouch(flow));
    }

    /// Closes a connection once what was sent on it is out; `false` when the router is behind, and the caller has
    /// to ask again: until then whoever is on it stays, and is heard as a stranger is.
    #[must_use]
    pub fn close(&self, flow: Flow) -> bool {
        self.outputs.try_send(Order::Close(flow)).is_ok()
    }
}

/// What control wants of the transports.
#[derive(Debug)]
enum Order {
    Send(Flow, Bytes),
    /// Whoever is on that connection has proven who he is.
    Vouch(Flow),
    /// Whoever is on that connection has to go.
    Close(Flow),
}

impl NetSender {
    /// Has the system drop a share of what comes to the UDP sockets before it is read.
    ///
    /// # Errors
    /// The system's, for the first socket that it refuses a filter for.
    pub fn set_gate(&self, policy: &GatePolicy) -> io::Result<()> {
        let mut sockets = self.sockets.values();
        sockets.try_for_each(|socket| gate::set(socket, policy))
    }
}

/// A listener at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The listener as configured.
    pub config: ListenerConfig,
    /// Its real address, with the port that the system chose if it was 0.
    pub local: SocketAddr,
}

impl Bound {
    /// The address that peers are told.
    pub fn advertised(&self) -> SocketAddr {
        self.config.advertised.unwrap_or(self.local)
    }
}

/// The running transports.
#[derive(Debug)]
pub struct Net {
    sender: NetSender,
    door: WebDoor,
    bound: Vec<Bound>,
    counts: Arc<NetCounts>,
    stop: CancellationToken,
    router: JoinHandle<()>,
}

impl Net {
    /// Binds every listener and starts to serve. The inbox is control's.
    ///
    /// # Errors
    /// [`NetError`] for the first listener that cannot be served; nothing stays bound then.
    pub fn start(
        listeners: &[ListenerConfig],
        tls: Option<tls::TlsConfig>,
        limits: &Limits,
    ) -> Result<(Self, Inbox), NetError> {
        let counts = Arc::new(NetCounts::default());
        let (inputs_tx, inputs_rx) = mpsc::channel(limits.inputs_max);
        let (outputs_tx, outputs_rx) = mpsc::channel(limits.outputs_max);
        let opened = open_all(listeners, tls.is_some())?;
        let bound = opened.iter().map(|(bound, _)| bound.clone()).collect();
        let (sockets, streams) = part(opened);
        let sender = NetSender {
            outputs: outputs_tx,
            sockets: Arc::clone(&sockets),
            counts: Arc::clone(&counts),
        };
        let read = sockets.iter();
        let read = read.map(|(&id, socket)| (ListenerId(id), Arc::clone(socket)));
        let inbox = Inbox::new(inputs_rx, read, Arc::clone(&counts));
        let (door, accepts) = WebDoor::new();
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            inputs: inputs_tx,
            limits: limits.clone(),
            counts: Arc::clone(&counts),
            stop: stop.clone(),
            tls,
        });
        #[expect(
            clippy::disallowed_methods,
            reason = "`shutdown` waits for it, and `stop` ends it"
        )]
        let router = tokio::spawn(router::run(shared, sockets, streams, accepts, outputs_rx));
        Ok((
            Self {
                sender,
                door,
                bound,
                counts,
                stop,
                router,
            },
            inbox,
        ))
    }

    /// A handle that sends.
    pub fn sender(&self) -> NetSender {
        self.sender.clone()
    }

    /// Where upgraded HTTP connections come in.
    pub fn door(&self) -> WebDoor {
        self.door.clone()
    }

    /// The listeners, in the order they were configured.
    pub fn bound(&self) -> &[Bound] {
        &self.bound
    }

    /// The counts, live.
    pub fn counts(&self) -> Arc<NetCounts> {
        Arc::clone(&self.counts)
    }

    /// Stops listening, sends what is queued, closes every connection and waits until that is done,
    /// at most `grace`; what is left then is cut off.
    pub async fn shutdown(mut self, grace: Duration) {
        self.stop.cancel();
        if tokio::time::timeout(grace, &mut self.router).await.is_err() {
            self.router.abort();
            tracing::warn!("SIP transports did not close within {grace:?}; cut off");
        }
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What every task of the transports holds.
struct Shared {
    inputs: mpsc::Sender<NetInput>,
    limits: Limits,
    counts: Arc<NetCounts>,
    stop: CancellationToken,
    tls: Option<tls::TlsConfig>,
}

/// The UDP sockets by their listeners' numbers; they send and receive at once.
type Sockets = Arc<BTreeMap<u16, Arc<UdpSocket>>>;

enum Socketed {
    Udp(UdpSocket),
    Stream(TcpListener),
}

/// Sockets apart from listeners of streams.
fn part(opened: Vec<(Bound, Socketed)>) -> (Sockets, Vec<(Bound, TcpListener)>) {
    let (mut sockets, mut streams) = (BTreeMap::new(), Vec::new());
    for (bound, socket) in opened {
        match socket {
            Socketed::Udp(socket) => {
                sockets.insert(bound.config.id.0, Arc::new(socket));
            }
            Socketed::Stream(socket) => streams.push((bound, socket)),
        }
    }
    (Arc::new(sockets), streams)
}

fn open_all(
    listeners: &[ListenerConfig],
    has_tls: bool,
) -> Result<Vec<(Bound, Socketed)>, NetError> {
    let mut opened: Vec<(Bound, Socketed)> = Vec::with_capacity(listeners.len());
    for config in listeners {
        let id = config.id.0;
        if opened.iter().any(|(bound, _)| bound.config.id == config.id) {
            return Err(NetError::Duplicate { id });
        }
        match config.transport {
            Transport::Udp | Transport::Tcp => {}
            Transport::Tls if has_tls => {}
            Transport::Tls => return Err(NetError::NoCertificate { id }),
            transport => return Err(NetError::Unsupported { id, transport }),
        }
        let (local, socket) = open(config).map_err(|error| NetError::Bind {
            id,
            transport: config.transport,
            bind: config.bind,
            error,
        })?;
        opened.push((
            Bound {
                config: config.clone(),
                local,
            },
            socket,
        ));
    }
    Ok(opened)
}

fn open(config: &ListenerConfig) -> io::Result<(SocketAddr, Socketed)> {
    let domain = Domain::for_address(config.bind);
    let udp = config.transport == Transport::Udp;
    let (kind, protocol) = if udp {
        (Type::DGRAM, Protocol::UDP)
    } else {
        (Type::STREAM, Protocol::TCP)
    };
    let socket = Socket::new(domain, kind, Some(protocol))?;
    if config.bind.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    if udp {
        // The system grants what its limits allow; a burst of calls then waits in the kernel.
        socket.set_recv_buffer_size(UDP_BUFFER)?;
        socket.set_send_buffer_size(UDP_BUFFER)?;
    } else {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&config.bind.into())?;
    if udp {
        let socket = UdpSocket::from(socket);
        Ok((socket.local_addr()?, Socketed::Udp(socket)))
    } else {
        socket.listen(ACCEPT_BACKLOG)?;
        let listener = TcpListener::from_std(socket.into())?;
        Ok((listener.local_addr()?, Socketed::Stream(listener)))
    }
}

/// A datagram of 900 bytes takes 2.3 kB of it, and control reads what has come before it serves: some
/// 3,600 datagrams, a tenth of a second of the worst flood that passes the gate. The system grants
/// `net.core.rmem_max` of it, which is 208 kB as systems come: a hundredth of a second.
const UDP_BUFFER: usize = 4 << 20;
const ACCEPT_BACKLOG: i32 = 1_024;
