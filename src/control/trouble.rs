//! What may be amiss with carriers, in words.

use crate::explain::{Explanation, printable};
use crate::trunk::Question;

/// A trouble of a trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CarrierTrouble {
    /// None of its targets has an address that a listener of ours reaches.
    NotLocated {
        /// The trunk.
        trunk: String,
        /// What is in the way.
        why: Vec<String>,
        /// Names are still being asked for.
        asking: bool,
    },
    /// Every target is down or draining.
    AllDown {
        /// The trunk.
        trunk: String,
    },
    /// We are not registered with the carrier, and the trunk wants that.
    Unregistered {
        /// The trunk.
        trunk: String,
    },
    /// A name of the access list has no address.
    NoSource {
        /// The trunk.
        trunk: String,
        /// The name.
        name: String,
        /// What is in the way.
        why: Vec<String>,
    },
    /// DNS does not answer.
    NameDead {
        /// The question.
        question: Question,
        /// What came instead.
        why: String,
    },
}

impl CarrierTrouble {
    /// A name that never changes.
    pub const fn id(&self) -> &'static str {
        match self {
            Self::NotLocated { .. } => "trunk-not-located",
            Self::AllDown { .. } => "trunk-all-down",
            Self::Unregistered { .. } => "trunk-unregistered",
            Self::NoSource { .. } => "trunk-source-not-located",
            Self::NameDead { .. } => "dns-no-answer",
        }
    }

    /// What was expected, what was found, and the fix.
    pub fn explanation(&self) -> Explanation {
        let parts = match self {
            Self::NotLocated { trunk, why, asking } => (
                format!("an address in trunks.{trunk}.send_to that a listener reaches"),
                match why.as_slice() {
                    [] if *asking => "names that DNS has not answered for within 2 s".to_owned(),
                    [] => "none".to_owned(),
                    why => why.join(", "),
                },
                format!(
                    "run `tandem trunk test {trunk}`; add a listener of that transport and family, or \
                     correct the name or dns.servers"
                ),
            ),
            Self::AllDown { trunk } => (
                format!("a target of trunk {trunk} that is up"),
                "none; the least bad is tried".to_owned(),
                format!("see GET /v1/trunks for each target's reason, and trunks.{trunk}.health"),
            ),
            Self::Unregistered { trunk } => (
                format!("a registration with trunk {trunk}"),
                "none that stands".to_owned(),
                format!(
                    "see GET /v1/trunks for the registrar's answer; set trunks.{trunk}.unregistered = \
                     \"dial\" to call nevertheless"
                ),
            ),
            Self::NoSource { trunk, name, why } => (
                format!("an address of {name} in trunks.{trunk}.addresses"),
                match why.as_slice() {
                    [] => "none".to_owned(),
                    why => printable(&why.join(", ")),
                },
                format!("correct the name, or write the addresses that trunk {trunk} calls from"),
            ),
            Self::NameDead { question, why } => (
                format!("an answer to {question}"),
                printable(why),
                "correct dns.servers or /etc/resolv.conf; what is known is used meanwhile"
                    .to_owned(),
            ),
        };
        Explanation::new(self.id(), parts)
    }
}
