//! Audio that does not come from a peer.

mod clip;

pub use clip::{Clip, ClipError};
