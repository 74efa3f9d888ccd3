//! One open recording: from its tap's ring into its file.
//!
//! ```text
//!            drained every 100 ms           the disk has no room
//!   ring ──▶ mask ──▶ track ──▶ file   recording ─────────────▶ stalled ─┐ frames are left out,
//!                                          ▲                             │ asked again each second
//!                                          └──── room again: one hole ───┘
//! ```

use std::io;
use std::path::{Path, PathBuf};

use media::file::seal::KeyId;
use media::tap::{TAP_SAMPLES, TapFrame};
use rtrb::Consumer;

use super::hole::{Holes, Why};
use super::mask::KeyMask;
use super::note::Note;
use super::track::Track;
use super::{Ending, Order, Recorded, ending_of, length_of};

/// An open recording.
#[derive(Debug)]
pub(super) struct Recording {
    order: Order,
    path: PathBuf,
    sealed_by: Option<KeyId>,
    bounds: Bounds,
    note: Note,
    track: Track,
    mask: KeyMask,
    tap: Consumer<TapFrame>,
    holes: Holes,
    /// Whether the last frame was one of a hole.
    in_hole: bool,
    /// One past the newest frame that came.
    seen: u64,
    /// Why the next frames that are missing are.
    missing_by: Why,
    /// Whether the disk has no room.
    stalled: bool,
    /// Samples when the disk was last waited for.
    synced: u64,
}

/// What a round of a recording came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It goes on.
    Fine,
    /// The disk has no room from now on.
    Stalled,
    /// The disk has room again.
    Resumed,
    /// It is over.
    Over(Ending),
}

/// What a recording is held to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Frames at most.
    pub(super) frames_max: u64,
    /// Waits for the disk after so many samples.
    pub(super) sync_every: Option<u64>,
    /// Waits for the disk at the end.
    pub(super) sync_at_end: bool,
}

/// A file that was made for a recording.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) path: PathBuf,
    pub(super) note: Note,
    pub(super) track: Track,
    pub(super) sealed_by: Option<KeyId>,
}

impl Recording {
    pub(super) fn new(order: Order, made: Made, tap: Consumer<TapFrame>, bounds: Bounds) -> Self {
        let Made {
            path,
            note,
            track,
            sealed_by,
        } = made;
        Self {
            mask: KeyMask::new(order.rate),
            order,
            path,
            sealed_by,
            bounds,
            note,
            track,
            tap,
            holes: Holes::default(),
            in_hole: false,
            seen: 0,
            missing_by: Why::Lost,
            stalled: false,
            synced: 0,
        }
    }

    /// Which one, for the log and for whoever is told.
    pub(super) fn order(&self) -> &Order {
        &self.order
    }

    /// Its file below the folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Empties the ring once; a `second` is over now and then.
    pub(super) fn round(&mut self, second: bool) -> Turn {
        // In this order: what was pushed before the tap went is still taken.
        let last = self.tap.is_abandoned();
        let resumed = self.stalled && (second || last) && self.resume();
        let stalled_before = self.stalled;
        let done = self.drain(second, last);
        match done {
            Err(error) if ending_of(&error) == Ending::DiskFull => {
                self.stalled = true;
                self.missing_by = Why::DiskFull;
            }
            Err(error) => return Turn::Over(ending_of(&error)),
            Ok(()) => {}
        }
        if self.frames() >= self.bounds.frames_max {
            Turn::Over(Ending::TooLong)
        } else if last {
            Turn::Over(match self.stalled {
                true => Ending::DiskFull,
                false => Ending::Complete,
            })
        } else if self.stalled && !stalled_before && !resumed {
            Turn::Stalled
        } else if resumed && !self.stalled {
            Turn::Resumed
        } else {
            Turn::Fine
        }
    }

    /// Closes the file, and tells what it holds.
    pub(super) fn close(mut self, ending: Ending) -> Recorded {
        // What the disk had no room for at the end is a hole too, though no file shows it.
        let (at, end) = (self.track.samples(), self.seen * TAP_SAMPLES as u64);
        if self.missing_by == Why::DiskFull {
            self.holes.add(at, end.saturating_sub(at), Why::DiskFull);
        }
        let length = length_of(at, self.order.rate);
        let closed = self.track.close(self.bounds.sync_at_end);
        let ending = match closed {
            Err(error) if ending == Ending::Complete => ending_of(&error),
            Ok(()) | Err(_) => ending,
        };
        self.note.remove();
        Recorded {
            id: self.order.id,
            path: self.path,
            began_ms: self.order.began_ms,
            rate: self.order.rate,
            length,
            missing: length_of(self.holes.missing(), self.order.rate),
            holes: self.holes.0,
            sealed_by: self.sealed_by,
            ending,
        }
    }

    fn drain(&mut self, second: bool, last: bool) -> io::Result<()> {
        while let Ok(frame) = self.tap.pop() {
            self.seen = self.seen.max(frame.index + 1);
            if self.stalled {
                continue;
            }
            self.mask.push(frame);
            self.take_all(false)?;
        }
        if self.stalled {
            return Ok(());
        }
        if last {
            self.take_all(true)?;
        }
        self.track.flush(second)?;
        if let Some(every) = self.bounds.sync_every
            && self.track.samples() >= self.synced + every
        {
            self.track.sync()?;
            self.synced = self.track.samples();
        }
        Ok(())
    }

    /// Whether the disk has room again.
    fn resume(&mut self) -> bool {
        self.stalled = self.track.flush(true).is_err();
        !self.stalled
    }

    fn take_all(&mut self, end: bool) -> io::Result<()> {
        while let Some(frame) = self.mask.pop(end) {
            self.take(&frame)?;
        }
        Ok(())
    }

    fn take(&mut self, frame: &TapFrame) -> io::Result<()> {
        let index = frame.index.min(self.bounds.frames_max);
        let lost = index.saturating_sub(self.frames());
        if lost > 0 {
            let why = self.missing_by;
            let before = self.track.samples();
            let filled = self.track.silence(lost);
            self.hole(before, self.track.samples() - before, why);
            filled?;
            self.missing_by = Why::Lost;
        }
        if self.frames() >= self.bounds.frames_max {
            return Ok(());
        }
        let at = self.track.samples();
        match frame.state.paused {
            true => self.hole(at, TAP_SAMPLES as u64, Why::Paused),
            false if self.in_hole => {
                self.in_hole = false;
                self.note.until(at);
            }
            false => {}
        }
        self.track.push(&frame.left, &frame.right)
    }

    fn hole(&mut self, at: u64, samples: u64, why: Why) {
        if self.holes.add(at, samples, why)
            && let Some(hole) = self.holes.0.last()
        {
            if self.in_hole {
                self.note.until(at);
            }
            self.note.hole(hole);
        }
        self.in_hole |= samples > 0;
    }

    fn frames(&self) -> u64 {
        self.track.samples() / TAP_SAMPLES as u64
    }
}
