//! The words in which the pure core speaks of sockets it never sees, and the cutting of streams
//! into messages.

mod framing;

pub use framing::{Frame, FrameError, PONG, StreamFramer};

use std::fmt;
use std::net::SocketAddr;

/// How a message travels (RFC 3261 §18, RFC 7118 for WebSocket).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams; unreliable, so transactions retransmit.
    Udp,
    /// A byte stream.
    Tcp,
    /// A byte stream under TLS.
    Tls,
    /// WebSocket: one message a frame.
    Ws,
    /// WebSocket under TLS.
    Wss,
}

impl Transport {
    /// The name in a Via (RFC 3261 §20.42, RFC 7118 §5.2).
    pub const fn via_name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Ws => "WS",
            Self::Wss => "WSS",
        }
    }

    /// The value of a URI's `transport` parameter (RFC 3261 §19.1.1; `sips` implies TLS below TCP
    /// and WS).
    pub const fn uri_name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws | Self::Wss => "ws",
        }
    }

    /// Whether delivery is the transport's task, so that retransmission timers do not run (§17).
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// Whether a connection's bytes must be cut into messages by a [`StreamFramer`].
    pub const fn is_stream(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls)
    }

    /// Whether only the peer can open a connection: it is a page, which nobody can call up (RFC 7118 §5).
    pub const fn is_web(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    /// Whether the hop is encrypted.
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }

    /// The port a peer listens on unless it says another (§19.1.2, RFC 7118 §5.3).
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }

    /// The transport that a Via or a `transport` parameter names, in any case.
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::Udp, Self::Tcp, Self::Tls, Self::Ws, Self::Wss]
            .into_iter()
            .find(|transport| transport.via_name().eq_ignore_ascii_case(text))
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.via_name())
    }
}

/// One configured listener, numbered by whoever opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(pub u16);

/// One accepted or opened connection, numbered by whoever holds the socket; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Whom the peer of a TLS connection has proven to be, or has to prove before anything is sent to it
/// (RFC 5922 §7). What a number stands for is known to whoever holds the certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub u64);

/// The way a message came, or is to go: answers to a request leave on the flow that brought it.
///
/// `connection` is `None` on UDP; on a stream transport `None` asks to reuse a connection to
/// `remote` whose peer is `peer`, or to open one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// How the bytes travel.
    pub transport: Transport,
    /// Our end.
    pub listener: ListenerId,
    /// The peer's true address, as the socket sees it.
    pub remote: SocketAddr,
    /// The connection, where there is one.
    pub connection: Option<ConnectionId>,
    /// Who the peer is, over TLS, where more is known or asked for than its address.
    pub peer: Option<PeerId>,
}

impl Flow {
    /// The way between one of our UDP sockets and an address.
    pub const fn udp(listener: ListenerId, remote: SocketAddr) -> Self {
        Self {
            transport: Transport::Udp,
            listener,
            remote,
            connection: None,
            peer: None,
        }
    }
}
