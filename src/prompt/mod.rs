//! What callers hear that no person says: prompts from files, speech, tones and hold music, as clips.
//!
//! Law: nothing here touches a media thread. A clip is decoded, resampled, levelled and encoded
//! before it is handed out as an `Arc`, and is loaded once for everybody who asks for it at the same
//! time. Every queue, cache, child process and file has a bound.
//!
//! | file | what it makes |
//! |---|---|
//! | [`library`] | the one owner of the cache; loads a [`crate::call::Prompt`] into a clip |
//! | [`file`](mod@file) | WAV of any rate and width, below one folder |
//! | [`level`] | resampling to 8 kHz, and a loudness that does not make callers jump |
//! | [`speech`] | the speech interface; espeak-ng as a child process; a tone in its place for tests |
//! | [`compose`] | call-progress tones and a piece of hold music, by our own synthesiser |
//! | [`announce`] | the words of position announcements |

pub mod announce;
pub mod compose;
pub mod file;
pub mod level;
pub mod library;
pub mod speech;

pub use library::{ClipLibrary, Installation, LoadError, Loading, Overloaded};
