//! What agents do at a desk: breaks, wrap-ups, calls that they pick; and what they are told.

use super::*;

fn wish(agent: &str, wish: Wish, reason: Option<&str>) -> Input {
    Input::AgentWish {
        agent: agent.into(),
        wish,
        reason: reason.map(Into::into),
    }
}

fn shown(center: &Center, now: Now, name: &str) -> (AgentState, Option<Wish>, Option<String>) {
    let agent = center.agent(now, &name.into()).unwrap();
    let reason = agent.reason.map(|it| it.to_string());
    (agent.state, agent.next, reason)
}

#[test]
fn what_an_agent_wants_during_a_call_follows_its_wrap_up() {
    let mut c = center(vec![QueueConfig {
        wrap_up: secs(10),
        ..queue("sales", &["anna"])
    }]);
    tell(&mut c, at(0), join(1, "sales"));
    tell(&mut c, at(0), accepted(1, "anna"));
    let lunch = || Some("lunch".to_owned());
    c.handle(at(1), wish("anna", Wish::Break, Some("lunch")));
    let changed = Output::AgentChanged {
        agent: "anna".into(),
        state: AgentState::Busy,
    };
    assert_eq!(drain(&mut c), [changed], "what follows is told");
    let next = Some(Wish::Break);
    assert_eq!(shown(&c, at(1), "anna"), (AgentState::Busy, next, lunch()));
    tell(&mut c, at(4), released("anna"));
    assert_eq!(
        shown(&c, at(4), "anna"),
        (AgentState::WrapUp, next, lunch())
    );
    assert_eq!(tell(&mut c, at(5), join(2, "sales")), []);
    assert_eq!(tell(&mut c, at(14), Input::Deadline), []);
    assert_eq!(
        shown(&c, at(14), "anna"),
        (AgentState::Break, None, lunch())
    );
    let back = tell(&mut c, at(60), wish("anna", Wish::Available, Some("x")));
    assert_eq!(offers(&back), offer(2, "anna"));
    assert_eq!(shown(&c, at(60), "anna"), (AgentState::Ringing, None, None));
}

#[test]
fn a_wrap_up_is_made_longer_within_bounds_and_ends_when_the_agent_says_so() {
    let config = || QueueConfig {
        wrap_up: secs(10),
        ..queue("sales", &["anna"])
    };
    let ask = |ask| Input::WrapUp {
        agent: "anna".into(),
        ask,
    };
    // (extensions, when it ends)
    for (times, ends) in [(0, 14), (1, 74), (2, 134), (100, 4 + 30 * 60)] {
        let mut c = center(vec![config()]);
        assert_eq!(tell(&mut c, at(0), ask(WrapUp::End)), [], "not at one");
        tell(&mut c, at(0), join(1, "sales"));
        tell(&mut c, at(0), accepted(1, "anna"));
        tell(&mut c, at(4), released("anna"));
        tell(&mut c, at(4), join(2, "sales"));
        for _ in 0..times {
            tell(&mut c, at(5), ask(WrapUp::Extend));
        }
        assert_eq!(c.deadline(), Some(at(ends)));
        assert_eq!(
            offers(&tell(&mut c, at(6), ask(WrapUp::End))),
            offer(2, "anna")
        );
    }
}

#[test]
fn of_two_agents_who_pick_a_call_the_first_gets_it_and_the_other_is_told_who() {
    let mut c = center(vec![
        queue("sales", &["anna", "bob"]),
        queue("vip", &["cem"]),
    ]);
    for (agent, reason) in [("anna", Wish::Break), ("bob", Wish::Training)] {
        tell(&mut c, at(0), wish(agent, reason, None));
    }
    for call in [1, 2] {
        assert_eq!(tell(&mut c, at(1), join(call, "sales")), []);
    }
    let mut pick = |now, agent: &str, call| {
        let picked = c.pick(at(now), &agent.into(), CallId(call));
        (picked, offers(&drain(&mut c)))
    };
    assert_eq!(pick(2, "anna", 2), (Ok(()), offer(2, "anna")));
    assert_eq!(pick(2, "anna", 2), (Ok(()), vec![]), "she has it");
    let table = [
        ("bob", 2, NotPicked::Offered { to: "anna".into() }),
        ("bob", 3, NotPicked::NotWaiting),
        ("eve", 1, NotPicked::NoAgent),
        (
            "cem",
            1,
            NotPicked::NotServed {
                queue: "sales".to_owned(),
            },
        ),
    ];
    for (agent, call, why) in table {
        assert_eq!(pick(3, agent, call), (Err(why), vec![]));
    }
    // Another than the one that rings: that one goes back to its place.
    assert_eq!(pick(4, "anna", 1), (Ok(()), offer(1, "anna")));
    assert_eq!(pick(4, "bob", 2), (Ok(()), offer(2, "bob")));
    tell(&mut c, at(5), accepted(1, "anna"));
    assert_eq!(
        c.pick(at(5), &"anna".into(), CallId(2)),
        Err(NotPicked::Busy)
    );
    assert_eq!(
        shown(&c, at(5), "anna"),
        (AgentState::Busy, Some(Wish::Break), None)
    );
    tell(&mut c, at(9), released("anna"));
    assert_eq!(state(&c, at(9), "anna"), AgentState::Break);
    // Nobody answers: it waits again, and who was on a break is that still.
    for _ in 0..4 {
        tell(&mut c, at(24), declined(2, "bob", Declined::NoAnswer));
        let _ = c.pick(at(24), &"bob".into(), CallId(2));
        drain(&mut c);
    }
    assert_eq!(state(&c, at(24), "bob"), AgentState::Ringing);
    tell(&mut c, at(24), declined(2, "bob", Declined::NoAnswer));
    assert_eq!(state(&c, at(24), "bob"), AgentState::Training);
}

#[test]
fn an_expected_wait_shares_those_in_front_among_the_agents_on_duty() {
    let mut c = center(vec![QueueConfig {
        wrap_up: secs(10),
        ..queue("sales", &["anna", "bob"])
    }]);
    for call in 1..=5 {
        tell(&mut c, at(0), join(call, "sales"));
    }
    for (call, agent) in [(1, "anna"), (2, "bob")] {
        tell(&mut c, at(0), accepted(call, agent));
    }
    let expected = |c: &Center| [3, 5].map(|call| c.expected_wait(CallId(call)));
    assert_eq!(expected(&c), [None, None], "no call has ended yet");
    tell(&mut c, at(50), released("anna"));
    // A call keeps an agent for 60 s, two serve.
    assert_eq!(expected(&c), [Some(secs(30)), Some(secs(90))]);
    let snapshot = c.snapshot(at(50));
    let told = snapshot.queues[0].waiting.iter().map(|it| it.expected);
    assert!(told.eq([30, 60, 90].map(|n| Some(secs(n)))));
    tell(&mut c, at(50), wish("bob", Wish::Break, None));
    assert_eq!(expected(&c), [Some(secs(60)), Some(secs(180))]);
    // The latest counts an eighth: 60 + (140 - 60) / 8.
    tell(&mut c, at(130), released("bob"));
    assert_eq!(expected(&c)[0], Some(secs(70)));
    tell(&mut c, at(130), wish("anna", Wish::Away, None));
    assert_eq!(expected(&c)[0], None, "nobody is on duty");
    assert_eq!(c.expected_wait(CallId(9)), None);
}

#[test]
fn a_call_that_rang_at_an_agent_in_vain_is_told_as_missed() {
    let missed = |c: &mut Center| {
        let missed = |o| match o {
            Output::Missed {
                call, agent, why, ..
            } => Some((call.0, agent.to_string(), why)),
            _ => None,
        };
        drain(c).into_iter().filter_map(missed).collect::<Vec<_>>()
    };
    let table = [
        (Input::Deadline, Some(Missed::NoAnswer)),
        (
            declined(1, "anna", Declined::NoAnswer),
            Some(Missed::NoAnswer),
        ),
        (Input::Leave { call: CallId(1) }, Some(Missed::CallerGone)),
        // He saw it, or his phone did not.
        (declined(1, "anna", Declined::Busy), None),
        (declined(1, "anna", Declined::Refused), None),
        (declined(1, "anna", Declined::Unreachable), None),
        (accepted(1, "anna"), None),
        (wish("anna", Wish::Break, None), None),
    ];
    for (input, why) in table {
        let mut c = center(vec![queue("sales", &["anna"])]);
        tell(&mut c, at(0), join(1, "sales"));
        c.handle(at(20), input.clone());
        let want = why.map(|why| (1, "anna".to_owned(), why));
        assert_eq!(missed(&mut c), Vec::from_iter(want), "{input:?}");
    }
}

#[test]
fn a_phone_lost_while_it_rang_rings_again_as_soon_as_it_is_back() {
    let mut c = center(vec![queue("sales", &["anna"])]);
    tell(&mut c, at(0), join(1, "sales"));
    let reachable = |yes| Input::AgentReachable {
        agent: "anna".into(),
        yes,
    };
    tell(&mut c, at(3), declined(1, "anna", Declined::Unreachable));
    assert_eq!(tell(&mut c, at(3), reachable(false)), []);
    assert_eq!(
        offers(&tell(&mut c, at(4), reachable(true))),
        offer(1, "anna")
    );
    // One that refused is left alone for its rest.
    tell(&mut c, at(5), declined(1, "anna", Declined::Busy));
    assert_eq!(tell(&mut c, at(6), reachable(false)), []);
    assert_eq!(tell(&mut c, at(7), reachable(true)), []);
    assert_eq!(
        offers(&tell(&mut c, at(10), Input::Deadline)),
        offer(1, "anna")
    );
}
