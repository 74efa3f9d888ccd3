//! Conferences: entered on terms, left by the exit of a reason.

use super::*;

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
