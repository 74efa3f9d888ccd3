//! The web thread: it waits for rings and for time, and sends by copies of the workers' shared sockets.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clock::{Duration, Now};
use media::port::Keys;
use media::worker::{IpFamily, Loss};
use rtrb::{Consumer, Producer};
use webrtc_lite::dtls::Failure;
use webrtc_lite::session::Why;
use webrtc_lite::{Identity, Output};

use super::lobby::Lobby;
use super::{Counts, Datagram, Guest, Order, Ring, Told};
use crate::io::bell::{Bell, Tell};
use crate::io::clock::SystemClock;

/// The state of the web thread.
pub(in crate::io) struct WebThread {
    lobby: Lobby,
    bell: Bell,
    clock: SystemClock,
    workers: Vec<Entrance>,
    orders: Consumer<Order>,
    told: Producer<Told>,
    wake: Arc<OwnedFd>,
    stop: Arc<AtomicBool>,
    /// Whether something waits for which nobody will ring again.
    again: bool,
    /// Whether control has been told something of which it has not been woken.
    news: bool,
    counted: (Now, Counts),
}

/// One worker's shared sockets, one of each family at most, and what came by them.
pub(in crate::io) struct Entrance {
    pub(in crate::io) sockets: Vec<(IpFamily, UdpSocket)>,
    pub(in crate::io) checks: Consumer<Datagram>,
}

/// What the thread is given.
pub(in crate::io) struct Plumbing {
    pub(in crate::io) identity: Identity,
    pub(in crate::io) clock: SystemClock,
    /// By worker.
    pub(in crate::io) workers: Vec<Entrance>,
    pub(in crate::io) orders: Consumer<Order>,
    pub(in crate::io) told: Producer<Told>,
    /// Rung by media threads and by control.
    pub(in crate::io) ring: Ring,
    /// Control's.
    pub(in crate::io) wake: Arc<OwnedFd>,
    pub(in crate::io) stop: Arc<AtomicBool>,
}

impl WebThread {
    /// Makes the poll set.
    ///
    /// # Errors
    /// The system's, when it has no descriptors left.
    pub(in crate::io) fn new(plumbing: Plumbing) -> std::io::Result<Self> {
        let bell = Bell::new()?;
        bell.watch(plumbing.ring.as_fd(), 0, Tell::Each)?;
        Ok(Self {
            lobby: Lobby::new(plumbing.identity),
            bell,
            counted: (plumbing.clock.now(), Counts::default()),
            clock: plumbing.clock,
            workers: plumbing.workers,
            orders: plumbing.orders,
            told: plumbing.told,
            wake: plumbing.wake,
            stop: plumbing.stop,
            again: false,
            news: false,
        })
    }

    /// Runs until it is told to stop.
    pub(in crate::io) fn run(mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            self.turn();
        }
    }

    fn turn(&mut self) {
        let now = self.clock.now();
        let due = self.lobby.deadline().map_or(IDLE, |at| at.since(now));
        let most = if self.again { SOON } else { IDLE };
        self.bell.wait(due.clamp(SOON, most), |_| {});
        let now = self.clock.now();
        self.again = false;
        self.obey(now);
        for worker in 0..self.workers.len() {
            self.receive(now, worker);
        }
        self.lobby.handle_timeout(now);
        self.say();
        self.count(now);
        if std::mem::take(&mut self.news) {
            let _ = rustix::io::write(&*self.wake, &1_u64.to_ne_bytes());
        }
    }

    fn obey(&mut self, now: Now) {
        while self.has_room()
            && let Ok(order) = self.orders.pop()
        {
            match order {
                Order::Await(guest, ours) => self.lobby.wait_for(now, guest, ours),
                Order::Meet(guest, peer) => self.lobby.meet(now, guest, peer),
                Order::Leave(guest) => self.lobby.leave(now, guest),
            }
            self.say();
        }
    }

    /// Takes a batch of what came to one worker.
    fn receive(&mut self, now: Now, worker: usize) {
        for _ in 0..BATCH {
            let has_room = self.has_room();
            let Some(entrance) = self.workers.get_mut(worker) else {
                return;
            };
            if !has_room {
                break;
            }
            let Ok(datagram) = entrance.checks.pop() else {
                return;
            };
            let (worker, from) = (worker as u8, datagram.from);
            match datagram.heard {
                Some(port) => self.lobby.heard(now, Guest { worker, port }, from),
                None => self.lobby.receive(now, worker, from, datagram.bytes()),
            }
            self.say();
        }
        self.again = true;
    }

    /// Whether what one datagram brings can be told. If not, whatever comes waits in its ring.
    fn has_room(&mut self) -> bool {
        let room = self.told.slots() >= ROOM;
        self.again |= !room;
        room
    }

    /// Sends and tells what there is, as far as the ring has room; the rest waits.
    fn say(&mut self) {
        while !self.told.is_full()
            && let Some((guest, output)) = self.lobby.poll_output()
        {
            let told = match output {
                Output::Transmit { to, bytes } => {
                    self.send(guest.worker, to, &bytes);
                    continue;
                }
                Output::Path(at) => Told::Path(guest, at),
                Output::NoPath(at) => Told::NoPath(guest, at),
                Output::Chosen(at) => Told::Chosen(guest, at),
                Output::Keys(keys) => match Keys::new(keys.send, keys.receive) {
                    Some(keys) => Told::Keys(guest, keys),
                    None => Told::Lost(guest, Loss::Handshake),
                },
                Output::Ended(why) => Told::Lost(guest, loss(&why)),
            };
            self.tell(told);
        }
    }

    /// Whoever calls has seen that there is room.
    fn tell(&mut self, told: Told) {
        let _ = self.told.push(told);
        self.news = true;
    }

    fn send(&mut self, worker: u8, to: SocketAddr, bytes: &[u8]) {
        let entrance = self.workers.get(usize::from(worker));
        let mut sockets = entrance.into_iter().flat_map(|it| &it.sockets);
        let socket = sockets.find(|(family, _)| *family == IpFamily::of(to.ip()));
        let sent = socket.is_some_and(|(_, socket)| socket.send_to(bytes, to).is_ok());
        self.lobby.counts.sent += u64::from(sent);
        self.lobby.counts.send_errors += u64::from(!sent);
    }

    fn count(&mut self, now: Now) {
        let (at, counts) = self.counted;
        let news = counts != self.lobby.counts;
        if news && now.since(at) >= COUNT_EVERY && self.has_room() {
            self.counted = (now, self.lobby.counts);
            self.tell(Told::Counts(self.lobby.counts));
        }
    }
}

fn loss(why: &Why) -> Loss {
    match why {
        Why::NoCheck => Loss::NoCheck,
        Why::NoHandshake => Loss::NoHandshake,
        Why::NoConsent => Loss::NoConsent,
        Why::Handshake(Failure::Stranger) => Loss::Stranger,
        Why::Handshake(Failure::Closed) => Loss::Closed,
        Why::Handshake(Failure::NoKeys | Failure::Handshake(_)) => Loss::Handshake,
    }
}

/// The longest sleep: by then it tells what it has counted.
const IDLE: Duration = Duration::from_secs(1);
/// The shortest.
const SOON: Duration = Duration::from_millis(1);
/// Datagrams of one worker that are taken before another's turn.
const BATCH: usize = 64;
/// What one datagram may bring.
const ROOM: usize = 8;
const COUNT_EVERY: Duration = Duration::from_millis(100);
