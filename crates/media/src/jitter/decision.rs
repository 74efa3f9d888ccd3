//! What to do for the next stretch of sound, as two tables without state.
//!
//! [`fill`] says where the next sound comes from when less than a frame waits; [`pace`] whether it
//! should be made shorter or longer, once a frame.

use super::delay::Nanos;

/// What lies at the play position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A packet covers it.
    Here {
        /// By how much the sound is later than it should be.
        excess: Nanos,
    },
    /// The next packet begins this much later.
    Later {
        /// How much of the RTP clock is missing, in ticks.
        gap: i64,
        /// Whether packets are missing, or the sender said nothing.
        lost: bool,
        /// Whether its turn would have come, had there been a pause.
        due: bool,
        /// Whether it tells of the packet before it.
        recovers: bool,
        /// Whether sound is played so early that others will be late too.
        early: bool,
    },
    /// Nothing has come.
    Nothing {
        /// Whether the last packet told of silence.
        told: bool,
    },
}

/// What else matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Situation {
    pub(super) found: Found,
    /// What was invented while the position stood still, in ticks.
    pub(super) waited: i64,
    /// How long there has been no real sound, in frames.
    pub(super) run: u32,
    /// A frame, in ticks.
    pub(super) frame: i64,
}

/// Where the next sound comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fill {
    /// From the packet that is here.
    Decode,
    /// Not from the packet that is here: it is so late that it is better left out.
    Drop,
    /// From the later packet: nothing is missing before it any more.
    Jump,
    /// From what the later packet tells of the one before it.
    Recover,
    /// It is invented, and the position moves on by so many ticks.
    Conceal(i64),
    /// It is invented while the position waits for a packet that may yet come.
    Wait,
    /// It is silence that was meant, or that lasts too long to be filled.
    Silence,
}

/// The next sound's source.
pub(super) fn fill(now: &Situation) -> Fill {
    match now.found {
        Found::Here { excess } if excess > CATCH_UP => Fill::Drop,
        Found::Here { .. } => Fill::Decode,
        // The delay grows by what has to be invented anyway, and who is late may yet be in time.
        Found::Later {
            lost: true,
            early: true,
            ..
        } if now.run < INVENTED_MAX => Fill::Wait,
        // Sound was invented for as long as the gap is: the later packet takes its own turn.
        Found::Later {
            gap, lost: true, ..
        } if now.waited >= gap => Fill::Jump,
        Found::Later {
            gap,
            lost: true,
            due,
            recovers,
            ..
        } => {
            let missing = gap - now.waited;
            if recovers && missing <= now.frame * 3 {
                Fill::Recover
            } else if now.run < INVENTED_MAX {
                Fill::Conceal(missing.min(now.frame))
            } else if due {
                Fill::Jump
            } else {
                Fill::Silence
            }
        }
        Found::Later { due: true, .. } => Fill::Jump,
        Found::Later { .. } | Found::Nothing { told: true } => Fill::Silence,
        Found::Nothing { told: false } if now.run < INVENTED_MAX => Fill::Wait,
        Found::Nothing { .. } => Fill::Silence,
    }
}

/// How the sound's length should change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pace {
    Keep,
    /// Leave out this much at most, where the sound is this much like itself at least.
    Shorten(Nanos, f32),
    /// Put in this much at most, likewise.
    Lengthen(Nanos, f32),
}

/// The pace for a sound that is `excess` later than it should be, and has been so for `waited`
/// frames.
pub(super) fn pace(excess: Nanos, waited: u32) -> Pace {
    // What cannot be joined well is joined badly, after a while: half alike, and then anyhow.
    // Too short a delay loses packets meanwhile.
    let patience = if excess < 0 { PATIENCE / 4 } else { PATIENCE };
    let threshold = if waited < patience {
        ALIKE
    } else if waited < 2 * patience {
        HALF_ALIKE
    } else {
        -1.0
    };
    let urgent = excess.abs() > URGENT;
    let threshold = if urgent {
        threshold.min(HALF_ALIKE)
    } else {
        threshold
    };
    if excess >= SHORTEN_MIN {
        Pace::Shorten(excess, threshold)
    } else if excess <= -LENGTHEN_MIN {
        Pace::Lengthen(-excess + OVERSHOOT, threshold)
    } else {
        Pace::Keep
    }
}

/// Whether there must be frames between two changes of length.
pub(super) fn rests(excess: Nanos) -> bool {
    excess.abs() <= URGENT
}

const NANOS_PER_MS: Nanos = 1_000_000;
/// Frames of no sound that are invented: then it has faded.
pub(super) const INVENTED_MAX: u32 = 6;
/// Sound that is later than this is left out: to hear it faster would take longer than to miss it.
const CATCH_UP: Nanos = 200 * NANOS_PER_MS;
/// Sound later or earlier than this changes at every frame.
const URGENT: Nanos = 60 * NANOS_PER_MS;
const SHORTEN_MIN: Nanos = 5 * NANOS_PER_MS / 2;
const LENGTHEN_MIN: Nanos = 2 * NANOS_PER_MS;
/// A period that is put in may be longer than what is needed, by this.
const OVERSHOOT: Nanos = 5 * NANOS_PER_MS;
/// Half a second, in frames.
const PATIENCE: u32 = 25;
const ALIKE: f32 = 0.9;
const HALF_ALIKE: f32 = 0.5;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = NANOS_PER_MS;
    const FRAME: i64 = 160;

    fn situation(found: Found, waited: i64, run: u32) -> Situation {
        Situation {
            found,
            waited,
            run,
            frame: FRAME,
        }
    }

    fn later(gap: i64, lost: bool, due: bool) -> Found {
        Found::Later {
            gap,
            lost,
            due,
            recovers: false,
            early: false,
        }
    }

    fn recovers(gap: i64) -> Found {
        Found::Later {
            gap,
            lost: true,
            due: false,
            recovers: true,
            early: false,
        }
    }

    fn early(gap: i64) -> Found {
        Found::Later {
            gap,
            lost: true,
            due: false,
            recovers: false,
            early: true,
        }
    }

    #[test]
    fn the_next_sound_comes_from_where_the_table_says() {
        let here = |excess| Found::Here { excess };
        let nothing = |told| Found::Nothing { told };
        for (why, found, waited, run, wanted) in [
            ("in time", here(0), 0, 0, Fill::Decode),
            ("a little late", here(CATCH_UP), 0, 0, Fill::Decode),
            ("far too late", here(CATCH_UP + 1), 0, 0, Fill::Drop),
            (
                "one is lost",
                later(FRAME, true, false),
                0,
                0,
                Fill::Conceal(FRAME),
            ),
            (
                "less than a frame is lost",
                later(40, true, false),
                0,
                0,
                Fill::Conceal(40),
            ),
            (
                "half was invented",
                later(FRAME, true, false),
                60,
                1,
                Fill::Conceal(100),
            ),
            (
                "all was invented",
                later(FRAME, true, false),
                FRAME,
                1,
                Fill::Jump,
            ),
            ("the next tells of it", recovers(FRAME), 0, 0, Fill::Recover),
            ("of three at most", recovers(3 * FRAME), 0, 0, Fill::Recover),
            (
                "not of four",
                recovers(3 * FRAME + 1),
                0,
                0,
                Fill::Conceal(FRAME),
            ),
            ("it may yet come", early(FRAME), FRAME, 1, Fill::Wait),
            (
                "not for ever",
                early(FRAME),
                FRAME,
                INVENTED_MAX,
                Fill::Jump,
            ),
            (
                "faded",
                later(9 * FRAME, true, false),
                0,
                INVENTED_MAX,
                Fill::Silence,
            ),
            (
                "faded, and its turn",
                later(9 * FRAME, true, true),
                0,
                INVENTED_MAX,
                Fill::Jump,
            ),
            ("a pause", later(FRAME, false, false), 0, 0, Fill::Silence),
            (
                "a pause is over",
                later(FRAME, false, true),
                0,
                0,
                Fill::Jump,
            ),
            ("silence was told", nothing(true), 0, 0, Fill::Silence),
            ("nothing came", nothing(false), 0, 0, Fill::Wait),
            (
                "nothing came for long",
                nothing(false),
                0,
                INVENTED_MAX,
                Fill::Silence,
            ),
        ] {
            assert_eq!(fill(&situation(found, waited, run)), wanted, "{why}");
        }
    }

    #[test]
    fn the_pace_changes_by_what_is_worth_hearing_and_by_force_only_after_a_while() {
        let longer = |by, alike| Pace::Lengthen(by + OVERSHOOT, alike);
        for (excess, waited, wanted) in [
            (0, 0, Pace::Keep),
            (SHORTEN_MIN - 1, 0, Pace::Keep),
            (SHORTEN_MIN, 0, Pace::Shorten(SHORTEN_MIN, ALIKE)),
            (10 * MS, PATIENCE, Pace::Shorten(10 * MS, HALF_ALIKE)),
            (10 * MS, 2 * PATIENCE, Pace::Shorten(10 * MS, -1.0)),
            (URGENT + 1, 0, Pace::Shorten(URGENT + 1, HALF_ALIKE)),
            (1 - LENGTHEN_MIN, 0, Pace::Keep),
            (-LENGTHEN_MIN, 0, longer(LENGTHEN_MIN, ALIKE)),
            (-10 * MS, PATIENCE / 4, longer(10 * MS, HALF_ALIKE)),
            (-10 * MS, PATIENCE / 2, longer(10 * MS, -1.0)),
        ] {
            assert_eq!(pace(excess, waited), wanted, "{excess} ns, {waited} frames");
        }
        assert!(rests(URGENT) && rests(-URGENT) && !rests(URGENT + 1));
    }
}
