//! Starting: each plane in the order in which the next one needs it.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context;
use tokio::sync::broadcast;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::access;
use super::edge::Edge;
use super::known::{Configured, Stored};
use super::limits;
use super::notify;
use super::recording;
use super::reload::Reloader;
use super::seeing::{Seeing, Watch};
use super::setup::{Ground, Seeds, setup};
use super::shard::{self, Closings, Inputs, Shard};
use super::sockets::{Sockets, bring_in, faces, media_config};
use super::{Server, plans};

use crate::access::{Access, Login};
use crate::api::{self, Api, Key, KeyFound, Logins, Phones};
use crate::call::{CallId, LegId, Prompt};
use crate::config::{Config, Secret};
use crate::control::{Control, Setup, WallClock};
use crate::dialplan::{Plan, Speech};
use crate::face::desk::{Desks, Hub};
use crate::face::{Faces, Parked};
use crate::io::clock::SystemClock;
use crate::io::dns::Dns;
use crate::io::media::Workers;
use crate::io::record::{Recorder, RecordingEvent};
use crate::io::voice::{VoiceNews, VoicePool};
use crate::prompt::speech::{Espeak, NoSpeech, Tts};
use crate::prompt::{ClipLibrary, Installation};
use crate::store::{Store, Writer};
use crate::telemetry;
use crate::trace::TraceConfig;

/// Events that a slow watcher may fall behind by.
const EVENTS_KEPT: usize = 1_024;

pub(super) async fn start(config: Arc<Config>) -> anyhow::Result<Server> {
    let clock = SystemClock::start();
    let trace = TraceConfig::read(config.trace.clone())?;
    let read = Read::all(&config, clock).await?;
    let sockets = Sockets::open(&config, &read.known).await?;
    let seeds = Seeds::draw()?;
    let mut media = media_config(&config, seeds.media);
    media.worker.ntp_at_zero = clock.ntp_at_zero();
    limits::claim_files(&media, config.limits.connections);
    limits::compare_ports(config.limits.calls, &media);
    let workers = Workers::start(&media, clock.now())?;
    let wake = workers.wake().try_clone_to_owned()?;
    let mut services = Services::start(&config, &read.store, read.engine)?;

    let (events, _) = broadcast::channel(EVENTS_KEPT);
    let (handle, asks) = shard::channel();
    let (way, commands) = api::Control::new();
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let (voices, news) = voices(&config)?;
    tasks.spawn(tell_of_voices(news, handle.clone()));
    let access = access::of(&config)?;
    let logins: Vec<Login> = read.known.book.logins().cloned().collect();
    let book = Arc::new(Logins::new(read.known.book.clone()));
    let (store, way_in) = ((read.store.clone(), book.clone()), handle.clone());
    let told = recording::watch(services.recorded, handle.clone(), services.writer.clone());
    services.running.spawn(told);
    let reloader = Reloader::new(config.clone(), read.voices, store, way_in, sockets.tls);
    let reloader = Arc::new(reloader);
    let edge = Edge {
        clock,
        realm: config.sip.realm.clone(),
        clips: services.clips,
        dns: Dns::new(&config.dns.servers),
        recorder: services.recorder,
        voices,
        writer: services.writer,
        events: events.clone(),
        handle: handle.clone(),
        reloader: reloader.clone(),
        net_counts: sockets.net.counts(),
        runtime: tokio::runtime::Handle::current(),
        tasks: tasks.clone(),
    };
    let media = Box::new(workers);
    let overload = read.known.overload;
    let codes = read.known.codes.clone();
    let ground = Ground {
        faces: faces(&config, &sockets.net, &sockets.web),
        media,
        seeds: &seeds,
        wall: WallClock::new(clock.now(), clock.wall()),
    };
    let mut setup = setup(&config, read.known, read.plan, ground);
    let inputs = Inputs {
        packets: sockets.packets,
        asks,
        commands,
        media: wake,
    };
    read.stored.restore_usage(&mut setup.trunks, clock);
    let click_calls = config.access.click_calls;
    setup.trunks.set_access(access.clone(), click_calls);
    setup.trunks.roll_mut().set_logins(logins.iter());
    let seeing = Seeing::prepare(trace, &config, (&sockets.net, &sockets.web), clock).await;
    if let Some(keeper) = seeing.keeper {
        tasks.spawn(keeper.run());
    }
    let thread = control_thread(setup, edge, seeing.watch, sockets.net.sender(), inputs)?;
    let bound = move |control: &mut Control, _| {
        control.set_overload(overload);
        control.set_codes(codes);
    };
    handle.tell(bound).await;
    let realm = &config.sip.realm;
    let stored = read.stored;
    stored.restore(&handle, clock, realm, access.clone()).await;

    let faces_access = access.clone();
    let proofs = (read.key, access, book);
    let api = api_of(
        &config,
        way,
        seeing.traces,
        read.store.clone(),
        proofs,
        services.recordings,
    )?;
    let (phones, upgrades) = Phones::new(config.http.origins.clone());
    let parked = Arc::<Parked>::default();
    let (hub, task) = Hub::new();
    tasks.spawn(task.run(events.subscribe(), api.control.clone(), stop.clone()));
    let desks = Desks {
        hub,
        control: api.control.clone(),
        store: read.store.clone(),
        parked: parked.clone(),
        clock,
        access: api.access.clone(),
        turn: api.turn.clone(),
    };
    let faces = Faces {
        door: sockets.net.door(),
        clock,
        host: host_of(&config),
        parked,
        access: faces_access,
        desks,
        tasks: tasks.clone(),
        stop: stop.clone(),
    };
    tasks.spawn(bring_in(upgrades, faces, sockets.web));
    let api = Api {
        phones: Some(phones),
        ..api
    };
    let bounds = api::Bounds::default();
    let router = api.router();
    let https = sockets
        .https
        .as_ref()
        .map(|(it, _)| it.local_addr())
        .transpose()?;
    if let Some((listener, tls)) = sockets.https {
        let served = api::serve_tls(listener, tls, router.clone(), bounds, stop.clone());
        tasks.spawn(served);
    }
    tasks.spawn(api::serve(sockets.http, router, bounds, stop.clone()));
    tasks.spawn(notify::feed_watchdog(handle.clone(), stop.clone()));
    if let Some(acme) = sockets.acme {
        tasks.spawn(acme.run(stop.clone()));
    }
    Ok(Server {
        net: sockets.net,
        http: sockets.http_address,
        https,
        events,
        new_key: read.new_key,
        shard: handle,
        reloader,
        thread,
        store: read.store,
        tasks,
        services: services.running,
        stop,
        drain: config.limits.drain,
        hurry: CancellationToken::new(),
    })
}

/// What is read before a socket is opened: whatever is wrong with it refuses the start.
struct Read {
    known: Configured,
    stored: Stored,
    plan: Plan,
    engine: Arc<dyn Tts>,
    voices: Speech,
    store: Store,
    key: Key,
    new_key: Option<Secret>,
}

impl Read {
    async fn all(config: &Config, clock: SystemClock) -> anyhow::Result<Self> {
        let mut known = Configured::of(config, &config.sip.realm)?;
        known.warn();
        let (engine, voices) = speech(config).await;
        let store = Store::open(&config.paths.data).await?;
        let stored = Stored::read(&store, clock).await?;
        known.refuse_twice(&stored.endpoints)?;
        known.add_pages(&stored.endpoints)?;
        let facts = known.facts(config, voices.clone(), &stored.endpoints);
        let plan = plans::load(&config.paths.dialplans, &facts)?;
        let (key, new_key) = key(config, &store, clock).await?;
        Ok(Self {
            known,
            stored,
            plan,
            engine,
            voices,
            store,
            key,
            new_key,
        })
    }
}

/// What the server is called, in the addresses of its users.
fn host_of(config: &Config) -> String {
    let first = config.sip.listeners.first();
    match first.map(|it| it.advertised_host.as_str()) {
        Some(bare) if bare.contains(':') && !bare.starts_with('[') => format!("[{bare}]"),
        Some(host) => host.to_owned(),
        None => "localhost".to_owned(),
    }
}

fn api_of(
    config: &Config,
    control: api::Control,
    traces: Option<api::Traces>,
    store: Store,
    (key, access, logins): (Key, Access, Arc<Logins>),
    recordings: PathBuf,
) -> anyhow::Result<Api> {
    Ok(Api {
        control,
        traces,
        phones: None,
        store,
        key,
        access,
        logins,
        turn: config.webrtc.as_ref().and_then(|it| it.turn.clone()),
        metrics: telemetry::metrics().context("metrics")?,
        recordings,
        body_max_bytes: config.http.body_max_bytes,
        timeout: config.http.timeout,
    })
}

/// The speech engine, or why there is none; and what the checker is told of it.
async fn speech(config: &Config) -> (Arc<dyn Tts>, Speech) {
    match Espeak::find(&config.speech.program).await {
        Ok(engine) => (Arc::new(engine), Speech::Voices(Default::default())),
        Err(why) => {
            tracing::warn!("no speech: {why}");
            (Arc::new(NoSpeech(why)), Speech::Missing)
        }
    }
}

/// The API key to ask for, and its text if it was made just now.
async fn key(
    config: &Config,
    store: &Store,
    clock: SystemClock,
) -> anyhow::Result<(Key, Option<Secret>)> {
    let configured = config.http.api_key.as_ref();
    let found = Key::find(configured, store, clock.wall().as_millisecond())
        .await
        .context("no API key")?;
    let key = found.key();
    Ok(match found {
        KeyFound::Made(_, secret) => (key, Some(secret)),
        KeyFound::Configured(_) | KeyFound::Stored(_) => (key, None),
    })
}

/// What works for calls at the edge.
struct Services {
    clips: ClipLibrary,
    recorder: Recorder,
    recorded: Receiver<RecordingEvent>,
    recordings: PathBuf,
    writer: Writer,
    running: JoinSet<()>,
}

impl Services {
    fn start(config: &Config, store: &Store, engine: Arc<dyn Tts>) -> anyhow::Result<Self> {
        let recordings = config.paths.data.join("recordings");
        let (recorder, recorded) = Recorder::start(recording::recorder(config, &recordings)?)
            .with_context(|| format!("recordings: {}", recordings.display()))?;
        let mut running = JoinSet::new();
        let installation = Installation::new(config.paths.prompts.clone(), &config.paths.data);
        let clips = ClipLibrary::start(&mut running, installation, engine);
        // Made now, so that the first caller who waits hears music at once.
        for prompt in [
            Prompt::Music("default".to_owned()),
            Prompt::Tone("ringback".to_owned()),
        ] {
            let _ = clips.request(prompt);
        }
        let (writer, writing) = Writer::new(store.clone());
        running.spawn(writing.run());
        Ok(Self {
            clips,
            recorder,
            recorded,
            recordings,
            writer,
            running,
        })
    }
}

/// The control thread, which makes the shard from its setup and runs it.
fn control_thread(
    setup: Setup,
    edge: Edge,
    watch: Watch,
    net: crate::io::net::NetSender,
    inputs: Inputs,
) -> std::io::Result<JoinHandle<std::io::Result<()>>> {
    let clock = edge.clock;
    let serve = move || {
        if !crate::io::precedence::go_before_the_edge() {
            tracing::info!(
                "the control thread runs at normal priority: a lower nice value is not permitted \
                 (want CAP_SYS_NICE)"
            );
        }
        let mut control = Control::new(clock.now(), setup);
        watch.begin(&mut control);
        let shard = Shard {
            control,
            clock,
            net,
            edge,
            watch,
            closings: Closings::default(),
        };
        shard.run(inputs)
    };
    std::thread::Builder::new()
        .name("control".to_owned())
        .spawn(serve)
}

/// The voice threads, and what they tell.
fn voices(config: &Config) -> anyhow::Result<(VoicePool, Receiver<VoiceNews>)> {
    let half = || std::thread::available_parallelism().map_or(1, |count| count.get().div_ceil(2));
    let threads = config.voice.threads.unwrap_or_else(half);
    VoicePool::start(threads, config.voice.legs).context("voice threads")
}

/// Brings the voice threads' news to the calls they are about.
async fn tell_of_voices(mut news: Receiver<VoiceNews>, shard: shard::ShardHandle) {
    while let Some(news) = news.recv().await {
        match news {
            VoiceNews::Spurt { id, spurt } => {
                let (call, leg) = (CallId(id.0), LegId(id.1));
                let tell = move |control: &mut Control, now| control.talked(now, call, leg, spurt);
                shard.tell(tell).await;
            }
            VoiceNews::Ended { id, account } => {
                metrics::counter!("tandem_voice_frames_total").increment(account.frames);
                metrics::counter!("tandem_voice_frames_lost_total").increment(account.lost);
                metrics::counter!("tandem_voice_frames_dropped_total").increment(account.dropped);
                tracing::debug!(call = id.0, leg = id.1, ?account, "voice");
            }
        }
    }
}
