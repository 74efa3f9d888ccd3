//! The machine: the rules between what comes in and what goes out.

mod configuring;
mod offering;
mod staffing;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use clock::{Duration, Now};

use super::agenda::{Agenda, Who};
use super::agent::{Activity, Agent};
use super::queue::{ANNOUNCE_MIN, Place, Queue, Stage, Waiting};
use super::{AgentId, Input, Left, Missed, Output, QueueConfig, WithoutAgents};
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
            Input::AgentWish {
                agent,
                wish,
                reason,
            } => self.wish(now, &agent, wish, reason),
            Input::WrapUp { agent, ask } => self.wrap_up(now, &agent, ask),
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

    /// How long `call` has waited in the queue where it waits.
    pub fn waited(&self, now: Now, call: CallId) -> Option<Duration> {
        Some(now - self.waiting(call)?.joined)
    }

    /// How long `call` rings yet at the agent to whom it is offered.
    pub fn rings(&self, now: Now, call: CallId) -> Option<Duration> {
        let Stage::Offered { agent } = &self.waiting(call)?.stage else {
            return None;
        };
        Some(self.agents.get(agent)?.deadline()? - now)
    }

    fn waiting(&self, call: CallId) -> Option<&Waiting> {
        let standing = self.standings.get(&call)?;
        let queue = self.queues.get(&standing.queue)?;
        queue.waiting.get(&standing.place)
    }

    /// How long `call` is likely to wait yet: those in front and itself, shared among the agents of its
    /// queue who are on duty, each of whom a call keeps for as long as the latest have. `None` before
    /// there was one, or while nobody is on duty.
    pub fn expected_wait(&self, call: CallId) -> Option<Duration> {
        let standing = self.standings.get(&call)?;
        let queue = self.queues.get(&standing.queue)?;
        self.expected(queue, queue.position(standing.place))
    }

    /// The same at a position of a queue.
    pub(super) fn expected(&self, queue: &Queue, position: usize) -> Option<Duration> {
        let agents = queue.config.agents.iter();
        let on_duty = agents.filter(|id| self.agents.get(id).is_some_and(Agent::on_duty));
        let serve = u32::try_from(on_duty.count()).ok().filter(|n| *n > 0)?;
        let ahead = u32::try_from(position).ok()?;
        Some(queue.tally.handling?.saturating_mul(ahead) / serve)
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
        let queue_name = name.clone();
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
            self.outputs.push_back(Output::Missed {
                call,
                agent: agent.clone(),
                queue: queue_name,
                why: Missed::CallerGone,
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
}
