//! The words that an operator gives his agents to choose from: `[desk]`.

use crate::config::{ConfigError, Section};

/// Why agents take breaks, and what calls come to. Where a list is empty, agents write what they like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codes {
    /// Reasons of a break, in the order in which the desk shows them.
    pub break_reasons: Vec<String>,
    /// What a call came to, in the same way.
    pub dispositions: Vec<String>,
}

impl Codes {
    /// Reads the `desk` section.
    ///
    /// # Errors
    /// [`ConfigError`] with key, rule and value: the first mistake found.
    pub fn read(mut desk: Section) -> Result<Self, ConfigError> {
        let codes = Self {
            break_reasons: list(&mut desk, "break_reasons")?,
            dispositions: list(&mut desk, "dispositions")?,
        };
        desk.finish()?;
        Ok(codes)
    }

    /// Whether a break may have that reason.
    pub fn has_reason(&self, reason: &str) -> bool {
        admits(&self.break_reasons, reason)
    }

    /// Whether a call may come to that.
    pub fn has_disposition(&self, code: &str) -> bool {
        admits(&self.dispositions, code)
    }
}

fn admits(list: &[String], word: &str) -> bool {
    is_word(word) && (list.is_empty() || list.iter().any(|it| it == word))
}

/// Whether a text may stand for itself in lists, records and on a button.
fn is_word(word: &str) -> bool {
    !word.trim().is_empty() && word.len() <= WORD_MAX && !word.chars().any(char::is_control)
}

fn list(desk: &mut Section, key: &str) -> Result<Vec<String>, ConfigError> {
    let words = desk.texts(key)?.unwrap_or_default();
    if words.len() > WORDS_MAX {
        let rule = format!("at most {WORDS_MAX} words");
        return Err(desk.refuse(key, &rule, &words.len().to_string()));
    }
    for (n, word) in words.iter().enumerate() {
        if !is_word(word) {
            let rule = format!("words of 1 to {WORD_MAX} bytes without control characters");
            return Err(desk.refuse(key, &rule, &word.escape_debug().to_string()));
        }
        if words.iter().take(n).any(|before| before == word) {
            return Err(desk.refuse(key, "each word once", word));
        }
    }
    Ok(words)
}

/// Bytes of a code: it fits a button.
const WORD_MAX: usize = 64;
/// Codes of a list: they fit a menu.
const WORDS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Codes, ConfigError> {
        let mut root = Section::from_toml(text.parse().unwrap());
        Codes::read(root.section("desk").unwrap())
    }

    #[test]
    fn agents_choose_from_the_lists_and_write_what_they_like_where_there_is_none() {
        let codes = read("[desk]\nbreak_reasons = [\"lunch\", \"coffee\"]").unwrap();
        let reasons = ["lunch", "coffee", "a walk", "", " "];
        assert_eq!(
            reasons.map(|it| codes.has_reason(it)),
            [true, true, false, false, false]
        );
        let table = [
            ("sold", true),
            ("", false),
            ("two\nlines", false),
            (&"x".repeat(65), false),
        ];
        for (code, want) in table {
            assert_eq!(codes.has_disposition(code), want, "{code:?}");
        }
    }

    #[test]
    fn a_mistake_is_refused_by_its_key() {
        let table = [
            (
                "[desk]\ndisposition = [\"sold\"]",
                "desk.disposition: no such key; did you mean dispositions?",
            ),
            (
                "[desk]\ndispositions = [\"sold\", \"sold\"]",
                "desk.dispositions: want each word once, have \"sold\"",
            ),
            (
                "[desk]\nbreak_reasons = [\"\"]",
                "desk.break_reasons: want words of 1 to 64 bytes without control characters, have \"\"",
            ),
        ];
        for (text, want) in table {
            assert_eq!(read(text).unwrap_err().to_string(), want);
        }
    }
}
