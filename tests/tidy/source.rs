//! The sources as text: read once, with comments, string literals and test modules blanked out.

use std::fs;
use std::path::{Path, PathBuf};

/// One Rust file.
pub(crate) struct File {
    /// From the repository's root, with `/`.
    pub(crate) path: String,
    /// As it stands.
    pub(crate) text: String,
    /// Same length and lines, but comments, literals and test code are spaces.
    pub(crate) code: String,
}

impl File {
    fn new(path: String, text: String) -> Self {
        let mut code = without_comments_and_literals(&text);
        if is_test(&path) {
            code = blank(&code);
        } else {
            blank_test_modules(&mut code);
        }
        Self { path, text, code }
    }

    /// `src/<module>/…` or `src/<module>.rs`.
    pub(crate) fn module(&self) -> Option<&str> {
        let rest = self.path.strip_prefix("src/")?;
        Some(
            rest.split_once('/')
                .map_or_else(|| rest.trim_end_matches(".rs"), |(module, _)| module),
        )
    }

    /// `crates/<crate>/src/…`.
    pub(crate) fn package(&self) -> Option<&str> {
        let (package, rest) = self.path.strip_prefix("crates/")?.split_once('/')?;
        rest.starts_with("src/").then_some(package)
    }
}

/// All Rust files of the repository.
pub(crate) struct Tree {
    pub(crate) files: Vec<File>,
}

impl Tree {
    pub(crate) fn read() -> Self {
        let mut paths = Vec::new();
        for folder in ["src", "crates", "tests", "benches", "fuzz"] {
            walk(&root().join(folder), &mut paths);
        }
        paths.sort();
        let read = |path: &PathBuf| {
            let text = fs::read_to_string(path).unwrap();
            let short = path.strip_prefix(root()).unwrap();
            File::new(short.to_string_lossy().replace('\\', "/"), text)
        };
        Self {
            files: paths.iter().map(read).collect(),
        }
    }

    /// A tree of one file that does not exist.
    pub(crate) fn planted(path: &str, text: &str) -> Self {
        Self {
            files: vec![File::new(path.to_owned(), text.to_owned())],
        }
    }

    /// The files that ship: no tests, benches or fuzz targets.
    pub(crate) fn shipped(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| {
            !is_test(&file.path) && (file.module().is_some() || file.package().is_some())
        })
    }
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The line of a byte offset, from 1.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

/// Every place where `word` stands as a whole word.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |&at| {
            let starts = word.starts_with(|c: char| c.is_alphanumeric());
            let ends = word.ends_with(|c: char| c.is_alphanumeric());
            let joined_before = starts && letter(code[..at].chars().next_back());
            let joined_after = ends && letter(code[at + word.len()..].chars().next());
            !joined_before && !joined_after
        })
}

/// The offset after the bracket that closes the one at `open`.
pub(crate) fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return at + 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    code.len()
}

fn is_test(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let outside = ["tests/", "benches/", "fuzz/"]
        .iter()
        .any(|folder| path.starts_with(folder));
    outside
        || path.contains("/tests/")
        || path.contains("/benches/")
        || path.starts_with("crates/sim/")
        || name == "tests.rs"
        || name.ends_with("_tests.rs")
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn blank(text: &str) -> String {
    text.chars()
        .map(|c| if c == '\n' { c } else { ' ' })
        .collect()
}

fn blank_test_modules(code: &mut String) {
    let mut from = 0;
    while let Some(at) = code[from..].find("#[cfg(test)]").map(|at| from + at) {
        let Some(open) = code[at..].find(['{', ';']).map(|open| at + open) else {
            return;
        };
        let end = if code.as_bytes()[open] == b'{' {
            closing(code, open)
        } else {
            open + 1
        };
        let blanked = blank(&code[at..end]);
        code.replace_range(at..end, &blanked);
        from = at + blanked.len();
    }
}

/// Bytes that are not ASCII become spaces too, so that offsets stay.
fn without_comments_and_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let length = if rest.starts_with(b"//") {
            rest.iter()
                .position(|&byte| byte == b'\n')
                .unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            find(&rest[2..], b"*/").map_or(rest.len(), |end| end + 4)
        } else if let Some(hashes) = raw_string(bytes, at) {
            let opening = hashes + 2;
            let closing = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
            let body = &rest[opening.min(rest.len())..];
            find(body, &closing).map_or(rest.len(), |end| opening + end + closing.len())
        } else if rest[0] == b'"' {
            quoted(rest, b'"')
        } else if rest[0] == b'\'' && is_char(rest) {
            quoted(rest, b'\'')
        } else {
            out.push(if rest[0].is_ascii() { rest[0] } else { b' ' });
            at += 1;
            continue;
        };
        out.extend(
            rest[..length]
                .iter()
                .map(|&byte| if byte == b'\n' { b'\n' } else { b' ' }),
        );
        at += length;
    }
    String::from_utf8(out).unwrap()
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

/// The number of `#` of a raw string that begins here.
fn raw_string(bytes: &[u8], at: usize) -> Option<usize> {
    let before = at.checked_sub(1).map_or(b' ', |before| bytes[before]);
    if bytes[at] != b'r' || (before.is_ascii_alphanumeric() && before != b'b') || before == b'_' {
        return None;
    }
    let hashes = bytes[at + 1..]
        .iter()
        .take_while(|&&byte| byte == b'#')
        .count();
    (bytes.get(at + 1 + hashes) == Some(&b'"')).then_some(hashes)
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Tells a character from a lifetime.
fn is_char(rest: &[u8]) -> bool {
    match rest.get(1) {
        Some(b'\\') => true,
        Some(first) if first.is_ascii() => rest.get(2) == Some(&b'\''),
        Some(_) => true,
        None => false,
    }
}
