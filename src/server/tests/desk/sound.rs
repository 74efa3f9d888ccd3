//! Who is heard: a telephone's socket and a browser's, which say a tone each and keep what they hear.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use clock::Now;
use parking_lot::Mutex;
use tokio::time::Instant;
use webrtc_lite::peer::Peer;
use webrtc_lite::{Credentials, Identity, Kind};

use crate::io::clock::SystemClock;
use crate::io::media::talk::{Frame, PTIME, Talker, share_of};

/// As browsers do, about.
const CHECK_EVERY: Duration = Duration::from_millis(500);

/// Who speaks and listens on a thread of his own until dropped.
pub(super) struct Voice {
    pub(super) local: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// Where his sound goes, once that is known.
    to: Mutex<Option<SocketAddr>>,
    heard: Mutex<Vec<Frame>>,
    speaks: AtomicBool,
    ends: AtomicBool,
}

/// A browser's transport.
pub(super) struct Web {
    pub(super) clock: SystemClock,
    pub(super) identity: Identity,
    pub(super) ufrag: String,
    /// What the server's SDP says.
    pub(super) theirs: Credentials,
}

impl Voice {
    /// A telephone, or a browser, that says a tone of so many hertz.
    pub(super) fn new(hz: f32) -> Self {
        Self::start(hz, None, None)
    }

    pub(super) fn browser(hz: f32, web: Web, to: SocketAddr) -> Self {
        Self::start(hz, Some(web), Some(to))
    }

    fn start(hz: f32, web: Option<Web>, to: Option<SocketAddr>) -> Self {
        let host = if web.is_some() { 1 } else { 2 };
        let socket = UdpSocket::bind(SocketAddr::from(([127, 0, 0, host], 0))).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(2)))
            .unwrap();
        let local = socket.local_addr().unwrap();
        let shared = Arc::new(Shared {
            to: Mutex::new(to),
            heard: Mutex::default(),
            speaks: AtomicBool::new(true),
            ends: AtomicBool::new(false),
        });
        let of = shared.clone();
        let thread = std::thread::spawn(move || live(socket, &of, hz, web));
        Self {
            local,
            shared,
            thread: Some(thread),
        }
    }

    pub(super) fn speak_to(&self, to: SocketAddr) {
        *self.shared.to.lock() = Some(to);
    }

    /// Nothing comes of him any more, as of a page whose microphone is dead.
    pub(super) fn falls_silent(&self) {
        self.shared.speaks.store(false, Ordering::Relaxed);
    }

    /// Whether, of what he hears in so long, nearly all has that tone at the level that it left with.
    pub(super) async fn hears(&self, hz: f32, span: Duration) -> bool {
        self.share_of(hz, span).await > 90
    }

    /// The percent of the frames that have the tone, of those that came in so long.
    pub(super) async fn share_of(&self, hz: f32, span: Duration) -> usize {
        self.shared.heard.lock().clear();
        tokio::time::sleep(span).await;
        let heard = std::mem::take(&mut *self.shared.heard.lock());
        share_of(heard.iter(), hz, 3.0)
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn live(socket: UdpSocket, shared: &Shared, hz: f32, web: Option<Web>) {
    let mut talker = Talker::new(hz, hz as u32);
    let mut page = web.map(Page::new);
    let mut due = Instant::now();
    let mut bytes = [0; 2_000];
    while !shared.ends.load(Ordering::Relaxed) {
        let to = *shared.to.lock();
        if let Ok((len, _)) = socket.recv_from(&mut bytes) {
            let bytes = &mut bytes[..len];
            match &mut page {
                Some(page) if Kind::of(bytes[0]) != Kind::Media => page.receive(bytes),
                _ => shared.heard.lock().extend(heard(&mut talker, bytes)),
            }
        }
        let Some(to) = to else { continue };
        if let Some(page) = &mut page {
            page.step(&socket, to, &mut talker);
        }
        if Instant::now() >= due {
            due += PTIME;
            let may = page.is_none() || talker.guards.is_some();
            if may && shared.speaks.load(Ordering::Relaxed) {
                let _ = socket.send_to(&talker.packet(), to);
            }
        }
    }
}

/// Where a browser's transport stands.
struct Page {
    clock: SystemClock,
    peer: Peer,
    checked: Option<Instant>,
}

impl Page {
    fn new(web: Web) -> Self {
        let own = Credentials {
            ufrag: web.ufrag,
            password: String::new(),
        };
        let now = web.clock.now();
        Self {
            peer: Peer::new(now, web.identity, own, web.theirs).unwrap(),
            clock: web.clock,
            checked: None,
        }
    }

    fn now(&self) -> Now {
        self.clock.now()
    }

    fn receive(&mut self, bytes: &[u8]) {
        let now = self.now();
        self.peer.receive(now, bytes);
    }

    fn step(&mut self, socket: &UdpSocket, to: SocketAddr, talker: &mut Talker) {
        if self.checked.is_none_or(|at| at.elapsed() > CHECK_EVERY) {
            self.checked = Some(Instant::now());
            let _ = socket.send_to(&self.peer.check(true), to);
        }
        if self.peer.answers() > 0 {
            let now = self.now();
            for packet in self.peer.says(now) {
                let _ = socket.send_to(&packet, to);
            }
        }
        talker.take_keys(&mut self.peer);
    }
}

fn heard(talker: &mut Talker, packet: &mut [u8]) -> Option<Frame> {
    let opened = talker.open(packet).ok().flatten();
    opened.map(|(_, samples)| samples)
}
