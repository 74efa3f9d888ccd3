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
//!            │                             └ no, or not proven ─────▶ Admission::Challenge
//!            └ neither ─────────────────────────────────────────────▶ Admission::Refused (silent on UDP)
//! ```
//!
//! A source that belongs to a trunk is the trunk's, whatever name it gives; a trunk on the address of
//! an endpoint should therefore name its port too. REGISTER is always an endpoint's.

mod admission;
mod contact;
mod emergency;
mod file;
mod handling;
mod identity;
mod numbers;
mod rate;
mod refusal;
mod registrar;
mod secrets;
mod source;

#[cfg(test)]
mod tests;

pub use admission::{
    Admission, Admitted, Challenge, EndpointCall, Strangers, TrunkCall, Trunks, TrunksConfig,
};
pub use contact::{Contact, Target, Way};
pub use emergency::Emergency;
pub use file::{CALLER_ID_RULE, EndpointConfig, TrunkConfig};
pub use handling::Handling;
pub use identity::{
    Diversion, DiversionReason, Identity, IdentityPolicy, Sent, Shown, ShownHeaders,
};
pub use numbers::{Numbers, SendForm};
pub use refusal::{Nearest, Refusal};
pub use registrar::{Change, Registrar, RegistrarConfig, Reply, Row};
pub use secrets::{Digests, Secrets};
pub use source::Source;
