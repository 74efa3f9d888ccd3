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
        agents: set(&["alice", "anna", "ben", "bob", "carol", "chloe", "mario"]),
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

const EXAMPLES: [(&str, &str); 4] = [
    (
        "contact-centre.kdl",
        include_str!("../../dialplans/contact-centre/contact-centre.kdl"),
    ),
    (
        "restaurant.kdl",
        include_str!("../../dialplans/restaurant/restaurant.kdl"),
    ),
    (
        "first-call.kdl",
        include_str!("../../dialplans/first-call.kdl"),
    ),
    ("demo.kdl", include_str!("../../dialplans/demo/demo.kdl")),
];

#[test]
fn the_first_dialplan_names_nothing_that_a_configuration_would_have_to_hold() {
    let facts = Facts {
        prompts: Some(BTreeSet::new()),
        endpoints: Some(BTreeSet::new()),
        trunks: Some(BTreeSet::new()),
        agents: Some(BTreeSet::new()),
        speech: Speech::Missing,
        ..Facts::default()
    };
    let plan = Plan::compile(&[file(EXAMPLES[2].0, EXAMPLES[2].1)], &facts).unwrap();
    assert_eq!(plan.queues()[0].agents, Vec::<String>::new());
    let files = [file(EXAMPLES[2].0, EXAMPLES[2].1)];
    let served = Plan::compile(&files, &example_facts()).unwrap();
    assert_eq!(
        served.queues()[0].agents,
        ["alice", "anna", "ben", "bob", "carol", "chloe", "mario"]
    );
    let codes: Vec<Code> = plan.warnings().iter().map(|d| d.code).collect();
    assert_eq!(codes, [Code::SpeechUnavailable]);
}

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
