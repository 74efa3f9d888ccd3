use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::task::Context;
use std::time::Duration;

use bytes::Bytes;
use sip::transport::{ConnectionId, Flow, ListenerId, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::io::bell::Bell;

use super::tls::{KeyPairFiles, SYSTEM_BUNDLES, TlsConfig, TlsFiles, Trust};
use super::{Arrival, Inbox, Limits, ListenerConfig, Net, NetError, NetInput, certs};

mod peers;
mod pipe;
mod web;

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const LISTENER: ListenerId = ListenerId(7);
const SOON: Duration = Duration::from_secs(5);

fn message(text: &str) -> Bytes {
    Bytes::from(format!(
        "MESSAGE sip:a@b SIP/2.0\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    ))
}

/// Somebody who comes in by HTTP.
fn arrival(remote: SocketAddr) -> Arrival {
    Arrival {
        listener: LISTENER,
        transport: Transport::Ws,
        remote,
        turn: None,
    }
}

struct Side {
    net: Net,
    inputs: Inbox,
    bell: Bell,
    at: SocketAddr,
    transport: Transport,
}

impl Side {
    fn start(transport: Transport, ip: IpAddr, tls: Option<TlsConfig>, limits: &Limits) -> Self {
        let listener = ListenerConfig {
            id: LISTENER,
            transport,
            bind: SocketAddr::new(ip, 0),
            advertised: None,
        };
        let (net, inputs) = Net::start(&[listener], tls, limits).unwrap();
        let bell = Bell::new().unwrap();
        inputs.watch(&bell).unwrap();
        let at = net.bound()[0].local;
        Self {
            net,
            inputs,
            bell,
            at,
            transport,
        }
    }

    fn plain(transport: Transport, ip: IpAddr) -> Self {
        Self::start(transport, ip, None, &Limits::default())
    }

    fn to(&self, remote: SocketAddr) -> Flow {
        let listener = ListenerId(7);
        Flow {
            transport: self.transport,
            listener,
            remote,
            connection: None,
            peer: None,
        }
    }

    fn send(&self, flow: Flow, bytes: &Bytes) {
        self.net.sender().send(flow, bytes.clone()).unwrap();
    }

    fn take(&mut self) -> Option<NetInput> {
        // This thread is the runtime's too: it does not wait in the bell.
        self.bell.wait(Duration::ZERO, |it| self.inputs.heed(it));
        self.inputs
            .take(&mut Context::from_waker(self.bell.waker()))
    }

    async fn next(&mut self) -> NetInput {
        let next = async {
            loop {
                if let Some(input) = self.take() {
                    return input;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(SOON, next).await.expect("an input in time")
    }

    async fn packet(&mut self) -> (Flow, Bytes) {
        match self.next().await {
            NetInput::Packet { flow, bytes } => (flow, bytes),
            other => panic!("wanted a packet, got {other:?}"),
        }
    }

    /// The next message, or nothing where a flow ended.
    async fn packet_or_end(&mut self) -> Bytes {
        match self.next().await {
            NetInput::Packet { bytes, .. } => bytes,
            _ => Bytes::new(),
        }
    }

    fn count(&self, name: &str) -> u64 {
        let counts = self.net.counts().named();
        counts.iter().find(|(known, _)| *known == name).unwrap().1
    }
}

/// A folder of its own below the build's temporary folder, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tandem-net-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn dev_tls(folder: &Folder, trust: Option<Trust>) -> TlsConfig {
    let made = certs::ensure(&folder.0, &[]).unwrap();
    let trust = trust.unwrap_or_else(|| Trust::Authorities(made.authority.clone()));
    TlsConfig::load(&files(made, trust)).unwrap()
}

/// Nobody is known by a name, and nobody asked who he is.
fn files(made: certs::DevCertificate, trust: Trust) -> TlsFiles {
    TlsFiles {
        own: KeyPairFiles {
            certificate: made.certificate,
            key: made.key,
        },
        trust,
        callees: Vec::new(),
        callers: Vec::new(),
        clients: [].into(),
    }
}

// covers: RFC 3261 §18.1.1, RFC 3261 §18.2.1, RFC 3581 §4
#[tokio::test]
async fn a_datagram_comes_in_with_its_flow_and_the_answer_leaves_from_the_same_port() {
    for ip in [V4, V6] {
        let mut side = Side::plain(Transport::Udp, ip);
        let phone = UdpSocket::bind(SocketAddr::new(ip, 0)).await.unwrap();
        phone.send_to(&message("hello"), side.at).await.unwrap();
        let (flow, bytes) = side.packet().await;
        assert_eq!(bytes, message("hello"));
        assert_eq!(flow, side.to(phone.local_addr().unwrap()));
        side.send(flow, &message("and back"));
        let mut buffer = [0; 2_000];
        let (length, from) = timeout(SOON, phone.recv_from(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (&buffer[..length], from),
            (&message("and back")[..], side.at)
        );
    }
}

#[tokio::test]
async fn a_keep_alive_datagram_is_counted_and_not_delivered() {
    let mut side = Side::plain(Transport::Udp, V4);
    let phone = UdpSocket::bind(SocketAddr::new(V4, 0)).await.unwrap();
    for bytes in [&b"\r\n\r\n"[..], b"\0\0\0\0", b""] {
        phone.send_to(bytes, side.at).await.unwrap();
    }
    phone.send_to(&message("real"), side.at).await.unwrap();
    assert_eq!(side.packet().await.1, message("real"));
    assert_eq!(side.count("keep_alives"), 3);
}

#[tokio::test]
async fn datagrams_wait_in_their_socket_until_they_are_taken_in_order() {
    let mut side = Side::plain(Transport::Udp, V4);
    let phone = UdpSocket::bind(SocketAddr::new(V4, 0)).await.unwrap();
    for number in 0..500 {
        let text = message(&number.to_string());
        phone.send_to(&text, side.at).await.unwrap();
    }
    assert_eq!(side.count("received"), 0, "nobody has read them");
    for number in 0..500 {
        assert_eq!(side.packet().await.1, message(&number.to_string()));
    }
    assert_eq!(side.count("received"), 500);
    assert!(side.take().is_none());
}

// covers: RFC 3261 §18.3
#[tokio::test]
async fn messages_are_cut_out_of_a_stream_wherever_it_is_broken() {
    for ip in [V4, V6] {
        let mut side = Side::plain(Transport::Tcp, ip);
        let mut phone = TcpStream::connect(side.at).await.unwrap();
        phone.set_nodelay(true).unwrap();
        let two = [message("one"), message("two")].concat();
        let (head, tail) = two.split_at(30);
        phone.write_all(head).await.unwrap();
        phone.flush().await.unwrap();
        tokio::task::yield_now().await;
        phone.write_all(tail).await.unwrap();
        let (flow, first) = side.packet().await;
        assert_eq!(first, message("one"));
        assert!(flow.connection.is_some());
        assert_eq!(side.packet().await, (flow, message("two")));
        side.send(flow, &message("back"));
        let mut buffer = vec![0; message("back").len()];
        timeout(SOON, phone.read_exact(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(buffer, message("back"));
    }
}

#[tokio::test]
async fn a_connection_is_opened_once_and_used_again() {
    let mut side = Side::plain(Transport::Tcp, V4);
    let carrier = TcpListener::bind(SocketAddr::new(V4, 0)).await.unwrap();
    let flow = side.to(carrier.local_addr().unwrap());
    side.send(flow, &message("one"));
    side.send(flow, &message("two"));
    let (mut stream, _) = timeout(SOON, carrier.accept()).await.unwrap().unwrap();
    let both = [message("one"), message("two")].concat();
    let mut buffer = vec![0; both.len()];
    timeout(SOON, stream.read_exact(&mut buffer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(buffer, both);
    stream.write_all(&message("reply")).await.unwrap();
    let (named, reply) = side.packet().await;
    assert_eq!(reply, message("reply"));
    assert_eq!(
        named,
        Flow {
            connection: Some(ConnectionId(1)),
            ..flow
        }
    );
    assert_eq!(side.count("opened"), 1);
    drop(stream);
    let ends = [side.next().await, side.next().await];
    assert_eq!(
        ends,
        [NetInput::FlowFailed(named), NetInput::FlowFailed(flow)]
    );
    assert_eq!(side.count("connections"), 0);
}

// covers: RFC 3261 §18.4
#[tokio::test]
async fn a_refused_connection_fails_the_flow_it_was_asked_for() {
    let mut side = Side::plain(Transport::Tcp, V4);
    let closed = TcpListener::bind(SocketAddr::new(V4, 0)).await.unwrap();
    let flow = side.to(closed.local_addr().unwrap());
    drop(closed);
    side.send(flow, &message("anybody?"));
    let ends = [side.next().await, side.next().await];
    assert!(ends.contains(&NetInput::FlowFailed(flow)), "{ends:?}");
}

#[tokio::test]
async fn a_flow_of_an_ended_connection_fails_at_once() {
    let mut side = Side::plain(Transport::Tcp, V4);
    let gone = Flow {
        connection: Some(ConnectionId(99)),
        ..side.to(side.at)
    };
    side.send(gone, &message("late"));
    assert_eq!(side.next().await, NetInput::FlowFailed(gone));
}

// covers: RFC 3261 §26.3.2.1
#[tokio::test]
async fn two_servers_talk_over_tls_both_ways_on_one_connection() {
    let folder = Folder::new("both-ways");
    for ip in [V4, V6] {
        let tls = dev_tls(&folder, None);
        let limits = Limits::default();
        let mut ours = Side::start(Transport::Tls, ip, Some(tls.clone()), &limits);
        let mut theirs = Side::start(Transport::Tls, ip, Some(tls), &limits);
        ours.send(ours.to(theirs.at), &message("secret"));
        let (flow, bytes) = theirs.packet().await;
        assert_eq!(bytes, message("secret"));
        theirs.send(flow, &message("answer"));
        assert_eq!(ours.packet().await.1, message("answer"));
        assert_eq!((ours.count("opened"), theirs.count("accepted")), (1, 1));
    }
}

// covers: RFC 5922 §7.1
#[tokio::test]
async fn a_peer_that_only_others_believe_is_not_spoken_to() {
    let (folder, foreign) = (Folder::new("ours"), Folder::new("foreign"));
    let strange = certs::ensure(&foreign.0, &[]).unwrap().authority;
    let mut theirs = Side::start(
        Transport::Tls,
        V4,
        Some(dev_tls(&folder, None)),
        &Limits::default(),
    );
    let mut wary = vec![dev_tls(&folder, Some(Trust::Authorities(strange)))];
    if SYSTEM_BUNDLES.iter().any(|path| Path::new(path).is_file()) {
        wary.push(dev_tls(&folder, Some(Trust::System)));
    }
    for tls in wary {
        let mut ours = Side::start(Transport::Tls, V4, Some(tls), &Limits::default());
        let flow = ours.to(theirs.at);
        ours.send(flow, &message("secret"));
        let ends = [ours.next().await, ours.next().await];
        assert!(ends.contains(&NetInput::FlowFailed(flow)), "{ends:?}");
    }
    assert!(theirs.take().is_none());
}

#[tokio::test]
async fn a_message_over_the_limit_ends_its_connection_and_is_never_delivered() {
    let mut side = Side::plain(Transport::Tcp, V4);
    for attack in [
        "Content-Length: 2000000000\r\n\r\n".to_owned(),
        "x".repeat(80_000),
    ] {
        let mut phone = TcpStream::connect(side.at).await.unwrap();
        let text = format!("MESSAGE sip:a@b SIP/2.0\r\n{attack}");
        let _ = phone.write_all(text.as_bytes()).await;
        let mut rest = Vec::new();
        let _ = timeout(SOON, phone.read_to_end(&mut rest))
            .await
            .expect("closed in time");
        assert!(rest.is_empty());
    }
    assert_eq!(side.count("unframeable"), 2);
    let told = side.take().unwrap();
    let NetInput::Unframeable { error, .. } = told else {
        panic!("{told:?}")
    };
    assert_eq!(error.error.answer, Some(513));
    assert!(side.take().is_none());
}

#[tokio::test]
async fn a_first_message_that_trickles_is_cut_off_at_the_header_deadline() {
    let limits = Limits {
        header_timeout: Duration::from_millis(150),
        ..Limits::default()
    };
    let side = Side::start(Transport::Tcp, V4, None, &limits);
    let mut phone = TcpStream::connect(side.at).await.unwrap();
    let trickle = async {
        loop {
            let sent = phone.write_all(b"X").await;
            let mut byte = [0];
            let ended = timeout(Duration::from_millis(20), phone.read(&mut byte)).await;
            if sent.is_err() || ended.is_ok() {
                return;
            }
        }
    };
    timeout(SOON, trickle).await.expect("cut off");
    while side.count("too_slow") == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(side.count("too_slow"), 1);
}

// covers: RFC 5626 §4.4.1
#[tokio::test]
async fn a_double_line_end_is_answered_by_a_single_one() {
    let side = Side::plain(Transport::Tcp, V4);
    let mut phone = TcpStream::connect(side.at).await.unwrap();
    phone.write_all(b"\r\n\r\n").await.unwrap();
    let mut pong = [0; 2];
    timeout(SOON, phone.read_exact(&mut pong))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&pong, b"\r\n");
}

#[tokio::test]
async fn strangers_connections_make_room_for_a_new_one_and_known_ones_do_not() {
    let limits = Limits {
        connections_per_ip_max: 3,
        ..Limits::default()
    };
    let mut side = Side::start(Transport::Tcp, V4, None, &limits);
    let mut talking = Vec::new();
    let mut silent = Vec::new();
    for _ in 0..5 {
        silent.push(TcpStream::connect(side.at).await.unwrap());
    }
    for number in 0..3 {
        let mut phone = TcpStream::connect(side.at).await.unwrap();
        phone
            .write_all(&message(&number.to_string()))
            .await
            .unwrap();
        let (flow, bytes) = side.packet().await;
        assert_eq!(bytes, message(&number.to_string()));
        side.net.sender().vouch(flow);
        // The router has its queues in no order.
        tokio::time::sleep(Duration::from_millis(20)).await;
        talking.push(phone);
    }
    let mut one_too_many = TcpStream::connect(side.at).await.unwrap();
    let mut rest = Vec::new();
    let _ = timeout(SOON, one_too_many.read_to_end(&mut rest))
        .await
        .expect("refused");
    assert_eq!((side.count("evicted"), side.count("refused")), (5, 1));
    assert_eq!(side.count("connections"), 3);
}

#[tokio::test]
async fn a_peer_that_stops_reading_loses_its_connection_and_control_hears_of_it() {
    let limits = Limits {
        write_queue_max: 4,
        ..Limits::default()
    };
    let mut side = Side::start(Transport::Tcp, V4, None, &limits);
    let mut phone = TcpStream::connect(side.at).await.unwrap();
    phone.write_all(&message("hello")).await.unwrap();
    let (flow, _) = side.packet().await;
    let large = message(&"x".repeat(60_000));
    let flood = async {
        loop {
            let _ = side.net.sender().send(flow, large.clone());
            tokio::task::yield_now().await;
            if let Some(input) = side.take() {
                return input;
            }
        }
    };
    assert_eq!(
        timeout(SOON, flood).await.unwrap(),
        NetInput::FlowFailed(flow)
    );
    assert_eq!(side.count("write_stalled"), 1);
}

#[tokio::test]
async fn what_is_queued_at_shutdown_is_still_sent_and_the_address_is_free_afterwards() {
    let mut side = Side::plain(Transport::Tcp, V4);
    let mut phone = TcpStream::connect(side.at).await.unwrap();
    phone.write_all(&message("hello")).await.unwrap();
    let (flow, _) = side.packet().await;
    side.send(flow, &message("one"));
    side.send(flow, &message("two"));
    let at = side.at;
    side.net.shutdown(SOON).await;
    let mut rest = Vec::new();
    timeout(SOON, phone.read_to_end(&mut rest))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(rest, [message("one"), message("two")].concat());
    assert!(TcpStream::connect(at).await.is_err());
}

#[tokio::test]
async fn an_address_in_use_and_a_listener_twice_are_refused_by_name() {
    let taken = UdpSocket::bind(SocketAddr::new(V4, 0)).await.unwrap();
    let listener = ListenerConfig {
        id: ListenerId(3),
        transport: Transport::Udp,
        bind: taken.local_addr().unwrap(),
        advertised: None,
    };
    let error =
        |listeners: &[ListenerConfig]| Net::start(listeners, None, &Limits::default()).unwrap_err();
    assert!(matches!(
        error(std::slice::from_ref(&listener)),
        NetError::Bind { id: 3, .. }
    ));
    let free = ListenerConfig {
        bind: SocketAddr::new(V4, 0),
        ..listener
    };
    assert!(matches!(
        error(&[free.clone(), free.clone()]),
        NetError::Duplicate { id: 3 }
    ));
    let tls = ListenerConfig {
        transport: Transport::Tls,
        ..free
    };
    assert!(matches!(error(&[tls]), NetError::NoCertificate { id: 3 }));
}

#[test]
fn development_certificates_are_kept_until_the_names_change_and_keys_stay_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("kept");
    let read = |made: &certs::DevCertificate| std::fs::read(&made.certificate).unwrap();
    let made = certs::ensure(&folder.0, &[]).unwrap();
    let first = read(&made);
    assert_eq!(read(&certs::ensure(&folder.0, &[]).unwrap()), first);
    let mode = std::fs::metadata(&made.key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let renamed = certs::ensure(&folder.0, &["sip.example.org".to_owned()]).unwrap();
    assert_ne!(read(&renamed), first);
    let other = Folder::new("other-key");
    let mut unfit = files(made, Trust::Anybody);
    unfit.own.key = certs::ensure(&other.0, &[]).unwrap().key;
    let unfit = TlsConfig::load(&unfit);
    assert!(unfit.is_err(), "a key of another certificate");
}

#[test]
fn the_atomic_counts_are_all_named() {
    let counts = super::NetCounts::default();
    counts.failures_lost.store(3, Ordering::Relaxed);
    assert!(counts.named().contains(&("failures_lost", 3)));
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken() {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let folder = Folder::new("versions");
    let tls = dev_tls(&folder, None);
    let side = Side::start(Transport::Tls, V4, Some(tls), &Limits::default());
    let mut roots = rustls::RootCertStore::empty();
    let authority = certs::ensure(&folder.0, &[]).unwrap().authority;
    roots
        .add(CertificateDer::from_pem_file(authority).unwrap())
        .unwrap();
    let ring = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = rustls::ClientConfig::builder_with_provider(ring.clone())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(client));
        let tcp = TcpStream::connect(side.at).await.unwrap();
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let mut phone = timeout(SOON, connector.connect(name, tcp))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(phone.get_ref().1.protocol_version(), Some(version.version));
        phone.write_all(b"\r\n\r\n").await.unwrap();
        let mut pong = [0; 2];
        timeout(SOON, phone.read_exact(&mut pong))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(&pong, b"\r\n");
    }
}
