//! The characters of KDL 2: spaces, comments, words, texts and numbers.

use super::Value;
/// What is wrong with a value, and how many bytes of it.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) length: usize,
    pub(super) message: String,
    pub(super) fix: String,
    /// It goes on to the end of its line, whatever stands there.
    pub(super) swallows: bool,
}

/// A place in a text.
pub(super) struct Scanner<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let at = if text.starts_with('\u{feff}') { 3 } else { 0 };
        Self { text, at }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or("")
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    pub(super) fn take(&mut self, token: &str) -> bool {
        let here = self.rest().starts_with(token);
        if here {
            self.at += token.len();
        }
        here
    }

    /// Advances by up to `length` bytes, to the next boundary of a character.
    pub(super) fn advance(&mut self, length: usize) {
        self.at = (self.at + length).min(self.text.len());
        while !self.text.is_char_boundary(self.at) {
            self.at += 1;
        }
    }

    pub(super) fn rewind(&mut self, at: usize) {
        self.at = at;
    }

    pub(super) fn finish(&mut self) {
        self.at = self.text.len();
    }

    /// The line of a byte, from 1; for messages only.
    pub(super) fn line(&self, offset: u32) -> usize {
        let before = self.text.get(..offset as usize).unwrap_or("");
        before.matches('\n').count() + 1
    }

    /// The column of a node that is the first of its line; a tab counts as four.
    pub(super) fn indentation(&self, start: usize) -> Option<u32> {
        let before = self.text.get(..start)?;
        let line = before.rsplit('\n').next().unwrap_or(before);
        let blank = line
            .chars()
            .all(|c| c == ' ' || c == '\t' || c == '\u{feff}');
        let width = |c| if c == '\t' { 4 } else { u32::from(c == ' ') };
        blank.then(|| line.chars().map(width).sum())
    }

    /// Skips spaces, comments and continued lines; with `lines`, line ends too. An unclosed
    /// comment is an error with its beginning.
    pub(super) fn skip_spaces(&mut self, lines: bool) -> Result<(), usize> {
        loop {
            match self.peek() {
                Some(c) if is_space(c) => _ = self.bump(),
                Some(c) if lines && is_newline(c) => _ = self.bump(),
                Some('/') if self.rest().starts_with("//") => self.skip_to_line_end(),
                Some('/') if self.rest().starts_with("/*") => self.skip_comment()?,
                Some('\\') if self.continues()? => {}
                _ => return Ok(()),
            }
        }
    }

    fn skip_to_line_end(&mut self) {
        let end = self.rest().find(is_newline);
        self.at += end.unwrap_or(self.rest().len());
    }

    /// A nested `/* … */`.
    fn skip_comment(&mut self) -> Result<(), usize> {
        let start = self.at;
        let mut depth = 0usize;
        loop {
            if self.take("/*") {
                depth += 1;
            } else if self.take("*/") {
                depth -= 1;
                if depth == 0 {
                    return Ok(());
                }
            } else if self.bump().is_none() {
                return Err(start);
            }
        }
    }

    /// A `\` before the end of its line joins the next line to this one.
    fn continues(&mut self) -> Result<bool, usize> {
        let start = self.at;
        self.bump();
        loop {
            if self.peek().is_some_and(is_space) {
                self.bump();
            } else if self.rest().starts_with("/*") {
                self.skip_comment()?;
            } else {
                break;
            }
        }
        if self.rest().starts_with("//") {
            self.skip_to_line_end();
        }
        if self.take("\r\n") || self.peek().is_none() {
            return Ok(true);
        }
        if self.peek().is_some_and(is_newline) {
            self.bump();
            return Ok(true);
        }
        self.at = start;
        Ok(false)
    }

    /// One value: a text, a word, a number or a keyword. On an error the place is unchanged,
    /// except that an unclosed text is skipped to the end of its line.
    pub(super) fn value(&mut self) -> Result<Value, Mistake> {
        let rest = self.rest();
        let mut chars = rest.chars();
        match (chars.next(), chars.next()) {
            (Some('"'), _) => self.quoted(),
            (Some('#'), Some('"' | '#')) => self.raw(),
            (Some('#'), _) => self.keyword(),
            (Some(c), _) if c.is_ascii_digit() => self.number(),
            (Some('+' | '-'), Some(c)) if c.is_ascii_digit() => self.number(),
            (Some('.'), Some(c)) if c.is_ascii_digit() => self.number(),
            (Some('+' | '-'), Some('.')) if chars.next().is_some_and(|c| c.is_ascii_digit()) => {
                self.number()
            }
            _ => self.bare_word(),
        }
    }

    fn word_length(&self) -> usize {
        let rest = self.rest();
        rest.find(|c| !is_word(c)).unwrap_or(rest.len())
    }

    fn bare_word(&mut self) -> Result<Value, Mistake> {
        let length = self.word_length();
        let word = self.rest().get(..length).unwrap_or("");
        if word.is_empty() {
            let odd = self.peek().unwrap_or(' ');
            return Err(mistake(
                odd.len_utf8(),
                format!("`{odd}` has no meaning here"),
                "put texts in double quotes: \"…\"",
            ));
        }
        if matches!(word, "true" | "false" | "null" | "inf" | "-inf" | "nan") {
            return Err(mistake(
                length,
                format!("a bare `{word}` is not allowed in KDL 2"),
                &format!("write `#{word}`"),
            ));
        }
        self.at += length;
        Ok(Value::Text(word.to_owned()))
    }

    fn keyword(&mut self) -> Result<Value, Mistake> {
        let rest = self.rest();
        let length = 1 + rest
            .get(1..)
            .map_or(0, |r| r.find(|c| !is_word(c)).unwrap_or(r.len()));
        let word = rest.get(..length).unwrap_or("");
        let value = match word {
            "#true" => Value::Truth(true),
            "#false" => Value::Truth(false),
            "#null" => Value::Null,
            "#inf" => Value::Real(f64::INFINITY),
            "#-inf" => Value::Real(f64::NEG_INFINITY),
            "#nan" => Value::Real(f64::NAN),
            _ => {
                let message = format!("`{word}` is no value");
                let fix = "write #true, #false, or put the key in quotes: \"#\"";
                return Err(mistake(length, message, fix));
            }
        };
        self.at += length;
        Ok(value)
    }

    fn number(&mut self) -> Result<Value, Mistake> {
        let length = self.word_length();
        let word = self.rest().get(..length).unwrap_or("");
        let Some(value) = parse_number(word) else {
            let message = format!("`{word}` is neither a number nor a text");
            return Err(mistake(length, message, &format!("write \"{word}\"")));
        };
        self.at += length;
        Ok(value)
    }

    fn quoted(&mut self) -> Result<Value, Mistake> {
        if self.rest().starts_with("\"\"\"") {
            return self.multi_line(0);
        }
        let start = self.at;
        self.bump();
        let mut text = String::new();
        loop {
            match self.peek() {
                None => return Err(self.unclosed(start)),
                Some(c) if is_newline(c) => return Err(self.unclosed(start)),
                Some('"') => {
                    self.bump();
                    return Ok(Value::Text(text));
                }
                Some('\\') => self.escape(&mut text)?,
                Some(c) => {
                    text.push(c);
                    self.bump();
                }
            }
        }
    }

    fn unclosed(&self, start: usize) -> Mistake {
        let message = "this text is never closed".to_owned();
        let fix = "add `\"` at the end of the text";
        Mistake {
            swallows: true,
            ..mistake(self.at - start, message, fix)
        }
    }

    /// An escape within a text, after whose `\` may come a stretch of white space to leave out.
    fn escape(&mut self, text: &mut String) -> Result<(), Mistake> {
        let start = self.at;
        self.bump();
        let c = self.bump();
        let simple = match c {
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('s') => ' ',
            Some('"') => '"',
            Some('\\') => '\\',
            Some('u') => {
                let digits = self
                    .rest()
                    .strip_prefix('{')
                    .and_then(|r| r.split('}').next());
                let code = digits.filter(|d| (1..=6).contains(&d.len()));
                let code = code.and_then(|d| u32::from_str_radix(d, 16).ok());
                let Some(c) = code.and_then(char::from_u32) else {
                    let message = "`\\u` wants a character's code: \\u{e9}".to_owned();
                    return Err(mistake(2, message, "write `\\\\` for a backslash"));
                };
                self.at += digits.map_or(0, str::len) + 2;
                c
            }
            Some(c) if is_space(c) || is_newline(c) => {
                while self.peek().is_some_and(|c| is_space(c) || is_newline(c)) {
                    self.bump();
                }
                return Ok(());
            }
            _ => {
                let length = self.at - start;
                let message = "a backslash begins no known escape here".to_owned();
                return Err(mistake(length, message, "write `\\\\` for a backslash"));
            }
        };
        text.push(simple);
        Ok(())
    }

    /// `#"…"#`, in which nothing is escaped.
    fn raw(&mut self) -> Result<Value, Mistake> {
        let start = self.at;
        let rest = self.rest();
        let hashes = rest.len() - rest.trim_start_matches('#').len();
        if rest.get(hashes..).is_some_and(|r| r.starts_with("\"\"\"")) {
            return self.multi_line(hashes);
        }
        let close = format!("\"{}", "#".repeat(hashes));
        let body = rest.get(hashes + 1..).unwrap_or("");
        let line_end = body.find(is_newline).unwrap_or(body.len());
        match body.get(..line_end).and_then(|line| line.find(&close)) {
            Some(end) if rest.get(hashes..=hashes) == Some("\"") => {
                self.at += hashes + 1 + end + close.len();
                Ok(Value::Text(body.get(..end).unwrap_or("").to_owned()))
            }
            _ => {
                self.at += hashes + 1 + line_end;
                Err(self.unclosed(start))
            }
        }
    }

    /// A text over several lines, its common indentation (that of the closing line) removed.
    fn multi_line(&mut self, hashes: usize) -> Result<Value, Mistake> {
        let start = self.at;
        let close = format!("\"\"\"{}", "#".repeat(hashes));
        let rest = self.rest();
        let body = rest.get(hashes + 3..).unwrap_or("");
        let Some(end) = body.find(&close) else {
            self.finish();
            return Err(mistake(
                hashes + 3,
                "this text is never closed".to_owned(),
                &format!("add a line with {close}"),
            ));
        };
        let inner = body.get(..end).unwrap_or("").replace("\r\n", "\n");
        let inner = inner.replace(is_newline, "\n");
        let indent = inner.rsplit('\n').next().unwrap_or("").to_owned();
        let opens_line = inner.starts_with('\n');
        self.at += hashes + 3 + end + close.len();
        if !opens_line || !indent.chars().all(is_space) {
            let message = "the quotes of a long text stand on lines of their own".to_owned();
            self.at = start;
            self.advance(hashes + 3 + end + close.len());
            return Err(mistake(
                hashes + 3,
                message,
                "begin and end it with a line of \"\"\"",
            ));
        }
        let strip = |line: &str| line.strip_prefix(&indent).unwrap_or(line.trim()).to_owned();
        let lines: Vec<String> = inner.split('\n').skip(1).map(strip).collect();
        let kept = lines.split_last().map_or(&[][..], |(_, kept)| kept);
        let joined = kept.join("\n");
        if hashes > 0 {
            return Ok(Value::Text(joined));
        }
        let mut inner = Scanner::new(&joined);
        let mut text = String::new();
        while let Some(c) = inner.peek() {
            if c == '\\' {
                inner.escape(&mut text)?;
            } else {
                text.push(c);
                inner.bump();
            }
        }
        Ok(Value::Text(text))
    }
}

fn mistake(length: usize, message: String, fix: &str) -> Mistake {
    Mistake {
        length,
        message,
        fix: fix.to_owned(),
        swallows: false,
    }
}

fn parse_number(word: &str) -> Option<Value> {
    let clean = word.replace('_', "");
    let (sign, digits) = match clean.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", clean.strip_prefix('+').unwrap_or(&clean)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let radixes = [("0x", 16), ("0o", 8), ("0b", 2)];
    for (prefix, radix) in radixes {
        if let Some(digits) = digits.strip_prefix(prefix) {
            let number = i64::from_str_radix(&format!("{sign}{digits}"), radix);
            return number.ok().map(Value::Integer);
        }
    }
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        let number = format!("{sign}{digits}").parse();
        return number.ok().map(Value::Integer);
    }
    let is_real = digits
        .bytes()
        .all(|b| b.is_ascii_digit() || b"eE+-.".contains(&b));
    let number = format!("{sign}{digits}").parse();
    number.ok().filter(|_| is_real).map(Value::Real)
}

fn is_space(c: char) -> bool {
    matches!(
        c,
        ' ' | '\t' | '\u{a0}' | '\u{1680}' | '\u{2000}'
            ..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

pub(super) fn is_newline(c: char) -> bool {
    matches!(
        c,
        '\n' | '\r' | '\u{85}' | '\u{b}' | '\u{c}' | '\u{2028}' | '\u{2029}'
    )
}

fn is_word(c: char) -> bool {
    let special = matches!(
        c,
        '\\' | '/' | '(' | ')' | '{' | '}' | ';' | '[' | ']' | '"' | '#' | '='
    );
    !special && !is_space(c) && !is_newline(c) && !c.is_control() && c != '\u{feff}'
}
