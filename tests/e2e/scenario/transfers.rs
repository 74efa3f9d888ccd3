//! Transfers asked for by the caller, and attended ones: who hears whom afterwards, and what is left.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::smoke::{AGENT, CALLER, Caller, GAP_MS, sound_at_caller};
use crate::agent::Agent;
use crate::baresip::Over;
use crate::capture::Traffic;
use crate::lab::Lab;
use crate::linphone::Linphone;
use crate::process::{pause, wait_for};
use crate::server::{Server, Setup};
use crate::sipp::Play;

/// What whoever comes in says, in Hz.
const SECOND: u32 = 1_300;

/// Long enough for a phone to start on a busy machine.
const START: Duration = Duration::from_secs(20);

/// A trunk that may transfer, these agents, and a phone of bob's.
fn setup(agents: &[&str]) -> Setup {
    let mut setup = Setup::agents(agents);
    setup.config = format!("refer = true\n{}", setup.config);
    setup.config += "[endpoints.bob]\npassword = \"secret-bob\"\n";
    setup
}

/// What transferors were told, in order.
fn told(traffic: &Traffic) -> Vec<String> {
    let notifies = traffic.sip("NOTIFY ");
    let bodies = notifies
        .iter()
        .filter_map(|it| Some(it.text.split("\r\n\r\n").nth(1)?.trim().to_owned()));
    let mut told: Vec<String> = bodies.collect();
    told.dedup();
    told
}

/// A caller who has heard the agent, and hands him to that endpoint.
fn refers(lab: &Lab, server: &Server, to: &str) -> Result<Caller> {
    let to = format!("sip:{to}@{}", server.ip);
    let words = [("@TARGET@", to.as_str())];
    let mut play = Play::new("caller_refers", lab.ip(2), server.sip());
    play.keys = &words;
    let caller = Caller::play(lab, play)?;
    caller.choose_support(server)?;
    caller.hears_tone(AGENT, 1.0, START)?;
    caller.sipp.tell("MESSAGE")?;
    Ok(caller)
}

/// The caller hands the agent to a second phone and is out.
pub(crate) fn caller_refers(lab: &Lab) -> Result<String> {
    let capture = lab.capture(&lab.net())?;
    let server = Server::start(lab, &setup(&["alice"]))?;
    let agent = Agent::start(lab, &server, "alice", Over::Udp, AGENT, true)?;
    let mut second = Agent::start(lab, &server, "bob", Over::Udp, SECOND, true)?;
    let caller = refers(lab, &server, "bob")?;
    // The caller's leg is over; its scenario ends with that BYE.
    caller.sipp.succeed(START)?;
    pause(3_000);
    second.command("hangup", "")?;
    server.cdrs(1)?;
    let traffic = capture.finish()?;
    let refer = traffic.sip("REFER ");
    let refer = refer.first().context("no REFER")?;
    let told = told(&traffic);
    ensure!(
        told.iter().any(|it| it.starts_with("SIP/2.0 100"))
            && told.last().is_some_and(|it| it.starts_with("SIP/2.0 200")),
        "the caller was told {told:?}, want 100, then 200"
    );
    let after = |phone: &Agent| -> Result<_> {
        let sound = phone.heard(&traffic, &server)?;
        Ok(sound.between(refer.at, sound.ends()))
    };
    let (at_agent, at_second) = (after(&agent)?, after(&second)?);
    let one = at_agent.hears("the agent", SECOND as f32, GAP_MS)?;
    let two = at_second.hears("the second", AGENT as f32, GAP_MS)?;
    at_second.never_hears("the second", CALLER as f32)?;
    let lasts = (one.last - one.first).min(two.last - two.first);
    ensure!(lasts > 2.0, "they hear each other for {lasts:.1} s only");
    server.stop()?;
    Ok(format!(
        "told 100 and 200; agent and second hear each other {:.0} and {:.0} ms after the REFER, gaps {} and {} ms",
        (one.first - refer.at) * 1e3,
        (two.first - refer.at) * 1e3,
        one.gap_ms,
        two.gap_ms
    ))
}

/// The caller hands the agent to a phone that is busy: both are together again.
pub(crate) fn target_refuses(lab: &Lab) -> Result<String> {
    let capture = lab.capture(&lab.net())?;
    let phone = std::net::SocketAddr::new(lab.ip(4), 5060);
    let mut setup = setup(&["alice"]);
    setup.config += &format!(
        "[endpoints.carol]\npassword = \"secret-carol\"\ncontact = \"sip:carol@{phone}\"\n"
    );
    let server = Server::start(lab, &setup)?;
    let mut agent = Agent::start(lab, &server, "alice", Over::Udp, AGENT, true)?;
    let busy = [("@STATUS@", "486")];
    let mut play = Play::new("agent_refuse", lab.ip(4), server.sip());
    play.keys = &busy;
    let refuses = play.start(lab)?;
    let caller = refers(lab, &server, "carol")?;
    refuses.succeed(START)?;
    pause(3_000);
    caller.sipp.hang_up()?;
    agent.event("CALL_CLOSED", Duration::from_secs(5))?;
    caller.sipp.succeed(Duration::from_secs(10))?;
    server.cdrs(1)?;
    let traffic = capture.finish()?;
    let refer = traffic.sip("REFER ");
    let refer = refer.first().context("no REFER")?;
    let told = told(&traffic);
    ensure!(
        told.last().is_some_and(|it| it.starts_with("SIP/2.0 486")),
        "the caller was told {told:?}, want 486"
    );
    let sound = sound_at_caller(&traffic, &caller.ear)?;
    let at_caller = sound.between(refer.at + 1.0, sound.ends());
    let one = at_caller.hears("the caller", AGENT as f32, GAP_MS)?;
    let sound = agent.heard(&traffic, &server)?;
    let at_agent = sound.between(refer.at + 1.0, sound.ends());
    let two = at_agent.hears("the agent", CALLER as f32, GAP_MS)?;
    let lasts = (one.last - one.first).min(two.last - two.first);
    ensure!(
        lasts > 1.5,
        "they hear each other again for {lasts:.1} s only"
    );
    server.stop()?;
    Ok(format!(
        "told 486; together again for {lasts:.1} s, gaps {} and {} ms",
        one.gap_ms, two.gap_ms
    ))
}

/// An agent whose phone knows attended transfers, which baresip does not.
enum Consults {
    Phone(Linphone),
    Browser(Agent),
}

impl Consults {
    fn start(lab: &Lab, server: &Server) -> Result<Self> {
        if lab.browsers {
            let agent = Agent::start(lab, server, "alice", Over::Udp, AGENT, true)?;
            return Ok(Self::Browser(agent));
        }
        Linphone::start(lab, server, "alice", AGENT).map(Self::Phone)
    }

    fn hold(&mut self) -> Result<()> {
        match self {
            Self::Phone(it) => it.command("pause"),
            Self::Browser(it) => it.command("hold", ""),
        }
    }

    fn dial(&mut self, to: &str) -> Result<()> {
        match self {
            Self::Phone(it) => it.command(&format!("call {to}")),
            Self::Browser(it) => it.command("dial", to),
        }
    }

    /// Joins the other sides of both calls.
    fn join(&mut self) -> Result<()> {
        match self {
            Self::Phone(it) => it.command("transfer 1 --to-call 2"),
            Self::Browser(it) => it.command("join", ""),
        }
    }
}

/// An agent asks a second phone, then joins the caller behind the trunk with it and is out.
pub(crate) fn attended(lab: &Lab) -> Result<String> {
    let capture = lab.capture(&lab.net())?;
    let mut setup = setup(&["alice"]);
    setup.plan +=
        "\nentry endpoint=\"*\" flow=\"inside\"\nflow \"inside\" {\n  dial endpoint=\"{to}\"\n}\n";
    let server = Server::start(lab, &setup)?;
    let mut agent = Consults::start(lab, &server)?;
    let mut second = Agent::start(lab, &server, "bob", Over::Udp, SECOND, true)?;
    let caller = Caller::call(lab, &server, "caller")?;
    caller.choose_support(&server)?;
    caller.hears_tone(AGENT, 1.0, START)?;
    agent.hold()?;
    pause(1_500);
    agent.dial(&format!("sip:bob@{}", server.ip))?;
    second.event("CALL_ESTABLISHED", START)?;
    pause(2_000);
    agent.join()?;
    caller.hears_tone(SECOND, 2.0, START)?;
    let calls = || -> Option<usize> { Some(server.json("/v1/calls").ok()?.as_array()?.len()) };
    wait_for(START, "one call to be left", || {
        (calls() == Some(1)).then_some(())
    })?;
    caller.sipp.hang_up()?;
    second.event("CALL_CLOSED", Duration::from_secs(5))?;
    caller.sipp.succeed(Duration::from_secs(10))?;
    let cdrs = server.cdrs(2)?;
    let traffic = capture.finish()?;
    let refer = traffic.sip("REFER ");
    let refer = refer.first().context("no REFER")?;
    ensure!(
        refer.text.contains("Replaces"),
        "the REFER names no dialog: {}",
        refer.text
    );
    let told = told(&traffic);
    ensure!(
        told.last().is_some_and(|it| it.starts_with("SIP/2.0 200")),
        "the agent was told {told:?}, want 200"
    );
    let sound = sound_at_caller(&traffic, &caller.ear)?;
    let at_caller = sound.between(refer.at, sound.ends());
    let one = at_caller.hears("the caller", SECOND as f32, GAP_MS)?;
    let sound = second.heard(&traffic, &server)?;
    let at_second = sound.between(refer.at, sound.ends());
    let two = at_second.hears("the second", CALLER as f32, GAP_MS)?;
    let handed = cdrs
        .iter()
        .filter(|it| it["transfers"][0]["how"] == "attended")
        .count();
    ensure!(
        handed == 2,
        "{handed} of both records say attended: {cdrs:?}"
    );
    server.stop()?;
    Ok(format!(
        "told 200; caller and second hear each other {:.0} and {:.0} ms after the REFER, gaps {} and {} ms",
        (one.first - refer.at) * 1e3,
        (two.first - refer.at) * 1e3,
        one.gap_ms,
        two.gap_ms
    ))
}
