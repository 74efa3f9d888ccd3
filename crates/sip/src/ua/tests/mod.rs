//! Stories of two user agents, and storms over a bad link.

mod pair;
mod replacing;
mod stories;
mod storm;
mod strangers;
