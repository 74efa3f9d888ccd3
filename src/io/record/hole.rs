//! Holes: stretches of a recording that hold silence instead of what was said, and why.

use std::fmt;
use std::str::FromStr;

/// A stretch of silence that stands for something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// The first sample of it.
    pub at: u64,
    /// How many samples it lasts.
    pub samples: u64,
    /// Why it is there.
    pub why: Why,
}

/// Why nothing was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Somebody paused the recording.
    Paused,
    /// Frames were lost on their way: the recorder, or the worker, was late.
    Lost,
    /// The disk had no room.
    DiskFull,
}

impl Why {
    /// The name in records and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Lost => "lost",
            Self::DiskFull => "disk-full",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Why {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut all = [Self::Paused, Self::Lost, Self::DiskFull].into_iter();
        all.find(|why| why.name() == text).ok_or(())
    }
}

/// The holes of one recording, in order. Of more than [`HOLES_MAX`] the last takes in what follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Holes(pub(super) Vec<Hole>);

impl Holes {
    /// Adds a hole; one that continues the last makes that longer. Whether it is a new one.
    pub(super) fn add(&mut self, at: u64, samples: u64, why: Why) -> bool {
        let full = self.0.len() >= HOLES_MAX;
        if samples == 0 {
            return false;
        }
        match self.0.last_mut() {
            Some(last) if full || (last.why == why && last.at + last.samples == at) => {
                last.samples = at + samples - last.at;
                false
            }
            _ => {
                self.0.push(Hole { at, samples, why });
                true
            }
        }
    }

    /// Samples that were lost against anybody's will.
    pub(super) fn missing(&self) -> u64 {
        let lost = self.0.iter().filter(|hole| hole.why != Why::Paused);
        lost.map(|hole| hole.samples).sum()
    }
}

/// Holes told apart.
pub(super) const HOLES_MAX: usize = 1_000;
