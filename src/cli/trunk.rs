//! `tandem trunk test`: what a trunk would send, and where; with `--ping` whether somebody is there.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use clock::Now;
use sip::dialog::{TimerPolicy, TimerUse};

use super::Failure;
use super::remote::{Remote, RemoteArgs, segment};
use crate::api::TrunkJson;
use crate::config::{Config, Transport};
use crate::io::dns::Dns;
use crate::trunk::{HeaderRule, NameCache, Randomness, Speaks, TrunkConfig, hops, locate};

#[derive(Debug, Args)]
pub(super) struct TrunkArgs {
    #[command(subcommand)]
    command: TrunkCommand,
}

#[derive(Debug, Subcommand)]
enum TrunkCommand {
    /// Shows what a call by the trunk would send: numbers, targets in order, headers
    Test(TestTrunkArgs),
}

#[derive(Debug, Args)]
struct TestTrunkArgs {
    /// The trunk's name
    name: String,
    /// The caller's number
    #[arg(long, value_name = "NUMBER")]
    from: Option<String>,
    /// The called number
    #[arg(long, value_name = "NUMBER")]
    to: Option<String>,
    /// Has the running server send an OPTIONS to each target, and shows what came
    #[arg(long)]
    ping: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

pub(super) fn run(args: &TrunkArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let TrunkCommand::Test(args) = &args.command;
    let config = args.remote.config().load()?;
    let trunk = find(&config, &args.name)?;
    let shown = show(&config, &trunk, args, out).map_err(Failure::of)?;
    if args.ping {
        ping(&args.remote.remote()?, &args.name, out)?;
    }
    match shown {
        true => Ok(()),
        false => Err(Failure::Failed(anyhow!(
            "trunk {}: no target that a listener reaches",
            trunk.name
        ))),
    }
}

fn find(config: &Config, name: &str) -> Result<TrunkConfig, Failure> {
    let trunks = TrunkConfig::read_all(config.trunks.clone(), &config.sip.realm)?;
    let names: Vec<String> = trunks.iter().map(|it| it.name.clone()).collect();
    let found = trunks.into_iter().find(|it| it.name == name);
    found.ok_or_else(|| {
        let near = crate::explain::nearest(name, names.iter().map(String::as_str));
        let hint = near.map(|near| format!("; did you mean {near}?"));
        let hint = hint.unwrap_or_default();
        Failure::Usage(anyhow!("trunks.{name}: no such trunk{hint}"))
    })
}

/// Prints everything; `false` if there is nowhere to send to.
fn show(
    config: &Config,
    trunk: &TrunkConfig,
    args: &TestTrunkArgs,
    out: &mut dyn Write,
) -> anyhow::Result<bool> {
    writeln!(out, "trunk {}", trunk.name)?;
    for (what, number) in [("caller", &args.from), ("called", &args.to)] {
        if let Some(number) = number {
            numbers(trunk, what, number, out)?;
        }
    }
    let mut dns = Asking::new(config)?;
    let (hops, found) =
        dns.ask(|speaks, names, random| hops(Now::ZERO, trunk, speaks, names, random));
    writeln!(out, "\ntargets, in the order of one draw by weight")?;
    let user = args.to.as_deref().unwrap_or("NUMBER");
    let user = sip::message::escape_user(&trunk.sent_number(user));
    for (place, hop) in (1..).zip(&hops) {
        writeln!(
            out,
            "  {place}  {:<28} {}",
            hop.target.to_string(),
            hop.request_uri(&user)
        )?;
        if let Some(route) = &hop.route {
            writeln!(out, "     by Route: {route}")?;
        }
    }
    for trouble in &found.trouble {
        writeln!(out, "  -  {trouble}")?;
    }
    headers("headers of an INVITE to it", &trunk.headers, out)?;
    headers("headers of an INVITE from it", &trunk.headers_in, out)?;
    sources(trunk, &mut dns, out)?;
    timer(config, trunk, out)?;
    Ok(!hops.is_empty())
}

fn headers(title: &str, rules: &[HeaderRule], out: &mut dyn Write) -> anyhow::Result<()> {
    if !rules.is_empty() {
        writeln!(out, "\n{title}")?;
    }
    for rule in rules {
        match rule {
            HeaderRule::Set(name, value) => writeln!(out, "  set     {name}: {value}")?,
            HeaderRule::Add(name, value) => writeln!(out, "  add     {name}: {value}")?,
            HeaderRule::Remove(name) => writeln!(out, "  remove  {name}")?,
        }
    }
    Ok(())
}

/// Who may call by it.
fn sources(trunk: &TrunkConfig, dns: &mut Asking, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "\nwho may call by it")?;
    for source in &trunk.sources {
        writeln!(out, "  {source}")?;
    }
    for name in &trunk.source_names {
        let found = dns.ask(|speaks, names, random| locate(Now::ZERO, name, speaks, names, random));
        let mut addresses: Vec<_> = found.targets.iter().map(|it| it.address.ip()).collect();
        addresses.dedup();
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        match addresses.is_empty() {
            true => writeln!(out, "  {name}: nobody ({})", found.trouble.join(", "))?,
            false => writeln!(out, "  {name}: {}", addresses.join(", "))?,
        }
    }
    if trunk.learns && trunk.targets.iter().any(|it| it.hop.host.name().is_some()) {
        writeln!(out, "  whoever its targets are looked up to be")?;
    }
    Ok(())
}

/// What holds of session timers in its calls.
fn timer(config: &Config, trunk: &TrunkConfig, out: &mut dyn Write) -> anyhow::Result<()> {
    let usual = TimerPolicy {
        how: TimerUse::default(),
        expires: config.sip.session_expires,
        least: config.sip.min_se,
    };
    let policy = trunk.timers.policy(usual);
    let (expires, least) = (policy.expires.as_secs(), policy.least.as_secs());
    let how = match policy.how {
        TimerUse::Refuse => "refused".to_owned(),
        TimerUse::Accept => format!("accepted from {least} s"),
        TimerUse::Ask => format!("asked for with {expires} s, accepted from {least} s"),
        TimerUse::Require => format!("required with {expires} s, accepted from {least} s"),
    };
    Ok(writeln!(out, "\nsession timer\n  {how}")?)
}

/// How a number is changed both ways, step by step.
fn numbers(
    trunk: &TrunkConfig,
    what: &str,
    number: &str,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    writeln!(out, "\n{what} {number}")?;
    let written = trunk.numbers.sent(number);
    let sent = trunk.rules.on_sent(&written);
    writeln!(out, "  out  {written:<20} by normalize.send")?;
    writeln!(out, "       {sent:<20} by numbers.out, as it goes")?;
    let read = trunk.rules.on_received(number);
    let received = trunk.numbers.received(&read);
    writeln!(out, "  in   {read:<20} by numbers.in")?;
    writeln!(
        out,
        "       {received:<20} by normalize.country, as dialplans see it"
    )?;
    Ok(())
}

/// A resolver, and what it has found.
struct Asking {
    speaks: Speaks,
    names: NameCache,
    runtime: tokio::runtime::Runtime,
    dns: Dns,
    seed: u64,
}

impl Asking {
    fn new(config: &Config) -> anyhow::Result<Self> {
        let listeners = config.sip.listeners.iter().map(|listener| {
            let transport = match listener.transport {
                Transport::Udp => sip::transport::Transport::Udp,
                Transport::Tcp => sip::transport::Transport::Tcp,
                Transport::Tls => sip::transport::Transport::Tls,
            };
            (transport, listener.address.is_ipv6())
        });
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).context("the system has no randomness")?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(Self {
            speaks: Speaks::of(listeners),
            names: NameCache::default(),
            runtime,
            dns: Dns::new(&config.dns.servers),
            seed: u64::from_le_bytes(seed),
        })
    }

    /// Walks until nothing more is to be asked: each time by the same lots.
    fn ask<T>(&mut self, walk: impl Fn(&Speaks, &mut NameCache, Randomness<'_>) -> T) -> T {
        loop {
            let mut state = self.seed;
            let random = &mut || {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                state >> 33
            };
            let found = walk(&self.speaks, &mut self.names, random);
            let mut asked = false;
            while let Some(question) = self.names.poll_question() {
                let answer = self.runtime.block_on(self.dns.answer(&question));
                self.names.answered(Now::ZERO, &question, answer);
                asked = true;
            }
            if !asked {
                return found;
            }
        }
    }
}

/// Has the server ask, and waits for the answers.
fn ping(remote: &Remote, name: &str, out: &mut dyn Write) -> Result<(), Failure> {
    remote.ask("POST", &format!("/v1/trunks/{}/ping", segment(name)))?;
    let mut left = PING_LOOKS;
    let trunk = loop {
        let body = remote.get("/v1/trunks")?;
        let trunks: Vec<TrunkJson> = serde_json::from_str(&body)
            .context("the server's answer is no list of trunks")
            .map_err(Failure::Failed)?;
        let trunk = trunks.into_iter().find(|it| it.name == name);
        let Some(trunk) = trunk else {
            return Err(Failure::Failed(anyhow!("the server has no trunk {}", name)));
        };
        left -= 1;
        if left == 0 || trunk.targets.iter().all(|it| !it.asking) {
            break trunk;
        }
        pause();
    };
    let print = |out: &mut dyn Write| -> anyhow::Result<()> {
        writeln!(out, "\nOPTIONS, sent by the running server")?;
        for target in &trunk.targets {
            let time = match target.round_trip_ms {
                Some(ms) => format!("{ms:.1} ms"),
                None => "-".to_owned(),
            };
            let answer = target.answer.as_deref().unwrap_or("no answer");
            writeln!(
                out,
                "  {:<28} {answer:<24} {time:>10}  {}",
                target.target, target.state
            )?;
        }
        Ok(())
    };
    print(out).map_err(Failure::Failed)?;
    match trunk.targets.iter().any(|it| it.answered) {
        true => Ok(()),
        false => Err(Failure::Failed(anyhow!("trunk {}: nobody answered", name))),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a command at a terminal waits for what the server has asked"
)]
fn pause() {
    std::thread::sleep(PING_PAUSE);
}

/// How often the server is looked at for answers, and how long between: longer than any timeout.
const PING_LOOKS: u32 = 175;
const PING_PAUSE: Duration = Duration::from_millis(200);
