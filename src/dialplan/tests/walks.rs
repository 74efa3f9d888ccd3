//! The interpreter, input by input: here, keys and menus, what is said, and which flow a number leads into.

mod checking;
mod conferring;
mod queueing;

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
