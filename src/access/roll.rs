//! Who still is somebody: agents who may log in, credentials that have not ended, clicks not yet spent.
//!
//! A token says who it was made for, and may outlive him. Whoever admits keeps this list and asks it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Denied, Kind, Login, Subject};

/// A telephony credential as admission knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Its id.
    pub id: String,
    /// The endpoint that its holder is: `sip_username`.
    pub endpoint: String,
    /// When it ends by itself.
    pub ends: Option<Timestamp>,
}

/// Who still is somebody.
#[derive(Clone, Debug, Default)]
pub struct Roll {
    logins: BTreeMap<String, Login>,
    credentials: BTreeMap<String, Credential>,
    by_end: BTreeSet<(Timestamp, String)>,
    /// Ids of tokens that are not good any more, until they would have ended; at most [`SPENT_MAX`].
    spent: BTreeMap<String, Timestamp>,
    spent_by_end: BTreeSet<(Timestamp, String)>,
}

impl Roll {
    /// Puts other agents in force; the endpoints of those who may no longer log in as they did.
    pub fn set_logins<'a>(&mut self, logins: impl Iterator<Item = &'a Login>) -> Vec<String> {
        let named = |login: &Login| (login.agent.clone(), login.clone());
        let before = std::mem::replace(&mut self.logins, logins.map(named).collect());
        let changed = before.into_values();
        let changed = changed.filter(|was| self.logins.get(&was.agent) != Some(was));
        changed.map(|was| was.endpoint).collect()
    }

    /// Admits a credential, or has it end at another time.
    pub fn put(&mut self, credential: Credential) {
        self.remove(&credential.id);
        if let Some(ends) = credential.ends {
            self.by_end.insert((ends, credential.id.clone()));
        }
        self.credentials.insert(credential.id.clone(), credential);
    }

    /// Ends a credential.
    pub fn remove(&mut self, id: &str) -> Option<Credential> {
        let gone = self.credentials.remove(id)?;
        if let Some(ends) = gone.ends {
            self.by_end.remove(&(ends, gone.id.clone()));
        }
        Some(gone)
    }

    /// Takes out the next credential whose time is over.
    pub fn pop_ended(&mut self, now: Timestamp) -> Option<Credential> {
        let (ends, id) = self.by_end.first()?;
        if *ends > now {
            return None;
        }
        let id = id.clone();
        self.remove(&id)
    }

    /// When the next credential ends.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.by_end.first().map(|(ends, _)| *ends)
    }

    /// Whether the endpoint is a credential's.
    pub fn is_credential(&self, endpoint: &str) -> bool {
        super::is_generated(endpoint) && self.credentials.values().any(|it| it.endpoint == endpoint)
    }

    /// How many credentials there are.
    pub fn len(&self) -> usize {
        self.credentials.len()
    }

    /// Whether there is no credential.
    pub fn is_empty(&self) -> bool {
        self.credentials.is_empty()
    }

    /// Whether whom a token was made for is still there, with the password of then.
    ///
    /// # Errors
    /// [`Denied::Ended`] and [`Denied::Spent`].
    pub fn stands(&self, subject: &Subject) -> Result<(), Denied> {
        let stands = match subject.kind {
            Kind::Login => {
                let login = subject.agent.as_ref().and_then(|it| self.logins.get(it));
                login.is_some_and(|login| {
                    subject.stamp.as_ref() == Some(&login.stamp)
                        && login.endpoint == subject.endpoint
                })
            }
            Kind::Credential => {
                let id = subject.credential.as_ref();
                let credential = id.and_then(|id| self.credentials.get(id));
                credential.is_some_and(|it| it.endpoint == subject.endpoint)
            }
            Kind::Click => true,
        };
        match (stands, self.spent.contains_key(&subject.id)) {
            (true, false) => Ok(()),
            (false, _) => Err(Denied::Ended),
            (true, true) if subject.kind == Kind::Click => Err(Denied::Spent),
            (true, true) => Err(Denied::Ended),
        }
    }

    #[cfg(test)]
    pub(super) fn spent_ids(&self) -> usize {
        self.spent.len()
    }

    /// From now on the token is good for nothing. Until it would have ended its id is kept; where there is
    /// no room for it, `false`, and it must not be let in now.
    pub fn spend(&mut self, now: Timestamp, subject: &Subject) -> bool {
        while let Some((at, id)) = self.spent_by_end.first().cloned() {
            if at > now {
                break;
            }
            self.spent_by_end.remove(&(at, id.clone()));
            self.spent.remove(&id);
        }
        if self.spent.len() >= SPENT_MAX {
            return false;
        }
        let (id, expires) = (subject.id.clone(), subject.expires);
        self.spent_by_end.insert((expires, id.clone()));
        self.spent.insert(id, expires);
        true
    }
}

/// Ids of spent tokens that are kept: a click lives minutes, so this is a thousand of them a minute.
pub const SPENT_MAX: usize = 16_384;
/// Credentials that have not ended.
pub const CREDENTIALS_MAX: usize = 20_000;
