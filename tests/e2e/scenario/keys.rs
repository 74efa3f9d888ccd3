//! Keys and packet times across codecs: what a caller presses reaches a phone that speaks otherwise, and packets of
//! 20 ms meet packets of 30 and 60.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use media::Digit;

use super::smoke::{AGENT, CALLER, Caller};
use crate::baresip::{Baresip, Over};
use crate::ear::Press;
use crate::lab::Lab;
use crate::linphone::Linphone;
use crate::process::pause;
use crate::server::{Server, Setup};
use crate::sipp::Play;
use crate::sound::Stream;

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

pub(crate) fn packets_of_30(lab: &Lab) -> Result<String> {
    packets(lab, 30)
}

pub(crate) fn packets_of_60(lab: &Lab) -> Result<String> {
    packets(lab, 60)
}

/// A caller of 20 ms and an agent's linphone that asks for `ms`, both G.711, hear each other; then a caller who asks for
/// `ms` and an agent's baresip of 20 ms do.
fn packets(lab: &Lab, ms: u32) -> Result<String> {
    let capture = lab.capture(&lab.net())?;
    let server = Server::start(lab, &Setup::agents(&["alice", "bob"]))?;
    let more = format!("[rtp]\nupload_ptime={ms}\ndownload_ptime={ms}\n");
    let mut agent = Linphone::start_with(lab, &server, "alice", AGENT, &more)?;
    let caller = Caller::call(lab, &server, "caller")?;
    caller.choose_support(&server)?;
    let heard = caller.hears_tone(AGENT, 3.0, START)?;
    agent.command("terminate")?;
    caller.sipp.succeed(Duration::from_secs(10))?;
    let traffic = capture.finish()?;
    let streams = traffic.streams_at(server.ip, &agent.rtp);
    let (_, to_agent) = streams.first().context("linphone got no audio")?;
    let to_caller = traffic.streams_to(caller.ear.address);
    let (_, to_caller) = to_caller.first().context("the caller got no audio")?;
    let sent = sizes(&traffic.stream_from(&agent.rtp));
    sized("to linphone", sizes(to_agent), ms)?;
    sized("to the caller", sizes(to_caller), 20)?;
    let tone = to_agent.sound().tone(CALLER as f32);
    let tone = tone.context("linphone hears nothing")?;
    agent.command("quit")?;
    drop(agent);

    let capture = lab.capture(&lab.net())?;
    let mut agent = Baresip::start(lab, &server, "bob", Over::Udp, AGENT, true)?;
    let asks = format!("a=ptime:{ms}");
    let keys = [("a=ptime:20", asks.as_str())];
    let mut play = Play::new("caller", lab.ip(2), server.sip());
    play.keys = &keys;
    let caller = Caller::play(lab, play)?;
    caller.choose_support(&server)?;
    let again = caller.hears_tone(AGENT, 3.0, START)?;
    agent.command("hangup", "")?;
    caller.sipp.succeed(Duration::from_secs(10))?;
    let traffic = capture.finish()?;
    let streams = traffic.streams_to(caller.ear.address);
    let (_, stream) = streams.first().context("the caller got no audio")?;
    sized("to the second caller", sizes(stream), ms)?;
    let played = agent.played(CALLER)?;
    ensure!(played > -16.0, "baresip played {played:.1} dBFS");
    server.stop()?;
    Ok(format!(
        "linphone asks for {ms} ms, gets them, sends {sent:?}: heard at {:.1} dBFS, hears {:.1}; a caller of {ms} ms: {:.1}, baresip plays {played:.1}",
        heard.dbfs, tone.dbfs, again.dbfs
    ))
}

/// How long the packets of audio are, in ms.
fn sizes(stream: &Stream) -> BTreeSet<usize> {
    let audio = stream.0.iter().filter(|it| it.payload_type < 96);
    audio.map(|it| it.payload.len() / 8).collect()
}

fn sized(whose: &str, sizes: BTreeSet<usize>, ms: u32) -> Result<()> {
    ensure!(
        sizes == BTreeSet::from([ms as usize]),
        "{whose}: packets of {sizes:?} ms, want {ms}"
    );
    Ok(())
}

/// From a phone's answer to the first seconds of its voice.
const START: Duration = Duration::from_secs(20);
