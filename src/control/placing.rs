//! Where a leg's media has its port: with sockets of its own, or, for a browser, behind the socket that a
//! worker's browsers share.
//!
//! An offer says by its profile what it wants. Where we offer, whoever is reached over WebSocket is a browser.
//! A browser's port stays on its worker: whoever is to hear it comes there.

use clock::Now;
use media::port::PortId;
use media::worker::{IpFamily, NoPort, Reserved, WebEnd, WebPeer};
use sip::sdp::{Negotiation, WebLocal};
use sip::transport::{Flow, Transport};

use super::{Control, Refusal, Slot};
use crate::call::{Action, CallId, Cause};

/// A port that waits for its leg.
pub(super) struct Place {
    pub(super) reserved: Reserved,
    /// Our end of WebRTC's transport, if that is how it is reached.
    pub(super) web: Option<WebEnd>,
}

impl From<Reserved> for Place {
    fn from(reserved: Reserved) -> Self {
        Self {
            reserved,
            web: None,
        }
    }
}

impl Control {
    /// A port for a leg whose signalling goes that way, on the worker `beside` or the least loaded one. `offer`
    /// is theirs; without, we make one.
    pub(super) fn place(
        &mut self,
        beside: Option<u8>,
        flow: Flow,
        offer: Option<&[u8]>,
    ) -> Result<Place, NoPort> {
        let is_socket = is_page(flow);
        let wants = match offer {
            Some(offer) => Negotiation::wants_web(offer),
            None => is_socket,
        };
        if wants {
            match self.media.reserve_web(beside) {
                Ok((reserved, end)) => {
                    return Ok(Place {
                        reserved,
                        web: Some(end),
                    });
                }
                // A device's offer is refused by its profile, which says more.
                Err(NoPort::NoWeb) if !is_socket => {}
                Err(why) => return Err(why),
            }
        }
        let family = IpFamily::of(flow.remote.ip().to_canonical());
        let reserved = match beside {
            Some(worker) => self.media.reserve_beside(worker, family),
            None => self.media.reserve(family),
        };
        reserved.map(Place::from)
    }

    /// The worker of another call that a browser's endpoint is in: whoever asks a second party while the first
    /// waits shall be able to join them, and of browsers neither port goes to another worker.
    pub(super) fn other_call_of(&self, endpoint: Option<&str>, flow: Flow) -> Option<u8> {
        let endpoint = endpoint.filter(|_| is_page(flow))?;
        let is_in = |slot: &Slot| slot.call.endpoints().any(|it| it == endpoint);
        let slot = self.calls.values().find(|slot| is_in(slot))?;
        Some(slot.call.worker())
    }

    /// What a leg says of our end.
    pub(super) fn web_local(&mut self, end: WebEnd) -> WebLocal {
        let WebEnd {
            ufrag,
            password,
            fingerprint,
            candidates,
        } = end;
        WebLocal {
            ufrag,
            password,
            fingerprint,
            candidates,
            seed: self.leg_seed(),
        }
    }

    /// A call's port is with that browser.
    pub(super) fn on_meeting(&mut self, now: Now, call: CallId, port: PortId, peer: WebPeer) {
        let Some(slot) = self.calls.get_mut(&call) else {
            return;
        };
        let worker = slot.call.worker();
        if self.media.meet(worker, port, peer).is_err() {
            slot.call.ask(now, Action::Hangup(Cause::Congestion));
            self.trouble(now, call, &Refusal::MediaBehind);
        }
    }
}

/// Whether that way leads to a browser.
pub(super) fn is_page(flow: Flow) -> bool {
    matches!(flow.transport, Transport::Ws | Transport::Wss)
}
