//! Dialplans: KDL files compiled to an immutable graph, its checker, its interpreter and its tests.
//!
//! The law: a plan is data, and so is a run of it. [`Plan::compile`] takes texts and [`Facts`], never
//! a path; [`Run`] is a pure machine (`handle`, `poll_output`, `deadline`) that asks a call by
//! [`Action`](crate::call::Action)s and hears by [`Notice`](crate::call::Notice)s. A plan that
//! compiled names nothing that does not exist. A reload makes another plan; live runs keep theirs.
//!
//! ```text
//!  texts ─▶ syntax ─▶ fields ◀─ table        entry ─▶ Run ─▶ Do(Action) Join(queue) Step(trace)
//!             tree      │ typed by its row              ▲
//!                       ▼                               │ Notice, QueueNotice, Deadline
//!                    compile ─▶ Plan (Arc) ─────────────┤
//!                       │        ▲                      │
//!                       ▼        │ conditions (CEL)   scenario: `test` blocks in virtual time
//!                     check ─▶ Diagnostic{file, line, column, code, fix}
//! ```
//!
//! Reference for those who write dialplans: `docs/dialplan.md`, of which the tables are made from
//! the rows of `table.rs`.

mod check;
pub mod cli;
mod compile;
mod condition;
mod diagnostic;
mod fields;
pub mod fuzz;
mod hours;
mod missing;
mod plan;
mod reference;
mod run;
mod scenario;
mod syntax;
mod table;
#[cfg(test)]
mod tests;
mod trouble;

pub use compile::{Facts, Speech};
pub use condition::Value;
pub use diagnostic::{Code, Diagnostic, Severity, Span};
pub use missing::{CalledBy, NoEntry};
pub use plan::{EntryId, Exit, NodeId, Plan, QueueSpec};
pub use reference::reference;
pub use run::{
    CallFacts, ConferenceNotice, ConferenceRequest, LeftWhy, QueueNotice, QueueRequest, Run,
    RunInput, RunOutput, Stage, Trace,
};
pub use trouble::Trouble;
