//! The library over files in a folder of the test's own.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use super::{ClipLibrary, Installation, LoadError, store};
use crate::call::Prompt;
use crate::prompt::speech::{NoSpeech, Speaking, ToneSpeech, Tts, TtsError, Utterance};

/// Counts what the engine is really asked.
#[derive(Default)]
struct Counting(AtomicU64);

impl Tts for Counting {
    fn name(&self) -> &str {
        ToneSpeech.name()
    }

    fn speak<'a>(&'a self, utterance: &'a Utterance) -> Speaking<'a> {
        self.0.fetch_add(1, Ordering::Relaxed);
        ToneSpeech.speak(utterance)
    }
}

struct Scene {
    folder: PathBuf,
    tasks: JoinSet<()>,
}

impl Scene {
    fn new(name: &str) -> Self {
        let folder = format!("tandem-clips-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        std::fs::create_dir_all(folder.join("prompts/music")).unwrap();
        Self {
            folder,
            tasks: JoinSet::new(),
        }
    }

    fn installation(&self) -> Installation {
        Installation::new(self.folder.join("prompts"), &self.folder)
    }

    fn library(&mut self, engine: Arc<dyn Tts>) -> ClipLibrary {
        let installation = self.installation();
        ClipLibrary::start(&mut self.tasks, installation, engine)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn speech(text: &str) -> Prompt {
    Prompt::Speech {
        text: text.to_owned(),
        voice: None,
        lang: None,
    }
}

#[tokio::test]
async fn a_text_is_spoken_once_for_all_who_ask_and_once_more_never_after_a_restart() {
    let mut scene = Scene::new("once");
    let engine = Arc::new(Counting::default());
    let library = scene.library(Arc::clone(&engine) as Arc<dyn Tts>);
    let all: Vec<_> = (0..50)
        .map(|_| library.request(speech("hello")).unwrap())
        .collect();
    for loading in all {
        assert_eq!(loading.await.unwrap().unwrap().samples().len(), 5 * 480);
    }
    let restarted = scene.library(Arc::clone(&engine) as Arc<dyn Tts>);
    assert_eq!(
        restarted
            .load(speech("hello"))
            .await
            .unwrap()
            .samples()
            .len(),
        5 * 480
    );
    assert_eq!(engine.0.load(Ordering::Relaxed), 1);
    restarted.load(speech("hullo")).await.unwrap();
    assert_eq!(engine.0.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_file_that_is_replaced_is_heard_as_its_new_self() {
    let mut scene = Scene::new("replaced");
    let library = scene.library(Arc::new(ToneSpeech));
    let path = scene.folder.join("prompts/hello.wav");
    store(&path, &[1_000; 800], u64::MAX).unwrap();
    let first = library.load(Prompt::File("hello".into())).await.unwrap();
    let again = library.load(Prompt::File("hello".into())).await.unwrap();
    assert!(Arc::ptr_eq(&first, &again), "not read twice");
    store(&path, &[1_000; 1_600], u64::MAX).unwrap();
    let replaced = library.load(Prompt::File("hello".into())).await.unwrap();
    assert_eq!(
        (first.samples().len(), replaced.samples().len()),
        (800, 1_600)
    );
}

#[tokio::test]
async fn without_an_engine_speech_says_why_and_files_tones_and_music_still_play() {
    let mut scene = Scene::new("no-engine");
    let missing = TtsError::NotInstalled {
        program: "espeak-ng".into(),
    };
    let library = scene.library(Arc::new(NoSpeech(missing)));
    store(
        &scene.folder.join("prompts/music/mine.wav"),
        &[500; 320],
        u64::MAX,
    )
    .unwrap();
    let error = library.load(speech("hello")).await.unwrap_err();
    assert!(error.to_string().contains("apt-get install"), "{error}");
    for prompt in [
        Prompt::Music("mine".into()),
        Prompt::Music("default".into()),
        Prompt::Tone("busy".into()),
        Prompt::Silence(Duration::from_millis(100)),
    ] {
        assert!(library.load(prompt.clone()).await.is_ok(), "{prompt:?}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_refused_by_name() {
    let mut scene = Scene::new("refused");
    let library = scene.library(Arc::new(ToneSpeech));
    let refused = |prompt| {
        let library = library.clone();
        async move { library.load(prompt).await.unwrap_err().to_string() }
    };
    assert!(
        refused(Prompt::File("nobody".into()))
            .await
            .contains("nobody.wav")
    );
    assert!(
        refused(Prompt::File("../up".into()))
            .await
            .contains("../up")
    );
    assert!(
        refused(Prompt::Tone("kazoo".into()))
            .await
            .contains("ringback")
    );
    let long = library.load(Prompt::Silence(Duration::MAX)).await;
    assert!(matches!(long, Err(LoadError::TooLong(_))), "{long:?}");
}

#[tokio::test]
async fn memory_and_disk_stay_within_their_bounds() {
    let mut scene = Scene::new("bounded");
    let engine = Arc::new(Counting::default());
    let small = Installation {
        memory_max: 10_000,
        disk_max: 5_000,
        ..scene.installation()
    };
    let library = ClipLibrary::start(&mut scene.tasks, small, Arc::clone(&engine) as Arc<dyn Tts>);
    for text in ["aaaa", "bbbb", "cccc", "dddd", "dddd", "aaaa"] {
        library.load(speech(text)).await.unwrap();
    }
    // Of 3.9 kB on disk and 7.7 kB in memory each, the last one alone is kept.
    assert_eq!(engine.0.load(Ordering::Relaxed), 5);
    let kept = std::fs::read_dir(scene.folder.join("speech"))
        .unwrap()
        .count();
    assert_eq!(kept, 1);
}
