//! The buffer of one stream: what it takes, and what it counts. What it plays is in [`playout`].

mod playout;

use clock::Now;

use super::JitterConfig;
use super::delay::{Delay, Nanos};
use super::expand::Expand;
use super::ring::{PLACES, PacketRing};
use super::sound::Sound;
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

/// What the frame that was played is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Popped {
    /// The sender's sound.
    Sound,
    /// Sound invented for at least half of it, because packets are lost or late.
    Concealed,
    /// The sender said nothing here, or has been gone for long.
    Silence,
    /// No stream yet, or the first delay is not over: silence.
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
    /// Packets decoded.
    pub played: u64,
    /// Packets left out because the delay was far too long, or the stream began anew.
    pub dropped: u64,
    /// Packets that never came and were made good by the one after: FEC or redundancy.
    pub recovered: u64,
    /// Frames played that were invented at least by half.
    pub concealed: u64,
    /// Milliseconds put in because the delay was too short.
    pub lengthened_ms: u64,
    /// Milliseconds left out because the delay was too long.
    pub shortened_ms: u64,
    /// Times the stream began anew: another SSRC, a jump, or a run of late packets.
    pub restarts: u64,
}

/// The playout buffer of one incoming stream: 64 packets and 16 kB of payload at most, and the sound
/// around what is played.
///
/// *Media thread*: nothing but [`JitterBuffer::new`] allocates. The memory it takes is touched when
/// the first packet comes, as much as the stream needs: 11 kB of G.711 with the usual delays, 29 kB of Opus
/// at 48 kHz.
#[derive(Debug)]
pub struct JitterBuffer {
    config: JitterConfig,
    codec: Codec,
    ring: PacketRing,
    sound: Sound,
    expand: Expand,
    stream: Option<Stream>,
    counters: JitterCounters,
}

#[derive(Clone, Debug)]
struct Stream {
    ssrc: u32,
    sequences: SequenceExtender,
    times: TimeExtender,
    delay: Delay,
    /// The lowest sequence that may still be played.
    cursor: i64,
    /// The sequence that it began with.
    first: i64,
    /// Where decoding stands on the sender's clock, once playout has begun.
    next: Option<i64>,
    /// What packets cover, in ticks: that of the newest.
    packet: i64,
    /// The source and sequence that would confirm a jump (RFC 3550 appendix A.1).
    suspect: Option<(u32, Sequence)>,
    late_run: u16,
    /// Ticks invented while `next` stood still.
    waited: i64,
    /// Frames without real sound.
    empty_run: u32,
    /// Frames to pass before the sound's length may change again.
    rest: u32,
    /// Frames for which it should have changed.
    unchanged: u32,
    /// The delay of the sound played last.
    behind: Nanos,
}

impl JitterBuffer {
    /// A buffer for a stream of `codec`. Takes all the memory it will ever need.
    pub fn new(config: JitterConfig, codec: Codec) -> Self {
        Self {
            config,
            codec,
            ring: PacketRing::new(),
            sound: Sound::new(),
            expand: Expand::new(),
            stream: None,
            counters: JitterCounters::default(),
        }
    }

    /// Keeps the delay within these bounds from now on.
    pub fn configure(&mut self, config: JitterConfig) {
        self.config = config;
    }

    /// Takes an audio packet that arrived at `now`.
    pub fn insert(&mut self, now: Now, header: &Header, payload: &[u8]) -> Inserted {
        let ticks = self.ticks(payload);
        if payload.len() > PAYLOAD_MAX || !(1..=self.millis(TICKS_MAX_MS)).contains(&ticks) {
            self.counters.received += 1;
            self.counters.refused += 1;
            return Inserted::Refused;
        }
        self.place(now, header, payload)
    }

    /// Takes a redundant copy of the packet `back` before the one of `header`, `offset` ticks older
    /// than it (RFC 2198 §3): it is stored if that packet has not come and its turn is not over; `true`
    /// then. In time or not, it counts as that packet's arrival, so that the delay becomes what makes
    /// copies worth their wait. Offer it after the packet itself.
    pub fn insert_redundant(
        &mut self,
        now: Now,
        header: &Header,
        (back, offset): (u16, u32),
        payload: &[u8],
    ) -> bool {
        let Some(mut stream) = self.stream.take() else {
            return false;
        };
        let stored = self.place_copy(now, &mut stream, header, (back, offset), payload);
        self.stream = Some(stream);
        stored
    }

    fn place_copy(
        &mut self,
        now: Now,
        stream: &mut Stream,
        header: &Header,
        (back, offset): (u16, u32),
        payload: &[u8],
    ) -> bool {
        let ticks = self.ticks(payload);
        let fits = payload.len() <= PAYLOAD_MAX && (1..=self.millis(TICKS_MAX_MS)).contains(&ticks);
        if stream.ssrc != header.ssrc || back == 0 || !fits {
            return false;
        }
        let sequence = stream.sequences.peek(header.sequence) - i64::from(back);
        let time = stream.times.peek(header.time) - i64::from(offset);
        let newest = stream.sequences.highest();
        let within = (0..PLACES as i64).contains(&(newest - sequence));
        if self.ring.known(sequence) >= sequence || !within {
            return false;
        }
        let transit = self.transit(now, time);
        if transit.abs_diff(stream.delay.base()) <= TRANSIT_SPREAD_MAX {
            stream.delay.observe(now, transit, &self.config);
        }
        let overflowed = self.ring.store(sequence, time, ticks, payload);
        self.counters.overflowed += u64::from(overflowed);
        if stream.next.is_some_and(|next| time < next) {
            // It stays known, so that another copy of it tells nothing new.
            self.ring.finish(sequence);
            return false;
        }
        stream.cursor = stream.cursor.min(sequence);
        self.counters.recovered += 1;
        self.counters.received += 1;
        true
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
        self.expand = Expand::new();
    }

    /// What has happened since the buffer was made.
    pub const fn counters(&self) -> &JitterCounters {
        &self.counters
    }

    /// What it holds of the heap: it never changes.
    #[cfg(test)]
    pub(super) fn capacities(&self) -> [usize; 3] {
        let [places, bytes] = self.ring.capacities();
        [places, bytes, self.sound.capacity()]
    }

    /// The timestamp of the sample that is played next, once playout has begun.
    pub fn position(&self) -> Option<u32> {
        let stream = self.stream.as_ref()?;
        Some((self.play(stream.next?) & 0xFFFF_FFFF) as u32)
    }

    /// How long a packet of the fastest path waited here before it was played last, in milliseconds.
    pub fn delay_ms(&self) -> u32 {
        whole_ms(self.stream.as_ref().map_or(0, |stream| stream.behind))
    }

    /// The longest delay it may aim for, in milliseconds.
    pub fn limit_ms(&self) -> u32 {
        u32::try_from(self.config.max().as_millis()).unwrap_or(u32::MAX)
    }

    /// The delay aimed for, in milliseconds.
    pub fn target_ms(&self) -> u32 {
        let stream = self.stream.as_ref();
        whole_ms(stream.map_or(0, |stream| stream.delay.target(&self.config)))
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
        let known = self.ring.known(sequence);
        if known == sequence {
            self.counters.duplicate += 1;
            return Inserted::Duplicate;
        }
        if known > sequence {
            self.counters.late += 1;
            return Inserted::Late;
        }
        let ticks = self.ticks(payload);
        // A telephone-event repeats the time of its beginning (RFC 4733 §2.5.1.2): it tells nothing of
        // the path.
        if !payload.is_empty() {
            stream.packet = ticks;
            stream
                .delay
                .observe(now, self.transit(now, time), &self.config);
            self.tells_of_before(now, stream, (sequence, time), payload);
        }
        self.counters.reordered += u64::from(sequence < highest);
        let over = stream.next.is_some_and(|next| time + ticks <= next);
        if over && !payload.is_empty() {
            stream.late_run += 1;
            if stream.late_run < LATE_RUN_MAX {
                self.counters.late += 1;
                return Inserted::Late;
            }
            // The sender's clock has jumped back a little.
            *stream = self.begin_again(now, header);
            return self.place_in(now, stream, header, payload);
        }
        stream.late_run = 0;
        if !over {
            stream.cursor = stream.cursor.min(sequence);
        }
        let overflowed = self.ring.store(sequence, time, ticks, payload);
        self.counters.overflowed += u64::from(overflowed);
        Inserted::Stored
    }

    /// A packet that makes good the one before it, which never came, counts as that one's arrival too.
    fn tells_of_before(
        &self,
        now: Now,
        stream: &mut Stream,
        (sequence, time): (i64, i64),
        payload: &[u8],
    ) {
        let missing = self.ring.known(sequence - 1) < sequence - 1;
        if missing && sequence > stream.first && self.codec.tells_of_before(payload) {
            let transit = self.transit(now, time - stream.packet);
            stream.delay.observe(now, transit, &self.config);
        }
    }

    fn begin(&mut self, now: Now, header: &Header) -> Stream {
        self.ring.clear(self.room());
        let sequences = SequenceExtender::new(header.sequence);
        let times = TimeExtender::new(header.time);
        Stream {
            ssrc: header.ssrc,
            delay: Delay::new(now, self.transit(now, times.peek(header.time))),
            cursor: sequences.highest(),
            first: sequences.highest(),
            sequences,
            times,
            next: None,
            packet: i64::from(self.codec.frame_ticks()),
            suspect: None,
            late_run: 0,
            waited: 0,
            empty_run: 0,
            rest: 0,
            unchanged: 0,
            behind: 0,
        }
    }

    /// Begins anew; what waits to be played of the stream before is dropped.
    fn begin_again(&mut self, now: Now, header: &Header) -> Stream {
        self.counters.restarts += 1;
        self.counters.dropped += self.ring.waiting().count() as u64;
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
}

/// Scales.
impl JitterBuffer {
    /// Where the next sample to play lies on the sender's clock.
    fn play(&self, next: i64) -> i64 {
        next - self.to_ticks(self.sound.pending())
    }

    fn transit(&self, now: Now, time: i64) -> Nanos {
        Nanos::try_from(now.as_nanos()).unwrap_or(Nanos::MAX) - self.nanos(time)
    }

    fn nanos(&self, ticks: i64) -> Nanos {
        let rate = i64::from(self.codec.clock_rate());
        ticks / rate * NANOS_PER_S + ticks % rate * NANOS_PER_S / rate
    }

    fn ticks(&self, payload: &[u8]) -> i64 {
        if payload.is_empty() {
            return 0;
        }
        i64::try_from(self.codec.ticks(payload)).unwrap_or(i64::MAX)
    }

    fn frame_ticks(&self) -> i64 {
        i64::from(self.codec.frame_ticks())
    }

    /// Milliseconds, in ticks.
    fn millis(&self, ms: i64) -> i64 {
        i64::from(self.codec.clock_rate()) * ms / 1_000
    }

    /// Bytes of payload that may wait: of the longest delay, of what is left out because it is later than that,
    /// and of the packets that come meanwhile.
    fn room(&self) -> usize {
        let ms = self.limit_ms() as usize + BEYOND_MS;
        (ms * self.codec.bytes_a_ms()).max(2 * PAYLOAD_MAX)
    }

    /// Samples of sound, in ticks of the RTP clock. There are few samples: this is exact.
    fn to_ticks(&self, samples: usize) -> i64 {
        samples as i64 * i64::from(self.codec.clock_rate()) / i64::from(self.sound.rate())
    }

    fn to_samples(&self, ticks: i64) -> usize {
        let samples = ticks * i64::from(self.sound.rate()) / i64::from(self.codec.clock_rate());
        usize::try_from(samples).unwrap_or(0)
    }
}

fn whole_ms(nanos: Nanos) -> u32 {
    u32::try_from(nanos.max(0) / NANOS_PER_MS).unwrap_or(u32::MAX)
}

/// The longest payload taken: what fits a packet of 1,500 bytes.
pub const PAYLOAD_MAX: usize = 1_472;

/// What is later than the longest delay is left out beyond 200 ms; four of the longest packets come meanwhile.
const BEYOND_MS: usize = 200 + 4 * 60;

/// The longest packet taken.
const TICKS_MAX_MS: i64 = 60;

/// Sequence numbers that a packet may lie behind or ahead and still belong (RFC 3550 appendix A.1).
const MISORDER_MAX: i64 = PLACES as i64 - 1;
const DROPOUT_MAX: i64 = 3_000;

/// How far a packet's transit may lie from the best before its timestamp is taken for a jump.
const TRANSIT_SPREAD_MAX: u64 = 2_000_000_000;

/// Late packets in a row that begin the stream anew: 160 ms of 20 ms packets.
pub(super) const LATE_RUN_MAX: u16 = 8;

const NANOS_PER_S: i64 = 1_000_000_000;
const NANOS_PER_MS: i64 = 1_000_000;
