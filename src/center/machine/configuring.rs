//! Another configuration in force: who stays, who leaves, what goes on counting.

use clock::Now;

use super::Center;
use crate::call::CallId;
use crate::center::agent::Agent;
use crate::center::queue::Queue;
use crate::center::{AgentConfig, QueueConfig};

impl Center {
    pub(super) fn configure(
        &mut self,
        now: Now,
        queues: Vec<QueueConfig>,
        agents: Vec<AgentConfig>,
    ) {
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

    pub(super) fn replace_queues(&mut self, queues: Vec<QueueConfig>) {
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

    pub(super) fn replace_agents(&mut self, now: Now, agents: Vec<AgentConfig>) {
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

    pub(super) fn forget_if_closed(&mut self, name: &str) {
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
