//! One direction under one master key: both transforms, keyed.

use super::MasterKey;
use super::cipher::Cipher;
use super::derive::SessionKeys;

/// What a sender and a receiver share.
pub(super) struct Session {
    pub(super) master: MasterKey,
    pub(super) rtp: Cipher,
    pub(super) rtcp: Cipher,
}

impl Session {
    /// Keyed by derivation (RFC 3711 §4.3). `None` never, for a key that exists.
    pub(super) fn new(master: MasterKey) -> Option<Self> {
        let (rtp, rtcp) = (SessionKeys::rtp(&master), SessionKeys::rtcp(&master));
        Self::keyed(master, &rtp, &rtcp)
    }

    pub(super) fn keyed(master: MasterKey, rtp: &SessionKeys, rtcp: &SessionKeys) -> Option<Self> {
        Some(Self {
            rtp: Cipher::rtp(master.suite(), rtp)?,
            rtcp: Cipher::rtcp(master.suite(), rtcp)?,
            master,
        })
    }
}

/// Never the keys: only what the master key says of itself.
impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.master.fmt(f)
    }
}
