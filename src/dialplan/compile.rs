//! From files to a [`Plan`]: reads the trees, declares the names, then makes the steps.
//!
//! The law: every mistake of all files is reported in one go, and a plan comes out only if none of
//! them is an error.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::check;
use super::condition::{Condition, Declared};
use super::diagnostic::{Code, Diagnostic, Findings, Severity, Source, Span, suggest};
use super::fields::{Fields, Read, is_variable};

use super::plan::{Called, Entry, Flow, NodeId, Plan, Type};
use super::syntax::{self, Node as Tree, Value as Raw};
use super::table::{NOT_BUILT, Row, STEPS, TOP};

mod consent;
mod declare;
mod menu;
mod rooms;
mod steps;
mod tests_block;
mod words;

/// What exists outside the dialplan. `None` is "not known here" and is not checked.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Prompt files, by name relative to the prompts folder.
    pub prompts: Option<BTreeSet<String>>,
    /// The speech engine.
    pub speech: Speech,
    /// Endpoints that may be dialled.
    pub endpoints: Option<BTreeSet<String>>,
    /// Trunks.
    pub trunks: Option<BTreeSet<String>>,
    /// Agents.
    pub agents: Option<BTreeSet<String>>,
    /// Queues made elsewhere (by the API, in the configuration), with the place where.
    pub queues_elsewhere: BTreeMap<String, String>,
}

/// Whether texts can be spoken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Speech {
    /// Not known here: not checked.
    #[default]
    Unknown,
    /// There is no engine.
    Missing,
    /// There is one, with these voices; without any, every voice is accepted.
    Voices(BTreeSet<String>),
}

/// Files of one plan.
const FILES_MAX: usize = 1_000;
/// Bytes of one file.
const FILE_MAX: usize = 4 << 20;

impl Plan {
    /// Compiles all files of a dialplan.
    ///
    /// # Errors
    /// Every mistake of all files, warnings too, in their order, if at least one is an error.
    pub fn compile(files: &[(PathBuf, String)], facts: &Facts) -> Result<Self, Vec<Diagnostic>> {
        let mut compiler = Compiler::new(facts);
        let trees = compiler.read(files);
        if !compiler.findings.has_errors() {
            compiler.declare(&trees);
            compiler.learn_variables(&trees);
            compiler.fill(&trees);
            check::graph(&compiler.plan, &compiler.shape, &mut compiler.findings);
        }
        let mut plan = compiler.plan;
        let has_errors = compiler.findings.has_errors();
        let sources = std::mem::take(&mut compiler.findings.sources);
        let mut findings = compiler.findings.into_sorted();
        if has_errors {
            return Err(findings);
        }
        findings.retain(|d| d.severity == Severity::Warning);
        plan.sources = sources;
        plan.warnings = findings;
        Ok(plan)
    }
}

/// Where a step stands in the text: within which step, and after which.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shape {
    pub(super) parent: Option<NodeId>,
    pub(super) previous: Option<NodeId>,
}

/// A name belongs to one of these spaces; within one it is unique over all files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Space {
    /// Flows and menus.
    Flow,
    Queue,
    Hours,
    /// What an entry takes.
    Entry,
}

struct Compiler<'f> {
    facts: &'f Facts,
    findings: Findings,
    plan: Plan,
    shape: Vec<Shape>,
    names: BTreeMap<(Space, String), Span>,
    flows: BTreeMap<String, u32>,
    hours: BTreeSet<String>,
    /// CEL's functions.
    env: Arc<cel::Env>,
    /// Expressions already compiled, by their text.
    compiled: HashMap<String, (u32, Type)>,
    /// The steps around the one that is compiled: for the shape.
    around: Vec<NodeId>,
    /// The menus around it, for `repeat`.
    menus: Vec<NodeId>,
    /// The flow that is compiled.
    flow: u32,
    /// `goto`s with the flow that they go to.
    jumps: Vec<(NodeId, u32)>,
    /// Files of which a `say` was already said to have no engine.
    told_speech: BTreeSet<u16>,
    in_hangup: bool,
}

impl<'f> Compiler<'f> {
    fn new(facts: &'f Facts) -> Self {
        Self {
            facts,
            findings: Findings::default(),
            plan: Plan::default(),
            shape: Vec::new(),
            names: BTreeMap::new(),
            flows: BTreeMap::new(),
            hours: BTreeSet::new(),
            env: Arc::new(cel::Env::stdlib()),
            compiled: HashMap::new(),
            around: Vec::new(),
            menus: Vec::new(),
            flow: 0,
            jumps: Vec::new(),
            told_speech: BTreeSet::new(),
            in_hangup: false,
        }
    }

    fn error(&mut self, at: Span, code: Code, message: String, fix: &str) {
        self.findings.report(at, code, message, fix.to_owned());
    }

    fn read(&mut self, files: &[(PathBuf, String)]) -> Vec<Vec<Tree>> {
        let mut trees = Vec::new();
        for (index, (path, text)) in files.iter().take(FILES_MAX).enumerate() {
            self.findings.sources.push(Source::new(path, text));
            let file = index as u16;
            if index + 1 == FILES_MAX && files.len() > FILES_MAX {
                let at = Span {
                    file,
                    ..Span::default()
                };
                let message = format!("a plan has at most {FILES_MAX} files");
                self.error(at, Code::TooLarge, message, "join some of them");
            }
            let start = Span {
                file,
                ..Span::default()
            };
            if text.len() > FILE_MAX {
                let message = format!("the file is larger than {FILE_MAX} bytes");
                self.error(start, Code::TooLarge, message, "split it");
                continue;
            }
            let tree = syntax::read(file, text);
            for problem in tree.problems {
                self.error(problem.at, Code::Syntax, problem.message, &problem.fix);
            }
            if !tree.broken {
                self.expect_version(start, &tree.nodes);
                trees.push(tree.nodes);
            }
        }
        trees
    }

    fn expect_version(&mut self, start: Span, nodes: &[Tree]) {
        let first = nodes.first();
        if first.is_none_or(|node| node.name != "dialplan") {
            let at = first.map_or(start, |node| node.at);
            let message = "the file does not begin with its version".to_owned();
            self.error(
                at,
                Code::Missing,
                message,
                "begin it with: dialplan version=1",
            );
        }
        for node in nodes.iter().skip(1).filter(|node| node.name == "dialplan") {
            let message = "`dialplan` stands once, at the beginning".to_owned();
            self.error(node.at, Code::Misplaced, message, "remove it");
        }
    }

    /// First pass: the names, so that the order of files and nodes does not matter.
    fn declare(&mut self, trees: &[Vec<Tree>]) {
        for node in trees.iter().flatten() {
            match node.name.as_str() {
                "flow" | "menu" => self.declare_flow(node),
                "queue" => self.declare_queue(node),
                "hours" => self.declare_hours(node),
                "entry" | "test" | "dialplan" => {}
                other => self.report_unknown_node(other, node.at),
            }
        }
    }

    fn report_unknown_node(&mut self, name: &str, at: Span) {
        if let Some((_, what)) = NOT_BUILT.iter().find(|(refused, _)| *refused == name) {
            let message = format!("`{name}` ({what}) is not built yet");
            return self.error(at, Code::NotBuilt, message, "remove it");
        }
        if name == "else" || name == "on" || Row::find(STEPS, name).is_some() {
            let message = format!("`{name}` stands outside of a flow");
            let fix = "put it into a flow: flow \"name\" { … }";
            return self.error(at, Code::Misplaced, message, fix);
        }
        let message = format!("there is no node `{name}` at the top of a file");
        let fix = suggest(name, TOP.iter().map(|row| row.name), "");
        self.error(at, Code::UnknownNode, message, &fix);
    }

    /// Notes a name in its space; false, with a report that names both places, if it is taken.
    fn declare_name(&mut self, space: Space, name: &str, at: Span) -> bool {
        let key = (space, name.to_owned());
        if let Some(earlier) = self.names.get(&key).copied() {
            let place = self.findings.name_place(earlier);
            let message = format!("`{name}` is declared here and at {place}");
            self.error(
                at,
                Code::DuplicateName,
                message,
                "rename or remove one of them",
            );
            return false;
        }
        self.names.insert(key, at);
        true
    }

    fn declare_flow(&mut self, node: &Tree) {
        let Some(name) = first_text(node) else {
            return;
        };
        if !self.declare_name(Space::Flow, name, node.at) {
            return;
        }
        self.flows
            .insert(name.to_owned(), self.plan.flows.len() as u32);
        self.plan.flows.push(Flow {
            name: name.to_owned(),
            first: None,
            at: node.at,
        });
    }

    /// The lines of a block of small rows, read; unknown ones are reported.
    fn lines(&mut self, node: &Tree, rows: &'static [Row]) -> Vec<(&'static str, Fields, Span)> {
        let mut lines = Vec::new();
        for line in node.block.iter().flatten() {
            match Row::find(rows, &line.name) {
                Some(row) => {
                    let fields = Fields::read(row, line, &mut self.findings);
                    lines.push((row.name, fields, line.at));
                }
                None => self.report_unknown_line(node, line, rows),
            }
        }
        lines
    }

    fn report_unknown_line(&mut self, node: &Tree, line: &Tree, rows: &'static [Row]) {
        if let Some((_, what)) = NOT_BUILT.iter().find(|(name, _)| *name == line.name) {
            let message = format!("`{}` ({what}) is not built yet", line.name);
            return self.error(line.at, Code::NotBuilt, message, "remove it");
        }
        let message = format!("there is no `{}` in `{}`", line.name, node.name);
        let fix = suggest(&line.name, rows.iter().map(|row| row.name), "");
        self.error(line.at, Code::UnknownStep, message, &fix);
    }

    /// The types of the variables: what the plain values of all `set` agree on, then what the
    /// expressions give, in the order of the text.
    fn learn_variables(&mut self, trees: &[Vec<Tree>]) {
        let mut expressions = Vec::new();
        for node in trees.iter().flatten() {
            self.learn_from(node, &mut expressions);
        }
        for (name, _) in &expressions {
            self.plan.variables.entry(name.clone()).or_insert(Type::Any);
        }
        let known: BTreeSet<String> = self.names_with_type();
        for (name, text) in expressions {
            let declared = Declared {
                env: &self.env,
                variables: &self.plan.variables,
                hours: &self.hours,
            };
            if let Ok((_, kind)) = Condition::compile(&text, &declared)
                && !known.contains(&name)
            {
                self.plan.variables.insert(name, kind);
            }
        }
    }

    fn names_with_type(&self) -> BTreeSet<String> {
        let typed = self.plan.variables.iter();
        let typed = typed.filter(|(_, kind)| **kind != Type::Any);
        typed.map(|(name, _)| name.clone()).collect()
    }

    fn learn_from(&mut self, node: &Tree, expressions: &mut Vec<(String, String)>) {
        let into = node.name == "gather";
        if node.name == "consent" {
            let known = self.plan.variables.entry(consent::VARIABLE.to_owned());
            let known = known.or_insert(Type::Text);
            if *known != Type::Text {
                *known = Type::Any;
            }
        }
        for field in &node.fields {
            let (name, kind) = match (&field.name, &field.value) {
                (Some(name), Raw::Text(into_name)) if into && name == "into" => {
                    (into_name, Type::Text)
                }
                (Some(name), Raw::Text(text)) if node.name == "set" && field.is_cel => {
                    expressions.push((name.clone(), text.clone()));
                    continue;
                }
                (Some(name), Raw::Text(_)) if node.name == "set" => (name, Type::Text),
                (Some(name), Raw::Integer(_)) if node.name == "set" => (name, Type::Number),
                (Some(name), Raw::Truth(_)) if node.name == "set" => (name, Type::Truth),
                _ => continue,
            };
            if is_variable(name) {
                let known = self.plan.variables.entry(name.clone()).or_insert(kind);
                if *known != kind {
                    *known = Type::Any;
                }
            }
        }
        for child in node.block.iter().flatten() {
            self.learn_from(child, expressions);
        }
    }

    /// Second pass: entries, flows and tests, with every name known.
    fn fill(&mut self, trees: &[Vec<Tree>]) {
        for tree in trees {
            let mut zone = TimeZone::UTC;
            for node in tree {
                let Some(row) = Row::find(TOP, &node.name) else {
                    continue;
                };
                match row.name {
                    "dialplan" => {
                        let fields = Fields::read(row, node, &mut self.findings);
                        zone = self.zone(&fields);
                    }
                    "entry" => self.entry(row, node, zone.clone()),
                    "flow" | "menu" => self.flow(row, node),
                    "test" => self.test(row, node),
                    _ => {}
                }
            }
        }
        for (node, flow) in std::mem::take(&mut self.jumps) {
            let first = self.plan.flows.get(flow as usize).and_then(|f| f.first);
            let node = self.plan.nodes.get_mut(node.0 as usize);
            if let Some((_, target)) = node.and_then(|node| node.exits.first_mut()) {
                *target = first;
            }
        }
    }

    fn entry(&mut self, row: &'static Row, node: &Tree, zone: TimeZone) {
        let fields = Fields::read(row, node, &mut self.findings);
        let ways = ["did", "pattern", "endpoint"];
        let given = ways.iter().filter_map(|way| fields.given(way));
        let [given] = given.collect::<Vec<_>>()[..] else {
            let message = "an entry wants one of `did=`, `pattern=` and `endpoint=`".to_owned();
            let fix = "write did=\"+15551230000\", or pattern=\"*\" for every number";
            return self.error(node.at, Code::Missing, message, fix);
        };
        let (way, at) = (given.name.clone(), given.at);
        let text = fields.text(&way).unwrap_or_default();
        let called = match (way.as_str(), text.strip_suffix('*')) {
            ("pattern", Some(start)) => Called::Prefix(start.to_owned()),
            ("endpoint", Some("")) => Called::AnyEndpoint,
            ("endpoint", _) => Called::Endpoint(text.clone()),
            ("did", None) => Called::Exact(text.clone()),
            ("did", Some(_)) => {
                let message = "`did` is one exact number".to_owned();
                return self.error(
                    at,
                    Code::WrongType,
                    message,
                    &format!("write pattern=\"{text}\""),
                );
            }
            _ => {
                let message = "a pattern ends with `*`".to_owned();
                let fix = format!("write did=\"{text}\" or pattern=\"{text}*\"");
                return self.error(at, Code::WrongType, message, &fix);
            }
        };
        if let Called::Endpoint(name) = &called {
            self.expect_endpoint(name, at);
        }
        let key = format!("{way} {text}");
        let flow = fields.given("flow").map(|f| f.at);
        let flow =
            flow.and_then(|at| self.expect_flow(&fields.text("flow").unwrap_or_default(), at));
        if let (true, Some(flow)) = (self.declare_name(Space::Entry, &key, node.at), flow) {
            let at = node.at;
            self.plan.entries.push(Entry {
                called,
                flow,
                zone,
                at,
            });
        }
    }

    fn expect_flow(&mut self, name: &str, at: Span) -> Option<u32> {
        if let Some(flow) = self.flows.get(name) {
            return Some(*flow);
        }
        let message = format!("there is no flow or menu `{name}`");
        let fix = suggest(name, self.flows.keys().map(String::as_str), "declare it");
        self.error(at, Code::UnknownFlow, message, &fix);
        None
    }

    fn expect_endpoint(&mut self, name: &str, at: Span) {
        let Some(endpoints) = &self.facts.endpoints else {
            return;
        };
        if !endpoints.contains(name) {
            let names = endpoints.iter().map(String::as_str);
            let fix = suggest(name, names, "add the endpoint to the configuration");
            let message = format!("there is no endpoint `{name}`");
            self.error(at, Code::UnknownEndpoint, message, &fix);
        }
    }

    /// An expression of the plan, compiled once for each text; its mistakes are placed within it.
    fn expression(&mut self, text: &str, at: Span) -> Option<(u32, Type)> {
        if let Some(known) = self.compiled.get(text) {
            return Some(*known);
        }
        let declared = Declared {
            env: &self.env,
            variables: &self.plan.variables,
            hours: &self.hours,
        };
        match Condition::compile(text, &declared) {
            Ok((condition, kind)) => {
                let id = self.plan.conditions.len() as u32;
                self.plan.conditions.push(condition);
                self.compiled.insert(text.to_owned(), (id, kind));
                Some((id, kind))
            }
            Err(fault) => {
                let bytes: usize = text.chars().take(fault.offset).map(char::len_utf8).sum();
                let quoted = (at.end - at.start) as usize == text.len() + 2;
                let start = at.start + if quoted { bytes as u32 + 1 } else { 0 };
                let at = Span { start, ..at };
                self.error(at, fault.code, fault.message, &fault.fix);
                None
            }
        }
    }
}

fn first_text(node: &Tree) -> Option<&str> {
    let arguments = node.fields.iter().filter(|f| f.name.is_none());
    arguments.map(|f| &f.value).find_map(|value| match value {
        Raw::Text(text) => Some(text.as_str()),
        _ => None,
    })
}
