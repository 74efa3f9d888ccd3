//! All rooms of a control shard: calls come and go, and somebody asks something of them.
//!
//! ```text
//!              join, no moderator needed or there
//!   (outside) ─────────────────────────────────────▶ inside ── leave, remove ──▶ (outside)
//!       │                                             ▲
//!       └── join, waits ──▶ waiting ── a moderator ───┘     the last one out ends the room
//! ```

use std::collections::{BTreeMap, VecDeque};

use clock::Now;

use super::room::{Ask, Away, GAINS_MAX, Gain, Member, NotDone, ROOMS_MAX, Room, RoomId, Terms};
use crate::call::{CallId, Prompt};

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// The call hears music: it waits for a moderator.
    Wait {
        /// Which.
        call: CallId,
    },
    /// The call comes to hear the room, and is heard unless it is muted.
    Enter {
        /// Which.
        call: CallId,
        /// Where.
        room: RoomId,
        /// Whether nobody hears it.
        muted: bool,
    },
    /// The call is not let in, or is put out: its plan goes on.
    Away {
        /// Which.
        call: CallId,
        /// Why.
        why: Away,
    },
    /// Nobody hears the member any more, or all do again.
    Mute {
        /// Who.
        call: CallId,
        /// Whether nobody does.
        on: bool,
    },
    /// How loud a member is to one other.
    Gain {
        /// Who speaks.
        from: CallId,
        /// Who hears it.
        to: CallId,
        /// In dB; as to all if none.
        db: Option<f32>,
    },
    /// All who are inside hear this.
    Announce {
        /// Where.
        room: RoomId,
        /// What.
        items: Vec<Prompt>,
    },
    /// The recording begins or ends.
    Record {
        /// Where.
        room: RoomId,
        /// Its name.
        name: String,
        /// Whether it begins.
        on: bool,
    },
    /// Nobody is left.
    Ended {
        /// Which.
        room: RoomId,
    },
}

/// The rooms.
#[derive(Debug, Default)]
pub struct Conferences {
    rooms: BTreeMap<String, Room>,
    /// Where each call is.
    places: BTreeMap<CallId, String>,
    next: u32,
    outputs: VecDeque<Output>,
}

impl Conferences {
    /// The next thing to be done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The rooms, by name.
    pub fn rooms(&self) -> impl Iterator<Item = &Room> {
        self.rooms.values()
    }

    /// The room of that name.
    pub fn room(&self, name: &str) -> Option<&Room> {
        self.rooms.get(name)
    }

    /// The room that a call is in.
    pub fn room_of(&self, call: CallId) -> Option<&Room> {
        self.rooms.get(self.places.get(&call)?)
    }

    /// A call comes; it is in no room. Told by `Enter`, `Wait` or `Away`.
    pub fn join(&mut self, now: Now, call: CallId, name: &str, terms: Terms) {
        let Terms {
            muted,
            moderator,
            waits,
            ..
        } = terms;
        if let Err(why) = self.admits(name) {
            return self.tell(Output::Away { call, why });
        }
        let next = &mut self.next;
        let room = self.rooms.entry(name.to_owned()).or_insert_with(|| {
            *next = next.wrapping_add(1);
            Room {
                id: RoomId(*next),
                name: name.to_owned(),
                terms,
                members: Vec::new(),
                locked: false,
                recording: false,
                gains: Vec::new(),
            }
        });
        let opened = room.members.iter().any(|it| it.inside && it.moderator);
        room.members.push(Member {
            call,
            muted,
            moderator,
            inside: false,
            since: now,
        });
        self.places.insert(call, name.to_owned());
        if waits && !moderator && !opened {
            return self.tell(Output::Wait { call });
        }
        self.enter(name, call);
        if moderator {
            self.open(name);
        }
    }

    fn admits(&self, name: &str) -> Result<(), Away> {
        match self.rooms.get(name) {
            Some(room) if room.locked => Err(Away::Locked),
            Some(room) if room.members.len() >= room.terms.members_max => Err(Away::Full),
            None if self.rooms.len() >= ROOMS_MAX => Err(Away::Full),
            _ => Ok(()),
        }
    }

    /// A moderator is there: those who wait come in.
    fn open(&mut self, name: &str) {
        let Some(room) = self.rooms.get(name) else {
            return;
        };
        let waiting = room.members.iter().filter(|member| !member.inside);
        let waiting: Vec<CallId> = waiting.map(|member| member.call).collect();
        for call in waiting {
            self.enter(name, call);
        }
    }

    fn enter(&mut self, name: &str, call: CallId) {
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        let id = room.id;
        let others = room.inside().count();
        let Some(member) = room.member_mut(call) else {
            return;
        };
        member.inside = true;
        let muted = member.muted;
        let records = others == 0 && room.terms.record && !room.recording;
        room.recording |= records;
        let items: Vec<Prompt> = room.terms.on_enter.clone().into_iter().collect();
        self.tell(Output::Enter {
            call,
            room: id,
            muted,
        });
        if records {
            let (name, on) = (name.to_owned(), true);
            self.tell(Output::Record { room: id, name, on });
        }
        if others > 0 && !items.is_empty() {
            self.tell(Output::Announce { room: id, items });
        }
    }

    /// A call is gone, by itself or with its caller; nothing if it is in no room.
    pub fn leave(&mut self, call: CallId) {
        let Some(name) = self.places.remove(&call) else {
            return;
        };
        let Some(room) = self.rooms.get_mut(&name) else {
            return;
        };
        let inside = room.member(call).is_some_and(|member| member.inside);
        room.members.retain(|member| member.call != call);
        room.gains.retain(|it| it.from != call && it.to != call);
        let (id, empty) = (room.id, room.members.is_empty());
        let deserted = room.inside().next().is_none();
        let records = room.recording && inside && deserted;
        room.recording &= !records;
        let items: Vec<Prompt> = room.terms.on_leave.clone().into_iter().collect();
        if records {
            let (name, on) = (name.clone(), false);
            self.tell(Output::Record { room: id, name, on });
        }
        if inside && !deserted && !items.is_empty() {
            self.tell(Output::Announce { room: id, items });
        }
        if empty {
            self.rooms.remove(&name);
            self.tell(Output::Ended { room: id });
        }
    }

    /// Another leg has the call's place in its room: all that was said of it is said again.
    pub fn say_again(&mut self, call: CallId) {
        let Some(room) = self.room_of(call) else {
            return;
        };
        let muted = room.member(call).is_some_and(|member| member.muted);
        let about = room.gains.iter();
        let about = about.filter(|it| it.from == call || it.to == call);
        let gains: Vec<Gain> = about.copied().collect();
        if muted {
            self.tell(Output::Mute { call, on: true });
        }
        for Gain { from, to, db } in gains {
            let db = Some(db);
            self.tell(Output::Gain { from, to, db });
        }
    }

    /// Somebody asks something of a room.
    ///
    /// # Errors
    /// [`NotDone`] says what is missing; then nothing has changed.
    pub fn ask(&mut self, name: &str, ask: Ask) -> Result<(), NotDone> {
        match ask {
            Ask::Mute { call, on } => self.mute(name, call, on),
            Ask::Remove { call } => {
                self.found(name, call)?;
                self.put_out(call, Away::Removed);
                Ok(())
            }
            Ask::Lock(on) => {
                self.rooms.get_mut(name).ok_or(NotDone::NoRoom)?.locked = on;
                Ok(())
            }
            Ask::Record(on) => self.record(name, on),
            Ask::Announce(items) => {
                let room = self.rooms.get(name).ok_or(NotDone::NoRoom)?;
                let id = room.inside().next().map(|_| room.id);
                let room = id.ok_or(NotDone::Empty)?;
                self.tell(Output::Announce { room, items });
                Ok(())
            }
            Ask::Gain { from, to, db } => self.gain(name, (from, to), db),
        }
    }

    /// A call cannot stay, for that reason.
    pub fn put_out(&mut self, call: CallId, why: Away) {
        self.leave(call);
        self.tell(Output::Away { call, why });
    }

    fn mute(&mut self, name: &str, call: CallId, on: bool) -> Result<(), NotDone> {
        let member = self.found(name, call)?;
        let changes = member.muted != on && member.inside;
        member.muted = on;
        if changes {
            self.tell(Output::Mute { call, on });
        }
        Ok(())
    }

    fn record(&mut self, name: &str, on: bool) -> Result<(), NotDone> {
        let room = self.rooms.get_mut(name).ok_or(NotDone::NoRoom)?;
        if room.inside().next().is_none() {
            return Err(NotDone::Empty);
        }
        let (changes, id) = (room.recording != on, room.id);
        room.recording = on;
        if changes {
            let name = name.to_owned();
            self.tell(Output::Record { room: id, name, on });
        }
        Ok(())
    }

    fn gain(
        &mut self,
        name: &str,
        (from, to): (CallId, CallId),
        db: Option<f32>,
    ) -> Result<(), NotDone> {
        let both = self.found(name, from)?.inside && self.found(name, to)?.inside;
        let room = self.rooms.get_mut(name).ok_or(NotDone::NoRoom)?;
        let other = |it: &Gain| (it.from, it.to) != (from, to);
        let held = room.gains.iter().filter(|it| other(it)).count();
        if !both || from == to {
            return Err(NotDone::NoMember);
        }
        if db.is_some() && held >= GAINS_MAX {
            return Err(NotDone::GainsFull);
        }
        room.gains.retain(other);
        room.gains.extend(db.map(|db| Gain { from, to, db }));
        self.tell(Output::Gain { from, to, db });
        Ok(())
    }

    fn found(&mut self, name: &str, call: CallId) -> Result<&mut Member, NotDone> {
        let room = self.rooms.get_mut(name).ok_or(NotDone::NoRoom)?;
        room.member_mut(call).ok_or(NotDone::NoMember)
    }

    fn tell(&mut self, output: Output) {
        self.outputs.push_back(output);
    }
}
