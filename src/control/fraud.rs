//! What limits on money and minutes mean for calls that are up.

use std::borrow::Cow;
use std::collections::BTreeSet;

use clock::Now;
use sip::message::{Uri, unescape};
use sip::ua::SessionId;

use super::refusal::Refusal;
use super::{Control, Event, Output, Slot, What};
use crate::call::{Action, CallId, Cause, Label, LegId};
use crate::trunk::{self, Barred, ChargeId, Money, Outgoing, Owner, UsageRow, Word};

impl Control {
    /// Takes back what a run before has used of this day.
    pub fn restore_usage(&mut self, now: Now, row: &UsageRow) {
        self.trunks.restore_usage(now, row);
        self.pump(now);
    }

    /// What a trunk or an endpoint has used today, in milliseconds and money; `None` where nothing is
    /// counted.
    pub fn used(&mut self, now: Now, owner: &Owner) -> Option<(u64, Money)> {
        self.trunks.used(now, owner)
    }

    /// Has what was used today kept now: the server is going down.
    pub fn flush_usage(&mut self, now: Now) {
        self.trunks.flush_usage(now);
        self.pump(now);
    }

    pub(super) fn on_ledger(&mut self, now: Now, word: Word) {
        match word {
            Word::Save(row) => self.outputs.push_back(Output::Usage(row)),
            Word::Alarm(alarm) => self.outputs.push_back(Output::Event(Event {
                at: now,
                call: None,
                what: What::LimitNear(alarm),
            })),
            Word::End { charges, why } => self.end_charged(now, &charges, &why),
        }
    }

    /// A limit refuses what is being dialled: whoever dials is told its status.
    pub(super) fn note_bar(&mut self, call: CallId, why: &Refusal) {
        let Refusal::Trunk(refusal) = why else { return };
        if let trunk::Refusal::Barred(barred) = &**refusal
            && let Some(slot) = self.calls.get_mut(&call)
        {
            slot.barred = Some(barred.status());
        }
    }

    /// A trunk leg came to nothing before its INVITE: its place and its account go back.
    pub(super) fn take_back(&mut self, now: Now, call: CallId, label: &Label) {
        let slot = self.calls.get_mut(&call).filter(|_| label.trunk.is_some());
        if let Some(dialled) = slot.and_then(|slot| slot.dialled.pop_back()) {
            self.trunks.release(now, dialled.admitted);
        }
    }

    /// Whether a carrier may redirect a call of ours there: to where its limits would let it be
    /// dialled, and for no more money.
    pub(super) fn may_redirect(&mut self, now: Now, session: SessionId, uri: &str) -> bool {
        let user = |uri: Uri<'_>| uri.user_name().map(Cow::into_owned);
        let number = Uri::parse(uri).ok().and_then(user).unwrap_or_default();
        let Some((call, trunk, before)) = self.carriers.hunts.dialled(session) else {
            return false;
        };
        let slot = self.calls.get(&call);
        let out = Outgoing {
            trunk: &trunk,
            number: &number,
            shown: "",
            sponsors: &slot.map(|slot| slot.sponsors()).unwrap_or_default(),
            depth: 0,
        };
        match self.trunks.may_redirect(now, &out, &unescape(&before)) {
            Ok(()) => true,
            Err(refusal) => {
                self.trouble(now, call, &Refusal::from(refusal));
                false
            }
        }
    }

    /// A cap is reached: whoever uses it up hears the end of the call, both sides at once.
    fn end_charged(&mut self, now: Now, charges: &[ChargeId], why: &Barred) {
        let charges: BTreeSet<ChargeId> = charges.iter().copied().collect();
        let theirs = |slot: &Slot| {
            let dialled = slot.dialled.iter().map(|dialled| &dialled.admitted);
            let mut admitted = slot.admitted.values().chain(dialled);
            admitted.any(|it| it.charge().is_some_and(|charge| charges.contains(&charge)))
        };
        let ended: Vec<CallId> = self
            .calls
            .iter()
            .filter(|(_, slot)| theirs(slot))
            .map(|(call, _)| *call)
            .collect();
        for call in ended {
            let refusal = trunk::Refusal::from(why.clone());
            self.trouble(now, call, &Refusal::from(refusal));
            self.ask(now, call, Action::Hangup(Cause::Congestion));
        }
    }
}

impl Slot {
    /// The endpoints on whose behalf a leg goes out now: who called, and who transfers.
    pub(super) fn sponsors(&self) -> Vec<String> {
        let caller = self.call.label(LegId::CALLER);
        let transferor = self.call.transferor();
        let names = caller.into_iter().chain(transferor);
        let mut names: Vec<String> = names.filter_map(|it| it.endpoint.clone()).collect();
        names.dedup();
        names
    }
}
