//! What the next peer is shown: every identity header of an INVITE of ours, written in one place.

use sip::message::{escape_user, name_addr};

use super::{Diversion, Identity, IdentityPolicy};

/// What an INVITE of ours shows, before its peer's policy.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// Who calls, numbers in the form that the peer wants.
    pub identity: &'a Identity,
    /// What we call ourselves towards this peer: never the host of another one.
    pub host: &'a str,
    /// Our account there, for From where the policy does not name the caller by it.
    pub account: Option<&'a str>,
    /// The Request-URI, the last entry of a history.
    pub target: &'a str,
}

/// The identity headers of an INVITE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownHeaders {
    /// The From name-addr, without a tag.
    pub from: String,
    /// The others, in order.
    pub others: Vec<(String, String)>,
}

impl IdentityPolicy {
    /// Writes what this policy shows. A caller who asked not to be shown is
    /// `"Anonymous" <sip:anonymous@anonymous.invalid>` in From (RFC 3323 §4.1.1.3); only a peer
    /// within the trust domain still learns who it is, with `Privacy: id` (RFC 3325 §7).
    pub fn headers(&self, shown: &Shown<'_>) -> ShownHeaders {
        let Identity { private, .. } = *shown.identity;
        let hidden = private && self.honours_privacy;
        let mut others = Vec::new();
        if self.trust || !hidden {
            self.vouch(shown, hidden, &mut others);
        }
        if hidden {
            others.push(header("Privacy", "id"));
        }
        if self.diversion {
            let told = shown.identity.diversions.iter();
            let told = told.filter(|one| self.trust || !self.hides(one));
            others.extend(told.map(|one| header("Diversion", &diversion(one, shown.host))));
        }
        if self.history && !shown.identity.diversions.is_empty() {
            others.push(header("History-Info", &self.history_of(shown)));
        }
        ShownHeaders {
            from: self.sender(shown, hidden),
            others,
        }
    }

    fn sender(&self, shown: &Shown<'_>, hidden: bool) -> String {
        match shown.account {
            _ if hidden => ANONYMOUS.to_owned(),
            Some(account) if !self.send.from => name_addr("", &uri(account, shown.host)),
            _ => name_addr(
                &shown.identity.name,
                &uri(&shown.identity.number, shown.host),
            ),
        }
    }

    /// The headers by which we say who calls.
    fn vouch(&self, shown: &Shown<'_>, hidden: bool, others: &mut Vec<(String, String)>) {
        let caller = &shown.identity;
        if caller.number.is_empty() || caller.number.eq_ignore_ascii_case("anonymous") {
            return;
        }
        let address = name_addr(&caller.name, &uri(&caller.number, shown.host));
        if self.send.asserted {
            others.push(header("P-Asserted-Identity", &address));
        }
        if self.send.preferred {
            others.push(header("P-Preferred-Identity", &address));
        }
        if self.send.remote_party {
            let privacy = if hidden { "full" } else { "off" };
            let value = format!("{address};party=calling;screen=yes;privacy={privacy}");
            others.push(header("Remote-Party-ID", &value));
        }
    }

    fn hides(&self, one: &Diversion) -> bool {
        one.private && self.honours_privacy
    }

    /// Every party the call was sent on from, the oldest first, then the target, each an index below
    /// the one before (RFC 7044 §10.3). Who asked not to be shown is marked for a trusted peer and
    /// anonymous to others (§10.1.2).
    fn history_of(&self, shown: &Shown<'_>) -> String {
        let mut entries = Vec::new();
        let mut index = "1".to_owned();
        for one in shown.identity.diversions.iter().rev() {
            let cause = one.reason.cause();
            let mut entry = match (self.hides(one), self.trust) {
                (true, false) => format!("<{ANONYMOUS_URI}?Reason=SIP%3Bcause%3D{cause}>"),
                (true, true) => format!(
                    "<{}?Privacy=history&Reason=SIP%3Bcause%3D{cause}>",
                    uri(&one.number, shown.host)
                ),
                (false, _) => format!(
                    "<{}?Reason=SIP%3Bcause%3D{cause}>",
                    uri(&one.number, shown.host)
                ),
            };
            entry.push_str(";index=");
            entry.push_str(&index);
            entry.push_str(&mapped_from(&index));
            entries.push(entry);
            index.push_str(".1");
        }
        let last = mapped_from(&index);
        entries.push(format!("<{}>;index={index}{last}", shown.target));
        entries.join(", ")
    }
}

/// `mp` names the entry whose user was exchanged for this one (RFC 7044 §9.1); the first has none.
fn mapped_from(index: &str) -> String {
    index
        .strip_suffix(".1")
        .map(|before| format!(";mp={before}"))
        .unwrap_or_default()
}

/// One value of Diversion (RFC 5806 §4).
fn diversion(one: &Diversion, host: &str) -> String {
    let privacy = if one.private { "full" } else { "off" };
    format!(
        "<{}>;reason={};counter={};privacy={privacy}",
        uri(&one.number, host),
        one.reason.word(),
        one.count
    )
}

fn uri(number: &str, host: &str) -> String {
    if number.is_empty() {
        return format!("sip:{host}");
    }
    format!("sip:{}@{host}", escape_user(number))
}

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

const ANONYMOUS_URI: &str = "sip:anonymous@anonymous.invalid";
const ANONYMOUS: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";
