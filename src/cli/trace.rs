//! `tandem trace` and `tandem pcap`: one call of a running server, in progress or over.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::Failure;
use super::ladder::{Ladder, Look};
use super::remote::{Remote, RemoteArgs, segment};
use crate::api::TraceJson;

#[derive(Debug, Args)]
pub(super) struct TraceArgs {
    #[command(flatten)]
    remote: RemoteArgs,
    /// The call's id, a SIP Call-ID, or `last`
    #[arg(value_name = "CALL")]
    call: String,
    /// Prints the API's JSON as it came
    #[arg(long)]
    json: bool,
    /// Prints the messages whole
    #[arg(long)]
    full: bool,
    /// Goes on until the call is over
    #[arg(long, conflicts_with = "json")]
    follow: bool,
    /// Columns; without it, the terminal's, or 120
    #[arg(long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(40..=400))]
    width: Option<u16>,
}

#[derive(Debug, Args)]
pub(super) struct PcapArgs {
    #[command(flatten)]
    remote: RemoteArgs,
    /// The call's id, a SIP Call-ID, or `last`
    #[arg(value_name = "CALL")]
    call: String,
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

pub(super) fn run(args: &TraceArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let remote = args.remote.remote()?;
    let path = format!("/v1/calls/{}/trace", segment(&args.call));
    if args.json {
        let body = remote.get(&path)?;
        return writeln!(out, "{body}").map_err(|error| Failure::Failed(error.into()));
    }
    let mut ladder = Ladder::new(look(args));
    let trace = read(&remote, &path)?;
    let mut last = show(&mut ladder, &trace, out)?;
    // A request that became no call has no end that is told.
    let is_over = |trace: &TraceJson| trace.ended || trace.call_id.is_none();
    let (mut over, mut quiet) = (is_over(&trace), 0);
    // `last` may become another call meanwhile: go on with the one that was found.
    let name = trace
        .call_id
        .or_else(|| trace.sip_call_ids.into_iter().next());
    let path = format!("/v1/calls/{}/trace", segment(&name.unwrap_or_default()));
    while args.follow && quiet < QUIET_MAX {
        pause(POLL);
        let after = last.map(|last| format!("?after={last}"));
        let trace = read(&remote, &format!("{path}{}", after.unwrap_or_default()))?;
        // The last answers come after the end.
        quiet = if over && trace.entries.is_empty() {
            quiet + 1
        } else {
            0
        };
        over = is_over(&trace);
        last = show(&mut ladder, &trace, out)?.or(last);
    }
    Ok(())
}

pub(super) fn pcap(args: &PcapArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let remote = args.remote.remote()?;
    let file = remote.ask("GET", &format!("/v1/calls/{}/pcap", segment(&args.call)))?;
    let mut write = || -> anyhow::Result<()> {
        let path = args.output.display();
        std::fs::write(&args.output, &file).with_context(|| path.to_string())?;
        writeln!(out, "{} bytes in {path}", file.len())?;
        Ok(())
    };
    write().map_err(Failure::Failed)
}

/// Width and colour: a terminal's own, or plain text of 120 columns.
fn look(args: &TraceArgs) -> Look {
    let terminal = std::io::stdout().is_terminal();
    let size = ratatui::crossterm::terminal::size().ok();
    let columns = size.map(|(columns, _)| columns).filter(|_| terminal);
    Look {
        width: args.width.or(columns).unwrap_or(120).into(),
        colour: terminal && std::env::var_os("NO_COLOR").is_none(),
        full: args.full,
    }
}

fn read(remote: &Remote, path: &str) -> Result<TraceJson, Failure> {
    let body = remote.get(path)?;
    serde_json::from_str(&body)
        .context("the server's answer is no trace")
        .map_err(Failure::Failed)
}

/// Prints what is new; the number of the newest entry.
fn show(
    ladder: &mut Ladder,
    trace: &TraceJson,
    out: &mut dyn Write,
) -> Result<Option<u32>, Failure> {
    let mut print = || {
        out.write_all(ladder.draw(trace).as_bytes())?;
        out.flush()
    };
    print().map_err(|error| Failure::Failed(error.into()))?;
    Ok(trace.entries.iter().map(|entry| entry.number).max())
}

/// Lets real time pass: somebody watches.
#[expect(
    clippy::disallowed_methods,
    reason = "a command that follows a call waits for it"
)]
pub(super) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// How often a call that is followed is looked at.
const POLL: Duration = Duration::from_millis(400);

/// Looks that must bring nothing new after the end.
const QUIET_MAX: u32 = 5;
