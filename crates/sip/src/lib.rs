//! SIP as a pure core: bytes in, decisions out (RFC 3261 and the extensions that trunks and agents
//! need).
//!
//! The law: no socket, no clock, no task, no lock. Time is told ([`clock::Now`]), packets are
//! handed in as `Bytes` with the [`transport::Flow`] they came on, and what is to be sent is
//! polled. Whatever comes from outside is hostile: bounded before it is stored, refused with the
//! place of the fault, never a panic.
//!
//! | module | what it is |
//! |---|---|
//! | [`message`] | one `Bytes` and an index; lazy typed views; the builder; the semantic check |
//! | [`transport`] | the words for listeners, connections and flows; framing on streams |
//! | [`transaction`] | the four transaction machines and the timer wheel |
//! | [`dialog`] | dialogs and the session timer |
//! | [`auth`] | digest, both roles |
//! | [`ua`] | all of it composed: the machine that servers and synthetic phones share |
//! | [`sdp`] | session descriptions and the offer/answer machine of one leg |

pub mod auth;
pub mod dialog;
pub mod message;
pub mod sdp;
pub mod transaction;
pub mod transport;
pub mod ua;

#[doc(hidden)]
pub mod fuzz;
