//! Synthetic rooms: a delay, an exponentially decaying response, a clock that runs off, noise.

/// Where and how the far talker comes back.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    /// From what was sent to its echo.
    pub(crate) delay_ms: f64,
    /// By how much the echo is quieter.
    pub(crate) loss_db: f64,
    /// In which the response falls by 60 dB; 100 ms long at most.
    pub(crate) decay_ms: f64,
    /// How much faster the phone's clock runs than ours, in parts of a million.
    pub(crate) skew_ppm: f64,
    /// Bends the loudspeaker's peaks: `tanh` at this level; none for a linear one.
    pub(crate) bends_at: Option<f32>,
}

impl Room {
    /// What the microphone hears of `played`.
    pub(crate) fn echo(&self, played: &[f32]) -> Vec<f32> {
        let bent: Vec<f32> = match self.bends_at {
            Some(at) => played.iter().map(|s| at * (s / at).tanh()).collect(),
            None => played.to_vec(),
        };
        let skewed = match self.skew_ppm {
            0.0 => bent,
            ppm => resampled(&bent, 1.0 + ppm / 1e6),
        };
        let response = self.response();
        let delay = (self.delay_ms * 16.0) as usize;
        let mut out = vec![0.0; played.len()];
        for (n, place) in out.iter_mut().enumerate().skip(delay) {
            let newest = n - delay;
            let taps = response.len().min(newest + 1);
            *place = (0..taps)
                .map(|k| response[k] * skewed.get(newest - k).copied().unwrap_or(0.0))
                .sum();
        }
        out
    }

    /// Of unit energy times the loss; its first tap is the direct way.
    fn response(&self) -> Vec<f32> {
        let mut random = Random::new(0xEC40);
        let decay = 6.9 / (self.decay_ms * 16.0);
        let taps = (self.decay_ms.min(100.0) * 16.0) as usize;
        let mut response: Vec<f64> = (0..taps.max(1))
            .map(|k| f64::from(random.signed()) * (-decay * k as f64).exp())
            .collect();
        response[0] = 1.5;
        let energy: f64 = response.iter().map(|h| h * h).sum();
        let gain = 10f64.powf(-self.loss_db / 20.0) / energy.sqrt();
        response.iter().map(|h| (h * gain) as f32).collect()
    }
}

/// White noise of a level.
pub(crate) fn noise(samples: usize, dbfs: f64, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
    // A uniform value between ±1 has a third of the power of ±1.
    let gain = (10f64.powf(dbfs / 20.0) * 1.5f64.sqrt()) as f32;
    (0..samples).map(|_| gain * random.signed()).collect()
}

/// Read `step` samples for each one made, by a windowed sinc of 32 taps.
pub(crate) fn resampled(samples: &[f32], step: f64) -> Vec<f32> {
    let edge = (1.0 / step).min(1.0) * 0.97;
    let half = (16.0 / edge).ceil() as isize;
    let count = (samples.len() as f64 / step) as usize;
    let value = |n: usize| {
        let at = n as f64 * step;
        let middle = at.floor() as isize;
        let tap = |k: isize| {
            let sample = usize::try_from(k).ok().and_then(|k| samples.get(k));
            let x = at - k as f64;
            let window = 0.5 + 0.5 * (std::f64::consts::PI * x / (half as f64 + 1.0)).cos();
            let y = std::f64::consts::PI * x * edge;
            let sinc = if y.abs() < 1e-9 { 1.0 } else { y.sin() / y };
            f64::from(sample.copied().unwrap_or(0.0)) * edge * sinc * window
        };
        (middle - half + 1..=middle + half).map(tap).sum::<f64>() as f32
    };
    (0..count).map(value).collect()
}

/// Numbers from a seed (splitmix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Between 0 and 1.
    pub(crate) fn unit(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Between -1 and 1.
    pub(crate) fn signed(&mut self) -> f32 {
        2.0 * self.unit() - 1.0
    }
}
