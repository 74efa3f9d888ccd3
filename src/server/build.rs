//! Starting: each plane in the order in which the next one needs it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use sip::ua::UserAgentConfig;
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::edge::Edge;
use super::shard::{self, Inputs, Shard, ShardHandle};
use super::{Server, plans};
use crate::api::{self, Api, Key, KeyFound};
use crate::call::Prompt;
use crate::center::AgentConfig;
use crate::config::{self, Config, ConfigError, Listener, Secret};
use crate::control::{self, Control, Setup, WallClock};
use crate::dialplan::{Facts, Plan, Speech};
use crate::io::clock::SystemClock;
use crate::io::media::{MediaAddress, MediaConfig, Workers};
use crate::io::net::{Limits, ListenerConfig, Net, NetError, certs, tls};
use crate::io::record::{Recorder, RecorderConfig};
use crate::prompt::speech::{Espeak, NoSpeech, Tts};
use crate::prompt::{ClipLibrary, Installation};
use crate::store::{Store, Writer};
use crate::telemetry;
use crate::trunk::{
    Digests, EndpointConfig, Registrar, RegistrarConfig, TrunkConfig, Trunks, TrunksConfig,
};

/// Events that a slow watcher may fall behind by.
const EVENTS_KEPT: usize = 1_024;

/// How long a digest nonce is good for.
const NONCE_LIFE: Duration = Duration::from_secs(300);

/// What the configuration's raw sections come to.
pub(super) struct Parsed {
    pub(super) trunks: Vec<TrunkConfig>,
    pub(super) endpoints: Vec<EndpointConfig>,
    pub(super) agents: Vec<AgentConfig>,
}

impl Parsed {
    pub(super) fn of(config: &Config) -> Result<Self, ConfigError> {
        Ok(Self {
            trunks: TrunkConfig::read_all(config.trunks.clone(), &config.sip.realm)?,
            endpoints: EndpointConfig::read_all(config.endpoints.clone(), &config.sip.realm)?,
            agents: AgentConfig::read_all(config.agents.clone())?,
        })
    }

    /// What a dialplan may name.
    pub(super) fn facts(&self, config: &Config, speech: Speech) -> Facts {
        Facts {
            prompts: plans::prompt_names(&config.paths.prompts),
            speech,
            endpoints: Some(self.endpoints.iter().map(|it| it.name.clone()).collect()),
            trunks: Some(self.trunks.iter().map(|it| it.name.clone()).collect()),
            agents: Some(self.agents.iter().map(|it| it.id.to_string()).collect()),
            queues_elsewhere: Default::default(),
        }
    }
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

pub(super) async fn start(config: Arc<Config>) -> anyhow::Result<Server> {
    let parsed = Parsed::of(&config)?;
    let clock = SystemClock::start();
    let now = clock.now();
    let (engine, voices) = speech(&config).await;
    let plan = plans::load(
        &config.paths.dialplans,
        &parsed.facts(&config, voices.clone()),
    )?;
    let store = Store::open(&config.paths.data).await?;
    let found = Key::find(
        config.http.api_key.as_ref(),
        &store,
        clock.wall().as_millisecond(),
    )
    .await
    .context("no API key")?;

    let listeners = listeners(&config);
    let tls = tls_of(&config)?;
    let limits = Limits::default();
    let (net, packets) = Net::start(&listeners, tls, &limits).map_err(root_of)?;
    let http = tokio::net::TcpListener::bind(config.http.listen)
        .await
        .with_context(|| format!("http.listen: cannot listen on {}", config.http.listen))?;
    let http_address = http.local_addr()?;

    let seeds = seeds()?;
    let workers = Workers::start(&media_config(&config, seeds.media), now)?;
    let wake = workers.wake().try_clone_to_owned()?;
    let recordings = config.paths.data.join("recordings");
    let (recorder, recorded) = Recorder::start(RecorderConfig::new(recordings.clone()))
        .with_context(|| format!("recordings: {}", recordings.display()))?;

    let mut services = JoinSet::new();
    let installation = Installation::new(config.paths.prompts.clone(), &config.paths.data);
    let clips = ClipLibrary::start(&mut services, installation, engine);
    // Made now, so that the first caller who waits hears music at once.
    for prompt in [
        Prompt::Music("default".to_owned()),
        Prompt::Tone("ringback".to_owned()),
    ] {
        let _ = clips.request(prompt);
    }
    let (writer, writing) = Writer::new(store.clone());
    services.spawn(writing.run());
    services.spawn(watch_recordings(recorded));

    let (events, _) = broadcast::channel(EVENTS_KEPT);
    let (handle, asks) = shard::channel();
    let (control_way, commands) = api::Control::new();
    let tasks = TaskTracker::new();
    let edge = Edge {
        clock,
        config: config.clone(),
        voices,
        clips,
        recorder,
        writer,
        store: store.clone(),
        events: events.clone(),
        handle: handle.clone(),
        runtime: tokio::runtime::Handle::current(),
        tasks: tasks.clone(),
    };
    let setup = setup(
        &config,
        parsed,
        plan,
        &net,
        Box::new(workers),
        &seeds,
        clock,
    );
    let sender = net.sender();
    let inputs = Inputs {
        packets,
        asks,
        commands,
        media: wake,
    };
    let thread = std::thread::Builder::new()
        .name("control".to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let control = Control::new(now, setup);
            runtime.block_on(
                Shard {
                    control,
                    clock,
                    net: sender,
                    edge,
                }
                .run(inputs),
            )
        })?;

    restore(&store, &handle, clock, &config).await?;
    let stop = CancellationToken::new();
    let (key, new_key) = split(found);
    let api = Api {
        control: control_way,
        store: store.clone(),
        key,
        metrics: telemetry::metrics().context("metrics")?,
        recordings,
        body_max_bytes: config.http.body_max_bytes,
        timeout: config.http.timeout,
    };
    let stopped = stop.clone();
    tasks.spawn(async move {
        let served = axum::serve(http, api.router())
            .with_graceful_shutdown(stopped.cancelled_owned())
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "the API has ended");
        }
    });
    let drain = config.limits.drain;
    Ok(Server {
        net,
        http: http_address,
        events,
        new_key,
        shard: handle,
        thread,
        store,
        tasks,
        services,
        stop,
        drain,
    })
}

fn split(found: KeyFound) -> (Key, Option<Secret>) {
    let key = found.key();
    match found {
        KeyFound::Made(_, secret) => (key, Some(secret)),
        KeyFound::Configured(_) | KeyFound::Stored(_) => (key, None),
    }
}

/// The system's reason at the root, so that the exit code can tell an address in use.
fn root_of(error: NetError) -> anyhow::Error {
    let text = error.to_string();
    match error {
        NetError::Bind { error, .. } => anyhow::Error::new(error).context(text),
        other => other.into(),
    }
}

/// Registrations and endpoints of the last run. Stored ones that no endpoint has any more are left out.
async fn restore(
    store: &Store,
    handle: &ShardHandle,
    clock: SystemClock,
    config: &Config,
) -> anyhow::Result<()> {
    let wall_ms = clock.wall().as_millisecond();
    let endpoints = store.endpoints().await?;
    let rows = store.registrations(wall_ms).await?;
    let away = store.agents_away().await?;
    let realm = config.sip.realm.clone();
    handle
        .tell(move |control, now| {
            for row in endpoints {
                match super::commands::endpoint_of(&row, &realm) {
                    Some(endpoint) => control.put_endpoint(endpoint),
                    None => tracing::warn!(
                        endpoint = row.name,
                        "a stored endpoint is of another realm or broken: left out"
                    ),
                }
            }
            for row in rows.iter().filter_map(|row| row.registration(wall_ms)) {
                if control.trunks().endpoint(&row.endpoint).is_some() {
                    control.restore(now, row);
                }
            }
            for agent in away {
                let agent = crate::center::AgentId::new(&agent);
                control.agent_wish(now, agent, crate::center::Wish::Away);
            }
        })
        .await;
    Ok(())
}

fn setup(
    config: &Config,
    parsed: Parsed,
    plan: Plan,
    net: &Net,
    media: Box<dyn media::worker::MediaPlane + Send>,
    seeds: &Seeds,
    clock: SystemClock,
) -> Setup {
    let heard = config.sip.listeners.iter().zip(net.bound());
    let sip_listeners: Vec<sip::ua::Listener> = heard
        .map(|(listener, bound)| sip::ua::Listener {
            id: bound.config.id,
            transport: bound.config.transport,
            advertised_host: listener.advertised_host.clone(),
            // Port 0 in the file: the system chose.
            advertised_port: match listener.advertised_port {
                0 => bound.local.port(),
                port => port,
            },
        })
        .collect();
    let heard = config.sip.listeners.iter().zip(net.bound());
    let listeners = heard
        .map(|(listener, bound)| control::Listener {
            id: bound.config.id,
            transport: bound.config.transport,
            v6: bound.local.is_ipv6(),
            media: listener.media,
        })
        .collect();
    let mut user_agent = UserAgentConfig::new(sip_listeners, &config.sip.user_agent);
    user_agent.t1 = config.sip.t1;
    user_agent.session_expires = config.sip.session_expires;
    user_agent.min_se = config.sip.min_se;
    let mut registrar = Registrar::new(RegistrarConfig::default());
    registrar.configure(&parsed.endpoints);
    Setup {
        shard: 0,
        seed: seeds.control,
        user_agent,
        listeners,
        trunks: Trunks::new(TrunksConfig {
            trunks: parsed.trunks,
            endpoints: parsed.endpoints,
            realm: config.sip.realm.clone(),
            digests: Digests::default(),
            nonce_secret: seeds.nonce,
            nonce_life: NONCE_LIFE,
        }),
        registrar,
        plan: Arc::new(plan),
        agents: parsed.agents,
        media,
        wall: WallClock::new(clock.now(), clock.wall()),
        codecs: sip::sdp::Codec::ALL.to_vec(),
        inband_dtmf: true,
        calls_max: usize::try_from(config.limits.calls).unwrap_or(usize::MAX),
    }
}

fn listeners(config: &Config) -> Vec<ListenerConfig> {
    let numbered = config.sip.listeners.iter().zip(0_u16..);
    let listener = |(listener, number): (&Listener, u16)| ListenerConfig {
        id: sip::transport::ListenerId(number),
        transport: match listener.transport {
            config::Transport::Udp => sip::transport::Transport::Udp,
            config::Transport::Tcp => sip::transport::Transport::Tcp,
            config::Transport::Tls => sip::transport::Transport::Tls,
        },
        bind: listener.address,
        advertised: None,
    };
    numbered.map(listener).collect()
}

fn tls_of(config: &Config) -> anyhow::Result<Option<tls::TlsConfig>> {
    let speaks = |listener: &&Listener| listener.transport == config::Transport::Tls;
    let mut secure = config.sip.listeners.iter().filter(speaks).peekable();
    if secure.peek().is_none() {
        return Ok(None);
    }
    let files = match &config.sip.tls {
        Some(files) => tls::TlsFiles {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
            trust: tls::Trust::Anybody,
            names: Default::default(),
        },
        None => {
            let hosts: Vec<String> = secure.map(|it| it.advertised_host.clone()).collect();
            let made = certs::ensure(&config.paths.certs, &hosts)?;
            tls::TlsFiles {
                certificate: made.certificate,
                key: made.key,
                trust: tls::Trust::Anybody,
                names: Default::default(),
            }
        }
    };
    Ok(Some(tls::TlsConfig::load(&files)?))
}

fn media_config(config: &Config, random: u64) -> MediaConfig {
    let rtp = &config.rtp;
    let fits = |ip: &IpAddr| {
        rtp.advertised
            .filter(|other| other.is_ipv4() == ip.is_ipv4())
    };
    let addresses = rtp
        .bind
        .iter()
        .map(|ip| MediaAddress {
            bind: *ip,
            advertised: fits(ip).unwrap_or(*ip),
        })
        .collect();
    let first = IpAddr::from([127, 0, 0, 1]);
    let mut media = MediaConfig::at(first, random);
    media.addresses = addresses;
    media.ports = rtp.port_min..=rtp.port_max;
    if rtp.workers > 0 {
        media.workers = rtp.workers;
    }
    media
}

/// Randomness of the system, drawn once.
struct Seeds {
    control: u64,
    media: u64,
    nonce: [u8; 32],
}

fn seeds() -> anyhow::Result<Seeds> {
    let mut words = [[0; 8]; 2];
    let mut nonce = [0; 32];
    for word in &mut words {
        getrandom::fill(word).context("the system has no randomness")?;
    }
    getrandom::fill(&mut nonce).context("the system has no randomness")?;
    let [control, media] = words.map(u64::from_le_bytes);
    Ok(Seeds {
        control,
        media,
        nonce,
    })
}

async fn watch_recordings(mut recorded: tokio::sync::mpsc::Receiver<crate::io::record::Recorded>) {
    while let Some(recorded) = recorded.recv().await {
        let path = recorded.path.display();
        metrics::counter!("tandem_recordings_total").increment(1);
        if recorded.gaps > 0 || !matches!(recorded.ending, crate::io::record::Ending::Complete) {
            tracing::warn!(%path, gaps = recorded.gaps, ending = ?recorded.ending, "recorded");
        } else {
            tracing::info!(%path, seconds = recorded.length.as_secs(), "recorded");
        }
    }
}
