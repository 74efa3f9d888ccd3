//! Who is rung for whom, and what comes of a phone that is not answered.

use super::*;

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
