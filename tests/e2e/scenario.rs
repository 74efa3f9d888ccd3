//! Every scenario by name.

mod smoke;

use anyhow::Result;

use crate::lab::Lab;

/// Which runs have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// Every run, also `make test`.
    Smoke,
    /// `make e2e`.
    Phones,
    /// `make e2e`; takes both cores.
    Load,
}

/// One scenario: `run` gives what it measured, or why it failed.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) group: Group,
    pub(crate) run: fn(&mut Lab) -> Result<String>,
}

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "whole-path-udp",
    what: "trunk, greeting, key, music, agent over UDP, both voices, end, record, recording",
    group: Group::Smoke,
    run: smoke::udp,
}];
