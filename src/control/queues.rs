//! The centre's words, carried to calls; calls' words, carried to the centre.

use clock::Now;

use super::waiting::Steps;
use super::{Control, Event, Output, Refusal, What};
use crate::call::CallId;
use crate::center::{self, Announce, Input, Left, QueueConfig, WithoutAgents};
use crate::dialplan::{LeftWhy, QueueNotice, QueueSpec, RunInput};

impl Control {
    /// Tells the centre the queues of the plan in force, and the agents.
    pub(super) fn configure_center(&mut self, now: Now) {
        let queues: Vec<QueueConfig> = self.plan.queues().iter().map(queue_config).collect();
        let agents = self.agents.clone();
        self.center.handle(now, Input::Configure { queues, agents });
        let seen = |agent: &center::AgentConfig| {
            let yes = self.registrar.is_reachable(&agent.endpoint);
            (agent.id.clone(), yes)
        };
        let seen: Vec<_> = self.agents.iter().map(seen).collect();
        for (agent, yes) in seen {
            self.center
                .handle(now, Input::AgentReachable { agent, yes });
        }
    }

    pub(super) fn on_center(&mut self, now: Now, output: center::Output) {
        match output {
            center::Output::Offer {
                call, agent, ring, ..
            } => {
                // A call that ended meanwhile has left: what it was offered is withdrawn already.
                let waits = self
                    .calls
                    .get(&call)
                    .is_some_and(|slot| slot.waiting.is_some());
                let endpoint = self.center.endpoint_of(&agent).map(str::to_owned);
                let Some(endpoint) = endpoint.filter(|_| waits) else {
                    return;
                };
                self.keep_offered(call, &agent);
                self.event(
                    now,
                    call,
                    What::Offered {
                        agent: agent.to_string(),
                    },
                );
                self.with_waiting(now, call, |waiting| waiting.offer(agent, endpoint, ring));
            }
            center::Output::Withdraw { call, agent } => {
                self.with_waiting(now, call, |waiting| waiting.withdraw(&agent));
            }
            center::Output::Position { call, position } => {
                self.with_waiting(now, call, |waiting| waiting.announce(position));
                self.tell_run(now, call, RunInput::Queue(QueueNotice::Position(position)));
            }
            center::Output::Assigned {
                call,
                agent,
                waited,
                ..
            } => {
                if let Some(slot) = self.calls.get_mut(&call) {
                    slot.waited += waited;
                    slot.agent = Some(agent.to_string());
                }
                let notice = QueueNotice::Bridged {
                    agent: agent.to_string(),
                };
                self.tell_run(now, call, RunInput::Queue(notice));
            }
            center::Output::Left {
                call, why, waited, ..
            } => self.on_left(now, call, why, waited),
            center::Output::Missed {
                call,
                agent,
                queue,
                why,
            } => self.on_missed(now, call, (agent, queue, why)),
            center::Output::AgentChanged { agent, state } => {
                let what = What::Agent {
                    agent: agent.to_string(),
                    state,
                };
                self.outputs.push_back(Output::Event(Event {
                    at: now,
                    call: None,
                    what,
                }));
            }
        }
    }

    fn on_left(&mut self, now: Now, call: CallId, why: Left, waited: std::time::Duration) {
        let Some(slot) = self.calls.get_mut(&call) else {
            return;
        };
        slot.waited += waited;
        let Some(mut waiting) = slot.waiting.take() else {
            return;
        };
        let steps = waiting.withdrawn();
        self.take_steps(now, call, steps);
        if why != Left::Gone {
            self.note_left(now, call, why);
        }
        let left = match why {
            Left::Gone => return,
            Left::MaxWait => LeftWhy::MaxWait,
            Left::Full => LeftWhy::Full,
            Left::NoAgents => LeftWhy::NoAgents,
            Left::NoSuchQueue => LeftWhy::Removed,
        };
        self.tell_run(now, call, RunInput::Queue(QueueNotice::Left { why: left }));
    }

    /// Why a call left its queue without an agent.
    fn note_left(&mut self, now: Now, call: CallId, why: Left) {
        let queue = self.calls.get(&call).and_then(|slot| slot.queue.clone());
        let queue = queue.unwrap_or_default();
        let agents = self.center.obstacles(&queue, call);
        let shown = |(agent, obstacle): (center::AgentId, center::Obstacle)| {
            format!("{agent} {}", obstacle.name())
        };
        let agents = agents.into_iter().take(8).map(shown).collect();
        self.trouble(now, call, &Refusal::Queue { queue, why, agents });
    }

    fn with_waiting(
        &mut self,
        now: Now,
        call: CallId,
        step: impl FnOnce(&mut super::Waiting) -> Steps,
    ) {
        let waiting = self
            .calls
            .get_mut(&call)
            .and_then(|slot| slot.waiting.as_mut());
        if let Some(waiting) = waiting {
            let steps = step(waiting);
            self.take_steps(now, call, steps);
        }
    }

    /// Carries out what a wait came to.
    pub(super) fn take_steps(&mut self, now: Now, call: CallId, steps: Steps) {
        for action in steps.actions {
            self.ask(now, call, action);
        }
        for input in steps.center {
            self.center.handle(now, input);
        }
    }
}

/// A plan's queue in the centre's words.
fn queue_config(spec: &QueueSpec) -> QueueConfig {
    let mut config = QueueConfig::named(&spec.name);
    config.agents = spec
        .agents
        .iter()
        .map(|name| center::AgentId::new(name))
        .collect();
    config.music = Some(spec.music.clone());
    config.ring = spec.ring_timeout;
    config.wrap_up = spec.wrap_up;
    config.max_wait = spec.max_wait;
    config.max_len = spec.max_len;
    config.announce = spec.announce.map(|every| Announce {
        every,
        on_change: None,
    });
    config.without_agents = if spec.leave_without_agents {
        WithoutAgents::Leave
    } else {
        WithoutAgents::Wait
    };
    config
}
