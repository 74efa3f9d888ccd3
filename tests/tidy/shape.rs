//! How the sources look: headers, names, lints, `unsafe`, and what is largest.

use super::source::{File, Tree, closing, line_of, words};

/// Where `unsafe` may stand: two places at most, each with its proof.
const UNSAFE: &[&str] = &[
    "tests/no_alloc.rs",
    "crates/media/src/codec/opus/libopus.rs",
];

/// A concept is missing where a file bears one of these names.
const EMPTY_NAMES: &[&str] = &[
    "utils", "util", "common", "helpers", "helper", "types", "manager", "handler", "misc",
];

pub(crate) fn unsafe_code(tree: &Tree) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in tree
        .shipped()
        .filter(|file| !UNSAFE.contains(&file.path.as_str()))
    {
        for at in words(&file.code, "unsafe") {
            breaches.push(format!("{}:{}", file.path, line_of(&file.code, at)));
        }
    }
    breaches
}

pub(crate) fn headers(tree: &Tree) -> Vec<String> {
    let silent = |file: &&File| {
        !file
            .text
            .trim_start_matches("#!")
            .trim_start()
            .starts_with("//!")
    };
    tree.shipped()
        .filter(silent)
        .map(|file| file.path.clone())
        .collect()
}

pub(crate) fn names(tree: &Tree) -> Vec<String> {
    let empty = |file: &&File| {
        file.path
            .trim_end_matches(".rs")
            .split('/')
            .any(|part| EMPTY_NAMES.contains(&part))
    };
    tree.files
        .iter()
        .filter(empty)
        .map(|file| file.path.clone())
        .collect()
}

pub(crate) fn allows(tree: &Tree) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in tree.shipped() {
        for bare in ["#[allow(", "#![allow("] {
            for (at, _) in file.code.match_indices(bare) {
                breaches.push(format!("{}:{}", file.path, line_of(&file.code, at)));
            }
        }
    }
    breaches
}

/// The largest files and functions that ship.
pub(crate) fn largest(tree: &Tree) -> String {
    let mut files = Vec::new();
    let mut functions = Vec::new();
    for file in tree.shipped() {
        let lines = file
            .code
            .lines()
            .filter(|line| !line.trim().is_empty())
            .count();
        files.push((lines, file.path.clone()));
        for at in words(&file.code, "fn") {
            let rest = &file.code[at..];
            let Some(open) = rest.find(['{', ';']) else {
                continue;
            };
            if rest.as_bytes()[open] == b'{' {
                let end = closing(&file.code, at + open);
                let (first, last) = (line_of(&file.code, at), line_of(&file.code, end));
                let name: String = rest[2..]
                    .trim_start()
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                functions.push((last - first + 1, format!("{}:{first} {name}", file.path)));
            }
        }
    }
    let mut report = String::from("largest files (lines of code, without tests and comments):\n");
    for list in [&mut files, &mut functions] {
        list.sort_by(|a, b| b.cmp(a));
        list.truncate(10);
    }
    for (lines, what) in files {
        report.push_str(&format!("  {lines:5}  {what}\n"));
    }
    report.push_str("largest functions:\n");
    for (lines, what) in functions {
        report.push_str(&format!("  {lines:5}  {what}\n"));
    }
    report
}
