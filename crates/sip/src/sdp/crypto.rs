//! Keys in session descriptions: `a=crypto` (SDES, RFC 4568), and what a leg may do about SRTP.

use std::fmt;

use base64::engine::general_purpose::{GeneralPurpose, STANDARD};
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use base64::{Engine, alphabet};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha512;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// What a leg may do about SRTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Srtp {
    /// Nothing is offered; an offer that leaves the choice is answered in clear.
    #[default]
    Off,
    /// Keys are offered with RTP/AVP (RFC 8643) and taken; without theirs, sound is in clear.
    Optional(KeySeed),
    /// Keys are offered with RTP/SAVP; what has none is refused.
    Required(KeySeed),
    /// Keys are required and must not be told here: this leg's signalling is in clear.
    Withheld,
}

/// What a leg's own keys are made of: 32 bytes from the system's randomness.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct KeySeed([u8; 32]);

impl KeySeed {
    /// A seed of these bytes, which nobody else may know.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The seed of leg `number`: from it no other follows.
    #[must_use]
    pub fn of_leg(&self, number: u64) -> Self {
        let mut bytes = self.expand(b"leg", number);
        let seed = bytes
            .first_chunk()
            .map_or(Self([0; 32]), |seed| Self(*seed));
        bytes.zeroize();
        seed
    }

    /// Our key of a suite; another for each `generation`, of which a leg takes one for each of its ports.
    pub(super) fn key(&self, suite: CryptoSuite, generation: u32) -> CryptoKey {
        let mut bytes = self.expand(suite.as_str().as_bytes(), generation.into());
        let key = CryptoKey::new(suite, bytes.get(..suite.key_len()).unwrap_or_default());
        bytes.zeroize();
        key
    }

    /// A name of 8 letters and a password of 24 for ICE (RFC 8839 §5.4), others for each `generation`.
    pub(super) fn names(&self, generation: u32) -> (String, String) {
        let mut bytes = self.expand(b"ice", generation.into());
        let (name, rest) = bytes.split_at(6);
        let names = (
            STANDARD.encode(name),
            STANDARD.encode(rest.get(..18).unwrap_or_default()),
        );
        bytes.zeroize();
        names
    }

    fn expand(&self, label: &[u8], number: u64) -> [u8; 64] {
        // HMAC takes keys of any length.
        let Ok(mut hmac) = <Hmac<Sha512> as KeyInit>::new_from_slice(&self.0) else {
            return [0; 64];
        };
        hmac.update(label);
        hmac.update(&number.to_be_bytes());
        hmac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for KeySeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySeed(secret)")
    }
}

/// A cryptographic suite that this server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CryptoSuite {
    /// RFC 7714.
    AeadAes256Gcm,
    /// RFC 7714.
    AeadAes128Gcm,
    /// RFC 4568 §6.2.1.
    AesCm128HmacSha1_80,
    /// RFC 4568 §6.2.2.
    AesCm128HmacSha1_32,
}

impl CryptoSuite {
    /// All of them, in the order of our offers: the strongest first.
    pub const ALL: [Self; 4] = [
        Self::AeadAes256Gcm,
        Self::AeadAes128Gcm,
        Self::AesCm128HmacSha1_80,
        Self::AesCm128HmacSha1_32,
    ];

    /// Its name in `a=crypto`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        let is = |suite: &Self| suite.as_str().eq_ignore_ascii_case(name);
        Self::ALL.into_iter().find(is)
    }

    /// Bytes of its master key and salt together.
    pub const fn key_len(self) -> usize {
        match self {
            Self::AeadAes256Gcm => 32 + 12,
            Self::AeadAes128Gcm => 16 + 12,
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => 16 + 14,
        }
    }
}

/// A master key with its salt, of one direction. Overwritten when dropped, never printed but in SDP.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct CryptoKey {
    #[zeroize(skip)]
    suite: CryptoSuite,
    bytes: [u8; KEY_MAX],
}

const KEY_MAX: usize = 44;

impl CryptoKey {
    fn new(suite: CryptoSuite, key_and_salt: &[u8]) -> Self {
        let mut bytes = [0; KEY_MAX];
        for (place, byte) in bytes.iter_mut().zip(key_and_salt) {
            *place = *byte;
        }
        Self { suite, bytes }
    }

    /// What it is for.
    pub const fn suite(&self) -> CryptoSuite {
        self.suite
    }

    /// The key, then the salt: [`CryptoSuite::key_len`] bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.suite.key_len()).unwrap_or_default()
    }
}

impl fmt::Debug for CryptoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CryptoKey({}, secret)", self.suite.as_str())
    }
}

/// One `a=crypto` line: a key under a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Crypto {
    pub(super) tag: u32,
    pub(super) key: CryptoKey,
}

/// Why a line's key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CryptoFault {
    /// It does not follow RFC 4568 §9.1, or its key has not the suite's length.
    Malformed,
    /// Another suite.
    Suite(String),
    /// Keys with identifiers in each packet (MKI), or more than one of them.
    Mki,
    /// A session parameter that changes what SRTP does.
    Parameter(String),
}

impl fmt::Display for CryptoFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("a line that is not as RFC 4568 has it"),
            Self::Suite(name) => f.write_str(name),
            Self::Mki => f.write_str("a key identifier (MKI)"),
            Self::Parameter(name) => write!(f, "the parameter {name}"),
        }
    }
}

impl Crypto {
    /// Reads the value of an `a=crypto` line: `tag suite inline:key[|lifetime] [parameters]`.
    pub(super) fn parse(value: &str) -> Result<Self, CryptoFault> {
        let mut fields = value.split_ascii_whitespace();
        let (Some(tag), Some(suite), Some(keys)) = (fields.next(), fields.next(), fields.next())
        else {
            return Err(CryptoFault::Malformed);
        };
        let digits = (1..=9).contains(&tag.len()) && tag.bytes().all(|it| it.is_ascii_digit());
        let tag = tag.parse().ok().filter(|_| digits);
        let tag = tag.ok_or(CryptoFault::Malformed)?;
        let Some(suite) = CryptoSuite::from_name(suite) else {
            return Err(CryptoFault::Suite(short(suite)));
        };
        let key = key(suite, keys)?;
        for parameter in fields {
            // A hint of how far packets may be apart; our window is what it is.
            if !parameter.starts_with("WSH=") {
                return Err(CryptoFault::Parameter(short(parameter)));
            }
        }
        Ok(Self { tag, key })
    }

    /// The line's value. The only place where a key is written.
    pub(super) fn print(&self) -> String {
        let (tag, suite) = (self.tag, self.key.suite().as_str());
        let key = STANDARD.encode(self.key.as_bytes());
        format!("{tag} {suite} inline:{key}")
    }
}

/// `inline:key[|lifetime][|MKI:length]`, and after `;` another.
fn key(suite: CryptoSuite, text: &str) -> Result<CryptoKey, CryptoFault> {
    if text.contains(';') {
        return Err(CryptoFault::Mki);
    }
    let inline = text
        .get(..7)
        .filter(|method| method.eq_ignore_ascii_case("inline:"))
        .and_then(|_| text.get(7..))
        .ok_or(CryptoFault::Malformed)?;
    let mut parts = inline.split('|');
    let encoded = parts.next().unwrap_or_default();
    for part in parts {
        if part.contains(':') {
            return Err(CryptoFault::Mki);
        }
        if !is_lifetime(part) {
            return Err(CryptoFault::Malformed);
        }
    }
    let mut bytes = BASE64.decode(encoded).map_err(|_| CryptoFault::Malformed)?;
    let key = (bytes.len() == suite.key_len()).then(|| CryptoKey::new(suite, &bytes));
    bytes.zeroize();
    key.ok_or(CryptoFault::Malformed)
}

/// Packets for which they promise to use the key: `2^n` or a number. It binds them, not us.
fn is_lifetime(text: &str) -> bool {
    let (digits, most) = match text.strip_prefix("2^") {
        Some(power) => (power, 48),
        None => (text, 1 << 48),
    };
    digits.bytes().all(|byte| byte.is_ascii_digit())
        && digits
            .parse::<u64>()
            .is_ok_and(|it| (1..=most).contains(&it))
}

/// Their word, safe to repeat.
fn short(text: &str) -> String {
    text.chars()
        .filter(|it| it.is_ascii_graphic())
        .take(40)
        .collect()
}

/// With or without the padding that some telephones leave out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The keys of a secured stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamKeys {
    /// What we protect with.
    pub send: CryptoKey,
    /// What they protect with.
    pub receive: CryptoKey,
}
