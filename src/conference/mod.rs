//! Conferences: rooms by name, who is in them, who is heard.
//!
//! The law: [`Conferences`] is a pure machine of plain data. It knows calls by their ids and nothing of
//! SIP, ports or workers; what is to be done it says by [`Output`]s, which its owner carries out. Its
//! bounds are here: rooms, members, gains.

mod machine;
mod room;
#[cfg(test)]
mod tests;

pub use machine::{Conferences, Output};
pub use room::{
    Ask, Away, GAINS_MAX, Gain, Member, NAME_MAX, NotDone, ROOMS_MAX, Room, RoomId, Terms,
    check_name,
};
