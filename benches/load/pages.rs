//! Agents' pages, all of one office: each logs in on a WebSocket of its own, answers pings, and comes back by its
//! resume token when its socket is lost, after the waits that the desk's page has (`web/src/link.ts`).
//!
//! One thread serves them all. What a browser does besides, to draw or to verify a certificate, is not done here.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use parking_lot::{Mutex, MutexGuard};
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::trust;

/// All of them.
pub(crate) struct Pages {
    runtime: Runtime,
    office: Arc<Office>,
    cuts: watch::Sender<Cut>,
}

/// What they share.
struct Office {
    to: SocketAddr,
    tls: Option<TlsConnector>,
    seen: Mutex<Seen>,
    /// Sockets of which the server does not know yet that nobody is there.
    dead: Mutex<Vec<Socket>>,
}

/// How sockets are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The server is told: whoever was between closed them.
    Closed,
    /// It is not: the line has failed.
    Silent,
}

/// What has become of them.
pub(crate) struct Seen {
    /// Since when.
    pub(crate) since: Instant,
    /// Pages that are logged in.
    pub(crate) inside: usize,
    /// When each has come in, µs.
    pub(crate) came_us: Vec<u32>,
    /// Sockets that the server closed.
    pub(crate) lost: usize,
    /// Attempts that came to nothing, by what went wrong.
    pub(crate) failed: BTreeMap<String, u32>,
    /// Messages of the server.
    pub(crate) told: u64,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            inside: 0,
            came_us: Vec::new(),
            lost: 0,
            failed: BTreeMap::new(),
            told: 0,
        }
    }
}

/// A connection, over TLS or not.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}
type Socket = WebSocketStream<Box<dyn Wire>>;
type Failure = Box<dyn Error + Send + Sync>;

impl Pages {
    /// An office whose pages find the server there.
    pub(crate) fn open(to: SocketAddr, secure: bool) -> Self {
        let tls = secure.then(|| {
            let mut config = Arc::unwrap_or_clone(trust::tls());
            // Each browser has its own memory of sessions; and after a night it has none.
            config.resumption = Resumption::disabled();
            TlsConnector::from(Arc::new(config))
        });
        let (seen, dead) = (Mutex::default(), Mutex::default());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        Self {
            runtime: runtime.unwrap(),
            office: Arc::new(Office {
                to,
                tls,
                seen,
                dead,
            }),
            cuts: watch::Sender::new(Cut::Closed),
        }
    }

    /// One more, with the token that its agent has been given.
    pub(crate) fn add(&self, token: String) {
        let live = live(self.office.clone(), token, self.cuts.subscribe());
        self.runtime.spawn(live);
    }

    /// Cuts all sockets at once: every page tries again, at first without a wait.
    pub(crate) fn cut(&self, how: Cut) {
        self.cuts.send_replace(how);
    }

    /// Closes what was cut without a word.
    pub(crate) fn bury(&self) {
        self.office.dead.lock().clear();
    }

    /// Counts from now on.
    pub(crate) fn count_anew(&self) {
        let mut seen = self.office.seen();
        let inside = seen.inside;
        *seen = Seen {
            inside,
            ..Seen::default()
        };
    }

    /// Waits until so many have come in, at most so long; whether they have.
    pub(crate) fn wait(&self, count: usize, most: Duration) -> bool {
        let until = Instant::now() + most;
        while self.office.seen().came_us.len() < count {
            if Instant::now() > until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }

    /// What was seen.
    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.office.seen()
    }

    /// What the thread that serves them has had of its processor, s.
    pub(crate) fn busy(&self) -> f64 {
        let (sender, receiver) = std::sync::mpsc::channel();
        self.runtime
            .spawn(async move { sender.send(lab::pace::thread_time()) });
        receiver.recv().map_or(0.0, |ns| ns as f64 / 1e9)
    }
}

/// How a stay ended.
enum Ended {
    /// The wire was cut, as [`Pages::cut`] asks.
    Cut(Cut),
    Lost,
}

async fn live(office: Arc<Office>, token: String, mut cuts: watch::Receiver<Cut>) {
    let mut proof = ("token", token);
    let mut tries = 0;
    loop {
        match timeout(OPEN_PATIENCE, office.come_in(&proof)).await {
            Ok(Ok((mut socket, resume))) => {
                tries = 0;
                proof = ("resume", resume);
                let ended = office.stay(&mut socket, &mut cuts).await;
                office.seen().inside -= 1;
                match ended {
                    Ended::Cut(Cut::Closed) => continue,
                    Ended::Cut(Cut::Silent) => {
                        office.dead.lock().push(socket);
                        continue;
                    }
                    Ended::Lost => office.seen().lost += 1,
                }
            }
            Ok(Err(why)) => office.failed(why.to_string()),
            Err(_) => office.failed(format!("not in within {OPEN_PATIENCE:?}")),
        }
        let ceiling = RETRY_MAX.min(RETRY_MIN * 2_u32.pow(tries));
        tries = (tries + 1).min(8);
        sleep(ceiling.mul_f64(0.25 + 0.75 * lot())).await;
    }
}

/// Anything from 0 to 1.
fn lot() -> f64 {
    f64::from(lab::pace::nanos_now() as u32 % 997) / 997.0
}

impl Office {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock()
    }

    fn failed(&self, why: String) {
        *self.seen().failed.entry(why).or_default() += 1;
    }

    /// Opens a socket and logs in: the socket, and what takes the session up again.
    async fn come_in(&self, (what, token): &(&str, String)) -> Result<(Socket, String), Failure> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(OFFICE, 0))?;
        let tcp = socket.connect(self.to).await?;
        tcp.set_nodelay(true)?;
        let (scheme, wire): (_, Box<dyn Wire>) = match &self.tls {
            None => ("", Box::new(tcp)),
            Some(tls) => {
                let name = ServerName::IpAddress(self.to.ip().into());
                ("s", Box::new(tls.connect(name, tcp).await?))
            }
        };
        let mut request = format!("ws{scheme}://{}/desk", self.to).into_client_request()?;
        let headers = request.headers_mut();
        headers.insert("Origin", format!("http{scheme}://{}", self.to).parse()?);
        headers.insert("Sec-WebSocket-Protocol", "tandem.desk.v1".parse()?);
        let config = WebSocketConfig::default().read_buffer_size(BUFFER);
        let opened = client_async_with_config(request, wire, Some(config)).await;
        let mut socket = opened?.0;
        let login = json!({"type": "login", "id": 1, *what: token}).to_string();
        socket.send(Message::text(login)).await?;
        loop {
            let message = socket.next().await.ok_or("closed")??;
            let Message::Text(text) = message else {
                continue;
            };
            let said: Value = serde_json::from_str(&text)?;
            match said["type"].as_str() {
                Some("welcome") => {
                    let resume = said["resume"].as_str().ok_or("no resume token")?;
                    let mut seen = self.seen();
                    let came = seen.since.elapsed().as_micros() as u32;
                    seen.came_us.push(came);
                    seen.inside += 1;
                    drop(seen);
                    return Ok((socket, resume.to_owned()));
                }
                Some("refused") => return Err(format!("refused: {}", said["error"]["id"]).into()),
                Some("bye") => return Err(format!("bye: {}", said["reason"]).into()),
                _ => {}
            }
        }
    }

    /// Reads, and so answers pings, until the socket is gone.
    async fn stay(&self, socket: &mut Socket, cuts: &mut watch::Receiver<Cut>) -> Ended {
        cuts.mark_unchanged();
        loop {
            tokio::select! {
                next = socket.next() => match next {
                    Some(Ok(Message::Text(_))) => self.seen().told += 1,
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Ended::Lost,
                },
                _ = cuts.changed() => return Ended::Cut(*cuts.borrow_and_update()),
            }
        }
    }
}

/// Where they all are: behind one address, as offices are.
const OFFICE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 9, 4));
const BUFFER: usize = 4 << 10;
/// As the desk's page has them.
const OPEN_PATIENCE: Duration = Duration::from_secs(10);
const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(15);
