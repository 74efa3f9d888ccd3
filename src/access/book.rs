//! Agents who may log in by a password, and what each has to prove: `[agents.NAME] password_hash`.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::password::{self, PasswordHash};
use crate::config::{ConfigError, Section};

/// An agent who may log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// His name.
    pub agent: String,
    /// The endpoint that he is once he has.
    pub endpoint: String,
    /// Which password he has: changes with it.
    pub(super) stamp: String,
}

/// Who may log in.
#[derive(Clone, Debug)]
pub struct Book {
    agents: BTreeMap<String, (Login, Arc<PasswordHash>)>,
    /// Whose hash is compared where there is no such agent: chosen by the name, so that the same name takes
    /// the same time each time. Never empty.
    decoys: Vec<Arc<PasswordHash>>,
    keys: RandomState,
    /// Whether the unknown are compared with anything.
    compares_decoys: bool,
}

impl Book {
    /// Reads who of the `agents` section has a password. All else in it is the centre's to read.
    ///
    /// # Errors
    /// [`ConfigError`] with key, rule, and the value hidden.
    pub fn read(agents: Section) -> Result<Self, ConfigError> {
        let mut read = BTreeMap::new();
        for (name, mut section) in agents.sections()? {
            let Some(text) = section.secret("password_hash")? else {
                continue;
            };
            let Some(hash) = PasswordHash::parse(&text) else {
                return Err(ConfigError::Value {
                    key: section.key("password_hash"),
                    rule: PasswordHash::RULE.to_owned(),
                    value: "(hidden)".to_owned(),
                });
            };
            let login = Login {
                endpoint: section.text("endpoint")?.unwrap_or_else(|| name.clone()),
                agent: name.clone(),
                stamp: stamp(&text),
            };
            read.insert(name, (login, Arc::new(hash)));
        }
        Ok(Self::of(read))
    }

    fn of(agents: BTreeMap<String, (Login, Arc<PasswordHash>)>) -> Self {
        let mut decoys: Vec<_> = agents.values().map(|(_, hash)| hash.clone()).collect();
        if decoys.is_empty() {
            let usual = password::hash("nobody's password", [0; 16]);
            decoys.extend(usual.map(Arc::new));
        }
        Self {
            agents,
            decoys,
            keys: RandomState::new(),
            compares_decoys: true,
        }
    }

    /// Denies agents it does not know at once: what the test of the defence finds.
    #[doc(hidden)]
    pub fn without_decoys(mut self) -> Self {
        self.compares_decoys = false;
        self
    }

    /// Who that is, if the password is his. Takes as long and as much memory if there is no such agent.
    pub fn check(&self, agent: &str, password: &str) -> Option<Login> {
        let known = self.agents.get(agent);
        let hash = match known {
            Some((_, hash)) => hash,
            None if self.compares_decoys => self.decoy(agent)?,
            None => return None,
        };
        let right = hash.is(password);
        known.map(|(login, _)| login.clone()).filter(|_| right)
    }

    fn decoy(&self, agent: &str) -> Option<&Arc<PasswordHash>> {
        let among = self.decoys.len().max(1) as u64;
        let place = self.keys.hash_one(agent) % among;
        self.decoys.get(usize::try_from(place).unwrap_or(0))
    }

    /// Everybody who may log in.
    pub fn logins(&self) -> impl Iterator<Item = &Login> {
        self.agents.values().map(|(login, _)| login)
    }
}

/// Names a password hash without telling it: 64 bits.
fn stamp(hash: &str) -> String {
    let digest = Sha256::digest(hash.as_bytes());
    let hex = |byte: &u8| format!("{byte:02x}");
    digest.iter().take(8).map(hex).collect()
}
