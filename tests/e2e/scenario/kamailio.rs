//! The whole path through Kamailio, in front of the server and as the carrier behind it: hold,
//! session refresh, transfer and end all pass through a proxy that stays in the dialog.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::smoke::{AGENT, CALLER, Caller, GAP_MS, LATENCY_MS, music, sound_at_caller};
use crate::baresip::{Baresip, Over};
use crate::capture::{Sip, Traffic};
use crate::ear::{Ear, Voice};
use crate::kamailio::{Hop, Kamailio};
use crate::lab::Lab;
use crate::process::{pause, wait_for};
use crate::server::{Server, Setup, time};
use crate::sipp::Play;
use crate::sound::Sound;

/// What the agent to whom the caller is handed says, in Hz.
const SECOND: u32 = 1_300;

const START: Duration = Duration::from_secs(20);

/// Half of the 90 seconds that the parties agree on, and some.
const REFRESH: Duration = Duration::from_secs(60);

/// SIPp → Kamailio → server over UDP; refreshed by UPDATE.
pub(crate) fn front_udp(lab: &Lab) -> Result<String> {
    front(lab, Hop::Udp, UPDATE)
}

/// SIPp → Kamailio → server over TCP; refreshed by re-INVITE.
pub(crate) fn front_tcp(lab: &Lab) -> Result<String> {
    front(lab, Hop::Tcp, REINVITE)
}

/// Server → Kamailio over UDP → SIPp; refreshed by UPDATE.
pub(crate) fn behind_udp(lab: &Lab) -> Result<String> {
    behind(lab, Hop::Udp, UPDATE)
}

/// Server → Kamailio over TCP → SIPp; refreshed by re-INVITE.
pub(crate) fn behind_tcp(lab: &Lab) -> Result<String> {
    behind(lab, Hop::Tcp, REINVITE)
}

/// How a phone is asked whether it is still there: by what it allows.
#[derive(Clone, Copy)]
struct Refresh {
    method: &'static str,
    allow: &'static str,
    scenario: &'static str,
}

const UPDATE: Refresh = Refresh {
    method: "UPDATE",
    allow: "INVITE, ACK, BYE, CANCEL, UPDATE, REFER, NOTIFY",
    scenario: "update",
};
const REINVITE: Refresh = Refresh {
    method: "INVITE",
    allow: "INVITE, ACK, BYE, CANCEL, REFER, NOTIFY",
    scenario: "reinvite",
};

/// Greeting, key, music, agent; the caller holds and resumes; the server refreshes; the agent hands
/// the caller on; the caller ends.
fn front(lab: &Lab, hop: Hop, refresh: Refresh) -> Result<String> {
    let capture = lab.capture(&lab.net())?;
    let (proxy_ip, inside) = (lab.ip(3), SocketAddr::new(lab.ip(1), 5060));
    let mut setup = Setup::agents(&["alice"]);
    setup.config += &format!(
        "[endpoints.bob]\npassword = \"secret-bob\"\n[trunks.front]\naddresses = [\"{proxy_ip}\"]\n"
    );
    let server = Server::start(lab, &setup)?;
    let proxy = Kamailio::start(lab, proxy_ip, inside, hop)?;
    let mut agent = Baresip::start(lab, &server, "alice", Over::Udp, AGENT, true)?;
    let mut second = Baresip::start(lab, &server, "bob", Over::Udp, SECOND, true)?;
    let scenario = format!("caller_proxied_{}", refresh.scenario);
    let keys = [("@ALLOW@", refresh.allow)];
    let mut play = Play::new(&scenario, lab.ip(2), proxy.sip);
    play.keys = &keys;
    let caller = Caller::play(lab, play)?;
    caller.choose_support(&server)?;
    caller.hears_tone(AGENT, 1.0, START)?;
    caller.sipp.tell("MESSAGE")?;
    pause(4_000);
    caller.sipp.tell("MESSAGE")?;
    let asked = wait_for(REFRESH, "the session refresh at the caller", || {
        let traffic = capture.so_far().ok()?;
        in_dialog(&traffic, refresh.method, SocketAddr::new(lab.ip(2), 5060)).pop()
    })?;
    pause(500);
    let server_ip = server.ip;
    agent.command("transfer", &format!("sip:bob@{server_ip}"))?;
    agent.event("CALL_CLOSED", Duration::from_secs(10))?;
    caller.hears_tone(SECOND, 2.0, START)?;
    caller.sipp.hang_up()?;
    let closed = second.event("CALL_CLOSED", Duration::from_secs(5))?;
    caller.sipp.succeed(Duration::from_secs(10))?;
    let cdr = server.cdrs(1)?.remove(0);
    let traffic = capture.finish()?;

    ensure!(cdr["trunk"] == "front", "the record: {cdr}");
    ensure!(
        traffic
            .sip("SIP/2.0 200")
            .iter()
            .any(|it| it.to.ip() == proxy_ip
                && it.header("CSeq").is_some_and(|it| it.ends_with("OPTIONS"))),
        "the dispatcher's OPTIONS were not answered"
    );
    stays_in_dialog(&traffic, &proxy, server_ip, hop)?;
    let at_caller = sound_at_caller(&traffic, &caller.ear)?;
    let at_alice = heard_by(&traffic, &server, &agent)?;
    let held = holds(&traffic, SocketAddr::new(lab.ip(2), 5060))?;
    let during = music(&at_alice, held[0].at + 0.2, held[1].at)?;
    let back = at_alice.between(held[1].at, asked.at + 0.4);
    let back = back.hears("the agent after the hold", CALLER as f32, GAP_MS)?;
    // Through the refresh nothing may be missing on either side.
    at_alice.between(asked.at - 0.5, asked.at + 0.4).hears(
        "the agent at the refresh",
        CALLER as f32,
        GAP_MS,
    )?;
    at_caller.between(asked.at - 0.5, asked.at + 0.4).hears(
        "the caller at the refresh",
        AGENT as f32,
        GAP_MS,
    )?;
    let handed = handed_on(&traffic, &at_caller, &heard_by(&traffic, &server, &second)?)?;
    let bye = first(&traffic, "BYE ", lab.ip(2))?;
    let ended = (closed - bye.at) * 1e3;
    ensure!(ended < 200.0, "the agent's leg ended after {ended:.0} ms");
    let bridged = time(&cdr, "bridged_at")?;
    let first_heard = at_caller.between(bridged, held[0].at);
    let first_heard = first_heard.hears("the caller", AGENT as f32, GAP_MS)?;
    let late = (first_heard.first - bridged) * 1e3;
    ensure!(late < LATENCY_MS, "the agent is heard after {late:.0} ms");
    server.stop()?;
    Ok(format!(
        "agent heard after {late:.0} ms; held: music {during}, caller back after {:.0} ms; refreshed by {} \
         after {:.1} s, no gap; {handed}; other leg ended after {ended:.0} ms",
        (back.first - held[1].at) * 1e3,
        refresh.method,
        asked.at - held[1].at,
    ))
}

/// A caller is put through a carrier's proxy to a callee, who holds, resumes, is refreshed and hands
/// the caller to an agent.
fn behind(lab: &Lab, hop: Hop, refresh: Refresh) -> Result<String> {
    let capture = lab.capture(&lab.net())?;
    let (proxy_ip, callee_at) = (lab.ip(5), SocketAddr::new(lab.ip(6), 5060));
    let transport = if hop == Hop::Tcp { "tcp" } else { "udp" };
    let mut setup = Setup::agents(&[]);
    setup.plan = format!(
        "dialplan version=1\nentry pattern=\"*\" flow=\"out\"\n\
         flow \"out\" {{\n  answer\n  record start\n  dial \"+33140000000\" trunk=\"behind\" timeout=\"20s\"\n}}\n"
    );
    setup.config += &format!(
        "[endpoints.bob]\npassword = \"secret-bob\"\n[trunks.behind]\ntransport = \"{transport}\"\n\
         send_to = [\"{proxy_ip}:5060\"]\nrefer = true\n"
    );
    let server = Server::start(lab, &setup)?;
    let proxy = Kamailio::start(lab, proxy_ip, callee_at, Hop::Udp)?;
    let ear = Ear::open(callee_at.ip(), Voice::tone(AGENT))?;
    let scenario = format!("callee_proxied_{}", refresh.scenario);
    let target = format!("sip:bob@{}", server.ip);
    let keys = [("@ALLOW@", refresh.allow), ("@TARGET@", target.as_str())];
    let mut play = Play::new(&scenario, callee_at.ip(), server.sip());
    play.ear = Some(ear.address);
    play.keys = &keys;
    let callee = play.start(lab)?;
    let mut second = Baresip::start(lab, &server, "bob", Over::Udp, SECOND, true)?;
    let caller = Caller::call(lab, &server, "caller")?;
    let invite = wait_for(START, "the callee's INVITE", || {
        let traffic = capture.so_far().ok()?;
        traffic
            .sip("INVITE ")
            .into_iter()
            .find(|it| it.to == callee_at)
    })?;
    let own_call = invite.header("Call-ID").context("no Call-ID")?.to_owned();
    ear.speak_to(invite.audio().context("the INVITE has no audio")?);
    caller.hears_tone(AGENT, 1.0, START)?;
    callee.tell_call("MESSAGE", &own_call)?;
    pause(4_000);
    callee.tell_call("MESSAGE", &own_call)?;
    let asked = wait_for(REFRESH, "the session refresh at the callee", || {
        let traffic = capture.so_far().ok()?;
        in_dialog(&traffic, refresh.method, callee_at).pop()
    })?;
    pause(500);
    callee.tell_call("MESSAGE", &own_call)?;
    caller.hears_tone(SECOND, 2.0, START)?;
    callee.succeed(Duration::from_secs(10))?;
    caller.sipp.hang_up()?;
    let closed = second.event("CALL_CLOSED", Duration::from_secs(5))?;
    caller.sipp.succeed(Duration::from_secs(10))?;
    let cdr = server.cdrs(1)?.remove(0);
    let traffic = capture.finish()?;

    stays_in_dialog(&traffic, &proxy, server.ip, hop)?;
    let at_caller = sound_at_caller(&traffic, &caller.ear)?;
    let at_callee = traffic.streams_to(ear.address);
    let at_callee = at_callee.first().context("the callee got no audio")?;
    let at_callee = at_callee.1.sound();
    let held = holds(&traffic, callee_at)?;
    let during = music(&at_caller, held[0].at + 0.2, held[1].at)?;
    let back = at_caller.between(held[1].at, asked.at + 0.4);
    let back = back.hears("the caller after the hold", AGENT as f32, GAP_MS)?;
    at_caller.between(asked.at - 0.5, asked.at + 0.4).hears(
        "the caller at the refresh",
        AGENT as f32,
        GAP_MS,
    )?;
    at_callee.between(asked.at - 0.5, asked.at + 0.4).hears(
        "the callee at the refresh",
        CALLER as f32,
        GAP_MS,
    )?;
    let handed = handed_on(&traffic, &at_caller, &heard_by(&traffic, &server, &second)?)?;
    let bye = first(&traffic, "BYE ", lab.ip(2))?;
    let ended = (closed - bye.at) * 1e3;
    ensure!(ended < 200.0, "the agent's leg ended after {ended:.0} ms");
    let recorded = match cdr["recording_url"].as_str() {
        Some(_) => check_two_voices(lab, &server, &cdr)?,
        None => anyhow::bail!("no recording: {cdr}"),
    };
    server.stop()?;
    Ok(format!(
        "held: music {during}, callee back after {:.0} ms; refreshed by {} after {:.1} s, no gap; {handed}; \
         other leg ended after {ended:.0} ms; {recorded}",
        (back.first - held[1].at) * 1e3,
        refresh.method,
        asked.at - held[1].at,
    ))
}

/// The recording's left side is the caller throughout.
fn check_two_voices(lab: &Lab, server: &Server, cdr: &serde_json::Value) -> Result<String> {
    let url = cdr["recording_url"].as_str().context("no recording_url")?;
    let file = lab.path("recording.wav");
    server.download(url, &file)?;
    let (left, right) = (Sound::wav(&file, 0)?, Sound::wav(&file, 1)?);
    left.tone(CALLER as f32)
        .context("the recording's left side has no caller")?;
    for (who, hz) in [("the callee", AGENT), ("the second agent", SECOND)] {
        right
            .tone(hz as f32)
            .with_context(|| format!("the recording's right side has not {who}"))?;
    }
    Ok(format!("recorded {:.1} s", left.secs()))
}

/// What the server sent to an agent's phone.
fn heard_by(traffic: &Traffic, server: &Server, agent: &Baresip) -> Result<Sound> {
    let streams = traffic.streams_at(server.ip, &agent.rtp);
    let (_, stream) = streams.first().context("the agent's phone got no audio")?;
    Ok(stream.sound())
}

/// Requests of that method within a dialog that reached `to`.
fn in_dialog(traffic: &Traffic, method: &str, to: SocketAddr) -> Vec<Sip> {
    let mut found = traffic.sip(&format!("{method} "));
    found.retain(|it| it.to == to && it.header("To").is_some_and(|to| to.contains(";tag=")));
    found
}

/// The hold and the resume that `from` sent.
fn holds(traffic: &Traffic, from: SocketAddr) -> Result<[Sip; 2]> {
    let mut sent = traffic.sip("INVITE ");
    sent.retain(|it| it.from == from && it.header("To").is_some_and(|to| to.contains(";tag=")));
    let mut at = |attribute: &str| {
        let found = sent.iter().position(|it| it.text.contains(attribute));
        found
            .map(|index| sent.remove(index))
            .with_context(|| format!("no re-INVITE with {attribute}"))
    };
    Ok([at("a=inactive")?, at("a=sendrecv")?])
}

/// The first message of that kind from an address.
fn first(traffic: &Traffic, start: &str, from: std::net::IpAddr) -> Result<Sip> {
    let found = traffic.sip(start).into_iter();
    found
        .into_iter()
        .find(|it| it.from.ip() == from)
        .with_context(|| format!("no {start}from {from}"))
}

/// After the REFER the caller hears the second agent, who hears the caller.
fn handed_on(traffic: &Traffic, at_caller: &Sound, at_second: &Sound) -> Result<String> {
    let refer = traffic.sip("REFER ");
    let refer = refer.first().context("no REFER")?;
    let after = at_caller.between(refer.at, at_caller.ends());
    let voice = after.hears("the caller after the transfer", SECOND as f32, GAP_MS)?;
    let there = at_second.hears("the second agent", CALLER as f32, GAP_MS)?;
    at_second.never_hears("the second agent", SECOND as f32)?;
    Ok(format!(
        "handed on: heard {:.0} and {:.0} ms after the REFER",
        (voice.first - refer.at) * 1e3,
        (there.first - refer.at) * 1e3
    ))
}

/// The proxy was never passed by: every request between the far phone and the server came through it,
/// over the transport that was asked for.
fn stays_in_dialog(
    traffic: &Traffic,
    proxy: &Kamailio,
    server: std::net::IpAddr,
    hop: Hop,
) -> Result<()> {
    let mut through = 0;
    for method in ["INVITE ", "ACK ", "BYE ", "UPDATE "] {
        for it in traffic.sip(method) {
            let ends = [it.from.ip(), it.to.ip()];
            if ends.contains(&proxy.sip.ip()) && ends.contains(&server) {
                through += 1;
                let via = it.header("Via").unwrap_or_default();
                let tcp = via.starts_with("SIP/2.0/TCP");
                ensure!(tcp == (hop == Hop::Tcp), "over the wrong transport: {via}");
            }
        }
    }
    ensure!(
        through >= 4,
        "only {through} requests between proxy and server"
    );
    Ok(())
}
