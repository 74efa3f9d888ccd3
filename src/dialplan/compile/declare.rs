//! Queues and opening hours, which no step contains.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{Code, Compiler, Fields, Read, Row, Space, Span, Tree};
use crate::dialplan::diagnostic::suggest;
use crate::dialplan::hours::{self, Hours};
use crate::dialplan::plan::QueueSpec;
use crate::dialplan::table::{HOURS, QUEUE, TOP};
use crate::explain::nearest;

impl Compiler<'_> {
    pub(super) fn declare_queue(&mut self, node: &Tree) {
        let Some(row) = Row::find(TOP, "queue") else {
            return;
        };
        let fields = Fields::read(row, node, &mut self.findings);
        let Some(name) = fields.text("name") else {
            return;
        };
        if let Some(elsewhere) = self.facts.queues_elsewhere.get(&name) {
            let message = format!("the queue `{name}` is declared here and in {elsewhere}");
            self.error(node.at, Code::DuplicateName, message, "remove one of them");
        }
        if !self.declare_name(Space::Queue, &name, node.at) {
            return;
        }
        let mut spec = QueueSpec {
            name,
            agents: Vec::new(),
            ring_timeout: fields.time("ring-timeout").unwrap_or_default(),
            wrap_up: fields.time("wrap-up").unwrap_or_default(),
            max_wait: fields.time("max-wait"),
            max_len: fields.whole("max-len").unwrap_or_default() as usize,
            leave_without_agents: fields.text("without-agents").as_deref() == Some("leave"),
            music: fields.text("music").unwrap_or_default(),
            announce: None,
        };
        for line in self.lines(node, QUEUE) {
            match line.0 {
                "agents" => {
                    for agent in line.1.every() {
                        match &agent.read {
                            Read::Text(name) if name == "*" => {
                                spec.agents
                                    .extend(self.facts.agents.iter().flatten().cloned());
                            }
                            Read::Text(name) => {
                                self.expect_agent(name, agent.at);
                                spec.agents.push(name.clone());
                            }
                            _ => {}
                        }
                    }
                }
                _ if line.1.truth("position") => spec.announce = line.1.time("every"),
                _ => {}
            }
        }
        self.plan.queues.push(spec);
    }

    fn expect_agent(&mut self, name: &str, at: Span) {
        let Some(agents) = &self.facts.agents else {
            return;
        };
        if !agents.contains(name) {
            let names = agents.iter().map(String::as_str);
            let fix = suggest(name, names, "add the agent to the configuration");
            self.error(
                at,
                Code::UnknownAgent,
                format!("there is no agent `{name}`"),
                &fix,
            );
        }
    }

    pub(super) fn declare_hours(&mut self, node: &Tree) {
        let Some(row) = Row::find(TOP, "hours") else {
            return;
        };
        let fields = Fields::read(row, node, &mut self.findings);
        let Some(name) = fields.text("name") else {
            return;
        };
        if !self.declare_name(Space::Hours, &name, node.at) {
            return;
        }
        let mut hours = Hours::new(self.zone(&fields));
        for (verb, line, at) in self.lines(node, HOURS) {
            match verb {
                "open" => self.add_open(&mut hours, &line, at),
                _ => self.add_closed(&mut hours, &line),
            }
        }
        self.hours.insert(name.clone());
        self.plan.hours.insert(name, hours);
    }

    pub(super) fn zone(&mut self, fields: &Fields) -> TimeZone {
        let name = fields.text("tz").unwrap_or_default();
        match TimeZone::get(&name) {
            Ok(zone) => zone,
            Err(_) => {
                let at = fields.given("tz").map(|given| given.at).unwrap_or_default();
                let message = format!("there is no time zone `{name}`");
                let zones = jiff::tz::db().available();
                let names: Vec<String> = zones.map(|zone| zone.as_str().to_owned()).collect();
                let near = nearest(&name, names.iter().map(String::as_str));
                let fix = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "write a name such as \"Europe/Dublin\"".to_owned(),
                };
                self.error(at, Code::WrongType, message, &fix);
                TimeZone::UTC
            }
        }
    }

    fn add_open(&mut self, hours: &mut Hours, line: &Fields, at: Span) {
        let mut ranges = Vec::new();
        for given in line.all("range") {
            let Read::Text(text) = &given.read else {
                continue;
            };
            match hours::parse_range(text) {
                Some(range) => ranges.push(range),
                None => {
                    let message = format!("`{text}` is no range of hours");
                    self.error(given.at, Code::WrongType, message, "write \"09:00-17:00\"");
                }
            }
        }
        let Some(days) = line.text("days") else {
            return;
        };
        let date = days.parse::<Date>().ok();
        let weekdays = match date {
            Some(_) => Some(Vec::new()),
            None => hours::parse_days(&days),
        };
        let Some(weekdays) = weekdays else {
            let message = format!("`{days}` names neither days nor a date");
            let fix = "write \"mon-fri\", \"sat,sun\", \"daily\" or \"2026-12-24\"";
            return self.error(at, Code::WrongType, message, fix);
        };
        let mut overlapping = false;
        for range in ranges {
            for day in &weekdays {
                overlapping |= hours.clashes_weekly(*day, range);
                hours
                    .weekly
                    .get_mut(*day)
                    .into_iter()
                    .for_each(|r| r.push(range));
            }
            if let Some(date) = date {
                overlapping |= hours.clashes_date(date, range);
                hours.dates.entry(date).or_default().push(range);
            }
        }
        if overlapping {
            let message =
                "these hours overlap others of the same day, or of the night before or after"
                    .to_owned();
            self.error(
                at,
                Code::OverlappingHours,
                message,
                "join or remove one of them",
            );
        }
    }

    fn add_closed(&mut self, hours: &mut Hours, line: &Fields) {
        for given in line.all("date") {
            let Read::Text(text) = &given.read else {
                continue;
            };
            match text.parse::<Date>() {
                Ok(date) if hours.dates.contains_key(&date) => {
                    let message = format!("{date} has hours already");
                    self.error(
                        given.at,
                        Code::OverlappingHours,
                        message,
                        "remove one of them",
                    );
                }
                Ok(date) => _ = hours.dates.insert(date, Vec::new()),
                Err(_) => {
                    let message = format!("`{text}` is no date");
                    self.error(given.at, Code::WrongType, message, "write \"2026-12-25\"");
                }
            }
        }
    }
}
