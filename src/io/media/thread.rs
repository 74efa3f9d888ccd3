//! A media thread: one worker, its sockets, and a timer.
//!
//! Law: once it runs it takes no lock, allocates nothing and logs nothing. It waits in `epoll_wait`
//! for packets and for a timer on an absolute schedule of 5 ms; commands are taken at ticks, events
//! leave at the end of each. When it uses more than 60 % of its processor it no longer wakes for
//! each packet but once a millisecond, and takes what has come. Beside that it makes one call when a
//! port locks to its source: it connects the socket; and one after browsers' checks have come, which it leaves to
//! the web thread.

use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clock::{Duration, Now};
use media::port::PortId;
use media::worker::{Forward, Lane, PortCommand, PortEvent, Refusal, TICK, Worker};
use rtrb::{Consumer, Producer};
use rustix::event::{Timespec, epoll};
use rustix::thread::{ClockId, clock_nanosleep_absolute};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, clock_gettime, timerfd_create,
    timerfd_settime,
};

use super::door::{Admitted, Door, DoorStats};
use super::range::PortSockets;

/// What a media thread is asked.
#[derive(Debug)]
pub(super) enum Order {
    /// A command, with the sockets of a port that opens; a browser's has none of its own.
    Command {
        command: PortCommand,
        sockets: Option<Box<PortSockets>>,
    },
    /// What comes by the door from there is that port's from now on, or is no longer.
    Route {
        from: SocketAddr,
        port: PortId,
        is_on: bool,
    },
}

/// What a media thread tells the control thread.
#[derive(Debug)]
pub(super) enum Told {
    Event(PortEvent),
    /// A closed port's sockets, to rest there.
    Sockets(Box<PortSockets>),
    /// Once a second.
    Stats(ThreadStats),
}

/// What a media thread has done since it started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ThreadStats {
    /// Its worker's counters.
    pub worker: media::worker::WorkerStats,
    /// Ticks that came more than a tick late.
    pub overruns: u64,
    /// Packets taken from the sockets, whatever became of them.
    pub received: u64,
    /// Packets given to the sockets.
    pub sent: u64,
    /// Packets the system refused to send.
    pub send_errors: u64,
    /// Ticks at which packets were taken together because of load.
    pub coalesced: u64,
    /// What came to the sockets that browsers share.
    pub door: DoorStats,
    /// Processor time used.
    pub cpu: Duration,
}

/// The monotonic clock, counted from the origin that all planes share.
#[derive(Clone, Copy, Debug)]
pub(super) struct MonotonicClock {
    /// The system's monotonic time at `Now::ZERO`, in ns.
    origin: u64,
}

impl MonotonicClock {
    /// A clock that reads `now` at this moment.
    pub(super) fn reading(now: Now) -> Self {
        Self {
            origin: nanos(clock_gettime(ClockId::Monotonic)).saturating_sub(now.as_nanos()),
        }
    }

    pub(super) fn now(self) -> Now {
        Now::from_nanos(nanos(clock_gettime(ClockId::Monotonic)).saturating_sub(self.origin))
    }

    fn at(self, now: Now) -> Timespec {
        timespec(self.origin.saturating_add(now.as_nanos()))
    }
}

/// The state of one media thread.
pub(super) struct MediaThread {
    worker: Worker,
    clock: MonotonicClock,
    epoll: OwnedFd,
    timer: OwnedFd,
    wake: Arc<OwnedFd>,
    stop: Arc<AtomicBool>,
    orders: Consumer<Order>,
    told: Producer<Told>,
    /// By the slot in a port's id; a browser's port has none, it is behind the door.
    sockets: Box<[Option<Box<PortSockets>>]>,
    door: Option<Door>,
    packet: Box<[u8; 1500]>,
    coalesces: bool,
    /// When packets are taken next, while they are taken together.
    wakes_at: Now,
    measured: (Now, Duration),
    stats: ThreadStats,
}

/// What a media thread is given.
pub(super) struct Plumbing {
    pub(super) worker: Worker,
    pub(super) ports_max: usize,
    pub(super) door: Option<Door>,
    pub(super) clock: MonotonicClock,
    pub(super) wake: Arc<OwnedFd>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) orders: Consumer<Order>,
    pub(super) told: Producer<Told>,
}

impl MediaThread {
    /// Makes the timer and the poll set.
    pub(super) fn new(plumbing: Plumbing) -> rustix::io::Result<Self> {
        let Plumbing {
            worker,
            ports_max,
            door,
            clock,
            wake,
            stop,
            orders,
            told,
        } = plumbing;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let every = Itimerspec {
            it_interval: timespec(TICK.as_nanos() as u64),
            it_value: clock.at(worker.next_tick()),
        };
        timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME, &every)?;
        let data = epoll::EventData::new_u64(TIMER);
        epoll::add(&epoll, &timer, data, epoll::EventFlags::IN)?;
        let shared = door.iter().flat_map(Door::sockets);
        for (socket, key) in shared.zip(DOOR..TIMER) {
            let data = epoll::EventData::new_u64(key);
            epoll::add(&epoll, socket, data, epoll::EventFlags::IN)?;
        }
        Ok(Self {
            measured: (clock.now(), Duration::ZERO),
            worker,
            clock,
            epoll,
            timer,
            wake,
            stop,
            orders,
            told,
            sockets: (0..ports_max).map(|_| None).collect(),
            door,
            packet: Box::new([0; 1500]),
            coalesces: false,
            wakes_at: Now::ZERO,
            stats: ThreadStats::default(),
        })
    }

    /// Runs until it is told to stop. The state goes back to whoever joins, to be dropped there.
    pub(super) fn run(mut self) -> Self {
        let mut ready = [const { MaybeUninit::uninit() }; BATCH];
        while !self.stop.load(Ordering::Relaxed) {
            self.turn(&mut ready);
        }
        self
    }

    fn turn(&mut self, ready: &mut [MaybeUninit<epoll::Event>]) {
        let room = ready.len();
        let timeout = self.coalesces.then(|| {
            let at = self.clock.at(self.wakes_at.min(self.worker.next_tick()));
            let _ = clock_nanosleep_absolute(ClockId::Monotonic, &at);
            &NO_TIME
        });
        let Ok((ready, _)) = epoll::wait(&self.epoll, &mut ready[..], timeout) else {
            return;
        };
        let now = self.clock.now();
        let (mut due, mut full) = (false, ready.len() == room);
        for event in ready {
            match event.data.u64() {
                TIMER => due = true,
                key @ DOOR.. => full |= self.receive_browsers(now, (key - DOOR) as usize),
                key => self.receive(now, key),
            }
        }
        if let Some(door) = &mut self.door {
            door.ring();
        }
        if due {
            let mut fired = [0; 8];
            let _ = rustix::io::read(&self.timer, &mut fired);
            self.tick(now);
        }
        // A full batch has left some behind: no sleep before they are taken.
        if !full {
            self.wakes_at = now + TOGETHER;
        }
    }

    /// Takes one packet of a socket; when more have come, the poll set says so again.
    fn receive(&mut self, now: Now, key: u64) {
        let (slot, lane) = (
            (key >> 1) as usize,
            if key & 1 == 0 { Lane::Rtp } else { Lane::Rtcp },
        );
        let Some(sockets) = self.sockets.get(slot).and_then(Option::as_ref) else {
            return;
        };
        let Some((len, from)) = sockets.receive(lane, &mut self.packet) else {
            return;
        };
        self.stats.received += 1;
        let port = sockets.port;
        self.pass(now, (port, lane), from, len);
    }

    /// Takes what has come by a socket that browsers share, up to a batch; whether more may have.
    fn receive_browsers(&mut self, now: Now, which: usize) -> bool {
        for _ in 0..TOGETHER_MAX {
            let Some(door) = &mut self.door else {
                return false;
            };
            let Some((len, from)) = door.receive(which, &mut self.packet) else {
                return false;
            };
            self.stats.received += 1;
            let packet = self.packet.get(..len).unwrap_or_default();
            match door.admit(from, packet) {
                Admitted::Port(port) => self.pass(now, (port, Lane::Rtp), from, len),
                Admitted::Stray => self.receive_stray(now, from, len),
                Admitted::No => {}
            }
        }
        true
    }

    /// Takes media from where no browser is known to be: if it is authentically of one that has been silent, that
    /// one has moved.
    fn receive_stray(&mut self, now: Now, from: SocketAddr, len: usize) {
        let packet = self.packet.get(..len).unwrap_or_default();
        let Some(port) = self.door.as_mut().and_then(|door| door.whose(packet)) else {
            return;
        };
        let heard = self.worker.heard_at(port);
        if heard.is_none_or(|at| now.since(at) < MOVED_AFTER) {
            return;
        }
        self.pass(now, (port, Lane::Rtp), from, len);
        if self.worker.heard_at(port) == Some(now)
            && let Some(door) = &mut self.door
        {
            door.moved(from, port);
        }
    }

    /// Gives a packet to its port, and passes on what is to be.
    fn pass(&mut self, now: Now, (port, lane): (PortId, Lane), from: SocketAddr, len: usize) {
        let buffer = &mut self.packet[..];
        let forward = self.worker.receive(now, port, lane, from, buffer, len);
        if let Some(Forward { port, to, len }) = forward {
            self.send(port, Lane::Rtp, to, len);
        }
    }

    /// Sends a packet of a port: by its own sockets, or by the door.
    fn send(&mut self, port: PortId, lane: Lane, to: SocketAddr, len: usize) {
        let packet = self.packet.get(..len).unwrap_or_default();
        let own = self.sockets.get(slot_of(port)).and_then(Option::as_ref);
        let sent = match (own, &self.door) {
            (Some(sockets), _) => sockets.send(lane, to, packet).is_ok(),
            (None, Some(door)) => door.send(to, packet).is_ok(),
            (None, None) => false,
        };
        self.stats.sent += 1;
        self.stats.send_errors += u64::from(!sent);
    }

    fn tick(&mut self, now: Now) {
        if now.since(self.worker.next_tick()) > TICK {
            self.stats.overruns += 1;
        }
        self.stats.coalesced += u64::from(self.coalesces);
        if let Some(door) = &mut self.door {
            door.look_again();
        }
        for _ in 0..ORDERS_PER_TICK {
            if !self.worker.takes_commands() {
                break;
            }
            match self.orders.pop() {
                Ok(Order::Command { command, sockets }) => {
                    if let Some(sockets) = sockets {
                        self.attach(sockets);
                    }
                    self.command(now, command);
                }
                Ok(Order::Route { from, port, is_on }) => {
                    if let Some(door) = &mut self.door {
                        door.route(from, port, is_on);
                    }
                }
                Err(_) => break,
            }
        }
        self.worker.tick(now);
        while let Some(transmit) = self.worker.poll_transmit(&mut self.packet) {
            self.send(transmit.port, transmit.lane, transmit.to, transmit.len);
        }
        self.measure(now);
        self.tell();
    }

    fn command(&mut self, now: Now, command: PortCommand) {
        let readdressed = match &command {
            PortCommand::Update(update) => Some(update.port),
            PortCommand::Arrive { port, .. } => Some(*port),
            _ => None,
        };
        self.worker.command(now, command);
        if let Some(port) = readdressed {
            self.tie(port);
        }
    }

    /// Sends up what the worker has to say, as far as the ring has room; the rest waits.
    fn tell(&mut self) {
        let mut told = false;
        // A port's end takes two places.
        while self.told.slots() >= 2 {
            let Some(event) = self.worker.poll_event() else {
                break;
            };
            told = true;
            if let PortEvent::Closed { port, .. }
            | PortEvent::Departed { port, .. }
            | PortEvent::Refused {
                port,
                why: Refusal::PortsFull,
            } = event
            {
                self.detach(port);
            }
            if let PortEvent::FirstPacket { port, .. } = event {
                self.tie(port);
            }
            let _ = self.told.push(Told::Event(event));
        }
        if told {
            let _ = rustix::io::write(&*self.wake, &1_u64.to_ne_bytes());
        }
    }

    fn attach(&mut self, sockets: Box<PortSockets>) {
        let slot = slot_of(sockets.port);
        for lane in [Lane::Rtp, Lane::Rtcp] {
            let key = ((slot as u64) << 1) | u64::from(lane == Lane::Rtcp);
            let data = epoll::EventData::new_u64(key);
            // It fails only for want of kernel memory: then the port is deaf, and its silence told.
            let _ = epoll::add(&self.epoll, sockets.of(lane), data, epoll::EventFlags::IN);
        }
        if let Some(place) = self.sockets.get_mut(slot) {
            *place = Some(sockets);
        }
    }

    /// Lets the system know whom a port hears, after that has changed.
    fn tie(&mut self, port: PortId) {
        let locked = self.worker.locked(port);
        if let Some(sockets) = self.sockets.get_mut(slot_of(port)).and_then(Option::as_mut)
            && sockets.port == port
        {
            sockets.tie(locked);
        }
    }

    fn detach(&mut self, port: PortId) {
        if let Some(door) = &mut self.door {
            door.forget(port);
        }
        let Some(sockets) = self.sockets.get_mut(slot_of(port)).and_then(Option::take) else {
            return;
        };
        for lane in [Lane::Rtp, Lane::Rtcp] {
            let _ = epoll::delete(&self.epoll, sockets.of(lane));
        }
        // There is room: `tell` asked for two places.
        let _ = self.told.push(Told::Sockets(sockets));
    }

    /// Ten times a second: how busy the thread is, and whether packets must be taken together.
    fn measure(&mut self, now: Now) {
        let (since, used) = self.measured;
        let passed = now.since(since);
        if passed < MEASURE_EVERY {
            return;
        }
        let cpu = Duration::from_nanos(nanos(clock_gettime(ClockId::ThreadCPUTime)));
        let busy = cpu.saturating_sub(used).as_nanos() * 100 / passed.as_nanos().max(1);
        self.coalesces = busy
            > if self.coalesces {
                CALM_PERCENT
            } else {
                BUSY_PERCENT
            };
        self.measured = (now, cpu);
        self.stats.cpu = cpu;
        self.stats.worker = self.worker.stats();
        self.stats.door = self
            .door
            .as_ref()
            .map_or(DoorStats::default(), |it| it.stats);
        // The counters are told again: a full ring drops them.
        if self.told.slots() > STATS_ROOM {
            let _ = self.told.push(Told::Stats(self.stats));
        }
    }
}

/// The place of a port among its worker's sockets; the upper half of an id tells its generation.
pub(super) fn slot_of(port: PortId) -> usize {
    (port.0 & 0xFFFF) as usize
}

fn nanos(time: Timespec) -> u64 {
    (time.tv_sec as u64)
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec as u64)
}

fn timespec(nanos: u64) -> Timespec {
    Timespec {
        tv_sec: (nanos / 1_000_000_000).cast_signed(),
        tv_nsec: (nanos % 1_000_000_000).cast_signed(),
    }
}

const NO_TIME: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// The timer's key in the poll set; a port's socket has its slot and lane for one.
const TIMER: u64 = u64::MAX;

/// The first key of the sockets that browsers share.
const DOOR: u64 = u64::MAX - 16;

/// Sockets taken from the poll set at once.
const BATCH: usize = 256;

/// Who has been silent for as long as three packets take, and is heard from elsewhere then, has moved.
const MOVED_AFTER: Duration = Duration::from_millis(60);

/// Packets taken at once from a socket that browsers share.
const TOGETHER_MAX: usize = 64;

/// Commands carried out in one tick: opening that many ports takes under a millisecond.
const ORDERS_PER_TICK: usize = 256;

const MEASURE_EVERY: Duration = Duration::from_millis(100);

/// What so long brings is taken together under load. Sleeping until the next tick instead would save
/// 800 wake-ups a second, half a hundredth of a processor, and cost each packet 2 ms more.
const TOGETHER: Duration = Duration::from_millis(1);

/// Above this share of a processor, wake-ups are coalesced; below the other one, no longer.
const BUSY_PERCENT: u128 = 60;
const CALM_PERCENT: u128 = 40;

/// Places in the ring that counters leave to events.
const STATS_ROOM: usize = 64;

#[cfg(test)]
mod tests;
