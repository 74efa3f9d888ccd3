//! Emergency numbers: `[emergency]`. A call to one is never refused for a limit, and goes by trunks of
//! its own.
//!
//! The law: every other part asks [`Emergency::is_emergency`] of the number as it was dialled, and
//! nobody has a list of its own.

use crate::config::{ConfigError, Section};

use super::TrunkConfig;

/// The numbers, and where their calls go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Emergency {
    numbers: Vec<String>,
    /// The trunks that their calls go by, first to last (`trunks`).
    pub trunks: Vec<String>,
    /// The number they show, if not the caller's own (`caller_id`): one that can be called back.
    pub caller_id: Option<String>,
    /// Whether an entry of the dialplan for the number leads instead (`dialplan`).
    pub by_dialplan: bool,
}

impl Emergency {
    /// Reads the `emergency` section; without numbers there are none.
    ///
    /// # Errors
    /// [`ConfigError`] with key, rule and value: a number that is none, a trunk that is not there or
    /// has nowhere to send to, numbers without a trunk.
    pub fn read(mut file: Section, trunks: &[TrunkConfig]) -> Result<Self, ConfigError> {
        let numbers = file.texts("numbers")?.unwrap_or_default();
        if let Some(bad) = numbers.iter().find(|number| !is_short_code(number)) {
            return Err(file.refuse("numbers", NUMBER_RULE, bad));
        }
        let named = file.texts("trunks")?.unwrap_or_default();
        let sends = |name: &&String| {
            let known = trunks.iter().find(|trunk| trunk.name == **name);
            known.is_none_or(|trunk| trunk.targets.is_empty())
        };
        if let Some(bad) = named.iter().find(sends) {
            return Err(file.refuse("trunks", "names of trunks that have send_to", bad));
        }
        let by_dialplan = file.boolean("dialplan")?.unwrap_or(false);
        let caller_id = file.text("caller_id")?;
        if let Some(shown) = &caller_id
            && !super::EndpointConfig::may_show(shown)
        {
            return Err(file.refuse("caller_id", super::CALLER_ID_RULE, shown));
        }
        if !numbers.is_empty() && named.is_empty() && !by_dialplan {
            return Err(file.missing("trunks", "the trunks that emergency calls go by, in order"));
        }
        file.finish()?;
        Ok(Self {
            numbers,
            trunks: named,
            caller_id,
            by_dialplan,
        })
    }

    /// Whether a number as it was dialled is one of them; what people write between digits, and what
    /// carriers put behind a semicolon, does not matter. Costs a few comparisons of short texts.
    pub fn is_emergency(&self, number: &str) -> bool {
        if self.numbers.is_empty() || number.len() > DIALLED_MAX {
            return false;
        }
        let number = number.split(';').next().unwrap_or_default();
        let written = |letter: &char| !matches!(letter, ' ' | '-' | '.' | '(' | ')' | '/');
        self.numbers
            .iter()
            .any(|known| known.chars().eq(number.chars().filter(written)))
    }

    /// The numbers.
    pub fn numbers(&self) -> &[String] {
        &self.numbers
    }
}

/// Two to eight digits: 15, 112, 911, 116117.
fn is_short_code(text: &str) -> bool {
    (2..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

const NUMBER_RULE: &str = "numbers of 2 to 8 digits, such as \"112\"";
/// An emergency number with everything that may stand around its digits.
const DIALLED_MAX: usize = 64;
