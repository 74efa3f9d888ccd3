//! What meets on the way: offers from both ends at once, offers before the answer, INVITEs that a carrier's
//! proxy forks. Drawn apart, so that all else of a seed is as it would be without them.

use clock::Duration;
use tandem::call::Dtmf;
use tandem::demo::phone::{Answering, Early};

use crate::Random;
use crate::link::Gilbert;
use crate::swarm::Swarm;

/// Which of them are on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Races {
    /// How often, per mille, a phone sends an offer of its own against one of the server's.
    pub(crate) glare: u32,
    /// What goes to the carrier's first phone goes to all its phones.
    pub(crate) forks: bool,
}

impl Swarm {
    /// Draws them: one world in three or four has each.
    pub(crate) fn race(&mut self) {
        let mut random = Random::new(self.seed ^ 0x7261_6365_7300);
        let r = &mut random;
        let [glare, speaks, updates, pracks, forks, keys] =
            [250, 350, 300, 300, 250, 300].map(|per_mille| r.chance(per_mille));
        if glare {
            self.races.glare = 200 + r.below(800) as u32;
        }
        let callers = self.callers.iter_mut().map(|it| &mut it.habits);
        let callees = self.callees.iter_mut().map(|it| &mut it.habits);
        for habits in callers.chain(callees) {
            habits.early = Early {
                speaks: speaks && r.chance(600),
                updates: updates && r.chance(600),
                pracks_with_offers: pracks && r.chance(600),
            };
            // An offer before the answer needs what came before it to be acknowledged.
            habits.reliable |= habits.early.updates && r.chance(800);
        }
        if keys {
            let ways = [Dtmf::Info, Dtmf::Rfc4733, Dtmf::Auto];
            let mut way = || r.pick(&ways).copied().unwrap_or(Dtmf::Auto);
            let (trunk, endpoints) = (way(), way());
            self.set_keys(trunk, endpoints);
        }
        if forks {
            for _ in 0..=r.below(2) {
                let mut other = self.callees.first().cloned();
                if let Some(other) = &mut other {
                    other.answering = Answering::After(r.millis(0, 5_000));
                    other.tone = 5 + r.below(3) as usize;
                }
                self.callees.extend(other);
            }
            self.races.forks = true;
        }
    }

    /// The same world in which the carrier's proxy forks every INVITE to all its phones.
    #[must_use]
    pub fn forked(mut self) -> Self {
        self.races.forks = true;
        self
    }

    /// The same world in which phones meet so many per mille of the server's offers with their own.
    #[must_use]
    pub fn glaring(mut self, per_mille: u32) -> Self {
        self.races.glare = per_mille;
        self
    }

    /// The caller that was added last does so before it is answered.
    #[must_use]
    pub fn caller_early(mut self, early: Early) -> Self {
        if let Some(caller) = self.callers.last_mut() {
            caller.habits.early = early;
            caller.habits.reliable |= early.updates;
        }
        self
    }

    /// The same world in which so many per mille of the messages are lost.
    #[must_use]
    pub fn losing(mut self, per_mille: u32) -> Self {
        self.signalling.loss = Gilbert::even(per_mille);
        self
    }

    /// That phone, in the order in which they were added, does so before it answers, after so many ms.
    #[must_use]
    pub fn early(mut self, phone: usize, early: Early, answers_ms: u64) -> Self {
        if let Some(callee) = self.callees.get_mut(phone) {
            callee.habits.early = early;
            callee.habits.reliable |= early.updates;
            callee.answering = Answering::After(Duration::from_millis(answers_ms));
        }
        self
    }
}
