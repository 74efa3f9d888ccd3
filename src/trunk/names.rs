//! What DNS has said: a bounded cache that never waits.
//!
//! The law: pure. [`NameCache::look`] answers at once from what is known and notes what should be asked;
//! whoever owns the cache takes the questions ([`NameCache::poll_question`]), has them answered outside
//! and brings what came ([`NameCache::answered`]). An answer is good for its TTL within [`TTL_MIN`] and
//! [`TTL_MAX`]; one that is older is still given while DNS does not answer, and asked for again. That
//! there is nothing is remembered too (RFC 2308), for at most [`TTL_NOTHING_MAX`].

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use clock::{Duration, Now};

/// One question to DNS. Names are in lower case, without the final dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Question {
    /// Which services a domain offers (RFC 3403).
    Naptr(Arc<str>),
    /// Which hosts offer a service (RFC 2782).
    Srv(Arc<str>),
    /// A host's addresses, A and AAAA.
    Addresses(Arc<str>),
}

/// What there is under a name, in the order in which it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Records {
    /// Services.
    Naptr(Vec<Naptr>),
    /// Hosts of a service.
    Srv(Vec<Srv>),
    /// Addresses.
    Addresses(Vec<IpAddr>),
}

/// One NAPTR record, as far as RFC 3263 uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naptr {
    /// Lower first; others are not looked at.
    pub order: u16,
    /// Lower first among those of one order.
    pub preference: u16,
    /// `s` where the replacement is the name of SRV records.
    pub flags: String,
    /// `SIP+D2U`, `SIP+D2T`, `SIPS+D2T` …
    pub service: String,
    /// Where to go on.
    pub replacement: Arc<str>,
}

/// One SRV record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    /// Lower first.
    pub priority: u16,
    /// The share among those of one priority.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host; empty (a dot in DNS) says that the service is not offered.
    pub target: Arc<str>,
}

/// What became of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Records, and for how long they hold.
    Records(Records, Duration),
    /// The name, or records of that kind, do not exist; for how long that holds.
    Nothing(Duration),
    /// No server answered, or none properly.
    Failed(String),
}

/// What the cache says of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Records, perhaps older than they should be; none if there is nothing.
    Known(Option<Records>),
    /// It is being asked.
    Asking,
    /// DNS did not answer, and nothing older is known.
    Dead(String),
}

/// What is known of names.
#[derive(Clone, Debug, Default)]
pub struct NameCache {
    entries: BTreeMap<Question, Entry>,
    wanted: VecDeque<Question>,
}

#[derive(Clone, Debug)]
struct Entry {
    state: State,
    /// What came last, if anything ever did.
    known: Option<Option<Records>>,
    /// Why the last question was not answered.
    dead: Option<String>,
    used: Now,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Asked, and not yet answered.
    Asked { at: Now },
    /// Answered, or not: asked again after `until`.
    Done { until: Now },
}

impl NameCache {
    /// What is known now. A question that is not known, or no longer good, is noted to be asked.
    pub fn look(&mut self, now: Now, question: &Question) -> Look {
        if !self.entries.contains_key(question) {
            self.make_room();
            let entry = Entry {
                state: State::Asked { at: now },
                known: None,
                dead: None,
                used: now,
            };
            self.entries.insert(question.clone(), entry);
            self.wanted.push_back(question.clone());
            return Look::Asking;
        }
        let Some(entry) = self.entries.get_mut(question) else {
            return Look::Asking;
        };
        entry.used = now;
        if entry.state.due() <= now {
            entry.state = State::Asked { at: now };
            self.wanted.push_back(question.clone());
        }
        match (&entry.known, &entry.dead) {
            (Some(known), _) => Look::Known(known.clone()),
            (None, Some(why)) => Look::Dead(why.clone()),
            (None, None) => Look::Asking,
        }
    }

    /// The next question to be asked outside.
    pub fn poll_question(&mut self) -> Option<Question> {
        self.wanted.pop_front()
    }

    /// Takes what became of a question. What nobody asked is left out.
    pub fn answered(&mut self, now: Now, question: &Question, answer: Answer) {
        let Some(entry) = self.entries.get_mut(question) else {
            return;
        };
        let State::Asked { .. } = entry.state else {
            return;
        };
        entry.dead = None;
        let holds = match answer {
            Answer::Records(records, ttl) => {
                entry.known = Some(Some(records));
                ttl.clamp(TTL_MIN, TTL_MAX)
            }
            Answer::Nothing(ttl) => {
                entry.known = Some(None);
                ttl.clamp(TTL_MIN, TTL_NOTHING_MAX)
            }
            Answer::Failed(why) => {
                entry.dead = Some(why);
                RETRY_AFTER
            }
        };
        entry.state = State::Done { until: now + holds };
    }

    /// When an answer that was looked at since then is no longer good: whoever looks again at that time
    /// has it asked for before a call needs it.
    pub fn deadline(&self, since: Now) -> Option<Now> {
        let lately = |entry: &&Entry| entry.used >= since;
        let due = |entry: &Entry| entry.state.due();
        let next = self.entries.values().filter(lately).map(due).min();
        next.map(|at| at.max(since + Duration::from_secs(1)))
    }

    /// How many names are known.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing was ever asked.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry that was not used for longest goes when there are [`NAMES_MAX`].
    fn make_room(&mut self) {
        if self.entries.len() < NAMES_MAX {
            return;
        }
        let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used);
        if let Some(question) = oldest.map(|(question, _)| question.clone()) {
            self.entries.remove(&question);
            self.wanted.retain(|wanted| *wanted != question);
        }
    }
}

impl State {
    fn due(self) -> Now {
        match self {
            Self::Asked { at } => at + LOST_AFTER,
            Self::Done { until } => until,
        }
    }
}

impl Question {
    /// The name that is asked about.
    pub fn name(&self) -> &Arc<str> {
        match self {
            Self::Naptr(name) | Self::Srv(name) | Self::Addresses(name) => name,
        }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Naptr(_) => "NAPTR",
            Self::Srv(_) => "SRV",
            Self::Addresses(_) => "A and AAAA",
        };
        write!(f, "{kind} of {}", self.name())
    }
}

/// Questions whose answers are kept.
pub const NAMES_MAX: usize = 4_096;
/// No answer is asked for more often, whatever its TTL.
pub const TTL_MIN: Duration = Duration::from_secs(5);
/// No answer is believed for longer without asking, whatever its TTL.
pub const TTL_MAX: Duration = Duration::from_secs(3_600);
/// A name that appears is found after this at the latest.
pub const TTL_NOTHING_MAX: Duration = Duration::from_secs(300);
/// How soon a server that did not answer is asked again.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// An answer that has not come by now will not come.
const LOST_AFTER: Duration = Duration::from_secs(20);
