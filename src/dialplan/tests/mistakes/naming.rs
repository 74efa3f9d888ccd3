//! Names that are not there, or twice.

use super::*;

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
