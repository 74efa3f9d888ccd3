//! `tandem demo`: the server with an example contact centre on loopback, and a town of synthetic
//! callers and agents that place real SIP and RTP calls through it.
//!
//! The phones drive production machines over real sockets; what they hear is measured, and the
//! recordings are real. Nothing here is part of the server.

pub mod phone;
mod screen;
mod town;

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tokio::sync::broadcast::error::RecvError;

use crate::config::{Config, Section};
use crate::server::{Server, runtime};

use screen::Screen;
use town::Town;

/// What of the demo can be chosen.
#[derive(Clone, Debug, Default)]
pub struct DemoOptions {
    /// Ends after that many recorded calls in which both parties heard each other; goes on for ever
    /// without.
    pub calls: Option<u32>,
}

/// The number that the town calls; any other one works as well.
const NUMBER: &str = "+15551230000";

/// How long a demo that must end waits for its calls.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often the town looks at its sockets and ears: a quarter of a frame.
const TURN: Duration = Duration::from_millis(5);

/// Runs the demo over `config`, until interrupted or as [`DemoOptions`] say.
///
/// # Errors
/// Whatever keeps the server from starting; a demo that must end and does not says so.
pub fn run(config: Config, options: &DemoOptions, out: &mut dyn Write) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let (config, passwords) = prepare(config)?;
        let recordings = config.paths.data.join("recordings");
        let server = Server::start(config).await?;
        let sip = server.bound().first().map(|bound| bound.local);
        let sip = sip.context("the demo needs a UDP listener")?;
        let mut screen = Screen::new(out, recordings);
        screen.welcome(sip, server.http(), NUMBER)?;
        let shown = show(&server, sip, &passwords, options, &mut screen).await;
        screen.goodbye()?;
        server.stop().await?;
        shown
    })
}

async fn show(
    server: &Server,
    sip: SocketAddr,
    passwords: &[(String, String)],
    options: &DemoOptions,
    screen: &mut Screen<'_>,
) -> anyhow::Result<()> {
    let mut events = server.events();
    let mut town = Town::settle(sip, passwords).await?;
    let mut turn = tokio::time::interval(TURN);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        tokio::select! {
            _ = turn.tick() => {
                for news in town.turn() {
                    screen.news(&news)?;
                }
            }
            event = events.recv() => match event {
                Ok(event) => screen.event(&event)?,
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Ok(()),
            },
            signal = tokio::signal::ctrl_c() => return signal.context("no signals"),
        }
        if let Some(wanted) = options.calls {
            if screen.good_calls() >= wanted {
                return Ok(());
            }
            let late = tokio::time::Instant::now() >= deadline;
            anyhow::ensure!(
                !late,
                "only {} of {wanted} calls came through",
                screen.good_calls()
            );
        }
    }
}

/// The demo's own dialplan, agents and data folder over the user's addresses and ports.
fn prepare(mut config: Config) -> anyhow::Result<(Config, Vec<(String, String)>)> {
    let home = config.paths.data.join("demo");
    let plans = home.join("dialplans");
    write_plan(&plans)?;
    config.paths.data = home;
    config.paths.dialplans = plans;
    config.limits.drain = Duration::ZERO;
    let mut passwords = Vec::new();
    let mut endpoints = toml::Table::new();
    let mut agents = toml::Table::new();
    for name in town::AGENTS {
        let password = password()?;
        let endpoint = toml::Table::from_iter([("password".to_owned(), password.clone().into())]);
        endpoints.insert(name.to_owned(), endpoint.into());
        agents.insert(name.to_owned(), toml::Table::new().into());
        passwords.push((name.to_owned(), password));
    }
    let addresses = toml::Value::Array(vec!["127.0.0.0/8".into(), "::1".into()]);
    let trunk = toml::Table::from_iter([("addresses".to_owned(), addresses)]);
    let section = |name: &str, table: toml::Table| {
        let root = toml::Table::from_iter([(name.to_owned(), table.into())]);
        Section::from_toml(root).section(name)
    };
    config.trunks = section(
        "trunks",
        toml::Table::from_iter([("town".to_owned(), trunk.into())]),
    )?;
    config.detach();
    config.endpoints = section("endpoints", endpoints)?;
    config.agents = section("agents", agents)?;
    Ok((config, passwords))
}

fn write_plan(folder: &Path) -> anyhow::Result<()> {
    let file: PathBuf = folder.join("demo.kdl");
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&file, include_str!("../../dialplans/demo/demo.kdl")))
        .with_context(|| {
            format!(
                "the demo's dialplan cannot be written to {}",
                file.display()
            )
        })
}

/// A password that lives as long as the demo.
fn password() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 12];
    getrandom::fill(&mut bytes).context("the system has no randomness")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
