//! The header of a stereo WAV of 16 bits, as recordings have it.

/// Bytes before the first sample.
pub const HEADER: usize = 44;

/// Bytes of one sample of both sides.
pub const BLOCK: u64 = 4;

/// The most bytes of audio that a header can tell of.
pub const AUDIO_MAX: u64 = u32::MAX as u64 - HEADER as u64;

/// What a header tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Samples per second.
    pub rate: u32,
    /// Bytes of audio; more than [`AUDIO_MAX`] are told as that.
    pub audio: u64,
}

impl Header {
    /// The header as bytes.
    pub fn bytes(self) -> [u8; HEADER] {
        let audio = u32::try_from(self.audio.min(AUDIO_MAX)).unwrap_or(u32::MAX);
        let mut bytes =
            *b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x02\0\0\0\0\0\0\0\0\0\x04\0\x10\0data\0\0\0\0";
        let fields = [
            (RIFF_LEN, audio.saturating_add(HEADER as u32 - 8)),
            (RATE, self.rate),
            (BYTE_RATE, self.rate.saturating_mul(BLOCK as u32)),
            (AUDIO_LEN, audio),
        ];
        for (at, value) in fields {
            if let Some(field) = bytes.get_mut(at..at + 4) {
                field.copy_from_slice(&value.to_le_bytes());
            }
        }
        bytes
    }

    /// Reads a header; `None` unless it is one that [`Header::bytes`] writes, whatever its lengths. A
    /// length of more than a file can have is read as the most.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER] = bytes.first_chunk()?;
        let field = |at: usize| {
            bytes
                .get(at..at + 4)?
                .try_into()
                .ok()
                .map(u32::from_le_bytes)
        };
        let (rate, audio) = (field(RATE)?, u64::from(field(AUDIO_LEN)?).min(AUDIO_MAX));
        let told = Self { rate, audio };
        let mut wanted = told.bytes();
        let lengths = RIFF_LEN..RIFF_LEN + 4;
        wanted
            .get_mut(lengths.clone())?
            .copy_from_slice(bytes.get(lengths)?);
        wanted
            .get_mut(AUDIO_LEN..)?
            .copy_from_slice(bytes.get(AUDIO_LEN..)?);
        let known = rate > 0 && rate <= RATE_MAX && wanted == *bytes;
        known.then_some(told)
    }
}

const RIFF_LEN: usize = 4;
const RATE: usize = 24;
const BYTE_RATE: usize = 28;
const AUDIO_LEN: usize = 40;
const RATE_MAX: u32 = 192_000;

#[cfg(test)]
mod tests {
    use super::{AUDIO_MAX, HEADER, Header};

    #[test]
    fn what_is_written_is_read_and_what_is_too_long_is_told_as_the_longest() {
        for (rate, audio, told) in [
            (8_000, 0, 0),
            (48_000, 1_234_568, 1_234_568),
            (16_000, u64::MAX, AUDIO_MAX),
        ] {
            let bytes = Header { rate, audio }.bytes();
            let audio = told;
            assert_eq!(Header::parse(&bytes), Some(Header { rate, audio }));
            assert_eq!(Header::parse(&bytes[..HEADER - 1]), None);
        }
    }

    #[test]
    fn a_length_that_no_file_has_is_read_as_the_most() {
        let (rate, audio) = (8_000, 0);
        let mut bytes = Header { rate, audio }.bytes();
        bytes[40..].fill(0xFF);
        let audio = AUDIO_MAX;
        assert_eq!(Header::parse(&bytes), Some(Header { rate, audio }));
    }

    #[test]
    fn another_kind_of_wav_is_none_of_ours() {
        let ours = Header {
            rate: 8_000,
            audio: 9,
        }
        .bytes();
        for at in (0..HEADER).filter(|at| !matches!(at, 4..8 | 40..44)) {
            let mut bytes = ours;
            bytes[at] ^= 0x41;
            assert_eq!(Header::parse(&bytes), None, "byte {at}");
        }
    }
}
