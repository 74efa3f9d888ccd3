//! Abuse of connections over real loopback sockets: whatever strangers do with theirs, somebody new who
//! has something to say is heard within a second.
#![expect(
    clippy::disallowed_methods,
    reason = "sockets live in real time: it must be read, and tasks must run beside"
)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Context;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sip::transport::{ListenerId, Transport};
use tandem::io::bell::Bell;
use tandem::io::net::tls::{KeyPairFiles, TlsConfig, TlsFiles, Trust};
use tandem::io::net::{Limits, ListenerConfig, Net, NetCounts, NetInput, certs};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The transports, with a control that vouches for whoever says "known", and answers nobody.
struct Door {
    net: Option<Net>,
    at: SocketAddr,
    heard: Arc<Mutex<Vec<(String, usize)>>>,
}

fn message(name: &str) -> Vec<u8> {
    format!("MESSAGE sip:{name} SIP/2.0\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

impl Door {
    fn open(transport: Transport, tls: Option<TlsConfig>, limits: &Limits) -> Self {
        let listener = ListenerConfig {
            id: ListenerId(1),
            transport,
            bind: SocketAddr::new(HOME, 0),
            advertised: None,
        };
        let (net, mut inputs) = Net::start(&[listener], tls, limits).unwrap();
        let (sender, heard) = (net.sender(), Arc::new(Mutex::new(Vec::new())));
        let told = Arc::clone(&heard);
        let bell = Bell::new().unwrap();
        inputs.watch(&bell).unwrap();
        tokio::spawn(async move {
            loop {
                bell.wait(Duration::ZERO, |it| inputs.heed(it));
                while let Some(input) = inputs.take(&mut Context::from_waker(bell.waker())) {
                    if let NetInput::Packet { flow, bytes } = input {
                        let text = String::from_utf8_lossy(&bytes);
                        let name = text.split([':', ' ']).nth(2).unwrap_or_default().to_owned();
                        if name.starts_with("known") {
                            sender.vouch(flow);
                        }
                        told.lock().push((name, bytes.len()));
                    }
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        Self {
            at: net.bound()[0].local,
            net: Some(net),
            heard,
        }
    }

    fn counts(&self) -> Arc<NetCounts> {
        self.net.as_ref().unwrap().counts()
    }

    fn count(&self, name: &str) -> u64 {
        let named = self.counts().named();
        named.iter().find(|(it, _)| *it == name).unwrap().1
    }

    fn heard(&self, name: &str) -> bool {
        let heard = self.heard.lock();
        heard.iter().any(|(it, _)| it == name)
    }

    /// Waits until a message of that name has come; how long it took.
    async fn hears(&self, name: &str) -> Option<Duration> {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(3) {
            if self.heard(name) {
                return Some(began.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        None
    }

    async fn close(mut self) {
        self.net
            .take()
            .unwrap()
            .shutdown(Duration::from_secs(5))
            .await;
    }
}

/// One of 60,000 addresses of this machine.
fn host(n: usize) -> IpAddr {
    let [high, low] = u16::try_from(n % 60_000).unwrap().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 77, high, low.max(1)))
}

async fn connect(from: IpAddr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from, 0))?;
    socket.connect(to).await
}

/// A caller whom nobody knows yet: connects, speaks, and is heard. How long that took in all.
async fn newcomer(door: &Door, name: &str) -> Option<Duration> {
    let began = Instant::now();
    let mut stream = connect(HOME, door.at).await.ok()?;
    stream.write_all(&message(name)).await.ok()?;
    door.hears(name).await?;
    Some(began.elapsed())
}

/// Newcomers one after the other until told to stop; the slowest, or `None` if one was not heard.
async fn newcomers(door: &Door, stop: &AtomicBool) -> Option<Duration> {
    let (mut slowest, mut number) = (Duration::ZERO, 0);
    while !stop.load(Ordering::Relaxed) || number < 5 {
        number += 1;
        slowest = slowest.max(newcomer(door, &format!("known{number}")).await?);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Some(slowest)
}

/// 10,000 connections that say nothing, or a byte now and then, as many at once as the system allows.
async fn idlers(at: SocketAddr, from: impl Fn(usize) -> IpAddr, drips: bool) {
    let mut held = std::collections::VecDeque::new();
    for n in 0..10_000 {
        if let Ok(Ok(stream)) = timeout(Duration::from_secs(1), connect(from(n), at)).await {
            if drips {
                let _ = stream.try_write(b"I");
            }
            held.push_back(stream);
        }
        if held.len() > 1_500 {
            // Our own descriptors are not without end.
            held.pop_front();
        }
        if n % 50 == 0 {
            for stream in held.iter_mut().filter(|_| drips).take(50) {
                let _ = stream.try_write(b"N");
            }
            tokio::task::yield_now().await;
        }
    }
}

// covers: RFC 3261 §18.3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_idle_or_dripping_connections_keep_nobody_out() {
    for (drips, many) in [(false, true), (true, true), (false, false)] {
        let door = Door::open(Transport::Tcp, None, &Limits::default());
        let known = {
            let mut stream = connect(HOME, door.at).await.unwrap();
            stream.write_all(&message("known-before")).await.unwrap();
            door.hears("known-before").await.unwrap();
            stream
        };
        let stop = AtomicBool::new(false);
        let flood = async {
            let from = |n| if many { host(n) } else { host(7) };
            idlers(door.at, from, drips).await;
            stop.store(true, Ordering::Relaxed);
        };
        let (slowest, ()) = tokio::join!(newcomers(&door, &stop), flood);
        let slowest = slowest.expect("a newcomer was not heard");
        println!("drips {drips}, many {many}: the slowest newcomer took {slowest:?}");
        assert!(slowest < Duration::from_secs(1), "{slowest:?}");
        assert!(
            door.count("connections") <= 2_100,
            "{}",
            door.count("connections")
        );
        assert!(door.count("evicted") > 5_000, "{}", door.count("evicted"));
        // Who is known stays.
        let mut known = known;
        known.write_all(&message("known-still")).await.unwrap();
        assert!(door.hears("known-still").await.is_some());
        door.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_room_made_a_few_idle_connections_keep_everybody_out() {
    // The defence off: as many strangers as connections, all from one address that may have them all,
    // and all of them have said one word, so none is silent.
    let limits = Limits {
        connections_max: 60,
        connections_per_ip_max: 60,
        strangers_max: 1_000,
        ..Limits::default()
    };
    for (vouched, heard) in [("known", false), ("stranger", true)] {
        let door = Door::open(Transport::Tcp, None, &limits);
        let mut held = Vec::new();
        for n in 0..60 {
            let mut stream = connect(HOME, door.at).await.unwrap();
            let name = format!("{vouched}-{n}");
            stream.write_all(&message(&name)).await.unwrap();
            door.hears(&name).await.unwrap();
            held.push(stream);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        let newcomer = timeout(Duration::from_secs(1), newcomer(&door, "one-more")).await;
        assert_eq!(matches!(newcomer, Ok(Some(_))), heard, "{vouched}");
        door.close().await;
    }
}

/// What a client sends, and what the transports count for it.
#[tokio::test]
async fn each_abuse_of_a_stream_ends_it_in_time_and_is_counted() {
    let limits = Limits {
        header_timeout: Duration::from_millis(300),
        stranger_timeout: Duration::from_millis(600),
        ..Limits::default()
    };
    let large = format!(
        "MESSAGE sip:large SIP/2.0\r\nX: {}\r\n\r\n",
        "x".repeat(70_000)
    );
    let cases: [(&str, Vec<u8>, &str); 5] = [
        ("nothing", Vec::new(), "too_slow"),
        ("half a head", b"INVITE sip:half".to_vec(), "too_slow"),
        (
            "2 GB announced",
            b"INVITE sip:huge SIP/2.0\r\nContent-Length: 2147483648\r\n\r\n".to_vec(),
            "unframeable",
        ),
        ("a head of 70 kB", large.into_bytes(), "unframeable"),
        ("one word, then silence", message("stranger"), "idle"),
    ];
    for (what, bytes, counted) in cases {
        let door = Door::open(Transport::Tcp, None, &limits);
        let mut stream = connect(HOME, door.at).await.unwrap();
        let _ = stream.write_all(&bytes).await;
        let mut rest = Vec::new();
        let ended = timeout(Duration::from_secs(3), stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "{what}: still open");
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(door.count(counted), 1, "{what}");
        assert_eq!(door.count("connections"), 0, "{what}");
        door.close().await;
    }
}

#[tokio::test]
async fn keep_alives_without_end_keep_no_strangers_connection_open() {
    let limits = Limits {
        header_timeout: Duration::from_millis(400),
        stranger_timeout: Duration::from_millis(400),
        ..Limits::default()
    };
    let door = Door::open(Transport::Tcp, None, &limits);
    for first in ["", "stranger", "known"] {
        let mut stream = connect(HOME, door.at).await.unwrap();
        if !first.is_empty() {
            stream.write_all(&message(first)).await.unwrap();
            door.hears(first).await.unwrap();
        }
        let began = Instant::now();
        let pings = b"\r\n\r\n".repeat(256);
        let mut space = [0; 4_096];
        while began.elapsed() < Duration::from_millis(1_500) {
            let sent = stream.write_all(&pings).await;
            let read = timeout(Duration::from_millis(10), stream.read(&mut space)).await;
            if sent.is_err() || matches!(read, Ok(Ok(0) | Err(_))) {
                break;
            }
        }
        let lived = began.elapsed();
        // The control: who is known may keep his connection so.
        assert_eq!(
            lived >= Duration::from_millis(1_500),
            first == "known",
            "{first}: {lived:?}"
        );
    }
    assert!(newcomer(&door, "known-after").await.is_some());
    door.close().await;
}

#[tokio::test]
async fn a_connection_that_is_reset_in_the_middle_of_an_invite_leaves_nothing() {
    let door = Door::open(Transport::Tcp, None, &Limits::default());
    for n in 0..500 {
        let mut stream = connect(host(n), door.at).await.unwrap();
        let begun = b"INVITE sip:a SIP/2.0\r\nContent-Length: 400\r\n\r\nv=0";
        stream.write_all(begun).await.unwrap();
        // No linger: a reset.
        socket2::SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }
    let began = Instant::now();
    while door.count("connections") > 0 && began.elapsed() < Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(
        (door.count("connections"), door.count("accepted")),
        (0, 500)
    );
    assert!(door.heard.lock().is_empty());
    assert!(newcomer(&door, "known").await.is_some());
    door.close().await;
}

/// TLS of both directions with a certificate of its own, and who made it.
fn tls(name: &str) -> (TlsConfig, std::path::PathBuf) {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let made = certs::ensure(&folder, &[]).unwrap();
    let files = TlsFiles {
        own: KeyPairFiles {
            certificate: made.certificate,
            key: made.key,
        },
        trust: Trust::Authorities(made.authority.clone()),
        callees: Vec::new(),
        callers: Vec::new(),
        clients: [].into(),
    };
    (TlsConfig::load(&files).unwrap(), made.authority)
}

fn client(authority: &std::path::Path) -> rustls::ClientConfig {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(authority).unwrap())
        .unwrap();
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(ring);
    let config = config.with_safe_default_protocol_versions().unwrap();
    config.with_root_certificates(roots).with_no_client_auth()
}

type Secured = tokio_rustls::client::TlsStream<TcpStream>;

async fn secured(config: &Arc<rustls::ClientConfig>, at: SocketAddr) -> std::io::Result<Secured> {
    let tcp = connect(HOME, at).await?;
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
    connector.connect(name, tcp).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_that_never_end_keep_nobody_out_of_tls_and_early_data_is_not_taken() {
    let (server, authority) = tls("abuse-tls");
    let door = Door::open(Transport::Tls, Some(server), &Limits::default());
    let mut config = client(&authority);
    config.enable_early_data = true;
    let config = Arc::new(config);
    // Three thousand who connect and say nothing of TLS; between them one who does, each time.
    let (mut held, mut slowest) = (Vec::new(), Duration::ZERO);
    for n in 0..3_000 {
        held.push(connect(host(n), door.at).await.unwrap());
        if n % 300 == 299 {
            let began = Instant::now();
            let mut phone = secured(&config, door.at).await.unwrap();
            // What is sent before the handshake is done may be a copy of what somebody else sent.
            assert!(!phone.get_ref().1.is_early_data_accepted());
            let name = format!("known{n}");
            phone.write_all(&message(&name)).await.unwrap();
            phone.flush().await.unwrap();
            door.hears(&name).await.unwrap();
            slowest = slowest.max(began.elapsed());
        }
    }
    println!("the slowest newcomer over TLS took {slowest:?}");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert!(
        door.count("connections") <= 1_100,
        "{}",
        door.count("connections")
    );
    door.close().await;
}

#[tokio::test]
async fn what_we_send_to_a_name_never_goes_over_a_connection_that_somebody_opened_to_us() {
    let (server, authority) = tls("abuse-names");
    let config = Arc::new(client(&authority));
    for (transport, reused) in [(Transport::Tls, false), (Transport::Tcp, true)] {
        let server = (transport == Transport::Tls).then(|| server.clone());
        let door = Door::open(transport, server, &Limits::default());
        // Whoever sits at a carrier's address, or behind the same NAT, connects first.
        let mut space = [0; 64];
        let heard = if transport == Transport::Tls {
            let mut phone = secured(&config, door.at).await.unwrap();
            phone.write_all(&message("known")).await.unwrap();
            phone.flush().await.unwrap();
            let remote = phone.get_ref().0.local_addr().unwrap();
            door.hears("known").await.unwrap();
            send_to(&door, transport, remote);
            timeout(Duration::from_millis(500), phone.read(&mut space)).await
        } else {
            let mut phone = connect(HOME, door.at).await.unwrap();
            phone.write_all(&message("known")).await.unwrap();
            door.hears("known").await.unwrap();
            send_to(&door, transport, phone.local_addr().unwrap());
            timeout(Duration::from_millis(500), phone.read(&mut space)).await
        };
        assert_eq!(
            matches!(heard, Ok(Ok(length)) if length > 0),
            reused,
            "{transport}"
        );
        door.close().await;
    }
}

/// Control sends to an address, and names no connection.
fn send_to(door: &Door, transport: Transport, remote: SocketAddr) {
    let flow = sip::transport::Flow {
        transport,
        listener: ListenerId(1),
        remote,
        connection: None,
        peer: None,
    };
    let bytes = bytes::Bytes::from_static(b"OPTIONS sip:x SIP/2.0\r\n\r\n");
    door.net
        .as_ref()
        .unwrap()
        .sender()
        .send(flow, bytes)
        .unwrap();
}

/// Whether whoever asks there in TLS 1.2 to begin the handshake anew gets another one.
async fn renegotiates(at: SocketAddr) -> bool {
    let typed =
        format!("(sleep 1; echo R; sleep 1; echo Q) | openssl s_client -connect {at} -tls1_2 2>&1");
    let shell = tokio::process::Command::new("sh")
        .args(["-c", &typed])
        .output();
    let said = timeout(Duration::from_secs(20), shell)
        .await
        .unwrap()
        .unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let (_, asked) = said.split_once("RENEGOTIATING").unwrap();
    println!("{}", asked.get(..asked.len().min(600)).unwrap_or_default());
    // Done again, the server's certificate is looked at again.
    asked.contains("depth=")
}

// covers: RFC 5246 §7.2.2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_never_begins_a_second_handshake_on_its_connection() {
    let (server, authority) = tls("abuse-renegotiation");
    let door = Door::open(Transport::Tls, Some(server), &Limits::default());
    assert!(!renegotiates(door.at).await);
    door.close().await;
    // The control: a server that allows it.
    let folder = authority.parent().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = free.local_addr().unwrap();
    drop(free);
    let mut lax = tokio::process::Command::new("openssl")
        .args([
            "s_server",
            "-client_renegotiation",
            "-quiet",
            "-accept",
            &at.to_string(),
        ])
        .arg("-cert")
        .arg(folder.join("server.pem"))
        .arg("-key")
        .arg(folder.join("server.key.pem"))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(renegotiates(at).await);
    lax.kill().await.unwrap();
}
