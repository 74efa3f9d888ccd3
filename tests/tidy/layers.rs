//! Who may use whom: the table of `docs/ARCHITECTURE.md` as data, and what pure code must not do.

use super::source::{File, Tree, closing, line_of, words};

/// A module of the server, with the modules it may use besides itself.
struct Module {
    name: &'static str,
    may_use: &'static [&'static str],
}

const fn module(name: &'static str, may_use: &'static [&'static str]) -> Module {
    Module { name, may_use }
}

/// In layer order. When the table is wrong, change it here and in the document, with the reason.
const MODULES: &[Module] = &[
    module("explain", &[]),
    module("config", &["explain"]),
    module("telemetry", &["config"]),
    module("io", &["config", "telemetry"]),
    module("access", &["config", "explain"]),
    module("call", &["explain"]),
    module("trunk", &["config", "explain", "access", "call"]),
    module("conference", &["call", "explain"]),
    module(
        "dialplan",
        &["config", "explain", "call", "trunk", "conference"],
    ),
    module("center", &["config", "explain", "call"]),
    module("prompt", &["config", "telemetry", "call"]),
    module(
        "control",
        &[
            "config",
            "explain",
            "access",
            "call",
            "trunk",
            "conference",
            "dialplan",
            "center",
        ],
    ),
    module("trace", &["config", "call", "conference", "control"]),
    module(
        "store",
        &[
            "config",
            "explain",
            "telemetry",
            "call",
            "trunk",
            "dialplan",
            "center",
        ],
    ),
    module(
        "api",
        &[
            "config",
            "explain",
            "telemetry",
            "access",
            "call",
            "trunk",
            "conference",
            "dialplan",
            "center",
            "control",
            "trace",
            "store",
        ],
    ),
    module(
        "face",
        &[
            "explain", "config", "io", "access", "call", "center", "control", "store", "api",
        ],
    ),
    module("server", ANY),
    module("cli", ANY),
    module("demo", ANY),
    module("main", ANY),
    module("lib", ANY),
];

const ANY: &[&str] = &["*"];

/// Single edges against the table, each with its reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "io",
        "call::media",
        "io::media carries out the interface that a call asks its ports through",
    ),
    ("io", "call::MediaPlane", "the same, by its re-export"),
    (
        "io",
        "trunk::names",
        "io::dns answers the questions that a trunk's names ask",
    ),
];

/// What each pure crate may name from outside.
const PURE_CRATES: &[&str] = &["clock", "media", "sip", "voice", "webrtc"];
/// Modules that are state machines: they never await and touch nothing.
const PURE_MODULES: &[&str] = &[
    "explain",
    "access",
    "call",
    "trunk",
    "conference",
    "dialplan",
    "center",
    "control",
    "trace",
];

/// What pure code must not name, and why.
const BANS: &[(&str, &str)] = &[
    ("async fn", "a state machine never waits"),
    (".await", "a state machine never waits"),
    ("tokio", "the runtime belongs to the edge"),
    ("std::fs", "files are read at the edge"),
    ("std::thread", "threads belong to the edge"),
    ("std::process", "processes belong to the edge"),
    ("std::env", "the environment is read at the edge"),
    ("Instant::now", "time is injected"),
    ("SystemTime::now", "wall time comes with the input"),
    ("Zoned::now", "wall time comes with the input"),
    ("Timestamp::now", "wall time comes with the input"),
    ("getrandom", "random numbers come from a seed"),
    ("UdpSocket", "sockets belong to the edge"),
    ("TcpStream", "sockets belong to the edge"),
    ("TcpListener", "sockets belong to the edge"),
    ("Mutex", "one writer per datum"),
    ("RwLock", "one writer per datum"),
    ("parking_lot", "one writer per datum"),
    ("sqlx", "nothing waits on a store"),
    ("axum", "the API is another layer"),
    (
        "anyhow",
        "an error is a small enum that says whose fault it is",
    ),
];

/// Files of pure modules that may break one ban, each with its reason.
const BAN_EXCEPTIONS: &[(&str, &str, &str)] = &[];

/// Breaches of the table among the modules of the server.
pub(crate) fn edges(tree: &Tree) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in tree.shipped() {
        let Some(module) = MODULES
            .iter()
            .find(|known| Some(known.name) == file.module())
        else {
            continue;
        };
        for (target, at) in targets(&file.code) {
            let head = target.split("::").next().unwrap_or_default();
            let allowed =
                head == module.name || module.may_use == ANY || module.may_use.contains(&head);
            let excepted = EXCEPTIONS
                .iter()
                .any(|(from, to, _)| *from == module.name && is_under(&target, to));
            let known = MODULES.iter().any(|known| known.name == head);
            if known && !allowed && !excepted {
                let line = line_of(&file.code, at);
                breaches.push(format!(
                    "{}:{line}: {} may not use {target}",
                    file.path, module.name
                ));
            }
        }
    }
    breaches
}

/// Modules that the table does not know.
pub(crate) fn unlisted(tree: &Tree) -> Vec<String> {
    let mut modules: Vec<&str> = tree.shipped().filter_map(File::module).collect();
    modules.dedup();
    modules.retain(|module| !MODULES.iter().any(|known| known.name == *module));
    modules.into_iter().map(str::to_owned).collect()
}

/// What pure crates and modules do that they must not.
pub(crate) fn bans(tree: &Tree) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in tree.shipped() {
        let pure = file
            .package()
            .is_some_and(|package| PURE_CRATES.contains(&package))
            || file
                .module()
                .is_some_and(|module| PURE_MODULES.contains(&module));
        if !pure {
            continue;
        }
        for (ban, reason) in BANS {
            let excepted = BAN_EXCEPTIONS
                .iter()
                .any(|(path, what, _)| *path == file.path && what == ban);
            if excepted {
                continue;
            }
            for at in words(&file.code, ban) {
                let line = line_of(&file.code, at);
                breaches.push(format!("{}:{line}: {ban}: {reason}", file.path));
            }
        }
    }
    breaches
}

fn is_under(target: &str, path: &str) -> bool {
    target == path
        || target
            .strip_prefix(path)
            .is_some_and(|rest| rest.starts_with("::"))
}

/// Every `crate::a::b`, groups such as `crate::{a::b, c}` taken apart at their first level.
fn targets(code: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for at in words(code, "crate::") {
        let after = at + "crate::".len();
        if code[after..].starts_with('{') {
            let group = &code[after + 1..closing(code, after).saturating_sub(1)];
            let mut depth = 0;
            let mut begin = 0;
            for (offset, c) in group.char_indices().chain([(group.len(), ',')]) {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        found.push((path_of(group[begin..offset].trim()), at));
                        begin = offset + 1;
                    }
                    _ => {}
                }
            }
        } else {
            found.push((path_of(&code[after..]), at));
        }
    }
    found.retain(|(target, _)| !target.is_empty());
    found
}

fn path_of(text: &str) -> String {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
    text[..end.unwrap_or(text.len())]
        .trim_end_matches(':')
        .to_owned()
}
