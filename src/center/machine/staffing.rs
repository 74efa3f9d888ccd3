//! Agents: what they wish, whether they can be reached, when they are free, and who is left to serve.

use std::sync::Arc;

use clock::{Duration, Now};

use super::Center;
use crate::call::CallId;
use crate::center::agenda::Who;
use crate::center::agent::{Activity, Agent, Shown};
use crate::center::queue::{EXTENSION, Stage, WRAP_UP_MAX};
use crate::center::{AgentId, Declined, Left, Output, Wish, WithoutAgents, WrapUp};

impl Center {
    pub(super) fn wish(&mut self, now: Now, id: &AgentId, wish: Wish, reason: Option<Arc<str>>) {
        let Some(agent) = self.agents.get_mut(id) else {
            return;
        };
        let begins = wish.takes_calls() && !agent.wish.takes_calls();
        agent.wish = wish;
        agent.reason = reason.filter(|_| !wish.takes_calls());
        let mut returned = None;
        match agent.activity.clone() {
            Activity::Ringing { call, .. } if !wish.takes_calls() => {
                agent.idle(now);
                self.outputs.push_back(Output::Withdraw {
                    call,
                    agent: id.clone(),
                });
                returned = Some(call);
            }
            Activity::WrapUp { .. } | Activity::Resting { .. } => {
                agent.misses = 0;
                agent.idle(now);
            }
            Activity::Idle { .. } if begins => agent.idle(now),
            _ => {}
        }
        self.settle(now, id);
        if let Some(call) = returned {
            self.reopen(now, call);
        }
        self.expel_if_unstaffed(now, id);
    }

    pub(super) fn wrap_up(&mut self, now: Now, id: &AgentId, ask: WrapUp) {
        let agent = self.agents.get_mut(id);
        let Some((agent, since, until)) = agent.and_then(|agent| match agent.activity {
            Activity::WrapUp { since, until } => Some((agent, since, until)),
            _ => None,
        }) else {
            return;
        };
        match ask {
            WrapUp::End => agent.idle(now),
            WrapUp::Extend => {
                let until = (until + EXTENSION).min(since + WRAP_UP_MAX).max(until);
                agent.activity = Activity::WrapUp { since, until };
            }
        }
        self.settle(now, id);
    }

    pub(super) fn reachable(&mut self, now: Now, id: &AgentId, yes: bool) {
        let Some(agent) = self.agents.get_mut(id) else {
            return;
        };
        if agent.reachable == yes {
            return;
        }
        agent.reachable = yes;
        // A phone that was lost while it rang and comes again, as by a page's reload, rings again at once.
        let back = matches!(agent.activity, Activity::Resting { lost: true, .. }) && yes;
        if back || matches!(agent.activity, Activity::Idle { .. }) {
            agent.idle(now);
        }
        self.settle(now, id);
        self.expel_if_unstaffed(now, id);
    }

    pub(super) fn engaged(&mut self, now: Now, id: &AgentId) {
        let Some(agent) = self.agents.get_mut(id) else {
            return;
        };
        let returned = match agent.activity {
            Activity::Busy { .. } => return,
            Activity::Ringing { call, .. } => Some(call),
            _ => None,
        };
        agent.activity = Activity::Busy {
            since: now,
            serves: None,
        };
        if let Some(call) = returned {
            self.outputs.push_back(Output::Withdraw {
                call,
                agent: id.clone(),
            });
        }
        self.settle(now, id);
        if let Some(call) = returned {
            self.reopen(now, call);
        }
    }

    pub(super) fn released(&mut self, now: Now, id: &AgentId) {
        let Some(agent) = self.agents.get_mut(id) else {
            return;
        };
        let Activity::Busy { since, serves } = agent.activity.clone() else {
            return;
        };
        let wrap_up = serves.as_ref().map_or(Duration::ZERO, |it| it.wrap_up);
        if let Some(queue) = serves.and_then(|it| self.queues.get_mut(&it.queue)) {
            queue.tally.handled(now - since + wrap_up);
        }
        if wrap_up.is_zero() {
            agent.idle(now);
        } else {
            agent.activity = Activity::WrapUp {
                since: now,
                until: now + wrap_up,
            };
        }
        self.settle(now, id);
    }

    pub(super) fn agent_due(&mut self, now: Now, id: &AgentId) {
        let Some(agent) = self.agents.get_mut(id) else {
            return;
        };
        match agent.activity {
            Activity::Ringing { call, until, .. } if until <= now => {
                self.outputs.push_back(Output::Withdraw {
                    call,
                    agent: id.clone(),
                });
                self.declined(now, call, id, Declined::NoAnswer);
            }
            Activity::Resting { until, .. } | Activity::WrapUp { until, .. } if until <= now => {
                agent.idle(until);
                self.settle(now, id);
            }
            _ => self.settle(now, id),
        }
    }

    /// Brings every index in line with an agent's state, tells the world, and finds him work if he is free.
    pub(super) fn settle(&mut self, now: Now, id: &AgentId) {
        let Some(agent) = self.agents.get_mut(id) else {
            return;
        };
        let free = agent.free();
        if free != agent.free_since {
            if let Some(since) = agent.free_since {
                self.free.remove(&(since, id.clone()));
            }
            if let Some(since) = free {
                self.free.insert((since, id.clone()));
            }
            agent.free_since = free;
        }
        self.agenda.set(Who::Agent(id.clone()), agent.deadline());
        let state = agent.state();
        let same = agent.shown.state == state;
        let shown = Shown {
            state,
            since: if same { agent.shown.since } else { now },
            wish: agent.wish,
            reason: agent.reason.clone(),
        };
        if shown != agent.shown {
            agent.shown = shown;
            self.outputs.push_back(Output::AgentChanged {
                agent: id.clone(),
                state,
            });
        }
        if agent.retired
            && agent.call().is_none()
            && !matches!(agent.activity, Activity::Busy { .. })
        {
            self.agenda.set(Who::Agent(id.clone()), None);
            self.agents.remove(id);
        } else if free.is_some() {
            self.seek_call(now, id);
        }
    }

    /// Whether an agent of that queue is on duty, or serves or rings for a call.
    pub(super) fn staffed(&self, queue: &str) -> bool {
        self.queues.get(queue).is_some_and(|q| {
            q.config
                .agents
                .iter()
                .filter_map(|id| self.agents.get(id))
                .any(Agent::on_duty)
        })
    }

    /// Sends away the callers whose last agent on duty this was, where the queue says so.
    pub(super) fn expel_if_unstaffed(&mut self, now: Now, id: &AgentId) {
        let Some(agent) = self.agents.get(id) else {
            return;
        };
        if agent.on_duty() {
            return;
        }
        for queue in agent.queues.clone() {
            self.expel(now, &queue);
        }
    }

    pub(super) fn expel(&mut self, now: Now, name: &str) {
        let Some(queue) = self.queues.get(name) else {
            return;
        };
        let nobody_ever = queue.closing
            && !queue
                .config
                .agents
                .iter()
                .any(|id| self.agents.get(id).is_some_and(|a| !a.retired));
        let leave = queue.config.without_agents == WithoutAgents::Leave && !self.staffed(name);
        if !leave && !nobody_ever {
            return;
        }
        let queued = queue.waiting.values().filter(|w| w.stage == Stage::Queued);
        let calls: Vec<CallId> = queued.map(|w| w.call).collect();
        for call in calls {
            self.leave(now, call, Left::NoAgents);
        }
    }
}
