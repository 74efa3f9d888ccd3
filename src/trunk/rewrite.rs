//! What is changed on the way to and from a carrier: prefixes of numbers, headers.

use std::fmt;

use sip::message::{Message, Name};

use crate::config::{ConfigError, Section};

/// The rules of `[trunks.NAME.numbers]`: of each list the first that fits is applied, once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumberRules {
    /// To numbers that come (`in`), before `normalize` reads them.
    pub received: Vec<NumberRule>,
    /// To numbers that go (`out`), after `normalize` has written them.
    pub sent: Vec<NumberRule>,
}

/// One prefix and what stands in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberRule {
    /// What a number begins with; empty fits every number.
    pub prefix: String,
    /// What stands in its place; empty takes it off.
    pub replace: String,
}

/// One item of `headers` or `headers_in`: what is changed in an INVITE, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderRule {
    /// In place of every header of that name.
    Set(String, String),
    /// Besides those there are.
    Add(String, String),
    /// Without any of that name.
    Remove(String),
}

impl NumberRules {
    /// Reads `[trunks.NAME.numbers]`.
    ///
    /// # Errors
    /// [`ConfigError`] with key, rule and value.
    pub(super) fn read(mut file: Section) -> Result<Self, ConfigError> {
        let rules = Self {
            received: Self::list(&mut file, "in")?,
            sent: Self::list(&mut file, "out")?,
        };
        file.finish()?;
        Ok(rules)
    }

    fn list(file: &mut Section, key: &str) -> Result<Vec<NumberRule>, ConfigError> {
        let items = file.tables(key, "prefix")?.unwrap_or_default();
        if items.len() > RULES_MAX {
            let rule = format!("at most {RULES_MAX} rules");
            return Err(file.refuse(key, &rule, &items.len().to_string()));
        }
        items.into_iter().map(NumberRule::read).collect()
    }

    /// A number as it came, by the first rule that fits.
    pub fn on_received<'n>(&self, number: &'n str) -> std::borrow::Cow<'n, str> {
        apply(&self.received, number)
    }

    /// A number as it goes, by the first rule that fits.
    pub fn on_sent<'n>(&self, number: &'n str) -> std::borrow::Cow<'n, str> {
        apply(&self.sent, number)
    }
}

fn apply<'n>(rules: &[NumberRule], number: &'n str) -> std::borrow::Cow<'n, str> {
    let mut fits = rules
        .iter()
        .filter_map(|rule| Some((rule, number.strip_prefix(rule.prefix.as_str())?)));
    match fits.next() {
        // A name, or nothing at all, is no number: a rule without a prefix has no business with it.
        Some((rule, _)) if rule.prefix.is_empty() && !is_number(number) => number.into(),
        Some((rule, rest)) => format!("{}{rest}", rule.replace).into(),
        None => number.into(),
    }
}

fn is_number(text: &str) -> bool {
    let dialled = |c: char| c.is_ascii_digit() || matches!(c, '+' | '*' | '#');
    !text.is_empty() && text.chars().all(dialled)
}

impl NumberRule {
    fn read(mut file: Section) -> Result<Self, ConfigError> {
        let mut part = |key: &str| -> Result<String, ConfigError> {
            let text = file.text(key)?.unwrap_or_default();
            let fits = text.is_empty() || (text.len() <= PREFIX_MAX && is_number(&text));
            match fits {
                true => Ok(text),
                false => Err(file.refuse(key, PREFIX_RULE, &text)),
            }
        };
        let rule = Self {
            prefix: part("prefix")?,
            replace: part("replace")?,
        };
        file.finish()?;
        Ok(rule)
    }
}

impl HeaderRule {
    /// Reads the list `headers` or `headers_in` of a trunk.
    ///
    /// # Errors
    /// [`ConfigError`] with key, rule and value: a name that is protected, a value with a line break.
    pub(super) fn read_all(file: &mut Section, key: &str) -> Result<Vec<Self>, ConfigError> {
        let items = file.tables(key, "remove")?.unwrap_or_default();
        if items.len() > RULES_MAX {
            let rule = format!("at most {RULES_MAX} rules");
            return Err(file.refuse(key, &rule, &items.len().to_string()));
        }
        items.into_iter().map(Self::read).collect()
    }

    fn read(mut file: Section) -> Result<Self, ConfigError> {
        let given = [file.text("set")?, file.text("add")?, file.text("remove")?];
        let value = file.text("value")?;
        let rule = match (given, value) {
            ([Some(name), None, None], Some(value)) => Self::Set(name, value),
            ([None, Some(name), None], Some(value)) => Self::Add(name, value),
            ([None, None, Some(name)], None) => Self::Remove(name),
            ([None, None, Some(name)], Some(_)) => {
                return Err(file.refuse("remove", "no value beside it", &name));
            }
            ([None, None, None], _) => {
                return Err(file.missing("set", "set, add or remove with a header's name"));
            }
            ([set, add, remove], Some(_)) => {
                let names = [set, add, remove].into_iter().flatten();
                let names = names.collect::<Vec<_>>().join(", ");
                return Err(file.refuse("set", "one of set, add and remove", &names));
            }
            (_, None) => return Err(file.missing("value", "what the header says")),
        };
        let (name, value) = match &rule {
            Self::Set(name, value) | Self::Add(name, value) => (name, value.as_str()),
            Self::Remove(name) => (name, ""),
        };
        if !is_token(name) {
            return Err(file.refuse("name", "a header's name: letters, digits and '-'", name));
        }
        if is_protected(name) {
            let why = "a header that the signalling does not live by (see docs/operate.md)";
            return Err(file.refuse("name", why, name));
        }
        if value.len() > VALUE_MAX || value.chars().any(char::is_control) {
            let why = format!("at most {VALUE_MAX} bytes without a control character");
            return Err(file.refuse("value", &why, &value.escape_default().to_string()));
        }
        file.finish()?;
        Ok(rule)
    }

    /// Applies rules to a request as it came, in order: what no rule names stays byte for byte. `None` if
    /// that makes it no message.
    pub fn received(rules: &[Self], request: &Message) -> Option<Message> {
        let mut lines: Vec<(String, Vec<u8>)> = request
            .lines()
            .map(|line| (line.name_text().to_owned(), line.raw().to_vec()))
            .collect();
        let line = |name: &String, value: &String| {
            let raw = format!("{name}: {value}\r\n").into_bytes();
            (name.clone(), raw)
        };
        for rule in rules {
            match rule {
                Self::Set(name, value) => {
                    lines.retain(|(other, _)| !same(name, other));
                    lines.push(line(name, value));
                }
                Self::Add(name, value) => lines.push(line(name, value)),
                Self::Remove(name) => lines.retain(|(other, _)| !same(name, other)),
            }
        }
        let (method, uri) = (request.method_str()?, request.request_uri()?);
        let mut bytes = format!("{method} {uri} SIP/2.0\r\n").into_bytes();
        for (_, raw) in &lines {
            bytes.extend_from_slice(raw.trim_ascii_end());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(request.body());
        Message::parse(bytes.into()).ok()
    }

    /// Applies rules to the headers of an INVITE, in order.
    pub fn apply(rules: &[Self], headers: &mut Vec<(String, String)>) {
        for rule in rules {
            match rule {
                Self::Set(name, value) => {
                    headers.retain(|(other, _)| !same(name, other));
                    headers.push((name.clone(), value.clone()));
                }
                Self::Add(name, value) => headers.push((name.clone(), value.clone())),
                Self::Remove(name) => headers.retain(|(other, _)| !same(name, other)),
            }
        }
    }
}

/// Whether two names are of one header, however each is spelled.
fn same(name: &str, other: &str) -> bool {
    name.eq_ignore_ascii_case(other)
        || (Name::from_text(name) == Name::from_text(other)
            && !matches!(Name::from_text(name), Name::Other))
}

/// RFC 3261 §25.1: `token`, as header names use it.
fn is_token(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!%*+'~`".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(plain)
}

/// What signalling lives by, in any spelling.
fn is_protected(name: &str) -> bool {
    PROTECTED.iter().any(|it| it.eq_ignore_ascii_case(name))
}

impl fmt::Display for NumberRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "prefix \"{}\" becomes \"{}\"", self.prefix, self.replace)
    }
}

const PREFIX_RULE: &str = "up to 32 digits, '+', '*' and '#'";
const PREFIX_MAX: usize = 32;
const RULES_MAX: usize = 64;
const VALUE_MAX: usize = 1_024;
/// Headers that no rule may touch, with their compact forms: routing, dialogs, transactions, bodies,
/// proofs, negotiated extensions.
const PROTECTED: [&str; 43] = [
    "Via",
    "v",
    "From",
    "f",
    "To",
    "t",
    "Call-ID",
    "i",
    "CSeq",
    "Contact",
    "m",
    "Max-Forwards",
    "Route",
    "Record-Route",
    "Content-Length",
    "l",
    "Content-Type",
    "c",
    "Content-Encoding",
    "e",
    "Authorization",
    "Proxy-Authorization",
    "Require",
    "Proxy-Require",
    "Supported",
    "k",
    "Session-Expires",
    "x",
    "Min-SE",
    "RSeq",
    "RAck",
    "Allow",
    "Replaces",
    "Refer-To",
    "r",
    "Referred-By",
    "b",
    "Event",
    "o",
    "Subscription-State",
    "Expires",
    "Path",
    "Timestamp",
];
