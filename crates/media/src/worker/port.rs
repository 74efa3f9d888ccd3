//! An open port's state.

use clock::{Duration, Now};

use super::WorkerConfig;
use super::quality::Judged;
use crate::capture::Capture;
use crate::dsp::resample::{PAST_ANY, PAST_HALF, PAST_UP};
use crate::dsp::{DtmfDetector, Resampler};
use crate::port::background::Background;
use crate::port::dial::Dialer;
use crate::port::latch::Source;
use crate::port::out::Outgoing;
use crate::port::play::Player;
use crate::port::{PortPlan, PortStats, PortUpdate};
use crate::rtp::event::EventReceiver;
use crate::rtp::stats::{Reception, Transmission};
use crate::rtp::{RtpTime, Sequence};
use crate::tap::{Tap, VoiceTap};
use crate::{Digit, SAMPLE_RATE, SILENCE};

/// One leg's media end. What it needs of the heap came with its plan.
#[derive(Debug)]
pub(super) struct Port {
    /// What was agreed; kept to be given back, and brought up to date by re-offers.
    pub(super) plan: Box<PortPlan>,
    pub(super) source: Source,
    pub(super) out: Outgoing,
    pub(super) player: Option<Player>,
    pub(super) dialer: Dialer,
    pub(super) keys: EventReceiver,
    /// When the last telephone-event began of which the bridge relayed nothing.
    pub(super) key_told: Option<RtpTime>,
    /// What looks for keys in what the peer says.
    pub(super) ear: Option<Ear>,
    pub(super) tap: Option<Box<Tap>>,
    pub(super) voice: Option<Box<VoiceTap>>,
    pub(super) capture: Option<Box<Capture>>,
    pub(super) bridge: Option<usize>,
    /// Whether what the peer says is decoded.
    pub(super) listens: bool,
    /// Whether keys found in its sound go on by other means, and not as sound.
    pub(super) converts: bool,
    /// From the decoder's rate to the bus's.
    pub(super) to_bus: Resampler<PAST_HALF>,
    /// From the bus's rate to the encoder's.
    pub(super) from_bus: Resampler<PAST_ANY>,
    /// From the rate of clips and of keys' tones to the bus's.
    pub(super) played: Resampler<PAST_UP>,
    /// Whether the packet that is being gathered begins a spurt.
    pub(super) spurt: bool,
    /// How the peer's silence sounds.
    pub(super) background: Background,
    pub(super) reception: Option<Reception>,
    /// Packets lost and expected of the sources before the present one.
    pub(super) lost_before: i64,
    pub(super) expected_before: i64,
    pub(super) transmission: Transmission,
    /// What is not counted by the three above; see [`Port::snapshot`].
    pub(super) stats: PortStats,
    pub(super) care: Care,
    pub(super) judged: Judged,
}

/// When a port wants to be looked after.
#[derive(Clone, Copy, Debug)]
pub(super) struct Care {
    /// When the last packet came, or receiving began.
    pub(super) heard_at: Now,
    /// When silence is told next.
    pub(super) silence_at: Now,
    pub(super) stats_at: Now,
    pub(super) report_at: Now,
    /// Whether the peer's silence was told and is not over.
    pub(super) silent: bool,
    /// Whether the last that came was comfort noise: a pause that was announced.
    pub(super) pauses: bool,
    /// When the peer's last report came; none while it sends none, or when their end was told.
    pub(super) reported_at: Option<Now>,
}

impl Port {
    pub(super) fn new(mut plan: Box<PortPlan>, now: Now, config: &WorkerConfig) -> Self {
        plan.playout.configure(config.jitter);
        plan.playout.reset(plan.codec);
        let first = (Sequence(plan.first_sequence), RtpTime(plan.first_timestamp));
        // Spread by SSRC, which is random, so that ports opened together do not report together.
        let spread = Duration::from_millis(u64::from(plan.ssrc % 1_024));
        Self {
            source: Source::new(plan.latch, plan.remote),
            out: Outgoing::new(plan.ssrc, first.0, first.1, plan.codec.clock_rate()),
            player: None,
            dialer: Dialer::new(plan.dtmf_clock_rate),
            keys: EventReceiver::new(plan.dtmf_clock_rate),
            key_told: None,
            ear: plan.inband_dtmf.then(Ear::new),
            tap: None,
            voice: None,
            capture: None,
            bridge: None,
            listens: false,
            converts: false,
            to_bus: Resampler::idle(),
            from_bus: Resampler::idle(),
            played: Resampler::idle(),
            spurt: false,
            background: Background::new(plan.ssrc),
            reception: None,
            lost_before: 0,
            expected_before: 0,
            transmission: Transmission::default(),
            stats: PortStats::default(),
            care: Care {
                heard_at: now,
                silence_at: now + config.no_media_after,
                stats_at: now + config.stats_every,
                report_at: now + config.rtcp_every / 2 + spread,
                silent: false,
                pauses: false,
                reported_at: None,
            },
            judged: Judged::default(),
            plan,
        }
    }

    /// Takes what a re-offer changed; what it replaces is in `update` after.
    pub(super) fn update(&mut self, now: Now, update: &mut PortUpdate) {
        if self.plan.codec != update.codec {
            self.plan.playout.reset(update.codec);
        }
        if self.plan.codec != update.codec || !self.plan.coding.is_set_like(&update.coding) {
            std::mem::swap(&mut self.plan.coding, &mut update.coding);
        }
        let clock_rate = update.codec.clock_rate();
        if self.plan.codec.clock_rate() != clock_rate {
            self.out.set_clock(clock_rate);
            self.end_source();
        }
        if self.plan.dtmf_clock_rate != update.dtmf_clock_rate {
            self.dialer.set_clock(update.dtmf_clock_rate);
            self.keys = EventReceiver::new(update.dtmf_clock_rate);
        }
        if update.receive && !self.plan.receive {
            self.care.heard_at = now;
        }
        if !update.receive {
            self.background = Background::new(self.plan.ssrc);
        }
        self.source.update(update.remote);
        let plan = &mut self.plan;
        plan.remote = update.remote;
        plan.codec = update.codec;
        plan.payload_type = update.payload_type;
        plan.dtmf_payload_type = update.dtmf_payload_type;
        plan.dtmf_clock_rate = update.dtmf_clock_rate;
        plan.keys_elsewhere = update.keys_elsewhere;
        plan.cn_payload_type = update.cn_payload_type;
        plan.send = update.send;
        plan.receive = update.receive;
        plan.rtcp_mux = update.rtcp_mux;
        plan.security.follow(&mut update.security);
        plan.ptime_ms = update.ptime_ms;
    }

    /// The peer has another source from now on: what is known of this one is kept in sums.
    pub(super) fn end_source(&mut self) {
        if let Some(reception) = self.reception.take() {
            self.lost_before += reception.lost();
            self.expected_before += reception.expected();
        }
    }

    /// Looks for tones in what the peer says, or ceases to.
    pub(super) fn detect(&mut self, on: bool) {
        if on != self.ear.is_some() {
            self.ear = on.then(Ear::new);
        }
    }

    /// Whether its peer gets keys otherwise than as tones.
    pub(super) fn wants_no_tones(&self) -> bool {
        self.plan.keys_elsewhere || self.plan.dtmf_payload_type.is_some()
    }

    /// Whether keys in its sound must be turned into something else for that partner.
    pub(super) fn must_convert_for(&self, partner: &Self) -> bool {
        self.ear.is_some() && partner.wants_no_tones()
    }

    /// Whether nothing but its partner speaks through this port, and both directions are open.
    pub(super) fn may_be_relayed(&self) -> bool {
        self.plan.send
            && self.plan.receive
            && self.source.has_peer()
            && self.player.is_none()
            && self.dialer.is_idle()
            && !self.is_on_detour()
    }
}

/// Looks for keys in the sound of one peer, which it takes at any rate.
#[derive(Debug)]
pub(super) struct Ear {
    detector: DtmfDetector,
    narrow: Resampler<PAST_ANY>,
}

/// What of keys was heard in a frame.
pub(super) struct KeysHeard {
    /// Whether one sounds.
    pub(super) down: bool,
    /// The one that ended, and how long it was held.
    pub(super) released: Option<(Digit, Duration)>,
}

impl Ear {
    fn new() -> Self {
        Self {
            detector: DtmfDetector::new(),
            narrow: Resampler::idle(),
        }
    }

    /// Listens to the next 20 ms, at `rate`.
    pub(super) fn listen(&mut self, rate: u32, samples: &[i16]) -> KeysHeard {
        self.narrow.tune(rate, SAMPLE_RATE);
        let mut frame = SILENCE;
        self.narrow.convert(samples, &mut frame);
        let heard = self.detector.listen(&frame);
        KeysHeard {
            down: self.detector.is_down(),
            released: heard.released,
        }
    }
}
