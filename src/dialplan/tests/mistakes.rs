//! Every class of mistake in three mutations of a good file, found at the right line.

use super::*;

/// The good file; each mutation replaces one text of it that occurs once.
const GOOD: &str = include_str!("../../../tests/data/dialplan/good.kdl");

/// Class, what is replaced, by what, and the text that begins the line of the mistake.
type Mutation = (Code, &'static str, &'static str, &'static str);

fn facts() -> Facts {
    Facts {
        prompts: Some(["welcome.wav".to_owned(), "sorry.wav".to_owned()].into()),
        ..example_facts()
    }
}

fn find(text: &str, facts: &Facts) -> Vec<Diagnostic> {
    match Plan::compile(&[file("good.kdl", text)], facts) {
        Ok(plan) => plan.warnings().to_vec(),
        Err(found) => found,
    }
}

fn line_of(text: &str, part: &str) -> u32 {
    let at = text
        .find(part)
        .unwrap_or_else(|| panic!("no `{part}` in the text"));
    text[..at].matches('\n').count() as u32 + 1
}

fn check_all(mutations: &[Mutation], facts: &Facts) {
    for (code, old, new, mark) in mutations {
        assert_eq!(GOOD.matches(old).count(), 1, "`{old}` must occur once");
        let text = GOOD.replace(old, new);
        let found = find(&text, facts);
        let shown: String = found.iter().map(|d| format!("{d}\n")).collect();
        let line = line_of(&text, mark);
        let hit = found.iter().find(|d| d.code == *code && d.line == line);
        let hit = hit.unwrap_or_else(|| panic!("{code:?} at line {line} for `{new}`:\n{shown}"));
        assert!(!hit.fix.is_empty(), "no fix: {hit}");
        assert!(hit.column >= 1);
        let others = found.iter().filter(|d| d.severity == Severity::Error);
        assert!(others.count() <= 2, "a cascade for `{new}`:\n{shown}");
    }
}

#[test]
fn the_good_file_has_no_mistake() {
    let found = find(GOOD, &facts());
    assert_eq!(
        found,
        [],
        "{}",
        found.iter().map(|d| d.to_string()).collect::<String>()
    );
}

#[test]
fn missing_and_superfluous_braces_are_found_where_they_are_missing() {
    check_all(
        &[
            (
                Code::Syntax,
                "flow \"welcome\" {",
                "flow \"welcome\"",
                "flow \"welcome\"",
            ),
            (Code::Syntax, "  on \"1\" {", "  on \"1\"", "  on \"1\""),
            (
                Code::Syntax,
                "    on max-wait {",
                "    on max-wait",
                "    on max-wait",
            ),
            (
                Code::Syntax,
                "    goto \"sales\"\n  }",
                "    goto \"sales\"",
                "  on \"1\" {",
            ),
            (
                Code::Syntax,
                "      play \"sorry.wav\"\n    }",
                "      play \"sorry.wav\"",
                "    on max-wait {",
            ),
            (
                Code::Syntax,
                "  agents \"alice\" \"bob\"\n}",
                "  agents \"alice\" \"bob\"",
                "queue \"sales\" max",
            ),
        ],
        &facts(),
    );
}

#[test]
fn other_slips_of_syntax_are_found() {
    let open = GOOD.replace(
        "hours \"office\" tz=\"Europe/Dublin\" {",
        "hours \"office\" tz=\"E {",
    );
    let found = find(&open, &facts());
    assert_eq!(
        found.len(),
        1,
        "the text took the brace with it: {found:#?}"
    );
    assert_eq!((found[0].line, found[0].column), (3, 19));
    check_all(
        &[
            (
                Code::Syntax,
                "say \"We are closed.\"",
                "say \"We are closed.",
                "  say \"We are closed.",
            ),
            (
                Code::Syntax,
                "timeout=\"6s\"",
                "timeout=6s",
                "  gather timeout=",
            ),
            (
                Code::Syntax,
                "vip=#true",
                "vip=true",
                "    set department=\"sales\"",
            ),
            (Code::Syntax, "  }\n  else {", "  } else {", "  } else {"),
        ],
        &facts(),
    );
}

#[test]
fn unknown_steps_and_nodes_are_named_with_the_nearest_known() {
    check_all(
        &[
            (Code::UnknownStep, "  answer\n", "  anwser\n", "  anwser"),
            (
                Code::UnknownStep,
                "hangup cause=\"busy\"",
                "hang-up cause=\"busy\"",
                "      hang-up",
            ),
            (
                Code::UnknownStep,
                "goto \"sales\"",
                "jump \"sales\"",
                "    jump",
            ),
            (
                Code::UnknownNode,
                "hours \"office\"",
                "hour \"office\"",
                "hour \"office\"",
            ),
            (Code::NotBuilt, "  answer\n", "  bot \"ava\"\n", "  bot"),
            (
                Code::NotBuilt,
                "  on \"2\" {",
                "  on intent=\"billing\" {",
                "  on intent",
            ),
            (
                Code::NotBuilt,
                "timeout=\"6s\"",
                "speech=#true",
                "  gather speech",
            ),
        ],
        &facts(),
    );
    let found = find(&GOOD.replace("  answer\n", "  anwser\n"), &facts());
    assert_eq!(found[0].fix, "did you mean `answer`?");
}

#[test]
fn unknown_attributes_and_exits_are_found() {
    check_all(
        &[
            (
                Code::UnknownAttribute,
                "priority=5",
                "prioritty=5",
                "  queue \"sales\" prior",
            ),
            (
                Code::UnknownAttribute,
                "timeout=\"25s\"",
                "tiemout=\"25s\"",
                "  dial",
            ),
            (
                Code::UnknownAttribute,
                "lang=\"en-US\"",
                "language=\"en-US\"",
                "  say \"Welcome.\"",
            ),
            (
                Code::UnknownExit,
                "on max-wait",
                "on maxwait",
                "    on maxwait",
            ),
            (
                Code::UnknownExit,
                "    on max-wait",
                "    on \"12\"",
                "    on \"12\"",
            ),
            (Code::UnknownExit, "on busy", "on bussy", "    on bussy"),
            (
                Code::UnknownExit,
                "  on timeout max=3",
                "  on timeot max=3",
                "  on timeot",
            ),
        ],
        &facts(),
    );
}

#[test]
fn wrong_types_are_found_with_what_to_write() {
    check_all(
        &[
            (Code::WrongType, "timeout=\"25s\"", "timeout=25", "  dial"),
            (
                Code::WrongType,
                "priority=5",
                "priority=\"5\"",
                "  queue \"sales\" prior",
            ),
            (
                Code::WrongType,
                "barge-in=#false",
                "barge-in=\"no\"",
                "  say \"We are closed",
            ),
            (
                Code::WrongType,
                "cause=\"busy\"",
                "cause=\"bussy\"",
                "      hangup",
            ),
            (Code::WrongType, "\"09:00-17:00\"", "\"9-17\"", "  open"),
            (
                Code::WrongType,
                "tz=\"Europe/Dublin\"",
                "tz=\"Europe/Dublim\"",
                "hours",
            ),
        ],
        &facts(),
    );
}

#[test]
fn missing_prompt_files_are_found() {
    check_all(
        &[
            (
                Code::MissingPrompt,
                "play \"welcome.wav\"",
                "play \"welcom.wav\"",
                "  play \"welcom",
            ),
            (
                Code::MissingPrompt,
                "play \"sorry.wav\"",
                "play \"Sorry.wav\"",
                "      play",
            ),
            (
                Code::MissingPrompt,
                "play \"welcome.wav\"",
                "play \"welcome.wav\" \"x.wav\"",
                "  play",
            ),
        ],
        &facts(),
    );
}

#[test]
fn unknown_names_are_found() {
    check_all(
        &[
            (
                Code::UnknownQueue,
                "queue \"sales\" prio",
                "queue \"sale\" prio",
                "  queue \"sale\"",
            ),
            (
                Code::UnknownQueue,
                "queue \"support\"\n",
                "queue \"suport\"\n",
                "    queue \"suport",
            ),
            (
                Code::UnknownQueue,
                "expect-queue \"sales\"",
                "expect-queue \"x\"",
                "  expect-queue",
            ),
            (
                Code::UnknownFlow,
                "goto \"sales\"",
                "goto \"sale\"",
                "    goto \"sale\"",
            ),
            (
                Code::UnknownFlow,
                "flow=\"welcome\"",
                "flow=\"welcom\"",
                "entry",
            ),
            (
                Code::UnknownFlow,
                "goto \"main\"",
                "goto \"mian\"",
                "    goto \"mian",
            ),
            (
                Code::UnknownHours,
                "hours('office')",
                "hours('ofice')",
                "  if",
            ),
            (
                Code::UnknownEndpoint,
                "dial \"operator\"",
                "dial \"operatr\"",
                "  dial",
            ),
            (
                Code::UnknownEndpoint,
                "dial \"operator\"",
                "dial \"operator\" \"x\"",
                "  dial",
            ),
            (
                Code::UnknownEndpoint,
                "transfer \"+15550199\" trunk=\"carrier\"",
                "transfer \"bobb\"",
                "    transfer",
            ),
            (
                Code::UnknownEndpoint,
                "dial \"operator\"",
                "dial endpoint=\"operatr\"",
                "  dial",
            ),
            (
                Code::UnknownTrunk,
                "trunk=\"carrier\"",
                "trunk=\"carier\"",
                "    transfer",
            ),
            (
                Code::UnknownTrunk,
                "trunk=\"carrier\"",
                "trunk=\"x\"",
                "    transfer",
            ),
            (
                Code::UnknownTrunk,
                "timeout=\"25s\"",
                "trunk=\"none\"",
                "  dial",
            ),
            (
                Code::UnknownAgent,
                "\"alice\" \"bob\"",
                "\"alise\" \"bob\"",
                "  agents",
            ),
            (
                Code::UnknownAgent,
                "\"alice\" \"bob\"",
                "\"alice\" \"\u{e9}\"",
                "  agents",
            ),
            (
                Code::UnknownAgent,
                "\"alice\" \"bob\"",
                "\"Alice\" \"bob\"",
                "  agents",
            ),
        ],
        &facts(),
    );
}

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
fn conditions_are_checked_within_their_text() {
    check_all(
        &[
            (
                Code::BadCondition,
                "if \"hours('office')\"",
                "if \"hours('office'\"",
                "  if",
            ),
            (
                Code::BadCondition,
                "if \"hours('office')\"",
                "if \"from\"",
                "  if",
            ),
            (
                Code::BadCondition,
                "if \"hours('office')\"",
                "if \"time.hour > '9'\"",
                "  if",
            ),
            (
                Code::UnknownVariable,
                "if \"hours('office')\"",
                "if \"vars.vipp\"",
                "  if",
            ),
            (
                Code::UnknownVariable,
                "if \"hours('office')\"",
                "if \"frm == '1'\"",
                "  if",
            ),
            (
                Code::UnknownVariable,
                "\"Welcome.\"",
                "\"Welcome {vars.name}.\"",
                "  say \"Welcome {",
            ),
        ],
        &facts(),
    );
    let text = GOOD.replace("if \"hours('office')\"", "if \"vars.vip && frm == '1'\"");
    let found = find(&text, &facts());
    let column = text.lines().find_map(|line| line.find("frm")).unwrap() + 1;
    assert_eq!(found[0].column, column as u32, "{}", found[0]);
    assert_eq!(found[0].fix, "did you mean `from`?");
}

#[test]
fn an_expression_nested_without_end_is_refused_and_not_followed() {
    let nested = [
        "(".repeat(200) + "vars.vip" + &")".repeat(200),
        "!".repeat(300) + "vars.vip",
        "vars.vip ? ".repeat(20) + "vars.vip" + &" : vars.vip".repeat(20),
    ];
    for nested in nested {
        let text = GOOD.replace("hours('office')", &nested);
        assert_eq!(find(&text, &facts())[0].code, Code::TooLarge);
    }
    let widest = "vars.vip".to_owned() + &" && vars.vip".repeat(40);
    assert_eq!(
        find(&GOOD.replace("hours('office')", &widest), &facts()),
        []
    );
    let sum = "1".to_owned() + &"+1".repeat(240) + " > 1";
    assert_eq!(find(&GOOD.replace("hours('office')", &sum), &facts()), []);
    let deepest = "(".repeat(8) + "vars.vip" + &")".repeat(8);
    assert_eq!(
        find(&GOOD.replace("hours('office')", &deepest), &facts()),
        []
    );
}

#[test]
fn a_name_in_two_places_is_refused_naming_both() {
    check_all(
        &[
            (
                Code::DuplicateName,
                "flow \"sales\" {",
                "flow \"main\" {",
                "flow \"main\"",
            ),
            (
                Code::DuplicateName,
                "queue \"support\" {",
                "queue \"sales\" {",
                "queue \"sales\" {",
            ),
            (
                Code::DuplicateName,
                "on \"0\" {",
                "on \"1\" {",
                "  on \"1\" {\n    goto \"operator\"",
            ),
        ],
        &facts(),
    );
    let other = file("other.kdl", "dialplan version=1\nqueue \"sales\"\n");
    let found = Plan::compile(&[file("good.kdl", GOOD), other], &facts()).unwrap_err();
    assert_eq!((found[0].line, found[0].code), (2, Code::DuplicateName));
    assert!(found[0].message.contains("good.kdl:"), "{}", found[0]);
    let mut facts = facts();
    let place = "the API".to_owned();
    facts.queues_elsewhere.insert("sales".to_owned(), place);
    assert_eq!(find(GOOD, &facts)[0].code, Code::DuplicateName);
}

#[test]
fn overlapping_hours_missing_values_and_empty_blocks_are_found() {
    check_all(
        &[
            (
                Code::OverlappingHours,
                "  closed \"2026-12-25\"",
                "  open \"fri\" \"16:00-18:00\"\n  closed \"2026-12-25\"",
                "  open \"fri\"",
            ),
            (
                Code::OverlappingHours,
                "\"09:00-17:00\"",
                "\"09:00-17:00\" \"16:59-18:00\"",
                "  open",
            ),
            (
                Code::OverlappingHours,
                "closed \"2026-12-25\"",
                "closed \"2026-12-25\" \"2026-12-25\"",
                "  closed",
            ),
            (
                Code::OverlappingHours,
                "  closed \"2026-12-25\"",
                "  open \"sun\" \"22:00-09:01\"\n  closed \"2026-12-25\"",
                "  open \"sun\"",
            ),
            (Code::Missing, "dial \"operator\"", "dial", "  dial timeout"),
            (Code::Missing, "goto \"sales\"", "goto", "    goto\n"),
            (Code::Missing, "dialplan version=1\n", "", "entry"),
            (Code::Missing, "flow=\"welcome\"", "", "entry"),
            (Code::Missing, "  call at", "  // call at", "test"),
            (
                Code::EmptyBlock,
                "flow \"sales\" {",
                "flow \"none\" {\n}\nflow \"sales\" {",
                "flow \"none\"",
            ),
        ],
        &facts(),
    );
}

#[test]
fn without_a_speech_engine_the_checker_says_how_to_install_it() {
    let facts = Facts {
        speech: Speech::Missing,
        ..facts()
    };
    let found = find(GOOD, &facts);
    assert_eq!(found[0].code, Code::SpeechUnavailable);
    assert_eq!(found[0].severity, Severity::Warning);
    assert_eq!(found[0].line, line_of(GOOD, "  say "));
    assert!(found[0].fix.contains("apt-get install espeak-ng"));
    let voices = Facts {
        speech: Speech::Voices(["en-us".to_owned()].into()),
        ..self::facts()
    };
    let mutations = [(
        Code::SpeechUnavailable,
        "lang=\"en-US\"",
        "voice=\"en-uss\"",
        "  say \"Welcome.\"",
    )];
    check_all(&mutations, &voices);
}

#[test]
fn every_line_lost_from_a_good_file_leaves_a_plan_or_a_mistake_but_no_panic() {
    let lines: Vec<&str> = GOOD.lines().collect();
    for lost in 0..lines.len() {
        let rest = lines.iter().enumerate().filter(|(index, _)| *index != lost);
        let text: Vec<&str> = rest.map(|(_, line)| *line).collect();
        find(&text.join("\n"), &facts());
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
