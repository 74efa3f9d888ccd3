//! What every refusal says of itself: one sentence for the log, the record, the API and `explain`.
//!
//! The law: whoever refuses has a type for it, and the type makes its [`Explanation`]; nobody else
//! words one. An id never changes, and each has a page, `docs/errors/ID.md`: a test holds both sides.

mod nearest;

use std::fmt;

pub use nearest::{edits, nearest};

/// Why something did not happen: what was expected, what was found, and the smallest change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// A name that never changes: for searches, documents and programs.
    pub id: &'static str,
    /// What would have been taken.
    pub expected: String,
    /// What was there instead.
    pub found: String,
    /// The smallest change that would mend it.
    pub fix: String,
}

impl Explanation {
    /// Of what was expected, what was found, and the fix.
    pub fn new(
        id: &'static str,
        (expected, found, fix): (impl Into<String>, impl Into<String>, impl Into<String>),
    ) -> Self {
        Self {
            id,
            expected: expected.into(),
            found: found.into(),
            fix: fix.into(),
        }
    }

    /// The sentence without the id.
    pub fn sentence(&self) -> String {
        format!("want {}, have {}; {}", self.expected, self.found, self.fix)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.id, self.sentence())
    }
}

/// A stranger's words in our line: no control characters, 64 characters at most.
pub fn printable(text: &str) -> String {
    let letters = text.chars().filter(|letter| !letter.is_control());
    letters.take(PRINTED_MAX).collect()
}

/// Longer than any telephone number or name.
const PRINTED_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_names_id_rule_value_and_fix_and_a_strangers_words_cannot_break_its_line() {
        let it = Explanation {
            id: "an-id",
            expected: "this".to_owned(),
            found: printable(&format!("a\r\nb{}", "c".repeat(100))),
            fix: "do so".to_owned(),
        };
        let text = it.to_string();
        assert!(text.starts_with("an-id: want this, have ab"), "{text}");
        assert!(!text.contains('\n') && text.len() < 110, "{text}");
    }
}
