//! The cases 1 to 7 and 10 of Autobahn's test suite 0.8.2, all of them and by its names, with a peer of our own that
//! writes bytes; beside them some that it has not. `make autobahn` runs the suite itself, where there is a Python 2.7.
//!
//! Whoever is tested sends back what it gets. One thing differs by whom it is: on a WebSocket that carries SIP an
//! empty message is a keep-alive and does not come back ([`Echo::Sip`]). One over 64 KiB is refused by all.

mod closings;
mod frames;
mod texts;

use std::convert::Infallible;
use std::net::SocketAddr;

use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Duration, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Who sends back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Echo {
    /// All that comes.
    All,
    /// All but what is empty.
    Sip,
}

/// Every case.
pub(crate) fn cases(echo: Echo) -> Vec<Case> {
    let groups = [
        frames::framing(),
        frames::pings(),
        frames::reserved(),
        frames::fragments(),
        texts::texts(),
        closings::closings(),
        closings::others(),
    ];
    let all = groups.into_iter().flatten();
    all.map(|case| case.by(echo)).collect()
}

/// What a case wants to see: frames in order by opcode and payload, then how it ends.
pub(crate) struct Case {
    pub(crate) name: String,
    sends: Vec<Vec<u8>>,
    /// Bytes written at once.
    chop: usize,
    sees: Vec<(u8, Vec<u8>)>,
    ends: Ends,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// Still open: a ping of the test's is answered.
    Open,
    /// Closed with that code; 0 for an empty close.
    Closed(u16),
    /// Closed, whether there is time to say so or not.
    Over,
}

const FIN: u8 = 0x80;
const CONTINUED: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// A masked frame; `first` is the whole first byte.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        len @ ..126 => bytes.push(0x80 | u8::try_from(len).unwrap()),
        len @ ..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
        len => {
            bytes.push(0x80 | 127);
            bytes.extend(u64::try_from(len).unwrap().to_be_bytes());
        }
    }
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b));
    bytes
}

/// The next frame of a server: first byte and payload; `None` at the end.
async fn read(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let read = async {
        let first = stream.read_u8().await?;
        let len = match stream.read_u8().await? {
            126 => usize::from(stream.read_u16().await?),
            127 => usize::try_from(stream.read_u64().await?).unwrap(),
            len => usize::from(len),
        };
        let mut payload = vec![0; len];
        stream.read_exact(&mut payload).await?;
        std::io::Result::Ok((first, payload))
    };
    timeout(SOON, read).await.expect("in time").ok()
}

/// The code of the close that comes, whatever comes before it; `None` if the stream just ends.
pub(crate) async fn close_code(stream: &mut TcpStream) -> Option<u16> {
    loop {
        let (first, payload) = read(stream).await?;
        if first == FIN | CLOSE {
            return Some(match payload.as_slice() {
                [high, low, ..] => u16::from_be_bytes([*high, *low]),
                _ => 0,
            });
        }
    }
}

fn case(name: &str, sends: Vec<Vec<u8>>, sees: &[(u8, &[u8])], ends: Ends) -> Case {
    Case {
        name: name.to_owned(),
        sends,
        chop: usize::MAX,
        sees: sees
            .iter()
            .map(|(op, it)| (FIN | op, it.to_vec()))
            .collect(),
        ends,
    }
}

impl Case {
    /// What of it comes back.
    fn by(mut self, echo: Echo) -> Self {
        let is_kept = |(first, payload): &(u8, Vec<u8>)| {
            let is_message = [FIN | TEXT, FIN | BINARY].contains(first);
            !(echo == Echo::Sip && is_message && payload.is_empty())
        };
        self.sees.retain(is_kept);
        self
    }

    fn chopped(self, chop: usize) -> Self {
        Self { chop, ..self }
    }

    /// Puts whoever is on the connection to it.
    pub(crate) async fn run(&self, mut stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        let name = &self.name;
        let bytes = self.sends.concat();
        for piece in bytes.chunks(self.chop.min(bytes.len().max(1))) {
            if stream.write_all(piece).await.is_err() {
                break;
            }
            if self.chop < 16 {
                tokio::task::yield_now().await;
            }
        }
        let mut early = None;
        for want in &self.sees {
            let seen = read(&mut stream).await;
            // What control sends back may come behind the close: "non-strict", as the suite has it.
            if matches!(self.ends, Ends::Closed(_))
                && seen.as_ref().is_some_and(|it| it.0 == FIN | CLOSE)
            {
                early = seen;
                break;
            }
            assert!(
                seen.as_ref() == Some(want),
                "{name}: {:?}",
                seen.map(|it| it.0)
            );
        }
        match self.ends {
            Ends::Open => {
                stream
                    .write_all(&frame(FIN | PING, b"open?"))
                    .await
                    .unwrap();
                let seen = read(&mut stream).await;
                assert_eq!(seen, Some((FIN | PONG, b"open?".to_vec())), "{name}");
            }
            Ends::Closed(code) => {
                let seen = match early {
                    Some(seen) => Some(seen),
                    None => read(&mut stream).await,
                };
                let Some((first, payload)) = seen else {
                    panic!("{name}: no close");
                };
                let told = match payload.as_slice() {
                    [high, low, ..] => u16::from_be_bytes([*high, *low]),
                    _ => 0,
                };
                assert_eq!((first, told), (FIN | CLOSE, code), "{name}");
                assert_eq!(read(&mut stream).await, None, "{name}");
            }
            Ends::Over => while read(&mut stream).await.is_some() {},
        }
    }
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// A connection whose handshake was taken, and nothing else: the bytes are the test's own.
pub(crate) async fn open(at: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let head = "GET /sip HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    stream
}

/// The simplest HTTP server there is: it lets every handshake through to `take`, whose answer it awaits.
pub(crate) async fn serve<T>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    take: impl Fn(SocketAddr, OnUpgrade) -> T + Clone + Send + 'static,
) where
    T: Future<Output = ()> + Send,
{
    loop {
        let Ok((stream, remote)) = listener.accept().await else {
            return;
        };
        let (take, tls) = (take.clone(), tls.clone());
        let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            let key = request.headers().get("sec-websocket-key").cloned();
            let taken = take(remote, hyper::upgrade::on(&mut request));
            async move {
                taken.await;
                let response = hyper::Response::builder()
                    .status(101)
                    .header("upgrade", "websocket")
                    .header("connection", "upgrade")
                    .header(
                        "sec-websocket-accept",
                        derive_accept_key(key.unwrap().as_bytes()),
                    )
                    .body(String::new());
                Ok::<_, Infallible>(response.unwrap())
            }
        });
        #[expect(
            clippy::disallowed_methods,
            reason = "a test's tasks end with its runtime"
        )]
        tokio::spawn(async move {
            let http = hyper::server::conn::http1::Builder::new();
            match tls {
                None => {
                    let served = http.serve_connection(TokioIo::new(stream), service);
                    let _ = served.with_upgrades().await;
                }
                Some(tls) => {
                    let Ok(stream) = tls.accept(stream).await else {
                        return;
                    };
                    let served = http.serve_connection(TokioIo::new(stream), service);
                    let _ = served.with_upgrades().await;
                }
            }
        });
    }
}

/// How long an answer may take.
const SOON: Duration = Duration::from_secs(5);
