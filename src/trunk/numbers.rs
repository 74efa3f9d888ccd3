//! Telephone numbers as a trunk writes them and as this server keeps them: E.164 with its plus sign.

use phonenumber::{Mode, country};

/// How a trunk's numbers are read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    country: Option<country::Id>,
    send: SendForm,
}

/// The form in which a number is sent to a trunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SendForm {
    /// `+33142685300`.
    #[default]
    E164,
    /// `33142685300`.
    Digits,
    /// `0142685300` for numbers of the trunk's own country, E.164 for others.
    National,
}

impl Numbers {
    /// Numbers are passed as they come.
    pub const AS_IS: Self = Self {
        country: None,
        send: SendForm::E164,
    };

    /// National numbers are those of `country`: two capital letters of ISO 3166-1.
    pub fn of(country: &str, send: SendForm) -> Option<Self> {
        let country = country.parse().ok()?;
        Some(Self {
            country: Some(country),
            send,
        })
    }

    /// The country in which national numbers are read, if one is set.
    pub fn country(&self) -> Option<&str> {
        self.country.as_ref().map(AsRef::as_ref)
    }

    /// The country of a number in E.164: two capital letters of ISO 3166-1.
    pub fn country_of(number: &str) -> Option<String> {
        let parsed = number
            .starts_with('+')
            .then(|| phonenumber::parse(None, number).ok())??;
        parsed.country().id().map(|id| id.as_ref().to_owned())
    }

    /// The number in E.164, if it is a valid one as read in the trunk's country; else as it came:
    /// short codes, emergency numbers, extensions and names are nobody's to rewrite.
    pub fn received(&self, number: &str) -> String {
        let Some(country) = self.country else {
            return number.to_owned();
        };
        let Some(plain) = plain(number) else {
            return number.to_owned();
        };
        if !plain.starts_with('+') && plain.len() < SHORTEST_FULL_NUMBER {
            return number.to_owned();
        }
        match phonenumber::parse(Some(country), &plain) {
            Ok(parsed) if parsed.is_valid() && parsed.extension().is_none() => {
                parsed.format().mode(Mode::E164).to_string()
            }
            _ if is_e164(&plain) => plain,
            _ => number.to_owned(),
        }
    }

    /// The number in the form that the trunk wants; what is no full number goes as it is.
    pub fn sent(&self, number: &str) -> String {
        if self.country.is_none() {
            return number.to_owned();
        }
        let number = self.received(number);
        if !is_e164(&number) {
            return number;
        }
        match self.send {
            SendForm::E164 => number,
            SendForm::Digits => digits(&number),
            SendForm::National => self.national(&number).unwrap_or(number),
        }
    }

    fn national(&self, number: &str) -> Option<String> {
        let parsed = phonenumber::parse(None, number).ok()?;
        let home = parsed.country().id() == self.country;
        home.then(|| digits(&parsed.format().mode(Mode::National).to_string()))
    }
}

/// Without what people write between digits; `None` if anything else is in it, or too much.
fn plain(number: &str) -> Option<String> {
    let mut plain = String::new();
    for letter in number.trim().chars().take(NUMBER_MAX + 1) {
        match letter {
            '0'..='9' => plain.push(letter),
            '+' if plain.is_empty() => plain.push(letter),
            ' ' | '-' | '.' | '(' | ')' | '/' => {}
            _ => return None,
        }
    }
    (number.len() <= NUMBER_MAX).then_some(plain)
}

/// A plus sign, then 7 to 15 digits of which the first is not 0 (ITU-T E.164 §6).
fn is_e164(number: &str) -> bool {
    let digits = number.strip_prefix('+').unwrap_or_default();
    (7..=15).contains(&digits.len())
        && !digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// Less than this is a short code, whatever the metadata could make of it.
const SHORTEST_FULL_NUMBER: usize = 7;
/// Longer than any number with its separators.
const NUMBER_MAX: usize = 64;
