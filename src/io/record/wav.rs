//! A stereo WAV of 8 kHz and 16 bits that plays at any moment of its making.
//!
//! The header's two lengths are written again after each second of audio, so whoever opens the
//! file, also after the process has died, finds a valid one.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use media::tap::TAP_SAMPLES;

/// An open recording.
#[derive(Debug)]
pub struct Wav {
    file: File,
    buffer: Vec<u8>,
    /// Bytes of audio in the file, without those in `buffer`.
    written: u64,
    /// Bytes of audio that the header tells of.
    told: u64,
}

impl Wav {
    /// Makes a new file; it holds a valid WAV of no length.
    ///
    /// # Errors
    /// When the file exists or cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        Self::over(OpenOptions::new().write(true).create_new(true).open(path)?)
    }

    pub(super) fn over(file: File) -> io::Result<Self> {
        file.write_all_at(&header(0), 0)?;
        Ok(Self {
            file,
            buffer: Vec::with_capacity(BUFFER),
            written: 0,
            told: 0,
        })
    }

    /// Appends one frame.
    ///
    /// # Errors
    /// When the disk refuses; what was written before stays.
    pub fn push(
        &mut self,
        left: &[i16; TAP_SAMPLES],
        right: &[i16; TAP_SAMPLES],
    ) -> io::Result<()> {
        for (left, right) in left.iter().zip(right) {
            self.buffer.extend_from_slice(&left.to_le_bytes());
            self.buffer.extend_from_slice(&right.to_le_bytes());
        }
        if self.buffer.len() >= BUFFER {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Appends `frames` of silence.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn silence(&mut self, frames: u64) -> io::Result<()> {
        for _ in 0..frames {
            self.push(&[0; TAP_SAMPLES], &[0; TAP_SAMPLES])?;
        }
        Ok(())
    }

    /// Hands what is buffered to the system, and the header once a second of audio.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.file
                .write_all_at(&self.buffer, HEADER as u64 + self.written)?;
            self.written += self.buffer.len() as u64;
            self.buffer.clear();
        }
        if self.written >= self.told + SECOND {
            self.tell()
        } else {
            Ok(())
        }
    }

    /// Whole frames of 20 ms in the file.
    pub fn frames(&self) -> u64 {
        (self.written + self.buffer.len() as u64) / FRAME_BYTES
    }

    /// Waits until the disk has everything.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn sync(&mut self) -> io::Result<()> {
        self.tell()?;
        self.file.sync_data()
    }

    /// Ends the file.
    ///
    /// # Errors
    /// As [`Self::push`]; the file then plays as far as it was written.
    pub fn close(mut self, sync: bool) -> io::Result<()> {
        let flushed = self.flush();
        self.tell()?;
        if sync {
            self.file.sync_all()?;
        }
        flushed
    }

    fn tell(&mut self) -> io::Result<()> {
        self.file.write_all_at(&header(self.written), 0)?;
        self.told = self.written;
        Ok(())
    }
}

/// Makes the header of a file that was not closed tell all of the audio it holds.
///
/// # Errors
/// When the file cannot be read or written, or is none of ours.
pub(super) fn mend(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut found = [0; HEADER];
    file.read_exact_at(&mut found, 0)?;
    let ours = header(0);
    let fixed = |bytes: &[u8; HEADER]| [bytes.get(8..40).map(<[u8]>::to_vec)];
    if fixed(&found) != fixed(&ours) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let audio = file.metadata()?.len().saturating_sub(HEADER as u64);
    let whole = audio - audio % BLOCK;
    file.set_len(HEADER as u64 + whole)?;
    file.write_all_at(&header(whole), 0)?;
    file.sync_all()
}

fn header(audio: u64) -> [u8; HEADER] {
    let audio = u32::try_from(audio).unwrap_or(u32::MAX - HEADER as u32);
    let mut bytes =
        *b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x02\0\0\0\0\0\0\0\0\0\x04\0\x10\0data\0\0\0\0";
    let fields = [
        (4, audio + 36),
        (24, RATE),
        (28, RATE * BLOCK as u32),
        (40, audio),
    ];
    for (at, value) in fields {
        if let Some(field) = bytes.get_mut(at..at + 4) {
            field.copy_from_slice(&value.to_le_bytes());
        }
    }
    bytes
}

const RATE: u32 = 8_000;
const HEADER: usize = 44;
/// Bytes of one sample of both sides.
const BLOCK: u64 = 4;
const FRAME_BYTES: u64 = TAP_SAMPLES as u64 * BLOCK;
const SECOND: u64 = RATE as u64 * BLOCK;
/// Five frames: what one round brings.
const BUFFER: usize = 5 * TAP_SAMPLES * BLOCK as usize;
