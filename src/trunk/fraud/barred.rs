//! Why a call may not go out, or must end.

use std::fmt;

use super::money::Money;

/// A trunk or an endpoint whose limits count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// Which of them.
    pub kind: OwnerKind,
    /// Its name.
    pub name: String,
}

/// What kind of owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnerKind {
    /// A carrier, by which the call goes.
    Trunk,
    /// A device, on whose behalf it goes.
    Endpoint,
}

impl OwnerKind {
    /// `trunk` or `endpoint`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trunk => "trunk",
            Self::Endpoint => "endpoint",
        }
    }
}

impl Owner {
    /// A trunk.
    pub fn trunk(name: &str) -> Self {
        Self {
            kind: OwnerKind::Trunk,
            name: name.to_owned(),
        }
    }

    /// An endpoint.
    pub fn endpoint(name: &str) -> Self {
        Self {
            kind: OwnerKind::Endpoint,
            name: name.to_owned(),
        }
    }

    /// The key of one of its limits.
    fn key(&self, key: &str) -> String {
        format!("{}s.{}.limits.{key}", self.kind.name(), self.name)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.name(), self.name)
    }
}

/// A call that may not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Barred {
    /// Its destination, by a prefix that denies it or for want of one that allows it.
    Destination {
        /// Whose limit.
        owner: Owner,
        /// The prefix that denies it.
        prefix: Option<String>,
        /// Whether only by night.
        night: bool,
    },
    /// What was dialled is no number, where it depends on the number whether the call may be.
    NotANumber {
        /// Whose limit.
        owner: Owner,
    },
    /// Money is counted, and nobody says what this call costs.
    Unrated {
        /// Whose limit.
        owner: Owner,
    },
    /// The minutes of the day are used up.
    Minutes {
        /// Whose limit.
        owner: Owner,
        /// The limit.
        limit: u32,
    },
    /// The money of the day is spent, or what this call costs at least is more than is left.
    Spend {
        /// Whose limit.
        owner: Owner,
        /// The limit.
        limit: Money,
    },
    /// The endpoint's calls at once.
    CallLimit {
        /// Which endpoint.
        owner: Owner,
        /// The limit.
        limit: u32,
    },
    /// The endpoint's calls a second.
    CallRate {
        /// Which endpoint.
        owner: Owner,
        /// The limit.
        limit: u32,
    },
    /// The call is one of ours that came back, too often.
    Loop {
        /// The number it goes round by.
        number: String,
        /// How often it may come back.
        limit: u8,
    },
}

impl Barred {
    /// Every id, as documents list them.
    pub const IDS: [&'static str; 10] = [
        "destination-denied",
        "destination-not-allowed",
        "destination-closed-at-night",
        "destination-not-a-number",
        "destination-unrated",
        "minutes-per-day",
        "spend-per-day",
        "endpoint-call-limit",
        "endpoint-call-rate",
        "call-loop",
    ];

    /// A name that never changes.
    pub const fn id(&self) -> &'static str {
        match self {
            Self::Destination { night: true, .. } => "destination-closed-at-night",
            Self::Destination {
                prefix: Some(_), ..
            } => "destination-denied",
            Self::Destination { prefix: None, .. } => "destination-not-allowed",
            Self::NotANumber { .. } => "destination-not-a-number",
            Self::Unrated { .. } => "destination-unrated",
            Self::Minutes { .. } => "minutes-per-day",
            Self::Spend { .. } => "spend-per-day",
            Self::CallLimit { .. } => "endpoint-call-limit",
            Self::CallRate { .. } => "endpoint-call-rate",
            Self::Loop { .. } => "call-loop",
        }
    }

    /// The status to answer with.
    pub const fn status(&self) -> u16 {
        match self {
            Self::CallLimit { .. } | Self::CallRate { .. } => 503,
            Self::Loop { .. } => 482,
            _ => 403,
        }
    }

    /// What would have been admitted.
    pub fn expected(&self) -> String {
        match self {
            Self::Destination { owner, night, .. } => {
                let when = if *night { " at this hour" } else { "" };
                format!("a destination that {owner} may call{when}")
            }
            Self::NotANumber { .. } => "a telephone number".to_owned(),
            Self::Unrated { owner } => format!("a destination in {}", owner.key("rates")),
            Self::Minutes { limit, .. } => format!("at most {limit} minutes a day"),
            Self::Spend { limit, .. } => format!("at most {limit} a day"),
            Self::CallLimit { limit, .. } => format!("at most {limit} calls at once"),
            Self::CallRate { limit, .. } => format!("at most {limit} new calls a second"),
            Self::Loop { limit, .. } => {
                format!("a call that comes back to us {limit} times at most")
            }
        }
    }

    /// What was there instead.
    pub fn found(&self) -> String {
        match self {
            Self::Destination { prefix, .. } => match prefix {
                Some(prefix) => format!("one that begins with {prefix}"),
                None => "one that no prefix allows".to_owned(),
            },
            Self::NotANumber { .. } => "something else".to_owned(),
            Self::Unrated { .. } => "one without a price".to_owned(),
            Self::Minutes { owner, .. } | Self::Spend { owner, .. } => {
                format!("more of {owner} today")
            }
            Self::CallLimit { owner, .. } | Self::CallRate { owner, .. } => {
                format!("one more of {owner}")
            }
            Self::Loop { number, .. } => {
                format!(
                    "one to {} that came back again",
                    crate::explain::printable(number)
                )
            }
        }
    }

    /// The smallest change that would admit it.
    pub fn fix(&self) -> String {
        match self {
            Self::Destination {
                owner,
                prefix: Some(prefix),
                night,
            } => {
                let key = if *night { "night.deny" } else { "deny" };
                format!(
                    "take \"{prefix}\" out of {}, or allow a longer prefix",
                    owner.key(key)
                )
            }
            Self::Destination { owner, night, .. } => {
                let key = if *night { "night.allow" } else { "allow" };
                format!("add its prefix to {}", owner.key(key))
            }
            Self::NotANumber { owner } => format!(
                "dial digits, or remove allow, deny, night and spend_per_day from {}",
                owner.key("*")
            ),
            Self::Unrated { owner } => {
                format!("add its prefix, or \"default\", to {}", owner.key("rates"))
            }
            Self::Minutes { owner, .. } => format!("raise {}", owner.key("minutes_per_day")),
            Self::Spend { owner, .. } => format!("raise {}", owner.key("spend_per_day")),
            Self::CallLimit { owner, .. } => format!("raise {}", owner.key("calls")),
            Self::CallRate { owner, .. } => format!("raise {}", owner.key("calls_per_second")),
            Self::Loop { .. } => {
                "look for an entry or a forwarding that leads to a number of our own".to_owned()
            }
        }
    }
}
