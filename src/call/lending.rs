//! Legs that go from one call to another: the bridge of an attended transfer.
//!
//! All ports of a bridge live on one worker. A leg whose call is served by the same worker as its new
//! one takes its port along and is heard at once. Else its peer is first asked, by re-INVITE, to send to
//! a port beside the new partner's; until it agrees, both old bridges stand. A partner who hangs up
//! meanwhile does not end the leg.

mod moving;

use bytes::Bytes;
use clock::{Duration, Now};
use media::worker::Reserved;

use super::command::{Output, SipCommand};
use super::leg::{Leg, LegPort, LegState, PortState};
use super::machine::Call;
use super::transfer::{Handover, How};
use super::{Cause, LegId};
use moving::{Effect, Input, Moving};

/// A leg of this call that another call wants.
#[derive(Debug)]
pub(super) struct Lending {
    pub(super) leg: LegId,
    /// Its RTP port as described before, and the one it moves to.
    home: u16,
    away: u16,
    state: Moving,
    /// The partner's end, which waits until it is known whose the leg is.
    partner_gone: Option<(LegId, Cause, Now)>,
    /// When the peer's silence counts as a refusal.
    pub(super) until: Now,
}

/// A leg on its way from one call to another.
#[derive(Debug)]
pub struct Lent {
    leg: Leg,
    next_play: u64,
}

#[cfg(test)]
impl Lent {
    /// As if another worker's port had been named that way.
    pub(super) fn rename(&mut self, port: media::port::PortId) {
        self.leg.port.id = port;
    }
}

/// As long as a re-INVITE's transaction lives (64·T1), and some.
const PATIENCE: Duration = Duration::from_secs(33);

impl Call {
    /// Whether another call could have the leg that `beside` is bridged with; which that is.
    pub fn lendable(&self, beside: LegId) -> Option<LegId> {
        let leg = self.other(beside)?;
        let free = self.ending.is_none()
            && self.transfer.is_none()
            && self.lending.is_none()
            && self.replacing.is_none();
        let up = |it: &Leg| matches!(it.state, LegState::Up);
        let stands = self.legs.get(&leg).is_some_and(up);
        (free && stands).then_some(leg)
    }

    /// Asks the leg's peer to send to that RTP port, on another worker. Told by [`Output::Moved`].
    pub fn move_to(&mut self, now: Now, leg: LegId, port: u16) {
        let Some(it) = self.legs.get(&leg) else {
            return;
        };
        let home = it.negotiation.local().port;
        self.lending = Some(Lending {
            leg,
            home,
            away: port,
            state: Moving::Asked,
            partner_gone: None,
            until: now + PATIENCE,
        });
        if !self.offer_port(leg, port) {
            self.lending_step(now, Input::Refused);
        }
    }

    pub(super) fn is_lent(&self, leg: LegId) -> bool {
        self.lending.as_ref().is_some_and(|it| it.leg == leg)
    }

    fn offer_port(&mut self, leg: LegId, port: u16) -> bool {
        let Some(it) = self.legs.get_mut(&leg) else {
            return false;
        };
        it.negotiation.set_port(port);
        match it.negotiation.offer() {
            Ok(offer) => {
                self.sip(leg, SipCommand::Reoffer(offer));
                true
            }
            Err(_) => false,
        }
    }

    /// The peer's own offer comes while ours, refused for it by 491, waits to be made again: theirs is answered
    /// first, by the port that the leg has here. Ours is made anew when the user agent gives it up (RFC 3261
    /// §14.1).
    pub(super) fn give_way(&mut self, leg: LegId) {
        let home = self.lending.as_ref().filter(|it| it.leg == leg);
        let home = home.map(|it| it.home);
        if let Some(home) = home
            && let Some(it) = self.legs.get_mut(&leg)
            && it.negotiation.awaits_answer()
        {
            it.negotiation.abandon();
            it.negotiation.set_port(home);
        }
    }

    /// Whether the offer that gave way could be made anew.
    fn offer_anew(&mut self, leg: LegId) -> bool {
        let port = self.lending.as_ref().and_then(|it| match it.state {
            Moving::Asked => Some(it.away),
            Moving::Returning => Some(it.home),
            Moving::Ready => None,
        });
        port.is_some_and(|port| self.offer_port(leg, port))
    }

    /// The peer's word on an offer of ours.
    pub(super) fn on_offer_answered(
        &mut self,
        now: Now,
        leg: LegId,
        result: Result<Option<Bytes>, u16>,
    ) {
        let lent = self.is_lent(leg);
        let Some(it) = self.legs.get_mut(&leg).filter(|_| lent) else {
            return;
        };
        let gave_way = result == Err(491) && !it.negotiation.awaits_answer();
        if gave_way && self.offer_anew(leg) {
            return;
        }
        let Some(it) = self.legs.get_mut(&leg) else {
            return;
        };
        let taken = match result {
            Ok(Some(answer)) => it.negotiation.take_answer(&answer).is_ok(),
            Ok(None) | Err(_) => false,
        };
        let input = if taken {
            Input::Accepted
        } else {
            Input::Refused
        };
        self.lending_step(now, input);
    }

    /// The other call cannot take the leg any more.
    pub fn unwanted(&mut self, now: Now) {
        self.lending_step(now, Input::Unwanted);
    }

    pub(super) fn lending_timed_out(&mut self, now: Now) {
        self.lending_step(now, Input::Refused);
    }

    /// Whether a leg's end waits because the other side of its bridge is being moved.
    pub(super) fn lending_outlives(&mut self, now: Now, leg: LegId, cause: Cause) -> bool {
        let Some(lending) = &mut self.lending else {
            return false;
        };
        if lending.leg == leg {
            let gone = lending.partner_gone;
            self.lending_step(now, Input::LegGone);
            // A call whose caller had gone before ends with whoever was left.
            let caller = gone.filter(|(partner, ..)| *partner == self.caller);
            if let Some((partner, cause, at)) = caller {
                self.side_gone(at, partner, cause);
            }
            return caller.is_some();
        }
        let partner = leg == self.caller || Some(leg) == self.partner;
        if partner {
            lending.partner_gone = Some((leg, cause, now));
        }
        partner
    }

    fn lending_step(&mut self, now: Now, input: Input) {
        let Some(mut lending) = self.lending.take() else {
            return;
        };
        let (next, effects) = lending.state.step(input);
        let (leg, home, away, gone) = (
            lending.leg,
            lending.home,
            lending.away,
            lending.partner_gone,
        );
        if let Some(state) = next {
            lending.state = state;
            lending.until = now + PATIENCE;
            self.lending = Some(lending);
        }
        for effect in effects {
            match effect {
                Effect::TellReady => self.outputs.push_back(Output::Moved { leg, ready: true }),
                Effect::TellFailed => self.outputs.push_back(Output::Moved { leg, ready: false }),
                Effect::AskHome => {
                    if !self.offer_port(leg, home) {
                        self.lending_step(now, Input::Refused);
                    }
                }
                Effect::Restore => {
                    if let Some(it) = self.legs.get_mut(&leg) {
                        it.negotiation.abandon();
                        it.negotiation.set_port(home);
                    }
                }
                Effect::Resume => self.update_port(leg),
                Effect::EndLeg => {
                    self.note(format!(
                        "a peer could not be moved back from port {away} to {home}"
                    ));
                    self.leg_failed(now, leg, Cause::Failure);
                }
                Effect::MissPartner => {
                    if let Some((partner, cause, at)) = gone {
                        self.side_gone(at, partner, cause);
                    }
                }
            }
        }
    }

    /// Gives the leg to another call, with its port if both are served by one worker. The record says
    /// that `by` handed it on to `to`; then this call is over.
    pub fn lend(&mut self, now: Now, leg: LegId, by: LegId, to: &str, same: bool) -> Option<Lent> {
        self.stop_playing(leg, false);
        self.lending = None;
        let mut lent = self.legs.remove(&leg)?;
        if !same {
            // The old port stays until its worker has closed it.
            let mut old = lent.clone();
            old.state = LegState::Ended;
            self.legs.insert(leg, old);
            self.close_port(leg);
        }
        lent.state = LegState::Up;
        let name = self.legs.get(&by).map(|it| it.label.address.clone());
        self.handovers.push(Handover {
            at: now,
            by: name.unwrap_or_else(|| self.from.clone()),
            to: to.to_owned(),
            how: How::Attended,
        });
        self.partner = None;
        self.bridged_by = None;
        self.hang_up(now, Cause::Normal);
        Some(Lent {
            leg: lent,
            next_play: self.next_play,
        })
    }

    /// Takes a leg of another call: the target of the attended transfer that is under way. `moved` is
    /// its new port where it could not take its own along, and the port's random number.
    pub fn adopt(&mut self, now: Now, lent: Lent, moved: Option<(Reserved, u64)>) -> LegId {
        let Lent { mut leg, next_play } = lent;
        let id = LegId(self.next_leg);
        self.next_leg += 1;
        self.next_play = self.next_play.max(next_play);
        leg.id = id;
        let same = moved.is_none();
        if let Some((reserved, random)) = moved {
            leg.port = LegPort {
                id: reserved.port,
                local: reserved.rtp,
                state: PortState::Reserved,
                random,
                inband_dtmf: leg.port.inband_dtmf,
                detects: false,
                // Only what has sockets of its own moves.
                meeting: None,
            };
        }
        self.legs.insert(id, leg);
        if same {
            // Its voice is this call's to be told of now.
            self.listen_to(id);
        }
        self.open_port(id);
        self.transfer_adopted(now, id);
        id
    }

    /// One side of the bridge is gone, since `at`.
    fn side_gone(&mut self, at: Now, leg: LegId, cause: Cause) {
        if leg == self.caller {
            self.caller_gone(at, cause, None, None);
        } else {
            self.partner_left(at, cause);
        }
    }
}
