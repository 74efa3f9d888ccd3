//! Reads a node's arguments and attributes by its row of the table.

use std::time::Duration;

use super::diagnostic::{Code, Findings, Span, suggest};
use super::syntax::{Field, Node, Value};
use super::table::{Attribute, Block, Kind, NOT_BUILT, Row};
use crate::call::Cause;

/// A value that has passed the check of its kind.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Read {
    Text(String),
    Time(Duration),
    Whole(i64),
    Truth(bool),
    Cause(Cause),
    /// An expression in CEL.
    Cel(String),
}

/// One value under the name of its argument or attribute.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) name: String,
    pub(super) read: Read,
    pub(super) at: Span,
}

/// A node's values, in the order of the text.
#[derive(Debug)]
pub(super) struct Fields {
    row: &'static Row,
    given: Vec<Given>,
}

impl Fields {
    /// Reads `node` by `row`; every mistake is reported and its value left out.
    pub(super) fn read(row: &'static Row, node: &Node, findings: &mut Findings) -> Self {
        let mut given = Vec::new();
        let mut arguments = 0;
        for field in &node.fields {
            match &field.name {
                Some(name) => read_attribute(row, name, field, &mut given, findings),
                None => {
                    read_argument(row, arguments, field, &mut given, findings);
                    arguments += 1;
                }
            }
        }
        report_missing(row, node, arguments, findings);
        if matches!(row.block, Block::None) && node.block.is_some() {
            let message = format!("`{}` takes no block", row.name);
            findings.report(
                node.at,
                Code::Misplaced,
                message,
                "remove the braces".into(),
            );
        }
        Self { row, given }
    }

    /// The values of a repeated argument, or of all attributes of a free row by their names.
    pub(super) fn all<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f Given> {
        self.given.iter().filter(move |given| given.name == name)
    }

    /// Every value, in the order of the text.
    pub(super) fn every(&self) -> &[Given] {
        &self.given
    }

    pub(super) fn given(&self, name: &str) -> Option<&Given> {
        self.given.iter().find(|given| given.name == name)
    }

    fn value(&self, name: &str) -> Option<Read> {
        match self.given(name) {
            Some(given) => Some(given.read.clone()),
            None => self.row.attribute(name).and_then(default_value),
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        match self.value(name) {
            Some(Read::Text(text) | Read::Cel(text)) => Some(text),
            _ => None,
        }
    }

    pub(super) fn time(&self, name: &str) -> Option<Duration> {
        match self.value(name) {
            Some(Read::Time(time)) => Some(time),
            _ => None,
        }
    }

    pub(super) fn whole(&self, name: &str) -> Option<i64> {
        match self.value(name) {
            Some(Read::Whole(number)) => Some(number),
            _ => None,
        }
    }

    pub(super) fn truth(&self, name: &str) -> bool {
        self.value(name) == Some(Read::Truth(true))
    }

    pub(super) fn cause(&self, name: &str) -> Cause {
        match self.value(name) {
            Some(Read::Cause(cause)) => cause,
            _ => Cause::Normal,
        }
    }
}

/// The default of the table, read by the attribute's kind.
pub(super) fn default_value(attribute: &Attribute) -> Option<Read> {
    let text = attribute.default?;
    let value = match attribute.kind {
        Kind::Truth => Value::Truth(text == "#true"),
        Kind::Whole(..) => Value::Integer(text.parse().ok()?),
        _ => Value::Text(text.to_owned()),
    };
    accept(attribute.kind, &value, false).ok()
}

fn read_attribute(
    row: &'static Row,
    name: &str,
    field: &Field,
    given: &mut Vec<Given>,
    findings: &mut Findings,
) {
    let kind = match row.attribute(name) {
        Some(attribute) => attribute.kind,
        None if row.free => Kind::Anything,
        None => return report_unknown(row, name, field, findings),
    };
    if given.iter().any(|g| g.name == name) {
        let message = format!("`{name}` is given twice");
        findings.report(field.at, Code::DuplicateName, message, "remove one".into());
        return;
    }
    push(name, kind, field, given, findings);
}

fn report_unknown(row: &Row, name: &str, field: &Field, findings: &mut Findings) {
    if let Some((_, what)) = NOT_BUILT.iter().find(|(refused, _)| *refused == name) {
        let message = format!("`{name}` ({what}) is not built yet");
        findings.report(field.at, Code::NotBuilt, message, "remove it".into());
        return;
    }
    let message = format!("`{}` has no attribute `{name}`", row.name);
    let names = row.attributes.iter().map(|a| a.name);
    let fix = suggest(name, names, &format!("`{}` takes no attributes", row.name));
    findings.report(field.at, Code::UnknownAttribute, message, fix);
}

fn read_argument(
    row: &'static Row,
    index: usize,
    field: &Field,
    given: &mut Vec<Given>,
    findings: &mut Findings,
) {
    let named = row.arguments.get(index).or(row.arguments.last());
    let place = index.min(row.arguments.len().saturating_sub(1));
    let Some(argument) = named.filter(|a| index - place < a.most) else {
        let message = format!("`{}` takes no further argument", row.name);
        let fix = match row.attributes.first() {
            Some(a) => format!("name it, for example `{}=…`", a.name),
            None => "remove it".to_owned(),
        };
        findings.report(field.at, Code::UnknownAttribute, message, fix);
        return;
    };
    push(argument.name, argument.kind, field, given, findings);
}

fn push(name: &str, kind: Kind, field: &Field, given: &mut Vec<Given>, findings: &mut Findings) {
    match accept(kind, &field.value, field.is_cel) {
        Ok(read) => given.push(Given {
            name: name.to_owned(),
            read,
            at: field.value_at,
        }),
        Err(fix) => {
            let want = kind.describe();
            let message = format!("`{name}` wants a {want}, not {}", show(&field.value));
            findings.report(field.value_at, Code::WrongType, message, fix);
        }
    }
}

fn report_missing(row: &'static Row, node: &Node, arguments: usize, findings: &mut Findings) {
    let mut wanted = 0;
    for argument in row.arguments {
        wanted += argument.least;
        if argument.least > 0 && arguments < wanted {
            let kind = argument.kind.describe();
            let message = format!("`{}` wants its {}: a {kind}", row.name, argument.name);
            let fix = format!("write `{} \"…\"`", row.name);
            findings.report(node.at, Code::Missing, message, fix);
            return;
        }
    }
    for attribute in row.attributes.iter().filter(|a| a.required) {
        let has = |f: &Field| f.name.as_deref() == Some(attribute.name);
        if !node.fields.iter().any(has) {
            let (kind, name) = (attribute.kind.describe(), attribute.name);
            let message = format!("`{}` wants `{name}=`: a {kind}", row.name);
            let fix = format!("add `{name}=…`");
            findings.report(node.at, Code::Missing, message, fix);
        }
    }
}

/// The value of that kind, or what to write instead.
fn accept(kind: Kind, value: &Value, is_cel: bool) -> Result<Read, String> {
    if is_cel && !matches!(kind, Kind::Anything | Kind::Cel) {
        return Err("`(cel)` stands only before the values of `set`".into());
    }
    match (kind, value) {
        (Kind::Time, Value::Text(text)) => match parse_time(text) {
            Some(time) => Ok(Read::Time(time)),
            None => Err("write \"500ms\", \"30s\", \"10m\" or \"1h\", at most a day".into()),
        },
        (Kind::Time, Value::Integer(n)) => Err(format!("write the unit: \"{n}s\"")),
        (Kind::Whole(least, most), Value::Integer(n)) => match (least..=most).contains(n) {
            true => Ok(Read::Whole(*n)),
            false => Err(format!("write a number from {least} to {most}")),
        },
        (Kind::Whole(..), Value::Text(text)) if text.parse::<i64>().is_ok() => {
            Err(format!("write {text} without quotes"))
        }
        (Kind::Truth | Kind::Anything, Value::Truth(truth)) => Ok(Read::Truth(*truth)),
        (Kind::Truth, Value::Text(text)) if text == "true" || text == "false" => {
            Err(format!("write #{text} without quotes"))
        }
        (Kind::Choice(words), Value::Text(text)) if !words.contains(&text.as_str()) => {
            Err(suggest(text, words.iter().copied(), ""))
        }
        (Kind::Cause, Value::Text(text)) => match Cause::from_name(text) {
            Some(cause) => Ok(Read::Cause(cause)),
            None => Err(suggest(
                text,
                Cause::all().map(Cause::name).collect::<Vec<_>>(),
                "",
            )),
        },
        (Kind::Keys, Value::Text(text)) => match is_keys(text) {
            true => Ok(Read::Text(text.clone())),
            false => Err("write keys of a telephone, such as \"1\" or \"*\"".into()),
        },
        (Kind::Keys | Kind::Callee, Value::Integer(n)) => {
            Err(format!("write it in quotes: \"{n}\""))
        }
        (Kind::Variable, Value::Text(text)) if !is_variable(text) => {
            Err("a variable's name has letters, digits and `_`".into())
        }
        (Kind::Cel, Value::Text(text)) => Ok(Read::Cel(text.clone())),
        (Kind::Anything, Value::Text(text)) if is_cel => Ok(Read::Cel(text.clone())),
        (Kind::Anything, Value::Integer(n)) => Ok(Read::Whole(*n)),
        (Kind::Time | Kind::Whole(..) | Kind::Truth, _) => {
            Err(format!("write a {}", kind.describe()))
        }
        (_, Value::Text(text)) if text.chars().count() > TEXT_MAX => {
            Err(format!("write at most {TEXT_MAX} characters"))
        }
        (_, Value::Text(text)) if text.is_empty() && kind != Kind::Anything => {
            Err("write a text that is not empty".into())
        }
        (_, Value::Text(text)) => Ok(Read::Text(text.clone())),
        (_, value) => Err(format!("write it in quotes: \"{}\"", show(value))),
    }
}

/// Characters of one text: what `call::Prompt::Speech` may hold.
const TEXT_MAX: usize = 4_000;

fn show(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("\"{}\"", text.chars().take(40).collect::<String>()),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Truth(truth) => format!("#{truth}"),
        Value::Null => "#null".to_owned(),
    }
}

/// Whether the text is 1 to 32 keys of a telephone.
pub fn is_keys(text: &str) -> bool {
    let key = |c: char| c.is_ascii_digit() || matches!(c, '*' | '#' | 'A'..='D');
    !text.is_empty() && text.len() <= 32 && text.chars().all(key)
}

/// A name that CEL can select: a letter or `_`, then letters, digits and `_`, at most 100.
pub(super) fn is_variable(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts && text.len() <= 100 && text.chars().all(word)
}

/// `500ms`, `30s`, `10m`, `1h`: more than nothing, at most a day.
fn parse_time(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "ms" => number,
        "s" => number.checked_mul(1_000)?,
        "m" => number.checked_mul(60_000)?,
        "h" => number.checked_mul(3_600_000)?,
        _ => return None,
    };
    (1..=86_400_000)
        .contains(&millis)
        .then(|| Duration::from_millis(millis))
}
