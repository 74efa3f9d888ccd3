//! What a stream carries, and which way it flows.

use std::fmt;

/// An audio codec that a leg may negotiate; the media core has its own type, mapped by the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 µ-law: 8 kHz, static payload type 0 (RFC 3551 §4.5.14).
    Pcmu,
    /// G.711 A-law: 8 kHz, static payload type 8 (RFC 3551 §4.5.14).
    Pcma,
    /// G.722: 16 kHz on a clock of 8,000, static payload type 9 (RFC 3551 §4.5.2).
    G722,
    /// Opus: always `opus/48000/2`, whatever it carries (RFC 7587 §7).
    Opus,
    /// Linear samples at 8 kHz (RFC 3551 §4.5.11).
    L16,
    /// Linear samples at 16 kHz.
    L16Wide,
    /// G.729: static payload type 18 (RFC 3551 §4.5.6); relayed, never decoded.
    G729,
    /// AMR-WB, bandwidth-efficient (RFC 4867 §4.3); relayed, never decoded.
    AmrWb,
}

impl Codec {
    /// Every codec that can be configured.
    pub const ALL: [Self; 8] = [
        Self::Pcma,
        Self::Pcmu,
        Self::G722,
        Self::Opus,
        Self::L16Wide,
        Self::L16,
        Self::G729,
        Self::AmrWb,
    ];

    /// What a leg without an opinion takes, best first: what every telephone speaks, so that nothing
    /// is decoded on the way unless a configuration asks for more.
    pub const DEFAULT: [Self; 2] = [Self::Pcma, Self::Pcmu];

    /// Whether it passes between two parties that both speak it, and cannot be decoded here: no prompt is
    /// heard in it, nothing is recorded of it.
    pub const fn is_only_relayed(self) -> bool {
        matches!(self, Self::G729 | Self::AmrWb)
    }

    /// The encoding name of `a=rtpmap`, compared without regard to case.
    pub const fn encoding(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
            Self::Opus => "opus",
            Self::L16 | Self::L16Wide => "L16",
            Self::G729 => "G729",
            Self::AmrWb => "AMR-WB",
        }
    }

    /// The RTP clock of the encoding: not always its sampling rate (G.722 samples at 16 kHz on an 8 kHz clock).
    pub const fn clock_rate_hz(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 | Self::L16 | Self::G729 => 8_000,
            Self::L16Wide | Self::AmrWb => 16_000,
            Self::Opus => 48_000,
        }
    }

    /// Channels as `a=rtpmap` declares them.
    pub const fn channels(self) -> u8 {
        match self {
            Self::Opus => 2,
            _ => 1,
        }
    }

    /// The payload type that our own offers give it; an answer repeats the offerer's.
    pub const fn payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
            Self::G722 => 9,
            Self::G729 => 18,
            Self::AmrWb => 96,
            Self::L16 => 97,
            Self::L16Wide => 98,
            Self::Opus => 111,
        }
    }

    /// The codec with this encoding name, clock and channels, if it is one of ours.
    pub fn from_rtpmap(encoding: &str, clock_rate_hz: u32, channels: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| {
            codec.encoding().eq_ignore_ascii_case(encoding)
                && codec.clock_rate_hz() == clock_rate_hz
                && codec.channels() == channels
        })
    }

    /// Its name in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "pcmu",
            Self::Pcma => "pcma",
            Self::G722 => "g722",
            Self::Opus => "opus",
            Self::L16 => "l16/8000",
            Self::L16Wide => "l16/16000",
            Self::G729 => "g729",
            Self::AmrWb => "amr-wb",
        }
    }

    /// The codec that an operator names in a configuration: [`Codec::name`], `ulaw` or `alaw`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "ulaw" => Some(Self::Pcmu),
            "alaw" => Some(Self::Pcma),
            name => Self::ALL.into_iter().find(|codec| codec.name() == name),
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.encoding())
    }
}

/// Which way media flows, seen from the side that writes it (RFC 3264 §5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Both ways; what a description without an attribute means.
    #[default]
    SendRecv,
    /// The writer sends and does not listen: it holds the other.
    SendOnly,
    /// The writer listens and does not send.
    RecvOnly,
    /// Nothing flows; RTCP still does.
    Inactive,
}

impl Direction {
    /// Whether the writer sends.
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the writer receives.
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The direction with these two halves.
    pub const fn from_halves(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// The same flow seen from the other side.
    pub const fn reversed(self) -> Self {
        Self::from_halves(self.receives(), self.sends())
    }

    /// What both want: `self` is ours, `theirs` is as they wrote it (RFC 3264 §6.1).
    pub const fn meet(self, theirs: Self) -> Self {
        Self::from_halves(
            self.sends() && theirs.receives(),
            self.receives() && theirs.sends(),
        )
    }

    /// The attribute's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// The direction that this attribute names.
    pub fn from_attribute(name: &str) -> Option<Self> {
        [
            Self::SendRecv,
            Self::SendOnly,
            Self::RecvOnly,
            Self::Inactive,
        ]
        .into_iter()
        .find(|direction| direction.as_str() == name)
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
