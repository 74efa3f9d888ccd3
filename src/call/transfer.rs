//! Transfers: one side of the bridge hands the other on (REFER, RFC 3515).
//!
//! Whoever is handed on has the caller's part from then on: hears ringing, music and prompts. So a
//! caller who hands on the callee first changes parts with it; if the transfer fails while the caller
//! is still there, they change back. A caller who has gone by a transfer has also left the plan.

mod blind;
mod refer;
mod refusal;

use clock::{Duration, Now};

use super::action::{Destination, DialToken, Notice, Party, Prompt};
use super::command::{Output, SipCommand, Target};
use super::machine::Call;
use super::ringing::Ringing;
use super::sound::Purpose;
use super::{Cause, Label, LegId};
use blind::{Blind, Effect, Input};
pub use refer::{BadRefer, Refer};
pub use refusal::NoTransfer;

/// A transfer in progress.
#[derive(Debug)]
pub(super) struct Transfer {
    token: DialToken,
    /// Who asked; may be gone before the target answers.
    by: LegId,
    /// Whether that was the caller, who has changed parts with the callee.
    turned: bool,
    /// Every place of the target.
    pub(super) ringing: Ringing,
    /// The one that answered, or came from another call.
    target: Option<LegId>,
    state: Blind,
    how: How,
    news: News,
    pub(super) until: Now,
}

/// How the transferor is told what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Not at all (RFC 4488).
    None,
    /// By NOTIFY.
    Notify,
    /// By NOTIFY with this `id`: a dialog's second REFER and later ones (RFC 3515 §2.4.6).
    NotifyOf(u32),
}

/// One transfer that came about, for the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// When.
    pub at: Now,
    /// Who handed on, or was replaced.
    pub by: String,
    /// Who came in.
    pub to: String,
    /// How.
    pub how: How,
}

/// How somebody came into another's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// A REFER to somebody who was then rung.
    Blind,
    /// A REFER to a party of another call of the transferor.
    Attended,
    /// An INVITE with Replaces.
    Replaced,
}

impl How {
    /// The name in records and events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blind => "blind",
            Self::Attended => "attended",
            Self::Replaced => "replaced",
        }
    }
}

/// Transfers' tokens lie above all that plans choose.
const TOKENS: u64 = 1 << 63;

/// How long a target may ring.
const RINGS: Duration = Duration::from_secs(60);

/// How long a party of another call may take to come: two re-INVITEs that nobody answers.
const ADOPTS: Duration = Duration::from_secs(70);

impl Call {
    /// Whether `leg` could hand its partner on now.
    ///
    /// # Errors
    /// [`NoTransfer`]: there is nobody to hand on, or another transfer is under way.
    pub fn may_transfer(&self, leg: LegId) -> Result<(), NoTransfer> {
        let bridged = self.other(leg).is_some() && self.ending.is_none();
        match (bridged, &self.transfer) {
            // A call that rings has not decided yet.
            (false, _) => Err(NoTransfer::NotBridged),
            (true, Some(_)) => Err(NoTransfer::UnderWay),
            (true, None) => Ok(()),
        }
    }

    /// The transfers that came about.
    pub fn handovers(&self) -> &[Handover] {
        &self.handovers
    }

    /// Hands `leg`'s partner on to somebody who is rung. Ask [`Call::may_transfer`] first.
    pub fn transfer(&mut self, now: Now, leg: LegId, to: Destination, news: News) {
        if self.may_transfer(leg).is_err() {
            return;
        }
        let token = DialToken(TOKENS | u64::from(self.next_leg));
        let turned = leg == self.caller;
        if turned {
            self.turn_round();
        }
        self.transfer = Some(Transfer {
            token,
            by: leg,
            turned,
            ringing: Ringing::default(),
            target: None,
            state: Blind::Together,
            how: How::Blind,
            news,
            until: now + RINGS,
        });
        self.notify(leg, news, 100, false);
        self.part(leg);
        self.start_ringing_tone();
        self.outputs.push_back(Output::Resolve {
            token,
            to: vec![to],
            caller_id: None,
        });
    }

    /// Caller and callee change parts.
    fn turn_round(&mut self) {
        if let Some(partner) = &mut self.partner {
            std::mem::swap(partner, &mut self.caller);
        }
    }

    fn notify(&mut self, leg: LegId, news: News, status: u16, last: bool) {
        let id = match news {
            News::None => return,
            News::Notify => None,
            News::NotifyOf(number) => Some(number),
        };
        self.sip(leg, SipCommand::NotifyTransfer { status, last, id });
    }

    /// The transferor's subscription is over, by its refusal of a NOTIFY (RFC 5057 §5.1): it is told no more.
    pub(super) fn news_unwanted(&mut self, leg: LegId) {
        if let Some(transfer) = self.transfer.as_mut().filter(|it| it.by == leg) {
            transfer.news = News::None;
        }
    }

    pub(super) fn is_transfer(&self, token: DialToken) -> bool {
        token.0 & TOKENS != 0
    }

    /// Who asked for the transfer that is on, if one is.
    pub fn transferor(&self) -> Option<&Label> {
        let transfer = self.transfer.as_ref()?;
        self.legs.get(&transfer.by).map(|leg| &leg.label)
    }

    pub(super) fn is_transfer_leg(&self, leg: LegId) -> bool {
        self.transfer
            .as_ref()
            .is_some_and(|it| it.ringing.contains(leg))
    }

    /// Rings every place of the target: the first that answers has it.
    pub(super) fn transfer_resolved(&mut self, now: Now, token: DialToken, targets: Vec<Target>) {
        let waits = |it: &Transfer| it.token == token && it.ringing.is_empty();
        if !self.transfer.as_ref().is_some_and(waits) {
            return self.decline_targets(targets);
        }
        let legs = self.invite_targets(targets);
        match &mut self.transfer {
            Some(transfer) if !legs.is_empty() => transfer.ringing = Ringing::of(legs),
            _ => self.transfer_failed(now, 404),
        }
    }

    /// One place of the target answered: the others are cancelled.
    pub(super) fn transfer_answered(&mut self, now: Now, leg: LegId) {
        let Some(transfer) = &mut self.transfer else {
            return;
        };
        transfer.target = Some(leg);
        let ringing = std::mem::take(&mut transfer.ringing);
        for other in ringing.legs().iter().filter(|other| **other != leg) {
            self.end_leg(*other, Cause::Elsewhere);
        }
        self.transfer_step(now, Input::Answered, 200);
    }

    /// The target refused or did not answer.
    pub(super) fn transfer_failed(&mut self, now: Now, status: u16) {
        self.transfer_step(now, Input::Failed, status);
    }

    /// Whether a leg's end is the transfer's to deal with: the transferor's, who leaves party and
    /// target to each other, or the party's, who leaves a caller to the plan.
    pub(super) fn transfer_outlives(&mut self, now: Now, leg: LegId) -> bool {
        let Some(transfer) = &self.transfer else {
            return false;
        };
        let input = if transfer.by == leg {
            Input::TransferorGone
        } else if leg == self.caller && transfer.turned && transfer.state == Blind::Together {
            Input::PartyGone
        } else {
            return false;
        };
        self.transfer_step(now, input, 487);
        true
    }

    fn transfer_step(&mut self, now: Now, input: Input, status: u16) {
        let Some(mut transfer) = self.transfer.take() else {
            return;
        };
        let (next, effects) = transfer.state.step(input);
        if let Some(state) = next {
            transfer.state = state;
            if let Some((_, left)) = &mut self.bridged_by {
                // A caller who has gone takes the plan's interest along.
                *left |= transfer.turned;
            }
            self.transfer = Some(transfer);
            return;
        }
        self.stop_purpose(self.caller, Purpose::Ringing);
        for effect in effects {
            self.transfer_effect(now, &transfer, *effect, status);
        }
    }

    fn transfer_effect(&mut self, now: Now, transfer: &Transfer, effect: Effect, status: u16) {
        let by = transfer.by;
        match effect {
            Effect::Notify => self.notify(by, transfer.news, status, true),
            Effect::EndTarget => {
                let rings = transfer.ringing.legs().iter();
                for leg in rings.chain(&transfer.target) {
                    self.end_leg(*leg, Cause::Cancelled);
                }
            }
            Effect::EndTransferor => self.end_leg(by, Cause::Normal),
            Effect::JoinTarget => {
                if let Some(target) = transfer.target {
                    let side = if transfer.turned {
                        Party::Caller
                    } else {
                        Party::Callee
                    };
                    self.handed_on(now, (by, side), target, transfer.how);
                }
            }
            Effect::Rejoin => {
                if transfer.turned {
                    self.turn_round();
                }
                if let Some(partner) = self.partner {
                    self.join(partner);
                    self.hold_again();
                }
            }
            Effect::KeepTransferor => {
                if transfer.turned {
                    self.turn_round();
                }
                self.partner_left(now, Cause::from_status(status));
            }
            Effect::KeepParty => self.partner_left(now, Cause::from_status(status)),
        }
    }

    /// `partner` is who the caller's part talks to now; whoever was `by` is gone or going.
    pub(super) fn handed_on(
        &mut self,
        now: Now,
        (by, side): (LegId, Party),
        partner: LegId,
        how: How,
    ) {
        self.stop_purpose(self.caller, Purpose::Hold);
        self.partner = Some(partner);
        self.join(partner);
        self.hold_again();
        let handover = self.handover((now, how), by, partner, side);
        if side == Party::Caller {
            self.record_anew();
        }
        if let Some((token, left)) = &mut self.bridged_by {
            *left |= side == Party::Caller;
            let token = *token;
            self.tell(Notice::Transferred {
                token,
                by: side,
                handover,
            });
        }
    }

    /// Notes who came in whose place.
    pub(super) fn handover(
        &mut self,
        (at, how): (Now, How),
        by: LegId,
        to: LegId,
        side: Party,
    ) -> Handover {
        let name = |leg| self.legs.get(&leg).map(|it| it.label.address.clone());
        let handover = Handover {
            at,
            by: name(by).unwrap_or_else(|| self.last_by(side)),
            to: name(to).unwrap_or_default(),
            how,
        };
        self.handovers.push(handover.clone());
        handover
    }

    /// `by` hands its partner on to a party of another call, which [`Call::adopt`] brings. Until then
    /// the bridge stands. Ask [`Call::may_transfer`] first.
    pub fn await_leg(&mut self, now: Now, by: LegId, news: News) {
        let turned = by == self.caller;
        if turned {
            self.turn_round();
        }
        self.transfer = Some(Transfer {
            token: DialToken(TOKENS | u64::from(self.next_leg)),
            by,
            turned,
            ringing: Ringing::default(),
            target: None,
            state: Blind::Together,
            how: How::Attended,
            news,
            until: now + ADOPTS,
        });
        self.notify(by, news, 100, false);
    }

    /// Whether [`Call::adopt`] is still waited for.
    pub fn awaits_leg(&self) -> bool {
        let waits = |it: &Transfer| it.how == How::Attended && it.target.is_none();
        self.ending.is_none() && self.transfer.as_ref().is_some_and(waits)
    }

    /// The party of the other call cannot come.
    pub fn leg_not_coming(&mut self, now: Now, status: u16) {
        if self.awaits_leg() {
            self.transfer_failed(now, status);
        }
    }

    /// Who is handed on.
    pub fn handed_party(&self) -> Option<&Label> {
        self.legs.get(&self.caller).map(|it| &it.label)
    }

    pub(super) fn transfer_adopted(&mut self, now: Now, leg: LegId) {
        if let Some(transfer) = &mut self.transfer {
            transfer.target = Some(leg);
        }
        self.transfer_step(now, Input::Answered, 200);
    }

    /// The name of a transferor whose leg is forgotten already.
    fn last_by(&self, side: Party) -> String {
        match side {
            Party::Caller => self.from.clone(),
            Party::Callee | Party::Server => self.to.clone(),
        }
    }

    /// Whoever is still on hold after a transfer that failed hears music again.
    fn hold_again(&mut self) {
        let Some(partner) = self.partner else { return };
        for (holder, held) in [(self.caller, partner), (partner, self.caller)] {
            if self.legs.get(&holder).is_some_and(|it| it.held_by_peer) {
                let music = vec![Prompt::Music("default".to_owned())];
                self.start_playing(held, Purpose::Hold, music, true);
            }
        }
    }
}
