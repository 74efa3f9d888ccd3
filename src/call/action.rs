//! What may be asked of a call ([`Action`]) and what a call tells ([`Notice`]).
//!
//! Both are closed enums of owned data, so a dialplan run, a queue or an API client drives a call
//! without holding any part of it.

use std::time::Duration;

use super::{Cause, Handover};

/// A call's name within this server: the control shard in the top eight bits, then a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

impl CallId {
    /// The `index`th call of `shard`; indices wrap at 2⁵⁶.
    pub const fn new(shard: u8, index: u64) -> Self {
        Self(((shard as u64) << 56) | (index & ((1 << 56) - 1)))
    }

    /// The shard that owns the call.
    pub const fn shard(self) -> u8 {
        (self.0 >> 56) as u8
    }
}

impl std::fmt::Display for CallId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "c{:016x}", self.0)
    }
}

impl std::str::FromStr for CallId {
    type Err = BadCallId;

    fn from_str(text: &str) -> Result<Self, BadCallId> {
        let digits = text
            .strip_prefix('c')
            .filter(|d| d.len() == 16)
            .ok_or(BadCallId)?;
        u64::from_str_radix(digits, 16)
            .map(Self)
            .map_err(|_| BadCallId)
    }
}

/// A text is no call id: want `c` and 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("want a call id: the letter c and 16 hexadecimal digits")]
pub struct BadCallId;

/// A leg within one call; the caller's is [`LegId::CALLER`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegId(pub u32);

impl LegId {
    /// The leg whose INVITE made the call.
    pub const CALLER: Self = Self(0);
}

/// Names one playback; chosen by whoever asks for it, unique within a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlayToken(pub u64);

/// Names one dialling; chosen by whoever asks for it, unique within a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialToken(pub u64);

/// What a dialplan run, the centre or the API may ask of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Sends 180 Ringing to the caller; nothing once answered.
    Ring,
    /// Answers the caller; nothing once answered. Told by [`Notice::Answered`].
    Answer,
    /// Plays `items` in order to the caller, replacing what plays. Before [`Action::Answer`] it is
    /// early media (183). Told by [`Notice::Played`] or [`Notice::PlayFailed`].
    Play {
        /// The name of this playback.
        play: PlayToken,
        /// What is heard, in order.
        items: Vec<Prompt>,
        /// Starts again at the end, until stopped.
        repeat: bool,
    },
    /// Silences that playback within one tick, if it still plays.
    StopPlay(PlayToken),
    /// Rings somebody and bridges the first who answers. Told by [`Notice::Bridged`] and always
    /// finally by [`Notice::DialEnded`].
    Dial(Dial),
    /// Stops ringing; told by [`Notice::DialEnded`] with [`DialResult::Cancelled`].
    CancelDial(DialToken),
    /// Starts, stops or changes the stereo recording of the caller's side and whoever is bridged.
    Record(RecordAsk),
    /// Sends digits to the caller's leg.
    SendDigits(String),
    /// Ends the whole call.
    Hangup(Cause),
}

/// What may be asked of a call's recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordAsk {
    /// Begin, at the bridge if there is none yet; nothing where it runs.
    Start,
    /// End.
    Stop,
    /// Keep silence instead of what is said.
    Pause,
    /// Keep what is said again.
    Resume,
    /// Take keys out: of the recording's sound, and of what is told of the call.
    Mask,
    /// Leave keys in again.
    Unmask,
}

impl RecordAsk {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Start,
        Self::Stop,
        Self::Pause,
        Self::Resume,
        Self::Mask,
        Self::Unmask,
    ];

    /// The word in dialplans and in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Mask => "mask",
            Self::Unmask => "unmask",
        }
    }

    /// By its word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ask| ask.name() == name)
    }
}

/// Somebody to ring.
#[derive(Clone, Debug, PartialEq)]
pub struct Dial {
    /// The name of this dialling.
    pub token: DialToken,
    /// Rung all at once; the first answer wins, the others are cancelled.
    pub to: Vec<Destination>,
    /// How long to ring before [`DialResult::NoAnswer`].
    pub timeout: Duration,
    /// What the caller hears meanwhile.
    pub ringback: Ringback,
    /// The number shown to the callee, if not the caller's own.
    pub caller_id: Option<String>,
    /// Whether the call leaves whoever asked: the plan's `transfer`. When the bridge ends, the call ends.
    pub blind: bool,
}

/// What the caller hears while somebody is rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ringback {
    /// What plays goes on: hold music.
    Keep,
    /// A ringing tone of ours, or the callee's early media once it comes.
    Tone,
}

/// One piece of what is heard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Prompt {
    /// A file below the prompts folder, by relative name.
    File(String),
    /// Text spoken by the speech engine.
    Speech {
        /// The text, at most 4,000 characters.
        text: String,
        /// The engine's voice, else the default.
        voice: Option<String>,
        /// A BCP 47 language tag, else the default.
        lang: Option<String>,
    },
    /// Music by name; `default` ships with the server. All who hear it hear the same place.
    Music(String),
    /// A call-progress tone by name: `ringback`, `busy`, `congestion`, `beep`.
    Tone(String),
    /// Nothing, for that long.
    Silence(Duration),
}

/// Where a dialled leg goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// A provisioned endpoint, at every contact where it is registered.
    Endpoint(String),
    /// A number through a trunk.
    Trunk {
        /// The trunk's name.
        trunk: String,
        /// The number, as dialled.
        number: String,
    },
    /// A SIP URI with an address; refused unless the caller may dial URIs.
    Uri(String),
}

/// How a digit arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DtmfVia {
    /// RTP telephone-event (RFC 4733).
    Rfc4733,
    /// SIP INFO (`application/dtmf-relay` or `application/dtmf`).
    Info,
    /// Tones in the audio.
    InBand,
}

/// Which side did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// The one who called.
    Caller,
    /// The one who was dialled.
    Callee,
    /// The server itself: a limit, a timer, an operator.
    Server,
}

impl Party {
    /// Its name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Callee => "callee",
            Self::Server => "server",
        }
    }
}

/// What a call tells whoever drives it.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// The caller's leg is answered and confirmed.
    Answered,
    /// That playback ended: `complete` if it was heard to its end.
    Played {
        /// Which.
        play: PlayToken,
        /// Whether to the end.
        complete: bool,
    },
    /// That playback could not start.
    PlayFailed {
        /// Which.
        play: PlayToken,
        /// What was missing, and the nearest fix.
        why: String,
    },
    /// The caller pressed a key: `0`–`9`, `*`, `#`, `A`–`D`.
    Digit {
        /// The key.
        digit: char,
        /// How it came.
        via: DtmfVia,
    },
    /// Somebody answered, and both hear each other.
    Bridged(DialToken),
    /// That dialling is over.
    DialEnded {
        /// Which.
        token: DialToken,
        /// How.
        result: DialResult,
    },
    /// One side handed the other on, or was replaced: that dialling's bridge now has another party.
    /// When it was the caller, the plan's caller is gone and the callee has taken the caller's part.
    Transferred {
        /// Which dialling's bridge it is.
        token: DialToken,
        /// Who left.
        by: Party,
        /// The names.
        handover: Handover,
    },
    /// Another leg has the caller's place now; the plan goes on with it.
    CallerReplaced(Handover),
    /// The caller is gone; the call ends whatever is asked.
    CallerGone(Cause),
}

/// What a dialling came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialResult {
    /// Answered and bridged, then ended by that party; the caller is still there unless it was the caller.
    Completed(Party),
    /// 486, 600.
    Busy,
    /// Nobody answered in time, or 408, 480, 487.
    NoAnswer,
    /// Refused with that SIP status.
    Refused(u16),
    /// Nowhere registered, no such trunk or endpoint, or the network refused.
    Unreachable,
    /// [`Action::CancelDial`] came first.
    Cancelled,
}
