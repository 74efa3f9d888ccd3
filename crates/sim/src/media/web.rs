//! Browsers' ports of the studio: what a shared socket and a handshake come to, without either.
//!
//! A browser's sound comes to an address that its port has alone here. Nothing of it is let in, and nothing
//! goes out, until the two have met and some time has passed; who describes another certificate than it has
//! never gets there. It is over when the browser closes its port, or is not to be heard from any more.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use clock::{Duration, Now};
use media::port::{Keys, PortId};
use media::worker::{Loss, WebEnd, WebPeer};
use tandem::demo::phone::{browser_at, browser_keys, print_of};

/// A worker and its port.
pub(super) type Place = (u8, PortId);

/// What comes of a browser's port, when it is time.
#[derive(Debug)]
pub(super) enum Step {
    /// Its place is proven, and keys are made.
    Secured(SocketAddr, Box<Keys>),
    /// It is over.
    Lost(Loss),
}

/// All browsers' ports.
#[derive(Default)]
pub(super) struct Web {
    ports: BTreeMap<Place, Option<SocketAddr>>,
    /// In the order of their times, as far as that matters.
    due: VecDeque<(Now, Place, Step)>,
}

impl Web {
    /// One more, at that address.
    pub(super) fn open(&mut self, place: Place, at: SocketAddr) -> WebEnd {
        self.ports.insert(place, None);
        WebEnd {
            ufrag: format!("server{}of{}", place.1.0, place.0),
            password: "servers+password+24chars".to_owned(),
            fingerprint: print_of(at),
            candidates: vec![at],
        }
    }

    /// Hands are shaken with that peer, a little later.
    pub(super) fn meet(&mut self, now: Now, place: Place, peer: &WebPeer) {
        if !self.ports.contains_key(&place) {
            return;
        }
        let at = browser_at(&peer.ufrag);
        let real = at.filter(|at| print_of(*at) == peer.fingerprint);
        let keys = real.and_then(browser_keys);
        let keys = keys.and_then(|(theirs, ours)| Keys::new(ours, theirs));
        let step = match real.zip(keys) {
            Some((at, keys)) => Step::Secured(at, keys),
            None => Step::Lost(Loss::Stranger),
        };
        self.due.push_back((now + SHAKES, place, step));
    }

    /// Whether a packet from there may go to that port; any may, to a port that is no browser's.
    pub(super) fn lets_in(&self, place: Place, from: SocketAddr) -> bool {
        self.ports.get(&place).is_none_or(|at| *at == Some(from))
    }

    pub(super) fn has(&self, place: Place) -> bool {
        self.ports.contains_key(&place)
    }

    pub(super) fn close(&mut self, place: Place) {
        self.ports.remove(&place);
        self.due.retain(|(_, of, _)| *of != place);
    }

    /// A browser's own port is closed: it says so.
    pub(super) fn page_left(&mut self, now: Now, at: SocketAddr) {
        self.lose(now + TOLD, Loss::Closed, |it| it == at);
    }

    /// Nothing comes from that host any more.
    pub(super) fn silent(&mut self, now: Now, ip: IpAddr) {
        self.lose(now + CONSENT, Loss::NoConsent, |it| it.ip() == ip);
    }

    fn lose(&mut self, when: Now, why: Loss, is: impl Fn(SocketAddr) -> bool) {
        for (place, at) in &self.ports {
            if at.is_some_and(&is) {
                self.due.push_back((when, *place, Step::Lost(why)));
            }
        }
    }

    pub(super) fn deadline(&self) -> Option<Now> {
        self.due.iter().map(|(at, ..)| *at).min()
    }

    /// What is due next.
    pub(super) fn pop_due(&mut self, now: Now) -> Option<(Place, Step)> {
        let at = self.due.iter().position(|(at, ..)| *at <= now)?;
        let (_, place, step) = self.due.remove(at)?;
        if let (Step::Secured(from, _), Some(is)) = (&step, self.ports.get_mut(&place)) {
            *is = Some(*from);
        }
        Some((place, step))
    }
}

/// Checks and a handshake, on one host.
const SHAKES: Duration = Duration::from_millis(20);

/// How long a browser's farewell takes.
const TOLD: Duration = Duration::from_millis(5);

/// As RFC 7675 has it.
const CONSENT: Duration = Duration::from_secs(30);
