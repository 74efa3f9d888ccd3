//! How a port fares: its peer's silence, the ratings of both directions, and the extended report.

use clock::{Duration, Now};

use super::port::Port;
use super::{PortEvent, Worker};
use crate::jitter::Popped;
use crate::quality::{Path, Rating, Robustness, Totals, rate};
use crate::rtp::Header;
use crate::rtp::rtcp::ReportBlock;
use crate::rtp::stats::Reception;
use crate::rtp::xr::{Blocks, ENHANCED_ADAPTIVE, Receiver, VoipMetrics};
use crate::{FRAME, SILENCE};

/// What was said of a port when it was judged last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Judged {
    /// Packets expected, and those that gave no sound.
    expected: i64,
    gone: i64,
    /// What the worker's totals have of it.
    pub(super) told: Totals,
    /// The delay that the playout buffer aims for, and the longest it may, in ms.
    target_ms: u32,
    limit_ms: u32,
}

impl Worker {
    /// For how long the partner's peer has been silent, in ms.
    pub(super) fn partner_silence(&self, now: Now, at: usize) -> Option<u32> {
        let port = self.port(at).filter(|port| port.care.silence_at <= now)?;
        let partner = self.bridge_at(port.bridge?)?.partner(at as u32)?;
        let partner = self.port(partner as usize)?;
        // One that is on hold has nothing to say.
        let expected = partner.plan.receive && partner.source.is_somewhere();
        expected.then(|| ms(now.since(partner.care.heard_at)))
    }
}

/// The peer's silence.
impl Port {
    /// A packet came: for how long nothing had come, if that was told.
    pub(super) fn heard(&mut self, now: Now) -> Option<u32> {
        let silent = now.since(self.care.heard_at);
        self.care.heard_at = now;
        let told = std::mem::take(&mut self.care.silent);
        told.then(|| {
            self.stats.silence_longest = self.stats.silence_longest.max(silent);
            ms(silent)
        })
    }

    /// What is to be told of the peer's silence; sets when to ask again.
    pub(super) fn silence(
        &mut self,
        now: Now,
        after: Duration,
        partner_ms: Option<u32>,
    ) -> Option<PortEvent> {
        let port = self.plan.port;
        if !self.plan.receive || !self.source.is_somewhere() {
            let silent_ms = self.heard(now);
            self.care.silence_at = now + after;
            return silent_ms.map(|silent_ms| PortEvent::MediaBack { port, silent_ms });
        }
        let silent = now.since(self.care.heard_at);
        let after = if self.care.pauses {
            after.max(PAUSE_MAX)
        } else {
            after
        };
        if silent < after {
            self.care.silence_at = self.care.heard_at + after;
            return None;
        }
        self.care.silence_at = now + after;
        self.stats.silences += u32::from(!self.care.silent);
        self.care.silent = true;
        self.stats.silence_longest = self.stats.silence_longest.max(silent);
        Some(PortEvent::NoMedia {
            port,
            silent_ms: ms(silent),
            partner_ms,
        })
    }

    /// For how long a peer that sent reports has sent none, nor sound, when that is told (RFC 3550
    /// §6.3.5: five intervals).
    pub(super) fn reports_ended(&mut self, now: Now, every: Duration) -> Option<u32> {
        let silent = now.since(self.care.reported_at?.max(self.care.heard_at));
        if silent < every * REPORTS_MISSED {
            return None;
        }
        self.care.reported_at = None;
        Some(ms(silent))
    }
}

/// What is counted for the ratings.
impl Port {
    /// Packets lost, of all sources.
    pub(super) fn lost(&self) -> i64 {
        self.lost_before + self.reception.as_ref().map_or(0, Reception::lost)
    }

    pub(super) fn expected(&self) -> i64 {
        self.expected_before + self.reception.as_ref().map_or(0, Reception::expected)
    }

    /// Packets that gave no sound: lost, or too late, and not made good by others.
    fn gone(&self) -> i64 {
        self.lost() + i64::from(self.stats.late) - i64::from(self.stats.recovered)
    }

    /// A packet that was counted came too late to be heard.
    pub(super) fn was_late(&mut self, header: &Header) {
        self.stats.late += 1;
        if let Some(reception) = &mut self.reception {
            reception.was_late(header);
        }
    }

    /// Counts a frame that was played.
    pub(super) fn played(&mut self, popped: Popped, samples: &[i16]) {
        match popped {
            Popped::Sound => {
                self.stats.frames += 1;
                self.stats.sound.look(samples);
            }
            Popped::Concealed => {
                self.stats.frames += 1;
                self.stats.concealed += 1;
            }
            Popped::Silence | Popped::Hold => {}
        }
    }

    /// Looks at the sound of one packet in [`GLANCE_EVERY`] of a relayed leg, if that costs little.
    pub(super) fn glance(&mut self, header: &Header, payload: &[u8]) {
        let Some(law) = self.plan.codec.law() else {
            return;
        };
        if header.sequence.0.is_multiple_of(GLANCE_EVERY) && payload.len() == FRAME {
            let mut samples = SILENCE;
            law.decode(payload, &mut samples);
            self.stats.sound.look(&samples);
        }
    }

    /// Takes note of how the playout buffer stands.
    pub(super) fn look_at_playout(&mut self) {
        if self.listens {
            let jitter = &self.plan.playout;
            self.stats.delay = Duration::from_millis(jitter.delay_ms().into());
            self.judged.target_ms = jitter.target_ms();
            self.judged.limit_ms = jitter.limit_ms();
        } else {
            self.stats.delay = Duration::ZERO;
        }
    }
}

/// Ratings.
impl Port {
    /// What comes from the peer, over the whole time; none before a second of it came.
    pub(super) fn rating(&self) -> Option<Rating> {
        self.rate(self.expected(), self.gone())
    }

    fn rate(&self, expected: i64, gone: i64) -> Option<Rating> {
        if expected < EXPECTED_LEAST {
            return None;
        }
        let reception = self.reception.as_ref();
        let path = Path {
            delay: self.mouth_to_ear(),
            loss_percent: gone.max(0) as f64 * 100.0 / expected as f64,
            burst_ratio: reception.map_or(1.0, |it| it.runs().burst_ratio()),
        };
        Some(rate(Robustness::of(self.plan.codec), &path))
    }

    /// One way: half of there and back, a packet's time, and the playout's; where the far telephone
    /// plays, twice the jitter stands for that.
    fn mouth_to_ear(&self) -> Duration {
        let half = self.stats.round_trip.unwrap_or_default() / 2;
        half + self.packet_time() + self.playout()
    }

    fn packet_time(&self) -> Duration {
        Duration::from_millis(self.plan.ptime_ms.into())
    }

    fn playout(&self) -> Duration {
        let jitter = self
            .reception
            .as_ref()
            .map_or(Duration::ZERO, Reception::jitter);
        if self.listens {
            self.stats.delay
        } else {
            jitter * 2
        }
    }

    /// Rates what came since the last time, and keeps the worst.
    pub(super) fn judge(&mut self) {
        let (expected, gone) = (self.expected(), self.gone());
        let since = self.rate(expected - self.judged.expected, gone - self.judged.gone);
        (self.judged.expected, self.judged.gone) = (expected, gone);
        let both = self.stats.rating_worst.into_iter().chain(since);
        self.stats.rating_worst = both.min();
    }

    /// Rates what we send by the peer's report of it; an extended one behind it knows more.
    pub(super) fn judge_ours(&mut self, block: &ReportBlock) {
        let ticks_per_ms = (self.plan.codec.clock_rate() / 1_000).max(1);
        let jitter = Duration::from_millis((block.jitter / ticks_per_ms).min(1_000).into());
        let half = self.stats.round_trip.unwrap_or_default() / 2;
        let path = Path {
            delay: half + self.packet_time() + jitter * 2,
            loss_percent: f64::from(block.fraction_lost) * 100.0 / 256.0,
            burst_ratio: 1.0,
        };
        self.stats.peer_rating = Some(rate(Robustness::of(self.plan.codec), &path));
    }

    /// Takes what the peer's extended report says of our stream.
    pub(super) fn metrics_of_us(&mut self, blocks: &Blocks<'_>) {
        let ours = self.out.ssrc();
        let about = blocks.metrics().find(|metrics| metrics.ssrc == ours);
        if let Some(r) = about.and_then(|metrics| metrics.r_factor) {
            self.stats.peer_rating = Some(Rating::reported(r));
        }
    }

    /// What our extended report says of the peer's stream; nothing before a second of it came.
    pub(super) fn metrics(&self) -> Option<VoipMetrics> {
        let rating = self.rating()?;
        let reception = self.reception.as_ref()?;
        let expected = self.expected().max(1);
        let share = |of: i64| u8::try_from(of.max(0) * 256 / expected).unwrap_or(u8::MAX);
        let gaps = reception.runs().gaps();
        let packets = |count: u64| {
            let span = count.saturating_mul(self.plan.ptime_ms.into());
            u16::try_from(span).unwrap_or(u16::MAX)
        };
        let short = |span: Duration| u16::try_from(span.as_millis()).unwrap_or(u16::MAX);
        let listening = Path {
            delay: Duration::ZERO,
            loss_percent: self.gone().max(0) as f64 * 100.0 / expected as f64,
            burst_ratio: reception.runs().burst_ratio(),
        };
        let listening = rate(Robustness::of(self.plan.codec), &listening);
        let tenths = |rating: Rating| Some((rating.mos() * 10.0).round() as u8);
        Some(VoipMetrics {
            ssrc: reception.ssrc(),
            loss_rate: share(self.lost()),
            discard_rate: share(self.stats.late.into()),
            burst_density: gaps.burst_density,
            gap_density: gaps.gap_density,
            burst_ms: packets(gaps.burst_packets),
            gap_ms: packets(gaps.gap_packets),
            round_trip_ms: self.stats.round_trip.map_or(0, short),
            end_system_ms: short(self.packet_time() + self.playout()),
            signal_dbm0: self.stats.sound.speech_dbm0(),
            noise_dbm0: self.stats.sound.noise_dbm0(),
            r_factor: Some(rating.r().round() as u8),
            mos_lq: tenths(listening),
            mos_cq: tenths(rating),
            receiver: self.receiver(),
        })
    }

    fn receiver(&self) -> Receiver {
        let short = |ms: u128| u16::try_from(ms).unwrap_or(u16::MAX);
        if !self.listens {
            // The far telephone plays it.
            return Receiver::default();
        }
        Receiver {
            config: ENHANCED_ADAPTIVE,
            nominal_ms: short(self.stats.delay.as_millis()),
            maximum_ms: short(self.judged.target_ms.into()),
            limit_ms: short(self.judged.limit_ms.into()),
        }
    }
}

fn ms(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}

/// How long a pause may last that was announced by comfort noise: nobody listens in silence for longer.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Packets that must be expected before a rating says anything: a second of them.
const EXPECTED_LEAST: i64 = 50;
/// Of a relayed leg one packet in so many is looked at: 60 ns then, 4 ns a packet.
const GLANCE_EVERY: u16 = 16;
/// Reports that may be missed in a row (RFC 3550 §6.3.5).
const REPORTS_MISSED: u32 = 5;
