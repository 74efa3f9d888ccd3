//! Trunks and endpoints as an operator writes them: sections of the configuration file become values
//! that are right, or an error names the key, the rule and the value.
//!
//! The law: a concept that has its own sub-section (`[trunks.NAME.normalize]`) is read by a function or
//! a `read` of its own in its own file; [`TrunkConfig`] has one field and one line for it.

mod digest;
mod endpoint;
mod target;
mod tls;
mod trunk;

use sip::sdp::Codec;

use crate::config::{ConfigError, Section};

pub use endpoint::{CALLER_ID_RULE, EndpointConfig};
pub use tls::{KeyFiles, TlsPeer, TrunkTls};
pub use trunk::TrunkConfig;

/// A name stands in URIs, file names and logs: letters, digits, `-`, `_`, `.`, 64 at most.
fn check_name(file: &Section, name: &str) -> Result<(), ConfigError> {
    if is_name(name) {
        return Ok(());
    }
    Err(ConfigError::Value {
        key: file.path().to_owned(),
        rule: ENDPOINT_NAME_RULE.to_owned(),
        value: format!("\"{name}\""),
    })
}

/// A list of texts, each read by `parse`.
fn list<T>(
    file: &mut Section,
    key: &str,
    rule: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<Vec<T>>, ConfigError> {
    let Some(texts) = file.texts(key)? else {
        return Ok(None);
    };
    let parsed = texts
        .iter()
        .map(|text| parse(text).ok_or_else(|| file.refuse(key, rule, text)));
    parsed.collect::<Result<_, _>>().map(Some)
}

/// What `codecs` may name: [`Codec::name`] of all.
const CODECS: &str =
    "\"pcma\", \"pcmu\", \"g722\", \"opus\", \"l16/16000\", \"l16/8000\", \"g729\" or \"amr-wb\"";

fn codecs(file: &mut Section) -> Result<Vec<Codec>, ConfigError> {
    let codecs = list(file, "codecs", CODECS, Codec::from_name)?;
    let codecs = codecs.unwrap_or_default();
    let repeated = codecs
        .iter()
        .enumerate()
        .find(|&(index, codec)| codecs.iter().take(index).any(|earlier| earlier == codec));
    match repeated {
        Some((_, codec)) => Err(file.refuse("codecs", "each codec once", codec.encoding())),
        None => Ok(codecs),
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

/// What the name of a trunk or an endpoint has to be, in words.
pub const ENDPOINT_NAME_RULE: &str = "a name of 1 to 64 letters, digits, '-', '_' and '.'";
