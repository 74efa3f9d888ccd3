//! Passwords of agents: Argon2id (RFC 9106), written as `$argon2id$v=19$m=…,t=…,p=…$SALT$HASH`.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use subtle::ConstantTimeEq;

/// How many bytes a password has: fewer can be guessed, more are work for nothing.
pub const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 8..=256;

/// A password as an operator keeps it. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    cost: Cost,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

/// What comparing takes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Cost {
    /// Memory, in KiB.
    memory: u32,
    passes: u32,
    lanes: u32,
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(hidden)")
    }
}

impl PasswordHash {
    /// What [`PasswordHash::parse`] takes, in words.
    pub const RULE: &'static str = "an Argon2id hash, as \"tandem hash-password\" makes one: \
        $argon2id$v=19$m=19456,t=2,p=1$SALT$HASH, with at most 256 MiB, 16 passes and 4 lanes";

    /// Reads a stored hash; `None` if it is none, or one that would cost too much to compare with.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("$argon2id$v=19$")?;
        let mut parts = rest.split('$');
        let (costs, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let mut costs = costs.split(',');
        let mut cost = |name: &str, max: u32| {
            let value: u32 = costs.next()?.strip_prefix(name)?.parse().ok()?;
            (value <= max).then_some(value)
        };
        let cost = Cost {
            memory: cost("m=", 256 * 1_024)?,
            passes: cost("t=", 16)?,
            lanes: cost("p=", 4)?,
        };
        if costs.next().is_some() {
            return None;
        }
        let salt = STANDARD_NO_PAD.decode(salt).ok()?;
        let hash = STANDARD_NO_PAD.decode(hash).ok()?;
        let fits = (8..=64).contains(&salt.len()) && (16..=64).contains(&hash.len());
        Params::new(cost.memory, cost.passes, cost.lanes, Some(hash.len())).ok()?;
        fits.then_some(Self { cost, salt, hash })
    }

    /// Whether `password` is it. Takes the memory and the time that the hash says: tens of milliseconds.
    pub fn is(&self, password: &str) -> bool {
        let made = derive(self.cost, password, &self.salt, self.hash.len());
        made.is_some_and(|made| made.ct_eq(&self.hash).into())
    }

    /// As it is stored.
    pub fn text(&self) -> String {
        let Cost {
            memory,
            passes,
            lanes,
        } = self.cost;
        let (salt, hash) = (
            STANDARD_NO_PAD.encode(&self.salt),
            STANDARD_NO_PAD.encode(&self.hash),
        );
        format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}")
    }
}

/// Hashes a password with sixteen random bytes; `None` if it has not [`PASSWORD_BYTES`].
pub fn hash(password: &str, salt: [u8; 16]) -> Option<PasswordHash> {
    if !PASSWORD_BYTES.contains(&password.len()) {
        return None;
    }
    let made = derive(USUAL, password, &salt, HASH_LEN)?;
    Some(PasswordHash {
        cost: USUAL,
        salt: salt.to_vec(),
        hash: made,
    })
}

fn derive(cost: Cost, password: &str, salt: &[u8], length: usize) -> Option<Vec<u8>> {
    let params = Params::new(cost.memory, cost.passes, cost.lanes, Some(length)).ok()?;
    let mut out = vec![0; length];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), salt, &mut out)
        .ok()?;
    Some(out)
}

/// OWASP's advice: 19 MiB, two passes, one lane.
const USUAL: Cost = Cost {
    memory: 19_456,
    passes: 2,
    lanes: 1,
};
const HASH_LEN: usize = 32;
