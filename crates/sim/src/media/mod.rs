//! The media plane in memory: every port of the world, the server's and the phones', in one
//! [`Studio`]; a [`Desk`] is one party's end of it.
//!
//! The engines are production [`Worker`]s, or, where only signalling is looked at, [`Silent`] ones
//! that keep the worker's promises (each playback ends, each close is told) without a sample.

mod desk;
mod silent;
mod web;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use clock::{Duration, Now};
use media::port::PortId;
use media::worker::{
    Carriage, Lane, NoPort, PortCommand, PortEvent, Reserved, RingFull, WebEnd, WebPeer, Worker,
    WorkerConfig,
};
use parking_lot::Mutex;

use crate::Random;
pub use desk::Desk;
use silent::Silent;
use web::{Step, Web};

/// How the server's media plane misbehaves.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mischief {
    /// Reservations refused, per mille.
    pub no_port: u32,
    /// Commands refused, per mille; a close never is.
    pub ring_full: u32,
    /// How late events are told, at most.
    pub late: Duration,
}

impl Mischief {
    /// Whether it does anything.
    pub(crate) fn is_on(&self) -> bool {
        self.no_port > 0 || self.ring_full > 0 || self.late > Duration::ZERO
    }
}

/// A packet on its way out of a port.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The port it left.
    pub from: SocketAddr,
    /// Whereto.
    pub to: SocketAddr,
    /// The packet.
    pub bytes: Box<[u8]>,
}

enum Engine {
    Sounding(Box<Worker>),
    Silent(Silent),
}

/// One worker and its ports.
struct Station {
    engine: Engine,
    reserved: BTreeSet<PortId>,
    /// Bound addresses, of reserved and of open ports.
    bound: BTreeMap<PortId, SocketAddr>,
    open: usize,
    events: VecDeque<(Now, PortEvent)>,
    next_id: u32,
}

/// Every media port of the world.
pub struct Studio {
    now: Now,
    stations: Vec<Station>,
    /// The port that has an RTP address.
    at: BTreeMap<SocketAddr, (u8, PortId)>,
    web: Web,
    next_number: u16,
    sent: Vec<Sent>,
    mischief: Mischief,
    random: Random,
}

/// As often as the server's.
const EACH_SECOND: Duration = Duration::from_secs(1);

/// The server's media address.
pub(crate) const SERVER_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

impl Studio {
    /// One sounding worker for a server that is well, and one for all phones: where a test has packets
    /// of its own to deliver.
    pub fn alone() -> Arc<Mutex<Self>> {
        Self::of(1)
    }

    /// The same with several workers for the server.
    pub fn of(workers: u8) -> Arc<Mutex<Self>> {
        let (mischief, random) = (Mischief::default(), Random::new(1));
        let studio = Self::new(workers, Some(EACH_SECOND), mischief, random);
        Arc::new(Mutex::new(studio))
    }

    /// `workers` for the server and, after them, one for all phones; they sound if it is said how often their
    /// ports tell their counters (zero: never).
    pub(crate) fn new(
        workers: u8,
        sounding: Option<Duration>,
        mischief: Mischief,
        random: Random,
    ) -> Self {
        let station = |_| Station {
            engine: if let Some(stats_every) = sounding {
                let config = WorkerConfig {
                    ports_max: PORTS_MAX,
                    stats_every,
                    ..WorkerConfig::default()
                };
                Engine::Sounding(Box::new(Worker::new(config, Now::ZERO)))
            } else {
                Engine::Silent(Silent::default())
            },
            reserved: BTreeSet::new(),
            bound: BTreeMap::new(),
            open: 0,
            events: VecDeque::new(),
            next_id: 1,
        };
        Self {
            now: Now::ZERO,
            stations: (0..=workers).map(station).collect(),
            at: BTreeMap::new(),
            web: Web::default(),
            next_number: 20_000,
            sent: Vec::new(),
            mischief,
            random,
        }
    }

    /// The station of all phones.
    fn phones(&self) -> u8 {
        u8::try_from(self.stations.len().saturating_sub(1)).unwrap_or(u8::MAX)
    }

    /// The server's worker with the fewest ports.
    fn least_loaded(&self) -> u8 {
        let load = |worker: &u8| {
            let station = self.stations.get(usize::from(*worker));
            station.map_or(usize::MAX, |station| station.bound.len())
        };
        (0..self.phones()).min_by_key(load).unwrap_or(0)
    }

    /// Time passes; nothing happens yet.
    pub fn set_now(&mut self, now: Now) {
        self.now = now;
    }

    /// When [`Studio::run`] is next due; never while no port is open.
    pub fn deadline(&self) -> Option<Now> {
        let stations = self.stations.iter();
        let due = |station: &Station| {
            let told = station.events.front().map(|(at, _)| *at);
            let engine = match &station.engine {
                Engine::Sounding(worker) => (station.open > 0).then(|| worker.next_tick()),
                Engine::Silent(silent) => silent.deadline(),
            };
            told.into_iter().chain(engine).min()
        };
        stations.filter_map(due).chain(self.web.deadline()).min()
    }

    /// Ticks every worker that is due.
    pub fn run(&mut self) {
        while let Some((place, step)) = self.web.pop_due(self.now) {
            self.take_web_step(place, step);
        }
        for index in 0..self.stations.len() {
            let Some(station) = self.stations.get_mut(index) else {
                continue;
            };
            match &mut station.engine {
                Engine::Sounding(worker) => {
                    if worker.next_tick() <= self.now {
                        worker.tick(self.now);
                    }
                }
                Engine::Silent(silent) => silent.run(self.now),
            }
            self.collect(index);
        }
    }

    /// A packet arrives.
    pub fn deliver(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let mut buffer = [0; 1500];
        let len = bytes.len().min(buffer.len());
        for (place, byte) in buffer.iter_mut().zip(bytes) {
            *place = *byte;
        }
        let even = SocketAddr::new(to.ip(), to.port() & !1);
        let lane = if to.port() & 1 == 0 {
            Lane::Rtp
        } else {
            Lane::Rtcp
        };
        let Some((worker, port)) = self.at.get(&even).copied() else {
            return;
        };
        if !self.web.lets_in((worker, port), from) {
            return;
        }
        let Some(station) = self.stations.get_mut(usize::from(worker)) else {
            return;
        };
        if let Engine::Sounding(engine) = &mut station.engine
            && let Some(forward) = engine.receive(self.now, port, lane, from, &mut buffer, len)
            && let Some(own) = station.bound.get(&forward.port)
        {
            self.sent.push(Sent {
                from: *own,
                to: forward.to,
                bytes: buffer.get(..forward.len).unwrap_or_default().into(),
            });
        }
        self.collect(usize::from(worker));
    }

    /// What left a port since this was last asked.
    pub fn take_sent(&mut self) -> Vec<Sent> {
        std::mem::take(&mut self.sent)
    }

    /// The phones' next event.
    pub(crate) fn poll_phones(&mut self) -> Option<PortEvent> {
        let phones = self.phones();
        self.poll(phones)
    }

    /// Whether the server has an event to read.
    pub(crate) fn server_has_events(&self) -> bool {
        let phones = usize::from(self.phones());
        let mut servers = self.stations.iter().take(phones);
        servers.any(|station| {
            station
                .events
                .front()
                .is_some_and(|(at, _)| *at <= self.now)
        })
    }

    /// The server's ports: reserved, and open.
    pub fn server_ports(&self) -> (usize, usize) {
        let phones = usize::from(self.phones());
        let servers = self.stations.iter().take(phones);
        servers.fold((0, 0), |(reserved, open), station| {
            (reserved + station.reserved.len(), open + station.open)
        })
    }

    fn poll(&mut self, worker: u8) -> Option<PortEvent> {
        let station = self.stations.get_mut(usize::from(worker))?;
        let due = station
            .events
            .front()
            .is_some_and(|(at, _)| *at <= self.now);
        if due {
            station.events.pop_front().map(|(_, event)| event)
        } else {
            None
        }
    }

    fn reserve(&mut self, worker: u8, ip: IpAddr) -> Result<Reserved, NoPort> {
        let server = worker != self.phones();
        if server && self.random.chance(self.mischief.no_port) {
            return Err(NoPort::RangeExhausted);
        }
        let rtp = loop {
            self.next_number = if self.next_number > 65_000 {
                20_000
            } else {
                self.next_number + 2
            };
            let address = SocketAddr::new(ip, self.next_number);
            if !self.at.contains_key(&address) {
                break address;
            }
        };
        let station = self
            .stations
            .get_mut(usize::from(worker))
            .ok_or(NoPort::NoWorker)?;
        if station.bound.len() >= PORTS_MAX {
            return Err(NoPort::WorkerFull);
        }
        let port = PortId(station.next_id);
        station.next_id += 1;
        station.reserved.insert(port);
        station.bound.insert(port, rtp);
        self.at.insert(rtp, (worker, port));
        Ok(Reserved {
            worker,
            port,
            rtp,
            advertised: ip,
        })
    }

    fn command(&mut self, worker: u8, command: PortCommand) -> Result<(), RingFull> {
        let server = worker != self.phones();
        let closes = matches!(command, PortCommand::Close { .. });
        if server && !closes && self.random.chance(self.mischief.ring_full) {
            return Err(RingFull);
        }
        let now = self.now;
        let Some(station) = self.stations.get_mut(usize::from(worker)) else {
            return Err(RingFull);
        };
        if let PortCommand::Open(plan) = &command {
            station.reserved.remove(&plan.port);
            station.open += 1;
        }
        if let (PortCommand::Close { port }, false) = (&command, server)
            && let Some(at) = station.bound.get(port)
        {
            self.web.page_left(now, *at);
        }
        let mut keys = None;
        match &mut station.engine {
            Engine::Sounding(engine) => engine.command(now, command),
            Engine::Silent(silent) => keys = silent.command(now, command),
        }
        self.collect(usize::from(worker));
        if let Some((to, digits)) = keys {
            self.press(to, &digits);
        }
        Ok(())
    }

    /// An open port goes from one worker to another at once, with its address.
    fn relocate(&mut self, from: u8, port: PortId, to: u8) -> Result<PortId, NoPort> {
        if self.web.has((from, port)) {
            return Err(NoPort::NoWeb);
        }
        if from == to {
            return Ok(port);
        }
        let (old, new, now) = (usize::from(from), usize::from(to), self.now);
        let target = self.stations.get_mut(new).ok_or(NoPort::NoWorker)?;
        if target.bound.len() >= PORTS_MAX {
            return Err(NoPort::WorkerFull);
        }
        let name = PortId(target.next_id);
        let source = self.stations.get_mut(old).ok_or(NoPort::NoWorker)?;
        let Engine::Sounding(worker) = &mut source.engine else {
            // A silent engine knows nothing of ports but what it was commanded: it stays.
            return Err(NoPort::WorkerFull);
        };
        let carriage = Carriage::new();
        worker.command(now, PortCommand::Depart { port, carriage });
        self.collect(old);
        let source = self.stations.get_mut(old).ok_or(NoPort::NoWorker)?;
        let departed = |(_, event): &(Now, PortEvent)| matches!(event, PortEvent::Departed { .. });
        let told = source.events.iter().position(departed);
        let Some((_, PortEvent::Departed { carriage, .. })) =
            told.and_then(|at| source.events.remove(at))
        else {
            return Err(NoPort::NoWorker);
        };
        // What it caused before it left is told by its new name.
        for (_, event) in &mut source.events {
            if let Some(of) = event.port_mut().filter(|of| **of == port) {
                *of = name;
            }
        }
        let about = |event: &mut (Now, PortEvent)| event.1.port_mut().is_some_and(|of| *of == name);
        let mut stay = VecDeque::new();
        let mut gone = VecDeque::new();
        while let Some(mut event) = source.events.pop_front() {
            match about(&mut event) {
                true => gone.push_back(event),
                false => stay.push_back(event),
            }
        }
        source.events = stay;
        let address = source.bound.remove(&port);
        source.open = source.open.saturating_sub(1);
        let target = self.stations.get_mut(new).ok_or(NoPort::NoWorker)?;
        target.next_id += 1;
        target.open += 1;
        target.events.append(&mut gone);
        if let Some(address) = address {
            target.bound.insert(name, address);
            self.at.insert(address, (to, name));
        }
        if let Engine::Sounding(worker) = &mut target.engine {
            worker.command(
                now,
                PortCommand::Arrive {
                    port: name,
                    carriage,
                },
            );
        }
        self.collect(new);
        Ok(name)
    }

    fn reserve_web(&mut self, worker: u8, ip: IpAddr) -> Result<(Reserved, WebEnd), NoPort> {
        let reserved = self.reserve(worker, ip)?;
        let end = self.web.open((worker, reserved.port), reserved.rtp);
        Ok((reserved, end))
    }

    fn meet(&mut self, worker: u8, port: PortId, peer: &WebPeer) -> Result<(), RingFull> {
        if self.random.chance(self.mischief.ring_full) {
            return Err(RingFull);
        }
        self.web.meet(self.now, (worker, port), peer);
        Ok(())
    }

    /// A host says nothing any more.
    pub(crate) fn silent(&mut self, ip: IpAddr) {
        self.web.silent(self.now, ip);
    }

    fn take_web_step(&mut self, (worker, port): web::Place, step: Step) {
        let now = self.now;
        let Some(station) = self.stations.get_mut(usize::from(worker)) else {
            return;
        };
        let is_open = station.bound.contains_key(&port) && !station.reserved.contains(&port);
        if !is_open {
            return;
        }
        match step {
            Step::Secured(at, keys) => {
                let to = Some(at);
                for command in [
                    PortCommand::Key { port, keys },
                    PortCommand::Path { port, to },
                ] {
                    match &mut station.engine {
                        Engine::Sounding(engine) => engine.command(now, command),
                        Engine::Silent(silent) => drop(silent.command(now, command)),
                    }
                }
                self.collect(usize::from(worker));
            }
            Step::Lost(why) => {
                let last = station.events.back().map_or(now, |(at, _)| now.max(*at));
                station
                    .events
                    .push_back((last, PortEvent::Lost { port, why }));
            }
        }
    }

    /// Keys reach the port at that address, as the packets of a [`Silent`] engine would.
    fn press(&mut self, to: SocketAddr, digits: &[media::Digit]) {
        let Some((worker, port)) = self.at.get(&to).copied() else {
            return;
        };
        let now = self.now;
        if let Some(station) = self.stations.get_mut(usize::from(worker))
            && let Engine::Silent(silent) = &mut station.engine
        {
            silent.pressed(now, port, digits);
        }
    }

    fn release(&mut self, worker: u8, port: PortId) {
        self.web.close((worker, port));
        if let Some(station) = self.stations.get_mut(usize::from(worker)) {
            station.reserved.remove(&port);
            if let Some(address) = station.bound.remove(&port) {
                self.at.remove(&address);
            }
        }
    }

    /// Takes what an engine has made.
    fn collect(&mut self, index: usize) {
        let server = index != usize::from(self.phones()) && self.mischief.late > Duration::ZERO;
        let Some(station) = self.stations.get_mut(index) else {
            return;
        };
        let late_ms = self.mischief.late.as_millis() as u64;
        let mut closed = Vec::new();
        loop {
            let event = match &mut station.engine {
                Engine::Sounding(worker) => worker.poll_event(),
                Engine::Silent(silent) => silent.poll_event(),
            };
            let Some(event) = event else { break };
            match event {
                PortEvent::Garbage(_) => continue,
                PortEvent::Closed { port, .. } => closed.push(port),
                _ => {}
            }
            let mut at = self.now;
            if server {
                at += self.random.millis(0, late_ms + 1);
            }
            // A ring keeps its order.
            if let Some((last, _)) = station.events.back() {
                at = at.max(*last);
            }
            station.events.push_back((at, event));
        }
        if let Engine::Sounding(worker) = &mut station.engine {
            let mut packet = [0; 1500];
            while let Some(transmit) = worker.poll_transmit(&mut packet) {
                let Some(own) = station.bound.get(&transmit.port) else {
                    continue;
                };
                let from = match transmit.lane {
                    Lane::Rtp => *own,
                    Lane::Rtcp => SocketAddr::new(own.ip(), own.port() + 1),
                };
                self.sent.push(Sent {
                    from,
                    to: transmit.to,
                    bytes: packet.get(..transmit.len).unwrap_or_default().into(),
                });
            }
        }
        for port in closed {
            if let Some(station) = self.stations.get_mut(index) {
                station.open = station.open.saturating_sub(1);
            }
            self.release(u8::try_from(index).unwrap_or(u8::MAX), port);
        }
    }
}

/// Ports of one worker.
const PORTS_MAX: usize = 256;
