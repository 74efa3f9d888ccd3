//! The recorder: one thread that empties every tap ring into a stereo WAV below one folder.
//!
//! ```text
//!  media worker ── Tap ──▶ ring of TapFrame ──▶ recorder thread ──▶ NAME.wav   (left peer, right heard)
//!                          full: newest dropped                      └──▶ RecordingEvent ──▶ control
//! ```
//!
//! Law: a recording never holds up audio. Frames that the ring had no room for are silence in the
//! file, of the right length, and counted. A recording ends when its tap is dropped; a file is
//! playable at any moment, also after `kill -9`, up to its last whole second.

mod name;
mod wav;

pub use name::{RecordingFacts, Template, TemplateError};
pub use wav::Wav;

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use media::tap::TapFrame;
use rtrb::Consumer;
use tokio::sync::mpsc;

/// Names one recording; chosen by control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordingId(pub u64);

/// When what is written must have reached the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// When the system likes; a power cut may cost half a minute.
    Never,
    /// When the recording ends.
    AtEnd,
    /// Also after each such length of audio.
    Every(Duration),
}

/// How recordings are kept.
#[derive(Clone, Debug)]
pub struct RecorderConfig {
    /// The folder below which all recordings lie.
    pub folder: PathBuf,
    /// When to reach the disk.
    pub sync: Sync,
    /// Recordings at once.
    pub recordings_max: usize,
    /// A longer recording is ended there, and said to be.
    pub length_max: Duration,
}

impl RecorderConfig {
    /// Recordings below `folder`, on disk when they end, 4,096 at once, eight hours each.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            sync: Sync::AtEnd,
            recordings_max: 4_096,
            length_max: Duration::from_secs(8 * 3_600),
        }
    }
}

/// Frames of 20 ms that a tap's ring should hold: five seconds, for a disk that stalls.
pub const RING_FRAMES: usize = 250;

/// What became of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Which one.
    pub id: RecordingId,
    /// The file below the folder; its name may have got a number to be unique.
    pub path: PathBuf,
    /// How long it plays.
    pub length: Duration,
    /// Places where frames were lost, and filled with silence.
    pub gaps: u64,
    /// How much silence was filled in altogether.
    pub missing: Duration,
    /// Why it ended.
    pub ending: Ending,
}

/// Why a recording ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its tap was taken off.
    Complete,
    /// It reached the longest length.
    TooLong,
    /// The recorder was stopped.
    Stopped,
    /// The disk is full; the file plays up to there.
    DiskFull,
    /// The file could not be made or written.
    Failed(String),
}

/// The recorder has as many recordings, or as many requests, as it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the recorder is full")]
pub struct RecorderFull;

/// A handle to the recorder thread.
#[derive(Debug)]
pub struct Recorder {
    requests: Option<SyncSender<Request>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Request {
    id: RecordingId,
    path: PathBuf,
    tap: Consumer<TapFrame>,
}

impl Recorder {
    /// Mends what a crash left open, and starts the thread. The receiver tells how recordings ended.
    ///
    /// # Errors
    /// When the folder cannot be made or the thread not started.
    pub fn start(config: RecorderConfig) -> io::Result<(Self, mpsc::Receiver<Recorded>)> {
        fs::create_dir_all(config.folder.join(OPEN))?;
        let mended = mend(&config.folder)?;
        if mended > 0 {
            tracing::warn!(mended, "recordings were left open by a crash; mended");
        }
        let (requests, queue) = sync_channel(REQUESTS_MAX);
        let (events, ended) = mpsc::channel(REQUESTS_MAX);
        let bench = Bench {
            config,
            events,
            open: BTreeMap::new(),
            untold: VecDeque::new(),
        };
        let thread = std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || bench.work(&queue))?;
        Ok((
            Self {
                requests: Some(requests),
                thread: Some(thread),
            },
            ended,
        ))
    }

    /// Records what comes out of `tap` into `path` below the folder, until the tap is dropped. Never
    /// waits; whether the file can be made is told by its [`Recorded`].
    ///
    /// # Errors
    /// [`RecorderFull`] when too many requests wait.
    pub fn record(
        &self,
        id: RecordingId,
        path: PathBuf,
        tap: Consumer<TapFrame>,
    ) -> Result<(), RecorderFull> {
        let requests = self.requests.as_ref().ok_or(RecorderFull)?;
        requests
            .try_send(Request { id, path, tap })
            .map_err(|_| RecorderFull)
    }

    /// Ends every recording where it is and waits until all are closed. Blocks on the disk.
    pub fn shutdown(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the recorder broke; recordings end where they were");
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The thread's own things.
struct Bench {
    config: RecorderConfig,
    events: mpsc::Sender<Recorded>,
    open: BTreeMap<RecordingId, Recording>,
    /// Endings that control has had no room for yet.
    untold: VecDeque<Recorded>,
}

struct Recording {
    path: PathBuf,
    note: PathBuf,
    wav: Wav,
    tap: Consumer<TapFrame>,
    /// The frame that should come next.
    next: u64,
    gaps: u64,
    missing: u64,
    synced: u64,
}

impl Bench {
    fn work(mut self, requests: &Receiver<Request>) {
        loop {
            match requests.recv_timeout(ROUND) {
                Ok(request) => self.begin(request),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            while let Ok(request) = requests.try_recv() {
                self.begin(request);
            }
            self.round();
            self.tell();
        }
        self.round();
        for (id, recording) in std::mem::take(&mut self.open) {
            self.close(id, recording, Ending::Stopped);
        }
        self.tell();
    }

    fn begin(&mut self, Request { id, path, tap }: Request) {
        let opened = if self.open.len() >= self.config.recordings_max {
            Err(io::Error::other("too many recordings at once"))
        } else if self.open.contains_key(&id) {
            Err(io::Error::other("this recording runs already"))
        } else {
            create(&self.config.folder, &path)
        };
        match opened {
            Ok((path, wav)) => {
                let note = self.config.folder.join(OPEN).join(format!("{}.path", id.0));
                // Without its note a file still plays, to its last whole second.
                if let Err(error) = fs::write(&note, path.to_string_lossy().as_bytes()) {
                    tracing::warn!(note = %note.display(), %error, "recording not noted as open");
                }
                let (gaps, missing, synced) = (0, 0, 0);
                let recording = Recording {
                    path,
                    note,
                    wav,
                    tap,
                    next: 0,
                    gaps,
                    missing,
                    synced,
                };
                self.open.insert(id, recording);
            }
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "recording not begun");
                let (length, missing) = (Duration::ZERO, Duration::ZERO);
                let ending = ending_of(&error);
                self.untold.push_back(Recorded {
                    id,
                    path,
                    length,
                    gaps: 0,
                    missing,
                    ending,
                });
            }
        }
    }

    /// Empties every ring once.
    fn round(&mut self) {
        let frames_max = frames_in(self.config.length_max);
        let mut ended = Vec::new();
        for (&id, recording) in &mut self.open {
            // In this order: what was pushed before the tap went is still taken.
            let last = recording.tap.is_abandoned();
            let ending = match recording.drain(frames_max, self.config.sync) {
                Err(error) => Some(ending_of(&error)),
                Ok(()) if recording.next >= frames_max => Some(Ending::TooLong),
                Ok(()) => last.then_some(Ending::Complete),
            };
            if let Some(ending) = ending {
                ended.push((id, ending));
            }
        }
        for (id, ending) in ended {
            if let Some(recording) = self.open.remove(&id) {
                self.close(id, recording, ending);
            }
        }
    }

    fn close(&mut self, id: RecordingId, mut recording: Recording, ending: Ending) {
        let path = std::mem::take(&mut recording.path);
        let length = FRAME * u32::try_from(recording.wav.frames()).unwrap_or(u32::MAX);
        let missing = FRAME * u32::try_from(recording.missing).unwrap_or(u32::MAX);
        let gaps = recording.gaps;
        let closed = recording.wav.close(self.config.sync != Sync::Never);
        let ending = match closed {
            Err(error) if ending == Ending::Complete => ending_of(&error),
            Ok(()) | Err(_) => ending,
        };
        if matches!(ending, Ending::DiskFull | Ending::Failed(_)) {
            tracing::error!(path = %path.display(), ?ending, "recording broken off");
        }
        // An absent note means that there is nothing to mend.
        let _ = fs::remove_file(&recording.note);
        self.untold.push_back(Recorded {
            id,
            path,
            length,
            gaps,
            missing,
            ending,
        });
    }

    fn tell(&mut self) {
        while let Some(recorded) = self.untold.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(recorded)) = self.events.try_send(recorded) {
                self.untold.push_front(recorded);
                return;
            }
        }
    }
}

impl Recording {
    fn drain(&mut self, frames_max: u64, sync: Sync) -> io::Result<()> {
        while let Ok(frame) = self.tap.pop() {
            let index = frame.index.min(frames_max);
            let lost = index.saturating_sub(self.next);
            if lost > 0 {
                self.wav.silence(lost)?;
                self.gaps += 1;
                self.missing += lost;
            }
            self.next = index;
            if self.next >= frames_max {
                break;
            }
            self.wav.push(&frame.left, &frame.right)?;
            self.next += 1;
        }
        self.wav.flush()?;
        if let Sync::Every(length) = sync
            && self.next >= self.synced + frames_in(length)
        {
            self.wav.sync()?;
            self.synced = self.next;
        }
        Ok(())
    }
}

/// Makes the file, with a number before its extension if the name is taken.
fn create(folder: &Path, path: &Path) -> io::Result<(PathBuf, Wav)> {
    name::check(path).map_err(io::Error::other)?;
    let whole = folder.join(path);
    if let Some(parent) = whole.parent() {
        fs::create_dir_all(parent)?;
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    for number in 1..=SAME_NAME_MAX {
        let candidate = match number {
            1 => path.to_owned(),
            _ => path.with_file_name(format!("{stem}-{number}.wav")),
        };
        match Wav::create(&folder.join(&candidate)) {
            Ok(wav) => return Ok((candidate, wav)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Brings the header of every recording that was open at a crash up to what its file holds.
fn mend(folder: &Path) -> io::Result<usize> {
    let mut mended = 0;
    for entry in fs::read_dir(folder.join(OPEN))? {
        let note = entry?.path();
        let path = PathBuf::from(fs::read_to_string(&note)?);
        if name::check(&path).is_ok() {
            match wav::mend(&folder.join(&path)) {
                Ok(()) => mended += 1,
                Err(error) => tracing::warn!(path = %path.display(), %error, "not mended"),
            }
        }
        fs::remove_file(&note)?;
    }
    Ok(mended)
}

fn ending_of(error: &io::Error) -> Ending {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Ending::DiskFull,
        _ => Ending::Failed(error.to_string()),
    }
}

fn frames_in(length: Duration) -> u64 {
    u64::try_from(length.as_millis() / FRAME.as_millis()).unwrap_or(u64::MAX)
}

const FRAME: Duration = Duration::from_millis(20);
/// How often the rings are emptied: twenty times before one is full.
const ROUND: Duration = Duration::from_millis(100);
const REQUESTS_MAX: usize = 1_024;
const SAME_NAME_MAX: u32 = 1_000;
/// Notes of recordings that are open, for [`mend`].
const OPEN: &str = ".open";

#[cfg(test)]
mod tests;
