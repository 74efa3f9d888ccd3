//! The media plane over real sockets: worker threads, their rings, and the port range.
//!
//! [`Workers`] lives in the control thread. It binds sockets, hands them boxed to a media thread
//! with the port that opens, and keeps some of them, at rest, when they come back. Commands go down one ring per
//! worker and events come up another; neither waits, and no lock is shared.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

use crate::io::web::Guest;
use anyhow::{Context, ensure};
use clock::Now;
use media::port::PortId;
use media::worker::{
    IpFamily, MediaPlane, NoPort, PortCommand, PortEvent, Reserved, RingFull, WebEnd, WebPeer,
    Worker, WorkerConfig,
};
use rtrb::{Consumer, Producer, RingBuffer};
use rustix::event::{EventfdFlags, eventfd};

mod browsers;
mod door;
mod figures;
mod range;
mod realtime;
mod relocation;
#[cfg(test)]
pub(crate) mod talk;
mod thread;

pub use browsers::WebConfig;
pub use door::DoorStats;
pub use realtime::Granted;
pub use thread::ThreadStats;

use browsers::{Browsers, Ground, Ordered};
use door::Door;
use range::{PortRange, PortSockets};
use relocation::Relocation;
use thread::{MediaThread, MonotonicClock, Order, Plumbing, Told, slot_of};

/// An address that media is received at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MediaAddress {
    /// Where sockets are bound.
    pub bind: IpAddr,
    /// What SDP says: another address behind 1:1 NAT.
    pub advertised: IpAddr,
}

/// How the media plane is built.
#[derive(Clone, Debug)]
pub struct MediaConfig {
    /// Media threads; each takes a processor of its own if it may.
    pub workers: u8,
    /// What each worker is built for.
    pub worker: WorkerConfig,
    /// One address of each family at most.
    pub addresses: Vec<MediaAddress>,
    /// RTP takes the even ports, RTCP the odd ones.
    pub ports: RangeInclusive<u16>,
    /// How browsers' media is received, if it is.
    pub web: Option<WebConfig>,
    /// Whether to ask for `SCHED_FIFO` and pinning.
    pub realtime: bool,
    /// Seed of the port order: draw it from the system.
    pub random: u64,
}

impl MediaConfig {
    /// One worker per processor but one, ports 20000–29999 on `address`, real-time if permitted.
    pub fn at(address: IpAddr, random: u64) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            workers: u8::try_from(processors.saturating_sub(1).max(1)).unwrap_or(u8::MAX),
            worker: WorkerConfig::default(),
            addresses: vec![MediaAddress {
                bind: address,
                advertised: address,
            }],
            ports: 20_000..=29_999,
            web: None,
            realtime: true,
            random,
        }
    }
}

/// The control thread's end of all media threads.
#[derive(Debug)]
pub struct Workers {
    stations: Vec<Station>,
    ranges: Vec<(PortRange, IpAddr)>,
    wake: Arc<OwnedFd>,
    stop: Arc<AtomicBool>,
    /// Whose events are looked at next.
    turn: usize,
    /// Ports between two workers: as many as there are ports at most.
    relocations: Vec<Relocation>,
    browsers: Option<Browsers>,
}

/// One media thread, seen from the control thread.
#[derive(Debug)]
struct Station {
    orders: Producer<Order>,
    told: Consumer<Told>,
    /// Closes and arrivals that found the ring full. Bounded by the ports.
    backlog: VecDeque<Order>,
    /// Bound, not yet open.
    reserved: HashMap<PortId, Box<PortSockets>>,
    free: Vec<u16>,
    /// How often each slot was used: the upper half of the next id.
    generations: Vec<u16>,
    granted: Granted,
    stats: ThreadStats,
    thread: Option<JoinHandle<MediaThread>>,
}

impl Workers {
    /// Starts the media threads. `now` is the time of the clock that control uses.
    ///
    /// # Errors
    /// When the configuration leaves no port, or the system refuses a thread or its descriptors.
    pub fn start(config: &MediaConfig, now: Now) -> anyhow::Result<Self> {
        // Read before anything that takes time: `now` grows old.
        let clock = MonotonicClock::reading(now);
        ensure!(config.workers > 0, "media.workers: want at least 1, have 0");
        let seeds = (config.random, config.addresses.iter().zip(1_u64..));
        let ranges: Vec<_> = seeds
            .1
            .map(|(at, n)| {
                let random = seeds.0.wrapping_mul(2 * n + 1);
                (
                    PortRange::new(at.bind, config.ports.clone(), random),
                    at.advertised,
                )
            })
            .collect();
        ensure!(
            ranges.iter().all(|(range, _)| range.free() > 0),
            "media.ports: want an even port and the next in the range, have {}-{}",
            config.ports.start(),
            config.ports.end(),
        );
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let mut workers = Self {
            stations: Vec::new(),
            ranges,
            wake: Arc::new(wake.context("no descriptor for the media threads' wake-up")?),
            stop: Arc::new(AtomicBool::new(false)),
            turn: 0,
            relocations: Vec::new(),
            browsers: None,
        };
        let ground = config.web.as_ref().map(|web| Ground::prepare(config, web));
        let mut ground = ground.transpose()?;
        for number in 0..config.workers {
            let door = ground.as_mut().and_then(Ground::door);
            let station = workers.station(number, config, (clock, door))?;
            workers.stations.push(station);
        }
        let settled = ground.map(|ground| ground.settle(clock.now(), &workers.wake));
        workers.browsers = settled.transpose()?;
        Ok(workers)
    }

    fn station(
        &self,
        number: u8,
        config: &MediaConfig,
        (clock, door): (MonotonicClock, Option<Door>),
    ) -> anyhow::Result<Station> {
        let ports_max = config.worker.ports_max.clamp(1, u16::MAX.into());
        let (orders, taken) = RingBuffer::new(ORDERS_MAX);
        let (telling, told) = RingBuffer::new(TOLD_MAX);
        let plumbing = Plumbing {
            worker: Worker::new(
                WorkerConfig {
                    ports_max,
                    ..config.worker
                },
                clock.now(),
            ),
            ports_max,
            door,
            clock,
            wake: Arc::clone(&self.wake),
            stop: Arc::clone(&self.stop),
            orders: taken,
            told: telling,
        };
        let thread = MediaThread::new(plumbing).context("no descriptors for a media thread")?;
        let realtime = config.realtime;
        let (grant, granted) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name(format!("media-{number}"))
            .spawn(move || {
                let none = Granted {
                    fifo: false,
                    processor: None,
                };
                // The one message before any port is open; a ring would need a reader that waits.
                let _ = grant.send(if realtime {
                    realtime::claim(number.into())
                } else {
                    none
                });
                drop(grant);
                thread.run()
            });
        let thread = thread.context("no media thread")?;
        let granted = granted
            .recv()
            .context("a media thread ended at its start")?;
        match granted {
            Granted {
                fifo: true,
                processor,
            } => {
                tracing::info!(
                    worker = number,
                    ?processor,
                    "media thread runs at SCHED_FIFO"
                );
            }
            _ if realtime => tracing::warn!(
                worker = number,
                "media thread runs at normal priority: SCHED_FIFO is not permitted (want CAP_SYS_NICE \
                 or RLIMIT_RTPRIO); sound may break up when the machine is busy"
            ),
            _ => tracing::info!(worker = number, "media thread runs at normal priority"),
        }
        Ok(Station {
            orders,
            told,
            backlog: VecDeque::new(),
            reserved: HashMap::new(),
            free: (0..u16::try_from(ports_max).unwrap_or(u16::MAX))
                .rev()
                .collect(),
            generations: vec![0; ports_max],
            granted,
            stats: ThreadStats::default(),
            thread: Some(thread),
        })
    }

    /// Becomes readable when events wait. Read it, then drain [`MediaPlane::poll_event`].
    pub fn wake(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// What each media thread last told of itself, and what the system granted it.
    pub fn stats(&self) -> impl Iterator<Item = (ThreadStats, Granted)> {
        self.stations
            .iter()
            .map(|station| (station.stats, station.granted))
    }

    /// Ports that are bound: reserved, open, or on their way to be closed.
    pub fn bound(&self) -> usize {
        self.stations.iter().map(Station::load).sum()
    }

    fn least_loaded(&self) -> Result<usize, NoPort> {
        let loads = self.stations.iter().map(Station::load).enumerate();
        let least = loads.min_by_key(|&(_, load)| load);
        least.map(|(worker, _)| worker).ok_or(NoPort::NoWorker)
    }

    fn bind(&mut self, worker: usize, family: IpFamily) -> Result<Reserved, NoPort> {
        let station = self.stations.get_mut(worker).ok_or(NoPort::NoWorker)?;
        let range = self
            .ranges
            .iter_mut()
            .find(|(range, _)| IpFamily::of(range.address()) == family);
        let (range, advertised) = range.ok_or(NoPort::NoAddress)?;
        let port = station.next_name()?;
        let sockets = range.take(port)?;
        let rtp = (range.address(), sockets.number).into();
        station.free.pop();
        station.reserved.insert(port, sockets);
        let worker = u8::try_from(worker).map_err(|_| NoPort::NoWorker)?;
        Ok(Reserved {
            worker,
            port,
            rtp,
            advertised: *advertised,
        })
    }

    /// Puts a pair of sockets and its slot back.
    fn retire(&mut self, worker: usize, sockets: Box<PortSockets>) {
        let (port, family) = (sockets.port, sockets.family);
        self.free((worker, port));
        let range = self
            .ranges
            .iter_mut()
            .find(|(range, _)| IpFamily::of(range.address()) == family);
        if let Some((range, _)) = range {
            range.give_back(sockets);
        }
    }
}

impl MediaPlane for Workers {
    fn reserve(&mut self, family: IpFamily) -> Result<Reserved, NoPort> {
        let worker = self.least_loaded()?;
        self.bind(worker, family)
    }

    fn reserve_beside(&mut self, worker: u8, family: IpFamily) -> Result<Reserved, NoPort> {
        self.bind(worker.into(), family)
    }

    fn reserve_web(&mut self, beside: Option<u8>) -> Result<(Reserved, WebEnd), NoPort> {
        let worker = match beside {
            Some(worker) => worker.into(),
            None => self.least_loaded()?,
        };
        self.seat(worker)
    }

    fn meet(&mut self, worker: u8, port: PortId, peer: WebPeer) -> Result<(), RingFull> {
        let guest = Guest { worker, port };
        let browsers = self.browsers.as_mut();
        browsers.map_or(Ok(()), |browsers| browsers.meet(guest, peer))
    }

    fn relocate(&mut self, from: u8, port: PortId, to: u8) -> Result<PortId, NoPort> {
        self.send_off(from, port, to)
    }

    fn command(&mut self, worker: u8, command: PortCommand) -> Result<(), RingFull> {
        let command = match self.await_arrival(usize::from(worker), command) {
            Ok(waits) => return waits,
            Err(command) => command,
        };
        let (port, ordered) = (command.port(), Ordered::of(&command));
        let station = self.stations.get_mut(usize::from(worker)).ok_or(RingFull)?;
        station.flush();
        let full = !station.backlog.is_empty() || station.orders.is_full();
        let sockets = match &command {
            PortCommand::Close { .. } if full => {
                station.must(command, None);
                self.ordered(worker, port, Ordered::Close);
                return Ok(());
            }
            PortCommand::Open(plan) if !full => station.reserved.remove(&plan.port),
            _ => None,
        };
        station.order(command, sockets)?;
        if let Some(ordered) = ordered {
            self.ordered(worker, port, ordered);
        }
        Ok(())
    }

    fn release(&mut self, worker: u8, port: PortId) {
        self.unseat(worker, port);
        let worker = usize::from(worker);
        let station = self.stations.get_mut(worker);
        if let Some(sockets) = station.and_then(|station| station.reserved.remove(&port)) {
            self.retire(worker, sockets);
        }
    }

    fn poll_event(&mut self) -> Option<(u8, PortEvent)> {
        if let Some(event) = self.poll_browsers() {
            return Some(event);
        }
        let mut empty = 0;
        while empty < self.stations.len() {
            let at = self.turn % self.stations.len();
            let station = self.stations.get_mut(at)?;
            station.flush();
            match station.told.pop() {
                Ok(Told::Event(event)) => {
                    if let (Some(port), Ok(worker)) = (browsers::ended(&event), u8::try_from(at)) {
                        self.unseat(worker, port);
                    }
                    if let Some((at, event)) = self.renamed(at, event) {
                        return Some((u8::try_from(at).ok()?, event));
                    }
                }
                Ok(Told::Sockets(sockets)) => {
                    if let Some(sockets) = self.keep_sockets(at, sockets) {
                        self.retire(at, sockets);
                    }
                }
                Ok(Told::Stats(stats)) => {
                    figures::publish(at, &stats);
                    figures::resting(self.ranges.iter().map(|(range, _)| range.resting()).sum());
                    station.stats = stats;
                }
                Err(_) => {
                    self.turn = at + 1;
                    empty += 1;
                }
            }
        }
        None
    }
}

impl Station {
    /// Ports that are not free.
    fn load(&self) -> usize {
        self.generations.len() - self.free.len()
    }

    /// The name of the next port: its slot, and how often that was used.
    fn next_name(&self) -> Result<PortId, NoPort> {
        let slot = *self.free.last().ok_or(NoPort::WorkerFull)?;
        let generation = self.generations.get(usize::from(slot));
        let generation = generation.copied().unwrap_or(0);
        Ok(PortId((u32::from(generation) << 16) | u32::from(slot)))
    }

    /// A name is used no more, and its slot is free.
    fn free(&mut self, port: PortId) {
        if let Some(generation) = self.generations.get_mut(slot_of(port)) {
            *generation = generation.wrapping_add(1);
        }
        self.free.push((port.0 & 0xFFFF) as u16);
    }

    /// Sends what found the ring full before.
    fn flush(&mut self) {
        while !self.orders.is_full() {
            let Some(order) = self.backlog.pop_front() else {
                return;
            };
            let _ = self.orders.push(order);
        }
    }
}

impl Drop for Workers {
    /// Stops the media threads, within a tick, and drops what they held here.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for station in &mut self.stations {
            let Some(thread) = station.thread.take() else {
                continue;
            };
            if thread.join().is_err() {
                tracing::error!("a media thread had panicked");
            }
        }
    }
}

/// Commands that may wait at one worker: 4 for each of 1,000 ports within one tick.
const ORDERS_MAX: usize = 4_096;

/// Events that may wait for control; beyond it they wait at the worker, which then drops chatter.
const TOLD_MAX: usize = 8_192;

#[cfg(test)]
mod tests;
