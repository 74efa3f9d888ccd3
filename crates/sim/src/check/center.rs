//! Laws of queues: who waits is in one queue or with one agent, nobody has two calls, first come is
//! first served.

use std::collections::{BTreeMap, BTreeSet};

use clock::Now;
use tandem::call::CallId;
use tandem::center::{AgentState, QueueSnapshot, WaitingSnapshot};
use tandem::control::{Control, Event, What};

/// What the order of events says about who came first.
#[derive(Debug, Default)]
pub(super) struct Queues {
    joined: BTreeMap<CallId, u64>,
    next: u64,
    /// Offered in this step.
    offered: Vec<(CallId, String)>,
    /// Rang at an agent when last looked at.
    rang: BTreeSet<CallId>,
}

impl Queues {
    /// Whether the event changes a queue or an agent.
    pub(super) fn event(&mut self, event: &Event) -> bool {
        let Some(call) = event.call else {
            return matches!(event.what, What::Agent { .. });
        };
        match &event.what {
            What::Queued { .. } => {
                self.joined.insert(call, self.next);
                self.next += 1;
                true
            }
            What::Offered { agent } => {
                self.offered.push((call, agent.clone()));
                true
            }
            What::HungUp { .. } => {
                self.joined.remove(&call);
                true
            }
            What::Bridged { .. } | What::Transferred { .. } => true,
            _ => false,
        }
    }

    pub(super) fn look(&mut self, now: Now, control: &Control) -> Vec<String> {
        let mut broken = Vec::new();
        let center = control.center().snapshot(now);
        let live = control.calls(now);
        let ids: BTreeSet<CallId> = live.iter().map(|call| call.call).collect();
        let mut places: BTreeMap<CallId, &str> = BTreeMap::new();
        for queue in &center.queues {
            for waiting in &queue.waiting {
                if let Some(other) = places.insert(waiting.call, &queue.name) {
                    let call = waiting.call;
                    broken.push(format!("{call} waits in {other} and in {}", queue.name));
                }
                if !ids.contains(&waiting.call) {
                    broken.push(format!("{} waits, but is no more", waiting.call));
                }
            }
            broken.extend(self.order(queue));
        }
        let mut held: BTreeMap<CallId, &str> = BTreeMap::new();
        for agent in &center.agents {
            let Some(call) = agent.call else { continue };
            let name = agent.id.as_str();
            if let Some(other) = held.insert(call, name) {
                broken.push(format!("{call} is with {other} and with {name}"));
            }
            if !ids.contains(&call) {
                broken.push(format!(
                    "{name} is {:?} with {call}, which is no more",
                    agent.state
                ));
            }
            let waits = places.contains_key(&call);
            match agent.state {
                AgentState::Ringing if !waits => {
                    broken.push(format!("{name} rings for {call}, which does not wait"));
                }
                AgentState::Busy if waits => {
                    broken.push(format!("{name} serves {call}, which waits"));
                }
                _ => {}
            }
        }
        let waits = live.iter().filter(|call| call.state == "waiting");
        for call in waits {
            let call = call.call;
            if !places.contains_key(&call) && !held.contains_key(&call) {
                broken.push(format!("{call} waits in no queue and is with nobody"));
            }
        }
        let waiting = center.queues.iter().flat_map(|queue| &queue.waiting);
        let rings = waiting.filter(|it| it.offered_to.is_some());
        self.rang = rings.map(|it| it.call).collect();
        self.offered.clear();
        broken
    }

    /// Who came first stands first, and nobody who could be offered is passed over.
    fn order(&self, queue: &QueueSnapshot) -> Vec<String> {
        let mut broken = Vec::new();
        for pair in queue.waiting.windows(2) {
            let [a, b] = pair else { continue };
            let first = |it: &WaitingSnapshot| self.joined.get(&it.call).copied();
            let in_turn = (std::cmp::Reverse(a.priority), first(a))
                < (std::cmp::Reverse(b.priority), first(b));
            if !in_turn {
                broken.push(format!(
                    "{} stands before {} in {}",
                    a.call, b.call, queue.name
                ));
            }
        }
        let mut passed = None;
        for waiting in &queue.waiting {
            let now = self.offered.iter().any(|(call, _)| *call == waiting.call);
            match (&waiting.offered_to, passed) {
                // Whose ringing ended in this very step was not there to be offered.
                (None, _) if !self.rang.contains(&waiting.call) => passed = Some(waiting.call),
                (Some(agent), Some(first)) if now => broken.push(format!(
                    "{} was offered to {agent} before {first}, which came first in {}",
                    waiting.call, queue.name
                )),
                _ => {}
            }
        }
        broken
    }
}
