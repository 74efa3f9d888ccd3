//! Levels in dBFS: 0 dBFS is a sine that just reaches full scale.

/// The level of `samples` in dBFS, by their mean square; [`FLOOR_DBFS`] for digital silence.
pub fn dbfs(samples: &[i16]) -> f32 {
    let energy: f64 = samples.iter().map(|&s| f64::from(s) * f64::from(s)).sum();
    let mean = energy / samples.len().max(1) as f64;
    // A full-scale sine has half the square of its amplitude.
    from_power((mean / (FULL_SCALE * FULL_SCALE / 2.0)) as f32)
}

/// The level of a sine of `amplitude`, in dBFS.
pub fn of_amplitude(amplitude: f32) -> f32 {
    let ratio = amplitude / FULL_SCALE as f32;
    from_power(ratio * ratio)
}

/// The amplitude of a sine at `dbfs`, at most full scale.
pub fn amplitude(dbfs: f32) -> f32 {
    (10_f32.powf(dbfs / 20.0) * FULL_SCALE as f32).min(f32::from(i16::MAX))
}

/// A ratio of powers in decibels, no less than [`FLOOR_DBFS`].
pub(crate) fn from_power(ratio: f32) -> f32 {
    if ratio > 1e-10 {
        10.0 * ratio.log10()
    } else {
        FLOOR_DBFS
    }
}

/// What silence measures: below the least step of 16 bits.
pub const FLOOR_DBFS: f32 = -100.0;

const FULL_SCALE: f64 = 32_768.0;

#[cfg(test)]
mod tests {
    use super::{FLOOR_DBFS, amplitude, dbfs, of_amplitude};

    #[test]
    fn a_square_of_full_scale_is_three_decibels_above_a_sine_and_silence_is_the_floor() {
        assert!((dbfs(&[i16::MIN; 160]) - 3.01).abs() < 0.01);
        assert!((dbfs(&[0; 160]) - FLOOR_DBFS).abs() < f32::EPSILON);
        assert!((dbfs(&[]) - FLOOR_DBFS).abs() < f32::EPSILON);
        assert!((of_amplitude(amplitude(-12.0)) + 12.0).abs() < 0.01);
    }
}
