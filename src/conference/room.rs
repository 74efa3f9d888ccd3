//! One room as plain data: its terms, its members, and what was said about them.

use clock::Now;

use crate::call::{CallId, Prompt};

/// A room's name within this server, from its first member to its last; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomId(pub u32);

/// On what terms a call joins. Those about the room are those of the call that makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Enters unheard.
    pub muted: bool,
    /// Opens a room in which members wait.
    pub moderator: bool,
    /// Hears music until a moderator is there.
    pub waits: bool,
    /// The room: members at most.
    pub members_max: usize,
    /// The room: whether it is recorded from the beginning.
    pub record: bool,
    /// The room: what all hear when somebody comes.
    pub on_enter: Option<Prompt>,
    /// The room: what all hear when somebody goes.
    pub on_leave: Option<Prompt>,
}

impl Default for Terms {
    /// A room of 100, which nobody announces and nobody records.
    fn default() -> Self {
        Self {
            muted: false,
            moderator: false,
            waits: false,
            members_max: 100,
            record: false,
            on_enter: None,
            on_leave: None,
        }
    }
}

/// One call in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Which.
    pub call: CallId,
    /// Whether nobody hears it, but whom a gain of its own says.
    pub muted: bool,
    /// Whether it opened or would open the room.
    pub moderator: bool,
    /// Whether it hears the room; else it hears music and waits for a moderator.
    pub inside: bool,
    /// Since when it is here.
    pub since: Now,
}

/// How loud one member is to one other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gain {
    /// Who speaks.
    pub from: CallId,
    /// Who hears it.
    pub to: CallId,
    /// How loud, in dB; below −72 not at all.
    pub db: f32,
}

/// A room that has a member.
#[derive(Clone, Debug, PartialEq)]
pub struct Room {
    /// Which.
    pub id: RoomId,
    /// Its name, as the dialplan says it.
    pub name: String,
    /// Those of the call that made it.
    pub terms: Terms,
    /// In the order in which they came.
    pub members: Vec<Member>,
    /// Whether nobody more may come.
    pub locked: bool,
    /// Whether what is said is recorded.
    pub recording: bool,
    /// Pairs whose gain is not what the speaker's is to all.
    pub gains: Vec<Gain>,
}

impl Room {
    /// A member.
    pub fn member(&self, call: CallId) -> Option<&Member> {
        self.members.iter().find(|member| member.call == call)
    }

    pub(super) fn member_mut(&mut self, call: CallId) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.call == call)
    }

    /// On what terms a member would come again.
    pub fn terms_of(&self, call: CallId) -> Option<Terms> {
        let member = self.member(call)?;
        Some(Terms {
            muted: member.muted,
            moderator: member.moderator,
            waits: !member.inside,
            ..self.terms.clone()
        })
    }

    /// Those who hear the room.
    pub fn inside(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.inside)
    }
}

/// What somebody may ask of a room.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Nobody hears a member any more, or all do again.
    Mute {
        /// Who.
        call: CallId,
        /// Whether nobody does.
        on: bool,
    },
    /// Puts a member out.
    Remove {
        /// Who.
        call: CallId,
    },
    /// Nobody more may come, or everybody again.
    Lock(bool),
    /// Begins or ends the recording.
    Record(bool),
    /// All who are inside hear this.
    Announce(Vec<Prompt>),
    /// Sets how loud a member is to one other, in dB; `None` is as to all. A supervisor who listens is muted, one
    /// who whispers is muted with 0 dB to one member, one who has barged in is not muted.
    Gain {
        /// Who speaks.
        from: CallId,
        /// Who hears it.
        to: CallId,
        /// How loud.
        db: Option<f32>,
    },
}

/// Why a call is not, or no longer, in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Away {
    /// It has as many members as it may have, or there are as many rooms.
    Full,
    /// It is locked.
    Locked,
    /// Somebody put it out.
    Removed,
    /// Its sound could not be brought there.
    Failed,
}

/// Why something asked of a room is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDone {
    /// There is no room of that name.
    #[error("there is no conference of that name")]
    NoRoom,
    /// The call is not in it.
    #[error("the call is not in the conference")]
    NoMember,
    /// As many pairs have gains of their own as may have.
    #[error("want at most 32 gains in a conference; take one back by db = null")]
    GainsFull,
    /// Nobody who hears the room is there.
    #[error("nobody is inside: the members wait for a moderator")]
    Empty,
}

/// Checks a room's name: it becomes part of paths and files.
///
/// # Errors
/// What a name looks like.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    let fits = (1..=NAME_MAX).contains(&name.len());
    match fits && name.chars().all(plain) && !name.starts_with('.') {
        true => Ok(()),
        false => Err("1 to 64 of the letters a-z A-Z, digits, - _ + and ., which is not the first"),
    }
}

/// Characters of a room's name.
pub const NAME_MAX: usize = 64;
/// Rooms at one time.
pub const ROOMS_MAX: usize = 10_000;
/// Pairs of one room with a gain of their own: as many as a bridge has.
pub const GAINS_MAX: usize = media::bridge::PAIRS_MAX;
