//! Why the SIP machine turned a request away by itself, in words.

use sip::message::{Cause as Unfit, Message, Name};

use super::refusal::{Parts, parts};
use crate::explain::printable;

/// Why the SIP machine turned a request away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signalling {
    /// Unfit, or asking for what is not served.
    Unfit {
        /// What.
        why: Unfit,
        /// Its value in the request.
        value: String,
    },
    /// The session interval is too short (RFC 4028 §9).
    Interval {
        /// What they asked, in seconds.
        asked: String,
        /// The least that is taken.
        least: String,
        /// The key that says so.
        key: String,
    },
    /// A peer that knows no session timer, on a trunk that requires one (RFC 4028).
    NoTimer {
        /// The key that says so.
        key: String,
    },
    /// The same request came by another way (RFC 3261 §8.2.2.2).
    Merged,
}

impl Signalling {
    /// What `why` found in the request.
    pub(super) fn unfit(why: &Unfit, request: &Message) -> Self {
        let value = match why {
            Unfit::Extensions(tags) => tags.as_str(),
            Unfit::NotAllowed(_) | Unfit::UnknownMethod(_) => {
                request.method_str().unwrap_or_default()
            }
            Unfit::Body(_) => request.header(Name::ContentType).unwrap_or_default(),
            Unfit::Encoding => request.header(Name::ContentEncoding).unwrap_or_default(),
            Unfit::Scheme => request.request_uri().unwrap_or_default(),
            Unfit::NotAcceptable => request.header(Name::Accept).unwrap_or_default(),
            Unfit::Hops => "0",
            _ => "",
        };
        Self::Unfit {
            why: why.clone(),
            value: printable(value),
        }
    }
}

impl Signalling {
    pub(super) const fn id(&self) -> &'static str {
        match self {
            Self::Unfit { why, .. } => match why.status() {
                405 | 501 => "sip-method",
                406 => "sip-accepts-no-sdp",
                415 => "sip-body",
                416 => "sip-scheme",
                420 => "sip-extension-required",
                483 => "sip-too-many-hops",
                _ => "sip-malformed",
            },
            Self::Interval { .. } => "sip-session-interval",
            Self::NoTimer { .. } => "sip-session-timer-required",
            Self::Merged => "sip-loop",
        }
    }

    pub(super) fn parts(&self) -> Parts {
        let Self::Unfit { why, value } = self else {
            return self.other_parts();
        };
        let value = format!("\"{value}\"");
        match why {
            Unfit::Extensions(tags) => (
                "no extension in Require that is not served".to_owned(),
                value,
                extension_fix(tags),
            ),
            Unfit::NotAllowed(served) | Unfit::UnknownMethod(served) => parts(
                &format!("one of {served}"),
                &value,
                "have the peer not send it here",
            ),
            Unfit::Body(read) => parts(
                read,
                &value,
                "have the peer send SDP alone, without a multipart body",
            ),
            Unfit::Encoding => parts("a body that is not encoded", &value, "turn encoding off"),
            Unfit::Scheme => parts("a sip:, sips: or tel: URI", &value, "call sip:NUMBER@HOST"),
            Unfit::NotAcceptable => parts(
                "a caller that accepts application/sdp",
                &value,
                "have the peer leave Accept out, or name application/sdp in it",
            ),
            Unfit::Hops => parts(
                "Max-Forwards above 0",
                "0",
                "look for two servers that send the call to each other; else have the peer start at 70",
            ),
            malformed => parts(
                "a request as RFC 3261 writes it",
                &malformed.to_string(),
                "correct the peer's message",
            ),
        }
    }

    fn other_parts(&self) -> Parts {
        match self {
            Self::NoTimer { key } => parts(
                "a peer that supports session timers (RFC 4028)",
                "an INVITE without timer in Supported",
                &format!("have the peer support them, or set {key} = \"ask\""),
            ),
            Self::Interval { asked, least, key } => parts(
                &format!("Session-Expires of at least {least} s"),
                &format!("{} s", printable(asked)),
                &format!(
                    "have the peer try again with the Min-SE of our 422 (RFC 4028 §7.3), or set \
                     {key} = \"{}s\"",
                    printable(asked)
                ),
            ),
            _ => parts(
                "each request once",
                "the same request by a second way",
                "look for a proxy that forks to two addresses of this server, or sends it back to itself",
            ),
        }
    }
}

fn extension_fix(tags: &str) -> String {
    let tags = printable(tags);
    match tags.contains("100rel") {
        true => "have the peer support 100rel without requiring it: Supported instead of Require"
            .to_owned(),
        false => format!("have the peer not require {tags}"),
    }
}
