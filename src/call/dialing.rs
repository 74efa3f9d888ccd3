//! Ringing somebody: one or several contacts at once, the first answer wins.

use std::collections::BTreeMap;

use bytes::Bytes;
use clock::Now;
use sip::message::{Message, Name};

use super::action::{Dial, DialResult, DialToken, Notice, Ringback};
use super::command::{Output, SipCommand, Target};
use super::leg::{Leg, LegState};
use super::machine::Call;
use super::ringing::Ringing;
use super::sound::Purpose;
use super::{Cause, LegId, Trouble};

/// A dialling in progress.
#[derive(Debug)]
pub(super) struct Dialing {
    token: DialToken,
    pub(super) until: Now,
    ringback: Ringback,
    pub(super) blind: bool,
    ringing: Ringing,
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
            ringing: Ringing::default(),
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
            return self.decline_targets(targets);
        }
        let legs = self.invite_targets(targets);
        let Some(dialing) = &mut self.dialing else {
            return;
        };
        if legs.is_empty() {
            return self.dial_ended(DialResult::Unreachable);
        }
        dialing.ringing = Ringing::of(legs);
        if dialing.ringback == Ringback::Tone {
            self.ring_caller();
        }
    }

    /// Invites all of them; the legs of those that could be.
    pub(super) fn invite_targets(&mut self, targets: Vec<Target>) -> Vec<LegId> {
        let invited = targets.into_iter();
        invited
            .filter_map(|target| self.invite_target(target))
            .collect()
    }

    /// Gives back the ports of targets that nobody waits for any more.
    pub(super) fn decline_targets(&mut self, targets: Vec<Target>) {
        let ports = targets.iter().map(|target| target.media.reserved.port);
        self.outputs.extend(ports.map(Output::Release));
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
        if let Some(it) = self.legs.get_mut(&leg)
            && let LegState::Outgoing { settled, .. } = &mut it.state
        {
            settled.clear();
        }
        self.on_ringing(leg, |ringing| ringing.falls_silent(leg));
    }

    /// The dialling or the transfer that a leg rings for.
    pub(super) fn ringing_of(&mut self, leg: LegId) -> Option<&mut Ringing> {
        let dialled = self.dialing.as_mut().map(|it| &mut it.ringing);
        let referred = self.transfer.as_mut().map(|it| &mut it.ringing);
        let mut both = dialled.into_iter().chain(referred);
        both.find(|ringing| ringing.contains(leg))
    }

    /// Something happens to a leg that rings, and who waits hears what follows from it: the early media of
    /// another leg, or the ringing tone again.
    fn on_ringing<T>(&mut self, leg: LegId, change: impl FnOnce(&mut Ringing) -> T) -> Option<T> {
        let ringing = self.ringing_of(leg)?;
        let before = ringing.voice();
        let changed = change(ringing);
        let after = ringing.voice();
        if before != after {
            if let Some(leg) = before {
                self.part(leg);
            }
            match after {
                Some(leg) => self.let_hear(leg),
                None => {
                    self.part(self.caller);
                    self.ring_caller();
                }
            }
        }
        Some(changed)
    }

    /// Who waits hears a leg that rings.
    fn let_hear(&mut self, leg: LegId) {
        if self.make_audible(self.caller).is_ok() {
            self.stop_purpose(self.caller, Purpose::Ringing);
            self.join(leg);
        }
    }

    /// Opens a target's port, offers its media and rings it.
    pub(super) fn invite_target(&mut self, target: Target) -> Option<LegId> {
        let Target {
            label,
            mut route,
            media,
        } = target;
        let spoken = self.legs.get(&self.caller).and_then(Leg::agreed);
        let spoken = spoken.map(|agreed| agreed.codec);
        let mut media = media;
        media.local.codecs = self.offerable(media.local.codecs);
        media.local.modes = self.caller_modes();
        if media.local.codecs.is_empty() {
            let codec = spoken;
            let leg = self.add_leg(label.clone(), media);
            self.trouble(Trouble::OnlyRelayed { who: label, codec });
            self.leg_gone(leg);
            return None;
        }
        let leg = self.add_leg(label, media);
        let offer = self.legs.get_mut(&leg).map(|it| {
            // What the caller speaks needs no transcoding.
            if let Some(codec) = spoken {
                it.negotiation.prefer(codec);
            }
            let offer = it.negotiation.offer();
            it.state = LegState::Outgoing {
                asked: Some(Box::new(it.negotiation.clone())),
                settled: BTreeMap::new(),
            };
            offer
        });
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
    /// now on (RFC 3311 §5.1), and its 200 need not repeat it. A bad one is left for the 200 to mend. Where an
    /// INVITE forked, the answer of each fork is to the one offer.
    pub(super) fn on_reliable_answer(
        &mut self,
        (leg, fork): (LegId, u32),
        response: &Message,
        body: Option<&Bytes>,
    ) {
        let is_reliable = response.lists(Name::Require, "100rel");
        let (Some(it), Some(answer)) = (self.legs.get_mut(&leg).filter(|_| is_reliable), body)
        else {
            return;
        };
        let LegState::Outgoing { asked, settled } = &mut it.state else {
            return;
        };
        let is_new = !settled.contains_key(&fork);
        let Some(asked) = asked.as_ref().filter(|_| is_new) else {
            return;
        };
        let mut agreed = (**asked).clone();
        if agreed.take_answer(answer).is_ok() {
            settled.insert(fork, agreed);
        }
    }

    /// A callee rings, or sends early media.
    pub(super) fn on_progress(
        &mut self,
        (leg, fork): (LegId, u32),
        status: u16,
        body: Option<Bytes>,
    ) {
        let keeps = |it: &Dialing| it.ringback == Ringback::Keep && it.ringing.contains(leg);
        if status < 180 || self.dialing.as_ref().is_some_and(keeps) {
            return;
        }
        let Some(answer) = body else { return };
        let Some(LegState::Outgoing {
            asked: Some(asked), ..
        }) = self.legs.get(&leg).map(|it| &it.state)
        else {
            return;
        };
        // The 200 may answer differently, so the offer stays open on the real machine.
        let mut tentative = (**asked).clone();
        let is_new = |ringing: &mut Ringing| ringing.sounds(leg, fork);
        if tentative.take_answer(&answer).is_err() {
            return;
        }
        if let Some(agreed) = tentative.agreed() {
            self.answer_like(agreed.codec, agreed.modes);
        }
        if self.on_ringing(leg, is_new) != Some(true) {
            return;
        }
        self.update_port_to(leg, tentative.agreed());
    }

    /// A callee answered: bridge it, cancel the others.
    pub(super) fn on_answered(
        &mut self,
        now: Now,
        (leg, fork): (LegId, u32),
        body: Option<Bytes>,
        needs_answer: bool,
    ) {
        let Some(it) = self.legs.get_mut(&leg) else {
            return;
        };
        if !matches!(it.state, LegState::Outgoing { .. }) {
            return;
        }
        let is_settled = it.settle_on(fork);
        let taken = match body {
            Some(answer) if !needs_answer => it.take_answer(&answer),
            // It was given reliably, and something else was agreed on since.
            None if is_settled && !it.negotiation.awaits_answer() => Ok(()),
            _ => Err(Trouble::NoAnswerInIt { message: "200" }),
        };
        if needs_answer {
            self.sip(leg, SipCommand::Acknowledge(None));
        }
        if let Err(why) = taken {
            self.trouble(why);
            self.end_leg(leg, Cause::IncompatibleMedia);
            return self.ringing_leg_out(now, leg, Some(488));
        }
        self.update_port(leg);
        if self.is_transfer_leg(leg) {
            return self.transfer_answered(now, leg);
        }
        self.connect(now, leg);
    }

    /// Whether that leg rings for the caller.
    pub(super) fn is_dialled(&self, leg: LegId) -> bool {
        let dialing = self.dialing.as_ref();
        dialing.is_some_and(|dialing| dialing.ringing.contains(leg))
    }

    /// Whoever answered is bridged, whoever still rings is cancelled.
    pub(super) fn connect(&mut self, now: Now, leg: LegId) {
        let Some(dialing) = self.dialing.take() else {
            return self.end_leg(leg, Cause::Cancelled);
        };
        for other in dialing.ringing.legs() {
            if *other != leg {
                self.end_leg(*other, Cause::Elsewhere);
            }
        }
        let agreed = self.legs.get(&leg).and_then(Leg::agreed);
        if let Some((codec, modes)) = agreed.map(|it| (it.codec, it.modes)) {
            self.answer_like(codec, modes);
            self.settle_codecs(leg);
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
        if leg == self.caller {
            self.caller_gone(now, Cause::from_status(status), Some(status), None);
        } else {
            self.ringing_leg_out(now, leg, Some(status));
        }
        self.finish_if_over(now);
    }

    /// One of the rung legs is out, refused with that status or never reached; the dialling, or the
    /// transfer, ends with the last.
    pub(super) fn ringing_leg_out(&mut self, now: Now, leg: LegId, status: Option<u16>) {
        let is_transfer = self.is_transfer_leg(leg);
        let left = self.on_ringing(leg, |ringing| {
            ringing.out(leg, status);
            (ringing.is_empty(), ringing.worst())
        });
        match left {
            Some((true, worst)) if is_transfer => self.transfer_failed(now, worst.unwrap_or(480)),
            Some((true, worst)) => {
                self.dial_ended(worst.map_or(DialResult::Unreachable, refused_with));
            }
            _ => {}
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

    /// Ends the dialling and every leg that still rings: its time was up.
    pub(super) fn dial_ended(&mut self, result: DialResult) {
        self.end_dialing(result, Cause::NoAnswer);
    }

    /// The same for a reason that those who ring are told.
    pub(super) fn end_dialing(&mut self, result: DialResult, why: Cause) {
        let Some(dialing) = self.dialing.take() else {
            return;
        };
        if dialing.ringing.voice().is_some() {
            self.part(self.caller);
        }
        for leg in dialing.ringing.legs() {
            self.end_leg(*leg, why);
        }
        self.stop_purpose(self.caller, Purpose::Ringing);
        self.tell(Notice::DialEnded {
            token: dialing.token,
            result,
        });
    }
}

/// What a dialling came to that ended with that refusal.
fn refused_with(status: u16) -> DialResult {
    match status {
        486 | 600 => DialResult::Busy,
        408 | 480 | 487 => DialResult::NoAnswer,
        _ => DialResult::Refused(status),
    }
}
