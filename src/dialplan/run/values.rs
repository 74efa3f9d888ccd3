//! Texts filled in, variables set, expressions evaluated.

use clock::Now;

use super::{Prompt, Run, VALUE_MAX};
use crate::dialplan::condition::{Scope, Value, zero};
use crate::dialplan::plan::{Piece, Setting, Template, Utter, Utterance};
use crate::dialplan::trouble::Trouble;

impl Run {
    pub(super) fn prompt(&self, utterance: &Utterance) -> Prompt {
        match &utterance.what {
            Utter::File(name) => Prompt::File(name.clone()),
            Utter::Speech { text, voice, lang } => Prompt::Speech {
                text: self.render(text),
                voice: voice.clone(),
                lang: lang.clone(),
            },
        }
    }

    pub(super) fn render(&self, template: &Template) -> String {
        let mut text = String::new();
        for piece in &template.0 {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::From => text.push_str(&self.facts.from),
                Piece::To => text.push_str(&self.facts.to),
                Piece::Trunk => text.push_str(self.facts.trunk.as_deref().unwrap_or("")),
                Piece::Digits => text.push_str(&self.digits),
                Piece::Variable(name) => match self.variables.get(name) {
                    Some(value) => text.push_str(&value.to_string()),
                    None => text.push_str(&self.unset(name)),
                },
            }
        }
        text.chars().take(VALUE_MAX).collect()
    }

    fn unset(&self, name: &str) -> String {
        let kind = self.plan.variables.get(name);
        kind.map_or(String::new(), |kind| zero(*kind).to_string())
    }

    pub(super) fn set(&mut self, now: Now, settings: &[(String, Setting)]) {
        for (name, setting) in settings {
            let value = match setting {
                Setting::Text(text) => Some(Value::Text(self.render(text))),
                Setting::Number(number) => Some(Value::Number(*number)),
                Setting::Truth(truth) => Some(Value::Truth(*truth)),
                Setting::Cel(id) => self.evaluate(now, *id),
            };
            if let Some(value) = value {
                self.variables.insert(name.clone(), value);
                if self.masked {
                    self.hidden.insert(name.clone());
                } else {
                    self.hidden.remove(name);
                }
            }
        }
    }

    /// The variables that are set, for whoever is to take the call; without those set while keys were masked.
    pub fn attributes(&self) -> impl Iterator<Item = (String, String)> {
        let shown = self.variables.iter();
        let shown = shown.filter(|(name, _)| !self.hidden.contains(*name));
        shown.map(|(name, value)| (name.clone(), value.to_string()))
    }

    /// The value of an expression; one that fails is told as trouble and is none.
    pub(super) fn evaluate(&mut self, now: Now, id: u32) -> Option<Value> {
        let condition = self.plan.conditions.get(id as usize)?;
        let elapsed = jiff::SignedDuration::try_from(now.since(self.started)).unwrap_or_default();
        let at = self.facts.at.checked_add(elapsed).unwrap_or(self.facts.at);
        let utc = jiff::tz::TimeZone::UTC;
        let zone = self
            .plan
            .entries
            .get(self.entry.0 as usize)
            .map(|e| &e.zone);
        let scope = Scope {
            from: &self.facts.from,
            to: &self.facts.to,
            trunk: self.facts.trunk.as_deref().unwrap_or(""),
            digits: &self.digits,
            variables: &self.variables,
            types: &self.plan.variables,
            hours: &self.plan.hours,
            at,
            zone: zone.unwrap_or(&utc),
        };
        match condition.evaluate(&scope) {
            Ok(value) => Some(value),
            Err(why) => {
                self.trouble(Trouble::Condition(why));
                None
            }
        }
    }
}
