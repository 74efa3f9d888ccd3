//! Reads KDL 2 text into a tree with spans, and goes on after a mistake.
//!
//! The law: whatever the text, the reader ends, keeps its bounds and reports each mistake near its
//! true place. It accepts what the `kdl` crate accepts, as a test over both shows, except type
//! annotations other than `(cel)`. It exists because that crate overflows the stack on a few thousand
//! mistakes, doubles its time with each nested `/- {`, and names a missing brace lines too late
//! (ADR 7 and 8).
//!
//! Braces are mended by indentation: a line deeper than its siblings misses a `{` before it, a
//! line shallower than its siblings misses a `}`. Indentation is consulted only when the braces
//! of a file do not balance.

use super::diagnostic::Span;

mod text;

use text::{Scanner, is_newline};

/// A value of an argument or attribute.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Real(f64),
    Truth(bool),
    Null,
}

/// One argument (`name` is none) or attribute.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: Option<String>,
    pub(super) value: Value,
    /// The text of a `(cel)` annotation stands before the value.
    pub(super) is_cel: bool,
    /// Name and value together.
    pub(super) at: Span,
    pub(super) value_at: Span,
}

/// One node with its fields and its block.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) at: Span,
    pub(super) fields: Vec<Field>,
    pub(super) block: Option<Vec<Self>>,
}

/// A mistake of syntax.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) at: Span,
    pub(super) message: String,
    pub(super) fix: String,
}

/// The tree of one file. With `broken` braces the tree is not to be trusted.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    pub(super) problems: Vec<Problem>,
    pub(super) broken: bool,
}

/// Reads `text` as the plan's file number `file`.
pub(super) fn read(file: u16, text: &str) -> Tree {
    let mut reader = Reader {
        scan: Scanner::new(text),
        file,
        problems: Vec::new(),
        open: vec![Open::default()],
        nodes: 0,
        suspects: Suspects::default(),
        text_open: false,
        broken: false,
    };
    let mark = text.rfind('\u{feff}').filter(|at| *at > 0);
    if let Some(at) = mark {
        let (start, end) = (at as u32, at as u32 + 3);
        let message = "a byte order mark stands within the file";
        let fix = "remove it; editors show it only as a code, U+FEFF";
        reader.problem(Span { file, start, end }, message, fix);
    }
    let nodes = reader.nodes();
    Tree {
        nodes,
        problems: reader.problems,
        broken: reader.broken,
    }
}

/// Blocks within blocks: deeper text is refused, so that reading cannot exhaust the stack.
const DEPTH_MAX: usize = 32;
/// Nodes of one file.
const NODES_MAX: usize = 200_000;
/// Characters within which an annotation is closed.
const ANNOTATION_MAX: usize = 100;
/// Mistakes of syntax reported for one file.
const PROBLEMS_MAX: usize = 50;

/// The file, or a block that is open, while its nodes are read.
#[derive(Debug, Default)]
struct Open {
    /// The node that opened it; none for the file.
    node: Option<Span>,
    /// The column of its first node that begins a line.
    column: Option<u32>,
    /// The node read last.
    last: Option<Span>,
}

/// Where indentation and braces first disagree.
#[derive(Debug, Default)]
struct Suspects {
    /// The node after which a `{` seems to be missing.
    unopened: Option<Span>,
    /// The node whose block seems to lack its `}`, and the node before which it is missing.
    unclosed: Option<(Span, Span)>,
}

struct Reader<'t> {
    scan: Scanner<'t>,
    file: u16,
    problems: Vec<Problem>,
    open: Vec<Open>,
    nodes: usize,
    suspects: Suspects,
    /// A text was never closed: what it swallowed may have been the brace that is missing.
    text_open: bool,
    broken: bool,
}

impl Reader<'_> {
    fn span(&self, start: usize) -> Span {
        let (start, end) = (start as u32, self.scan.at() as u32);
        let file = self.file;
        Span { file, start, end }
    }

    fn problem(&mut self, at: Span, message: impl Into<String>, fix: impl Into<String>) {
        if self.problems.len() < PROBLEMS_MAX {
            let (message, fix) = (message.into(), fix.into());
            self.problems.push(Problem { at, message, fix });
        }
    }

    /// The nodes up to the end of the file, or of the block if one is open.
    fn nodes(&mut self) -> Vec<Node> {
        let mut nodes = Vec::new();
        let mut after_node = false;
        loop {
            self.skip_between_nodes(std::mem::take(&mut after_node));
            let start = self.scan.at();
            match self.scan.peek() {
                None => {
                    if self.open.len() > 1 && !self.broken {
                        self.report_unclosed();
                    }
                    return nodes;
                }
                Some('}') if self.open.len() > 1 => return nodes,
                Some('}') => {
                    self.scan.bump();
                    if !self.broken {
                        self.report_unopened(start);
                    }
                }
                Some('{') => self.block_without_node(start),
                Some(_) if self.nodes >= NODES_MAX => {
                    let at = self.span(start);
                    let message = format!("more than {NODES_MAX} nodes in one file");
                    self.problem(at, message, "split the file");
                    self.scan.finish();
                }
                Some(_) => {
                    let commented = self.commented(start);
                    let node = self.node();
                    after_node = node.is_some();
                    nodes.extend(node.filter(|_| !commented));
                }
            }
        }
    }

    /// Skips to the next node; a `;` ends only a node that stands before it on its line.
    fn skip_between_nodes(&mut self, mut after_node: bool) {
        loop {
            self.spaces(!after_node);
            let start = self.scan.at();
            match self.scan.peek() {
                Some(';') if after_node => _ = self.scan.bump(),
                Some(';') => {
                    self.scan.bump();
                    let at = self.span(start);
                    self.problem(at, "no step stands before this `;`", "remove it");
                }
                Some(c) if after_node && is_newline(c) => _ = self.scan.bump(),
                _ if after_node => {}
                _ => return,
            }
            after_node = false;
        }
    }

    /// Takes a `/-` and the spaces up to what it comments out, which must be there.
    fn commented(&mut self, start: usize) -> bool {
        let commented = self.scan.take("/-");
        if commented {
            self.spaces(true);
            if matches!(self.scan.peek(), None | Some(';' | '}')) {
                let at = self.span(start);
                self.problem(at, "nothing follows this `/-`", "remove it");
            }
        }
        commented
    }

    /// Skips spaces, comments and continued lines; with `lines`, line ends too.
    fn spaces(&mut self, lines: bool) {
        if let Err(start) = self.scan.skip_spaces(lines) {
            let at = self.span(start);
            self.problem(at, "this comment is never closed", "add `*/`");
        }
    }

    fn block_without_node(&mut self, start: usize) {
        self.scan.bump();
        let at = self.span(start);
        let message = "a `{` must stand on the line of the node that it belongs to";
        self.problem(at, message, "move the `{` to the end of the line above");
        self.block(at);
    }

    /// One node up to its terminator. None if nothing could be read; then something was skipped.
    fn node(&mut self) -> Option<Node> {
        let start = self.scan.at();
        self.nodes += 1;
        let Some(name) = self.word() else {
            self.skip_line();
            return None;
        };
        let at = self.span(start);
        self.watch_indentation(at);
        let mut node = Node {
            name,
            at,
            fields: Vec::new(),
            block: None,
        };
        loop {
            let before = self.scan.at();
            self.spaces(false);
            let apart = self.scan.at() > before;
            let commented = self.commented(self.scan.at());
            match self.scan.peek() {
                None | Some(';' | '}') => return Some(node),
                Some(c) if is_newline(c) => return Some(node),
                Some('{') => {
                    self.scan.bump();
                    let block = self.block(at);
                    if !commented {
                        node.block = Some(block);
                        self.expect_node_end();
                        return Some(node);
                    }
                }
                Some(_) => {
                    let field_start = self.scan.at();
                    match self.field() {
                        Some(field) if !commented => node.fields.push(field),
                        Some(_) => {}
                        None => self.skip_word(),
                    }
                    if !apart {
                        let at = self.span(field_start);
                        self.problem(at, "a space is missing before this", "add a space");
                    }
                }
            }
        }
    }

    /// After a block nothing may follow on the line.
    fn expect_node_end(&mut self) {
        self.spaces(false);
        let start = self.scan.at();
        match self.scan.peek() {
            None | Some(';' | '}' | '/') => return,
            Some(c) if is_newline(c) => return,
            Some(_) => {}
        }
        let word_end = self.scan.rest().find([' ', '\n', '{', ';']);
        let word = self.scan.rest().get(..word_end.unwrap_or(0)).unwrap_or("");
        let message = format!("`{word}` follows a block on the same line");
        let fix = format!("begin a new line before `{word}`, or write `; {word}`");
        let at = Span {
            file: self.file,
            start: start as u32,
            end: (start + word.len()) as u32,
        };
        self.problem(at, message, fix);
    }

    /// The nodes of a block whose `{` has been read, and its `}`.
    fn block(&mut self, node: Span) -> Vec<Node> {
        if self.open.len() > DEPTH_MAX {
            let message = format!("blocks are nested deeper than {DEPTH_MAX}");
            self.problem(node, message, "use `goto` and a flow of its own");
            self.broken = true;
            self.scan.finish();
            return Vec::new();
        }
        self.open.push(Open {
            node: Some(node),
            ..Open::default()
        });
        let nodes = self.nodes();
        self.scan.take("}");
        self.open.pop();
        nodes
    }

    /// One argument or attribute. None reports a problem.
    fn field(&mut self) -> Option<Field> {
        let start = self.scan.at();
        let mut is_cel = self.annotation();
        let mut value_start = self.scan.at();
        let mut value = self.value()?;
        let mut name = None;
        let after_value = self.scan.at();
        self.spaces(false);
        if self.scan.take("=") {
            name = match value {
                Value::Text(text) => Some(text),
                _ => {
                    let at = self.span(start);
                    self.problem(at, "an attribute's name is a word", "rename the attribute");
                    Some(String::new())
                }
            };
            self.spaces(false);
            is_cel = self.annotation();
            value_start = self.scan.at();
            if matches!(self.scan.peek(), None | Some('\n' | '\r' | ';' | '{' | '}')) {
                let at = self.span(start);
                let name = name.unwrap_or_default();
                let message = format!("`{name}=` has no value");
                self.problem(at, message, format!("write `{name}=\"…\"`"));
                return None;
            }
            value = self.value()?;
        } else {
            self.scan.rewind(after_value);
        }
        Some(Field {
            name,
            value,
            is_cel,
            at: self.span(start),
            value_at: self.span(value_start),
        })
    }

    /// Skips an annotation; whether it is `(cel)`.
    fn annotation(&mut self) -> bool {
        let start = self.scan.at();
        if !self.scan.take("(") {
            return false;
        }
        let near = self.scan.rest().char_indices().take(ANNOTATION_MAX);
        let close = near.into_iter().find(|(_, c)| matches!(c, ')' | '\n'));
        let length = close.map_or(0, |(at, _)| at);
        let name = self.scan.rest().get(..length).unwrap_or("");
        let name = name.trim().to_owned();
        self.scan.advance(length);
        if self.scan.take(")") && name == "cel" {
            return true;
        }
        let at = self.span(start);
        let message = format!("the annotation `({name})` has no meaning here");
        self.problem(at, message, "only `(cel)` is known: set x=(cel)\"…\"");
        false
    }

    /// A node's name: a word or a text.
    fn word(&mut self) -> Option<String> {
        let start = self.scan.at();
        if self.scan.peek() == Some('(') {
            self.annotation();
        }
        match self.value()? {
            Value::Text(text) => Some(text),
            _ => {
                let at = self.span(start);
                self.problem(
                    at,
                    "a step begins with its name",
                    "write the step's name first",
                );
                None
            }
        }
    }

    fn value(&mut self) -> Option<Value> {
        let start = self.scan.at();
        match self.scan.value() {
            Ok(value) => Some(value),
            Err(mistake) => {
                let end = (start + mistake.length) as u32;
                let at = Span {
                    file: self.file,
                    start: start as u32,
                    end,
                };
                self.text_open |= mistake.swallows;
                self.problem(at, mistake.message, mistake.fix);
                None
            }
        }
    }

    fn skip_word(&mut self) {
        let rest = self.scan.rest();
        let end = rest.find([' ', '\t', '\n', '\r', ';', '{', '}']);
        let end = end.unwrap_or(rest.len());
        self.scan.advance(end);
    }

    fn skip_line(&mut self) {
        let rest = self.scan.rest();
        let end = rest.find('\n').unwrap_or(rest.len());
        self.scan.advance(end.max(1));
    }

    /// Notes where the indentation of siblings first disagrees with the braces.
    fn watch_indentation(&mut self, node: Span) {
        let column = self.scan.indentation(node.start as usize);
        let Some(block) = self.open.last_mut() else {
            return;
        };
        match (column, block.column) {
            (Some(column), None) => block.column = Some(column),
            (Some(column), Some(first)) if column > first => {
                self.suspects.unopened = self.suspects.unopened.or(block.last);
            }
            (Some(column), Some(first)) if column < first => {
                let pair = block.node.map(|opener| (opener, node));
                self.suspects.unclosed = self.suspects.unclosed.or(pair);
            }
            _ => {}
        }
        block.last = Some(node);
    }

    /// The file ended within a block.
    fn report_unclosed(&mut self) {
        self.broken = true;
        if self.text_open {
            return;
        }
        let (at, before) = match (self.suspects.unclosed, self.open.last()) {
            (Some((opener, next)), _) => (opener, Some(next)),
            (None, Some(Open { node: Some(at), .. })) => (*at, None),
            (None, _) => return,
        };
        let fix = match before {
            Some(next) => format!("add a `}}` before line {}", self.scan.line(next.start)),
            None => "add a `}` at the end of its block".to_owned(),
        };
        self.problem(at, "the block that begins here is never closed", fix);
    }

    /// A `}` came that closes nothing.
    fn report_unopened(&mut self, brace: usize) {
        self.broken = true;
        if self.text_open {
            return;
        }
        if let Some(at) = self.suspects.unopened {
            let message = "the lines below are indented as a block, but no `{` opens it";
            self.problem(at, message, "end this line with ` {`");
            return;
        }
        let at = self.span(brace);
        self.problem(
            at,
            "this `}` closes nothing",
            "remove it, or add the `{` that it closes",
        );
    }
}

#[cfg(test)]
mod tests;
