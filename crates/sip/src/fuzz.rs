//! Fuzz bodies as plain functions, so that every build compiles them and any driver can call them.

pub use crate::sdp::fuzz::{crypto, sdp};
pub use crate::ua::{dialog_ops, transaction_ops};

use crate::message::{Message, Name, Replaces};
use crate::transport::StreamFramer;
use bytes::Bytes;

/// Parses one datagram and walks every view of it.
pub fn sip_message(data: &[u8]) {
    let Ok(message) = Message::parse(Bytes::copy_from_slice(data)) else {
        return;
    };
    touch(&message);
}

/// Cuts a stream, fed in chunks of a size the input chooses, and parses what comes out.
pub fn sip_stream(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else {
        return;
    };
    let mut framer = StreamFramer::new();
    for chunk in rest.chunks(usize::from(first) + 1) {
        if framer.push(chunk).is_err() {
            return;
        }
        loop {
            match framer.poll_frame() {
                Ok(Some(crate::transport::Frame::Message(bytes))) => sip_message(&bytes),
                Ok(Some(crate::transport::Frame::Ping)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

/// Reads everything a message offers; the results do not matter, only that each returns.
fn touch(message: &Message) {
    let _ = (
        message.from(),
        message.to(),
        message.call_id(),
        message.cseq(),
    );
    let _ = (
        message.transaction_key().map(|key| key.to_string()),
        message.max_forwards(),
    );
    let _ = (message.rack(), message.rseq(), message.target_dialog());
    if let Ok(Some(replaces)) = message.replaces() {
        let again = replaces.to_string();
        assert!(
            Replaces::parse(&again) == Ok(replaces),
            "another dialog is named: {again}"
        );
    }
    message.vias().for_each(drop);
    message.contacts().for_each(drop);
    message.routes().for_each(drop);
    for header in message.lines() {
        let _ = (header.name_text(), header.value(), header.raw());
    }
    message.values(Name::Supported).for_each(drop);
}
