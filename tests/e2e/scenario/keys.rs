//! Keys across codecs: what a caller presses reaches a phone that speaks otherwise, and what the phone presses the
//! caller.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use media::dsp::Goertzel;
use media::{Digit, FRAME};

use super::smoke::{AGENT, Caller};
use crate::baresip::{Baresip, Over};
use crate::capture::{Sip, Traffic};
use crate::ear::Press;
use crate::lab::Lab;
use crate::process::pause;
use crate::server::{Server, Setup};
use crate::sound::{RATE, Stream};

pub(crate) fn keys_to_opus(lab: &Lab) -> Result<String> {
    keys(lab, "opus", ";audio_codecs=opus/48000/2")
}

pub(crate) fn keys_to_g722(lab: &Lab) -> Result<String> {
    keys(lab, "g722", ";audio_codecs=G722/16000/1")
}

/// How the caller presses: by which scenario it calls, and which key arrives.
const FORMS: [(&str, &str, u8); 3] = [
    ("RFC 4733", "caller", 5),
    ("INFO", "caller_info_twice", 5),
    ("in band", "caller_in_band", 5),
];

/// The caller, in G.711, presses a key to an agent in `codec`: it arrives as one event of RFC 4733, in all
/// three forms, and the agent's phone hears no tone of it.
fn keys(lab: &Lab, codec: &str, account: &str) -> Result<String> {
    let mut setup = Setup::agents(&["alice"]);
    let key = "password = \"secret-alice\"\n";
    let more = format!("{key}codecs = [\"{codec}\"]\n");
    setup.config = setup.config.replace(key, &more);
    let server = Server::start(lab, &setup)?;
    let mut agent = Baresip::start_with(lab, &server, "alice", (Over::Udp, account), AGENT, true)?;
    let mut told = Vec::new();
    for (form, scenario, wanted) in FORMS {
        let capture = lab.capture(&lab.net())?;
        let caller = Caller::call(lab, &server, scenario)?;
        let two = Digit::from_char('2').context("2 is a key")?;
        let five = Digit::from_char('5').context("5 is a key")?;
        let by = match form {
            "in band" => Press::InBand,
            _ => Press::Rfc4733,
        };
        caller.hears_greeting()?;
        match form {
            "INFO" => caller.sipp.tell("MESSAGE")?,
            _ => caller.ear.press(two, by),
        }
        server.queued(Duration::from_secs(10))?;
        caller.hears_tone(AGENT, 1.0, START)?;
        match form {
            "INFO" => caller.sipp.tell("MESSAGE")?,
            _ => caller.ear.press(five, by),
        }
        pause(1_500);
        caller.sipp.hang_up()?;
        caller.sipp.succeed(Duration::from_secs(10))?;
        agent.event("CALL_CLOSED", Duration::from_secs(5))?;
        let traffic = capture.finish()?;
        let streams = traffic.streams_at(server.ip, &agent.rtp);
        let (_, stream) = streams.first().context("the agent got no audio")?;
        let ms = event(stream, wanted).with_context(|| form.to_owned())?;
        told.push(format!("{form} {ms:.0} ms"));
    }
    server.stop()?;
    Ok(format!("{codec}: {}", told.join(", ")))
}

pub(crate) fn keys_from_opus(lab: &Lab) -> Result<String> {
    keys_back(lab, "opus", ";audio_codecs=opus/48000/2")
}

pub(crate) fn keys_from_g722(lab: &Lab) -> Result<String> {
    keys_back(lab, "g722", ";audio_codecs=G722/16000/1")
}

/// How keys go to the caller: `dtmf` of its trunk, and by which scenario it calls.
const WAYS: [(&str, &str, &str); 3] = [
    ("events", "auto", "caller"),
    ("INFO", "info", "caller_told_by_info"),
    ("tones", "auto", "caller_in_band"),
];

/// The agent, in `codec`, presses 5 by RFC 4733: the caller gets it once, in the form of its side.
fn keys_back(lab: &Lab, codec: &str, account: &str) -> Result<String> {
    let mut told = Vec::new();
    for (form, dtmf, scenario) in WAYS {
        let mut setup = Setup::agents(&["alice"]);
        let key = "password = \"secret-alice\"\n";
        let more = format!("{key}codecs = [\"{codec}\"]\n");
        let agents = setup.config.replace(key, &more);
        setup.config = format!("dtmf = \"{dtmf}\"\n{agents}");
        let capture = lab.capture(&lab.net())?;
        let server = Server::start(lab, &setup)?;
        let mut agent =
            Baresip::start_with(lab, &server, "alice", (Over::Udp, account), AGENT, true)?;
        let caller = Caller::call(lab, &server, scenario)?;
        let two = Digit::from_char('2').context("2 is a key")?;
        caller.hears_greeting()?;
        match form {
            "events" => caller.ear.press(two, Press::Rfc4733),
            "INFO" => caller.sipp.tell("MESSAGE")?,
            _ => caller.ear.press(two, Press::InBand),
        }
        server.queued(Duration::from_secs(10))?;
        caller.hears_tone(AGENT, 1.0, START)?;
        agent.command("sndcode", "5")?;
        pause(1_500);
        agent.command("hangup", "")?;
        caller.sipp.succeed(Duration::from_secs(10))?;
        let traffic = capture.finish()?;
        let streams = traffic.streams_to(caller.ear.address);
        let (_, stream) = streams.first().context("the caller got no audio")?;
        let event = event(stream, 5);
        let (tones_ms, infos) = (five_ms(stream), infos(&traffic, lab.ip(2)));
        let expected = match form {
            "events" => event.is_ok() && infos.is_empty() && tones_ms < 60,
            "INFO" => event.is_err() && infos == ["5"] && tones_ms < 60,
            _ => event.is_err() && infos.is_empty() && tones_ms >= 60,
        };
        ensure!(
            expected,
            "{form}: {event:?}, INFO {infos:?}, {tones_ms} ms of tones"
        );
        told.push(format!("{form} ({tones_ms} ms of tones)"));
        server.stop()?;
        drop(agent);
        std::fs::remove_dir_all(lab.path(&format!("baresip-alice-{AGENT}")))?;
    }
    Ok(format!("{codec}: {}", told.join(", ")))
}

/// The keys that `to` was told by INFO, which the server alone sends.
fn infos(traffic: &Traffic, to: std::net::IpAddr) -> Vec<String> {
    let told = traffic.sip("INFO").into_iter();
    let told = told.filter(|it| it.to.ip() == to && it.header("Content-Type").is_some());
    let signal = |it: Sip| {
        let mut lines = it.text.lines();
        let value = lines.find_map(|line| line.trim().strip_prefix("Signal="));
        value.unwrap_or_default().to_owned()
    };
    told.map(signal).collect()
}

/// How long the tones of key 5 are there.
fn five_ms(stream: &Stream) -> usize {
    let sound = stream.sound();
    let tones = [770.0, 1_336.0].map(|hz| Goertzel::new(hz, RATE as u32));
    let frames = sound.samples.chunks_exact(FRAME);
    let both = frames.filter(|frame| tones.iter().all(|tone| tone.dbfs(frame) > -20.0));
    both.count() * 20
}

/// The one event in a stream, which must be `wanted`; how long it took by its packets, in ms.
fn event(stream: &Stream, wanted: u8) -> Result<f64> {
    // Of four bytes, which no codec's packet here has.
    let events = || {
        stream
            .0
            .iter()
            .filter(|it| it.payload_type > 95 && it.payload.len() == 4)
    };
    let first = events().next().context("the agent's phone got no event")?;
    let presses: BTreeSet<_> = events().map(|it| (it.time, it.payload.first())).collect();
    ensure!(presses.len() == 1, "{} presses: {presses:?}", presses.len());
    ensure!(
        first.payload.first() == Some(&wanted),
        "key {:?}, want {wanted}",
        first.payload.first()
    );
    let ends = events().filter(|it| it.payload.get(1).is_some_and(|b| b & 0x80 != 0));
    let mut ends = ends;
    let last = ends.next().context("its end is not told")?;
    Ok((last.at - first.at) * 1e3)
}

/// From a phone's answer to the first seconds of its voice.
const START: Duration = Duration::from_secs(20);
