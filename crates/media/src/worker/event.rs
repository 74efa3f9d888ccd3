//! What a worker tells control, and the bounded queue it waits in.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::{Carriage, Loss};
use crate::Digit;
use crate::capture::Capture;
use crate::port::{Keys, PlayId, Playback, PortId, PortPlan, PortStats, PortUpdate};
use crate::tap::{Tap, VoiceTap};

/// How a digit came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DtmfVia {
    /// As telephone events (RFC 4733).
    Rfc4733,
    /// As tones in the audio.
    InBand,
}

/// Boxes that have done their service: the receiver drops them, the media thread never does.
#[derive(Debug)]
pub enum Garbage {
    /// Of [`PortCommand::Open`](super::PortCommand::Open).
    Plan(Box<PortPlan>),
    /// Of [`PortCommand::Update`](super::PortCommand::Update).
    Update(Box<PortUpdate>),
    /// Of [`PortCommand::Play`](super::PortCommand::Play).
    Playback(Box<Playback>),
    /// Of [`PortCommand::Tap`](super::PortCommand::Tap): the recording is complete when it is here.
    Tap(Box<Tap>),
    /// Of [`PortCommand::Voice`](super::PortCommand::Voice).
    Voice(Box<VoiceTap>),
    /// Of [`PortCommand::Capture`](super::PortCommand::Capture): it is complete when it is here.
    Capture(Box<Capture>),
    /// Of [`PortCommand::Arrive`](super::PortCommand::Arrive), empty; or of what was refused, as it came.
    Carriage(Box<Carriage>),
    /// Of [`PortCommand::Key`](super::PortCommand::Key), or those it replaced.
    Keys(Box<Keys>),
    /// Of [`PortCommand::SendDigits`](super::PortCommand::SendDigits).
    Digits(Box<[Digit]>),
}

/// Why a command was not carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// No port of that name is open.
    #[error("no such port is open")]
    NoSuchPort,
    /// A port of that name is open already.
    #[error("a port of that name is open already")]
    PortExists,
    /// The worker holds as many ports as it was built for.
    #[error("the worker holds as many ports as it was built for")]
    PortsFull,
    /// The worker holds as many bridges as it was built for.
    #[error("the worker holds as many bridges as it was built for")]
    BridgesFull,
    /// The port is in no bridge, or the other one not in the same.
    #[error("the port is in no bridge, or not in that of the other")]
    NotBridged,
    /// The bridge has as many pairs with a gain of their own as one may have.
    #[error("the bridge has as many pairs with a gain of their own as one may have")]
    PairsFull,
    /// The carriage has a port in it already.
    #[error("the carriage has a port in it already")]
    CarriageTaken,
    /// More digit strings are waiting to be sent than a port keeps.
    #[error("too many digit strings are waiting to be sent")]
    DigitsFull,
    /// Keys for a port whose packets are in clear.
    #[error("the port awaits no keys")]
    NoKeysAwaited,
    /// A playback without a single sample, which could never end when it repeats.
    #[error("the playback has no sound")]
    EmptyPlayback,
}

/// What a worker tells control.
#[derive(Debug)]
pub enum PortEvent {
    /// The peer pressed a key.
    Digit {
        /// Whose peer.
        port: PortId,
        /// Which key.
        digit: Digit,
        /// How it came.
        how: DtmfVia,
        /// How long it was held, in ms; what is known when the end is seen.
        duration_ms: u16,
    },
    /// A playback ended.
    Played {
        /// Who heard it.
        port: PortId,
        /// Which.
        play: PlayId,
        /// Whether it was heard to its end: `false` when stopped, replaced or closed.
        complete: bool,
    },
    /// The first valid packet came, and the port locked to its source.
    FirstPacket {
        /// Whose.
        port: PortId,
        /// The address that may speak from now on.
        from: SocketAddr,
    },
    /// Nothing has come for a while although we receive. Repeated as long as it lasts.
    NoMedia {
        /// Whose peer is silent.
        port: PortId,
        /// For how long, in ms.
        silent_ms: u32,
        /// For how long its partner's peer is, in ms; none without a bridge of two.
        partner_ms: Option<u32>,
    },
    /// After [`PortEvent::NoMedia`]: packets come again, or none are expected any more.
    MediaBack {
        /// Whose peer.
        port: PortId,
        /// For how long it was silent, in ms.
        silent_ms: u32,
    },
    /// A peer that has sent reports sends neither reports nor sound any more (RFC 3550 §6.3.5). Told
    /// once, until a report comes again.
    NoReports {
        /// Whose peer.
        port: PortId,
        /// For how long, in ms.
        silent_ms: u32,
    },
    /// A browser's media ended: nothing is sent or taken any more, and the port is to be closed.
    Lost {
        /// Whose.
        port: PortId,
        /// Why.
        why: Loss,
    },
    /// A port's counters, each second.
    Stats {
        /// Whose.
        port: PortId,
        /// Since it opened.
        stats: PortStats,
    },
    /// The port is closed: its last event.
    Closed {
        /// Which.
        port: PortId,
        /// Its final counters.
        stats: PortStats,
    },
    /// The port has left this worker: its last event here.
    Departed {
        /// What it was called here.
        port: PortId,
        /// It.
        carriage: Box<Carriage>,
    },
    /// A box to be dropped.
    Garbage(Garbage),
    /// A command was not carried out; its boxes follow as garbage.
    Refused {
        /// Whose.
        port: PortId,
        /// Why.
        why: Refusal,
    },
}

impl PortEvent {
    /// The port it is about: to be told under another name.
    pub fn port_mut(&mut self) -> Option<&mut PortId> {
        match self {
            Self::Digit { port, .. }
            | Self::Played { port, .. }
            | Self::FirstPacket { port, .. }
            | Self::NoMedia { port, .. }
            | Self::MediaBack { port, .. }
            | Self::NoReports { port, .. }
            | Self::Lost { port, .. }
            | Self::Stats { port, .. }
            | Self::Closed { port, .. }
            | Self::Departed { port, .. }
            | Self::Refused { port, .. } => Some(port),
            Self::Garbage(_) => None,
        }
    }
}

/// The events that wait to be polled.
///
/// Overflow: chatter (stats, silence) is dropped and counted when half of the places are taken,
/// news (digits, first packets) when only [`EVENTS_RESERVED`] are left. Those are kept for what
/// must not be lost: boxes, `Played` and `Closed`. Whoever causes such an event asks for
/// [`EventQueue::has_room`] before, so they cannot run out.
#[derive(Debug)]
pub(crate) struct EventQueue {
    queue: VecDeque<PortEvent>,
    capacity: usize,
    dropped: u64,
}

/// Places kept for boxes and `Closed`: more than one command can give back.
pub(crate) const EVENTS_RESERVED: usize = 32;

impl EventQueue {
    pub(crate) fn new(capacity: usize) -> Self {
        let capacity = capacity.max(2 * EVENTS_RESERVED);
        Self {
            queue: VecDeque::with_capacity(capacity),
            capacity,
            dropped: 0,
        }
    }

    /// Whether the boxes of one more command are sure to find room.
    pub(crate) fn has_room(&self) -> bool {
        self.free() >= EVENTS_RESERVED
    }

    fn free(&self) -> usize {
        self.capacity.saturating_sub(self.queue.len())
    }

    /// Queues what is told again soon.
    pub(crate) fn chatter(&mut self, event: PortEvent) {
        self.queue_if(self.free() > self.capacity / 2, event);
    }

    /// Queues what is told once.
    pub(crate) fn news(&mut self, event: PortEvent) {
        self.queue_if(self.free() > EVENTS_RESERVED, event);
    }

    fn queue_if(&mut self, room: bool, event: PortEvent) {
        if room {
            self.queue.push_back(event);
        } else {
            self.dropped += 1;
        }
    }

    /// Queues what must not be lost.
    pub(crate) fn must(&mut self, event: PortEvent) {
        // `has_room` was checked before the command that caused this; should the proof ever be
        // wrong, the queue grows rather than drop a box on this thread.
        debug_assert!(
            self.free() > 0,
            "events that must not be lost have outgrown their reserve"
        );
        self.queue.push_back(event);
    }

    pub(crate) fn poll(&mut self) -> Option<PortEvent> {
        self.queue.pop_front()
    }

    /// Events dropped because nobody polled.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}
