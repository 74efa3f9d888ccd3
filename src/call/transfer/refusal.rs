//! Why somebody may not hand a call on.

use sip::sdp::Codec;

use super::refer::BadRefer;
use crate::call::Label;
use crate::explain::{Explanation, printable};

/// Why a REFER, or an INVITE with Replaces, is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoTransfer {
    /// The request cannot be understood.
    Unclear(BadRefer),
    /// There is nobody to hand on.
    NotBridged,
    /// Another transfer of the call has not ended.
    UnderWay,
    /// The configuration does not let that party.
    Barred(Label),
    /// The dialog that was named is not one of ours, or not of another call.
    NoSuchDialog,
    /// The dialog that was named is somebody else's.
    NotTheirs,
    /// No media port for whoever would come.
    NoMedia,
    /// One party speaks what is only relayed, and the other speaks otherwise: they would not hear each other.
    RelayOnly {
        /// What the one speaks.
        relayed: Codec,
        /// What the other speaks.
        other: Codec,
    },
    /// The call was handed on as often as it may be.
    TooOften {
        /// `limits.transfers`.
        limit: usize,
    },
}

impl NoTransfer {
    /// Whether parties who speak these could hear each other.
    ///
    /// # Errors
    /// [`NoTransfer::RelayOnly`].
    pub fn unless_heard(one: Codec, other: Codec) -> Result<(), Self> {
        let (relayed, other) = if one.is_only_relayed() {
            (one, other)
        } else {
            (other, one)
        };
        if relayed.is_only_relayed() && relayed != other {
            return Err(Self::RelayOnly { relayed, other });
        }
        Ok(())
    }

    /// The status that refuses it.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Unclear(_) => 400,
            Self::RelayOnly { .. } => 488,
            Self::UnderWay => 491,
            Self::NoMedia => 503,
            Self::NotBridged
            | Self::Barred(_)
            | Self::NoSuchDialog
            | Self::NotTheirs
            | Self::TooOften { .. } => 603,
        }
    }

    /// A name that never changes.
    pub const fn id(&self) -> &'static str {
        match self {
            Self::Unclear(_) => "transfer-unclear",
            Self::NotBridged => "transfer-not-bridged",
            Self::UnderWay => "transfer-under-way",
            Self::Barred(_) => "transfer-barred",
            Self::NoSuchDialog => "transfer-no-such-dialog",
            Self::NotTheirs => "transfer-not-theirs",
            Self::NoMedia => "transfer-no-media",
            Self::RelayOnly { .. } => "transfer-relay-only",
            Self::TooOften { .. } => "transfer-too-often",
        }
    }

    /// What was expected, what was found, and the fix. `target` is whom the call was to go to.
    pub fn explanation(&self, target: &str) -> Explanation {
        let (expected, found, fix) = match self {
            Self::Unclear(why) => (
                "a Refer-To that names whom to call".to_owned(),
                why.to_string(),
                "have the phone send one SIP URI in Refer-To (RFC 3515 §2.1)".to_owned(),
            ),
            Self::NotBridged => (
                "a party to hand on".to_owned(),
                "a call that is not bridged".to_owned(),
                "transfer once the other side has answered".to_owned(),
            ),
            Self::UnderWay => (
                "one transfer of a call at a time".to_owned(),
                "a second".to_owned(),
                "wait for the first to end".to_owned(),
            ),
            Self::Barred(who) => {
                let section = match (&who.trunk, &who.endpoint) {
                    (Some(trunk), _) => format!("trunks.{trunk}"),
                    (None, Some(endpoint)) => format!("endpoints.{endpoint}"),
                    (None, None) => "its section".to_owned(),
                };
                (
                    "a party that may transfer".to_owned(),
                    format!("{section}.refer = false"),
                    format!("set {section}.refer = true, if it may make the server dial"),
                )
            }
            Self::NoSuchDialog => (
                "the name of another dialog with this server".to_owned(),
                "a Replaces that names none".to_owned(),
                "have the phone name a call that is still up (RFC 3891 §6.1)".to_owned(),
            ),
            Self::NotTheirs => (
                "two calls of one party".to_owned(),
                "a Replaces that names somebody else's dialog".to_owned(),
                "transfer between calls of one endpoint, or of one trunk".to_owned(),
            ),
            Self::NoMedia => (
                "a media port beside the other party".to_owned(),
                "none free".to_owned(),
                "widen rtp.ports, or end calls".to_owned(),
            ),
            Self::RelayOnly { relayed, other } => (
                format!("two parties that speak {relayed}, which is relayed and never decoded"),
                format!("one that speaks {other}"),
                "have both calls speak a codec that Tandem decodes, or both the same".to_owned(),
            ),
            Self::TooOften { limit } => (
                format!("at most {limit} transfers of one call"),
                "one more".to_owned(),
                "look for a loop, or raise limits.transfers".to_owned(),
            ),
        };
        let found = if target.is_empty() {
            found
        } else {
            format!("{found}, to {}", printable(target))
        };
        Explanation::new(self.id(), (expected, found, fix))
    }
}
