//! Calls as they should be, made while the floods run: INVITE, 200, ACK, a while, BYE, 200. Each has
//! ten seconds to be set up.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use crate::prison::server;
use crate::{torrents, trust};

/// One of three ways, each with a line of its own for what it carries.
enum Line {
    Udp(UdpSocket),
    Stream(Box<dyn Duplex>, SocketAddr),
}

trait Duplex: Read + Write {}
impl<T: Read + Write> Duplex for T {}

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 30, 2));
const PATIENCE: Duration = Duration::from_secs(10);

impl Line {
    fn open(kind: usize) -> Option<Self> {
        if kind == 0 {
            let socket = UdpSocket::bind((HOME, 0)).ok()?;
            let wait = Some(Duration::from_millis(100));
            socket.set_read_timeout(wait).ok()?;
            return Some(Self::Udp(socket));
        }
        let to = server(kind == 2);
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).ok()?;
        socket.bind(&SocketAddr::new(HOME, 0).into()).ok()?;
        socket.connect_timeout(&to.into(), PATIENCE).ok()?;
        let tcp: TcpStream = socket.into();
        let at = tcp.local_addr().ok()?;
        tcp.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        if kind == 1 {
            tcp.set_read_timeout(Some(Duration::from_millis(100)))
                .ok()?;
            return Some(Self::Stream(Box::new(tcp), at));
        }
        let mut stream = torrents::secure(&trust::tls(), tcp).ok()?;
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).ok()?;
        }
        let wait = Some(Duration::from_millis(100));
        stream.sock.set_read_timeout(wait).ok()?;
        Some(Self::Stream(Box::new(stream), at))
    }

    fn at(&self) -> SocketAddr {
        match self {
            Self::Udp(socket) => socket.local_addr().unwrap(),
            Self::Stream(_, at) => *at,
        }
    }

    fn word(&self, kind: usize) -> &'static str {
        match (self, kind) {
            (Self::Udp(_), _) => "UDP",
            (_, 1) => "TCP",
            _ => "TLS",
        }
    }

    fn send(&mut self, text: &str) {
        let _ = match self {
            Self::Udp(socket) => socket.send_to(text.as_bytes(), server(false)).map(drop),
            Self::Stream(stream, _) => stream
                .write_all(text.as_bytes())
                .and_then(|()| stream.flush()),
        };
    }

    /// What has come within a tenth of a second.
    fn hear(&mut self) -> String {
        let mut buffer = [0; 16_384];
        let length = match self {
            Self::Udp(socket) => socket.recv(&mut buffer).unwrap_or(0),
            Self::Stream(stream, _) => stream.read(&mut buffer).unwrap_or(0),
        };
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    /// Sends until an answer with that status comes to that method; on UDP again after 500 ms, twice
    /// that, and so on. A refusal ends it.
    fn ask(&mut self, text: &str, method: &str) -> Result<String, String> {
        let (begun, mut wait) = (Instant::now(), Duration::from_millis(500));
        let mut again = begun + wait;
        self.send(text);
        while begun.elapsed() < PATIENCE {
            let heard = self.hear();
            let is_ours = heard.contains(&format!(" {method}\r\n"));
            if is_ours && heard.contains("SIP/2.0 200") {
                return Ok(heard);
            }
            let refused = ["SIP/2.0 4", "SIP/2.0 5", "SIP/2.0 6"];
            if is_ours && refused.iter().any(|it| heard.starts_with(it)) {
                return Err(heard.lines().next().unwrap_or_default().to_owned());
            }
            if matches!(self, Self::Udp(_)) && Instant::now() >= again && !heard.contains(" 1") {
                self.send(text);
                wait *= 2;
                again += wait;
            }
        }
        Err(format!("no answer to {method}"))
    }
}

/// One call over UDP (0), TCP (1) or TLS (2): how long its answer took, or what went wrong.
pub(crate) fn call(kind: usize, n: u64, lasts: Duration) -> Result<Duration, String> {
    let begun = Instant::now();
    let mut line = Line::open(kind).ok_or("no connection")?;
    let n = 1 << 50 | n;
    let invite = torrents::request("INVITE", line.at(), line.word(kind), n);
    let answer = line.ask(&invite, "INVITE")?;
    let took = begun.elapsed();
    let to = answer.split("SIP/2.0 200").nth(1).unwrap_or(&answer);
    let to = to
        .lines()
        .find(|it| it.starts_with("To:"))
        .unwrap_or_default();
    let within = |method: &str, cseq: u32, branch: &str| {
        let text = torrents::request(method, line_at(&line), line.word(kind), n);
        let text = text.replace("branch=z9hG4bK", &format!("branch=z9hG4bK{branch}"));
        let text = text.replace(
            &format!("CSeq: 1 {method}"),
            &format!("CSeq: {cseq} {method}"),
        );
        let old = text
            .lines()
            .find(|it| it.starts_with("To:"))
            .unwrap_or_default();
        text.replace(old, to)
    };
    let (ack, bye) = (within("ACK", 1, "a"), within("BYE", 2, "b"));
    line.send(&ack);
    std::thread::sleep(lasts);
    line.ask(&bye, "BYE")?;
    Ok(took)
}

fn line_at(line: &Line) -> SocketAddr {
    line.at()
}
