//! `test` blocks: calls walked in virtual time.
//!
//! The law: the world around the [`Run`] is simulated, the run is the production machine. Speech
//! takes [`SPEECH_PER_CHARACTER`], a file takes [`FILE_LENGTH`]; a ten-minute wait takes none of
//! ours.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::condition::Value;
use super::diagnostic::Span;
use super::plan::{Exit, Node, NodeId, Plan, Step};
use super::run::LeftWhy;
use crate::call::{Cause, RecordAsk};
use crate::conference::Away;

mod world;

pub(super) use world::World;

/// A `test` block.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) name: String,
    pub(super) at: Span,
    pub(super) start: Start,
    pub(super) lines: Vec<Line>,
}

/// Who calls whom, and when.
#[derive(Clone, Debug)]
pub(super) struct Start {
    pub(super) from: String,
    /// The number of the first entry if none.
    pub(super) to: Option<String>,
    pub(super) trunk: String,
    pub(super) endpoint: Option<String>,
    pub(super) at: Timestamp,
}

impl Default for Start {
    /// A Monday at noon, so that a test without `at=` gives the same result every day.
    fn default() -> Self {
        Self {
            from: "+15550100".to_owned(),
            to: None,
            trunk: "carrier".to_owned(),
            endpoint: None,
            at: Timestamp::constant(1_767_614_400, 0),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) act: Act,
    pub(super) at: Span,
}

/// One line of a test.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Press(String),
    Wait(Duration),
    Agent(AgentDoes),
    QueueIs(LeftWhy),
    ConferenceIs(Away),
    Callee(CalleeDoes),
    Hangup,
    ExpectSay(String),
    ExpectPlay(String),
    ExpectQueue {
        queue: String,
        priority: Option<i32>,
    },
    ExpectConference(String),
    ExpectDial(String),
    ExpectRecord(RecordAsk),
    ExpectSet(Vec<(String, Value)>),
    ExpectHangup(Cause),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AgentDoes {
    Answers,
    Declines,
    HangsUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CalleeDoes {
    Answers,
    Busy,
    NoAnswer,
    Failed,
    HangsUp,
}

/// How long a character takes to say: 15 a second.
const SPEECH_PER_CHARACTER: Duration = Duration::from_millis(66);
/// How long a file plays: its length is not known here.
const FILE_LENGTH: Duration = Duration::from_secs(3);

/// What happened at one moment of a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Since the call began.
    pub at: Duration,
    /// In words.
    pub what: String,
}

/// How a test went.
#[derive(Clone, Debug)]
pub struct ScenarioReport {
    /// The test's name.
    pub name: String,
    /// File and line of the test.
    pub place: String,
    /// File and line of the first expectation that failed, and why; none if all held.
    pub failure: Option<(String, String)>,
    /// What happened, in order.
    pub walk: Vec<Moment>,
}

/// Which ways out of which steps the tests took.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// Ways taken.
    pub taken: usize,
    /// Ways that a call can take.
    pub total: usize,
    /// The ways not taken: `file:line: menu "main" by timeout`.
    pub missing: Vec<String>,
}

/// Ways taken, for [`coverage`].
pub(super) type Taken = BTreeSet<(NodeId, Exit)>;

/// Walks one test.
pub(super) fn walk(plan: &Arc<Plan>, scenario: &Scenario, taken: &mut Taken) -> ScenarioReport {
    let name_place = |at: Span| {
        let source = plan.sources.get(usize::from(at.file));
        source.map_or(String::new(), |source| {
            format!("{}:{}", source.path.display(), source.place(at.start).0)
        })
    };
    let mut failure = None;
    let mut moments = Vec::new();
    match World::call(plan, &scenario.start) {
        Ok(mut world) => {
            for line in &scenario.lines {
                if let Err(why) = world.act(&line.act) {
                    failure = Some((name_place(line.at), why));
                    break;
                }
            }
            taken.extend(world.taken());
            moments = world.into_moments();
        }
        Err(why) => failure = Some((name_place(scenario.at), why)),
    }
    ScenarioReport {
        name: scenario.name.clone(),
        place: name_place(scenario.at),
        failure,
        walk: moments,
    }
}

/// How much of the plan the ways taken cover.
pub(super) fn coverage(plan: &Plan, taken: &Taken) -> Coverage {
    let mut covered = Coverage::default();
    for (index, node) in plan.nodes.iter().enumerate() {
        let id = NodeId(index as u32);
        for (exit, _) in node.exits.iter().filter(|(exit, _)| can_leave(node, exit)) {
            covered.total += 1;
            if taken.contains(&(id, exit.clone())) {
                covered.taken += 1;
                continue;
            }
            let (verb, flow) = plan.describe(id).unwrap_or(("", ""));
            let place = plan.place(id);
            let place = place.map_or(String::new(), |(p, line)| format!("{}:{line}", p.display()));
            let exit = exit.name();
            covered
                .missing
                .push(format!("{place}: {verb} in \"{flow}\" by {exit}"));
        }
    }
    covered
}

/// Whether a call can leave the step that way at all.
fn can_leave(node: &Node, exit: &Exit) -> bool {
    let all = |exits: &[Exit]| exits.iter().all(|exit| node.has(exit));
    match (&node.step, exit) {
        (Step::Menu(menu), Exit::Repeat) => menu.timeouts > 1 || menu.invalids > 1,
        (Step::Queue { .. }, Exit::Next) => !all(&[Exit::MaxWait, Exit::Full, Exit::NoAgents]),
        // A room is left by a key, by being put out, or never.
        (Step::Conference(_), Exit::Next) => !all(&[Exit::Full, Exit::Locked, Exit::Failed]),
        (Step::Dial(_), Exit::Next) => !all(&[Exit::Busy, Exit::NoAnswer, Exit::Failed]),
        _ => true,
    }
}
