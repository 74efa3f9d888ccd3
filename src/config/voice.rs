//! The voice threads: `[voice]`.

use super::{ConfigError, Section};

/// How many threads process voices, and how many legs each takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voice {
    /// Threads; half of the processors if `None`.
    pub threads: Option<usize>,
    /// Legs that one thread takes.
    pub legs: usize,
}

impl Voice {
    pub(super) fn read(mut voice: Section) -> Result<Self, ConfigError> {
        let threads = voice.integer("threads", 1..=64)?;
        let legs = voice.integer("legs", 1..=1_000)?;
        voice.finish()?;
        Ok(Self {
            threads: threads.and_then(|n| usize::try_from(n).ok()),
            legs: legs.and_then(|n| usize::try_from(n).ok()).unwrap_or(LEGS),
        })
    }
}

/// A leg takes some 1 % of a core: what is left is for its neighbours.
const LEGS: usize = 60;
