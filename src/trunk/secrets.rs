//! What proves a user: one hash per digest algorithm that he may use, never a password.

use sip::auth::{Algorithm, Ha1};

/// Which digest algorithms a user is challenged with, and accepted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Digests {
    /// MD5 alone: what most phones speak, so the default.
    #[default]
    Md5,
    /// SHA-256 alone (RFC 8760).
    Sha256,
    /// A challenge for each, SHA-256 first; some phones take neither then.
    Both,
}

impl Digests {
    /// The algorithms, the preferred first.
    pub const fn algorithms(self) -> &'static [Algorithm] {
        match self {
            Self::Md5 => &[Algorithm::Md5],
            Self::Sha256 => &[Algorithm::Sha256],
            Self::Both => &[Algorithm::Sha256, Algorithm::Md5],
        }
    }
}

/// The hashes of one user. `Debug` shows none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secrets {
    digests: Digests,
    hashes: Vec<Ha1>,
}

impl Secrets {
    /// Hashes `password` for each algorithm of `digests`.
    pub fn from_password(user: &str, realm: &str, password: &str, digests: Digests) -> Self {
        let hash = |&algorithm| Ha1::from_password(user, realm, password, algorithm);
        Self {
            digests,
            hashes: digests.algorithms().iter().map(hash).collect(),
        }
    }

    /// Takes stored hashes.
    ///
    /// # Errors
    /// The first algorithm of `digests` that has no hash.
    pub fn from_hashes(hashes: Vec<Ha1>, digests: Digests) -> Result<Self, Algorithm> {
        let has = |wanted| hashes.iter().any(|hash| hash.algorithm() == wanted);
        match digests.algorithms().iter().find(|&&wanted| !has(wanted)) {
            Some(&missing) => Err(missing),
            None => Ok(Self { digests, hashes }),
        }
    }

    /// The algorithms to challenge with.
    pub const fn digests(&self) -> Digests {
        self.digests
    }

    /// Hashes the secrets into a key that only their holder can compute.
    pub(super) fn feed(&self, hasher: &mut impl std::hash::Hasher) {
        for hash in &self.hashes {
            hasher.write(hash.to_hex().as_bytes());
        }
    }

    /// The hash for an algorithm that this user may use.
    pub fn hash(&self, algorithm: Algorithm) -> Option<Ha1> {
        if !self.digests.algorithms().contains(&algorithm) {
            return None;
        }
        self.hashes
            .iter()
            .find(|hash| hash.algorithm() == algorithm)
            .copied()
    }
}
