//! What the checker says: a mistake with its place, its name and the way to mend it.
//!
//! The law: a [`Diagnostic`] names file, line and column (both from 1, columns in characters), says
//! in one sentence what is wrong, and in another what to write instead.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::explain::nearest;

/// Whether a plan with this mistake may serve calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The plan is refused.
    Error,
    /// The plan serves, but a caller may meet the mistake.
    Warning,
}

/// The class of a mistake; its [`Code::name`] is stable and may be searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// The text is not KDL.
    Syntax,
    /// A file, a block or a name is larger than the bounds.
    TooLarge,
    /// No such top-level node.
    UnknownNode,
    /// No such step.
    UnknownStep,
    /// The step, node or exit is of the specification, but not built yet.
    NotBuilt,
    /// The step stands where it has no meaning.
    Misplaced,
    /// No such attribute of this step.
    UnknownAttribute,
    /// A required argument, attribute or block is missing.
    Missing,
    /// The value has another type or lies outside its range.
    WrongType,
    /// No such exit of this step.
    UnknownExit,
    /// The prompt file does not exist.
    MissingPrompt,
    /// No such queue.
    UnknownQueue,
    /// No such flow or menu.
    UnknownFlow,
    /// No such opening hours.
    UnknownHours,
    /// No such endpoint.
    UnknownEndpoint,
    /// No such trunk.
    UnknownTrunk,
    /// No such agent.
    UnknownAgent,
    /// No such variable or function in a condition or text.
    UnknownVariable,
    /// A condition does not parse, or its types do not fit.
    BadCondition,
    /// A name or number is given in two places.
    DuplicateName,
    /// No call can reach this step.
    Unreachable,
    /// A round that needs neither a key nor a wait.
    EndlessLoop,
    /// One key is the beginning of another.
    AmbiguousDigits,
    /// A menu that a silent or lost caller cannot leave.
    NoWayOut,
    /// A step that needs an answered call stands before `answer`.
    BeforeAnswer,
    /// No speech engine, or no such voice.
    SpeechUnavailable,
    /// Opening hours that overlap.
    OverlappingHours,
    /// A block without steps.
    EmptyBlock,
}

impl Code {
    /// Every class with its stable name.
    pub const ALL: [(Self, &'static str); 28] = [
        (Self::Syntax, "syntax"),
        (Self::TooLarge, "too-large"),
        (Self::UnknownNode, "unknown-node"),
        (Self::UnknownStep, "unknown-step"),
        (Self::NotBuilt, "not-built"),
        (Self::Misplaced, "misplaced"),
        (Self::UnknownAttribute, "unknown-attribute"),
        (Self::Missing, "missing"),
        (Self::WrongType, "wrong-type"),
        (Self::UnknownExit, "unknown-exit"),
        (Self::MissingPrompt, "missing-prompt"),
        (Self::UnknownQueue, "unknown-queue"),
        (Self::UnknownFlow, "unknown-flow"),
        (Self::UnknownHours, "unknown-hours"),
        (Self::UnknownEndpoint, "unknown-endpoint"),
        (Self::UnknownTrunk, "unknown-trunk"),
        (Self::UnknownAgent, "unknown-agent"),
        (Self::UnknownVariable, "unknown-variable"),
        (Self::BadCondition, "bad-condition"),
        (Self::DuplicateName, "duplicate-name"),
        (Self::Unreachable, "unreachable"),
        (Self::EndlessLoop, "endless-loop"),
        (Self::AmbiguousDigits, "ambiguous-digits"),
        (Self::NoWayOut, "no-way-out"),
        (Self::BeforeAnswer, "before-answer"),
        (Self::SpeechUnavailable, "speech-unavailable"),
        (Self::OverlappingHours, "overlapping-hours"),
        (Self::EmptyBlock, "empty-block"),
    ];

    /// The stable name: `unknown-queue`.
    pub fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|row| row.0 == self);
        found.map_or("", |row| row.1)
    }
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, as it was named to the compiler.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// Whether the plan is refused.
    pub severity: Severity,
    /// The class of the mistake.
    pub code: Code,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// What to write instead; empty if nothing can be said.
    pub fix: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let (file, code) = (self.file.display(), self.code.name());
        let (line, column) = (self.line, self.column);
        write!(
            f,
            "{file}:{line}:{column}: {severity}[{code}]: {}",
            self.message
        )?;
        if !self.fix.is_empty() {
            write!(f, "\n  fix: {}", self.fix)?;
        }
        Ok(())
    }
}

/// A stretch of one file, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Which file of the plan, from 0.
    pub file: u16,
    /// Its first byte.
    pub start: u32,
    /// The byte after its last.
    pub end: u32,
}

/// A file's text with the beginnings of its lines.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) text: String,
    line_starts: Vec<u32>,
}

impl Source {
    pub(super) fn new(path: &Path, text: &str) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, b)| *b == b'\n');
        let starts = std::iter::once(0).chain(newlines.map(|(at, _)| at as u32 + 1));
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            line_starts: starts.collect(),
        }
    }

    /// Line and column of a byte, both from 1.
    pub(super) fn place(&self, offset: u32) -> (u32, u32) {
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self.line_starts.get(line.saturating_sub(1)).copied();
        let start = start.unwrap_or(0) as usize;
        let before = self.text.get(start..(offset as usize).max(start));
        let column = before.map_or(0, |text| text.chars().count());
        (line.max(1) as u32, column as u32 + 1)
    }
}

/// The sources of one compilation and the mistakes found in them.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) sources: Vec<Source>,
    found: Vec<(Span, Diagnostic)>,
}

impl Findings {
    pub(super) fn report(&mut self, at: Span, code: Code, message: String, fix: String) {
        self.push(at, Severity::Error, code, message, fix);
    }

    pub(super) fn warn(&mut self, at: Span, code: Code, message: String, fix: String) {
        self.push(at, Severity::Warning, code, message, fix);
    }

    fn push(&mut self, at: Span, severity: Severity, code: Code, message: String, fix: String) {
        let Some(source) = self.sources.get(usize::from(at.file)) else {
            return;
        };
        let (line, column) = source.place(at.start);
        let file = source.path.clone();
        self.found.push((
            at,
            Diagnostic {
                file,
                line,
                column,
                severity,
                code,
                message,
                fix,
            },
        ));
    }

    /// `file:line` of a place, to name it in a message about another.
    pub(super) fn name_place(&self, at: Span) -> String {
        match self.sources.get(usize::from(at.file)) {
            Some(source) => format!("{}:{}", source.path.display(), source.place(at.start).0),
            None => String::new(),
        }
    }

    pub(super) fn has_errors(&self) -> bool {
        let mut found = self.found.iter();
        found.any(|(_, d)| d.severity == Severity::Error)
    }

    /// All mistakes in the order of the files and their lines.
    pub(super) fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|(at, d)| (*at, d.code));
        self.found.dedup();
        self.found.into_iter().map(|(_, d)| d).collect()
    }
}

/// "did you mean `x`?", else the names that exist, else `otherwise`.
pub(super) fn suggest<'n>(
    word: &str,
    names: impl IntoIterator<Item = &'n str> + Clone,
    otherwise: &str,
) -> String {
    if let Some(name) = nearest(word, names.clone()) {
        return format!("did you mean `{name}`?");
    }
    let known: Vec<&str> = names.into_iter().take(12).collect();
    match known.is_empty() {
        true => otherwise.to_owned(),
        false => format!("known here: {}", known.join(", ")),
    }
}
