//! How legs and calls end, and the call record.

use std::time::Duration;

use clock::Now;
use media::port::PortId;
use media::worker::PortCommand;
use sip::ua::EndedBy;

use super::action::{DialResult, Notice, Party};
use super::command::{Output, SipCommand};
use super::leg::{Leg, LegState, PortState};
use super::machine::Call;
use super::{Cause, Cdr, Direction, LegId, Trouble};

/// A call on its way out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    cause: Cause,
    sip_status: Option<u16>,
    q850: Option<u16>,
    ended: Now,
    /// When the record is written even if a peer or a worker never confirms.
    pub(super) give_up_at: Now,
}

/// Longer than any transaction's end (64·T1 = 32 s).
const GIVE_UP: Duration = Duration::from_secs(40);

impl Call {
    /// Ends every leg. The first cause stands.
    pub(super) fn hang_up(&mut self, now: Now, cause: Cause) {
        self.end_with(now, cause, None, None);
    }

    fn end_with(&mut self, now: Now, cause: Cause, sip_status: Option<u16>, q850: Option<u16>) {
        if self.ending.is_none() {
            self.ending = Some(Ending {
                cause,
                sip_status,
                q850,
                ended: now,
                give_up_at: now + GIVE_UP,
            });
            self.stop_recording();
        }
        self.dialing = None;
        self.transfer = None;
        self.replacing = None;
        if let Some(lending) = self.lending.take() {
            // Whoever waits for the leg learns that it does not come.
            let leg = lending.leg;
            self.outputs.push_back(Output::Moved { leg, ready: false });
        }
        self.partner = None;
        let legs: Vec<LegId> = self.legs.keys().copied().collect();
        for leg in legs {
            self.end_leg(leg, cause);
        }
        self.finish_if_over(now);
    }

    /// Ends one leg: its signalling in whatever state, its sound and its port.
    pub(super) fn end_leg(&mut self, leg: LegId, cause: Cause) {
        let Some(it) = self.legs.get_mut(&leg) else {
            return;
        };
        if !it.is_alive() {
            return;
        }
        it.state = LegState::Ending;
        it.playing = None;
        self.sip(leg, SipCommand::End(cause));
        self.close_port(leg);
    }

    /// A leg that never had a session, or whose session is over: its port goes back.
    pub(super) fn leg_gone(&mut self, leg: LegId) {
        if let Some(it) = self.legs.get_mut(&leg) {
            it.state = LegState::Ended;
            it.playing = None;
        }
        self.close_port(leg);
    }

    pub(super) fn close_port(&mut self, leg: LegId) {
        let Some(it) = self.legs.get_mut(&leg) else {
            return;
        };
        let port = it.port.id;
        match it.port.state {
            PortState::Open => {
                it.port.state = PortState::Closing;
                self.port(PortCommand::Close { port });
            }
            PortState::Reserved => {
                it.port.state = PortState::Closed;
                self.outputs.push_back(Output::Release(port));
            }
            PortState::Closing | PortState::Closed => {}
        }
    }

    pub(super) fn on_port_closed(&mut self, now: Now, port: PortId) {
        if let Some(leg) = self.leg_of(port)
            && let Some(it) = self.legs.get_mut(&leg)
        {
            it.port.state = PortState::Closed;
        }
        self.finish_if_over(now);
    }

    /// A leg's session is over.
    pub(super) fn on_ended(
        &mut self,
        now: Now,
        leg: LegId,
        by: EndedBy,
        status: Option<u16>,
        q850: Option<u16>,
    ) {
        let was_alive = self.legs.get(&leg).is_some_and(|it| it.is_alive());
        self.leg_gone(leg);
        if was_alive {
            let cause = match by {
                EndedBy::Peer | EndedBy::Us => Cause::Normal,
                EndedBy::Cancelled => Cause::Cancelled,
                EndedBy::NoAck | EndedBy::SessionTimer | EndedBy::FlowFailed => Cause::Lost,
            };
            if self.outlives(now, leg, cause) {
                // Whoever is still there goes on.
            } else if leg == self.caller {
                self.caller_gone(now, cause, status, q850);
            } else {
                self.callee_gone(now, leg, cause);
            }
        }
        self.finish_if_over(now);
    }

    /// Whoever is that endpoint, or in a browser as it, may stay no longer: the call goes on or ends as if
    /// he had hung up. Whether he was there.
    pub fn expel(&mut self, now: Now, endpoint: &str, only_in_browsers: bool) -> bool {
        let theirs = |leg: &Leg| {
            let named = leg.label.endpoint.as_deref() == Some(endpoint);
            let here = !only_in_browsers || leg.negotiation.local().web.is_some();
            named && here && leg.is_alive()
        };
        let legs = self.legs.values().filter(|leg| theirs(leg));
        let legs: Vec<LegId> = legs.map(|leg| leg.id).collect();
        for leg in &legs {
            self.leg_failed(now, *leg, Cause::Forbidden);
        }
        self.finish_if_over(now);
        !legs.is_empty()
    }

    /// A leg that was up cannot go on.
    pub(super) fn leg_failed(&mut self, now: Now, leg: LegId, cause: Cause) {
        self.end_leg(leg, cause);
        if self.outlives(now, leg, cause) {
            // Whoever is still there goes on.
        } else if leg == self.caller {
            self.caller_gone(now, cause, None, None);
        } else {
            self.callee_gone(now, leg, cause);
        }
    }

    /// Whether a leg's end is dealt with by what happens to its bridge: a transfer, a leg that moves,
    /// a newcomer in its place.
    fn outlives(&mut self, now: Now, leg: LegId, cause: Cause) -> bool {
        self.transfer_outlives(now, leg)
            || self.lending_outlives(now, leg, cause)
            || self.replacing_outlives(now, leg)
    }

    /// The caller is gone, and with the caller the call.
    pub(super) fn caller_gone(
        &mut self,
        now: Now,
        cause: Cause,
        status: Option<u16>,
        q850: Option<u16>,
    ) {
        if self.ending.is_some() {
            return;
        }
        if self.dialing.is_some() {
            self.end_dialing(DialResult::Cancelled, Cause::Cancelled);
        }
        if let Some((token, _)) = self.bridged_by.take() {
            self.tell(Notice::DialEnded {
                token,
                result: DialResult::Completed(Party::Caller),
            });
        }
        self.tell(Notice::CallerGone(cause));
        self.end_with(now, cause, status, q850);
    }

    /// The bridge partner is gone: the plan goes on with the caller, unless it has let go of the call.
    fn callee_gone(&mut self, now: Now, leg: LegId, cause: Cause) {
        if self.partner != Some(leg) {
            return self.ringing_leg_out(now, leg, None);
        }
        self.partner_left(now, cause);
    }

    /// Nobody is left beside the caller.
    pub(super) fn partner_left(&mut self, now: Now, cause: Cause) {
        self.partner = None;
        self.part(self.caller);
        self.stop_playing(self.caller, false);
        self.stop_recording();
        let Some((token, blind)) = self.bridged_by.take() else {
            return;
        };
        self.tell(Notice::DialEnded {
            token,
            result: DialResult::Completed(Party::Callee),
        });
        if blind {
            self.hang_up(now, cause);
        }
    }

    /// Writes the record once nothing is left of any leg.
    pub(super) fn finish_if_over(&mut self, now: Now) {
        self.legs.retain(|_, leg| !leg.is_gone());
        let over = self.ending.is_some() && self.legs.values().all(|leg| leg.is_gone());
        if over {
            self.finish(now);
        }
    }

    /// A peer or a worker never confirmed the end.
    pub(super) fn give_up(&mut self, now: Now) {
        self.trouble(Trouble::NeverEnded);
        self.finish(now);
    }

    fn finish(&mut self, now: Now) {
        let Some(ending) = self.ending.filter(|_| !self.finished) else {
            return;
        };
        self.finished = true;
        let refused = self.answered.is_none().then(|| ending.cause.sip_status());
        self.outputs.push_back(Output::Finished(Box::new(Cdr {
            call: self.id,
            direction: Direction::Inbound,
            from: self.from.clone(),
            to: self.to.clone(),
            trunk: self.trunk.clone(),
            started: self.started,
            answered: self.answered,
            // An answer that waited for a PRACK to the end was never given.
            bridged: self.answered.and(self.bridged),
            ended: ending.ended.min(now),
            cause: ending.cause,
            sip_status: ending.sip_status.or(refused),
            q850: ending.q850.unwrap_or(ending.cause.q850()),
            queue: None,
            agent: None,
            waited: Duration::ZERO,
            recording: None,
            refusal: None,
            handovers: std::mem::take(&mut self.handovers),
            legs: std::mem::take(&mut self.figures),
        })));
    }
}
