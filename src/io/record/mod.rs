//! The recorder: one thread that empties every tap ring into a stereo file below one folder.
//!
//! ```text
//!  media worker ── Tap ──▶ ring of TapFrame ──▶ recorder thread ──▶ NAME.wav   (left peer, right heard)
//!                          full: newest dropped                      └──▶ RecordingEvent ──▶ control
//! ```
//!
//! Law: a recording never holds up audio. Frames that the ring or the disk had no room for are silence in
//! the file, of the right length, and told as a hole. A recording ends when its tap is dropped; a file is
//! playable at any moment, also after `kill -9`, up to its last whole second.
//!
//! * [`Recorder`]: the handle and the thread; `recording`: one of many; `mask`, `hole`: what is left out
//! * `track`: WAV or Ogg/Opus; `disk`: bytes, encrypted or not; `note`: what outlives a crash; `name`

mod disk;
mod hole;
mod mask;
mod name;
mod note;
mod recording;
mod track;

pub use hole::{Hole, Why};
pub use name::{RecordingFacts, Template, TemplateError};
pub use track::{Format, mend as mend_file};

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use media::file::seal::{Key, KeyId};
use media::file::wav::{AUDIO_MAX, BLOCK};
use media::tap::{TAP_SAMPLES, TapFrame};
use rtrb::Consumer;
use tokio::sync::mpsc;

use self::disk::Disk;
use self::note::Note;
use self::recording::{Bounds, Made, Recording, Turn};
use self::track::Track;

/// Names one recording; chosen by control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordingId {
    /// The call's number.
    pub call: u64,
    /// Which of the call's recordings, from 1.
    pub part: u32,
}

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
    /// What they look like.
    pub format: Format,
    /// The key that wraps their keys; without one they are not encrypted, but such as bring their own.
    pub key: Option<Key>,
    /// When to reach the disk.
    pub sync: Sync,
    /// Recordings at once.
    pub recordings_max: usize,
    /// A longer recording is ended there, and said to be.
    pub length_max: Duration,
}

impl RecorderConfig {
    /// Recordings below `folder`: WAV, not encrypted, on disk when they end, 4,096 at once, eight hours
    /// each.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            format: Format::Wav,
            key: None,
            sync: Sync::AtEnd,
            recordings_max: 4_096,
            length_max: Duration::from_secs(8 * 3_600),
        }
    }
}

/// What is wanted of the recorder.
#[derive(Clone, Debug)]
pub struct Order {
    /// Which recording.
    pub id: RecordingId,
    /// Its file below the folder; gets a number if there is one of that name.
    pub path: PathBuf,
    /// The tap's rate.
    pub rate: u32,
    /// A key of its own, instead of the configured one.
    pub key: Option<Key>,
    /// When it began, in milliseconds since 1970 UTC.
    pub began_ms: i64,
}

/// What the recorder tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordingEvent {
    /// The disk has no room: the recording has a hole from here on.
    Stalled {
        /// Which.
        id: RecordingId,
        /// Its file.
        path: PathBuf,
    },
    /// The disk has room again.
    Resumed {
        /// Which.
        id: RecordingId,
        /// Its file.
        path: PathBuf,
    },
    /// It is over.
    Ended(Box<Recorded>),
}

/// What became of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Which one.
    pub id: RecordingId,
    /// The file below the folder; its name may have got a number to be unique.
    pub path: PathBuf,
    /// When it began, in milliseconds since 1970 UTC.
    pub began_ms: i64,
    /// Samples per second.
    pub rate: u32,
    /// How long it plays; zero for an encrypted one that a crash cut off.
    pub length: Duration,
    /// Where it holds silence instead of what was said.
    pub holes: Vec<Hole>,
    /// How much of that nobody wanted.
    pub missing: Duration,
    /// The name of the key that opens it, if it is encrypted.
    pub sealed_by: Option<KeyId>,
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
    /// The process died; the file was mended at the next start.
    Crashed,
    /// The disk was full at its end; the file plays up to there.
    DiskFull,
    /// The file could not be made or written.
    Failed(String),
}

impl Ending {
    /// The name in records.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::TooLong => "too-long",
            Self::Stopped => "stopped",
            Self::Crashed => "crashed",
            Self::DiskFull => "disk-full",
            Self::Failed(_) => "failed",
        }
    }
}

/// Frames of 20 ms that a tap's ring should hold: five seconds, for a disk that stalls.
pub const RING_FRAMES: usize = 250;

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
    order: Order,
    tap: Consumer<TapFrame>,
}

impl Recorder {
    /// Mends what a crash left open, and starts the thread. The receiver tells what becomes of recordings,
    /// those that were mended first.
    ///
    /// # Errors
    /// When the folder cannot be made or the thread not started.
    pub fn start(config: RecorderConfig) -> io::Result<(Self, mpsc::Receiver<RecordingEvent>)> {
        let notes = config.folder.join(OPEN);
        fs::create_dir_all(&notes)?;
        let mended = note::mend(&config.folder, &notes)?;
        if !mended.is_empty() {
            let count = mended.len();
            tracing::warn!(count, "recordings were left open by a crash; mended");
        }
        let (requests, queue) = sync_channel(REQUESTS_MAX);
        let (events, ended) = mpsc::channel(REQUESTS_MAX);
        let mended = mended.into_iter().map(Box::new);
        let bench = Bench {
            config,
            notes,
            events,
            open: BTreeMap::new(),
            untold: mended.map(RecordingEvent::Ended).collect(),
            rounds: 0,
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

    /// Records what comes out of `tap` until the tap is dropped. Never waits; whether the file can be made
    /// is told by its [`Recorded`].
    ///
    /// # Errors
    /// [`RecorderFull`] when too many requests wait.
    pub fn record(&self, order: Order, tap: Consumer<TapFrame>) -> Result<(), RecorderFull> {
        let requests = self.requests.as_ref().ok_or(RecorderFull)?;
        let request = Request { order, tap };
        requests.try_send(request).map_err(|_| RecorderFull)
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
    notes: PathBuf,
    events: mpsc::Sender<RecordingEvent>,
    open: BTreeMap<RecordingId, Recording>,
    /// What nobody has had room for yet; bounded by what is open.
    untold: VecDeque<RecordingEvent>,
    rounds: u64,
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
        for (_, recording) in std::mem::take(&mut self.open) {
            self.close(recording, Ending::Stopped);
        }
        self.tell();
    }

    fn begin(&mut self, Request { order, tap }: Request) {
        let opened = if self.open.len() >= self.config.recordings_max {
            Err(io::Error::other("too many recordings at once"))
        } else if self.open.contains_key(&order.id) {
            Err(io::Error::other("this recording runs already"))
        } else {
            self.make(&order)
        };
        match opened {
            Ok(made) => {
                let bounds = self.bounds(&order);
                let recording = Recording::new(order, made, tap, bounds);
                self.open.insert(recording.order().id, recording);
            }
            Err(error) => {
                tracing::error!(path = %order.path.display(), %error, "recording not begun");
                self.untold
                    .push_back(RecordingEvent::Ended(Box::new(Recorded {
                        id: order.id,
                        path: order.path,
                        began_ms: order.began_ms,
                        rate: order.rate,
                        length: Duration::ZERO,
                        holes: Vec::new(),
                        missing: Duration::ZERO,
                        sealed_by: None,
                        ending: ending_of(&error),
                    })));
            }
        }
    }

    fn make(&self, order: &Order) -> io::Result<Made> {
        let key = order.key.as_ref().or(self.config.key.as_ref());
        let (path, disk) = create(&self.config.folder, &order.path, key)?;
        Ok(Made {
            note: Note::make(&self.notes, &path, order),
            track: Track::new(disk, self.config.format, order.rate)?,
            sealed_by: key.map(Key::id),
            path,
        })
    }

    fn bounds(&self, order: &Order) -> Bounds {
        let samples = |length: Duration| {
            let samples = length.as_millis() * u128::from(order.rate) / 1_000;
            u64::try_from(samples).unwrap_or(u64::MAX)
        };
        let longest = samples(self.config.length_max).min(AUDIO_MAX / BLOCK);
        Bounds {
            frames_max: longest / TAP_SAMPLES as u64,
            sync_every: match self.config.sync {
                Sync::Every(length) => Some(samples(length)),
                Sync::Never | Sync::AtEnd => None,
            },
            sync_at_end: self.config.sync != Sync::Never,
        }
    }

    /// Empties every ring once.
    fn round(&mut self) {
        self.rounds += 1;
        let second = self.rounds.is_multiple_of(SECOND_ROUNDS);
        let mut over = Vec::new();
        for (&id, recording) in &mut self.open {
            let turn = recording.round(second);
            let path = recording.path().to_owned();
            match turn {
                Turn::Fine => {}
                Turn::Stalled => self.untold.push_back(RecordingEvent::Stalled { id, path }),
                Turn::Resumed => self.untold.push_back(RecordingEvent::Resumed { id, path }),
                Turn::Over(ending) => over.push((id, ending)),
            }
        }
        for (id, ending) in over {
            if let Some(recording) = self.open.remove(&id) {
                self.close(recording, ending);
            }
        }
    }

    fn close(&mut self, recording: Recording, ending: Ending) {
        let recorded = recording.close(ending);
        let told = RecordingEvent::Ended(Box::new(recorded));
        self.untold.push_back(told);
    }

    fn tell(&mut self) {
        // Of a disk that is full by turns and a listener that is away, the oldest news go.
        while self.untold.len() > UNTOLD_MAX {
            self.untold.pop_front();
        }
        while let Some(event) = self.untold.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) {
                self.untold.push_front(event);
                return;
            }
        }
    }
}

/// Makes the file, with a number after its name if that is taken.
fn create(folder: &Path, path: &Path, key: Option<&Key>) -> io::Result<(PathBuf, Disk)> {
    name::check(path).map_err(io::Error::other)?;
    let whole = folder.join(path);
    if let Some(parent) = whole.parent() {
        fs::create_dir_all(parent)?;
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (stem, rest) = name.split_once('.').unwrap_or((&*name, ""));
    for number in 1..=SAME_NAME_MAX {
        let candidate = match number {
            1 => path.to_owned(),
            _ => path.with_file_name(format!("{stem}-{number}.{rest}")),
        };
        match Disk::create(&folder.join(&candidate), key) {
            Ok(disk) => return Ok((candidate, disk)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn ending_of(error: &io::Error) -> Ending {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Ending::DiskFull,
        _ => Ending::Failed(error.to_string()),
    }
}

/// How long so many samples last.
fn length_of(samples: u64, rate: u32) -> Duration {
    let nanos = u128::from(samples) * 1_000_000_000 / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// How often the rings are emptied: fifty times before one is full.
const ROUND: Duration = Duration::from_millis(100);
/// Rounds in a second, more or less: a request may bring one forward.
const SECOND_ROUNDS: u64 = 10;
const REQUESTS_MAX: usize = 1_024;
const UNTOLD_MAX: usize = 16_384;
const SAME_NAME_MAX: u32 = 1_000;
/// Notes of recordings that are open, for [`note::mend`].
const OPEN: &str = ".open";

#[cfg(test)]
mod tests;
