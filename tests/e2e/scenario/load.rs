//! Two hundred calls through the whole path, and nothing left of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use media::Digit;
use media::dsp::Goertzel;

use crate::ear::{Ear, Voice};
use crate::lab::Lab;
use crate::process::{pause, wait_for};
use crate::server::{Server, Setup};
use crate::sipp::{Play, Sipp};
use crate::sound::{RATE, Sound, Stream, TONE_DBFS};

pub(super) const CALLS: u32 = 200;

const PER_SECOND: u32 = 20;

/// How long tables may take to empty: a transaction's end is 32 s after its last message.
const EMPTY_WITHIN: Duration = Duration::from_secs(40);

/// Calls come at a steady rate; each is greeted, presses a key, waits, and talks to an agent of its own.
pub(crate) fn calls(lab: &Lab) -> Result<String> {
    let crowd = Crowd::begin(lab, "caller_load")?;
    crowd.calling.succeed(Duration::from_secs(90))?;
    let hung_up = Instant::now();
    crowd.answering.succeed(Duration::from_secs(20))?;
    let server = crowd.server;

    let records = server.cdrs(CALLS as usize)?;
    let bridged = records
        .iter()
        .filter(|it| it["bridged_at"].is_string())
        .count();
    let pairs = pairs(&crowd.callers.heard(), &crowd.agents.heard())?;
    ensure!(
        bridged == CALLS as usize && pairs.count == CALLS as usize,
        "{bridged} bridged by the records, {} with both tones of {CALLS}: {}",
        pairs.count,
        pairs.trouble.join("; ")
    );
    let before = crowd.before;
    let emptied = wait_for(EMPTY_WITHIN, "the tables to empty", || {
        let now = server.gauges().ok()?;
        TABLES
            .iter()
            .all(|table| held(&now, table) <= held(&before, table))
            .then(|| hung_up.elapsed())
    });
    let now = server.gauges()?;
    let left = |table: &&str| format!("{table} {} of {}", held(&now, table), held(&before, table));
    let emptied =
        emptied.with_context(|| TABLES.iter().map(left).collect::<Vec<_>>().join(", "))?;
    server.stop()?;
    Ok(format!(
        "{} of {CALLS} bridged with both tones, worst level {:+.1} dB, worst loss {:.2} %, tables \
         empty after {:.1} s",
        pairs.count,
        pairs.worst_db,
        pairs.worst_loss * 100.0,
        emptied.as_secs_f32()
    ))
}

/// [`CALLS`] callers on their way to as many agents, each with a tone of its own.
pub(super) struct Crowd {
    pub(super) server: Server,
    pub(super) setup: Setup,
    pub(super) callers: Ear,
    pub(super) agents: Ear,
    pub(super) calling: Sipp,
    pub(super) answering: Sipp,
    /// The gauges before the first call.
    before: BTreeMap<String, f64>,
}

impl Crowd {
    /// Starts the server and both sides; callers run `scenario`.
    pub(super) fn begin(lab: &Lab, scenario: &str) -> Result<Self> {
        let phone = std::net::SocketAddr::new(lab.ip(4), 5060);
        let names: Vec<String> = (0..CALLS).map(|n| format!("a{n:03}")).collect();
        let mut setup = Setup::agents(&[]);
        for name in &names {
            setup = setup.with_static(name, phone);
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        setup.plan = crate::server::plan(&names);
        let server = Server::start(lab, &setup)?;
        let before = server.gauges()?;
        let two = Digit::from_char('2').context("2 is a key")?;
        let voice = |hz, press| Voice {
            hz,
            step_hz: 10,
            press,
        };
        let press = Some((Duration::from_millis(1_500), two));
        let callers = Ear::open(lab.ip(2), voice(300, press))?;
        let agents = Ear::open(lab.ip(4), voice(305, None))?;
        let mut play = Play::new("agent", lab.ip(4), server.sip());
        play.ear = Some(agents.address);
        play.calls = (CALLS, PER_SECOND);
        let answering = play.start(lab)?;
        pause(500);
        let mut play = Play::new(scenario, lab.ip(2), server.sip());
        play.ear = Some(callers.address);
        play.calls = (CALLS, PER_SECOND);
        let calling = play.start(lab)?;
        Ok(Self {
            server,
            setup,
            callers,
            agents,
            calling,
            answering,
            before,
        })
    }
}

const TABLES: [&str; 5] = [
    "tandem_calls_active",
    "tandem_sip_transactions",
    "tandem_sip_dialogs",
    "tandem_media_ports",
    "tandem_open_files",
];

/// What a table holds. Sockets that rest open for the next port are files that nobody forgot.
fn held(gauges: &BTreeMap<String, f64>, table: &str) -> f64 {
    let value = |name: &str| gauges.get(name).copied().unwrap_or(0.0);
    match table {
        "tandem_open_files" => value(table) - value("tandem_media_sockets_resting"),
        _ => value(table),
    }
}

pub(super) struct Pairs {
    pub(super) count: usize,
    worst_db: f32,
    pub(super) worst_loss: f64,
    pub(super) trouble: Vec<String>,
}

/// Callers and agents who hear each other and nobody else, by their tones.
pub(super) fn pairs(callers: &[(u32, Stream)], agents: &[(u32, Stream)]) -> Result<Pairs> {
    let mut pairs = Pairs {
        count: 0,
        worst_db: 0.0,
        worst_loss: 0.0,
        trouble: Vec::new(),
    };
    let tones = |side: &[(u32, Stream)]| side.iter().map(|it| it.0).collect::<Vec<u32>>();
    let (caller_tones, agent_tones) = (tones(callers), tones(agents));
    for (hz, stream) in callers {
        let heard = loudest(&talk(stream), &agent_tones, *hz);
        let partner = heard
            .0
            .and_then(|tone| agents.iter().find(|it| it.0 == tone));
        let back = partner.map(|(own, stream)| loudest(&talk(stream), &caller_tones, *own));
        match (heard, back) {
            ((Some(_), there), Some((Some(own), here))) if own == *hz => {
                pairs.count += 1;
                for level in [there, here] {
                    if (level - TONE_DBFS).abs() > f32::abs(pairs.worst_db) {
                        pairs.worst_db = level - TONE_DBFS;
                    }
                }
                pairs.worst_loss = pairs.worst_loss.max(loss(stream));
            }
            (heard, back) => {
                if pairs.trouble.len() < 5 {
                    pairs
                        .trouble
                        .push(format!("{hz} Hz hears {heard:?}, is heard {back:?}"));
                }
            }
        }
    }
    Ok(pairs)
}

/// A second near the end, when both have long been bridged.
fn talk(stream: &Stream) -> Sound {
    let sound = stream.sound();
    sound.between(sound.ends() - 2.0, sound.ends() - 1.0)
}

/// The one tone of `others` that is there at its level, unless the listener's own is there too.
fn loudest(sound: &Sound, others: &[u32], own: u32) -> (Option<u32>, f32) {
    let second = sound.samples.get(..RATE - 160).unwrap_or_default();
    let level = |hz: u32| Goertzel::new(hz as f32, RATE as u32).dbfs(second);
    let best = others
        .iter()
        .map(|&hz| (hz, level(hz)))
        .max_by(|a, b| a.1.total_cmp(&b.1));
    match best {
        Some((hz, dbfs)) if (dbfs - TONE_DBFS).abs() < 1.5 && level(own) < -30.0 => {
            (Some(hz), dbfs)
        }
        Some((_, dbfs)) => (None, dbfs),
        None => (None, f32::NEG_INFINITY),
    }
}

/// The share of a stream's packets that never came.
fn loss(stream: &Stream) -> f64 {
    let audio: Vec<u32> = stream.0.iter().map(|it| it.time).collect();
    let (Some(first), Some(last)) = (audio.first(), audio.last()) else {
        return 1.0;
    };
    let span = f64::from(last.wrapping_sub(*first)) / 160.0 + 1.0;
    (1.0 - audio.len() as f64 / span).max(0.0)
}
