//! RTCP (RFC 3550 §6): compound packets read as views, reports and goodbyes written in place.
//!
//! A compound is checked whole before any of it is believed (appendix A.2): version, lengths that
//! add up, padding in the last packet only, a report first. Reduced-size RTCP (RFC 5506) is
//! refused: nobody has been offered it.

use super::NtpTime;
use super::xr::Blocks;

/// Why bytes are not a compound RTCP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RtcpError {
    /// Nothing, or a packet that ends before its header or its claimed length does.
    #[error("RTCP packet at byte {at} is cut short")]
    Truncated {
        /// Where the packet starts.
        at: usize,
    },
    /// Another protocol, or another version.
    #[error("RTCP packet at byte {at} has version {version}, want 2")]
    Version {
        /// Where the packet starts.
        at: usize,
        /// What it claims.
        version: u8,
    },
    /// The first packet is neither a sender nor a receiver report.
    #[error("an RTCP compound starts with type {0}, want 200 or 201")]
    NoReport(u8),
    /// Padding where none may be, or of a length that does not fit.
    #[error("RTCP packet at byte {at} is wrongly padded")]
    Padding {
        /// Where the packet starts.
        at: usize,
    },
    /// The fields counted in the header need more bytes than the packet has.
    #[error("RTCP packet at byte {at} counts more than it holds")]
    Count {
        /// Where the packet starts.
        at: usize,
    },
}

/// A checked compound packet. Borrows the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Compound<'a> {
    bytes: &'a [u8],
}

/// One packet of a compound.
#[derive(Clone, Copy, Debug)]
pub enum RtcpPacket<'a> {
    /// SR: what the sender has sent, and what it hears.
    SenderReport {
        /// Who reports.
        ssrc: u32,
        /// What it has sent.
        sender: SenderInfo,
        /// What it hears of others.
        blocks: ReportBlocks<'a>,
    },
    /// RR: what a receiver hears.
    ReceiverReport {
        /// Who reports.
        ssrc: u32,
        /// What it hears of others.
        blocks: ReportBlocks<'a>,
    },
    /// SDES: who the sources are.
    Description(Chunks<'a>),
    /// BYE: these sources are gone.
    Goodbye(Goodbye<'a>),
    /// XR: what a receiver tells beyond its report (RFC 3611 §2).
    Extended {
        /// Who reports.
        ssrc: u32,
        /// What it tells.
        blocks: Blocks<'a>,
    },
    /// APP and feedback: not ours to read.
    Other {
        /// Its packet type.
        packet_type: u8,
        /// The five bits of its header that vary by type.
        count: u8,
    },
}

/// What a sender says of its own stream (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    /// Wall-clock time of the report.
    pub ntp: NtpTime,
    /// The same moment on the stream's sampling clock.
    pub rtp: super::RtpTime,
    /// Packets sent since the stream began.
    pub packets: u32,
    /// Payload bytes sent since the stream began.
    pub octets: u32,
}

/// What a receiver says of one source (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The source reported on.
    pub ssrc: u32,
    /// Share of packets lost since the last report, in 256ths.
    pub fraction_lost: u8,
    /// Packets lost since the beginning, negative when duplicates exceed losses; 24 bits.
    pub lost: i32,
    /// The highest sequence number received, turns in the upper half.
    pub highest_sequence: u32,
    /// Interarrival jitter, in ticks of the RTP clock.
    pub jitter: u32,
    /// The middle 32 bits of the last sender report's NTP time, 0 if none came.
    pub last_sr: u32,
    /// Time since it came, in 65,536ths of a second.
    pub delay_since_last_sr: u32,
}

impl<'a> Compound<'a> {
    /// Checks `bytes` as they came from the network, decrypted.
    ///
    /// # Errors
    /// [`RtcpError`], with the byte at which the first bad packet starts.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RtcpError> {
        let mut at = 0;
        loop {
            let raw = Raw::at(bytes, at)?;
            if at == 0 && !matches!(raw.packet_type, SENDER_REPORT | RECEIVER_REPORT) {
                return Err(RtcpError::NoReport(raw.packet_type));
            }
            let next = at + raw.len;
            if raw.padded && next != bytes.len() {
                return Err(RtcpError::Padding { at });
            }
            if raw.body.len() < raw.least_body() {
                return Err(RtcpError::Count { at });
            }
            if next == bytes.len() {
                return Ok(Self { bytes });
            }
            at = next;
        }
    }

    /// Its packets in order.
    pub fn packets(&self) -> impl Iterator<Item = RtcpPacket<'a>> + use<'a> {
        let bytes = self.bytes;
        let mut at = 0;
        std::iter::from_fn(move || {
            let raw = Raw::at(bytes, at).ok()?;
            at += raw.len;
            Some(raw.read())
        })
    }
}

/// One packet's header and body, lengths checked.
struct Raw<'a> {
    packet_type: u8,
    count: u8,
    padded: bool,
    /// Whole length in bytes, header and padding included.
    len: usize,
    /// What follows the header, without padding.
    body: &'a [u8],
}

impl<'a> Raw<'a> {
    fn at(bytes: &'a [u8], at: usize) -> Result<Self, RtcpError> {
        let rest = bytes.get(at..).unwrap_or_default();
        let &[first, packet_type, high, low] =
            rest.first_chunk::<4>().ok_or(RtcpError::Truncated { at })?;
        if first >> 6 != 2 {
            return Err(RtcpError::Version {
                at,
                version: first >> 6,
            });
        }
        let len = 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
        let mut body = rest.get(4..len).ok_or(RtcpError::Truncated { at })?;
        let padded = first & 0x20 != 0;
        if padded {
            let count = usize::from(body.last().copied().unwrap_or(0));
            let fits = count > 0 && count.is_multiple_of(4);
            let kept = body.len().checked_sub(count).filter(|_| fits);
            body = kept
                .and_then(|kept| body.get(..kept))
                .ok_or(RtcpError::Padding { at })?;
        }
        Ok(Self {
            packet_type,
            count: first & 0x1F,
            padded,
            len,
            body,
        })
    }

    fn least_body(&self) -> usize {
        let count = usize::from(self.count);
        match self.packet_type {
            SENDER_REPORT => 24 + count * BLOCK_LEN,
            RECEIVER_REPORT => 4 + count * BLOCK_LEN,
            GOODBYE => count * 4,
            // Each chunk has at least a source and an end of items, padded to four bytes.
            DESCRIPTION => count * 8,
            EXTENDED => 4,
            _ => 0,
        }
    }

    fn read(&self) -> RtcpPacket<'a> {
        let (count, body) = (usize::from(self.count), self.body);
        let blocks = |from: usize| ReportBlocks {
            bytes: body.get(from..from + count * BLOCK_LEN).unwrap_or_default(),
        };
        match self.packet_type {
            SENDER_REPORT => RtcpPacket::SenderReport {
                ssrc: word(body, 0),
                sender: SenderInfo {
                    ntp: NtpTime((u64::from(word(body, 4)) << 32) | u64::from(word(body, 8))),
                    rtp: super::RtpTime(word(body, 12)),
                    packets: word(body, 16),
                    octets: word(body, 20),
                },
                blocks: blocks(24),
            },
            RECEIVER_REPORT => RtcpPacket::ReceiverReport {
                ssrc: word(body, 0),
                blocks: blocks(4),
            },
            DESCRIPTION => RtcpPacket::Description(Chunks {
                bytes: body,
                left: self.count,
            }),
            GOODBYE => {
                let (sources, reason) = body.split_at_checked(count * 4).unwrap_or((body, &[]));
                RtcpPacket::Goodbye(Goodbye { sources, reason })
            }
            EXTENDED => RtcpPacket::Extended {
                ssrc: word(body, 0),
                blocks: Blocks::of(body.get(4..).unwrap_or_default()),
            },
            packet_type => RtcpPacket::Other {
                packet_type,
                count: self.count,
            },
        }
    }
}

/// The report blocks of one packet: at most 31.
#[derive(Clone, Copy, Debug)]
pub struct ReportBlocks<'a> {
    bytes: &'a [u8],
}

impl<'a> ReportBlocks<'a> {
    /// The blocks in order.
    pub fn iter(&self) -> impl Iterator<Item = ReportBlock> + use<'a> {
        self.bytes.chunks_exact(BLOCK_LEN).map(|block| ReportBlock {
            ssrc: word(block, 0),
            fraction_lost: (word(block, 4) >> 24) as u8,
            // The sign of 24 bits is carried into 32.
            lost: (word(block, 4) << 8).cast_signed() >> 8,
            highest_sequence: word(block, 8),
            jitter: word(block, 12),
            last_sr: word(block, 16),
            delay_since_last_sr: word(block, 20),
        })
    }

    /// What is said of `ssrc`, if anything.
    pub fn about(&self, ssrc: u32) -> Option<ReportBlock> {
        self.iter().find(|block| block.ssrc == ssrc)
    }
}

/// The sources that have gone, and why.
#[derive(Clone, Copy, Debug)]
pub struct Goodbye<'a> {
    sources: &'a [u8],
    reason: &'a [u8],
}

impl<'a> Goodbye<'a> {
    /// The sources: at most 31.
    pub fn sources(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.sources.chunks_exact(4).map(|source| word(source, 0))
    }

    /// The reason in words, if one is given whole and in UTF-8.
    pub fn reason(&self) -> Option<&'a str> {
        let (&len, text) = self.reason.split_first()?;
        std::str::from_utf8(text.get(..usize::from(len))?).ok()
    }
}

/// The chunks of a source description: one for each source, at most 31.
#[derive(Clone, Copy, Debug)]
pub struct Chunks<'a> {
    bytes: &'a [u8],
    left: u8,
}

impl<'a> Iterator for Chunks<'a> {
    /// A source and its canonical name, if the chunk has one in UTF-8.
    type Item = (u32, Option<&'a str>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (ssrc, mut items) = self.bytes.split_first_chunk::<4>()?;
        let ssrc = u32::from_be_bytes(*ssrc);
        let (mut name, mut used) = (None, 4);
        // Items are type, length, text; type 0 ends them and pads to the next word.
        while let [kind, len, rest @ ..] = items
            && *kind != 0
        {
            let (text, after) = rest.split_at_checked(usize::from(*len))?;
            if *kind == CNAME {
                name = std::str::from_utf8(text).ok();
            }
            items = after;
            used += 2 + text.len();
        }
        self.bytes = self
            .bytes
            .get((used + 1).next_multiple_of(4)..)
            .unwrap_or_default();
        Some((ssrc, name))
    }
}

/// Writes a compound of a report and a source description into `out`; gives its length.
///
/// A sender report when `sender` is given, else a receiver report; at most 31 `blocks` (further
/// ones are left out) and 255 bytes of `cname`. `None` when `out` is too small, its content then
/// undefined: 28 + 24 per block + about 10 + the name are needed.
#[must_use]
pub fn write_report(
    out: &mut [u8],
    ssrc: u32,
    sender: Option<&SenderInfo>,
    blocks: &[ReportBlock],
    cname: &str,
) -> Option<usize> {
    let blocks = blocks.get(..31).unwrap_or(blocks);
    let mut writer = Writer { out, at: 0 };
    let packet_type = if sender.is_some() {
        SENDER_REPORT
    } else {
        RECEIVER_REPORT
    };
    let words = 1 + if sender.is_some() { 5 } else { 0 } + 6 * blocks.len();
    writer.head(packet_type, blocks.len(), words)?;
    writer.word(ssrc)?;
    if let Some(sender) = sender {
        writer.word((sender.ntp.0 >> 32) as u32)?;
        writer.word((sender.ntp.0 & 0xFFFF_FFFF) as u32)?;
        writer.word(sender.rtp.0)?;
        writer.word(sender.packets)?;
        writer.word(sender.octets)?;
    }
    for block in blocks {
        writer.word(block.ssrc)?;
        let lost = block.lost.clamp(LOST_MIN, LOST_MAX).cast_unsigned() & 0xFF_FFFF;
        writer.word((u32::from(block.fraction_lost) << 24) | lost)?;
        writer.word(block.highest_sequence)?;
        writer.word(block.jitter)?;
        writer.word(block.last_sr)?;
        writer.word(block.delay_since_last_sr)?;
    }
    let name = cname.as_bytes();
    let name = name.get(..255).unwrap_or(name);
    let padded = (2 + name.len() + 1).next_multiple_of(4);
    writer.head(DESCRIPTION, 1, 1 + padded / 4)?;
    writer.word(ssrc)?;
    // 255 at most.
    writer.bytes(&[CNAME, name.len() as u8])?;
    writer.bytes(name)?;
    writer.bytes([0; 4].get(..padded - 2 - name.len())?)?;
    Some(writer.at)
}

/// Appends a goodbye of `ssrc` to the compound of `len` bytes in `out`; gives the new length.
///
/// `None` when there is no room.
#[must_use]
pub fn append_goodbye(out: &mut [u8], len: usize, ssrc: u32) -> Option<usize> {
    let mut writer = Writer { out, at: len };
    writer.head(GOODBYE, 1, 1)?;
    writer.word(ssrc)?;
    Some(writer.at)
}

pub(super) struct Writer<'a> {
    pub(super) out: &'a mut [u8],
    pub(super) at: usize,
}

impl Writer<'_> {
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        let to = self
            .out
            .get_mut(self.at..self.at.checked_add(bytes.len())?)?;
        to.copy_from_slice(bytes);
        self.at += bytes.len();
        Some(())
    }

    pub(super) fn word(&mut self, word: u32) -> Option<()> {
        self.bytes(&word.to_be_bytes())
    }

    /// `words`: the length of what follows the header, at most 31 blocks and a name.
    pub(super) fn head(&mut self, packet_type: u8, count: usize, words: usize) -> Option<()> {
        let [high, low] = u16::try_from(words).ok()?.to_be_bytes();
        self.bytes(&[0x80 | (count as u8 & 0x1F), packet_type, high, low])
    }
}

/// The big-endian word at `at`, 0 past the end; callers have checked the length.
pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>());
    word.map_or(0, |word| u32::from_be_bytes(*word))
}

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
pub(super) const EXTENDED: u8 = 207;
const CNAME: u8 = 1;
const BLOCK_LEN: usize = 24;

/// What 24 signed bits can say.
const LOST_MAX: i32 = 0x7F_FFFF;
const LOST_MIN: i32 = -0x80_0000;

#[cfg(test)]
#[path = "rtcp_tests.rs"]
mod tests;
