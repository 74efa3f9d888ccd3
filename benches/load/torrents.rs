//! The floods: seven methods over UDP, TCP and TLS, and INVITEs that nobody acknowledges. Each is
//! bounded in time and rate, from loopback addresses to a loopback address.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::prison::server;
use crate::trust::tls;

/// What was sent and heard, over all threads.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) udp: AtomicU64,
    pub(crate) tcp: AtomicU64,
    pub(crate) tls: AtomicU64,
    pub(crate) unacked: AtomicU64,
    /// The most bytes that one unproven UDP source got for a thousand that it sent.
    pub(crate) worst_per_mille: AtomicU64,
}

/// When and how fast.
#[derive(Clone)]
pub(crate) struct Pace {
    pub(crate) stop: Arc<AtomicBool>,
    /// Messages a second over each transport.
    pub(crate) rate: f64,
}

impl Pace {
    pub(crate) fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Sleeps if `sent` messages since `began` are more than the rate allows.
    fn keep(&self, began: Instant, sent: u64) {
        let due = Duration::from_secs_f64(sent as f64 / self.rate);
        if let Some(left) = due.checked_sub(began.elapsed()) {
            std::thread::sleep(left.min(Duration::from_millis(20)));
        }
    }
}

const METHODS: [&str; 7] = [
    "REGISTER",
    "SUBSCRIBE",
    "NOTIFY",
    "PUBLISH",
    "MESSAGE",
    "INVITE",
    "OPTIONS",
];

/// A loopback address.
fn host(third: u8, last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, third, last))
}

/// The third byte of flooders' addresses: a trunk's, a user's.
const LISTED: u8 = 31;
const ROAMING: u8 = 32;

/// One request with a Call-ID, tag and branch of its own.
pub(crate) fn request(method: &str, from: SocketAddr, transport: &str, n: u64) -> String {
    let offer = match method {
        "INVITE" => format!(
            "v=0\r\no=- 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n",
            from.ip()
        ),
        _ => String::new(),
    };
    let kind = if offer.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    let user = if n.is_multiple_of(2) {
        "anna"
    } else {
        "nobody"
    };
    format!(
        "{method} sip:1000@127.0.30.1 SIP/2.0\r\nVia: SIP/2.0/{transport} {from};branch=z9hG4bKf{n:x};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:{user}@127.0.30.1>;tag=f{n:x}\r\nTo: <sip:{user}@127.0.30.1>\r\n\
         Call-ID: flood-{n:x}@{}\r\nCSeq: 1 {method}\r\nContact: <sip:{user}@{from}>\r\nEvent: presence\r\n\
         User-Agent: flood\r\n{kind}Content-Length: {}\r\n\r\n{offer}",
        from.ip(),
        offer.len()
    )
}

/// Everything over UDP, from sixteen sources of which half are a trunk's; none ever acknowledges or
/// proves anything.
pub(crate) fn udp(pace: &Pace, counts: &Counts) {
    let socket = |n: u8| {
        let third = if n.is_multiple_of(2) { LISTED } else { ROAMING };
        let socket = UdpSocket::bind((host(third, n + 1), 5_060)).unwrap();
        socket2::SockRef::from(&socket)
            .set_recv_buffer_size(8 << 20)
            .unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    };
    let mut sources: Vec<(UdpSocket, u64, u64)> = (0..16).map(|n| (socket(n), 0, 0)).collect();
    let (began, mut sent, mut buffer) = (Instant::now(), 0, vec![0; 65_536]);
    while pace.goes_on() {
        for (socket, to_us, from_us) in &mut sources {
            let from = socket.local_addr().unwrap();
            for _ in 0..8 {
                sent += 1;
                let method = METHODS[(sent % 7) as usize];
                let text = request(method, from, "UDP", sent);
                if let Ok(length) = socket.send_to(text.as_bytes(), server(false)) {
                    *from_us += length as u64;
                    counts.udp.fetch_add(1, Ordering::Relaxed);
                }
            }
            while let Ok(length) = socket.recv(&mut buffer) {
                *to_us += length as u64;
            }
        }
        pace.keep(began, sent);
    }
    // What is still sent to them counts too: 40 s are longer than any transaction.
    let until = Instant::now() + Duration::from_secs(40);
    while Instant::now() < until {
        for (socket, to_us, _) in &mut sources {
            while let Ok(length) = socket.recv(&mut buffer) {
                *to_us += length as u64;
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    for (_, to_us, from_us) in sources {
        let per_mille = 1_000 * to_us / from_us.max(1);
        counts
            .worst_per_mille
            .fetch_max(per_mille, Ordering::Relaxed);
    }
}

/// A hundred thousand INVITEs of a trunk's addresses that are answered and never acknowledged.
pub(crate) fn unacknowledged(pace: &Pace, counts: &Counts, total: u64, lasts: Duration) {
    let sockets: Vec<UdpSocket> = (0..32)
        .map(|n| {
            let socket = UdpSocket::bind((host(LISTED, 100 + n), 5_060)).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        })
        .collect();
    let (began, mut buffer) = (Instant::now(), vec![0; 65_536]);
    for n in 0..total {
        if !pace.goes_on() {
            return;
        }
        let socket = &sockets[(n % 32) as usize];
        let from = socket.local_addr().unwrap();
        let text = request("INVITE", from, "UDP", 1 << 40 | n);
        let _ = socket.send_to(text.as_bytes(), server(false));
        counts.unacked.fetch_add(1, Ordering::Relaxed);
        while socket.recv(&mut buffer).is_ok() {}
        let due = lasts.mul_f64(n as f64 / total as f64);
        if let Some(left) = due.checked_sub(began.elapsed()) {
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
    }
}

fn connect(from: IpAddr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.connect_timeout(&to.into(), Duration::from_secs(1))?;
    Ok(socket.into())
}

/// A stream of either kind.
trait Way: Read + Write {}
impl<T: Read + Write> Way for T {}

pub(crate) fn secure(
    config: &Arc<rustls::ClientConfig>,
    tcp: TcpStream,
) -> std::io::Result<rustls::StreamOwned<rustls::ClientConnection, TcpStream>> {
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let session = rustls::ClientConnection::new(config.clone(), name);
    let session = session.map_err(std::io::Error::other)?;
    Ok(rustls::StreamOwned::new(session, tcp))
}

/// Everything over eight streams, opened again whenever the server has enough of one.
pub(crate) fn streams(pace: &Pace, counts: &Counts, secured: bool) {
    let (config, to) = (tls(), server(secured));
    let (counted, word) = match secured {
        true => (&counts.tls, "TLS"),
        false => (&counts.tcp, "TCP"),
    };
    let open = |n: u8| -> std::io::Result<(SocketAddr, Box<dyn Way>)> {
        let third = if n.is_multiple_of(2) { LISTED } else { ROAMING };
        let tcp = connect(host(third, 200 + n), to)?;
        tcp.set_read_timeout(Some(Duration::from_millis(1)))?;
        tcp.set_write_timeout(Some(Duration::from_secs(2)))?;
        let from = tcp.local_addr()?;
        Ok(if secured {
            tcp.set_read_timeout(Some(Duration::from_secs(2)))?;
            let mut stream = secure(&config, tcp)?;
            stream.flush()?;
            while stream.conn.is_handshaking() {
                stream.conn.complete_io(&mut stream.sock)?;
            }
            stream
                .sock
                .set_read_timeout(Some(Duration::from_millis(1)))?;
            (from, Box::new(stream))
        } else {
            (from, Box::new(tcp))
        })
    };
    let mut ways: Vec<Option<(SocketAddr, Box<dyn Way>)>> = (0..8).map(|_| None).collect();
    let (began, mut sent, mut buffer) = (Instant::now(), 0_u64, vec![0; 65_536]);
    while pace.goes_on() {
        for (n, place) in ways.iter_mut().enumerate() {
            let Some((from, way)) = place else {
                *place = open(n as u8).ok();
                continue;
            };
            let mut text = String::new();
            for _ in 0..16 {
                sent += 1;
                let method = METHODS[(sent % 7) as usize];
                text += &request(method, *from, word, sent << 4 | n as u64);
            }
            let written = way.write_all(text.as_bytes()).and_then(|()| way.flush());
            counted.fetch_add(16, Ordering::Relaxed);
            let over = written.is_err() || ends(way, &mut buffer);
            if over {
                *place = None;
            }
        }
        pace.keep(began, sent);
    }
}

/// Reads what has come; whether the stream has ended.
fn ends(way: &mut Box<dyn Way>, buffer: &mut [u8]) -> bool {
    loop {
        match way.read(buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => {
                return !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
            }
        }
    }
}
