//! The print of a certificate, by which two ends know that the handshake is with whom the signalling
//! spoke (RFC 8122 §5).

use std::fmt::{self, Write as _};
use std::str::FromStr;

use sha2::{Digest, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;

/// A print: of SHA-256, as all browsers say it, or of a longer one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fingerprint {
    hash: Hash,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// Why a print cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadFingerprint {
    /// A hash that proves nothing, or that nobody uses.
    #[error("a fingerprint of {0:?}: want sha-256, sha-384 or sha-512")]
    Hash(String),
    /// Not pairs of digits, or not as many as the hash has.
    #[error("want {want} pairs of hexadecimal digits with colons between them")]
    Digits {
        /// How many the hash has.
        want: usize,
    },
}

impl Hash {
    const ALL: [(&str, Self, usize); 3] = [
        ("sha-256", Self::Sha256, 32),
        ("sha-384", Self::Sha384, 48),
        ("sha-512", Self::Sha512, 64),
    ];

    fn of(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha384 => Sha384::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }
}

impl Fingerprint {
    /// The SHA-256 of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Self {
        Self {
            hash: Hash::Sha256,
            bytes: Hash::Sha256.of(certificate),
        }
    }

    /// Whether it is this certificate's.
    pub fn is_of(&self, certificate: &[u8]) -> bool {
        let found = self.hash.of(certificate);
        found.ct_eq(&self.bytes).into()
    }
}

/// As SDP has it: `sha-256 AB:CD…`.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = Hash::ALL.iter().filter(|(_, hash, _)| *hash == self.hash);
        f.write_str(names.next().map_or("", |(name, ..)| name))?;
        for (n, byte) in self.bytes.iter().enumerate() {
            f.write_char(if n == 0 { ' ' } else { ':' })?;
            write!(f, "{byte:02X}")?;
        }
        Ok(())
    }
}

impl FromStr for Fingerprint {
    type Err = BadFingerprint;

    fn from_str(text: &str) -> Result<Self, BadFingerprint> {
        let (name, digits) = text.trim().split_once(' ').unwrap_or((text, ""));
        let known = |(known, ..): &&(&str, Hash, usize)| known.eq_ignore_ascii_case(name);
        let Some(&(_, hash, want)) = Hash::ALL.iter().find(known) else {
            let name = name.chars().take(32).collect();
            return Err(BadFingerprint::Hash(name));
        };
        let pair = |pair: &str| match pair.len() {
            2 => u8::from_str_radix(pair, 16)
                .ok()
                .filter(|_| !pair.starts_with('+')),
            _ => None,
        };
        let bytes: Option<Vec<u8>> = digits.trim().split(':').take(want + 1).map(pair).collect();
        match bytes.filter(|bytes| bytes.len() == want) {
            Some(bytes) => Ok(Self { hash, bytes }),
            None => Err(BadFingerprint::Digits { want }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_print_is_read_as_it_is_written_and_fits_its_certificate_alone() {
        let print = Fingerprint::of(b"certificate");
        let text = print.to_string();
        assert!(
            text.starts_with("sha-256 ") && text.len() == 8 + 32 * 3 - 1,
            "{text}"
        );
        assert_eq!(text.parse(), Ok(print.clone()));
        assert_eq!(text.to_lowercase().parse(), Ok(print.clone()));
        assert!(print.is_of(b"certificate") && !print.is_of(b"certificatf"));
        let long = Fingerprint {
            hash: Hash::Sha512,
            bytes: Hash::Sha512.of(b"x"),
        };
        assert_eq!(long.to_string().parse(), Ok(long.clone()));
        assert!(long.is_of(b"x"));
    }

    #[test]
    fn what_is_no_print_says_what_was_wanted() {
        let text = Fingerprint::of(b"x").to_string();
        let digits = Err(BadFingerprint::Digits { want: 32 });
        for bad in [
            &text[..text.len() - 3],
            &text.replace(':', ""),
            &text.replacen(':', ":+", 1),
            "sha-256",
            &format!("{text}:00"),
        ] {
            assert_eq!(bad.parse::<Fingerprint>(), digits, "{bad}");
        }
        for bad in ["sha-1 00:11", "md5 00", "", "é"] {
            assert!(
                matches!(bad.parse::<Fingerprint>(), Err(BadFingerprint::Hash(_))),
                "{bad}"
            );
        }
    }
}
