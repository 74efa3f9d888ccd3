//! The desk's face, at `/desk`: what an agent's page says and is told, in JSON (docs/desk-protocol.md).
//!
//! ```text
//!   page ── JSON ──▶ Desk ── Line ── SIP ──▶ control: his phone
//!        ◀────────    │ ▲
//!                 Ask │ │ Told, News          control and store by the API: his status, his calls' context,
//!                     ▼ │                     notes, figures; the hub: what happens at the centre
//!                    task
//! ```
//!
//! [`machine::Desk`] is pure; `task` makes a face of it, `asks` carries out what it asks; [`Hub`] tells all desks
//! what happens, from one watch of the server's events and one look a second at the queues.

mod asks;
mod calls;
mod fault;
mod figures;
mod hub;
mod machine;
mod task;
#[cfg(test)]
mod tests;
mod verbs;
mod wire;

pub use hub::{Hub, HubTask};
pub use task::Desks;
pub(super) use task::{Attended, Caller};
