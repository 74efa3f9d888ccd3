//! The ring of packets and the play position.

use clock::Now;

use super::JitterConfig;
use super::delay::{Delay, Nanos};
use crate::Codec;
use crate::rtp::{Header, Sequence, SequenceExtender, TimeExtender};

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Inserted {
    /// It waits for its turn.
    Stored,
    /// It came before.
    Duplicate,
    /// Its turn was over.
    Late,
    /// It is empty, too long, or far off the stream: a second one in line with it starts a new stream.
    Refused,
}

/// What to play for the 20 ms that are due.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Popped<'a> {
    /// 20 ms of payload.
    Frame {
        /// Encoded audio: one frame.
        payload: &'a [u8],
        /// It does not continue the frame before it: smooth the joint.
        spliced: bool,
    },
    /// The frame is lost or late, or the delay must grow: invent one.
    Conceal,
    /// The sender said nothing here, or has been gone for long.
    Silence,
    /// No stream yet, or the first delay is not over.
    Hold,
}

/// What a buffer has seen since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JitterCounters {
    /// Packets offered, those refused included.
    pub received: u64,
    /// Packets that came after their turn.
    pub late: u64,
    /// Packets that came before.
    pub duplicate: u64,
    /// Packets that came after one sent later, yet in time or not.
    pub reordered: u64,
    /// Packets refused for their size or their place.
    pub refused: u64,
    /// Packets overwritten before their turn.
    pub overflowed: u64,
    /// Frames played.
    pub played: u64,
    /// Frames invented, those that made the delay grow included.
    pub concealed: u64,
    /// Frames put in because the delay was too short.
    pub stretched: u64,
    /// Frames left out because the delay was too long.
    pub dropped: u64,
    /// Times the stream began anew: another SSRC, a jump, or a run of late packets.
    pub restarts: u64,
}

/// The playout buffer of one incoming stream: 64 packets of at most [`PAYLOAD_MAX`] bytes.
///
/// *Media thread*: `insert` and `pop` never allocate; `insert` is O(1), `pop` looks at 64 slots at
/// most and usually at one. About 32 kB.
#[derive(Debug)]
pub struct JitterBuffer {
    config: JitterConfig,
    codec: Codec,
    slots: Box<[Slot]>,
    stream: Option<Stream>,
    joined: [u8; FRAME_BYTES_MAX],
    counters: JitterCounters,
}

#[derive(Clone, Debug)]
struct Slot {
    /// Extended; what it held stays known after it was played, so that a duplicate is seen as one.
    sequence: i64,
    /// Extended timestamp of its first sample.
    time: i64,
    /// Payload bytes; none for a packet that is not audio.
    len: usize,
    payload: [u8; PAYLOAD_MAX],
}

const VACANT: Slot = Slot {
    sequence: -1,
    time: 0,
    len: 0,
    payload: [0; PAYLOAD_MAX],
};

#[derive(Clone, Copy, Debug)]
struct Stream {
    ssrc: u32,
    sequences: SequenceExtender,
    times: TimeExtender,
    delay: Delay,
    /// The lowest sequence that may still be played.
    cursor: i64,
    /// Where playout stands on the sender's clock, once it has begun.
    play: Option<i64>,
    /// The source and sequence that would confirm a jump (RFC 3550 appendix A.1).
    suspect: Option<(u32, Sequence)>,
    late_run: u16,
    /// Consecutive frames without audio.
    empty_run: u32,
    /// Pops for which the delay has been too long.
    over_run: u16,
    /// Pops to wait before the delay may grow again.
    stretch_pause: u16,
    /// The next frame does not continue the last.
    spliced: bool,
}

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
enum Step {
    Hold,
    Conceal,
    Silence,
    Frame { place: Place, spliced: bool },
}

/// Where a frame's payload is.
enum Place {
    Slot { index: usize, start: usize },
    Joined,
}

impl JitterBuffer {
    /// A buffer for a stream of `codec`. Allocates its slots; nothing after this does.
    pub fn new(config: JitterConfig, codec: Codec) -> Self {
        Self {
            config,
            codec,
            slots: vec![VACANT; SLOTS].into_boxed_slice(),
            stream: None,
            joined: [0; FRAME_BYTES_MAX],
            counters: JitterCounters::default(),
        }
    }

    /// Takes an audio packet that arrived at `now`.
    pub fn insert(&mut self, now: Now, header: &Header, payload: &[u8]) -> Inserted {
        if payload.is_empty() || payload.len() > PAYLOAD_MAX {
            self.counters.received += 1;
            self.counters.refused += 1;
            return Inserted::Refused;
        }
        self.place(now, header, payload)
    }

    /// Takes note of a packet of the stream that carries no audio (telephone-event, comfort noise),
    /// so that its sequence number is not mistaken for a loss.
    pub fn note_other(&mut self, now: Now, header: &Header) -> Inserted {
        self.place(now, header, &[])
    }

    /// Forgets the stream: after a re-offer, or when the codec changes. Counters stay.
    pub fn reset(&mut self, codec: Codec) {
        self.codec = codec;
        self.stream = None;
        for slot in &mut self.slots {
            slot.sequence = -1;
        }
    }

    /// Gives what to play for the 20 ms that begin at `now`. Call it every 20 ms.
    pub fn pop(&mut self, now: Now) -> Popped<'_> {
        let Some(mut stream) = self.stream.take() else {
            return Popped::Hold;
        };
        let step = self.step(now, &mut stream);
        self.stream = Some(stream);
        match step {
            Step::Hold => Popped::Hold,
            Step::Silence => Popped::Silence,
            Step::Conceal => {
                self.counters.concealed += 1;
                Popped::Conceal
            }
            Step::Frame { place, spliced } => {
                self.counters.played += 1;
                let len = self.frame_bytes();
                let payload = match place {
                    Place::Slot { index, start } => self
                        .slots
                        .get(index)
                        .and_then(|slot| slot.payload.get(start..start + len)),
                    Place::Joined => self.joined.get(..len),
                };
                Popped::Frame {
                    payload: payload.unwrap_or_default(),
                    spliced,
                }
            }
        }
    }

    /// What has happened since the buffer was made.
    pub const fn counters(&self) -> &JitterCounters {
        &self.counters
    }

    /// How long a packet of the fastest path waits here before it is played, in milliseconds.
    pub fn delay_ms(&self, now: Now) -> u32 {
        let delay = self
            .stream
            .as_ref()
            .and_then(|s| Some(self.delay_at(now, s, s.play?)));
        u32::try_from(delay.unwrap_or(0).max(0) / NANOS_PER_MS).unwrap_or(u32::MAX)
    }

    /// The delay aimed for, in milliseconds.
    pub fn target_ms(&self) -> u32 {
        let target = self
            .stream
            .as_ref()
            .map_or(0, |s| s.delay.target(&self.config));
        u32::try_from(target / NANOS_PER_MS).unwrap_or(u32::MAX)
    }
}

/// Arrival.
impl JitterBuffer {
    fn place(&mut self, now: Now, header: &Header, payload: &[u8]) -> Inserted {
        self.counters.received += 1;
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.begin(now, header),
        };
        if !self.is_in_line(now, &stream, header) {
            if stream.suspect != Some((header.ssrc, header.sequence)) {
                stream.suspect = Some((header.ssrc, header.sequence.plus(1)));
                self.stream = Some(stream);
                self.counters.refused += 1;
                return Inserted::Refused;
            }
            stream = self.begin_again(now, header);
        }
        stream.suspect = None;
        let inserted = self.place_in(now, &mut stream, header, payload);
        self.stream = Some(stream);
        inserted
    }

    fn place_in(
        &mut self,
        now: Now,
        stream: &mut Stream,
        header: &Header,
        payload: &[u8],
    ) -> Inserted {
        let highest = stream.sequences.highest();
        let sequence = stream.sequences.extend(header.sequence);
        let time = stream.times.extend(header.time);
        let known = self.slot(sequence).map_or(-1, |slot| slot.sequence);
        if known == sequence {
            self.counters.duplicate += 1;
            return Inserted::Duplicate;
        }
        if known > sequence {
            self.counters.late += 1;
            return Inserted::Late;
        }
        let ticks = ticks(self.codec.ticks(payload));
        let straddle = self.straddle(ticks);
        stream.delay.observe(now, self.transit(now, time), straddle);
        self.counters.reordered += u64::from(sequence < highest);
        let over = stream.play.is_some_and(|play| time + ticks <= play);
        if over && !payload.is_empty() {
            self.counters.late += 1;
            stream.late_run += 1;
            if stream.late_run < LATE_RUN_MAX {
                return Inserted::Late;
            }
            // The path has become longer, or the sender's clock has jumped back a little.
            *stream = self.begin_again(now, header);
            return self.place_in(now, stream, header, payload);
        }
        stream.late_run = 0;
        if !over {
            stream.cursor = stream.cursor.min(sequence);
        }
        self.store(stream, sequence, time, payload);
        Inserted::Stored
    }

    fn store(&mut self, stream: &Stream, sequence: i64, time: i64, payload: &[u8]) {
        let index = index_of(sequence);
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let unplayed = stream
            .play
            .is_none_or(|play| slot.time + ticks(slot.len) > play);
        if slot.sequence >= 0 && slot.len > 0 && unplayed {
            self.counters.overflowed += 1;
        }
        slot.sequence = sequence;
        slot.time = time;
        slot.len = payload.len();
        if let Some(bytes) = slot.payload.get_mut(..payload.len()) {
            bytes.copy_from_slice(payload);
        }
    }

    fn begin(&mut self, now: Now, header: &Header) -> Stream {
        for slot in &mut self.slots {
            slot.sequence = -1;
        }
        let sequences = SequenceExtender::new(header.sequence);
        let times = TimeExtender::new(header.time);
        Stream {
            ssrc: header.ssrc,
            delay: Delay::new(now, self.transit(now, times.peek(header.time))),
            cursor: sequences.highest(),
            sequences,
            times,
            play: None,
            suspect: None,
            late_run: 0,
            empty_run: 0,
            over_run: 0,
            stretch_pause: 0,
            spliced: true,
        }
    }

    fn begin_again(&mut self, now: Now, header: &Header) -> Stream {
        self.counters.restarts += 1;
        self.begin(now, header)
    }

    /// Whether a packet's place is credible: same source, sequence near the highest, and a transit
    /// within 2 s of the best. A pause of the sender's changes none of these.
    fn is_in_line(&self, now: Now, stream: &Stream, header: &Header) -> bool {
        let ahead = stream.sequences.peek(header.sequence) - stream.sequences.highest();
        let transit = self.transit(now, stream.times.peek(header.time));
        header.ssrc == stream.ssrc
            && (-MISORDER_MAX..=DROPOUT_MAX).contains(&ahead)
            && transit.abs_diff(stream.delay.base()) <= TRANSIT_SPREAD_MAX
    }

    /// What frames cost in delay when packets do not end where they do: a frame may have to wait
    /// for the packet after the one it starts in.
    fn straddle(&self, packet_ticks: i64) -> Nanos {
        let frame = i64::from(self.codec.frame_ticks());
        if packet_ticks == 0 {
            0
        } else {
            self.nanos(frame - common_divisor(frame, packet_ticks))
        }
    }
}

/// Playout.
impl JitterBuffer {
    fn step(&mut self, now: Now, stream: &mut Stream) -> Step {
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

    fn slot(&self, sequence: i64) -> Option<&Slot> {
        self.slots.get(index_of(sequence))
    }

    fn delay_at(&self, now: Now, stream: &Stream, play: i64) -> Nanos {
        self.transit(now, play) - stream.delay.base()
    }

    fn transit(&self, now: Now, time: i64) -> Nanos {
        now_nanos(now) - self.nanos(time)
    }

    fn nanos(&self, ticks: i64) -> Nanos {
        let rate = i64::from(self.codec.clock_rate());
        ticks / rate * NANOS_PER_S + ticks % rate * NANOS_PER_S / rate
    }

    fn frame_nanos(&self) -> Nanos {
        self.nanos(self.frame_ticks())
    }

    fn frame_ticks(&self) -> i64 {
        i64::from(self.codec.frame_ticks())
    }

    /// G.711 has one byte for each tick.
    fn frame_bytes(&self) -> usize {
        self.codec.frame_ticks() as usize
    }
}

fn index_of(sequence: i64) -> usize {
    // SLOTS is a power of two, so the low bits of a (never negative) sequence are its slot.
    sequence.cast_unsigned() as usize % SLOTS
}

/// Lengths here are payload lengths, below 2^16.
fn ticks(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

fn now_nanos(now: Now) -> Nanos {
    Nanos::try_from(now.as_nanos()).unwrap_or(Nanos::MAX)
}

fn common_divisor(mut a: i64, mut b: i64) -> i64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Packets held: 1,280 ms of 20 ms packets, 640 ms of 10 ms packets.
const SLOTS: usize = 64;

/// The longest payload taken: 60 ms of G.711.
pub const PAYLOAD_MAX: usize = 480;

/// The longest frame handed out: 20 ms of G.711.
const FRAME_BYTES_MAX: usize = 160;

/// Sequence numbers that a packet may lie behind or ahead and still belong (RFC 3550 appendix A.1).
const MISORDER_MAX: i64 = SLOTS as i64 - 1;
const DROPOUT_MAX: i64 = 3_000;

/// How far a packet's transit may lie from the best before its timestamp is taken for a jump.
const TRANSIT_SPREAD_MAX: u64 = 2_000_000_000;

/// Late packets in a row that begin the stream anew: 160 ms of 20 ms packets.
const LATE_RUN_MAX: u16 = 8;

/// Frames invented in a row before silence: the concealer has faded out by then.
const CONCEAL_RUN_MAX: u32 = 5;

/// Pops between two frames put in, so that a growing delay is not heard as a stall.
const STRETCH_PAUSE: u16 = 5;

/// Pops of too long a delay before a frame is left out, and between two such.
const OVER_RUN_MAX: u16 = 25;
const OVER_RUN_PAUSE: u16 = 10;

const NANOS_PER_S: i64 = 1_000_000_000;
const NANOS_PER_MS: i64 = 1_000_000;
