//! A second-order high-pass filter: hum and breath below speech would else be learnt as echo.

/// Butterworth at 80 Hz for 16 kHz (bilinear transform, transposed direct form II).
#[derive(Clone, Debug, Default)]
pub(crate) struct HighPass {
    first: f32,
    second: f32,
}

impl HighPass {
    pub(crate) fn next(&mut self, sample: f32) -> f32 {
        let out = B * sample + self.first;
        self.first = -2.0 * B * sample - A1 * out + self.second;
        self.second = B * sample - A2 * out;
        // A denormal would cost a hundred times as much for as long as it is silent.
        if self.second.abs() < 1e-15 {
            self.second = 0.0;
        }
        if self.first.abs() < 1e-15 {
            self.first = 0.0;
        }
        out
    }
}

const B: f32 = 0.978_030_5;
const A1: f32 = -1.955_578_2;
const A2: f32 = 0.956_543_7;

#[cfg(test)]
mod tests {
    use super::HighPass;

    fn gain_at(hz: f32) -> f32 {
        let mut filter = HighPass::default();
        let out: Vec<f32> = (0..16_000)
            .map(|n| (n as f32 * hz * std::f32::consts::TAU / 16_000.0).sin())
            .map(|sample| filter.next(sample))
            .collect();
        let power: f32 = out[8_000..].iter().map(|s| s * s).sum();
        10.0 * (power / 4_000.0).log10()
    }

    #[test]
    fn speech_passes_and_hum_does_not() {
        assert!(gain_at(300.0).abs() < 0.2, "{}", gain_at(300.0));
        assert!((gain_at(80.0) + 3.0).abs() < 0.3, "{}", gain_at(80.0));
        assert!(gain_at(20.0) < -20.0, "{}", gain_at(20.0));
    }
}
