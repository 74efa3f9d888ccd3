//! The clip library: the one owner of the clips in memory, and of the speech kept on disk.
//!
//! Control asks by [`ClipLibrary::request`] and never waits. Each prompt is loaded once however many
//! callers want it at that moment; the clips used last stay in memory up to a number of bytes, and
//! speech stays on disk, under the hash of engine, voice and text, up to another.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use media::source::Clip;
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{self, JoinSet};

use super::file::{self, FileError};
use super::speech::{Tts, TtsError, Utterance};
use super::{compose, level};
use crate::call::Prompt;

/// Where things are, and how much may be kept.
#[derive(Clone, Debug)]
pub struct Installation {
    /// The folder of prompt files; music lies in its folder `music`.
    pub prompts: PathBuf,
    /// Where spoken text is kept; `None` keeps none on disk.
    pub speech_cache: Option<PathBuf>,
    /// Bytes of clips in memory.
    pub memory_max: usize,
    /// Bytes of speech on disk.
    pub disk_max: u64,
    /// Requests that may wait, and prompts that may be loading at once.
    pub requests_max: usize,
}

impl Installation {
    /// Prompts below `prompts`, speech below `data`; 64 MiB in memory (over half an hour), 256 MiB on disk.
    pub fn new(prompts: PathBuf, data: &Path) -> Self {
        Self {
            prompts,
            speech_cache: Some(data.join("speech")),
            memory_max: 64 << 20,
            disk_max: 256 << 20,
            requests_max: 1_024,
        }
    }
}

/// Why there is no clip. Cheap to clone: everybody who waits for a prompt gets it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LoadError {
    /// A prompt or music file.
    #[error("{0}")]
    File(Arc<FileError>),
    /// The speech engine.
    #[error("speech: {0}")]
    Speech(#[from] TtsError),
    /// A tone that does not exist.
    #[error("there is no tone {name:?}; there are: {}", tones())]
    Tone {
        /// The name asked for.
        name: String,
    },
    /// Longer than a clip may be.
    #[error("{0}")]
    TooLong(#[from] media::source::ClipError),
    /// The library is [`Overloaded`], has stopped, or broke on this prompt.
    #[error("the prompt library cannot take the request")]
    Unavailable,
}

fn tones() -> String {
    compose::TONES.map(|(name, _)| name).join(", ")
}

impl From<FileError> for LoadError {
    fn from(error: FileError) -> Self {
        Self::File(Arc::new(error))
    }
}

/// Too many requests wait already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the prompt library is behind")]
pub struct Overloaded;

/// Resolves to the clip. If the library stops meanwhile it resolves to an error of the channel.
pub type Loading = oneshot::Receiver<Result<Arc<Clip>, LoadError>>;

type Reply = oneshot::Sender<Result<Arc<Clip>, LoadError>>;

/// A handle to the library. Clones share it; it stops when the last one is dropped.
#[derive(Clone, Debug)]
pub struct ClipLibrary {
    requests: mpsc::Sender<Request>,
}

impl ClipLibrary {
    /// Starts the library in `tasks`.
    pub fn start(
        tasks: &mut JoinSet<()>,
        installation: Installation,
        engine: Arc<dyn Tts>,
    ) -> Self {
        let (requests, queue) = mpsc::channel(installation.requests_max);
        tasks.spawn(Library::new(installation, engine).serve(queue));
        Self { requests }
    }

    /// Asks for a clip without waiting.
    ///
    /// # Errors
    /// [`Overloaded`] when the queue is full, or the library has stopped.
    pub fn request(&self, prompt: Prompt) -> Result<Loading, Overloaded> {
        let (reply, loading) = oneshot::channel();
        self.requests
            .try_send(Request { prompt, reply })
            .map_err(|_| Overloaded)?;
        Ok(loading)
    }

    /// Loads a clip.
    ///
    /// # Errors
    /// [`LoadError`] says what is missing or wrong.
    pub async fn load(&self, prompt: Prompt) -> Result<Arc<Clip>, LoadError> {
        let loading = self
            .request(prompt)
            .map_err(|Overloaded| LoadError::Unavailable)?;
        loading.await.unwrap_or(Err(LoadError::Unavailable))
    }
}

struct Request {
    prompt: Prompt,
    reply: Reply,
}

/// What a clip was made from, so that a file that was replaced is read again.
type Stamp = Option<(SystemTime, u64)>;

struct Kept {
    clip: Arc<Clip>,
    stamp: Stamp,
    used: u64,
}

struct Loaded {
    prompt: Prompt,
    stamp: Stamp,
    clip: Result<Arc<Clip>, LoadError>,
}

struct Library {
    installation: Arc<Installation>,
    engine: Arc<dyn Tts>,
    kept: HashMap<Prompt, Kept>,
    kept_bytes: usize,
    uses: u64,
    waiting: HashMap<Prompt, Vec<Reply>>,
    by_task: HashMap<task::Id, Prompt>,
    loads: JoinSet<Loaded>,
}

impl Library {
    fn new(installation: Installation, engine: Arc<dyn Tts>) -> Self {
        Self {
            installation: Arc::new(installation),
            engine,
            kept: HashMap::new(),
            kept_bytes: 0,
            uses: 0,
            waiting: HashMap::new(),
            by_task: HashMap::new(),
            loads: JoinSet::new(),
        }
    }

    async fn serve(mut self, mut requests: mpsc::Receiver<Request>) {
        loop {
            let room = self.loads.len() < self.installation.requests_max;
            tokio::select! {
                request = requests.recv(), if room => match request {
                    Some(request) => self.ask(request),
                    None => return,
                },
                Some(ended) = self.loads.join_next_with_id() => match ended {
                    Ok((task, loaded)) => {
                        self.by_task.remove(&task);
                        self.loaded(loaded);
                    }
                    Err(error) => {
                        tracing::error!(%error, "loading a prompt broke");
                        if let Some(prompt) = self.by_task.remove(&error.id()) {
                            let clip = Err(LoadError::Unavailable);
                            self.loaded(Loaded { prompt, stamp: None, clip });
                        }
                    }
                },
            }
        }
    }

    fn ask(&mut self, Request { prompt, reply }: Request) {
        if let Some(waiting) = self.waiting.get_mut(&prompt) {
            if waiting.len() < self.installation.requests_max {
                waiting.push(reply);
            } else {
                // The asker may be gone; nobody else cares.
                let _ = reply.send(Err(LoadError::Unavailable));
            }
            return;
        }
        self.uses += 1;
        let from_disk = matches!(prompt, Prompt::File(_) | Prompt::Music(_));
        let known = self.kept.get_mut(&prompt).map(|kept| {
            kept.used = self.uses;
            (Arc::clone(&kept.clip), kept.stamp)
        });
        if let Some((clip, _)) = known.as_ref().filter(|_| !from_disk) {
            let _ = reply.send(Ok(Arc::clone(clip)));
            return;
        }
        self.waiting.insert(prompt.clone(), vec![reply]);
        let work = load(
            Arc::clone(&self.installation),
            Arc::clone(&self.engine),
            prompt.clone(),
            known,
        );
        let task = self.loads.spawn(work);
        self.by_task.insert(task.id(), prompt);
    }

    fn loaded(
        &mut self,
        Loaded {
            prompt,
            stamp,
            clip,
        }: Loaded,
    ) {
        for reply in self.waiting.remove(&prompt).unwrap_or_default() {
            // Whoever hung up meanwhile does not need it.
            let _ = reply.send(clip.clone());
        }
        match clip {
            Ok(clip) if !matches!(prompt, Prompt::Silence(_)) => self.keep(prompt, clip, stamp),
            Ok(_) | Err(_) => {}
        }
    }

    fn keep(&mut self, prompt: Prompt, clip: Arc<Clip>, stamp: Stamp) {
        self.uses += 1;
        self.kept_bytes += bytes_of(&clip);
        let kept = Kept {
            clip,
            stamp,
            used: self.uses,
        };
        if let Some(older) = self.kept.insert(prompt, kept) {
            self.kept_bytes = self.kept_bytes.saturating_sub(bytes_of(&older.clip));
        }
        while self.kept_bytes > self.installation.memory_max && self.kept.len() > 1 {
            let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.used);
            let Some(prompt) = oldest.map(|(prompt, _)| prompt.clone()) else {
                return;
            };
            if let Some(kept) = self.kept.remove(&prompt) {
                self.kept_bytes = self.kept_bytes.saturating_sub(bytes_of(&kept.clip));
            }
        }
    }
}

/// Linear samples and two encodings.
fn bytes_of(clip: &Clip) -> usize {
    clip.samples().len() * 4 + 64
}

async fn load(
    installation: Arc<Installation>,
    engine: Arc<dyn Tts>,
    prompt: Prompt,
    known: Option<(Arc<Clip>, Stamp)>,
) -> Loaded {
    let made = match prompt.clone() {
        Prompt::Speech { text, voice, lang } => {
            let utterance = Utterance { text, voice, lang };
            speak(&installation, &*engine, utterance)
                .await
                .map(|clip| (clip, None))
        }
        other => {
            let work = move || make(&installation, &other, known);
            task::spawn_blocking(work)
                .await
                .unwrap_or(Err(LoadError::Unavailable))
        }
    };
    match made {
        Ok((clip, stamp)) => Loaded {
            prompt,
            stamp,
            clip: Ok(clip),
        },
        Err(error) => Loaded {
            prompt,
            stamp: None,
            clip: Err(error),
        },
    }
}

fn make(
    installation: &Installation,
    prompt: &Prompt,
    known: Option<(Arc<Clip>, Stamp)>,
) -> Result<(Arc<Clip>, Stamp), LoadError> {
    match prompt {
        Prompt::File(name) => read(&installation.prompts, name, known),
        Prompt::Music(name) if name == DEFAULT_MUSIC => match known {
            Some(known) => Ok(known),
            None => Ok((clip_of(compose::music())?, None)),
        },
        Prompt::Music(name) => read(&installation.prompts.join("music"), name, known),
        Prompt::Tone(name) => {
            let samples = compose::tone(name).ok_or(LoadError::Tone { name: name.clone() })?;
            Ok((clip_of(samples)?, None))
        }
        Prompt::Silence(length) => Ok((silence(*length)?, None)),
        Prompt::Speech { .. } => Err(LoadError::Unavailable),
    }
}

fn read(
    folder: &Path,
    name: &str,
    known: Option<(Arc<Clip>, Stamp)>,
) -> Result<(Arc<Clip>, Stamp), LoadError> {
    let path = file::locate(folder, name)?;
    let stamp = stamp_of(&path);
    match known {
        Some((clip, before)) if before.is_some() && before == stamp => Ok((clip, stamp)),
        _ => Ok((clip_of(file::read(&path)?)?, stamp)),
    }
}

fn stamp_of(path: &Path) -> Stamp {
    let data = std::fs::metadata(path).ok()?;
    Some((data.modified().ok()?, data.len()))
}

fn clip_of(samples: Vec<i16>) -> Result<Arc<Clip>, LoadError> {
    Ok(Arc::new(Clip::from_pcm8k(samples)?))
}

fn silence(length: Duration) -> Result<Arc<Clip>, LoadError> {
    let millis = length
        .min(Clip::LONGEST + Duration::from_secs(1))
        .as_millis();
    clip_of(vec![0; usize::try_from(millis).unwrap_or(usize::MAX) * 8])
}

async fn speak(
    installation: &Installation,
    engine: &dyn Tts,
    utterance: Utterance,
) -> Result<Arc<Clip>, LoadError> {
    let path = installation
        .speech_cache
        .as_ref()
        .map(|folder| folder.join(key(engine, &utterance)));
    if let Some(path) = path.clone() {
        let kept = task::spawn_blocking(move || file::read(&path).ok())
            .await
            .ok()
            .flatten();
        if let Some(samples) = kept {
            return clip_of(samples);
        }
    }
    let speech = engine.speak(&utterance).await?;
    let disk_max = installation.disk_max;
    let work = move || {
        let rate = |error: level::RateError| TtsError::Failed(error.to_string());
        let mut samples = level::to_8k(&speech.samples, speech.rate).map_err(rate)?;
        level::settle(&mut samples);
        let samples = level::to_pcm(&samples);
        if let Some(path) = path
            && let Err(error) = store(&path, &samples, disk_max)
        {
            tracing::warn!(path = %path.display(), %error, "spoken text not kept on disk");
        }
        clip_of(samples)
    };
    task::spawn_blocking(work)
        .await
        .unwrap_or(Err(LoadError::Unavailable))
}

/// The file of an utterance: a hash, so that no text is readable from the folder.
fn key(engine: &dyn Tts, utterance: &Utterance) -> String {
    let mut hash = Sha256::new();
    let parts = [
        Some(engine.name()),
        utterance.voice.as_deref(),
        utterance.lang.as_deref(),
    ];
    for part in parts.into_iter().chain([Some(utterance.text.as_str())]) {
        let part = part.unwrap_or("\u{0}");
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let hex: String = digest
        .iter()
        .take(20)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{hex}.wav")
}

/// Writes beside and renames, then makes room: the speech used longest ago goes first.
fn store(path: &Path, samples: &[i16], disk_max: u64) -> Result<(), hound::Error> {
    let Some(folder) = path.parent() else {
        return Ok(());
    };
    std::fs::create_dir_all(folder)?;
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: level::RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let beside = path.with_extension("new");
    let mut writer = hound::WavWriter::create(&beside, spec)?;
    for &sample in samples {
        writer.write_sample(sample)?;
    }
    writer.finalize()?;
    std::fs::rename(&beside, path)?;
    make_room(folder, disk_max)?;
    Ok(())
}

fn make_room(folder: &Path, disk_max: u64) -> std::io::Result<()> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let data = entry.metadata()?;
        let used = data.accessed().or_else(|_| data.modified())?;
        files.push((used, data.len(), entry.path()));
    }
    let mut total: u64 = files.iter().map(|(_, length, _)| length).sum();
    files.sort();
    for (_, length, path) in files {
        if total <= disk_max {
            break;
        }
        std::fs::remove_file(path)?;
        total = total.saturating_sub(length);
    }
    Ok(())
}

/// The music that ships.
const DEFAULT_MUSIC: &str = "default";
