//! How keys come and go on a leg and what is done with its voice, by the section of its trunk or endpoint.

use clock::Now;
use sip::message::Method;
use sip::sdp::{KeySeed, Srtp};
use sip::transport::Flow;
use sip::ua::SessionId;

use super::Control;
use crate::call::{CallId, Dtmf, Label, LegId, LegMedia, info_body};
use crate::trunk::{Handling, SrtpPolicy};

impl Control {
    /// The leg's media with the keys of who is at its other end.
    pub(super) fn with_keys(&mut self, who: &Label, flow: Flow, mut media: LegMedia) -> LegMedia {
        let trunk = who.trunk.as_deref().and_then(|it| self.trunks.trunk(it));
        let endpoint = who.endpoint.as_deref();
        let endpoint = endpoint.and_then(|it| self.trunks.endpoint(it));
        let handling = match (trunk, endpoint) {
            (Some(trunk), _) => Some(trunk.handling),
            (None, endpoint) => endpoint.map(|endpoint| endpoint.handling),
        };
        media.dtmf = handling.map_or(Dtmf::Auto, |it| it.dtmf);
        media.local.dtmf = media.dtmf.has_events();
        if let Some(handling) = handling {
            media.voice = handling.voice;
            media.local.srtp = self.srtp(handling, flow);
            media.local.redundancy = handling.redundancy;
        }
        media
    }

    /// What a leg may do about SRTP. Its keys stand in SDP: over signalling that anybody on the way can
    /// read they are told only where that is configured.
    fn srtp(&mut self, handling: Handling, flow: Flow) -> Srtp {
        let may_tell = flow.transport.is_secure() || handling.srtp_keys_in_clear;
        match (handling.srtp, may_tell) {
            (SrtpPolicy::Off, _) | (SrtpPolicy::Optional, false) => Srtp::Off,
            (SrtpPolicy::Required, false) => Srtp::Withheld,
            (SrtpPolicy::Optional, true) => Srtp::Optional(self.leg_seed()),
            (SrtpPolicy::Required, true) => Srtp::Required(self.leg_seed()),
        }
    }

    pub(super) fn leg_seed(&mut self) -> KeySeed {
        self.keyed_legs += 1;
        self.media_keys.of_leg(self.keyed_legs)
    }

    /// Sends a key by INFO (RFC 6086, legacy `application/dtmf-relay`).
    pub(super) fn send_info(
        &mut self,
        now: Now,
        (call, leg, session): (CallId, LegId, SessionId),
        (digit, duration_ms): (char, u16),
    ) {
        let body = Some(info_body(digit, duration_ms));
        let sent = self.ua.request_in(now, session, Method::Info, &[], body);
        if sent.is_err()
            && let Some(slot) = self.calls.get_mut(&call)
        {
            slot.call.key_sent(leg);
            self.dirty.push_back(call);
        }
    }
}
