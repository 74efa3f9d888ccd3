//! The whole path: a carrier's call, greeting, a key, music, a registered agent, and what is left of it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use media::Digit;
use serde_json::Value;

use crate::agent::Agent;
use crate::baresip::Over;
use crate::capture::Traffic;
use crate::ear::{Ear, Press, Voice};
use crate::lab::Lab;
use crate::process::{pause, wait_for};
use crate::server::{Server, Setup, time};
use crate::sipp::{Play, Sipp};
use crate::sound::{Heard, Sound, recognise};

/// What the caller says, in Hz.
pub(crate) const CALLER: u32 = 440;

/// What agents say, in Hz.
pub(crate) const AGENT: u32 = 1_000;

/// A sound shorter than this cannot be missed by a listener.
pub(crate) const GAP_MS: usize = 40;

/// What the whole path may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// From one party's BYE to the other's.
    teardown_ms: f64,
    /// From the bridge until each hears the other.
    latency_ms: f64,
}

/// What is promised.
pub(crate) const PROMISED: Limits = Limits {
    teardown_ms: 200.0,
    latency_ms: LATENCY_MS,
};

/// For every run, also on a machine that does much else: sound is exact there, time is not.
const GENEROUS: Limits = Limits {
    teardown_ms: 2_000.0,
    latency_ms: 2_000.0,
};

/// From the bridge until each hears the other.
pub(crate) const LATENCY_MS: f64 = 300.0;

/// From the queue until its music.
const MUSIC_AFTER_MS: usize = 500;

/// Agent over UDP; the caller hangs up.
pub(crate) fn udp(lab: &Lab) -> Result<String> {
    whole_path(lab, Over::Udp, false, GENEROUS)
}

/// A caller whose audio is an ear.
pub(crate) struct Caller {
    pub(crate) ear: Ear,
    pub(crate) sipp: Sipp,
}

impl Caller {
    /// Calls by `scenario` from the lab's address 2.
    pub(crate) fn call(lab: &Lab, server: &Server, scenario: &str) -> Result<Self> {
        Self::dial(lab, server, scenario, "+15551230000")
    }

    /// The same to another number.
    pub(crate) fn dial(lab: &Lab, server: &Server, scenario: &str, number: &str) -> Result<Self> {
        let mut play = Play::new(scenario, lab.ip(2), server.sip());
        play.number = number;
        Self::play(lab, play)
    }

    /// Starts SIPp with an ear at its own address.
    pub(crate) fn play(lab: &Lab, mut play: Play<'_>) -> Result<Self> {
        let ear = Ear::open(play.ip, Voice::tone(CALLER))?;
        play.ear = Some(ear.address);
        let sipp = play.start(lab)?;
        Ok(Self { ear, sipp })
    }

    /// Waits until the caller has heard a second of speech.
    pub(crate) fn hears_greeting(&self) -> Result<f32> {
        wait_for(Duration::from_secs(20), "the greeting", || {
            let sound = self.ear.first().sound();
            let loud: Vec<i16> = sound
                .samples
                .chunks_exact(160)
                .filter(|frame| media::dsp::level::dbfs(frame) > -40.0)
                .flatten()
                .copied()
                .collect();
            (loud.len() >= 8_000).then(|| media::dsp::level::dbfs(&loud))
        })
    }

    /// Waits until the caller has heard a tone for `secs`.
    pub(crate) fn hears_tone(&self, hz: u32, secs: f64, limit: Duration) -> Result<Heard> {
        wait_for(limit, &format!("{hz} Hz at the caller"), || {
            let heard = self.ear.first().sound().tone(hz as f32)?;
            (heard.last - heard.first >= secs).then_some(heard)
        })
    }

    /// Presses 2 once the greeting is heard, and waits until the call is queued.
    pub(crate) fn choose_support(&self, server: &Server) -> Result<f32> {
        let greeting = self.hears_greeting()?;
        self.ear
            .press(Digit::from_char('2').context("2 is a key")?, Press::Rfc4733);
        server.queued(Duration::from_secs(10))?;
        Ok(greeting)
    }
}

/// The main scenario, by transport and by who hangs up.
pub(crate) fn whole_path(
    lab: &Lab,
    over: Over,
    agent_ends: bool,
    limits: Limits,
) -> Result<String> {
    let capture = lab.capture(&lab.net())?;
    let server = Server::start(lab, &Setup::agents(&["alice"]))?;
    let caller = Caller::call(lab, &server, "caller")?;
    let greeting = caller.choose_support(&server)?;
    let queued = caller.ear.first().sound().ends();
    pause(3_500);
    let mut agent = Agent::start(lab, &server, "alice", over, AGENT, true)?;
    caller.hears_tone(AGENT, 3.0, Duration::from_secs(20))?;
    let told = now();
    if agent_ends {
        agent.command("hangup", "")?;
    } else {
        caller.sipp.hang_up()?;
    }
    let closed = agent.event("CALL_CLOSED", Duration::from_secs(5))?;
    let of_agent = if agent_ends { told } else { closed };
    caller.sipp.succeed(Duration::from_secs(10))?;
    let cdr = server.cdrs(1)?.remove(0);
    let traffic = capture.finish()?;

    let bridged = time(&cdr, "bridged_at")?;
    let at_caller = sound_at_caller(&traffic, &caller.ear)?;
    let arrived = traffic.streams_to(caller.ear.address);
    let pause = arrived.first().map_or(0.0, |(_, stream)| {
        stream.longest_pause_ms(bridged, at_caller.ends())
    });
    let music = music(&at_caller, queued, bridged)?;
    let talk = at_caller.between(bridged - 0.2, at_caller.ends());
    let heard = talk.hears("the caller", AGENT as f32, GAP_MS)?;
    // Music has that note too, so only what follows it is looked at.
    talk.between(heard.first, talk.ends())
        .never_hears("the caller", CALLER as f32)?;
    let agent_side = agent.heard(&traffic, &server)?;
    let agent_heard = agent_side.hears("the agent", CALLER as f32, GAP_MS)?;
    agent_side.never_hears("the agent", AGENT as f32)?;
    in_dump(&agent.played()?)?;
    let latency = [heard.first, agent_heard.first].map(|first| (first - bridged) * 1e3);
    ensure!(
        latency.iter().all(|&ms| ms < limits.latency_ms),
        "tones came {latency:.0?} ms after the bridge"
    );
    let teardown = teardown_ms(&traffic, agent_ends, of_agent)?;
    ensure!(
        teardown < limits.teardown_ms,
        "the other leg ended after {teardown:.0} ms"
    );
    let record = check_cdr(&cdr)?;
    let recording = check_recording(lab, &server, &cdr)?;
    server.stop()?;
    Ok(format!(
        "greeting {greeting:.0} dBFS, music {music}, heard after {:.0} and {:.0} ms at {:.1} and {:.1} \
         dBFS, gaps {} and {} ms, packets at most {pause:.0} ms apart, other leg ended after {teardown:.0} ms, {record}, {recording}",
        latency[0], latency[1], heard.dbfs, agent_heard.dbfs, heard.gap_ms, agent_heard.gap_ms,
    ))
}

/// Seconds since 1970.
fn now() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

/// All that the server sent to the caller.
pub(crate) fn sound_at_caller(traffic: &Traffic, ear: &Ear) -> Result<Sound> {
    let mut streams = traffic.streams_to(ear.address);
    ensure!(
        streams.len() == 1,
        "the caller hears {} streams, want one",
        streams.len()
    );
    Ok(streams.remove(0).1.sound())
}

/// What the phone itself has decoded.
pub(crate) fn in_dump(dump: &Sound) -> Result<()> {
    dump.hears("the phone's own dump", CALLER as f32, 100)?;
    dump.never_hears("the phone's own dump", AGENT as f32)
}

/// The piece between the queue and the bridge is our tune, unbroken.
pub(crate) fn music(heard: &Sound, from: f64, to: f64) -> Result<String> {
    // The last words of the menu may still be on their way when the call is queued.
    let waited = heard.between(from + 0.1, to - 0.1);
    let silent = waited
        .samples
        .chunks_exact(160)
        .take_while(|frame| media::dsp::level::dbfs(frame) < -55.0)
        .count();
    let after_ms = silent * 20 + 100;
    let music = waited.between(waited.begins + silent as f64 * 0.02, to);
    let tune = tandem::prompt::compose::music();
    let found = recognise(&music, &tune)?;
    let silence = music.longest_silence_ms(-55.0);
    ensure!(
        found.worst > 0.9,
        "what is heard {:.1} s after the beginning is not our music: {found:?}",
        found.worst_at
    );
    ensure!(
        after_ms <= MUSIC_AFTER_MS,
        "the music begins {after_ms} ms after the call is queued"
    );
    ensure!(
        found.gain_db.abs() < 3.0,
        "music at a wrong level: {found:?}"
    );
    ensure!(silence <= GAP_MS, "the music is silent for {silence} ms");
    Ok(format!(
        "after {after_ms} ms for {:.1} s r={:.3} {:+.1} dB gap {silence} ms",
        music.secs(),
        found.worst,
        found.gain_db
    ))
}

/// How long after one party's BYE the other party's call ended.
///
/// `of_agent` is when the agent's phone hung up or saw the end, for a leg that cannot be read.
pub(crate) fn teardown_ms(traffic: &Traffic, agent_ends: bool, of_agent: f64) -> Result<f64> {
    let byes = traffic.sip("BYE ");
    let ms = match byes.as_slice() {
        [first, second, ..] => (second.at - first.at) * 1e3,
        // Over TLS only the caller's BYE can be read; the phone says when its call was over.
        [only] if !agent_ends => (of_agent - only.at) * 1e3,
        [only] => (only.at - of_agent) * 1e3,
        [] => anyhow::bail!("no BYE was seen"),
    };
    Ok(ms)
}

pub(crate) fn check_cdr(cdr: &Value) -> Result<String> {
    let text = |key: &str| cdr[key].as_str().unwrap_or_default();
    for (key, want) in [
        ("direction", "inbound"),
        ("from", "+4412345"),
        ("to", "+15551230000"),
        ("trunk", "carrier"),
        ("queue", "support"),
        ("agent", "alice"),
        ("hangup_cause", "normal"),
    ] {
        ensure!(
            text(key) == want,
            "the record's {key}: {} for {want}",
            cdr[key]
        );
    }
    ensure!(cdr["q850"] == 16, "the record's q850: {}", cdr["q850"]);
    let [started, answered, bridged, ended] =
        ["started_at", "answered_at", "bridged_at", "ended_at"].map(|key| time(cdr, key));
    let (started, answered, bridged, ended) = (started?, answered?, bridged?, ended?);
    let billed = cdr["billsec"].as_f64().context("billsec")?;
    let waited = cdr["wait_secs"].as_f64().context("wait_secs")?;
    ensure!(
        started <= answered && answered < bridged && bridged < ended,
        "the record's times are out of order: {cdr}"
    );
    ensure!(
        (billed - (ended - answered)).abs() < 0.02,
        "billsec {billed} for {:.3}",
        ended - answered
    );
    ensure!(
        waited < bridged - answered,
        "wait_secs {waited} of {:.3}",
        bridged - answered
    );
    Ok(format!("billed {billed:.2} s, waited {waited:.2} s"))
}

/// The stereo recording: the caller left, the agent right, from the bridge to the end.
pub(crate) fn check_recording(lab: &Lab, server: &Server, cdr: &Value) -> Result<String> {
    let url = cdr["recording_url"].as_str().context("no recording_url")?;
    let file = lab.path("recording.wav");
    server.download(url, &file)?;
    let (left, right) = (Sound::wav(&file, 0)?, Sound::wav(&file, 1)?);
    let talked = time(cdr, "ended_at")? - time(cdr, "bridged_at")?;
    ensure!(
        (left.secs() - talked).abs() < 0.1,
        "the recording lasts {:.2} s, the bridge {talked:.2} s",
        left.secs()
    );
    let caller = left.hears("the recording's left side", CALLER as f32, GAP_MS)?;
    left.never_hears("the recording's left side", AGENT as f32)?;
    let agent = right.hears("the recording's right side", AGENT as f32, GAP_MS)?;
    right.never_hears("the recording's right side", CALLER as f32)?;
    ensure!(
        caller.last - caller.first > talked - 0.5 && agent.last - agent.first > talked - 1.0,
        "the recording's tones are short: {caller:?} {agent:?}"
    );
    Ok(format!("recorded {:.2} of {talked:.2} s", left.secs()))
}
