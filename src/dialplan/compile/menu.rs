//! Menus: their keys, the waits of their `gather`, and the exits that a silent caller needs.

use super::{Code, Compiler, Fields, Raw, Row, Span, Tree};
use crate::dialplan::plan::{Exit, Gather, Menu, Step, Target, Utterance};
use crate::dialplan::table::STEPS;

/// Timeouts and wrong keys that a menu bears before it is left, unless its exit says `max=`.
const ROUNDS: u32 = 3;

/// The exits of a menu as they are collected.
#[derive(Default)]
struct MenuExits {
    exits: Vec<(Exit, Target)>,
    keys: Vec<(String, Span)>,
    timeouts: Option<u32>,
    invalids: Option<u32>,
}

impl Compiler<'_> {
    pub(super) fn menu(
        &mut self,
        node: &Tree,
        row: &'static Row,
        next: Target,
    ) -> (Step, Vec<(Exit, Target)>) {
        let (prompts, others) = self.prompts(node);
        let mut gather_node = None;
        let mut menu = MenuExits::default();
        let myself = self.around.last().copied();
        self.menus.extend(myself);
        for child in others {
            if child.name == "gather" {
                gather_node = Some(child);
            } else {
                self.menu_exit(row, child, next, &mut menu);
            }
        }
        self.menus.pop();
        let longest = menu.keys.iter().map(|(keys, _)| keys.len()).max();
        let mut gather = self.menu_gather(row, gather_node, prompts);
        let pauses = gather_node.is_some_and(|g| {
            let mut names = g.fields.iter().filter_map(|f| f.name.as_deref());
            names.any(|name| name == "inter-digit" || name == "finish")
        });
        gather.digits = gather.digits.max(longest.unwrap_or(1));
        if !pauses {
            self.report_ambiguous(&menu.keys);
        }
        if menu.keys.is_empty() {
            let message = "a menu without keys".to_owned();
            self.error(node.at, Code::NoWayOut, message, "add: on \"1\" { … }");
        }
        if menu.timeouts.is_none() {
            let message = "a silent caller never leaves this menu".to_owned();
            self.error(
                node.at,
                Code::NoWayOut,
                message,
                "add: on timeout max=3 { … }",
            );
        }
        let step = Step::Menu(Menu {
            verb: "menu",
            gather,
            timeouts: menu.timeouts.unwrap_or(ROUNDS),
            invalids: menu.invalids.unwrap_or(ROUNDS),
        });
        menu.exits.push((Exit::Repeat, myself));
        (step, menu.exits)
    }

    fn menu_gather(
        &mut self,
        menu: &'static Row,
        node: Option<&Tree>,
        prompts: Vec<Utterance>,
    ) -> Gather {
        let empty = Tree {
            name: "gather".into(),
            at: Span::default(),
            fields: Vec::new(),
            block: None,
        };
        let node = node.unwrap_or(&empty);
        if let Some(first) = node.block.as_ref().and_then(|block| block.first()) {
            let message = "the `gather` of a menu has no block".to_owned();
            self.error(
                first.at,
                Code::Misplaced,
                message,
                "put it into the menu's own block",
            );
        }
        // The table has this row; the menu's own stands in only to keep this total.
        let row = Row::find(STEPS, "gather").unwrap_or(menu);
        let fields = Fields::read(row, node, &mut self.findings);
        for name in ["min", "retries"] {
            if let Some(given) = fields.given(name) {
                let message = format!("`{name}` has no meaning in the `gather` of a menu");
                self.error(given.at, Code::UnknownAttribute, message, "remove it");
            }
        }
        self.read_gather(&fields, prompts)
    }

    fn menu_exit(&mut self, row: &'static Row, child: &Tree, next: Target, menu: &mut MenuExits) {
        let Some(name) = self.exit_name(row, child) else {
            return;
        };
        let exit = match name.as_str() {
            "timeout" => Exit::Timeout,
            "invalid" => Exit::Invalid,
            "hangup" => Exit::Hangup,
            keys => {
                menu.keys.push((keys.to_owned(), child.at));
                Exit::Keys(keys.to_owned())
            }
        };
        let max = self.read_max(&exit, child);
        match exit {
            Exit::Timeout => menu.timeouts = Some(max.unwrap_or(1)),
            Exit::Invalid => menu.invalids = Some(max.unwrap_or(1)),
            _ => {}
        }
        let outer = self.in_hangup;
        self.in_hangup |= exit == Exit::Hangup;
        let after = if self.in_hangup { None } else { next };
        let target = self.steps(child.block.as_deref().unwrap_or(&[]), after);
        self.in_hangup = outer;
        self.add_exit(&mut menu.exits, exit, target, child.at);
    }

    /// `max=` of `on timeout` and `on invalid`.
    fn read_max(&mut self, exit: &Exit, child: &Tree) -> Option<u32> {
        let mut max = None;
        for field in child.fields.iter().skip(1) {
            let counts = matches!(exit, Exit::Timeout | Exit::Invalid);
            if field.name.as_deref() != Some("max") || !counts {
                let shown = field.name.as_deref().unwrap_or("this");
                let message = format!("`on {}` has no attribute `{shown}`", exit.name());
                let fix = match counts {
                    true => "only `max=3` stands here",
                    false => "remove it",
                };
                self.error(field.at, Code::UnknownAttribute, message, fix);
                continue;
            }
            match &field.value {
                Raw::Integer(number @ 1..=20) => max = Some(*number as u32),
                _ => {
                    let message = "`max` wants a whole number 1 to 20".to_owned();
                    self.error(field.value_at, Code::WrongType, message, "write max=3");
                }
            }
        }
        max
    }

    fn report_ambiguous(&mut self, keys: &[(String, Span)]) {
        for (longer, at) in keys {
            let shorter = keys
                .iter()
                .find(|(other, _)| other != longer && longer.starts_with(other.as_str()));
            if let Some((shorter, other)) = shorter {
                let place = self.findings.name_place(*other);
                let message = format!("`{shorter}` ({place}) is the beginning of `{longer}`");
                let fix =
                    "use keys of one length, or let a pause decide: gather inter-digit=\"2s\"";
                self.error(*at, Code::AmbiguousDigits, message, fix);
            }
        }
    }

    pub(super) fn repeat(&mut self, at: Span) -> (Step, Vec<(Exit, Target)>) {
        let menu = self.menus.last().copied();
        if menu.is_none() {
            let message = "`repeat` stands outside of a menu".to_owned();
            self.error(at, Code::Misplaced, message, "use `goto`");
        }
        (Step::Repeat, vec![(Exit::Repeat, menu)])
    }
}
