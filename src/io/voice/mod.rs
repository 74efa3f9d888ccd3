//! Voice threads: what `crates/voice` does, between rings, for the legs that want it.
//!
//! ```text
//!  media worker ── Tap, 16 kHz ──▶ ring ──▶ voice thread ──▶ ring of Voiced ──▶ a listener (bot, recogniser)
//!      ▲            full: newest dropped        │       └──▶ VoiceNews ──▶ control: who talks when
//!      └──────── detour: one tick late ◀────────┘ ring
//! ```
//!
//! Law: no media worker waits for a voice thread. The libraries below allocate, so all of it runs here;
//! a ring that is full drops the newest frame and counts it; a leg whose processing panics goes on
//! unprocessed, alone.

mod leg;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use media::tap::{Processed, TapFrame};
use rtrb::{Consumer, Producer};
use tokio::sync::mpsc;
use voice::activity::{Patience, Spurt};
use voice::chain::Wanted;

pub use leg::Leg;

/// Names one leg's processing: two numbers that its owner has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VoiceId(pub u64, pub u32);

/// One leg to be listened to.
#[derive(Debug)]
pub struct Hearing {
    /// What it is called in news.
    pub id: VoiceId,
    /// What is done with its voice.
    pub wanted: Wanted,
    /// How long its pauses may be.
    pub patience: Patience,
    /// What it says and what is sent to it, at 16 kHz.
    pub tap: Consumer<TapFrame>,
    /// Where its processed voice goes: back to its worker.
    pub back: Option<Producer<Processed>>,
    /// And to who listens besides.
    pub listener: Option<Producer<Voiced>>,
}

/// 10 ms of a leg's processed voice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voiced {
    /// The position of its first sample at 16 kHz since the tap began, that of [`Spurt`].
    pub at: u64,
    /// Whether somebody talks, as far as is known by then.
    pub talking: bool,
    /// The voice.
    pub samples: voice::Frame,
}

/// What a voice thread tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum VoiceNews {
    /// A spurt of talk began or ended.
    Spurt {
        /// Of which leg.
        id: VoiceId,
        /// What.
        spurt: Spurt,
    },
    /// The tap was taken off.
    Ended {
        /// Of which leg.
        id: VoiceId,
        /// What came of it.
        account: Account,
    },
}

/// What became of a leg's frames of 10 ms.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Account {
    /// Processed.
    pub frames: u64,
    /// That the tap's ring had no room for.
    pub lost: u64,
    /// That a ring behind had no room for.
    pub dropped: u64,
    /// That went on unprocessed, after a panic.
    pub unprocessed: u64,
    /// How late the echo of what is sent to it comes back, in ms; 0 if none was found.
    pub echo_delay_ms: u32,
}

/// The voice threads have as many legs as they take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the voice threads are full")]
pub struct VoiceFull;

/// The threads' handle.
#[derive(Debug)]
pub struct VoicePool {
    posts: Vec<Post>,
    legs_max: usize,
}

#[derive(Debug)]
struct Post {
    /// `None` once it is to end.
    requests: Option<SyncSender<Hearing>>,
    /// Legs that it has or will have.
    load: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl VoicePool {
    /// Starts `threads` threads that take `legs_max` legs each. The receiver has their news.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(threads: usize, legs_max: usize) -> io::Result<(Self, mpsc::Receiver<VoiceNews>)> {
        let (news, told) = mpsc::channel(NEWS_MAX);
        let post = |number| {
            let (requests, queue) = sync_channel(REQUESTS_MAX);
            let load = Arc::new(AtomicUsize::new(0));
            let bench = Bench {
                legs: Vec::new(),
                load: Arc::clone(&load),
                news: news.clone(),
            };
            let thread = std::thread::Builder::new()
                .name(format!("voice-{number}"))
                .spawn(move || bench.work(&queue))?;
            Ok(Post {
                requests: Some(requests),
                load,
                thread: Some(thread),
            })
        };
        let posts = (0..threads.max(1)).map(post).collect::<io::Result<_>>()?;
        Ok((Self { posts, legs_max }, told))
    }

    /// Listens to a leg from now on until its tap is dropped, on the thread that has the fewest.
    ///
    /// # Errors
    /// [`VoiceFull`] when all have as many as they take; what was to be listened to is dropped.
    pub fn listen(&self, hearing: Hearing) -> Result<(), VoiceFull> {
        let idlest = self.posts.iter().min_by_key(|post| post.load());
        let post = idlest.filter(|post| post.load() < self.legs_max);
        let Some((post, requests)) = post.and_then(|post| Some((post, post.requests.as_ref()?)))
        else {
            return Err(VoiceFull);
        };
        post.load.fetch_add(1, Ordering::Relaxed);
        requests.try_send(hearing).map_err(|_| {
            post.load.fetch_sub(1, Ordering::Relaxed);
            VoiceFull
        })
    }

    /// Legs that are listened to.
    pub fn legs(&self) -> usize {
        self.posts.iter().map(Post::load).sum()
    }
}

impl Post {
    fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }
}

impl Drop for VoicePool {
    fn drop(&mut self) {
        for post in &mut self.posts {
            post.requests = None;
            if let Some(thread) = post.thread.take()
                && thread.join().is_err()
            {
                tracing::error!("a voice thread broke");
            }
        }
    }
}

/// A thread's own things.
struct Bench {
    legs: Vec<Leg>,
    load: Arc<AtomicUsize>,
    news: mpsc::Sender<VoiceNews>,
}

impl Bench {
    fn work(mut self, requests: &Receiver<Hearing>) {
        loop {
            // Who has no leg waits for one; who has some looks at their rings.
            let next = if self.legs.is_empty() {
                requests.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                requests.recv_timeout(ROUND)
            };
            match next {
                Ok(hearing) => self.legs.push(Leg::new(hearing)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.round();
        }
    }

    fn round(&mut self) {
        let (news, load) = (&self.news, &self.load);
        self.legs.retain_mut(|leg| {
            // In this order: what was pushed before the tap went is still taken.
            let last = leg.is_over();
            leg.drain(|id, spurt| tell(news, VoiceNews::Spurt { id, spurt }));
            if last {
                load.fetch_sub(1, Ordering::Relaxed);
                let (id, account) = (leg.id(), leg.account());
                tell(news, VoiceNews::Ended { id, account });
            }
            !last
        });
    }
}

/// News that nobody takes are dropped and counted: a voice thread does not wait.
fn tell(news: &mpsc::Sender<VoiceNews>, what: VoiceNews) {
    if news.try_send(what).is_err() {
        metrics::counter!("tandem_voice_news_dropped_total").increment(1);
    }
}

/// How often the rings are looked at: a detour has 20 ms for the whole way.
const ROUND: Duration = Duration::from_millis(3);
const REQUESTS_MAX: usize = 1_024;
const NEWS_MAX: usize = 4_096;

#[cfg(test)]
mod tests;
