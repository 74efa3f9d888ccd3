//! The HTTP connections: how many at once, how long one may dawdle, and how they end.
//!
//! The law: what a client can make us hold is bounded. While [`Bounds::connections_max`] are open the next waits in
//! the system's queue, and of those that have never asked for anything the first is closed for it that has had
//! [`Bounds::grace`], four times that if it has begun to: a crowd of idle ones keeps nobody out, and a crowd that
//! means it, as when an office's line has failed, is served one after the other instead of all too late. One that
//! does not send a whole request head in [`HEAD_PATIENCE`] is closed as well; one whose client does not read is cut
//! off by the system. One that becomes a WebSocket ([`super::phones`]) leaves here, and its bounds are those of
//! SIP's connections; but it keeps its place until its peer is known, for as long at most: of a crowd nobody begins
//! before there is time for him.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Router;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// From the opening of a connection, or the last response, to the end of the next request's head.
const HEAD_PATIENCE: Duration = Duration::from_secs(15);

/// Who is on a connection, as its handlers may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The address it comes from.
    pub remote: SocketAddr,
    /// Whether it is HTTPS.
    pub secure: bool,
}

/// What keeps a connection's place for whoever goes on elsewhere; a request has it.
#[derive(Clone, Debug)]
pub(super) struct Turn(pub(super) mpsc::Sender<Infallible>);

/// The bounds of [`serve`].
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections at once: scrapers and scripts, which keep one or two each, and browsers until they have opened
    /// their WebSocket.
    pub connections_max: usize,
    /// How long a request head may take.
    pub head_patience: Duration,
    /// How long a connection has to say something while others wait; who has begun to has four times as long.
    pub grace: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections_max: 512,
            head_patience: HEAD_PATIENCE,
            grace: Duration::from_secs(1),
        }
    }
}

/// Serves until `stop`, then lets each connection finish the request it is at.
pub async fn serve(listener: TcpListener, router: Router, bounds: Bounds, stop: CancellationToken) {
    accept(listener, None, router, bounds, stop).await;
}

/// The same over TLS; a handshake has as long as a request head.
pub async fn serve_tls(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    router: Router,
    bounds: Bounds,
    stop: CancellationToken,
) {
    accept(listener, Some(tls.into()), router, bounds, stop).await;
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    bounds: Bounds,
    stop: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(bounds.connections_max));
    let mut seats = Seats::default();
    let connections = TaskTracker::new();
    loop {
        let next = async {
            let accepted = listener.accept().await;
            (seats.place(&room, bounds.grace).await, accepted)
        };
        let (permit, accepted) = tokio::select! {
            next = next => next,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, remote)) => {
                let (router, tls, stop) = (router.clone(), tls.clone(), stop.clone());
                let seat = seats.take(bounds.connections_max);
                let served = async move {
                    let _room: Option<OwnedSemaphorePermit> = permit;
                    // Without it a client that reads nothing holds its place a quarter of an hour;
                    // with it, so long.
                    let socket = socket2::SockRef::from(&stream);
                    let _ = socket.set_tcp_user_timeout(Some(UNREAD_PATIENCE));
                    let secure = tls.is_some();
                    let peer = Peer { remote, secure };
                    let leave = seat.leave.clone();
                    let served = async {
                        let mut byte = [0];
                        let first = stream.peek(&mut byte);
                        if !matches!(timeout(bounds.head_patience, first).await, Ok(Ok(1))) {
                            return;
                        }
                        seat.spoke.store(true, Ordering::Relaxed);
                        let Some(tls) = tls else {
                            return connection(stream, (peer, &seat), router, bounds, stop).await;
                        };
                        let patience = bounds.head_patience;
                        let shaken = timeout(patience, tls.accept(stream));
                        if let Ok(Ok(stream)) = shaken.await {
                            connection(stream, (peer, &seat), router, bounds, stop).await;
                        }
                    };
                    tokio::select! {
                        () = leave.cancelled() => {}
                        () = served => {}
                    }
                };
                connections.spawn(served);
            }
            // Out of descriptors, most likely: those in use come back.
            Err(error) => {
                tracing::warn!(%error, "an HTTP connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    connections.close();
    connections.wait().await;
}

/// A connection as whoever accepts sees it.
#[derive(Debug)]
struct Seat {
    since: Instant,
    /// Something has come on it.
    spoke: AtomicBool,
    /// A whole request head has.
    asked: AtomicBool,
    /// It has to go.
    leave: CancellationToken,
}

impl Seat {
    fn is_silent(&self) -> bool {
        !self.asked.load(Ordering::Relaxed) && !self.leave.is_cancelled()
    }

    /// When it may be closed for another: later if it is perhaps we who are slow.
    fn due(&self, grace: Duration) -> Instant {
        let patience = if self.spoke.load(Ordering::Relaxed) {
            SPOKEN_GRACE
        } else {
            1
        };
        self.since + grace * patience
    }
}

/// The open connections, oldest first, among some that have ended.
#[derive(Debug, Default)]
struct Seats(VecDeque<Weak<Seat>>);

impl Seats {
    fn take(&mut self, connections_max: usize) -> Arc<Seat> {
        if self.0.len() > 2 * connections_max {
            self.0.retain(|seat| seat.strong_count() > 0);
        }
        let seat = Arc::new(Seat {
            since: Instant::now(),
            spoke: AtomicBool::new(false),
            asked: AtomicBool::new(false),
            leave: CancellationToken::new(),
        });
        self.0.push_back(Arc::downgrade(&seat));
        seat
    }

    /// Waits for a place: the next that is given back, or that of the one who has never asked for anything and has
    /// had his time first.
    async fn place(&self, room: &Arc<Semaphore>, grace: Duration) -> Option<OwnedSemaphorePermit> {
        let mut freed = std::pin::pin!(Arc::clone(room).acquire_owned());
        loop {
            let open = self.0.iter().filter_map(Weak::upgrade);
            let silent = open.filter(|seat| seat.is_silent());
            // What keeps the one that waits has no hold on the other's place.
            let due = silent.map(|seat| (seat.due(grace), Arc::downgrade(&seat)));
            let Some((due, oldest)) = due.min_by_key(|(due, _)| *due) else {
                // Never closed, so never refused.
                return freed.await.ok();
            };
            tokio::select! {
                biased;
                freed = freed.as_mut() => return freed.ok(),
                () = sleep_until(due) => {
                    let still = |seat: &Arc<Seat>| seat.is_silent() && seat.due(grace) <= due;
                    if let Some(seat) = oldest.upgrade().filter(still) {
                        seat.leave.cancel();
                        return freed.await.ok();
                    }
                }
            }
        }
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    (peer, seat): (Peer, &Seat),
    router: Router,
    bounds: Bounds,
    stop: CancellationToken,
) {
    let (turn, mut left) = mpsc::channel(1);
    {
        let router = TowerToHyperService::new(router);
        let service = service_fn(move |mut request: hyper::Request<_>| {
            seat.asked.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(Turn(turn.clone()));
            router.call(request)
        });
        let mut served = std::pin::pin!(
            hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(bounds.head_patience)
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades()
        );
        // A connection that breaks is its client's affair.
        tokio::select! {
            _ = served.as_mut() => {}
            () = stop.cancelled() => {
                served.as_mut().graceful_shutdown();
                let _ = served.await;
            }
        }
    }
    // Whoever has gone on has his place until he is known, and so long at most.
    let _ = timeout(bounds.grace * SPOKEN_GRACE, left.recv()).await;
}

/// How long what we sent may lie unread.
const UNREAD_PATIENCE: Duration = Duration::from_secs(30);

/// So many times the grace has whoever has begun to say something: the rest may wait for us.
const SPOKEN_GRACE: u32 = 4;

/// How long nothing is accepted after a failure.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    struct World {
        address: SocketAddr,
        stop: CancellationToken,
        served: TaskTracker,
    }

    async fn world(connections_max: usize, head_patience: Duration) -> World {
        let grace = Duration::from_millis(5);
        world_with(Bounds {
            connections_max,
            head_patience,
            grace,
        })
        .await
    }

    async fn world_with(bounds: Bounds) -> World {
        let router = Router::new().route("/", axum::routing::get(async || "ok"));
        world_of(router, bounds).await
    }

    async fn world_of(router: Router, bounds: Bounds) -> World {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, served) = (CancellationToken::new(), TaskTracker::new());
        served.spawn(serve(listener, router, bounds, stop.clone()));
        World {
            address,
            stop,
            served,
        }
    }

    async fn answer(stream: &mut TcpStream) -> String {
        let mut buffer = [0; 1_024];
        let length = stream.read(&mut buffer).await.unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[tokio::test]
    async fn a_client_that_sends_half_a_head_is_closed_and_one_that_asks_again_is_served() {
        let world = world(8, Duration::from_millis(300)).await;
        let mut slow = TcpStream::connect(world.address).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
        let mut good = TcpStream::connect(world.address).await.unwrap();
        for _ in 0..2 {
            good.write_all(REQUEST).await.unwrap();
            let text = answer(&mut good).await;
            assert!(
                text.starts_with("HTTP/1.1 200") && text.ends_with("ok"),
                "{text}"
            );
        }
        assert!(!answer(&mut slow).await.starts_with("HTTP/1.1 200"));
        // Idle after its response, the good one is closed as well.
        assert_eq!(answer(&mut good).await, "");
    }

    #[tokio::test]
    async fn one_connection_more_than_there_is_room_for_waits_until_another_closes() {
        let world = world(1, Duration::from_secs(30)).await;
        let mut first = TcpStream::connect(world.address).await.unwrap();
        first.write_all(REQUEST).await.unwrap();
        assert!(answer(&mut first).await.ends_with("ok"));
        let mut second = TcpStream::connect(world.address).await.unwrap();
        second.write_all(REQUEST).await.unwrap();
        let early = timeout(Duration::from_millis(100), answer(&mut second)).await;
        assert!(early.is_err(), "{early:?}");
        drop(first);
        assert!(answer(&mut second).await.ends_with("ok"));
    }

    #[tokio::test]
    async fn a_crowd_that_asks_nothing_keeps_nobody_out_and_closes_nobody_who_asked() {
        let world = world(8, Duration::from_secs(30)).await;
        let mut good = TcpStream::connect(world.address).await.unwrap();
        good.write_all(REQUEST).await.unwrap();
        assert!(answer(&mut good).await.ends_with("ok"));
        let mut crowd = Vec::new();
        for n in 0..100 {
            let mut idle = TcpStream::connect(world.address).await.unwrap();
            if n % 2 == 0 {
                idle.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
            }
            crowd.push(idle);
        }
        let mut new = TcpStream::connect(world.address).await.unwrap();
        new.write_all(REQUEST).await.unwrap();
        let soon = timeout(Duration::from_secs(1), answer(&mut new)).await;
        assert!(soon.unwrap().ends_with("ok"));
        good.write_all(REQUEST).await.unwrap();
        assert!(answer(&mut good).await.ends_with("ok"));
    }

    #[tokio::test]
    async fn a_crowd_that_means_it_is_served_one_after_the_other_and_nobody_is_closed() {
        let bounds = Bounds {
            connections_max: 4,
            ..Bounds::default()
        };
        let world = world_with(bounds).await;
        let mut crowd = Vec::new();
        for _ in 0..60 {
            crowd.push(TcpStream::connect(world.address).await.unwrap());
        }
        for stream in &mut crowd {
            // Slower to ask than the next are to come.
            tokio::time::sleep(Duration::from_millis(2)).await;
            let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            stream.write_all(request).await.unwrap();
            assert!(answer(stream).await.ends_with("ok"));
        }
    }

    #[tokio::test]
    async fn whoever_goes_on_keeps_his_place_until_he_is_known_and_not_for_long() {
        for (known, grace, soon) in [
            (true, 60_000, true),
            (false, 60_000, false),
            (false, 200, true),
        ] {
            let kept = Arc::new(parking_lot::Mutex::new(None));
            let (keeps, first) = (kept.clone(), Arc::new(AtomicBool::new(true)));
            let go_on = move |request: axum::extract::Request| {
                let turn = request.extensions().get::<Turn>().cloned();
                if first.swap(false, Ordering::Relaxed) {
                    *keeps.lock() = turn;
                }
                std::future::ready("ok")
            };
            let bounds = Bounds {
                connections_max: 1,
                grace: Duration::from_millis(grace),
                ..Bounds::default()
            };
            let go_on = axum::routing::get(go_on);
            let world = world_of(Router::new().route("/", go_on), bounds).await;
            let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            let mut one = TcpStream::connect(world.address).await.unwrap();
            one.write_all(request).await.unwrap();
            assert!(answer(&mut one).await.ends_with("ok"));
            let mut next = TcpStream::connect(world.address).await.unwrap();
            next.write_all(request).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            if known {
                kept.lock().take();
            }
            let served = timeout(Duration::from_secs(1), answer(&mut next)).await;
            assert_eq!(served.is_ok(), soon, "known: {known}, grace: {grace} ms");
        }
    }

    #[tokio::test]
    async fn a_stop_closes_idle_connections_and_ends() {
        let world = world(8, Duration::from_secs(30)).await;
        let mut idle = TcpStream::connect(world.address).await.unwrap();
        idle.write_all(REQUEST).await.unwrap();
        assert!(answer(&mut idle).await.ends_with("ok"));
        world.stop.cancel();
        world.served.close();
        world.served.wait().await;
        assert_eq!(answer(&mut idle).await, "");
    }
}
