//! Stories of two user agents, and storms over a bad link.

mod connections;
mod early;
mod offering;
mod pair;
mod proving;
mod refreshing;
mod replacing;
mod room;
mod stories;
mod storm;
mod strangers;
