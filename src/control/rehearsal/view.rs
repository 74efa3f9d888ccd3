//! What the machines decided, in words: every sentence asks the machine that has the rule.

use std::net::SocketAddr;

use sip::transport::Flow;

use super::super::event::What;
use super::super::refusal::{self, Refusal};
use super::{Control, Probe, Seen, Step, Verdict};
use crate::dialplan::CalledBy;
use crate::trunk;

impl Control {
    /// The listener that hears the caller, or why none does.
    pub(super) fn heard(&self, probe: &Probe) -> Result<(Flow, String), Refusal> {
        let v6 = probe.source.is_ipv6();
        let fits = |it: &&super::super::Listener| {
            it.transport == probe.transport && it.bound.is_ipv6() == v6
        };
        let not_heard = |why| Refusal::NotHeard {
            transport: probe.transport,
            to: probe.sent_to,
            v6,
            why,
            listeners: self.listeners_shown(),
        };
        let candidates: Vec<_> = self.listeners.iter().filter(fits).collect();
        if candidates.is_empty() {
            return Err(not_heard(refusal::NotHeard::NoSuchListener));
        }
        let reaches = |bound: SocketAddr, to: SocketAddr| {
            bound.port() == to.port() && (bound.ip().is_unspecified() || bound.ip() == to.ip())
        };
        // Behind 1:1 NAT the address that callers know is not the one bound: its port is what counts.
        let port = |bound: SocketAddr, to: SocketAddr| bound.port() == to.port();
        let outside = !probe.source.ip().is_loopback();
        let found = match probe.sent_to {
            Some(to) => candidates.iter().find(|it| {
                reaches(it.bound, to) || (!to.ip().is_loopback() && outside && port(it.bound, to))
            }),
            None => candidates.first(),
        };
        let Some(found) = found else {
            return Err(not_heard(refusal::NotHeard::OtherPort));
        };
        let open = |it: &&&super::super::Listener| !it.bound.ip().is_loopback();
        let found = if outside {
            let Some(open) = Some(found)
                .filter(open)
                .or_else(|| candidates.iter().find(open))
            else {
                return Err(not_heard(refusal::NotHeard::LoopbackOnly));
            };
            open
        } else {
            found
        };
        let text = format!("{} on {}", found.transport, found.bound);
        Ok((probe.flow_by(found), text))
    }

    fn listeners_shown(&self) -> String {
        let shown = self.listeners.iter().take(8);
        let shown: Vec<String> = shown
            .map(|it| format!("{} on {}", it.transport, it.bound))
            .collect();
        shown.join(", ")
    }

    /// The source is not that of the trunk which the question names.
    pub(super) fn other_trunk(&self, probe: &Probe) -> Option<Refusal> {
        let wanted = probe.trunk.as_ref()?;
        if self.trunks.trunk(wanted).is_none() {
            let names = self.trunks.trunks().map(|(trunk, _)| trunk.name.as_str());
            return Some(Refusal::no_such_trunk(wanted, names));
        }
        let owner = self.trunks.owner_entry(probe.source);
        let inbound = self
            .trunks
            .trunk(wanted)
            .is_some_and(|it| it.inbound.is_some());
        match owner {
            Some((trunk, _)) if trunk.name == *wanted => None,
            None if inbound => None,
            Some((trunk, entry)) => Some(Refusal::OtherTrunk {
                wanted: wanted.clone(),
                source: probe.source,
                owner: trunk.name.clone(),
                entry,
            }),
            None => Some(Refusal::Trunk(Box::new(
                self.trunks.not_of(wanted, probe.source),
            ))),
        }
    }

    pub(super) fn source_steps(&self, probe: &Probe, flow: Flow, steps: &mut Vec<Step>) {
        let mut step = |name, text| steps.push(Step { name, text });
        match self
            .trunks
            .owner_entry(flow.remote)
            .filter(|_| !probe.register)
        {
            Some((trunk, entry)) => {
                step(
                    "source",
                    format!("{} is trunk {}'s, by {entry}", probe.source, trunk.name),
                );
                if let Some((user, _)) = &trunk.inbound {
                    step(
                        "identity",
                        format!("it must prove to be {user} besides (inbound_user)"),
                    );
                }
                let (in_use, rate) = self.trunks.caps_shown(&trunk.name);
                step("caps", format!("calls {in_use}; {rate}"));
            }
            None if self.trunks.may_speak(flow) => {
                let name = probe.user.as_deref().unwrap_or(&probe.from);
                let text = match self.trunks.endpoint(name) {
                    Some(_) => format!("endpoint {name}, if it proves itself by digest"),
                    None => "no trunk; an endpoint may be there and must prove itself".to_owned(),
                };
                step("source", format!("{}: {text}", probe.source));
            }
            None => step(
                "source",
                format!("{}: neither a trunk nor an endpoint", probe.source),
            ),
        }
    }

    pub(super) fn call_steps(&self, probe: &Probe, seen: &Seen, steps: &mut Vec<Step>) {
        let mut step = |name, text| steps.push(Step { name, text });
        for what in &seen.events {
            match what {
                What::Initiated { from, to } => {
                    if *to != probe.to || *from != probe.from {
                        let text =
                            format!("from {} is {from}, to {} is {to}", probe.from, probe.to);
                        step("number", text);
                    }
                    self.entry_steps(probe, to, &mut step);
                }
                What::Step { flow, step: verb } => step("flow", format!("{flow}: {verb}")),
                What::Queued { queue } => step("queue", self.queue_shown(queue, seen)),
                What::Offered { agent } => step("queue", format!("offered to {agent}")),
                What::Trouble(why) => step("trouble", why.to_string()),
                What::Bridged { with } => step("bridged", format!("with {with}")),
                _ => {}
            }
        }
        for (flow, uri) in &seen.rung {
            step(
                "rings",
                format!("{uri} at {} ({})", flow.remote, flow.transport),
            );
        }
    }

    fn entry_steps(&self, probe: &Probe, to: &str, step: &mut impl FnMut(&'static str, String)) {
        let endpoint = match self.trunks.owner_entry(probe.source) {
            Some(_) => None,
            None => Some(probe.user.as_deref().unwrap_or(&probe.from)),
        };
        let entry = match endpoint {
            Some(name) => self.plan.entry_from_endpoint(name, to),
            None => self.plan.entry(to),
        };
        let Some(entry) = entry else { return };
        if let Some(shown) = self.plan.entry_shown(entry) {
            step("entry", shown);
        }
        for rival in self.plan.rivals(entry, to) {
            step("rival", rival);
        }
        for hours in self.plan.hours_shown(probe.at.unwrap_or_default()) {
            step("hours", hours);
        }
    }

    fn queue_shown(&self, queue: &str, seen: &Seen) -> String {
        let call = seen.call.unwrap_or(crate::call::CallId(0));
        let agents = self.center.obstacles(queue, call);
        let shown: Vec<String> = agents
            .iter()
            .take(16)
            .map(|(agent, obstacle)| format!("{agent} is {}", obstacle.name()))
            .collect();
        match shown.is_empty() {
            true => format!("{queue}: no agents"),
            false => format!("{queue}: {}", shown.join(", ")),
        }
    }

    /// Where it ended, in the order of what says most.
    pub(super) fn verdict(&self, probe: &Probe, flow: Flow, seen: Seen) -> Verdict {
        let status = seen.status.unwrap_or(0);
        let refused = seen.events.iter().rev().find_map(|it| match it {
            What::Refused { status, why, .. } => Some((*status, why.clone())),
            _ => None,
        });
        if let Some((status, why)) = refused.filter(|_| seen.call.is_none()) {
            return Verdict::Refused { status, why };
        }
        if seen.cannot_prove {
            let why = match probe.register {
                true => Refusal::no_such_endpoint(&probe.from, self.endpoint_names()),
                false => Refusal::Trunk(Box::new(self.trunks.stranger(flow))),
            };
            let why = why.explanation();
            return Verdict::Refused { status, why };
        }
        if probe.register && (200..300).contains(&status) {
            return Verdict::Taken(format!("registered as {}", probe.from));
        }
        self.call_verdict(probe, status, seen)
    }

    fn endpoint_names(&self) -> impl Iterator<Item = &str> {
        self.trunks.endpoints().map(|it| it.name.as_str())
    }

    fn call_verdict(&self, probe: &Probe, status: u16, seen: Seen) -> Verdict {
        let trouble = seen.events.iter().rev().find_map(|it| match it {
            What::Trouble(why) => Some(why.clone()),
            _ => None,
        });
        let bridged = seen.events.iter().find_map(|it| match it {
            What::Bridged { with } => Some(with.clone()),
            _ => None,
        });
        let queue = seen.events.iter().rev().find_map(|it| match it {
            What::Queued { queue } => Some(queue.clone()),
            _ => None,
        });
        if let Some(with) = bridged {
            return Verdict::Taken(format!("talks to {with}"));
        }
        if let (Some((flow, uri)), true) = (seen.rung.first(), probe.callee.is_none()) {
            return Verdict::Taken(format!("rings {uri} at {}", flow.remote));
        }
        if let Some(why) = trouble {
            return Verdict::Refused { status, why };
        }
        if let Some(queue) = queue.filter(|_| !seen.ended) {
            return self.queue_verdict(&queue, status, &seen);
        }
        if let Some(why) = seen.record.as_ref().and_then(|it| it.refusal.clone()) {
            return Verdict::Refused { status, why };
        }
        match (seen.call, seen.listens) {
            (None, _) => {
                let trunk = None;
                let missing = self.plan.no_entry(&probe.to, CalledBy { trunk });
                let why = Refusal::NoEntry(Box::new(missing)).explanation();
                Verdict::Refused { status, why }
            }
            (Some(_), true) => Verdict::Taken("answered; the flow waits for a key".to_owned()),
            (Some(_), false) => Verdict::Taken("answered; the flow goes to its end".to_owned()),
        }
    }

    /// A call that waits is taken if anybody could ever take it.
    fn queue_verdict(&self, queue: &str, status: u16, seen: &Seen) -> Verdict {
        use crate::center::{Left, Obstacle};
        let call = seen.call.unwrap_or(crate::call::CallId(0));
        let agents = self.center.obstacles(queue, call);
        let never = |it: Obstacle| {
            matches!(
                it,
                Obstacle::Unreachable | Obstacle::Away | Obstacle::Unknown
            )
        };
        if agents.iter().any(|(_, obstacle)| !never(*obstacle)) {
            return Verdict::Taken(format!("waits in queue {queue} for an agent"));
        }
        let shown = agents.iter().take(8);
        let why = Refusal::Queue {
            queue: queue.to_owned(),
            why: Left::NoAgents,
            agents: shown
                .map(|(id, it)| format!("{id} {}", it.name()))
                .collect(),
        };
        let why = why.explanation();
        Verdict::Refused { status, why }
    }

    /// How the caller names us.
    pub(super) fn host_shown(&self, flow: Flow) -> String {
        let found = self.hosts.iter().find(|(id, _)| *id == flow.listener);
        found.map_or_else(|| "localhost".to_owned(), |(_, host)| host.clone())
    }
}

impl trunk::Trunks {
    /// The calls in use and the rates of a trunk, for people.
    fn caps_shown(&self, name: &str) -> (String, String) {
        let found = self.trunks().find(|(trunk, _)| trunk.name == name);
        let Some((trunk, calls)) = found else {
            return Default::default();
        };
        let most = |cap: Option<u32>| cap.map_or("no cap".to_owned(), |cap| format!("{cap}"));
        let calls = format!("{calls} in use of {}", most(trunk.calls));
        let rate = format!("new calls a second: {}", most(trunk.calls_per_second));
        (calls, rate)
    }
}
