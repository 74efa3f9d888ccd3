//! A port moves to another media thread, with its sockets: nobody outside notices.
//!
//! ```text
//!   relocate ─ Depart ─▶ thread A ─ sockets, Departed ─▶ here ─ Arrive, sockets ─▶ thread B
//!                                                        └─ then the commands that came meanwhile
//! ```
//!
//! Its new name stands from the first moment: a command for it waits here until it has arrived, and an event that
//! it caused before it left is told under the new name. What its peer sends meanwhile waits in the socket, a tick
//! of each thread at most.

use std::net::SocketAddr;

use media::port::PortId;
use media::worker::{Carriage, Garbage, NoPort, PortCommand, PortEvent, Refusal, RingFull};

use super::range::PortSockets;
use super::thread::Order;
use super::{Station, Workers};

/// A port between two workers.
#[derive(Debug)]
pub(super) struct Relocation {
    from: (usize, PortId),
    to: (usize, PortId),
    sockets: Option<Box<PortSockets>>,
    /// Commands for it. At most [`WAITING_MAX`]: a port's few milliseconds.
    waiting: Vec<PortCommand>,
}

impl Workers {
    /// Carries out [`MediaPlane::relocate`](media::worker::MediaPlane::relocate). Playback, digits, tap, streams
    /// and counters go on.
    pub(super) fn send_off(&mut self, from: u8, port: PortId, to: u8) -> Result<PortId, NoPort> {
        if from == to {
            return Ok(port);
        }
        if self.is_browser(from, port) {
            return Err(NoPort::NoWeb);
        }
        let (from, to) = (usize::from(from), usize::from(to));
        let target = self.stations.get(to).ok_or(NoPort::NoWorker)?;
        let name = target.next_name()?;
        let carriage = Carriage::new();
        let station = self.stations.get_mut(from).ok_or(NoPort::NoWorker)?;
        let depart = PortCommand::Depart { port, carriage };
        station
            .order(depart, None)
            .map_err(|RingFull| NoPort::WorkerFull)?;
        if let Some(target) = self.stations.get_mut(to) {
            target.free.pop();
        }
        self.relocations.push(Relocation {
            from: (from, port),
            to: (to, name),
            sockets: None,
            waiting: Vec::new(),
        });
        Ok(name)
    }

    /// Keeps a command for a port that has not arrived; gives back one for any other.
    pub(super) fn await_arrival(
        &mut self,
        worker: usize,
        command: PortCommand,
    ) -> Result<Result<(), RingFull>, PortCommand> {
        let to = (worker, command.port());
        let Some(moving) = self.relocations.iter_mut().find(|it| it.to == to) else {
            return Err(command);
        };
        let closes = matches!(command, PortCommand::Close { .. });
        if moving.waiting.len() >= WAITING_MAX && !closes {
            return Ok(Err(RingFull));
        }
        moving.waiting.push(command);
        Ok(Ok(()))
    }

    /// Keeps the sockets of a port on its way; gives back any other's.
    pub(super) fn keep_sockets(
        &mut self,
        worker: usize,
        sockets: Box<PortSockets>,
    ) -> Option<Box<PortSockets>> {
        let from = (worker, sockets.port);
        match self.relocations.iter_mut().find(|it| it.from == from) {
            Some(moving) => {
                moving.sockets = Some(sockets);
                None
            }
            None => Some(sockets),
        }
    }

    /// Takes what is told of a port on its way; what is left is for control, under the name that it knows.
    pub(super) fn renamed(
        &mut self,
        worker: usize,
        event: PortEvent,
    ) -> Option<(usize, PortEvent)> {
        if self.relocations.is_empty() {
            return Some((worker, event));
        }
        match event {
            PortEvent::Departed { port, carriage } => {
                self.arrive((worker, port), carriage);
                None
            }
            PortEvent::Garbage(Garbage::Carriage(_)) => None,
            mut event => {
                let told = event.port_mut().map(|port| *port);
                let moving = self
                    .relocations
                    .iter()
                    .position(|it| Some(it.from) == told.map(|port| (worker, port)));
                let Some(at) = moving else {
                    return Some((worker, event));
                };
                let to = self.relocations.get(at)?.to;
                if let Some(port) = event.port_mut() {
                    *port = to.1;
                }
                if matches!(
                    event,
                    PortEvent::Refused {
                        why: Refusal::NoSuchPort,
                        ..
                    }
                ) {
                    // It was never there: nothing will arrive.
                    let moving = self.relocations.swap_remove(at);
                    self.free(moving.to);
                }
                Some((to.0, event))
            }
        }
    }

    /// Sends a port that has left one worker on to the other.
    fn arrive(&mut self, from: (usize, PortId), carriage: Box<Carriage>) {
        let Some(at) = self.relocations.iter().position(|it| it.from == from) else {
            return;
        };
        let moving = self.relocations.swap_remove(at);
        self.free(from);
        let (worker, port) = moving.to;
        let Some(station) = self.stations.get_mut(worker) else {
            return;
        };
        let sockets = moving.sockets.map(|mut sockets| {
            sockets.port = port;
            sockets
        });
        station.must(PortCommand::Arrive { port, carriage }, sockets);
        for command in moving.waiting {
            station.must(command, None);
        }
    }

    /// A name is used no more, and its place is free.
    pub(super) fn free(&mut self, (worker, port): (usize, PortId)) {
        if let Some(station) = self.stations.get_mut(worker) {
            station.free(port);
        }
    }
}

impl Station {
    /// Gives an order; refuses it when the ring is full.
    pub(super) fn order(
        &mut self,
        command: PortCommand,
        sockets: Option<Box<PortSockets>>,
    ) -> Result<(), RingFull> {
        if !self.backlog.is_empty() || self.orders.is_full() {
            return Err(RingFull);
        }
        let order = Order::Command { command, sockets };
        self.orders.push(order).map_err(|_| RingFull)
    }

    /// Gives an order that must not be lost; it waits when the ring is full.
    pub(super) fn must(&mut self, command: PortCommand, sockets: Option<Box<PortSockets>>) {
        self.backlog.push_back(Order::Command { command, sockets });
        self.flush();
    }

    /// Routes a browser's media, or no longer; it waits when the ring is full.
    pub(super) fn must_route(&mut self, from: SocketAddr, port: PortId, is_on: bool) {
        self.backlog.push_back(Order::Route { from, port, is_on });
        self.flush();
    }
}

/// Commands that may wait for a port to arrive: more than a call gives one in a few milliseconds.
const WAITING_MAX: usize = 32;
