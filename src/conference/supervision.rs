//! Supervisors of plain calls: who listens to which call, and who of it hears him.
//!
//! ```text
//!           supervise                     supervise again: another mode
//!   (free) ───────────▶ watching ◀─────────────────────────────────────┐
//!      ▲                 │  └──────────────────────────────────────────┘
//!      └─────────────────┘ dismissed, another call to watch, the call is bridged no more, he is gone
//! ```
//!
//! A supervisor is a call of his own, with nobody else in it. If he was in a room, he goes back there.

use std::collections::{BTreeMap, VecDeque};

use super::room::Terms;
use crate::call::{CallId, Party};
use crate::explain::Explanation;

/// Who of the call hears its supervisor, and whom he hears: both, unless a mode says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nobody.
    Listen,
    /// Nobody; and he hears this party alone.
    Tap(Party),
    /// One party alone.
    Whisper(Party),
    /// Both.
    Barge,
}

impl Mode {
    /// A name for the API, logs and traces.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Listen | Self::Tap(_) => "listen",
            Self::Whisper(_) => "whisper",
            Self::Barge => "barge",
        }
    }

    /// Whether a supervisor hears that party.
    pub fn hears(self, party: Party) -> bool {
        !matches!(self, Self::Tap(one) if one != party)
    }
}

/// A supervisor at work.
#[derive(Clone, Debug, PartialEq)]
pub struct Watch {
    /// His call.
    pub supervisor: CallId,
    /// Who hears him.
    pub mode: Mode,
    /// The room that he goes back to.
    pub back: Option<(String, Terms)>,
}

/// What the machine has to know of two calls.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// Whether two parties hear each other in the call that is to be supervised; none if there is no such call.
    pub bridged: Option<bool>,
    /// Whether the supervisor's call is answered and nobody else is in it; none if there is no such call.
    pub free: Option<bool>,
    /// The room that he is in, and on what terms.
    pub room: Option<(String, Terms)>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Duty {
    /// The supervisor comes to hear the call.
    Enter {
        /// Who.
        supervisor: CallId,
        /// Which.
        call: CallId,
    },
    /// How loud he is to whom is to be said, or said again.
    Heed {
        /// Who.
        supervisor: CallId,
        /// To whose parties.
        call: CallId,
        /// Who of them hears him.
        mode: Mode,
    },
    /// He hears the call no more.
    Leave {
        /// Who.
        supervisor: CallId,
        /// Which.
        call: CallId,
        /// The room that he goes back to.
        back: Option<(String, Terms)>,
    },
}

/// Why a call is not supervised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSupervised {
    /// The one to be supervised, or the supervisor's, is no call in progress.
    NoCall(CallId),
    /// Nobody hears anybody in it.
    NotBridged(CallId),
    /// The supervisor's call is not answered, waits in a queue, or somebody else is in it.
    NotFree(CallId),
    /// Another supervises it.
    Taken(CallId),
    /// His sound could not be brought to the call's media worker.
    NoPlace(CallId),
}

impl NotSupervised {
    /// A name that never changes.
    pub fn id(&self) -> &'static str {
        match self {
            Self::NoCall(_) => "supervise-no-call",
            Self::NotBridged(_) => "supervise-not-bridged",
            Self::NotFree(_) => "supervise-not-free",
            Self::Taken(_) => "supervise-taken",
            Self::NoPlace(_) => "supervise-no-place",
        }
    }

    /// What was expected and found, and what mends it.
    pub fn explanation(&self) -> Explanation {
        let parts = match self {
            Self::NoCall(call) => (
                "two calls in progress",
                format!("no call {call}"),
                "take both ids from GET /v1/calls",
            ),
            Self::NotBridged(call) => (
                "a call in which two parties hear each other",
                format!("call {call}, which is not bridged"),
                "supervise it once GET /v1/calls says that it is bridged",
            ),
            Self::NotFree(call) => (
                "a supervisor's call that is answered and has nobody else in it",
                format!("call {call}, which has, or waits for, somebody"),
                "have the supervisor call a flow that leads into a conference of his own",
            ),
            Self::Taken(call) => (
                "a call without a supervisor",
                format!("call {call}, which has another"),
                "end that by DELETE, or listen by a conference",
            ),
            Self::NoPlace(call) => (
                "a place on the call's media worker",
                format!("none for call {call}"),
                "raise limits.calls",
            ),
        };
        Explanation::new(self.id(), parts)
    }
}

/// The supervisors at work. As many at most as there are calls.
#[derive(Debug, Default)]
pub struct Supervisions {
    /// By the call that each watches.
    watches: BTreeMap<CallId, Watch>,
    /// What each supervisor watches.
    calls: BTreeMap<CallId, CallId>,
    outputs: VecDeque<Duty>,
}

impl Supervisions {
    /// The next thing to be done.
    pub fn poll_output(&mut self) -> Option<Duty> {
        self.outputs.pop_front()
    }

    /// Who supervises a call.
    pub fn of(&self, call: CallId) -> Option<&Watch> {
        self.watches.get(&call)
    }

    /// The call that a supervisor watches.
    pub fn by(&self, supervisor: CallId) -> Option<CallId> {
        self.calls.get(&supervisor).copied()
    }

    /// A supervisor wants to hear a call, or to be heard in it otherwise.
    ///
    /// # Errors
    /// [`NotSupervised`] says why; then nothing has changed.
    pub fn supervise(
        &mut self,
        (call, supervisor): (CallId, CallId),
        mode: Mode,
        standing: Standing,
    ) -> Result<(), NotSupervised> {
        let bridged = standing.bridged.ok_or(NotSupervised::NoCall(call))?;
        let free = standing.free.ok_or(NotSupervised::NoCall(supervisor))?;
        if !bridged {
            return Err(NotSupervised::NotBridged(call));
        }
        match self.watches.get_mut(&call) {
            Some(watch) if watch.supervisor != supervisor => Err(NotSupervised::Taken(call)),
            Some(watch) => {
                watch.mode = mode;
                self.heed(call);
                Ok(())
            }
            None if !free => Err(NotSupervised::NotFree(supervisor)),
            None => {
                self.begin((call, supervisor), mode, standing.room);
                Ok(())
            }
        }
    }

    fn begin(
        &mut self,
        (call, supervisor): (CallId, CallId),
        mode: Mode,
        room: Option<(String, Terms)>,
    ) {
        // Who comes from another call goes back to where he was before that.
        let before = self
            .by(supervisor)
            .and_then(|before| self.remove(before, false));
        let watch = Watch {
            supervisor,
            mode,
            back: before.map_or(room, |before| before.back),
        };
        self.watches.insert(call, watch);
        self.calls.insert(supervisor, call);
        self.outputs.push_back(Duty::Enter { supervisor, call });
        self.heed(call);
    }

    /// The call is supervised no more: asked for, over, or bridged no more. Whether it was.
    pub fn end(&mut self, call: CallId) -> bool {
        self.remove(call, true).is_some()
    }

    /// The supervisor is gone, or does something else: he does not go back to his room.
    pub fn gone(&mut self, supervisor: CallId) {
        if let Some(call) = self.by(supervisor) {
            self.remove(call, false);
        }
    }

    /// A port of either call is another than before: what was said of loudness is said again.
    pub fn say_again(&mut self, either: CallId) {
        self.heed(either);
        if let Some(call) = self.by(either) {
            self.heed(call);
        }
    }

    fn heed(&mut self, call: CallId) {
        if let Some(watch) = self.watches.get(&call) {
            let (supervisor, mode) = (watch.supervisor, watch.mode);
            self.outputs.push_back(Duty::Heed {
                supervisor,
                call,
                mode,
            });
        }
    }

    fn remove(&mut self, call: CallId, returns: bool) -> Option<Watch> {
        let watch = self.watches.remove(&call)?;
        let supervisor = watch.supervisor;
        self.calls.remove(&supervisor);
        let back = watch.back.clone().filter(|_| returns);
        self.outputs.push_back(Duty::Leave {
            supervisor,
            call,
            back,
        });
        Some(watch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: CallId = CallId(1);
    const OTHER: CallId = CallId(2);
    const SUPERVISOR: CallId = CallId(8);
    const SECOND: CallId = CallId(9);

    fn standing(bridged: Option<bool>, free: Option<bool>) -> Standing {
        Standing {
            bridged,
            free,
            room: Some(("desk".to_owned(), Terms::default())),
        }
    }

    fn good() -> Standing {
        standing(Some(true), Some(true))
    }

    fn done(machine: &mut Supervisions) -> Vec<Duty> {
        std::iter::from_fn(|| machine.poll_output()).collect()
    }

    fn watched(mode: Mode) -> Supervisions {
        let mut machine = Supervisions::default();
        let both = (CALL, SUPERVISOR);
        machine.supervise(both, mode, good()).unwrap();
        assert_eq!(done(&mut machine), [enter(CALL), heed(CALL, mode)]);
        machine
    }

    fn enter(call: CallId) -> Duty {
        let supervisor = SUPERVISOR;
        Duty::Enter { supervisor, call }
    }

    fn heed(call: CallId, mode: Mode) -> Duty {
        Duty::Heed {
            supervisor: SUPERVISOR,
            call,
            mode,
        }
    }

    fn leave(call: CallId, returns: bool) -> Duty {
        Duty::Leave {
            supervisor: SUPERVISOR,
            call,
            back: good().room.filter(|_| returns),
        }
    }

    #[test]
    fn what_cannot_be_supervised_is_refused_and_changes_nothing() {
        let (yes, no) = (Some(true), Some(false));
        let table = [
            (standing(None, yes), NotSupervised::NoCall(CALL)),
            (standing(yes, None), NotSupervised::NoCall(SUPERVISOR)),
            (standing(no, yes), NotSupervised::NotBridged(CALL)),
            (standing(yes, no), NotSupervised::NotFree(SUPERVISOR)),
        ];
        for (standing, why) in table {
            let mut machine = Supervisions::default();
            let asked = machine.supervise((CALL, SUPERVISOR), Mode::Barge, standing);
            assert_eq!((asked, done(&mut machine)), (Err(why), Vec::new()));
            assert!(machine.of(CALL).is_none() && machine.by(SUPERVISOR).is_none());
            assert_eq!(why.explanation().id, why.id());
        }
        let mut machine = watched(Mode::Listen);
        let asked = machine.supervise((CALL, SECOND), Mode::Barge, good());
        assert_eq!(asked, Err(NotSupervised::Taken(CALL)));
        assert_eq!(machine.of(CALL).unwrap().mode, Mode::Listen);
    }

    #[test]
    fn a_mode_changes_while_he_is_there_and_is_said_again_of_either_call() {
        let mut machine = watched(Mode::Listen);
        let whisper = Mode::Whisper(Party::Callee);
        // Somebody is in his call: himself, who supervises.
        let busy = standing(Some(true), Some(false));
        machine
            .supervise((CALL, SUPERVISOR), whisper, busy)
            .unwrap();
        machine.say_again(CALL);
        machine.say_again(SUPERVISOR);
        machine.say_again(OTHER);
        assert_eq!(done(&mut machine), vec![heed(CALL, whisper); 3]);
    }

    #[test]
    fn who_goes_on_to_another_call_goes_back_to_his_room_after_the_last() {
        let mut machine = watched(Mode::Listen);
        let from_call = Standing {
            room: None,
            ..good()
        };
        let both = (OTHER, SUPERVISOR);
        machine.supervise(both, Mode::Barge, from_call).unwrap();
        let moved = [leave(CALL, false), enter(OTHER), heed(OTHER, Mode::Barge)];
        assert_eq!(done(&mut machine), moved);
        assert!(machine.end(OTHER) && !machine.end(OTHER) && !machine.end(CALL));
        assert_eq!(done(&mut machine), [leave(OTHER, true)]);
    }

    #[test]
    fn a_supervisor_who_is_gone_does_not_come_back() {
        let mut machine = watched(Mode::Barge);
        machine.gone(CALL);
        assert_eq!(done(&mut machine), []);
        machine.gone(SUPERVISOR);
        machine.gone(SUPERVISOR);
        assert_eq!(done(&mut machine), [leave(CALL, false)]);
        assert!(machine.of(CALL).is_none() && machine.by(SUPERVISOR).is_none());
    }
}
