//! Tags, branches and Call-IDs: 64-bit tokens that nobody can foretell from earlier ones.

use crate::message::TransactionKey;
use sha2::{Digest, Sha256};
use std::fmt;
use std::hash::{BuildHasher, DefaultHasher, Hasher};

/// A seeded generator: the same seed gives the same tokens.
///
/// SHA-256 in counter mode: a linear generator would betray its state, and with it every coming tag
/// and branch, by a single token.
#[derive(Clone)]
pub(super) struct Tokens {
    seed: u64,
    block: u64,
    ready: [u64; 4],
    left: usize,
}

impl Tokens {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            block: 0,
            ready: [0; 4],
            left: 0,
        }
    }

    pub(super) fn next(&mut self) -> u64 {
        if self.left == 0 {
            let mut hash = Sha256::new();
            hash.update(b"tandem sip tokens");
            hash.update(self.seed.to_be_bytes());
            hash.update(self.block.to_be_bytes());
            let digest = hash.finalize();
            for (token, bytes) in self.ready.iter_mut().zip(digest.chunks_exact(8)) {
                *token = bytes
                    .iter()
                    .fold(0, |token, byte| token << 8 | u64::from(*byte));
            }
            self.block += 1;
            self.left = self.ready.len();
        }
        self.left -= 1;
        self.ready.get(self.left).copied().unwrap_or(0)
    }

    /// A number below `bound`, near enough to uniform for a back-off.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(…)")
    }
}

/// A token as it is written: sixteen lower-case hex digits.
pub(super) fn hex(token: u64) -> String {
    let mut text = String::with_capacity(16);
    let digit = |shift| char::from_digit((token >> shift) as u32 & 15, 16);
    text.extend((0..64).step_by(4).rev().filter_map(digit));
    text
}

/// Reads a token that we wrote; anything else is none of ours.
pub(super) fn from_hex(text: &str) -> Option<u64> {
    let ours = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if ours {
        u64::from_str_radix(text, 16).ok()
    } else {
        None
    }
}

impl Tokens {
    /// A token that depends on the seed and `input` alone.
    pub(super) fn stateless(&self, input: &[u8]) -> u64 {
        let mut hash = Sha256::new();
        hash.update(b"tandem sip stateless");
        hash.update(self.seed.to_be_bytes());
        hash.update(input);
        hash.finalize()
            .iter()
            .take(8)
            .fold(0, |token, byte| token << 8 | u64::from(*byte))
    }

    /// What our maps hash with: keys chosen by peers must not be able to collide on purpose.
    pub(super) fn hasher(&self) -> Seeded {
        Seeded(self.stateless(b"maps"))
    }
}

/// A transaction of a peer, by a hash of its key that nobody can aim at: two of 100,000 are the same once in
/// 4 · 10⁹ tables that full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Known(u64);

impl Known {
    pub(super) fn of(key: &TransactionKey<'_>, hasher: &Seeded) -> Self {
        Self(hasher.hash_one(key))
    }
}

/// Hashes the same way for the same seed.
#[derive(Clone, Copy)]
pub(super) struct Seeded(u64);

impl BuildHasher for Seeded {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher
    }
}

impl fmt::Debug for Seeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seeded(…)")
    }
}
