//! What a phone is and what it will do.

use std::time::Duration;

use sip::sdp::{Codec, Srtp};
use sip::transport::Flow;
use sip::ua::Listener;

use crate::call::{Dtmf, DtmfVia};

/// A phone as its owner wants it.
#[derive(Clone, Debug)]
pub struct PhonePlan {
    /// Its user name: what it registers and calls as.
    pub user: String,
    /// The server's host, as in `sip:user@domain`.
    pub domain: String,
    /// Its password, if it has one.
    pub password: Option<String>,
    /// The way to the server.
    pub server: Flow,
    /// Its own address.
    pub listener: Listener,
    /// The tone it speaks, a whole number of Hz.
    pub tone_hz: u16,
    /// The tones it listens for.
    pub listens_for: Vec<f32>,
    /// What it does when called.
    pub answering: Answering,
    /// What it does once a call is up, in order.
    pub script: Vec<Act>,
    /// From which its tags, keys and sequence numbers follow.
    pub seed: u64,
}

/// The ways in which phones of different makes differ.
#[derive(Clone, Debug)]
pub struct Habits {
    /// The codecs it has, the one it likes best first.
    pub codecs: Vec<Codec>,
    /// Whether its INVITE leaves the offer to the server (RFC 3261 §13.2.1).
    pub offers_late: bool,
    /// Whether it requires reliable provisional responses of who it calls, and sends its own so (RFC 3262).
    pub reliable: bool,
    /// How its keys go, and which it understands.
    pub dtmf: Dtmf,
    /// What it does before a call is answered.
    pub early: Early,
    /// What it does about SRTP; each line makes keys of its own from this.
    pub srtp: Srtp,
    /// Whether it is a browser: it describes its sound as one does (RFC 8829).
    pub browses: bool,
}

/// What a phone does before a call is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Early {
    /// Called, it speaks before it answers: its answer goes out in a 183.
    pub speaks: bool,
    /// Once the first exchange is complete it offers anew by UPDATE (RFC 3311 §5.1).
    pub updates: bool,
    /// Calling, it offers anew in the PRACK of a reliable response (RFC 3262 §5).
    pub pracks_with_offers: bool,
}

/// A key that a phone was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHeard {
    /// Which.
    pub digit: char,
    /// By which way.
    pub via: DtmfVia,
    /// For how long, in ms.
    pub held_ms: u16,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            codecs: vec![Codec::Pcma, Codec::Pcmu],
            offers_late: false,
            reliable: false,
            dtmf: Dtmf::Auto,
            early: Early::default(),
            srtp: Srtp::Off,
            browses: false,
        }
    }
}

/// What a phone does when it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answering {
    /// Rings for that long, then answers.
    After(Duration),
    /// Refuses with that status.
    Refuse(u16),
    /// Rings until the caller gives up.
    Never,
}

/// One thing that a phone does while a call is up.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Lets that much time pass.
    Wait(Duration),
    /// Presses keys: by INFO if that is its habit, else by RFC 4733 where agreed, else as tones.
    Press(String),
    /// Waits until a tone is heard, for that long at most.
    Hear(f32, Duration),
    /// Puts the other on hold, or takes it back.
    Hold(bool),
    /// Offers anew with another key, where its sound is encrypted.
    Rekey,
    /// Hands the other on to that URI.
    Refer(String),
    /// Hangs up.
    HangUp,
}
