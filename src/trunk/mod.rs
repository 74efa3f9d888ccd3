//! Who may call and be called: trunks, endpoints, and where endpoints are registered.
//!
//! The law: pure. [`Trunks::admit`] is told a request and the true source it came from, and says who
//! it is, that it must prove it, or why it is refused; [`Registrar::handle`] is told a REGISTER that
//! was admitted and says what to answer. A [`Refusal`] carries its own explanation (what was expected,
//! what was found, the nearest fix), so the log, the API and `explain` show one and the same text.
//!
//! ```text
//!            ┌ source of a trunk ──────────────▶ rate, concurrency ─▶ Admission::Trunk
//!   request ─┼ where endpoints may be ─▶ digest ─▶ known? ──────────▶ Admission::Endpoint
//!            ├ a token, on a connection ─▶ ours? ─▶ still somebody? ─▶ Admission::Endpoint
//!            │                             └ no, or not proven ─────▶ Admission::Challenge
//!            └ neither ─────────────────────────────────────────────▶ Admission::Refused (silent on UDP)
//! ```
//!
//! A source that belongs to a trunk is the trunk's, whatever name it gives; a trunk on the address of
//! an endpoint should therefore name its port too. REGISTER is always an endpoint's.

mod abuse;
mod admission;
mod ban;
mod bearer;
mod binding;
mod caps;
mod contact;
mod crowd;
mod decoy;
mod emergency;
mod file;
mod fraud;
mod handling;
mod health;
mod hop;
mod identity;
mod locate;
pub mod names;
mod numbers;
mod outbound;
mod proving;
mod rate;
mod refusal;
mod registrar;
mod rewrite;
mod route;
mod secrets;
mod source;
mod timers;

#[cfg(test)]
mod tests;

pub use abuse::AbuseConfig;
pub(crate) use admission::claimed_user;
pub use admission::{
    Admission, Challenge, EndpointCall, Strangers, TrunkCall, Trunks, TrunksConfig,
};
pub use ban::{Ban, BanRules, Bans};
pub use bearer::{GENERATED_DIGESTS, Guest};
pub use binding::Row;
pub use caps::{Admitted, Outgoing};
pub use contact::{Contact, Target, Way};
pub use crowd::{Crowd, Origin};
pub use emergency::Emergency;
pub use file::{
    CALLER_ID_RULE, ENDPOINT_NAME_RULE, EndpointConfig, KeyFiles, TlsPeer, TrunkConfig, TrunkTls,
};
pub use fraud::{
    Alarm, Barred, ChargeId, Destinations, Forms, Limits, Money, Night, Owner, OwnerKind, Price,
    Rates, Resource, UsageRow, Word,
};
pub use handling::{Handling, SrtpPolicy};
pub use health::{
    Health, HealthChange, HealthConfig, Ordered, Pong, REST, TargetHealth, TargetState,
};
pub use hop::{Host, NextHop, SendTo};
pub use identity::{
    Diversion, DiversionReason, Identity, IdentityPolicy, Sent, Shown, ShownHeaders,
};
pub use locate::{LOCATED_MAX, Located, Randomness, Speaks, locate, weighted};
pub use names::{
    Answer, Look, NAMES_MAX, NameCache, Naptr, Question, Records, Srv, TTL_MAX, TTL_MIN,
    TTL_NOTHING_MAX,
};
pub use numbers::{Numbers, SendForm};
pub use outbound::{
    BACK_OFF, BACK_OFF_MAX, CSEQ_STEP, Register, Registered, Registration, RegistrationConfig,
    RegistrationState,
};
pub use proving::Disproof;
pub use refusal::{Nearest, Refusal};
pub use registrar::{Change, Registrar, RegistrarConfig, Reply};
pub use rewrite::{HeaderRule, NumberRule, NumberRules};
pub use route::{
    HOPS_MAX, Hop, HopUri, Hunt, PATIENCE, REDIRECTS_MAX, REST_MAX, Redirect, Routing, Setback,
    Verdict, hops, redirected_hops, retry_after,
};
pub use secrets::{Digests, Secrets};
pub use source::Source;
pub use timers::TimerConfig;
