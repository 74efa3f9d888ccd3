//! Header names: an enum for those the core reads, looked up through a table made at compile time.

use std::fmt;

macro_rules! names {
    ($($variant:ident $text:literal $compact:literal,)*) => {
        /// A header the core has a use for, long or compact form alike; any other is
        /// [`Name::Other`].
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Name {
            $(#[doc = concat!("`", $text, "`.")] $variant,)*
            /// Any other header: find it by text with [`super::Message::header_named`].
            #[default]
            Other,
        }

        /// Each name with its long and its compact form (empty where there is none).
        const FORMS: &[(Name, &str, &str)] = &[$((Name::$variant, $text, $compact),)*];

        impl Name {
            /// The long form as registered; empty for [`Name::Other`].
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other => "",
                }
            }
        }
    };
}

names! {
    Via "Via" "v",
    From "From" "f",
    To "To" "t",
    CallId "Call-ID" "i",
    CSeq "CSeq" "",
    Contact "Contact" "m",
    Route "Route" "",
    RecordRoute "Record-Route" "",
    MaxForwards "Max-Forwards" "",
    Expires "Expires" "",
    MinExpires "Min-Expires" "",
    ContentType "Content-Type" "c",
    ContentLength "Content-Length" "l",
    ContentEncoding "Content-Encoding" "e",
    ContentDisposition "Content-Disposition" "",
    Authorization "Authorization" "",
    ProxyAuthorization "Proxy-Authorization" "",
    WwwAuthenticate "WWW-Authenticate" "",
    ProxyAuthenticate "Proxy-Authenticate" "",
    AuthenticationInfo "Authentication-Info" "",
    Allow "Allow" "",
    Supported "Supported" "k",
    Require "Require" "",
    ProxyRequire "Proxy-Require" "",
    Unsupported "Unsupported" "",
    SessionExpires "Session-Expires" "x",
    MinSe "Min-SE" "",
    ReferTo "Refer-To" "r",
    ReferredBy "Referred-By" "b",
    Replaces "Replaces" "",
    Reason "Reason" "",
    RetryAfter "Retry-After" "",
    RSeq "RSeq" "",
    RAck "RAck" "",
    Event "Event" "o",
    AllowEvents "Allow-Events" "u",
    SubscriptionState "Subscription-State" "",
    PAssertedIdentity "P-Asserted-Identity" "",
    PPreferredIdentity "P-Preferred-Identity" "",
    RemotePartyId "Remote-Party-ID" "",
    Privacy "Privacy" "",
    Diversion "Diversion" "",
    HistoryInfo "History-Info" "",
    Identity "Identity" "y",
    UserAgent "User-Agent" "",
    Server "Server" "",
    Date "Date" "",
    Timestamp "Timestamp" "",
    Warning "Warning" "",
    Accept "Accept" "",
    AcceptEncoding "Accept-Encoding" "",
    AcceptLanguage "Accept-Language" "",
    AcceptContact "Accept-Contact" "a",
    RejectContact "Reject-Contact" "j",
    RequestDisposition "Request-Disposition" "d",
    Subject "Subject" "s",
    Path "Path" "",
    ServiceRoute "Service-Route" "",
    TargetDialog "Target-Dialog" "",
    UserToUser "User-to-User" "",
    InReplyTo "In-Reply-To" "",
    AlertInfo "Alert-Info" "",
    CallInfo "Call-Info" "",
    ErrorInfo "Error-Info" "",
}

impl Name {
    /// Which of the headers it is that a response has from its request (RFC 3261 §8.2.6.2), in the order in
    /// which one of ours says them.
    pub(super) const fn copied_place(self) -> Option<usize> {
        match self {
            Self::Via => Some(0),
            Self::From => Some(1),
            Self::To => Some(2),
            Self::CallId => Some(3),
            Self::CSeq => Some(4),
            _ => None,
        }
    }

    /// The header that `text` names, in any case and in either form.
    pub fn from_text(text: &str) -> Self {
        Self::from_bytes(text.as_bytes())
    }

    #[inline]
    pub(crate) fn from_bytes(text: &[u8]) -> Self {
        let form = SLOTS[slot_of(text)];
        let Some(&(name, long, compact)) = FORMS.get(usize::from(form)) else {
            return Self::Other;
        };
        let form = if text.len() == 1 { compact } else { long };
        // Nearly everybody spells them as registered.
        if form.as_bytes() == text || form.as_bytes().eq_ignore_ascii_case(text) {
            name
        } else {
            Self::Other
        }
    }

    /// Whether others act on this header's word alone, so that a spelling some parsers would not
    /// recognise (a space before the colon) must not slip past a filter that removes it.
    pub(crate) const fn is_trusted(self) -> bool {
        matches!(
            self,
            Self::PAssertedIdentity
                | Self::PPreferredIdentity
                | Self::RemotePartyId
                | Self::Privacy
                | Self::Diversion
                | Self::HistoryInfo
                | Self::Identity
        )
    }

    /// Whether a message may hold this header once at most, with one value (RFC 3261 §7.3.1, §20).
    pub(crate) const fn is_single(self) -> bool {
        matches!(
            self,
            Self::From
                | Self::To
                | Self::CallId
                | Self::CSeq
                | Self::MaxForwards
                | Self::Expires
                | Self::MinExpires
                | Self::ContentType
                | Self::ContentLength
                | Self::ContentDisposition
                | Self::SessionExpires
                | Self::MinSe
                | Self::ReferTo
                | Self::ReferredBy
                | Self::Replaces
                | Self::RetryAfter
                | Self::RSeq
                | Self::RAck
                | Self::Event
                | Self::SubscriptionState
                | Self::Date
                | Self::Timestamp
        )
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

const EMPTY: u8 = u8::MAX;

/// Every form of every name in a slot of its own, so that one look decides.
static SLOTS: [u8; SLOT_COUNT] = slots();

const SLOT_COUNT: usize = 512;

const fn slots() -> [u8; SLOT_COUNT] {
    assert!(FORMS.len() < EMPTY as usize);
    let mut table = [EMPTY; SLOT_COUNT];
    let mut form = 0;
    while form < FORMS.len() {
        place(&mut table, FORMS[form].1.as_bytes(), form as u8);
        if !FORMS[form].2.is_empty() {
            place(&mut table, FORMS[form].2.as_bytes(), form as u8);
        }
        form += 1;
    }
    table
}

const fn place(table: &mut [u8; SLOT_COUNT], text: &[u8], form: u8) {
    let slot = slot_of(text);
    assert!(
        table[slot] == EMPTY,
        "two names share a slot: search for other factors in slot_of"
    );
    table[slot] = form;
}

/// Length, first, middle and last letter, case folded; the factors were searched for so that no two
/// names collide, which the compiler checks.
const fn slot_of(text: &[u8]) -> usize {
    let (Some(&first), Some(&last)) = (text.first(), text.last()) else {
        return 0;
    };
    let middle = text[text.len() / 2] | 0x20;
    let sum = text.len() * 15
        + (first | 0x20) as usize * 412
        + middle as usize * 118
        + (last | 0x20) as usize * 326;
    sum % SLOT_COUNT
}

#[cfg(test)]
mod tests {
    use super::{FORMS, Name};

    #[test]
    fn each_form_of_each_name_is_found_in_any_case() {
        for &(name, long, compact) in FORMS {
            for text in [long.to_owned(), long.to_lowercase(), long.to_uppercase()] {
                assert_eq!(Name::from_text(&text), name);
            }
            if !compact.is_empty() {
                assert_eq!(Name::from_text(compact), name);
                assert_eq!(Name::from_text(&compact.to_uppercase()), name);
            }
        }
        assert_eq!(Name::from_text("X-Via"), Name::Other);
        assert_eq!(Name::from_text("q"), Name::Other);
        assert_eq!(Name::from_text(""), Name::Other);
    }
}
