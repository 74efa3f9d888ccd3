//! One RTP packet (RFC 3550 §5.1): a checked view over borrowed bytes, and a header writer.

use super::{RtpTime, Sequence};

/// Bytes of a fixed RTP header without contributing sources or extension.
pub const HEADER_LEN: usize = 12;

/// The fields of an RTP header that a media stream lives by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// First packet after a pause (RFC 3551 §4.1), or first of a telephone-event (RFC 4733 §2.5.1.2).
    pub marker: bool,
    /// 0 to 127; what it means was agreed in SDP.
    pub payload_type: u8,
    /// Counts packets; steps by one for each sent.
    pub sequence: Sequence,
    /// The sampling instant of the payload's first sample.
    pub time: RtpTime,
    /// Whose clock and counter the two fields above are.
    pub ssrc: u32,
}

/// Why bytes are not an RTP packet. Always the sender's fault; never worth a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Fewer bytes than a fixed header.
    #[error("{0} bytes are too few for an RTP header")]
    TooShort(usize),
    /// Another protocol, or RTP of another version.
    #[error("RTP version {0}, want 2")]
    Version(u8),
    /// The header claims more contributing sources or extension than there are bytes.
    #[error("the header needs {need} bytes, have {have}")]
    Truncated {
        /// Bytes that the header claims.
        need: usize,
        /// Bytes that are there.
        have: usize,
    },
    /// The padding count is zero or larger than the payload.
    #[error("a padding count of {0} does not fit the payload")]
    Padding(u8),
}

impl From<rtp_rs::RtpReaderError> for PacketError {
    fn from(error: rtp_rs::RtpReaderError) -> Self {
        use rtp_rs::RtpReaderError as E;
        match error {
            E::BufferTooShort(have) => Self::TooShort(have),
            E::UnsupportedVersion(version) => Self::Version(version),
            E::HeadersTruncated {
                header_len,
                buffer_len,
            } => Self::Truncated {
                need: header_len,
                have: buffer_len,
            },
            E::PaddingLengthInvalid(count) => Self::Padding(count),
        }
    }
}

/// A received RTP packet whose every length has been checked. Borrows the bytes; copies nothing.
#[derive(Debug)]
pub struct Packet<'a> {
    reader: rtp_rs::RtpReader<'a>,
    payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a packet as it came from the network.
    ///
    /// # Errors
    /// [`PacketError`] when a length the header claims is not there, or the version is not 2.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PacketError> {
        let reader = rtp_rs::RtpReader::new(bytes)?;
        let payload = reader.payload();
        Ok(Self { reader, payload })
    }

    /// The header's fields.
    pub fn header(&self) -> Header {
        Header {
            marker: self.reader.mark(),
            payload_type: self.reader.payload_type(),
            sequence: Sequence(u16::from(self.reader.sequence_number())),
            time: RtpTime(self.reader.timestamp()),
            ssrc: self.reader.ssrc(),
        }
    }

    /// The payload without padding; may be empty.
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Where the payload starts in the packet's bytes, for work in place.
    pub fn payload_offset(&self) -> usize {
        self.reader.payload_offset()
    }

    /// The contributing sources, at most 15 (RFC 3550 §5.1).
    pub fn contributing(&self) -> impl Iterator<Item = u32> + '_ {
        self.reader.csrc()
    }

    /// The header extension: its profile's identifier and its bytes (RFC 3550 §5.3.1).
    pub fn extension(&self) -> Option<(u16, &'a [u8])> {
        self.reader.extension()
    }
}

/// Writes `header` at the start of `out` and gives the bytes after it, where the payload goes.
///
/// `None` when `out` is shorter than [`HEADER_LEN`]. No contributing sources, extension or padding.
#[must_use]
pub fn write_header<'a>(header: &Header, out: &'a mut [u8]) -> Option<&'a mut [u8]> {
    let (head, rest) = out.split_first_chunk_mut::<HEADER_LEN>()?;
    head[0] = 0x80;
    put_fields(header, head);
    Some(rest)
}

/// Overwrites the fields of `header` in a packet that was parsed before; contributing sources,
/// extension, padding and payload stay. `false`, and nothing done, when `packet` is too short.
#[must_use]
pub fn rewrite_header(header: &Header, packet: &mut [u8]) -> bool {
    let Some(head) = packet.first_chunk_mut::<HEADER_LEN>() else {
        return false;
    };
    put_fields(header, head);
    true
}

fn put_fields(header: &Header, head: &mut [u8; HEADER_LEN]) {
    head[1] = (u8::from(header.marker) << 7) | (header.payload_type & 0x7F);
    head[2..4].copy_from_slice(&header.sequence.0.to_be_bytes());
    head[4..8].copy_from_slice(&header.time.0.to_be_bytes());
    head[8..12].copy_from_slice(&header.ssrc.to_be_bytes());
}
