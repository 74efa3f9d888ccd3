//! Conferences: what the machine of rooms says, carried to calls and to the media plane.
//!
//! A room's bridge is on the worker of the call that came first; others take their port there. What all
//! hear, and the recording of all, is commanded through the port of whoever is inside.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use clock::Now;
use media::bridge::BridgeId;
use media::dsp::mix::Gain;
use media::port::{PlayId, Playback, PortId};
use media::source::Clip;
use media::tap::Tap;
use media::worker::PortCommand;

use super::{Control, Output, Slot, What};
use crate::call::{Action, CallId, ClipRequest, LegId, PlayToken, Prompt};
use crate::conference::{Ask, Away, Conferences, NotDone, Output as Said, Room, RoomId};
use crate::dialplan::{ConferenceNotice, ConferenceRequest, RunInput};

/// The rooms, and where each one sounds.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    pub(super) machine: Conferences,
    places: BTreeMap<RoomId, Place>,
    /// Announcements whose clips are being fetched, the oldest first.
    fetching: VecDeque<(PlayId, RoomId)>,
    next_play: u64,
}

/// Where a room sounds.
#[derive(Debug)]
struct Place {
    worker: u8,
    bridge: BridgeId,
    /// The name of its recording, as a call's, and the file.
    recording: Option<(CallId, String)>,
}

/// A room as the API and the operator see it.
#[derive(Clone, Debug, PartialEq)]
pub struct RoomSnapshot {
    /// The room.
    pub room: Room,
    /// The file of its recording, while it is recorded.
    pub file: Option<String>,
    /// For how long each member has been there, in the room's order.
    pub stayed: Vec<Duration>,
}

impl Control {
    /// The conferences, by name.
    pub fn conferences(&self, now: Now) -> Vec<RoomSnapshot> {
        let rooms = self.rooms.machine.rooms();
        rooms.map(|room| self.room_snapshot(now, room)).collect()
    }

    /// One conference.
    pub fn conference(&self, now: Now, name: &str) -> Option<RoomSnapshot> {
        let room = self.rooms.machine.room(name)?;
        Some(self.room_snapshot(now, room))
    }

    fn room_snapshot(&self, now: Now, room: &Room) -> RoomSnapshot {
        let place = self.rooms.places.get(&room.id);
        let file = place.and_then(|place| place.recording.as_ref());
        RoomSnapshot {
            room: room.clone(),
            file: file.map(|(_, file)| file.clone()),
            stayed: room.members.iter().map(|it| now - it.since).collect(),
        }
    }

    /// Asks something of a conference.
    ///
    /// # Errors
    /// [`NotDone`] says why it is not done.
    pub fn ask_conference(&mut self, now: Now, name: &str, ask: Ask) -> Result<(), NotDone> {
        let done = self.rooms.machine.ask(name, ask);
        self.pump(now);
        done
    }

    /// A call's plan wants it in a room: now, or when the call's other ports are closed.
    pub(super) fn confer(&mut self, now: Now, call: CallId, request: ConferenceRequest) {
        if let Some(slot) = self.calls.get_mut(&call) {
            slot.confers = Some(request);
            self.confer_if_ready(now, call);
        }
    }

    /// A call that wants into a room comes in, once its port may go to any worker.
    pub(super) fn confer_if_ready(&mut self, now: Now, call: CallId) {
        let Some(slot) = self.calls.get_mut(&call) else {
            return;
        };
        let ready = slot.call.movable().is_some();
        if let Some(request) = slot.confers.take_if(|_| ready) {
            let ConferenceRequest { name, terms } = request;
            self.rooms.machine.join(now, call, &name, terms);
        }
    }

    /// A call leaves the room that it is in or wants into: its plan goes on without, or it is over.
    pub(super) fn leave_conference(&mut self, call: CallId) {
        self.rooms.machine.leave(call);
        if let Some(slot) = self.calls.get_mut(&call) {
            slot.confers = None;
            slot.call.leave_room();
            self.dirty.push_back(call);
        }
    }

    /// Carries out what the machine of rooms says.
    pub(super) fn on_conference(&mut self, now: Now, said: Said) {
        match said {
            Said::Wait { call } => {
                let play = MUSIC;
                let items = vec![Prompt::Music("default".to_owned())];
                let repeat = true;
                let music = Action::Play {
                    play,
                    items,
                    repeat,
                };
                self.ask(now, call, music);
            }
            Said::Enter { call, room, muted } => self.enter(now, call, room, muted),
            Said::Away { call, why } => self.away(now, call, why),
            Said::Mute { call, on } => self.set_gain(call, None, on.then_some(Gain::MUTE)),
            Said::Gain { from, to, db } => {
                let to = self.calls.get(&to).and_then(|slot| slot.call.room_port());
                if to.is_some() {
                    self.set_gain(from, to, db.map(Gain::from_db));
                }
            }
            Said::Announce { room, items } => self.fetch_announcement(room, items),
            Said::Record { room, name, on } => self.record_room(now, room, &name, on),
            Said::Ended { room } => {
                self.rooms.places.remove(&room);
            }
        }
    }

    /// A call comes to hear its room.
    fn enter(&mut self, now: Now, call: CallId, room: RoomId, muted: bool) {
        self.ask(now, call, Action::StopPlay(MUSIC));
        // What it still wants of its port is wanted of the worker where that is now.
        self.drive(now, call);
        let Some(slot) = self.calls.get(&call) else {
            return;
        };
        let here = slot.call.worker();
        let (worker, bridge) = match self.rooms.places.get(&room) {
            Some(place) => (place.worker, place.bridge),
            None => (here, self.make_place(room, here)),
        };
        if worker != here && !self.bring(call, worker) {
            return self.rooms.machine.put_out(call, Away::Failed);
        }
        let gain = muted.then_some(Gain::MUTE);
        if let Some(slot) = self.calls.get_mut(&call) {
            slot.call.enter_room(bridge, gain);
            self.dirty.push_back(call);
        }
        let name = self.rooms.machine.room_of(call);
        let name = name.map_or(String::new(), |room| room.name.clone());
        self.event(now, call, What::Conferring { name });
        self.tell_run(now, call, RunInput::Conference(ConferenceNotice::Entered));
    }

    fn make_place(&mut self, room: RoomId, worker: u8) -> BridgeId {
        let bridge = self.new_bridge();
        let place = Place {
            worker,
            bridge,
            recording: None,
        };
        self.rooms.places.insert(room, place);
        bridge
    }

    /// Moves a call's port to that worker; `false` if it cannot.
    pub(super) fn bring(&mut self, call: CallId, worker: u8) -> bool {
        let Some(slot) = self.calls.get_mut(&call) else {
            return false;
        };
        let from = slot.call.worker();
        let Some(port) = slot.call.movable() else {
            return false;
        };
        let Ok(name) = self.media.relocate(from, port, worker) else {
            return false;
        };
        slot.call.moved(worker, name);
        self.ports.remove(&(from, port));
        self.ports.insert((worker, name), call);
        true
    }

    /// A call is not let in, or put out.
    fn away(&mut self, now: Now, call: CallId, why: Away) {
        self.ask(now, call, Action::StopPlay(MUSIC));
        if let Some(slot) = self.calls.get_mut(&call) {
            slot.call.leave_room();
        }
        self.tell_run(now, call, RunInput::Conference(ConferenceNotice::Away(why)));
    }

    fn set_gain(&mut self, call: CallId, to: Option<PortId>, gain: Option<Gain>) {
        if let Some(slot) = self.calls.get_mut(&call) {
            slot.call.set_gain(to, gain);
            self.dirty.push_back(call);
        }
    }

    /// Has the clips of an announcement fetched; what is announced while too many are is left out.
    fn fetch_announcement(&mut self, room: RoomId, items: Vec<Prompt>) {
        let Some((call, _)) = self.inside(room) else {
            return;
        };
        if self.rooms.fetching.len() >= FETCHING_MAX {
            self.rooms.fetching.pop_front();
        }
        let play = PlayId(PLAYS | self.rooms.next_play);
        self.rooms.next_play += 1;
        self.rooms.fetching.push_back((play, room));
        let request = ClipRequest {
            leg: LegId::CALLER,
            play,
            items,
        };
        self.outputs.push_back(Output::LoadClips { call, request });
    }

    /// Takes the clips of an announcement; gives back those of anything else.
    pub(super) fn announce(&mut self, play: PlayId, clips: Clips) -> Option<Clips> {
        if play.0 & PLAYS == 0 {
            return Some(clips);
        }
        let fetching = &mut self.rooms.fetching;
        let at = fetching.iter().position(|(other, _)| *other == play)?;
        let (_, room) = fetching.remove(at)?;
        let (_, port) = self.inside(room)?;
        let play = Playback::once(play, clips.ok()?);
        self.command_room(room, PortCommand::Announce { port, play });
        None
    }

    fn record_room(&mut self, now: Now, room: RoomId, name: &str, on: bool) {
        let Some(place) = self.rooms.places.get_mut(&room) else {
            return;
        };
        if !on {
            if let Some((id, _)) = place.recording.take() {
                self.outputs.push_back(Output::RecordEnded { call: id });
            }
            if let Some((_, port)) = self.inside(room) {
                self.command_room(room, PortCommand::UntapBridge { port });
            }
            return;
        }
        let id = CallId::new(self.shard, self.next_call);
        self.next_call += 1;
        let day = self.wall.at(now).strftime("%Y-%m-%d");
        let file = self
            .recording
            .file(&format!("{day}/conference-{name}-{id}"), false);
        place.recording = Some((id, file.clone()));
        let Some((call, port)) = self.inside(room) else {
            return;
        };
        let (tap, frames) = Tap::new(self.recording.rate_max, TAP_FRAMES);
        let rate = tap.rate();
        self.command_room(room, PortCommand::TapBridge { port, tap });
        let what = What::Recording { file: file.clone() };
        self.event(now, call, what);
        let call = id;
        self.outputs.push_back(Output::Record {
            call,
            part: 1,
            file,
            key: None,
            rate,
            frames,
        });
    }

    /// Somebody who hears the room, and his port there.
    fn inside(&self, room: RoomId) -> Option<(CallId, PortId)> {
        let mut rooms = self.rooms.machine.rooms();
        let room = rooms.find(|it| it.id == room)?;
        room.inside().find_map(|member| {
            let slot: &Slot = self.calls.get(&member.call)?;
            Some((member.call, slot.call.room_port()?))
        })
    }

    /// A worker that is far behind does not do it: the room goes on without.
    fn command_room(&mut self, room: RoomId, command: PortCommand) {
        if let Some(place) = self.rooms.places.get(&room) {
            let _ = self.media.command(place.worker, command);
        }
    }
}

/// Clips, or why there are none.
pub(super) type Clips = Result<Vec<std::sync::Arc<Clip>>, String>;

/// The music of who waits for a moderator: above the tokens of plans, below those of queues.
pub(super) const MUSIC: PlayToken = PlayToken(1 << 61);

/// Playbacks of rooms; those of legs lie below.
const PLAYS: u64 = 1 << 63;

/// Announcements of all rooms whose clips are on their way; beyond it the oldest is not heard.
const FETCHING_MAX: usize = 64;

/// Frames of 20 ms between worker and writer: 10 s, so that a slow disk loses nothing.
const TAP_FRAMES: usize = 500;
