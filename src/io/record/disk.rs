//! Bytes on their way into a file, encrypted or as they are. While the disk has no room they are kept,
//! and written at the same place later: nothing is written twice, and nothing with a hole in it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use media::file::seal::{self, CHUNK_MAX, Key, Sealer};

/// A file in the making.
#[derive(Debug)]
pub(super) struct Disk {
    file: File,
    sealer: Option<Sealer>,
    /// What the file has.
    at: u64,
    /// What comes next, before it is encrypted.
    plain: Vec<u8>,
    /// What is written next, as it is.
    ready: Vec<u8>,
}

impl Disk {
    /// Makes a new file, whose contents only `key` opens, if one is given.
    ///
    /// # Errors
    /// When the file exists or cannot be made.
    pub(super) fn create(path: &Path, key: Option<&Key>) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        Self::over(file, key)
    }

    pub(super) fn over(file: File, key: Option<&Key>) -> io::Result<Self> {
        let mut ready = Vec::new();
        let sealer = match key {
            None => None,
            Some(key) => {
                let (mut own, mut nonce) = ([0; 32], [0; 12]);
                getrandom::fill(&mut own).map_err(io::Error::other)?;
                getrandom::fill(&mut nonce).map_err(io::Error::other)?;
                let made = Sealer::new(key, &Key::new(own), nonce);
                let (sealer, header) = made.map_err(io::Error::other)?;
                ready.extend(header);
                Some(sealer)
            }
        };
        Ok(Self {
            file,
            sealer,
            at: 0,
            plain: Vec::new(),
            ready,
        })
    }

    /// Where to append what comes next.
    pub(super) fn plain(&mut self) -> &mut Vec<u8> {
        &mut self.plain
    }

    /// Whether so much waits that it should be flushed before more comes.
    pub(super) fn is_full(&self) -> bool {
        self.plain.len() >= BUFFER
    }

    /// Whether the file is encrypted: then it only grows.
    pub(super) fn is_sealed(&self) -> bool {
        self.sealer.is_some()
    }

    /// Bytes that the system has.
    pub(super) fn written(&self) -> u64 {
        self.at
    }

    /// Hands what waits to the system. A chunk of an encrypted file is made of what waits when it is
    /// much, or when a second is over.
    ///
    /// # Errors
    /// When the disk refuses: all that waited still waits.
    pub(super) fn flush(&mut self, second: bool) -> io::Result<()> {
        self.write()?;
        if !self.is_sealed() || second || self.is_full() {
            self.prepare(false)?;
        }
        self.write()
    }

    /// Overwrites the beginning of a file that is not encrypted.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn patch(&self, bytes: &[u8]) -> io::Result<()> {
        match self.is_sealed() {
            true => Ok(()),
            false => self.file.write_all_at(bytes, 0),
        }
    }

    /// Leaves out so many bytes, which read as zeros and take no room.
    ///
    /// # Errors
    /// When the disk refuses what comes before them; an encrypted file knows no such thing.
    pub(super) fn leave_out(&mut self, bytes: u64) -> io::Result<()> {
        if self.is_sealed() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.flush(true)?;
        self.file.set_len(self.at + bytes)?;
        self.at += bytes;
        Ok(())
    }

    /// Waits until the disk has what the system has.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Writes what waits, and that it is the end.
    ///
    /// # Errors
    /// When the disk refuses; the file then has what it had.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.write()?;
        self.prepare(true)?;
        self.write()
    }

    fn prepare(&mut self, last: bool) -> io::Result<()> {
        let Some(sealer) = &mut self.sealer else {
            self.ready.append(&mut self.plain);
            return Ok(());
        };
        let (mut rest, ready) = (self.plain.as_slice(), &mut self.ready);
        while let Some((chunk, more)) = rest.split_at_checked(CHUNK_MAX) {
            sealer.seal(chunk, false, ready).map_err(io::Error::other)?;
            rest = more;
        }
        if last || !rest.is_empty() {
            sealer.seal(rest, last, ready).map_err(io::Error::other)?;
        }
        self.plain.clear();
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        if !self.ready.is_empty() {
            self.file.write_all_at(&self.ready, self.at)?;
            self.at += self.ready.len() as u64;
            self.ready.clear();
        }
        Ok(())
    }
}

/// The name of the key that opens the file at `path`, if it is encrypted.
///
/// # Errors
/// When it cannot be read.
pub(super) fn sealed_by(path: &Path) -> io::Result<Option<seal::KeyId>> {
    let mut header = [0; seal::HEADER];
    match File::open(path)?.read_exact_at(&mut header, 0) {
        Ok(()) => Ok(seal::key_of(&header)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Half a second of wideband stereo.
const BUFFER: usize = 32 * 1_024;
