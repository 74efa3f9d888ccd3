//! Digits on their way to a peer: as telephone-events (RFC 4733) or as tones in the audio.
//!
//! ```text
//!           push            as agreed at its turn
//!   Idle ─────────▶ waiting ──┬─▶ Event, by the event sender ──────────▶ Idle, or the next
//!                             └─▶ Tone, for its duration ──▶ Pause ────▶
//! ```
//!
//! One step is one frame, so a digit never makes a burst.

use clock::Duration;

use crate::dsp::DtmfTone;
use crate::rtp::RtpTime;
use crate::rtp::event::{EventPacket, EventSender};
use crate::{Digit, Frame, SILENCE};

/// Digits that may wait to be sent.
pub(crate) const DIGITS_MAX: usize = 64;

#[derive(Debug)]
pub(crate) struct Dialer {
    /// Event codes and durations in frames: a ring.
    waiting: [(u8, u16); DIGITS_MAX],
    first: usize,
    held: usize,
    events: EventSender,
    state: State,
}

#[derive(Debug)]
enum State {
    Idle,
    /// The event sender is at it.
    Event,
    /// A digit as tones.
    Tone {
        tone: DtmfTone,
        left: u16,
    },
    /// Silence before the next digit.
    Pause {
        left: u8,
    },
}

/// What a port sends in this frame in place of its usual sound.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a box would be of the heap; it lives for one frame"
)]
pub(crate) enum Step {
    /// Nothing: the usual sound goes on.
    Usual,
    /// A telephone-event.
    Event(EventPacket),
    /// These samples.
    Sound(Frame),
}

impl Dialer {
    pub(crate) const fn new(clock_rate: u32) -> Self {
        Self {
            waiting: [(0, 0); DIGITS_MAX],
            first: 0,
            held: 0,
            events: EventSender::new(clock_rate),
            state: State::Idle,
        }
    }

    /// The stream's clock ticks otherwise from now on. An event in its middle is not told further.
    pub(crate) fn set_clock(&mut self, clock_rate: u32) {
        self.events = EventSender::new(clock_rate);
        if matches!(self.state, State::Event) {
            self.state = State::Idle;
        }
    }

    /// Whether there is nothing to send any more.
    pub(crate) fn is_idle(&self) -> bool {
        self.held == 0 && matches!(self.state, State::Idle)
    }

    /// Queues all of `digits` or none; whether there was room.
    pub(crate) fn push_all(&mut self, digits: &[Digit], duration_ms: u16) -> bool {
        if digits.len() > DIGITS_MAX - self.held {
            return false;
        }
        digits
            .iter()
            .for_each(|&digit| self.push(digit, duration_ms));
        true
    }

    /// Queues a digit; the newest is dropped when there is no room.
    pub(crate) fn push(&mut self, digit: Digit, duration_ms: u16) {
        let frames = duration_ms.clamp(40, DURATION_MAX_MS).div_ceil(20);
        if let Some(place) = self.waiting.get_mut((self.first + self.held) % DIGITS_MAX)
            && self.held < DIGITS_MAX
        {
            *place = (digit.event(), frames);
            self.held += 1;
        }
    }

    /// What to send in the frame that begins at `time`; a new digit goes as events or as tones.
    pub(crate) fn step(&mut self, time: RtpTime, as_events: bool) -> Step {
        if matches!(self.state, State::Idle) {
            self.begin(as_events);
        }
        match &mut self.state {
            State::Idle => Step::Usual,
            State::Event => {
                let packet = self.events.tick(time);
                if !self.events.is_busy() {
                    self.state = State::Idle;
                }
                packet.map_or(Step::Sound(SILENCE), Step::Event)
            }
            State::Tone { tone, left } => {
                let mut frame = SILENCE;
                tone.fill(&mut frame);
                *left = left.saturating_sub(1);
                if *left == 0 {
                    self.state = State::Pause { left: PAUSE_FRAMES };
                }
                Step::Sound(frame)
            }
            State::Pause { left } => {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    self.state = State::Idle;
                }
                Step::Sound(SILENCE)
            }
        }
    }

    fn begin(&mut self, as_events: bool) {
        if self.held == 0 {
            return;
        }
        let (code, frames) = self.waiting.get(self.first).copied().unwrap_or_default();
        self.first = (self.first + 1) % DIGITS_MAX;
        self.held -= 1;
        let Some(digit) = Digit::from_event(code) else {
            return;
        };
        if as_events {
            let held = Duration::from_millis(20 * u64::from(frames));
            // The sender is idle, so its queue has room for one.
            self.state = if self.events.press(&[digit], held).is_ok() {
                State::Event
            } else {
                State::Idle
            };
            return;
        }
        let tone = DtmfTone::new(digit, TONE_DBFS);
        self.state = State::Tone { tone, left: frames };
    }
}

/// The longest digit that is asked for or passed on.
const DURATION_MAX_MS: u16 = 5_000;

/// 60 ms between tones: ITU-T Q.24 asks for 40 at least.
const PAUSE_FRAMES: u8 = 3;

/// Each of the two tones.
const TONE_DBFS: f32 = -12.0;

#[cfg(test)]
mod tests {
    use super::{DIGITS_MAX, Dialer, Step};
    use crate::dsp::Goertzel;
    use crate::rtp::RtpTime;
    use crate::{Digit, FRAME};

    fn digits(text: &str) -> Vec<Digit> {
        text.chars().filter_map(Digit::from_char).collect()
    }

    // covers: RFC 4733 §2.5.1.2, RFC 4733 §2.5.1.4
    #[test]
    fn a_digit_is_told_every_frame_with_one_timestamp_and_its_end_three_times() {
        let mut dialer = Dialer::new(8_000);
        assert!(dialer.push_all(&digits("5#"), 60));
        let mut seen = Vec::new();
        for frame in 0..12_u32 {
            let time = RtpTime(1_000 + 160 * frame);
            seen.push(match dialer.step(time, true) {
                Step::Event(packet) => {
                    let [code, flags, high, low] = packet.payload;
                    let duration = u16::from_be_bytes([high, low]);
                    (code, flags >> 7, duration, packet.time.0, packet.marker)
                }
                Step::Sound(_) => (99, 0, 0, 0, false),
                Step::Usual => (98, 0, 0, 0, false),
            });
        }
        let wanted = |code, start| {
            [
                (code, 0, 160, start, true),
                (code, 0, 320, start, false),
                (code, 1, 480, start, false),
                (code, 1, 480, start, false),
                (code, 1, 480, start, false),
                (99, 0, 0, 0, false),
            ]
        };
        assert_eq!(seen, [wanted(5, 1_000), wanted(11, 1_960)].concat());
        assert!(dialer.is_idle());
    }

    #[test]
    fn without_telephone_events_a_digit_is_its_two_tones() {
        let mut dialer = Dialer::new(8_000);
        dialer.push_all(&digits("1"), 40);
        let mut heard = Vec::new();
        while !dialer.is_idle() {
            match dialer.step(RtpTime(0), false) {
                Step::Sound(frame) => heard.extend_from_slice(&frame),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(heard.len(), 5 * FRAME);
        let level = |hz, of: &[i16]| Goertzel::new(hz, 8_000).dbfs(of);
        assert!(level(697.0, &heard[..320]) > -14.0 && level(1_209.0, &heard[..320]) > -14.0);
        assert!(heard[320..].iter().all(|&sample| sample == 0));
    }

    #[test]
    fn digits_beyond_the_queue_are_refused_whole() {
        let mut dialer = Dialer::new(8_000);
        assert!(dialer.push_all(&[digits("1")[0]; DIGITS_MAX], 40));
        assert!(!dialer.push_all(&digits("2"), 40));
    }
}
