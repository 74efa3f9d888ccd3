//! Payload to samples and back, one small state per direction of a stream.
//!
//! [`Codec`] is what SDP agreed on; [`Decoder`] and [`Encoder`] are enums whose larger states are
//! boxed. They are made by control and travel in a port's plan: on a media thread they decode,
//! encode and change their rate, and never touch the heap.
//!
//! A codec's *RTP clock* counts ticks, its *rate* samples: they differ for G.722 (8,000 and 16,000)
//! and for Opus (48,000, and whatever the bus wants).

pub mod comfort_noise;
pub mod g711;
pub mod g722;
pub mod l16;
pub(crate) mod loudness;
pub mod opus;

#[cfg(test)]
mod tests;

use crate::rtp::red::Redundancy;

/// An audio format that Tandem carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 µ-law, 64 kbit/s (RFC 3551 §4.5.14).
    Pcmu,
    /// G.711 A-law, 64 kbit/s (RFC 3551 §4.5.14).
    Pcma,
    /// G.722, 64 kbit/s (RFC 3551 §4.5.2).
    G722,
    /// Opus (RFC 7587).
    Opus,
    /// Linear samples at 8 kHz, 128 kbit/s (RFC 3551 §4.5.11).
    L16,
    /// Linear samples at 16 kHz, 256 kbit/s.
    L16Wide,
    /// G.729 (RFC 3551 §4.5.6): relayed, neither decoded nor encoded.
    G729,
    /// AMR-WB (RFC 4867): relayed, neither decoded nor encoded.
    AmrWb,
}

impl Codec {
    /// All codecs that are decoded and encoded, in the default order of preference.
    pub const ALL: [Self; 6] = [
        Self::Pcma,
        Self::Pcmu,
        Self::G722,
        Self::Opus,
        Self::L16Wide,
        Self::L16,
    ];

    /// Ticks per second of the RTP clock.
    pub const fn clock_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 | Self::L16 | Self::G729 => 8_000,
            Self::L16Wide | Self::AmrWb => 16_000,
            Self::Opus => 48_000,
        }
    }

    /// Samples per second that it can carry.
    pub const fn sample_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::L16 | Self::G729 => 8_000,
            Self::G722 | Self::L16Wide | Self::AmrWb => 16_000,
            Self::Opus => 48_000,
        }
    }

    /// The payload type fixed by RFC 3551 §6, for codecs that have one.
    pub const fn static_payload_type(self) -> Option<u8> {
        match self {
            Self::Pcmu => Some(0),
            Self::Pcma => Some(8),
            Self::G722 => Some(9),
            Self::G729 => Some(18),
            Self::Opus | Self::L16 | Self::L16Wide | Self::AmrWb => None,
        }
    }

    /// The encoding name of SDP `rtpmap`.
    pub const fn name(self) -> &'static str {
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

    /// RTP ticks in one 20 ms frame.
    pub const fn frame_ticks(self) -> u32 {
        self.clock_rate() / 50
    }

    /// RTP ticks that `payload` covers; none for what the codec cannot have made.
    pub fn ticks(self, payload: &[u8]) -> usize {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => payload.len(),
            Self::L16 | Self::L16Wide => payload.len() / 2,
            Self::Opus => opus::ticks(payload),
            // Nobody asks: what is not decoded is not buffered.
            Self::G729 | Self::AmrWb => 0,
        }
    }

    /// Whether `payload` tells of the packet before it (in-band FEC, RFC 6716 §2.1.7).
    pub fn tells_of_before(self, payload: &[u8]) -> bool {
        self == Self::Opus && opus::has_fec(payload)
    }

    /// The packet time to send with when `ptime_ms` was agreed: what the codec and a payload of
    /// [`PAYLOAD_MAX`] allow.
    pub fn packet_ms(self, ptime_ms: u16) -> u16 {
        let longest = match self {
            Self::Pcmu | Self::Pcma | Self::G722 | Self::Opus | Self::G729 | Self::AmrWb => 60,
            Self::L16 => 40,
            Self::L16Wide => 20,
        };
        match (self, ptime_ms.clamp(10, longest)) {
            // It has no packet of one frame that lasts 30 or 50 ms (RFC 6716 §3.2.5).
            (Self::Opus, ms) => [60, 40, 20, 10]
                .into_iter()
                .find(|&whole| whole <= ms)
                .unwrap_or(20),
            (_, ms) => ms / 10 * 10,
        }
    }

    /// The law of G.711, in which clips are kept encoded; none for other codecs.
    pub const fn law(self) -> Option<g711::Law> {
        match self {
            Self::Pcmu => Some(g711::Law::Mu),
            Self::Pcma => Some(g711::Law::A),
            _ => None,
        }
    }

    /// The most that a millisecond of it takes, in bytes; of Opus at 128 kbit/s.
    pub const fn bytes_a_ms(self) -> usize {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => 8,
            Self::L16 | Self::L16Wide => 2 * self.sample_rate() as usize / 1_000,
            Self::G729 => 1,
            Self::AmrWb => 3,
            Self::Opus => 16,
        }
    }

    /// Whether it passes through and can neither be decoded nor encoded.
    pub const fn is_only_relayed(self) -> bool {
        matches!(self, Self::G729 | Self::AmrWb)
    }
}

/// The longest payload that is made or taken: 60 ms of G.711 or G.722, 40 ms of L16 at 8 kHz.
pub const PAYLOAD_MAX: usize = 640;

/// What a port decodes and encodes with. Made by control, since it takes memory.
#[derive(Debug)]
pub struct Coding {
    /// Of what the peer sends.
    pub decoder: Decoder,
    /// Of what is sent to it.
    pub encoder: Encoder,
    /// Samples that wait for the rest of their packet; no room when packets last 20 ms or less.
    pub(crate) waiting: Waiting,
    /// How packets repeat those before them, where that was agreed (RFC 2198).
    pub(crate) redundancy: Option<Redundancy>,
}

impl Coding {
    /// Decoder and encoder of `codec`, as it is usually set, for packets of 20 ms.
    pub fn new(codec: Codec) -> Self {
        Self::with(codec, Encoder::new(codec), 20)
    }

    /// Decoder of `codec`, an encoder as it was set, and room for packets of `ptime_ms`, which is cut
    /// to what the codec and a datagram allow.
    pub fn with(codec: Codec, encoder: Encoder, ptime_ms: u16) -> Self {
        let packet_ms = codec.packet_ms(ptime_ms);
        let room = if packet_ms > 20 { packet_ms + 20 } else { 0 };
        let samples = usize::from(room) * codec.sample_rate() as usize / 1_000;
        Self {
            decoder: Decoder::new(codec),
            encoder,
            waiting: Waiting {
                packet_ms,
                samples: vec![0; samples].into(),
                held: 0,
            },
            redundancy: None,
        }
    }

    /// The same, with redundant packets of `payload_type` both ways, if it was agreed on one.
    #[must_use]
    pub fn repeating(mut self, payload_type: Option<u8>) -> Self {
        self.redundancy = payload_type.map(Redundancy::new);
        self
    }

    /// The payload type of redundant packets.
    pub fn redundant_type(&self) -> Option<u8> {
        self.redundancy.as_ref().map(Redundancy::payload_type)
    }

    /// Whether it is of the same codec, set as `other` is, with packets as long.
    pub fn is_set_like(&self, other: &Self) -> bool {
        self.encoder.is_set_like(&other.encoder)
            && self.waiting.packet_ms == other.waiting.packet_ms
            && self.redundant_type() == other.redundant_type()
    }
}

/// Samples that wait for the rest of their packet.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// How long a packet lasts.
    pub(crate) packet_ms: u16,
    samples: Box<[i16]>,
    held: usize,
}

impl Waiting {
    /// Adds samples; those that find no room are lost.
    pub(crate) fn push(&mut self, samples: &[i16]) {
        let place = self.samples.get_mut(self.held..).unwrap_or_default();
        let count = place.len().min(samples.len());
        for (to, &from) in place.iter_mut().zip(samples) {
            *to = from;
        }
        self.held += count;
    }

    /// The oldest `count` samples, once there are as many. [`Waiting::taken`] takes them away.
    pub(crate) fn packet(&self, count: usize) -> Option<&[i16]> {
        self.samples.get(..count).filter(|_| count <= self.held)
    }

    pub(crate) fn taken(&mut self, count: usize) {
        let count = count.min(self.held);
        self.samples.copy_within(count..self.held, 0);
        self.held -= count;
    }

    /// How many samples wait.
    pub(crate) const fn held(&self) -> usize {
        self.held
    }

    /// What waits is not wanted any more.
    pub(crate) const fn clear(&mut self) {
        self.held = 0;
    }
}

/// Turns the payloads of one stream into samples.
///
/// *Media thread*: nothing but [`Decoder::new`] allocates.
#[derive(Debug)]
pub enum Decoder {
    /// G.711 has no memory.
    G711(g711::Law),
    /// Two bands of predictors.
    G722(Box<g722::Decoder>),
    /// libopus.
    Opus(Box<opus::Decoder>),
    /// Samples as they are, at this rate.
    L16(u32),
    /// Of a codec that is only relayed: makes nothing, at this rate.
    Nothing(u32),
}

impl Decoder {
    /// A decoder for a stream of `codec`, at the highest rate it carries.
    pub fn new(codec: Codec) -> Self {
        match codec {
            Codec::Pcmu => Self::G711(g711::Law::Mu),
            Codec::Pcma => Self::G711(g711::Law::A),
            Codec::G722 => Self::G722(Box::default()),
            Codec::Opus => Self::Opus(Box::new(opus::Decoder::new(codec.sample_rate()))),
            Codec::L16 | Codec::L16Wide => Self::L16(codec.sample_rate()),
            Codec::G729 | Codec::AmrWb => Self::Nothing(codec.sample_rate()),
        }
    }

    /// Samples per second of what it decodes.
    pub const fn rate(&self) -> u32 {
        match self {
            Self::G711(_) => 8_000,
            Self::G722(_) => g722::RATE,
            Self::Opus(opus) => opus.rate(),
            Self::L16(rate) | Self::Nothing(rate) => *rate,
        }
    }

    /// Decodes at `rate` from now on, if the codec has a choice and knows that rate; see
    /// [`Decoder::rate`]. What it knew of the stream is forgotten when the rate changes.
    pub fn tune(&mut self, rate: u32) {
        if let Self::Opus(opus) = self {
            opus.tune(rate);
        }
    }

    /// Decodes `payload` into `out`; gives the number of samples written. A codec of samples decodes
    /// what `out` has room for, Opus a whole packet or nothing: 60 ms at [`Decoder::rate`] hold all
    /// that is negotiated.
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        match self {
            Self::G711(law) => law.decode(payload, out),
            Self::G722(g722) => g722.decode(payload, out),
            Self::Opus(opus) => opus.decode(payload, out),
            Self::L16(_) => l16::decode(payload, out),
            Self::Nothing(_) => 0,
        }
    }

    /// Invents what follows in place of lost packets, by the codec's own knowledge of the stream;
    /// gives the number of samples written: none if the codec has no such knowledge.
    pub fn conceal(&mut self, out: &mut [i16]) -> usize {
        match self {
            Self::Opus(opus) => opus.conceal(out),
            Self::G711(_) | Self::G722(_) | Self::L16(_) | Self::Nothing(_) => 0,
        }
    }

    /// Decodes what `next_payload` tells of the lost packet before it, whose length `out` has; gives
    /// the number of samples written: none if it tells nothing. Decode `next_payload` itself after.
    pub fn recover(&mut self, next_payload: &[u8], out: &mut [i16]) -> usize {
        match self {
            Self::Opus(opus) => opus.recover(next_payload, out),
            Self::G711(_) | Self::G722(_) | Self::L16(_) | Self::Nothing(_) => 0,
        }
    }
}

/// Turns samples into the payloads of one stream.
///
/// *Media thread*: nothing but [`Encoder::new`] allocates.
#[derive(Debug)]
pub enum Encoder {
    /// G.711 has no memory.
    G711(g711::Law),
    /// Two bands of predictors.
    G722(Box<g722::Encoder>),
    /// libopus.
    Opus(Box<opus::Encoder>),
    /// Samples as they are, at this rate.
    L16(u32),
    /// Of a codec that is only relayed: makes nothing, at this rate.
    Nothing(u32),
}

impl Encoder {
    /// An encoder for a stream of `codec`, at the highest rate it carries and as it is usually set.
    pub fn new(codec: Codec) -> Self {
        match codec {
            Codec::Pcmu => Self::G711(g711::Law::Mu),
            Codec::Pcma => Self::G711(g711::Law::A),
            Codec::G722 => Self::G722(Box::default()),
            Codec::Opus => Self::opus(opus::Settings::default()),
            Codec::L16 | Codec::L16Wide => Self::L16(codec.sample_rate()),
            Codec::G729 | Codec::AmrWb => Self::Nothing(codec.sample_rate()),
        }
    }

    /// An encoder of Opus with settings of its own.
    pub fn opus(settings: opus::Settings) -> Self {
        let rate = Codec::Opus.sample_rate();
        Self::Opus(Box::new(opus::Encoder::new(rate, settings)))
    }

    /// Samples per second of what it encodes.
    pub const fn rate(&self) -> u32 {
        match self {
            Self::G711(_) => 8_000,
            Self::G722(_) => g722::RATE,
            Self::Opus(opus) => opus.rate(),
            Self::L16(rate) | Self::Nothing(rate) => *rate,
        }
    }

    /// Encodes samples of `rate` from now on, if the codec has a choice and knows that rate; see
    /// [`Encoder::rate`].
    pub fn tune(&mut self, rate: u32) {
        if let Self::Opus(opus) = self {
            opus.tune(rate);
        }
    }

    /// Encodes `samples` into `out`; gives the number of bytes written. A codec of samples encodes
    /// what `out` has room for; Opus takes 10, 20, 40 or 60 ms and needs room for the whole packet.
    pub fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> usize {
        match self {
            Self::G711(law) => law.encode(samples, out),
            Self::G722(g722) => g722.encode(samples, out),
            Self::Opus(opus) => opus.encode(samples, out),
            Self::L16(_) => l16::encode(samples, out),
            Self::Nothing(_) => 0,
        }
    }

    /// Takes the share of packets that the peer's last report says it lost, in percent: Opus then
    /// sends in-band FEC, if the peer makes use of it.
    pub fn lost(&mut self, percent: u8) {
        if let Self::Opus(opus) = self {
            opus.lost(percent);
        }
    }

    /// The loss that it was told of, in percent.
    pub(crate) const fn loss(&self) -> u8 {
        match self {
            Self::Opus(opus) => opus.loss(),
            Self::G711(_) | Self::G722(_) | Self::L16(_) | Self::Nothing(_) => 0,
        }
    }

    /// Goes on where `other`, of the same codec, is: what it makes next follows what `other` made last.
    /// G.722 adapts within milliseconds and begins where it is.
    pub(crate) fn go_on_from(&mut self, other: &Self) {
        if let (Self::Opus(opus), Self::Opus(other)) = (self, other) {
            opus.go_on_from(other);
        }
    }

    /// Whether it can become like `other` without taking memory.
    pub(crate) const fn is_kin(&self, other: &Self) -> bool {
        matches!(
            (self, other),
            (Self::G722(_), Self::G722(_))
                | (Self::Opus(_), Self::Opus(_))
                | (Self::G711(_) | Self::L16(_), Self::G711(_) | Self::L16(_))
        )
    }

    /// Is set as `other`, its kin, is, and goes on where it is.
    pub(crate) fn become_like(&mut self, other: &Self) {
        let plain = matches!(self, Self::G711(_) | Self::L16(_));
        match other {
            Self::G711(law) if plain => *self = Self::G711(*law),
            Self::L16(rate) if plain => *self = Self::L16(*rate),
            other => self.go_on_from(other),
        }
    }

    /// Whether it makes the same payloads as `other` from the same samples.
    pub fn is_set_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::G711(law), Self::G711(other)) => law == other,
            (Self::G722(_), Self::G722(_)) => true,
            (Self::Opus(opus), Self::Opus(other)) => opus.settings() == other.settings(),
            (Self::L16(rate), Self::L16(other)) => rate == other,
            (Self::Nothing(rate), Self::Nothing(other)) => rate == other,
            _ => false,
        }
    }
}
