//! Stories of two user agents, and storms over a bad link.

mod early;
mod pair;
mod replacing;
mod room;
mod stories;
mod storm;
mod strangers;
