//! ICE, the lite end (RFC 8445 §2.5): it answers checks, and begins with none. An address is a *path* once a
//! check from it has proven that its sender knows our password; no media is ever sent to any other.
//!
//! A peer whose address changes under it (a NAT forgot it, or began anew) does not know, and a browser checks a
//! path that works each 2.5 s only: until then it would hear nothing. So whoever has said something authentic from
//! an address that is no path is *asked* there, by one check of ours, which a lite end need not send and every peer
//! answers (RFC 8445 §7.3). The answer proves the address as a check would: it is by the peer's own password.
//!
//! Media may come by a path before it is nominated, and a browser nominates again when a better one is
//! found: so every path is heard, and the one nominated last is spoken to.

use std::fmt;
use std::net::SocketAddr;

use clock::{Duration, Now};

use crate::stun::{
    self, Answer, CONTROLLED, Check, Message, PRIORITY, StunError, Transaction, USERNAME,
};

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
    /// The peer's; with `None` any name is taken, since the answer that tells it is still on the way.
    theirs: Option<Credentials>,
    /// What held until a restart is confirmed by a first check.
    before: Option<(Credentials, Option<Credentials>)>,
    /// The last check of ours.
    asked: Option<Asked>,
    /// How many there were.
    asks: u32,
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

/// A check of ours that may be answered.
#[derive(Clone, Copy, Debug)]
struct Asked {
    to: SocketAddr,
    transaction: Transaction,
    at: Now,
    is_answered: bool,
}

/// What a datagram brought.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checked {
    /// To be sent back to where the check came from; nothing to an answer.
    pub reply: Option<Vec<u8>>,
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
    /// An answer to what was not asked, or not there, or is answered.
    #[error("it answers nothing that was asked")]
    Unasked,
    /// Who sent it does not know the password.
    #[error("its proof is wrong")]
    Forged,
}

impl IceLite {
    /// An end that waits for its peer.
    pub fn new(now: Now, ours: Credentials, theirs: Option<Credentials>) -> Self {
        Self {
            ours,
            theirs,
            before: None,
            asked: None,
            asks: 0,
            paths: Vec::new(),
            nominated: None,
            consented: now,
        }
    }

    /// Who the peer is, once that is known, or whom it calls itself now: its name of before holds until the first
    /// check with the new one.
    pub fn meet(&mut self, theirs: Credentials) {
        match &self.theirs {
            Some(before) if *before == theirs => {}
            Some(_) => self.restart(self.ours.clone(), Some(theirs)),
            None => self.theirs = Some(theirs),
        }
    }

    /// New names and passwords (RFC 8445 §9): the old ones hold until the first check with the new.
    pub fn restart(&mut self, ours: Credentials, theirs: Option<Credentials>) {
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
        if let Ok(answer) = Answer::parse(datagram) {
            return self.answered(now, from, &answer);
        }
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
                reply: Some(stun::role_conflict(check.transaction, password)),
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
            reply: Some(reply),
            is_new,
            is_chosen,
            forgotten,
        })
    }

    /// Something authentic of the peer's has come from there: the check to send to it, unless it is a path already,
    /// the peer's password is not known, or the last one is not long ago.
    pub fn ask(&mut self, now: Now, to: SocketAddr) -> Option<Vec<u8>> {
        let is_soon = |asked: &Asked| now.since(asked.at) < ASK_EVERY;
        if self.is_path(to) || self.asked.as_ref().is_some_and(is_soon) {
            return None;
        }
        let theirs = self.theirs.as_ref()?;
        self.asks = self.asks.wrapping_add(1);
        let mut transaction = Transaction::default();
        for (place, byte) in transaction.iter_mut().zip(self.asks.to_be_bytes()) {
            *place = byte;
        }
        self.asked = Some(Asked {
            to,
            transaction,
            at: now,
            is_answered: false,
        });
        let mut check = Message::request(transaction);
        let names = format!("{}:{}", theirs.ufrag, self.ours.ufrag);
        check.push(USERNAME, names.as_bytes());
        check.push(PRIORITY, &HOST_PRIORITY.to_be_bytes());
        check.push(CONTROLLED, &[0; 8]);
        Some(check.seal(&theirs.password))
    }

    /// The address is the peer's, and the one it speaks from now.
    fn answered(
        &mut self,
        now: Now,
        from: SocketAddr,
        answer: &Answer<'_>,
    ) -> Result<Checked, Unanswered> {
        let asked = self.asked.as_mut().filter(|asked| {
            (asked.to, asked.transaction) == (from, answer.transaction) && !asked.is_answered
        });
        let (asked, theirs) = asked.zip(self.theirs.as_ref()).ok_or(Unanswered::Unasked)?;
        if !answer.is_by(&theirs.password) {
            return Err(Unanswered::Forged);
        }
        asked.is_answered = true;
        self.consented = now;
        let (is_new, forgotten) = self.walk(now, from);
        Ok(Checked {
            reply: None,
            is_new,
            is_chosen: self.nominated.replace(from) != Some(from),
            forgotten,
        })
    }

    fn is_for(&self, check: &Check<'_>) -> bool {
        let theirs = self.theirs.as_ref();
        check.ours == self.ours.ufrag && theirs.is_none_or(|theirs| theirs.ufrag == check.theirs)
    }

    fn is_for_before(&self, check: &Check<'_>) -> bool {
        self.before.as_ref().is_some_and(|(ours, theirs)| {
            let theirs = theirs.as_ref();
            check.ours == ours.ufrag && theirs.is_none_or(|theirs| theirs.ufrag == check.theirs)
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

/// Between two checks of ours: a few of a peer's packets.
pub const ASK_EVERY: Duration = Duration::from_millis(50);

/// What it says of itself: a host's address (RFC 8445 §5.1.2).
const HOST_PRIORITY: u32 = 0x7E00_01FF;

/// Paths of one peer: two networks, of two families each.
pub const PATHS_MAX: usize = 4;

#[cfg(test)]
mod tests;
