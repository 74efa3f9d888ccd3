//! Digits on their way to a peer: as telephone-events (RFC 4733) or as tones in the audio.
//!
//! ```text
//!           push              held for its duration            E bit, two times more
//!   Idle ─────────▶ Sounding ───────────────────────▶ Ending ─────────────────────▶ Pause ─▶ Idle
//!                      20 ms a step                   (events only)                         or next
//! ```
//!
//! One step is one frame, so a digit never makes a burst: the three packets that end an event
//! (RFC 4733 §2.5.1.4) are 20 ms apart and fill the pause before the next digit.

use crate::dsp::Tone;
use crate::rtp::RtpTime;
use crate::{Digit, FRAME, Frame, SILENCE};

/// Digits that may wait to be sent.
pub(crate) const DIGITS_MAX: usize = 64;

#[derive(Debug)]
pub(crate) struct Dialer {
    /// Event codes and durations in frames: a ring.
    waiting: [(u8, u16); DIGITS_MAX],
    first: usize,
    held: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Idle,
    /// A digit as events: `sent` of `frames` so far.
    Event {
        code: u8,
        start: RtpTime,
        sent: u16,
        frames: u16,
    },
    /// Its end is told again.
    Ending {
        code: u8,
        start: RtpTime,
        frames: u16,
        left: u8,
    },
    /// A digit as tones.
    Tone {
        low: Tone,
        high: Tone,
        left: u16,
    },
    /// Silence before the next digit.
    Pause {
        left: u8,
    },
}

/// What a port sends in this frame in place of its usual sound.
#[derive(Debug)]
pub(crate) enum Step {
    /// Nothing: the usual sound goes on.
    Usual,
    /// A telephone-event, whose timestamp is that of the digit's first frame.
    Event {
        payload: [u8; 4],
        start: RtpTime,
        first: bool,
    },
    /// These samples.
    Sound(Frame),
}

impl Dialer {
    pub(crate) const fn new() -> Self {
        Self {
            waiting: [(0, 0); DIGITS_MAX],
            first: 0,
            held: 0,
            state: State::Idle,
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

    /// What to send in the frame that begins at `time`, as events or as tones.
    pub(crate) fn step(&mut self, time: RtpTime, as_events: bool) -> Step {
        if matches!(self.state, State::Idle) {
            self.begin(time, as_events);
        }
        match &mut self.state {
            State::Idle => Step::Usual,
            State::Event {
                code,
                start,
                sent,
                frames,
            } => {
                *sent += 1;
                let (code, start, sent, frames) = (*code, *start, *sent, *frames);
                if sent == frames {
                    self.state = State::Ending {
                        code,
                        start,
                        frames,
                        left: 2,
                    };
                }
                let payload = event(code, sent == frames, sent);
                Step::Event {
                    payload,
                    start,
                    first: sent == 1,
                }
            }
            State::Ending {
                code,
                start,
                frames,
                left,
            } => {
                let step = Step::Event {
                    payload: event(*code, true, *frames),
                    start: *start,
                    first: false,
                };
                *left -= 1;
                if *left == 0 {
                    self.state = State::Pause { left: 1 };
                }
                step
            }
            State::Tone { low, high, left } => {
                let mut frame = low.frame();
                high.add(&mut frame);
                *left = left.saturating_sub(1);
                if *left == 0 {
                    self.state = State::Pause { left: 3 };
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

    fn begin(&mut self, time: RtpTime, as_events: bool) {
        if self.held == 0 {
            return;
        }
        let (code, frames) = self.waiting.get(self.first).copied().unwrap_or_default();
        self.first = (self.first + 1) % DIGITS_MAX;
        self.held -= 1;
        self.state = match Digit::from_event(code) {
            _ if as_events => State::Event {
                code,
                start: time,
                sent: 0,
                frames,
            },
            Some(digit) => {
                let (low, high) = digit.tones_hz();
                let tone = |hz: u16, dbfs| Tone::new(f32::from(hz), dbfs);
                State::Tone {
                    low: tone(low, LOW_DBFS),
                    high: tone(high, HIGH_DBFS),
                    left: frames,
                }
            }
            None => State::Idle,
        };
    }
}

/// A telephone-event's payload (RFC 4733 §2.3), `frames` of 20 ms long so far.
fn event(code: u8, end: bool, frames: u16) -> [u8; 4] {
    let [high, low] = frames.saturating_mul(FRAME as u16).to_be_bytes();
    [code, (u8::from(end) << 7) | VOLUME, high, low]
}

/// The longest digit: its duration in ticks fits 16 bits.
const DURATION_MAX_MS: u16 = 5_000;

/// Events' power in −dBm0 (RFC 4733 §2.3.4): within ITU-T Q.24's range.
const VOLUME: u8 = 10;

/// Tones: the high group is 2 dB above the low one, for cables lose more of it.
const LOW_DBFS: f32 = -14.0;
const HIGH_DBFS: f32 = -12.0;

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
        let mut dialer = Dialer::new();
        assert!(dialer.push_all(&digits("5#"), 60));
        let mut seen = Vec::new();
        for frame in 0..12_u32 {
            let time = RtpTime(1_000 + 160 * frame);
            seen.push(match dialer.step(time, true) {
                Step::Event {
                    payload: [code, flags, high, low],
                    start,
                    first,
                } => {
                    let duration = u16::from_be_bytes([high, low]);
                    (code, flags >> 7, duration, start.0, first)
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
        let mut dialer = Dialer::new();
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
        assert!(level(697.0, &heard[..320]) > -16.0 && level(1_209.0, &heard[..320]) > -14.0);
        assert!(heard[320..].iter().all(|&sample| sample == 0));
    }

    #[test]
    fn digits_beyond_the_queue_are_refused_whole() {
        let mut dialer = Dialer::new();
        assert!(dialer.push_all(&vec![digits("1")[0]; DIGITS_MAX], 40));
        assert!(!dialer.push_all(&digits("2"), 40));
    }
}
