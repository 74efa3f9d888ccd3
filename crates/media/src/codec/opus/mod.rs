//! Opus (RFC 6716; RTP: RFC 7587): 6 to 510 kbit/s, up to 20 kHz of sound, packets of 2.5 to 120 ms.
//!
//! Its RTP clock is 48,000 whatever it carries. Decoder and encoder work at any of [`RATES`], so that
//! a bus of 8 kHz costs no more than it hears; libopus does its own resampling. Mono: a packet with
//! two channels is mixed down as it is decoded.

mod libopus;

use std::fmt;

use self::libopus::Setting;

/// Samples per second that a decoder can give and an encoder can take.
pub const RATES: [u32; 5] = [8_000, 12_000, 16_000, 24_000, 48_000];

/// The longest packet, in ticks of the RTP clock: 120 ms (RFC 6716 §3.2.5).
pub const TICKS_MAX: usize = 5_760;

/// How an encoder is set. The defaults are for speech among people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bits per second, 6,000 to 128,000.
    pub bitrate: u32,
    /// What it may never be more than, FEC included: the peer's bound.
    pub ceiling: u32,
    /// How hard the encoder looks, 0 to 10.
    pub complexity: u8,
    /// Whether silence is sent as next to nothing (`usedtx`).
    pub dtx: bool,
    /// Whether the peer makes use of in-band FEC (`useinbandfec`): it is sent when loss is reported.
    pub fec: bool,
    /// Whether every packet has the same size (`cbr`).
    pub cbr: bool,
}

impl Default for Settings {
    /// 24 kbit/s carries wideband speech well; complexity 5 costs three quarters of 10 and is hard to
    /// tell from it at this rate.
    fn default() -> Self {
        Self {
            bitrate: 24_000,
            ceiling: 128_000,
            complexity: 5,
            dtx: false,
            fec: true,
            cbr: false,
        }
    }
}

/// A stream's decoder; its state is some 18 kB of the heap, taken at once.
pub struct Decoder {
    state: libopus::Decoder,
    rate: u32,
}

/// A stream's encoder; its state is some 30 kB of the heap, taken at once.
pub struct Encoder {
    state: libopus::Encoder,
    settings: Settings,
    rate: u32,
    /// The loss it is set for, in percent.
    loss: u8,
}

impl Decoder {
    /// A decoder for samples at `rate`, or at 48,000 if that is none of [`RATES`].
    pub fn new(rate: u32) -> Self {
        let mut decoder = Self {
            state: libopus::Decoder::new(),
            rate: 0,
        };
        decoder.tune(rate);
        decoder
    }

    /// Samples per second of what it decodes.
    pub const fn rate(&self) -> u32 {
        self.rate
    }

    /// Goes on at another rate, without what it knows of the stream; without allocating.
    pub fn tune(&mut self, rate: u32) {
        let rate = known(rate);
        if rate != self.rate && self.state.begin(rate) {
            self.rate = rate;
        }
    }

    /// Decodes a packet whose whole sound `out` has room for; gives the samples written, none for
    /// what is no Opus packet.
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        if payload.is_empty() {
            return 0;
        }
        self.state.decode(Some(payload), out, false)
    }

    /// Invents what follows: as much as `out` holds, in whole steps of 2.5 ms.
    pub fn conceal(&mut self, out: &mut [i16]) -> usize {
        let steps = self.whole_steps(out);
        self.state.decode(None, steps, false)
    }

    /// Decodes what `next_payload` tells of the packet before it, which was lost and lasted as long as
    /// `out`; none if it tells nothing.
    pub fn recover(&mut self, next_payload: &[u8], out: &mut [i16]) -> usize {
        if !libopus::has_fec(next_payload) {
            return 0;
        }
        let steps = self.whole_steps(out);
        self.state.decode(Some(next_payload), steps, true)
    }

    fn whole_steps<'a>(&self, out: &'a mut [i16]) -> &'a mut [i16] {
        let step = (self.rate / 400).max(1) as usize;
        let len = out.len() / step * step;
        out.get_mut(..len).unwrap_or_default()
    }
}

impl Encoder {
    /// An encoder for samples at `rate`, or at 48,000 if that is none of [`RATES`].
    pub fn new(rate: u32, settings: Settings) -> Self {
        let mut encoder = Self {
            state: libopus::Encoder::new(),
            settings,
            rate: 0,
            loss: 0,
        };
        encoder.tune(rate);
        encoder
    }

    /// Samples per second of what it encodes.
    pub const fn rate(&self) -> u32 {
        self.rate
    }

    /// How it is set.
    pub const fn settings(&self) -> Settings {
        self.settings
    }

    /// Goes on at another rate; without allocating.
    pub fn tune(&mut self, rate: u32) {
        let rate = known(rate);
        if rate == self.rate || !self.state.begin(rate) {
            return;
        }
        self.rate = rate;
        let complexity = self.settings.complexity.min(10);
        self.state.set(Setting::Complexity, complexity.into());
        self.state.set(Setting::Dtx, self.settings.dtx.into());
        self.state.set(Setting::Vbr, (!self.settings.cbr).into());
        self.prepare_for_loss();
    }

    /// Takes over all of `other`: its settings, its rate and what it knows of its stream; without
    /// allocating.
    pub(crate) fn go_on_from(&mut self, other: &Self) {
        if self.state.copy(&other.state) {
            (self.settings, self.rate, self.loss) = (other.settings, other.rate, other.loss);
        }
    }

    /// The loss it is set for, in percent.
    pub(crate) const fn loss(&self) -> u8 {
        self.loss
    }

    /// Encodes `samples`, which must last 10, 20, 40 or 60 ms; gives the bytes written, none for
    /// another length or when `out` is too short.
    pub fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> usize {
        self.state.encode(samples, out)
    }

    /// Takes the share of packets that the peer says it lost: from 1 % on, packets tell of the one
    /// before them, if the peer makes use of that.
    pub fn lost(&mut self, percent: u8) {
        let percent = percent.min(30);
        if percent != self.loss {
            self.loss = percent;
            self.prepare_for_loss();
        }
    }

    fn prepare_for_loss(&mut self) {
        let fec = self.settings.fec && self.loss > 0;
        // libopus leaves FEC out where the rate is scarce for it: at 24 kbit/s and 5 % of loss it does.
        let usual = self.settings.bitrate;
        let bitrate = if fec { usual / 3 * 4 } else { usual };
        let bitrate = bitrate.min(self.settings.ceiling).clamp(6_000, 128_000);
        self.state.set(Setting::Bitrate, bitrate.cast_signed());
        self.state.set(Setting::Fec, fec.into());
        self.state.set(Setting::LossPercent, self.loss.into());
    }
}

/// Whether a packet tells of the one before it.
pub fn has_fec(payload: &[u8]) -> bool {
    libopus::has_fec(payload)
}

/// RTP ticks that a packet covers; none for what is no Opus packet.
pub fn ticks(payload: &[u8]) -> usize {
    libopus::samples_at_48k(payload)
}

fn known(rate: u32) -> u32 {
    if RATES.contains(&rate) { rate } else { 48_000 }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "opus::Decoder({})", self.rate)
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "opus::Encoder({}, {:?})", self.rate, self.settings)
    }
}
