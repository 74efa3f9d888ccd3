//! Conferences on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{millis, timestamp};
use crate::control::RoomSnapshot;

/// A conference with a member.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConferenceJson {
    name: String,
    /// Whether nobody more may come.
    locked: bool,
    /// Members at most.
    max: usize,
    /// The file of its recording, below the recordings folder, while it is recorded.
    recording: Option<String>,
    /// In the order in which they came.
    members: Vec<MemberJson>,
    /// Pairs of members of whom one is louder or quieter to the other than to all.
    gains: Vec<GainJson>,
}

/// A call in a conference.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemberJson {
    call_id: String,
    /// Whether nobody hears it, but whom a gain says.
    muted: bool,
    moderator: bool,
    /// Whether it hears music until a moderator comes.
    waiting: bool,
    since: String,
}

/// How loud one member is to one other.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GainJson {
    /// The call that speaks.
    pub(crate) from: String,
    /// The call that hears it.
    pub(crate) to: String,
    /// In dB, −100 to 12; `null` is as loud as to all.
    pub(crate) db: Option<f32>,
}

/// What a conference shall be; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConferenceStateJson {
    pub(crate) locked: Option<bool>,
    pub(crate) recording: Option<bool>,
}

/// What all shall hear: one of both.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnnouncementJson {
    /// A file below the prompts folder.
    pub(crate) file: Option<String>,
    /// Words for the speech engine.
    pub(crate) text: Option<String>,
}

/// What a member shall be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberStateJson {
    pub(crate) muted: bool,
}

impl ConferenceJson {
    pub(crate) fn new(snapshot: RoomSnapshot, now_ms: i64) -> Self {
        let RoomSnapshot { room, file, stayed } = snapshot;
        let members = room.members.iter().zip(stayed);
        let member = |(member, stayed): (&crate::conference::Member, _)| MemberJson {
            call_id: member.call.to_string(),
            muted: member.muted,
            moderator: member.moderator,
            waiting: !member.inside,
            since: timestamp(now_ms - millis(stayed)),
        };
        let gain = |gain: &crate::conference::Gain| GainJson {
            from: gain.from.to_string(),
            to: gain.to.to_string(),
            db: Some(gain.db),
        };
        Self {
            members: members.map(member).collect(),
            gains: room.gains.iter().map(gain).collect(),
            name: room.name,
            locked: room.locked,
            max: room.terms.members_max,
            recording: file,
        }
    }
}
