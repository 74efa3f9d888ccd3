//! A call that no entry takes: the nearest miss, and the edit that would make it a hit.

use std::path::PathBuf;

use super::plan::{Called, Entry, Plan};
use crate::explain::{Explanation, edits, printable};
use crate::trunk::{Numbers, SendForm};

/// No entry takes the number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoEntry {
    called: String,
    near: Near,
    /// The files that were looked into, at most eight.
    files: Vec<PathBuf>,
    entries: usize,
}

/// Who called, as far as an entry could depend on it.
#[derive(Clone, Copy, Debug)]
pub struct CalledBy<'a> {
    /// The trunk that the call came by, with its number rules; `None` for an endpoint of ours.
    pub trunk: Option<(&'a str, Numbers)>,
}

/// What comes closest, in the order in which it is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Near {
    /// There is no entry at all.
    NoEntries,
    /// The trunk's numbers, read in this country, are the entry's: tried, not guessed.
    Country {
        trunk: String,
        country: String,
        reads_as: String,
        entry: Place,
    },
    /// The same number in another form.
    Form(Place),
    /// The entry is the beginning of the number, but takes that beginning alone.
    Beginning(Place),
    /// The entry takes calls of endpoints only, and a trunk calls.
    EndpointsOnly(Place),
    /// A slip of the finger away.
    Slip(Place),
    /// Nothing is near.
    Nothing,
}

/// An entry and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    entry: String,
    line: String,
}

impl NoEntry {
    /// A name that never changes.
    pub const fn id(&self) -> &'static str {
        match self.near {
            Near::NoEntries => "no-dialplan",
            Near::Country { .. } => "no-entry-country",
            Near::Form(_) => "no-entry-number-form",
            Near::Beginning(_) => "no-entry-beginning",
            Near::EndpointsOnly(_) => "no-entry-endpoints-only",
            Near::Slip(_) => "no-entry-nearest",
            Near::Nothing => "no-entry",
        }
    }

    /// What was expected, what was found, and the fix.
    pub fn explanation(&self) -> Explanation {
        let called = printable(&self.called);
        let at = |place: &Place| format!("entry {} ({})", place.entry, place.line);
        let fix = match &self.near {
            Near::NoEntries => match self.files.is_empty() {
                true => {
                    "put a .kdl file into the `dialplans` folder, or correct its path".to_owned()
                }
                false => format!("add `entry did=\"{called}\" flow=…` to a file of the dialplan"),
            },
            Near::Country {
                trunk,
                country,
                reads_as,
                entry,
            } => format!(
                "set country = \"{country}\" in trunks.{trunk}.normalize: it is read as {reads_as} \
                 then, which {} takes",
                at(entry)
            ),
            Near::Form(place) => format!(
                "write {} as did=\"{called}\": numbers are compared as they come",
                at(place)
            ),
            Near::Beginning(place) => {
                format!(
                    "{} takes this number alone: write pattern=\"…*\"",
                    at(place)
                )
            }
            Near::EndpointsOnly(place) => format!(
                "{} takes calls of endpoints only: add `entry did=\"{called}\" flow=…` for trunks",
                at(place)
            ),
            Near::Slip(place) => format!(
                "{} is nearest: add `entry did=\"{called}\" flow=…`, or call that one",
                at(place)
            ),
            Near::Nothing => {
                format!("add `entry did=\"{called}\" flow=…`, or pattern=\"*\" for all")
            }
        };
        let files: Vec<String> = self
            .files
            .iter()
            .map(|it| it.display().to_string())
            .collect();
        let among = match self.entries {
            0 => "no entry".to_owned(),
            1 => format!("1 entry in {}", files.join(", ")),
            many => format!("{many} entries in {}", files.join(", ")),
        };
        Explanation {
            id: self.id(),
            expected: format!("an entry for \"{called}\""),
            found: among,
            fix,
        }
    }
}

impl Plan {
    /// Why no entry takes `called`, when [`Plan::entry`] found none.
    pub fn no_entry(&self, called: &str, by: CalledBy<'_>) -> NoEntry {
        NoEntry {
            called: called.to_owned(),
            near: self.near(called, by),
            files: self.files().take(8).cloned().collect(),
            entries: self.entries(),
        }
    }

    fn near(&self, called: &str, by: CalledBy<'_>) -> Near {
        if self.entries.is_empty() {
            return Near::NoEntries;
        }
        let country = by.trunk.and_then(|it| self.country(called, it));
        country
            .or_else(|| Some(Near::Form(self.first(|entry| same_number(entry, called))?)))
            .or_else(|| Some(Near::Beginning(self.first(|entry| begins(entry, called))?)))
            .or_else(|| {
                let any = |entry: &Entry| matches!(entry.called, Called::AnyEndpoint);
                let place = by.trunk.and_then(|_| self.first(any))?;
                Some(Near::EndpointsOnly(place))
            })
            .or_else(|| Some(Near::Slip(self.slip(called)?)))
            .unwrap_or(Near::Nothing)
    }

    /// The country in which the trunk's number would be an entry's.
    fn country(&self, called: &str, (trunk, numbers): (&str, Numbers)) -> Option<Near> {
        let mut tried = Vec::new();
        for entry in &self.entries {
            let (Called::Exact(number) | Called::Prefix(number)) = &entry.called else {
                continue;
            };
            let Some(country) = Numbers::country_of(number) else {
                continue;
            };
            if tried.contains(&country) || numbers.country() == Some(country.as_str()) {
                continue;
            }
            let reads_as = Numbers::of(&country, SendForm::E164)?.received(called);
            if reads_as != called
                && let Some(hit) = self.entry(&reads_as)
            {
                let entry = self.entries.get(hit.0 as usize)?;
                return Some(Near::Country {
                    trunk: trunk.to_owned(),
                    country,
                    reads_as,
                    entry: self.place_of(entry),
                });
            }
            tried.push(country);
            if tried.len() >= COUNTRIES_MAX {
                break;
            }
        }
        None
    }

    fn first(&self, wanted: impl Fn(&Entry) -> bool) -> Option<Place> {
        let found = self.entries.iter().find(|entry| wanted(entry))?;
        Some(self.place_of(found))
    }

    fn slip(&self, called: &str) -> Option<Place> {
        let most = (called.chars().count() / 3).clamp(1, 2);
        let near = |entry: &&Entry| match &entry.called {
            Called::Exact(number) => edits(number, called) <= most,
            _ => false,
        };
        let found = self.entries.iter().take(ENTRIES_COMPARED_MAX).find(near)?;
        Some(self.place_of(found))
    }

    fn place_of(&self, entry: &Entry) -> Place {
        let source = self.sources.get(usize::from(entry.at.file));
        let line = source.map(|it| format!("{}:{}", it.path.display(), it.place(entry.at.start).0));
        Place {
            entry: entry.called.shown(),
            line: line.unwrap_or_default(),
        }
    }

    /// The entry as it is written, with its flow, file and line.
    pub fn entry_shown(&self, id: super::EntryId) -> Option<String> {
        let entry = self.entries.get(id.0 as usize)?;
        let flow = self.flows.get(entry.flow as usize)?;
        let place = self.place_of(entry);
        Some(format!(
            "{} → flow \"{}\" ({})",
            place.entry, flow.name, place.line
        ))
    }

    /// The other entries that the number could have led to, and why they were not taken. At most eight.
    pub fn rivals(&self, taken: super::EntryId, called: &str) -> Vec<String> {
        let rivals = self.entries.iter().enumerate();
        let rivals = rivals.filter(|(index, _)| *index != taken.0 as usize);
        let why = |(_, entry): (usize, &Entry)| {
            let why = match &entry.called {
                Called::Prefix(start) if called.starts_with(start.as_str()) => {
                    "takes it too, but is less exact"
                }
                Called::Exact(number) if edits(number, called) <= 2 => "is another number",
                Called::AnyEndpoint => "takes calls of endpoints",
                _ => return None,
            };
            let place = self.place_of(entry);
            Some(format!("{} ({}) {why}", place.entry, place.line))
        };
        rivals.filter_map(why).take(8).collect()
    }
}

impl Called {
    /// As it is written in a file.
    fn shown(&self) -> String {
        match self {
            Self::Exact(number) => format!("did=\"{number}\""),
            Self::Prefix(start) => format!("pattern=\"{start}*\""),
            Self::Endpoint(name) => format!("endpoint=\"{name}\""),
            Self::AnyEndpoint => "endpoint=\"*\"".to_owned(),
        }
    }
}

/// Whether both end in the same digits, and one has nothing else but a country code or a zero before.
fn same_number(entry: &Entry, called: &str) -> bool {
    let Called::Exact(number) = &entry.called else {
        return false;
    };
    let significant = |text: &str| -> String {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        digits.trim_start_matches('0').to_owned()
    };
    let (a, b) = (significant(number), significant(called));
    let (long, short) = if a.len() >= b.len() { (a, b) } else { (b, a) };
    short.len() >= SAME_DIGITS_MIN && long.len() - short.len() <= 3 && long.ends_with(&short)
}

fn begins(entry: &Entry, called: &str) -> bool {
    matches!(&entry.called, Called::Exact(number) if number.len() >= 2 && called.starts_with(number.as_str()))
}

/// Shorter endings are alike by chance.
const SAME_DIGITS_MIN: usize = 6;
/// Countries tried for one refused call.
const COUNTRIES_MAX: usize = 8;
/// Entries compared letter by letter for one refused call.
const ENTRIES_COMPARED_MAX: usize = 500;
