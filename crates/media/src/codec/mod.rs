//! Payload to samples and back, one small state per direction of a stream.
//!
//! [`Codec`] is what SDP agreed on; [`Decoder`] and [`Encoder`] are enums, so that a codec with
//! state joins as a variant and a port stays plain data. G.711 has no state.

pub mod comfort_noise;
pub mod g711;

/// An audio format that Tandem decodes and encodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 µ-law, 64 kbit/s (RFC 3551 §4.5.14).
    Pcmu,
    /// G.711 A-law, 64 kbit/s (RFC 3551 §4.5.14).
    Pcma,
}

impl Codec {
    /// All codecs, in the default order of preference.
    pub const ALL: [Self; 2] = [Self::Pcma, Self::Pcmu];

    /// Ticks per second of the RTP clock.
    pub const fn clock_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma => 8_000,
        }
    }

    /// The payload type fixed by RFC 3551 §6, for codecs that have one.
    pub const fn static_payload_type(self) -> Option<u8> {
        match self {
            Self::Pcmu => Some(0),
            Self::Pcma => Some(8),
        }
    }

    /// The encoding name of SDP `rtpmap`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }

    /// RTP ticks in one 20 ms frame.
    pub const fn frame_ticks(self) -> u32 {
        self.clock_rate() / 50
    }

    /// RTP ticks that `payload` covers.
    pub const fn ticks(self, payload: &[u8]) -> usize {
        match self {
            Self::Pcmu | Self::Pcma => payload.len(),
        }
    }

    /// The payload byte that means silence, for codecs whose silence is one repeated byte.
    pub const fn silence(self) -> u8 {
        match self {
            Self::Pcmu => 0xFF,
            Self::Pcma => 0xD5,
        }
    }
}

/// Turns the payloads of one stream into samples.
#[derive(Clone, Debug)]
pub enum Decoder {
    /// G.711 has no memory.
    G711(g711::Law),
}

impl Decoder {
    /// A decoder for a stream of `codec`.
    pub const fn new(codec: Codec) -> Self {
        match codec {
            Codec::Pcmu => Self::G711(g711::Law::Mu),
            Codec::Pcma => Self::G711(g711::Law::A),
        }
    }

    /// Decodes as much of `payload` as `out` has room for; gives the number of samples written.
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        match self {
            Self::G711(law) => law.decode(payload, out),
        }
    }
}

/// Turns samples into the payloads of one stream.
#[derive(Clone, Debug)]
pub enum Encoder {
    /// G.711 has no memory.
    G711(g711::Law),
}

impl Encoder {
    /// An encoder for a stream of `codec`.
    pub const fn new(codec: Codec) -> Self {
        match codec {
            Codec::Pcmu => Self::G711(g711::Law::Mu),
            Codec::Pcma => Self::G711(g711::Law::A),
        }
    }

    /// Encodes as many of `samples` as `out` has room for; gives the number of bytes written.
    pub fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> usize {
        match self {
            Self::G711(law) => law.encode(samples, out),
        }
    }
}
