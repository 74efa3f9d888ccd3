//! Two calls of one party become a conference of three: [`crate::call`]'s merging, between calls.

use clock::Now;

use super::Control;
use crate::call::{CallId, MergeSides};
use crate::explain::Explanation;

/// Why two calls are not merged. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotMerged {
    /// That is no call in progress in which the same endpoint talks to somebody whose sound can be summed.
    NotBridged(CallId),
    /// The two are on different media workers.
    Apart,
}

impl NotMerged {
    /// A name that never changes.
    pub fn id(&self) -> &'static str {
        match self {
            Self::NotBridged(_) => "merge-not-bridged",
            Self::Apart => "merge-apart",
        }
    }

    /// What was expected and found, and what mends it.
    pub fn explanation(&self) -> Explanation {
        let parts = match self {
            Self::NotBridged(call) => (
                "two calls in each of which the same endpoint talks to somebody, by codecs that are decoded",
                format!("call {call}, in which it does not"),
                "merge them once both are answered",
            ),
            Self::Apart => (
                "two calls on one media worker",
                "two that are on different ones".to_owned(),
                "end one and call again while the other waits: then both are on one",
            ),
        };
        Explanation::new(self.id(), parts)
    }
}

impl Control {
    /// Has those whom an endpoint talks to in two calls hear each other, and it both. Each call ends by itself.
    ///
    /// # Errors
    /// [`NotMerged`]: nothing has changed.
    pub fn merge_calls(
        &mut self,
        now: Now,
        endpoint: &str,
        [a, b]: [CallId; 2],
    ) -> Result<(), NotMerged> {
        let sides = |call: CallId| {
            let slot = self.calls.get(&call).filter(|_| a != b);
            let sides =
                slot.and_then(|slot| Some((slot.call.worker(), slot.call.merge_sides(endpoint)?)));
            sides.ok_or(NotMerged::NotBridged(call))
        };
        let ((worker, one), (other_worker, two)) = (sides(a)?, sides(b)?);
        if worker != other_worker {
            return Err(NotMerged::Apart);
        }
        // What either had to do before is done first: gains are said of ports that are there.
        self.drive(now, a);
        if let Some(slot) = self.calls.get_mut(&b) {
            slot.call.move_to_bridge(one.bridge);
            for (port, other) in heard_otherwise(one, two) {
                slot.call.deafen_to_each_other(port, other);
            }
            self.dirty.push_back(b);
        }
        self.pump(now);
        Ok(())
    }
}

/// Who must not hear whom: the party in the middle hears itself by neither leg, and each side by one.
fn heard_otherwise(
    one: MergeSides,
    two: MergeSides,
) -> [(media::port::PortId, media::port::PortId); 3] {
    [
        (one.own, two.own),
        (one.own, two.other),
        (two.own, one.other),
    ]
}
