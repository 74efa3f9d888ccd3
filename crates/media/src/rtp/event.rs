//! Telephone-events (RFC 4733): keys pressed, as packets in the audio stream.
//!
//! One press is many packets with one timestamp; any of them may be lost, doubled or out of order.
//! [`EventReceiver`] makes one press of them, [`EventSender`] makes them of presses.
//!
//! ```text
//!            first packet              end flag, newer press, 200 ms of nothing
//!   (idle) ───────────────▶ pressed ───────────────────────────────────▶ released
//!                            │  ▲ same timestamp, or a continued segment     │ same timestamp:
//!                            └──┘                                            └▶ ignored
//! ```

use clock::{Duration, Now};

use super::{Header, RtpTime};
use crate::Digit;
pub use crate::digit::Heard;

/// The payload of a telephone-event packet (RFC 4733 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPayload {
    /// Which event; 0 to 15 are keys.
    pub event: u8,
    /// The press is over.
    pub end: bool,
    /// The tone's power in −dBm0, 0 to 63.
    pub volume: u8,
    /// How long it has lasted, in ticks of the RTP clock since the packet's timestamp.
    pub duration: u16,
}

impl EventPayload {
    /// Reads a payload; `None` if it is shorter than four bytes. What follows them is ignored.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let &[event, flags, high, low] = payload.first_chunk::<4>()?;
        Some(Self {
            event,
            end: flags & 0x80 != 0,
            volume: flags & 0x3F,
            duration: u16::from_be_bytes([high, low]),
        })
    }

    /// The four bytes of the payload.
    pub const fn to_bytes(self) -> [u8; 4] {
        let flags = ((self.end as u8) << 7) | (self.volume & 0x3F);
        let [high, low] = self.duration.to_be_bytes();
        [self.event, flags, high, low]
    }
}

/// Makes one press of the many packets of it. One for each incoming stream.
#[derive(Clone, Debug)]
pub struct EventReceiver {
    clock_rate: u32,
    last: Option<Press>,
}

/// The press heard last.
#[derive(Clone, Copy, Debug)]
struct Press {
    digit: Digit,
    ssrc: u32,
    /// Timestamp of its latest segment.
    time: RtpTime,
    /// Ticks of its earlier segments (RFC 4733 §2.5.1.3).
    earlier: u32,
    /// The longest duration told in the latest segment.
    duration: u16,
    heard_at: Now,
    /// When it counts as over, if nothing more comes.
    over_at: Now,
    down: bool,
}

impl EventReceiver {
    /// For a stream whose RTP clock ticks `clock_rate` times a second.
    pub const fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            last: None,
        }
    }

    /// Takes a telephone-event packet. Other events than keys, and short payloads, show nothing.
    ///
    /// A press whose only packet is an end is released by the next call, of whichever method.
    pub fn receive(&mut self, now: Now, header: &Header, payload: &[u8]) -> Heard {
        let mut heard = self.handle_timeout(now);
        let Some(packet) = EventPayload::parse(payload) else {
            return heard;
        };
        let Some(digit) = Digit::from_event(packet.event) else {
            return heard;
        };
        if let Some(press) = self.last.as_mut()
            && press.takes(header, digit, packet)
        {
            press.heard_at = now;
            press.over_at = now + SILENT_END;
            if packet.end && press.down {
                heard.released = self.release();
            }
        } else if !self
            .last
            .is_some_and(|press| press.is_newer_than(now, header))
        {
            // Of a press whose end was lost, the start of the next is the end.
            heard.released = heard.released.or(self.release());
            heard.pressed = Some(digit);
            self.last = Some(Press {
                digit,
                ssrc: header.ssrc,
                time: header.time,
                earlier: 0,
                duration: packet.duration,
                heard_at: now,
                over_at: if packet.end { now } else { now + SILENT_END },
                down: true,
            });
        }
        heard
    }

    /// Ends a press whose packets have stopped coming.
    pub fn handle_timeout(&mut self, now: Now) -> Heard {
        let due = self.deadline().is_some_and(|at| at <= now);
        Heard {
            released: if due { self.release() } else { None },
            pressed: None,
        }
    }

    /// When the press that is down counts as over, should nothing more come.
    pub fn deadline(&self) -> Option<Now> {
        self.last
            .filter(|press| press.down)
            .map(|press| press.over_at)
    }

    fn release(&mut self) -> Option<(Digit, Duration)> {
        let press = self.last.as_mut().filter(|press| press.down)?;
        press.down = false;
        let ticks = u64::from(press.earlier) + u64::from(press.duration);
        let micros = ticks * 1_000_000 / u64::from(self.clock_rate.max(1));
        Some((press.digit, Duration::from_micros(micros)))
    }
}

impl Press {
    /// Whether a packet is of this press; if so its duration is taken.
    fn takes(&mut self, header: &Header, digit: Digit, packet: EventPayload) -> bool {
        if (header.ssrc, digit) != (self.ssrc, self.digit) {
            return false;
        }
        let ahead = header.time.0.wrapping_sub(self.time.0);
        if ahead == 0 {
            self.duration = self.duration.max(packet.duration);
            return true;
        }
        // A press longer than the field goes on in segments of 65,535 ticks, without a marker.
        let continues = self.down
            && !header.marker
            && ahead.is_multiple_of(SEGMENT)
            && ahead / SEGMENT <= SEGMENTS_LOST_MAX;
        if continues {
            self.time = header.time;
            self.earlier = self.earlier.saturating_add(ahead);
            self.duration = packet.duration;
        }
        continues
    }

    /// Whether a packet is of an earlier press, come out of order. After some seconds without any,
    /// a timestamp that lies back is a sender's clock set anew.
    fn is_newer_than(&self, now: Now, header: &Header) -> bool {
        header.ssrc == self.ssrc
            && !header.time.is_after(self.time)
            && now.since(self.heard_at) < REORDER_MAX
    }
}

/// What to send in place of audio for 20 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPacket {
    /// First packet of a press.
    pub marker: bool,
    /// The packet's timestamp: when the press, or its segment, began.
    pub time: RtpTime,
    /// The payload.
    pub payload: [u8; 4],
}

/// Why keys were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// More than [`EventSender::QUEUE`] would be waiting.
    #[error("{waiting} keys wait, {more} more would exceed 64")]
    Full {
        /// Keys that wait now.
        waiting: usize,
        /// Keys that were offered.
        more: usize,
    },
}

/// Presses keys on an outgoing stream: asked every 20 ms, it says what to send.
///
/// Each press begins with a marker, is told of every 20 ms, and ends with three end packets; 60 ms
/// pass before the next. The stream's own clock runs on meanwhile, by 20 ms a call.
#[derive(Clone, Debug)]
pub struct EventSender {
    frame_ticks: u32,
    queue: [Digit; Self::QUEUE],
    waiting: usize,
    /// How long the keys in the queue are pressed, in ticks.
    hold: u32,
    state: Sending,
}

#[derive(Clone, Copy, Debug)]
enum Sending {
    Idle,
    /// A key is down: its segment's start, ticks told in this segment, ticks left.
    Down {
        digit: Digit,
        time: RtpTime,
        told: u32,
        left: u32,
        first: bool,
    },
    /// The end has been told `3 - again` times.
    Ending {
        digit: Digit,
        time: RtpTime,
        told: u32,
        again: u8,
    },
    Pause {
        frames: u8,
    },
}

impl EventSender {
    /// The most keys that may wait.
    pub const QUEUE: usize = 64;

    /// For a stream whose RTP clock ticks `clock_rate` times a second.
    pub const fn new(clock_rate: u32) -> Self {
        Self {
            frame_ticks: clock_rate / 50,
            queue: [Digit::ZERO; Self::QUEUE],
            waiting: 0,
            hold: 0,
            state: Sending::Idle,
        }
    }

    /// Presses `digits` one after another, each for `hold`, rounded up to frames and within 40 ms
    /// and 60 s. The hold time of keys that still wait changes to it.
    ///
    /// # Errors
    /// [`QueueError::Full`], and none is taken.
    pub fn press(&mut self, digits: &[Digit], hold: Duration) -> Result<(), QueueError> {
        let full = QueueError::Full {
            waiting: self.waiting,
            more: digits.len(),
        };
        let to = self.waiting..self.waiting.saturating_add(digits.len());
        self.queue.get_mut(to).ok_or(full)?.copy_from_slice(digits);
        self.waiting += digits.len();
        let millis = hold.clamp(HOLD_MIN, HOLD_MAX).as_millis();
        // At most 3,000 frames.
        let frames = u32::try_from(millis.div_ceil(20)).unwrap_or(2);
        self.hold = frames * self.frame_ticks;
        Ok(())
    }

    /// Forgets the keys that wait; one that is down is ended properly.
    pub fn stop(&mut self) {
        self.waiting = 0;
        if let Sending::Down { left, .. } = &mut self.state {
            *left = self.frame_ticks;
        }
    }

    /// Whether a key is down or waits: audio then stays away from the stream.
    pub const fn is_busy(&self) -> bool {
        self.waiting > 0 || !matches!(self.state, Sending::Idle)
    }

    /// Says what to send for the 20 ms that begin at `time` on the stream's clock, if anything.
    pub fn tick(&mut self, time: RtpTime) -> Option<EventPacket> {
        if matches!(self.state, Sending::Idle) && self.waiting > 0 {
            let digit = self.queue[0];
            self.queue.copy_within(1.., 0);
            self.waiting -= 1;
            self.state = Sending::Down {
                digit,
                time,
                told: 0,
                left: self.hold,
                first: true,
            };
        }
        let (state, packet) = self.step();
        self.state = state;
        packet
    }

    fn step(&self) -> (Sending, Option<EventPacket>) {
        match self.state {
            Sending::Idle => (Sending::Idle, None),
            Sending::Down {
                digit,
                time,
                told,
                left,
                first,
            } => {
                // Full segment: the next one starts where it ends (RFC 4733 §2.5.1.3).
                let (time, told) = if told + self.frame_ticks > SEGMENT {
                    (time.plus(SEGMENT), told + self.frame_ticks - SEGMENT)
                } else {
                    (time, told + self.frame_ticks)
                };
                let left = left.saturating_sub(self.frame_ticks);
                let packet = packet(digit, first, time, told, left == 0);
                let state = if left == 0 {
                    Sending::Ending {
                        digit,
                        time,
                        told,
                        again: END_REPEATS,
                    }
                } else {
                    Sending::Down {
                        digit,
                        time,
                        told,
                        left,
                        first: false,
                    }
                };
                (state, Some(packet))
            }
            Sending::Ending {
                digit,
                time,
                told,
                again,
            } => {
                let packet = packet(digit, false, time, told, true);
                let state = if again > 1 {
                    Sending::Ending {
                        digit,
                        time,
                        told,
                        again: again - 1,
                    }
                } else {
                    Sending::Pause {
                        frames: PAUSE_FRAMES,
                    }
                };
                (state, Some(packet))
            }
            Sending::Pause { frames: 0 | 1 } => (Sending::Idle, None),
            Sending::Pause { frames } => (Sending::Pause { frames: frames - 1 }, None),
        }
    }
}

fn packet(digit: Digit, marker: bool, time: RtpTime, told: u32, end: bool) -> EventPacket {
    // A segment is at most 65,535 ticks.
    let duration = u16::try_from(told).unwrap_or(u16::MAX);
    let payload = EventPayload {
        event: digit.event(),
        end,
        volume: VOLUME,
        duration,
    };
    EventPacket {
        marker,
        time,
        payload: payload.to_bytes(),
    }
}

/// −10 dBm0: the usual level of keys.
const VOLUME: u8 = 10;

/// Ticks of a full segment: what the duration field can say.
const SEGMENT: u32 = 0xFFFF;

/// Segments of which every packet may be lost before the press counts as another: 130 s at 8 kHz.
const SEGMENTS_LOST_MAX: u32 = 16;

/// The end packet is sent this often again (RFC 4733 §2.5.1.4).
const END_REPEATS: u8 = 2;

/// Frames without a key after the last end packet; 60 ms have then passed since the key's end.
const PAUSE_FRAMES: u8 = 1;

/// A press ends when nothing has come for so long: four packets at the slowest usual rate of 50 ms.
const SILENT_END: Duration = Duration::from_millis(200);

/// How old an out-of-order packet may be.
const REORDER_MAX: Duration = Duration::from_secs(5);

/// The shortest press that ITU-T Q.24 receivers must take, and the longest we send.
const HOLD_MIN: Duration = Duration::from_millis(40);
const HOLD_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
