//! What must hold of the whole graph: every step can be reached, every round takes a key or a
//! wait, nothing that needs an answered call stands before the answer.

use std::collections::BTreeSet;

use super::compile::Shape;
use super::diagnostic::{Code, Findings, Span};
use super::plan::{Exit, Node, NodeId, Plan, Step};
use crate::call::RecordAsk;

/// Checks a plan whose names all exist.
pub(super) fn graph(plan: &Plan, shape: &[Shape], findings: &mut Findings) {
    if plan.entries.is_empty() && !findings.sources.is_empty() {
        let message = "no call can enter this plan: it has no `entry`".to_owned();
        let fix = "add: entry pattern=\"*\" flow=\"…\"".to_owned();
        findings.warn(Span::default(), Code::Missing, message, fix);
    }
    unreachable(plan, shape, findings);
    endless(plan, findings);
    before_answer(plan, findings);
}

fn targets(node: &Node) -> impl Iterator<Item = NodeId> {
    node.exits.iter().filter_map(|(_, target)| *target)
}

fn mark(plan: &Plan, roots: impl Iterator<Item = NodeId>, through: fn(&Step) -> bool) -> Vec<bool> {
    let mut reached = vec![false; plan.nodes.len()];
    let mut open: Vec<NodeId> = roots.collect();
    while let Some(id) = open.pop() {
        let (Some(seen), Some(node)) = (reached.get_mut(id.0 as usize), plan.node(id)) else {
            continue;
        };
        if !std::mem::replace(seen, true) && through(&node.step) {
            open.extend(targets(node));
        }
    }
    reached
}

/// The steps where calls enter; without any entry, where any flow begins.
fn roots(plan: &Plan) -> Vec<NodeId> {
    let entered: BTreeSet<u32> = plan.entries.iter().map(|entry| entry.flow).collect();
    let flows = plan.flows.iter().enumerate();
    let entered =
        flows.filter(|(index, _)| plan.entries.is_empty() || entered.contains(&(*index as u32)));
    entered.filter_map(|(_, flow)| flow.first).collect()
}

fn unreachable(plan: &Plan, shape: &[Shape], findings: &mut Findings) {
    let reached = mark(plan, roots(plan).into_iter(), |_| true);
    let is_reached = |id: NodeId| reached.get(id.0 as usize).copied().unwrap_or(true);
    let mut dead_flows = BTreeSet::new();
    for (index, flow) in plan.flows.iter().enumerate() {
        if flow.first.is_some_and(|first| !is_reached(first)) {
            dead_flows.insert(index as u32);
            let message = format!("no entry and no `goto` leads to `{}`", flow.name);
            let fix = format!("lead to it with goto \"{}\", or remove it", flow.name);
            findings.warn(flow.at, Code::Unreachable, message, fix);
        }
    }
    for (index, node) in plan.nodes.iter().enumerate() {
        let id = NodeId(index as u32);
        let around = shape.get(index).copied().unwrap_or_default();
        let first_dead = around.parent.is_none_or(is_reached)
            && around.previous.is_none_or(is_reached)
            && !dead_flows.contains(&node.flow);
        if !is_reached(id) && first_dead {
            let before = around.previous.and_then(|id| plan.node(id));
            let message = match before.map(|node| node.step.verb()) {
                Some(before) => format!("no call reaches this step: `{before}` does not come back"),
                None => "no call reaches this step".to_owned(),
            };
            findings.warn(
                node.at,
                Code::Unreachable,
                message,
                "remove it, or move it up".into(),
            );
        }
    }
}

/// Whether leaving by that exit took a key of the caller, or a wait for a person.
fn takes_key_or_wait(node: &Node, exit: &Exit) -> bool {
    match (&node.step, exit) {
        (Step::Menu(_), Exit::Keys(_) | Exit::Invalid) => true,
        (Step::Gather(_), Exit::Invalid) => true,
        (Step::Gather(_), Exit::Next) => node.has(&Exit::Timeout),
        (Step::Queue { .. }, Exit::MaxWait | Exit::Completed | Exit::Keys(_)) => true,
        (Step::Queue { .. }, Exit::Next) => node.has(&Exit::Full) && node.has(&Exit::NoAgents),
        (Step::Dial(_), Exit::NoAnswer | Exit::Completed) => true,
        (Step::Conference(_), Exit::Removed | Exit::Keys(_)) => true,
        (Step::Dial(_), Exit::Next) => node.has(&Exit::Busy) && node.has(&Exit::Failed),
        _ => false,
    }
}

/// Finds rounds of exits that take neither a key nor a wait: a depth-first walk, each round
/// reported once, at the exit's step that closes it.
fn endless(plan: &Plan, findings: &mut Findings) {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let quick = |id: NodeId| -> Vec<NodeId> {
        let Some(node) = plan.node(id) else {
            return Vec::new();
        };
        let exits = node.exits.iter();
        // A menu says itself again a bounded number of times; `repeat` goes there by its own edge.
        let own = |exit: &Exit| matches!(node.step, Step::Menu(_)) && *exit == Exit::Repeat;
        let quick = exits.filter(|(exit, _)| !own(exit) && !takes_key_or_wait(node, exit));
        quick.filter_map(|(_, target)| *target).collect()
    };
    let mut marks = vec![Mark::New; plan.nodes.len()];
    for index in 0..plan.nodes.len() {
        if marks.get(index) != Some(&Mark::New) {
            continue;
        }
        let mut path = vec![(NodeId(index as u32), quick(NodeId(index as u32)))];
        if let Some(mark) = marks.get_mut(index) {
            *mark = Mark::Open;
        }
        while let Some((id, rest)) = path.last_mut() {
            let id = *id;
            let Some(next) = rest.pop() else {
                if let Some(mark) = marks.get_mut(id.0 as usize) {
                    *mark = Mark::Done;
                }
                path.pop();
                continue;
            };
            match marks.get(next.0 as usize) {
                Some(Mark::New) => {
                    if let Some(mark) = marks.get_mut(next.0 as usize) {
                        *mark = Mark::Open;
                    }
                    path.push((next, quick(next)));
                }
                Some(Mark::Open) => report_round(plan, id, next, findings),
                _ => {}
            }
        }
    }
}

fn report_round(plan: &Plan, from: NodeId, to: NodeId, findings: &mut Findings) {
    let (Some(from), Some(to)) = (plan.node(from), plan.node(to)) else {
        return;
    };
    let place = findings.name_place(to.at);
    let message = format!("a caller who does nothing goes round for ever from here to {place}");
    let fix = match from.step {
        Step::Repeat => {
            "a menu says itself again by `max=`; end this exit with `hangup` or `queue`"
        }
        _ => "let the round wait for a key, or end it with `hangup`",
    };
    findings.report(from.at, Code::EndlessLoop, message, fix.into());
}

/// Steps that leave the call answered whatever their exit.
fn answers(step: &Step) -> bool {
    matches!(
        step,
        Step::Answer | Step::Gather(_) | Step::Menu(_) | Step::Queue { .. } | Step::Conference(_)
    )
}

fn before_answer(plan: &Plan, findings: &mut Findings) {
    let unanswered = mark(plan, roots(plan).into_iter(), |step| !answers(step));
    for (node, unanswered) in plan.nodes.iter().zip(unanswered) {
        if unanswered && matches!(node.step, Step::Record(RecordAsk::Start)) {
            let message = "`record start` may come before the call is answered".to_owned();
            findings.report(
                node.at,
                Code::BeforeAnswer,
                message,
                "put `answer` before it".into(),
            );
        }
    }
}
