//! `tandem calls`: the calls in progress on a running server, over its API.

use std::io::Write;

use anyhow::Context;
use clap::Args;

use super::Failure;
use super::remote::{RemoteArgs, segment};
use crate::api::CallJson;

#[derive(Debug, Args)]
pub(super) struct CallsArgs {
    #[command(flatten)]
    remote: RemoteArgs,
    /// Prints the API's JSON as it came
    #[arg(long)]
    json: bool,
    /// Hangs that call up instead
    #[arg(long, value_name = "CALL_ID")]
    hang_up: Option<String>,
}

pub(super) fn run(args: &CallsArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let remote = args.remote.remote()?;
    match &args.hang_up {
        Some(call) => remote
            .ask("DELETE", &format!("/v1/calls/{}", segment(call)))
            .map(drop),
        None => show(&remote.get("/v1/calls")?, args.json, out),
    }
}

fn show(body: &str, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let print = |out: &mut dyn Write| -> anyhow::Result<()> {
        if json {
            writeln!(out, "{body}")?;
            return Ok(());
        }
        let calls: Vec<CallJson> =
            serde_json::from_str(body).context("the server's answer is no list of calls")?;
        let header = [
            "CALL", "STATE", "AGE", "FROM", "TO", "QUEUE", "AGENT", "STEP",
        ];
        let rows = calls.into_iter().map(|call| {
            let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            let (queue, agent, step) = (call.queue, call.agent, call.step);
            let age = format!("{:.0}s", call.age_secs);
            let tail = [or_dash(queue), or_dash(agent), or_dash(step)];
            let [queue, agent, step] = tail;
            [
                call.call_id,
                call.state,
                age,
                call.from,
                call.to,
                queue,
                agent,
                step,
            ]
        });
        table(header.map(str::to_owned), rows.collect(), out)
    };
    print(out).map_err(Failure::Failed)
}

/// Prints rows in columns as wide as their widest cell.
fn table<const N: usize>(
    header: [String; N],
    rows: Vec<[String; N]>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut widths = header.each_ref().map(|cell| cell.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in std::iter::once(&header).chain(&rows) {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}
