//! What keeps the near talker audible while the far one talks too.
//!
//! AEC3's suppressor works by band and by block, and when both talk it takes words of the near talker
//! away with the echo. The filter's own output has all of him, and a rest of the echo. How much that rest
//! is against the echo the filter knows shows while the far talker talks alone; what stands out of it
//! is the near talker, and then the filter's output is what is heard.

use crate::echo::BLOCK;

/// Blends a suppressor's output with its filter's, by blocks.
#[derive(Debug)]
pub(crate) struct Guard {
    /// How much the filter leaves of the echo, in dB.
    leak_db: f32,
    /// The power of the echo that the filter knows; falls as a room does.
    echo: f32,
    /// How far the near talker stands out, of the newest block: 0 (not at all) to 1.
    weight: f32,
    /// Blocks for which it is still believed that the near talker talks.
    believed: u16,
    /// Blocks in a row that the suppressor let pass.
    passed: u16,
    /// The weight that the last sample had.
    faded: f32,
    /// The filter's output one block ago: the suppressor's is as late.
    filtered: [f32; BLOCK],
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            leak_db: LEAK_AT_FIRST_DB,
            echo: 0.0,
            weight: 0.0,
            believed: 0,
            passed: 0,
            faded: 0.0,
            filtered: [0.0; BLOCK],
        }
    }
}

impl Guard {
    /// `heard` went into the canceller, `filtered` came out of its filter, `out` out of its suppressor.
    pub(crate) fn handle(
        &mut self,
        heard: &[f32; BLOCK],
        filtered: &[f32; BLOCK],
        out: &mut [f32],
    ) {
        let before = self.weight;
        self.weight = self.weigh(heard, filtered);
        // What is put out now is a block old: a talker who has just begun is known already.
        let wanted = before.max(self.weight);
        self.believe(out);
        let wanted = if self.believed > 0 { wanted } else { 0.0 };
        let pace = if wanted > self.faded {
            FADE_IN
        } else {
            FADE_OUT
        };
        for (out, late) in out.iter_mut().zip(&self.filtered) {
            self.faded += pace * (wanted - self.faded);
            *out += self.faded * (late - *out);
        }
        self.filtered = *filtered;
    }

    /// The near talker is believed in for a while after the suppressor has let him pass by itself.
    fn believe(&mut self, out: &[f32]) {
        let power = |samples: &[f32]| samples.iter().map(|s| s * s).sum::<f32>() / BLOCK as f32;
        let (left, had) = (power(out), power(&self.filtered));
        self.passed = if left > VOICE && left > had * PASSED {
            self.passed + 1
        } else {
            0
        };
        self.believed = if self.passed >= PASSES {
            HOLD
        } else {
            self.believed.saturating_sub(1)
        };
    }

    fn weigh(&mut self, heard: &[f32; BLOCK], filtered: &[f32; BLOCK]) -> f32 {
        let known = heard.iter().zip(filtered).map(|(y, e)| (y - e) * (y - e));
        let known = known.sum::<f32>() / BLOCK as f32;
        let rest = filtered.iter().map(|e| e * e).sum::<f32>() / BLOCK as f32;
        self.echo = known.max(self.echo * DECAY);
        let left_db = decibels(rest) - decibels(self.echo);
        let above = left_db - self.leak_db;
        let weight = ((above - LEAST_DB) / (MOST_DB - LEAST_DB)).clamp(0.0, 1.0);
        if known > AUDIBLE {
            let pace = match (above > 0.0, weight > 0.0) {
                (false, _) => DOWN,
                (true, false) => UP,
                (true, true) if self.believed > 0 => UP_WHILE_NEAR,
                (true, true) => UP,
            };
            self.leak_db += pace * above;
        }
        weight
    }
}

fn decibels(power: f32) -> f32 {
    10.0 * (power + 1.0).log10()
}

/// Nothing is known of the filter: it leaves everything.
const LEAK_AT_FIRST_DB: f32 = 6.0;
/// The near talker begins to show so far above what the filter usually leaves,
const LEAST_DB: f32 = 5.0;
/// and is all that is heard so far above.
const MOST_DB: f32 = 11.0;
/// An echo of -60 dBFS tells something about the filter.
const AUDIBLE: f32 = 1_000.0;
/// A room of 250 ms (60 dB), by block.
const DECAY: f32 = 0.8;
/// What the filter leaves is learnt in half a second when less than believed,
const DOWN: f32 = 0.01;
/// sooner when more,
const UP: f32 = 0.01;
/// and hardly while that may be the near talker.
const UP_WHILE_NEAR: f32 = 0.000_5;
/// -50 dBFS: less is not worth keeping.
const VOICE: f32 = 10_000.0;
/// The suppressor lets pass what it takes no more than 10 dB from,
const PASSED: f32 = 0.1;
/// three blocks in a row.
const PASSES: u16 = 3;
/// 400 ms.
const HOLD: u16 = 100;
/// By sample: in within 2 ms,
const FADE_IN: f32 = 0.05;
/// out within 40 ms.
const FADE_OUT: f32 = 0.002;
