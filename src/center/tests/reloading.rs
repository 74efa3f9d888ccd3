//! Another configuration while calls wait and agents talk.

use super::*;

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
