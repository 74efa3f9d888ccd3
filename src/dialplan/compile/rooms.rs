//! The step `conference`.

use super::{Code, Compiler, Fields, Read};
use crate::call::Prompt;
use crate::conference::{Terms, check_name};
use crate::dialplan::diagnostic::suggest;
use crate::dialplan::plan::{ConferenceStep, Piece, Step};

impl Compiler<'_> {
    pub(super) fn conference(&mut self, fields: &Fields) -> Step {
        let text = fields.text("name").unwrap_or_default();
        let at = fields.given("name").map(|given| given.at);
        let name = self.template(&text, at.unwrap_or_default());
        let plain = match &name.0[..] {
            [] => Some(""),
            [Piece::Text(text)] => Some(text.as_str()),
            // What it will be is known when a call comes.
            _ => None,
        };
        if let (Some(at), Some(Err(want))) = (at, plain.map(check_name)) {
            let message = format!("`{text}` cannot be the name of a conference");
            self.error(at, Code::WrongType, message, &format!("want {want}"));
        }
        let terms = Terms {
            muted: fields.truth("muted"),
            moderator: fields.truth("moderator"),
            waits: fields.truth("wait-for-moderator"),
            members_max: fields.whole("max").unwrap_or(100) as usize,
            record: fields.truth("record"),
            on_enter: self.room_sound(fields, "enter-sound"),
            on_leave: self.room_sound(fields, "leave-sound"),
        };
        Step::Conference(Box::new(ConferenceStep { name, terms }))
    }

    /// `beep`, or a prompt file.
    fn room_sound(&mut self, fields: &Fields, name: &str) -> Option<Prompt> {
        let given = fields.given(name)?;
        let Read::Text(file) = &given.read else {
            return None;
        };
        if file == "beep" {
            return Some(Prompt::Tone(file.clone()));
        }
        if let Some(prompts) = &self.facts.prompts
            && !prompts.contains(file)
        {
            let names = prompts.iter().map(String::as_str).chain(["beep"]);
            let fix = suggest(file, names, "put the file into the prompts folder");
            let message = format!("there is no prompt file `{file}`");
            self.findings
                .report(given.at, Code::MissingPrompt, message, fix);
        }
        Some(Prompt::File(file.clone()))
    }
}
