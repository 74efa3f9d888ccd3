//! The synthetic callers and agents of `tandem demo`: production machines at the other end of the wire.

pub mod phone;
