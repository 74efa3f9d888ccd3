//! How keys come and go on a leg, by the section of its trunk or endpoint.

use clock::Now;
use sip::message::Method;
use sip::ua::SessionId;

use super::Control;
use crate::call::{CallId, Dtmf, Label, LegId, LegMedia, info_body};

impl Control {
    /// The leg's media with the keys of who is at its other end.
    pub(super) fn with_keys(&self, who: &Label, mut media: LegMedia) -> LegMedia {
        let trunk = who.trunk.as_deref().and_then(|it| self.trunks.trunk(it));
        let endpoint = who.endpoint.as_deref();
        let endpoint = endpoint.and_then(|it| self.trunks.endpoint(it));
        media.dtmf = match (trunk, endpoint) {
            (Some(trunk), _) => trunk.handling.dtmf,
            (None, Some(endpoint)) => endpoint.handling.dtmf,
            (None, None) => Dtmf::Auto,
        };
        media.local.dtmf = media.dtmf.has_events();
        media
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
