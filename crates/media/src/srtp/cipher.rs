//! The two transforms, keyed once: counter mode with HMAC-SHA1 (RFC 3711 §4) and GCM (RFC 7714).
//!
//! Both make a packet's nonce of salt, source and index; of RTP the index has 48 bits, of RTCP 31.

use aes::cipher::KeyInit;
use aes::{Aes128Enc, Aes256Enc};
use aes_gcm::aead::{AeadInOut, Tag};
use aes_gcm::aes::cipher::consts::{U12, U16};
use aes_gcm::{AesGcm, Nonce};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::derive::{SessionKeys, apply_keystream};
use super::{SrtpError, Suite};

/// One direction's RTP or RTCP, keyed.
pub(super) struct Cipher {
    transform: Transform,
    salt: Salt,
    tag_len: usize,
}

#[derive(Zeroize, ZeroizeOnDrop)]
struct Salt([u8; 14]);

enum Transform {
    /// Its HMAC has read the key already: a packet starts with a copy of it.
    Cm(Aes128Enc, Hmac<Sha1>),
    Gcm128(AesGcm<Aes128Enc, U12>),
    Gcm256(AesGcm<Aes256Enc, U12>),
}

/// A packet as a transform sees it.
pub(super) struct Parts<'a> {
    /// Authenticated only. With GCM it ends in what comes after the packet, of RTCP.
    pub(super) clear: &'a [u8],
    /// Encrypted and authenticated.
    pub(super) secret: &'a mut [u8],
    /// What HMAC reads after the packet: the rollover counter, or RTCP's index.
    pub(super) after: [u8; 4],
    pub(super) ssrc: u32,
    pub(super) index: u64,
}

impl<'a> Parts<'a> {
    /// Of an RTP packet whose header is so long.
    pub(super) fn of_rtp(
        packet: &'a mut [u8],
        header: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<Self, SrtpError> {
        let parts = packet.split_at_mut_checked(header);
        let (clear, secret) = parts.ok_or(SrtpError::Malformed)?;
        Ok(Self {
            clear,
            secret,
            after: ((index >> 16) as u32).to_be_bytes(),
            ssrc,
            index,
        })
    }
}

impl Cipher {
    pub(super) fn rtp(suite: Suite, keys: &SessionKeys) -> Option<Self> {
        Self::new(suite, keys, suite.tag_len())
    }

    /// RTCP's tag is never shortened to 32 bits (RFC 4568 §6.2.2).
    pub(super) fn rtcp(suite: Suite, keys: &SessionKeys) -> Option<Self> {
        Self::new(suite, keys, suite.tag_len().max(10))
    }

    fn new(suite: Suite, keys: &SessionKeys, tag_len: usize) -> Option<Self> {
        let key = keys.key.get(..suite.key_len())?;
        let transform = match suite {
            Suite::AesCm128HmacSha1_80 | Suite::AesCm128HmacSha1_32 => Transform::Cm(
                Aes128Enc::new_from_slice(key).ok()?,
                <Hmac<Sha1> as KeyInit>::new_from_slice(&keys.auth).ok()?,
            ),
            Suite::AeadAes128Gcm => Transform::Gcm128(AesGcm::new_from_slice(key).ok()?),
            Suite::AeadAes256Gcm => Transform::Gcm256(AesGcm::new_from_slice(key).ok()?),
        };
        Some(Self {
            transform,
            salt: Salt(keys.salt),
            tag_len,
        })
    }

    pub(super) fn tag_len(&self) -> usize {
        self.tag_len
    }

    /// Whether RTCP's index is read before the tag is written, as its place on the wire is.
    pub(super) fn is_aead(&self) -> bool {
        !matches!(self.transform, Transform::Cm(..))
    }

    /// Encrypts; the tag is written to `tag`, of [`Cipher::tag_len`] bytes.
    pub(super) fn seal(&self, parts: Parts<'_>, tag: &mut [u8]) -> Result<(), SrtpError> {
        let nonce = self.nonce(parts.ssrc, parts.index);
        match &self.transform {
            Transform::Cm(aes, hmac) => {
                apply_keystream(aes, nonce, parts.secret);
                let whole = authenticate(hmac, &parts).finalize().into_bytes();
                let whole = whole.get(..tag.len()).ok_or(SrtpError::NoRoom)?;
                tag.copy_from_slice(whole);
                Ok(())
            }
            Transform::Gcm128(gcm) => seal_gcm(gcm, &nonce, parts, tag),
            Transform::Gcm256(gcm) => seal_gcm(gcm, &nonce, parts, tag),
        }
    }

    /// Decrypts what `tag` proves; else leaves it as it is.
    pub(super) fn open(&self, parts: Parts<'_>, tag: &[u8]) -> Result<(), SrtpError> {
        let nonce = self.nonce(parts.ssrc, parts.index);
        match &self.transform {
            Transform::Cm(aes, hmac) => {
                authenticate(hmac, &parts)
                    .verify_truncated_left(tag)
                    .map_err(|_| SrtpError::Unauthentic)?;
                apply_keystream(aes, nonce, parts.secret);
                Ok(())
            }
            Transform::Gcm128(gcm) => open_gcm(gcm, &nonce, parts, tag),
            Transform::Gcm256(gcm) => open_gcm(gcm, &nonce, parts, tag),
        }
    }

    /// The salt with source and index in it (RFC 3711 §4.1.1, RFC 7714 §8.1 and §9.1): GCM's is two
    /// bytes shorter at the front, where the salt's two zeros are at the end.
    fn nonce(&self, ssrc: u32, index: u64) -> [u8; 16] {
        let mut nonce = [0; 16];
        for (place, byte) in nonce.iter_mut().zip(self.salt.0) {
            *place = byte;
        }
        let [_, _, i @ ..] = index.to_be_bytes();
        let skipped = if self.is_aead() { 2 } else { 4 };
        let stream = ssrc.to_be_bytes().into_iter().chain(i);
        for (place, byte) in nonce.iter_mut().skip(skipped).zip(stream) {
            *place ^= byte;
        }
        nonce
    }
}

/// The HMAC over all of a packet and what comes after it.
fn authenticate(hmac: &Hmac<Sha1>, parts: &Parts<'_>) -> Hmac<Sha1> {
    let mut hmac = hmac.clone();
    hmac.update(parts.clear);
    hmac.update(parts.secret);
    hmac.update(&parts.after);
    hmac
}

fn seal_gcm<A>(gcm: &A, nonce: &[u8; 16], parts: Parts<'_>, tag: &mut [u8]) -> Result<(), SrtpError>
where
    A: AeadInOut<NonceSize = U12, TagSize = U16>,
{
    let nonce = nonce.first_chunk().ok_or(SrtpError::Malformed)?;
    let made = gcm
        .encrypt_inout_detached(&Nonce::from(*nonce), parts.clear, parts.secret.into())
        .map_err(|_| SrtpError::Exhausted)?;
    let place: &mut [u8; 16] = tag.first_chunk_mut().ok_or(SrtpError::NoRoom)?;
    *place = made.into();
    Ok(())
}

/// The tag is verified before anything is decrypted.
fn open_gcm<A>(gcm: &A, nonce: &[u8; 16], parts: Parts<'_>, tag: &[u8]) -> Result<(), SrtpError>
where
    A: AeadInOut<NonceSize = U12, TagSize = U16>,
{
    let nonce = nonce.first_chunk().ok_or(SrtpError::Malformed)?;
    let tag: &[u8; 16] = tag.first_chunk().ok_or(SrtpError::Malformed)?;
    gcm.decrypt_inout_detached(
        &Nonce::from(*nonce),
        parts.clear,
        parts.secret.into(),
        &Tag::<A>::from(*tag),
    )
    .map_err(|_| SrtpError::Unauthentic)
}
