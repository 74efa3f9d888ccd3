//! A call in a room: its caller hears a bridge that is not the call's own.
//!
//! The room's bridge is on one worker, whichever call came first. A caller from elsewhere takes his port
//! there with its sockets, which nobody outside notices; then that worker is the call's.

use media::bridge::BridgeId;
use media::dsp::mix::Gain;
use media::port::PortId;
use media::worker::PortCommand;

use super::leg::PortState;
use super::machine::Call;

impl Call {
    /// The caller's port, if it is open and the only one that the call has: it may go to another worker.
    pub fn movable(&self) -> Option<PortId> {
        let caller = self.caller;
        let mut others = self.legs.values().filter(|leg| leg.id != caller);
        let alone = others.all(|leg| leg.port.state == PortState::Closed);
        let stays = self.ending.is_some() || self.replacing.is_some() || self.lending.is_some();
        self.open_port_of(caller).filter(|_| alone && !stays)
    }

    /// The caller's port is on that worker now, under that name. Ask [`Call::movable`] first.
    pub fn moved(&mut self, worker: u8, port: PortId) {
        self.worker = worker;
        if let Some(leg) = self.legs.get_mut(&self.caller) {
            leg.port.id = port;
        }
    }

    /// The caller hears a room, and is heard there as loud as `gain`, if that is not as he speaks.
    pub fn enter_room(&mut self, bridge: BridgeId, gain: Option<Gain>) {
        self.room = Some(bridge);
        self.join_room();
        if gain.is_some() {
            self.set_gain(None, gain);
        }
        self.recording_bridged();
    }

    /// The port that is in the room now does what the call does there: another leg's than before, perhaps.
    pub(super) fn join_room(&mut self) {
        if let Some((port, bridge)) = self.open_port_of(self.caller).zip(self.room) {
            self.port(PortCommand::Bridge { port, bridge });
        }
    }

    /// The caller hears the room no more.
    pub fn leave_room(&mut self) {
        if self.room.take().is_some() {
            self.stop_recording();
            self.part(self.caller);
        }
    }

    /// The port in the room, if there is one.
    pub fn room_port(&self) -> Option<PortId> {
        self.room?;
        self.open_port_of(self.caller)
    }

    /// How loud the caller is in the room, to one other port or to all.
    pub fn set_gain(&mut self, to: Option<PortId>, gain: Option<Gain>) {
        if let Some(port) = self.room_port() {
            self.port(PortCommand::Gain { port, to, gain });
        }
    }

    /// How loud another port in the room is to the caller.
    pub fn hear(&mut self, port: PortId, gain: Option<Gain>) {
        let to = self.room_port();
        if to.is_some() {
            self.port(PortCommand::Gain { port, to, gain });
        }
    }
}
