//! The sender's side: one stream's packets, each under an index of its own.

use super::cipher::Parts;
use super::session::Session;
use super::window::Window;
use super::{MasterKey, SrtpError, header_len, rtcp_sender, stream_of};

/// Protects what one source sends, RTP and RTCP.
///
/// Packets may come a little out of order, as a relay has them, but an index is used once: the
/// window refuses the second.
#[derive(Debug)]
pub struct Protector {
    session: Session,
    sent: Option<Window>,
    reports: u32,
}

impl Protector {
    /// A stream that begins with a rollover counter of zero. `None` never, for a key that exists.
    pub fn new(master: MasterKey) -> Option<Self> {
        Session::new(master).map(Self::of)
    }

    pub(super) fn of(session: Session) -> Self {
        Self {
            session,
            sent: None,
            reports: 0,
        }
    }

    #[cfg(test)]
    pub(super) fn continue_from(&mut self, index: u64) {
        self.sent = Some(Window::near(index));
    }

    #[cfg(test)]
    pub(super) fn count_reports_from(&mut self, reports: u32) {
        self.reports = reports;
    }

    /// What it was keyed with.
    pub fn master(&self) -> &MasterKey {
        &self.session.master
    }

    /// Protects the RTP packet in the first `len` bytes of `buffer`, and gives its new length.
    ///
    /// *Media thread*: no allocation; some 200 ns for 172 bytes.
    ///
    /// # Errors
    /// [`SrtpError`], and the packet must not be sent: no header, no room for the tag, its index was
    /// used before, or the key is worn out.
    pub fn rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let packet = buffer.get(..len).ok_or(SrtpError::Malformed)?;
        let header = header_len(packet)?;
        let (sequence, ssrc) = stream_of(packet)?;
        let mut sent = self.sent.unwrap_or(Window::near(sequence.into()));
        let index = sent.guess(sequence).ok_or(SrtpError::Replayed)?;
        if index >= RTP_MAX {
            return Err(SrtpError::Exhausted);
        }
        if !sent.is_new(index) {
            return Err(SrtpError::Replayed);
        }
        let end = len + self.session.rtp.tag_len();
        let (packet, rest) = buffer.split_at_mut_checked(len).ok_or(SrtpError::NoRoom)?;
        let tag = rest.get_mut(..end - len).ok_or(SrtpError::NoRoom)?;
        let parts = Parts::of_rtp(packet, header, ssrc, index)?;
        sent.mark(index);
        self.sent = Some(sent);
        self.session.rtp.seal(parts, tag)?;
        Ok(end)
    }

    /// Protects the compound RTCP packet in the first `len` bytes of `buffer`, and gives its new length.
    ///
    /// # Errors
    /// As [`Protector::rtp`].
    pub fn rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let packet = buffer.get(..len).ok_or(SrtpError::Malformed)?;
        let ssrc = rtcp_sender(packet)?;
        if self.reports >= RTCP_MAX {
            return Err(SrtpError::Exhausted);
        }
        let tag_len = self.session.rtcp.tag_len();
        let (packet, rest) = buffer.split_at_mut_checked(len).ok_or(SrtpError::NoRoom)?;
        let rest = rest.get_mut(..tag_len + 4).ok_or(SrtpError::NoRoom)?;
        let (clear, secret) = packet.split_at_mut_checked(8).ok_or(SrtpError::Malformed)?;
        self.reports += 1;
        let word = (ENCRYPTED | self.reports).to_be_bytes();
        let associated = associated(clear, word);
        let aead = self.session.rtcp.is_aead();
        let parts = Parts {
            clear: if aead { &associated } else { clear },
            secret,
            after: word,
            ssrc,
            index: self.reports.into(),
        };
        // The index stands before a tag of HMAC and after one of GCM (RFC 7714 §9.2).
        let (first, second) = rest.split_at_mut(if aead { tag_len } else { 4 });
        let (tag, place) = if aead {
            (first, second)
        } else {
            (second, first)
        };
        place.copy_from_slice(&word);
        self.session.rtcp.seal(parts, tag)?;
        Ok(len + tag_len + 4)
    }
}

/// What GCM authenticates of RTCP beside the encrypted part (RFC 7714 §9.2).
pub(super) fn associated(head: &[u8], word: [u8; 4]) -> [u8; 12] {
    let mut bytes = [0; 12];
    for (place, byte) in bytes.iter_mut().zip(head.iter().take(8).chain(&word)) {
        *place = *byte;
    }
    bytes
}

/// RTP packets that one key may protect.
const RTP_MAX: u64 = 1 << 48;
/// The highest index of RTCP.
const RTCP_MAX: u32 = (1 << 31) - 1;
/// In RTCP's index: the packet is encrypted.
pub(super) const ENCRYPTED: u32 = 1 << 31;
