//! Before the answer: what the other lets hear, and offers that are made anew.

use bytes::Bytes;
use clock::Now;
use media::worker::MediaPlane;

use super::Phone;
use super::line::Line;

impl Phone {
    /// The other rings, and perhaps speaks already. A reliable response waits for our word where that is the
    /// phone's habit.
    pub(super) fn on_progress(
        &mut self,
        now: Now,
        media: &mut dyn MediaPlane,
        body: Option<Bytes>,
        (is_reliable, needs_word): (bool, bool),
    ) {
        let early = self.habits.early;
        let Line::Live(live) = &mut self.line else {
            return;
        };
        let heard = body.is_some_and(|answer| live.negotiation.take_answer(&answer).is_ok());
        if needs_word {
            let offer = if heard && early.pracks_with_offers {
                live.negotiation.offer().ok()
            } else {
                None
            };
            let session = live.session;
            self.ua.acknowledge(now, session, offer);
        } else if heard && is_reliable && early.updates {
            live.update_at.get_or_insert(now);
        }
        if heard {
            self.follow(media);
        }
    }

    /// Offers anew, when the time has come to do so before the answer.
    pub(super) fn update_when_due(&mut self, now: Now) {
        let Line::Live(live) = &mut self.line else {
            return;
        };
        if live.update_at.is_some_and(|at| at <= now) {
            live.update_at = None;
            self.reoffer(now);
        }
    }

    pub(super) fn reoffer(&mut self, now: Now) {
        let Line::Live(live) = &mut self.line else {
            return;
        };
        let session = live.session;
        // A first offer of ours that is open is the INVITE's: its answer has not come.
        if live.negotiation.agreed().is_some()
            && let Ok(offer) = live.negotiation.offer()
        {
            self.ua.reinvite(now, session, Some(offer));
        }
    }
}
