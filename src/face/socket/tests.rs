//! A face's end of a WebSocket, on real sockets: what a page and what an attacker may send (RFC 6455).

use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;
use crate::io::websocket::conformance::{self, Echo, cases, close_code, frame};

/// An HTTP server whose WebSockets are told by `speak`.
async fn front<T>(
    at: &str,
    speak: impl Fn(Socket) -> T + Clone + Send + Sync + 'static,
) -> SocketAddr
where
    T: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(at).await.unwrap();
    let at = listener.local_addr().unwrap();
    let take = move |_, stream| {
        let speak = speak.clone();
        spawn(async move {
            if let Ok(socket) = Socket::open(stream).await {
                speak(socket).await;
            }
        });
        std::future::ready(())
    };
    spawn(conformance::serve(listener, None, take));
    at
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test's tasks end with its runtime"
)]
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

/// Sends back all that comes, text or not.
async fn echo(mut socket: Socket) {
    loop {
        match socket.receive().await {
            Ok(message) => {
                if socket.send(message).await.is_err() {
                    return;
                }
            }
            Err(Some(why)) => return socket.close(why).await,
            Err(None) => return,
        }
    }
}

// covers: RFC 6455 §5.2, RFC 6455 §5.4, RFC 6455 §5.5, RFC 6455 §7.4.1, RFC 6455 §8.1
#[tokio::test]
async fn autobahns_cases_1_to_7_and_10_pass() {
    let at = front("127.0.0.1:0", echo).await;
    for case in cases(Echo::All) {
        case.run(conformance::open(at).await).await;
    }
}

// covers: RFC 6455 §7.4.1
#[tokio::test]
async fn a_face_that_speaks_text_is_told_nothing_else() {
    let at = front("127.0.0.1:0", |mut socket| async move {
        let Err(Some(why)) = socket.next().await else {
            panic!("want a farewell")
        };
        socket.close(why).await;
    });
    let mut stream = conformance::open(at.await).await;
    stream.write_all(&frame(0x82, b"binary")).await.unwrap();
    assert_eq!(close_code(&mut stream).await, Some(1003));
}

/// For `make autobahn`: sends back what comes to TANDEM_ECHO, until it is killed.
#[tokio::test]
#[ignore = "it serves the suite: make autobahn"]
async fn sends_back_to_autobahn() {
    if let Ok(at) = std::env::var("TANDEM_ECHO") {
        front(&at, echo).await;
        std::future::pending().await
    }
}
