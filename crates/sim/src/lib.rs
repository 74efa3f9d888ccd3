//! The simulated world: the production machines on one thread, under one seed.
//!
//! The law: nothing here decides what the server does. [`World`] owns time and the network; it feeds
//! the production [`Control`](tandem::control::Control), production media workers and production
//! phones with what comes, and hands what they say to checkers that know only what must hold of any
//! call. The same seed gives the same outputs, byte for byte: [`Report::digest`] proves it.
//!
//! ```text
//!   Swarm::draw(seed) ─▶ World ── earliest of: packet · deadline · media tick · script step ──┐
//!                          │  Link (delay, loss, …)        Studio (workers or silence)       │
//!                          ▼                                                                  │
//!   Host (phone) ◀──▶ Link ◀──▶ Control ◀──▶ Desk (Studio)          Checks ◀── every output ◀─┘
//! ```
//!
//! Used by `tests/it` only.

mod check;
mod link;
mod media;
mod mix;
mod races;
mod random;
mod stage;
mod swarm;
mod world;

pub use check::Violation;
pub use link::{Gilbert, Impairment, Link};
pub use media::{Desk, Sent, Studio};
pub use mix::Mix;
pub use random::Random;
pub use stage::Stage;
pub use swarm::{Depth, Fault, Swarm};
pub use world::{Report, World};
