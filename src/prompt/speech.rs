//! Text made into speech. The engine is a choice of the configuration, hence the interface.
//!
//! [`Espeak`] runs espeak-ng as a child process for each utterance: it is under the GPL, so it is
//! never linked, and a text that breaks it breaks only the child. [`ToneSpeech`] says each letter as
//! a tone of its own, for tests and simulations that must not depend on an engine.

use std::future::Future;
use std::pin::Pin;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::Semaphore;

use super::file;

/// What is to be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Utterance {
    /// The text, at most [`TEXT_MAX`] characters.
    pub text: String,
    /// The engine's name of a voice.
    pub voice: Option<String>,
    /// A BCP 47 tag.
    pub lang: Option<String>,
}

/// Characters in one utterance.
pub const TEXT_MAX: usize = 4_000;

/// Audio of an utterance: mono, full scale at ±1.
#[derive(Clone, Debug, PartialEq)]
pub struct Speech {
    /// The samples.
    pub samples: Vec<f32>,
    /// Samples a second.
    pub rate: u32,
}

/// Why nothing was said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TtsError {
    /// The engine is not installed.
    #[error(
        "{program} is not installed; on Debian: apt-get install --no-install-recommends espeak-ng"
    )]
    NotInstalled {
        /// The program looked for.
        program: String,
    },
    /// The text is empty or too long.
    #[error("a text of {length} characters; want 1 to {TEXT_MAX}")]
    Text {
        /// Its length.
        length: usize,
    },
    /// A voice or language that cannot be the name of one.
    #[error("voice {name:?}: want letters, digits, `-`, `_` and `+`, at most 40")]
    Voice {
        /// The name.
        name: String,
    },
    /// The engine took too long and was ended.
    #[error("the engine took longer than {} s", limit.as_secs())]
    TooSlow {
        /// The limit.
        limit: Duration,
    },
    /// The engine failed.
    #[error("the engine failed: {0}")]
    Failed(String),
}

/// The future of an utterance.
pub type Speaking<'a> = Pin<Box<dyn Future<Output = Result<Speech, TtsError>> + Send + 'a>>;

/// A speech engine.
pub trait Tts: Send + Sync + 'static {
    /// The engine and its version: a part of the key under which its speech is kept.
    fn name(&self) -> &str;

    /// Says an utterance. Bounded in time and memory by the engine itself.
    fn speak<'a>(&'a self, utterance: &'a Utterance) -> Speaking<'a>;
}

/// espeak-ng as a child process.
#[derive(Debug)]
pub struct Espeak {
    program: String,
    name: String,
    /// Children at once: they share the machine with the calls.
    pool: Semaphore,
    limit: Duration,
}

impl Espeak {
    /// Looks for `program` (normally `espeak-ng`) and asks its version.
    ///
    /// # Errors
    /// [`TtsError::NotInstalled`] says how to install it.
    pub async fn find(program: &str) -> Result<Self, TtsError> {
        let asked = Command::new(program)
            .arg("--version")
            .kill_on_drop(true)
            .output();
        let missing = || TtsError::NotInstalled {
            program: program.to_owned(),
        };
        let answer = tokio::time::timeout(Self::LIMIT, asked).await;
        let answer = answer.map_err(|_| TtsError::TooSlow { limit: Self::LIMIT })?;
        let answer = answer.map_err(|_| missing())?;
        let said = String::from_utf8_lossy(&answer.stdout);
        // "eSpeak NG text-to-speech: 1.51  Data at: …"
        let version = said
            .split(':')
            .nth(1)
            .and_then(|rest| rest.split_whitespace().next());
        let version = version
            .filter(|_| answer.status.success())
            .ok_or_else(missing)?;
        Ok(Self {
            program: program.to_owned(),
            name: format!("espeak-ng {version}"),
            pool: Semaphore::new(Self::CHILDREN_MAX),
            limit: Self::LIMIT,
        })
    }

    /// Children at once.
    pub const CHILDREN_MAX: usize = 2;
    /// The longest a child may take; it says 4,000 characters in less than two seconds.
    pub const LIMIT: Duration = Duration::from_secs(10);

    async fn run(&self, utterance: &Utterance) -> Result<Speech, TtsError> {
        let voice = voice_of(utterance)?;
        let _place = self
            .pool
            .acquire()
            .await
            .map_err(|_| TtsError::Failed("closed".into()))?;
        // The text goes by standard input: it may begin with a dash, and arguments are public.
        let mut child = Command::new(&self.program)
            .args([
                "--stdin",
                "--stdout",
                "-b",
                "1",
                "-s",
                WORDS_PER_MINUTE,
                "-v",
                &voice,
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| self.not_started(&error))?;
        let mut stdin = child.stdin.take();
        let text = utterance.text.clone();
        let feed = async move {
            if let Some(stdin) = &mut stdin {
                // A child that dies early says why itself.
                let _ = stdin.write_all(text.as_bytes()).await;
            }
        };
        let both = async { tokio::join!(feed, child.wait_with_output()).1 };
        // Dropping the future at the limit kills the child.
        let output = tokio::time::timeout(self.limit, both).await;
        let output = output.map_err(|_| TtsError::TooSlow { limit: self.limit })?;
        let output = output.map_err(|error| TtsError::Failed(error.to_string()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(TtsError::Failed(
                said.lines().next().unwrap_or("no reason").to_owned(),
            ));
        }
        let mut wav = output.stdout;
        close_header(&mut wav);
        let (samples, rate) = file::decode(&wav[..]).map_err(TtsError::Failed)?;
        if samples.is_empty() {
            return Err(TtsError::Failed("it said nothing".to_owned()));
        }
        Ok(Speech { samples, rate })
    }

    fn not_started(&self, error: &std::io::Error) -> TtsError {
        match error.kind() {
            std::io::ErrorKind::NotFound => TtsError::NotInstalled {
                program: self.program.clone(),
            },
            _ => TtsError::Failed(error.to_string()),
        }
    }
}

impl Tts for Espeak {
    fn name(&self) -> &str {
        &self.name
    }

    fn speak<'a>(&'a self, utterance: &'a Utterance) -> Speaking<'a> {
        Box::pin(self.run(utterance))
    }
}

/// An engine that is not there: every text is refused with the reason, and prompts by file still work.
#[derive(Clone, Debug)]
pub struct NoSpeech(pub TtsError);

impl Tts for NoSpeech {
    fn name(&self) -> &str {
        "none"
    }

    fn speak<'a>(&'a self, _utterance: &'a Utterance) -> Speaking<'a> {
        Box::pin(std::future::ready(Err(self.0.clone())))
    }
}

/// Says each letter as a tone of 60 ms whose pitch is the letter: deterministic, and a test can read it back.
#[derive(Clone, Copy, Debug, Default)]
pub struct ToneSpeech;

impl ToneSpeech {
    /// The samples at 8 kHz.
    pub fn samples(text: &str) -> Vec<f32> {
        let letter = |letter: char| {
            let hz = f64::from(400 + 20 * (u32::from(letter) % 100));
            (0..480).map(move |n: u32| {
                let turns = hz * f64::from(n) / 8_000.0;
                let edge = f64::from(n.min(480 - n)) / 40.0;
                (0.15 * edge.min(1.0) * (std::f64::consts::TAU * turns.fract()).sin()) as f32
            })
        };
        text.chars().take(TEXT_MAX).flat_map(letter).collect()
    }
}

impl Tts for ToneSpeech {
    fn name(&self) -> &str {
        "tones 1"
    }

    fn speak<'a>(&'a self, utterance: &'a Utterance) -> Speaking<'a> {
        let said = voice_of(utterance).map(|_| Speech {
            samples: Self::samples(&utterance.text),
            rate: 8_000,
        });
        Box::pin(std::future::ready(said))
    }
}

/// The voice to ask for, checked: it becomes an argument of a program.
fn voice_of(utterance: &Utterance) -> Result<String, TtsError> {
    let length = utterance.text.chars().count();
    if utterance.text.trim().is_empty() || length > TEXT_MAX {
        return Err(TtsError::Text { length });
    }
    let name = utterance
        .voice
        .as_deref()
        .or(utterance.lang.as_deref())
        .unwrap_or(VOICE);
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+');
    let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !starts || name.len() > 40 || !name.chars().all(fits) {
        return Err(TtsError::Voice {
            name: name.to_owned(),
        });
    }
    Ok(name.to_ascii_lowercase())
}

/// A program that writes a WAV to a pipe cannot go back to fill in the lengths; this does.
fn close_header(wav: &mut [u8]) {
    let Ok(length) = u32::try_from(wav.len()) else {
        return;
    };
    let Some(data) = wav.windows(4).take(200).position(|four| four == b"data") else {
        return;
    };
    let at = |start: usize| start..start + 4;
    let body = (data + 8).min(wav.len());
    let body = length - u32::try_from(body).unwrap_or(length);
    for (range, value) in [(at(4), length.saturating_sub(8)), (at(data + 4), body & !1)] {
        if let Some(field) = wav.get_mut(range) {
            field.copy_from_slice(&value.to_le_bytes());
        }
    }
}

const VOICE: &str = "en-us";
const WORDS_PER_MINUTE: &str = "155";

#[cfg(test)]
mod tests {
    use super::{Espeak, ToneSpeech, Tts, TtsError, Utterance, close_header};

    fn said(text: &str, voice: Option<&str>) -> Utterance {
        Utterance {
            text: text.to_owned(),
            voice: voice.map(str::to_owned),
            lang: None,
        }
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_says_how_to_install_it() {
        let error = Espeak::find("espeak-that-nobody-has").await.unwrap_err();
        assert!(error.to_string().contains("apt-get install"), "{error}");
    }

    #[tokio::test]
    async fn espeak_speaks_where_it_is_installed() {
        let Ok(engine) = Espeak::find("espeak-ng").await else {
            // `make test` installs it; a bare `cargo test` without it has nothing to show here.
            eprintln!("espeak-ng is not installed: not run");
            return;
        };
        let short = engine.speak(&said("One.", None)).await.unwrap();
        let long = engine
            .speak(&said("-v is an odd way to begin a sentence.", None))
            .await
            .unwrap();
        assert!(long.samples.len() > 2 * short.samples.len());
        let power: f32 = short.samples.iter().map(|s| s * s).sum();
        assert!(power / short.samples.len() as f32 > 1e-4, "silence");
        let unknown = engine.speak(&said("One.", Some("zz-nobody"))).await;
        assert!(matches!(unknown, Err(TtsError::Failed(_))));
    }

    #[tokio::test]
    async fn a_text_or_voice_that_cannot_be_one_is_refused_before_any_engine_runs() {
        let refused =
            |utterance: Utterance| async move { ToneSpeech.speak(&utterance).await.unwrap_err() };
        assert!(matches!(
            refused(said("", None)).await,
            TtsError::Text { .. }
        ));
        assert!(matches!(
            refused(said(&"x".repeat(4_001), None)).await,
            TtsError::Text { .. }
        ));
        for voice in ["-w/etc/x", "../x", "a b", ""] {
            let error = refused(said("x", Some(voice))).await;
            assert!(
                matches!(error, TtsError::Voice { .. }),
                "{voice:?}: {error}"
            );
        }
    }

    #[test]
    fn tone_speech_is_as_long_as_its_text_and_always_the_same() {
        assert_eq!(ToneSpeech::samples("abc").len(), 3 * 480);
        assert_eq!(ToneSpeech::samples("abc"), ToneSpeech::samples("abc"));
        assert_ne!(ToneSpeech::samples("abc"), ToneSpeech::samples("abd"));
    }

    #[test]
    fn a_header_from_a_pipe_is_closed_and_a_broken_one_is_left() {
        let mut wav = b"RIFF\xff\xff\xff\x7fWAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
        wav.extend(b"\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\xff\xff\xff\x7f\x01\0\x02\0");
        close_header(&mut wav);
        let (samples, rate) = super::file::decode(&wav[..]).unwrap();
        assert_eq!((samples.len(), rate), (2, 8_000));
        for length in 0..wav.len() {
            let mut broken = wav[..length].to_vec();
            close_header(&mut broken);
        }
    }
}
