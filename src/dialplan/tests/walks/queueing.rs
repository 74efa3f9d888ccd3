//! Queues and what is dialled: the exits of a wait, and of a callee.

use super::*;

#[test]
fn speech_before_the_answer_is_early_media_and_a_queue_answers() {
    let mut walk = Walk::of("say \"Hello\"\nqueue \"sales\" priority=3");
    let asked = walk.asks(RunInput::Start);
    assert!(matches!(&asked[..], [Action::Play { .. }]), "{asked:?}");
    let play = PlayToken(1);
    let complete = true;
    let played = RunInput::Notice(Notice::Played { play, complete });
    assert_eq!(walk.tell(played), [RunOutput::Do(Action::Answer)]);
    let joined = walk.tell(RunInput::Notice(Notice::Answered));
    let request = QueueRequest {
        queue: "sales".to_owned(),
        priority: 3,
        max_wait: None,
    };
    assert_eq!(joined, [RunOutput::Join(request)]);
}

#[test]
fn a_caller_who_leaves_the_queue_is_taken_out_and_not_hung_up_again() {
    let mut walk = Walk::of("queue \"sales\"");
    walk.asks(RunInput::Start);
    let gone = walk.tell(RunInput::Notice(Notice::CallerGone(Cause::Normal)));
    assert_eq!(gone, [RunOutput::Leave, RunOutput::Finished]);
    assert_eq!(walk.tell(RunInput::Deadline), []);
}

#[test]
fn a_queue_without_an_exit_goes_on_when_it_failed_and_ends_when_it_served() {
    let table = [
        (
            QueueNotice::Left {
                why: LeftWhy::MaxWait,
            },
            Cause::Busy,
        ),
        (QueueNotice::Left { why: LeftWhy::Full }, Cause::Busy),
        (
            QueueNotice::Left {
                why: LeftWhy::Removed,
            },
            Cause::Busy,
        ),
        (QueueNotice::Completed { by: Party::Callee }, Cause::Normal),
    ];
    for (notice, cause) in table {
        let mut walk = Walk::of("queue \"sales\"\nhangup cause=\"busy\"");
        walk.asks(RunInput::Start);
        let asked = walk.asks(RunInput::Queue(notice.clone()));
        assert_eq!(asked, [Action::Hangup(cause)], "{notice:?}");
    }
}

#[test]
fn a_dialling_leaves_by_the_exit_of_its_result() {
    let steps = "dial \"bob\" timeout=\"9s\" {\n on busy {\n hangup cause=\"busy\"\n }\n \
                 on failed {\n hangup cause=\"unreachable\"\n }\n}\nhangup cause=\"no-answer\"";
    let table = [
        (DialResult::Busy, Cause::Busy),
        (DialResult::Refused(603), Cause::Unreachable),
        (DialResult::Unreachable, Cause::Unreachable),
        (DialResult::NoAnswer, Cause::NoAnswer),
        (DialResult::Completed(Party::Callee), Cause::Normal),
    ];
    for (result, cause) in table {
        let mut walk = Walk::of(steps);
        let asked = walk.asks(RunInput::Start);
        let [Action::Dial(dial)] = &asked[..] else {
            panic!("{asked:?}");
        };
        assert_eq!(dial.to, [Destination::Endpoint("bob".to_owned())]);
        assert_eq!((dial.timeout, dial.blind), (Duration::from_secs(9), false));
        let token = DialToken(1);
        let ended = RunInput::Notice(Notice::DialEnded { token, result });
        assert_eq!(walk.asks(ended), [Action::Hangup(cause)]);
    }
}

#[test]
fn a_number_without_a_trunk_is_trouble_and_goes_on() {
    let mut walk = Walk::of("transfer \"+4420\"\nhangup cause=\"unreachable\"");
    let outputs = walk.tell(RunInput::Start);
    assert!(
        matches!(&outputs[0], RunOutput::Trouble { why: Trouble::NoTrunk { number }, .. } if number.contains("+4420"))
    );
    let hangup = RunOutput::Do(Action::Hangup(Cause::Unreachable));
    assert_eq!(outputs[1..], [hangup, RunOutput::Finished]);
}

#[test]
fn an_endpoint_is_dialled_by_the_name_that_the_caller_called() {
    let plan = plan(
        "dialplan version=1\nentry endpoint=\"*\" flow=\"f\"\nflow \"f\" {\n \
         dial endpoint=\"{to}\" {\n on failed {\n hangup cause=\"no-such-number\"\n }\n }\n}\n",
    );
    let entry = plan.entry_from_endpoint("alice", "bob").unwrap();
    let facts = CallFacts {
        from: "alice".to_owned(),
        to: "bob".to_owned(),
        trunk: None,
        at: "2026-11-20T10:00:00Z".parse().unwrap(),
    };
    let run = Run::start(Arc::new(plan), entry, facts);
    let now = Now::from_nanos(1);
    let mut walk = Walk { run, now };
    let asked = walk.asks(RunInput::Start);
    let [Action::Dial(dial)] = &asked[..] else {
        panic!("{asked:?}");
    };
    assert_eq!(dial.to, [Destination::Endpoint("bob".to_owned())]);
    let (token, result) = (DialToken(1), DialResult::Unreachable);
    let ended = RunInput::Notice(Notice::DialEnded { token, result });
    assert_eq!(walk.asks(ended), [Action::Hangup(Cause::NoSuchNumber)]);
}

#[test]
fn an_endpoint_without_a_name_is_trouble_and_leaves_by_failed() {
    let steps = "set who=\"\"\ndial endpoint=\"{vars.who}\" {\n on failed {\n \
                 hangup cause=\"busy\"\n }\n}";
    let outputs = Walk::of(steps).tell(RunInput::Start);
    assert!(
        matches!(outputs[0], RunOutput::Trouble { .. }),
        "{outputs:?}"
    );
    assert_eq!(outputs[1], RunOutput::Do(Action::Hangup(Cause::Busy)));
}

#[test]
fn a_key_takes_a_call_out_of_its_queue_until_an_agent_has_it() {
    let steps = "queue \"sales\" {\n on \"1\" {\n hangup cause=\"busy\"\n }\n}";
    let queued = || {
        let mut walk = Walk::of(steps);
        walk.asks(RunInput::Start);
        walk
    };
    let key = |digit| {
        let via = DtmfVia::Rfc4733;
        RunInput::Notice(Notice::Digit { digit, via })
    };
    let mut walk = queued();
    assert_eq!(walk.tell(key('2')), []);
    let hangup = RunOutput::Do(Action::Hangup(Cause::Busy));
    let left = [RunOutput::Leave, hangup, RunOutput::Finished];
    assert_eq!(walk.tell(key('1')), left);
    let mut walk = queued();
    let agent = "alice".to_owned();
    walk.tell(RunInput::Queue(QueueNotice::Bridged { agent }));
    assert_eq!(walk.tell(key('1')), []);
}

#[test]
fn a_test_presses_a_key_in_a_queue_and_misses_one_that_no_exit_has() {
    let text = |exits: &str| {
        format!(
            "dialplan version=1\nentry pattern=\"*\" flow=\"f\"\nqueue \"sales\"\nflow \"f\" {{\n \
             queue \"sales\" {exits}\n hangup cause=\"congestion\"\n}}\n\
             test \"t\" {{\n call\n press \"1\"\n expect-hangup cause=\"busy\"\n}}\n"
        )
    };
    let failures = |exits: &str| {
        let files = [file("plan.kdl", &text(exits))];
        let report = test(&files, &example_facts(), &TestOptions::default());
        report.unwrap().failures()
    };
    assert_eq!(failures("{\n on \"1\" {\n hangup cause=\"busy\"\n }\n}"), 0);
    assert_eq!(failures("{\n on \"2\" {\n hangup cause=\"busy\"\n }\n}"), 1);
    assert_eq!(failures(""), 1);
}
