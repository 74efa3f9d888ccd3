//! Who a call is from: what a peer says of it, and what the next one is shown.
//!
//! The law: no identity header passes through. [`Identity::received`] reads of a request what the
//! policy of its trunk believes, [`IdentityPolicy::headers`] writes anew what the policy of the next
//! trunk sends; between them there is only an [`Identity`]. So a header that nobody believes cannot
//! reach anybody, however it is spelled.
//!
//! ```text
//!   From, P-Asserted-Identity, P-Preferred-Identity,            From, P-Asserted-Identity,
//!   Remote-Party-ID, Privacy, Diversion, History-Info           Privacy, Diversion …
//!            │ trust                                                   ▲ send, privacy, diversion
//!            ▼                                                         │
//!         received ───────────▶ Identity (plan, record) ──────────▶ headers
//! ```
//!
//! RFC 3323 and 3325 (privacy, asserted identity), RFC 5806 (Diversion), RFC 7044 (History-Info).

mod policy;
mod received;
mod shown;

pub(super) use received::user_of;

pub use policy::{IdentityPolicy, Sent};
pub use shown::{Shown, ShownHeaders};

/// Who a call is from, as far as it is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The number or user, in E.164 where it is a number; `anonymous` where nobody says. At most
    /// 64 characters, none of them a control character.
    pub number: String,
    /// The display name, at most 80 characters; empty if there is none.
    pub name: String,
    /// Whether the caller asked not to be shown (RFC 3323, `id` of RFC 3325).
    pub private: bool,
    /// Who sent the call on before it came here, the latest first; at most 8.
    pub diversions: Vec<Diversion>,
}

/// Somebody who was called first and sent the call on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diversion {
    /// The number or user.
    pub number: String,
    /// Why.
    pub reason: DiversionReason,
    /// How often, 1 or more.
    pub count: u8,
    /// Whether this party asked not to be shown.
    pub private: bool,
}

/// Why a call was sent on: the words of RFC 5806 §4, with the cause that History-Info gives (RFC 4458 §2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiversionReason {
    /// Nobody says.
    #[default]
    Unknown,
    /// The callee was busy.
    Busy,
    /// Nobody answered.
    NoAnswer,
    /// The callee could not be reached.
    Unavailable,
    /// Always.
    Unconditional,
    /// By the clock.
    TimeOfDay,
    /// The callee wants no calls.
    DoNotDisturb,
    /// The callee, while it rang or after the answer.
    Deflection,
    /// The callee is elsewhere.
    FollowMe,
    /// The callee's line is broken.
    OutOfService,
    /// The callee is away.
    Away,
}

/// Reason, word of RFC 5806, cause of RFC 4458.
const REASONS: [(DiversionReason, &str, u16); 11] = [
    (DiversionReason::Unknown, "unknown", 404),
    (DiversionReason::Busy, "user-busy", 486),
    (DiversionReason::NoAnswer, "no-answer", 408),
    (DiversionReason::Unavailable, "unavailable", 503),
    (DiversionReason::Unconditional, "unconditional", 302),
    (DiversionReason::TimeOfDay, "time-of-day", 302),
    (DiversionReason::DoNotDisturb, "do-not-disturb", 302),
    (DiversionReason::Deflection, "deflection", 480),
    (DiversionReason::FollowMe, "follow-me", 302),
    (DiversionReason::OutOfService, "out-of-service", 503),
    (DiversionReason::Away, "away", 302),
];

impl DiversionReason {
    /// The word in a Diversion header.
    pub fn word(self) -> &'static str {
        REASONS
            .iter()
            .find(|row| row.0 == self)
            .map_or("unknown", |row| row.1)
    }

    /// The SIP cause in a History-Info entry.
    pub fn cause(self) -> u16 {
        REASONS
            .iter()
            .find(|row| row.0 == self)
            .map_or(404, |row| row.2)
    }

    fn of_word(word: &str) -> Self {
        let named = |row: &&(Self, &str, u16)| row.1.eq_ignore_ascii_case(word);
        REASONS
            .iter()
            .find(named)
            .map_or(Self::Unknown, |row| row.0)
    }

    fn of_cause(cause: u16) -> Self {
        match cause {
            181 | 302 => Self::Unconditional,
            480 | 487 => Self::Deflection,
            _ => REASONS
                .iter()
                .find(|row| row.2 == cause)
                .map_or(Self::Unknown, |row| row.0),
        }
    }
}

impl Identity {
    /// Somebody known by a number alone, who hides nothing.
    pub fn of_number(number: &str) -> Self {
        Self {
            number: clean(number, NUMBER_MAX),
            ..Self::default()
        }
    }

    /// Who sent the call on last, if anybody did.
    pub fn diverted_from(&self) -> Option<&str> {
        self.diversions.first().map(|one| one.number.as_str())
    }

    /// Adds who sends the call on now; of more than 8 the oldest is forgotten.
    pub fn divert(&mut self, number: &str, reason: DiversionReason) {
        if let Some(again) = self
            .diversions
            .first_mut()
            .filter(|last| last.number == number)
        {
            again.count = again.count.saturating_add(1);
            return;
        }
        self.diversions.insert(
            0,
            Diversion {
                number: clean(number, NUMBER_MAX),
                reason,
                count: 1,
                private: false,
            },
        );
        self.diversions.truncate(DIVERSIONS_MAX);
    }
}

/// A stranger's words as we keep them: no control character, no more than `most` characters.
fn clean(text: &str, most: usize) -> String {
    text.chars()
        .filter(|letter| !letter.is_control())
        .take(most)
        .collect()
}

/// The longest number or user that is kept, in characters.
pub(super) const NUMBER_MAX: usize = 64;
/// The longest display name that is kept, in characters.
pub(super) const NAME_MAX: usize = 80;
/// How many who sent a call on are remembered; carriers allow about five.
pub(super) const DIVERSIONS_MAX: usize = 8;
