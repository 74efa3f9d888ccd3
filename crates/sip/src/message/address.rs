//! `name-addr` and `addr-spec` with their parameters (RFC 3261 §20.10, §25.1): From, To, Contact,
//! Route and kin.

use super::ParseError;
use super::scan::{Scan, is_token, is_value};
use super::uri::{Params, Uri};
use std::borrow::Cow;
use std::fmt;

/// An address with its display name and parameters, borrowed from the header it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameAddr<'a> {
    text: &'a str,
    display: &'a str,
    /// The URI.
    pub uri: Uri<'a>,
    /// The header parameters, those after the closing bracket: `tag`, `expires`, `q` …
    pub params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// Reads one address that is all of `text`.
    ///
    /// # Errors
    /// An unbalanced quote or bracket, a character no display name may hold, a malformed URI or
    /// parameter, or a URI with headers that stands outside brackets (RFC 3261 §20).
    pub fn parse(text: &'a str) -> Result<Self, ParseError> {
        let mut scan = Scan::new(text);
        scan.skip_spaces();
        let mut ahead = scan;
        let display = take_display(&mut ahead)?;
        let uri = if ahead.peek() == Some(b'<') {
            scan = ahead;
            take_bracketed(&mut scan)?
        } else {
            take_bare(&mut scan)?
        };
        let params = take_params(&mut scan)?;
        scan.finish("a parameter or the end")?;
        Ok(Self {
            text,
            display,
            uri,
            params,
        })
    }

    /// The display name: quotes taken off and escapes resolved; empty if there is none.
    pub fn display(&self) -> Cow<'a, str> {
        let Some(inner) = self
            .display
            .strip_prefix('"')
            .and_then(|d| d.strip_suffix('"'))
        else {
            return Cow::Borrowed(self.display);
        };
        if !inner.contains('\\') {
            return Cow::Borrowed(inner);
        }
        let mut out = String::with_capacity(inner.len());
        let mut chars = inner.chars();
        while let Some(c) = chars.next() {
            out.extend(if c == '\\' { chars.next() } else { Some(c) });
        }
        Cow::Owned(out)
    }

    /// The `tag` parameter (§19.3).
    pub fn tag(&self) -> Option<&'a str> {
        self.params.get("tag")
    }

    /// The address as written.
    pub const fn as_str(&self) -> &'a str {
        self.text
    }
}

impl fmt::Display for NameAddr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

/// Writes an address: the display name quoted and escaped (left out if empty), the URI in brackets.
///
/// Control characters are left out of the name: a header has no use for them.
pub fn name_addr(display: &str, uri: &str) -> String {
    let mut out = String::with_capacity(display.len() + uri.len() + 5);
    if !display.is_empty() {
        out.push('"');
        for c in display.chars().filter(|c| !c.is_control()) {
            if matches!(c, '"' | '\\') {
                out.push('\\');
            }
            out.push(c);
        }
        out.push_str("\" ");
    }
    out.push('<');
    out.push_str(uri);
    out.push('>');
    out
}

/// The `tag` of an address, without a look at its URI; `None` also for what is no address.
pub(super) fn tag(text: &str) -> Option<&str> {
    let mut scan = Scan::new(text);
    scan.skip_spaces();
    let mut ahead = scan;
    take_display(&mut ahead).ok()?;
    if ahead.accept(b'<') {
        ahead.take_while(|b| b != b'>');
        ahead.require(b'>', "a closing bracket").ok()?;
        scan = ahead;
    } else {
        scan.take_while(is_bare);
    }
    take_params(&mut scan).ok()?.get("tag")
}

/// Takes a display name, if one stands here; what it leaves is a bracket, or no name-addr at all.
fn take_display<'a>(scan: &mut Scan<'a>) -> Result<&'a str, ParseError> {
    if scan.peek() == Some(b'"') {
        let display = scan.quoted()?;
        scan.skip_spaces();
        return if scan.peek() == Some(b'<') {
            Ok(display)
        } else {
            Err(scan.expected("an opening bracket"))
        };
    }
    Ok(scan
        .take_while(|b| is_token(b) || matches!(b, b' ' | b'\t') || b >= 0x80)
        .trim_ascii_end())
}

fn take_bracketed<'a>(scan: &mut Scan<'a>) -> Result<Uri<'a>, ParseError> {
    scan.require(b'<', "an opening bracket")?;
    let base = scan.at();
    let uri = scan.take_while(|b| b != b'>');
    let uri = Uri::parse(uri).map_err(|error| ParseError {
        offset: error.offset + base,
        ..error
    })?;
    scan.require(b'>', "a closing bracket")?;
    Ok(uri)
}

/// Takes a URI outside brackets: it ends at a semicolon or a blank, and may hold no question mark.
fn take_bare<'a>(scan: &mut Scan<'a>) -> Result<Uri<'a>, ParseError> {
    let base = scan.at();
    let uri = scan.take_while(is_bare);
    if matches!(scan.peek(), Some(b'?' | b',')) {
        return Err(scan.expected("brackets around such a URI"));
    }
    Uri::parse(uri).map_err(|error| ParseError {
        offset: error.offset + base,
        ..error
    })
}

/// A byte of a URI outside brackets.
const fn is_bare(byte: u8) -> bool {
    !matches!(byte, b';' | b' ' | b'\t' | b'?' | b',')
}

/// Takes `*( SEMI name [ EQUAL value ] )` and checks its form (§25.1 `generic-param`).
pub(crate) fn take_params<'a>(scan: &mut Scan<'a>) -> Result<Params<'a>, ParseError> {
    scan.skip_spaces();
    let all = scan.rest();
    let mut end = 0;
    let start = scan.at();
    while scan.accept(b';') {
        scan.skip_spaces();
        scan.token("a parameter's name")?;
        end = scan.at() - start;
        scan.skip_spaces();
        if scan.accept(b'=') {
            scan.skip_spaces();
            if scan.peek() == Some(b'"') {
                scan.quoted()?;
            } else if scan.take_while(is_value).is_empty() {
                return Err(scan.expected("a parameter's value"));
            }
            end = scan.at() - start;
            scan.skip_spaces();
        }
    }
    Ok(Params::new(all.get(..end).unwrap_or_default()))
}
