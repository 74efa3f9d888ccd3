//! What a leg wants done with its voice, in its order.

use sonora::config::{AdaptiveDigital, GainController2};
use sonora::{AudioProcessing, Config, StreamConfig};
use sonora_ns::config::{NsConfig, SuppressionLevel};
use sonora_ns::noise_suppressor::NoiseSuppressor;

use crate::echo::{self, EchoCanceller, Findings};
use crate::filter::HighPass;
use crate::{Frame, RATE};

/// What is done with a leg's voice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Take out the echo of what is sent to it.
    pub echo: bool,
    /// Take out steady noise.
    pub noise: bool,
    /// Bring it to an even level.
    pub gain: bool,
}

impl Wanted {
    /// How late what comes out is, in samples: 6 ms for the echo, 6 ms for the noise.
    pub const fn delay(self) -> usize {
        let echo = if self.echo { echo::DELAY } else { 0 };
        echo + if self.noise { NOISE_DELAY } else { 0 }
    }
}

/// The processing of one leg.
#[derive(Debug)]
pub struct Chain {
    high_pass: HighPass,
    echo: Option<EchoCanceller>,
    noise: Option<NoiseSuppressor>,
    gain: Option<AudioProcessing>,
}

/// 10 ms of a processed voice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voice {
    /// At the level at which it came: what voice activity is looked for in.
    pub clean: Frame,
    /// What is handed on.
    pub out: Frame,
}

impl Chain {
    /// A chain that has heard nothing yet.
    pub fn new(wanted: Wanted) -> Self {
        Self::with(wanted, EchoCanceller::new)
    }

    /// The same with another canceller: for measurements.
    pub fn with(wanted: Wanted, canceller: impl FnOnce() -> EchoCanceller) -> Self {
        let noise = || {
            NoiseSuppressor::new(NsConfig {
                target_level: SuppressionLevel::K12dB,
            })
        };
        Self {
            high_pass: HighPass::default(),
            echo: wanted.echo.then(canceller),
            noise: wanted.noise.then(noise),
            gain: wanted.gain.then(gain),
        }
    }
    /// Processes what the peer said (`near`) while this was sent to it (`far`).
    pub fn handle(&mut self, near: &Frame, far: &Frame) -> Voice {
        let mut voice = near.map(|sample| self.high_pass.next(f32::from(sample)));
        // Before the echo goes: what a canceller puts in its place is no noise of the line.
        if let Some(noise) = &mut self.noise {
            noise.analyze(&voice);
        }
        if let Some(echo) = &mut self.echo {
            echo.handle(&mut voice, &far.map(f32::from));
        }
        if let Some(noise) = &mut self.noise {
            noise.process(&mut voice);
        }
        let clean = voice.map(|sample| sample.round().clamp(-32_768.0, 32_767.0) as i16);
        let mut out = clean;
        if let Some(gain) = &mut self.gain {
            // A frame of another length is the only error, and there is none.
            let _ = gain.process_capture_i16(&clean, &mut out);
        }
        Voice { clean, out }
    }

    /// By how many samples the echo has stepped so far ([`EchoCanceller::stepped`]).
    pub fn stepped(&self) -> i64 {
        self.echo.as_ref().map_or(0, EchoCanceller::stepped)
    }

    /// What its canceller has found out, if it has one.
    pub fn findings(&self) -> Option<Findings> {
        self.echo.as_ref().map(EchoCanceller::findings)
    }
}

/// Slow gain towards an even level, and a limiter behind it.
fn gain() -> AudioProcessing {
    let config = Config {
        gain_controller2: Some(GainController2 {
            adaptive_digital: Some(AdaptiveDigital::default()),
            ..GainController2::default()
        }),
        ..Config::default()
    };
    let stream = StreamConfig::new(RATE, 1);
    AudioProcessing::builder()
        .config(config)
        .capture_config(stream)
        .render_config(stream)
        .build()
}

/// The overlap of the suppressor's windows.
const NOISE_DELAY: usize = 96;
