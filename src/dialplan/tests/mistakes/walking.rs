//! What no call could walk through, or out of.

use super::*;

#[test]
fn unreachable_steps_and_flows_are_found() {
    check_all(
        &[
            (
                Code::Unreachable,
                "    goto \"main\"\n",
                "    goto \"main\"\n    answer\n",
                "    answer",
            ),
            (
                Code::Unreachable,
                "hangup cause=\"busy\"",
                "hangup cause=\"busy\"\n      play \"welcome.wav\"",
                "      play \"welcome.wav\"",
            ),
            (
                Code::Unreachable,
                "    goto \"sales\"\n",
                "    hangup\n",
                "flow \"sales\"",
            ),
        ],
        &facts(),
    );
}

#[test]
fn rounds_without_a_key_or_a_wait_are_found() {
    check_all(
        &[
            (
                Code::EndlessLoop,
                "  say \"We are closed.\"",
                "  goto \"welcome\"\n  say \"We are closed.\"",
                "  goto \"welcome\"",
            ),
            (
                Code::EndlessLoop,
                "  on timeout max=3 {\n    hangup",
                "  on timeout max=3 {\n    repeat",
                "    repeat",
            ),
            (
                Code::EndlessLoop,
                "      hangup cause=\"busy\"",
                "      goto \"sales\"",
                "      goto \"sales\"",
            ),
        ],
        &facts(),
    );
}

#[test]
fn ambiguous_digits_are_found() {
    check_all(
        &[
            (
                Code::AmbiguousDigits,
                "on \"2\" {",
                "on \"12\" {",
                "  on \"12\"",
            ),
            (
                Code::AmbiguousDigits,
                "on \"0\" {",
                "on \"20\" {",
                "  on \"20\"",
            ),
            (
                Code::AmbiguousDigits,
                "on \"2\" {",
                "on \"1*\" {",
                "  on \"1*\"",
            ),
        ],
        &facts(),
    );
    let paused = GOOD.replace("on \"2\" {", "on \"12\" {");
    let paused = paused.replace("timeout=\"6s\"", "timeout=\"6s\" inter-digit=\"2s\"");
    assert_eq!(find(&paused, &facts()), []);
}

#[test]
fn a_menu_without_a_way_out_is_found() {
    check_all(
        &[
            (
                Code::NoWayOut,
                "  on timeout max=3 {\n    hangup\n  }\n",
                "",
                "menu \"main\"",
            ),
            (
                Code::NoWayOut,
                "  on timeout max=3 {",
                "  on \"9\" {",
                "menu \"main\"",
            ),
            (
                Code::NoWayOut,
                "  on timeout max=3 {",
                "  on invalid max=3 {",
                "menu \"main\"",
            ),
        ],
        &facts(),
    );
}

#[test]
fn recording_before_the_answer_is_found() {
    check_all(
        &[
            (
                Code::BeforeAnswer,
                "  answer\n",
                "  record start\n  answer\n",
                "  record start\n  answer",
            ),
            (
                Code::BeforeAnswer,
                "  answer\n  play \"welcome.wav\"",
                "  play \"welcome.wav\"\n  record start",
                "  record start\n  if",
            ),
            (
                Code::BeforeAnswer,
                "  answer\n",
                "  if \"vars.vip\" {\n    answer\n  }\n  record start\n",
                "  record start\n  play",
            ),
        ],
        &facts(),
    );
}

#[test]
fn a_consent_that_asks_nothing_or_cannot_be_told_apart_is_found() {
    let mistakes = [
        (Code::EmptyBlock, "  consent\n"),
        (
            Code::AmbiguousDigits,
            "  consent yes=\"1\" no=\"12\" {\n    play \"welcome.wav\"\n  }\n",
        ),
        (
            Code::UnknownExit,
            "  consent {\n    play \"welcome.wav\"\n    on refused {\n      hangup\n    }\n  }\n",
        ),
    ];
    for (code, step) in mistakes {
        let text = GOOD.replace("  answer\n", &format!("  answer\n{step}"));
        let found = find(&text, &facts());
        assert!(
            found.iter().any(|it| it.code == code),
            "{code:?}: {found:?}"
        );
    }
}

#[test]
fn mistakes_of_a_conference_are_found() {
    let step = |text: &str| {
        let text = format!(
            "dialplan version=1\nentry pattern=\"*\" flow=\"f\"\nflow \"f\" {{\n{text}\n hangup\n}}\n"
        );
        let found = find(&text, &facts());
        let first = found.first().map(|it| (it.code, it.line));
        (
            first,
            found.first().map(|it| it.fix.clone()).unwrap_or_default(),
        )
    };
    assert_eq!(
        step("conference \"4711\" enter-sound=\"beep\" leave-sound=\"sorry.wav\"").0,
        None
    );
    let table = [
        ("conference", Code::Missing),
        ("conference \"my room\"", Code::WrongType),
        ("conference \"\"", Code::WrongType),
        ("conference \"r\" max=1", Code::WrongType),
        ("conference \"r\" muted=\"yes\"", Code::WrongType),
        ("conference \"r\" mute=#true", Code::UnknownAttribute),
        (
            "conference \"r\" enter-sound=\"sory.wav\"",
            Code::MissingPrompt,
        ),
        (
            "conference \"r\" {\n on busy { hangup; }\n}",
            Code::UnknownExit,
        ),
        (
            "conference \"r\" {\n on \"12\" { hangup; }\n}",
            Code::UnknownExit,
        ),
        ("conference \"r\" {\n say \"x\"\n}", Code::Misplaced),
    ];
    for (text, code) in table {
        let (found, fix) = step(text);
        assert_eq!(found.map(|it| it.0), Some(code), "{text}");
        assert!(!fix.is_empty(), "{text}");
    }
}
