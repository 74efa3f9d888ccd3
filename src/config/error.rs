//! What can be wrong with a configuration: always a key, a rule and the value that breaks it.

use std::path::PathBuf;

use crate::explain::Explanation;

/// A configuration that is refused. The process ends with exit code 2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A value breaks its key's rule.
    #[error("{key}: want {rule}, have {value}")]
    Value {
        /// The key's path, and the environment variable if it came from one.
        key: String,
        /// What is allowed.
        rule: String,
        /// What was found; `(hidden)` for secrets.
        value: String,
    },
    /// A key that must be there is not.
    #[error("{key}: missing; want {rule}")]
    Missing {
        /// The key's path.
        key: String,
        /// What is allowed.
        rule: String,
    },
    /// A key that means nothing.
    #[error("{key}: no such key{}", suggestion(.nearest.as_deref()))]
    Unknown {
        /// The key's path.
        key: String,
        /// The key that was perhaps meant.
        nearest: Option<String>,
    },
    /// A name that stands in the configuration and in another place.
    #[error("{key}: {what} is made twice: here, and {elsewhere}; remove one of them")]
    Twice {
        /// The key's path.
        key: String,
        /// What has the name.
        what: String,
        /// The other place.
        elsewhere: String,
    },
    /// One of the above, and where it stands.
    #[error("{}:{line}: {error}", .file.display())]
    At {
        /// Which file.
        file: PathBuf,
        /// Its line, counted from 1.
        line: usize,
        /// What is wrong there.
        error: Box<Self>,
    },
    /// The file is not TOML.
    #[error("{}: not TOML: {message}", .file.display())]
    Syntax {
        /// Which file.
        file: PathBuf,
        /// Where and what.
        message: String,
    },
    /// The file cannot be read.
    #[error("{}: cannot be read: {message}", .file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// What the system said.
        message: String,
    },
}

impl ConfigError {
    /// A name that never changes.
    pub fn id(&self) -> &'static str {
        match self {
            Self::Value { .. } => "config-value",
            Self::Missing { .. } => "config-missing",
            Self::Unknown { .. } => "config-unknown-key",
            Self::Twice { .. } => "config-twice",
            Self::At { error, .. } => error.id(),
            Self::Syntax { .. } => "config-syntax",
            Self::Unreadable { .. } => "config-unreadable",
        }
    }

    /// What was expected, what was found, and the fix.
    pub fn explanation(&self) -> Explanation {
        let parts = match self {
            Self::Value { key, rule, value } => (
                rule.clone(),
                format!("{key} = {value}"),
                format!("correct {key}"),
            ),
            Self::Missing { key, rule } => {
                (rule.clone(), format!("no {key}"), format!("set {key}"))
            }
            Self::Unknown { key, nearest } => (
                "a key that there is".to_owned(),
                key.clone(),
                match nearest {
                    Some(near) => format!("write {near} instead of {key}"),
                    None => format!("remove {key}"),
                },
            ),
            Self::Twice {
                key,
                what,
                elsewhere,
            } => (
                format!("{what} in one place"),
                format!("{key}, and {elsewhere}"),
                "remove one of them".to_owned(),
            ),
            Self::At { file, line, error } => {
                let mut inner = error.explanation();
                inner.found = format!("{} ({}:{line})", inner.found, file.display());
                return inner;
            }
            Self::Syntax { file, message } => (
                "TOML".to_owned(),
                format!("{}: {message}", file.display()),
                "correct the line that is named".to_owned(),
            ),
            Self::Unreadable { file, message } => (
                "a file that can be read".to_owned(),
                format!("{}: {message}", file.display()),
                "correct the path, or its permissions".to_owned(),
            ),
        };
        Explanation::new(self.id(), parts)
    }

    /// The path of the key that is wrong, if it stands in a file.
    pub(super) fn key(&self) -> Option<&str> {
        match self {
            Self::Value { key, .. }
            | Self::Missing { key, .. }
            | Self::Unknown { key, .. }
            | Self::Twice { key, .. } => Some(key),
            Self::At { .. } | Self::Syntax { .. } | Self::Unreadable { .. } => None,
        }
    }
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest
        .map(|key| format!("; did you mean {key}?"))
        .unwrap_or_default()
}

/// The candidate that differs from `word` by the fewest edits: at most two, or a third of its length.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let bound = (word.chars().count() / 3).max(2);
    candidates
        .map(|candidate| (edits(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= bound)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, with the letters of short keys compared one row at a time.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (y, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let above = *cell;
            left = (diagonal + usize::from(x != *y))
                .min(above + 1)
                .min(left + 1);
            diagonal = above;
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{edits, nearest};

    #[test]
    fn the_distance_counts_inserted_removed_and_changed_letters() {
        for (a, b, want) in [
            ("", "", 0),
            ("", "udp", 3),
            ("upd", "udp", 2),
            ("listn", "listen", 1),
            ("abc", "xyz", 3),
        ] {
            assert_eq!((edits(a, b), edits(b, a)), (want, want), "{a} {b}");
        }
    }

    #[test]
    fn a_word_far_from_every_candidate_has_no_nearest() {
        assert_eq!(nearest("banana", ["udp", "tcp"].into_iter()), None);
        assert_eq!(
            nearest("advertized", ["udp", "advertised"].into_iter()),
            Some("advertised")
        );
    }
}
