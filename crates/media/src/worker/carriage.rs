//! A port on its way from one worker to another, with all that it has heard and said.
//!
//! Control makes a carriage, empty. The worker that the port leaves puts it in, the worker that takes it puts back
//! the empty one: neither allocates.
//!
//! ```text
//!   control ─ Depart { empty } ─▶ worker A ─ Departed { loaded } ─▶ control ─ Arrive { loaded } ─▶ worker B
//!      ▲                                                                                           │
//!      └────────────────────────────── Garbage::Carriage { empty } ────────────────────────────────┘
//! ```

use super::port::Port;
use super::{Garbage, PHASES, PortEvent, Refusal, Worker};
use crate::port::PortId;

/// Carries a port, or nothing.
#[derive(Debug, Default)]
pub struct Carriage(Option<Port>);

impl Carriage {
    /// An empty one.
    pub fn new() -> Box<Self> {
        Box::default()
    }

    /// Whether a port is in it.
    pub fn is_loaded(&self) -> bool {
        self.0.is_some()
    }
}

impl Worker {
    /// Lets a port go: out of its bridge, and out of this worker.
    pub(super) fn depart(
        &mut self,
        id: PortId,
        mut carriage: Box<Carriage>,
    ) -> Result<(), Refusal> {
        let found = self.find(id);
        let at = match found {
            Ok(at) if !carriage.is_loaded() => at,
            _ => {
                self.discard(Garbage::Carriage(carriage));
                return found.and(Err(Refusal::CarriageTaken));
            }
        };
        self.vacate(id, at);
        if let Some(slot) = self.slots.get_mut(at) {
            std::mem::swap(slot, &mut carriage.0);
        }
        self.events.must(PortEvent::Departed { port: id, carriage });
        Ok(())
    }

    /// Takes a port in, which is known as `id` from now on. It is in no bridge yet.
    pub(super) fn arrive(
        &mut self,
        id: PortId,
        mut carriage: Box<Carriage>,
    ) -> Result<(), Refusal> {
        let place = match self.index.get(id.0) {
            Some(_) => Err(Refusal::PortExists),
            None if !carriage.is_loaded() => Err(Refusal::NoSuchPort),
            None => self.free.pop().ok_or(Refusal::PortsFull),
        };
        let at = match place {
            Ok(at) => at as usize,
            Err(why) => {
                self.discard(Garbage::Carriage(carriage));
                return Err(why);
            }
        };
        self.index.insert(id.0, at);
        self.stand(at);
        if let Some(slot) = self.slots.get_mut(at) {
            std::mem::swap(slot, &mut carriage.0);
            if let Some(port) = slot {
                port.plan.port = id;
            }
        }
        self.discard(Garbage::Carriage(carriage));
        self.settle(at);
        Ok(())
    }

    /// Gives a port the next place on the wheel.
    pub(super) fn stand(&mut self, at: usize) {
        let phase = self.next_phase;
        self.next_phase = (phase + 1) % PHASES as u8;
        if let Some(place) = self.phases.get_mut(at) {
            *place = Some(phase);
        }
        self.seats.clear(at as u32);
    }

    /// Takes a port's name and place away; what it holds is still in its slot.
    pub(super) fn vacate(&mut self, id: PortId, at: usize) {
        self.leave(at);
        self.index.remove(id.0);
        self.free.push(at as u32);
        if let Some(place) = self.phases.get_mut(at) {
            *place = None;
        }
    }
}
