//! What agents ask and are told at their desks: what they want, which call they pick, what is known of a
//! call before it is taken, and which calls they have missed.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use clock::Now;

use super::{Control, Event, Output, What};
use crate::call::CallId;
use crate::center::{self, AgentId, Codes, Input, Missed, NotPicked, Snapshot, Wish, WrapUp};
use crate::dialplan::{Exit, Trace};
use crate::explain::{Explanation, printable};

/// What the desks share.
#[derive(Debug, Default)]
pub(super) struct Desks {
    codes: Codes,
    /// The latest calls that each agent has missed, oldest first; at most [`MISSED_KEPT`].
    missed: BTreeMap<AgentId, VecDeque<MissedCall>>,
    /// Who calls, of the call that was last offered to each agent: it may be over when it is told as missed.
    offered: BTreeMap<AgentId, (CallId, String)>,
}

/// A call that rang at an agent in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissedCall {
    /// When it ceased to ring.
    pub at: Now,
    /// Which.
    pub call: CallId,
    /// Who called, as agents are shown it.
    pub from: String,
    /// The queue that it came from.
    pub queue: String,
    /// Why it was missed.
    pub why: Missed,
}

/// What is known of a call by whoever is to take it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallContext {
    /// The caller's number as agents are shown it; `anonymous` if he asked for that.
    pub number: String,
    /// The caller's name; empty if there is none.
    pub name: String,
    /// The number called.
    pub to: String,
    /// The queue that it waits in or came from.
    pub queue: Option<String>,
    /// How long it has waited in queues.
    pub waited: Option<Duration>,
    /// The flows that it came through, each followed by the keys pressed in its menus (`sales`,
    /// `sales: 2`); the latest [`PATH_KEPT`].
    pub path: Vec<String>,
    /// What its flow has set, by name; without what was set while keys were masked.
    pub attributes: Vec<(String, String)>,
    /// How long it rings yet at the agent to whom it is offered.
    pub rings: Option<Duration>,
}

/// The queues and agents, and who waits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Board {
    /// All of them.
    pub center: Snapshot,
    /// The callers of those who wait, as agents are shown them.
    pub callers: BTreeMap<CallId, String>,
}

/// Why an agent is not what he wants to be. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotWished {
    /// There is no such agent.
    NoAgent,
    /// A break has reasons, and this is none of them.
    Reason {
        /// What was said.
        found: String,
        /// What may be.
        known: Vec<String>,
    },
}

impl NotWished {
    /// A name that never changes.
    pub fn id(&self) -> &'static str {
        match self {
            Self::NoAgent => "agent-unknown",
            Self::Reason { .. } => "agent-reason",
        }
    }

    /// What was expected and found, and what mends it.
    pub fn explanation(&self) -> Explanation {
        let parts = match self {
            Self::NoAgent => (
                "an agent of the configuration".to_owned(),
                "none of that name".to_owned(),
                "take the name from GET /v1/agents",
            ),
            Self::Reason { found, known } => (
                match known.as_slice() {
                    [] => "a reason of 1 to 64 bytes".to_owned(),
                    known => format!("one of {}", known.join(", ")),
                },
                printable(found),
                "take one of desk.break_reasons, or add it there",
            ),
        };
        Explanation::new(self.id(), parts)
    }
}

/// Why an agent does not get the call that he has picked, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PickRefused(pub NotPicked);

impl PickRefused {
    /// A name that never changes.
    pub fn id(&self) -> &'static str {
        match &self.0 {
            NotPicked::NoAgent => "agent-unknown",
            NotPicked::Unreachable => "pick-unreachable",
            NotPicked::Busy => "pick-busy",
            NotPicked::NotWaiting => "pick-gone",
            NotPicked::NotServed { .. } => "pick-not-served",
            NotPicked::Offered { .. } => "pick-taken",
        }
    }

    /// What was expected and found, and what mends it.
    pub fn explanation(&self) -> Explanation {
        let parts = match &self.0 {
            NotPicked::NoAgent => return NotWished::NoAgent.explanation(),
            NotPicked::Unreachable => (
                "an agent whose phone is registered",
                "one whose phone is not".to_owned(),
                "log in at the desk, or register the phone",
            ),
            NotPicked::Busy => (
                "an agent without a call",
                "one who is in a call".to_owned(),
                "pick it when that call is over",
            ),
            NotPicked::NotWaiting => (
                "a call that waits",
                "one that does not, or not any more".to_owned(),
                "look at the queue again: somebody has it, or the caller is gone",
            ),
            NotPicked::NotServed { queue } => (
                "a call of the agent's queues",
                format!("one that waits in {}", printable(queue)),
                "add the agent to the queue in its dialplan",
            ),
            NotPicked::Offered { to } => (
                "a call that nobody is rung for",
                format!("one that rings at {}", printable(to.as_str())),
                "pick another, or wait whether it comes back",
            ),
        };
        Explanation::new(self.id(), parts)
    }
}

impl Control {
    /// The words that agents choose from.
    pub fn codes(&self) -> &Codes {
        &self.desks.codes
    }

    /// Gives agents other words to choose from.
    pub fn set_codes(&mut self, codes: Codes) {
        self.desks.codes = codes;
    }

    /// An agent, or somebody for him, says whether he wants calls, and for a break why.
    ///
    /// # Errors
    /// [`NotWished`]: nothing has changed.
    pub fn agent_wish(
        &mut self,
        now: Now,
        agent: AgentId,
        wish: Wish,
        reason: Option<&str>,
    ) -> Result<(), NotWished> {
        if self.center.endpoint_of(&agent).is_none() {
            return Err(NotWished::NoAgent);
        }
        let reason = reason.filter(|_| !wish.takes_calls());
        let codes = &self.desks.codes;
        if let Some(reason) = reason.filter(|it| !codes.has_reason(it)) {
            return Err(NotWished::Reason {
                found: reason.to_owned(),
                known: codes.break_reasons.clone(),
            });
        }
        let reason = reason.map(Into::into);
        let wish = Input::AgentWish {
            agent,
            wish,
            reason,
        };
        self.center.handle(now, wish);
        self.pump(now);
        Ok(())
    }

    /// An agent has done enough of his wrap-up, or wants more of it; `false` if there is no such agent.
    pub fn agent_wrap_up(&mut self, now: Now, agent: AgentId, ask: WrapUp) -> bool {
        let known = self.center.endpoint_of(&agent).is_some();
        self.center.handle(now, Input::WrapUp { agent, ask });
        self.pump(now);
        known
    }

    /// An agent chooses a call that waits: it rings at him.
    ///
    /// # Errors
    /// [`PickRefused`]: nothing has changed. Of two who pick it the first one gets it.
    pub fn pick(&mut self, now: Now, agent: &AgentId, call: CallId) -> Result<(), PickRefused> {
        let picked = self.center.pick(now, agent, call);
        self.pump(now);
        picked.map_err(PickRefused)
    }

    /// The latest calls that an agent has missed, oldest first.
    pub fn missed(&self, agent: &AgentId) -> impl Iterator<Item = &MissedCall> {
        self.desks.missed.get(agent).into_iter().flatten()
    }

    /// What is known of a call.
    pub fn context(&self, now: Now, call: CallId) -> Option<CallContext> {
        let slot = self.calls.get(&call)?;
        let (_, to) = slot.call.parties();
        let waits = self.center.waited(now, call);
        let attributes = slot.run.as_ref().map(|run| run.attributes().collect());
        Some(CallContext {
            number: self.caller_shown(call),
            name: slot.shown_name(),
            to: to.to_owned(),
            queue: slot.queue.clone(),
            waited: slot
                .queue
                .is_some()
                .then(|| slot.waited + waits.unwrap_or_default()),
            path: slot.path.iter().cloned().collect(),
            attributes: attributes.unwrap_or_default(),
            rings: self.center.rings(now, call),
        })
    }

    /// The queues and agents, with the callers of those who wait.
    pub fn board(&self, now: Now) -> Board {
        let center = self.center.snapshot(now);
        let waiting = center.queues.iter().flat_map(|queue| &queue.waiting);
        let callers = waiting.map(|it| (it.call, self.caller_shown(it.call)));
        Board {
            callers: callers.collect(),
            center,
        }
    }

    /// A call rings at an agent.
    pub(super) fn keep_offered(&mut self, call: CallId, agent: &AgentId) {
        let from = self.caller_shown(call);
        self.desks.offered.insert(agent.clone(), (call, from));
    }

    /// The agent has missed a call: he, and whoever watches, is told.
    pub(super) fn on_missed(
        &mut self,
        now: Now,
        call: CallId,
        (agent, queue, why): (AgentId, String, Missed),
    ) {
        let offered = self.desks.offered.get(&agent);
        let offered = offered.filter(|(offered, _)| *offered == call);
        let missed = MissedCall {
            at: now,
            call,
            from: offered.map_or_else(String::new, |(_, from)| from.clone()),
            queue,
            why,
        };
        let what = What::Missed {
            agent: agent.to_string(),
            missed: missed.clone(),
        };
        let kept = self.desks.missed.entry(agent).or_default();
        if kept.len() >= MISSED_KEPT {
            kept.pop_front();
        }
        kept.push_back(missed);
        // The agent's, and no call's: the call that was missed may have ended a moment before.
        self.outputs.push_back(Output::Event(Event {
            at: now,
            call: None,
            what,
        }));
    }

    /// Those who are agents no more have missed nothing.
    pub(super) fn forget_missed(&mut self) {
        let agents = &self.agents;
        let is_agent = |id: &AgentId| {
            agents
                .iter()
                .any(|agent: &center::AgentConfig| agent.id == *id)
        };
        self.desks.missed.retain(|id, _| is_agent(id));
        self.desks.offered.retain(|id, _| is_agent(id));
    }

    /// Keeps where a call's plan has led it, as far as that tells an agent what the caller wants.
    pub(super) fn keep_path(&mut self, call: CallId, trace: &Trace) {
        let Some(slot) = self.calls.get_mut(&call) else {
            return;
        };
        let Some(plan) = slot.run.as_ref().map(|run| run.plan()) else {
            return;
        };
        let flow = |node| plan.describe(node).map(|(_, flow)| flow);
        let left = trace.from.as_ref();
        let keys = left.and_then(|(node, exit)| match exit {
            Exit::Keys(keys) => Some(format!("{}: {keys}", flow(*node)?)),
            _ => None,
        });
        let before = left.and_then(|(node, _)| flow(*node));
        let into = trace.to.and_then(flow).filter(|it| before != Some(*it));
        let masked = slot.call.masks_keys();
        let said = keys.filter(|_| !masked).into_iter();
        let said: Vec<String> = said.chain(into.map(str::to_owned)).collect();
        for one in said {
            if slot.path.len() >= PATH_KEPT {
                slot.path.pop_front();
            }
            slot.path.push_back(one);
        }
    }

    /// The caller's number as agents are shown it.
    fn caller_shown(&self, call: CallId) -> String {
        let slot = self.calls.get(&call);
        slot.map_or_else(String::new, |slot| match slot.identity.private {
            true => "anonymous".to_owned(),
            false => slot.call.parties().0.to_owned(),
        })
    }
}

impl super::Slot {
    fn shown_name(&self) -> String {
        let name = &self.identity.name;
        if self.identity.private {
            String::new()
        } else {
            name.clone()
        }
    }
}

/// Missed calls of an agent: what he calls back after a break.
pub const MISSED_KEPT: usize = 20;
/// Steps of a call's path.
pub const PATH_KEPT: usize = 32;
