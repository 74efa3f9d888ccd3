//! From `test` blocks to scenarios.

use std::time::Duration;

use super::{Compiler, Fields, Read, Row, Span, Tree};
use crate::call::RecordAsk;
use crate::conference::Away;
use crate::dialplan::condition::Value;
use crate::dialplan::diagnostic::Code;
use crate::dialplan::run::LeftWhy;
use crate::dialplan::scenario::{Act, AgentDoes, CalleeDoes, Line, Scenario, Start};
use crate::dialplan::table::TESTS;

impl Compiler<'_> {
    pub(super) fn test(&mut self, row: &'static Row, node: &Tree) {
        let fields = Fields::read(row, node, &mut self.findings);
        let name = fields.text("name").unwrap_or_default();
        let mut lines = self.lines(node, TESTS).into_iter().peekable();
        let start = lines.next_if(|(verb, ..)| *verb == "call");
        let Some((_, call, _)) = start else {
            let message = format!("the test `{name}` does not begin with a call");
            let fix = "begin it with: call from=\"+15550100\"";
            return self.error(node.at, Code::Missing, message, fix);
        };
        let start = self.start(&call);
        let mut acts = Vec::new();
        for (verb, fields, at) in lines {
            if verb == "call" {
                let message = "a test has one call".to_owned();
                self.error(at, Code::Misplaced, message, "begin another test");
            } else if let Some(act) = self.act(verb, &fields) {
                acts.push(Line { act, at });
            }
        }
        self.plan.scenarios.push(Scenario {
            name,
            at: node.at,
            start,
            lines: acts,
        });
    }

    fn start(&mut self, fields: &Fields) -> Start {
        let mut start = Start {
            from: fields.text("from").unwrap_or_default(),
            to: fields.text("to"),
            trunk: fields.text("trunk").unwrap_or_default(),
            endpoint: fields.text("endpoint"),
            ..Start::default()
        };
        if let (Some(text), Some(given)) = (fields.text("at"), fields.given("at")) {
            match text.parse() {
                Ok(at) => start.at = at,
                Err(_) => {
                    let message = format!("`{text}` is no point in time");
                    let fix = "write at=\"2026-11-20T10:00:00Z\"";
                    self.error(given.at, Code::WrongType, message, fix);
                }
            }
        }
        start
    }

    fn act(&mut self, verb: &str, fields: &Fields) -> Option<Act> {
        let text = |name: &str| fields.text(name).unwrap_or_default();
        Some(match verb {
            "press" => Act::Press(text("keys")),
            "wait" => Act::Wait(fields_time(fields)),
            "agent" => Act::Agent(match text("does").as_str() {
                "answers" => AgentDoes::Answers,
                "declines" => AgentDoes::Declines,
                _ => AgentDoes::HangsUp,
            }),
            "queue" => Act::QueueIs(match text("is").as_str() {
                "full" => LeftWhy::Full,
                _ => LeftWhy::NoAgents,
            }),
            "conference" => Act::ConferenceIs(match text("is").as_str() {
                "full" => Away::Full,
                "locked" => Away::Locked,
                _ => Away::Removed,
            }),
            "callee" => Act::Callee(match text("does").as_str() {
                "answers" => CalleeDoes::Answers,
                "busy" => CalleeDoes::Busy,
                "no-answer" => CalleeDoes::NoAnswer,
                "failed" => CalleeDoes::Failed,
                _ => CalleeDoes::HangsUp,
            }),
            "hangup" => Act::Hangup,
            "expect-say" => Act::ExpectSay(text("text")),
            "expect-play" => Act::ExpectPlay(text("file")),
            "expect-queue" => {
                let queue = text("queue");
                self.expect_declared_queue(&queue, fields.given("queue")?.at);
                let priority = fields.whole("priority").map(|p| p as i32);
                Act::ExpectQueue { queue, priority }
            }
            "expect-conference" => Act::ExpectConference(text("name")),
            "expect-dial" => Act::ExpectDial(text("to")),
            "expect-record" => {
                Act::ExpectRecord(RecordAsk::from_name(&text("what")).unwrap_or(RecordAsk::Start))
            }
            "expect-set" => Act::ExpectSet(self.expected_values(fields)),
            _ => Act::ExpectHangup(fields.cause("cause")),
        })
    }

    fn expect_declared_queue(&mut self, queue: &str, at: Span) {
        let known = self.plan.queues.iter().any(|q| q.name == queue);
        if !known && !self.facts.queues_elsewhere.contains_key(queue) {
            let names = self.plan.queues.iter().map(|q| q.name.as_str());
            let fix = super::suggest(queue, names, "");
            let message = format!("there is no queue `{queue}`");
            self.findings.report(at, Code::UnknownQueue, message, fix);
        }
    }

    fn expected_values(&mut self, fields: &Fields) -> Vec<(String, Value)> {
        let mut values = Vec::new();
        for given in fields.every() {
            if !self.plan.variables.contains_key(&given.name) {
                let names = self.plan.variables.keys().map(String::as_str);
                let fix = super::suggest(&given.name, names, "no step sets it");
                let message = format!("there is no variable `{}`", given.name);
                self.findings
                    .report(given.at, Code::UnknownVariable, message, fix);
                continue;
            }
            let value = match &given.read {
                Read::Text(text) => Value::Text(text.clone()),
                Read::Whole(number) => Value::Number(*number),
                Read::Truth(truth) => Value::Truth(*truth),
                _ => continue,
            };
            values.push((given.name.clone(), value));
        }
        values
    }
}

fn fields_time(fields: &Fields) -> Duration {
    match fields.given("time").map(|given| &given.read) {
        Some(Read::Time(time)) => *time,
        _ => Duration::ZERO,
    }
}
