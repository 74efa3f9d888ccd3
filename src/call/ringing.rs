//! Several legs that are rung at once, and which of them is heard before one answers.
//!
//! ```text
//!   nobody sounds ──early media of X──▶ X is heard ──X answers──▶ over: X is bridged
//!   (ringing tone) ◀──X refuses, ──────────┘ │ X refuses, Y sounds
//!                     nobody else sounds     ▼
//!                                          Y is heard
//! ```
//!
//! Two rules, for two kinds of forks. Of *our* legs the first that sounds is heard until it is out: the others
//! ring beside it, and we are told when one gives up. Of the forks *behind* one leg (several To-tags for one
//! INVITE, RFC 3261 §13.2.2.4) the newest is heard: a proxy that hunts goes on from one branch to the next
//! without a word about the first, which is silent from then on. A repeated response of an older branch changes
//! nothing. The answer decides: after it nobody but the winner is heard.

use super::LegId;

/// Who rings, who of them sounds, and the most telling refusal so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Ringing {
    legs: Vec<LegId>,
    /// Legs that sent early media, in the order of their first, with the fork that is heard.
    sounding: Vec<(LegId, u32)>,
    worst: Option<u16>,
}

impl Ringing {
    /// Those legs are rung.
    pub(super) fn of(legs: Vec<LegId>) -> Self {
        Self {
            legs,
            ..Self::default()
        }
    }

    pub(super) fn contains(&self, leg: LegId) -> bool {
        self.legs.contains(&leg)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.legs.is_empty()
    }

    /// Who still rings.
    pub(super) fn legs(&self) -> &[LegId] {
        &self.legs
    }

    /// Who is heard; nobody: the ringing tone.
    pub(super) fn voice(&self) -> Option<LegId> {
        self.sounding.first().map(|(leg, _)| *leg)
    }

    /// Early media of a fork of a leg: whether its description is the one to follow now.
    pub(super) fn sounds(&mut self, leg: LegId, fork: u32) -> bool {
        if !self.contains(leg) {
            return false;
        }
        match self.sounding.iter_mut().find(|(it, _)| *it == leg) {
            Some((_, heard)) if fork > *heard => *heard = fork,
            Some(_) => return false,
            None => self.sounding.push((leg, fork)),
        }
        true
    }

    /// Whether that fork is the one of its leg that was followed last.
    pub(super) fn follows(&self, leg: LegId, fork: u32) -> bool {
        self.sounding.contains(&(leg, fork))
    }

    /// A leg's INVITE went elsewhere: what it let hear is over, it rings on.
    pub(super) fn falls_silent(&mut self, leg: LegId) {
        self.sounding.retain(|(it, _)| *it != leg);
    }

    /// A leg is out: refused with that status, or never reached. Whether it was one of these.
    pub(super) fn out(&mut self, leg: LegId, status: Option<u16>) -> bool {
        let before = self.legs.len();
        self.legs.retain(|it| *it != leg);
        let was = self.legs.len() < before;
        if was && rank(status) > rank(self.worst) {
            self.worst = status;
        }
        self.falls_silent(leg);
        was
    }

    /// The refusal that says most about the callee; none if nobody was reached.
    pub(super) fn worst(&self) -> Option<u16> {
        self.worst
    }
}

/// How much a refusal says about the callee: busy is a person's state, 5xx a machine's.
fn rank(status: Option<u16>) -> u8 {
    match status {
        None => 0,
        Some(500..=599) => 1,
        Some(408 | 480 | 487) => 3,
        Some(486 | 600) => 4,
        Some(_) => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::{LegId, Ringing};

    enum Now {
        /// A fork of a leg sends early media; whether it is followed.
        Sounds(u32, u32, bool),
        Out(u32, Option<u16>),
        Moves(u32),
    }
    use Now::{Moves, Out, Sounds};

    // covers: RFC 3960 §3.1, RFC 3261 §13.2.2.4
    #[test]
    fn the_first_leg_is_heard_until_it_is_out_and_of_its_forks_the_newest() {
        let table: [(&str, &[Now], Option<u32>); 10] = [
            ("nobody sounds", &[], None),
            ("one sounds", &[Sounds(2, 0, true)], Some(2)),
            (
                "the second does not interrupt the first",
                &[Sounds(2, 0, true), Sounds(1, 0, true)],
                Some(2),
            ),
            (
                "the second is heard when the first is out",
                &[Sounds(2, 0, true), Sounds(1, 0, true), Out(2, Some(486))],
                Some(1),
            ),
            (
                "nobody is left who sounds",
                &[Sounds(2, 0, true), Out(2, Some(480))],
                None,
            ),
            (
                "the newest fork is followed, a repetition of an older one is not",
                &[Sounds(1, 0, true), Sounds(1, 1, true), Sounds(1, 0, false)],
                Some(1),
            ),
            (
                "a leg that went to another target rings again",
                &[Sounds(1, 3, true), Moves(1), Sounds(1, 0, true)],
                Some(1),
            ),
            (
                "while it goes on the next one is heard",
                &[Sounds(1, 0, true), Sounds(2, 0, true), Moves(1)],
                Some(2),
            ),
            ("a stranger is not heard", &[Sounds(9, 0, false)], None),
            (
                "nor one that is out",
                &[Out(1, None), Sounds(1, 0, false)],
                None,
            ),
        ];
        for (what, inputs, wanted) in table {
            let mut ringing = Ringing::of(vec![LegId(1), LegId(2), LegId(3)]);
            for input in inputs {
                match *input {
                    Sounds(leg, fork, is) => {
                        assert_eq!(ringing.sounds(LegId(leg), fork), is, "{what}");
                    }
                    Out(leg, status) => assert!(ringing.out(LegId(leg), status), "{what}"),
                    Moves(leg) => ringing.falls_silent(LegId(leg)),
                }
            }
            assert_eq!(ringing.voice(), wanted.map(LegId), "{what}");
        }
    }

    #[test]
    fn the_refusal_that_says_most_about_the_callee_is_kept() {
        let table = [
            (vec![None, None], None),
            (vec![Some(503), None], Some(503)),
            (vec![Some(503), Some(404)], Some(404)),
            (vec![Some(404), Some(480), Some(503)], Some(480)),
            (vec![Some(600), Some(480)], Some(600)),
        ];
        for (statuses, wanted) in table {
            let mut ringing = Ringing::of((1..=3).map(LegId).collect());
            for (leg, status) in (1..).zip(statuses.clone()) {
                ringing.out(LegId(leg), status);
            }
            assert_eq!(ringing.worst(), wanted, "{statuses:?}");
            assert_eq!(ringing.is_empty(), statuses.len() == 3);
        }
    }
}
