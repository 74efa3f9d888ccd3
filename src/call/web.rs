//! Legs of WebRTC: their port is told whom it is with, and they end with its media.
//!
//! ```text
//!   reserved with our names ── their SDP ──▶ Output::Meet ── hands are shaken elsewhere ──▶ sound
//!                                 └─ another peer, or new names of either: Output::Meet again
//!   PortEvent::Lost ──▶ the leg ends; closed by the page itself: once AWAITED is over
//! ```
//!
//! A page that is reloaded closes its media and comes back: another leg takes this one's place then (RFC 3891).
//! One that is closed for good has said BYE, or is not heard of again.

use clock::{Duration, Now};
use media::port::{Latch, PortId, PortPlan, Security};
use media::worker::{Loss, WebPeer, WebRenamed};
use sip::sdp::{Agreed, LocalMedia};

use super::command::Output;
use super::leg::Leg;
use super::machine::Call;
use super::{Cause, LegId, Trouble};

/// What a leg's port was told of its peer.
#[derive(Clone, Debug)]
pub(super) struct Meeting {
    /// What the peer's checks call us, as the port was reserved.
    name: String,
    /// Whom it is with.
    told: Option<WebPeer>,
}

impl Meeting {
    /// Of a leg that is over WebRTC's transport.
    pub(super) fn of(local: &LocalMedia) -> Option<Self> {
        let name = local.web.as_ref()?.ufrag.clone();
        Some(Self { name, told: None })
    }
}

impl Leg {
    /// Whether its media goes over WebRTC's transport. Such a port stays on its worker.
    pub(super) fn is_web(&self) -> bool {
        self.port.meeting.is_some()
    }

    /// A plan for a port whose peer proves where it is, and whose keys come later.
    pub(super) fn awaiting(&self, plan: PortPlan) -> PortPlan {
        if !self.is_web() {
            return plan;
        }
        PortPlan {
            remote: None,
            rtcp_mux: true,
            security: Security::Awaited,
            latch: Latch::Proven,
            ..plan
        }
    }

    /// Whom its port is with by that agreement, if it has not been told.
    fn meets(&mut self, agreed: Option<&Agreed>) -> Option<WebPeer> {
        let theirs = agreed?.web.as_ref()?;
        let ours = self.negotiation.local().web.as_ref()?;
        let meeting = self.port.meeting.as_mut()?;
        let renamed = (ours.ufrag != meeting.name).then(|| WebRenamed {
            ufrag: ours.ufrag.clone(),
            password: ours.password.clone(),
        });
        let peer = WebPeer {
            ufrag: theirs.ufrag.clone(),
            password: theirs.password.clone(),
            fingerprint: theirs.fingerprint.clone(),
            renamed,
        };
        let is_new = meeting.told.as_ref() != Some(&peer);
        is_new.then(|| meeting.told.insert(peer).clone())
    }
}

impl Call {
    /// Whether a leg's media goes over WebRTC's transport: its port stays on its worker.
    pub fn is_web(&self, leg: LegId) -> bool {
        self.legs.get(&leg).is_some_and(Leg::is_web)
    }

    /// The leg's port is told whom it is with by that agreement; nothing of any other leg.
    pub(super) fn meet(&mut self, leg: LegId, agreed: Option<&Agreed>) {
        let Some(it) = self.legs.get_mut(&leg) else {
            return;
        };
        let port = it.port.id;
        if let Some(peer) = it.meets(agreed) {
            self.outputs.push_back(Output::Meet { port, peer });
        }
    }

    /// The same by what the leg has agreed on.
    pub(super) fn meet_agreed(&mut self, leg: LegId) {
        let agreed = self.legs.get(&leg).and_then(Leg::agreed).cloned();
        self.meet(leg, agreed.as_ref());
    }

    /// A browser's media is over, and the leg with it; at once, unless its page may come back.
    pub(super) fn on_lost(&mut self, now: Now, port: PortId, why: Loss) {
        let leg = self.leg_of(port).and_then(|leg| self.legs.get_mut(&leg));
        let Some(leg) = leg.filter(|leg| leg.is_alive()) else {
            return;
        };
        let (id, who) = (leg.id, leg.label.clone());
        let cause = match why {
            Loss::Closed if leg.is_answered() => {
                leg.awaited_until.get_or_insert(now + AWAITED);
                return;
            }
            Loss::Closed => Cause::Normal,
            Loss::NoCheck | Loss::NoHandshake | Loss::NoConsent => Cause::Lost,
            Loss::Stranger | Loss::Handshake => Cause::IncompatibleMedia,
        };
        if cause != Cause::Normal {
            self.trouble(Trouble::WebLost { who, why });
        }
        self.leg_failed(now, id, cause);
        self.finish_if_over(now);
    }

    /// When somebody is given up who has closed his media and not come back.
    pub(super) fn awaited_until(&self) -> Option<Now> {
        let here = self.legs.values().filter(|leg| leg.is_alive());
        here.filter_map(|leg| leg.awaited_until).min()
    }

    /// Ends the legs of those who have not come back.
    pub(super) fn give_up_absent(&mut self, now: Now) {
        let late = |leg: &&Leg| leg.is_alive() && leg.awaited_until.is_some_and(|at| at <= now);
        let late: Vec<LegId> = self.legs.values().filter(late).map(|leg| leg.id).collect();
        for leg in late {
            self.leg_failed(now, leg, Cause::Normal);
        }
        self.finish_if_over(now);
    }
}

/// How long a page may take to come back: a reload takes some two seconds, a slow one several.
const AWAITED: Duration = Duration::from_secs(8);
