//! SRTP: packets encrypted and authenticated in place (RFC 3711, RFC 7714).
//!
//! ```text
//!   MasterKey ─ key derivation ─▶ Protector    one stream out: RTP and RTCP
//!                              └▶ Unprotector  what one peer sends: a few sources
//! ```
//!
//! A direction is keyed once: the schedule of AES and the inner state of HMAC are kept, and nothing
//! is allocated for a packet. Where keys come from (SDES, DTLS) is not known here; both give a
//! [`MasterKey`] a direction. Keys are overwritten when dropped and never printed.
//!
//! A packet whose tag is wrong is left as it was. No packet index is ever used twice to send: with
//! two packets under one index their difference is readable, and with GCM tags can be forged.

use zeroize::{Zeroize, ZeroizeOnDrop};

mod cipher;
mod derive;
mod protect;
mod session;
mod unprotect;
mod window;

pub use protect::Protector;
pub use unprotect::{SOURCES_MAX, Unprotector};

/// What is done to a packet: the names of SDP's `a=crypto` (RFC 4568 §6.2, RFC 7714 §14.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Suite {
    /// AES in counter mode, a tag of 80 bits.
    AesCm128HmacSha1_80,
    /// AES in counter mode, a tag of 32 bits; of 80 for RTCP.
    AesCm128HmacSha1_32,
    /// AES-GCM with a key of 128 bits, a tag of 128 bits.
    AeadAes128Gcm,
    /// AES-GCM with a key of 256 bits, a tag of 128 bits.
    AeadAes256Gcm,
}

impl Suite {
    /// All of them, the strongest first.
    pub const ALL: [Self; 4] = [
        Self::AeadAes256Gcm,
        Self::AeadAes128Gcm,
        Self::AesCm128HmacSha1_80,
        Self::AesCm128HmacSha1_32,
    ];

    /// Bytes of its master key.
    pub const fn key_len(self) -> usize {
        match self {
            Self::AeadAes256Gcm => 32,
            _ => 16,
        }
    }

    /// Bytes of its master salt.
    pub const fn salt_len(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => 14,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
        }
    }

    /// By how many bytes an RTP packet grows.
    pub const fn tag_len(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 => 10,
            Self::AesCm128HmacSha1_32 => 4,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
        }
    }
}

/// The most bytes that any suite adds to a packet: RTCP with a tag of GCM.
pub const OVERHEAD_MAX: usize = 20;

/// A master key and its salt, of one direction.
///
/// Equality is for one's own keys: whether a re-offer brought a new one.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey {
    #[zeroize(skip)]
    suite: Suite,
    /// The key, then the salt, then zeros.
    bytes: [u8; MASTER_MAX],
}

const MASTER_MAX: usize = 32 + 14;

impl MasterKey {
    /// A key of `suite` from its bytes: the key, then the salt, as SDES and DTLS give them.
    /// `None` when they are not [`Suite::key_len`] and [`Suite::salt_len`] together.
    pub fn new(suite: Suite, key_and_salt: &[u8]) -> Option<Self> {
        if key_and_salt.len() != suite.key_len() + suite.salt_len() {
            return None;
        }
        let mut bytes = [0; MASTER_MAX];
        bytes
            .get_mut(..key_and_salt.len())?
            .copy_from_slice(key_and_salt);
        Some(Self { suite, bytes })
    }

    /// What it is for.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    fn key(&self) -> &[u8] {
        self.bytes.get(..self.suite.key_len()).unwrap_or_default()
    }

    fn salt(&self) -> &[u8] {
        let (start, len) = (self.suite.key_len(), self.suite.salt_len());
        self.bytes.get(start..start + len).unwrap_or_default()
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MasterKey({:?}, secret)", self.suite)
    }
}

/// Why a packet was not protected or not accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SrtpError {
    /// It is no RTP or RTCP, or too short to be protected.
    #[error("the packet is too short, or its version is not 2")]
    Malformed,
    /// Its tag is not ours: forged, damaged, of another key, or in clear.
    #[error("the packet's authentication tag is wrong")]
    Unauthentic,
    /// It came before, or is older than the window of 128 tells apart.
    #[error("the packet came before, or is too old to know")]
    Replayed,
    /// The buffer has no room for the tag.
    #[error("the buffer has no room for the tag")]
    NoRoom,
    /// The key has protected as many packets as one may: 2⁴⁸ of RTP, 2³¹ of RTCP (RFC 3711 §9.2).
    #[error("the key has protected as many packets as one may")]
    Exhausted,
}

/// The length of an RTP packet's header with contributing sources and extension: what stays in clear.
fn header_len(packet: &[u8]) -> Result<usize, SrtpError> {
    let &[first, ..] = packet else {
        return Err(SrtpError::Malformed);
    };
    if first >> 6 != 2 {
        return Err(SrtpError::Malformed);
    }
    let mut len = crate::rtp::HEADER_LEN + 4 * usize::from(first & 15);
    if first & 0x10 != 0 {
        let words = packet.get(len + 2..).and_then(<[u8]>::first_chunk);
        let words = words.ok_or(SrtpError::Malformed)?;
        len += 4 + 4 * usize::from(u16::from_be_bytes(*words));
    }
    if len > packet.len() {
        return Err(SrtpError::Malformed);
    }
    Ok(len)
}

/// An RTP packet's sequence number and source.
fn stream_of(packet: &[u8]) -> Result<(u16, u32), SrtpError> {
    match packet {
        &[_, _, s0, s1, _, _, _, _, a, b, c, d, ..] => Ok((
            u16::from_be_bytes([s0, s1]),
            u32::from_be_bytes([a, b, c, d]),
        )),
        _ => Err(SrtpError::Malformed),
    }
}

/// Who sent an RTCP packet, whose first eight bytes stay in clear.
fn rtcp_sender(packet: &[u8]) -> Result<u32, SrtpError> {
    match packet {
        &[first, _, _, _, a, b, c, d, ..] if first >> 6 == 2 => {
            Ok(u32::from_be_bytes([a, b, c, d]))
        }
        _ => Err(SrtpError::Malformed),
    }
}

#[cfg(test)]
mod tests;
