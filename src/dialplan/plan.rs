//! The compiled plan: an immutable graph of typed steps.
//!
//! The law: a [`Plan`] never changes. A reload makes another and its holder swaps the `Arc`; a run
//! keeps the plan that it began with. Whatever a plan names (a flow, a queue, a condition) exists,
//! because compilation refused it otherwise.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::condition::Condition;
use super::diagnostic::{Diagnostic, Source, Span};
use super::hours::Hours;
use super::scenario::Scenario;
use crate::call::{Cause, RecordAsk};
use crate::conference::Terms;

/// A step's place in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// An entry's place in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub u32);

/// The way by which a step is left.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exit {
    /// To the step that follows.
    Next,
    /// The condition holds.
    Then,
    /// The condition does not hold.
    Else,
    /// `goto`.
    Goto,
    /// These keys were pressed.
    Keys(String),
    /// No key came.
    Timeout,
    /// The keys have no meaning.
    Invalid,
    /// The menu is said again.
    Repeat,
    /// The caller hung up in a menu.
    Hangup,
    /// Waited as long as the queue allows.
    MaxWait,
    /// The queue or the conference has no place.
    Full,
    /// Nobody serves the queue.
    NoAgents,
    /// The conference is locked.
    Locked,
    /// Somebody put the call out of its conference.
    Removed,
    /// The other party hung up.
    Completed,
    /// Everybody is busy.
    Busy,
    /// Nobody answered.
    NoAnswer,
    /// Refused or unreachable; no way into the conference.
    Failed,
    /// No consent to a recording.
    Declined,
}

impl Exit {
    /// The name in dialplans, traces and coverage.
    pub fn name(&self) -> &str {
        match self {
            Self::Next => "next",
            Self::Then => "then",
            Self::Else => "else",
            Self::Goto => "goto",
            Self::Keys(keys) => keys,
            Self::Timeout => "timeout",
            Self::Invalid => "invalid",
            Self::Repeat => "repeat",
            Self::Hangup => "hangup",
            Self::MaxWait => "max-wait",
            Self::Full => "full",
            Self::NoAgents => "no-agents",
            Self::Locked => "locked",
            Self::Removed => "removed",
            Self::Completed => "completed",
            Self::Busy => "busy",
            Self::NoAnswer => "no-answer",
            Self::Failed => "failed",
            Self::Declined => "declined",
        }
    }
}

/// Where an exit leads: to a step, or out of the flow, which hangs up.
pub(super) type Target = Option<NodeId>;

/// One step of the graph.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) step: Step,
    pub(super) exits: Vec<(Exit, Target)>,
    pub(super) at: Span,
    /// The index of its flow.
    pub(super) flow: u32,
}

impl Node {
    /// Where that exit leads; one that is not there leads out.
    pub(super) fn target(&self, exit: &Exit) -> Target {
        let found = self.exits.iter().find(|(name, _)| name == exit);
        found.and_then(|(_, target)| *target)
    }

    pub(super) fn has(&self, exit: &Exit) -> bool {
        self.exits.iter().any(|(name, _)| name == exit)
    }
}

/// A step with its typed attributes.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Answer,
    Say(Vec<Utterance>),
    Gather(Gather),
    Menu(Menu),
    Set(Vec<(String, Setting)>),
    If(u32),
    Goto,
    Queue {
        queue: String,
        priority: i32,
        max_wait: Option<Duration>,
    },
    Dial(DialStep),
    Conference(Box<ConferenceStep>),
    Record(RecordAsk),
    Hangup(Cause),
    Repeat,
    End,
}

impl Step {
    /// The verb as it is written.
    pub(super) fn verb(&self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Say(utterances) => match utterances.first().map(|u| &u.what) {
                Some(Utter::File(_)) => "play",
                _ => "say",
            },
            Self::Gather(_) => "gather",
            Self::Menu(menu) => menu.verb,
            Self::Set(_) => "set",
            Self::If(_) => "if",
            Self::Goto => "goto",
            Self::Queue { .. } => "queue",
            Self::Dial(dial) if dial.blind => "transfer",
            Self::Dial(_) => "dial",
            Self::Conference(_) => "conference",
            Self::Record(_) => "record",
            Self::Hangup(_) => "hangup",
            Self::Repeat => "repeat",
            Self::End => "end",
        }
    }
}

/// Something heard.
#[derive(Clone, Debug)]
pub(super) struct Utterance {
    pub(super) what: Utter,
    pub(super) barge_in: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Utter {
    File(String),
    Speech {
        text: Template,
        voice: Option<String>,
        lang: Option<String>,
    },
}

/// How keys are collected.
#[derive(Clone, Debug)]
pub(super) struct Gather {
    pub(super) prompts: Vec<Utterance>,
    pub(super) digits: usize,
    pub(super) min: usize,
    pub(super) finish: Option<char>,
    pub(super) first: Duration,
    pub(super) between: Duration,
    pub(super) retries: u32,
    pub(super) into: Option<String>,
}

/// A menu; its keys are its exits.
#[derive(Clone, Debug)]
pub(super) struct Menu {
    /// As it is written: `menu`, or `consent`.
    pub(super) verb: &'static str,
    pub(super) gather: Gather,
    /// The timeout that leaves by the exit.
    pub(super) timeouts: u32,
    pub(super) invalids: u32,
}

/// Somebody is rung.
#[derive(Clone, Debug)]
pub(super) struct DialStep {
    pub(super) to: Vec<Callee>,
    pub(super) timeout: Duration,
    pub(super) caller_id: Option<Template>,
    pub(super) blind: bool,
}

/// A room is joined.
#[derive(Clone, Debug)]
pub(super) struct ConferenceStep {
    pub(super) name: Template,
    pub(super) terms: Terms,
}

#[derive(Clone, Debug)]
pub(super) enum Callee {
    /// The endpoint of that name, which may be known only at run time.
    Endpoint(Template),
    /// Through that trunk, else the one the call came by.
    Number {
        number: Template,
        trunk: Option<String>,
    },
}

/// The new value of a variable.
#[derive(Clone, Debug)]
pub(super) enum Setting {
    Text(Template),
    Number(i64),
    Truth(bool),
    Cel(u32),
}

/// A text with places for variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(pub(super) Vec<Piece>);

impl Template {
    /// A text without any place.
    pub(super) fn plain(text: &str) -> Self {
        Self(vec![Piece::Text(text.to_owned())])
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    From,
    To,
    Trunk,
    Digits,
    Variable(String),
}

/// The type of a variable: what all its `set` agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Number,
    Truth,
    /// Texts in some places, something else in others.
    Any,
}

/// Which calls an entry takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Called {
    Exact(String),
    /// The beginning, without the `*`.
    Prefix(String),
    Endpoint(String),
    AnyEndpoint,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) called: Called,
    pub(super) flow: u32,
    /// Of `time` in conditions.
    pub(super) zone: TimeZone,
    pub(super) at: Span,
}

#[derive(Clone, Debug)]
pub(super) struct Flow {
    pub(super) name: String,
    pub(super) first: Target,
    pub(super) at: Span,
}

/// A queue as a dialplan declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSpec {
    /// Its name, unique in the plan.
    pub name: String,
    /// Who serves it.
    pub agents: Vec<String>,
    /// How long an agent is rung before the next.
    pub ring_timeout: Duration,
    /// The pause after a call.
    pub wrap_up: Duration,
    /// The longest wait; unbounded if none.
    pub max_wait: Option<Duration>,
    /// Calls that may wait at once.
    pub max_len: usize,
    /// Whether callers leave by `no-agents` while nobody is on duty.
    pub leave_without_agents: bool,
    /// The music: `default`, another name, or a file below the prompts folder.
    pub music: String,
    /// How often those who wait are told their position; never if none.
    pub announce: Option<Duration>,
}

/// An immutable compiled dialplan.
#[derive(Debug, Default)]
pub struct Plan {
    pub(super) nodes: Vec<Node>,
    pub(super) flows: Vec<Flow>,
    pub(super) entries: Vec<Entry>,
    pub(super) queues: Vec<QueueSpec>,
    pub(super) hours: BTreeMap<String, Hours>,
    pub(super) conditions: Vec<Condition>,
    pub(super) variables: BTreeMap<String, Type>,
    pub(super) scenarios: Vec<Scenario>,
    pub(super) sources: Vec<Source>,
    pub(super) warnings: Vec<Diagnostic>,
}

/// Fails to compile if a plan could not be shared with the thread that serves calls.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Arc<Plan>>();
};

impl Plan {
    /// The entry of a call to `called`: the exact number, else the longest pattern.
    ///
    /// Numbers are compared as given; whoever calls has normalised them.
    pub fn entry(&self, called: &str) -> Option<EntryId> {
        let mut best: Option<(usize, usize)> = None;
        for (index, entry) in self.entries.iter().enumerate() {
            let weight = match &entry.called {
                Called::Exact(number) if number == called => usize::MAX,
                Called::Prefix(start) if called.starts_with(start.as_str()) => start.len() + 1,
                _ => continue,
            };
            if best.is_none_or(|(most, _)| weight > most) {
                best = Some((weight, index));
            }
        }
        best.map(|(_, index)| EntryId(index as u32))
    }

    /// The entry of a call that `endpoint` makes: its own, else that of any endpoint, else that of
    /// the number.
    pub fn entry_from_endpoint(&self, endpoint: &str, called: &str) -> Option<EntryId> {
        let at = |wanted: &Called| self.entries.iter().position(|e| e.called == *wanted);
        let own = at(&Called::Endpoint(endpoint.to_owned()));
        let index = own.or_else(|| at(&Called::AnyEndpoint));
        let own = index.map(|index| EntryId(index as u32));
        own.or_else(|| self.entry(called))
    }

    /// How many entries there are.
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// The queues that the plan declares, in the order of the files.
    pub fn queues(&self) -> &[QueueSpec] {
        &self.queues
    }

    /// Mistakes that do not keep the plan from serving.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// How many steps it has.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether it has no step.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// File and line of a step.
    pub fn place(&self, node: NodeId) -> Option<(&Path, u32)> {
        let node = self.node(node)?;
        let source = self.sources.get(usize::from(node.at.file))?;
        Some((&source.path, source.place(node.at.start).0))
    }

    /// File and line of a step as text; empty if there is no such step.
    pub fn place_shown(&self, node: NodeId) -> String {
        let place = self.place(node);
        place.map_or(String::new(), |(path, line)| {
            format!("{}:{line}", path.display())
        })
    }

    /// The verb of a step and the flow that it belongs to.
    pub fn describe(&self, node: NodeId) -> Option<(&'static str, &str)> {
        let node = self.node(node)?;
        let flow = self.flows.get(node.flow as usize)?;
        Some((node.step.verb(), &flow.name))
    }

    /// What opening hours say at a time: `office: closed (Fri 19:02 Europe/Dublin)`.
    pub fn hours_shown(&self, at: jiff::Timestamp) -> Vec<String> {
        let shown = |(name, hours): (&String, &Hours)| {
            let state = if hours.is_open(at) { "open" } else { "closed" };
            let local = at.to_zoned(hours.zone.clone());
            let local = local.strftime("%a %Y-%m-%d %H:%M %Z");
            format!("{name}: {state} ({local})")
        };
        self.hours.iter().take(16).map(shown).collect()
    }

    /// The names of its files.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.sources.iter().map(|source| &source.path)
    }

    pub(super) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.0 as usize)
    }
}
