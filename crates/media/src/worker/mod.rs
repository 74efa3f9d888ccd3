//! The media worker: ports, bridges and the 5 ms wheel that drives them; pure, as plain data.
//!
//! The caller owns sockets and time: it gives each packet to [`Worker::receive`], calls
//! [`Worker::tick`] at [`Worker::next_tick`], and then drains [`Worker::poll_transmit`] and
//! [`Worker::poll_event`]. Law: after [`Worker::new`] nothing here allocates, locks, logs or drops a
//! box; what control built goes back to it as [`Garbage`].
//!
//! ```text
//!   receive ─ latch ─ RTP ─┬─ relay: rewrite in place ─────────────────────▶ Forward, at once
//!                          └─ jitter buffer ┐ tick: decode ─ sum ─ less own ─ encode ─▶ Transmit
//!                              playback, digits ───────────────────┘     └─ tap
//! ```
//!
//! A frame is 20 ms, the wheel has four phases of 5 ms; a bridge and all its ports are in one phase.

use std::net::SocketAddr;

use clock::{Duration, Now};

mod bridges;
mod carriage;
mod command;
mod control;
mod event;
mod index;
mod mixing;
mod placing;
mod plane;
mod port;
mod quality;
mod receive;
mod report;
mod tick;
mod transmit;
mod voice;
mod web;

pub use crate::port::Lane;
pub use carriage::Carriage;
pub use command::PortCommand;
pub use event::{DtmfVia, Garbage, PortEvent, Refusal};
pub use plane::{IpFamily, MediaPlane, NoPort, Reserved, RingFull};
pub use transmit::{Forward, Transmit};
pub use web::{Loss, WebEnd, WebPeer, WebRenamed};

use crate::bridge::Bridge;
use crate::bridge::edition::Editions;
use crate::bridge::seats::Seats;
use crate::dsp::resample;
use crate::jitter::JitterConfig;
use crate::port::PortId;
use crate::quality::Totals;
use event::EventQueue;
use index::IdIndex;
use mixing::Hall;
use port::Port;
use transmit::TransmitQueue;

/// The time between two ticks.
pub const TICK: Duration = Duration::from_millis(5);

/// After how much silence of a peer one-way audio is told: within two seconds, a frame's wait included.
pub const NO_MEDIA_AFTER: Duration = Duration::from_millis(1_900);

/// Ticks in a frame of 20 ms.
pub(crate) const PHASES: u64 = 4;

/// What a worker is built for. Memory is some 36 kB a port, all of it taken at the start; of that the
/// playout's 33 kB are touched only once a port listens to its peer.
#[derive(Clone, Copy, Debug)]
pub struct WorkerConfig {
    /// Ports that may be open at once.
    pub ports_max: usize,
    /// The playout delay's bounds.
    pub jitter: JitterConfig,
    /// Silence from a peer after which [`PortEvent::NoMedia`] is told, and told again. No packet is
    /// what is meant: a peer that sends silence is not silent.
    pub no_media_after: Duration,
    /// How often each port's counters are told; zero for only at its end.
    pub stats_every: Duration,
    /// How often each port reports to its peer (RFC 3550 §6.2).
    pub rtcp_every: Duration,
    /// The wall clock at `Now::ZERO`, as NTP seconds and fraction (RFC 3550 §4).
    pub ntp_at_zero: u64,
    /// Events that may wait for `poll_event`.
    pub events_max: usize,
}

impl Default for WorkerConfig {
    /// 1,000 ports: two cores' worth of relayed calls. Silence for [`NO_MEDIA_AFTER`] is longer than any
    /// pause of a talker whose telephone suppresses silence without comfort noise. Five seconds
    /// between reports is the least of RFC 3550 §6.2. Four events a port wait at most.
    fn default() -> Self {
        Self {
            ports_max: 1_000,
            jitter: JitterConfig::default(),
            no_media_after: NO_MEDIA_AFTER,
            stats_every: Duration::from_secs(1),
            rtcp_every: Duration::from_secs(5),
            ntp_at_zero: 0,
            events_max: 4_000,
        }
    }
}

/// What a worker has done, beside what its ports count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WorkerStats {
    /// Ticks made.
    pub ticks: u64,
    /// Ticks left out because the caller came more than a frame late.
    pub ticks_missed: u64,
    /// Ports open.
    pub ports: usize,
    /// Bridges with a member.
    pub bridges: usize,
    /// Packets for a port that is not open.
    pub strays: u64,
    /// Packets dropped because nobody polled for them.
    pub transmits_dropped: u64,
    /// Reports dropped because nobody polled for them.
    pub events_dropped: u64,
    /// What all ports have counted that are told by the worker, closed ones included.
    pub totals: Totals,
}

/// The ports and bridges of one media thread.
#[derive(Debug)]
pub struct Worker {
    config: WorkerConfig,
    slots: Box<[Option<Port>]>,
    free: Vec<u32>,
    /// Which phase each slot's port is in; `None` for no port.
    phases: Box<[Option<u8>]>,
    index: IdIndex,
    bridges: Box<[Option<Bridge>]>,
    bridges_free: Vec<u32>,
    bridge_index: IdIndex,
    /// How many bridges there ever were.
    bridges_made: u64,
    seats: Seats,
    editions: Editions,
    /// Which tick comes next, counted from `Now::ZERO`, so that workers of one clock agree.
    tick: u64,
    /// Where the next port that opens stands on the wheel.
    next_phase: u8,
    /// When the last tick was made: the time of what it sends.
    ticked_at: Now,
    /// What is said in the bridge in hand, and who is there.
    hall: Hall,
    transmits: TransmitQueue,
    events: EventQueue,
    stats: WorkerStats,
}

impl Worker {
    /// A worker whose first tick is the one after `now`. Takes all the memory it will ever need.
    pub fn new(config: WorkerConfig, now: Now) -> Self {
        resample::prepare();
        let ports = config.ports_max.clamp(1, u16::MAX.into());
        let count = u32::try_from(ports).unwrap_or(u32::MAX);
        Self {
            slots: (0..ports).map(|_| None).collect(),
            free: (0..count).rev().collect(),
            phases: vec![None; ports].into(),
            index: IdIndex::new(ports),
            bridges: (0..ports).map(|_| None).collect(),
            bridges_free: (0..count).rev().collect(),
            bridge_index: IdIndex::new(ports),
            bridges_made: 0,
            seats: Seats::new(ports),
            editions: Editions::new(),
            tick: tick_of(now) + 1,
            next_phase: 0,
            ticked_at: now,
            hall: Hall::new(ports),
            // A frame, a report and a second event for each port of a tick, were all in one phase.
            transmits: TransmitQueue::new(2 * ports + 64),
            events: EventQueue::new(config.events_max),
            stats: WorkerStats::default(),
            config,
        }
    }

    /// When [`Worker::tick`] wants to be called: an absolute schedule of every 5 ms.
    pub fn next_tick(&self) -> Now {
        Now::from_nanos(self.tick.saturating_mul(TICK.as_nanos() as u64))
    }

    /// Whether the worker may be given a command: `false` when so many events wait that what the
    /// command gives back might find no room. Poll first.
    pub fn takes_commands(&self) -> bool {
        self.events.has_room()
    }

    /// The next packet to send; its bytes are in `out`, protected if its port is secured.
    pub fn poll_transmit(&mut self, out: &mut [u8; 1500]) -> Option<Transmit> {
        loop {
            let (transmit, sealed) = self.transmits.pop(out)?;
            if sealed {
                return Some(transmit);
            }
            if let Some(len) = self.seal(&transmit, out) {
                return Some(Transmit { len, ..transmit });
            }
        }
    }

    /// What a port that has closed meanwhile had to send is not sent: nobody knows its keys any more.
    fn seal(&mut self, transmit: &Transmit, out: &mut [u8; 1500]) -> Option<usize> {
        let (at, now) = (self.index.get(transmit.port.0)?, self.ticked_at);
        let way = (transmit.lane, transmit.to);
        self.port_mut(at)?.seal(now, way, out, transmit.len)
    }

    /// The next thing to tell control. Drop what it holds on another thread.
    pub fn poll_event(&mut self) -> Option<PortEvent> {
        self.events.poll()
    }

    /// The source that `port` has locked to: nobody else is heard until a command unlocks it. The
    /// caller may let the system keep all others away.
    pub fn locked(&self, port: PortId) -> Option<SocketAddr> {
        self.port(self.index.get(port.0)?)?.source.locked()
    }

    /// When something that is authentically of that port's peer came last, or when it was opened.
    pub fn heard_at(&self, port: PortId) -> Option<Now> {
        Some(self.port(self.index.get(port.0)?)?.care.heard_at)
    }

    /// What the worker has done.
    pub fn stats(&self) -> WorkerStats {
        WorkerStats {
            ports: self.slots.len() - self.free.len(),
            bridges: self.bridges.len() - self.bridges_free.len(),
            transmits_dropped: self.transmits.dropped(),
            events_dropped: self.events.dropped(),
            ..self.stats
        }
    }
}

/// The last tick at or before `now`.
fn tick_of(now: Now) -> u64 {
    now.as_nanos() / TICK.as_nanos() as u64
}

#[cfg(test)]
mod tests;
