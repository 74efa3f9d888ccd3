//! Whom a user who does not exist is taken for: always the same one of those who do.
//!
//! Users may have different digest algorithms, and the challenge names them; and the secrets of a user
//! lie somewhere in memory, which takes time to reach. So an unknown name is given the secrets of a real
//! user, chosen by a hash of the name under a key of all secrets: nobody outside can compute it, and it
//! stays until the users change. They prove nothing for him.

use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::sync::Arc;

use sip::auth::{Algorithm, Ha1};

use super::bearer::GENERATED_DIGESTS;
use super::file::EndpointConfig;
use super::secrets::{Digests, Secrets};

/// Stands in for users who do not exist.
#[derive(Clone, Debug)]
pub(super) struct Decoys {
    /// Those who have secrets.
    users: Vec<Arc<EndpointConfig>>,
    /// For all, where there are none.
    usual: Secrets,
    /// For names that have the form of generated ones.
    generated: Secrets,
    by_algorithm: [Ha1; 3],
    key: u64,
}

impl Decoys {
    /// Takes these users for those who do not exist; `usual` if there are none.
    pub(super) fn among<'a>(
        users: impl Iterator<Item = &'a Arc<EndpointConfig>>,
        usual: Digests,
    ) -> Self {
        let users: Vec<_> = users.filter(|it| it.secrets.is_some()).cloned().collect();
        let mut key = DefaultHasher::new();
        for secrets in users.iter().filter_map(|it| it.secrets.as_ref()) {
            secrets.feed(&mut key);
        }
        Self {
            users,
            usual: Secrets::from_password("", "", "", usual),
            generated: Secrets::from_password("", "", "", GENERATED_DIGESTS),
            by_algorithm: [Algorithm::Md5, Algorithm::Sha256, Algorithm::Sha512_256]
                .map(|algorithm| Ha1::from_password("", "", "", algorithm)),
            key: key.finish(),
        }
    }

    /// Which user is taken for that name; `None` if nobody has secrets.
    pub(super) fn of(&self, user: &str) -> Option<&Arc<EndpointConfig>> {
        if crate::access::is_generated(user) {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.key);
        hasher.write(user.as_bytes());
        let among = self.users.len().max(1) as u64;
        let place = usize::try_from(hasher.finish() % among).unwrap_or(0);
        self.users.get(place)
    }

    /// What stands in where nobody else does.
    pub(super) fn usual(&self, user: &str) -> &Secrets {
        match crate::access::is_generated(user) {
            true => &self.generated,
            false => &self.usual,
        }
    }

    /// A hash of that algorithm that is nobody's.
    pub(super) const fn of_algorithm(&self, algorithm: Algorithm) -> Ha1 {
        let [md5, sha_256, sha_512] = self.by_algorithm;
        match algorithm {
            Algorithm::Md5 => md5,
            Algorithm::Sha256 => sha_256,
            Algorithm::Sha512_256 => sha_512,
        }
    }
}
