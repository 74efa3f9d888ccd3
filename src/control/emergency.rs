//! Calls to emergency numbers: past the dialplan, by the trunks that the configuration names, one
//! after the other until one takes the call.

use std::collections::VecDeque;
use std::time::Duration;

use clock::Now;

use super::{Control, What};
use crate::call::{
    Action, CallId, Cause, Destination, Dial, DialResult, DialToken, Notice, Ringback,
};

/// The trunks that an emergency call has not been offered to yet.
#[derive(Debug)]
pub(super) struct Rescue {
    left: VecDeque<String>,
    tries: u64,
}

impl Control {
    /// The ways of a call to `called`, if it is an emergency call that goes past the dialplan.
    pub(super) fn rescue_of(&self, called: &str, has_entry: bool) -> Option<Rescue> {
        let emergency = self.trunks.emergency();
        let shadowed = emergency.by_dialplan && has_entry;
        if shadowed || !emergency.is_emergency(called) {
            return None;
        }
        let left = emergency.trunks.iter().cloned().collect();
        Some(Rescue { left, tries: 0 })
    }

    /// An emergency call has come in.
    pub(super) fn begin_rescue(&mut self, now: Now, call: CallId, rescue: Rescue) {
        let Some(slot) = self.calls.get_mut(&call) else {
            return;
        };
        // Who is to be helped must be known.
        slot.identity.private = false;
        slot.rescue = Some(rescue);
        let (from, to) = slot.call.parties();
        let (from, to) = (from.to_owned(), to.to_owned());
        self.event(now, call, What::Emergency { from, to });
        self.next_rescue(now, call);
    }

    /// What becomes of an emergency call's dialling: the next trunk takes over from one that fails.
    pub(super) fn on_rescue(&mut self, now: Now, call: CallId, notice: &Notice) {
        let ours = self
            .calls
            .get(&call)
            .is_some_and(|slot| slot.rescue.is_some());
        if let (true, Notice::DialEnded { result, .. }) = (ours, notice)
            && !matches!(result, DialResult::Completed(_) | DialResult::Cancelled)
        {
            self.next_rescue(now, call);
        }
    }

    fn next_rescue(&mut self, now: Now, call: CallId) {
        let caller_id = self.trunks.emergency().caller_id.clone();
        let Some(slot) = self.calls.get_mut(&call) else {
            return;
        };
        let number = slot.call.parties().1.to_owned();
        let next = slot.rescue.as_mut().and_then(|rescue| {
            rescue.tries += 1;
            Some((rescue.left.pop_front()?, rescue.tries))
        });
        let action = match next {
            None => Action::Hangup(Cause::Unreachable),
            Some((trunk, tries)) => Action::Dial(Dial {
                token: DialToken(tries),
                to: vec![Destination::Trunk { trunk, number }],
                timeout: RINGS,
                ringback: Ringback::Tone,
                caller_id,
                blind: true,
            }),
        };
        self.ask(now, call, action);
    }
}

/// How long one trunk may ring: longer than any exchange lets an emergency call wait unheard.
const RINGS: Duration = Duration::from_secs(120);
