//! Phones that speak another codec than the caller, each heard by tone both ways.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use media::codec::{Codec, Decoder};
use media::dsp::Goertzel;

use super::smoke::{AGENT, CALLER, Caller};
use crate::baresip::{Baresip, Over};
use crate::lab::Lab;
use crate::linphone::Linphone;
use crate::server::{Server, Setup};
use crate::sound::Stream;

pub(crate) fn baresip_opus(lab: &Lab) -> Result<String> {
    baresip(lab, "opus", Codec::Opus, ";audio_codecs=opus/48000/2,PCMU")
}

pub(crate) fn baresip_g722(lab: &Lab) -> Result<String> {
    baresip(lab, "g722", Codec::G722, ";audio_codecs=G722/16000/1,PCMU")
}

pub(crate) fn linphone_opus(lab: &Lab) -> Result<String> {
    linphone(lab, "opus", Codec::Opus)
}

pub(crate) fn linphone_g722(lab: &Lab) -> Result<String> {
    linphone(lab, "g722", Codec::G722)
}

/// The agent alice, whose phone is offered nothing but `codec`.
fn agent_of(codec: &str) -> Setup {
    let mut setup = Setup::agents(&["alice"]);
    let key = "password = \"secret-alice\"\n";
    let more = format!("{key}codecs = [\"{codec}\"]\n");
    setup.config = setup.config.replace(key, &more);
    setup
}

fn baresip(lab: &Lab, name: &str, codec: Codec, account: &str) -> Result<String> {
    let capture = lab.capture(&lab.net())?;
    let server = Server::start(lab, &agent_of(name))?;
    let mut agent = Baresip::start_with(lab, &server, "alice", (Over::Udp, account), AGENT, true)?;
    let caller = Caller::call(lab, &server, "caller")?;
    caller.choose_support(&server)?;
    let heard = caller.hears_tone(AGENT, 3.0, START)?;
    agent.command("hangup", "")?;
    caller.sipp.succeed(Duration::from_secs(10))?;
    let traffic = capture.finish()?;
    let there = at_the_phone(&traffic.streams_at(server.ip, &agent.rtp), codec)?;
    let played = agent.played(CALLER)?;
    ensure!(played > HEARD_DBFS, "baresip played {played:.1} dBFS");
    server.stop()?;
    Ok(format!(
        "the caller hears baresip at {:.1} dBFS, baresip gets {there} and plays {played:.1} dBFS",
        heard.dbfs
    ))
}

fn linphone(lab: &Lab, name: &str, codec: Codec) -> Result<String> {
    let capture = lab.capture(&lab.net())?;
    let server = Server::start(lab, &agent_of(name))?;
    let mut agent = Linphone::start(lab, &server, "alice", AGENT)?;
    let caller = Caller::call(lab, &server, "caller")?;
    caller.choose_support(&server)?;
    let heard = caller.hears_tone(AGENT, 3.0, START)?;
    agent.command("terminate")?;
    caller.sipp.succeed(Duration::from_secs(10))?;
    let traffic = capture.finish()?;
    let there = at_the_phone(&traffic.streams_at(server.ip, &agent.rtp), codec)?;
    server.stop()?;
    Ok(format!(
        "the caller hears linphone at {:.1} dBFS, linphone gets {there}",
        heard.dbfs
    ))
}

/// What came to a phone in `codec`: the caller's tone, and not its own.
fn at_the_phone<A>(streams: &[(A, Stream)], codec: Codec) -> Result<String> {
    let (_, stream) = streams.first().context("the phone got no audio")?;
    let mut decoder = Decoder::new(codec);
    let rate = decoder.rate();
    let mut samples = Vec::new();
    let mut ticks = 0;
    let audio = |payload_type: u8| match codec {
        Codec::G722 => payload_type == 9,
        _ => payload_type >= 96 && payload_type != 110 && payload_type != 101,
    };
    for packet in stream.0.iter().filter(|it| audio(it.payload_type)) {
        let mut out = vec![0; rate as usize / 10];
        let count = decoder.decode(&packet.payload, &mut out);
        samples.extend(out.into_iter().take(count));
        ticks = codec.ticks(&packet.payload);
    }
    let secs = samples.len() / rate as usize;
    let level = |hz: u32, second: &[i16]| Goertzel::new(hz as f32, rate).dbfs(second);
    let seconds = || samples.chunks_exact(rate as usize);
    let with = seconds()
        .filter(|it| level(CALLER, it) > HEARD_DBFS)
        .count();
    let own = seconds().map(|it| level(AGENT, it)).fold(-100.0, f32::max);
    let best = seconds().map(|it| level(CALLER, it)).fold(-100.0, f32::max);
    ensure!(
        with >= 2,
        "the caller's tone in {with} of {secs} s at the phone"
    );
    ensure!(own < -45.0, "the phone hears itself at {own:.1} dBFS");
    let ms = ticks as u32 * 1_000 / codec.clock_rate();
    Ok(format!(
        "{} in packets of {ms} ms, {best:.1} dBFS",
        codec.name()
    ))
}

/// From a phone's answer to the first seconds of its voice.
const START: Duration = Duration::from_secs(20);

/// A tone of −12 dBFS, with what a codec and a fade may take off it.
const HEARD_DBFS: f32 = -16.0;
