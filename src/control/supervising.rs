//! Supervisors of plain calls: what the machine of supervisions says, carried to calls and to the media plane.
//!
//! A supervisor's port comes to the call's own bridge, on the call's worker. A bridge of three is mixed; when
//! he leaves, the worker relays again. The machine says when, and how loud he is to whom.

use clock::Now;
use media::dsp::mix::Gain;
use media::port::PortId;

use super::{Control, What};
use crate::call::{Action, CallId, LegFigures, Party};
use crate::conference::{Duty, Mode, NotSupervised, Standing, Terms, Watch};
use crate::dialplan::{ConferenceRequest, RunOutput};

impl Control {
    /// A supervisor comes to hear a call, or is heard in it otherwise than before.
    ///
    /// # Errors
    /// [`NotSupervised`] says why not; then nothing has changed for the call.
    pub fn supervise(
        &mut self,
        now: Now,
        (call, supervisor): (CallId, CallId),
        mode: Mode,
    ) -> Result<(), NotSupervised> {
        let standing = self.standing(call, supervisor);
        let both = (call, supervisor);
        self.supervisions.supervise(both, mode, standing)?;
        self.pump(now);
        // By now he is there, or his worker had no way to the call's.
        match self.supervisions.of(call) {
            Some(_) => Ok(()),
            None => Err(NotSupervised::NoPlace(supervisor)),
        }
    }

    /// A call is supervised no more; `false` if it was not.
    pub fn dismiss(&mut self, now: Now, call: CallId) -> bool {
        let was = self.supervisions.end(call);
        self.pump(now);
        was
    }

    /// Who supervises a call.
    pub fn supervision(&self, call: CallId) -> Option<&Watch> {
        self.supervisions.of(call)
    }

    /// One party of a call is not heard by the other any more, or is again; `false` if there is none.
    pub fn mute(&mut self, now: Now, call: CallId, party: Party, on: bool) -> bool {
        let slot = self.calls.get_mut(&call);
        let done = slot.is_some_and(|slot| slot.call.mute(party, on));
        self.dirty.push_back(call);
        self.pump(now);
        done
    }

    /// Who of a call's parties is muted.
    pub fn muted(&self, call: CallId) -> Vec<Party> {
        let slot = self.calls.get(&call);
        slot.map_or_else(Vec::new, |slot| slot.call.muted().collect())
    }

    /// How the media of a call's legs fares now.
    pub fn figures_now(&self, call: CallId) -> Vec<LegFigures> {
        let slot = self.calls.get(&call);
        slot.map_or_else(Vec::new, |slot| slot.call.figures_now())
    }

    fn standing(&self, call: CallId, supervisor: CallId) -> Standing {
        let room = self.rooms.machine.room_of(supervisor);
        let back = |room: &crate::conference::Room| {
            let terms = room.terms_of(supervisor)?;
            Some((room.name.clone(), terms))
        };
        let (watched, own) = (self.calls.get(&call), self.calls.get(&supervisor));
        Standing {
            bridged: watched.map(|slot| slot.call.sides().is_some()),
            free: own.map(|slot| {
                slot.waiting.is_none() && slot.confers.is_none() && slot.call.is_alone()
            }),
            room: room.and_then(back),
        }
    }

    /// Carries out what the machine of supervisions says.
    pub(super) fn on_duty(&mut self, now: Now, duty: Duty) {
        match duty {
            Duty::Enter { supervisor, call } => self.begin_watch(now, supervisor, call),
            Duty::Heed {
                supervisor,
                call,
                mode,
            } => self.heed(now, supervisor, call, mode),
            Duty::Leave {
                supervisor,
                call,
                back,
            } => self.end_watch(now, supervisor, call, back),
        }
    }

    fn begin_watch(&mut self, now: Now, supervisor: CallId, call: CallId) {
        self.leave_conference(supervisor);
        self.ask(now, supervisor, Action::StopPlay(super::conferring::MUSIC));
        // What he still wants of his port is wanted of the worker where that is now.
        self.drive(now, supervisor);
        let sides = self.calls.get(&call).and_then(|slot| {
            let sides = slot.call.sides()?;
            Some((slot.call.worker(), sides.bridge))
        });
        let here = self.calls.get(&supervisor).map(|slot| slot.call.worker());
        let place =
            sides.filter(|(worker, _)| here == Some(*worker) || self.bring(supervisor, *worker));
        let Some((_, bridge)) = place else {
            self.supervisions.end(call);
            return;
        };
        if let Some(slot) = self.calls.get_mut(&supervisor) {
            slot.call.enter_room(bridge, Some(Gain::MUTE));
            self.dirty.push_back(supervisor);
        }
    }

    /// Who of them hears him, and whom he hears, is said of each.
    fn heed(&mut self, now: Now, supervisor: CallId, call: CallId, mode: Mode) {
        if self.supervisions.by(supervisor) != Some(call) {
            return;
        }
        let sides = self.calls.get(&call).and_then(|slot| slot.call.sides());
        let Some((slot, sides)) = self.calls.get_mut(&supervisor).zip(sides) else {
            return;
        };
        slot.call
            .set_gain(None, (mode != Mode::Barge).then_some(Gain::MUTE));
        for (party, port) in sides.ports {
            let whispers = mode == Mode::Whisper(party);
            slot.call
                .set_gain(Some(port), whispers.then(|| Gain::from_db(0.0)));
            slot.call
                .hear(port, (!mode.hears(party)).then_some(Gain::MUTE));
        }
        let listener = slot.call.room_port();
        self.dirty.push_back(supervisor);
        self.lend_voices(call, |party| listener.filter(|_| mode == Mode::Tap(party)));
        let is = Some(mode);
        self.event(now, call, What::Supervision { by: supervisor, is });
    }

    fn end_watch(
        &mut self,
        now: Now,
        supervisor: CallId,
        call: CallId,
        back: Option<(String, Terms)>,
    ) {
        if let Some(slot) = self.calls.get_mut(&supervisor) {
            slot.call.leave_room();
            self.drive(now, supervisor);
        }
        self.lend_voices(call, |_| None);
        if self.calls.contains_key(&call) {
            let by = supervisor;
            self.event(now, call, What::Supervision { by, is: None });
        }
        if let Some((name, terms)) = back {
            self.confer(now, supervisor, ConferenceRequest { name, terms });
        }
    }

    /// Each party's voice is heard as it is for taps by who listens to it alone.
    fn lend_voices(&mut self, call: CallId, listener: impl Fn(Party) -> Option<PortId>) {
        if let Some(slot) = self.calls.get_mut(&call) {
            for party in [Party::Caller, Party::Callee] {
                slot.call.lend_voice(party, listener(party));
            }
            self.dirty.push_back(call);
        }
    }

    /// A call is quiet again: what it was supervised for, or supervised by, may be gone.
    pub(super) fn look_after_watch(&mut self, call: CallId) {
        let Some(slot) = self.calls.get(&call) else {
            return;
        };
        let (bridged, ending) = (slot.call.is_bridged(), slot.call.is_ending());
        if !bridged {
            self.supervisions.end(call);
        }
        if ending {
            self.supervisions.gone(call);
        }
    }

    /// A supervisor's plan that wants to be with somebody takes him away.
    pub(super) fn plan_takes_away(&mut self, call: CallId, output: &RunOutput) {
        let elsewhere = matches!(
            output,
            RunOutput::Do(Action::Dial(_))
                | RunOutput::Join(_)
                | RunOutput::Confer(_)
                | RunOutput::LeaveConference
        );
        if elsewhere {
            self.supervisions.gone(call);
        }
    }
}
