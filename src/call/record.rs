//! Stereo recording: armed by the plan, running while caller and callee hear each other.
//!
//! The tap sits on the caller's port (left: what the caller says, right: what the caller hears) and
//! starts at the bridge, so a recording never holds the queue's music. It ends with the bridge's
//! last party or when asked. Pausing and masking hold for the call: a recording that begins anew at
//! another leg stands as the one before.

use media::SAMPLE_RATE;
use media::tap::{Tap, TapState};
use media::worker::PortCommand;

use super::Trouble;
use super::action::RecordAsk;
use super::bridging::media_codec;
use super::command::Output;
use super::leg::Leg;
use super::machine::Call;

/// How a call is recorded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recording {
    stage: Stage,
    state: TapState,
    /// Samples per second at most.
    rate_max: u32,
}

/// Where a call's recording stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not wanted.
    Off,
    /// Wanted; starts at the bridge.
    Armed,
    /// Frames flow.
    On,
}

/// Spans of 20 ms between worker and writer: 10 s, so that a slow disk loses nothing.
const TAP_SPANS: usize = 500;

impl Recording {
    pub(super) const fn new(rate_max: u32) -> Self {
        Self {
            stage: Stage::Off,
            state: TapState {
                paused: false,
                masked: false,
            },
            rate_max,
        }
    }

    /// Whether it runs, or will.
    pub(super) fn is_wanted(&self) -> bool {
        self.stage != Stage::Off
    }
}

impl Call {
    /// Whether the keys that the parties press are to be told to nobody but the plan.
    pub fn masks_keys(&self) -> bool {
        self.recording.state.masked
    }

    pub(super) fn record(&mut self, ask: RecordAsk) {
        match (ask, self.recording.stage) {
            (RecordAsk::Start, Stage::Off) => {
                self.refuse_recording();
                self.recording.stage = Stage::Armed;
                self.recording.state.paused = false;
                if self.partner.is_some() || self.room.is_some() {
                    self.recording_bridged();
                }
            }
            (RecordAsk::Start, _) => {}
            (RecordAsk::Stop, Stage::On) => self.stop_recording(),
            (RecordAsk::Stop, _) => self.recording.stage = Stage::Off,
            (RecordAsk::Pause, _) => self.recording.state.paused = true,
            (RecordAsk::Resume, _) => self.recording.state.paused = false,
            (RecordAsk::Mask, _) => self.recording.state.masked = true,
            (RecordAsk::Unmask, _) => self.recording.state.masked = false,
        }
        let changes = !matches!(ask, RecordAsk::Start | RecordAsk::Stop);
        if changes
            && self.recording.stage == Stage::On
            && let Some(port) = self.open_port_of(self.caller)
        {
            let state = self.recording.state;
            self.port(PortCommand::StandTap { port, state });
        }
    }

    /// What can only be relayed is not recorded: that is told, and the call goes on.
    fn refuse_recording(&mut self) {
        let relayed = self
            .legs
            .get(&self.caller)
            .filter(|it| it.is_only_relayed());
        if let Some(leg) = relayed {
            let who = leg.label.clone();
            let codec = leg.agreed().map(|it| it.codec);
            self.trouble(Trouble::OnlyRelayed { who, codec });
        }
    }

    /// The bridge stands: an armed recording begins.
    pub(super) fn recording_bridged(&mut self) {
        if self.recording.stage != Stage::Armed {
            return;
        }
        let relayed = self.legs.get(&self.caller);
        if relayed.is_some_and(Leg::is_only_relayed) {
            return;
        }
        let Some(port) = self.open_port_of(self.caller) else {
            return;
        };
        let (tap, frames) = Tap::new(self.recording_rate(), TAP_SPANS);
        let tap = tap.standing(self.recording.state);
        let rate = tap.rate();
        self.recording.stage = Stage::On;
        self.port(PortCommand::Tap { port, tap });
        self.outputs.push_back(Output::Record { frames, rate });
    }

    /// What both sides carry, as far as it is kept.
    fn recording_rate(&self) -> u32 {
        let legs = [Some(self.caller), self.partner].into_iter().flatten();
        let agreed = legs.filter_map(|leg| self.legs.get(&leg).and_then(Leg::agreed));
        let rates = agreed.map(|it| media_codec(it.codec).sample_rate());
        let both = rates.min().unwrap_or(SAMPLE_RATE);
        both.min(self.recording.rate_max).max(SAMPLE_RATE)
    }

    /// The tap's leg leaves the bridge: the recording goes on at its successor, in another file.
    pub(super) fn record_anew(&mut self) {
        if self.recording.stage == Stage::On {
            self.stop_recording();
            self.recording.stage = Stage::Armed;
        }
        self.recording_bridged();
    }

    /// Ends a running recording; the file is whole once the writer has drained the ring.
    pub(super) fn stop_recording(&mut self) {
        if self.recording.stage != Stage::On {
            return;
        }
        self.recording.stage = Stage::Off;
        if let Some(port) = self.open_port_of(self.caller) {
            self.port(PortCommand::Untap { port });
        }
        self.outputs.push_back(Output::RecordEnded);
    }
}
