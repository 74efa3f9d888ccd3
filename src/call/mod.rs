//! Calls: legs, bridges, hold, park, transfer, recording and call records.
//!
//! The law: a `Call` is a pure machine and plain data. It never awaits, opens no socket
//! and reads no clock; it knows nothing of queues, dialplans or stores. It is asked by [`Action`]s,
//! tells by [`Notice`]s, and reaches SIP and media through commands that its owner carries out.

mod action;
mod answering;
mod bridging;
mod cause;
mod cdr;
mod command;
mod conferring;
mod dialing;
mod digits;
mod ending;
mod few;
mod hearing;
mod leg;
mod lending;
mod machine;
mod merging;
mod record;
mod replacing;
mod ringing;
mod sound;
mod supervised;
mod transfer;
mod trouble;
mod voice;
mod web;

pub use action::{
    Action, CallId, Destination, Dial, DialResult, DialToken, DtmfVia, LegId, Notice, Party,
    PlayToken, Prompt, RecordAsk, Ringback,
};
pub use bridging::{port_plan, port_update};
pub use cause::Cause;
pub use cdr::{Cdr, Direction};
pub use command::{Incoming, LegMedia, Output, SipCommand, Target};
pub use digits::{Dtmf, info_body, info_key};
pub(crate) use few::Few;
pub use hearing::{Hearing, LegFigures};
pub use leg::Label;
pub use lending::Lent;
pub use machine::Call;
pub use merging::MergeSides;
pub use replacing::Newcomer;
pub use sound::ClipRequest;
pub use supervised::Sides;
pub use transfer::{BadRefer, Handover, How, News, NoTransfer, Refer};
pub use trouble::{Description, Trouble};
pub use voice::{Listening, Reach, VoicePolicy};

#[cfg(test)]
mod tests;
