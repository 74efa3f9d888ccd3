//! What a stream's two ends know of each other (RFC 3550 §6.4 and appendices A.3, A.8).

use clock::{Duration, Now};

use super::rtcp::{ReportBlock, SenderInfo};
use super::runs::Runs;
use super::{Header, NtpTime, RtpTime, SequenceExtender};

/// What has been received of one source: losses, jitter, and its last sender report.
#[derive(Clone, Copy, Debug)]
pub struct Reception {
    ssrc: u32,
    clock_rate: u32,
    sequences: SequenceExtender,
    first: i64,
    received: u64,
    runs: Runs,
    /// Interarrival jitter in 16ths of a tick (appendix A.8).
    jitter: u32,
    max_jitter: u32,
    /// Arrival less timestamp of the last packet, in ticks, wrapping.
    transit: u32,
    /// Expected and received at the last report.
    reported: (i64, u64),
    /// Middle bits of the last sender report, and when it came.
    last_sr: Option<(u32, Now)>,
}

impl Reception {
    /// Begins with the first packet of a source, which counts as received.
    pub fn new(now: Now, header: &Header, clock_rate: u32) -> Self {
        let sequences = SequenceExtender::new(header.sequence);
        let mut runs = Runs::default();
        runs.came(1);
        Self {
            ssrc: header.ssrc,
            clock_rate,
            first: sequences.highest(),
            sequences,
            received: 1,
            runs,
            jitter: 0,
            max_jitter: 0,
            transit: transit(now, header.time, clock_rate),
            reported: (0, 0),
            last_sr: None,
        }
    }

    /// Whose packets are counted.
    pub const fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Counts a packet. Jitter leaves out those that carry no new timestamp's worth of audio: the
    /// caller passes audio packets through `receive` and others through [`Reception::count`].
    pub fn receive(&mut self, now: Now, header: &Header) {
        self.count(header);
        let transit = transit(now, header.time, self.clock_rate);
        let difference = transit
            .wrapping_sub(self.transit)
            .cast_signed()
            .unsigned_abs();
        self.transit = transit;
        // A leap of the sender's clock is no jitter.
        if difference > self.clock_rate.saturating_mul(LEAP_S) {
            return;
        }
        // J += |D| - J/16, with J in 16ths: appendix A.8.
        self.jitter = self.jitter + difference - ((self.jitter + 8) >> 4);
        self.max_jitter = self.max_jitter.max(self.jitter);
    }

    /// Counts a packet whose timing says nothing: a telephone-event repeats its timestamp.
    pub fn count(&mut self, header: &Header) {
        let before = self.sequences.highest();
        self.sequences.extend(header.sequence);
        self.received += 1;
        if let Ok(ahead @ 1..) = u64::try_from(self.sequences.highest() - before) {
            self.runs.came(ahead);
        }
    }

    /// The packet counted last came too late to be heard.
    pub fn was_late(&mut self, header: &Header) {
        if self.sequences.peek(header.sequence) == self.sequences.highest() {
            self.runs.last_was_late();
        }
    }

    /// How its losses lie.
    pub const fn runs(&self) -> &Runs {
        &self.runs
    }

    /// Takes the times of a sender report of this source.
    pub fn sender_report(&mut self, now: Now, sender: &SenderInfo) {
        self.last_sr = Some((sender.ntp.middle(), now));
    }

    /// Packets received, duplicates included.
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Packets lost since the beginning; negative when duplicates exceed losses (appendix A.3).
    pub fn lost(&self) -> i64 {
        self.expected() - i64::try_from(self.received).unwrap_or(i64::MAX)
    }

    /// Interarrival jitter.
    pub fn jitter(&self) -> Duration {
        self.span(self.jitter)
    }

    /// The largest interarrival jitter since the beginning.
    pub fn max_jitter(&self) -> Duration {
        self.span(self.max_jitter)
    }

    /// What to report at `now`; the loss share counts from the last call (appendix A.3).
    pub fn report(&mut self, now: Now) -> ReportBlock {
        let expected = self.expected();
        let (expected_before, received_before) = self.reported;
        self.reported = (expected, self.received);
        let due = expected - expected_before;
        let came = i64::try_from(self.received - received_before).unwrap_or(i64::MAX);
        let missing = (due - came).max(0);
        let fraction = if due > 0 { (missing << 8) / due } else { 0 };
        let (last_sr, since) = self.last_sr.map_or((0, 0), |(sr, at)| {
            // At least one: zero would say that no report came.
            (sr, short(now.since(at)).max(1))
        });
        ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: u8::try_from(fraction).unwrap_or(u8::MAX),
            lost: i32::try_from(self.lost()).unwrap_or(i32::MAX),
            // Turns since the first packet's; the extension begins with one turn.
            highest_sequence: ((self.sequences.highest() - 0x1_0000) & 0xFFFF_FFFF) as u32,
            jitter: self.jitter >> 4,
            last_sr,
            delay_since_last_sr: since,
        }
    }

    /// Packets that should have come since the beginning.
    pub fn expected(&self) -> i64 {
        self.sequences.highest() - self.first + 1
    }

    fn span(&self, jitter: u32) -> Duration {
        let micros = u64::from(jitter) * 1_000_000 / 16 / u64::from(self.clock_rate.max(1));
        Duration::from_micros(micros)
    }
}

/// What has been sent of one source.
#[derive(Clone, Copy, Debug, Default)]
pub struct Transmission {
    /// Packets sent.
    pub packets: u64,
    /// Payload bytes sent.
    pub octets: u64,
    /// When the first packet was sent.
    pub first: Option<Now>,
    last: Option<(Now, RtpTime)>,
}

impl Transmission {
    /// Counts a packet.
    pub fn sent(&mut self, now: Now, time: RtpTime, payload_len: usize) {
        self.packets += 1;
        self.octets += payload_len as u64;
        self.first.get_or_insert(now);
        self.last = Some((now, time));
    }

    /// What a sender report says at `now`, which is `ntp` on the wall; `None` before anything was
    /// sent. The sampling clock is carried on from the last packet.
    pub fn report(&self, now: Now, ntp: NtpTime, clock_rate: u32) -> Option<SenderInfo> {
        let (at, time) = self.last?;
        let ticks = now.since(at).as_micros() * u128::from(clock_rate) / 1_000_000;
        Some(SenderInfo {
            ntp,
            rtp: time.plus((ticks & 0xFFFF_FFFF) as u32),
            // Both fields wrap by design (RFC 3550 §6.4.1).
            packets: (self.packets & 0xFFFF_FFFF) as u32,
            octets: (self.octets & 0xFFFF_FFFF) as u32,
        })
    }
}

/// The time there and back by a report block that came at `ntp` (RFC 3550 §6.4.1); `None` when the
/// peer has had no sender report, or claims what cannot be.
pub fn round_trip(ntp: NtpTime, block: &ReportBlock) -> Option<Duration> {
    if block.last_sr == 0 {
        return None;
    }
    let away = ntp.middle().wrapping_sub(block.last_sr);
    let units = away
        .checked_sub(block.delay_since_last_sr)
        .filter(|&u| u < ROUND_TRIP_MAX)?;
    Some(Duration::from_nanos(
        (u64::from(units) * 1_000_000_000) >> 16,
    ))
}

/// Arrival less timestamp, in ticks; only differences of it mean anything.
fn transit(now: Now, time: RtpTime, clock_rate: u32) -> u32 {
    let ticks = u128::from(now.as_nanos()) * u128::from(clock_rate) / 1_000_000_000;
    ((ticks & 0xFFFF_FFFF) as u32).wrapping_sub(time.0)
}

/// A span in 65,536ths of a second, at most 18 hours.
fn short(span: Duration) -> u32 {
    let units = (span.as_nanos() << 16) / 1_000_000_000;
    u32::try_from(units).unwrap_or(u32::MAX)
}

/// Seconds by which a timestamp may differ from the last before it is a leap.
const LEAP_S: u32 = 2;

/// A minute: no path is longer, so the peer's figures are wrong.
const ROUND_TRIP_MAX: u32 = 60 << 16;

#[cfg(test)]
mod tests {
    use super::{Reception, Transmission, round_trip};
    use crate::rtp::NtpTime;
    use crate::rtp::rtcp::ReportBlock;
    use crate::rtp::{Header, RtpTime, Sequence};
    use clock::{Duration, Now};

    fn ms(millis: u64) -> Now {
        Now::ZERO + Duration::from_millis(millis)
    }

    fn header(sequence: u16) -> Header {
        let time = RtpTime(u32::from(sequence.wrapping_sub(65_500)).wrapping_mul(160));
        Header {
            marker: false,
            payload_type: 0,
            sequence: Sequence(sequence),
            time,
            ssrc: 5,
        }
    }

    // covers: RFC 3550 §6.4.1
    #[test]
    fn losses_are_counted_across_the_wrap_and_their_share_since_the_last_report() {
        let mut reception = Reception::new(ms(0), &header(65_500), 8_000);
        for i in 1..100_u16 {
            if i % 4 != 0 {
                reception.receive(ms(u64::from(i) * 20), &header(65_500_u16.wrapping_add(i)));
            }
        }
        let report = reception.report(ms(2_000));
        assert_eq!(
            (report.lost, report.fraction_lost, report.jitter),
            (24, 61, 0)
        );
        assert_eq!(report.highest_sequence, 0x1_0000 + 63);
        reception.receive(ms(2_000), &header(64));
        reception.receive(ms(2_000), &header(64));
        let report = reception.report(ms(2_000));
        assert_eq!(
            (report.lost, report.fraction_lost),
            (23, 0),
            "a duplicate makes up for a loss"
        );
    }

    // covers: RFC 3550 §6.4.1
    #[test]
    fn jitter_is_the_sixteenth_of_each_difference_summed_as_the_standard_does() {
        let mut reception = Reception::new(ms(0), &header(65_500), 8_000);
        let mut want = 0_f64;
        let late = |i: u16| if i % 2 == 1 { 10 } else { 0 };
        for i in 1..400_u16 {
            reception.receive(
                ms(u64::from(i) * 20 + late(i)),
                &header(65_500_u16.wrapping_add(i)),
            );
            want += (80.0 - want) / 16.0;
        }
        let ticks = f64::from(reception.report(ms(9_000)).jitter);
        assert!((ticks - want).abs() <= 1.0, "{ticks} {want}");
        assert_eq!(reception.jitter().as_millis(), 9);
        let mut leap = header(400);
        leap.time = RtpTime(4_000_000_000);
        reception.receive(ms(8_100), &leap);
        assert!(reception.max_jitter() < Duration::from_millis(11));
    }

    // covers: RFC 3550 §6.4.1
    #[test]
    fn the_round_trip_is_what_the_reports_leave_of_the_time_between_them() {
        let start = NtpTime(0xE000_0000_FFFF_0000);
        let mut sent = Transmission::default();
        assert_eq!(sent.report(ms(0), start, 8_000), None);
        sent.sent(ms(0), RtpTime(u32::MAX - 99), 160);
        let report = sent.report(ms(50), start, 8_000).unwrap();
        assert_eq!(
            (report.rtp, report.packets, report.octets),
            (RtpTime(300), 1, 160)
        );

        let mut peer = Reception::new(ms(0), &header(65_500), 8_000);
        assert_eq!(round_trip(start, &peer.report(ms(0))), None);
        peer.sender_report(ms(1_000), &report);
        let block = peer.report(ms(3_500));
        let back = start.plus(Duration::from_millis(2_530));
        let trip = round_trip(back, &block).unwrap();
        assert!(
            trip.abs_diff(Duration::from_millis(30)) < Duration::from_micros(50),
            "{trip:?}"
        );
        let liar = ReportBlock {
            delay_since_last_sr: u32::MAX,
            ..block
        };
        assert_eq!(round_trip(back, &liar), None);
    }
}
