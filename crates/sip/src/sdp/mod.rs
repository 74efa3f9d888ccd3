//! Session descriptions (RFC 8866) and the offer/answer machine of one leg (RFC 3264).
//!
//! [`SessionDescription`] is the text as data: bounded, hostile input is an error with its line and
//! offset. [`Negotiation`] is the pure machine that makes our offers and answers and says what both
//! sides [`Agreed`] on. Nothing here opens a port: the leg tells the machine where its media ends.

mod codec;
mod crypto;
mod description;
mod modes;
mod negotiation;
mod offer_error;
mod parse;
mod remote;
mod securing;
mod terms;
mod web;

#[doc(hidden)]
pub mod fuzz;

#[cfg(test)]
mod tests;

pub use codec::{Codec, Direction};
pub use crypto::{CryptoFault, CryptoKey, CryptoSuite, KeySeed, Srtp, StreamKeys};
pub use description::{Address, Attribute, Connection, Media, Origin, SessionDescription};
pub use modes::ModeSet;
pub use negotiation::Negotiation;
pub use offer_error::OfferError;
pub use parse::{SdpError, SdpErrorKind};
pub use terms::{Agreed, CodecOrder, LocalMedia, OpusTerms};
pub use web::{WebFault, WebLocal, WebRemote};
