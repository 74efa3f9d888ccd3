//! A port's outgoing RTP stream: one SSRC from open to close, whoever speaks through it.
//!
//! Prompts, hold music, a mix and a relayed peer follow one another on one port; the listener must
//! see one stream. So sequence numbers step by one and timestamps by what was sent, across every
//! change of speaker; only real silence (nothing sent for 50 ms or more) lets the timestamp run on
//! with the clock. The marker tells the listener's jitter buffer where a spurt begins (RFC 3551 §4.1).
//!
//! ```text
//!              local()                        relayed()
//!   Quiet ───────────────▶ Local ◀──────────────────────────▶ Relay { shifts of one peer stream }
//!     ▲                      │ quiet()
//!     └──────────────────────┘
//! ```

use clock::{Duration, Now};

use crate::FRAME_DURATION;
use crate::rtp::{Header, RtpTime, Sequence};

#[derive(Debug)]
pub(crate) struct Outgoing {
    ssrc: u32,
    /// Ticks of 20 ms.
    frame: u32,
    next: Sequence,
    /// The timestamp of the newest frame sent; the first one to send while `last_at` is `None`.
    time: RtpTime,
    last_at: Option<Now>,
    speaker: Speaker,
}

#[derive(Clone, Copy, Debug)]
enum Speaker {
    /// Nobody: the next packet begins a spurt.
    Quiet,
    /// We, on the tick.
    Local,
    /// The bridge partner's peer.
    Relay(Shift),
}

/// How one incoming stream is mapped onto ours.
#[derive(Clone, Copy, Debug)]
struct Shift {
    ssrc: u32,
    first: Sequence,
    highest: Sequence,
    /// The newest incoming timestamp and when it came: telephone-events repeat theirs.
    newest: (RtpTime, Now),
    sequence: u16,
    time: u32,
}

impl Outgoing {
    /// A stream whose clock ticks `clock_rate` times a second.
    pub(crate) fn new(ssrc: u32, first: Sequence, time: RtpTime, clock_rate: u32) -> Self {
        Self {
            ssrc,
            frame: clock_rate / 50,
            next: first,
            time,
            last_at: None,
            speaker: Speaker::Quiet,
        }
    }

    /// The header of our next frame of 20 ms, to be sent now.
    #[cfg(test)]
    pub(crate) fn local(&mut self, now: Now, payload_type: u8) -> Header {
        let (time, marker) = self.advance(now);
        self.header(payload_type, time, marker)
    }

    /// Steps the clock by one frame that we fill, and says whether that begins a spurt.
    pub(crate) fn advance(&mut self, now: Now) -> (RtpTime, bool) {
        let marker = !matches!(self.speaker, Speaker::Local);
        let time = if marker {
            self.resume(now)
        } else {
            self.time.plus(self.frame)
        };
        self.time = time;
        self.last_at = Some(now);
        self.speaker = Speaker::Local;
        (time, marker)
    }

    /// A header with the next sequence number and a timestamp of the caller's choice: a
    /// telephone-event keeps that of its beginning (RFC 4733 §2.1).
    pub(crate) fn header(&mut self, payload_type: u8, time: RtpTime, marker: bool) -> Header {
        let sequence = self.next;
        self.next = sequence.plus(1);
        Header {
            marker,
            payload_type,
            sequence,
            time,
            ssrc: self.ssrc,
        }
    }

    /// Nothing is sent in this frame.
    pub(crate) fn quiet(&mut self) {
        self.speaker = Speaker::Quiet;
    }

    /// The bridge is no more: what its partner sends until the next one is nobody's loss.
    pub(crate) fn parted(&mut self) {
        if matches!(self.speaker, Speaker::Relay(_)) {
            self.speaker = Speaker::Quiet;
        }
    }

    /// The stream's clock ticks otherwise from now on: another codec was agreed on.
    pub(crate) fn set_clock(&mut self, clock_rate: u32) {
        if self.frame != clock_rate / 50 {
            self.frame = clock_rate / 50;
            self.speaker = Speaker::Quiet;
        }
    }

    /// Maps a bridge partner's packet, of `ticks` of sound, onto our stream; `None` when it must not be sent: it is a
    /// duplicate, or older than the moment this speaker took over.
    pub(crate) fn relayed(
        &mut self,
        now: Now,
        from: Header,
        payload_type: u8,
        ticks: u32,
    ) -> Option<Header> {
        let (mut shift, anchored) = match self.speaker {
            Speaker::Relay(shift) if shift.continues(now, &from, self.frame) => (shift, false),
            _ => (self.anchor(now, &from), true),
        };
        let ahead = from.sequence.ahead_of(shift.highest);
        let fresh = anchored || ahead > 0;
        if !fresh && (ahead == 0 || shift.first.is_after(from.sequence)) {
            return None;
        }
        let header = Header {
            marker: from.marker || anchored,
            payload_type,
            sequence: from.sequence.plus(shift.sequence),
            time: from.time.plus(shift.time),
            ssrc: self.ssrc,
        };
        if fresh {
            shift.highest = from.sequence;
            if !shift.newest.0.is_after(from.time) {
                shift.newest = (from.time, now);
            }
            self.next = header.sequence.plus(1);
            self.last_at = Some(now);
            // Of a packet of several frames the newest is the last.
            let newest = header.time.plus(ticks.saturating_sub(self.frame));
            if !self.time.is_after(newest) {
                self.time = newest;
            }
        }
        self.speaker = Speaker::Relay(shift);
        Some(header)
    }

    /// Leaves a packet of the partner out on purpose, so that the listener sees no loss.
    pub(crate) fn skipped(&mut self, from: Sequence) {
        if let Speaker::Relay(shift) = &mut self.speaker
            && from.ahead_of(shift.highest) == 1
        {
            shift.highest = from;
            shift.sequence = shift.sequence.wrapping_sub(1);
        }
    }

    pub(crate) fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The timestamp of a frame that follows a pause or a change of speaker.
    fn resume(&self, now: Now) -> RtpTime {
        let Some(last) = self.last_at else {
            return self.time;
        };
        let half = FRAME_DURATION / 2;
        let frames = (now.since(last) + half).as_nanos() / FRAME_DURATION.as_nanos();
        let frames = if frames <= JOINED_FRAMES {
            1
        } else {
            frames as u32
        };
        self.time.plus(frames.wrapping_mul(self.frame))
    }

    fn anchor(&self, now: Now, from: &Header) -> Shift {
        Shift {
            ssrc: from.ssrc,
            first: from.sequence,
            highest: from.sequence,
            newest: (from.time, now),
            sequence: self.next.0.wrapping_sub(from.sequence.0),
            time: self.resume(now).0.wrapping_sub(from.time.0),
        }
    }
}

impl Shift {
    /// Whether `from` belongs to the stream this shift was made for: the same source, a sequence
    /// number near the last, and a timestamp that agrees with the time that has passed.
    fn continues(&self, now: Now, from: &Header, frame: u32) -> bool {
        let ahead = i32::from(from.sequence.ahead_of(self.highest));
        if from.ssrc != self.ssrc || ahead.abs() > DROPOUT {
            return false;
        }
        let (newest, at) = self.newest;
        let stepped = from.time.ahead_of(newest);
        let passed = i32::try_from(ticks(now.since(at), frame)).unwrap_or(i32::MAX);
        let skew = i32::try_from(frame * SKEW_FRAMES).unwrap_or(i32::MAX);
        stepped >= -skew
            && stepped.saturating_sub(passed) <= skew
            && (stepped <= 0 || passed.saturating_sub(stepped) <= skew)
    }
}

/// A pause no longer than this, rounded, is a change of speaker and not silence: the last frame of
/// the one and the first packet of the other are each up to a frame off.
const JOINED_FRAMES: u128 = 2;

/// A jump of the sequence number that is a new stream (RFC 3550 A.1, MAX_DROPOUT), in packets.
const DROPOUT: i32 = 3_000;

/// A jump of the timestamp against the clock that is a new stream: ten seconds, in frames. More
/// than the longest telephone-event, whose packets keep the timestamp of its beginning.
const SKEW_FRAMES: u32 = 500;

/// Ticks in `span`, where `frame` are in 20 ms.
fn ticks(span: Duration, frame: u32) -> u32 {
    // A stream that pauses for a day may wrap.
    (span.as_micros() * u128::from(frame) / FRAME_DURATION.as_micros()) as u32
}

#[cfg(test)]
mod tests {
    use clock::{Duration, Now};

    use super::Outgoing;
    use crate::rtp::{Header, RtpTime, Sequence};

    const START: Now = Now::from_nanos(1_000_000_000);

    fn at(ms: u64) -> Now {
        START + Duration::from_millis(ms)
    }

    fn outgoing() -> Outgoing {
        Outgoing::new(7, Sequence(65_530), RtpTime(u32::MAX - 500), 8_000)
    }

    fn peer(ssrc: u32, sequence: u16, time: u32) -> Header {
        let (sequence, time) = (Sequence(sequence), RtpTime(time));
        Header {
            marker: false,
            payload_type: 8,
            sequence,
            time,
            ssrc,
        }
    }

    /// Sequence and timestamp relative to the stream's first, and the marker.
    fn seen(header: Option<Header>) -> Option<(i16, i32, bool)> {
        header.map(|header| {
            assert_eq!(header.ssrc, 7);
            let sequence = header.sequence.ahead_of(Sequence(65_530));
            (
                sequence,
                header.time.ahead_of(RtpTime(u32::MAX - 500)),
                header.marker,
            )
        })
    }

    #[test]
    fn what_a_partner_sends_while_the_legs_are_parted_is_no_loss_to_the_listener() {
        let mut out = outgoing();
        let before = out.relayed(at(0), peer(1, 50, 0), 8, 160).unwrap();
        out.parted();
        // Packet 51 came meanwhile and was nobody's.
        let after = out.relayed(at(40), peer(1, 52, 320), 8, 160).unwrap();
        assert_eq!(after.sequence, before.sequence.plus(1));
        assert!(after.marker);
    }

    #[test]
    fn a_listener_sees_one_stream_whoever_speaks() {
        let mut out = outgoing();
        let mut got = Vec::new();
        for n in 0..3 {
            got.push(seen(Some(out.local(at(20 * n), 8))));
        }
        for n in 0..3_u16 {
            let packet = peer(1, 100 + n, 5_000 + 160 * u32::from(n));
            got.push(seen(out.relayed(
                at(65 + 20 * u64::from(n)),
                packet,
                8,
                160,
            )));
        }
        for n in 0..3_u16 {
            let packet = peer(2, 9_000 + n, 160 * u32::from(n));
            got.push(seen(out.relayed(
                at(125 + 20 * u64::from(n)),
                packet,
                8,
                160,
            )));
        }
        got.push(seen(Some(out.local(at(180), 8))));
        for (n, got) in got.into_iter().enumerate() {
            let n = i16::try_from(n).unwrap();
            assert_eq!(got, Some((n, i32::from(n) * 160, n % 3 == 0)), "packet {n}");
        }
    }

    #[test]
    fn silence_lets_the_timestamp_run_on_with_the_clock_and_marks_the_next_spurt() {
        let mut out = outgoing();
        out.local(at(0), 8);
        out.quiet();
        assert_eq!(seen(Some(out.local(at(1_000), 8))), Some((1, 8_000, true)));
    }

    #[test]
    fn a_peers_loss_stays_visible_and_its_late_packet_finds_its_place() {
        let mut out = outgoing();
        out.relayed(at(0), peer(1, 50, 0), 8, 160);
        assert_eq!(
            seen(out.relayed(at(40), peer(1, 52, 320), 8, 160)),
            Some((2, 320, false))
        );
        assert_eq!(
            seen(out.relayed(at(41), peer(1, 51, 160), 8, 160)),
            Some((1, 160, false))
        );
        assert_eq!(
            seen(out.relayed(at(60), peer(1, 53, 480), 8, 160)),
            Some((3, 480, false))
        );
    }

    #[test]
    fn duplicates_and_packets_from_before_the_speaker_took_over_are_not_sent() {
        let mut out = outgoing();
        out.local(at(0), 8);
        assert!(out.relayed(at(20), peer(1, 50, 0), 8, 160).is_some());
        assert_eq!(out.relayed(at(21), peer(1, 50, 0), 8, 160), None);
        assert_eq!(
            out.relayed(at(22), peer(1, 49, u32::MAX - 159), 8, 160),
            None
        );
    }

    #[test]
    fn a_peer_that_jumps_does_not_carry_the_listener_with_it() {
        let jumps = [
            peer(1, 20_000, 160),
            peer(1, 51, 900_000_000),
            peer(9, 51, 160),
        ];
        for jump in jumps {
            let mut out = outgoing();
            out.relayed(at(0), peer(1, 50, 0), 8, 160);
            assert_eq!(
                seen(out.relayed(at(20), jump, 8, 160)),
                Some((1, 160, true)),
                "{jump:?}"
            );
        }
    }

    #[test]
    fn a_long_telephone_event_and_the_audio_after_it_keep_their_timestamps() {
        let mut out = outgoing();
        out.relayed(at(0), peer(1, 0, 0), 8, 160);
        for n in 1..=100_u16 {
            let event = out.relayed(at(20 * u64::from(n)), peer(1, n, 160), 101, 160);
            assert_eq!(
                event.map(|header| header.time.ahead_of(RtpTime(u32::MAX - 500))),
                Some(160)
            );
        }
        let after = out.relayed(at(2_020), peer(1, 101, 160 * 101), 8, 160);
        assert_eq!(seen(after), Some((101, 160 * 101, false)));
    }

    #[test]
    fn a_packet_left_out_on_purpose_leaves_no_hole() {
        let mut out = outgoing();
        out.relayed(at(0), peer(1, 50, 0), 8, 160);
        out.skipped(Sequence(51));
        assert_eq!(
            seen(out.relayed(at(40), peer(1, 52, 320), 8, 160)),
            Some((1, 320, false))
        );
    }
}
