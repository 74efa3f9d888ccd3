//! The centre by scenario, and by random operations against what it promises: here, what all of them set it up
//! with and look at it by.

mod desk;
mod offering;
mod random;
mod reloading;
mod waiting;

use std::collections::BTreeSet;

use clock::{Duration, Now};

use super::*;
use crate::call::CallId;

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn at(n: u64) -> Now {
    Now::ZERO + secs(n)
}

fn agent(name: &str) -> AgentConfig {
    AgentConfig {
        id: name.into(),
        endpoint: name.to_owned(),
        wish: Wish::Available,
    }
}

fn queue(name: &str, agents: &[&str]) -> QueueConfig {
    let agents = agents.iter().map(|name| AgentId::from(*name)).collect();
    QueueConfig {
        agents,
        ..QueueConfig::named(name)
    }
}

/// A centre with those queues, whose agents can all be rung, one second longer idle by turn.
fn center(queues: Vec<QueueConfig>) -> Center {
    let mut center = Center::new();
    let names: BTreeSet<AgentId> = queues.iter().flat_map(|q| q.agents.clone()).collect();
    let agents: Vec<AgentConfig> = names.iter().map(|id| agent(id.as_str())).collect();
    center.handle(Now::ZERO, Input::Configure { queues, agents });
    for id in names {
        center.handle(
            Now::ZERO,
            Input::AgentReachable {
                agent: id,
                yes: true,
            },
        );
    }
    drain(&mut center);
    center
}

fn drain(center: &mut Center) -> Vec<Output> {
    std::iter::from_fn(|| center.poll_output()).collect()
}

/// What the centre says to `input` of calls, without what it tells of agents alone.
fn tell(center: &mut Center, now: Now, input: Input) -> Vec<Output> {
    center.handle(now, input);
    let told = drain(center).into_iter();
    told.filter(|o| !matches!(o, Output::AgentChanged { .. } | Output::Missed { .. }))
        .collect()
}

fn join(call: u64, queue: &str) -> Input {
    Input::Join {
        call: CallId(call),
        queue: queue.to_owned(),
        priority: 0,
        max_wait: None,
    }
}

fn urgent(call: u64, queue: &str, priority: i32) -> Input {
    Input::Join {
        call: CallId(call),
        queue: queue.to_owned(),
        priority,
        max_wait: None,
    }
}

fn accepted(call: u64, agent: &str) -> Input {
    Input::Accepted {
        call: CallId(call),
        agent: agent.into(),
    }
}

fn declined(call: u64, agent: &str, why: Declined) -> Input {
    Input::Declined {
        call: CallId(call),
        agent: agent.into(),
        why,
    }
}

fn released(agent: &str) -> Input {
    Input::Released {
        agent: agent.into(),
    }
}

/// Who rings for whom after those outputs.
fn offers(outputs: &[Output]) -> Vec<(u64, String)> {
    let offer = |o: &Output| match o {
        Output::Offer { call, agent, .. } => Some((call.0, agent.to_string())),
        _ => None,
    };
    outputs.iter().filter_map(offer).collect()
}

fn offer(call: u64, agent: &str) -> Vec<(u64, String)> {
    vec![(call, agent.to_owned())]
}

fn endings(outputs: &[Output]) -> Vec<(u64, Left)> {
    let ending = |o: &Output| match o {
        Output::Left { call, why, .. } => Some((call.0, *why)),
        _ => None,
    };
    outputs.iter().filter_map(ending).collect()
}

fn state(center: &Center, now: Now, name: &str) -> AgentState {
    let agents = center.snapshot(now).agents;
    agents
        .into_iter()
        .find(|a| a.id == name.into())
        .unwrap()
        .state
}
