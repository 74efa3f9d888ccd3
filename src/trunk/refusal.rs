//! Why a request was not admitted: a value that explains itself.
//!
//! The log line, the API's answer and `tandem explain` are views of it; none has a copy of the rules.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::{Barred, Source};
use crate::explain::{Explanation, printable};

/// A request, or a call of ours, that is not admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The source belongs to no trunk and no endpoint may be there.
    UnknownSource {
        /// The true source.
        source: SocketAddr,
        /// The entry of an access list that comes closest.
        nearest: Option<Nearest>,
        /// Whether the answer is silence: a datagram's source may be forged.
        silent: bool,
    },
    /// The endpoint proved itself, but from where it may not be.
    SourceNotAllowed {
        /// Who.
        endpoint: String,
        /// From where.
        source: IpAddr,
        /// Where it may be.
        allowed: Vec<Source>,
    },
    /// Somebody registers an address that is not his own (RFC 3261 §10.3, third step).
    NotYourAddress {
        /// Who it proved to be.
        endpoint: String,
        /// The address it wants to register.
        claimed: String,
    },
    /// The trunk's calls-per-second cap.
    CallRate {
        /// Which trunk.
        trunk: String,
        /// The cap, in calls a second.
        limit: u32,
    },
    /// The trunk's concurrency cap.
    CallLimit {
        /// Which trunk.
        trunk: String,
        /// The cap, in calls at once.
        limit: u32,
    },
    /// No trunk has that name.
    NoSuchTrunk {
        /// The name.
        trunk: String,
    },
    /// The trunk has nowhere to send calls to.
    NoTarget {
        /// The trunk.
        trunk: String,
    },
    /// A limit on where calls go, how many there are and what they cost.
    Barred(Box<Barred>),
    /// A header that admission needs cannot be read.
    Malformed {
        /// Which.
        header: &'static str,
        /// What is wrong with it.
        fault: String,
    },
}

/// The access-list entry closest to a source that none contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nearest {
    /// The trunk whose entry it is.
    pub trunk: String,
    /// The entry.
    pub entry: Source,
}

impl From<Barred> for Refusal {
    fn from(barred: Barred) -> Self {
        Self::Barred(Box::new(barred))
    }
}

impl Refusal {
    /// A name that never changes: for logs, documents and searches.
    pub const fn id(&self) -> &'static str {
        match self {
            Self::UnknownSource { .. } => "trunk-unknown-source",
            Self::SourceNotAllowed { .. } => "endpoint-source-not-allowed",
            Self::NotYourAddress { .. } => "register-not-your-address",
            Self::CallRate { .. } => "trunk-call-rate",
            Self::CallLimit { .. } => "trunk-call-limit",
            Self::NoSuchTrunk { .. } => "no-such-trunk",
            Self::NoTarget { .. } => "trunk-no-target",
            Self::Barred(barred) => barred.id(),
            Self::Malformed { .. } => "malformed-header",
        }
    }

    /// The status to answer with; `None` means silence.
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::UnknownSource { silent: true, .. } => None,
            Self::UnknownSource { .. }
            | Self::SourceNotAllowed { .. }
            | Self::NotYourAddress { .. } => Some(403),
            Self::CallRate { .. } | Self::CallLimit { .. } => Some(503),
            Self::NoSuchTrunk { .. } | Self::NoTarget { .. } => Some(404),
            Self::Barred(barred) => Some(barred.status()),
            Self::Malformed { .. } => Some(400),
        }
    }

    /// Seconds after which another try has a chance, for `Retry-After`.
    pub const fn retry_after_secs(&self) -> Option<u32> {
        match self {
            Self::CallRate { .. } => Some(1),
            _ => None,
        }
    }

    /// What would have been admitted.
    pub fn expected(&self) -> String {
        match self {
            Self::UnknownSource { .. } => {
                "a source in a trunk's addresses, or where an endpoint may be".to_owned()
            }
            Self::SourceNotAllowed { allowed, .. } => {
                let list: Vec<String> = allowed.iter().map(Source::to_string).collect();
                format!("a source in {}", list.join(", "))
            }
            Self::NotYourAddress { endpoint, .. } => format!("the address of {endpoint} in To"),
            Self::CallRate { limit, .. } => format!("at most {limit} new calls a second"),
            Self::CallLimit { limit, .. } => format!("at most {limit} calls at once"),
            Self::NoSuchTrunk { .. } => "a configured trunk".to_owned(),
            Self::NoTarget { trunk, .. } => format!("an address in trunks.{trunk}.send_to"),
            Self::Barred(barred) => barred.expected(),
            Self::Malformed { header, .. } => format!("a readable {header} header"),
        }
    }

    /// What was there instead.
    pub fn found(&self) -> String {
        match self {
            Self::UnknownSource { source, .. } => source.to_string(),
            Self::SourceNotAllowed {
                endpoint, source, ..
            } => format!("{endpoint} at {source}"),
            Self::NotYourAddress { claimed, .. } => printable(claimed),
            Self::CallRate { trunk, .. } | Self::CallLimit { trunk, .. } => {
                format!("one more on trunk {trunk}")
            }
            Self::NoSuchTrunk { trunk } => printable(trunk),
            Self::NoTarget { .. } => "none".to_owned(),
            Self::Barred(barred) => barred.found(),
            Self::Malformed { fault, .. } => fault.clone(),
        }
    }

    /// All of it, for the log, the record, the API and `explain`.
    pub fn explanation(&self) -> Explanation {
        Explanation {
            id: self.id(),
            expected: self.expected(),
            found: self.found(),
            fix: self.fix(),
        }
    }

    /// The smallest change that would admit it.
    pub fn fix(&self) -> String {
        match self {
            Self::UnknownSource {
                source, nearest, ..
            } => {
                let ip = source.ip().to_canonical();
                match nearest {
                    Some(Nearest { trunk, entry }) if entry.is_other_port_of(*source) => format!(
                        "write \"{ip}\" instead of \"{entry}\" in trunks.{trunk}.addresses: with a \
                         port the entry takes that source port alone"
                    ),
                    Some(Nearest { trunk, entry }) => {
                        format!("add \"{ip}\" to trunks.{trunk}.addresses (nearest there: {entry})")
                    }
                    None => format!("add a trunk with addresses = [\"{ip}\"]"),
                }
            }
            Self::SourceNotAllowed {
                endpoint, source, ..
            } => format!("add \"{source}\" to endpoints.{endpoint}.sources"),
            Self::NotYourAddress { endpoint, .. } => {
                format!("register sip:{endpoint}@… or use the other's credentials")
            }
            Self::CallRate { trunk, .. } => format!("raise trunks.{trunk}.calls_per_second"),
            Self::CallLimit { trunk, .. } => format!("raise trunks.{trunk}.calls"),
            Self::NoSuchTrunk { trunk } => format!("add [trunks.{}]", printable(trunk)),
            Self::NoTarget { trunk } => format!("set trunks.{trunk}.send_to"),
            Self::Barred(barred) => barred.fix(),
            Self::Malformed { .. } => "see RFC 7616 §3.4".to_owned(),
        }
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.explanation().fmt(f)
    }
}
