//! The reference of the language, printed from the table.

use std::fmt::Write;

use super::diagnostic::Code;
use super::table::{Block, NOT_BUILT, Row, STEPS, TESTS, TOP};

/// The generated section of `docs/dialplan.md`, in Markdown.
pub fn reference() -> String {
    let mut text = String::new();
    let mut write = |part: String| text.push_str(&part);
    write("### At the top of a file\n\n".into());
    TOP.iter().for_each(|row| write(describe(row, "")));
    write("\n### Steps\n\n".into());
    STEPS.iter().for_each(|row| write(describe(row, "")));
    write("\n### Lines of a test\n\n".into());
    TESTS.iter().for_each(|row| write(describe(row, "")));
    write("\n### Refused by name\n\n".into());
    let refused: Vec<String> = NOT_BUILT
        .iter()
        .map(|(n, what)| format!("`{n}` ({what})"))
        .collect();
    write(format!("Not built yet: {}.\n\n", refused.join(", ")));
    write("### Codes of mistakes\n\n".into());
    let codes: Vec<String> = Code::ALL
        .iter()
        .map(|(_, name)| format!("`{name}`"))
        .collect();
    write(format!("{}.\n", codes.join(", ")));
    text
}

fn describe(row: &Row, indent: &str) -> String {
    let mut text = format!("{indent}- **`{}`**", row.name);
    for argument in row.arguments {
        let name = match (argument.least, argument.most) {
            (0, 1) => format!("[{}]", argument.name),
            (_, 1) => argument.name.to_owned(),
            _ => format!("{}…", argument.name),
        };
        _ = write!(text, " *{name}*");
    }
    _ = writeln!(text, " {}", row.about);
    for argument in row.arguments {
        let about = match argument.about {
            "" => String::new(),
            about => format!("; {about}"),
        };
        let kind = argument.kind.describe();
        _ = writeln!(text, "{indent}  - *{}*: {kind}{about}", argument.name);
    }
    for attribute in row.attributes {
        let default = match (attribute.default, attribute.required) {
            (Some(default), _) => format!(", else {default}"),
            (None, true) => ", required".to_owned(),
            (None, false) => String::new(),
        };
        let (name, kind) = (attribute.name, attribute.kind.describe());
        _ = writeln!(
            text,
            "{indent}  - `{name}=` {kind}{default}; {}",
            attribute.about
        );
    }
    for exit in row.exits {
        _ = writeln!(text, "{indent}  - `on {}` {}", exit.name, exit.about);
    }
    if let (Block::Nodes(lines), false) = (row.block, row.name == "test") {
        for line in lines {
            text.push_str(&describe(line, &format!("{indent}  ")));
        }
    }
    text
}
