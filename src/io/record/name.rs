//! Names of recordings: a template of the configuration, filled with facts that a caller may have chosen.

use std::path::{Component, Path, PathBuf};

/// What a template may speak of.
#[derive(Clone, Copy, Debug)]
pub struct RecordingFacts<'a> {
    /// The call's id; makes the name unique.
    pub call: &'a str,
    /// The caller's number, as presented: hostile.
    pub from: &'a str,
    /// The number called: hostile.
    pub to: &'a str,
    /// The queue, or nothing.
    pub queue: &'a str,
    /// When the recording began, in the time zone of the configuration.
    pub at: jiff::civil::DateTime,
}

/// Why a template is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It leads out of the folder, or is empty.
    #[error("recording name {0:?}: want a relative path, without `..`")]
    Path(String),
    /// It speaks of something unknown.
    #[error("recording name: `{{{0}}}` is unknown; there are: {list}", list = PLACEHOLDERS.join(", "))]
    Placeholder(String),
    /// It would give every recording the same name.
    #[error("recording name {0:?}: want `{{call}}` in it, or recordings would share a name")]
    NotUnique(String),
}

/// A checked template, for example `{year}/{month}/{day}/{call}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Placeholder(&'static str),
}

impl Template {
    /// Checks a template.
    ///
    /// # Errors
    /// [`TemplateError`] names what is wrong.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, tail) = after
                .split_once('}')
                .ok_or_else(|| TemplateError::Placeholder(after.to_owned()))?;
            let known = PLACEHOLDERS.into_iter().find(|known| *known == name);
            let known = known.ok_or_else(|| TemplateError::Placeholder(name.to_owned()))?;
            parts.extend([Part::Text(before.to_owned()), Part::Placeholder(known)]);
            rest = tail;
        }
        parts.push(Part::Text(rest.to_owned()));
        if check(Path::new(text)).is_err() {
            return Err(TemplateError::Path(text.to_owned()));
        }
        if !parts.contains(&Part::Placeholder("call")) {
            return Err(TemplateError::NotUnique(text.to_owned()));
        }
        Ok(Self(parts))
    }

    /// The file of a recording, below the folder. Facts can neither add nor leave a folder.
    pub fn path(&self, facts: &RecordingFacts<'_>) -> PathBuf {
        let at = facts.at;
        let mut path = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => path.push_str(text),
                Part::Placeholder("call") => path.push_str(&plain(facts.call)),
                Part::Placeholder("from") => path.push_str(&plain(facts.from)),
                Part::Placeholder("to") => path.push_str(&plain(facts.to)),
                Part::Placeholder("queue") => path.push_str(&plain(facts.queue)),
                Part::Placeholder("year") => path.push_str(&format!("{:04}", at.year())),
                Part::Placeholder("month") => path.push_str(&format!("{:02}", at.month())),
                Part::Placeholder("day") => path.push_str(&format!("{:02}", at.day())),
                Part::Placeholder("time") => {
                    let time = format!("{:02}{:02}{:02}", at.hour(), at.minute(), at.second());
                    path.push_str(&time);
                }
                Part::Placeholder(_) => {}
            }
        }
        if !path.ends_with(".wav") {
            path.push_str(".wav");
        }
        PathBuf::from(path)
    }
}

impl Default for Template {
    /// `{year}/{month}/{day}/{call}`.
    fn default() -> Self {
        let [year, month, day, call] = ["year", "month", "day", "call"].map(Part::Placeholder);
        let slash = || Part::Text("/".to_owned());
        Self(vec![year, slash(), month, slash(), day, slash(), call])
    }
}

/// Refuses a path that could lead out of its folder.
pub(super) fn check(path: &Path) -> Result<(), TemplateError> {
    let plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let text = path.to_string_lossy();
    if text.is_empty() || text.starts_with('.') || !plain || text.contains('\0') {
        return Err(TemplateError::Path(text.into_owned()));
    }
    Ok(())
}

/// Letters, digits and a few signs; anything else becomes `_`, and too much is cut off.
fn plain(fact: &str) -> String {
    let keep = |c: char| {
        if c.is_ascii_alphanumeric() || "+-_".contains(c) {
            c
        } else {
            '_'
        }
    };
    let kept: String = fact.chars().take(FACT_MAX).map(keep).collect();
    if kept.is_empty() {
        "none".to_owned()
    } else {
        kept
    }
}

const PLACEHOLDERS: [&str; 8] = [
    "call", "from", "to", "queue", "year", "month", "day", "time",
];
const FACT_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{RecordingFacts, Template, TemplateError};

    const FACTS: RecordingFacts<'_> = RecordingFacts {
        call: "c-7",
        from: "../../etc/passwd",
        to: "+49 30/123",
        queue: "",
        at: jiff::civil::DateTime::constant(2026, 3, 9, 8, 5, 1, 0),
    };

    #[test]
    fn a_hostile_number_stays_inside_its_part_of_the_name() {
        let template = Template::parse("{year}-{month}/{queue}/{from}-{to}-{call}").unwrap();
        let path = template.path(&FACTS);
        assert_eq!(
            path,
            Path::new("2026-03/none/______etc_passwd-+49_30_123-c-7.wav")
        );
        assert_eq!(
            Template::default().path(&FACTS),
            Path::new("2026/03/09/c-7.wav")
        );
        let timed = Template::parse("{day}{time}{call}.wav")
            .unwrap()
            .path(&FACTS);
        assert_eq!(timed, Path::new("09080501c-7.wav"));
    }

    #[test]
    fn a_template_that_leads_out_or_says_nothing_is_refused() {
        let refused = |text: &str| Template::parse(text).unwrap_err();
        for text in ["", "/{call}", "../{call}", "a/../{call}", ".hidden/{call}"] {
            assert!(matches!(refused(text), TemplateError::Path(_)), "{text:?}");
        }
        assert!(matches!(refused("{caller}"), TemplateError::Placeholder(_)));
        assert!(matches!(refused("{call"), TemplateError::Placeholder(_)));
        assert!(matches!(refused("{day}"), TemplateError::NotUnique(_)));
    }
}
