//! The interpreter, input by input.

use std::sync::Arc;
use std::time::Duration;

use clock::Now;

use super::*;
use crate::call::{
    Action, Cause, Destination, DialResult, DialToken, DtmfVia, Notice, Party, PlayToken,
};
use crate::conference::{Away, Terms};

/// A run with everything that it asked since it was last looked at.
struct Walk {
    run: Run,
    now: Now,
}

impl Walk {
    fn of(steps: &str) -> Self {
        let text = format!(
            "dialplan version=1\nentry pattern=\"*\" flow=\"f\"\nqueue \"sales\" max-wait=\"1m\"\n\
             flow \"other\" {{\n answer\n}}\nflow \"f\" {{\n{steps}\n}}\n"
        );
        Self::of_plan(Arc::new(plan(&text)))
    }

    fn of_plan(plan: Arc<Plan>) -> Self {
        let entry = plan.entry("+1").unwrap();
        let facts = CallFacts {
            from: "+441234".to_owned(),
            to: "+1".to_owned(),
            trunk: None,
            at: "2026-11-20T10:00:00Z".parse().unwrap(),
        };
        let run = Run::start(plan, entry, facts);
        let now = Now::from_nanos(1);
        Self { run, now }
    }

    fn tell(&mut self, input: RunInput) -> Vec<RunOutput> {
        self.run.handle(self.now, input);
        let outputs = std::iter::from_fn(|| self.run.poll_output());
        outputs
            .filter(|o| !matches!(o, RunOutput::Step(_)))
            .collect()
    }

    /// What the run asks of the call, answering `Answer` itself.
    fn asks(&mut self, input: RunInput) -> Vec<Action> {
        let mut asked = Vec::new();
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for output in self.tell(input) {
                if let RunOutput::Do(action) = output {
                    if action == Action::Answer {
                        inputs.push(RunInput::Notice(Notice::Answered));
                    }
                    asked.push(action);
                }
            }
        }
        asked
    }

    fn key(&mut self, digit: char) -> Vec<Action> {
        let via = DtmfVia::Rfc4733;
        self.asks(RunInput::Notice(Notice::Digit { digit, via }))
    }

    fn wait(&mut self, seconds: u64) -> Vec<Action> {
        self.now += Duration::from_secs(seconds);
        self.asks(RunInput::Deadline)
    }

    fn played(&mut self, play: u64) -> Vec<Action> {
        let play = PlayToken(play);
        let complete = true;
        self.asks(RunInput::Notice(Notice::Played { play, complete }))
    }

    fn variable(&self, name: &str) -> Option<&Value> {
        self.run.variables().get(name)
    }
}

const MENU: &str = "menu {\n say \"One?\"\n on \"1\" {\n hangup cause=\"busy\"\n }\n \
                    on timeout max=2 {\n hangup\n }\n}";

#[test]
fn a_key_stops_the_prompt_and_takes_its_exit_at_once() {
    let mut walk = Walk::of(MENU);
    walk.asks(RunInput::Start);
    let stop = Action::StopPlay(PlayToken(1));
    assert_eq!(walk.key('1'), [stop, Action::Hangup(Cause::Busy)]);
    assert_eq!(walk.run.stage(), Stage::Ended);
}

#[test]
fn a_key_during_a_prompt_that_must_be_heard_is_lost() {
    let mut walk = Walk::of(&MENU.replace("\"One?\"", "\"One?\" barge-in=#false"));
    walk.asks(RunInput::Start);
    assert_eq!(walk.key('1'), []);
    assert_eq!(walk.played(1), []);
    assert_eq!(walk.key('1'), [Action::Hangup(Cause::Busy)]);
}

#[test]
fn a_menu_says_itself_again_until_its_timeouts_are_used_up() {
    let mut walk = Walk::of(MENU);
    walk.asks(RunInput::Start);
    walk.played(1);
    let again = walk.wait(5);
    assert!(
        matches!(
            &again[..],
            [Action::Play {
                play: PlayToken(2),
                ..
            }]
        ),
        "{again:?}"
    );
    walk.played(2);
    assert_eq!(walk.wait(4), [], "one second too early");
    assert_eq!(walk.wait(1), [Action::Hangup(Cause::Normal)]);
}

#[test]
fn a_pause_ends_the_input_of_several_keys() {
    let steps = "gather digits=4 min=2 inter-digit=\"2s\" into=\"pin\"\nhangup";
    let mut walk = Walk::of(steps);
    walk.asks(RunInput::Start);
    assert_eq!((walk.key('4'), walk.key('2')), (vec![], vec![]));
    assert_eq!(walk.wait(2), [Action::Hangup(Cause::Normal)]);
    assert_eq!(walk.variable("pin"), Some(&Value::Text("42".to_owned())));
}

#[test]
fn the_finish_key_ends_the_input_and_is_not_part_of_it() {
    let steps = "gather digits=9 finish=\"#\" into=\"pin\"\nhangup";
    let mut walk = Walk::of(steps);
    walk.asks(RunInput::Start);
    walk.key('7');
    assert_eq!(walk.key('#'), [Action::Hangup(Cause::Normal)]);
    assert_eq!(walk.variable("pin"), Some(&Value::Text("7".to_owned())));
}

#[test]
fn too_few_keys_are_asked_for_again_and_then_leave_by_invalid() {
    let steps = "gather digits=4 min=4 finish=\"#\" retries=1 {\n on invalid {\n \
                 hangup cause=\"rejected\"\n }\n}";
    let mut walk = Walk::of(steps);
    walk.asks(RunInput::Start);
    walk.key('1');
    assert_eq!(walk.key('#'), []);
    walk.key('2');
    assert_eq!(walk.key('#'), [Action::Hangup(Cause::Rejected)]);
}

#[test]
fn keys_of_two_lengths_are_told_apart_by_the_pause() {
    let steps = "menu {\n gather inter-digit=\"2s\"\n on \"1\" {\n hangup cause=\"busy\"\n }\n \
                 on \"12\" {\n hangup cause=\"rejected\"\n }\n on timeout {\n hangup\n }\n}";
    let mut walk = Walk::of(steps);
    walk.asks(RunInput::Start);
    assert_eq!(walk.key('1'), []);
    assert_eq!(walk.wait(2), [Action::Hangup(Cause::Busy)]);
    let mut walk = Walk::of(steps);
    walk.asks(RunInput::Start);
    walk.key('1');
    assert_eq!(walk.key('2'), [Action::Hangup(Cause::Rejected)]);
}

#[test]
fn a_key_typed_into_an_announcement_reaches_the_menu_behind_it() {
    let mut walk = Walk::of(&format!("answer\nsay \"Hello\"\nsay \"News\"\n{MENU}"));
    walk.asks(RunInput::Start);
    let stop = Action::StopPlay(PlayToken(1));
    assert_eq!(walk.key('1'), [stop, Action::Hangup(Cause::Busy)]);
}

#[test]
fn a_key_typed_before_a_wait_is_not_kept_for_what_comes_after_it() {
    let steps = format!("answer\nsay \"Hello\"\nqueue \"sales\"\n{MENU}");
    let mut walk = Walk::of(&steps);
    walk.asks(RunInput::Start);
    walk.key('1');
    let why = LeftWhy::MaxWait;
    let asked = walk.asks(RunInput::Queue(QueueNotice::Left { why }));
    assert!(matches!(&asked[..], [Action::Play { .. }]), "{asked:?}");
}

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

#[test]
fn a_conference_is_entered_on_its_terms_and_left_by_a_key_or_with_the_caller() {
    let steps = "set room=\"a-1\"\nconference \"{vars.room}\" muted=#true max=7 record=#true \
                 enter-sound=\"beep\" {\n on \"#\" {\n hangup cause=\"busy\"\n }\n}";
    let inside = || {
        let mut walk = Walk::of(steps);
        assert_eq!(walk.tell(RunInput::Start), [RunOutput::Do(Action::Answer)]);
        let asked = walk.tell(RunInput::Notice(Notice::Answered));
        let terms = Terms {
            muted: true,
            members_max: 7,
            record: true,
            on_enter: Some(crate::call::Prompt::Tone("beep".to_owned())),
            ..Terms::default()
        };
        let name = "a-1".to_owned();
        let request = ConferenceRequest { name, terms };
        assert_eq!(asked, [RunOutput::Confer(request)]);
        let entered = RunInput::Conference(ConferenceNotice::Entered);
        assert_eq!(walk.tell(entered), []);
        walk
    };
    let via = DtmfVia::Rfc4733;
    let key = |digit| RunInput::Notice(Notice::Digit { digit, via });
    let mut walk = inside();
    assert_eq!(walk.tell(key('1')), []);
    let hangup = RunOutput::Do(Action::Hangup(Cause::Busy));
    let left = [RunOutput::LeaveConference, hangup, RunOutput::Finished];
    assert_eq!(walk.tell(key('#')), left);
    let gone = RunInput::Notice(Notice::CallerGone(Cause::Normal));
    let left = [RunOutput::LeaveConference, RunOutput::Finished];
    assert_eq!(inside().tell(gone), left);
}

#[test]
fn a_conference_is_left_by_the_exit_of_its_reason_and_the_removed_are_hung_up() {
    let steps = "conference \"r\" {\n on full {\n hangup cause=\"congestion\"\n }\n on locked {\n \
                 hangup cause=\"rejected\"\n }\n}\nhangup cause=\"busy\"";
    let table = [
        (Away::Full, Cause::Congestion),
        (Away::Locked, Cause::Rejected),
        (Away::Failed, Cause::Busy),
        (Away::Removed, Cause::Normal),
    ];
    for (why, cause) in table {
        let mut walk = Walk::of(steps);
        walk.asks(RunInput::Start);
        let away = RunInput::Conference(ConferenceNotice::Away(why));
        assert_eq!(walk.asks(away), [Action::Hangup(cause)], "{why:?}");
    }
}

#[test]
fn a_text_that_names_no_conference_is_trouble_and_leaves_by_failed() {
    let steps = "set room=\"a/b\"\nconference \"{vars.room}\" {\n on failed {\n \
                 hangup cause=\"busy\"\n }\n}";
    let mut walk = Walk::of(steps);
    walk.tell(RunInput::Start);
    let outputs = walk.tell(RunInput::Notice(Notice::Answered));
    let RunOutput::Trouble { why, .. } = &outputs[0] else {
        panic!("{outputs:?}");
    };
    assert_eq!(why.id(), "dialplan-conference-name");
    assert_eq!(outputs[1], RunOutput::Do(Action::Hangup(Cause::Busy)));
}

#[test]
fn a_test_enters_a_conference_and_is_put_out() {
    let text = |name: &str, act: &str| {
        format!(
            "dialplan version=1\nentry pattern=\"*\" flow=\"f\"\nflow \"f\" {{\n \
             conference \"r\" {{\n on full {{\n hangup cause=\"busy\"\n }}\n }}\n}}\n\
             test \"t\" {{\n call\n expect-conference \"{name}\"\n conference \"{act}\"\n \
             expect-hangup cause=\"busy\"\n}}\n"
        )
    };
    let failures = |name: &str, act: &str| {
        let files = [file("plan.kdl", &text(name, act))];
        let report = test(&files, &example_facts(), &TestOptions::default());
        report.unwrap().failures()
    };
    assert_eq!(failures("r", "full"), 0);
    assert_eq!(failures("s", "full"), 1);
    assert_eq!(failures("r", "removed"), 1);
}

#[test]
fn variables_count_compare_and_are_spoken() {
    let steps = "set tries=(cel)\"vars.tries + 1\" name=\"Ann\" vip=#true\nset tries=3\n\
                 if \"vars.tries == 3 && vars.vip && from.startsWith('+44') && time.hour == 10\" {\n \
                 set tries=(cel)\"vars.tries * 2\"\n}\nsay \"{vars.name}, {vars.tries} {{x}}\"";
    let mut walk = Walk::of(steps);
    let asked = walk.asks(RunInput::Start);
    let [Action::Play { items, .. }] = &asked[..] else {
        panic!("{asked:?}");
    };
    let text = "Ann, 6 {x}".to_owned();
    let (voice, lang) = (None, None);
    assert_eq!(
        items[..],
        [crate::call::Prompt::Speech { text, voice, lang }]
    );
}

#[test]
fn an_expression_that_fails_is_trouble_and_a_condition_that_does_not_hold() {
    let steps = "gather\nif \"int(digits) > 3\" {\n hangup cause=\"busy\"\n}\nhangup";
    let mut walk = Walk::of(steps);
    walk.asks(RunInput::Start);
    walk.now += Duration::from_secs(5);
    let outputs = walk.tell(RunInput::Deadline);
    assert!(
        matches!(outputs[0], RunOutput::Trouble { .. }),
        "{outputs:?}"
    );
    assert_eq!(outputs[1], RunOutput::Do(Action::Hangup(Cause::Normal)));
}

#[test]
fn a_prompt_that_cannot_be_played_does_not_stop_the_call() {
    let mut walk = Walk::of("say \"Hello\"\nhangup cause=\"busy\"");
    walk.asks(RunInput::Start);
    let (play, why) = (PlayToken(1), "no engine".to_owned());
    let failed = RunInput::Notice(Notice::PlayFailed { play, why });
    assert_eq!(walk.asks(failed), [Action::Hangup(Cause::Busy)]);
    let mut walk = Walk::of("say \"Hello\"\nhangup cause=\"busy\"");
    walk.asks(RunInput::Start);
    let stop = Action::StopPlay(PlayToken(1));
    assert_eq!(walk.wait(900), [stop, Action::Hangup(Cause::Busy)]);
}

#[test]
fn a_live_run_keeps_its_plan_when_the_holder_swaps_it() {
    let text = |cause: &str| {
        format!(
            "dialplan version=1\nentry pattern=\"*\" flow=\"f\"\nflow \"f\" {{\n answer\n \
             say \"Hello\"\n hangup cause=\"{cause}\"\n}}\n"
        )
    };
    let mut held = Arc::new(plan(&text("busy")));
    let mut old = Walk::of_plan(Arc::clone(&held));
    old.asks(RunInput::Start);
    held = Arc::new(plan(&text("rejected")));
    let mut new = Walk::of_plan(held);
    new.asks(RunInput::Start);
    assert_eq!(old.played(1), [Action::Hangup(Cause::Busy)]);
    assert_eq!(new.played(1), [Action::Hangup(Cause::Rejected)]);
}

#[test]
fn the_exact_number_wins_over_the_longest_pattern_over_the_default() {
    let plan = plan(
        "dialplan version=1\nentry pattern=\"*\" flow=\"d\"\nentry pattern=\"+1555*\" flow=\"p\"\n\
         entry did=\"+15551\" flow=\"e\"\nentry pattern=\"+1*\" flow=\"s\"\n\
         entry endpoint=\"bob\" flow=\"b\"\nflow \"d\" {\n hangup\n}\nflow \"p\" {\n hangup\n}\n\
         flow \"e\" {\n hangup\n}\nflow \"s\" {\n hangup\n}\nflow \"b\" {\n hangup\n}\n",
    );
    let entered = |entry: Option<EntryId>| {
        let entry = &plan.entries[entry.unwrap().0 as usize];
        plan.flows[entry.flow as usize].name.clone()
    };
    for (called, flow) in [("+15551", "e"), ("+15552", "p"), ("+12", "s"), ("44", "d")] {
        assert_eq!(entered(plan.entry(called)), flow, "{called}");
    }
    assert_eq!(entered(plan.entry_from_endpoint("bob", "+15551")), "b");
    assert_eq!(entered(plan.entry_from_endpoint("eve", "+15551")), "e");
}

#[test]
fn a_dry_run_walks_the_keys_at_that_time() {
    let files = [file(EXAMPLES[0].0, EXAMPLES[0].1)];
    let options = TestOptions {
        digits: Some(vec!["1".to_owned()]),
        at: Some("2026-11-20T10:00:00Z".parse().unwrap()),
        ..TestOptions::default()
    };
    let report = test(&files, &example_facts(), &options).unwrap();
    let walk = report.to_string();
    assert_eq!(report.failures(), 0, "{walk}");
    for part in [
        "Welcome to Contoso",
        "presses 1",
        "queue \"sales\"",
        "the agent hangs up",
    ] {
        assert!(walk.contains(part), "{part} is missing in\n{walk}");
    }
    let closed = TestOptions {
        at: Some("2026-12-25T10:00:00Z".parse().unwrap()),
        ..TestOptions::default()
    };
    let walk = test(&files, &example_facts(), &closed).unwrap().to_string();
    assert!(walk.contains("closed now"), "{walk}");
}

#[test]
fn a_test_that_does_not_hold_names_its_line_and_what_happened_instead() {
    let text = EXAMPLES[1]
        .1
        .replace("expect-say \"cooking\"", "expect-say \"eating\"");
    let files = [file("restaurant.kdl", &text)];
    let report = test(&files, &example_facts(), &TestOptions::default()).unwrap();
    assert_eq!(report.failures(), 1);
    let line = text.lines().position(|l| l.contains("eating")).unwrap() + 1;
    let shown = report.to_string();
    assert!(
        shown.contains(&format!("restaurant.kdl:{line}: \"eating\" is not said")),
        "{shown}"
    );
}

#[test]
fn the_reference_in_the_documentation_is_current() {
    let text = include_str!("../../../docs/dialplan.md");
    let (begin, end) = ("<!-- reference -->\n", "<!-- end of reference -->");
    let section = text
        .split(begin)
        .nth(1)
        .and_then(|rest| rest.split(end).next());
    let current = reference();
    assert_eq!(
        section.unwrap().trim(),
        current.trim(),
        "paste this:\n{current}"
    );
}

#[test]
fn every_example_in_the_documentation_compiles() {
    let text = include_str!("../../../docs/dialplan.md");
    let blocks: Vec<&str> = text.split("```kdl\n").skip(1).collect();
    assert!(blocks.len() >= 8);
    for block in blocks {
        let block = block.split("```").next().unwrap();
        let facts = Facts {
            prompts: None,
            ..example_facts()
        };
        let files = [file("doc.kdl", &whole_file(block))];
        if let Err(found) = Plan::compile(&files, &facts) {
            panic!("{}\n{found:#?}", files[0].1);
        }
        let report = test(&files, &facts, &TestOptions::default()).unwrap();
        assert_eq!(report.failures(), 0, "{report}");
    }
}

/// A block of the documentation with what it leaves out.
fn whole_file(block: &str) -> String {
    if block.contains("dialplan version=1") {
        return block.to_owned();
    }
    let tops = ["entry", "hours", "flow", "menu", "test"];
    let is_top = tops.iter().any(|top| block.starts_with(top));
    let mut text = "dialplan version=1\nentry pattern=\"*\" flow=\"start\"\n".to_owned();
    for (name, node) in [
        ("queue \"sales\"", "queue \"sales\" max-wait=\"10m\"\n"),
        (
            "hours \"office\"",
            "hours \"office\" {\n  open \"daily\" \"09:00-17:00\"\n}\n",
        ),
        (
            "flow \"operator\"",
            "flow \"operator\" {\n  dial \"operator\"\n}\n",
        ),
        ("flow \"start\"", "flow \"start\" {\n  goto \"main\"\n}\n"),
        ("menu \"main\"", "flow \"main\" {\n  goto \"operator\"\n}\n"),
    ] {
        let declared = block.starts_with(name) || block.contains(&format!("\n{name}"));
        if !(is_top && declared) {
            text.push_str(node);
        }
    }
    match is_top {
        true => text + block,
        false => format!("{text}flow \"example\" {{\n{block}}}\n"),
    }
}

#[test]
fn a_plan_of_ten_thousand_steps_compiles() {
    let mut text =
        String::from("dialplan version=1\nentry pattern=\"*\" flow=\"f0\"\nqueue \"sales\"\n");
    for flow in 0..1_000 {
        let next = (flow + 1) % 1_000;
        text.push_str(&format!(
            "flow \"f{flow}\" {{\n  answer\n  say \"Hello {flow}\"\n  set n={flow}\n  \
             if \"vars.n > {flow} && from.startsWith('+44')\" {{\n    play \"a.wav\"\n  }}\n  \
             else {{\n    play \"b.wav\"\n  }}\n  queue \"sales\" max-wait=\"1m\" {{\n    \
             on max-wait {{\n      goto \"f{next}\"\n    }}\n  }}\n  record start\n  \
             hangup cause=\"busy\"\n}}\n"
        ));
    }
    let facts = Facts::default();
    let plan = Plan::compile(&[file("big.kdl", &text)], &facts).unwrap();
    assert_eq!(plan.len(), 10_000);
}

/// A consent with these attributes, and what the caller answers: a key, or silence. What is asked of the
/// call afterwards, playbacks left out.
fn consented(attributes: &str, exits: &str, answer: Option<char>) -> (Vec<Action>, String) {
    let mut walk = Walk::of(&format!(
        "consent {attributes} {{\n say \"May we?\"\n{exits}\n}}\n transfer \"bob\"\n"
    ));
    let mut asked = walk.asks(RunInput::Start);
    for round in 1..=3 {
        asked.extend(walk.played(round));
        match answer {
            Some(key) => asked.extend(walk.key(key)),
            None => asked.extend(walk.wait(6)),
        }
    }
    asked.retain(|it| {
        !matches!(
            it,
            Action::Play { .. } | Action::Answer | Action::StopPlay(_)
        )
    });
    let consent = walk.run.variables().get("consent");
    (asked, format!("{consent:?}"))
}

#[test]
fn who_consents_is_recorded_and_who_does_not_goes_where_the_flow_says() {
    use crate::call::RecordAsk::Start;
    let starts = |asked: &[Action]| asked.contains(&Action::Record(Start));
    let transfers = |asked: &[Action]| asked.iter().any(|it| matches!(it, Action::Dial(_)));
    let hangs_up = |asked: &[Action]| asked.contains(&Action::Hangup(Cause::Normal));
    let (asked, told) = consented("", "", Some('1'));
    assert!(starts(&asked) && transfers(&asked) && told.contains("yes"));
    for answer in [Some('2'), Some('7'), None] {
        let (asked, told) = consented("", "", answer);
        assert!(
            !starts(&asked) && transfers(&asked),
            "{answer:?}: {asked:?}"
        );
        assert!(told.contains("no"), "{told}");
        let (asked, _) = consented("otherwise=\"hangup\"", "", answer);
        assert!(!starts(&asked) && hangs_up(&asked) && !transfers(&asked));
        let (asked, _) = consented("", "on declined {\n goto \"other\"\n}", answer);
        assert!(!starts(&asked) && hangs_up(&asked) && !transfers(&asked));
    }
    let (asked, told) = consented("implied=#true", "", None);
    assert!(starts(&asked) && told.contains("yes"));
    let (asked, _) = consented("implied=#true", "", Some('2'));
    assert!(!starts(&asked) && transfers(&asked));
}
