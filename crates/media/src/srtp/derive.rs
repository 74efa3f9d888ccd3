//! Session keys from a master key (RFC 3711 §4.3, RFC 6188 §2 for 256 bits, RFC 7714 §11 for GCM).
//!
//! The key derivation rate is zero: keys are derived once.

use aes::cipher::consts::U16;
use aes::cipher::{BlockCipherEncrypt, BlockSizeUser, InnerIvInit, KeyInit, StreamCipherCore};
use aes::{Aes128Enc, Aes256Enc};
use ctr::{CtrCore, flavors};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::MasterKey;

/// The keys of one direction's RTP, or of its RTCP.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct SessionKeys {
    /// As many bytes as the suite's master key has.
    pub(super) key: [u8; 32],
    pub(super) auth: [u8; 20],
    /// Of 14 bytes, or 12 and two zeros.
    pub(super) salt: [u8; 14],
}

impl SessionKeys {
    pub(super) fn rtp(master: &MasterKey) -> Self {
        Self::derive(master, [0, 1, 2])
    }

    pub(super) fn rtcp(master: &MasterKey) -> Self {
        Self::derive(master, [3, 4, 5])
    }

    fn derive(master: &MasterKey, [key, auth, salt]: [u8; 3]) -> Self {
        let mut keys = Self {
            key: [0; 32],
            auth: [0; 20],
            salt: [0; 14],
        };
        let (key_len, salt_len) = (master.suite().key_len(), master.suite().salt_len());
        expand(master, key, keys.key.get_mut(..key_len).unwrap_or_default());
        expand(master, auth, &mut keys.auth);
        expand(
            master,
            salt,
            keys.salt.get_mut(..salt_len).unwrap_or_default(),
        );
        keys
    }
}

/// The keystream of `label`: AES in counter mode from the salt with the label in it. A salt of 96
/// bits counts as one of 112 with zeros at its end.
fn expand(master: &MasterKey, label: u8, out: &mut [u8]) {
    let mut start = [0; 16];
    for (place, byte) in start.iter_mut().zip(master.salt()) {
        *place = *byte;
    }
    start[7] ^= label;
    out.fill(0);
    if let Ok(aes) = Aes128Enc::new_from_slice(master.key()) {
        apply_keystream(&aes, start, out);
    } else if let Ok(aes) = Aes256Enc::new_from_slice(master.key()) {
        apply_keystream(&aes, start, out);
    }
}

/// Adds the keystream of `aes` from counter block `start`. Of that the last two bytes count (RFC 3711
/// §4.1.1): 65,536 blocks are 1 MiB, more than any packet.
pub(super) fn apply_keystream<C>(aes: &C, start: [u8; 16], bytes: &mut [u8])
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>,
{
    let ctr = CtrCore::<&C, flavors::Ctr32BE>::inner_iv_init(aes, &start.into());
    ctr.apply_keystream_partial(bytes.into());
}
