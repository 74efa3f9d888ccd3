//! `tandem check` and `tandem test`: reads dialplan files and what else exists, prints the reports.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use super::{Failure, PlanArgs, TestArgs};
use crate::center::AgentConfig;
use crate::config::Config;
use crate::control::OverloadConfig;
use crate::dialplan::cli::{TestOptions, check as check_plan, count, is_keys, test as test_plan};
use crate::dialplan::{Facts, Speech};
use crate::server::prompt_names;
use crate::trunk::{Emergency, EndpointConfig, TrunkConfig};

pub(super) fn check(args: &PlanArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let (files, facts) = args.read()?;
    let report = check_plan(&files, &facts);
    writeln!(out, "{report}").map_err(|error| Failure::of(error.into()))?;
    for warning in warnings(&args.config.load()?)? {
        writeln!(out, "warning: {warning}").map_err(|error| Failure::of(error.into()))?;
    }
    match report.errors() {
        0 => Ok(()),
        errors => Err(Failure::Failed(anyhow!(
            "{} in {}",
            count(errors, "mistake"),
            count(report.files, "file")
        ))),
    }
}

pub(super) fn test(args: &TestArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let wrong = args.digits.iter().flatten().find(|keys| !is_keys(keys));
    if let Some(keys) = wrong {
        let error = anyhow!("--digits: want keys 0-9 * # A-D, have {keys:?}");
        return Err(Failure::Usage(error));
    }
    let (files, facts) = args.plans.read()?;
    let options = TestOptions {
        digits: args.digits.clone(),
        at: args.at,
        from: args.from.clone(),
        to: args.to.clone(),
    };
    let report = test_plan(&files, &facts, &options).map_err(|mistakes| {
        let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        Failure::Failed(anyhow!("the dialplan has mistakes:\n{}", lines.join("\n")))
    })?;
    writeln!(out, "{report}").map_err(|error| Failure::of(error.into()))?;
    match report.failures() {
        0 => Ok(()),
        failures => Err(Failure::Failed(anyhow!(
            "{} failed",
            count(failures, "test")
        ))),
    }
}

/// What an operator should know of a configuration that is no mistake.
fn warnings(config: &Config) -> Result<Vec<String>, Failure> {
    let realm = &config.sip.realm;
    let trunks = TrunkConfig::read_all(config.trunks.clone(), realm)?;
    let endpoints = EndpointConfig::read_all(config.endpoints.clone(), realm)?;
    let trunks = trunks
        .iter()
        .map(|it| it.handling.warning(&format!("trunks.{}", it.name)));
    let endpoints = endpoints
        .iter()
        .map(|it| it.handling.warning(&format!("endpoints.{}", it.name)));
    Ok(trunks.chain(endpoints).flatten().collect())
}

impl PlanArgs {
    /// The texts of the files, and what exists beside them.
    fn read(&self) -> Result<(Vec<(PathBuf, String)>, Facts), Failure> {
        let config = self.config.load()?;
        let mut facts = facts(&config)?;
        // Without a configuration nobody has said who exists: any name may be right.
        if self.config.config.is_none() {
            (facts.endpoints, facts.trunks, facts.agents) = (None, None, None);
        }
        let roots = match self.files.as_slice() {
            [] => std::slice::from_ref(&config.paths.dialplans),
            files => files,
        };
        let mut paths = BTreeSet::new();
        for root in roots {
            gather(root, &mut paths).map_err(Failure::Usage)?;
        }
        if paths.is_empty() {
            let roots: Vec<String> = roots
                .iter()
                .map(|root| root.display().to_string())
                .collect();
            return Err(Failure::Usage(anyhow!(
                "no *.kdl file in {}",
                roots.join(", ")
            )));
        }
        let read = |path: PathBuf| {
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("{}: cannot be read", path.display()))?;
            Ok((path, text))
        };
        let texts: anyhow::Result<_> = paths.into_iter().map(read).collect();
        Ok((texts.map_err(Failure::Usage)?, facts))
    }
}

/// What the configuration and the disk say exists.
fn facts(config: &Config) -> Result<Facts, Failure> {
    let realm = &config.sip.realm;
    let trunks = TrunkConfig::read_all(config.trunks.clone(), realm)?;
    let endpoints = EndpointConfig::read_all(config.endpoints.clone(), realm)?;
    let agents = AgentConfig::read_all(config.agents.clone())?;
    Emergency::read(config.emergency.clone(), &trunks)?;
    OverloadConfig::read(config.overload.clone())?;
    Ok(Facts {
        prompts: prompt_names(&config.paths.prompts),
        speech: speech(&config.speech.program),
        endpoints: Some(
            endpoints
                .into_iter()
                .map(|endpoint| endpoint.name)
                .collect(),
        ),
        trunks: Some(trunks.into_iter().map(|trunk| trunk.name).collect()),
        agents: Some(
            agents
                .into_iter()
                .map(|agent| agent.id.to_string())
                .collect(),
        ),
        queues_elsewhere: BTreeMap::new(),
    })
}

/// Whether the engine is there: any voice it does not have is its own error at run time.
fn speech(program: &str) -> Speech {
    let asked = std::process::Command::new(program)
        .arg("--version")
        .output();
    match asked {
        Ok(output) if output.status.success() => Speech::Voices(BTreeSet::new()),
        _ => Speech::Missing,
    }
}

/// The dialplan files of the folder `root`, as a server would read it; `root` itself if it is a
/// file. A folder within it is another dialplan.
fn gather(root: &Path, into: &mut BTreeSet<PathBuf>) -> anyhow::Result<()> {
    if root.is_file() {
        into.insert(root.to_owned());
        return Ok(());
    }
    let unreadable = || format!("{}: cannot be read", root.display());
    for entry in std::fs::read_dir(root).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        if path.extension().is_some_and(|end| end == "kdl") {
            into.insert(path);
        }
    }
    Ok(())
}
