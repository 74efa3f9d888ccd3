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
    let voices = Voices::of(stream, codec);
    let best = voices.heard("the phone", CALLER, AGENT)?;
    let ms = voices.ticks as u32 * 1_000 / codec.clock_rate();
    Ok(format!(
        "{} in packets of {ms} ms, {best:.1} dBFS",
        codec.name()
    ))
}

/// A stream of one codec, decoded at its own rate.
pub(super) struct Voices {
    rate: u32,
    samples: Vec<i16>,
    /// Of its last packet.
    ticks: usize,
}

impl Voices {
    pub(super) fn of(stream: &Stream, codec: Codec) -> Self {
        let mut decoder = Decoder::new(codec);
        let rate = decoder.rate();
        let mut samples = Vec::new();
        let mut ticks = 0;
        let audio = |number: u8| match codec.static_payload_type() {
            Some(fixed) => number == fixed,
            None => number >= 96 && number != 110 && number != 101,
        };
        for packet in stream.0.iter().filter(|it| audio(it.payload_type)) {
            let mut out = vec![0; rate as usize / 10];
            let count = decoder.decode(&packet.payload, &mut out);
            samples.extend(out.into_iter().take(count));
            ticks = codec.ticks(&packet.payload);
        }
        Self {
            rate,
            samples,
            ticks,
        }
    }

    /// Its last seconds.
    pub(super) fn last(mut self, secs: usize) -> Self {
        let before = self.samples.len().saturating_sub(secs * self.rate as usize);
        self.samples.drain(..before);
        self
    }

    /// Requires two seconds of the tone of `hz`, and nothing of the listener's `own`; gives the best level.
    pub(super) fn heard(&self, who: &str, hz: u32, own: u32) -> Result<f32> {
        let levels = |hz: u32| {
            let tone = Goertzel::new(hz as f32, self.rate);
            let seconds = self.samples.chunks_exact(self.rate as usize);
            seconds.map(move |it| tone.dbfs(it))
        };
        let with = levels(hz).filter(|&it| it > HEARD_DBFS).count();
        let itself = levels(own).fold(-100.0, f32::max);
        let secs = self.samples.len() / self.rate as usize;
        ensure!(with >= 2, "{who}: {hz} Hz in {with} of {secs} s");
        ensure!(itself < -45.0, "{who} hears itself at {itself:.1} dBFS");
        Ok(levels(hz).fold(-100.0, f32::max))
    }
}

/// From a phone's answer to the first seconds of its voice.
const START: Duration = Duration::from_secs(20);

/// A tone of −12 dBFS, with what a codec and a fade may take off it.
const HEARD_DBFS: f32 = -16.0;
