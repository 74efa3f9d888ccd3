//! Attended transfers: two calls of one party become one without it.
//!
//! ```text
//!   X ─ call ─ A        the same worker:  X ─ call ─ Y          A has left both; `other` is over
//!              ║ REFER  another one:      Y's peer is asked to send beside X first; both calls stand
//!   Y ─ other ─ A                         until it does, and go on if it will not
//! ```

use clock::Now;
use media::worker::{IpFamily, Reserved};
use sip::message::Replaces;

use super::{Control, What};
use crate::call::{CallId, How, LegId, News, NoTransfer};

/// An attended transfer whose target's port is being moved.
#[derive(Debug)]
pub(super) struct Merge {
    /// Where the REFER came.
    call: CallId,
    /// The transferor's leg in the call that lends.
    beside: LegId,
    /// The new port, on the worker of `call`.
    reserved: Reserved,
}

/// The other call of a transferor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Other {
    call: CallId,
    beside: LegId,
    leg: LegId,
}

impl Control {
    /// The call whose dialog a Refer-To names in its Replaces, if the transferor may give it away.
    pub(super) fn other_call(
        &self,
        (call, here): (CallId, LegId),
        replaces: &str,
    ) -> Result<Other, NoTransfer> {
        let named = Replaces::parse(replaces).ok();
        let session = named.and_then(|name| self.ua.find_dialog(&name));
        let owner = session.and_then(|session| self.sessions.get(&session));
        let Some(&(other, beside)) = owner.filter(|(other, _)| *other != call) else {
            return Err(NoTransfer::NoSuchDialog);
        };
        let slots = self.calls.get(&call).zip(self.calls.get(&other));
        let (slot, other_slot) = slots.ok_or(NoTransfer::NoSuchDialog)?;
        let labels = slot.call.label(here).zip(other_slot.call.label(beside));
        let same = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
        let owns = labels.is_some_and(|(here, there)| {
            same(&here.endpoint, &there.endpoint) || same(&here.trunk, &there.trunk)
        });
        if !owns {
            return Err(NoTransfer::NotTheirs);
        }
        let leg = other_slot
            .call
            .lendable(beside)
            .ok_or(NoTransfer::NotBridged)?;
        // A leg that is bridged stays with what is decoded, or with what is relayed: so it will be when it comes.
        let spoken = slot.call.spoken_beside(here);
        if let Some((one, two)) = spoken.zip(other_slot.call.spoken_beside(beside)) {
            NoTransfer::unless_heard(one, two)?;
        }
        let (done, limit) = (other_slot.call.handovers().len(), self.transfers_max);
        if done + slot.call.handovers().len() >= limit {
            return Err(NoTransfer::TooOften { limit });
        }
        Ok(Other {
            call: other,
            beside,
            leg,
        })
    }

    /// Joins the transferor's partners. What either call had to do before is done first.
    pub(super) fn attend(
        &mut self,
        now: Now,
        (call, leg): (CallId, LegId),
        other: Other,
        news: News,
    ) {
        self.drive(now, call);
        self.drive(now, other.call);
        let Some(slot) = self.calls.get_mut(&call) else {
            return;
        };
        let worker = slot.call.worker();
        slot.call.await_leg(now, leg, news);
        self.dirty.push_back(call);
        let there = self.calls.get(&other.call).map(|it| it.call.worker());
        if there == Some(worker) {
            return self.merge(now, call, other, None);
        }
        if self.is_web(other.call, other.leg) {
            // A browser's port stays on its worker.
            return self.not_coming(now, call, 503);
        }
        let family = IpFamily::of(self.address_of(other.call, other.leg));
        let Ok(reserved) = self.media.reserve_beside(worker, family) else {
            return self.not_coming(now, call, 503);
        };
        self.ports.insert((worker, reserved.port), call);
        let merge = Merge {
            call,
            beside: other.beside,
            reserved,
        };
        self.merges.insert(other.call, merge);
        if let Some(slot) = self.calls.get_mut(&other.call) {
            slot.call.move_to(now, other.leg, reserved.rtp.port());
            self.dirty.push_back(other.call);
        }
    }

    fn is_web(&self, call: CallId, leg: LegId) -> bool {
        let slot = self.calls.get(&call);
        slot.is_some_and(|slot| slot.call.is_web(leg))
    }

    fn address_of(&self, call: CallId, leg: LegId) -> std::net::IpAddr {
        let slot = self.calls.get(&call);
        let address = slot.and_then(|slot| slot.call.media_address(leg));
        address.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED.into())
    }

    /// A leg's peer sends to its new port now, or it will not.
    pub(super) fn on_moved(&mut self, now: Now, from: CallId, leg: LegId, ready: bool) {
        let Some(merge) = self.merges.get(&from) else {
            return;
        };
        let (call, beside, reserved) = (merge.call, merge.beside, merge.reserved);
        if !ready {
            self.merges.remove(&from);
            self.ports.remove(&(reserved.worker, reserved.port));
            self.media.release(reserved.worker, reserved.port);
            return self.not_coming(now, call, 488);
        }
        let wanted = self.calls.get(&call).is_some_and(|it| it.call.awaits_leg());
        if wanted {
            self.merges.remove(&from);
            let other = Other {
                call: from,
                beside,
                leg,
            };
            self.merge(now, call, other, Some(reserved));
        } else if let Some(slot) = self.calls.get_mut(&from) {
            slot.call.unwanted(now);
            self.dirty.push_back(from);
        }
    }

    fn not_coming(&mut self, now: Now, call: CallId, status: u16) {
        if let Some(slot) = self.calls.get_mut(&call) {
            slot.call.leg_not_coming(now, status);
            self.dirty.push_back(call);
        }
    }

    /// Carries a leg, with its session, its place in its trunk's cap and its port, from one call to the
    /// other.
    fn merge(&mut self, now: Now, call: CallId, other: Other, moved: Option<Reserved>) {
        let random = self.random.next();
        let party = self.calls.get(&call).and_then(|it| it.call.handed_party());
        let to = party.map_or_else(String::new, |label| label.address.clone());
        let Some(slot) = self.calls.get_mut(&other.call) else {
            return self.not_coming(now, call, 480);
        };
        slot.run = None;
        let waiting = slot.waiting.take();
        let by = slot.call.label(other.beside).cloned().unwrap_or_default();
        let same = moved.is_none();
        let port = slot.call.port_of(other.leg);
        let lent = slot
            .call
            .lend(now, other.leg, other.beside, &to, same)
            .zip(slot.sessions.remove(&other.leg));
        let admitted = slot.admitted.remove(&other.leg);
        if let Some(mut waiting) = waiting {
            let steps = waiting.leave();
            self.take_steps(now, other.call, steps);
        }
        self.dirty.push_back(other.call);
        let what = What::Transferred {
            by: by.address,
            to,
            how: How::Attended,
        };
        self.event(now, other.call, what);
        let slot = self.calls.get_mut(&call);
        let (Some((lent, session)), Some(slot)) = (lent, slot) else {
            return self.not_coming(now, call, 480);
        };
        let leg = slot
            .call
            .adopt(now, lent, moved.map(|reserved| (reserved, random)));
        slot.sessions.insert(leg, session);
        slot.admitted.extend(admitted.map(|it| (leg, it)));
        self.sessions.insert(session, (call, leg));
        if let Some(port) = port.filter(|_| same) {
            let worker = slot.call.worker();
            self.ports.insert((worker, port), call);
        }
        self.dirty.push_back(call);
    }

    /// A call is over: whom it waited for stays where he is.
    pub(super) fn forget_merges(&mut self, call: CallId) {
        if let Some(merge) = self.merges.remove(&call) {
            let reserved = merge.reserved;
            self.ports.remove(&(reserved.worker, reserved.port));
            self.media.release(reserved.worker, reserved.port);
        }
    }
}
