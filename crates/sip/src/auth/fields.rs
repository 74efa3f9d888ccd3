//! The fields of digest headers: `Digest name="value", name=value` (RFC 7616 §3.3, §3.4).

use super::Algorithm;
use crate::message::Uri;
use std::borrow::Cow;

/// Why a header is not a usable digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// Another scheme, such as Basic or Bearer.
    #[error("not a Digest header")]
    OtherScheme,
    /// Broken at this byte of the value.
    #[error("malformed at byte {0}")]
    Malformed(usize),
    /// A field that must be there is not, or is there twice.
    #[error("field {0} missing or repeated")]
    Field(&'static str),
    /// More fields than any honest header has.
    #[error("more than {FIELDS_MAX} fields")]
    TooMany,
}

/// An `Authorization` or `Proxy-Authorization` value, as a client sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationHeader<'a> {
    /// Who claims to speak.
    pub username: Cow<'a, str>,
    /// The protection space the claim is for.
    pub realm: Cow<'a, str>,
    /// The server's nonce.
    pub nonce: Cow<'a, str>,
    /// The URI the digest covers.
    pub uri: Cow<'a, str>,
    /// The proof, in hex.
    pub response: Cow<'a, str>,
    /// `None` when the header names one that is not supported.
    pub algorithm: Option<Algorithm>,
    /// `qop`, `nc` and `cnonce`: all three or none.
    pub qop: Option<(Cow<'a, str>, Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> AuthorizationHeader<'a> {
    /// Reads a header value.
    ///
    /// # Errors
    /// [`FieldError`] names what is missing or where the value breaks.
    pub fn parse(value: &'a str) -> Result<Self, FieldError> {
        let fields = Fields::parse(value)?;
        let qop = match (fields.get("qop")?, fields.get("nc")?, fields.get("cnonce")?) {
            (None, _, _) => None,
            (Some(qop), Some(nc), Some(cnonce)) => Some((qop, nc, cnonce)),
            (Some(_), None, _) => return Err(FieldError::Field("nc")),
            (Some(_), _, None) => return Err(FieldError::Field("cnonce")),
        };
        Ok(Self {
            username: fields.need("username")?,
            realm: fields.need("realm")?,
            nonce: fields.need("nonce")?,
            uri: fields.need("uri")?,
            response: fields.need("response")?,
            algorithm: fields.algorithm()?,
            qop,
        })
    }

    /// Whether the proof was made for a request to somebody else than this Request-URI.
    ///
    /// A digest covers its own `uri`, not the request line. Equality must not be asked for: proxies
    /// rewrite host and parameters (RFC 3261 §22.4), and SIPp digests host and port alone. What must
    /// not pass is another user, else a proof overheard for one number buys a call to any other.
    pub fn is_for_another(&self, request_uri: &str) -> bool {
        if self.uri == request_uri {
            return false;
        }
        match (Uri::parse(&self.uri), Uri::parse(request_uri)) {
            (Ok(proven), Ok(asked)) => proven.names_another_user(&asked),
            _ => true,
        }
    }
}

/// The fields of one digest value, in order.
pub(super) struct Fields<'a>(Vec<(&'a str, Cow<'a, str>)>);

impl<'a> Fields<'a> {
    pub(super) fn parse(value: &'a str) -> Result<Self, FieldError> {
        let trimmed = value.trim_start();
        let scheme = trimmed.get(..6).unwrap_or_default();
        let rest = trimmed.get(6..).unwrap_or_default();
        if !scheme.eq_ignore_ascii_case("digest") || !rest.starts_with([' ', '\t', '\r', '\n']) {
            return Err(FieldError::OtherScheme);
        }
        let mut fields = Vec::new();
        let mut rest = rest;
        loop {
            rest = rest.trim_start_matches([' ', '\t', '\r', '\n', ',']);
            if rest.is_empty() {
                return Ok(Self(fields));
            }
            if fields.len() == FIELDS_MAX {
                return Err(FieldError::TooMany);
            }
            let broken = FieldError::Malformed(value.len() - rest.len());
            let (name, after) = rest.split_once('=').ok_or(broken)?;
            let name = name.trim();
            if name.is_empty() || name.contains([' ', ',', '"']) {
                return Err(broken);
            }
            let (text, after) = value_of(after.trim_start()).ok_or(broken)?;
            fields.push((name, text));
            rest = after.trim_start();
            if !rest.is_empty() && !rest.starts_with(',') {
                return Err(FieldError::Malformed(value.len() - rest.len()));
            }
        }
    }

    pub(super) fn get(&self, name: &'static str) -> Result<Option<Cow<'a, str>>, FieldError> {
        let mut found = self
            .0
            .iter()
            .filter(|(field, _)| field.eq_ignore_ascii_case(name));
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(FieldError::Field(name)),
            (first, None) => Ok(first.map(|(_, value)| value.clone())),
        }
    }

    pub(super) fn need(&self, name: &'static str) -> Result<Cow<'a, str>, FieldError> {
        self.get(name)?.ok_or(FieldError::Field(name))
    }

    /// `MD5` when the field is absent, `None` when it names something else than we speak.
    pub(super) fn algorithm(&self) -> Result<Option<Algorithm>, FieldError> {
        Ok(self
            .get("algorithm")?
            .map_or(Some(Algorithm::Md5), |name| Algorithm::parse(&name)))
    }
}

/// Splits a token or a quoted string off the front.
fn value_of(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text
            .find([',', ' ', '\t', '\r', '\n'])
            .unwrap_or(text.len());
        return Some((Cow::Borrowed(text.get(..end)?), text.get(end..)?));
    };
    let end = quoted.find(['"', '\\'])?;
    if quoted.as_bytes().get(end) == Some(&b'"') {
        return Some((Cow::Borrowed(quoted.get(..end)?), quoted.get(end + 1..)?));
    }
    let mut unescaped = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((Cow::Owned(unescaped), quoted.get(at + 1..)?)),
            '\\' => unescaped.push(chars.next()?.1),
            c => unescaped.push(c),
        }
    }
    None
}

/// Quotes a value for a header we write.
pub(super) fn quote(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('"');
    for c in value.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// Digest defines eleven fields; extensions are rare.
const FIELDS_MAX: usize = 32;
