//! SIP over WebSocket on real sockets: what a page and what an attacker may send (RFC 6455, RFC 7118).
//!
//! The HTTP server before it is the simplest there is; the handshake's own rules are `api::phones`'.
#![expect(
    clippy::disallowed_methods,
    reason = "a test's tasks end with its runtime"
)]

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

use super::*;
use crate::io::websocket::conformance::{self, Echo};

type Page = WebSocketStream<TcpStream>;

/// An HTTP server that lets every handshake through to the transports.
struct Front {
    side: Side,
    at: SocketAddr,
}

impl Front {
    async fn open(limits: &Limits) -> Self {
        Self::open_with(limits, None).await
    }

    async fn open_with(limits: &Limits, tls: Option<TlsConfig>) -> Self {
        Self::open_at(SocketAddr::new(V4, 0), limits, tls).await
    }

    async fn open_at(at: SocketAddr, limits: &Limits, tls: Option<TlsConfig>) -> Self {
        let (net, inputs) = Net::start(&[], None, limits).unwrap();
        let bell = Bell::new().unwrap();
        inputs.watch(&bell).unwrap();
        let listener = TcpListener::bind(at).await.unwrap();
        let at = listener.local_addr().unwrap();
        let door = net.door();
        let take = move |remote, stream| {
            let door = door.clone();
            async move { door.enter(arrival(remote), stream).await }
        };
        let tls = tls.map(|it| it.server().into());
        tokio::spawn(conformance::serve(listener, tls, take));
        let transport = Transport::Ws;
        let side = Side {
            net,
            inputs,
            bell,
            at,
            transport,
        };
        Self { side, at }
    }

    /// A page that has opened its WebSocket.
    async fn page(&self) -> Page {
        let stream = TcpStream::connect(self.at).await.unwrap();
        let request = format!("ws://{}/sip", self.at).into_client_request();
        let opened = tokio_tungstenite::client_async(request.unwrap(), stream).await;
        opened.unwrap().0
    }

    /// The same before anything knows of frames: the bytes are the test's own.
    async fn raw(&self) -> TcpStream {
        conformance::open(self.at).await
    }

    /// Sends back whatever comes, for so long as somebody else does something.
    async fn echo_beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = work.as_mut() => return done,
                () = tokio::time::sleep(Duration::from_millis(1)) => {
                    while let Some(input) = self.side.take() {
                        if let NetInput::Packet { flow, bytes } = input {
                            self.side.send(flow, &bytes);
                        }
                    }
                }
            }
        }
    }
}

async fn next(page: &mut Page) -> Message {
    timeout(SOON, page.next()).await.unwrap().unwrap().unwrap()
}

/// The code that a page was closed with; 0 for none.
async fn closed(page: &mut Page) -> u16 {
    loop {
        match timeout(SOON, page.next()).await.expect("closed in time") {
            Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return 0,
        }
    }
}

// covers: RFC 7118 §5
#[tokio::test]
async fn a_message_is_one_sip_message_as_text_or_binary_and_the_answer_leaves_on_its_flow() {
    let mut front = Front::open(&Limits::default()).await;
    let mut page = front.page().await;
    let text = String::from_utf8(message("hé").to_vec()).unwrap();
    page.send(Message::text(text.clone())).await.unwrap();
    let (flow, bytes) = front.side.packet().await;
    assert_eq!(bytes, text.as_bytes());
    assert_eq!((flow.transport, flow.listener), (Transport::Ws, LISTENER));
    assert_eq!(flow.remote, page.get_ref().local_addr().unwrap());
    page.send(Message::binary(&b"MESSAGE \xff"[..]))
        .await
        .unwrap();
    let (again, bytes) = front.side.packet().await;
    assert_eq!((again, &bytes[..]), (flow, &b"MESSAGE \xff"[..]));
    front.side.send(flow, &Bytes::from(text.clone()));
    assert_eq!(next(&mut page).await, Message::text(text));
    // What is no UTF-8 goes as binary.
    front.side.send(flow, &Bytes::from_static(b"SIP/2.0 \xff"));
    assert_eq!(next(&mut page).await, Message::binary(&b"SIP/2.0 \xff"[..]));
}

#[tokio::test]
async fn a_page_over_tls_is_heard_and_answered() {
    let folder = Folder::new("web-tls");
    let tls = dev_tls(&folder, None);
    let mut front = Front::open_with(&Limits::default(), Some(tls.clone())).await;
    let stream = TcpStream::connect(front.at).await.unwrap();
    let (client, name) = tls.client_of(None, V4).unwrap();
    let stream = tokio_rustls::TlsConnector::from(client).connect(name, stream);
    let request = "wss://x/sip".into_client_request().unwrap();
    let opened = tokio_tungstenite::client_async(request, stream.await.unwrap()).await;
    let (mut page, _) = opened.unwrap();
    page.send(Message::text("MESSAGE")).await.unwrap();
    let (flow, _) = front.side.packet().await;
    front.side.send(flow, &Bytes::from_static(b"back"));
    let back = timeout(SOON, page.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(back, Message::text("back"));
}

// covers: RFC 5626 §4.4.1, RFC 7118 §6, RFC 6455 §5.5.2
#[tokio::test]
async fn pings_of_each_kind_are_answered_and_are_no_messages() {
    let mut front = Front::open(&Limits::default()).await;
    let mut page = front.page().await;
    page.send(Message::text("\r\n\r\n")).await.unwrap();
    assert_eq!(next(&mut page).await, Message::text("\r\n"));
    for quiet in [
        Message::text("\r\n"),
        Message::text(""),
        Message::binary(&b""[..]),
    ] {
        page.send(quiet).await.unwrap();
    }
    page.send(Message::Ping(Bytes::from_static(b"?")))
        .await
        .unwrap();
    assert_eq!(
        next(&mut page).await,
        Message::Pong(Bytes::from_static(b"?"))
    );
    page.send(Message::text("real")).await.unwrap();
    assert_eq!(front.side.packet().await.1, "real");
    assert_eq!(front.side.count("keep_alives"), 5);
}

#[tokio::test]
async fn a_page_that_is_known_is_pinged_and_lost_when_it_no_longer_answers() {
    let limits = Limits {
        ping_every: Duration::from_millis(50),
        stranger_timeout: Duration::from_millis(100),
        ..Limits::default()
    };
    let mut front = Front::open(&limits).await;
    let (mut there, mut dead) = (front.page().await, front.page().await);
    let mut flows = Vec::new();
    for page in [&mut there, &mut dead] {
        page.send(Message::text("known")).await.unwrap();
        let (flow, _) = front.side.packet().await;
        front.side.net.sender().vouch(flow);
        flows.push(flow);
    }
    // One reads, and so answers; the other does not.
    let reads = tokio::spawn(async move {
        let until = tokio::time::Instant::now() + Duration::from_millis(700);
        let mut pings = 0;
        while let Ok(Some(Ok(read))) = tokio::time::timeout_at(until, there.next()).await {
            pings += u32::from(matches!(read, Message::Ping(_)));
        }
        (there, pings)
    });
    assert_eq!(front.side.next().await, NetInput::FlowFailed(flows[1]));
    assert_eq!(front.side.count("idle"), 1);
    let (mut there, pings) = reads.await.unwrap();
    assert!(pings >= 5, "{pings}");
    there.send(Message::text("still")).await.unwrap();
    assert_eq!(front.side.packet().await.1, "still");
}

#[tokio::test]
async fn a_page_that_says_nothing_or_only_pings_is_closed_in_time() {
    let limits = Limits {
        header_timeout: Duration::from_millis(150),
        stranger_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    let mut front = Front::open(&limits).await;
    let (mut silent, mut pings, mut once) =
        (front.page().await, front.page().await, front.page().await);
    once.send(Message::text("once")).await.unwrap();
    front.side.packet().await;
    let pinging = tokio::spawn(async move {
        while pings.send(Message::Ping(Bytes::new())).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert_eq!(closed(&mut silent).await, 1008);
    timeout(SOON, pinging)
        .await
        .expect("closed in time")
        .unwrap();
    assert_eq!(front.side.count("too_slow"), 2);
    assert_eq!(closed(&mut once).await, 1008);
    assert_eq!(front.side.count("idle"), 1);
}

#[tokio::test]
async fn a_message_over_the_limit_is_never_delivered_however_it_is_cut() {
    let mut front = Front::open(&Limits::default()).await;
    let most = "x".repeat(64 << 10);
    let mut page = front.page().await;
    page.send(Message::text(most.clone())).await.unwrap();
    assert_eq!(front.side.packet().await.1, most);
    page.send(Message::text(format!("{most}x"))).await.unwrap();
    assert_eq!(closed(&mut page).await, 1009);
    assert!(matches!(front.side.next().await, NetInput::FlowFailed(_)));
    // In fragments: the one that makes it too long ends it.
    let mut raw = front.raw().await;
    for n in 0..80_u8 {
        let opcode = if n == 0 { 0x01 } else { 0x00 };
        let sent = raw
            .write_all(&conformance::frame(opcode, &[b'x'; 1_000]))
            .await;
        if sent.is_err() {
            break;
        }
    }
    assert_eq!(conformance::close_code(&mut raw).await, Some(1009));
    // A length that is a lie costs nothing and is not waited for.
    let mut raw = front.raw().await;
    let lie = [0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4];
    raw.write_all(&lie).await.unwrap();
    assert_eq!(conformance::close_code(&mut raw).await, Some(1009));
    assert_eq!(front.side.count("unframeable"), 3);
    assert!(front.side.take().is_none());
}

#[tokio::test]
async fn whoever_does_not_read_is_closed_and_whoever_breaks_off_is_told_to_control() {
    let limits = Limits {
        write_timeout: Duration::from_millis(200),
        ..Limits::default()
    };
    let mut front = Front::open(&limits).await;
    let mut deaf = front.page().await;
    deaf.send(Message::text("deaf")).await.unwrap();
    let (flow, _) = front.side.packet().await;
    let large = Bytes::from("x".repeat(60_000));
    while front.side.count("write_stalled") == 0 {
        let _ = front.side.net.sender().send(flow, large.clone());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(front.side.next().await, NetInput::FlowFailed(flow));
    // What was sent meanwhile failed too.
    tokio::time::sleep(Duration::from_millis(50)).await;
    while front.side.take().is_some() {}
    // A reset in the middle of a message.
    let mut page = front.page().await;
    page.send(Message::text("INVITE")).await.unwrap();
    let (flow, _) = front.side.packet().await;
    let tcp = page.get_mut();
    tcp.write_all(&[0x81, 0xfe, 4]).await.unwrap();
    tcp.set_zero_linger().unwrap();
    drop(page);
    assert_eq!(front.side.next().await, NetInput::FlowFailed(flow));
    front.side.send(flow, &message("late"));
    assert_eq!(front.side.next().await, NetInput::FlowFailed(flow));
    assert_eq!(front.side.count("connections"), 0);
}

#[tokio::test]
async fn strangers_pages_make_room_for_a_new_one_and_known_ones_do_not() {
    let limits = Limits {
        connections_per_ip_max: 2,
        ..Limits::default()
    };
    let mut front = Front::open(&limits).await;
    let mut silent = front.page().await;
    let mut known = front.page().await;
    known.send(Message::text("known")).await.unwrap();
    let (flow, _) = front.side.packet().await;
    front.side.net.sender().vouch(flow);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut new = front.page().await;
    new.send(Message::text("new")).await.unwrap();
    assert_eq!(front.side.packet().await.1, "new");
    // Cut off, or told that we go: whichever its task saw first.
    assert!([0, 1001].contains(&closed(&mut silent).await));
    known.send(Message::text("still")).await.unwrap();
    assert_eq!(front.side.packet().await.1, "still");
}

#[tokio::test]
async fn ten_thousand_idle_pages_keep_nobody_out_and_are_bounded() {
    let mut front = Front::open(&Limits::default()).await;
    let mut known = front.page().await;
    known.send(Message::text("known")).await.unwrap();
    let (flow, _) = front.side.packet().await;
    front.side.net.sender().vouch(flow);
    let (mut held, mut slowest) = (std::collections::VecDeque::new(), Duration::ZERO);
    for n in 1..=10_000 {
        held.push_back(front.raw().await);
        if held.len() > 1_200 {
            // Our own descriptors are not without end.
            held.pop_front();
        }
        if n % 500 == 0 {
            let began = tokio::time::Instant::now();
            let mut new = front.page().await;
            new.send(Message::text(format!("new {n}"))).await.unwrap();
            while front.side.packet_or_end().await != format!("new {n}") {}
            slowest = slowest.max(began.elapsed());
        }
        // Ours and what waits between HTTP and the router beside.
        let open = front.side.count("connections");
        assert!(open <= 1_030, "{open}");
    }
    println!("the slowest new page took {slowest:?}");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert!(front.side.count("evicted") > 7_000);
    known.send(Message::text("still")).await.unwrap();
    while front.side.packet_or_end().await != "still" {}
}

#[tokio::test]
async fn a_stop_says_goodbye_with_what_was_queued() {
    let mut front = Front::open(&Limits::default()).await;
    let mut page = front.page().await;
    page.send(Message::text("hello")).await.unwrap();
    let (flow, _) = front.side.packet().await;
    front.side.send(flow, &Bytes::from_static(b"last word"));
    let stopped = tokio::spawn(front.side.net.shutdown(SOON));
    assert_eq!(next(&mut page).await, Message::text("last word"));
    assert_eq!(closed(&mut page).await, 1001);
    timeout(SOON, stopped).await.unwrap().unwrap();
}

// covers: RFC 6455 §5.2, RFC 6455 §5.4, RFC 6455 §5.5, RFC 6455 §7.4.1, RFC 6455 §8.1
#[tokio::test]
async fn autobahns_cases_1_to_7_and_10_pass() {
    let limits = Limits {
        strangers_max: 4_096,
        ..Limits::default()
    };
    let mut front = Front::open(&limits).await;
    let cases = conformance::cases(Echo::Sip);
    assert!(cases.len() > 390, "{}", cases.len());
    for case in cases {
        let stream = front.raw().await;
        front.echo_beside(case.run(stream)).await;
    }
}

/// For `make autobahn`: sends back what comes to TANDEM_ECHO, until it is killed.
#[tokio::test]
#[ignore = "it serves the suite: make autobahn"]
async fn sends_back_to_autobahn() {
    let Ok(at) = std::env::var("TANDEM_ECHO") else {
        return;
    };
    let mut front = Front::open_at(at.parse().unwrap(), &Limits::default(), None).await;
    front.echo_beside(std::future::pending::<()>()).await;
}
