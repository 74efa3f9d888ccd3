//! Conferences: rooms by name, who is in them, who is heard; and supervisors, who come to a call of two.
//!
//! The law: [`Conferences`] and [`Supervisions`] are pure machines of plain data. They know calls by their ids and nothing of
//! SIP, ports or workers; what is to be done they say by [`Output`]s and [`Duty`]s, which their owner carries
//! out. Their bounds are here: rooms, members, gains.

mod machine;
mod room;
mod supervision;
#[cfg(test)]
mod tests;

pub use machine::{Conferences, Output};
pub use room::{
    Ask, Away, GAINS_MAX, Gain, Member, NAME_MAX, NotDone, ROOMS_MAX, Room, RoomId, Terms,
    check_name,
};
pub use supervision::{Duty, Mode, NotSupervised, Standing, Supervisions, Watch};
