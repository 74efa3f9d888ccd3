//! Who talks when: what voice threads tell of a call's legs, as its events.

use clock::Now;
use voice::activity::Spurt;

use super::{Control, What};
use crate::call::{CallId, LegId};

impl Control {
    /// A voice thread tells of a spurt of talk. Of a leg that is gone nothing is told.
    pub fn talked(&mut self, now: Now, call: CallId, leg: LegId, spurt: Spurt) {
        let Some(party) = self.calls.get(&call).and_then(|slot| slot.call.party(leg)) else {
            return;
        };
        self.event(now, call, What::Talk { party, spurt });
    }
}
