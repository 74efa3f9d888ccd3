//! Every class of mistake in three mutations of a good file, found at the right line: here, of syntax, types and
//! conditions.

mod naming;
mod walking;

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
fn every_line_lost_from_a_good_file_leaves_a_plan_or_a_mistake_but_no_panic() {
    let lines: Vec<&str> = GOOD.lines().collect();
    for lost in 0..lines.len() {
        let rest = lines.iter().enumerate().filter(|(index, _)| *index != lost);
        let text: Vec<&str> = rest.map(|(_, line)| *line).collect();
        find(&text.join("\n"), &facts());
    }
}
