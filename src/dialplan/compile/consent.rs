//! `consent`: a menu of two keys, whose one leads to the recording.
//!
//! ```text
//!   consent ─┬─ yes ─────────▶ set consent="yes" ─▶ record start ─▶ what follows
//!            └─ no, silence ─▶ set consent="no" ──▶ on declined, or what follows, or hangup
//! ```

use std::time::Duration;

use super::{Code, Compiler, Fields, Row, Tree};
use crate::call::{Cause, RecordAsk};
use crate::dialplan::plan::{Exit, Gather, Menu, NodeId, Setting, Step, Target, Template};

impl Compiler<'_> {
    pub(super) fn consent(
        &mut self,
        fields: &Fields,
        row: &'static Row,
        node: &Tree,
        next: Target,
    ) -> (Step, Vec<(Exit, Target)>) {
        let myself = self.around.last().copied();
        let (prompts, others) = self.prompts(node);
        if prompts.is_empty() {
            let message = "`consent` asks nothing".to_owned();
            let fix = "write the question: { say \"May we record this call? …\" }";
            self.error(node.at, Code::EmptyBlock, message, fix);
        }
        let [yes, no] = ["yes", "no"].map(|name| fields.text(name).unwrap_or_default());
        if yes.starts_with(&no) || no.starts_with(&yes) {
            let message = format!("the keys `{yes}` and `{no}` cannot be told apart");
            let fix = "write two keys: yes=\"1\" no=\"2\"";
            self.error(node.at, Code::AmbiguousDigits, message, fix);
        }
        let started = self.link(node, Step::Record(RecordAsk::Start), next);
        let given = self.link(node, told("yes"), Some(started));
        let declined = self.declined(fields, row, node, others, next);
        let refused = self.link(node, told("no"), declined);
        let implied = fields.truth("implied");
        let silent = if implied { given } else { refused };
        let rounds = 1 + fields.whole("retries").unwrap_or(0) as u32;
        let step = Step::Menu(Menu {
            verb: "consent",
            timeouts: if implied { 1 } else { rounds },
            invalids: rounds,
            gather: Gather {
                prompts,
                digits: yes.len().max(no.len()),
                min: 1,
                finish: None,
                first: fields.time("timeout").unwrap_or_default(),
                between: BETWEEN,
                retries: 0,
                into: None,
            },
        });
        let exits = vec![
            (Exit::Keys(yes), Some(given)),
            (Exit::Keys(no), Some(refused)),
            (Exit::Timeout, Some(silent)),
            (Exit::Invalid, Some(refused)),
            (Exit::Repeat, myself),
        ];
        (step, exits)
    }

    /// Where a call goes that is not to be recorded.
    fn declined(
        &mut self,
        fields: &Fields,
        row: &'static Row,
        node: &Tree,
        others: Vec<&Tree>,
        next: Target,
    ) -> Target {
        let mut exits = Vec::new();
        for child in others {
            if self.exit_name(row, child).is_some() {
                let target = self.steps(child.block.as_deref().unwrap_or(&[]), next);
                self.add_exit(&mut exits, Exit::Declined, target, child.at);
            }
        }
        match exits.first() {
            Some((_, target)) => *target,
            None if fields.text("otherwise").as_deref() == Some("hangup") => {
                let end = self.reserve(node.at, None);
                self.settle(end, Step::Hangup(Cause::Normal), Vec::new());
                Some(end)
            }
            None => next,
        }
    }

    /// A node of its own that goes on to `next`.
    fn link(&mut self, node: &Tree, step: Step, next: Target) -> NodeId {
        let id = self.reserve(node.at, None);
        self.settle(id, step, vec![(Exit::Next, next)]);
        id
    }
}

fn told(answer: &str) -> Step {
    let answer = Setting::Text(Template::plain(answer));
    Step::Set(vec![(VARIABLE.to_owned(), answer)])
}

/// The variable that keeps the answer.
pub(super) const VARIABLE: &str = "consent";

/// The wait for the second key of an answer that has two.
const BETWEEN: Duration = Duration::from_secs(3);
