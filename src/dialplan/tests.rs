//! The examples that ship, and what the other tests share.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::cli::{TestOptions, test};
use super::*;

mod mistakes;
mod walks;

/// The endpoints, trunks and agents that the example dialplans are made for.
pub(crate) fn example_facts() -> Facts {
    let set = |names: &[&str]| {
        Some(
            names
                .iter()
                .map(|n| (*n).to_owned())
                .collect::<BTreeSet<_>>(),
        )
    };
    Facts {
        prompts: Some(BTreeSet::new()),
        endpoints: set(&["alice", "bob", "carol", "operator", "mario"]),
        trunks: set(&["carrier"]),
        agents: set(&["alice", "bob", "carol", "mario"]),
        ..Facts::default()
    }
}

fn file(name: &str, text: &str) -> (PathBuf, String) {
    (PathBuf::from(name), text.to_owned())
}

fn plan(text: &str) -> Plan {
    match Plan::compile(&[file("plan.kdl", text)], &example_facts()) {
        Ok(plan) => plan,
        Err(found) => panic!(
            "{}",
            found.iter().map(|d| format!("{d}\n")).collect::<String>()
        ),
    }
}

const EXAMPLES: [(&str, &str); 2] = [
    (
        "contact-centre.kdl",
        include_str!("../../dialplans/contact-centre.kdl"),
    ),
    (
        "restaurant.kdl",
        include_str!("../../dialplans/restaurant.kdl"),
    ),
];

#[test]
fn the_example_dialplans_have_no_mistake_and_their_tests_take_every_transition() {
    for (name, text) in EXAMPLES {
        let files = [file(name, text)];
        let report = test(&files, &example_facts(), &TestOptions::default());
        let report = report.unwrap_or_else(|found| panic!("{found:#?}"));
        assert_eq!(report.failures(), 0, "{report}");
        assert_eq!(report.coverage.missing, Vec::<String>::new(), "{report}");
        assert_eq!(plan(text).warnings(), []);
    }
}
