//! The composition root: builds the planes, wires their rings and queues, drains on SIGTERM.
//!
//! ```text
//!  edge runtime   transports · clips · store writer · API         (tokio, a few threads)
//!       │ NetInput, Ask, Command ▼        ▲ Output
//!  control thread Shard { Control }                               (no runtime: a bell)
//!       │ PortCommand ▼                   ▲ PortEvent, eventfd
//!  media threads  io::media::Workers                              (no runtime)
//! ```
//!
//! No decision is made here: what a call does is `control`'s and below.

mod access;
mod build;
mod commands;
mod desk;
mod edge;
mod known;
mod limits;
mod notify;
mod offline;
mod plans;
mod recording;
mod reload;
mod seeing;
mod setup;
mod shard;
mod sockets;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::Reloaded;
use crate::call::Cause;
use crate::config::{Config, LOCAL_TRUNK, Secret};
use crate::control::Event;
use crate::io::net::{Bound, Net};
use crate::store::Store;

use reload::Reloader;
use shard::ShardHandle;

pub use offline::{Registered, offline};
pub use plans::{PlanError, load as load_plan, prompt_names, read as read_plans};

/// Runs a server until SIGTERM or SIGINT, then lets its calls end.
///
/// # Errors
/// Whatever keeps it from starting; a `ConfigError`, or an `io::Error` for an address in use, is at the root.
pub fn run(config: Config) -> anyhow::Result<()> {
    let runtime = runtime()?;
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let bare = config.is_bare();
        let server = Server::start(config).await?;
        if let Some(key) = server.new_key() {
            eprint_key(key);
        }
        for bound in server.bound() {
            tracing::info!("SIP {} on {}", bound.config.transport, bound.local);
        }
        tracing::info!("HTTP on {}", server.http());
        if let Some(https) = server.https() {
            tracing::info!("HTTPS on {https}");
        }
        if bare {
            welcome(&server);
        }
        notify::ready();
        while signals.next().await == Signal::Reload {
            notify::reloading();
            // Its mistakes are in the log.
            let _ = server.reload().await;
            notify::ready();
        }
        notify::stopping();
        tracing::info!(
            "draining: no new calls; waiting for those in progress; a second signal ends them"
        );
        let hurry = server.hurry();
        let mut stopping = std::pin::pin!(server.stop());
        loop {
            tokio::select! {
                stopped = stopping.as_mut() => return stopped,
                signal = signals.next() => match signal {
                    Signal::End => hurry.cancel(),
                    Signal::Reload => {}
                },
            }
        }
    })
}

/// The edge's runtime.
///
/// # Errors
/// When the system refuses threads.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("edge")
        .enable_all()
        .build()
        .context("no threads for the edge")
}

/// What an operator says by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    /// SIGHUP.
    Reload,
    /// SIGTERM or SIGINT.
    End,
}

/// The signals that the server listens to, from before it starts.
struct Signals {
    hang_up: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::End,
            _ = self.interrupt.recv() => Signal::End,
            _ = self.hang_up.recv() => Signal::Reload,
        }
    }
}

/// What somebody who starts the server for the first time can do now.
fn welcome(server: &Server) {
    let mut bound = server.bound().iter();
    let udp = bound.find(|it| it.config.transport == sip::transport::Transport::Udp);
    if let Some(bound) = udp {
        tracing::info!(
            "no configuration: any SIP phone on this machine may call sip:100@{} (UDP), as trunk \
             \"{LOCAL_TRUNK}\"; tandem.example.toml shows how to name trunks and phones",
            bound.local
        );
    }
}

/// Shown once, on the terminal and not in the log.
fn eprint_key(key: &Secret) {
    use std::io::Write;
    let mut err = std::io::stderr();
    // A terminal that is gone cannot be told; the key can be set by TANDEM_API_KEY instead.
    let _ = writeln!(err, "API key, shown only now: {}", key.reveal());
}

/// A running server.
pub struct Server {
    net: Net,
    http: SocketAddr,
    https: Option<SocketAddr>,
    events: broadcast::Sender<Event>,
    new_key: Option<Secret>,
    shard: ShardHandle,
    reloader: Arc<Reloader>,
    thread: JoinHandle<std::io::Result<()>>,
    store: Store,
    tasks: TaskTracker,
    /// The clip library's and the writer's own tasks: they end when their last handle is dropped.
    services: JoinSet<()>,
    stop: CancellationToken,
    drain: Duration,
    hurry: CancellationToken,
}

impl Server {
    /// Starts every plane. Must be called on a runtime of [`runtime`]'s kind.
    ///
    /// # Errors
    /// As [`run`].
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        build::start(Arc::new(config)).await
    }

    /// The SIP listeners, with their real ports.
    pub fn bound(&self) -> &[Bound] {
        self.net.bound()
    }

    /// Where the API listens.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Where it listens for HTTPS, if it does.
    pub fn https(&self) -> Option<SocketAddr> {
        self.https
    }

    /// What happens from now on; a slow reader loses the oldest.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Reads dialplans and configuration again and puts them in force, all or nothing.
    ///
    /// # Errors
    /// Every mistake: then nothing has changed. The log has them too.
    pub async fn reload(&self) -> Result<Reloaded, Vec<String>> {
        self.reloader.reload().await
    }

    /// Cancelled, it ends the patience of [`Server::stop`] with calls in progress.
    pub fn hurry(&self) -> CancellationToken {
        self.hurry.clone()
    }

    /// The API key, if this start has made one.
    pub fn new_key(&self) -> Option<&Secret> {
        self.new_key.as_ref()
    }

    /// Drains: refuses new calls, waits for those in progress (`limits.drain`), ends the rest, stops
    /// every plane and closes the store.
    ///
    /// # Errors
    /// When the control thread broke.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.shard.tell(|control, _| control.drain()).await;
        let patience = self.quiet_within(self.drain);
        let quiet = tokio::select! {
            quiet = patience => quiet,
            () = self.hurry.cancelled() => false,
        };
        if !quiet {
            tracing::warn!("calls may still be in progress: ending them");
            self.shard
                .tell(|control, now| control.hang_up_all(now, Cause::Failure))
                .await;
            self.quiet_within(GOODBYE).await;
        }
        self.stop.cancel();
        self.tasks.close();
        let Self {
            net,
            shard,
            reloader,
            thread,
            store,
            tasks,
            mut services,
            ..
        } = self;
        let last = |control: &mut crate::control::Control, now| {
            control.flush_usage(now);
            control.stop();
        };
        shard.tell(last).await;
        drop((shard, reloader));
        tasks.wait().await;
        let ended = tokio::task::spawn_blocking(move || thread.join()).await;
        net.shutdown(GOODBYE).await;
        while services.join_next().await.is_some() {}
        store.close().await;
        match ended {
            Ok(Ok(result)) => result.context("the control thread ended early"),
            _ => Err(anyhow::anyhow!("the control thread broke")),
        }
    }

    /// Whether no call is left within the time.
    async fn quiet_within(&self, time: Duration) -> bool {
        let deadline = tokio::time::Instant::now() + time;
        loop {
            let (reply, answer) = tokio::sync::oneshot::channel();
            self.shard
                .tell(move |control, _| {
                    // Whoever asked waits.
                    let _ = reply.send(control.holds().0);
                })
                .await;
            match answer.await {
                Ok(0) | Err(_) => return true,
                Ok(_) if tokio::time::Instant::now() >= deadline => return false,
                Ok(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }
}

/// How often a drain looks whether the last call has ended.
const LOOK: Duration = Duration::from_millis(50);

/// For the last BYEs and their answers.
const GOODBYE: Duration = Duration::from_secs(3);
