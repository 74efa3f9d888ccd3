//! What `tandem check` and `tandem test` do, as functions from texts to reports.
//!
//! Whoever calls reads the files and prints the reports; every report prints itself by `Display`.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use super::compile::Facts;
use super::diagnostic::{Diagnostic, Severity};
pub use super::fields::is_keys;
use super::plan::Plan;
use super::run::Stage;
use super::scenario::{Act, AgentDoes, CalleeDoes, Start, Taken, World, coverage, walk};
pub use super::scenario::{Coverage, Moment, ScenarioReport};

/// What the checker found.
#[derive(Debug)]
pub struct CheckReport {
    /// Every mistake, in the order of files and lines.
    pub diagnostics: Vec<Diagnostic>,
    /// How many files were read.
    pub files: usize,
    /// How many steps the plan has; 0 if it was refused.
    pub steps: usize,
}

impl CheckReport {
    /// How many mistakes refuse the plan.
    pub fn errors(&self) -> usize {
        let mut found = self.diagnostics.iter().map(|d| d.severity);
        found.by_ref().filter(|s| *s == Severity::Error).count()
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in &self.diagnostics {
            writeln!(f, "{diagnostic}")?;
        }
        let errors = self.errors();
        let warnings = self.diagnostics.len() - errors;
        write!(f, "{}, ", count(self.files, "file"))?;
        write!(f, "{}: ", count(self.steps, "step"))?;
        write!(
            f,
            "{}, {}",
            count(errors, "error"),
            count(warnings, "warning")
        )
    }
}

/// `1 file`, `2 files`.
pub fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// Checks the files of one dialplan together.
pub fn check(files: &[(PathBuf, String)], facts: &Facts) -> CheckReport {
    let (diagnostics, steps) = match Plan::compile(files, facts) {
        Ok(plan) => (plan.warnings().to_vec(), plan.len()),
        Err(diagnostics) => (diagnostics, 0),
    };
    CheckReport {
        diagnostics,
        files: files.len(),
        steps,
    }
}

/// What `tandem test` takes beside its files.
#[derive(Clone, Debug, Default)]
pub struct TestOptions {
    /// Keys pressed one group after the other: a dry run instead of the tests.
    pub digits: Option<Vec<String>>,
    /// The wall time of the dry run; giving it asks for a dry run too.
    pub at: Option<Timestamp>,
    /// The caller of the dry run.
    pub from: Option<String>,
    /// The number called in the dry run.
    pub to: Option<String>,
}

/// How the tests of a dialplan went.
#[derive(Debug)]
pub struct TestReport {
    /// Each test; of a dry run, one report without a failure.
    pub scenarios: Vec<ScenarioReport>,
    /// What all of them took together.
    pub coverage: Coverage,
    /// Whether this was a dry run: its walk is printed.
    pub dry_run: bool,
}

impl TestReport {
    /// How many tests failed.
    pub fn failures(&self) -> usize {
        let failed = self.scenarios.iter().filter(|s| s.failure.is_some());
        failed.count()
    }
}

impl fmt::Display for TestReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for scenario in &self.scenarios {
            let result = if scenario.failure.is_some() {
                "FAILED"
            } else {
                "ok"
            };
            writeln!(f, "{result:6} {} ({})", scenario.name, scenario.place)?;
            if let Some((place, why)) = &scenario.failure {
                writeln!(f, "       {place}: {why}")?;
            }
            if self.dry_run || scenario.failure.is_some() {
                for moment in &scenario.walk {
                    let seconds = moment.at.as_secs_f64();
                    writeln!(f, "       {seconds:9.1} s  {}", moment.what)?;
                }
            }
        }
        let Coverage { taken, total, .. } = self.coverage;
        if !self.dry_run {
            for missing in &self.coverage.missing {
                writeln!(f, "not walked: {missing}")?;
            }
        }
        let (all, failed) = (self.scenarios.len(), self.failures());
        write!(
            f,
            "{all} walked, {failed} failed; {taken} of {total} transitions taken"
        )
    }
}

/// Walks the tests of the files, or a dry run if the options ask for one.
///
/// # Errors
/// Every mistake of the files, if one of them refuses the plan.
pub fn test(
    files: &[(PathBuf, String)],
    facts: &Facts,
    options: &TestOptions,
) -> Result<TestReport, Vec<Diagnostic>> {
    let plan = Arc::new(Plan::compile(files, facts)?);
    let mut taken = Taken::new();
    let dry_run = options.digits.is_some() || options.at.is_some();
    let scenarios = if dry_run {
        vec![rehearse(&plan, options, &mut taken)]
    } else {
        let scenarios = plan.scenarios.iter();
        scenarios.map(|s| walk(&plan, s, &mut taken)).collect()
    };
    Ok(TestReport {
        scenarios,
        coverage: coverage(&plan, &taken),
        dry_run,
    })
}

/// One call: presses the keys as the plan listens, then does nothing; agents and callees answer.
fn rehearse(plan: &Arc<Plan>, options: &TestOptions, taken: &mut Taken) -> ScenarioReport {
    let standard = Start::default();
    let start = Start {
        from: options.from.clone().unwrap_or(standard.from),
        to: options.to.clone(),
        at: options.at.unwrap_or(standard.at),
        ..Start::default()
    };
    let mut report = ScenarioReport {
        name: "dry run".to_owned(),
        place: start.at.to_string(),
        failure: None,
        walk: Vec::new(),
    };
    let mut world = match World::call(plan, &start) {
        Ok(world) => world,
        Err(why) => {
            report.failure = Some((String::new(), why));
            return report;
        }
    };
    for keys in options.digits.iter().flatten() {
        if let Err(why) = world.act(&Act::Press(keys.clone())) {
            report.failure = Some((format!("key {keys}"), why));
            break;
        }
    }
    while report.failure.is_none() && world.stage() != Stage::Ended {
        let acts: &[Act] = match world.stage() {
            Stage::Queued => &[
                Act::Agent(AgentDoes::Answers),
                Act::Agent(AgentDoes::HangsUp),
            ],
            Stage::Conferring => &[Act::Hangup],
            Stage::Dialling => &[
                Act::Callee(CalleeDoes::Answers),
                Act::Callee(CalleeDoes::HangsUp),
            ],
            _ if world.passed() > REHEARSAL_MAX => break,
            _ => &[Act::Wait(std::time::Duration::from_secs(1))],
        };
        if acts.iter().any(|act| world.act(act).is_err()) {
            break;
        }
    }
    taken.extend(world.taken());
    report.walk = world.into_moments();
    report
}

/// Virtual time after which a dry run without queue or dialling is broken off.
const REHEARSAL_MAX: std::time::Duration = std::time::Duration::from_secs(3_600);
