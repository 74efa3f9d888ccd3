//! What callers and agents do besides: keys to each other, giving up, holding, a transfer to nobody.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use media::Digit;

use super::phones::Talk;
use super::recordings::keys_in;
use super::smoke::{AGENT, CALLER, Caller, GAP_MS, music, sound_at_caller};
use crate::agent::Agent;
use crate::baresip::{Baresip, Over};
use crate::capture::Traffic;
use crate::chromium::Chromium;
use crate::ear::{Ear, Press, Voice};
use crate::lab::Lab;
use crate::process::{pause, wait_for};
use crate::server::{Server, Setup};
use crate::sipp::Play;

const START: Duration = Duration::from_secs(20);

/// A caller's key reaches the agent's phone as one event of RFC 4733.
pub(crate) fn key_to_agent(lab: &Lab) -> Result<String> {
    let talk = Talk::begin(lab, &Setup::agents(&["alice"]))?;
    let five = Digit::from_char('5').context("5 is a key")?;
    talk.caller.ear.press(five, Press::Rfc4733);
    pause(1_500);
    talk.caller.sipp.hang_up()?;
    talk.caller.sipp.succeed(Duration::from_secs(10))?;
    let traffic = talk.capture.finish()?;
    let figures = match &talk.agent {
        Agent::Phone(phone) => key_in_packets(&traffic, &talk.server, phone)?,
        Agent::Browser(page) => key_in_sound(page)?,
    };
    talk.server.cdrs(1)?;
    talk.server.stop()?;
    Ok(figures)
}

/// A browser tells its page nothing of a key: it plays its tones.
fn key_in_sound(page: &Chromium) -> Result<String> {
    let heard = page.heard()?.into_iter().next();
    let keys = keys_in(&heard.context("the page heard nothing")?.samples);
    ensure!(keys == "5", "the page heard the keys {keys:?}, want one 5");
    Ok("the page heard one 5".to_owned())
}

fn key_in_packets(traffic: &Traffic, server: &Server, phone: &Baresip) -> Result<String> {
    let (_, stream) = traffic
        .streams_at(server.ip, &phone.rtp)
        .into_iter()
        .next()
        .context("the agent got no audio")?;
    let events: Vec<_> = stream.0.iter().filter(|it| it.payload_type > 95).collect();
    let first = events.first().context("the agent's phone got no event")?;
    ensure!(
        events
            .iter()
            .all(|it| it.payload.first() == Some(&5) && it.time == first.time),
        "not one press of 5: {events:?}"
    );
    let ends = events
        .iter()
        .filter(|it| it.payload.get(1).is_some_and(|b| b & 0x80 != 0));
    let last = events
        .last()
        .and_then(|it| it.payload.get(2..4))
        .context("short event")?;
    let ms = u16::from_be_bytes([last[0], last[1]]) / 8;
    ensure!(
        (100..=240).contains(&ms),
        "the key lasts {ms} ms, want some 160"
    );
    let ends = ends.count();
    ensure!(ends == 3, "its end is told {ends} times, want 3");
    Ok(format!("one press of {ms} ms in {} packets", events.len()))
}

/// The caller hangs up while an agent's phone rings: it stops ringing.
pub(crate) fn abandon(lab: &Lab) -> Result<String> {
    let capture = lab.capture(&lab.net())?;
    let phone = std::net::SocketAddr::new(lab.ip(4), 5060);
    let mut setup = Setup::agents(&[]).with_static("aaron", phone);
    setup.plan = crate::server::plan(&["aaron"]);
    let server = Server::start(lab, &setup)?;
    let rings = Play::new("agent_rings", lab.ip(4), server.sip()).start(lab)?;
    let caller = Caller::call(lab, &server, "caller")?;
    caller.choose_support(&server)?;
    wait_for(Duration::from_secs(10), "the agent to ring", || {
        let ringing = capture.so_far().ok()?.sip("SIP/2.0 180");
        ringing.into_iter().find(|it| it.from == phone)
    })?;
    caller.sipp.hang_up()?;
    caller.sipp.succeed(Duration::from_secs(10))?;
    rings.succeed(Duration::from_secs(10))?;
    let cdr = server.cdrs(1)?.remove(0);
    let traffic = capture.finish()?;
    let (byes, cancels) = (traffic.sip("BYE "), traffic.sip("CANCEL "));
    let (Some(bye), Some(cancel)) = (byes.first(), cancels.first()) else {
        anyhow::bail!(
            "{} BYEs and {} CANCELs were seen",
            byes.len(),
            cancels.len()
        );
    };
    let after = (cancel.at - bye.at) * 1e3;
    ensure!(after < 200.0, "the phone stops ringing after {after:.0} ms");
    ensure!(
        cdr["queue"] == "support" && cdr["agent"].is_null() && cdr["bridged_at"].is_null(),
        "the record: {cdr}"
    );
    server.stop()?;
    Ok(format!("the phone stops ringing after {after:.0} ms"))
}

/// The caller holds and resumes: the agent hears music, then the caller.
pub(crate) fn caller_holds(lab: &Lab) -> Result<String> {
    let capture = lab.capture(&lab.net())?;
    let server = Server::start(lab, &Setup::agents(&["alice"]))?;
    let agent = Agent::start(lab, &server, "alice", Over::Udp, AGENT, true)?;
    let caller = Caller::call(lab, &server, "caller_hold")?;
    caller.choose_support(&server)?;
    caller.hears_tone(AGENT, 1.0, START)?;
    caller.sipp.tell("MESSAGE")?;
    pause(4_000);
    caller.sipp.tell("MESSAGE")?;
    pause(2_500);
    caller.sipp.hang_up()?;
    caller.sipp.succeed(Duration::from_secs(10))?;
    server.cdrs(1)?;
    let traffic = capture.finish()?;
    let invites = traffic.sip("INVITE ");
    let at = |cseq: &str| {
        let found = invites.iter().find(|it| it.header("CSeq") == Some(cseq));
        found.map(|it| it.at).with_context(|| format!("no {cseq}"))
    };
    let (held, resumed) = (at("2 INVITE")?, at("3 INVITE")?);
    let sound = agent.heard(&traffic, &server)?;
    // What the caller said last is still on its way.
    let during = music(&sound, held + 0.1, resumed)?;
    let after = sound.between(resumed, sound.ends());
    let voice = after.hears("the agent", CALLER as f32, GAP_MS)?;
    let late = (voice.first - resumed) * 1e3;
    ensure!(late < 300.0, "the caller is back after {late:.0} ms");
    let quiet = sound_at_caller(&traffic, &caller.ear)?.between(held + 0.3, resumed);
    ensure!(
        quiet.tone(AGENT as f32).is_none(),
        "the caller who holds hears the agent"
    );
    server.stop()?;
    Ok(format!(
        "the agent hears music {during}, and the caller {late:.0} ms after the hold"
    ))
}

/// A transfer to nobody: the agent is told and has the caller back.
pub(crate) fn transfer_fails(lab: &Lab) -> Result<String> {
    let capture = lab.capture(&lab.net())?;
    let phone = std::net::SocketAddr::new(lab.ip(4), 5060);
    let mut setup = Setup::agents(&[]).with_static("aaron", phone);
    setup.plan = crate::server::plan(&["aaron"]);
    let server = Server::start(lab, &setup)?;
    let ear = Ear::open(lab.ip(4), Voice::tone(AGENT))?;
    let to = format!("sip:nobody@{}", server.ip);
    let words = [("@TARGET@", to.as_str())];
    let mut play = Play::new("agent_refers", lab.ip(4), server.sip());
    play.ear = Some(ear.address);
    play.keys = &words;
    let agent = play.start(lab)?;
    let caller = Caller::call(lab, &server, "caller")?;
    caller.choose_support(&server)?;
    caller.hears_tone(AGENT, 1.0, START)?;
    let invite = capture
        .so_far()?
        .sip("INVITE ")
        .into_iter()
        .find(|it| it.to == phone);
    let invite = invite.context("the agent was never rung")?;
    agent.tell_call("MESSAGE", invite.header("Call-ID").context("no Call-ID")?)?;
    pause(2_500);
    caller.sipp.hang_up()?;
    caller.sipp.succeed(Duration::from_secs(10))?;
    agent.succeed(Duration::from_secs(10))?;
    server.cdrs(1)?;
    let traffic = capture.finish()?;
    let refer = traffic
        .sip("REFER ")
        .into_iter()
        .next()
        .context("no REFER")?;
    let told: Vec<String> = traffic
        .sip("NOTIFY ")
        .iter()
        .filter_map(|it| Some(it.text.split("\r\n\r\n").nth(1)?.trim().to_owned()))
        .collect();
    ensure!(
        told.iter().any(|it| it.starts_with("SIP/2.0 404")),
        "the agent was told {told:?}, want SIP/2.0 404"
    );
    let sound = sound_at_caller(&traffic, &caller.ear)?;
    let after = sound.between(refer.at, sound.ends());
    let voice = after
        .tone(AGENT as f32)
        .context("the agent is not heard again")?;
    ensure!(
        voice.last - refer.at > 2.0 && voice.gap_ms < 500,
        "the agent is heard again only so: {voice:?}"
    );
    server.stop()?;
    Ok(format!(
        "the agent was told 404, and away for {} ms",
        voice.gap_ms
    ))
}
