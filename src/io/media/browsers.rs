//! Browsers' ports: their places, which the web thread finds out, as orders to the media threads.
//!
//! ```text
//!   reserved ── opened ──▶ open ── close ──▶ closing ── Closed ──▶ free
//!      │ what is found out meanwhile waits here      └ routes go, the browser is told
//!      └── released ──▶ free
//! ```

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::Context;
use clock::Now;
use media::port::{Keys, PortId};
use media::worker::{
    IpFamily, Loss, NoPort, PortCommand, PortEvent, Refusal, Reserved, RingFull, WebEnd, WebPeer,
};
use rtrb::{Consumer, Producer, RingBuffer};
use rustix::event::{EventfdFlags, eventfd};
use webrtc_lite::Credentials;

use super::door::{self, Door};
use super::{MediaAddress, MediaConfig, Workers, figures};
use crate::io::clock::SystemClock;
use crate::io::web::{self, Counts, Entrance, Guest, Plumbing, Ring, Told, WebThread};

/// How browsers' media is received.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebConfig {
    /// The first worker's UDP port; each further worker has the next one. 0 for any that is free.
    pub port: u16,
    /// One address of each family at most.
    pub addresses: Vec<MediaAddress>,
}

/// Where one worker is reached: bound, and as SDP says it.
type Places = Vec<(SocketAddr, SocketAddr)>;

/// The control thread's end of the web thread.
#[derive(Debug)]
pub(super) struct Browsers {
    orders: Producer<web::Order>,
    told: Consumer<Told>,
    /// Goodbyes that found the ring full. Bounded by the ports.
    backlog: VecDeque<web::Order>,
    ring: Ring,
    stop: Arc<AtomicBool>,
    fingerprint: String,
    /// By worker.
    places: Vec<Places>,
    seats: HashMap<Guest, Seat>,
    counts: Counts,
    thread: Option<JoinHandle<()>>,
}

/// A browser's port, seen from here.
#[derive(Debug, Default)]
struct Seat {
    stage: Stage,
    /// Where its media is routed from.
    paths: Vec<SocketAddr>,
    /// Where it sends to, and its keys, until it is open.
    chosen: Option<SocketAddr>,
    keys: Option<Box<Keys>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Stage {
    #[default]
    Reserved,
    Open,
    Closing,
}

/// What is made before the media threads are, which take the doors.
pub(super) struct Ground {
    doors: VecDeque<Door>,
    entrances: Vec<Entrance>,
    places: Vec<Places>,
    ring: Ring,
}

impl Ground {
    /// Binds every worker's shared sockets.
    pub(super) fn prepare(config: &MediaConfig, web: &WebConfig) -> anyhow::Result<Self> {
        let ring = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let ring = Arc::new(ring.context("no descriptor for the web thread's wake-up")?);
        let mut ground = Self {
            doors: VecDeque::new(),
            entrances: Vec::new(),
            places: Vec::new(),
            ring,
        };
        for worker in 0..config.workers {
            let (mut sockets, mut copies, mut places) = (Vec::new(), Vec::new(), Vec::new());
            for at in &web.addresses {
                let number = match web.port {
                    0 => 0,
                    first => first.saturating_add(worker.into()),
                };
                let (socket, copy, bound) = bind(at.bind, number)?;
                let family = IpFamily::of(at.bind);
                sockets.push((family, socket));
                copies.push((family, copy));
                places.push((bound, (at.advertised, bound.port()).into()));
            }
            let (checks, came) = web::checks();
            let ring = Arc::clone(&ground.ring);
            let door = Door::new(sockets, config.worker.ports_max, checks, ring);
            ground.doors.push_back(door);
            ground.entrances.push(Entrance {
                sockets: copies,
                checks: came,
            });
            ground.places.push(places);
        }
        Ok(ground)
    }

    /// The next worker's.
    pub(super) fn door(&mut self) -> Option<Door> {
        self.doors.pop_front()
    }

    /// Starts the web thread.
    pub(super) fn settle(self, now: Now, wake: &Arc<OwnedFd>) -> anyhow::Result<Browsers> {
        let clock = SystemClock::reading(now);
        let identity = web::identity(clock)?;
        let fingerprint = identity.fingerprint().to_string();
        let (orders, taken) = RingBuffer::new(ORDERS_MAX);
        let (telling, told) = RingBuffer::new(TOLD_MAX);
        let stop = Arc::new(AtomicBool::new(false));
        let thread = WebThread::new(Plumbing {
            identity,
            clock,
            workers: self.entrances,
            orders: taken,
            told: telling,
            ring: Arc::clone(&self.ring),
            wake: Arc::clone(wake),
            stop: Arc::clone(&stop),
        });
        let thread = thread.context("no descriptors for the web thread")?;
        let thread = std::thread::Builder::new()
            .name("web".to_owned())
            .spawn(move || thread.run())
            .context("no web thread")?;
        Ok(Browsers {
            orders,
            told,
            backlog: VecDeque::new(),
            ring: self.ring,
            stop,
            fingerprint,
            places: self.places,
            seats: HashMap::new(),
            counts: Counts::default(),
            thread: Some(thread),
        })
    }
}

/// A shared socket, a copy of it, and its address.
fn bind(address: IpAddr, number: u16) -> anyhow::Result<(UdpSocket, UdpSocket, SocketAddr)> {
    let at = SocketAddr::new(address, number);
    let open = || {
        let socket = door::bind(at)?;
        let (copy, bound) = (socket.try_clone()?, socket.local_addr()?);
        Ok::<_, std::io::Error>((socket, copy, bound))
    };
    open().with_context(|| format!("webrtc.port: UDP {at} cannot be bound"))
}

impl Workers {
    /// Carries out [`MediaPlane::reserve_web`](media::worker::MediaPlane::reserve_web).
    pub(super) fn seat(&mut self, worker: usize) -> Result<(Reserved, WebEnd), NoPort> {
        let browsers = self.browsers.as_mut().ok_or(NoPort::NoWeb)?;
        let station = self.stations.get_mut(worker).ok_or(NoPort::NoWorker)?;
        let places = browsers.places.get(worker).ok_or(NoPort::NoWorker)?;
        let &(rtp, advertised) = places.first().ok_or(NoPort::NoAddress)?;
        let guest = Guest {
            worker: u8::try_from(worker).map_err(|_| NoPort::NoWorker)?,
            port: station.next_name()?,
        };
        let ours = credentials()?;
        let end = WebEnd {
            ufrag: ours.ufrag.clone(),
            password: ours.password.clone(),
            fingerprint: browsers.fingerprint.clone(),
            candidates: places.iter().map(|(_, said)| *said).collect(),
        };
        let told = browsers.order(web::Order::Await(guest, ours));
        told.map_err(|RingFull| NoPort::WorkerFull)?;
        station.free.pop();
        browsers.seats.insert(guest, Seat::default());
        let reserved = Reserved {
            worker: guest.worker,
            port: guest.port,
            rtp,
            advertised: advertised.ip(),
        };
        Ok((reserved, end))
    }

    /// Whether a port is a browser's.
    pub(super) fn is_browser(&self, worker: u8, port: PortId) -> bool {
        let guest = Guest { worker, port };
        let browsers = self.browsers.as_ref();
        browsers.is_some_and(|browsers| browsers.seats.contains_key(&guest))
    }

    /// A port's opening or closing was ordered: what waited for the one follows it, nothing follows the other.
    pub(super) fn ordered(&mut self, worker: u8, port: PortId, stage: Ordered) {
        let guest = Guest { worker, port };
        let browsers = self.browsers.as_mut();
        let Some(seat) = browsers.and_then(|browsers| browsers.seats.get_mut(&guest)) else {
            return;
        };
        let (chosen, keys) = (seat.chosen.take(), seat.keys.take());
        seat.stage = match stage {
            Ordered::Open => Stage::Open,
            Ordered::Close => Stage::Closing,
        };
        if let (Ordered::Open, Some(station)) = (stage, self.stations.get_mut(usize::from(worker)))
        {
            if chosen.is_some() {
                station.must(PortCommand::Path { port, to: chosen }, None);
            }
            if let Some(keys) = keys {
                station.must(PortCommand::Key { port, keys }, None);
            }
        }
    }

    /// A browser's port is gone, if it was one.
    pub(super) fn unseat(&mut self, worker: u8, port: PortId) {
        let guest = Guest { worker, port };
        let (Some(browsers), Some(station)) = (
            self.browsers.as_mut(),
            self.stations.get_mut(usize::from(worker)),
        ) else {
            return;
        };
        if let Some(seat) = browsers.seats.remove(&guest) {
            for from in seat.paths {
                station.must_route(from, port, false);
            }
            station.free(port);
            browsers.backlog.push_back(web::Order::Leave(guest));
            browsers.flush();
        }
    }

    /// Takes what the web thread tells, and what of it is for control.
    pub(super) fn poll_browsers(&mut self) -> Option<(u8, PortEvent)> {
        loop {
            let browsers = self.browsers.as_mut()?;
            browsers.flush();
            // A media thread that has fallen behind is not given more: the web thread waits, and drops.
            let is_behind = |station: &super::Station| station.backlog.len() > BEHIND;
            if self.stations.iter().any(is_behind) {
                return None;
            }
            let (guest, news) = match browsers.told.pop().ok()? {
                Told::Counts(counts) => {
                    browsers.counts = counts;
                    figures::publish_web(&counts);
                    continue;
                }
                Told::Path(guest, at) => (guest, News::Path(at, true)),
                Told::NoPath(guest, at) => (guest, News::Path(at, false)),
                Told::Chosen(guest, at) => (guest, News::Chosen(Some(at))),
                Told::Keys(guest, keys) => (guest, News::Keys(keys)),
                Told::Lost(guest, why) => (guest, News::Lost(why)),
            };
            if let Some(event) = self.take(guest, news) {
                return Some((guest.worker, event));
            }
        }
    }

    fn take(&mut self, guest: Guest, news: News) -> Option<PortEvent> {
        let port = guest.port;
        let seat = self.browsers.as_mut()?.seats.get_mut(&guest)?;
        let station = self.stations.get_mut(usize::from(guest.worker))?;
        let is_open = seat.stage == Stage::Open;
        match news {
            News::Path(from, is_on) => {
                seat.paths.retain(|path| *path != from);
                if is_on {
                    seat.paths.push(from);
                }
                station.must_route(from, port, is_on);
            }
            News::Chosen(to) if is_open => station.must(PortCommand::Path { port, to }, None),
            News::Chosen(to) => seat.chosen = to,
            News::Keys(keys) if is_open => station.must(PortCommand::Key { port, keys }, None),
            News::Keys(keys) => seat.keys = Some(keys),
            News::Lost(why) => {
                for from in std::mem::take(&mut seat.paths) {
                    station.must_route(from, port, false);
                }
                if is_open {
                    station.must(PortCommand::Path { port, to: None }, None);
                }
                seat.chosen = None;
                return Some(PortEvent::Lost { port, why });
            }
        }
        None
    }

    /// What the web thread has counted, as it last said.
    #[cfg(test)]
    pub(super) fn web_counts(&self) -> Counts {
        self.browsers
            .as_ref()
            .map_or_else(Counts::default, |it| it.counts)
    }
}

/// What a port was ordered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ordered {
    Open,
    Close,
}

impl Ordered {
    /// What a command is, apart from what is of no account here.
    pub(super) fn of(command: &PortCommand) -> Option<Self> {
        match command {
            PortCommand::Open(_) => Some(Self::Open),
            PortCommand::Close { .. } => Some(Self::Close),
            _ => None,
        }
    }
}

/// Whose last event this is.
pub(super) fn ended(event: &PortEvent) -> Option<PortId> {
    match event {
        PortEvent::Closed { port, .. }
        | PortEvent::Refused {
            port,
            why: Refusal::PortsFull,
        } => Some(*port),
        _ => None,
    }
}

enum News {
    Path(SocketAddr, bool),
    Chosen(Option<SocketAddr>),
    Keys(Box<Keys>),
    Lost(Loss),
}

impl Browsers {
    /// Tells the web thread whom a port is with.
    pub(super) fn meet(&mut self, guest: Guest, peer: WebPeer) -> Result<(), RingFull> {
        match self.seats.contains_key(&guest) {
            true => self.order(web::Order::Meet(guest, peer)),
            false => Ok(()),
        }
    }

    fn order(&mut self, order: web::Order) -> Result<(), RingFull> {
        self.flush();
        if !self.backlog.is_empty() {
            return Err(RingFull);
        }
        self.orders.push(order).map_err(|_| RingFull)?;
        self.wake();
        Ok(())
    }

    /// Sends what found the ring full before.
    fn flush(&mut self) {
        let before = self.backlog.len();
        while !self.orders.is_full()
            && let Some(order) = self.backlog.pop_front()
        {
            let _ = self.orders.push(order);
        }
        if self.backlog.len() < before {
            self.wake();
        }
    }

    fn wake(&self) {
        let _ = rustix::io::write(&*self.ring, &1_u64.to_ne_bytes());
    }
}

impl Drop for Browsers {
    /// Stops the web thread.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.wake();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the web thread had panicked");
        }
    }
}

/// 48 random bits are its name, which nobody else has by chance; 144 prove a check (RFC 8445 §5.3 wants 24 and 128).
fn credentials() -> Result<Credentials, NoPort> {
    let mut bytes = [0; UFRAG + PASSWORD];
    getrandom::fill(&mut bytes).map_err(|_| NoPort::System)?;
    let letter = |byte: &u8| {
        let letter = ICE_LETTERS.get(usize::from(byte % 64));
        char::from(letter.copied().unwrap_or(b'+'))
    };
    let mut letters = bytes.iter().map(letter);
    Ok(Credentials {
        ufrag: letters.by_ref().take(UFRAG).collect(),
        password: letters.collect(),
    })
}

const UFRAG: usize = 8;
const PASSWORD: usize = 24;
/// What names and passwords may be made of (RFC 8839 §5.4): 64 of them, so that each is as likely.
const ICE_LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Sessions that may be asked for at once.
const ORDERS_MAX: usize = 4_096;
/// News that may wait for control.
const TOLD_MAX: usize = 4_096;
/// Orders that a media thread may leave waiting before browsers' news wait too.
const BEHIND: usize = 256;
