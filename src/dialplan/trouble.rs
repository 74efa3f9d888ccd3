//! What goes wrong in a walk that goes on nevertheless.

use crate::explain::{Explanation, printable};

/// Something in a flow did not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// `dial endpoint=` came to an empty name.
    NoEndpointName,
    /// `conference` came to a text that names none.
    RoomName {
        /// The text.
        name: String,
        /// What a name looks like.
        want: &'static str,
    },
    /// A number was to be dialled and no trunk is named, nor did the call come by one.
    NoTrunk {
        /// The number.
        number: String,
    },
    /// So many steps without a key or a wait.
    EndlessRound(u32),
    /// A condition could not be evaluated.
    Condition(String),
    /// A sound could not be had.
    Sound(String),
    /// The end of a playback was never told.
    SoundNeverEnded,
}

impl Trouble {
    /// A name that never changes.
    pub const fn id(&self) -> &'static str {
        match self {
            Self::NoEndpointName => "dialplan-no-endpoint-name",
            Self::RoomName { .. } => "dialplan-conference-name",
            Self::NoTrunk { .. } => "dialplan-no-trunk",
            Self::EndlessRound(_) => "dialplan-endless-round",
            Self::Condition(_) => "dialplan-condition",
            Self::Sound(_) => "prompt-unavailable",
            Self::SoundNeverEnded => "prompt-never-ended",
        }
    }

    /// What was expected, what was found, and the fix; `place` is the step's file and line.
    pub fn explanation(&self, place: &str) -> Explanation {
        let (expected, found, fix) = match self {
            Self::NoEndpointName => (
                "the name of an endpoint".to_owned(),
                "an empty text".to_owned(),
                "set the variable that endpoint= names before this step".to_owned(),
            ),
            Self::RoomName { name, want } => (
                format!("the name of a conference: {want}"),
                format!("\"{}\"", printable(name)),
                "check the variable that the step names".to_owned(),
            ),
            Self::NoTrunk { number } => (
                format!("a trunk for {}", printable(number)),
                "a call that came by none".to_owned(),
                "name one by trunk=\"…\" at this step".to_owned(),
            ),
            Self::EndlessRound(steps) => (
                "a key or a wait among the steps of a round".to_owned(),
                format!("{steps} steps without"),
                "let the round say, gather or queue".to_owned(),
            ),
            Self::Condition(why) => (
                "a condition that can be evaluated".to_owned(),
                why.clone(),
                "correct the expression; an `else` is taken meanwhile".to_owned(),
            ),
            Self::Sound(why) => (
                "the sound".to_owned(),
                why.clone(),
                "put the file into the prompts folder, or see [speech]".to_owned(),
            ),
            Self::SoundNeverEnded => (
                "the end of a playback".to_owned(),
                "none in 15 minutes".to_owned(),
                "play something shorter".to_owned(),
            ),
        };
        let found = match place {
            "" => found,
            place => format!("{found} at {place}"),
        };
        Explanation::new(self.id(), (expected, found, fix))
    }
}
