//! Ringing somebody: one or several contacts at once, the first answer wins.

use bytes::Bytes;
use clock::Now;
use sip::message::{Message, Name};

use super::action::{Dial, DialResult, DialToken, Notice, Ringback};
use super::bridging::port_update;
use super::leg::LegState;
use super::machine::{Call, Output, SipCommand, Target};
use super::sound::Purpose;
use super::{Cause, LegId, Trouble};

/// A dialling in progress.
#[derive(Debug)]
pub(super) struct Dialing {
    token: DialToken,
    pub(super) until: Now,
    ringback: Ringback,
    pub(super) blind: bool,
    /// The legs still ringing.
    legs: Vec<LegId>,
    /// The most telling refusal so far.
    worst: DialResult,
}

impl Call {
    pub(super) fn dial(&mut self, now: Now, dial: Dial) {
        let Dial {
            token,
            to,
            timeout,
            ringback,
            caller_id,
            blind,
        } = dial;
        if self.dialing.is_some() || self.partner.is_some() {
            self.trouble(Trouble::AlreadyDialling);
            self.tell(Notice::DialEnded {
                token,
                result: DialResult::Refused(491),
            });
            return;
        }
        self.dialing = Some(Dialing {
            token,
            until: now + timeout,
            ringback,
            blind,
            legs: Vec::new(),
            worst: DialResult::Unreachable,
        });
        self.outputs.push_back(Output::Resolve {
            token,
            to,
            caller_id,
        });
    }

    /// Takes the targets of an [`Output::Resolve`]; none means nowhere to ring.
    ///
    /// Targets that come too late give their ports back.
    pub fn resolved(&mut self, now: Now, token: DialToken, targets: Vec<Target>) {
        if self.is_transfer(token) {
            return self.transfer_resolved(now, token, targets);
        }
        let wanted = self
            .dialing
            .as_ref()
            .is_some_and(|dialing| dialing.token == token);
        if !wanted || self.ending.is_some() {
            for target in targets {
                self.outputs
                    .push_back(Output::Release(target.media.reserved.port));
            }
            return;
        }
        let legs: Vec<LegId> = targets
            .into_iter()
            .filter_map(|target| self.invite_target(target))
            .collect();
        let Some(dialing) = &mut self.dialing else {
            return;
        };
        if legs.is_empty() {
            return self.dial_ended(DialResult::Unreachable);
        }
        dialing.legs = legs;
        if dialing.ringback == Ringback::Tone {
            self.ring_caller();
        }
    }

    /// Nobody may be rung for an [`Output::Resolve`]: it is refused with that status.
    pub fn unresolved(&mut self, now: Now, token: DialToken, status: u16) {
        let theirs = |dialing: &Dialing| dialing.token == token;
        if self.is_transfer(token) {
            self.transfer_failed(now, status);
        } else if self.dialing.as_ref().is_some_and(theirs) {
            self.dial_ended(DialResult::Refused(status));
        }
    }

    /// The INVITE of that leg could not be sent.
    pub fn invite_failed(&mut self, now: Now, leg: LegId) {
        self.on_refused(now, leg, 503, None);
    }

    /// A leg's INVITE went to another target: what the first let hear is over.
    pub fn rerouted(&mut self, leg: LegId) {
        let Some(it) = self.legs.get_mut(&leg) else {
            return;
        };
        if let LegState::Outgoing {
            early: early @ true,
        } = &mut it.state
        {
            *early = false;
            self.part(LegId::CALLER);
            self.ring_caller();
        }
    }

    /// Opens a target's port, offers its media and rings it.
    pub(super) fn invite_target(&mut self, target: Target) -> Option<LegId> {
        let Target {
            label,
            mut route,
            media,
        } = target;
        let leg = self.add_leg(label, media);
        let offer = self.legs.get_mut(&leg).map(|it| it.negotiation.offer());
        match offer {
            Some(Ok(offer)) => {
                route.offer = Some(offer);
                self.open_port(leg);
                self.outputs.push_back(Output::Invite(leg, route));
                Some(leg)
            }
            Some(Err(error)) => {
                self.note(format!("no offer could be made: {error}"));
                self.leg_gone(leg);
                None
            }
            None => None,
        }
    }

    /// Lets the caller hear that somebody is rung: 180, or our tone once the caller can hear.
    pub(super) fn ring_caller(&mut self) {
        let Some(caller) = self.legs.get(&self.caller) else {
            return;
        };
        if caller.hears() {
            self.start_ringing_tone();
        } else if caller.is_alive() {
            self.sip(
                self.caller,
                SipCommand::Progress {
                    status: 180,
                    body: None,
                },
            );
        }
    }

    /// An answer that came reliably before the call was answered is binding: its sender may offer anew from
    /// now on (RFC 3311 §5.1), and its 200 need not repeat it. A bad one is left for the 200 to mend.
    pub(super) fn on_reliable_answer(
        &mut self,
        leg: LegId,
        response: &Message,
        body: Option<&Bytes>,
    ) {
        let is_reliable = response.lists(Name::Require, "100rel");
        let Some(it) = self.legs.get_mut(&leg).filter(|_| is_reliable) else {
            return;
        };
        let mut settled = it.negotiation.clone();
        let is_good = body.is_some_and(|answer| settled.take_answer(answer).is_ok());
        if is_good && matches!(it.state, LegState::Outgoing { .. }) {
            it.negotiation = settled;
        }
    }

    /// A callee rings, or sends early media.
    pub(super) fn on_progress(&mut self, leg: LegId, status: u16, body: Option<Bytes>) {
        if self.is_transfer_leg(leg) {
            return;
        }
        let Some(dialing) = &self.dialing else { return };
        let alone = dialing.legs.as_slice() == [leg];
        if !alone || dialing.ringback != Ringback::Tone || status < 180 {
            return;
        }
        let Some(answer) = body else { return };
        let Some(it) = self.legs.get_mut(&leg) else {
            return;
        };
        let LegState::Outgoing { early } = &mut it.state else {
            return;
        };
        if *early {
            return;
        }
        // The 200 may answer differently, so the offer stays open on the real machine.
        let mut tentative = it.negotiation.clone();
        if tentative.take_answer(&answer).is_err() {
            return;
        }
        *early = true;
        let update = port_update(it.port.id, tentative.agreed());
        self.port(media::worker::PortCommand::Update(Box::new(update)));
        if self.make_audible(self.caller).is_ok() {
            self.stop_purpose(self.caller, Purpose::Ringing);
            self.join(leg);
        }
    }

    /// A callee answered: bridge it, cancel the others.
    pub(super) fn on_answered(
        &mut self,
        now: Now,
        leg: LegId,
        body: Option<Bytes>,
        needs_answer: bool,
    ) {
        let Some(it) = self.legs.get_mut(&leg) else {
            return;
        };
        if !matches!(it.state, LegState::Outgoing { .. }) {
            return;
        }
        it.state = LegState::Up;
        let taken = match body {
            Some(answer) if !needs_answer => it.take_answer(&answer),
            // It was given reliably, and something else was agreed on since.
            None if it.agreed().is_some() && !it.negotiation.awaits_answer() => Ok(()),
            _ => Err(Trouble::NoAnswerInIt { message: "200" }),
        };
        if needs_answer {
            self.sip(leg, SipCommand::Acknowledge(None));
        }
        if let Err(why) = taken {
            self.trouble(why);
            self.end_leg(leg, Cause::IncompatibleMedia);
            if self.is_transfer_leg(leg) {
                return self.transfer_failed(now, 488);
            }
            return self.dial_leg_failed(now, leg, DialResult::Refused(488));
        }
        self.update_port(leg);
        if self.is_transfer_leg(leg) {
            return self.transfer_answered(now);
        }
        self.connect(now, leg);
    }

    /// Whether that leg rings for the caller.
    pub(super) fn is_dialled(&self, leg: LegId) -> bool {
        let dialing = self.dialing.as_ref();
        dialing.is_some_and(|dialing| dialing.legs.contains(&leg))
    }

    /// Whoever answered is bridged, whoever still rings is cancelled.
    pub(super) fn connect(&mut self, now: Now, leg: LegId) {
        let Some(dialing) = self.dialing.take() else {
            return self.end_leg(leg, Cause::Cancelled);
        };
        for other in dialing.legs.iter().copied().filter(|other| *other != leg) {
            self.end_leg(other, Cause::Cancelled);
        }
        self.answer(now);
        self.tell_answered();
        self.partner = Some(leg);
        self.bridged_by = Some((dialing.token, dialing.blind));
        self.bridged.get_or_insert(now);
        // Told before the music's end, so that whoever plays it knows why it ended.
        self.tell(Notice::Bridged(dialing.token));
        self.stop_playing(self.caller, false);
        self.join(leg);
        self.recording_bridged();
    }

    /// A callee refused, or its INVITE timed out.
    pub(super) fn on_refused(&mut self, now: Now, leg: LegId, status: u16, _q850: Option<u16>) {
        let gone = LegState::Ended;
        if let Some(it) = self.legs.get_mut(&leg) {
            it.state = gone;
        }
        self.leg_gone(leg);
        if self.is_transfer_leg(leg) {
            self.transfer_failed(now, status);
        } else if leg == self.caller {
            self.caller_gone(now, Cause::from_status(status), Some(status), None);
        } else {
            let result = match status {
                486 | 600 => DialResult::Busy,
                408 | 480 | 487 => DialResult::NoAnswer,
                _ => DialResult::Refused(status),
            };
            self.dial_leg_failed(now, leg, result);
        }
        self.finish_if_over(now);
    }

    /// One of the rung legs is out; the dialling ends with the last.
    pub(super) fn dial_leg_failed(&mut self, _now: Now, leg: LegId, result: DialResult) {
        let Some(dialing) = &mut self.dialing else {
            return;
        };
        let before = dialing.legs.len();
        dialing.legs.retain(|other| *other != leg);
        if dialing.legs.len() == before {
            return;
        }
        if rank(&result) > rank(&dialing.worst) {
            dialing.worst = result;
        }
        if dialing.legs.is_empty() {
            let result = dialing.worst.clone();
            self.dial_ended(result);
        }
    }

    pub(super) fn dial_timed_out(&mut self) {
        self.dial_ended(DialResult::NoAnswer);
    }

    pub(super) fn cancel_dial(&mut self, token: DialToken) {
        if self
            .dialing
            .as_ref()
            .is_some_and(|dialing| dialing.token == token)
        {
            self.dial_ended(DialResult::Cancelled);
        }
    }

    /// Ends the dialling and every leg that still rings.
    pub(super) fn dial_ended(&mut self, result: DialResult) {
        let Some(dialing) = self.dialing.take() else {
            return;
        };
        let early = dialing.legs.iter().any(|leg| {
            let state = self.legs.get(leg).map(|it| &it.state);
            matches!(state, Some(LegState::Outgoing { early: true }))
        });
        if early {
            self.part(self.caller);
        }
        for leg in dialing.legs {
            self.end_leg(leg, Cause::Cancelled);
        }
        self.stop_purpose(self.caller, Purpose::Ringing);
        self.tell(Notice::DialEnded {
            token: dialing.token,
            result,
        });
    }
}

/// Which of several refusals the caller's side is told: the one that says most about the callee.
fn rank(result: &DialResult) -> u8 {
    match result {
        DialResult::Unreachable => 0,
        DialResult::Refused(500..=599) => 1,
        DialResult::Refused(_) => 2,
        DialResult::NoAnswer => 3,
        DialResult::Busy => 4,
        DialResult::Completed(_) | DialResult::Cancelled => 5,
    }
}
