//! The ring of packets and the play position.

mod playout;

use clock::Now;

use self::playout::{Place, Step};
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
        if self.stream.is_none() {
            // Its time may be long over: playout begins with audio.
            self.counters.received += 1;
            return Inserted::Stored;
        }
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
            stream = self.begin_again(now, header, &stream);
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
        // A telephone-event repeats the time of its beginning (RFC 4733 §2.5.1.2): it tells nothing of
        // the path.
        if !payload.is_empty() {
            stream.delay.observe(now, self.transit(now, time), straddle);
        }
        self.counters.reordered += u64::from(sequence < highest);
        let over = stream.play.is_some_and(|play| time + ticks <= play);
        if over && !payload.is_empty() {
            stream.late_run += 1;
            if stream.late_run < LATE_RUN_MAX {
                self.counters.late += 1;
                return Inserted::Late;
            }
            // The path has become longer, or the sender's clock has jumped back a little.
            *stream = self.begin_again(now, header, stream);
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

    /// Begins anew; what waits to be played of the stream before is dropped.
    fn begin_again(&mut self, now: Now, header: &Header, before: &Stream) -> Stream {
        self.counters.restarts += 1;
        let waits = |slot: &&Slot| {
            let unplayed = |play| slot.time + ticks(slot.len) > play;
            slot.sequence >= 0 && slot.len > 0 && before.play.is_none_or(unplayed)
        };
        self.counters.dropped += self.slots.iter().filter(waits).count() as u64;
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

/// Scales.
impl JitterBuffer {
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
pub(super) const LATE_RUN_MAX: u16 = 8;

const NANOS_PER_S: i64 = 1_000_000_000;
const NANOS_PER_MS: i64 = 1_000_000;
