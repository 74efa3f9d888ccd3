//! Decoded sound of one stream: what was played last, and what waits to be played.

/// Samples in one piece: 40 ms of history, then what waits.
///
/// Nothing but the capacity is taken when it is made: memory is touched when sound first comes, and
/// as much of it as the rate needs.
#[derive(Debug)]
pub(super) struct Sound {
    samples: Vec<i16>,
    /// Where what waits begins.
    history: usize,
    /// Where it ends.
    end: usize,
    rate: u32,
}

impl Sound {
    pub(super) fn new() -> Self {
        Self {
            samples: Vec::with_capacity(samples(CAPACITY_MS, RATE_MAX)),
            history: 0,
            end: 0,
            rate: 8_000,
        }
    }

    /// Begins anew in silence, at `rate` samples a second: at most [`RATE_MAX`].
    pub(super) fn begin(&mut self, rate: u32) {
        self.rate = rate.clamp(8_000, RATE_MAX);
        self.samples.clear();
        self.samples.resize(self.samples_in(CAPACITY_MS), 0);
        self.history = self.samples_in(HISTORY_MS);
        self.end = self.history;
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.samples.capacity()
    }

    pub(super) fn rate(&self) -> u32 {
        self.rate
    }

    /// Samples of `tenths` tenths of a millisecond.
    pub(super) fn tenths(&self, tenths: u32) -> usize {
        (self.rate as usize * tenths as usize) / 10_000
    }

    fn samples_in(&self, ms: u32) -> usize {
        samples(ms, self.rate)
    }

    /// Samples that wait.
    pub(super) fn pending(&self) -> usize {
        self.end - self.history
    }

    /// All of it, history first.
    pub(super) fn whole(&self) -> &[i16] {
        self.samples.get(..self.end).unwrap_or_default()
    }

    /// The same, to be changed in place.
    pub(super) fn whole_mut(&mut self) -> &mut [i16] {
        self.samples.get_mut(..self.end).unwrap_or_default()
    }

    /// Where what waits begins in [`Sound::whole`].
    pub(super) fn here(&self) -> usize {
        self.history
    }

    /// Room behind what waits; [`Sound::grow`] then says how much of it was filled.
    pub(super) fn room(&mut self) -> &mut [i16] {
        self.samples.get_mut(self.end..).unwrap_or_default()
    }

    pub(super) fn grow(&mut self, count: usize) {
        self.end = (self.end + count).min(self.samples.len());
    }

    /// Shortens it by `count` samples from `at` on, which must lie behind the history.
    pub(super) fn remove(&mut self, at: usize, count: usize) {
        let from = (at + count).min(self.end);
        if at < self.history || at > from {
            return;
        }
        self.samples.copy_within(from..self.end, at);
        self.end -= from - at;
    }

    /// Makes room for `count` samples at `at`; `false` if there is none.
    pub(super) fn open(&mut self, at: usize, count: usize) -> bool {
        if at > self.end || self.end + count > self.samples.len() {
            return false;
        }
        self.samples.copy_within(at..self.end, at + count);
        self.end += count;
        true
    }

    /// Plays `out.len()` samples, or as many as wait; the rest is silence.
    pub(super) fn play(&mut self, out: &mut [i16]) {
        let count = out.len().min(self.pending());
        let (now, rest) = out.split_at_mut(count);
        if let Some(waiting) = self.samples.get(self.history..self.history + count) {
            now.copy_from_slice(waiting);
        }
        rest.fill(0);
        self.samples.copy_within(count..self.end, 0);
        self.end -= count;
    }
}

fn samples(ms: u32, rate: u32) -> usize {
    rate as usize * ms as usize / 1_000
}

/// The highest rate: Opus, fullband.
const RATE_MAX: u32 = 48_000;

/// The longest pitch period, its match, and as much again: what concealment looks at.
const HISTORY_MS: u32 = 40;

/// History, a frame, a packet of 60 ms and one more frame to look ahead, and the joint of a merge.
const CAPACITY_MS: u32 = 40 + 20 + 60 + 20 + 20;
