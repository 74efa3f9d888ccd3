//! An INVITE with Replaces: who may take whose place, and with which port.

use bytes::Bytes;
use clock::Now;
use sip::message::Message;
use sip::transport::Flow;
use sip::ua::{Ending, SessionId};

use super::refusal::Refusal;
use super::{Control, What};
use crate::call::{CallId, Handover, LegId, Newcomer, NoTransfer, Party, Trouble};

impl Control {
    /// An INVITE that shall take the place of `replaced`. Whoever is admitted, may transfer and knows
    /// the dialog's name, which cannot be guessed, may take it.
    pub(super) fn on_replacing(
        &mut self,
        now: Now,
        (session, replaced): (SessionId, SessionId),
        (request, flow): (&Message, Flow),
        offer: Option<Bytes>,
    ) {
        let caller = match self.caller(now, request, flow) {
            Ok(caller) => caller,
            Err(ending) => return self.ua.end(now, session, ending),
        };
        let owner = self.sessions.get(&replaced).copied();
        let checked = owner
            .ok_or(NoTransfer::NoSuchDialog)
            .and_then(|(call, leg)| self.check_place(call, leg, &caller.label));
        let place = checked.and_then(|(call, leg, worker)| {
            let place = self.place(Some(worker), flow, offer.as_deref());
            let place = place.map_err(|_| NoTransfer::NoMedia)?;
            Ok((call, leg, place))
        });
        let (call, old, place) = match place {
            Ok(found) => found,
            Err(why) => {
                if let Some(admitted) = caller.admitted {
                    self.trunks.release(now, admitted);
                }
                let status = why.status();
                let target = caller.label.address;
                let refusal = Refusal::Call(Box::new(Trouble::Transfer { why, target }));
                self.note_refusal(now, status, &refusal, Some((request, flow)));
                let ending = Ending {
                    status,
                    ..Ending::default()
                };
                return self.ua.end(now, session, ending);
            }
        };
        let reserved = place.reserved;
        self.ports.insert((reserved.worker, reserved.port), call);
        let media = self.leg_media(flow.listener, place, &caller.codecs, caller.order);
        let media = self.with_keys(&caller.label, flow, media);
        let Some(slot) = self.calls.get_mut(&call) else {
            return;
        };
        let label = caller.label;
        let newcomer = Newcomer {
            label,
            offer,
            media,
        };
        let leg = slot.call.replace(old, newcomer);
        slot.sessions.insert(leg, session);
        slot.admitted.extend(caller.admitted.map(|it| (leg, it)));
        self.sessions.insert(session, (call, leg));
        self.dirty.push_back(call);
    }

    fn check_place(
        &self,
        call: CallId,
        leg: LegId,
        by: &crate::call::Label,
    ) -> Result<(CallId, LegId, u8), NoTransfer> {
        let slot = self.calls.get(&call).ok_or(NoTransfer::NoSuchDialog)?;
        self.check_party(by)?;
        let limit = self.transfers_max;
        if slot.call.handovers().len() >= limit {
            return Err(NoTransfer::TooOften { limit });
        }
        if !slot.call.replaceable(leg) {
            return Err(NoTransfer::UnderWay);
        }
        Ok((call, leg, slot.call.worker()))
    }

    /// Another leg has the caller's place.
    pub(super) fn on_caller_replaced(&mut self, now: Now, call: CallId, handover: &Handover) {
        let what = What::Transferred {
            by: handover.by.clone(),
            to: handover.to.clone(),
            how: handover.how,
        };
        self.event(now, call, what);
        self.release_absent(now, call);
        let endpoint = self.calls.get(&call).and_then(|slot| {
            let label = slot.call.handed_party()?;
            label.endpoint.clone()
        });
        self.engage(now, call, Party::Caller, endpoint.as_deref());
    }
}
