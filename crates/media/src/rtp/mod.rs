//! RTP (RFC 3550): packets, RTCP, reception statistics and telephone-events (RFC 4733).
//!
//! Packets are read as views over borrowed bytes and written into the caller's buffer. Parsing is
//! `rtp-rs`'s, whose reader checks every length up front; its builder is not used, because it
//! allocates for each packet and the media plane may not.

pub mod event;
mod ntp;
mod packet;
pub mod red;
pub mod rtcp;
pub mod runs;
mod sequence;
pub mod stats;
pub mod xr;

pub use ntp::NtpTime;
pub use packet::{HEADER_LEN, Header, Packet, PacketError, rewrite_header, write_header};
pub use sequence::{RtpTime, Sequence, SequenceExtender, TimeExtender};

#[cfg(test)]
mod tests;
