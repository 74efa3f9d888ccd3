//! Words of a step that stand for something: variables in texts, trunks, whom to ring.

use super::{Code, Compiler, Span};
use crate::dialplan::diagnostic::suggest;
use crate::dialplan::plan::{Callee, Piece, Template};

impl Compiler<'_> {
    pub(super) fn expect_trunk(&mut self, name: &str, at: Span) {
        let Some(trunks) = &self.facts.trunks else {
            return;
        };
        if !trunks.contains(name) {
            let names = trunks.iter().map(String::as_str);
            let fix = suggest(name, names, "add the trunk to the configuration");
            let message = format!("there is no trunk `{name}`");
            self.error(at, Code::UnknownTrunk, message, &fix);
        }
    }

    /// A known endpoint, else a number if it looks like one or a trunk is named.
    pub(super) fn callee(&mut self, text: &str, at: Span, trunk: Option<String>) -> Callee {
        let known = self
            .facts
            .endpoints
            .as_ref()
            .is_some_and(|e| e.contains(text));
        let number = text.trim_start_matches('+');
        let digits = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit());
        let filled = text.contains('{');
        if !known && (digits || filled || trunk.is_some()) {
            let number = self.template(text, at);
            return Callee::Number { number, trunk };
        }
        self.expect_endpoint(text, at);
        Callee::Endpoint(Template(vec![Piece::Text(text.to_owned())]))
    }

    /// The endpoint of `endpoint=`: checked now if its name is plain, else when it is dialled.
    pub(super) fn endpoint(&mut self, text: &str, at: Span) -> Callee {
        if !text.contains('{') {
            self.expect_endpoint(text, at);
        }
        Callee::Endpoint(self.template(text, at))
    }

    /// A text with `{places}` for variables; `{{` and `}}` are braces.
    pub(super) fn template(&mut self, text: &str, at: Span) -> Template {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let tail = rest.get(c.len_utf8()..).unwrap_or("");
            if (c == '{' || c == '}') && tail.starts_with(c) {
                plain.push(c);
                rest = tail.get(1..).unwrap_or("");
                continue;
            }
            if c != '{' {
                plain.push(c);
                rest = tail;
                continue;
            }
            let Some((name, tail)) = tail.split_once('}') else {
                let message = "a `{` in a text is never closed".to_owned();
                self.error(
                    at,
                    Code::WrongType,
                    message,
                    "write `{{` for a brace, or add `}`",
                );
                break;
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.extend(self.piece(name, at));
            rest = tail;
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Template(pieces)
    }

    fn piece(&mut self, name: &str, at: Span) -> Option<Piece> {
        match (name, name.strip_prefix("vars.")) {
            ("from", _) => Some(Piece::From),
            ("to", _) => Some(Piece::To),
            ("trunk", _) => Some(Piece::Trunk),
            ("digits", _) => Some(Piece::Digits),
            (_, Some(variable)) if self.plan.variables.contains_key(variable) => {
                Some(Piece::Variable(variable.to_owned()))
            }
            _ => {
                let message = format!("there is no variable `{name}` for this text");
                let variables = self.plan.variables.keys().map(|v| format!("vars.{v}"));
                let mut names: Vec<String> = variables.collect();
                names.extend(["from", "to", "trunk", "digits"].map(String::from));
                let fix = suggest(name, names.iter().map(String::as_str), "");
                self.findings
                    .report(at, Code::UnknownVariable, message, fix);
                None
            }
        }
    }
}
