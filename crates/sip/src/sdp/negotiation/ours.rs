//! What our side of the stream says: in an offer all that we take, in an answer what was agreed on.

use super::super::codec::Codec;
use super::super::remote::{Format, Meaning};
use super::super::terms::Agreed;
use super::{EVENT_CLOCK_HZ, Negotiation, Stream};

impl Negotiation {
    /// The telephone-event number of our offers on one clock: the one in use, so that a re-offer moves
    /// nothing, else the usual one unless a codec has it.
    fn our_dtmf_type(&self, clock_rate_hz: u32, formats: &[Format]) -> u8 {
        let usual = match clock_rate_hz {
            48_000 => DTMF_TYPE_48K,
            16_000 => DTMF_TYPE_16K,
            _ => DTMF_TYPE,
        };
        let in_use = self
            .agreed
            .as_ref()
            .filter(|agreed| agreed.dtmf_clock_rate_hz == clock_rate_hz)
            .and_then(|agreed| agreed.dtmf_receive_type);
        let cn = self.agreed.as_ref().and_then(|agreed| agreed.cn);
        let free = |&number: &u8| {
            Some(number) != cn && !formats.iter().any(|format| format.payload_type == number)
        };
        let unused = || [usual, 100, 102, 103, 104].into_iter().find(free);
        in_use.or_else(unused).unwrap_or(usual)
    }

    /// Of each clock the codec that stands first may be repeated. The number in use stays.
    fn offer_redundancy(&self, formats: &mut Vec<Format>) {
        let agreed = self.agreed.as_ref();
        for (clock_rate_hz, usual) in REDUNDANT_TYPES {
            let of = formats.iter().find_map(|format| match format.meaning {
                Meaning::Codec(codec) if codec.clock_rate_hz() == clock_rate_hz => {
                    Some(format.payload_type)
                }
                _ => None,
            });
            let in_use = agreed
                .filter(|it| Some(it.payload_type) == of)
                .and_then(|it| it.redundant);
            let payload_type = in_use.unwrap_or(usual);
            let free = !formats.iter().any(|it| it.payload_type == payload_type);
            if let Some(of) = of.filter(|_| free) {
                formats.push(Format {
                    payload_type,
                    meaning: Meaning::Redundant { clock_rate_hz, of },
                });
            }
        }
    }

    /// What our offer says: all our codecs, the agreed one first and by its number (RFC 3264 §8.3.2).
    pub(super) fn our_stream(&self) -> Stream {
        let agreed = self.agreed.as_ref();
        let mut formats = Vec::new();
        if let Some(agreed) = agreed.filter(|agreed| self.local.codecs.contains(&agreed.codec)) {
            formats.push(Format {
                payload_type: agreed.payload_type,
                meaning: Meaning::Codec(agreed.codec),
            });
        }
        for &codec in &self.local.codecs {
            let (payload_type, meaning) = (codec.payload_type(), Meaning::Codec(codec));
            let taken =
                |known: &Format| known.meaning == meaning || known.payload_type == payload_type;
            if !formats.iter().any(taken) {
                formats.push(Format {
                    payload_type,
                    meaning,
                });
            }
        }
        let mut clocks: Vec<u32> = Vec::new();
        for codec in &self.local.codecs {
            if !clocks.contains(&codec.clock_rate_hz()) {
                clocks.push(codec.clock_rate_hz());
            }
        }
        // Of other clocks there is no comfort noise: their codecs have their own.
        if self.local.comfort_noise && clocks.contains(&CN_CLOCK_HZ) {
            formats.push(Format {
                payload_type: agreed.and_then(|agreed| agreed.cn).unwrap_or(CN_TYPE),
                meaning: Meaning::ComfortNoise {
                    clock_rate_hz: CN_CLOCK_HZ,
                },
            });
        }
        // Many a telephone has its events on the usual clock alone, whatever the codec's.
        if self.local.codecs.contains(&Codec::Opus) && !clocks.contains(&EVENT_CLOCK_HZ) {
            clocks.push(EVENT_CLOCK_HZ);
        }
        for &clock_rate_hz in clocks.iter().filter(|_| self.local.dtmf) {
            formats.push(Format {
                payload_type: self.our_dtmf_type(clock_rate_hz, &formats),
                meaning: Meaning::TelephoneEvent { clock_rate_hz },
            });
        }
        if self.local.redundancy {
            self.offer_redundancy(&mut formats);
        }
        Stream {
            formats,
            direction: self.local.direction,
            rtcp_mux: self.local.rtcp_mux
                || self.local.web.is_some()
                || agreed.is_some_and(|agreed| agreed.rtcp_mux),
            keys: self.our_keys(),
            modes: self.local.modes,
            // The peer chooses, and must choose to begin (RFC 8842 §5.2).
            setup: "actpass",
        }
    }
}

/// What an answer lists: the one codec, and what goes with it, by the offerer's numbers.
pub(super) fn answer_formats(agreed: &Agreed) -> Vec<Format> {
    let clock_rate_hz = agreed.codec.clock_rate_hz();
    let events = Meaning::TelephoneEvent {
        clock_rate_hz: agreed.dtmf_clock_rate_hz,
    };
    let with = |payload_type, meaning| Format {
        payload_type,
        meaning,
    };
    let codec = with(agreed.payload_type, Meaning::Codec(agreed.codec));
    let cn = agreed
        .cn
        .map(|number| with(number, Meaning::ComfortNoise { clock_rate_hz }));
    let dtmf = agreed.dtmf_payload_type.map(|number| with(number, events));
    let of = agreed.payload_type;
    let redundant = agreed
        .redundant
        .map(|number| with(number, Meaning::Redundant { clock_rate_hz, of }));
    let all = [Some(codec), cn, dtmf, redundant];
    all.into_iter().flatten().collect()
}

/// Our usual numbers for telephone-events; others choose their own.
const DTMF_TYPE: u8 = 101;
const DTMF_TYPE_48K: u8 = 110;
const DTMF_TYPE_16K: u8 = 113;
/// Our usual numbers for redundant packets, by clock: of Opus the one that browsers have.
const REDUNDANT_TYPES: [(u32, u8); 3] = [(8_000, 121), (16_000, 122), (48_000, 63)];
/// Comfort noise at 8 kHz (RFC 3551 §6).
const CN_TYPE: u8 = 13;
const CN_CLOCK_HZ: u32 = 8_000;
