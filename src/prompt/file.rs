//! Prompts from WAV files below one folder: 8 to 32 bits or floating point, any usual rate, mono or more.

use std::io::Read;
use std::path::{Component, Path, PathBuf};

use hound::{SampleFormat, WavReader};

use super::level;

/// The longest file that is read, seconds: what a clip can hold.
pub const SECONDS_MAX: u32 = 600;

/// Why a file makes no prompt.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The name leads out of the folder, or is no name.
    #[error("{name:?}: want a relative name below the prompts folder, without `..`")]
    Name {
        /// The name asked for.
        name: String,
    },
    /// There is no such file, or it cannot be read.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// Where it was looked for.
        path: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
    /// The file is not a WAV that we read.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// Where the prompt `name` lies below `folder`; `.wav` is added to a name without an extension.
///
/// # Errors
/// [`FileError::Name`] unless every part of the name is a plain one.
pub fn locate(folder: &Path, name: &str) -> Result<PathBuf, FileError> {
    let refused = || FileError::Name {
        name: name.to_owned(),
    };
    let relative = Path::new(name);
    let plain = relative
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if name.is_empty() || name.len() > NAME_MAX || name.contains(['\0', '\\']) || !plain {
        return Err(refused());
    }
    let path = folder.join(relative);
    let path = if path.extension().is_some() {
        path
    } else {
        path.with_extension("wav")
    };
    // A symbolic link may lead out where the name does not. An absent file is told of when it is read.
    match (path.canonicalize(), folder.canonicalize()) {
        (Ok(real), Ok(root)) if !real.starts_with(&root) => Err(refused()),
        _ => Ok(path),
    }
}

/// Reads a prompt: mono at 8 kHz, level settled. Blocks on the disk.
///
/// # Errors
/// [`FileError`] names the file and what is wrong with it.
pub fn read(path: &Path) -> Result<Vec<i16>, FileError> {
    let file = std::fs::File::open(path).map_err(|error| FileError::Unreadable {
        path: path.to_owned(),
        error,
    })?;
    let format = |reason: String| FileError::Format {
        path: path.to_owned(),
        reason,
    };
    let bytes = file.metadata().map_or(0, |data| data.len());
    if bytes > BYTES_MAX {
        return Err(format(format!("{bytes} bytes; want at most {BYTES_MAX}")));
    }
    let (mono, rate) = decode(std::io::BufReader::new(file)).map_err(format)?;
    let mut samples = level::to_8k(&mono, rate).map_err(|error| format(error.to_string()))?;
    level::settle(&mut samples);
    Ok(level::to_pcm(&samples))
}

/// Decodes a whole WAV into mono, full scale at ±1, and its rate in Hz.
pub(super) fn decode(source: impl Read) -> Result<(Vec<f32>, u32), String> {
    let reader = WavReader::new(source).map_err(|error| format!("no WAV: {error}"))?;
    let spec = reader.spec();
    let channels = usize::from(spec.channels);
    let seconds = reader.duration() / spec.sample_rate.max(1);
    if seconds > SECONDS_MAX {
        return Err(format!("{seconds} s long; want at most {SECONDS_MAX} s"));
    }
    if channels == 0 || channels > CHANNELS_MAX {
        return Err(format!("{channels} channels; want 1 to {CHANNELS_MAX}"));
    }
    let bits = spec.bits_per_sample;
    let interleaved: Result<Vec<f32>, hound::Error> = match spec.sample_format {
        SampleFormat::Float => reader.into_samples::<f32>().collect(),
        SampleFormat::Int => {
            let full_scale = (1_i64 << bits.saturating_sub(1).min(31)) as f32;
            let scaled = |sample: Result<i32, _>| sample.map(|value| value as f32 / full_scale);
            reader.into_samples::<i32>().map(scaled).collect()
        }
    };
    let interleaved = interleaved.map_err(|error| format!("broken at a sample: {error}"))?;
    if interleaved.iter().any(|sample| !sample.is_finite()) {
        return Err("holds samples that are no numbers".to_owned());
    }
    let mono = interleaved
        .chunks_exact(channels)
        .map(|all| all.iter().sum::<f32>());
    Ok((
        mono.map(|sum| sum / channels as f32).collect(),
        spec.sample_rate,
    ))
}

/// Ten minutes of stereo at 48 kHz and 32 bits, and some.
const BYTES_MAX: u64 = 256 << 20;
const NAME_MAX: usize = 255;
const CHANNELS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use hound::{SampleFormat, WavSpec, WavWriter};

    use super::{FileError, decode, locate};

    fn wav(spec: WavSpec, frames: usize, at: impl Fn(usize, u16) -> f32) -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let mut writer = WavWriter::new(&mut bytes, spec).unwrap();
        for n in 0..frames {
            for channel in 0..spec.channels {
                let value = at(n, channel);
                if spec.sample_format == SampleFormat::Float {
                    writer.write_sample(value).unwrap();
                } else {
                    let full = (1_i64 << (spec.bits_per_sample - 1)) as f32;
                    writer.write_sample((value * full) as i32).unwrap();
                }
            }
        }
        writer.finalize().unwrap();
        bytes.into_inner()
    }

    #[test]
    fn every_width_and_channel_count_decodes_to_the_same_mono() {
        use SampleFormat::{Float, Int};
        let formats = [(8, Int), (16, Int), (24, Int), (32, Int), (32, Float)];
        for (bits_per_sample, sample_format) in formats {
            for channels in [1, 2, 6] {
                let spec = WavSpec {
                    channels,
                    sample_rate: 16_000,
                    bits_per_sample,
                    sample_format,
                };
                // Channels differ around one value, so that their mean is it.
                let middle = (f32::from(channels) - 1.0) / 2.0;
                let at = |n, channel| {
                    let aside = (f32::from(channel) - middle) * 0.05;
                    (n as f32 / 200.0) - 0.5 + aside
                };
                let (mono, rate) = decode(&wav(spec, 200, at)[..]).unwrap();
                assert_eq!((mono.len(), rate), (200, 16_000));
                for (n, sample) in mono.iter().enumerate() {
                    let off = (sample - (n as f32 / 200.0 - 0.5)).abs();
                    assert!(
                        off < 0.01,
                        "{bits_per_sample} {sample_format:?} {channels}: {off}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_name_that_leads_out_of_the_folder_is_refused() {
        let folder = Path::new("/srv/prompts");
        for name in [
            "../x.wav",
            "/etc/passwd",
            "a/../../b",
            "",
            ".",
            "a\\b",
            "nul\0l",
        ] {
            assert!(
                matches!(locate(folder, name), Err(FileError::Name { .. })),
                "{name:?}"
            );
        }
        assert_eq!(
            locate(folder, "en/hello").unwrap(),
            folder.join("en/hello.wav")
        );
        assert_eq!(
            locate(folder, "en/hello.wav").unwrap(),
            folder.join("en/hello.wav")
        );
    }

    #[test]
    fn what_is_no_wav_or_is_cut_off_is_an_error() {
        assert!(decode(&b"RIFF"[..]).is_err());
        assert!(decode(&b"ID3 an mp3"[..]).is_err());
        let spec = WavSpec {
            channels: 1,
            sample_rate: 8_000,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let whole = wav(spec, 100, |_, _| 0.1);
        for length in 0..whole.len() {
            assert!(
                decode(&whole[..length]).is_err(),
                "{length} of {} bytes",
                whole.len()
            );
        }
        let nan = WavSpec {
            bits_per_sample: 32,
            sample_format: SampleFormat::Float,
            ..spec
        };
        assert!(decode(&wav(nan, 10, |_, _| f32::NAN)[..]).is_err());
    }

    #[test]
    fn fuzz_mutated_files_are_decoded_or_refused_and_never_break() {
        let spec = WavSpec {
            channels: 2,
            sample_rate: 22_050,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let seed = wav(spec, 50, |n, _| n as f32 / 100.0);
        let rounds = if std::env::var_os("TANDEM_FUZZ_SECONDS").is_some() {
            2_000_000
        } else {
            2_000
        };
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut dice = move |sides: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % sides as u64) as usize
        };
        let mut decoded = 0;
        for _ in 0..rounds {
            let mut bytes = seed.clone();
            for _ in 0..=dice(4) {
                // Most mutations hit the header: samples cannot be wrong.
                let at = if dice(4) > 0 {
                    dice(60)
                } else {
                    dice(bytes.len())
                };
                bytes[at] = [0, 1, 0x7F, 0x80, 0xFF, dice(256) as u8][dice(6)];
            }
            bytes.truncate(bytes.len() - if dice(4) == 0 { dice(bytes.len()) } else { 0 });
            if let Ok((samples, _)) = decode(&bytes[..]) {
                assert!(samples.len() <= bytes.len() && samples.iter().all(|s| s.is_finite()));
                decoded += 1;
            }
        }
        assert!(
            decoded > rounds / 100,
            "only {decoded} of {rounds} reached the samples"
        );
    }
}
