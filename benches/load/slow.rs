//! Connections that take their time: ten thousand places, each with a loopback address of its own, each
//! kept trying for as long as the flood lasts. One that the server closes is opened again.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustls::{ClientConfig, ClientConnection};

use crate::prison::server;
use crate::torrents::Pace;
use crate::trust;

/// What became of them.
#[derive(Default)]
pub(crate) struct Tally {
    /// Connections that were begun.
    pub(crate) tried: AtomicU64,
    /// Those that the server ended or reset.
    pub(crate) closed: AtomicU64,
    /// Those that it completed a TLS handshake on.
    pub(crate) secured: AtomicU64,
    /// The most that were open at once.
    pub(crate) most: AtomicU64,
    /// The same, of the places where TLS is spoken.
    pub(crate) most_secured: AtomicU64,
}

/// How a place wastes the server's time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// TCP: never says anything.
    Silent,
    /// TCP: one byte of a request each second.
    Head,
    /// TLS: one byte of the first handshake message each second.
    Hello,
    /// TLS: says hello, and never answers the server's.
    Halfway,
    /// TLS: one byte of a request each second, once the handshake is done.
    SecuredHead,
}

impl Manner {
    const ALL: [Self; 5] = [
        Self::Silent,
        Self::Head,
        Self::Hello,
        Self::Halfway,
        Self::SecuredHead,
    ];

    fn is_tls(self) -> bool {
        matches!(self, Self::Hello | Self::Halfway | Self::SecuredHead)
    }
}

/// One of the many.
struct Place {
    from: IpAddr,
    manner: Manner,
    held: Option<Held>,
}

struct Held {
    stream: TcpStream,
    session: Option<ClientConnection>,
    /// Bytes of [`HEAD`] or of the hello that were said.
    said: usize,
    hello: Vec<u8>,
    secured: bool,
}

/// Keeps `most` of them being tried until the pace ends.
pub(crate) fn run(pace: &Pace, tally: &Tally, most: usize) {
    let config = trust::tls();
    let mut places: Vec<Place> = (0..most).map(place).collect();
    // A place has its turn once a second; the turns are spread over it.
    let turn = places.len().div_ceil(TURNS).max(1);
    let mut room = Room::new();
    while pace.goes_on() {
        for group in 0..TURNS {
            let began = Instant::now();
            let first = group * turn;
            let places = places.iter_mut().skip(first).take(turn);
            places.for_each(|place| place.go_on(&config, tally, &mut room));
            std::thread::sleep(
                (Duration::from_secs(1) / TURNS as u32).saturating_sub(began.elapsed()),
            );
        }
        let open = |tls: bool| {
            let of_kind = places.iter().filter(|it| !tls || it.manner.is_tls());
            of_kind.filter(|it| it.held.is_some()).count() as u64
        };
        tally.most.fetch_max(open(false), Ordering::Relaxed);
        tally.most_secured.fetch_max(open(true), Ordering::Relaxed);
    }
}

fn place(n: usize) -> Place {
    let [high, low] = u16::try_from(n).unwrap_or(u16::MAX).to_be_bytes();
    Place {
        from: IpAddr::V4(Ipv4Addr::new(127, 1, high, low)),
        manner: Manner::ALL[n % Manner::ALL.len()],
        held: None,
    }
}

impl Place {
    fn go_on(&mut self, config: &Arc<ClientConfig>, tally: &Tally, room: &mut Room) {
        let Some(held) = &mut self.held else {
            if room.takes_one() {
                self.held = open(self.from, self.manner, config);
                tally.tried.fetch_add(1, Ordering::Relaxed);
            }
            return;
        };
        let was_secured = held.secured;
        let lives = held.go_on(self.manner);
        if held.secured && !was_secured {
            tally.secured.fetch_add(1, Ordering::Relaxed);
        }
        if lives.is_err() {
            tally.closed.fetch_add(1, Ordering::Relaxed);
            self.held = None;
        }
    }
}

impl Held {
    /// One second's worth of it; an error when the server has had enough.
    fn go_on(&mut self, manner: Manner) -> std::io::Result<()> {
        match (&mut self.session, manner) {
            (Some(session), Manner::SecuredHead) => {
                if !session.is_handshaking() {
                    self.secured = true;
                    let byte = HEAD.get(self.said..=self.said).unwrap_or(b"x");
                    session.writer().write_all(byte)?;
                    self.said += 1;
                }
                exchange(session, &mut self.stream)
            }
            _ => {
                let text: &[u8] = if manner == Manner::Hello {
                    &self.hello
                } else {
                    HEAD
                };
                if matches!(manner, Manner::Head | Manner::Hello) {
                    let byte = text.get(self.said..=self.said).unwrap_or(b"x");
                    if went(self.stream.write(byte))? {
                        self.said += 1;
                    }
                }
                let mut buffer = [0; 4_096];
                went(self.stream.read(&mut buffer)).map(drop)
            }
        }
    }
}

/// Whether anything was moved; an error at the stream's end too.
fn went(moved: std::io::Result<usize>) -> std::io::Result<bool> {
    match moved {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// Moves what can be moved of a TLS session at once.
fn exchange(session: &mut ClientConnection, stream: &mut TcpStream) -> std::io::Result<()> {
    if session.wants_read() && went(session.read_tls(stream))? {
        session
            .process_new_packets()
            .map_err(std::io::Error::other)?;
    }
    while session.wants_write() && went(session.write_tls(stream))? {}
    Ok(())
}

fn open(from: IpAddr, manner: Manner, config: &Arc<ClientConfig>) -> Option<Held> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).ok()?;
    socket.bind(&SocketAddr::new(from, 0).into()).ok()?;
    let to = server(manner.is_tls());
    // On one machine it is done at once, or the server's backlog is full and it is tried again.
    socket.connect_timeout(&to.into(), CONNECT).ok()?;
    let mut stream = TcpStream::from(socket);
    stream.set_nonblocking(true).ok()?;
    let mut hello = Vec::new();
    let mut session = None;
    if manner.is_tls() {
        let name = rustls::pki_types::ServerName::try_from("localhost").ok()?;
        let mut client = ClientConnection::new(Arc::clone(config), name).ok()?;
        match manner {
            Manner::SecuredHead => {
                client.write_tls(&mut stream).ok()?;
                session = Some(client);
            }
            _ => drop(client.write_tls(&mut hello).ok()?),
        }
        if manner == Manner::Halfway {
            stream.write_all(&hello).ok()?;
        }
    }
    Some(Held {
        stream,
        session,
        said: 0,
        hello,
        secured: false,
    })
}

/// How many may be opened in a second, so that the generator is not what is measured.
struct Room {
    since: Instant,
    opened: usize,
}

impl Room {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            opened: 0,
        }
    }

    fn takes_one(&mut self) -> bool {
        if self.since.elapsed() >= Duration::from_secs(1) {
            *self = Self::new();
        }
        self.opened += 1;
        self.opened <= OPENED_PER_SECOND
    }
}

const TURNS: usize = 20;
const OPENED_PER_SECOND: usize = 2_000;
const CONNECT: Duration = Duration::from_millis(50);
const HEAD: &[u8] =
    b"INVITE sip:1000@127.0.30.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.1.0.1:5060;branch=z9hG4bKslow";
