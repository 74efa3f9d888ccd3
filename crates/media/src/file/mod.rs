//! Recordings as bytes: what a file holds at any moment of its making, and how it is read.
//!
//! * [`wav`]: stereo, 16 bits; the header's two lengths are written again as the file grows
//! * [`opus`]: Ogg/Opus, two mono streams, a page a second
//! * [`seal`]: either of them encrypted, chunk by chunk
//!
//! Nothing here knows a disk or draws a random number: bytes go in, bytes come out.

pub mod opus;
pub mod seal;
pub mod wav;
