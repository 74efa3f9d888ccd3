//! Stereo recording: armed by the plan, running while caller and callee hear each other.
//!
//! The tap sits on the caller's port (left: what the caller says, right: what the caller hears) and
//! starts at the bridge, so a recording never holds the queue's music. It ends with the bridge's
//! last party or when asked.

use media::SAMPLE_RATE;
use media::tap::Tap;
use media::worker::PortCommand;

use super::Trouble;
use super::command::Output;
use super::machine::Call;

/// Where a call's recording stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recording {
    /// Not wanted.
    Off,
    /// Wanted; starts at the bridge.
    Armed,
    /// Frames flow.
    On,
}

/// Frames of 20 ms between worker and writer: 10 s, so that a slow disk loses nothing.
const TAP_FRAMES: usize = 500;

impl Call {
    pub(super) fn record(&mut self, on: bool) {
        match (on, self.recording) {
            (true, Recording::Off) => {
                self.refuse_recording();
                self.recording = Recording::Armed;
                if self.partner.is_some() || self.room.is_some() {
                    self.recording_bridged();
                }
            }
            (false, Recording::On) => self.stop_recording(),
            (false, _) => self.recording = Recording::Off,
            (true, _) => {}
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
        if self.recording != Recording::Armed {
            return;
        }
        let relayed = self.legs.get(&self.caller);
        if relayed.is_some_and(super::leg::Leg::is_only_relayed) {
            return;
        }
        let Some(port) = self.open_port_of(self.caller) else {
            return;
        };
        let (tap, frames) = Tap::new(SAMPLE_RATE, TAP_FRAMES);
        self.recording = Recording::On;
        self.port(PortCommand::Tap { port, tap });
        self.outputs.push_back(Output::Record(frames));
    }

    /// The tap's leg leaves the bridge: the recording goes on at its successor, in another file.
    pub(super) fn record_anew(&mut self) {
        if self.recording == Recording::On {
            self.stop_recording();
            self.recording = Recording::Armed;
        }
        self.recording_bridged();
    }

    /// Ends a running recording; the file is whole once the writer has drained the ring.
    pub(super) fn stop_recording(&mut self) {
        if self.recording != Recording::On {
            return;
        }
        self.recording = Recording::Off;
        if let Some(port) = self.open_port_of(self.caller) {
            self.port(PortCommand::Untap { port });
        }
        self.outputs.push_back(Output::RecordEnded);
    }
}
