//! Encrypted sound with the phones of others: baresip (libre) and linphone (libsrtp).

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::smoke::{AGENT, CALLER, Caller, check_recording, in_dump, sound_at_caller};
use crate::baresip::{Baresip, Over};
use crate::capture::Traffic;
use crate::lab::Lab;
use crate::linphone::Linphone;
use crate::process::pause;
use crate::server::{Server, Setup, time};
use crate::sound::Sound;

/// Long enough for a phone to start on a busy machine.
const START: Duration = Duration::from_secs(20);

/// One agent, whose leg is secured so.
fn setup(lines: &str) -> Setup {
    let mut setup = Setup::agents(&["alice"]);
    setup.config = setup
        .config
        .replace("[agents.alice]", &format!("{lines}\n[agents.alice]"));
    setup
}

/// Required on both sides, keys over TLS.
pub(crate) fn baresip_tls(lab: &Lab) -> Result<String> {
    baresip(
        lab,
        "srtp = \"required\"",
        (Over::Tls, ";audio_codecs=PCMU,PCMA;mediaenc=srtp-mand"),
    )
}

/// Optional on both sides: RTP/AVP with keys.
pub(crate) fn baresip_optional(lab: &Lab) -> Result<String> {
    let lines = "srtp = \"optional\"\nsrtp_keys_in_clear = true";
    baresip(
        lab,
        lines,
        (Over::Udp, ";audio_codecs=PCMU,PCMA;mediaenc=srtp"),
    )
}

/// Required on both sides, keys in clear as configured.
pub(crate) fn baresip_udp(lab: &Lab) -> Result<String> {
    let lines = "srtp = \"required\"\nsrtp_keys_in_clear = true";
    baresip(
        lab,
        lines,
        (Over::Udp, ";audio_codecs=PCMU,PCMA;mediaenc=srtp-mand"),
    )
}

fn baresip(lab: &Lab, lines: &str, account: (Over, &str)) -> Result<String> {
    let capture = lab.capture(&lab.net())?;
    let server = Server::start(lab, &setup(lines))?;
    let mut agent = Baresip::start_with(lab, &server, "alice", account, AGENT, true)?;
    let caller = Caller::call(lab, &server, "caller")?;
    caller.choose_support(&server)?;
    caller.hears_tone(AGENT, 3.0, START)?;
    // A hold and its end: offers of the phone, with keys again.
    agent.command("hold", "")?;
    pause(1_500);
    agent.command("resume", "")?;
    pause(500);
    caller.hears_tone(AGENT, 2.0, START)?;
    agent.command("hangup", "")?;
    agent.event("CALL_CLOSED", Duration::from_secs(5))?;
    caller.sipp.succeed(Duration::from_secs(10))?;
    let cdr = server.cdrs(1)?.remove(0);
    let traffic = capture.finish()?;
    let bridged = time(&cdr, "bridged_at")?;
    let heard = sound_at_caller(&traffic, &caller.ear)?;
    heard
        .between(bridged, heard.ends())
        .hears("the caller", AGENT as f32, 2_600)?;
    in_dump(&agent.heard()?.into_iter().next().context("no dump")?)?;
    let streams = traffic.streams_at(server.ip, &agent.rtp);
    let (_, stream) = streams.first().context("the agent's phone got no audio")?;
    is_encrypted(&stream.sound())?;
    let hidden = keys_are_masked(lab, &server)?;
    server.stop()?;
    Ok(format!(
        "both hear, also after hold; on the wire nothing is heard; {hidden}"
    ))
}

/// What was sent to the phone is no tone to whoever listens on the way.
fn is_encrypted(wire: &Sound) -> Result<()> {
    ensure!(
        wire.hears("the wire", CALLER as f32, 100).is_err(),
        "the caller's tone is on the wire in clear"
    );
    Ok(())
}

/// The trace of the call shows the lines and no key.
fn keys_are_masked(lab: &Lab, server: &Server) -> Result<String> {
    let trace = server.tandem(lab, &["trace", "last", "--full"])?;
    let lines = trace.lines().filter(|line| line.contains("a=crypto:"));
    let (mut masked, mut shown) = (0, 0);
    for line in lines {
        let key = line.split("inline:").nth(1).unwrap_or_default();
        if key.len() >= 40 && !key.starts_with("xxxx") {
            shown += 1;
        } else {
            masked += 1;
        }
    }
    ensure!(shown == 0, "{shown} keys are in the trace: {trace}");
    Ok(format!("{masked} lines with keys, all masked"))
}

/// linphone, which takes nothing but SRTP.
pub(crate) fn linphone(lab: &Lab) -> Result<String> {
    let capture = lab.capture(&lab.net())?;
    let lines = "srtp = \"required\"\nsrtp_keys_in_clear = true";
    let server = Server::start(lab, &setup(lines))?;
    let more = "media_encryption=srtp\nmedia_encryption_mandatory=1\n";
    let mut agent = Linphone::start_with(lab, &server, "alice", AGENT, more)?;
    let caller = Caller::call(lab, &server, "caller")?;
    caller.choose_support(&server)?;
    caller.hears_tone(AGENT, 3.0, START)?;
    agent.command("terminate")?;
    caller.sipp.succeed(Duration::from_secs(10))?;
    let cdr = server.cdrs(1)?.remove(0);
    let traffic: Traffic = capture.finish()?;
    let streams = traffic.streams_at(server.ip, &agent.rtp);
    let (_, stream) = streams.first().context("linphone got no audio")?;
    is_encrypted(&stream.sound())?;
    // What linphone sends is opened, or the caller would have heard nothing; the recording has both.
    let recording = check_recording(lab, &server, &cdr)?;
    heard_by_linphone(lab)?.hears("linphone", CALLER as f32, 100)?;
    server.stop()?;
    Ok(format!(
        "both hear, on the wire nothing is heard; {recording}"
    ))
}

/// What linphone has written. Its header counts itself among the samples.
fn heard_by_linphone(lab: &Lab) -> Result<Sound> {
    let mut bytes = std::fs::read(lab.path("linphone-alice").join("heard.wav"))?;
    let samples = u32::try_from(bytes.len().saturating_sub(44))?;
    bytes
        .get_mut(40..44)
        .context("linphone has written no file")?
        .copy_from_slice(&samples.to_le_bytes());
    let file = lab.path("heard-by-linphone.wav");
    std::fs::write(&file, bytes)?;
    Sound::wav(&file, 0)
}
