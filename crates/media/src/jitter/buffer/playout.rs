//! What is played when: one step of the playout every 20 ms.

use clock::Now;

use super::{JitterBuffer, Nanos, SLOTS, Slot, Stream, index_of, ticks};

/// What lies at the play position.
enum Found {
    /// Audio covers it: the slot's sequence.
    Here(i64),
    /// The next audio starts at this time; whether packets before it are missing.
    Later { time: i64, lost: bool },
    /// Nothing has come; whether the last packet told of silence.
    Nothing { told: bool },
}

/// The outcome of one pop, before the payload is borrowed.
pub(super) enum Step {
    Hold,
    Conceal,
    Silence,
    Frame { place: Place, spliced: bool },
}

/// Where a frame's payload is.
pub(super) enum Place {
    Slot { index: usize, start: usize },
    Joined,
}

impl JitterBuffer {
    pub(super) fn step(&mut self, now: Now, stream: &mut Stream) -> Step {
        let target = stream.delay.target(&self.config);
        let Some(play) = stream.play.or_else(|| self.first_audio(stream)) else {
            return Step::Hold;
        };
        let excess = self.delay_at(now, stream, play) - target;
        if stream.play.is_none() && excess < 0 {
            return Step::Hold;
        }
        stream.play = Some(play);
        stream.stretch_pause = stream.stretch_pause.saturating_sub(1);
        self.note_excess(stream, excess);
        let half = self.frame_nanos() / 2;
        match self.find(stream, play) {
            Found::Here(_) if excess < -half && stream.stretch_pause == 0 => {
                stream.stretch_pause = STRETCH_PAUSE;
                self.counters.stretched += 1;
                Step::Conceal
            }
            Found::Here(_) if stream.over_run >= OVER_RUN_MAX => {
                stream.over_run -= OVER_RUN_PAUSE;
                stream.spliced = true;
                self.counters.dropped += 1;
                self.play_at(stream, play + self.frame_ticks())
            }
            Found::Here(sequence) => self.play_slot(stream, sequence, play),
            Found::Later { time, lost } => {
                let kept = excess - self.nanos(time - play);
                if kept
                    >= if time - play < self.frame_ticks() {
                        -half
                    } else {
                        0
                    }
                {
                    stream.spliced = true;
                    return self.play_at(stream, time);
                }
                stream.play = Some(time.min(play + self.frame_ticks()));
                Self::fill(stream, lost)
            }
            Found::Nothing { told } => {
                // Too early by our own fault: wait here, so that what comes late is still in time.
                if excess < -half {
                    self.counters.stretched += 1;
                } else {
                    stream.play = Some(play + self.frame_ticks());
                }
                Self::fill(stream, !told)
            }
        }
    }

    /// Plays from `play` if there is audio, else fills the frame.
    fn play_at(&mut self, stream: &mut Stream, play: i64) -> Step {
        match self.find(stream, play) {
            Found::Here(sequence) => self.play_slot(stream, sequence, play),
            Found::Later { time, lost } => {
                stream.play = Some(time.min(play + self.frame_ticks()));
                Self::fill(stream, lost)
            }
            Found::Nothing { told } => {
                stream.play = Some(play);
                Self::fill(stream, !told)
            }
        }
    }

    fn play_slot(&mut self, stream: &mut Stream, sequence: i64, play: i64) -> Step {
        let index = index_of(sequence);
        let frame = self.frame_bytes();
        stream.cursor = sequence;
        stream.play = Some(play + self.frame_ticks());
        let Some(slot) = self.slots.get(index) else {
            return Step::Silence;
        };
        let start = usize::try_from(play - slot.time).unwrap_or(0);
        let place = if start + frame <= slot.len {
            Place::Slot { index, start }
        } else if self.join(stream, play) {
            Place::Joined
        } else {
            return Self::fill(stream, true);
        };
        stream.empty_run = 0;
        Step::Frame {
            place,
            spliced: std::mem::take(&mut stream.spliced),
        }
    }

    /// Gathers one frame from several packets; `false` when less than half of it is there. A hole
    /// at its end is filled with the mirror of what is before it, which joins without a step.
    fn join(&mut self, stream: &Stream, play: i64) -> bool {
        let frame = self.frame_bytes();
        let mut filled = 0;
        while filled < frame {
            let at = play + ticks(filled);
            let Found::Here(sequence) = self.find(stream, at) else {
                break;
            };
            let Some(slot) = self.slots.get(index_of(sequence)) else {
                break;
            };
            let start = usize::try_from(at - slot.time).unwrap_or(0);
            let count = (slot.len - start).min(frame - filled);
            let (Some(to), Some(bytes)) = (
                self.joined.get_mut(filled..filled + count),
                slot.payload.get(start..start + count),
            ) else {
                break;
            };
            to.copy_from_slice(bytes);
            filled += count;
        }
        if filled * 2 < frame {
            return false;
        }
        if let Some((have, hole)) = self
            .joined
            .get_mut(..frame)
            .and_then(|joined| joined.split_at_mut_checked(filled))
        {
            for (to, &from) in hole.iter_mut().zip(have.iter().rev()) {
                *to = from;
            }
        }
        true
    }

    fn fill(stream: &mut Stream, lost: bool) -> Step {
        stream.empty_run = stream.empty_run.saturating_add(1);
        if lost && stream.empty_run <= CONCEAL_RUN_MAX {
            Step::Conceal
        } else {
            Step::Silence
        }
    }

    /// Counts how long the delay has been too long: by two frames to begin, by one to end.
    fn note_excess(&self, stream: &mut Stream, excess: Nanos) {
        let frame = self.frame_nanos();
        if excess > 10 * frame {
            stream.over_run = stream.over_run.saturating_add(OVER_RUN_PAUSE / 2);
        } else if excess > 2 * frame {
            stream.over_run = stream.over_run.saturating_add(1);
        } else if excess <= frame {
            stream.over_run = 0;
        }
        stream.over_run = stream.over_run.min(OVER_RUN_MAX);
    }

    fn find(&self, stream: &Stream, play: i64) -> Found {
        let highest = stream.sequences.highest();
        let from = stream.cursor.max(highest - (SLOTS as i64 - 1));
        let (mut lost, mut told) = (false, false);
        for sequence in from..=highest {
            let Some(slot) = self.slot(sequence) else {
                continue;
            };
            let here = slot.sequence == sequence;
            told = here && slot.len == 0;
            if !here {
                lost = true;
            } else if slot.time + ticks(slot.len) <= play {
                lost = false;
            } else if slot.len > 0 && slot.time <= play {
                return Found::Here(sequence);
            } else if slot.len > 0 {
                return Found::Later {
                    time: slot.time,
                    lost,
                };
            }
        }
        Found::Nothing { told }
    }

    fn first_audio(&self, stream: &Stream) -> Option<i64> {
        let held = |slot: &&Slot| slot.sequence >= stream.cursor && slot.len > 0;
        self.slots.iter().filter(held).map(|slot| slot.time).min()
    }
}

/// Frames invented in a row before silence: the concealer has faded out by then.
const CONCEAL_RUN_MAX: u32 = 5;

/// Pops between two frames put in, so that a growing delay is not heard as a stall.
const STRETCH_PAUSE: u16 = 5;

/// Pops of too long a delay before a frame is left out, and between two such.
const OVER_RUN_MAX: u16 = 25;
const OVER_RUN_PAUSE: u16 = 10;
