//! A raw section of the configuration, from which a module takes its own keys.
//!
//! The law: whoever reads a section asks for each key once and then calls [`Section::finish`], which
//! refuses what nobody asked for. So the reader is the one list of keys, and a typing mistake in a
//! file is never silently a default.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::ConfigError;
use super::error::nearest;

/// A table of the file with the environment laid over it. Cheap enough to clone at a reload.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Section {
    path: String,
    nodes: BTreeMap<String, Node>,
    asked: BTreeSet<String>,
}

/// One value, and where it came from.
#[derive(Clone, Debug, PartialEq)]
enum Node {
    File(toml::Value),
    Environment { variable: String, text: String },
    Table(BTreeMap<String, Self>),
}

/// A value taken out, with what an error about it needs.
struct Taken {
    key: String,
    node: Node,
}

impl Section {
    /// The root section: a parsed file.
    pub fn from_toml(table: toml::Table) -> Self {
        Self {
            path: String::new(),
            nodes: nodes(table),
            asked: BTreeSet::new(),
        }
    }

    /// Lays one variable over the file: `TANDEM_A__B_C` sets `a.b_c`. A level matches an existing key
    /// whatever its case, with `_` standing for `-`; else it is made, in lower case.
    pub fn overlay(&mut self, variable: &str, levels: &str, text: &str) {
        let mut nodes = &mut self.nodes;
        let mut levels = levels.split("__").peekable();
        while let Some(level) = levels.next() {
            let level = level.to_lowercase();
            let existing = nodes
                .keys()
                .find(|k| k.to_lowercase().replace('-', "_") == level);
            let key = existing.cloned().unwrap_or(level);
            if levels.peek().is_none() {
                let (variable, text) = (variable.to_owned(), text.to_owned());
                nodes.insert(key, Node::Environment { variable, text });
                return;
            }
            let table = nodes
                .entry(key)
                .or_insert_with(|| Node::Table(BTreeMap::new()));
            if !matches!(table, Node::Table(_)) {
                *table = Node::Table(BTreeMap::new());
            }
            let Node::Table(inner) = table else { return };
            nodes = inner;
        }
    }

    /// The section's path, such as `trunks.acme`; empty for the root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The full path of one of its keys.
    pub fn key(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Whether nothing is set here.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The keys that are set and not taken yet, in order: of a table whose keys are its content.
    pub fn names(&self) -> Vec<String> {
        self.nodes.keys().cloned().collect()
    }

    /// Takes the table `key`; an empty one if it is not there.
    ///
    /// # Errors
    /// [`ConfigError::Value`] if it is no table.
    pub fn section(&mut self, key: &str) -> Result<Self, ConfigError> {
        let path = self.key(key);
        match self.take(key) {
            None => Ok(Self {
                path,
                ..Self::default()
            }),
            Some(Taken {
                node: Node::Table(nodes),
                ..
            }) => Ok(Self {
                path,
                nodes,
                asked: BTreeSet::new(),
            }),
            Some(taken) => Err(taken.refuse("a table")),
        }
    }

    /// All of it as named tables, such as the trunks of `trunks`, in order of name.
    ///
    /// # Errors
    /// [`ConfigError::Value`] if one is no table.
    pub fn sections(mut self) -> Result<Vec<(String, Self)>, ConfigError> {
        let names: Vec<String> = self.nodes.keys().cloned().collect();
        names
            .into_iter()
            .map(|name| Ok((name.clone(), self.section(&name)?)))
            .collect()
    }

    /// Takes a text.
    ///
    /// # Errors
    /// [`ConfigError::Value`] if it is no text.
    pub fn text(&mut self, key: &str) -> Result<Option<String>, ConfigError> {
        self.take(key).map(|taken| taken.text("a text")).transpose()
    }

    /// Takes a text that no error message may show.
    ///
    /// # Errors
    /// [`ConfigError::Value`], without the value, if it is no text.
    pub fn secret(&mut self, key: &str) -> Result<Option<String>, ConfigError> {
        let taken = self.take(key);
        taken
            .map(|taken| taken.text("a text").map_err(hide))
            .transpose()
    }

    /// Takes a text and reads it as a `T`; `rule` says in words what is allowed.
    ///
    /// # Errors
    /// [`ConfigError::Value`] if it cannot be read.
    pub fn parsed<T: FromStr>(&mut self, key: &str, rule: &str) -> Result<Option<T>, ConfigError> {
        let Some(taken) = self.take(key) else {
            return Ok(None);
        };
        let text = taken.text(rule)?;
        text.parse().map(Some).map_err(|_| taken.refuse(rule))
    }

    /// Takes one of a few words.
    ///
    /// # Errors
    /// [`ConfigError::Value`] naming the words.
    pub fn one_of<T: Copy>(
        &mut self,
        key: &str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, ConfigError> {
        let Some(taken) = self.take(key) else {
            return Ok(None);
        };
        let names: Vec<String> = words
            .iter()
            .map(|(name, _)| format!("\"{name}\""))
            .collect();
        let rule = names.join(" or ");
        let text = taken.text(&rule)?;
        let found = words.iter().find(|(name, _)| *name == text);
        found
            .map(|(_, value)| Some(*value))
            .ok_or_else(|| taken.refuse(&rule))
    }

    /// Takes a whole number within `range`.
    ///
    /// # Errors
    /// [`ConfigError::Value`] naming the range.
    pub fn integer(
        &mut self,
        key: &str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, ConfigError> {
        let Some(taken) = self.take(key) else {
            return Ok(None);
        };
        let rule = format!("a whole number from {} to {}", range.start(), range.end());
        let number = match &taken.node {
            Node::File(toml::Value::Integer(number)) => Some(*number),
            Node::Environment { text, .. } => text.trim().parse().ok(),
            _ => None,
        };
        number
            .filter(|n| range.contains(n))
            .map(Some)
            .ok_or_else(|| taken.refuse(&rule))
    }

    /// Takes `true` or `false`.
    ///
    /// # Errors
    /// [`ConfigError::Value`] if it is neither.
    pub fn boolean(&mut self, key: &str) -> Result<Option<bool>, ConfigError> {
        let Some(taken) = self.take(key) else {
            return Ok(None);
        };
        let value = match &taken.node {
            Node::File(toml::Value::Boolean(value)) => Some(*value),
            Node::Environment { text, .. } => text.trim().parse().ok(),
            _ => None,
        };
        value.map(Some).ok_or_else(|| taken.refuse("true or false"))
    }

    /// Takes a span such as `"500ms"`, `"20s"`, `"10m"` or `"1h"` within `range`.
    ///
    /// # Errors
    /// [`ConfigError::Value`] naming the range.
    pub fn duration(
        &mut self,
        key: &str,
        range: RangeInclusive<Duration>,
    ) -> Result<Option<Duration>, ConfigError> {
        let Some(taken) = self.take(key) else {
            return Ok(None);
        };
        let (low, high) = (show_duration(*range.start()), show_duration(*range.end()));
        let rule = format!("a time such as \"20s\", from {low} to {high}");
        let text = taken.text(&rule)?;
        let span = parse_duration(&text).filter(|span| range.contains(span));
        span.map(Some).ok_or_else(|| taken.refuse(&rule))
    }

    /// Takes a list of texts; from the environment, texts with commas between them.
    ///
    /// # Errors
    /// [`ConfigError::Value`] if it is no list of texts.
    pub fn texts(&mut self, key: &str) -> Result<Option<Vec<String>>, ConfigError> {
        let Some(taken) = self.take(key) else {
            return Ok(None);
        };
        let rule = "a list of texts";
        match &taken.node {
            Node::Environment { text, .. } => {
                let items = text
                    .split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty());
                Ok(Some(items.map(str::to_owned).collect()))
            }
            Node::File(toml::Value::Array(items)) => {
                let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
                texts
                    .collect::<Option<_>>()
                    .map(Some)
                    .ok_or_else(|| taken.refuse(rule))
            }
            _ => Err(taken.refuse(rule)),
        }
    }

    /// Takes a list whose items are tables, or texts that stand for a table with that one `key`.
    ///
    /// # Errors
    /// [`ConfigError::Value`] if an item is neither.
    pub fn tables(&mut self, key: &str, short: &str) -> Result<Option<Vec<Self>>, ConfigError> {
        let Some(taken) = self.take(key) else {
            return Ok(None);
        };
        let rule = format!("a list of tables, or of texts that stand for {short}");
        let items: Vec<toml::Value> = match &taken.node {
            Node::Environment { text, .. } => {
                let items = text
                    .split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty());
                items
                    .map(|item| toml::Value::String(item.to_owned()))
                    .collect()
            }
            Node::File(toml::Value::Array(items)) => items.clone(),
            _ => return Err(taken.refuse(&rule)),
        };
        let path = |index: usize| format!("{}[{index}]", taken.key);
        let read = |(index, item)| match item {
            toml::Value::Table(table) => Ok(Self {
                path: path(index),
                nodes: nodes(table),
                asked: BTreeSet::new(),
            }),
            toml::Value::String(_) => {
                let nodes = BTreeMap::from([(short.to_owned(), Node::File(item))]);
                Ok(Self {
                    path: path(index),
                    nodes,
                    asked: BTreeSet::new(),
                })
            }
            _ => Err(taken.refuse(&rule)),
        };
        items
            .into_iter()
            .enumerate()
            .map(read)
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// Refuses the first key that nobody asked for.
    ///
    /// # Errors
    /// [`ConfigError::Unknown`] with the nearest key that exists.
    pub fn finish(self) -> Result<(), ConfigError> {
        let Some((key, node)) = self.nodes.first_key_value() else {
            return Ok(());
        };
        let nearest = nearest(key, self.asked.iter().map(String::as_str)).map(str::to_owned);
        Err(ConfigError::Unknown {
            key: node.describe(self.key(key)),
            nearest,
        })
    }

    /// The error for a key that must be set.
    pub fn missing(&self, key: &str, rule: &str) -> ConfigError {
        ConfigError::Missing {
            key: self.key(key),
            rule: rule.to_owned(),
        }
    }

    /// The error for a value that breaks a rule which only its reader knows.
    pub fn refuse(&self, key: &str, rule: &str, value: &str) -> ConfigError {
        ConfigError::Value {
            key: self.key(key),
            rule: rule.to_owned(),
            value: format!("\"{value}\""),
        }
    }

    fn take(&mut self, key: &str) -> Option<Taken> {
        self.asked.insert(key.to_owned());
        let node = self.nodes.remove(key)?;
        Some(Taken {
            key: node.describe(self.key(key)),
            node,
        })
    }

    /// Takes off and returns top-level keys set by the environment alone that are not in `known`.
    pub(super) fn strip_foreign(&mut self, known: &[&str]) -> Vec<String> {
        let foreign =
            |key: &String, node: &Node| !known.contains(&key.as_str()) && node.variable().is_some();
        let keys: Vec<String> = self
            .nodes
            .iter()
            .filter(|(k, n)| foreign(k, n))
            .map(|(k, _)| k.clone())
            .collect();
        keys.iter()
            .filter_map(|key| self.nodes.remove(key)?.variable().map(str::to_owned))
            .collect()
    }
}

impl Node {
    /// The first variable behind this value, if no part of it came from the file.
    fn variable(&self) -> Option<&str> {
        match self {
            Self::File(_) => None,
            Self::Environment { variable, .. } => Some(variable),
            Self::Table(nodes) => {
                let variables: Option<Vec<&str>> = nodes.values().map(Self::variable).collect();
                variables?.first().copied()
            }
        }
    }

    fn describe(&self, key: String) -> String {
        match self {
            Self::Environment { variable, .. } => format!("{key} (from {variable})"),
            _ => key,
        }
    }
}

impl Taken {
    fn text(&self, rule: &str) -> Result<String, ConfigError> {
        match &self.node {
            Node::File(toml::Value::String(text)) | Node::Environment { text, .. } => {
                Ok(text.clone())
            }
            _ => Err(self.refuse(rule)),
        }
    }

    fn refuse(&self, rule: &str) -> ConfigError {
        let value = match &self.node {
            Node::File(value) => value.to_string(),
            Node::Environment { text, .. } => format!("\"{text}\""),
            Node::Table(_) => "a table".to_owned(),
        };
        ConfigError::Value {
            key: self.key.clone(),
            rule: rule.to_owned(),
            value,
        }
    }
}

fn nodes(table: toml::Table) -> BTreeMap<String, Node> {
    let node = |value| match value {
        toml::Value::Table(table) => Node::Table(nodes(table)),
        value => Node::File(value),
    };
    table
        .into_iter()
        .map(|(key, value)| (key, node(value)))
        .collect()
}

fn hide(error: ConfigError) -> ConfigError {
    match error {
        ConfigError::Value { key, rule, .. } => ConfigError::Value {
            key,
            rule,
            value: "(hidden)".to_owned(),
        },
        other => other,
    }
}

const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let unit = text.strip_prefix(digits)?;
    let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit)?;
    digits
        .parse::<u64>()
        .ok()?
        .checked_mul(*millis)
        .map(Duration::from_millis)
}

fn show_duration(span: Duration) -> String {
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let fits = |unit: &&(&str, u64)| millis.is_multiple_of(unit.1);
    match UNITS.iter().rev().find(fits) {
        Some((name, unit)) if millis > 0 => format!("{}{name}", millis / unit),
        _ => format!("{}s", millis / 1_000),
    }
}
