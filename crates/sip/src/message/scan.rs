//! A cursor over one unfolded header value. Every step either moves or says what it expected where.

use super::{ErrorKind, ParseError};

/// Reads `text` from the left. Line folds have become spaces before a value gets here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(crate) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    pub(crate) const fn is_done(&self) -> bool {
        self.at >= self.text.len()
    }

    /// A fault at the cursor.
    pub(crate) fn expected(&self, what: &'static str) -> ParseError {
        ParseError::new(ErrorKind::Syntax, self.at, self.peek(), what)
    }

    /// A fault at byte `at` of the text.
    pub(crate) fn expected_at(&self, at: usize, what: &'static str) -> ParseError {
        ParseError::new(
            ErrorKind::Syntax,
            at,
            self.text.as_bytes().get(at).copied(),
            what,
        )
    }

    pub(crate) fn skip_spaces(&mut self) {
        self.take_while(|b| b == b' ' || b == b'\t');
    }

    /// Takes `byte` if it is next.
    pub(crate) fn accept(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Takes `byte`, which must be next.
    pub(crate) fn require(&mut self, byte: u8, what: &'static str) -> Result<(), ParseError> {
        if self.accept(byte) {
            Ok(())
        } else {
            Err(self.expected(what))
        }
    }

    /// Takes bytes as long as `wanted` holds; `wanted` must treat all bytes of a character above
    /// ASCII alike.
    pub(crate) fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.bytes().position(|b| !wanted(b)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// Takes a token of one character or more.
    pub(crate) fn token(&mut self, what: &'static str) -> Result<&'a str, ParseError> {
        match self.take_while(is_token) {
            "" => Err(self.expected(what)),
            token => Ok(token),
        }
    }

    /// Takes a quoted string, quotes and all (RFC 3261 §25.1 `quoted-string`).
    pub(crate) fn quoted(&mut self) -> Result<&'a str, ParseError> {
        let start = self.at;
        self.require(b'"', "a quoted string")?;
        loop {
            self.take_while(|b| b != b'"' && b != b'\\');
            if self.accept(b'"') {
                return Ok(self.text.get(start..self.at).unwrap_or_default());
            }
            if self.is_done() {
                return Err(self.expected("a closing quote"));
            }
            self.at += 1;
            self.skip_character();
        }
    }

    /// Passes over one character, whatever it is.
    pub(crate) fn skip_character(&mut self) {
        self.at += self.rest().chars().next().map_or(0, char::len_utf8);
    }

    /// Takes one digit or more as a number of at most `max`.
    pub(crate) fn number(&mut self, max: u64, what: &'static str) -> Result<u64, ParseError> {
        let start = *self;
        let digits = self.take_while(|b| b.is_ascii_digit());
        let mut number: u64 = 0;
        for digit in digits.bytes() {
            number = number
                .saturating_mul(10)
                .saturating_add(u64::from(digit - b'0'));
        }
        if digits.is_empty() || number > max {
            Err(start.expected(what))
        } else {
            Ok(number)
        }
    }

    /// Spaces may follow; nothing else.
    pub(crate) fn finish(mut self, what: &'static str) -> Result<(), ParseError> {
        self.skip_spaces();
        if self.is_done() {
            Ok(())
        } else {
            Err(self.expected(what))
        }
    }
}

/// RFC 3261 §25.1 `token`.
pub(crate) const fn is_token(byte: u8) -> bool {
    CLASSES[byte as usize] & TOKEN != 0
}

/// A byte of a parameter's value, wider than the grammar's token and host: real ones hold slashes, colons
/// and equals signs unquoted.
pub(crate) const fn is_value(byte: u8) -> bool {
    CLASSES[byte as usize] & VALUE != 0
}

/// A byte of a URI: no blank, control, quote or angle bracket, and none above ASCII.
pub(crate) const fn is_uri(byte: u8) -> bool {
    CLASSES[byte as usize] & URI != 0
}

/// A byte of a URI's user part (§25.1 `user`), a percent sign and a colon among them.
pub(crate) const fn is_user(byte: u8) -> bool {
    CLASSES[byte as usize] & USER != 0
}

const TOKEN: u8 = 1;
const VALUE: u8 = 2;
const URI: u8 = 4;
const USER: u8 = 8;

/// What each byte may be part of, by table: it is asked of each byte of each header.
static CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0u8;
    loop {
        table[byte as usize] = classes(byte);
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

const fn classes(byte: u8) -> u8 {
    let (graphic, word) = (byte.is_ascii_graphic(), byte.is_ascii_alphanumeric());
    let mut classes = 0;
    if word
        || matches!(
            byte,
            b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'
        )
    {
        classes |= TOKEN;
    }
    let ends_value = matches!(byte, b';' | b',' | b'"' | b'<' | b'>' | b'\\');
    if byte >= 0x80 || graphic && !ends_value {
        classes |= VALUE;
    }
    let is_unwise = matches!(byte, b'\\' | b'^' | b'`' | b'{' | b'|' | b'}');
    if graphic && !is_unwise && !matches!(byte, b'<' | b'>' | b'"') {
        classes |= URI;
    }
    let is_mark = matches!(
        byte,
        b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')'
    );
    let is_user_mark = matches!(byte, b'&' | b'=' | b'+' | b'$' | b',' | b';' | b'?' | b'/');
    if word || is_mark || is_user_mark || matches!(byte, b'%' | b':' | b'#') {
        classes |= USER;
    }
    classes
}

/// Splits at the commas that separate values: not those within quotes or angle brackets.
pub(crate) fn split_values(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut from = Some(0);
    std::iter::from_fn(move || {
        let start = from?;
        let rest = text.get(start..)?;
        let length = value_length(rest);
        from = (length < rest.len()).then_some(start + length + 1);
        let value = rest.get(..length)?;
        let lead = value.len() - value.trim_ascii_start().len();
        Some((start + lead, value.trim_ascii()))
    })
}

/// Bytes up to the first separating comma, or to the end.
fn value_length(text: &str) -> usize {
    if memchr::memchr(b',', text.as_bytes()).is_none() {
        return text.len();
    }
    let (mut quoted, mut escaped, mut angled) = (false, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if !angled => quoted = !quoted,
            _ if quoted => {}
            b'<' => angled = true,
            b'>' => angled = false,
            b',' if !angled => return at,
            _ => {}
        }
    }
    text.len()
}
