//! Offers: which call is proposed to which agent, and what becomes of the proposal.

use clock::{Duration, Now};

use super::{Center, Standing};
use crate::call::CallId;
use crate::center::agent::{Activity, Agent, Serves};
use crate::center::queue::{Place, REST_MIN, RING_MIN, Stage};
use crate::center::{AgentId, Declined, Missed, NotPicked, Output, Wish};

impl Center {
    /// Offers the open call at `place` to the agent of its queue who has been free for longest.
    pub(super) fn seek_agent(&mut self, now: Now, queue: &str, place: Place) {
        let agents = &self.agents;
        let serves = |id: &AgentId| agents.get(id).is_some_and(|a| a.queues.contains(queue));
        let Some(agent) = self.free.iter().map(|(_, id)| id).find(|id| serves(id)) else {
            return;
        };
        let agent = agent.clone();
        self.offer(now, queue, place, &agent);
    }

    /// Offers a free agent the first open call of his queues: by priority, then first come.
    pub(super) fn seek_call(&mut self, now: Now, id: &AgentId) {
        let Some(agent) = self.agents.get(id) else {
            return;
        };
        let places = agent.queues.iter().filter_map(|name| {
            let place = self.queues.get(name)?.open.first()?;
            Some((*place, name))
        });
        let Some((place, queue)) = places.min() else {
            return;
        };
        let queue = queue.clone();
        self.offer(now, &queue, place, id);
    }

    /// Gives an agent the call that he has chosen from his queues, in turn or not, be he resting, at his
    /// wrap-up or on a break. A call that rings at him meanwhile goes back to its place.
    ///
    /// # Errors
    /// [`NotPicked`] says why he does not get it; of two agents the first one does.
    pub fn pick(&mut self, now: Now, id: &AgentId, call: CallId) -> Result<(), NotPicked> {
        let agent = self.agents.get(id).ok_or(NotPicked::NoAgent)?;
        let standing = self.standings.get(&call).cloned();
        let Standing { queue: name, place } = standing.ok_or(NotPicked::NotWaiting)?;
        let waiting = self.queues.get(&name).and_then(|q| q.waiting.get(&place));
        let stage = waiting.map(|it| &it.stage).ok_or(NotPicked::NotWaiting)?;
        let rings = match agent.activity {
            Activity::Busy { .. } => return Err(NotPicked::Busy),
            Activity::Ringing { call: rings, .. } => Some(rings),
            _ => None,
        };
        match stage {
            _ if rings == Some(call) => return Ok(()),
            _ if !agent.queues.contains(&name) => {
                return Err(NotPicked::NotServed { queue: name });
            }
            _ if !agent.reachable => return Err(NotPicked::Unreachable),
            Stage::Offered { agent } => return Err(NotPicked::Offered { to: agent.clone() }),
            Stage::Queued => {}
        }
        if let Some(call) = rings {
            let agent = id.clone();
            self.outputs.push_back(Output::Withdraw { call, agent });
        }
        self.give(now, &name, place, id, now);
        if let Some(call) = rings {
            self.reopen(now, call);
        }
        Ok(())
    }

    pub(super) fn offer(&mut self, now: Now, name: &str, place: Place, id: &AgentId) {
        let free = self.agents.get(id).and_then(Agent::free);
        if let Some(idle_since) = free {
            self.give(now, name, place, id, idle_since);
        }
    }

    /// Rings an agent for the open call at `place`. If the caller gives up, he has been idle since
    /// `idle_since`.
    fn give(&mut self, now: Now, name: &str, place: Place, id: &AgentId, idle_since: Now) {
        let Some(queue) = self.queues.get_mut(name) else {
            return;
        };
        let ring = queue.config.ring.max(RING_MIN);
        let both = self.agents.get_mut(id).zip(queue.waiting.get_mut(&place));
        let Some((agent, waiting)) = both else {
            return;
        };
        let call = waiting.call;
        queue.open.remove(&place);
        waiting.stage = Stage::Offered { agent: id.clone() };
        agent.activity = Activity::Ringing {
            call,
            until: now + ring,
            idle_since,
        };
        let queue = name.to_owned();
        self.outputs.push_back(Output::Offer {
            call,
            agent: id.clone(),
            queue,
            ring,
        });
        self.settle(now, id);
    }

    /// Puts an offered call back to its place and looks for another agent.
    pub(super) fn reopen(&mut self, now: Now, call: CallId) {
        let Some(Standing { queue: name, place }) = self.standings.get(&call).cloned() else {
            return;
        };
        let Some(queue) = self.queues.get_mut(&name) else {
            return;
        };
        let Some(waiting) = queue.waiting.get_mut(&place) else {
            return;
        };
        waiting.stage = Stage::Queued;
        queue.open.insert(place);
        self.seek_agent(now, &name, place);
    }

    pub(super) fn accepted(&mut self, now: Now, call: CallId, id: &AgentId) {
        let Some(agent) = self.agents.get_mut(id).filter(|a| a.is_offered(call)) else {
            return;
        };
        agent.misses = 0;
        let mut serves = Serves {
            call,
            queue: String::new(),
            wrap_up: Duration::ZERO,
        };
        if let Some((name, waiting)) = self.take_out(call) {
            let waited = now - waiting.joined;
            serves.queue.clone_from(&name);
            if let Some(queue) = self.queues.get_mut(&name) {
                serves.wrap_up = queue.config.wrap_up;
                queue.tally.assigned += 1;
                queue.tally.waited_assigned += waited;
            }
            self.forget_if_closed(&name);
            let agent = id.clone();
            self.outputs.push_back(Output::Assigned {
                call,
                agent,
                queue: name,
                waited,
            });
        }
        if let Some(agent) = self.agents.get_mut(id) {
            agent.activity = Activity::Busy {
                since: now,
                serves: Some(serves),
            };
        }
        self.settle(now, id);
    }

    pub(super) fn declined(&mut self, now: Now, call: CallId, id: &AgentId, why: Declined) {
        let Some(queue) = self.queue_of(call).map(str::to_owned) else {
            return;
        };
        let refusal = self.queue(&queue).map(|q| q.refusal).unwrap_or_default();
        let Some(agent) = self.agents.get_mut(id).filter(|a| a.is_offered(call)) else {
            return;
        };
        agent.activity = Activity::Resting {
            until: now + refusal.rest.max(REST_MIN),
            lost: why == Declined::Unreachable,
        };
        if why != Declined::Unreachable {
            agent.misses += 1;
        }
        // Who has picked it on a break goes on with that.
        let too_often = |bound: u32| agent.misses >= bound.max(1);
        if agent.wish.takes_calls() && refusal.away_after.is_some_and(too_often) {
            agent.wish = Wish::Away;
            agent.misses = 0;
            agent.idle(now);
        }
        if why == Declined::NoAnswer {
            self.outputs.push_back(Output::Missed {
                call,
                agent: id.clone(),
                queue: queue.clone(),
                why: Missed::NoAnswer,
            });
        }
        self.settle(now, id);
        self.reopen(now, call);
        self.expel_if_unstaffed(now, id);
        self.expel(now, &queue);
    }
}
