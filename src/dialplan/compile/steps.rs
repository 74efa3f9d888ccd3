//! From the steps of a block to nodes of the graph.

use super::Shape;
use super::{Code, Compiler, Fields, NodeId, Read, Row, Span, Speech, Tree, Type};
use crate::call::RecordAsk;
use crate::dialplan::diagnostic::suggest;
use crate::dialplan::fields::is_keys;
use crate::dialplan::plan::{
    DialStep, Exit, Gather, Node, Setting, Step, Target, Utter, Utterance,
};
use crate::dialplan::table::{NOT_BUILT, STEPS, TOP};

impl Compiler<'_> {
    /// A flow, or a menu at the top of a file.
    pub(super) fn flow(&mut self, row: &'static Row, node: &Tree) {
        let fields = Fields::read(row, node, &mut self.findings);
        let Some(flow) = fields
            .text("name")
            .and_then(|name| self.flows.get(&name).copied())
        else {
            return;
        };
        // A second flow of that name is already reported; it must not replace the first.
        if self
            .plan
            .flows
            .get(flow as usize)
            .is_none_or(|f| f.at != node.at)
        {
            return;
        }
        self.flow = flow;
        let first = if row.name == "menu" {
            let id = self.reserve(node.at, None);
            let step = Row::find(STEPS, "menu");
            if let Some(step) = step {
                self.step(step, id, node, None, None);
            }
            Some(id)
        } else {
            self.expect_block(node);
            self.steps(node.block.as_deref().unwrap_or(&[]), None)
        };
        if let Some(flow) = self.plan.flows.get_mut(flow as usize) {
            flow.first = first;
        }
    }

    fn expect_block(&mut self, node: &Tree) {
        if node.block.as_ref().is_none_or(Vec::is_empty) {
            let message = format!("`{}` has no steps", node.name);
            let fix = "write them between braces: { … }";
            self.error(node.at, Code::EmptyBlock, message, fix);
        }
    }

    pub(super) fn reserve(&mut self, at: Span, previous: Option<NodeId>) -> NodeId {
        let id = NodeId(self.plan.nodes.len() as u32);
        self.plan.nodes.push(Node {
            step: Step::End,
            exits: Vec::new(),
            at,
            flow: self.flow,
        });
        let parent = self.around.last().copied();
        self.shape.push(Shape { parent, previous });
        id
    }

    /// The steps of a block; after the last the way goes on to `next`. Gives the first.
    pub(super) fn steps(&mut self, nodes: &[Tree], next: Target) -> Target {
        let mut items: Vec<(&'static Row, NodeId, &Tree, Option<&Tree>)> = Vec::new();
        for node in nodes {
            if node.name == "else" {
                match items.last_mut() {
                    Some((row, _, _, otherwise @ None)) if row.name == "if" => {
                        *otherwise = Some(node);
                    }
                    _ => {
                        let message = "`else` follows no `if`".to_owned();
                        let fix = "put it directly after the block of an `if`";
                        self.error(node.at, Code::Misplaced, message, fix);
                    }
                }
                continue;
            }
            if let Some(row) = self.known_step(node) {
                let previous = items.last().map(|item| item.1);
                items.push((row, self.reserve(node.at, previous), node, None));
            }
        }
        let ids: Vec<NodeId> = items.iter().map(|item| item.1).collect();
        for (index, (row, id, node, otherwise)) in items.into_iter().enumerate() {
            let after = ids.get(index + 1).copied().or(next);
            self.step(row, id, node, otherwise, after);
        }
        ids.first().copied().or(next)
    }

    fn known_step(&mut self, node: &Tree) -> Option<&'static Row> {
        let name = node.name.as_str();
        if let Some(row) = Row::find(STEPS, name) {
            let allowed = !self.in_hangup || matches!(name, "set" | "if" | "end");
            if allowed && (name != "end" || self.in_hangup) {
                return Some(row);
            }
            let (message, fix) = match allowed {
                true => (
                    "`end` ends only an `on hangup` block",
                    "write `hangup` to end the call",
                ),
                false => (
                    "the caller is gone here",
                    "only `set`, `if` and `end` stand in `on hangup`",
                ),
            };
            self.error(node.at, Code::Misplaced, message.into(), fix);
            return None;
        }
        if let Some((_, what)) = NOT_BUILT.iter().find(|(refused, _)| *refused == name) {
            let message = format!("the step `{name}` ({what}) is not built yet");
            self.error(node.at, Code::NotBuilt, message, "remove it");
        } else if name == "on" {
            let message = "`on` stands outside of a step that has exits".to_owned();
            let fix = "put it into the block of a menu, gather, queue, conference or dial";
            self.error(node.at, Code::Misplaced, message, fix);
        } else if Row::find(TOP, name).is_some() {
            let message = format!("`{name}` stands at the top of a file, not in a flow");
            self.error(node.at, Code::Misplaced, message, "move it out of the flow");
        } else {
            let message = format!("there is no step `{name}`");
            let fix = suggest(name, STEPS.iter().map(|row| row.name), "");
            self.error(node.at, Code::UnknownStep, message, &fix);
        }
        None
    }

    fn step(
        &mut self,
        row: &'static Row,
        id: NodeId,
        node: &Tree,
        otherwise: Option<&Tree>,
        next: Target,
    ) {
        let fields = Fields::read(row, node, &mut self.findings);
        self.around.push(id);
        let plain = vec![(Exit::Next, next)];
        let (step, exits) = match row.name {
            "answer" => (Step::Answer, plain),
            "say" => (Step::Say(vec![self.say(&fields)]), plain),
            "play" => (Step::Say(self.play(&fields)), plain),
            "gather" => self.gather(&fields, row, node, next),
            "menu" => self.menu(node, row, next),
            "set" => (self.set(&fields, node.at), plain),
            "if" => self.branch(&fields, node, otherwise, next),
            "goto" => self.goto(&fields, id),
            "queue" => self.queue(&fields, row, node, next),
            "conference" => (self.conference(&fields), self.exits(row, node, next)),
            "dial" | "transfer" => {
                let step = Step::Dial(self.dial(&fields, node, row.name == "transfer"));
                (step, self.exits(row, node, next))
            }
            "consent" => self.consent(&fields, row, node, next),
            "record" => {
                let what = fields.text("what").unwrap_or_default();
                let ask = RecordAsk::from_name(&what).unwrap_or(RecordAsk::Stop);
                (Step::Record(ask), plain)
            }
            "hangup" => (Step::Hangup(fields.cause("cause")), Vec::new()),
            "repeat" => self.repeat(node.at),
            _ => (Step::End, Vec::new()),
        };
        self.around.pop();
        self.settle(id, step, exits);
    }

    /// What a reserved node is.
    pub(super) fn settle(&mut self, id: NodeId, step: Step, exits: Vec<(Exit, Target)>) {
        if let Some(slot) = self.plan.nodes.get_mut(id.0 as usize) {
            slot.step = step;
            slot.exits = exits;
        }
    }

    fn say(&mut self, fields: &Fields) -> Utterance {
        let given = fields.given("text");
        let at = given.map(|g| g.at).unwrap_or_default();
        let text = self.template(&fields.text("text").unwrap_or_default(), at);
        let voice = fields.text("voice");
        match &self.facts.speech {
            Speech::Missing if self.told_speech.insert(at.file) => {
                let message = "there is no speech engine for `say`".to_owned();
                let fix = "install espeak-ng (apt-get install espeak-ng), or `play` a file";
                self.findings
                    .warn(at, Code::SpeechUnavailable, message, fix.into());
            }
            Speech::Voices(voices) if !voices.is_empty() => {
                let given = fields.given("voice").map(|g| g.at);
                let unknown = voice.as_ref().filter(|voice| !voices.contains(*voice));
                if let (Some(voice), Some(at)) = (unknown, given) {
                    let fix = suggest(voice, voices.iter().map(String::as_str), "");
                    let message = format!("the speech engine has no voice `{voice}`");
                    self.findings
                        .report(at, Code::SpeechUnavailable, message, fix);
                }
            }
            _ => {}
        }
        Utterance {
            what: Utter::Speech {
                text,
                voice,
                lang: fields.text("lang"),
            },
            barge_in: fields.truth("barge-in"),
        }
    }

    fn play(&mut self, fields: &Fields) -> Vec<Utterance> {
        let mut heard = Vec::new();
        for given in fields.all("file") {
            let Read::Text(file) = &given.read else {
                continue;
            };
            if let Some(prompts) = &self.facts.prompts
                && !prompts.contains(file)
            {
                let names = prompts.iter().map(String::as_str);
                let fix = suggest(file, names, "put the file into the prompts folder");
                let message = format!("there is no prompt file `{file}`");
                self.findings
                    .report(given.at, Code::MissingPrompt, message, fix);
            }
            heard.push(Utterance {
                what: Utter::File(file.clone()),
                barge_in: fields.truth("barge-in"),
            });
        }
        heard
    }

    pub(super) fn read_gather(&mut self, fields: &Fields, prompts: Vec<Utterance>) -> Gather {
        let finish = fields.text("finish");
        let at = fields.given("finish").map(|g| g.at);
        if let (Some(text), Some(at)) = (&finish, at)
            && text.len() != 1
        {
            self.error(
                at,
                Code::WrongType,
                "`finish` is one key".into(),
                "write finish=\"#\"",
            );
        }
        let (min, digits) = (fields.whole("min"), fields.whole("digits"));
        if min > digits
            && let Some(given) = fields.given("min").or(fields.given("digits"))
        {
            let message = "`min` is more than `digits`".to_owned();
            self.error(given.at, Code::WrongType, message, "lower `min`");
        }
        Gather {
            prompts,
            digits: digits.unwrap_or(1) as usize,
            min: min.unwrap_or(1) as usize,
            finish: finish.and_then(|text| text.chars().next()),
            first: fields.time("timeout").unwrap_or_default(),
            between: fields.time("inter-digit").unwrap_or_default(),
            retries: fields.whole("retries").unwrap_or(0) as u32,
            into: fields.text("into"),
        }
    }

    /// The `say` and `play` of a block, and what else stands there.
    pub(super) fn prompts<'n>(&mut self, node: &'n Tree) -> (Vec<Utterance>, Vec<&'n Tree>) {
        let (mut prompts, mut others) = (Vec::new(), Vec::new());
        for child in node.block.iter().flatten() {
            let row = Row::find(STEPS, &child.name).filter(|r| matches!(r.name, "say" | "play"));
            let Some(row) = row else {
                others.push(child);
                continue;
            };
            let fields = Fields::read(row, child, &mut self.findings);
            match row.name {
                "say" => prompts.push(self.say(&fields)),
                _ => prompts.extend(self.play(&fields)),
            }
        }
        (prompts, others)
    }

    fn gather(
        &mut self,
        fields: &Fields,
        row: &'static Row,
        node: &Tree,
        next: Target,
    ) -> (Step, Vec<(Exit, Target)>) {
        let (prompts, others) = self.prompts(node);
        let step = Step::Gather(self.read_gather(fields, prompts));
        let mut exits = vec![(Exit::Next, next)];
        for child in others {
            self.named_exit(row, child, next, &mut exits);
        }
        (step, exits)
    }

    /// The `on` blocks of a queue or dial, before the way that goes on.
    fn exits(&mut self, row: &'static Row, node: &Tree, next: Target) -> Vec<(Exit, Target)> {
        let mut exits = vec![(Exit::Next, next)];
        for child in node.block.iter().flatten() {
            self.named_exit(row, child, next, &mut exits);
        }
        exits
    }

    fn named_exit(
        &mut self,
        row: &'static Row,
        child: &Tree,
        next: Target,
        exits: &mut Vec<(Exit, Target)>,
    ) {
        let Some(name) = self.exit_name(row, child) else {
            return;
        };
        let exit = match name.as_str() {
            "timeout" => Exit::Timeout,
            "invalid" => Exit::Invalid,
            "max-wait" => Exit::MaxWait,
            "full" => Exit::Full,
            "no-agents" => Exit::NoAgents,
            "locked" => Exit::Locked,
            "removed" => Exit::Removed,
            "completed" => Exit::Completed,
            "busy" => Exit::Busy,
            "no-answer" => Exit::NoAnswer,
            "failed" => Exit::Failed,
            keys => Exit::Keys(keys.to_owned()),
        };
        for field in child.fields.iter().skip(1) {
            let message = format!("`on {name}` takes nothing further here");
            self.error(field.at, Code::UnknownAttribute, message, "remove it");
        }
        let target = self.steps(child.block.as_deref().unwrap_or(&[]), next);
        self.add_exit(exits, exit, target, child.at);
    }

    pub(super) fn add_exit(
        &mut self,
        exits: &mut Vec<(Exit, Target)>,
        exit: Exit,
        to: Target,
        at: Span,
    ) {
        if exits.iter().any(|(other, _)| *other == exit) {
            let message = format!("`on {}` stands here twice", exit.name());
            return self.error(at, Code::DuplicateName, message, "remove one");
        }
        exits.push((exit, to));
    }

    /// The name of an `on`, if the row has such an exit; for a menu, keys too.
    pub(super) fn exit_name(&mut self, row: &'static Row, child: &Tree) -> Option<String> {
        if child.name != "on" {
            let message = format!(
                "`{}` has no place in the block of `{}`",
                child.name, row.name
            );
            let fix = match row.name {
                "menu" => {
                    "a menu holds say, play, gather and on; put other steps into an `on` block"
                }
                "gather" | "consent" => "it holds say, play and on; put other steps after it",
                _ => "its block holds `on …` exits; put other steps after it",
            };
            self.error(child.at, Code::Misplaced, message, fix);
            return None;
        }
        if let Some(refused) = child.fields.iter().find_map(|f| f.name.as_deref())
            && let Some((_, what)) = NOT_BUILT.iter().find(|(name, _)| *name == refused)
        {
            let message = format!("`on {refused}=` ({what}) is not built yet");
            self.error(child.at, Code::NotBuilt, message, "remove it");
            return None;
        }
        let names: Vec<&str> = row.exits.iter().map(|e| e.name).collect();
        let Some(name) = super::first_text(child) else {
            let message = "`on` wants the name of an exit".to_owned();
            let fix = match row.name {
                "menu" => "write the key in quotes: on \"1\" { … }".to_owned(),
                _ => format!("write one of: {}", names.join(", ")),
            };
            self.error(child.at, Code::Missing, message, &fix);
            return None;
        };
        let keys = match row.name {
            "menu" => is_keys(name),
            // No menu says what else may come, so that one key must be enough.
            "queue" | "conference" => is_keys(name) && name.len() == 1,
            _ => false,
        };
        if keys || names.contains(&name) {
            return Some(name.to_owned());
        }
        let message = format!("`{}` has no exit `{name}`", row.name);
        let fix = suggest(name, names, "it has no exits");
        self.error(child.at, Code::UnknownExit, message, &fix);
        None
    }

    fn set(&mut self, fields: &Fields, at: Span) -> Step {
        let mut settings = Vec::new();
        for given in fields.every() {
            if !crate::dialplan::fields::is_variable(&given.name) {
                let message = format!("`{}` cannot name a variable", given.name);
                let fix = format!("write `{}`", given.name.replace('-', "_"));
                self.error(given.at, Code::WrongType, message, &fix);
                continue;
            }
            let setting = match &given.read {
                Read::Text(text) => Setting::Text(self.template(text, given.at)),
                Read::Whole(number) => Setting::Number(*number),
                Read::Truth(truth) => Setting::Truth(*truth),
                Read::Cel(text) => match self.expression(text, given.at) {
                    Some((id, _)) => Setting::Cel(id),
                    None => continue,
                },
                Read::Time(_) | Read::Cause(_) => continue,
            };
            settings.push((given.name.clone(), setting));
        }
        if fields.every().is_empty() {
            let message = "`set` sets nothing".to_owned();
            self.error(at, Code::Missing, message, "write set name=\"value\"");
        }
        Step::Set(settings)
    }

    fn branch(
        &mut self,
        fields: &Fields,
        node: &Tree,
        otherwise: Option<&Tree>,
        next: Target,
    ) -> (Step, Vec<(Exit, Target)>) {
        self.expect_block(node);
        let mut condition = 0;
        if let Some(given) = fields.given("condition") {
            let text = fields.text("condition").unwrap_or_default();
            match self.expression(&text, given.at) {
                Some((id, Type::Truth | Type::Any)) => condition = id,
                Some((_, kind)) => {
                    let kind = if kind == Type::Text { "text" } else { "number" };
                    let message = format!("a condition is true or false; this is a {kind}");
                    let fix = format!("compare it: {text} == …");
                    self.error(given.at, Code::BadCondition, message, &fix);
                }
                None => {}
            }
        }
        let then = self.steps(node.block.as_deref().unwrap_or(&[]), next);
        let other = match otherwise {
            Some(other) => {
                self.expect_block(other);
                if let Some(field) = other.fields.first() {
                    let message = "`else` takes no condition".to_owned();
                    self.error(
                        field.at,
                        Code::UnknownAttribute,
                        message,
                        "nest an `if` within it",
                    );
                }
                self.steps(other.block.as_deref().unwrap_or(&[]), next)
            }
            None => next,
        };
        let exits = vec![(Exit::Then, then), (Exit::Else, other)];
        (Step::If(condition), exits)
    }

    fn goto(&mut self, fields: &Fields, id: NodeId) -> (Step, Vec<(Exit, Target)>) {
        if let Some(given) = fields.given("flow") {
            let name = fields.text("flow").unwrap_or_default();
            if let Some(flow) = self.expect_flow(&name, given.at) {
                self.jumps.push((id, flow));
            }
        }
        (Step::Goto, vec![(Exit::Goto, None)])
    }

    fn queue(
        &mut self,
        fields: &Fields,
        row: &'static Row,
        node: &Tree,
        next: Target,
    ) -> (Step, Vec<(Exit, Target)>) {
        let queue = fields.text("queue").unwrap_or_default();
        if let Some(given) = fields.given("queue") {
            let known = self.plan.queues.iter().any(|q| q.name == queue);
            if !known && !self.facts.queues_elsewhere.contains_key(&queue) {
                let names = self.plan.queues.iter().map(|q| q.name.as_str());
                let fix = suggest(&queue, names, &format!("declare it: queue \"{queue}\""));
                let message = format!("there is no queue `{queue}`");
                self.findings
                    .report(given.at, Code::UnknownQueue, message, fix);
            }
        }
        let step = Step::Queue {
            queue,
            priority: fields.whole("priority").unwrap_or(0) as i32,
            max_wait: fields.time("max-wait"),
        };
        (step, self.exits(row, node, next))
    }

    fn dial(&mut self, fields: &Fields, node: &Tree, blind: bool) -> DialStep {
        let trunk = fields.text("trunk");
        if let (Some(name), Some(given)) = (&trunk, fields.given("trunk")) {
            self.expect_trunk(name, given.at);
        }
        let mut to = Vec::new();
        for given in fields.all("to") {
            if let Read::Text(text) = &given.read {
                to.push(self.callee(text, given.at, trunk.clone()));
            }
        }
        if let Some(given) = fields.given("endpoint") {
            let text = fields.text("endpoint").unwrap_or_default();
            if !to.is_empty() {
                let message = "`endpoint=` stands instead of whom to ring".to_owned();
                self.error(
                    given.at,
                    Code::UnknownAttribute,
                    message,
                    "write one of both",
                );
            }
            to.push(self.endpoint(&text, given.at));
        }
        if node
            .fields
            .iter()
            .all(|f| f.name.as_deref().is_some_and(|name| name != "endpoint"))
        {
            let message = format!("`{}` rings nobody", node.name);
            let fix = format!("write {} \"alice\", or endpoint=\"{{to}}\"", node.name);
            self.error(node.at, Code::Missing, message, &fix);
        }
        let caller_id = fields.given("caller-id").map(|given| given.at);
        let caller_id =
            caller_id.map(|at| self.template(&fields.text("caller-id").unwrap_or_default(), at));
        DialStep {
            to,
            timeout: fields.time("timeout").unwrap_or_default(),
            caller_id,
            blind,
        }
    }
}
