//! `tandem explain`: why a call was refused or would be, offline from a configuration or from a server.

use std::io::Write;

use anyhow::{Context, anyhow};
use clap::Args;
use clock::Now;
use serde_json::Value;

use super::Failure;
use super::remote::{RemoteArgs, segment};
use crate::api::{ExplainJson, ExplainedJson, RefusalJson, WhyJson};
use crate::server::{Registered, offline};

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    server: RemoteArgs,
    /// Prints JSON
    #[arg(long)]
    json: bool,
    /// A call that was refused or failed: its id, or the SIP Call-ID (asks the running server)
    #[arg(long, value_name = "ID", conflicts_with_all = ["from", "to", "ip"])]
    call: Option<String>,
    /// Asks the running server instead of the configuration; --url does too
    #[arg(long)]
    live: bool,
    /// The caller: the user of From
    #[arg(long, value_name = "NUMBER", required_unless_present = "call")]
    from: Option<String>,
    /// The number or name called
    #[arg(long, value_name = "NUMBER")]
    to: Option<String>,
    /// Where the call comes from, with or without a port
    #[arg(long, value_name = "ADDRESS", required_unless_present = "call")]
    ip: Option<String>,
    /// udp, tcp or tls
    #[arg(long, value_name = "NAME")]
    transport: Option<String>,
    /// The trunk that it should come by
    #[arg(long, value_name = "NAME")]
    trunk: Option<String>,
    /// The digest user name, if it is not --from
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The wall time, such as 2026-12-25T10:00:00+01:00; now if absent
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// The address and port that the caller sends to
    #[arg(long, value_name = "ADDRESS:PORT")]
    sent_to: Option<String>,
    /// A registration, not a call
    #[arg(long)]
    register: bool,
    /// The codecs that the caller offers, with commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    codecs: Option<Vec<String>>,
    /// The profile that it offers, such as RTP/SAVP
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// The address in its offer
    #[arg(long, value_name = "ADDRESS")]
    media: Option<String>,
    /// A header besides, such as "Require: 100rel"; may be repeated
    #[arg(long, value_name = "LINE")]
    header: Vec<String>,
    /// Keys that the caller presses
    #[arg(long, value_name = "KEYS", default_value = "")]
    digits: String,
    /// What whoever is rung does: answers, silent, or a status such as 486
    #[arg(long, value_name = "WHAT")]
    callee: Option<String>,
}

pub(super) fn run(args: &ExplainArgs, out: &mut dyn Write) -> Result<(), Failure> {
    if let Some(call) = &args.call {
        return of_call(args, call, out);
    }
    let question = args.question()?;
    let explained = if args.live || args.server.names_url() {
        let body = serde_json::to_string(&question).map_err(|it| Failure::Failed(it.into()))?;
        let answer = args.server.remote()?.post("/v1/explain", &body)?;
        serde_json::from_str(&answer)
            .context("the server's answer is no explanation")
            .map_err(Failure::Failed)?
    } else {
        let probe = question
            .probe()
            .map_err(|why| Failure::Usage(anyhow!(why)))?;
        let config = args.server.config().load()?;
        let now = jiff::Timestamp::now();
        let shard = offline(&config, &Registered::All, now);
        let rehearsal = shard.map_err(Failure::of)?.rehearse(Now::ZERO, &probe);
        ExplainedJson::from(rehearsal)
    };
    let shown = match args.json {
        true => serde_json::to_string_pretty(&explained).map_err(anyhow::Error::from),
        false => Ok(in_words(&explained)),
    };
    let print = shown.and_then(|text| Ok(writeln!(out, "{text}")?));
    print.map_err(Failure::Failed)?;
    match explained.taken {
        true => Ok(()),
        false => Err(Failure::Failed(anyhow!("the call is not taken"))),
    }
}

impl ExplainArgs {
    fn question(&self) -> Result<ExplainJson, Failure> {
        let header = |line: &String| match line.split_once(':') {
            Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
            None => Err(Failure::Usage(anyhow!(
                "--header: want NAME: VALUE, have {line:?}"
            ))),
        };
        Ok(ExplainJson {
            from: self.from.clone().unwrap_or_default(),
            to: self.to.clone().unwrap_or_default(),
            ip: self.ip.clone().unwrap_or_default(),
            transport: self.transport.clone(),
            trunk: self.trunk.clone(),
            user: self.user.clone(),
            at: self.at.clone(),
            sent_to: self.sent_to.clone(),
            register: self.register,
            codecs: self.codecs.clone(),
            profile: self.profile.clone(),
            media: self.media.clone(),
            headers: self.header.iter().map(header).collect::<Result<_, _>>()?,
            digits: self.digits.clone(),
            callee: self.callee.clone(),
        })
    }
}

/// Why a call was refused, or what last went wrong in it.
fn of_call(args: &ExplainArgs, call: &str, out: &mut dyn Write) -> Result<(), Failure> {
    let (server, escaped) = (args.server.remote()?, segment(call));
    let answer = server.get(&format!("/v1/refusals?call={escaped}"))?;
    let found: Vec<RefusalJson> = serde_json::from_str(&answer)
        .context("the server's answer is no list of refusals")
        .map_err(Failure::Failed)?;
    let mut text = String::new();
    for refusal in found.iter().rev() {
        let request = refusal.request.as_ref();
        let who = request.map_or(String::new(), |it| {
            format!(
                " {} from {} to {} by {} from {}",
                it.method, it.from, it.to, it.transport, it.source
            )
        });
        text.push_str(&format!("{}{who}\n", refusal.at));
        text.push_str(&why_in_words(refusal.status, &refusal.why));
    }
    if found.is_empty() {
        let answer = server.get(&format!("/v1/cdrs?call_id={escaped}"))?;
        text = record_in_words(call, &answer)?;
    }
    let print = match args.json {
        true => writeln!(out, "{answer}"),
        false => write!(out, "{text}"),
    };
    print.map_err(|error| Failure::Failed(error.into()))
}

/// What the record of a call says, long after the server has forgotten the rest.
fn record_in_words(call: &str, answer: &str) -> Result<String, Failure> {
    let page: Value = serde_json::from_str(answer)
        .context("the server's answer is no page of records")
        .map_err(Failure::Failed)?;
    let record = page.get("cdrs").and_then(|cdrs| cdrs.get(0));
    let Some(record) = record else {
        return Err(Failure::Failed(anyhow!(
            "{call}: no refusal and no record of that id is kept"
        )));
    };
    let text = |key: &str| record.get(key).and_then(Value::as_str).unwrap_or("-");
    Ok(match (text("refusal_id"), text("refusal")) {
        ("-", _) => format!(
            "{call}: nothing went wrong; ended by {}\n",
            text("hangup_cause")
        ),
        (id, sentence) => format!("{call}: {id}: {sentence}\n  see   docs/errors/{id}.md\n"),
    })
}

fn in_words(explained: &ExplainedJson) -> String {
    let mut text = String::new();
    for step in &explained.steps {
        text.push_str(&format!("  {:<9} {}\n", step.step, step.text));
    }
    match (&explained.why, &explained.outcome) {
        (Some(why), _) => text.push_str(&why_in_words(explained.status.unwrap_or(0), why)),
        (None, outcome) => {
            let outcome = outcome.as_deref().unwrap_or_default();
            text.push_str(&format!("taken: {outcome}"));
        }
    }
    text.trim_end().to_owned()
}

fn why_in_words(status: u16, why: &WhyJson) -> String {
    let heard = match status {
        0 => "without an answer".to_owned(),
        status => format!("by {status}"),
    };
    let id = &why.id;
    format!(
        "refused {heard}: {id}\n  want  {}\n  have  {}\n  fix   {}\n  see   docs/errors/{id}.md\n",
        why.expected, why.found, why.fix
    )
}
