//! ICE, the lite end (RFC 8445 §2.5): it answers checks and sends none. An address is a *path* once a
//! check from it has proven that its sender knows our password; nothing is ever sent to any other.
//!
//! Media may come by a path before it is nominated, and a browser nominates again when a better one is
//! found: so every path is heard, and the one nominated last is spoken to.

use std::fmt;
use std::net::SocketAddr;

use clock::{Duration, Now};

use crate::stun::{self, Check, StunError};

/// What one end of a session is known by: both are in its SDP (RFC 8839 §5.4).
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Its name, 4 to 256 characters.
    pub ufrag: String,
    /// What proves a check, 22 to 256 characters.
    pub password: String,
}

/// Never tells the password.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.ufrag)
    }
}

/// The lite end for one peer.
#[derive(Debug)]
pub struct IceLite {
    ours: Credentials,
    /// The peer's name; with `None` any is taken, since the answer that tells it is still on the way.
    theirs: Option<String>,
    /// What held until a restart is confirmed by a first check.
    before: Option<(Credentials, Option<String>)>,
    paths: Vec<Path>,
    nominated: Option<SocketAddr>,
    /// When the peer last proved that it wants to hear us.
    consented: Now,
}

#[derive(Clone, Copy, Debug)]
struct Path {
    address: SocketAddr,
    checked: Now,
}

/// What a datagram brought.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checked {
    /// To be sent back to where the check came from.
    pub reply: Vec<u8>,
    /// Whether the address is a path since now.
    pub is_new: bool,
    /// Whether it is since now the one to speak to.
    pub is_chosen: bool,
    /// A path that was given up for it.
    pub forgotten: Option<SocketAddr>,
}

/// Why a check is not answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unanswered {
    /// It is none.
    #[error(transparent)]
    Stun(#[from] StunError),
    /// For somebody else, or from somebody else.
    #[error("it names other ends")]
    Name,
    /// Who sent it does not know the password.
    #[error("its proof is wrong")]
    Forged,
}

impl IceLite {
    /// An end that waits for its peer.
    pub fn new(now: Now, ours: Credentials, theirs: Option<String>) -> Self {
        Self {
            ours,
            theirs,
            before: None,
            paths: Vec::new(),
            nominated: None,
            consented: now,
        }
    }

    /// Who the peer is, once that is known, or whom it calls itself now: its name of before holds until the first
    /// check with the new one.
    pub fn meet(&mut self, theirs: String) {
        match &self.theirs {
            Some(before) if *before == theirs => {}
            Some(_) => self.restart(self.ours.clone(), Some(theirs)),
            None => self.theirs = Some(theirs),
        }
    }

    /// New names and passwords (RFC 8445 §9): the old ones hold until the first check with the new.
    pub fn restart(&mut self, ours: Credentials, theirs: Option<String>) {
        let ours = std::mem::replace(&mut self.ours, ours);
        let theirs = std::mem::replace(&mut self.theirs, theirs);
        self.before.get_or_insert((ours, theirs));
    }

    /// Takes a datagram.
    ///
    /// # Errors
    /// [`Unanswered`]: it is dropped, and nothing is sent.
    pub fn receive(
        &mut self,
        now: Now,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<Checked, Unanswered> {
        let check = Check::parse(datagram)?;
        let is_old = self.is_for_before(&check);
        let password = match &self.before {
            Some((ours, _)) if is_old => &ours.password,
            _ if self.is_for(&check) => &self.ours.password,
            _ => return Err(Unanswered::Name),
        };
        if !check.is_by(password) {
            return Err(Unanswered::Forged);
        }
        if !check.controls {
            return Ok(Checked {
                reply: stun::role_conflict(check.transaction, password),
                is_new: false,
                is_chosen: false,
                forgotten: None,
            });
        }
        let reply = stun::success(check.transaction, from, password);
        if !is_old {
            self.before = None;
        }
        self.consented = now;
        let (is_new, forgotten) = self.walk(now, from);
        let chooses = check.nominates || self.nominated.is_none();
        let is_chosen = chooses && self.nominated != Some(from);
        if is_chosen {
            self.nominated = Some(from);
        }
        Ok(Checked {
            reply,
            is_new,
            is_chosen,
            forgotten,
        })
    }

    fn is_for(&self, check: &Check<'_>) -> bool {
        let theirs = self.theirs.as_ref();
        check.ours == self.ours.ufrag && theirs.is_none_or(|theirs| theirs == check.theirs)
    }

    fn is_for_before(&self, check: &Check<'_>) -> bool {
        self.before.as_ref().is_some_and(|(ours, theirs)| {
            let theirs = theirs.as_ref();
            check.ours == ours.ufrag && theirs.is_none_or(|theirs| theirs == check.theirs)
        })
    }

    /// Keeps a path, in place of the one that was not checked for longest when there are too many.
    fn walk(&mut self, now: Now, address: SocketAddr) -> (bool, Option<SocketAddr>) {
        if let Some(path) = self.paths.iter_mut().find(|path| path.address == address) {
            path.checked = now;
            return (false, None);
        }
        let mut forgotten = None;
        if self.paths.len() >= PATHS_MAX {
            let spare = |(_, path): &(usize, &Path)| Some(path.address) != self.nominated;
            let places = self.paths.iter().enumerate().filter(spare);
            let oldest = places
                .min_by_key(|(_, path)| path.checked)
                .map(|(at, _)| at);
            forgotten = oldest.map(|at| self.paths.swap_remove(at).address);
        }
        self.paths.push(Path {
            address,
            checked: now,
        });
        (true, forgotten)
    }

    /// Whether an address has been proven.
    pub fn is_path(&self, address: SocketAddr) -> bool {
        self.paths.iter().any(|path| path.address == address)
    }

    /// Where to speak to.
    pub fn chosen(&self) -> Option<SocketAddr> {
        self.nominated
    }

    /// Every path, the oldest first.
    pub fn paths(&self) -> impl Iterator<Item = SocketAddr> {
        self.paths.iter().map(|path| path.address)
    }

    /// When the peer's consent ends, unless it is renewed (RFC 7675 §5.1).
    pub fn consent_ends(&self) -> Now {
        self.consented + CONSENT
    }
}

/// How long one proven check is consent.
pub const CONSENT: Duration = Duration::from_secs(30);

/// Paths of one peer: two networks, of two families each.
pub const PATHS_MAX: usize = 4;

#[cfg(test)]
mod tests;
