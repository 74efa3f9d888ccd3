//! The machine: the rules between what comes in and what goes out.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use clock::{Duration, Now};

use super::agenda::{Agenda, Who};
use super::agent::{Activity, Agent};
use super::queue::{ANNOUNCE_MIN, Place, Queue, REST_MIN, RING_MIN, Stage, Waiting};
use super::{
    AgentConfig, AgentId, Declined, Input, Left, Output, QueueConfig, Wish, WithoutAgents,
};
use crate::call::CallId;

/// Where a waiting call stands.
#[derive(Clone, Debug)]
struct Standing {
    queue: String,
    place: Place,
}

/// The centre: every queue and every agent.
///
/// An input costs O(log n) for n calls and agents, plus the free agents looked at until one serves
/// the queue; [`Input::Configure`] and position announcements cost O(n).
#[derive(Clone, Debug, Default)]
pub struct Center {
    pub(super) queues: BTreeMap<String, Queue>,
    pub(super) agents: BTreeMap<AgentId, Agent>,
    standings: BTreeMap<CallId, Standing>,
    free: BTreeSet<(Now, AgentId)>,
    agenda: Agenda,
    outputs: VecDeque<Output>,
    numbers: u64,
}

impl Center {
    /// An empty centre; [`Input::Configure`] gives it queues and agents.
    pub fn new() -> Self {
        Self::default()
    }

    /// Advances the centre. Drain [`Center::poll_output`] afterwards.
    pub fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Join {
                call,
                queue,
                priority,
                max_wait,
            } => {
                self.join(now, call, queue, priority, max_wait);
            }
            Input::Leave { call } => self.leave(now, call, Left::Gone),
            Input::AgentWish { agent, wish } => self.wish(now, &agent, wish),
            Input::AgentReachable { agent, yes } => self.reachable(now, &agent, yes),
            Input::Accepted { call, agent } => self.accepted(now, call, &agent),
            Input::Declined { call, agent, why } => self.declined(now, call, &agent, why),
            Input::Engaged { agent } => self.engaged(now, &agent),
            Input::Released { agent } => self.released(now, &agent),
            Input::Configure { queues, agents } => self.configure(now, queues, agents),
            Input::Deadline => {}
        }
        while let Some(who) = self.agenda.pop_due(now) {
            match who {
                Who::Call(call) => self.call_due(now, call),
                Who::Agent(agent) => self.agent_due(now, &agent),
            }
        }
    }

    /// The next thing to do or tell, in order; `None` when all is done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Center::handle`] with [`Input::Deadline`], if nothing comes before.
    pub fn deadline(&self) -> Option<Now> {
        self.agenda.next()
    }

    /// The endpoint that rings for `agent`.
    pub fn endpoint_of(&self, agent: &AgentId) -> Option<&str> {
        self.agents.get(agent).map(|a| a.config.endpoint.as_str())
    }

    /// The configuration of that queue, also while it closes.
    pub fn queue(&self, name: &str) -> Option<&QueueConfig> {
        self.queues.get(name).map(|q| &q.config)
    }

    /// The queue that `call` waits in.
    pub fn queue_of(&self, call: CallId) -> Option<&str> {
        self.standings.get(&call).map(|s| s.queue.as_str())
    }

    /// The position of `call`, 1 being next.
    pub fn position_of(&self, call: CallId) -> Option<usize> {
        let standing = self.standings.get(&call)?;
        Some(self.queues.get(&standing.queue)?.position(standing.place))
    }

    // Calls.

    fn join(
        &mut self,
        now: Now,
        call: CallId,
        name: String,
        priority: i32,
        max_wait: Option<Duration>,
    ) {
        if self.standings.contains_key(&call) {
            return;
        }
        let staffed = self.staffed(&name);
        let why = match self.queues.get(&name) {
            None => Some(Left::NoSuchQueue),
            Some(queue) if queue.closing => Some(Left::NoSuchQueue),
            Some(queue) if queue.waiting.len() >= queue.config.max_len => Some(Left::Full),
            Some(queue) if queue.config.without_agents == WithoutAgents::Leave && !staffed => {
                Some(Left::NoAgents)
            }
            Some(_) => None,
        };
        if let Some(queue) = self.queues.get_mut(&name) {
            queue.tally.joined += 1;
            queue.tally.refused += u64::from(why.is_some());
        }
        let queue = match (why, self.queues.get_mut(&name)) {
            (None, Some(queue)) => queue,
            (why, _) => {
                let why = why.unwrap_or(Left::NoSuchQueue);
                let waited = Duration::ZERO;
                self.outputs.push_back(Output::Left {
                    call,
                    queue: name,
                    why,
                    waited,
                });
                return;
            }
        };
        self.numbers += 1;
        let place = Place {
            priority: Reverse(priority),
            number: self.numbers,
        };
        let waiting = Waiting {
            call,
            joined: now,
            stage: Stage::Queued,
            leave_at: max_wait.or(queue.config.max_wait).map(|wait| now + wait),
            look_at: queue.config.announce.map(|_| now),
            told: None,
        };
        queue.open.insert(place);
        queue.waiting.insert(place, waiting);
        self.standings.insert(
            call,
            Standing {
                queue: name.clone(),
                place,
            },
        );
        self.seek_agent(now, &name, place);
        self.arm_call(call);
    }

    /// Takes a call out, unserved, and gives back the agent to whom it was offered.
    fn leave(&mut self, now: Now, call: CallId, why: Left) {
        let Some((name, waiting)) = self.take_out(call) else {
            return;
        };
        let waited = now - waiting.joined;
        if let Some(queue) = self.queues.get_mut(&name) {
            match why {
                Left::Gone => queue.tally.abandoned += 1,
                _ => queue.tally.expired += 1,
            }
        }
        self.forget_if_closed(&name);
        self.outputs.push_back(Output::Left {
            call,
            queue: name,
            why,
            waited,
        });
        if let Stage::Offered { agent } = waiting.stage {
            self.outputs.push_back(Output::Withdraw {
                call,
                agent: agent.clone(),
            });
            if let Some(state) = self.agents.get_mut(&agent)
                && let Activity::Ringing { idle_since, .. } = state.activity
            {
                state.activity = Activity::Idle { since: idle_since };
            }
            self.settle(now, &agent);
        }
    }

    /// Removes a call from its queue and from every index.
    fn take_out(&mut self, call: CallId) -> Option<(String, Waiting)> {
        let standing = self.standings.remove(&call)?;
        self.agenda.set(Who::Call(call), None);
        let queue = self.queues.get_mut(&standing.queue)?;
        queue.open.remove(&standing.place);
        let waiting = queue.waiting.remove(&standing.place)?;
        Some((standing.queue, waiting))
    }

    fn waiting_mut(&mut self, call: CallId) -> Option<&mut Waiting> {
        let standing = self.standings.get(&call)?;
        self.queues
            .get_mut(&standing.queue)?
            .waiting
            .get_mut(&standing.place)
    }

    fn arm_call(&mut self, call: CallId) {
        let at = self.waiting_mut(call).and_then(|w| w.deadline());
        self.agenda.set(Who::Call(call), at);
    }

    fn call_due(&mut self, now: Now, call: CallId) {
        let Some(waiting) = self.waiting_mut(call) else {
            return;
        };
        if waiting.leave_at.is_some_and(|at| at <= now) {
            self.leave(now, call, Left::MaxWait);
            return;
        }
        if waiting.look_at.is_some_and(|at| at <= now) {
            self.look(now, call);
        }
        self.arm_call(call);
    }

    /// Tells a caller his position if it is time to, or if it has changed; never while an agent rings.
    fn look(&mut self, now: Now, call: CallId) {
        let Some(position) = self.position_of(call) else {
            return;
        };
        let announce = self
            .queue_of(call)
            .and_then(|q| self.queue(q))
            .and_then(|q| q.announce);
        let Some(waiting) = self.waiting_mut(call) else {
            return;
        };
        let Some(announce) = announce else {
            waiting.look_at = None;
            return;
        };
        let every = announce.every.max(ANNOUNCE_MIN);
        let step = announce
            .on_change
            .map_or(every, |look| look.max(ANNOUNCE_MIN).min(every));
        waiting.look_at = Some(now + step);
        let due = match waiting.told {
            None => true,
            Some((_, at)) if now - at >= every => true,
            Some((before, _)) => announce.on_change.is_some() && before != position,
        };
        if due && waiting.stage == Stage::Queued {
            waiting.told = Some((position, now));
            self.outputs.push_back(Output::Position { call, position });
        }
    }

    // Offers.

    /// Offers the open call at `place` to the agent of its queue who has been free for longest.
    fn seek_agent(&mut self, now: Now, queue: &str, place: Place) {
        let agents = &self.agents;
        let serves = |id: &AgentId| agents.get(id).is_some_and(|a| a.queues.contains(queue));
        let Some(agent) = self.free.iter().map(|(_, id)| id).find(|id| serves(id)) else {
            return;
        };
        let agent = agent.clone();
        self.offer(now, queue, place, &agent);
    }

    /// Offers a free agent the first open call of his queues: by priority, then first come.
    fn seek_call(&mut self, now: Now, id: &AgentId) {
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

    fn offer(&mut self, now: Now, name: &str, place: Place, id: &AgentId) {
        let Some(queue) = self.queues.get_mut(name) else {
            return;
        };
        let ring = queue.config.ring.max(RING_MIN);
        let Some(agent) = self.agents.get_mut(id) else {
            return;
        };
        let (Some(idle_since), Some(waiting)) = (agent.free(), queue.waiting.get_mut(&place))
        else {
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
    fn reopen(&mut self, now: Now, call: CallId) {
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

    fn accepted(&mut self, now: Now, call: CallId, id: &AgentId) {
        let Some(agent) = self.agents.get_mut(id).filter(|a| a.is_offered(call)) else {
            return;
        };
        agent.misses = 0;
        let mut wrap_up = Duration::ZERO;
        if let Some((name, waiting)) = self.take_out(call) {
            let waited = now - waiting.joined;
            if let Some(queue) = self.queues.get_mut(&name) {
                wrap_up = queue.config.wrap_up;
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
                call: Some(call),
                wrap_up,
            };
        }
        self.settle(now, id);
    }

    fn declined(&mut self, now: Now, call: CallId, id: &AgentId, why: Declined) {
        let Some(queue) = self.queue_of(call).map(str::to_owned) else {
            return;
        };
        let refusal = self.queue(&queue).map(|q| q.refusal).unwrap_or_default();
        let Some(agent) = self.agents.get_mut(id).filter(|a| a.is_offered(call)) else {
            return;
        };
        agent.activity = Activity::Resting {
            until: now + refusal.rest.max(REST_MIN),
        };
        if why != Declined::Unreachable {
            agent.misses += 1;
        }
        if refusal
            .away_after
            .is_some_and(|bound| agent.misses >= bound.max(1))
        {
            agent.wish = Wish::Away;
            agent.misses = 0;
            agent.idle(now);
        }
        self.settle(now, id);
        self.reopen(now, call);
        self.expel_if_unstaffed(now, id);
        self.expel(now, &queue);
    }

    // Agents.

    fn wish(&mut self, now: Now, id: &AgentId, wish: Wish) {
        let Some(agent) = self.agents.get_mut(id) else {
            return;
        };
        let changed = agent.wish != wish;
        agent.wish = wish;
        let mut returned = None;
        match (agent.activity.clone(), wish) {
            (Activity::Ringing { call, .. }, Wish::Away) => {
                agent.idle(now);
                self.outputs.push_back(Output::Withdraw {
                    call,
                    agent: id.clone(),
                });
                returned = Some(call);
            }
            (Activity::WrapUp { .. } | Activity::Resting { .. }, _) => {
                agent.misses = 0;
                agent.idle(now);
            }
            (Activity::Idle { .. }, Wish::Available) if changed => agent.idle(now),
            _ => {}
        }
        self.settle(now, id);
        if let Some(call) = returned {
            self.reopen(now, call);
        }
        self.expel_if_unstaffed(now, id);
    }

    fn reachable(&mut self, now: Now, id: &AgentId, yes: bool) {
        let Some(agent) = self.agents.get_mut(id) else {
            return;
        };
        if agent.reachable == yes {
            return;
        }
        agent.reachable = yes;
        if matches!(agent.activity, Activity::Idle { .. }) {
            agent.idle(now);
        }
        self.settle(now, id);
        self.expel_if_unstaffed(now, id);
    }

    fn engaged(&mut self, now: Now, id: &AgentId) {
        let Some(agent) = self.agents.get_mut(id) else {
            return;
        };
        let returned = match agent.activity {
            Activity::Busy { .. } => return,
            Activity::Ringing { call, .. } => Some(call),
            _ => None,
        };
        agent.activity = Activity::Busy {
            call: None,
            wrap_up: Duration::ZERO,
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

    fn released(&mut self, now: Now, id: &AgentId) {
        let Some(agent) = self.agents.get_mut(id) else {
            return;
        };
        let Activity::Busy { wrap_up, .. } = agent.activity else {
            return;
        };
        if wrap_up.is_zero() || agent.wish == Wish::Away {
            agent.idle(now);
        } else {
            agent.activity = Activity::WrapUp {
                until: now + wrap_up,
            };
        }
        self.settle(now, id);
    }

    fn agent_due(&mut self, now: Now, id: &AgentId) {
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
            Activity::Resting { until } | Activity::WrapUp { until } if until <= now => {
                agent.idle(until);
                self.settle(now, id);
            }
            _ => self.settle(now, id),
        }
    }

    /// Brings every index in line with an agent's state, tells the world, and finds him work if he is free.
    fn settle(&mut self, now: Now, id: &AgentId) {
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
        if state != agent.shown.0 {
            agent.shown = (state, now);
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
    fn staffed(&self, queue: &str) -> bool {
        self.queues.get(queue).is_some_and(|q| {
            q.config
                .agents
                .iter()
                .filter_map(|id| self.agents.get(id))
                .any(Agent::on_duty)
        })
    }

    /// Sends away the callers whose last agent on duty this was, where the queue says so.
    fn expel_if_unstaffed(&mut self, now: Now, id: &AgentId) {
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

    fn expel(&mut self, now: Now, name: &str) {
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

    // Configuration.

    fn configure(&mut self, now: Now, queues: Vec<QueueConfig>, agents: Vec<AgentConfig>) {
        self.replace_queues(queues);
        self.replace_agents(now, agents);
        for (id, agent) in &mut self.agents {
            let serves = |q: &&Queue| q.config.agents.contains(id);
            agent.queues = self
                .queues
                .values()
                .filter(serves)
                .map(|q| q.config.name.clone())
                .collect();
        }
        for id in self.agents.keys().cloned().collect::<Vec<_>>() {
            self.settle(now, &id);
        }
        for name in self.queues.keys().cloned().collect::<Vec<_>>() {
            self.expel(now, &name);
        }
        let calls: Vec<CallId> = self.standings.keys().copied().collect();
        for call in calls {
            self.arm_call(call);
        }
    }

    fn replace_queues(&mut self, queues: Vec<QueueConfig>) {
        for queue in self.queues.values_mut() {
            queue.closing = true;
        }
        for config in queues {
            match self.queues.get_mut(&config.name) {
                Some(queue) => {
                    let announces = config.announce.is_some();
                    for waiting in queue.waiting.values_mut() {
                        let soon = waiting.told.map_or(waiting.joined, |(_, at)| at);
                        waiting.look_at = announces.then_some(waiting.look_at.unwrap_or(soon));
                    }
                    queue.config = config;
                    queue.closing = false;
                }
                None => {
                    self.queues.insert(config.name.clone(), Queue::new(config));
                }
            }
        }
        self.queues
            .retain(|_, queue| !queue.closing || !queue.waiting.is_empty());
    }

    fn replace_agents(&mut self, now: Now, agents: Vec<AgentConfig>) {
        for agent in self.agents.values_mut() {
            agent.retired = true;
        }
        for config in agents {
            match self.agents.get_mut(&config.id) {
                Some(agent) => {
                    agent.config = config;
                    agent.retired = false;
                }
                None => {
                    self.agents
                        .insert(config.id.clone(), Agent::new(now, config));
                }
            }
        }
    }

    fn forget_if_closed(&mut self, name: &str) {
        if self
            .queues
            .get(name)
            .is_some_and(|q| q.closing && q.waiting.is_empty())
        {
            self.queues.remove(name);
            for agent in self.agents.values_mut() {
                agent.queues.remove(name);
            }
        }
    }
}
