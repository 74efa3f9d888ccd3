//! Keys across codecs: what a caller presses reaches a phone that speaks otherwise, and what the phone presses the
//! caller.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use media::dsp::{DtmfTone, Goertzel};
use media::{Digit, FRAME};

use super::smoke::{AGENT, Caller};
use crate::baresip::{Baresip, Over};
use crate::capture::{Capture, Sip, Traffic};
use crate::ear::Press;
use crate::lab::Lab;
use crate::linphone::Linphone;
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
type Way = (&'static str, &'static str, &'static str);
const WAYS: [Way; 3] = [
    ("events", "auto", "caller"),
    ("INFO", "info", "caller_told_by_info"),
    ("tones", "auto", "caller_in_band"),
];

pub(crate) fn keys_by_info(lab: &Lab) -> Result<String> {
    keys_of_linphone(lab, "opus", "info", |phone, _| phone.command("5"))
}

pub(crate) fn keys_by_tones(lab: &Lab) -> Result<String> {
    keys_of_linphone(lab, "g722", "inband", |phone, tones| {
        phone.command(&format!("play {}", tones.display()))
    })
}

/// The agent, in `codec`, presses 5 by RFC 4733: the caller gets it once, in the form of its side.
fn keys_back(lab: &Lab, codec: &str, account: &str) -> Result<String> {
    let mut told = Vec::new();
    for way in WAYS {
        let (capture, server) = begin(lab, way, &format!("codecs = [\"{codec}\"]\n"))?;
        let mut agent =
            Baresip::start_with(lab, &server, "alice", (Over::Udp, account), AGENT, true)?;
        let caller = put_through(lab, &server, way)?;
        agent.command("sndcode", "5")?;
        pause(1_500);
        agent.command("hangup", "")?;
        told.push(arrived(lab, (capture, caller), way)?.1);
        server.stop()?;
        drop(agent);
        std::fs::remove_dir_all(lab.path(&format!("baresip-alice-{AGENT}")))?;
    }
    Ok(format!("{codec}: {}", told.join(", ")))
}

/// The agent, in `codec`, presses 5 in the form `dtmf` of its endpoint: the caller gets it once, in that of its own
/// side.
fn keys_of_linphone(
    lab: &Lab,
    codec: &str,
    dtmf: &str,
    press: impl Fn(&mut Linphone, &Path) -> Result<()>,
) -> Result<String> {
    let tones = lab.path("five.wav");
    write_key(&tones, '5')?;
    let mut told = Vec::new();
    for way in WAYS {
        let lines = format!("codecs = [\"{codec}\"]\ndtmf = \"{dtmf}\"\n");
        let (capture, server) = begin(lab, way, &lines)?;
        let more = "use_info=1\nuse_rfc2833=0\n";
        let mut agent = Linphone::start_with(lab, &server, "alice", AGENT, more)?;
        let caller = put_through(lab, &server, way)?;
        press(&mut agent, &tones)?;
        pause(2_500);
        agent.command("terminate")?;
        let (traffic, how) = arrived(lab, (capture, caller), way)?;
        let (phone, sent) = (agent.rtp.start().ip(), traffic.sip("INFO"));
        let pressed = sent
            .iter()
            .filter(|it| it.from.ip() == phone && it.to.ip() == server.ip)
            .count();
        ensure!(
            (pressed > 0) == (dtmf == "info"),
            "linphone sent {pressed} INFO, as its endpoint has {dtmf}"
        );
        told.push(how);
        server.stop()?;
        drop(agent);
        std::fs::remove_dir_all(lab.path("linphone-alice"))?;
    }
    Ok(format!("{codec}, pressed by {dtmf}: {}", told.join(", ")))
}

/// A server whose carrier has its keys that way, and whose agent's section has `lines` more.
fn begin(lab: &Lab, (_, dtmf, _): Way, lines: &str) -> Result<(Capture, Server)> {
    let mut setup = Setup::agents(&["alice"]);
    let key = "password = \"secret-alice\"\n";
    let agents = setup.config.replace(key, &format!("{key}{lines}"));
    setup.config = format!("dtmf = \"{dtmf}\"\n{agents}");
    let capture = lab.capture(&lab.net())?;
    Ok((capture, Server::start(lab, &setup)?))
}

/// A caller who chooses support, each in his way, and hears the agent.
fn put_through(lab: &Lab, server: &Server, (form, _, scenario): Way) -> Result<Caller> {
    let caller = Caller::call(lab, server, scenario)?;
    let two = Digit::from_char('2').context("2 is a key")?;
    caller.hears_greeting()?;
    match form {
        "events" => caller.ear.press(two, Press::Rfc4733),
        "INFO" => caller.sipp.tell("MESSAGE")?,
        _ => caller.ear.press(two, Press::InBand),
    }
    server.queued(Duration::from_secs(10))?;
    caller.hears_tone(AGENT, 1.0, START)?;
    Ok(caller)
}

/// The call is over: the caller has got the key once, in his form and no other.
fn arrived(
    lab: &Lab,
    (capture, caller): (Capture, Caller),
    (form, ..): Way,
) -> Result<(Traffic, String)> {
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
    let how = format!("{form} ({tones_ms} ms of tones)");
    Ok((traffic, how))
}

/// A file of 200 ms of a key's tones, and silence before and after.
fn write_key(file: &Path, key: char) -> Result<()> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE as u32,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut samples = vec![0; RATE];
    let tones = samples
        .get_mut(RATE / 4..RATE / 4 + RATE / 5)
        .context("a second has room for it")?;
    let key = Digit::from_char(key).context("a key")?;
    DtmfTone::new(key, -9.0).fill(tones);
    let mut writer = hound::WavWriter::create(file, spec)?;
    for sample in samples {
        writer.write_sample(sample)?;
    }
    Ok(writer.finalize()?)
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
