//! Notes of recordings that are open: what a start after a crash wants to know of them. A line is added
//! when a hole begins and when it ends, so that holes outlive the process too.
//!
//! ```text
//! file 2026-11-20/c0000000000000001.wav
//! id 1 1
//! began 1795216512000
//! rate 16000
//! hole 320000 paused
//! until 480000
//! ```

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::hole::{Hole, Holes};
use super::{Ending, Order, Recorded, RecordingId, disk, length_of, name, track};

/// The note of one open recording.
#[derive(Debug)]
pub(super) struct Note {
    path: PathBuf,
    /// Without it the recording still plays, to its last whole second.
    file: Option<File>,
}

impl Note {
    /// Notes that a recording is open.
    pub(super) fn make(folder: &Path, path: &Path, order: &Order) -> Self {
        let RecordingId { call, part } = order.id;
        let note = folder.join(format!("{call:016x}-{part}"));
        let mut options = OpenOptions::new();
        let made = options.create(true).write(true).truncate(true).open(&note);
        let mut made = Self {
            path: note,
            file: made.ok(),
        };
        let path = path.display();
        let (began, rate) = (order.began_ms, order.rate);
        made.line(format_args!(
            "file {path}\nid {call} {part}\nbegan {began}\nrate {rate}"
        ));
        made
    }

    /// A hole begins.
    pub(super) fn hole(&mut self, hole: &Hole) {
        self.line(format_args!("hole {} {}", hole.at, hole.why));
    }

    /// The last hole ends before that sample.
    pub(super) fn until(&mut self, at: u64) {
        self.line(format_args!("until {at}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let written = self.file.as_mut().map(|file| writeln!(file, "{line}"));
        if let Some(Err(error)) = written {
            tracing::warn!(note = %self.path.display(), %error, "recording not noted");
            self.file = None;
        }
    }

    /// The recording is closed.
    pub(super) fn remove(self) {
        // An absent note means that there is nothing to mend.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Mends every recording below `folder` that a crash left open, and tells what they are.
///
/// # Errors
/// When the notes cannot be listed.
pub(super) fn mend(folder: &Path, notes: &Path) -> io::Result<Vec<Recorded>> {
    let mut mended = Vec::new();
    for entry in std::fs::read_dir(notes)? {
        let note = entry?.path();
        let mut text = String::new();
        let read = File::open(&note)?.take(NOTE_MAX).read_to_string(&mut text);
        let found = read.ok().and_then(|_| read_note(&text));
        if let Some(found) = found.filter(|found| name::check(&found.path).is_ok()) {
            mended.push(mend_one(folder, found));
        }
        std::fs::remove_file(&note)?;
    }
    Ok(mended)
}

fn mend_one(folder: &Path, mut found: Recorded) -> Recorded {
    let path = folder.join(&found.path);
    found.sealed_by = disk::sealed_by(&path).ok().flatten();
    // What only its key opens is read up to its last whole chunk as it is.
    if found.sealed_by.is_none() {
        match track::mend(&path) {
            Ok((samples, rate)) => found.length = length_of(samples, rate),
            Err(error) => {
                tracing::warn!(path = %found.path.display(), %error, "not mended");
                found.ending = Ending::Failed(error.to_string());
            }
        }
    }
    // A hole that was open lasts to the end.
    let end = found.length.as_nanos() * u128::from(found.rate) / 1_000_000_000;
    let end = u64::try_from(end).unwrap_or(u64::MAX);
    if let Some(last) = found.holes.last_mut().filter(|hole| hole.samples == 0) {
        last.samples = end.saturating_sub(last.at);
    }
    found.missing = length_of(Holes(found.holes.clone()).missing(), found.rate);
    found
}

/// Reads a note; `None` without a file's name in it.
fn read_note(text: &str) -> Option<Recorded> {
    let mut found = Recorded {
        id: RecordingId { call: 0, part: 0 },
        path: PathBuf::new(),
        began_ms: 0,
        rate: 8_000,
        length: Duration::ZERO,
        holes: Vec::new(),
        missing: Duration::ZERO,
        sealed_by: None,
        ending: Ending::Crashed,
    };
    for line in text.lines() {
        let (word, rest) = line.split_once(' ')?;
        let two = rest.split_once(' ').unwrap_or((rest, ""));
        match word {
            "file" => found.path = rest.into(),
            "id" => {
                found.id.call = two.0.parse().ok()?;
                found.id.part = two.1.parse().ok()?;
            }
            "began" => found.began_ms = rest.parse().ok()?,
            "rate" => found.rate = rest.parse().ok().filter(|rate| *rate > 0)?,
            "hole" => {
                let (at, why) = (two.0.parse().ok()?, two.1.parse().ok()?);
                let samples = 0;
                found.holes.push(Hole { at, samples, why });
            }
            "until" => {
                let until: u64 = rest.parse().ok()?;
                if let Some(last) = found.holes.last_mut() {
                    last.samples = until.saturating_sub(last.at);
                }
            }
            _ => {}
        }
    }
    (!found.path.as_os_str().is_empty()).then_some(found)
}

/// More than a note of [`super::hole::HOLES_MAX`] holes has.
const NOTE_MAX: u64 = 256 * 1_024;
