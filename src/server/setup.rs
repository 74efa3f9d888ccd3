//! What control is set up with: the same of a configuration, whether a server runs it or it is only rehearsed.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use media::worker::MediaPlane;
use sip::sdp::{Codec, KeySeed};
use sip::ua::UserAgentConfig;

use super::known::Configured;
use super::recording;
use crate::config::Config;
use crate::control::{Listener, Setup, WallClock};
use crate::dialplan::Plan;
use crate::trunk::{Digests, Registrar, RegistrarConfig, Trunks, TrunksConfig};

/// What a configuration does not say: where control stands.
pub(super) struct Ground<'s> {
    /// How it presents itself at each listener, and sends by it.
    pub(super) faces: (Vec<sip::ua::Listener>, Vec<Listener>),
    pub(super) media: Box<dyn MediaPlane + Send>,
    pub(super) seeds: &'s Seeds,
    pub(super) wall: WallClock,
}

/// Randomness.
pub(super) struct Seeds {
    pub(super) control: u64,
    pub(super) media: u64,
    pub(super) nonce: [u8; 32],
    pub(super) media_keys: [u8; 32],
}

impl Seeds {
    /// Of the system.
    pub(super) fn draw() -> anyhow::Result<Self> {
        let mut words = [[0; 8]; 2];
        let (mut nonce, mut media_keys) = ([0; 32], [0; 32]);
        for word in &mut words {
            getrandom::fill(word).context("the system has no randomness")?;
        }
        for bytes in [&mut nonce, &mut media_keys] {
            getrandom::fill(bytes).context("the system has no randomness")?;
        }
        let [control, media] = words.map(u64::from_le_bytes);
        Ok(Self {
            control,
            media,
            nonce,
            media_keys,
        })
    }

    /// None: what is only rehearsed has no secrets, and is the same each time.
    pub(super) const fn fixed() -> Self {
        Self {
            control: 1,
            media: 1,
            nonce: [0; 32],
            media_keys: [1; 32],
        }
    }
}

pub(super) fn setup(config: &Config, known: Configured, plan: Plan, ground: Ground<'_>) -> Setup {
    let (presented, listeners) = ground.faces;
    let mut user_agent = UserAgentConfig::new(presented, &config.sip.user_agent);
    user_agent.t1 = config.sip.t1;
    user_agent.session_expires = config.sip.session_expires;
    user_agent.min_se = config.sip.min_se;
    user_agent.reliable_progress = config.sip.reliable_progress;
    let mut registrar = Registrar::new(RegistrarConfig::default());
    registrar.configure(&known.endpoints);
    let mut trunks = Trunks::new(TrunksConfig {
        trunks: known.trunks,
        endpoints: known.endpoints,
        realm: config.sip.realm.clone(),
        digests: Digests::default(),
        nonce_secret: ground.seeds.nonce,
        nonce_life: NONCE_LIFE,
    });
    trunks.set_emergency(known.emergency);
    trunks.set_returns_max(config.limits.returns);

    Setup {
        abuse: known.abuse,
        shard: 0,
        seed: ground.seeds.control,
        media_keys: KeySeed::new(ground.seeds.media_keys),
        user_agent,
        listeners,
        trunks,
        registrar,
        plan: Arc::new(plan),
        agents: known.agents,
        media: ground.media,
        wall: ground.wall,
        codecs: Codec::DEFAULT.to_vec(),
        inband_dtmf: true,
        calls_max: usize::try_from(config.limits.calls).unwrap_or(usize::MAX),
        transfers_max: usize::try_from(config.limits.transfers).unwrap_or(usize::MAX),
        recording: recording::setup(&config.recording),
    }
}

/// How long a digest nonce is good for.
const NONCE_LIFE: Duration = Duration::from_secs(300);
