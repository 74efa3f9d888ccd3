//! The centre by scenario, and by random operations against what it promises.

use std::collections::{BTreeMap, BTreeSet};

use clock::{Duration, Now};
use proptest::prelude::{
    ProptestConfig, Strategy as Generator, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
};

use super::*;
use crate::call::CallId;

mod desk;

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn at(n: u64) -> Now {
    Now::ZERO + secs(n)
}

fn agent(name: &str) -> AgentConfig {
    AgentConfig {
        id: name.into(),
        endpoint: name.to_owned(),
        wish: Wish::Available,
    }
}

fn queue(name: &str, agents: &[&str]) -> QueueConfig {
    let agents = agents.iter().map(|name| AgentId::from(*name)).collect();
    QueueConfig {
        agents,
        ..QueueConfig::named(name)
    }
}

/// A centre with those queues, whose agents can all be rung, one second longer idle by turn.
fn center(queues: Vec<QueueConfig>) -> Center {
    let mut center = Center::new();
    let names: BTreeSet<AgentId> = queues.iter().flat_map(|q| q.agents.clone()).collect();
    let agents: Vec<AgentConfig> = names.iter().map(|id| agent(id.as_str())).collect();
    center.handle(Now::ZERO, Input::Configure { queues, agents });
    for id in names {
        center.handle(
            Now::ZERO,
            Input::AgentReachable {
                agent: id,
                yes: true,
            },
        );
    }
    drain(&mut center);
    center
}

fn drain(center: &mut Center) -> Vec<Output> {
    std::iter::from_fn(|| center.poll_output()).collect()
}

/// What the centre says to `input` of calls, without what it tells of agents alone.
fn tell(center: &mut Center, now: Now, input: Input) -> Vec<Output> {
    center.handle(now, input);
    let told = drain(center).into_iter();
    told.filter(|o| !matches!(o, Output::AgentChanged { .. } | Output::Missed { .. }))
        .collect()
}

fn join(call: u64, queue: &str) -> Input {
    Input::Join {
        call: CallId(call),
        queue: queue.to_owned(),
        priority: 0,
        max_wait: None,
    }
}

fn urgent(call: u64, queue: &str, priority: i32) -> Input {
    Input::Join {
        call: CallId(call),
        queue: queue.to_owned(),
        priority,
        max_wait: None,
    }
}

fn accepted(call: u64, agent: &str) -> Input {
    Input::Accepted {
        call: CallId(call),
        agent: agent.into(),
    }
}

fn declined(call: u64, agent: &str, why: Declined) -> Input {
    Input::Declined {
        call: CallId(call),
        agent: agent.into(),
        why,
    }
}

fn released(agent: &str) -> Input {
    Input::Released {
        agent: agent.into(),
    }
}

/// Who rings for whom after those outputs.
fn offers(outputs: &[Output]) -> Vec<(u64, String)> {
    let offer = |o: &Output| match o {
        Output::Offer { call, agent, .. } => Some((call.0, agent.to_string())),
        _ => None,
    };
    outputs.iter().filter_map(offer).collect()
}

fn offer(call: u64, agent: &str) -> Vec<(u64, String)> {
    vec![(call, agent.to_owned())]
}

fn endings(outputs: &[Output]) -> Vec<(u64, Left)> {
    let ending = |o: &Output| match o {
        Output::Left { call, why, .. } => Some((call.0, *why)),
        _ => None,
    };
    outputs.iter().filter_map(ending).collect()
}

fn state(center: &Center, now: Now, name: &str) -> AgentState {
    let agents = center.snapshot(now).agents;
    agents
        .into_iter()
        .find(|a| a.id == name.into())
        .unwrap()
        .state
}

#[test]
fn the_agent_idle_for_longest_is_rung_and_takes_the_call() {
    let mut c = center(vec![queue("sales", &["anna", "bob"])]);
    assert_eq!(
        offers(&tell(&mut c, at(1), join(1, "sales"))),
        offer(1, "anna")
    );
    let told = tell(&mut c, at(4), accepted(1, "anna"));
    let (call, agent, queue) = (CallId(1), "anna".into(), "sales".to_owned());
    assert_eq!(
        told,
        [Output::Assigned {
            call,
            agent,
            queue,
            waited: secs(3)
        }]
    );
    assert_eq!(tell(&mut c, at(9), released("anna")), []);
    assert_eq!(
        offers(&tell(&mut c, at(10), join(2, "sales"))),
        offer(2, "bob")
    );
}

#[test]
fn who_comes_first_is_served_first_unless_another_matters_more() {
    let mut c = center(vec![queue("sales", &["anna"])]);
    tell(&mut c, at(0), join(1, "sales"));
    tell(&mut c, at(0), accepted(1, "anna"));
    for call in [2, 3] {
        assert_eq!(tell(&mut c, at(1), join(call, "sales")), []);
    }
    tell(&mut c, at(2), urgent(4, "sales", 5));
    for next in [4, 2, 3] {
        assert_eq!(
            offers(&tell(&mut c, at(3), released("anna"))),
            offer(next, "anna")
        );
        tell(&mut c, at(3), accepted(next, "anna"));
    }
}

#[test]
fn an_agent_of_two_queues_takes_whoever_came_first_to_either() {
    let mut c = center(vec![queue("a", &["anna"]), queue("b", &["anna"])]);
    tell(&mut c, at(0), join(1, "a"));
    tell(&mut c, at(0), accepted(1, "anna"));
    tell(&mut c, at(1), join(2, "b"));
    tell(&mut c, at(2), join(3, "a"));
    assert_eq!(
        offers(&tell(&mut c, at(3), released("anna"))),
        offer(2, "anna")
    );
}

#[test]
fn a_phone_that_rings_too_long_is_withdrawn_and_the_next_agent_rings() {
    let mut c = center(vec![queue("sales", &["anna", "bob"])]);
    tell(&mut c, at(0), join(1, "sales"));
    assert_eq!(c.deadline(), Some(at(20)));
    let told = tell(&mut c, at(20), Input::Deadline);
    assert_eq!(
        told.first(),
        Some(&Output::Withdraw {
            call: CallId(1),
            agent: "anna".into()
        })
    );
    assert_eq!(offers(&told), offer(1, "bob"));
    assert_eq!(state(&c, at(20), "anna"), AgentState::Resting);
}

#[test]
fn busy_timeout_and_unavailable_all_move_on_to_the_next_agent() {
    for why in [
        Declined::Busy,
        Declined::NoAnswer,
        Declined::Unreachable,
        Declined::Refused,
    ] {
        let mut c = center(vec![queue("sales", &["anna", "bob"])]);
        tell(&mut c, at(0), join(1, "sales"));
        assert_eq!(
            offers(&tell(&mut c, at(1), declined(1, "anna", why))),
            offer(1, "bob")
        );
    }
}

#[test]
fn an_agent_who_refused_rests_and_is_then_asked_again() {
    let mut c = center(vec![queue("sales", &["anna"])]);
    tell(&mut c, at(0), join(1, "sales"));
    assert_eq!(tell(&mut c, at(1), declined(1, "anna", Declined::Busy)), []);
    assert_eq!(
        c.why_waiting(CallId(1)).unwrap(),
        [("anna".into(), Obstacle::Resting { until: at(6) })]
    );
    assert_eq!(
        offers(&tell(&mut c, at(6), Input::Deadline)),
        offer(1, "anna")
    );
}

#[test]
fn three_misses_in_a_row_set_an_agent_away_and_an_answer_forgives_them() {
    let mut c = center(vec![queue("sales", &["anna"])]);
    tell(&mut c, at(0), join(1, "sales"));
    tell(&mut c, at(0), declined(1, "anna", Declined::NoAnswer));
    tell(&mut c, at(5), Input::Deadline);
    tell(&mut c, at(6), accepted(1, "anna"));
    tell(&mut c, at(7), released("anna"));
    tell(&mut c, at(8), join(2, "sales"));
    for round in 0..3 {
        assert_ne!(state(&c, at(9), "anna"), AgentState::Away, "round {round}");
        tell(
            &mut c,
            at(10 + 5 * round),
            declined(2, "anna", Declined::NoAnswer),
        );
        tell(&mut c, at(15 + 5 * round), Input::Deadline);
    }
    assert_eq!(state(&c, at(30), "anna"), AgentState::Away);
    let wish = Input::AgentWish {
        agent: "anna".into(),
        wish: Wish::Available,
        reason: None,
    };
    assert_eq!(offers(&tell(&mut c, at(31), wish)), offer(2, "anna"));
}

#[test]
fn a_phone_that_cannot_be_reached_is_not_counted_as_a_miss() {
    let mut c = center(vec![queue("sales", &["anna"])]);
    tell(&mut c, at(0), join(1, "sales"));
    for round in 0..5 {
        tell(&mut c, at(5 * round), Input::Deadline);
        tell(
            &mut c,
            at(5 * round),
            declined(1, "anna", Declined::Unreachable),
        );
    }
    assert_eq!(state(&c, at(21), "anna"), AgentState::Resting);
}

#[test]
fn a_caller_who_hangs_up_while_a_phone_rings_gives_the_agent_back_his_turn() {
    let mut c = center(vec![queue("sales", &["anna", "bob"])]);
    tell(&mut c, at(1), join(1, "sales"));
    let told = tell(&mut c, at(3), Input::Leave { call: CallId(1) });
    assert_eq!(endings(&told), [(1, Left::Gone)]);
    assert_eq!(
        told.last(),
        Some(&Output::Withdraw {
            call: CallId(1),
            agent: "anna".into()
        })
    );
    assert_eq!(
        offers(&tell(&mut c, at(4), join(2, "sales"))),
        offer(2, "anna")
    );
    assert_eq!(
        tell(&mut c, at(5), accepted(1, "anna")),
        [],
        "an answer that crossed is dropped"
    );
}

#[test]
fn the_longest_wait_ends_the_wait_even_while_a_phone_rings() {
    let config = QueueConfig {
        max_wait: Some(secs(10)),
        ..queue("sales", &["anna"])
    };
    let mut c = center(vec![config]);
    tell(&mut c, at(0), join(1, "sales"));
    let own = Some(secs(4));
    let call = CallId(2);
    tell(
        &mut c,
        at(0),
        Input::Join {
            call,
            queue: "sales".into(),
            priority: 0,
            max_wait: own,
        },
    );
    assert_eq!(
        endings(&tell(&mut c, at(4), Input::Deadline)),
        [(2, Left::MaxWait)]
    );
    let told = tell(&mut c, at(10), Input::Deadline);
    assert_eq!(endings(&told), [(1, Left::MaxWait)]);
    assert!(told.contains(&Output::Withdraw {
        call: CallId(1),
        agent: "anna".into()
    }));
}

#[test]
fn a_full_queue_and_one_that_does_not_exist_let_nobody_in() {
    let mut c = center(vec![QueueConfig {
        max_len: 1,
        ..queue("sales", &[])
    }]);
    tell(&mut c, at(0), join(1, "sales"));
    assert_eq!(
        endings(&tell(&mut c, at(0), join(2, "sales"))),
        [(2, Left::Full)]
    );
    assert_eq!(
        endings(&tell(&mut c, at(0), join(3, "sails"))),
        [(3, Left::NoSuchQueue)]
    );
}

#[test]
fn where_callers_do_not_wait_for_agents_they_leave_with_the_last_on_duty() {
    let without_agents = WithoutAgents::Leave;
    let mut c = center(vec![QueueConfig {
        without_agents,
        ..queue("sales", &["anna", "bob"])
    }]);
    for call in [1, 2, 3] {
        tell(&mut c, at(0), join(call, "sales"));
    }
    tell(&mut c, at(0), accepted(1, "anna"));
    let away = |name: &str| Input::AgentWish {
        agent: name.into(),
        wish: Wish::Away,
        reason: None,
    };
    assert_eq!(
        endings(&tell(&mut c, at(1), away("anna"))),
        [],
        "bob is still there"
    );
    let told = tell(&mut c, at(2), away("bob"));
    assert_eq!(endings(&told), [(2, Left::NoAgents), (3, Left::NoAgents)]);
    assert_eq!(
        endings(&tell(&mut c, at(3), join(4, "sales"))),
        [(4, Left::NoAgents)]
    );
}

#[test]
fn wrap_up_keeps_calls_away_until_it_is_over_or_the_agent_says_so() {
    for (early, due) in [(false, 14), (true, 12)] {
        let mut c = center(vec![QueueConfig {
            wrap_up: secs(10),
            ..queue("sales", &["anna"])
        }]);
        tell(&mut c, at(0), join(1, "sales"));
        tell(&mut c, at(0), accepted(1, "anna"));
        assert_eq!(tell(&mut c, at(4), released("anna")), []);
        assert_eq!(tell(&mut c, at(5), join(2, "sales")), []);
        assert_eq!(state(&c, at(5), "anna"), AgentState::WrapUp);
        let wish = Input::AgentWish {
            agent: "anna".into(),
            wish: Wish::Available,
            reason: None,
        };
        let input = if early { wish } else { Input::Deadline };
        assert_eq!(offers(&tell(&mut c, at(due), input)), offer(2, "anna"));
    }
}

#[test]
fn an_agent_who_goes_away_while_ringing_passes_the_call_on() {
    let mut c = center(vec![queue("sales", &["anna", "bob"])]);
    tell(&mut c, at(0), join(1, "sales"));
    let away = Input::AgentWish {
        agent: "anna".into(),
        wish: Wish::Away,
        reason: None,
    };
    let told = tell(&mut c, at(1), away);
    assert_eq!(
        told.first(),
        Some(&Output::Withdraw {
            call: CallId(1),
            agent: "anna".into()
        })
    );
    assert_eq!(offers(&told), offer(1, "bob"));
}

#[test]
fn a_call_from_elsewhere_keeps_an_agent_busy_until_it_is_over() {
    let mut c = center(vec![queue("sales", &["anna"])]);
    tell(
        &mut c,
        at(0),
        Input::Engaged {
            agent: "anna".into(),
        },
    );
    assert_eq!(tell(&mut c, at(1), join(1, "sales")), []);
    assert_eq!(
        offers(&tell(&mut c, at(2), released("anna"))),
        offer(1, "anna")
    );
}

#[test]
fn positions_are_told_at_once_then_regularly_and_sooner_when_they_change() {
    let announce = Some(Announce {
        every: secs(30),
        on_change: Some(secs(5)),
    });
    let mut c = center(vec![QueueConfig {
        announce,
        ..queue("sales", &[])
    }]);
    let told = |call, position| Output::Position {
        call: CallId(call),
        position,
    };
    assert_eq!(tell(&mut c, at(0), join(1, "sales")), [told(1, 1)]);
    assert_eq!(tell(&mut c, at(0), join(2, "sales")), [told(2, 2)]);
    assert_eq!(tell(&mut c, at(5), Input::Deadline), []);
    tell(&mut c, at(6), Input::Leave { call: CallId(1) });
    assert_eq!(tell(&mut c, at(10), Input::Deadline), [told(2, 1)]);
    let mut next = c.deadline().unwrap();
    while tell(&mut c, next, Input::Deadline).is_empty() {
        next = c.deadline().unwrap();
    }
    assert_eq!(next, at(40));
}

#[test]
fn a_queue_that_is_configured_no_more_keeps_its_callers_and_takes_no_new_ones() {
    let mut c = center(vec![queue("sales", &["anna"])]);
    tell(&mut c, at(0), join(1, "sales"));
    tell(&mut c, at(0), accepted(1, "anna"));
    tell(&mut c, at(1), join(2, "sales"));
    let agents = vec![agent("anna")];
    tell(
        &mut c,
        at(2),
        Input::Configure {
            queues: vec![],
            agents,
        },
    );
    assert_eq!(
        endings(&tell(&mut c, at(3), join(3, "sales"))),
        [(3, Left::NoSuchQueue)]
    );
    assert!(c.snapshot(at(3)).queues.first().unwrap().closing);
    assert_eq!(
        offers(&tell(&mut c, at(4), released("anna"))),
        offer(2, "anna")
    );
    tell(&mut c, at(4), accepted(2, "anna"));
    assert_eq!(c.snapshot(at(5)).queues, []);
}

#[test]
fn a_closing_queue_that_nobody_can_ever_serve_sends_its_callers_away() {
    let mut c = center(vec![queue("sales", &["anna"])]);
    tell(&mut c, at(0), join(1, "sales"));
    tell(&mut c, at(0), join(2, "sales"));
    let told = tell(
        &mut c,
        at(1),
        Input::Configure {
            queues: vec![],
            agents: vec![],
        },
    );
    assert_eq!(
        endings(&told),
        [(2, Left::NoAgents)],
        "the first still rings"
    );
    let told = tell(&mut c, at(2), declined(1, "anna", Declined::Busy));
    assert_eq!(endings(&told), [(1, Left::NoAgents)]);
    assert_eq!(c.snapshot(at(3)), Snapshot::default());
    assert_eq!(c.deadline(), None);
}

#[test]
fn an_agent_who_is_configured_no_more_finishes_his_call() {
    let mut c = center(vec![queue("sales", &["anna"])]);
    tell(&mut c, at(0), join(1, "sales"));
    tell(&mut c, at(0), accepted(1, "anna"));
    let queues = vec![queue("sales", &[])];
    tell(
        &mut c,
        at(1),
        Input::Configure {
            queues,
            agents: vec![],
        },
    );
    assert_eq!(state(&c, at(1), "anna"), AgentState::Busy);
    tell(&mut c, at(2), released("anna"));
    assert_eq!(c.snapshot(at(2)).agents, []);
}

#[test]
fn a_reload_gives_new_agents_the_calls_that_wait() {
    let mut c = center(vec![queue("sales", &["anna"])]);
    tell(
        &mut c,
        at(0),
        Input::AgentReachable {
            agent: "anna".into(),
            yes: false,
        },
    );
    tell(&mut c, at(0), join(1, "sales"));
    let queues = vec![queue("sales", &["anna", "eve"])];
    let agents = vec![agent("anna"), agent("eve")];
    assert_eq!(tell(&mut c, at(1), Input::Configure { queues, agents }), []);
    let told = tell(
        &mut c,
        at(2),
        Input::AgentReachable {
            agent: "eve".into(),
            yes: true,
        },
    );
    assert_eq!(offers(&told), offer(1, "eve"));
}

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
