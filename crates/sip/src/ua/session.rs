//! One INVITE session: plain data. What happens to it is in the files beside this one.
//!
//! ```text
//!   caller   Inviting ──2xx──► Established        Inviting ──end──► Abandoned ──final──► gone
//!              │ 2xx with an offer   ▲                                 │ 2xx crossed
//!              └──► Answering ──ACK──┘                                 ▼
//!   callee   Ringing ──accept──► Established ──end──► Closing ──BYE answered──► gone
//!              └──end, CANCEL──► gone           BYE of the peer ──► gone
//! ```
//!
//! In Abandoned and Closing the user has been told the end; only the protocol is not done.

use super::event::{Ending, Reliable, SessionId};
use super::layer::Timer;
use super::prack::Heard;
use super::reliable::Said;
use super::{UserAgent, layer};
use crate::auth::Credentials;
use crate::dialog::{Dialog, SessionTimer, TimerPolicy, TimerUse};
use crate::message::Name;
use crate::transaction::TimerId;
use crate::transport::Flow;
use bytes::Bytes;
use clock::{Duration, Now};
use std::sync::Arc;

/// One session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) phase: Phase,
    /// We sent the INVITE, hence chose the Call-ID (§14.1).
    pub(super) is_caller: bool,
    pub(super) call_id: Arc<str>,
    pub(super) local_tag: u64,
    /// The CSeq of our latest request, over all forks: gaps are legal.
    pub(super) cseq: u32,
    pub(super) contact: String,
    pub(super) credentials: Option<Arc<Credentials>>,
    /// The proofs of our INVITE, which the ACK of its 2xx repeats (§13.2.2.4).
    pub(super) proofs: Vec<(Name, String)>,
    /// The dialog of the call; while we ring, the callee's early one.
    pub(super) dialog: Option<Dialog>,
    /// The caller's early dialogs, in order of appearance.
    pub(super) forks: Vec<Fork>,
    /// What our INVITE said of reliable provisional responses.
    pub(super) reliable: Reliable,
    /// The callee's reliable provisional responses, if the caller knows them.
    pub(super) said: Option<Box<Said>>,
    /// 2xx responses to INVITEs of the peer that await their ACK.
    pub(super) unacked: Vec<Unacked>,
    pub(super) offer: Offer,
    /// An offer of ours that met theirs, until its back-off is over.
    pub(super) waiting: Option<Waiting>,
    pub(super) session_timer: SessionTimer,
    /// What we want of its timer.
    pub(super) timers: TimerPolicy,
    /// The least interval a 422 taught us.
    pub(super) min_se: Duration,
    /// Our SDP as last sent: a refresh by re-INVITE repeats it.
    pub(super) local_sdp: Option<Bytes>,
    pub(super) peer_takes_update: bool,
    /// What copies of its INVITE share, once that has no transaction any more.
    pub(super) initial: Option<u64>,
    pub(super) timer: Option<(TimerId, Now)>,
}

/// One early dialog of an INVITE of ours.
#[derive(Debug)]
pub(super) struct Fork {
    pub(super) dialog: Dialog,
    pub(super) heard: Heard,
}

/// Where a session stands.
#[derive(Debug)]
pub(super) enum Phase {
    /// Our INVITE is on its way.
    Inviting { tx: u64 },
    /// Given up before an answer. `give_up_at` is set once the CANCEL was sent (§9.1).
    Abandoned {
        tx: u64,
        ending: Ending,
        give_up_at: Option<Now>,
    },
    /// Their 2xx carried an offer that awaits our answer.
    Answering { tx: u64, cseq: u32 },
    /// Their INVITE awaits our answer; the latest provisional is repeated each minute (§13.3.1.1).
    Ringing {
        tx: u64,
        latest: Option<(u16, Option<Bytes>)>,
        repeat_at: Option<Now>,
    },
    /// The call stands; on the callee's side perhaps before its ACK.
    Established,
    /// The end is told. A BYE is on its way, or waits for the ACK of our 2xx (§15).
    Closing { bye: Option<Ending> },
}

/// The one offer that may be open in a dialog.
#[derive(Debug)]
pub(super) enum Offer {
    None,
    /// Our re-INVITE, UPDATE, refresh or PRACK awaits its final response; a provisional one stops every
    /// timer of its transaction, hence this one.
    Ours {
        tx: u64,
        give_up_at: Now,
        /// How often it was put off before.
        tries: u8,
    },
    /// Their 2xx to our re-INVITE carried an offer that awaits our answer.
    Unanswered {
        tx: u64,
        cseq: u32,
    },
    /// Their re-INVITE, UPDATE or PRACK awaits our response.
    Theirs {
        tx: u64,
        is_invite: bool,
        had_body: bool,
    },
}

/// A 2xx to an INVITE of the peer, sent again until its ACK comes (§13.3.1.4).
#[derive(Debug)]
pub(super) struct Unacked {
    pub(super) tx: u64,
    pub(super) cseq: u32,
    /// The INVITE that began the session.
    pub(super) is_first: bool,
    /// The 2xx carried our offer: the ACK carries the answer.
    pub(super) has_offer: bool,
    pub(super) repeat_at: Now,
    pub(super) interval: Duration,
    pub(super) give_up_at: Now,
}

/// A request of ours that got 491 and is sent again (§14.1).
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) until: Now,
    pub(super) body: Option<Bytes>,
    pub(super) is_refresh: bool,
    /// How often it was put off already.
    pub(super) tries: u8,
}

/// Whether a session goes on after an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Stays,
    Gone,
}

impl Session {
    /// A callee's, with its Call-ID and our tag, of which nothing else is known yet.
    pub(super) fn new(
        phase: Phase,
        (call_id, local_tag): (Arc<str>, u64),
        contact: String,
        timers: TimerPolicy,
    ) -> Self {
        Self {
            phase,
            is_caller: false,
            call_id,
            local_tag,
            cseq: 0,
            contact,
            credentials: None,
            proofs: Vec::new(),
            dialog: None,
            forks: Vec::new(),
            reliable: Reliable::No,
            said: None,
            unacked: Vec::new(),
            offer: Offer::None,
            waiting: None,
            session_timer: SessionTimer::Off,
            timers,
            min_se: timers.least,
            local_sdp: None,
            peer_takes_update: false,
            initial: None,
            timer: None,
        }
    }

    /// What we want of the timer once the session is agreed to: who was taken is not asked again whether
    /// he knows timers, and one that runs goes on.
    pub(super) fn timers_now(&self) -> TimerPolicy {
        let how = match (self.timers.how, self.session_timer) {
            (TimerUse::Refuse, _) => TimerUse::Refuse,
            (TimerUse::Accept, SessionTimer::Off) => TimerUse::Accept,
            _ => TimerUse::Ask,
        };
        TimerPolicy { how, ..self.timers }
    }

    /// When the session itself has something to do.
    pub(super) fn deadline(&self) -> Option<Now> {
        let phase = match &self.phase {
            Phase::Abandoned { give_up_at, .. } => *give_up_at,
            Phase::Ringing { repeat_at, .. } => {
                let said = self.said.as_ref().and_then(|said| said.deadline());
                repeat_at.iter().copied().chain(said).min()
            }
            _ => None,
        };
        let acks = self
            .unacked
            .iter()
            .map(|ack| ack.repeat_at.min(ack.give_up_at))
            .min();
        let live = matches!(self.phase, Phase::Established);
        let ours = match &self.offer {
            Offer::Ours { give_up_at, .. } if live => Some(*give_up_at),
            _ => None,
        };
        let waiting = self
            .waiting
            .as_ref()
            .filter(|_| live || self.is_early())
            .map(|waiting| waiting.until);
        let timer = self.session_timer.deadline().filter(|_| live);
        [phase, acks, ours, waiting, timer]
            .into_iter()
            .flatten()
            .min()
    }

    /// The flow for our next request.
    pub(super) fn flow(&self) -> Option<Flow> {
        self.dialog.as_ref().map(Dialog::next_hop)
    }

    /// Whether the user still believes in the session.
    pub(super) fn is_told(&self) -> bool {
        matches!(self.phase, Phase::Abandoned { .. } | Phase::Closing { .. })
    }

    /// Whether the INVITE that began it, ours or theirs, has no final response yet.
    pub(super) fn is_early(&self) -> bool {
        matches!(self.phase, Phase::Inviting { .. } | Phase::Ringing { .. })
    }

    pub(super) fn next_cseq(&mut self) -> u32 {
        self.cseq += 1;
        self.cseq
    }

    pub(super) fn dialogs(&self) -> usize {
        usize::from(self.dialog.is_some()) + self.forks.len()
    }
}

impl UserAgent {
    /// Lets `act` change a session, then moves its timer, or forgets it.
    pub(super) fn with_session<T: Default>(
        &mut self,
        id: SessionId,
        act: impl FnOnce(&mut Self, &mut Session) -> (Fate, T),
    ) -> T {
        let Some(mut session) = self.sessions.take(id.0) else {
            return T::default();
        };
        let (fate, result) = act(self, &mut session);
        if fate == Fate::Stays {
            let deadline = session.deadline();
            layer::arm(
                &mut self.wheel,
                &mut session.timer,
                deadline,
                Timer::Session(id.0),
            );
            self.sessions.put(id.0, session);
        } else {
            if let Some((timer, _)) = session.timer {
                self.wheel.cancel(timer);
            }
            if let Offer::Ours { tx, .. } = session.offer {
                self.orphan(tx);
            }
            self.tags.remove(&session.local_tag);
            if let Some(initial) = session.initial {
                self.initials.remove(&initial);
            }
            self.bygone.note(&session);
            self.sessions.remove(id.0);
        }
        result
    }

    /// As [`UserAgent::with_session`], for what returns nothing.
    pub(super) fn change(
        &mut self,
        id: SessionId,
        act: impl FnOnce(&mut Self, &mut Session) -> Fate,
    ) {
        self.with_session(id, |ua, session| (act(ua, session), ()));
    }
}
