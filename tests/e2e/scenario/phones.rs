//! Other phones, other ways in, and what agents do with a call.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use media::Digit;

use super::smoke::{
    AGENT, CALLER, Caller, GAP_MS, LATENCY_MS, PROMISED, check_cdr, check_recording, music,
    sound_at_caller, teardown_ms, whole_path,
};
use crate::agent::Agent;
use crate::baresip::Over;
use crate::capture::Traffic;
use crate::ear::{Ear, Press, Voice};
use crate::lab::Lab;
use crate::linphone::Linphone;
use crate::process::{pause, wait_for};
use crate::server::{Server, Setup, time};
use crate::sipp::Play;

/// What a second agent says, in Hz.
const SECOND: u32 = 1_300;

/// Long enough for a phone to start on a busy machine.
const START: Duration = Duration::from_secs(20);

/// From a refusal to the next agent's INVITE.
const NEXT_AGENT_MS: f64 = 500.0;

/// Agent over TCP, who hangs up first.
pub(crate) fn tcp(lab: &Lab) -> Result<String> {
    whole_path(lab, Over::Tcp, true, PROMISED)
}

/// Agent over TLS, who hangs up first.
pub(crate) fn tls(lab: &Lab) -> Result<String> {
    whole_path(lab, Over::Tls, true, PROMISED)
}

/// Agent over UDP; the caller hangs up first.
pub(crate) fn udp_caller_ends(lab: &Lab) -> Result<String> {
    whole_path(lab, Over::Udp, false, PROMISED)
}

/// Agent over UDP, who hangs up first.
pub(crate) fn udp_agent_ends(lab: &Lab) -> Result<String> {
    whole_path(lab, Over::Udp, true, PROMISED)
}

/// A call with an agent, up and talking.
pub(crate) struct Talk {
    pub(crate) server: Server,
    pub(crate) capture: crate::capture::Capture,
    pub(crate) caller: Caller,
    pub(crate) agent: Agent,
}

impl Talk {
    /// Starts everything, and waits until the caller has heard the agent for a second.
    pub(crate) fn begin(lab: &Lab, setup: &Setup) -> Result<Self> {
        let capture = lab.capture(&lab.net())?;
        let server = Server::start(lab, setup)?;
        let agent = Agent::start(lab, &server, "alice", Over::Udp, AGENT, true)?;
        let caller = Caller::call(lab, &server, "caller")?;
        caller.choose_support(&server)?;
        caller.hears_tone(AGENT, 1.0, START)?;
        Ok(Self {
            server,
            capture,
            caller,
            agent,
        })
    }
}

/// linphone answers.
pub(crate) fn linphone(lab: &Lab) -> Result<String> {
    let capture = lab.capture(&lab.net())?;
    let server = Server::start(lab, &Setup::agents(&["alice"]))?;
    let mut agent = Linphone::start(lab, &server, "alice", AGENT)?;
    let caller = Caller::call(lab, &server, "caller")?;
    caller.choose_support(&server)?;
    caller.hears_tone(AGENT, 3.0, START)?;
    agent.command("terminate")?;
    caller.sipp.succeed(Duration::from_secs(10))?;
    let cdr = server.cdrs(1)?.remove(0);
    let traffic = capture.finish()?;
    let bridged = time(&cdr, "bridged_at")?;
    let heard = sound_at_caller(&traffic, &caller.ear)?;
    // linphone takes its time to start its file player: only the way to it is held to the clock.
    let talk = heard.between(bridged, heard.ends());
    let voice = talk.hears("the caller", AGENT as f32, GAP_MS)?;
    talk.between(voice.first, voice.last)
        .never_hears("the caller", CALLER as f32)?;
    let streams = traffic.streams_at(server.ip, &agent.rtp);
    let (_, stream) = streams.first().context("linphone got no audio")?;
    let sound = stream.sound();
    let there = sound.hears("linphone", CALLER as f32, GAP_MS)?;
    sound.never_hears("linphone", AGENT as f32)?;
    let late = (there.first - bridged) * 1e3;
    ensure!(
        late < LATENCY_MS,
        "linphone hears the caller after {late:.0} ms"
    );
    let ended = teardown_ms(&traffic, true, 0.0)?;
    ensure!(ended < 200.0, "the caller's leg ended after {ended:.0} ms");
    let recording = check_recording(lab, &server, &cdr)?;
    server.stop()?;
    Ok(format!(
        "linphone hears after {late:.0} ms at {:.1} dBFS, the caller after {:.0} ms at {:.1} dBFS, \
         gaps {} and {} ms, other leg ended after {ended:.0} ms, {recording}",
        there.dbfs,
        (voice.first - bridged) * 1e3,
        voice.dbfs,
        there.gap_ms,
        voice.gap_ms,
    ))
}

/// A caller over IPv6, an agent over IPv4.
pub(crate) fn ipv6(lab: &Lab) -> Result<String> {
    let port = crate::baresip::free_port()?;
    let here = std::net::SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port));
    let capture = lab.capture(&format!("{} or ip6", lab.net()))?;
    let mut setup = Setup::agents(&["alice"]);
    setup.more_udp = Some(here);
    let server = Server::start(lab, &setup)?;
    let _agent = Agent::start(lab, &server, "alice", Over::Udp, AGENT, true)?;
    let mut play = Play::new("caller", here.ip(), here);
    play.port = Some(crate::baresip::free_port()?);
    let caller = Caller::play(lab, play)?;
    caller.choose_support(&server)?;
    caller.hears_tone(AGENT, 2.0, START)?;
    caller.sipp.hang_up()?;
    caller.sipp.succeed(Duration::from_secs(10))?;
    let cdr = server.cdrs(1)?.remove(0);
    let figures = two_voices(lab, &server, capture.finish()?, &caller.ear, &cdr)?;
    server.stop()?;
    Ok(figures)
}

/// An INVITE without SDP: the server offers in its 200, the answer comes in the ACK.
pub(crate) fn late_offer(lab: &Lab) -> Result<String> {
    let capture = lab.capture(&lab.net())?;
    let server = Server::start(lab, &Setup::agents(&["alice"]))?;
    let _agent = Agent::start(lab, &server, "alice", Over::Udp, AGENT, true)?;
    let caller = Caller::call(lab, &server, "caller_late")?;
    caller.choose_support(&server)?;
    caller.hears_tone(AGENT, 2.0, START)?;
    caller.sipp.hang_up()?;
    caller.sipp.succeed(Duration::from_secs(10))?;
    let cdr = server.cdrs(1)?.remove(0);
    let traffic = capture.finish()?;
    let invite = traffic
        .sip("INVITE ")
        .into_iter()
        .next()
        .context("no INVITE")?;
    ensure!(!invite.text.contains("m=audio"), "the INVITE had an offer");
    let figures = two_voices(lab, &server, traffic, &caller.ear, &cdr)?;
    server.stop()?;
    Ok(figures)
}

/// What the caller hears of the agent, and what the recording holds of both.
fn two_voices(
    lab: &Lab,
    server: &Server,
    traffic: Traffic,
    ear: &Ear,
    cdr: &serde_json::Value,
) -> Result<String> {
    let bridged = time(cdr, "bridged_at")?;
    let heard = sound_at_caller(&traffic, ear)?;
    let talk = heard.between(bridged, heard.ends());
    let voice = talk.hears("the caller", AGENT as f32, GAP_MS)?;
    talk.between(voice.first, voice.last)
        .never_hears("the caller", CALLER as f32)?;
    let late = (voice.first - bridged) * 1e3;
    ensure!(
        late < LATENCY_MS,
        "the caller hears the agent after {late:.0} ms"
    );
    let record = check_cdr(cdr)?;
    let recording = check_recording(lab, server, cdr)?;
    Ok(format!(
        "heard after {late:.0} ms at {:.1} dBFS, gap {} ms, {record}, {recording}",
        voice.dbfs, voice.gap_ms
    ))
}

/// A callee whose 183 brings audio: the caller hears it before anybody answers.
pub(crate) fn early_media(lab: &Lab) -> Result<String> {
    let capture = lab.capture(&lab.net())?;
    let phone = std::net::SocketAddr::new(lab.ip(4), 5060);
    let mut setup = Setup::agents(&["alice"]).with_static("callee", phone);
    setup.plan += "entry did=\"+15559999\" flow=\"early\"\n\
                   flow \"early\" {\n  dial \"callee\" timeout=\"20s\"\n}\n";
    let server = Server::start(lab, &setup)?;
    let ear = Ear::open(lab.ip(4), Voice::tone(AGENT))?;
    let mut play = Play::new("agent_early", lab.ip(4), server.sip());
    play.ear = Some(ear.address);
    let callee = play.start(lab)?;
    let caller = Caller::dial(lab, &server, "caller", "+15559999")?;
    let offer = wait_for(Duration::from_secs(10), "the callee's INVITE", || {
        let traffic = capture.so_far().ok()?;
        traffic.sip("INVITE ").into_iter().find(|it| it.to == phone)
    })?;
    ear.speak_to(offer.audio().context("the INVITE has no audio")?);
    caller.hears_tone(AGENT, 4.5, START)?;
    caller.sipp.hang_up()?;
    caller.sipp.succeed(Duration::from_secs(10))?;
    callee.succeed(Duration::from_secs(10))?;
    let cdr = server.cdrs(1)?.remove(0);
    let traffic = capture.finish()?;
    let progress = traffic.sip("SIP/2.0 183");
    let progress = progress
        .iter()
        .find(|it| it.to.ip() == lab.ip(2))
        .context("the caller got no 183")?;
    ensure!(progress.audio().is_some(), "the caller's 183 has no SDP");
    let answers = traffic.sip("SIP/2.0 200");
    let answer = answers
        .iter()
        .find(|it| it.to.ip() == lab.ip(2) && it.header("CSeq") == Some("1 INVITE"))
        .context("the caller got no 200")?;
    let heard = sound_at_caller(&traffic, &caller.ear)?;
    let voice = heard.hears("the caller", AGENT as f32, GAP_MS)?;
    let before = answer.at - voice.first;
    ensure!(
        before > 2.0,
        "the caller hears the callee {before:.1} s before the answer, want more than 2"
    );
    heard.never_hears("the caller", CALLER as f32)?;
    let there = traffic.streams_to(ear.address);
    let (_, stream) = there.first().context("the callee got no audio")?;
    let sound = stream.sound();
    let caller_there = sound.hears("the callee", CALLER as f32, GAP_MS)?;
    sound.never_hears("the callee", AGENT as f32)?;
    let answered = time(&cdr, "answered_at")?;
    ensure!(
        (answered - answer.at).abs() < 0.1,
        "answered_at is {:.3} s off",
        answered - answer.at
    );
    server.stop()?;
    Ok(format!(
        "heard {before:.2} s before the answer and through it, gap {} ms; the callee hears the caller \
         {:.0} ms after it, gap {} ms",
        voice.gap_ms,
        (caller_there.first - answer.at) * 1e3,
        caller_there.gap_ms
    ))
}

/// The agent holds by re-INVITE: music; and resumes: the agent again.
pub(crate) fn hold(lab: &Lab) -> Result<String> {
    let mut talk = Talk::begin(lab, &Setup::agents(&["alice"]))?;
    talk.agent.command("hold", "")?;
    pause(4_000);
    talk.agent.command("resume", "")?;
    pause(3_000);
    talk.caller.sipp.hang_up()?;
    talk.agent.event("CALL_CLOSED", Duration::from_secs(5))?;
    talk.caller.sipp.succeed(Duration::from_secs(10))?;
    let traffic = talk.capture.finish()?;
    let invites = traffic.sip("INVITE ");
    let again: Vec<_> = invites
        .iter()
        .filter(|it| it.to.ip() == talk.server.ip && it.text.contains("tag=") && is_in_dialog(it))
        .collect();
    let [held, resumed] = again.as_slice() else {
        anyhow::bail!("{} re-INVITEs were seen, want two", again.len());
    };
    ensure!(
        held.text.contains("a=sendonly"),
        "the hold is no a=sendonly"
    );
    let sound = sound_at_caller(&traffic, &talk.caller.ear)?;
    let before = sound.between(held.at - 0.8, held.at);
    before.hears("the caller before the hold", AGENT as f32, GAP_MS)?;
    // What the agent said last is still on its way.
    let during = music(&sound, held.at + 0.1, resumed.at)?;
    let after = sound.between(resumed.at, sound.ends());
    let voice = after.hears("the caller after the hold", AGENT as f32, GAP_MS)?;
    let late = (voice.first - resumed.at) * 1e3;
    ensure!(late < LATENCY_MS, "the agent is back after {late:.0} ms");
    let heard = talk.agent.heard(&traffic, &talk.server)?;
    let heard = heard.between(resumed.at, f64::INFINITY);
    let there = heard.hears("the agent after the hold", CALLER as f32, GAP_MS)?;
    talk.server.cdrs(1)?;
    talk.server.stop()?;
    Ok(format!(
        "held: music {during}; resumed: the agent heard after {late:.0} ms, the caller after {:.0} ms",
        (there.first - resumed.at) * 1e3
    ))
}

fn is_in_dialog(sip: &crate::capture::Sip) -> bool {
    sip.header("To").is_some_and(|to| to.contains(";tag="))
}

/// The agent hands the caller to a second agent by REFER and is out.
pub(crate) fn blind_transfer(lab: &Lab) -> Result<String> {
    let mut setup = Setup::agents(&["alice"]);
    setup.config += "[endpoints.bob]\npassword = \"secret-bob\"\n";
    let mut talk = Talk::begin(lab, &setup)?;
    let mut second = Agent::start(lab, &talk.server, "bob", Over::Udp, SECOND, true)?;
    let server = talk.server.ip;
    talk.agent
        .command("transfer", &format!("sip:bob@{server}"))?;
    talk.agent.event("CALL_CLOSED", Duration::from_secs(10))?;
    talk.caller.hears_tone(SECOND, 2.0, START)?;
    talk.caller.sipp.hang_up()?;
    second.event("CALL_CLOSED", Duration::from_secs(5))?;
    talk.caller.sipp.succeed(Duration::from_secs(10))?;
    let cdr = talk.server.cdrs(1)?.remove(0);
    let traffic = talk.capture.finish()?;
    let refer = traffic
        .sip("REFER ")
        .into_iter()
        .next()
        .context("no REFER")?;
    let byes = traffic.sip("BYE ");
    let told: Vec<String> = traffic
        .sip("NOTIFY ")
        .iter()
        .filter_map(|it| Some(it.text.split("\r\n\r\n").nth(1)?.trim().to_owned()))
        .collect();
    ensure!(
        told.iter().any(|it| it.starts_with("SIP/2.0 200")),
        "the agent was told {told:?}, want SIP/2.0 200"
    );
    let sound = sound_at_caller(&traffic, &talk.caller.ear)?;
    let after = sound.between(refer.at, sound.ends());
    let voice = after.hears("the caller", SECOND as f32, GAP_MS)?;
    after
        .between(voice.first, after.ends())
        .never_hears("the caller", CALLER as f32)?;
    let heard = second.heard(&traffic, &talk.server)?;
    let there = heard.hears("the second agent", CALLER as f32, GAP_MS)?;
    heard.never_hears("the second agent", SECOND as f32)?;
    ensure!(cdr["hangup_cause"] == "normal", "the record: {cdr}");
    talk.server.stop()?;
    Ok(format!(
        "the second agent heard {:.0} ms after the REFER, hears the caller after {:.0} ms, gaps {} \
         and {} ms, {} BYEs",
        (voice.first - refer.at) * 1e3,
        (there.first - refer.at) * 1e3,
        voice.gap_ms,
        there.gap_ms,
        byes.len()
    ))
}

/// An agent who is busy.
pub(crate) fn busy(lab: &Lab) -> Result<String> {
    moves_on(lab, "agent_refuse", "486")
}

/// An agent whose phone says that time is out.
pub(crate) fn timed_out(lab: &Lab) -> Result<String> {
    moves_on(lab, "agent_refuse", "408")
}

/// An agent whose phone is out of order.
pub(crate) fn unavailable(lab: &Lab) -> Result<String> {
    moves_on(lab, "agent_refuse", "503")
}

/// An agent who lets it ring.
pub(crate) fn no_answer(lab: &Lab) -> Result<String> {
    moves_on(lab, "agent_rings", "")
}

/// The first agent does not take the call; the second, at baresip, does.
fn moves_on(lab: &Lab, scenario: &str, status: &str) -> Result<String> {
    let capture = lab.capture(&lab.net())?;
    let phone = std::net::SocketAddr::new(lab.ip(4), 5060);
    let mut setup = Setup::agents(&["alice"]).with_static("aaron", phone);
    setup.plan = crate::server::plan(&["aaron", "alice"]);
    let server = Server::start(lab, &setup)?;
    let keys = [("@STATUS@", status)];
    let mut play = Play::new(scenario, lab.ip(4), server.sip());
    play.keys = &keys;
    let first = play.start(lab)?;
    let agent = Agent::start(lab, &server, "alice", Over::Udp, AGENT, true)?;
    let caller = Caller::call(lab, &server, "caller")?;
    caller.choose_support(&server)?;
    caller.hears_tone(AGENT, 1.0, START)?;
    caller.sipp.hang_up()?;
    caller.sipp.succeed(Duration::from_secs(10))?;
    first.succeed(Duration::from_secs(10))?;
    let cdr = server.cdrs(1)?.remove(0);
    let traffic = capture.finish()?;
    let invites = traffic.sip("INVITE ");
    let to_first = invites
        .iter()
        .find(|it| it.to == phone)
        .context("the first agent was never rung")?;
    let to_second = invites
        .iter()
        .find(|it| it.from.ip() == server.ip && it.to.ip() != phone.ip())
        .context("the second agent was never rung")?;
    let (ending, want) = if status.is_empty() {
        ("CANCEL ".to_owned(), "CANCEL")
    } else {
        (format!("SIP/2.0 {status}"), status)
    };
    let refused = traffic.sip(&ending);
    let refused = refused
        .iter()
        .find(|it| it.to == phone || it.from == phone)
        .with_context(|| format!("no {want} was seen"))?;
    let next = (to_second.at - refused.at) * 1e3;
    ensure!(
        (-50.0..NEXT_AGENT_MS).contains(&next),
        "the next agent was rung {next:.0} ms after {want}"
    );
    let rang = refused.at - to_first.at;
    if status.is_empty() {
        ensure!((5.5..8.0).contains(&rang), "it rang {rang:.1} s, want 6");
    }
    ensure!(
        cdr["agent"] == "alice",
        "the record's agent: {}",
        cdr["agent"]
    );
    let bridged = time(&cdr, "bridged_at")?;
    let sound = sound_at_caller(&traffic, &caller.ear)?;
    sound
        .between(bridged, sound.ends())
        .hears("the caller", AGENT as f32, GAP_MS)?;
    drop(agent);
    server.stop()?;
    Ok(format!(
        "rang {rang:.2} s, then {want}; the next agent was rung {next:.0} ms later and heard"
    ))
}

/// A key by INFO.
pub(crate) fn key_by_info(lab: &Lab) -> Result<String> {
    key(lab, "caller_info", |caller| caller.sipp.tell("MESSAGE"))
}

/// A key as tones in the audio.
pub(crate) fn key_in_band(lab: &Lab) -> Result<String> {
    key(lab, "caller_in_band", |caller| {
        let two = Digit::from_char('2').context("2 is a key")?;
        caller.ear.press(two, Press::InBand);
        Ok(())
    })
}

fn key(lab: &Lab, scenario: &str, press: fn(&Caller) -> Result<()>) -> Result<String> {
    let server = Server::start(lab, &Setup::agents(&["alice"]))?;
    let caller = Caller::call(lab, &server, scenario)?;
    caller.hears_greeting()?;
    let begun = std::time::Instant::now();
    press(&caller)?;
    server.queued(Duration::from_secs(5))?;
    let took = begun.elapsed().as_millis();
    caller.sipp.hang_up()?;
    caller.sipp.succeed(Duration::from_secs(10))?;
    let cdr = server.cdrs(1)?.remove(0);
    ensure!(cdr["queue"] == "support", "the record: {cdr}");
    server.stop()?;
    Ok(format!("queued within {took} ms"))
}

/// One agent, two phones: both ring, the first answer wins, the other is cancelled.
pub(crate) fn forked(lab: &Lab) -> Result<String> {
    let capture = lab.capture(&lab.net())?;
    let server = Server::start(lab, &Setup::agents(&["alice"]))?;
    let mut silent = Agent::start(lab, &server, "alice", Over::Udp, SECOND, false)?;
    let mut agent = Agent::start(lab, &server, "alice", Over::Tcp, AGENT, false)?;
    let caller = Caller::call(lab, &server, "caller")?;
    caller.choose_support(&server)?;
    silent.event("CALL_INCOMING", Duration::from_secs(10))?;
    agent.event("CALL_INCOMING", Duration::from_secs(10))?;
    agent.command("accept", "")?;
    let lost = silent.event("CALL_CLOSED", Duration::from_secs(5))?;
    caller.hears_tone(AGENT, 2.0, START)?;
    caller.sipp.hang_up()?;
    agent.event("CALL_CLOSED", Duration::from_secs(5))?;
    caller.sipp.succeed(Duration::from_secs(10))?;
    let cdr = server.cdrs(1)?.remove(0);
    let traffic = capture.finish()?;
    let cancels = traffic.sip("CANCEL ");
    ensure!(
        cancels.len() == 1,
        "{} CANCELs were seen, want one",
        cancels.len()
    );
    let bridged = time(&cdr, "bridged_at")?;
    let sound = sound_at_caller(&traffic, &caller.ear)?;
    let talk = sound.between(bridged, sound.ends());
    talk.hears("the caller", AGENT as f32, GAP_MS)?;
    ensure!(
        talk.tone(SECOND as f32).is_none(),
        "the caller hears the phone that lost"
    );
    server.stop()?;
    Ok(format!(
        "the other phone was cancelled {:.0} ms after the answer",
        (lost - bridged) * 1e3
    ))
}
