//! Random operations, and an onlooker who believes the outputs alone and holds them to the law.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::{
    ProptestConfig, Strategy as Generator, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
};

use super::*;

/// One random operation; numbers choose among what exists.
#[derive(Clone, Debug)]
enum Operation {
    Join {
        queue: usize,
        priority: i32,
        max_wait: Option<u64>,
    },
    Leave(usize),
    Accept(usize),
    Decline(usize, u8),
    Release(usize),
    Engage(usize),
    /// That agent wants that one of those who wait.
    Pick(usize, usize),
    WrapUp(usize, bool),
    Wish(usize, u8),
    Reachable(usize, bool),
    Wait(u64),
    Configure(u8, u8),
    /// An answer or a refusal that names a call and an agent at random: it may be stale or absurd.
    Stray {
        accept: bool,
        call: u64,
        agent: usize,
    },
}

fn operation() -> impl Generator<Value = Operation> {
    use Operation as O;
    prop_oneof![
        6 => (0..3usize, -1..2i32, proptest::option::of(1..60u64))
            .prop_map(|(queue, priority, max_wait)| O::Join { queue, priority, max_wait }),
        2 => any::<usize>().prop_map(O::Leave),
        4 => any::<usize>().prop_map(O::Accept),
        3 => (any::<usize>(), 0..4u8).prop_map(|(n, why)| O::Decline(n, why)),
        4 => (0..4usize).prop_map(O::Release),
        1 => (0..4usize).prop_map(O::Engage),
        2 => (0..4usize, any::<usize>()).prop_map(|(n, call)| O::Pick(n, call)),
        1 => (0..4usize, any::<bool>()).prop_map(|(n, end)| O::WrapUp(n, end)),
        2 => (0..4usize, 0..8u8).prop_map(|(n, which)| O::Wish(n, which)),
        2 => (0..4usize, proptest::bool::weighted(0.8)).prop_map(|(n, yes)| O::Reachable(n, yes)),
        4 => (0..30_000u64).prop_map(O::Wait),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(queues, agents)| O::Configure(queues, agents)),
        1 => (any::<bool>(), 0..20u64, 0..4usize)
            .prop_map(|(accept, call, agent)| O::Stray { accept, call, agent }),
    ]
}

const AGENTS: [&str; 4] = ["anna", "bob", "cem", "dora"];

/// The queues of the random world; each bit of `mask` leaves one out.
fn world_queues(mask: u8) -> Vec<QueueConfig> {
    let announce = Some(Announce {
        every: secs(7),
        on_change: Some(secs(2)),
    });
    let refusal = Refusal {
        rest: secs(2),
        away_after: Some(2),
    };
    let all = [
        QueueConfig {
            wrap_up: secs(3),
            announce,
            ..queue("q0", &["anna", "bob"])
        },
        QueueConfig {
            refusal,
            max_len: 3,
            ring: secs(5),
            ..queue("q1", &["bob", "cem", "dora"])
        },
        QueueConfig {
            without_agents: WithoutAgents::Leave,
            ..queue("q2", &["anna", "dora"])
        },
    ];
    let kept = all
        .into_iter()
        .enumerate()
        .filter(|(n, _)| mask & (1 << n) == 0);
    kept.map(|(_, config)| config).collect()
}

fn world_agents(mask: u8) -> Vec<AgentConfig> {
    let kept = AGENTS
        .iter()
        .enumerate()
        .filter(|(n, _)| mask & (1 << n) == 0);
    kept.map(|(_, name)| agent(name)).collect()
}

/// What an onlooker believes from the outputs alone, and the law that he holds them to.
#[derive(Default)]
struct Onlooker {
    /// Calls that wait: (priority, order of joining).
    waiting: BTreeMap<CallId, (i32, u64)>,
    /// The queue that each call joined.
    queues: BTreeMap<CallId, String>,
    /// Calls that ever joined, with their number of endings.
    endings: BTreeMap<CallId, u32>,
    /// Who rings for which call.
    ringing: BTreeMap<CallId, AgentId>,
    /// Who serves.
    serving: BTreeMap<AgentId, Option<CallId>>,
    /// The call that an agent has just chosen.
    picked: Option<CallId>,
}

impl Onlooker {
    fn see(&mut self, output: &Output) {
        match output {
            Output::Offer {
                call, agent, queue, ..
            } => {
                if self.picked != Some(*call) {
                    assert_eq!(Some(*call), self.first_open(queue), "out of turn");
                }
                assert!(self.waiting.contains_key(call), "{call} does not wait");
                assert!(
                    !self.ringing.values().any(|a| a == agent),
                    "{agent} rings twice"
                );
                assert!(!self.serving.contains_key(agent), "{agent} is busy");
                assert!(
                    self.ringing.insert(*call, agent.clone()).is_none(),
                    "{call} given twice"
                );
            }
            Output::Withdraw { call, agent } => {
                assert_eq!(self.ringing.remove(call).as_ref(), Some(agent));
            }
            Output::Assigned { call, agent, .. } => {
                assert_eq!(self.ringing.remove(call).as_ref(), Some(agent));
                assert!(
                    self.serving.insert(agent.clone(), Some(*call)).is_none(),
                    "{agent} capacity"
                );
                self.end(*call);
            }
            Output::Left { call, .. } => self.end(*call),
            Output::Position { call, position } => {
                assert!(self.waiting.contains_key(call) && *position >= 1);
                assert!(!self.ringing.contains_key(call));
            }
            Output::Missed { .. } | Output::AgentChanged { .. } => {}
        }
    }

    /// The call of that queue that is next in turn: higher priority, then first come.
    fn first_open(&self, queue: &str) -> Option<CallId> {
        let open = self.waiting.iter().filter(|(call, _)| {
            !self.ringing.contains_key(call) && self.queues.get(call).is_some_and(|q| q == queue)
        });
        let first = open.min_by_key(|(_, (priority, number))| (-priority, *number));
        first.map(|(call, _)| *call)
    }

    fn end(&mut self, call: CallId) {
        self.waiting.remove(&call);
        *self.endings.entry(call).or_default() += 1;
    }

    /// The law between two inputs.
    fn check(&self, center: &Center, now: Now) {
        let snapshot = center.snapshot(now);
        let places: Vec<CallId> = snapshot
            .queues
            .iter()
            .flat_map(|q| q.waiting.iter().map(|w| w.call))
            .collect();
        let waits: BTreeSet<CallId> = places.iter().copied().collect();
        assert_eq!(places.len(), waits.len(), "a call stands in two places");
        assert_eq!(
            waits,
            self.waiting.keys().copied().collect(),
            "somebody is lost"
        );
        for queue in &snapshot.queues {
            let order: Vec<(i32, u64)> = queue
                .waiting
                .iter()
                .map(|w| self.waiting[&w.call])
                .map(|(p, n)| (-p, n))
                .collect();
            assert!(order.is_sorted(), "first come, first served: {order:?}");
            let open = queue.waiting.iter().filter(|w| w.offered_to.is_none());
            for waiting in open {
                for (agent, obstacle) in center.why_waiting(waiting.call).unwrap() {
                    assert_ne!(
                        obstacle,
                        Obstacle::Free,
                        "{agent} is idle and {waiting:?} waits"
                    );
                }
            }
        }
        for (call, count) in &self.endings {
            assert_eq!(*count, 1, "{call} ended {count} times");
            assert!(!self.waiting.contains_key(call));
        }
        if let Some(deadline) = center.deadline() {
            assert!(deadline > now, "a timer that is due was not served");
        }
    }
}

/// A centre, an onlooker and a clock, driven by random operations.
struct World {
    center: Center,
    onlooker: Onlooker,
    now: Now,
    calls: u64,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            center: Center::new(),
            onlooker: Onlooker::default(),
            now: Now::ZERO,
            calls: 0,
        };
        world.tell(Input::Configure {
            queues: world_queues(0),
            agents: world_agents(0),
        });
        for name in AGENTS {
            world.tell(Input::AgentReachable {
                agent: name.into(),
                yes: true,
            });
        }
        world
    }

    /// Whoever picks gets the call, or nothing changes.
    fn pick(&mut self, agent: &AgentId, n: usize) {
        let waiting = &self.onlooker.waiting;
        let call = n
            .checked_rem(waiting.len())
            .and_then(|n| waiting.keys().nth(n));
        let call = call.copied().unwrap_or(CallId(1_000_000));
        let before = format!("{:?}", self.center.snapshot(self.now));
        let picked = self.center.pick(self.now, agent, call);
        let told = drain(&mut self.center);
        if picked.is_err() {
            assert_eq!(before, format!("{:?}", self.center.snapshot(self.now)));
            assert_eq!(told, []);
        }
        self.onlooker.picked = Some(call);
        told.iter().for_each(|output| self.onlooker.see(output));
        self.onlooker.picked = None;
        let has = self.onlooker.ringing.get(&call) == Some(agent);
        assert_eq!(picked.is_ok(), has, "{picked:?}");
        self.onlooker.check(&self.center, self.now);
    }

    fn tell(&mut self, input: Input) {
        if let Input::Released { agent } = &input {
            self.onlooker.serving.remove(agent);
        }
        if let Input::Declined { call, agent, .. } = &input
            && self.onlooker.ringing.get(call) == Some(agent)
        {
            self.onlooker.ringing.remove(call);
        }
        let engaged = match &input {
            Input::Engaged { agent } if self.center.endpoint_of(agent).is_some() => {
                Some(agent.clone())
            }
            _ => None,
        };
        self.center.handle(self.now, input);
        for output in drain(&mut self.center) {
            self.onlooker.see(&output);
        }
        if let Some(agent) = engaged {
            self.onlooker.serving.entry(agent).or_insert(None);
        }
        self.onlooker.check(&self.center, self.now);
    }

    /// Lets time pass, serving each deadline at its own moment.
    fn wait(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(deadline) = self.center.deadline().filter(|at| *at <= end) {
            self.now = deadline;
            self.tell(Input::Deadline);
        }
        self.now = end;
    }

    fn ringing(&self, n: usize) -> Option<(CallId, AgentId)> {
        let pairs = &self.onlooker.ringing;
        let (call, agent) = pairs.iter().nth(n.checked_rem(pairs.len())?)?;
        Some((*call, agent.clone()))
    }

    fn run(&mut self, operation: Operation) {
        let name = |n: usize| AgentId::from(AGENTS[n]);
        match operation {
            Operation::Join {
                queue,
                priority,
                max_wait,
            } => {
                self.calls += 1;
                let call = CallId(self.calls);
                self.onlooker.queues.insert(call, format!("q{queue}"));
                self.onlooker.waiting.insert(call, (priority, self.calls));
                let (queue, max_wait) = (format!("q{queue}"), max_wait.map(secs));
                self.tell(Input::Join {
                    call,
                    queue,
                    priority,
                    max_wait,
                });
            }
            Operation::Leave(n) => {
                let waiting = &self.onlooker.waiting;
                let call = n
                    .checked_rem(waiting.len())
                    .and_then(|n| waiting.keys().nth(n));
                if let Some(&call) = call {
                    self.tell(Input::Leave { call });
                    assert!(!self.onlooker.waiting.contains_key(&call));
                }
            }
            Operation::Accept(n) => {
                if let Some((call, agent)) = self.ringing(n) {
                    self.tell(Input::Accepted { call, agent });
                    assert!(!self.onlooker.waiting.contains_key(&call));
                }
            }
            Operation::Decline(n, why) => {
                use Declined as D;
                let why = [D::Busy, D::NoAnswer, D::Unreachable, D::Refused][usize::from(why)];
                if let Some((call, agent)) = self.ringing(n) {
                    self.tell(Input::Declined { call, agent, why });
                }
            }
            Operation::Release(n) => self.tell(Input::Released { agent: name(n) }),
            Operation::Engage(n) => self.tell(Input::Engaged { agent: name(n) }),
            Operation::Pick(n, call) => self.pick(&name(n), call),
            Operation::WrapUp(n, end) => {
                let ask = if end { WrapUp::End } else { WrapUp::Extend };
                let agent = name(n);
                self.tell(Input::WrapUp { agent, ask });
            }
            Operation::Wish(n, which) => {
                // Half the time for calls.
                let wish = Wish::ALL.get(usize::from(which)).copied();
                let wish = wish.unwrap_or_default();
                self.tell(Input::AgentWish {
                    agent: name(n),
                    wish,
                    reason: None,
                });
            }
            Operation::Reachable(n, yes) => {
                self.tell(Input::AgentReachable {
                    agent: name(n),
                    yes,
                });
            }
            Operation::Wait(millis) => self.wait(Duration::from_millis(millis)),
            Operation::Configure(queues, agents) => {
                // Busy agents who are gone leave the onlooker's sight with their last call.
                let (queues, agents) = (world_queues(queues & 7), world_agents(agents & 15));
                self.tell(Input::Configure { queues, agents });
            }
            Operation::Stray {
                accept,
                call,
                agent,
            } => {
                let (call, agent) = (CallId(call), name(agent));
                match accept {
                    true => self.tell(Input::Accepted { call, agent }),
                    false => self.tell(Input::Declined {
                        call,
                        agent,
                        why: Declined::Busy,
                    }),
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_happens_nobody_is_lost_or_given_twice_and_no_agent_idles_while_somebody_waits(
        operations in proptest::collection::vec(operation(), 1..120)
    ) {
        let mut world = World::new();
        for operation in operations {
            world.run(operation);
        }
        // All back on duty, everybody answers and hangs up: everything must come to an end.
        world.tell(Input::Configure { queues: world_queues(0), agents: world_agents(0) });
        for name in AGENTS {
            world.tell(Input::Released { agent: name.into() });
            world.tell(Input::AgentReachable { agent: name.into(), yes: true });
            world.tell(Input::AgentWish { agent: name.into(), wish: Wish::Available, reason: None });
        }
        let mut rounds = 0;
        while !world.onlooker.waiting.is_empty() {
            while let Some((call, agent)) = world.ringing(0) {
                world.tell(Input::Accepted { call, agent: agent.clone() });
                world.tell(Input::Released { agent });
            }
            world.wait(secs(5));
            rounds += 1;
            prop_assert!(rounds < 500, "somebody waits for ever");
        }
        prop_assert_eq!(world.onlooker.endings.len() as u64, world.calls);
        world.wait(secs(60));
        prop_assert_eq!(world.center.deadline(), None, "a timer outlives its call");
    }

    #[test]
    fn the_same_operations_give_the_same_outputs(
        operations in proptest::collection::vec(operation(), 1..60)
    ) {
        let digest = |operations: Vec<Operation>| {
            let mut world = World::new();
            operations.into_iter().for_each(|operation| world.run(operation));
            format!("{:?}", world.center.snapshot(world.now))
        };
        prop_assert_eq!(digest(operations.clone()), digest(operations));
    }
}
