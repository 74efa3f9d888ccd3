//! A carrier given by its name: the binary asks a name server, goes from a silent host past one that is
//! out of service to one that answers, and both voices are heard.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::smoke::{AGENT, CALLER, Caller, GAP_MS, sound_at_caller};
use crate::ear::{Ear, Voice};
use crate::lab::Lab;
use crate::process::wait_for;
use crate::server::{Server, Setup};
use crate::sipp::Play;
use crate::zone::Zone;

/// Silent, 503, answered: by NAPTR, SRV and A.
pub(crate) fn failover(lab: &Lab) -> Result<String> {
    let [silent, out, there] = [5, 6, 7].map(|n| SocketAddr::new(lab.ip(n), 5060));
    let zone = Zone::serve(&format!(
        "acme.example 60 NAPTR 10 10 s SIP+D2U _sip._udp.acme.example
         _sip._udp.acme.example 60 SRV 10 1 5060 silent.acme.example
         _sip._udp.acme.example 60 SRV 20 1 5060 out.acme.example
         _sip._udp.acme.example 60 SRV 30 1 5060 there.acme.example
         silent.acme.example 60 A {}
         out.acme.example 60 A {}
         there.acme.example 60 A {}",
        silent.ip(),
        out.ip(),
        there.ip()
    ));
    let capture = lab.capture(&lab.net())?;
    let mut setup = Setup::agents(&["alice"]);
    setup.config += &format!(
        "[dns]\nservers = [\"{}\"]\n[trunks.acme]\nsend_to = [\"acme.example\"]\ntarget_timeout = \"2s\"\n",
        zone.address
    );
    setup.plan += "entry did=\"+15559998\" flow=\"away\"\n\
                   flow \"away\" {\n  dial \"+33142685300\" trunk=\"acme\" timeout=\"30s\"\n}\n";
    // It takes what comes, and says nothing.
    let _silence = UdpSocket::bind(silent)?;
    let server = Server::start(lab, &setup)?;
    let mut refuses = Play::new("agent_refuse", out.ip(), server.sip());
    refuses.keys = &[("@STATUS@", "503")];
    let refuses = refuses.start(lab)?;
    let ear = Ear::open(there.ip(), Voice::tone(AGENT))?;
    let mut answers = Play::new("agent", there.ip(), server.sip());
    answers.ear = Some(ear.address);
    let answers = answers.start(lab)?;
    let caller = Caller::dial(lab, &server, "caller", "+15559998")?;
    let invites = || Some(capture.so_far().ok()?.sip("INVITE "));
    let offer = wait_for(Duration::from_secs(20), "the third host's INVITE", || {
        invites()?.into_iter().find(|it| it.to == there)
    })?;
    ear.speak_to(offer.audio().context("the INVITE has no audio")?);
    caller.hears_tone(AGENT, 2.0, Duration::from_secs(20))?;
    caller.sipp.hang_up()?;
    caller.sipp.succeed(Duration::from_secs(10))?;
    answers.succeed(Duration::from_secs(10))?;
    refuses.succeed(Duration::from_secs(10))?;
    let gauges = server.gauges()?;
    let unknown = gauges.get("tandem_trunk_targets{trunk=\"acme\",state=\"unknown\"}");
    ensure!(unknown == Some(&3.0), "three targets, have {unknown:?}");
    let traffic = capture.finish()?;
    let asked = traffic.sip("INVITE ");
    let first = |to: SocketAddr| {
        let found = asked.iter().find(|it| it.to == to);
        found.with_context(|| format!("no INVITE at {to}"))
    };
    let (one, two, three) = (first(silent)?, first(out)?, first(there)?);
    let (waited, on) = ((two.at - one.at) * 1e3, (three.at - two.at) * 1e3);
    ensure!(
        (1_900.0..3_500.0).contains(&waited) && (0.0..1_500.0).contains(&on),
        "the second host after {waited:.0} ms, the third {on:.0} ms after it"
    );
    let heard = sound_at_caller(&traffic, &caller.ear)?;
    let voice = heard.hears("the caller", AGENT as f32, GAP_MS)?;
    heard.never_hears("the caller", CALLER as f32)?;
    let there = traffic.streams_to(ear.address);
    let (_, stream) = there.first().context("the callee got no audio")?;
    let back = stream.sound().hears("the callee", CALLER as f32, GAP_MS)?;
    ensure!(
        traffic.sip("BYE ").iter().any(|it| it.to == three.to),
        "the third host was told no end"
    );
    server.stop()?;
    Ok(format!(
        "silent for {waited:.0} ms, then 503, the third asked {on:.0} ms later; heard at {:.1} and {:.1} \
         dBFS, gaps {} and {} ms",
        voice.dbfs, back.dbfs, voice.gap_ms, back.gap_ms
    ))
}
