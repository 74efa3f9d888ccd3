//! What a call is given, and what it wants done: its interface to SIP, to media and to whoever drives it.

use bytes::Bytes;
use media::port::PortId;
use media::tap::TapFrame;
use media::worker::{PortCommand, Reserved, WebPeer};
use rtrb::Consumer;
use sip::sdp::LocalMedia;
use sip::ua::RequestId;

use super::digits::Dtmf;
use super::leg::Label;
use super::sound::ClipRequest;
use super::{
    Cause, Cdr, Destination, DialToken, Hearing, LegId, Listening, Notice, Trouble, VoicePolicy,
};

/// A call whose INVITE has just come.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// The caller's number or user.
    pub from: String,
    /// What was called.
    pub to: String,
    /// Who the caller is to us.
    pub label: Label,
    /// The SDP of the INVITE, if it carried one.
    pub offer: Option<Bytes>,
    /// Our side of the caller's media.
    pub media: LegMedia,
    /// Samples per second of a recording at most.
    pub recording_rate_max: u32,
}

/// What a leg needs for its media.
#[derive(Clone, Debug)]
pub struct LegMedia {
    /// What we offer and accept.
    pub local: LocalMedia,
    /// The sockets that wait for it; all legs of a call are on one worker.
    pub reserved: Reserved,
    /// Random: SSRC, first sequence number, first timestamp and the SDP session id.
    pub random: u64,
    /// How keys come and go.
    pub dtmf: Dtmf,
    /// Whether tones in the audio are keys where no telephone-event is agreed and `dtmf` leaves it open.
    pub inband_dtmf: bool,
    /// What is done with its voice.
    pub voice: VoicePolicy,
}

/// One contact to ring, resolved by whoever owns the call.
#[derive(Clone, Debug)]
pub struct Target {
    /// Who is rung.
    pub label: Label,
    /// How to reach it; opaque here.
    pub route: Box<sip::ua::Invite>,
    /// Our side of its media.
    pub media: LegMedia,
}

/// What the SIP machine is to do with a leg's session.
#[derive(Clone, Debug, PartialEq)]
pub enum SipCommand {
    /// A provisional answer to their INVITE.
    Progress {
        /// 180 or 183.
        status: u16,
        /// The answer to their offer, for early media.
        body: Option<Bytes>,
    },
    /// 200 to their INVITE.
    Accept(Option<Bytes>),
    /// The end, whatever the state: refusal, CANCEL or BYE.
    End(Cause),
    /// The ACK of a 200 that carried an offer.
    Acknowledge(Option<Bytes>),
    /// A re-INVITE with our offer.
    Reoffer(Bytes),
    /// 200 to their re-INVITE or UPDATE.
    AnswerOffer(Option<Bytes>),
    /// A refusal of their re-INVITE or UPDATE.
    RefuseOffer(u16),
    /// An INFO with a key (`application/dtmf-relay`).
    Key {
        /// Which.
        digit: char,
        /// How long it was held.
        duration_ms: u16,
    },
    /// The answer to a request within the dialog.
    Respond(RequestId, u16),
    /// A NOTIFY of a transfer's progress (RFC 3515 §2.4.4).
    NotifyTransfer {
        /// The status line's code in the `message/sipfrag` body.
        status: u16,
        /// Whether the subscription ends with it.
        last: bool,
        /// Which REFER of the dialog it is about, where there was more than one.
        id: Option<u32>,
    },
}

/// What a call wants done. Drain after each input.
#[derive(Debug)]
pub enum Output {
    /// A command for a leg's SIP session.
    Sip(LegId, SipCommand),
    /// A new leg's INVITE.
    Invite(LegId, Box<sip::ua::Invite>),
    /// A command for the call's worker.
    Port(PortCommand),
    /// The port of a leg of WebRTC is with that peer: its SDP is here, or says something new.
    Meet {
        /// Whose.
        port: PortId,
        /// Whom.
        peer: WebPeer,
    },
    /// A reserved port that was never opened goes back.
    Release(PortId),
    /// Destinations to be turned into [`Target`]s: answer by [`Call::resolved`](super::Call::resolved).
    Resolve {
        /// Which dialling.
        token: DialToken,
        /// Who is to be rung.
        to: Vec<Destination>,
        /// The number to show, if not the caller's.
        caller_id: Option<String>,
    },
    /// The peer of a leg that another call wants sends to the new port (`ready`), or will not.
    Moved {
        /// Which leg.
        leg: LegId,
        /// Whether the other call may take it now.
        ready: bool,
    },
    /// Clips to be fetched: answer by [`Call::clips_loaded`](super::Call::clips_loaded).
    LoadClips(ClipRequest),
    /// A recording begins: its frames come out of the ring.
    Record {
        /// The ring.
        frames: Consumer<TapFrame>,
        /// Samples per second.
        rate: u32,
    },
    /// The recording is over: no more frames come.
    RecordEnded,
    /// A voice thread is to listen to a leg.
    Listen(Box<Listening>),
    /// A word to whoever drives the call.
    Tell(Notice),
    /// A leg is not heard, or is again.
    Hearing {
        /// Who is at its other end.
        who: String,
        /// What is heard of it.
        is: Hearing,
    },
    /// A word to the operator: something went wrong that the caller may notice.
    Trouble(Box<Trouble>),
    /// The end. Nothing comes after it.
    Finished(Box<Cdr>),
}
