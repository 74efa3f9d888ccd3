//! What a request says of who calls, as far as its trunk is believed.

use std::borrow::Cow;

use sip::message::{Host, Message, Name, NameAddr, Uri, unescape};

use super::super::numbers::Numbers;
use super::super::refusal::Refusal;
use super::{
    DIVERSIONS_MAX, Diversion, DiversionReason, Identity, IdentityPolicy, NAME_MAX, NUMBER_MAX,
    clean,
};

impl Identity {
    /// Reads a request of a trunk. Where the trunk is not believed, From says who calls and everything
    /// else but the wish for privacy is passed over, however it is spelled.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] if From cannot be read. A header of less weight that cannot be read is
    /// passed over.
    pub fn received(
        request: &Message,
        policy: &IdentityPolicy,
        numbers: &Numbers,
    ) -> Result<Self, Refusal> {
        let from = request.from().map_err(|error| Refusal::Malformed {
            header: "From",
            fault: error.to_string(),
        })?;
        let asserted = if policy.trust {
            asserted(request)
        } else {
            None
        };
        let hidden = asserted.as_ref().is_some_and(wants_privacy);
        let caller = asserted.unwrap_or(from);
        let number = user_of(&caller.uri).unwrap_or_default();
        Ok(Self {
            number: numbers.received(&clean(&number, NUMBER_MAX)),
            name: display(&caller),
            private: hidden || asks_privacy(request) || is_anonymous(&from),
            diversions: if policy.trust {
                diversions(request, numbers)
            } else {
                Vec::new()
            },
        })
    }

    /// Reads a request of an endpoint that proved itself: `shown` is what its calls show, and of the
    /// request only the wish for privacy counts.
    pub fn of_endpoint(request: &Message, shown: &str) -> Self {
        Self {
            private: asks_privacy(request) || request.from().is_ok_and(|from| is_anonymous(&from)),
            ..Self::of_number(shown)
        }
    }
}

/// The first identity that somebody vouches for: asserted, preferred, remote party.
fn asserted(request: &Message) -> Option<NameAddr<'_>> {
    let headers = [
        Name::PAssertedIdentity,
        Name::PPreferredIdentity,
        Name::RemotePartyId,
    ];
    let values = headers.into_iter().flat_map(|name| request.values(name));
    values
        .filter_map(|value| NameAddr::parse(value).ok())
        .find(|address| user_of(&address.uri).is_some_and(|user| !user.is_empty()))
}

/// Who sent the call on, latest first: by Diversion, else by History-Info.
fn diversions(request: &Message, numbers: &Numbers) -> Vec<Diversion> {
    let told = request.diversions().filter_map(Result::ok);
    let told = told.filter_map(|address| {
        let number = user_of(&address.uri)?;
        let reason = address.params.get("reason").unwrap_or_default();
        let count = address.params.get("counter").and_then(|n| n.parse().ok());
        Some(Diversion {
            number: numbers.received(&clean(&number, NUMBER_MAX)),
            reason: DiversionReason::of_word(reason),
            count: count.unwrap_or(1).max(1),
            private: wants_privacy(&address),
        })
    });
    let told: Vec<Diversion> = told.take(DIVERSIONS_MAX).collect();
    if told.is_empty() {
        history(request, numbers)
    } else {
        told
    }
}

/// The entries of History-Info that the call was sent on from: those that carry a Reason, or whose
/// successor says by `cause` why it is there (RFC 7044 §10.2, RFC 4458 §2).
fn history(request: &Message, numbers: &Numbers) -> Vec<Diversion> {
    let entries: Vec<NameAddr<'_>> = request
        .values(Name::HistoryInfo)
        .filter_map(|value| NameAddr::parse(value).ok())
        .take(HISTORY_MAX)
        .collect();
    let next = entries.iter().skip(1).map(Some).chain([None]);
    let mut found: Vec<Diversion> = entries
        .iter()
        .zip(next)
        .filter_map(|(entry, next)| {
            let by_next = || next?.uri.params.get("cause")?.parse().ok();
            let cause = reason_cause(entry).or_else(by_next)?;
            Some(Diversion {
                number: numbers.received(&clean(&user_of(&entry.uri)?, NUMBER_MAX)),
                reason: DiversionReason::of_cause(cause),
                count: 1,
                private: embedded(entry, "Privacy").is_some_and(|it| it.contains("history")),
            })
        })
        .collect();
    found.reverse();
    found.truncate(DIVERSIONS_MAX);
    found
}

/// The SIP cause in the Reason that stands within an entry's URI.
fn reason_cause(entry: &NameAddr<'_>) -> Option<u16> {
    let reason = embedded(entry, "Reason")?;
    let (protocol, rest) = reason.split_once(';')?;
    let cause = rest.split(';').find_map(|param| {
        let (name, value) = param.split_once('=')?;
        name.trim().eq_ignore_ascii_case("cause").then_some(value)
    });
    let sip = protocol.trim().eq_ignore_ascii_case("SIP");
    cause?.trim().parse().ok().filter(|_| sip)
}

/// A header that stands within a URI, unescaped.
fn embedded<'a>(entry: &NameAddr<'a>, name: &str) -> Option<Cow<'a, str>> {
    let headers: &'a str = entry.uri.headers;
    headers.split('&').find_map(|pair| {
        let (found, value) = pair.split_once('=')?;
        unescape(found)
            .eq_ignore_ascii_case(name)
            .then(|| unescape(value))
    })
}

/// Whether Privacy asks to hide who calls (RFC 3323 §4.2, RFC 3325 §9.3).
fn asks_privacy(request: &Message) -> bool {
    let mut words = request.privacy();
    words.any(|word| HIDING.iter().any(|known| known.eq_ignore_ascii_case(word)))
}

/// Whether an address itself says not to show it: `privacy` of Diversion and Remote-Party-ID.
fn wants_privacy(address: &NameAddr<'_>) -> bool {
    let privacy = address.params.get("privacy");
    privacy.is_some_and(|word| !word.eq_ignore_ascii_case("off"))
}

/// The form of RFC 3323 §4.1.1.3, in whatever case, or its user alone as many write it.
fn is_anonymous(from: &NameAddr<'_>) -> bool {
    let user = from.uri.user_name();
    matches!(from.uri.host, Some(Host::Domain(host)) if host.eq_ignore_ascii_case("anonymous.invalid"))
        || user.is_some_and(|user| user.eq_ignore_ascii_case("anonymous"))
}

fn display(address: &NameAddr<'_>) -> String {
    clean(&address.display(), NAME_MAX)
}

/// The user part without the parameters that some carriers put into it (`+331…;npdi`).
pub(in crate::trunk) fn user_of(uri: &Uri<'_>) -> Option<String> {
    let user = uri.user_name()?;
    let number = user.split_once(';').map_or(&*user, |(number, _)| number);
    Some(number.to_owned())
}

/// Words of Privacy that hide who calls.
const HIDING: [&str; 3] = ["id", "user", "header"];
/// More entries than any honest call has.
const HISTORY_MAX: usize = 32;
