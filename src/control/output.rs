//! What control wants done outside: by sockets, files, DNS, the store, and whoever watches.

use bytes::Bytes;
use media::file::seal::Key;
use media::tap::TapFrame;
use rtrb::Consumer;
use sip::transport::Flow;

use super::{Captured, Event, Gate, Note};
use crate::call::{CallId, Cdr, ClipRequest, Listening};
use crate::trunk::Question;

/// What control wants done outside.
#[derive(Debug)]
pub enum Output {
    /// Send these bytes on this flow.
    Transmit {
        /// Where.
        flow: Flow,
        /// One message.
        bytes: Bytes,
    },
    /// The same with a refusal of what was not read: no trace has use for it, and a flood of them would
    /// take from others the time that it saves.
    Rebuff {
        /// Where.
        flow: Flow,
        /// One message.
        bytes: Bytes,
    },
    /// Whoever is on that connection is known to us: it may stay.
    Vouch {
        /// The connection.
        flow: Flow,
    },
    /// Close that connection, once what was sent on it is out: whoever is on it is nobody any more.
    Close {
        /// The connection.
        flow: Flow,
    },
    /// Fetch clips; answer by [`Control::clips_loaded`].
    LoadClips {
        /// For which call.
        call: CallId,
        /// Which.
        request: ClipRequest,
    },
    /// Write what comes out of the ring to the recording of that name.
    Record {
        /// Of which call.
        call: CallId,
        /// Which of the call's, from 1.
        part: u32,
        /// A file name below the recordings folder.
        file: String,
        /// A key of its own.
        key: Option<Key>,
        /// Samples per second.
        rate: u32,
        /// The frames.
        frames: Consumer<TapFrame>,
    },
    /// No more frames come for that call's recording.
    RecordEnded {
        /// Of which call.
        call: CallId,
    },
    /// Have a voice thread listen to a leg; answer by [`Control::talked`].
    ///
    /// [`Control::talked`]: super::Control::talked
    Listen {
        /// Of which call.
        call: CallId,
        /// The leg, what is done with its voice, and the rings.
        listening: Box<Listening>,
    },
    /// Keep this call record.
    Cdr(Box<Cdr>),
    /// Keep what a trunk or an endpoint has used of a day.
    Usage(crate::trunk::UsageRow),
    /// Keep this change of registrations.
    Registered(crate::trunk::Change),
    /// Ask DNS; answer by [`Control::resolved`].
    Resolve(Question),
    /// Something that people and programs outside may want to know.
    Event(Event),
    /// Something that a trace wants to know, once [`Control::note`] was called.
    Note(Note),
    /// Packets of sound that a trace wants to keep.
    Captured(Captured),
    /// Have the system drop a share of what comes before it is read.
    Gate(Gate),
}
