//! Packet times: packets of 20 ms meet packets of 30, 40 and 60, asked for by a telephone and sent by one.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use media::codec::Codec;

use super::codecs::Voices;
use super::smoke::{AGENT, CALLER, Caller, GAP_MS};
use crate::baresip::{Baresip, Over};
use crate::capture::{Capture, Traffic};
use crate::lab::Lab;
use crate::linphone::Linphone;
use crate::mouth::{Mouth, free_pair};
use crate::process::{Process, pause, wait_for};
use crate::server::{Server, Setup};
use crate::sipp::Play;
use crate::sound::{Sound, Stream};

pub(crate) fn asked_for_30(lab: &Lab) -> Result<String> {
    packets(lab, 30)
}

pub(crate) fn asked_for_60(lab: &Lab) -> Result<String> {
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
    let sent = sizes(&traffic.stream_from(&agent.rtp), Codec::Pcmu);
    sized("to linphone", to_agent, Codec::Pcmu, ms)?;
    sized("to the caller", to_caller, Codec::Pcmu, 20)?;
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
    sized("to the second caller", stream, Codec::Pcmu, ms)?;
    let played = agent.played(CALLER)?;
    ensure!(played > -16.0, "baresip played {played:.1} dBFS");
    server.stop()?;
    Ok(format!(
        "linphone asks for {ms} ms, gets them, sends {sent:?}: heard at {:.1} dBFS, hears {:.1}; a caller of {ms} ms: {:.1}, baresip plays {played:.1}",
        heard.dbfs, tone.dbfs, again.dbfs
    ))
}

pub(crate) fn sent_in_30(lab: &Lab) -> Result<String> {
    sent(
        lab,
        &[(Codec::Pcmu, 30), (Codec::G722, 30), (Codec::Opus, 40)],
    )
}

pub(crate) fn sent_in_60(lab: &Lab) -> Result<String> {
    sent(
        lab,
        &[(Codec::Pcmu, 60), (Codec::G722, 60), (Codec::Opus, 60)],
    )
}

/// A caller who sends long packets goes through the menu by a key in the audio and talks to a baresip that wants
/// 20 ms of G.711; then an agent's phone sends them to a caller who wants 20 ms.
fn sent(lab: &Lab, cases: &[(Codec, u32)]) -> Result<String> {
    let phone = SocketAddr::new(lab.ip(4), 5_060);
    let mut setup = Setup::agents(&["alice"]);
    setup.config = format!("codecs = [\"opus\", \"g722\", \"pcmu\"]\n{}", setup.config);
    let server = Server::start(lab, &setup)?;
    let mut agent = Baresip::start(lab, &server, "alice", Over::Udp, AGENT, true)?;
    let mut told = Vec::new();
    for &(codec, ms) in cases {
        let heard = from_caller(lab, &server, &mut agent, (codec, ms))?;
        told.push(format!(
            "{} of {ms} ms from a caller: {heard}",
            codec.name()
        ));
    }
    server.stop()?;
    drop(agent);
    for &(codec, ms) in cases {
        let mut setup = Setup::agents(&[]).with_static("bob", phone);
        let named = codec.name().to_lowercase();
        let more = format!("codecs = [\"{named}\"]\ncontact");
        setup.config = setup.config.replace("contact", &more);
        setup.plan = crate::server::plan(&["bob"]);
        let heard = from_agent(lab, &setup, phone, (codec, ms))?;
        told.push(format!("from an agent: {heard}"));
    }
    Ok(told.join("; "))
}

fn from_caller(
    lab: &Lab,
    server: &Server,
    agent: &mut Baresip,
    (codec, ms): (Codec, u32),
) -> Result<String> {
    let mouth = Mouth {
        address: free_pair(lab.ip(2))?,
        codec,
        ms,
        hz: CALLER,
        presses: true,
    };
    let capture = lab.capture(&lab.net())?;
    let lines = mouth.described();
    let keys = lines.each_ref().map(|(word, line)| (*word, line.as_str()));
    let mut play = Play::new("caller_in_band", mouth.address.ip(), server.sip());
    play.keys = &keys;
    play.ear = Some(mouth.address);
    let sipp = play.start(lab)?;
    let voice = answered(lab, &capture, mouth, "SIP/2.0 200")?;
    server.queued(Duration::from_secs(15))?;
    agent.event("CALL_ESTABLISHED", START)?;
    pause(4_000);
    agent.command("hangup", "")?;
    sipp.succeed(Duration::from_secs(10))?;
    let cdr = server.cdrs(1)?.remove(0);
    let traffic = capture.finish()?;
    drop(voice);

    let streams = traffic.streams_to(mouth.address);
    let (_, back) = streams.first().context("the caller got no audio")?;
    let streams = traffic.streams_at(server.ip, &agent.rtp);
    let (_, there) = streams.last().context("the agent got no audio")?;
    sized("from the caller", &own(&traffic, mouth), codec, ms)?;
    sized("to the caller", back, codec, ms)?;
    sized("to the agent", there, Codec::Pcmu, 20)?;
    // On a machine that does much else the mouth itself stops at times, and the server does.
    let longest = |stream: &Stream| stream.longest_pause_ms(0.0, f64::INFINITY) as usize;
    let pause = longest(&own(&traffic, mouth));
    let late_ms = pause.saturating_sub(ms as usize);
    let gap_ms = GAP_MS + late_ms.max(longest(there).saturating_sub(20));
    let heard = there.sound().hears("the agent", CALLER as f32, gap_ms)?;
    there.sound().never_hears("the agent", AGENT as f32)?;
    // The music before has the caller's note too.
    let talk = Voices::of(back, codec).last(3);
    let best = talk.heard("the caller", AGENT, CALLER)?;
    let url = cdr["recording_url"].as_str().context("no recording_url")?;
    let file = lab.path("recording.wav");
    server.download(url, &file)?;
    let recorded = Sound::wav(&file, 0)?.hears("the recording", CALLER as f32, gap_ms)?;
    Ok(format!(
        "the agent hears {:.1} dBFS, gap {} ms (packets came up to {pause} ms apart), recorded {:.1}, gap {} ms, the caller hears {best:.1}",
        heard.dbfs, heard.gap_ms, recorded.dbfs, recorded.gap_ms
    ))
}

fn from_agent(
    lab: &Lab,
    setup: &Setup,
    phone: SocketAddr,
    (codec, ms): (Codec, u32),
) -> Result<String> {
    let mouth = Mouth {
        address: free_pair(phone.ip())?,
        codec,
        ms,
        hz: AGENT,
        presses: false,
    };
    let capture = lab.capture(&lab.net())?;
    let server = Server::start(lab, setup)?;
    let lines = mouth.described();
    let keys = lines.each_ref().map(|(word, line)| (*word, line.as_str()));
    let mut play = Play::new("agent", phone.ip(), server.sip());
    play.keys = &keys;
    play.ear = Some(mouth.address);
    let desk = play.start(lab)?;
    let caller = Caller::call(lab, &server, "caller")?;
    caller.choose_support(&server)?;
    let voice = answered(lab, &capture, mouth, "INVITE sip:bob")?;
    let heard = caller.hears_tone(AGENT, 3.0, START)?;
    caller.sipp.hang_up()?;
    caller.sipp.succeed(Duration::from_secs(10))?;
    desk.succeed(Duration::from_secs(10))?;
    let traffic = capture.finish()?;
    drop(voice);
    let streams = traffic.streams_to(mouth.address);
    let (_, there) = streams.first().context("the agent got no audio")?;
    let streams = traffic.streams_to(caller.ear.address);
    let (_, back) = streams.first().context("the caller got no audio")?;
    sized("from the agent", &own(&traffic, mouth), codec, ms)?;
    sized("to the agent", there, codec, ms)?;
    sized("to the caller", back, Codec::Pcmu, 20)?;
    let best = Voices::of(there, codec).heard("the agent", CALLER, AGENT)?;
    server.stop()?;
    Ok(format!(
        "the caller hears {:.1} dBFS, gap {} ms, the agent {best:.1}",
        heard.dbfs, heard.gap_ms
    ))
}

/// Waits for the message whose SDP says where the server takes audio, and speaks to there.
fn answered(lab: &Lab, capture: &Capture, mouth: Mouth, start: &str) -> Result<Process> {
    let server = wait_for(START, start, || {
        let traffic = capture.so_far().ok()?;
        let from_us = |it: &crate::capture::Sip| it.from.ip() == lab.ip(1);
        let found = traffic.sip(start).into_iter().rfind(from_us)?;
        found.audio()
    })?;
    mouth.speak(lab, server)
}

/// What a mouth has sent.
fn own(traffic: &Traffic, mouth: Mouth) -> Stream {
    traffic.stream_from(&(mouth.address..=mouth.address))
}

/// How long the packets of audio are, in ms.
fn sizes(stream: &Stream, codec: Codec) -> BTreeSet<usize> {
    let clock = codec.clock_rate() as usize / 1_000;
    let audio = stream.0.iter().filter(|it| it.payload_type != 101);
    audio.map(|it| codec.ticks(&it.payload) / clock).collect()
}

fn sized(whose: &str, stream: &Stream, codec: Codec, ms: u32) -> Result<()> {
    let sizes = sizes(stream, codec);
    ensure!(
        sizes == BTreeSet::from([ms as usize]),
        "{whose}: packets of {sizes:?} ms, want {ms}"
    );
    Ok(())
}

/// From a phone's answer to the first seconds of its voice.
const START: Duration = Duration::from_secs(20);
