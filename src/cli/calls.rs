//! `tandem calls`: the calls in progress on a running server, over its API.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;

use super::{ConfigArgs, Failure};
use crate::api::CallJson;

#[derive(Debug, Args)]
pub(super) struct CallsArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The server's API; without it, the configured http.listen
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The API key, best given by the variable
    #[arg(
        long,
        env = "TANDEM_API_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    api_key: Option<String>,
    /// Prints the API's JSON as it came
    #[arg(long)]
    json: bool,
    /// Hangs that call up instead
    #[arg(long, value_name = "CALL_ID")]
    hang_up: Option<String>,
}

pub(super) fn run(args: &CallsArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let config = args.config.load()?;
    let configured = config
        .http
        .api_key
        .as_ref()
        .map(|key| key.reveal().to_owned());
    let Some(key) = args.api_key.clone().or(configured) else {
        return Err(Failure::Usage(anyhow!(
            "no API key: set TANDEM_API_KEY or --api-key"
        )));
    };
    let url = args
        .url
        .clone()
        .unwrap_or_else(|| format!("http://{}", config.http.listen));
    let url = url.trim_end_matches('/');
    match &args.hang_up {
        Some(call) => {
            ask("DELETE", &format!("{url}/v1/calls/{call}"), &key)?;
            Ok(())
        }
        None => show(
            &ask("GET", &format!("{url}/v1/calls"), &key)?,
            args.json,
            out,
        ),
    }
}

/// Sends one request; the body of a success.
fn ask(method: &str, url: &str, key: &str) -> Result<String, Failure> {
    let exchange = || -> anyhow::Result<(u16, String)> {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(url)
            .header("authorization", format!("Bearer {key}"))
            .body(())?;
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(10)));
        let agent: ureq::Agent = config.build().into();
        let mut response = agent.run(request)?;
        Ok((
            response.status().as_u16(),
            response.body_mut().read_to_string()?,
        ))
    };
    let answered = exchange().with_context(|| format!("{url}: no answer; does the server run?"));
    let (status, body) = answered.map_err(Failure::Failed)?;
    match status {
        200..=299 => Ok(body),
        401 => Err(Failure::Usage(anyhow!("{url}: the API key is wrong"))),
        _ => Err(Failure::Failed(anyhow!("{url}: {status}: {}", body.trim()))),
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
