//! Where a sound repeats itself: the lag of the greatest normalised correlation.
//!
//! Searched at 8 kHz whatever the rate, then looked at closely at the rate itself.

/// A lag, in samples, and how alike the sound is to itself at that lag, at most 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pitch {
    pub(super) lag: usize,
    pub(super) likeness: f32,
}

/// Where the likeness is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    /// Where the compared stretch begins.
    pub(super) at: usize,
    /// Its length.
    pub(super) len: usize,
    /// The lags tried, both included.
    pub(super) lags: [usize; 2],
    /// Whether it is compared with what comes `lag` later, else with what came `lag` before.
    pub(super) ahead: bool,
}

impl Search {
    /// The best lag in `sound`: the shortest that is nearly the best, lest a multiple of the period
    /// be taken for it. `None` where `sound` is too short for any.
    ///
    /// Some 8,000 multiplications for a match of 10 ms and lags to 15 ms, and at 48 kHz as many more.
    pub(super) fn run(&self, sound: &[i16], rate: u32) -> Option<Pitch> {
        let factor = (rate as usize / 8_000).max(1);
        let [shortest, longest] = self.lags;
        let (from, to) = if self.ahead {
            (self.at, self.at + self.len + longest)
        } else {
            (self.at.checked_sub(longest)?, self.at + self.len)
        };
        let stretch = sound.get(from..to)?;
        let mut coarse = [0.0_f32; COARSE];
        for (to, group) in coarse.iter_mut().zip(stretch.chunks_exact(factor)) {
            *to = group.iter().map(|&s| f32::from(s)).sum::<f32>();
        }
        let coarse = coarse.get(..(stretch.len() / factor).min(COARSE))?;
        let search = Self {
            at: if self.ahead { 0 } else { longest / factor },
            len: self.len / factor,
            lags: [shortest.div_ceil(factor), longest / factor],
            ahead: self.ahead,
        };
        let best = search.shortest_peak(coarse)?;
        if factor == 1 {
            return Some(best);
        }
        let near = (best.lag * factor).saturating_sub(factor).max(shortest)
            ..=(best.lag * factor + factor).min(longest);
        near.filter_map(|lag| {
            let likeness = self.likeness(sound, lag)?;
            Some(Pitch { lag, likeness })
        })
        .max_by(|a, b| a.likeness.total_cmp(&b.likeness))
    }

    /// The likeness at one lag.
    fn likeness(&self, sound: &[i16], lag: usize) -> Option<f32> {
        let other = if self.ahead {
            self.at + lag
        } else {
            self.at.checked_sub(lag)?
        };
        let a = sound.get(self.at..self.at + self.len)?;
        let b = sound.get(other..other + self.len)?;
        let (mut cross, mut own, mut its) = (0.0, 1.0, 1.0);
        for (&a, &b) in a.iter().zip(b) {
            let (a, b) = (f32::from(a), f32::from(b));
            cross += a * b;
            own += a * a;
            its += b * b;
        }
        Some(cross / f32::sqrt(own * its))
    }

    fn shortest_peak(&self, sound: &[f32]) -> Option<Pitch> {
        let [shortest, longest] = self.lags;
        let a = sound.get(self.at..self.at + self.len)?;
        let own = dot(a, a) + 1.0;
        let mut scores = [0.0_f32; LAGS];
        let tried = (longest + 1).checked_sub(shortest)?.min(LAGS);
        for (lag, score) in (shortest..).zip(scores.iter_mut().take(tried)) {
            let other = if self.ahead {
                self.at + lag
            } else {
                self.at - lag
            };
            let b = sound.get(other..other + self.len)?;
            *score = dot(a, b) / f32::sqrt(own * (dot(b, b) + 1.0));
        }
        let scores = scores.get(..tried)?;
        let best = scores.iter().copied().fold(f32::MIN, f32::max);
        let is_peak = |&(i, &score): &(usize, &f32)| {
            let near = scores
                .get(i.saturating_sub(1)..(i + 2).min(scores.len()))
                .unwrap_or_default();
            score >= best - 0.08 * best.abs() && near.iter().all(|&other| other <= score)
        };
        let (i, &likeness) = scores.iter().enumerate().find(is_peak)?;
        Some(Pitch {
            lag: shortest + i,
            likeness,
        })
    }
}

/// A sum of products, in eight lanes that the compiler may keep in one register.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 8];
    let (a, rest_a) = a.as_chunks::<8>();
    let (b, rest_b) = b.as_chunks::<8>();
    for (a, b) in a.iter().zip(b) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    let rest: f32 = rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f32>() + rest
}

/// Samples at 8 kHz that a search may span: 40 ms.
const COARSE: usize = 320;
/// Lags at 8 kHz: to 15 ms.
const LAGS: usize = 128;

#[cfg(test)]
mod tests {
    use super::Search;

    #[test]
    fn the_period_of_a_tone_is_found_at_every_rate_and_both_ways() {
        for rate in [8_000_usize, 12_000, 16_000, 24_000, 48_000] {
            for hz in [80.0, 123.0, 210.0, 333.0] {
                let sound: Vec<i16> = (0..rate / 10)
                    .map(|n| {
                        let phase = std::f64::consts::TAU * hz * n as f64 / rate as f64;
                        (phase.sin() * 6_000.0 + (3.0 * phase).sin() * 3_000.0) as i16
                    })
                    .collect();
                for ahead in [false, true] {
                    let search = Search {
                        at: rate / 50,
                        len: rate / 100,
                        lags: [rate / 400, rate * 15 / 1_000],
                        ahead,
                    };
                    let found = search.run(&sound, rate as u32).unwrap();
                    let period = rate as f64 / hz;
                    let off = (found.lag as f64 / period).round() * period - found.lag as f64;
                    assert!(
                        off.abs() <= 1.0 && found.likeness > 0.95,
                        "{rate} {hz} {found:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_sound_too_short_has_no_period() {
        let search = Search {
            at: 10,
            len: 80,
            lags: [20, 120],
            ahead: false,
        };
        assert_eq!(search.run(&[0; 400], 8_000), None);
        let search = Search { at: 350, ..search };
        assert_eq!(search.run(&[0; 400], 8_000), None);
    }
}
