//! One leg: our end of one signalling relation, its offer/answer and its port.

use std::collections::BTreeMap;

use bytes::Bytes;
use clock::Now;
use media::port::{PortId, PortStats};
use sip::sdp::{Agreed, Negotiation, OfferError};

use super::answering::Offered;
use super::command::LegMedia;
use super::digits::{Dtmf, Keys};
use super::sound::Playing;
use super::web::Meeting;
use super::{Cause, Hearing, LegId, Trouble, VoicePolicy};

/// Where a leg's signalling stands.
#[derive(Clone, Debug)]
pub(super) enum LegState {
    /// Their INVITE waits for our final answer.
    Incoming {
        /// What answers their offer; `None` when they made none and we offer in our 200.
        answer: Option<Bytes>,
        /// Whether a 183 has carried that answer, so that the leg hears.
        early: bool,
        /// What another answer would be made of; `None` without an offer.
        offered: Option<Box<Offered>>,
    },
    /// Our 200 is out; their ACK is not in.
    Accepted,
    /// Our INVITE is out.
    Outgoing {
        /// The offer/answer as our INVITE left it: what the answer of each fork begins from.
        asked: Option<Box<Negotiation>>,
        /// What was agreed with each fork whose answer came reliably.
        settled: BTreeMap<u32, Negotiation>,
    },
    /// Answered and confirmed.
    Up,
    /// We have asked for the end; the SIP machine tells when it is done.
    Ending,
    /// Nothing is left of the signalling.
    Ended,
}

/// Who is at the other end, as records and the centre name them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// The number, user or URI.
    pub address: String,
    /// The endpoint that is rung, if it is one of ours.
    pub endpoint: Option<String>,
    /// The trunk the leg goes through.
    pub trunk: Option<String>,
}

/// One leg of a call.
#[derive(Clone, Debug)]
pub(super) struct Leg {
    pub(super) id: LegId,
    pub(super) state: LegState,
    pub(super) negotiation: Negotiation,
    pub(super) port: LegPort,
    pub(super) label: Label,
    /// What plays into this leg.
    pub(super) playing: Option<Playing>,
    /// Whether the peer has put us on hold.
    pub(super) held_by_peer: bool,
    /// How its keys come and go.
    pub(super) keys: Keys,
    /// Whether anything is heard of it.
    pub(super) hearing: Hearing,
    /// What is done with its voice.
    pub(super) voice: VoicePolicy,
    /// Who listens to it as it is for taps.
    pub(super) lent_to: Option<PortId>,
    /// Whether the other party does not hear it, because somebody said so.
    pub(super) muted: bool,
    /// Until when it is waited for, once a browser has closed its media.
    pub(super) awaited_until: Option<Now>,
    /// Its port's counters, a second old at most.
    pub(super) figures: Option<Box<PortStats>>,
}

/// A leg's port, from reservation to the worker's word that it is closed.
#[derive(Clone, Debug)]
pub(super) struct LegPort {
    pub(super) id: PortId,
    pub(super) local: std::net::SocketAddr,
    pub(super) state: PortState,
    /// Drawn once per leg: SSRC, first sequence number and first timestamp.
    pub(super) random: u64,
    /// Whether tones in the audio are looked for where no telephone-event was agreed.
    pub(super) inband_dtmf: bool,
    /// Whether the worker looks for tones now.
    pub(super) detects: bool,
    /// What it was told of its peer, if that comes over WebRTC's transport.
    pub(super) meeting: Option<Meeting>,
}

/// How far a port has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PortState {
    /// Its sockets are bound; the worker does not know it.
    Reserved,
    /// The worker serves it.
    Open,
    /// The worker has been told to close it.
    Closing,
    /// Given back.
    Closed,
}

impl Leg {
    /// A leg before anything was exchanged.
    pub(super) fn new(id: LegId, label: Label, media: LegMedia) -> Self {
        let meeting = Meeting::of(&media.local);
        Self {
            id,
            // An outgoing leg until its maker says otherwise.
            state: LegState::Outgoing {
                asked: None,
                settled: BTreeMap::new(),
            },
            negotiation: Negotiation::new(media.local, media.random >> 2),
            port: LegPort {
                id: media.reserved.port,
                local: media.reserved.rtp,
                state: PortState::Reserved,
                random: media.random,
                inband_dtmf: media.inband_dtmf,
                detects: false,
                meeting,
            },
            keys: Keys::new(media.dtmf),
            label,
            playing: None,
            held_by_peer: false,
            hearing: Hearing::Heard,
            voice: media.voice,
            lent_to: None,
            muted: false,
            awaited_until: None,
            figures: None,
        }
    }

    /// Whether the peer would hear what we play.
    pub(super) fn hears(&self) -> bool {
        match self.state {
            LegState::Accepted | LegState::Up => true,
            LegState::Incoming { early, .. } => early,
            LegState::Outgoing { .. } | LegState::Ending | LegState::Ended => false,
        }
    }

    /// Whether the far side has answered, or we have answered it.
    pub(super) fn is_answered(&self) -> bool {
        matches!(self.state, LegState::Accepted | LegState::Up)
    }

    /// Whether signalling goes on.
    pub(super) fn is_alive(&self) -> bool {
        !matches!(self.state, LegState::Ending | LegState::Ended)
    }

    /// Whether nothing is left of it: neither signalling nor port.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self.state, LegState::Ended) && self.port.state == PortState::Closed
    }

    /// Whether tones in the audio are keys: only where the peer cannot send telephone-events, since
    /// one that sends both would press every key twice.
    pub(super) fn wants_detection(&self) -> bool {
        let without_events = |agreed: &Agreed| agreed.dtmf_payload_type.is_none();
        let wanted = match self.keys.mode() {
            Dtmf::Auto => self.port.inband_dtmf,
            Dtmf::InBand => true,
            Dtmf::Rfc4733 | Dtmf::Info => false,
        };
        wanted && self.agreed().is_some_and(without_events)
    }

    /// Takes the answer to our offer.
    pub(super) fn take_answer(&mut self, answer: &[u8]) -> Result<(), Trouble> {
        let taken = self.negotiation.take_answer(answer);
        taken.map_err(|error| {
            Trouble::media(
                &self.label,
                &error,
                answer,
                &self.negotiation.local().codecs,
            )
        })
    }

    /// The exchanges with a fork of our INVITE, or with the one peer.
    pub(super) fn with_fork(&mut self, fork: u32) -> &mut Negotiation {
        let settled = match &mut self.state {
            LegState::Outgoing { settled, .. } => settled.get_mut(&fork),
            _ => None,
        };
        settled.unwrap_or(&mut self.negotiation)
    }

    /// A fork has answered: its exchanges are the leg's, the others' are forgotten. Whether they had begun.
    pub(super) fn settle_on(&mut self, fork: u32) -> bool {
        let LegState::Outgoing { asked, settled } = &mut self.state else {
            return false;
        };
        let begun = settled.remove(&fork);
        let is_begun = begun.is_some();
        if let Some(with_it) = begun.or_else(|| asked.take().map(|asked| *asked)) {
            self.negotiation = with_it;
        }
        self.state = LegState::Up;
        is_begun
    }

    /// What both sides have agreed on, if they have.
    pub(super) fn agreed(&self) -> Option<&Agreed> {
        self.negotiation.agreed()
    }
}

/// The cause of a leg whose offer or answer could not be taken.
pub(super) fn offer_cause(error: &OfferError) -> Cause {
    match error.status() {
        488 | 606 => Cause::IncompatibleMedia,
        _ => Cause::Failure,
    }
}
