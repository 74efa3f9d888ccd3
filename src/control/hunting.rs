//! From target to target: a leg to a trunk that one target refuses by its own fault is offered to the
//! next, without its call noticing.
//!
//! The law: what a refusal means is [`Hunt`]'s to say; here its words are carried. The leg keeps its id,
//! its port and its offer, and its trunk's caps were taken once; only the SIP session is another.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clock::Now;
use sip::ua::{Ending, Event as SipEvent, Invite, SessionId};

use super::{Control, What};
use crate::call::{CallId, Destination, DialToken, LegId};
use crate::trunk::{
    Admitted, Hop, Hunt, Routing, Setback, Target, Verdict, redirected_hops, retry_after,
};

/// A leg by a trunk that is about to be rung.
pub(super) struct Dialled {
    pub(super) admitted: Admitted,
    pub(super) hunt: Hunt,
    pub(super) trunk: String,
    /// The called user, escaped for a URI.
    pub(super) user: String,
}

/// A dialling whose trunk's names are not known yet.
pub(super) struct Pending {
    pub(super) call: CallId,
    pub(super) token: DialToken,
    pub(super) to: Vec<Destination>,
    pub(super) caller_id: Option<String>,
    pub(super) until: Now,
}

/// Legs that have not been answered.
#[derive(Default)]
pub(super) struct Hunts {
    by_session: BTreeMap<SessionId, Hunting>,
    /// When a target has said nothing for too long.
    patience: BTreeSet<(Now, SessionId)>,
    /// Refusals that wait for a redirection's name to be looked up.
    paused: BTreeMap<SessionId, Paused>,
}

struct Hunting {
    call: CallId,
    leg: LegId,
    trunk: String,
    user: String,
    hunt: Hunt,
    invite: Invite,
    routing: Routing,
    lost_at: Option<Now>,
}

struct Paused {
    uris: Vec<String>,
    event: SipEvent,
    until: Now,
}

impl Hunts {
    pub(super) fn deadline(&self) -> Option<Now> {
        let patience = self.patience.first().map(|(at, _)| *at);
        let paused = self.paused.values().map(|paused| paused.until).min();
        patience.into_iter().chain(paused).min()
    }

    fn put(&mut self, now: Now, session: SessionId, mut hunting: Hunting) {
        let transport = hunting.hunt.current.target.transport;
        let lost_at = now + hunting.routing.patience_by(transport);
        hunting.lost_at = Some(lost_at);
        self.patience.insert((lost_at, session));
        self.by_session.insert(session, hunting);
    }

    fn take(&mut self, session: SessionId) -> Option<Hunting> {
        self.calm(session);
        self.by_session.remove(&session)
    }

    /// Something has been heard: the patience is not at stake any more.
    fn calm(&mut self, session: SessionId) {
        let hunting = self.by_session.get_mut(&session);
        if let Some(at) = hunting.and_then(|hunting| hunting.lost_at.take()) {
            self.patience.remove(&(at, session));
        }
    }

    /// Whose leg a session is, its trunk, and the number that was dialled, escaped.
    pub(super) fn dialled(&self, session: SessionId) -> Option<(CallId, String, String)> {
        let hunting = self.by_session.get(&session)?;
        Some((hunting.call, hunting.trunk.clone(), hunting.user.clone()))
    }
}

impl Control {
    /// Turns a dialling's destinations into targets, now or when a trunk's names are known: at most
    /// [`NAMES_WAIT`] later.
    pub(super) fn on_resolve(&mut self, now: Now, pending: Pending) {
        let asks = self.asks_for_names(now, &pending);
        if asks && pending.until > now && self.carriers.pending.len() < PENDING_MAX {
            self.carriers.pending.push(pending);
            return;
        }
        let Pending {
            call,
            token,
            to,
            caller_id,
            ..
        } = pending;
        let targets = self.resolve(now, call, &to, caller_id.as_deref());
        if let Some(slot) = self.calls.get_mut(&call) {
            match slot.barred.take().filter(|_| targets.is_empty()) {
                Some(status) => slot.call.unresolved(now, token, status),
                None => slot.call.resolved(now, token, targets),
            }
            self.dirty.push_back(call);
        }
    }

    /// Whether a trunk that the dialling may go by has names that are being asked for.
    fn asks_for_names(&mut self, now: Now, pending: &Pending) -> bool {
        let slot = self.calls.get(&pending.call);
        let came_by = slot.and_then(|slot| slot.trunk.clone());
        let trunks: Vec<_> = pending
            .to
            .iter()
            .filter_map(|to| match to {
                Destination::Trunk { trunk, .. } => Some(trunk.clone()),
                Destination::Uri(_) => came_by.clone(),
                Destination::Endpoint(_) => None,
            })
            .filter_map(|name| self.trunks.trunk(&name).cloned())
            .collect();
        trunks.iter().any(|trunk| self.hops_of(now, trunk).1.asking)
    }

    /// Goes on with what waited for names: with what is known by now, or when the wait is over.
    pub(super) fn take_up(&mut self, now: Now) {
        for pending in std::mem::take(&mut self.carriers.pending) {
            self.on_resolve(now, pending);
        }
        let paused: Vec<SessionId> = self.carriers.hunts.paused.keys().copied().collect();
        for session in paused {
            if let Some(paused) = self.carriers.hunts.paused.remove(&session) {
                self.follow(now, session, paused);
            }
        }
    }

    /// A dialled leg's INVITE is out.
    pub(super) fn hunt(
        &mut self,
        now: Now,
        session: SessionId,
        (call, leg): (CallId, LegId),
        (mut hunt, trunk, user): (Hunt, String, String),
        invite: Invite,
    ) {
        hunt.addressed(&invite.request_uri);
        let config = self.trunks.trunk(&trunk);
        let routing = config.map_or(Routing::USUAL, |config| config.routing.clone());
        let hunting = Hunting {
            call,
            leg,
            trunk,
            user,
            hunt,
            invite,
            routing,
            lost_at: None,
        };
        self.carriers.hunts.put(now, session, hunting);
    }

    /// Takes a session's event that is not its call's business: `true` if it ends here.
    pub(super) fn hunted(&mut self, now: Now, session: SessionId, event: &SipEvent) -> bool {
        let Some(hunting) = self.carriers.hunts.by_session.get_mut(&session) else {
            return false;
        };
        let (trunk, target) = (hunting.trunk.clone(), hunting.hunt.current.target);
        match event {
            SipEvent::Progressed { status, .. } => {
                if *status >= 180 {
                    hunting.hunt.rings();
                }
                self.carriers.hunts.calm(session);
                self.target_lives(now, &trunk, target);
                false
            }
            SipEvent::Answered { .. } => {
                self.carriers.hunts.take(session);
                self.target_lives(now, &trunk, target);
                false
            }
            SipEvent::Refused { .. } => self.on_hunt_refused(now, session, event),
            SipEvent::Ended { .. } => {
                self.carriers.hunts.take(session);
                self.carriers.hunts.paused.remove(&session);
                false
            }
            _ => false,
        }
    }

    fn on_hunt_refused(&mut self, now: Now, session: SessionId, event: &SipEvent) -> bool {
        let SipEvent::Refused {
            status, response, ..
        } = event
        else {
            return false;
        };
        self.carriers.hunts.calm(session);
        let Some(hunting) = self.carriers.hunts.by_session.get_mut(&session) else {
            return false;
        };
        let (trunk, target) = (hunting.trunk.clone(), hunting.hunt.current.target);
        let (setback, why) = match response {
            Some(response) => (Setback::Refused(*status, response), status.to_string()),
            None if *status == 408 => (Setback::Silence, "no answer".to_owned()),
            None => (Setback::Unreachable, "the way to it broke".to_owned()),
        };
        let verdict = hunting.hunt.on_setback(setback);
        match (response, status) {
            (Some(response), 503) => {
                let rest = retry_after(response);
                if rest.is_some() {
                    self.target_fails(now, &trunk, target, (&why, rest));
                }
            }
            (Some(_), _) => self.target_lives(now, &trunk, target),
            (None, _) => self.target_fails(now, &trunk, target, (&why, None)),
        }
        match verdict {
            Verdict::Over => {
                self.carriers.hunts.take(session);
                false
            }
            Verdict::Next => self.try_next(now, session, &why),
            Verdict::Redirected(uris) => {
                let until = now + NAMES_WAIT;
                let event = event.clone();
                self.follow(now, session, Paused { uris, event, until });
                true
            }
        }
    }

    /// Tries a redirection's contacts as soon as their names are known; the refusal stands if none can be.
    fn follow(&mut self, now: Now, session: SessionId, paused: Paused) {
        let (mut found, mut asking) = (Vec::new(), false);
        for uri in &paused.uris {
            if !self.may_redirect(now, session, uri) {
                continue;
            }
            let (speaks, names) = (&self.carriers.speaks, &mut self.carriers.names);
            let random = &mut || self.random.next();
            let (hops, asks) = redirected_hops(now, uri, speaks, names, random);
            found.extend(hops);
            asking |= asks;
        }
        self.ask_names();
        if asking && paused.until > now {
            self.carriers.hunts.paused.insert(session, paused);
            return;
        }
        if let Some(hunting) = self.carriers.hunts.by_session.get_mut(&session) {
            hunting.hunt.prefer(found);
        }
        if !self.try_next(now, session, "redirected") {
            self.on_session(now, paused.event);
        }
    }

    /// A call gives up on a leg whose redirection is being looked up: there is no session to end.
    pub(super) fn unpause(&mut self, now: Now, session: SessionId) -> bool {
        let Some(paused) = self.carriers.hunts.paused.remove(&session) else {
            return false;
        };
        self.carriers.hunts.take(session);
        self.on_session(now, paused.event);
        true
    }

    /// Sends the leg's INVITE to the next target; `false` if there is none, or nothing can be sent.
    fn try_next(&mut self, now: Now, session: SessionId, why: &str) -> bool {
        let Some(mut hunting) = self.carriers.hunts.take(session) else {
            return false;
        };
        let from = hunting.hunt.current.target;
        let fits = |hop: &Hop| {
            let same = hop.target.address.is_ipv4() == from.address.is_ipv4();
            // The offer names an address of one family.
            same && self.flow_to(hop.target).is_some()
        };
        let (call, leg) = (hunting.call, hunting.leg);
        let ends = self
            .calls
            .get(&call)
            .is_none_or(|slot| slot.call.is_ending());
        if ends || !hunting.hunt.advance(fits) {
            return false;
        }
        let hop = hunting.hunt.current.clone();
        let Some(flow) = self.flow_to_hop(&hunting.trunk, &hop) else {
            return false;
        };
        hunting.invite.flow = flow;
        if let Some(credentials) = &mut hunting.invite.credentials {
            // The carrier's next target may ask as well; who else may, was said before.
            credentials.scope.peers.push((flow.remote.ip(), 128));
        }
        hunting.invite.request_uri = hop.request_uri(&hunting.user);
        route_by(&mut hunting.invite, &hop);
        hunting.hunt.addressed(&hunting.invite.request_uri);
        let Ok(next) = self.ua.invite(now, hunting.invite.clone()) else {
            return false;
        };
        self.sessions.remove(&session);
        self.sessions.insert(next, (call, leg));
        if let Some(slot) = self.calls.get_mut(&call) {
            slot.sessions.insert(leg, next);
            slot.call.rerouted(leg);
            self.dirty.push_back(call);
        }
        let what = What::Rerouted {
            trunk: hunting.trunk.clone(),
            from,
            to: hop.target,
            why: why.to_owned(),
        };
        self.carriers.hunts.put(now, next, hunting);
        self.note_leg(now, (call, leg), next, flow.remote);
        self.event(now, call, what);
        true
    }

    /// Gives up on targets that have said nothing at all, where there is another.
    pub(super) fn lose_patience(&mut self, now: Now) {
        while let Some((at, session)) = self.carriers.hunts.patience.first().copied() {
            if at > now {
                return;
            }
            self.carriers.hunts.calm(session);
            if self.ua.is_proceeding(session) {
                continue;
            }
            let hunting = self.carriers.hunts.by_session.get_mut(&session);
            let Some(hunting) = hunting else { continue };
            let (trunk, target) = (hunting.trunk.clone(), hunting.hunt.current.target);
            if hunting.hunt.on_setback(Setback::Silence) != Verdict::Next {
                continue;
            }
            let why = "no answer in time";
            self.target_fails(now, &trunk, target, (why, None));
            if self.is_last(session) {
                continue;
            }
            if self.try_next(now, session, why) {
                // Its late answers are taken, acknowledged and ended without anybody's noticing.
                self.ua.end(now, session, Ending::default());
            }
        }
    }

    /// The last target keeps its transaction's whole time: nobody else would be asked.
    fn is_last(&self, session: SessionId) -> bool {
        let hunting = self.carriers.hunts.by_session.get(&session);
        hunting.is_none_or(|hunting| {
            let now: Target = hunting.hunt.current.target;
            let fits = |hop: &Hop| {
                hop.target.address.is_ipv4() == now.address.is_ipv4()
                    && self.flow_to(hop.target).is_some()
            };
            !hunting.hunt.has_next(fits)
        })
    }
}

/// Leads an INVITE by a hop's proxy, or by none.
pub(super) fn route_by(invite: &mut Invite, hop: &Hop) {
    invite.headers.retain(|(name, _)| name != "Route");
    if let Some(route) = &hop.route {
        let route = ("Route".to_owned(), route.clone());
        invite.headers.insert(0, route);
    }
}

/// How long a call waits for a name that nobody has asked for before.
pub(super) const NAMES_WAIT: Duration = Duration::from_secs(2);
/// Diallings that wait for names at once; one more goes on with what is known.
const PENDING_MAX: usize = 1_024;
