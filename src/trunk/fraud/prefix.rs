//! Tables by prefix of a number: of all prefixes that it begins with, the longest decides.

use std::collections::BTreeMap;

use super::super::numbers::Numbers;
use super::money::Price;

/// Every form under which a carrier may understand a number as it was dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forms(Vec<String>);

impl Forms {
    /// The forms of a number that goes out by a trunk; `None` if it is none: another character than
    /// digits, `+`, `*`, `#` and what people write between them.
    ///
    /// `00` and `011` stand for a plus sign, as exchanges have it; where the trunk's country makes no
    /// full number of it, digits alone may be one without its plus sign.
    pub fn of(number: &str, numbers: &Numbers) -> Option<Self> {
        let mut plain = String::new();
        for letter in number.chars() {
            match letter {
                '0'..='9' | '*' | '#' => plain.push(letter),
                '+' if plain.is_empty() => plain.push(letter),
                ' ' | '-' | '.' | '(' | ')' | '/' => {}
                _ => return None,
            }
        }
        if plain.is_empty() || plain == "+" || plain.len() > DIALLED_MAX {
            return None;
        }
        let mut forms = vec![plain.clone()];
        let full = numbers.received(&plain);
        let is_full = full.starts_with('+');
        if full != plain {
            forms.push(full);
        }
        for access in ["00", "011"] {
            if let Some(rest) = plain.strip_prefix(access) {
                forms.push(format!("+{}", rest.trim_start_matches('0')));
            }
        }
        let bare = plain.bytes().all(|byte| byte.is_ascii_digit());
        if !is_full && bare && !plain.starts_with('0') && plain.len() >= BARE_MIN {
            forms.push(format!("+{plain}"));
        }
        Some(Self(forms))
    }

    /// The longest of `prefixes` that a form begins with; the shorter form counts for less.
    fn longest<'t, T>(&self, table: &'t BTreeMap<String, T>) -> Option<(&'t str, &'t T)> {
        let matching = |form: &String| {
            // No prefix is longer than the number, and a number has at most DIALLED_MAX letters.
            let parts = (0..=form.len()).rev().filter_map(|end| form.get(..end));
            parts.filter_map(|part| table.get_key_value(part)).next()
        };
        let found = self.0.iter().filter_map(matching);
        found
            .max_by_key(|(prefix, _)| prefix.len())
            .map(|(prefix, value)| (prefix.as_str(), value))
    }
}

/// Where calls may go: `allow` and `deny`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destinations {
    allow: BTreeMap<String, ()>,
    deny: BTreeMap<String, ()>,
}

impl Destinations {
    /// The two lists.
    pub fn new(allow: Vec<String>, deny: Vec<String>) -> Self {
        let table = |list: Vec<String>| list.into_iter().map(|prefix| (prefix, ())).collect();
        Self {
            allow: table(allow),
            deny: table(deny),
        }
    }

    /// Whether calls may go anywhere.
    pub fn is_open(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// Whether a number is one that calls may go to. The longest prefix decides, `deny` of two equal
    /// ones; without any, it may if there is no `allow`.
    ///
    /// # Errors
    /// The prefix that denies it; `None` if no prefix allows it.
    pub fn permit(&self, forms: &Forms) -> Result<(), Option<String>> {
        let length = |found: Option<(&str, &())>| found.map(|(prefix, ())| prefix.len());
        let (allow, deny) = (forms.longest(&self.allow), forms.longest(&self.deny));
        match (length(allow), length(deny)) {
            (Some(allowed), Some(denied)) if allowed > denied => Ok(()),
            (_, Some(_)) => Err(deny.map(|(prefix, ())| prefix.to_owned())),
            (None, None) if !self.allow.is_empty() => Err(None),
            (Some(_) | None, None) => Ok(()),
        }
    }
}

/// What calls cost by prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rates(BTreeMap<String, Price>);

impl Rates {
    /// The table; the empty prefix is every number's.
    pub fn new(rows: BTreeMap<String, Price>) -> Self {
        Self(rows)
    }

    /// Whether there is no price at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The price of the longest prefix. Of several forms of a number the dearest of them is taken.
    pub fn price(&self, forms: &Forms) -> Option<Price> {
        forms.longest(&self.0).map(|(_, price)| *price)
    }
}

/// Whether a text is a prefix: a plus sign or none, then digits, `*` and `#`.
pub(super) fn is_prefix(text: &str) -> bool {
    let rest = text.strip_prefix('+').unwrap_or(text);
    let dialled = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'*' | b'#');
    !text.is_empty() && text.len() <= DIALLED_MAX && rest.bytes().all(dialled)
}

pub(super) const PREFIX_RULE: &str = "prefixes such as \"+33\", \"+\", \"0900\" or \"*\"";
/// The longest number that is dialled.
const DIALLED_MAX: usize = 40;
/// Fewer digits are a short code or an extension, whatever country begins alike.
const BARE_MIN: usize = 7;
