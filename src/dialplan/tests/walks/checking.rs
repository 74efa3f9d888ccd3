//! What is walked without a call: dry runs, tests in flow files, the documentation and its examples.

use super::*;

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
    let text = include_str!("../../../../docs/dialplan.md");
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
    let text = include_str!("../../../../docs/dialplan.md");
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
