//! What calls may cost: where they may go, how many minutes and how much money a day.
//!
//! The law: a call leaves by [`super::Trunks::dial`] or not at all, and that asks here, for the trunk
//! and for every endpoint on whose behalf it goes. What a call may yet cost is set aside when it is
//! admitted and counted while it lasts, so no race of calls passes a cap.
//!
//! ```text
//!   number ─▶ Limits::permit (allow, deny, night) ─▶ Ledger::open ─▶ answered ─▶ close
//!                                                      │ caps          │ at the cap: End
//!                                                      ▼               ▼
//!                                                    Barred          Alarm at 80 and 100 %, Save
//! ```

mod barred;
mod ledger;
mod limits;
mod money;
mod prefix;
mod spiral;

pub use barred::{Barred, Owner, OwnerKind};
pub use ledger::{Alarm, ChargeId, Resource, UsageRow, Word};
pub use limits::{Limits, Night};
pub use money::{Money, Price};
pub use prefix::{Destinations, Forms, Rates};

pub(super) use ledger::{Ledger, Line};
pub(super) use spiral::{RETURNS_MAX, Spirals, Turn};
