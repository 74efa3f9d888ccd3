//! RTCP extended reports (RFC 3611): the VoIP metrics of one source, block type 7, read and written.
//!
//! ```text
//!  |   BT=7        |   reserved    |         length = 8            |
//!  |                        SSRC of source                         |
//!  |   loss rate   | discard rate  | burst density |  gap density  |
//!  |        burst duration         |         gap duration          |
//!  |      round trip delay         |       end system delay        |
//!  | signal level  |  noise level  |     RERL      |     Gmin      |
//!  |   R factor    | ext. R factor |    MOS-LQ     |    MOS-CQ     |
//!  |   RX config   |   reserved    |          JB nominal           |
//!  |          JB maximum           |          JB abs max           |
//! ```

use super::rtcp::{Writer, word};
use super::runs::GMIN;

/// The metrics of one source as who hears it has them (RFC 3611 §4.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VoipMetrics {
    /// The source.
    pub ssrc: u32,
    /// Share of packets lost since the beginning, in 256ths.
    pub loss_rate: u8,
    /// Share of packets that came too late, in 256ths.
    pub discard_rate: u8,
    /// Share of losses within bursts, in 256ths.
    pub burst_density: u8,
    /// Share of losses outside of bursts, in 256ths.
    pub gap_density: u8,
    /// The mean length of bursts, in ms.
    pub burst_ms: u16,
    /// The mean length of gaps, in ms.
    pub gap_ms: u16,
    /// Time there and back, in ms; 0 if not known.
    pub round_trip_ms: u16,
    /// What encoder, decoder and playout buffer add, in ms; 0 if not known.
    pub end_system_ms: u16,
    /// Level of the speech, in dBm0.
    pub signal_dbm0: Option<i8>,
    /// Level of the pauses, in dBm0.
    pub noise_dbm0: Option<i8>,
    /// The rating of this leg, 0 to 100 (G.107).
    pub r_factor: Option<u8>,
    /// Opinion of listening, in tenths, 10 to 50.
    pub mos_lq: Option<u8>,
    /// Opinion of conversation, in tenths, 10 to 50.
    pub mos_cq: Option<u8>,
    /// How the receiver conceals and buffers.
    pub receiver: Receiver,
}

/// The receiver's concealment and playout buffer (RFC 3611 §4.7.6, §4.7.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receiver {
    /// PLC, JBA and JB rate as they stand in the octet.
    pub config: u8,
    /// The present delay of the playout buffer, in ms.
    pub nominal_ms: u16,
    /// The delay that the latest packet of now would have, in ms.
    pub maximum_ms: u16,
    /// The longest delay it may come to, in ms.
    pub limit_ms: u16,
}

/// RX config of a receiver that conceals well and adapts (RFC 3611 §4.7.6).
pub const ENHANCED_ADAPTIVE: u8 = 0b1111_0000;

/// The report blocks of one extended report. What is not of VoIP metrics is passed over.
#[derive(Clone, Copy, Debug)]
pub struct Blocks<'a> {
    bytes: &'a [u8],
}

impl<'a> Blocks<'a> {
    /// Of an extended report's body, behind its sender's SSRC.
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The VoIP metrics in it, in order; it ends at a block whose length cannot be.
    pub fn metrics(&self) -> impl Iterator<Item = VoipMetrics> + use<'a> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            while let [kind, _, high, low, after @ ..] = rest {
                let len = 4 * usize::from(u16::from_be_bytes([*high, *low]));
                let (body, next) = after.split_at_checked(len)?;
                rest = next;
                if let (VOIP_METRICS, Some(body)) = (*kind, body.first_chunk::<BODY_LEN>())
                    && len == BODY_LEN
                {
                    return Some(VoipMetrics::read(body));
                }
            }
            None
        })
    }
}

impl VoipMetrics {
    fn read(body: &[u8; BODY_LEN]) -> Self {
        let octets = |at: usize| word(body, at).to_be_bytes();
        let pair = |at: usize| {
            let [a, b, c, d] = octets(at);
            (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
        };
        let [loss_rate, discard_rate, burst_density, gap_density] = octets(4);
        let (burst_ms, gap_ms) = pair(8);
        let (round_trip_ms, end_system_ms) = pair(12);
        let [signal, noise, _, _] = octets(16);
        let [r, _, lq, cq] = octets(20);
        let [config, ..] = octets(24);
        let (_, nominal_ms) = pair(24);
        let (maximum_ms, limit_ms) = pair(28);
        let level = |octet: u8| (octet != UNKNOWN).then_some(octet.cast_signed());
        let within = |octet: u8, low: u8, high: u8| (low..=high).contains(&octet).then_some(octet);
        Self {
            ssrc: word(body, 0),
            loss_rate,
            discard_rate,
            burst_density,
            gap_density,
            burst_ms,
            gap_ms,
            round_trip_ms,
            end_system_ms,
            signal_dbm0: level(signal),
            noise_dbm0: level(noise),
            r_factor: within(r, 0, 100),
            mos_lq: within(lq, 10, 50),
            mos_cq: within(cq, 10, 50),
            receiver: Receiver {
                config,
                nominal_ms,
                maximum_ms,
                limit_ms,
            },
        }
    }
}

/// Appends an extended report of `from` about one source to the compound of `len` bytes in `out`; gives
/// the new length, `None` when there is no room.
#[must_use]
pub fn append_metrics(
    out: &mut [u8],
    len: usize,
    from: u32,
    metrics: &VoipMetrics,
) -> Option<usize> {
    let mut writer = Writer { out, at: len };
    writer.head(super::rtcp::EXTENDED, 0, 2 + BODY_LEN / 4)?;
    writer.word(from)?;
    writer.bytes(&[VOIP_METRICS, 0, 0, (BODY_LEN / 4) as u8])?;
    let it = metrics;
    let level = |level: Option<i8>| level.map_or(UNKNOWN, i8::cast_unsigned);
    let pair = |high: u16, low: u16| (u32::from(high) << 16) | u32::from(low);
    let or_unknown = |octet: Option<u8>| octet.unwrap_or(UNKNOWN);
    writer.word(it.ssrc)?;
    writer.bytes(&[
        it.loss_rate,
        it.discard_rate,
        it.burst_density,
        it.gap_density,
    ])?;
    writer.word(pair(it.burst_ms, it.gap_ms))?;
    writer.word(pair(it.round_trip_ms, it.end_system_ms))?;
    // No echo canceller of ours tells its residual echo: RERL is not known.
    let signal = level(it.signal_dbm0);
    writer.bytes(&[signal, level(it.noise_dbm0), UNKNOWN, GMIN as u8])?;
    let r = or_unknown(it.r_factor);
    writer.bytes(&[r, UNKNOWN, or_unknown(it.mos_lq), or_unknown(it.mos_cq)])?;
    let receiver = it.receiver;
    writer.bytes(&[receiver.config, 0])?;
    writer.bytes(&receiver.nominal_ms.to_be_bytes())?;
    writer.word(pair(receiver.maximum_ms, receiver.limit_ms))?;
    Some(writer.at)
}

const VOIP_METRICS: u8 = 7;
const BODY_LEN: usize = 32;
/// "Unavailable" (RFC 3611 §4.7.4, §4.7.5).
const UNKNOWN: u8 = 127;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::rtcp::{Compound, RtcpPacket, write_report};

    fn metrics() -> VoipMetrics {
        VoipMetrics {
            ssrc: 0xDEAD_BEEF,
            loss_rate: 12,
            discard_rate: 3,
            burst_density: 200,
            gap_density: 2,
            burst_ms: 640,
            gap_ms: 20_000,
            round_trip_ms: 80,
            end_system_ms: 60,
            signal_dbm0: Some(-17),
            noise_dbm0: None,
            r_factor: Some(78),
            mos_lq: None,
            mos_cq: Some(39),
            receiver: Receiver {
                config: ENHANCED_ADAPTIVE,
                nominal_ms: 40,
                maximum_ms: 60,
                limit_ms: 500,
            },
        }
    }

    /// A compound of a report and these blocks.
    fn compound(out: &mut [u8; 400], metrics: &VoipMetrics) -> usize {
        let len = write_report(out, 7, None, &[], "name").unwrap();
        append_metrics(out, len, 7, metrics).unwrap()
    }

    // covers: RFC 3611 §4.7
    #[test]
    fn what_is_written_is_read_back() {
        let mut out = [0; 400];
        let len = compound(&mut out, &metrics());
        let packets: Vec<_> = Compound::parse(&out[..len]).unwrap().packets().collect();
        let RtcpPacket::Extended { ssrc: 7, blocks } = packets[2] else {
            panic!("{packets:?}")
        };
        assert_eq!(blocks.metrics().collect::<Vec<_>>(), [metrics()]);
        assert_eq!(append_metrics(&mut [0; 43], 0, 7, &metrics()), None);
        assert_eq!(append_metrics(&mut [0; 44], 0, 7, &metrics()), Some(44));
    }

    // covers: RFC 3611 §4.7
    #[test]
    fn the_block_lies_as_the_standard_draws_it() {
        let mut out = [0; 44];
        append_metrics(&mut out, 0, 7, &metrics()).unwrap();
        #[rustfmt::skip]
        let want = [
            0x80, 207, 0, 10, 0, 0, 0, 7,
            7, 0, 0, 8, 0xDE, 0xAD, 0xBE, 0xEF,
            12, 3, 200, 2, 0x02, 0x80, 0x4E, 0x20,
            0, 80, 0, 60, 0xEF, 127, 127, 16,
            78, 127, 127, 39, 0xF0, 0, 0, 40,
            0, 60, 0x01, 0xF4,
        ];
        assert_eq!(out, want);
    }

    // covers: RFC 3611 §4.7
    #[test]
    fn other_blocks_are_passed_over_and_a_length_that_cannot_be_ends_the_report() {
        let mut out = [0; 400];
        let len = compound(&mut out, &metrics());
        let block = out[len - 36..len].to_vec();
        let reference_time = [4, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8];
        let too_long = [5, 0, 0, 9, 1, 2, 3, 4];
        let short = [7, 0, 0, 1, 1, 2, 3, 4];
        for (blocks, found) in [
            ([&reference_time[..], &block].concat(), 1),
            ([&block[..], &reference_time, &block].concat(), 2),
            ([&block[..], &too_long, &block].concat(), 2 - 1),
            ([&short[..], &block].concat(), 1),
            (vec![7, 0, 0], 0),
            (vec![], 0),
        ] {
            let found_now = Blocks::of(&blocks).metrics().count();
            assert_eq!(found_now, found, "{blocks:?}");
        }
    }
}
