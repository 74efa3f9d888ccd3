//! Echo of what we send, in what comes back (AEC3 of WebRTC, as the crate `sonora-aec3`).
//!
//! A line's echo is a phone's loudspeaker in its microphone, or a hybrid's reflection: 40 to 400 ms
//! late, 10 to 30 dB down, through two codecs. AEC3 finds the delay, subtracts what its adaptive
//! filter predicts, and suppresses by band what it believes to be left. Its own settings are those of
//! a laptop, whose filter gains 6 dB at most; here it gains 20 and more, and a suppressor that does not
//! know this cuts a third of what the near talker says in double talk. So it is told, and a guard stands
//! behind it ([`EchoCanceller::new`]).
//!
//! AEC3 works on blocks of 64 samples. 160 is two and a half of them: an output is 32 samples late
//! for that, and one block for its windows.

use std::fmt;

use sonora_aec3::block::Block;
use sonora_aec3::block_processor::BlockProcessor;
use sonora_aec3::config::EchoCanceller3Config;

use crate::FRAME;
use crate::guard::Guard;
use crate::step::Steps;

/// How late the output is against the near frames, in samples: 6 ms.
pub const DELAY: usize = LATE + BLOCK;

/// Removes the echo of one leg.
pub struct EchoCanceller {
    processor: BlockProcessor,
    far: Queue,
    near: Queue,
    out: Queue,
    block: Block,
    reference: Block,
    linear: Block,
    guard: Option<(Guard, Steps)>,
    stepped: i64,
}

impl EchoCanceller {
    /// A canceller that has heard nothing yet.
    pub fn new() -> Self {
        let mut settings = EchoCanceller3Config::default();
        // Its own bounds (6 dB, and 1.8 above 4 kHz) are for a filter that does no better.
        settings.erle.max_l = ENHANCEMENT_MAX;
        settings.erle.max_h = ENHANCEMENT_MAX;
        Self::made(&settings, Some(Default::default()))
    }

    /// AEC3 as it comes, without what keeps the near talker audible: for comparison.
    pub fn plain() -> Self {
        Self::made(&EchoCanceller3Config::default(), None)
    }

    fn made(settings: &EchoCanceller3Config, guard: Option<(Guard, Steps)>) -> Self {
        let mut out = Queue::default();
        out.push(&[0.0; LATE]);
        Self {
            processor: BlockProcessor::new(settings, crate::RATE as usize, 1, 1),
            far: Queue::default(),
            near: Queue::default(),
            out,
            block: Block::new(1, 1),
            reference: Block::new(1, 1),
            linear: Block::new(1, 1),
            guard,
            stepped: 0,
        }
    }

    /// Takes the echo of what was sent (`far`) out of what was heard at the same time (`near`); samples
    /// between ±32,768.
    pub fn handle(&mut self, near: &mut [f32; FRAME], far: &[f32; FRAME]) {
        let clipped = near.iter().any(|sample| sample.abs() >= CLIPPED);
        self.far.push(far);
        self.near.push(near);
        while self.near.held >= BLOCK && self.far.held >= BLOCK {
            self.far.pop(self.reference.view_mut(0, 0));
            self.processor.buffer_render(&self.reference);
            self.near.pop(self.block.view_mut(0, 0));
            let mut heard = [0.0; BLOCK];
            heard.copy_from_slice(self.block.view(0, 0));
            let linear = Some(&mut self.linear);
            self.processor
                .process_capture(false, clipped, linear, &mut self.block);
            if let Some((guard, steps)) = &mut self.guard {
                let mut filtered = [0.0; BLOCK];
                filtered.copy_from_slice(self.linear.view(0, 0));
                guard.handle(&heard, &filtered, self.block.view_mut(0, 0));
                let delay_ms = u32::try_from(self.processor.get_metrics().delay_ms).unwrap_or(0);
                self.stepped += steps.handle(&heard, &filtered, delay_ms).unwrap_or(0);
            }
            self.out.push(self.block.view(0, 0));
        }
        self.out.pop(near);
    }

    /// By how many samples the echo has stepped so far: what was sent is to be given as much later from now on.
    pub const fn stepped(&self) -> i64 {
        self.stepped
    }

    /// What it has found out so far.
    pub fn findings(&self) -> Findings {
        let metrics = self.processor.get_metrics();
        Findings {
            delay_ms: u32::try_from(metrics.delay_ms).unwrap_or(0),
            enhancement_db: metrics.echo_return_loss_enhancement as f32,
        }
    }
}

impl Default for EchoCanceller {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for EchoCanceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EchoCanceller")
            .field("findings", &self.findings())
            .finish_non_exhaustive()
    }
}

/// What a canceller believes of its line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Findings {
    /// From what was sent to its echo.
    pub delay_ms: u32,
    /// By how much the filter alone lowers the echo.
    pub enhancement_db: f32,
}

/// Samples that wait for a whole block or frame, oldest first. Never more than a frame and a block.
#[derive(Debug)]
struct Queue {
    samples: [f32; FRAME + 2 * BLOCK],
    held: usize,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            samples: [0.0; FRAME + 2 * BLOCK],
            held: 0,
        }
    }
}

impl Queue {
    fn push(&mut self, samples: &[f32]) {
        let place = self.samples.get_mut(self.held..).unwrap_or_default();
        for (to, &from) in place.iter_mut().zip(samples) {
            *to = from;
        }
        self.held = (self.held + samples.len()).min(self.samples.len());
    }

    fn pop(&mut self, out: &mut [f32]) {
        for (to, &from) in out.iter_mut().zip(&self.samples) {
            *to = from;
        }
        let taken = out.len().min(self.held);
        self.samples.copy_within(taken..self.held, 0);
        self.held -= taken;
    }
}

/// AEC3's block.
pub(crate) const BLOCK: usize = 64;
/// A frame leaves half a block over, every other time.
const LATE: usize = 32;
/// A microphone that is driven beyond its range.
const CLIPPED: f32 = 32_700.0;
/// 30 dB, as a ratio of powers.
const ENHANCEMENT_MAX: f32 = 1_000.0;
