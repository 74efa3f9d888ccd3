//! The README's commands: each is one that a test or the continuous integration executes.
//!
//! A command that nobody runs rots. What is written here beside each is where it is run; a command
//! that is not in the table, or whose target is gone from the Makefile, fails.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::process::Command;

/// A README command, and what executes it.
const EXECUTED: [(&str, &str); 7] = [
    ("make run", "the demo's own test below, and `tests/e2e`"),
    ("make test", "`.ci/run`"),
    ("make check", "`.ci/run`"),
    ("make e2e", "its smoke part in `make test`"),
    ("make sim", "its fixed seeds in `tests/it`, by `make test`"),
    ("make bench", "every bench is compiled by `make check`"),
    (
        "make fuzz",
        "its bodies with fewer mutations, by `make test`",
    ),
];

fn commands() -> Vec<String> {
    let readme = include_str!("../README.md");
    let mut inside = false;
    let mut found = Vec::new();
    for line in readme.lines() {
        if line.starts_with("```") {
            inside = line.starts_with("```console");
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| inside) {
            found.push(
                command
                    .split('#')
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .to_owned(),
            );
        }
    }
    found
}

#[test]
fn every_command_of_the_readme_is_executed_somewhere_and_its_target_exists() {
    let commands = commands();
    assert!(commands.len() >= 2, "{commands:?}");
    for command in commands {
        let known = EXECUTED.iter().any(|(known, _)| *known == command);
        assert!(
            known,
            "README says `{command}`: add what executes it to this table"
        );
        let target = command.strip_prefix("make ").unwrap();
        let dry = Command::new("make")
            .args(["-n", target])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&dry.stderr);
        assert!(dry.status.success(), "`{command}`: {errors}");
    }
}

/// What `make run` starts, until one call was bridged and recorded; on ports of its own.
#[test]
fn the_demo_brings_a_recorded_call_in_which_each_party_heard_the_other() {
    let home = std::env::temp_dir().join(format!("tandem-demo-{}", std::process::id()));
    std::fs::create_dir_all(&home).unwrap();
    let demo = Command::new(env!("CARGO_BIN_EXE_tandem"))
        .args(["demo", "--calls", "1"])
        .current_dir(&home)
        .env("TANDEM_SIP__UDP", "127.0.7.1:5060")
        .env("TANDEM_SIP__TCP", "127.0.7.1:5060")
        .env("TANDEM_SIP__TLS", "127.0.7.1:5061")
        .env("TANDEM_RTP__BIND", "127.0.7.1")
        .env("TANDEM_HTTP__LISTEN", "127.0.7.1:0")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&demo.stdout).into_owned();
    let errors = String::from_utf8_lossy(&demo.stderr);
    assert!(demo.status.success(), "{said}\n{errors}");
    assert!(
        said.contains("talks to") && said.contains("heard"),
        "{said}"
    );
    let file = said
        .lines()
        .find(|line| line.trim().ends_with(".wav"))
        .unwrap();
    let bytes = std::fs::metadata(home.join(file.trim())).unwrap().len();
    assert!(
        bytes > 8_000 * 4,
        "a second of stereo at least, have {bytes} bytes"
    );
    std::fs::remove_dir_all(&home).unwrap();
}
