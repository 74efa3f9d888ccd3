//! What control may ask of a worker.

use std::net::SocketAddr;

use super::Carriage;
use crate::Digit;
use crate::bridge::BridgeId;
use crate::capture::Capture;
use crate::dsp::mix::Gain;
use crate::port::{Keys, PlayId, Playback, PortId, PortPlan, PortUpdate};
use crate::tap::{Tap, TapState, VoiceTap};

/// What control may ask of a media worker: ids and owned data, big things boxed. Sent on a ring
/// that is sized so that full is a bug. Every box comes back as [`Garbage`](super::Garbage).
#[derive(Debug)]
pub enum PortCommand {
    /// Opens a port.
    Open(Box<PortPlan>),
    /// Applies what a re-offer changed.
    Update(Box<PortUpdate>),
    /// Puts a port into a bridge, which is made when it is the first; a port is in one at most.
    Bridge {
        /// Who joins.
        port: PortId,
        /// Whom it joins.
        bridge: BridgeId,
    },
    /// Takes a port out of its bridge. The bridge ends with its last port.
    Unbridge {
        /// Who leaves.
        port: PortId,
    },
    /// Sets how loud a member is to another member of its bridge, or to all for whom nothing else was said.
    /// It holds until the member leaves. Who listens unheard is mute to all; who whispers is mute to all but one.
    Gain {
        /// Who speaks.
        port: PortId,
        /// Who hears it; `None` for all others.
        to: Option<PortId>,
        /// How loud; `None` takes back what was said of one, or to all is unity.
        gain: Option<Gain>,
    },
    /// Lets a member hear nothing of its bridge, only what is played to it; or all again.
    Deafen {
        /// Who.
        port: PortId,
        /// Whether to hear nothing.
        on: bool,
    },
    /// Plays to all members of a port's bridge, beside what they say, in place of what was played so. Told by
    /// [`PortEvent::Played`](super::PortEvent::Played) under this port's name, whoever is left then.
    Announce {
        /// A member.
        port: PortId,
        /// What is heard.
        play: Box<Playback>,
    },
    /// Puts a tap on a port's bridge, in place of the one it has: what somebody hears who says nothing, on
    /// both sides. It ends with the bridge.
    TapBridge {
        /// A member.
        port: PortId,
        /// Where it goes.
        tap: Box<Tap>,
    },
    /// Takes the tap off a port's bridge.
    UntapBridge {
        /// A member.
        port: PortId,
    },
    /// Plays to a port's peer, in place of what was playing.
    Play {
        /// Who hears it.
        port: PortId,
        /// What is heard.
        play: Box<Playback>,
    },
    /// Stops a playback within one tick. A playback that is no longer playing is no error.
    Stop {
        /// Who hears it.
        port: PortId,
        /// Which playback.
        play: PlayId,
    },
    /// Sends digits to a port's peer: as telephone events if agreed (RFC 4733), else as tones.
    SendDigits {
        /// Who gets them.
        port: PortId,
        /// The digits, in order, 50 ms apart.
        digits: Box<[Digit]>,
        /// How long each sounds, in ms; 40 to 5,000.
        duration_ms: u16,
    },
    /// Puts a tap on a port, in place of the one it has.
    Tap {
        /// Whose sound is copied.
        port: PortId,
        /// Where it goes.
        tap: Box<Tap>,
    },
    /// Takes the tap off a port.
    Untap {
        /// Whose tap.
        port: PortId,
    },
    /// Has a port's tap, if it has one, stand otherwise from its next frame on.
    StandTap {
        /// Whose tap.
        port: PortId,
        /// How.
        state: TapState,
    },
    /// Puts a port on its way through a voice thread, in place of the one it has.
    Voice {
        /// Whose voice.
        port: PortId,
        /// The way.
        tap: Box<VoiceTap>,
    },
    /// Has a member of a port's bridge hear that port's voice as it comes back of a voice thread, one tick later, while
    /// all others hear it as it is; or nobody any more. On a detour everybody does, and goes on to.
    LendVoice {
        /// Whose voice.
        port: PortId,
        /// Who hears it so; he has a gain of his own for some member.
        listener: Option<PortId>,
    },
    /// Takes a port off its way through a voice thread.
    Unvoice {
        /// Whose voice.
        port: PortId,
    },
    /// Copies a port's packets from now on until it closes, in place of the capture it has.
    Capture {
        /// Whose packets.
        port: PortId,
        /// Where they go.
        capture: Box<Capture>,
    },
    /// Gives a port that awaits them its keys, or new ones (a handshake on the media path).
    Key {
        /// Whose.
        port: PortId,
        /// What the handshake made.
        keys: Box<Keys>,
    },
    /// Says where a port of [`Latch::Proven`] sends to from now on; `None` for nowhere. Others keep to their latch.
    ///
    /// [`Latch::Proven`]: crate::port::Latch::Proven
    Path {
        /// Whose.
        port: PortId,
        /// Where its peer has proven to be.
        to: Option<SocketAddr>,
    },
    /// Looks for DTMF tones in what a port's peer says, or ceases to.
    DetectTones {
        /// Whose sound is searched.
        port: PortId,
        /// Whether to look.
        on: bool,
    },
    /// Lets a port go to another worker, out of its bridge; [`PortEvent::Departed`] is the last that is heard of
    /// it here. Nothing is played, sent or taken until it arrives.
    ///
    /// [`PortEvent::Departed`]: super::PortEvent::Departed
    Depart {
        /// Which.
        port: PortId,
        /// An empty one.
        carriage: Box<Carriage>,
    },
    /// Takes in a port that departed from another worker. It is in no bridge yet.
    Arrive {
        /// What it is called here.
        port: PortId,
        /// The one it departed in.
        carriage: Box<Carriage>,
    },
    /// Closes a port; `PortEvent::Closed` is the last that is heard of it.
    Close {
        /// Which.
        port: PortId,
    },
}

impl PortCommand {
    /// The port it is for.
    pub fn port(&self) -> PortId {
        match self {
            Self::Open(plan) => plan.port,
            Self::Update(update) => update.port,
            Self::Bridge { port, .. }
            | Self::Unbridge { port }
            | Self::Gain { port, .. }
            | Self::Deafen { port, .. }
            | Self::Announce { port, .. }
            | Self::TapBridge { port, .. }
            | Self::UntapBridge { port }
            | Self::Play { port, .. }
            | Self::Stop { port, .. }
            | Self::SendDigits { port, .. }
            | Self::Tap { port, .. }
            | Self::Untap { port }
            | Self::StandTap { port, .. }
            | Self::Voice { port, .. }
            | Self::LendVoice { port, .. }
            | Self::Unvoice { port }
            | Self::Capture { port, .. }
            | Self::Key { port, .. }
            | Self::Path { port, .. }
            | Self::DetectTones { port, .. }
            | Self::Depart { port, .. }
            | Self::Arrive { port, .. }
            | Self::Close { port } => *port,
        }
    }
}
