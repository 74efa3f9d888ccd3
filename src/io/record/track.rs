//! The sound of a recording as a file of one format, playable at any moment of its making.
//!
//! A WAV's header is written again after each second of audio, an Ogg's page ends after each second: so
//! whoever opens the file, also after the process has died, finds a valid one.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use media::file::opus::{self, OggOpus};
use media::file::wav::{AUDIO_MAX, BLOCK, HEADER, Header};
use media::tap::TAP_SAMPLES;

use super::disk::Disk;

/// What recordings look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Stereo WAV of 16 bits.
    Wav,
    /// Ogg/Opus of two sides.
    Opus {
        /// Bits per second for each side.
        bitrate: u32,
    },
}

/// An open recording's sound.
#[derive(Debug)]
pub(super) struct Track {
    disk: Disk,
    rate: u32,
    /// Samples of each side so far.
    samples: u64,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    /// Bytes of audio that the header tells of.
    Wav {
        told: u64,
    },
    Opus(Box<OggOpus>),
}

impl Track {
    /// Begins a file; nothing is written yet.
    ///
    /// # Errors
    /// None in practice.
    pub(super) fn new(mut disk: Disk, format: Format, rate: u32) -> io::Result<Self> {
        let shape = match format {
            Format::Wav => {
                // An encrypted header cannot be written again: it tells of more than there is.
                let audio = if disk.is_sealed() { AUDIO_MAX } else { 0 };
                disk.plain().extend(Header { rate, audio }.bytes());
                Shape::Wav { told: 0 }
            }
            Format::Opus { bitrate } => {
                let mut serial = [0; 4];
                getrandom::fill(&mut serial).map_err(io::Error::other)?;
                let mut pages = OggOpus::new(rate, bitrate, u32::from_le_bytes(serial))?;
                disk.plain().append(pages.bytes());
                Shape::Opus(Box::new(pages))
            }
        };
        Ok(Self {
            disk,
            rate,
            samples: 0,
            shape,
        })
    }

    /// Samples of each side so far, written or waiting.
    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    /// Appends one frame, to memory.
    ///
    /// # Errors
    /// When so much waits that it had to be written, and the disk refuses; the frame waits too then.
    pub(super) fn push(
        &mut self,
        left: &[i16; TAP_SAMPLES],
        right: &[i16; TAP_SAMPLES],
    ) -> io::Result<()> {
        match &mut self.shape {
            Shape::Wav { .. } => {
                let sides = left.iter().zip(right);
                let bytes =
                    sides.flat_map(|(left, right)| [left.to_le_bytes(), right.to_le_bytes()]);
                self.disk.plain().extend(bytes.flatten());
            }
            Shape::Opus(pages) => {
                pages.push(left, right)?;
                self.disk.plain().append(pages.bytes());
            }
        }
        self.samples += TAP_SAMPLES as u64;
        match self.disk.is_full() {
            true => self.flush(false),
            false => Ok(()),
        }
    }

    /// Appends so many frames of silence. What a disk refuses is not appended: [`Track::samples`] tells
    /// how much was.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn silence(&mut self, frames: u64) -> io::Result<()> {
        let samples = frames * TAP_SAMPLES as u64;
        match &mut self.shape {
            Shape::Wav { .. } if samples * BLOCK >= SPARSE && !self.disk.is_sealed() => {
                self.disk.leave_out(samples * BLOCK)?;
                self.samples += samples;
                self.flush(true)
            }
            Shape::Wav { .. } => {
                for _ in 0..frames {
                    self.push(&[0; TAP_SAMPLES], &[0; TAP_SAMPLES])?;
                }
                Ok(())
            }
            Shape::Opus(pages) => {
                pages.silence(samples)?;
                self.disk.plain().append(pages.bytes());
                self.samples += samples;
                self.flush(true)
            }
        }
    }

    /// Hands what waits to the system, and tells of it in the header once a second of audio.
    ///
    /// # Errors
    /// When the disk refuses; what was to be written waits.
    pub(super) fn flush(&mut self, second: bool) -> io::Result<()> {
        self.disk.flush(second)?;
        if let Shape::Wav { told } = self.shape
            && self.audio() >= told + u64::from(self.rate) * BLOCK
        {
            self.tell()?;
        }
        Ok(())
    }

    /// Waits until the disk has everything.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.tell()?;
        self.disk.sync()
    }

    /// Ends the file.
    ///
    /// # Errors
    /// When the disk refuses; the file then plays as far as it was written.
    pub(super) fn close(mut self, sync: bool) -> io::Result<()> {
        if let Shape::Opus(pages) = &mut self.shape {
            pages.finish()?;
            self.disk.plain().append(pages.bytes());
        }
        let finished = self.disk.finish();
        self.tell()?;
        if sync {
            self.disk.sync()?;
        }
        finished
    }

    /// Bytes of audio that the system has, of a WAV.
    fn audio(&self) -> u64 {
        self.disk.written().saturating_sub(HEADER as u64)
    }

    fn tell(&mut self) -> io::Result<()> {
        let (audio, rate) = (self.audio(), self.rate);
        if let Shape::Wav { told } = &mut self.shape
            && self.disk.written() > 0
        {
            self.disk.patch(&Header { rate, audio }.bytes())?;
            *told = audio;
        }
        Ok(())
    }
}

/// Makes a file that was not closed one that ends well: a WAV's header tells of all of it, and what
/// stands behind an Ogg's last whole page is cut off. Gives its samples and its rate; 0 for a rate that it
/// does not tell.
///
/// # Errors
/// When the file cannot be read or written, or is none of ours.
pub fn mend(path: &Path) -> io::Result<(u64, u32)> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut found = [0; HEADER];
    file.read_exact_at(&mut found, 0)?;
    match Header::parse(&found) {
        Some(header) => mend_wav(&file, header.rate),
        None if found.starts_with(b"OggS") => mend_ogg(&file),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn mend_wav(file: &File, rate: u32) -> io::Result<(u64, u32)> {
    let audio = file.metadata()?.len().saturating_sub(HEADER as u64);
    let audio = audio - audio % BLOCK;
    file.set_len(HEADER as u64 + audio)?;
    file.write_all_at(&Header { rate, audio }.bytes(), 0)?;
    file.sync_all()?;
    Ok((audio / BLOCK, rate))
}

fn mend_ogg(file: &File) -> io::Result<(u64, u32)> {
    let whole = opus::whole_pages(&mut io::BufReader::new(file))?;
    if whole.pages == 0 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    file.set_len(whole.bytes)?;
    file.sync_all()?;
    Ok((whole.ticks, opus::TICKS as u32))
}

/// A silence of so many bytes is left out of a WAV instead of written.
const SPARSE: u64 = 64 * 1_024;
