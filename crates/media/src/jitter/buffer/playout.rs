//! What is played: one frame every 20 ms.

use clock::Now;

use super::super::decision::{Fill, Found, Pace, Situation, fill, pace, rests};
use super::super::delay::Nanos;
use super::super::expand::Expand;
use super::super::ring::{PLACES, State};
use super::super::stretch;
use super::{JitterBuffer, NANOS_PER_S, Popped, Stream};
use crate::codec::Decoder;

/// What the ring holds for the play position.
#[derive(Clone, Copy, Debug)]
enum Next {
    Here(i64),
    Later {
        sequence: i64,
        time: i64,
        lost: bool,
    },
    Nothing {
        told: bool,
    },
}

/// What one frame was made of.
#[derive(Default)]
struct Made {
    /// Samples invented, and samples of silence.
    invented: usize,
    silent: usize,
}

impl JitterBuffer {
    /// Plays the 20 ms that begin at `now` into `out`, which has room for 20 ms at the rate of
    /// `decoder`. Call it every 20 ms; always with one decoder for one stream.
    ///
    /// *Media thread*: at most 16 packets are decoded, and at most one period is left out or put in.
    pub fn pop(&mut self, now: Now, decoder: &mut Decoder, out: &mut [i16]) -> Popped {
        let Some(mut stream) = self.stream.take() else {
            out.fill(0);
            return Popped::Hold;
        };
        let popped = self.frame(now, &mut stream, decoder, out);
        self.stream = Some(stream);
        self.counters.concealed += u64::from(popped == Popped::Concealed);
        popped
    }

    /// What the delay would cost in milliseconds, those of packets that come too late included, if frames were
    /// taken every 20 ms from `from` on; `None` while too little is known of the path.
    pub fn cost_ms(&self, from: Now) -> Option<f32> {
        let stream = self.stream.as_ref()?;
        let slack = self.slack(from, stream, stream.times.highest());
        let step = self.nanos(self.step_ticks(stream));
        stream.delay.cost_ms(&self.config, slack, step)
    }

    /// Where what is played next stands on the sender's clock, in its ticks; `None` before the first sound. It
    /// goes on by 20 ms with each frame, but where sound is left out or put in.
    pub fn spoken_at(&self) -> Option<i64> {
        let stream = self.stream.as_ref()?;
        // What is invented meanwhile stands for what is missing, unless that is heard yet.
        Some(stream.next? + stream.waited - self.to_ticks(self.sound.pending()))
    }

    fn frame(
        &mut self,
        now: Now,
        stream: &mut Stream,
        decoder: &mut Decoder,
        out: &mut [i16],
    ) -> Popped {
        if stream.next.is_none() && !self.start(now, stream, decoder.rate()) {
            out.fill(0);
            return Popped::Hold;
        }
        if self.sound.rate() != decoder.rate() {
            self.sound.begin(decoder.rate());
            self.expand = Expand::new();
        }
        let mut made = Made::default();
        for _ in 0..STEPS_MAX {
            let missing = out.len().saturating_sub(self.sound.pending());
            if missing == 0 {
                break;
            }
            self.step(now, stream, decoder, missing, &mut made);
        }
        let paced = made.silent == 0 && stream.empty_run == 0;
        if paced {
            self.keep_pace(now, stream, decoder, out.len());
        }
        if let Some(next) = stream.next.filter(|_| paced) {
            let play = next - self.to_ticks(self.sound.pending());
            stream.behind = self.transit(now, play) - stream.delay.base();
        }
        self.sound.play(out);
        if made.silent * 2 > out.len() {
            Popped::Silence
        } else if made.invented * 2 > out.len() {
            Popped::Concealed
        } else {
            Popped::Sound
        }
    }

    /// Begins to play once the first packet has waited long enough.
    fn start(&mut self, now: Now, stream: &mut Stream, rate: u32) -> bool {
        let first = self.ring.waiting().map(|place| place.time).min();
        let Some(first) = first.filter(|&first| self.is_due(now, stream, first)) else {
            return false;
        };
        self.sound.begin(rate);
        self.expand = Expand::new();
        stream.next = Some(first);
        true
    }

    /// Adds to what waits, by one packet or by what is missing of a frame.
    fn step(
        &mut self,
        now: Now,
        stream: &mut Stream,
        decoder: &mut Decoder,
        missing: usize,
        made: &mut Made,
    ) {
        let Some(next) = stream.next else { return };
        let ahead = self.find(stream, next);
        let found = self.look(now, stream, next, ahead);
        let situation = Situation {
            found,
            waited: stream.waited,
            run: stream.empty_run,
            frame: self.frame_ticks(),
        };
        match (fill(&situation), ahead) {
            (Fill::Decode, Next::Here(sequence)) => self.decode(stream, sequence, next, decoder),
            (Fill::Drop, Next::Here(sequence)) => self.leave_out(stream, sequence),
            (Fill::Jump, Next::Later { sequence, time, .. }) => {
                (stream.next, stream.waited) = (Some(time), 0);
                stream.cursor = sequence;
            }
            (Fill::Recover, Next::Later { sequence, time, .. })
                if self.recover(stream, sequence, time - next, decoder) => {}
            (Fill::Recover, Next::Later { time, .. }) => {
                let count = missing.min(self.to_samples(time - next)).max(1);
                let count = self.invent(stream, decoder, count);
                made.invented += count;
                stream.next = Some((next + self.to_ticks(count).max(1)).min(time));
            }
            (Fill::Conceal(ticks), _) => {
                let count = missing.min(self.to_samples(ticks)).max(1);
                let count = self.invent(stream, decoder, count);
                made.invented += count;
                // What was invented while waiting stands for the beginning of what is missing.
                let waited = std::mem::take(&mut stream.waited);
                stream.next = Some(next + waited + self.to_ticks(count).max(1));
            }
            (Fill::Wait, _) => {
                let count = self.invent(stream, decoder, missing);
                made.invented += count;
                stream.waited += self.to_ticks(count);
            }
            _ => {
                self.expand.silence(&mut self.sound, missing);
                stream.waited += self.to_ticks(missing);
                made.silent += missing;
                stream.empty_run = stream.empty_run.saturating_add(1);
            }
        }
    }

    fn look(&self, now: Now, stream: &Stream, next: i64, ahead: Next) -> Found {
        match ahead {
            Next::Here(_) => Found::Here {
                excess: self.excess(now, stream, next),
            },
            Next::Later {
                time,
                lost,
                sequence,
            } => Found::Later {
                early: 2 * self.excess(now, stream, next) <= -self.nanos(self.frame_ticks()),
                gap: time - next,
                lost,
                due: self.is_due(now, stream, time),
                recovers: stream.waited == 0
                    && time - next <= stream.packet
                    && self.ring.get(sequence - 1).is_none(),
            },
            Next::Nothing { told } => Found::Nothing { told },
        }
    }

    /// Decodes the packet `sequence`, which covers `next`, and joins it to what was invented.
    fn decode(&mut self, stream: &mut Stream, sequence: i64, next: i64, decoder: &mut Decoder) {
        let Some(&place) = self.ring.get(sequence) else {
            return;
        };
        stream.cursor = sequence + 1;
        stream.next = Some(place.end());
        // What was invented stands before it: it is heard that much later.
        stream.waited = 0;
        self.ring.finish(sequence);
        let spare = self.spare(stream);
        let prepared = self.expand.prepare(&mut self.sound);
        let at = self.sound.whole().len();
        let decoded = match self.ring.payload(&place) {
            Some(payload) => decoder.decode(payload, self.sound.room()),
            None => {
                self.counters.overflowed += 1;
                0
            }
        };
        if decoded == 0 {
            // It told nothing: what was prepared stands for it.
            return;
        }
        self.counters.played += u64::from(self.ring.payload(&place).is_some());
        self.sound.grow(decoded);
        // Its beginning may have been played already.
        self.sound.remove(at, self.to_samples(next - place.time));
        if let Some(from) = prepared {
            self.expand.merge(&mut self.sound, from, at, spare);
        }
        stream.empty_run = 0;
    }

    fn leave_out(&mut self, stream: &mut Stream, sequence: i64) {
        let Some(&place) = self.ring.get(sequence) else {
            return;
        };
        self.counters.dropped += u64::from(self.ring.finish(sequence));
        (stream.cursor, stream.next) = (sequence + 1, Some(place.end()));
        stream.waited = 0;
        // What follows does not continue what was played.
        self.expand.extend(&mut self.sound, 0);
    }

    /// Decodes what the packet `sequence` tells of the `gap` ticks before it.
    fn recover(
        &mut self,
        stream: &mut Stream,
        sequence: i64,
        gap: i64,
        decoder: &mut Decoder,
    ) -> bool {
        let samples = self.to_samples(gap);
        let (Some(&place), Some(next)) = (self.ring.get(sequence), stream.next) else {
            return false;
        };
        let Some(payload) = self.ring.payload(&place) else {
            return false;
        };
        let Some(room) = self.sound.room().get_mut(..samples) else {
            return false;
        };
        let decoded = decoder.recover(payload, room);
        if decoded == 0 {
            return false;
        }
        self.sound.grow(decoded);
        self.expand.real();
        self.counters.recovered += 1;
        (stream.next, stream.empty_run) = (Some(next + gap), 0);
        true
    }

    /// Appends `count` invented samples or a few more: by the codec, if it can.
    fn invent(&mut self, stream: &mut Stream, decoder: &mut Decoder, count: usize) -> usize {
        stream.empty_run = stream.empty_run.saturating_add(1);
        // A codec invents whole steps of 2.5 ms.
        let step = self.sound.tenths(25).max(1);
        let room = self.sound.room().get_mut(..count.div_ceil(step) * step);
        let invented = room.map_or(0, |room| decoder.conceal(room));
        if invented > 0 {
            self.sound.grow(invented);
            self.expand.real();
            return invented;
        }
        self.expand.extend(&mut self.sound, count);
        count
    }

    /// Makes what waits shorter or longer, when it should be played sooner or later.
    fn keep_pace(&mut self, now: Now, stream: &mut Stream, decoder: &mut Decoder, frame: usize) {
        let Some(next) = stream.next else { return };
        let excess = self.excess(now, stream, next);
        stream.rest = stream.rest.saturating_sub(1);
        let rate = Nanos::from(self.sound.rate());
        let samples = |nanos: Nanos| usize::try_from(nanos * rate / NANOS_PER_S).unwrap_or(0);
        let changed = match pace(excess, stream.unchanged) {
            Pace::Keep => {
                stream.unchanged = 0;
                return;
            }
            _ if stream.rest > 0 && rests(excess) => return,
            Pace::Shorten(most, threshold) => {
                // A period and what it fades into must be there; one more packet may be needed.
                if self.sound.pending() < self.sound.tenths(AHEAD)
                    && let Next::Here(sequence) = self.find(stream, next)
                {
                    self.decode(stream, sequence, next, decoder);
                }
                let most = samples(most).min(self.sound.pending().saturating_sub(frame));
                let removed = stretch::accelerate(&mut self.sound, most, threshold);
                self.counters.shortened_ms += self.to_ms(removed);
                removed
            }
            Pace::Lengthen(most, threshold) => {
                let added = stretch::lengthen(&mut self.sound, samples(most), threshold);
                self.counters.lengthened_ms += self.to_ms(added);
                added
            }
        };
        if changed > 0 {
            (stream.rest, stream.unchanged) = (REST, 0);
        } else {
            stream.unchanged = stream.unchanged.saturating_add(1);
        }
    }

    fn to_ms(&self, samples: usize) -> u64 {
        samples as u64 * 1_000 / u64::from(self.sound.rate())
    }

    /// By how much the sound is later than it should be, if whole frames of it are played from now on
    /// and packets follow from `next`.
    fn excess(&self, now: Now, stream: &Stream, next: i64) -> Nanos {
        let step = self.step_ticks(stream);
        let pending = self.to_ticks(self.sound.pending());
        let spare = self.nanos(self.to_ticks(self.spare(stream)));
        let slack = self.slack(now, stream, next - pending) - spare;
        let shift = stream.delay.shift(&self.config, slack, self.nanos(step));
        spare - shift * self.nanos(step)
    }

    /// Samples that wait and need not: of what is left over after each frame, whole steps come and
    /// go, and what is beyond them is never of use.
    fn spare(&self, stream: &Stream) -> usize {
        let left = self.to_ticks(self.sound.pending()) - self.frame_ticks();
        self.to_samples(left.rem_euclid(self.step_ticks(stream)))
    }

    /// Whether sound that begins at `time` should be played now, and not a frame later.
    fn is_due(&self, now: Now, stream: &Stream, time: i64) -> bool {
        let slack = self.slack(now, stream, time);
        let later = self.nanos(self.frame_ticks());
        stream.delay.shift(&self.config, slack, later) <= 0
    }

    /// How long after its timestamp a packet is needed at the latest, if whole frames from `play` on
    /// are played from now on: some need a packet sooner than the frame that begins with it.
    fn slack(&self, now: Now, stream: &Stream, play: i64) -> Nanos {
        self.transit(now, play) - self.nanos(self.frame_ticks() - self.step_ticks(stream))
    }

    /// The steps in which slack can change: what frames and packets have in common.
    fn step_ticks(&self, stream: &Stream) -> i64 {
        let common = common_divisor(self.frame_ticks(), stream.packet);
        if common * 8 < self.frame_ticks() {
            self.frame_ticks() / 8
        } else {
            common
        }
    }

    fn find(&mut self, stream: &Stream, next: i64) -> Next {
        let highest = stream.sequences.highest();
        let from = stream.cursor.max(highest - (PLACES as i64 - 1));
        let (mut lost, mut told) = (false, false);
        for sequence in from..=highest {
            let Some(place) = self.ring.get(sequence) else {
                (lost, told) = (true, false);
                continue;
            };
            told = place.state == State::Told;
            let (sequence, time, waits) =
                (place.sequence, place.time, place.state == State::Waiting);
            if place.end() <= next {
                lost = false;
                if waits {
                    // Its turn was over before it could be told.
                    self.counters.dropped += 1;
                    self.ring.finish(sequence);
                }
            } else if waits && time <= next {
                return Next::Here(sequence);
            } else if waits {
                return Next::Later {
                    sequence,
                    time,
                    lost,
                };
            }
        }
        Next::Nothing { told }
    }
}

fn common_divisor(mut a: i64, mut b: i64) -> i64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

/// Packets that one frame may need: 20 ms of the shortest packets, and what is left out of them.
const STEPS_MAX: u32 = 16;
/// Frames between two changes of length.
const REST: u32 = 3;
/// What must wait for a period to be left out: the longest twice, in tenths of a millisecond.
const AHEAD: u32 = 400;
