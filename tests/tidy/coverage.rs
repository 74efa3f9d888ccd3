//! `docs/rfc.md` and `docs/seeds.md`: which test shows which section, and which statement.
//!
//! A test says so on the line above it: `// covers: RFC 3261 §17.1.1.2, §17.1.1.3, S3-08`. A section
//! without a number of its own belongs to the RFC before it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::source::{Tree, root};

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    /// RFC number, and section as numbers so that 9 sorts before 10.
    Rfc(u32, Vec<u32>),
    Seed(String),
}

/// Compares both documents with what the tests claim, or writes them.
pub(crate) fn check(tree: &Tree) -> Vec<String> {
    let (claims, mut breaches) = collect(tree);
    let seeds = fs::read_to_string(root().join("tests/data/seeds.txt")).unwrap();
    for claim in claims.keys() {
        if let Claim::Seed(id) = claim
            && !seeds
                .lines()
                .any(|line| line.split('\t').next() == Some(id))
        {
            breaches.push(format!("no statement has the id {id}"));
        }
    }
    for (name, wanted) in [
        ("docs/rfc.md", rfcs(&claims)),
        ("docs/seeds.md", statements(&claims, &seeds)),
    ] {
        let path = root().join(name);
        if std::env::var_os("TANDEM_BLESS").is_some() {
            fs::write(&path, wanted).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != wanted {
            breaches.push(format!("{name} is not what the tests say"));
        }
    }
    breaches
}

type Claims = BTreeMap<Claim, BTreeSet<String>>;

fn collect(tree: &Tree) -> (Claims, Vec<String>) {
    let mut claims = Claims::new();
    let mut breaches = Vec::new();
    for file in tree
        .files
        .iter()
        .filter(|file| !file.path.starts_with("tests/tidy"))
    {
        let mut pending: Vec<(usize, &str)> = Vec::new();
        for (number, line) in file.text.lines().enumerate() {
            let line = line.trim();
            let said = line
                .strip_prefix("/// covers:")
                .or_else(|| line.strip_prefix("// covers:"));
            if let Some(said) = said {
                pending.push((number + 1, said));
            } else if let Some(name) = function(line) {
                for (number, said) in pending.drain(..) {
                    match parse(said) {
                        Ok(found) => {
                            for claim in found {
                                let test = format!("`{}` {name}", place(&file.path));
                                claims.entry(claim).or_default().insert(test);
                            }
                        }
                        Err(part) => breaches.push(format!("{}:{number}: {part:?}", file.path)),
                    }
                }
            }
        }
        for (number, said) in pending {
            breaches.push(format!("{}:{number}: no test follows {said:?}", file.path));
        }
    }
    (claims, breaches)
}

fn function(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let line = line.strip_prefix("async ").unwrap_or(line);
    let rest = line.strip_prefix("fn ")?;
    rest.split(['(', '<']).next()
}

/// `crates/sip/src/ua/tests.rs` is `sip::ua`; `src/io/net/tests.rs` is `io::net`.
fn place(path: &str) -> String {
    let path = path.trim_end_matches(".rs").replace("/src/", "/");
    let path = path
        .trim_start_matches("crates/")
        .trim_start_matches("src/");
    let path = path
        .trim_end_matches("/tests")
        .trim_end_matches("/mod")
        .trim_end_matches("/lib");
    path.replace('/', "::")
}

fn parse(said: &str) -> Result<Vec<Claim>, String> {
    let mut claims = Vec::new();
    let mut rfc = None;
    for part in said
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let wrong = || part.to_owned();
        if let Some(rest) = part.strip_prefix("RFC") {
            let (number, section) = rest.split_once('§').unwrap_or((rest, ""));
            rfc = Some(number.trim().parse::<u32>().map_err(|_| wrong())?);
            claims.push(Claim::Rfc(
                rfc.unwrap_or_default(),
                numbers(section).ok_or_else(wrong)?,
            ));
        } else if let Some(section) = part.strip_prefix('§') {
            let rfc = rfc.ok_or_else(wrong)?;
            claims.push(Claim::Rfc(rfc, numbers(section).ok_or_else(wrong)?));
        } else if part.starts_with('S') && part.contains('-') {
            claims.push(Claim::Seed(part.to_owned()));
        } else {
            return Err(wrong());
        }
    }
    Ok(claims)
}

/// `17.1.1.2` as numbers; an appendix `A.2` begins with 1,000 and its letter.
fn numbers(section: &str) -> Option<Vec<u32>> {
    let number = |part: &str| match part.chars().next() {
        Some(letter @ 'A'..='Z') if part.len() == 1 => Some(1_000 + u32::from(letter)),
        _ => part.parse().ok(),
    };
    section
        .trim()
        .split('.')
        .filter(|part| !part.is_empty())
        .map(number)
        .collect()
}

fn section(numbers: &[u32]) -> String {
    let part = |&number: &u32| match number.checked_sub(1_000).and_then(char::from_u32) {
        Some(letter) => letter.to_string(),
        None => number.to_string(),
    };
    if numbers.is_empty() {
        return "as a whole".to_owned();
    }
    format!(
        "§{}",
        numbers.iter().map(part).collect::<Vec<_>>().join(".")
    )
}

fn rfcs(claims: &Claims) -> String {
    let mut text = String::from(
        "# RFC coverage\n\nMade from the `// covers:` lines of the tests; \
         `make bless` writes it anew.\n",
    );
    let mut last = 0;
    for (claim, tests) in claims {
        let Claim::Rfc(rfc, numbers) = claim else {
            continue;
        };
        if *rfc != last {
            text.push_str(&format!(
                "\n## RFC {rfc}\n\n| section | shown by |\n|---|---|\n"
            ));
            last = *rfc;
        }
        text.push_str(&format!("| {} | {} |\n", section(numbers), joined(tests)));
    }
    text
}

fn statements(claims: &Claims, seeds: &str) -> String {
    let shown = |id: &str| claims.get(&Claim::Seed(id.to_owned()));
    let ids: Vec<&str> = seeds
        .lines()
        .filter_map(|line| line.split('\t').next())
        .collect();
    let count = ids.iter().filter(|id| shown(id).is_some()).count();
    let mut text = format!(
        "# What Tandem is to do\n\nEach statement with the test that shows it: {count} of {} are shown. \
         Made from `tests/data/seeds.txt`\nand the `// covers:` lines of the tests; \
         `make bless` writes it anew.\n\n\
         | id | statement | shown by |\n|---|---|---|\n",
        ids.len()
    );
    for line in seeds.lines() {
        let Some((id, statement)) = line.split_once('\t') else {
            continue;
        };
        let tests = shown(id).map_or_else(|| "not yet".to_owned(), joined);
        text.push_str(&format!("| {id} | {statement} | {tests} |\n"));
    }
    text
}

fn joined(tests: &BTreeSet<String>) -> String {
    tests
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join("<br>")
}
