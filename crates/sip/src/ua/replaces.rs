//! One session in the place of another (RFC 3891): whose dialog a Replaces names, and what an INVITE
//! that names one gets. Which caller may take whose place is the user's to decide.

use super::event::SessionId;
use super::reply::Reply;
use super::session::{Phase, Session};
use super::{UserAgent, tokens};
use crate::message::{Message, Method, Name, Replaces};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// The name of a dialog as its other end matches it: what we write into a Replaces for that end, or
/// into the Refer-To of who shall send it one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialogName {
    call_id: Arc<str>,
    to_tag: String,
    from_tag: String,
}

impl DialogName {
    /// The name as a header has it.
    pub fn as_replaces(&self) -> Replaces<'_> {
        Replaces {
            call_id: &self.call_id,
            to_tag: &self.to_tag,
            from_tag: &self.from_tag,
            early_only: false,
        }
    }
}

impl fmt::Display for DialogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_replaces().fmt(f)
    }
}

/// Dialogs that ended lately: who would take the place of one is declined, not told that it never was
/// (§3). Bounded by count: about 100 bytes each.
#[derive(Debug, Default)]
pub(super) struct Bygone(VecDeque<(u64, Arc<str>)>);

impl Bygone {
    pub(super) fn note(&mut self, session: &Session) {
        if session.dialog.is_none() {
            return;
        }
        if self.0.len() >= BYGONE_MAX {
            self.0.pop_front();
        }
        let call_id = Arc::clone(&session.call_id);
        self.0.push_back((session.local_tag, call_id));
    }

    fn holds(&self, name: &Replaces<'_>) -> bool {
        let tag = tokens::from_hex(name.to_tag);
        let mut known = self.0.iter();
        known.any(|(local, call_id)| Some(*local) == tag && **call_id == *name.call_id)
    }
}

/// How a dialog that was named stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Ours: we sent its INVITE.
    Early,
    /// It rings at us.
    Ringing,
    Confirmed,
    Over,
}

impl UserAgent {
    /// The session whose dialog is named, early or confirmed, whoever began it; `None` once it is over.
    pub fn find_dialog(&self, name: &Replaces<'_>) -> Option<SessionId> {
        let (id, standing) = self.named(name)?;
        (standing != Standing::Over).then_some(id)
    }

    /// How the peer of a session would have its dialog named; `None` while there is none, and for one
    /// of ours that rings at several places.
    pub fn dialog_name(&self, session: SessionId) -> Option<DialogName> {
        let session = self.sessions.get(session.0).filter(|it| !it.is_told())?;
        let early = session.forks.first().filter(|_| session.forks.len() == 1);
        let dialog = session.dialog.as_ref().or(early.map(|fork| &fork.dialog))?;
        Some(DialogName {
            call_id: Arc::clone(&session.call_id),
            to_tag: dialog.remote_tag.clone(),
            from_tag: tokens::hex(session.local_tag),
        })
    }

    /// The session that an INVITE shall take the place of, or how it is refused (§3).
    pub(super) fn replaced_by(&self, request: &Message) -> Result<Option<SessionId>, Reply> {
        let name = match request.replaces() {
            Ok(None) => return Ok(None),
            Ok(Some(name)) => name,
            Err(_) => return Err(Reply::new(400)),
        };
        match self.named(&name) {
            Some((_, Standing::Confirmed)) if name.early_only => Err(Reply::new(486)),
            Some((id, Standing::Confirmed | Standing::Early)) => Ok(Some(id)),
            Some((_, Standing::Over)) => Err(Reply::new(603)),
            None if self.bygone.holds(&name) => Err(Reply::new(603)),
            // One that rings at us is not to be answered by who asks to replace it.
            Some((_, Standing::Ringing)) | None => Err(Reply::new(481)),
        }
    }

    fn named(&self, name: &Replaces<'_>) -> Option<(SessionId, Standing)> {
        let id = *self.tags.get(&tokens::from_hex(name.to_tag)?)?;
        let session = self.sessions.get(id.0)?;
        let is_peer = |tag: &str| {
            // A zero stands for the tag of a peer that knows none (§3).
            tag == name.from_tag || (tag.is_empty() && name.from_tag == "0")
        };
        let forks = session.forks.iter().map(|fork| &fork.dialog);
        let mut dialogs = session.dialog.iter().chain(forks);
        let is_ours =
            *session.call_id == *name.call_id && dialogs.any(|dialog| is_peer(&dialog.remote_tag));
        let standing = match session.phase {
            Phase::Inviting { .. } => Standing::Early,
            Phase::Ringing { .. } => Standing::Ringing,
            Phase::Answering { .. } | Phase::Established => Standing::Confirmed,
            Phase::Abandoned { .. } | Phase::Closing { .. } => Standing::Over,
        };
        is_ours.then_some((id, standing))
    }
}

/// Whether a request carries a Replaces where none has a meaning: anywhere but in an INVITE that begins
/// a session (§3). What ends something is obeyed all the same.
pub(super) fn is_misplaced(request: &Message, in_dialog: bool) -> bool {
    let obeyed = matches!(
        request.method(),
        Some(Method::Ack | Method::Cancel | Method::Bye)
    );
    let has_place = request.method() == Some(Method::Invite) && !in_dialog;
    !obeyed && !has_place && request.header(Name::Replaces).is_some()
}

/// Ended dialogs that are remembered.
const BYGONE_MAX: usize = 512;
