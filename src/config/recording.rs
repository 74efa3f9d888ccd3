//! How calls are recorded: `[recording]`.

use std::path::PathBuf;
use std::time::Duration;

use super::{ConfigError, Section};

/// How calls are recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// What files are like.
    pub format: RecordingFormat,
    /// Bits per second of each side of an Opus file.
    pub bitrate: u32,
    /// Samples per second at most: 8,000, 16,000 or 48,000. A call that carries less is kept as it is.
    pub rate_max: u32,
    /// A file with the key that wraps each recording's own, as 64 hexadecimal digits; without it
    /// recordings are not encrypted.
    pub key_file: Option<PathBuf>,
    /// Whether the end of a recording waits until the disk has it.
    pub sync: bool,
    /// The longest recording.
    pub length_max: Duration,
}

/// What files of recordings are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordingFormat {
    /// WAV of 16 bits.
    Wav,
    /// Ogg/Opus.
    Opus,
}

impl Recording {
    pub(super) fn read(mut section: Section) -> Result<Self, ConfigError> {
        let words = [
            ("wav", RecordingFormat::Wav),
            ("opus", RecordingFormat::Opus),
        ];
        let format = section.one_of("format", &words)?;
        let bitrate = section.integer("bitrate", 6_000..=128_000)?;
        let rate_max = section.integer("rate_max", 8_000..=48_000)?;
        let rate_max = rate_max.map_or(16_000, |rate| rate as u32);
        if ![8_000, 16_000, 48_000].contains(&rate_max) {
            let rule = "8000, 16000 or 48000";
            return Err(section.refuse("rate_max", rule, &rate_max.to_string()));
        }
        let longest = Duration::from_secs(1)..=Duration::from_secs(24 * 3_600);
        let length_max = section.duration("length_max", longest)?;
        let read = Self {
            format: format.unwrap_or(RecordingFormat::Wav),
            bitrate: bitrate.map_or(24_000, |bitrate| bitrate as u32),
            rate_max,
            key_file: section.text("key_file")?.map(PathBuf::from),
            sync: section.boolean("sync")?.unwrap_or(true),
            length_max: length_max.unwrap_or(Duration::from_secs(8 * 3_600)),
        };
        section.finish()?;
        Ok(read)
    }
}
