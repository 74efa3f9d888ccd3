//! Those who wait: who is let in, who leaves without an agent, what they are told of their place.

use super::*;

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
