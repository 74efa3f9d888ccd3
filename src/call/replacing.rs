//! An INVITE that takes the place of a leg (RFC 3891): answered at once, in its place once its ACK has
//! come, whereupon the other leg ends. Until then nothing has changed for anybody.
//!
//! ```text
//!   free ──INVITE with Replaces: 200──▶ replacing ──ACK, or the old leg leaves──▶ free: in its place
//!     ▲                                    │
//!     └────── no ACK, hung up at once ─────┘
//! ```

use bytes::Bytes;
use clock::Now;

use super::action::{Notice, Party};
use super::answering::decoded;
use super::command::{LegMedia, SipCommand};
use super::leg::{Label, Leg, LegState};
use super::machine::Call;
use super::transfer::How;
use super::{Cause, LegId, Trouble};

/// Who takes another's place.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// Who it is to us.
    pub label: Label,
    /// The SDP of the INVITE, if it carried one.
    pub offer: Option<Bytes>,
    /// Our side of its media, on the call's worker.
    pub media: LegMedia,
}

/// A leg that shall take another's place (RFC 3891), until its ACK has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Replacing {
    pub(super) old: LegId,
    pub(super) new: LegId,
}

impl Call {
    /// Whether an INVITE may take the place of that leg now.
    pub fn replaceable(&self, leg: LegId) -> bool {
        let free = self.ending.is_none()
            && self.transfer.is_none()
            && self.lending.is_none()
            && self.replacing.is_none();
        let here = self.legs.get(&leg).is_some_and(Leg::is_answered);
        let sides = leg == self.caller || Some(leg) == self.partner;
        free && ((here && sides) || self.is_dialled(leg))
    }

    /// Answers an INVITE that shall take `old`'s place. Ask [`Call::replaceable`] first. The place is
    /// taken when the ACK has come: until then nothing has changed for anybody.
    pub fn replace(&mut self, old: LegId, who: Newcomer) -> LegId {
        let Newcomer {
            label,
            offer,
            media,
        } = who;
        let relayed = self.spoken_beside(old).filter(|it| it.is_only_relayed());
        let new = self.add_leg(label, media);
        let Some(it) = self.legs.get_mut(&new) else {
            return new;
        };
        // What is only relayed passes if whoever it will be bridged with speaks it, and then nothing else does.
        it.negotiation.set_codecs(match relayed {
            Some(codec) => vec![codec],
            None => decoded(it.negotiation.local().codecs.clone()),
        });
        let body = match &offer {
            Some(offer) => it.negotiation.answer(offer),
            None => it.negotiation.offer(),
        };
        match body {
            Ok(body) => {
                it.state = LegState::Accepted;
                self.open_port(new);
                self.sip(new, SipCommand::Accept(Some(body)));
                self.replacing = Some(Replacing { old, new });
            }
            Err(error) => {
                let (label, ours) = (&it.label, &it.negotiation.local().codecs);
                let body = offer.as_deref().unwrap_or_default();
                let trouble = Trouble::media(label, &error, body, ours);
                self.trouble(trouble);
                self.end_leg(new, Cause::IncompatibleMedia);
            }
        }
        new
    }

    /// The ACK of a newcomer's dialog has come.
    pub(super) fn replacement_confirmed(&mut self, now: Now, leg: LegId) {
        if self.replacing.is_some_and(|it| it.new == leg) {
            self.take_place(now);
        }
    }

    /// The leg that replaces another is certain of its dialog, or the other one has left first.
    pub(super) fn take_place(&mut self, now: Now) {
        let Some(Replacing { old, new }) = self.replacing.take() else {
            return;
        };
        if self.is_dialled(old) {
            return self.connect(now, new);
        }
        if Some(old) == self.partner {
            self.handed_on(now, (old, Party::Callee), new, How::Replaced);
        } else if old == self.caller {
            self.caller = new;
            self.carry_playing(old, new);
            if let Some(partner) = self.partner {
                self.join(partner);
                self.record_anew();
            } else if self.room.is_some() {
                self.join_room();
                self.record_anew();
            }
            let handover = self.handover((now, How::Replaced), old, new, Party::Caller);
            self.tell(Notice::CallerReplaced(handover));
        } else {
            // Whom it was to replace is not there any more, nor anybody else in its place.
            return self.end_leg(new, Cause::Cancelled);
        }
        self.end_leg(old, Cause::Normal);
    }

    /// Whether a leg's end is the replacement's to deal with.
    pub(super) fn replacing_outlives(&mut self, now: Now, leg: LegId) -> bool {
        let Some(Replacing { old, new }) = self.replacing else {
            return false;
        };
        if leg == new {
            self.replacing = None;
            return true;
        }
        // Whoever replaces has our 200: its ACK is under way, or its end will be told.
        let sides = leg == self.caller || Some(leg) == self.partner;
        if leg == old && sides {
            self.take_place(now);
            return true;
        }
        false
    }
}
