//! Every browser's session: found by the name in a check or the address of a handshake, and looked after in time.
//!
//! A handshake is given to the one who has proven to be at that address; from anywhere else it is counted and
//! forgotten (CVE-2023-49786). Two who say they are at one address: the later is believed. The answer to a check
//! of ours is given to the one who was asked there.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;

use clock::Now;
use media::worker::{WebPeer, WebRenamed};
use webrtc_lite::{Credentials, Fingerprint, Identity, Kind, Output, Session, Terms, stun};

use super::Guest;

/// What has come of what came.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(in crate::io) struct Counts {
    /// Sessions at present.
    pub(in crate::io) sessions: u64,
    /// Datagrams taken.
    pub(in crate::io) taken: u64,
    /// Of them: checks that name nobody here, and handshakes from where nobody is.
    pub(in crate::io) strange: u64,
    /// Of them: checks whose proof or form is wrong.
    pub(in crate::io) forged: u64,
    /// Browsers asked whether it is they who are heard from elsewhere.
    pub(in crate::io) asked: u64,
    /// Datagrams sent.
    pub(in crate::io) sent: u64,
    /// Datagrams that the system refused to send.
    pub(in crate::io) send_errors: u64,
    /// Handshakes that made keys.
    pub(in crate::io) secured: u64,
    /// Sessions that ended by themselves.
    pub(in crate::io) lost: u64,
}

/// All sessions. As many as there are browsers' ports at most.
pub(super) struct Lobby {
    identity: Identity,
    seats: HashMap<Guest, Seat>,
    by_name: HashMap<String, Guest>,
    by_path: HashMap<(u8, SocketAddr), Guest>,
    /// Who was asked where; one address each at most.
    asked: HashMap<(u8, SocketAddr), Guest>,
    due: BTreeSet<(Now, Guest)>,
    outputs: VecDeque<(Guest, Output)>,
    pub(super) counts: Counts,
}

struct Seat {
    session: Session,
    /// What checks call us: the last, and those of before an ICE restart, which hold until one comes with the last.
    names: Vec<String>,
    /// Where it was asked last.
    asked: Option<SocketAddr>,
    due: Option<Now>,
}

impl Lobby {
    pub(super) fn new(identity: Identity) -> Self {
        Self {
            identity,
            seats: HashMap::new(),
            by_name: HashMap::new(),
            by_path: HashMap::new(),
            asked: HashMap::new(),
            due: BTreeSet::new(),
            outputs: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// A browser will come that is told of that end.
    pub(super) fn wait_for(&mut self, now: Now, guest: Guest, ours: Credentials) {
        let name = ours.ufrag.clone();
        self.by_name.insert(name.clone(), guest);
        let seat = Seat {
            session: Session::new(now, &self.identity, ours, None),
            names: vec![name],
            asked: None,
            due: None,
        };
        self.seats.insert(guest, seat);
        self.counts.sessions = self.seats.len() as u64;
    }

    /// Its SDP is here. Who has no print that can be read has none that can be right.
    pub(super) fn meet(&mut self, now: Now, guest: Guest, peer: WebPeer) {
        let unreadable = Fingerprint::of(b"");
        let fingerprint = peer.fingerprint.parse().unwrap_or(unreadable);
        let theirs = Credentials {
            ufrag: peer.ufrag,
            password: peer.password,
        };
        let renamed = peer.renamed.and_then(|ours| self.rename(guest, ours));
        self.with(guest, |session| {
            if let Some(ours) = renamed {
                session.restart(ours, Some(theirs.clone()));
            }
            let terms = Terms {
                credentials: theirs,
                fingerprint,
            };
            session.meet(now, terms);
        });
    }

    /// Its checks will call us so: the new name and what proves it, if it is new.
    fn rename(&mut self, guest: Guest, ours: WebRenamed) -> Option<Credentials> {
        let WebRenamed { ufrag, password } = ours;
        let seat = self.seats.get_mut(&guest)?;
        if seat.names.contains(&ufrag) || self.by_name.contains_key(&ufrag) {
            return None;
        }
        if seat.names.len() == NAMES_MAX {
            self.by_name.remove(&seat.names.remove(0));
        }
        seat.names.push(ufrag.clone());
        self.by_name.insert(ufrag.clone(), guest);
        Some(Credentials { ufrag, password })
    }

    /// Its port is gone: it is told so.
    pub(super) fn leave(&mut self, now: Now, guest: Guest) {
        self.with(guest, |session| session.close(now));
        let Some(seat) = self.seats.remove(&guest) else {
            return;
        };
        for name in &seat.names {
            self.by_name.remove(name);
        }
        for path in seat.session.paths() {
            part(&mut self.by_path, guest, path);
        }
        if let Some(asked) = seat.asked {
            part(&mut self.asked, guest, asked);
        }
        if let Some(due) = seat.due {
            self.due.remove(&(due, guest));
        }
        self.counts.sessions = self.seats.len() as u64;
    }

    /// Takes what came to a worker's socket.
    pub(super) fn receive(&mut self, now: Now, worker: u8, from: SocketAddr, bytes: &[u8]) {
        self.counts.taken += 1;
        let guest = match bytes.first().map(|first| Kind::of(*first)) {
            Some(Kind::Stun) => match stun::addressee(bytes) {
                Some(name) => self.by_name.get(name),
                None => self.asked.get(&(worker, from)),
            },
            Some(Kind::Dtls) => self.by_path.get(&(worker, from)),
            _ => None,
        };
        match guest.copied().filter(|guest| guest.worker == worker) {
            Some(guest) => self.with(guest, |session| session.receive(now, from, bytes)),
            None => self.counts.strange += 1,
        }
    }

    /// Media that is authentically a browser's came from where it is not known to be: it is asked there.
    pub(super) fn heard(&mut self, now: Now, guest: Guest, from: SocketAddr) {
        let before = self.outputs.len();
        self.with(guest, |session| session.heard(now, from));
        let Some(seat) = self.seats.get_mut(&guest) else {
            return;
        };
        if self.outputs.len() > before {
            if let Some(before) = seat.asked.replace(from) {
                part(&mut self.asked, guest, before);
            }
            self.asked.insert((guest.worker, from), guest);
            self.counts.asked += 1;
        }
    }

    /// What is due by now.
    pub(super) fn handle_timeout(&mut self, now: Now) {
        for _ in 0..self.due.len() {
            match self.due.first() {
                Some(&(at, guest)) if at <= now => {
                    self.with(guest, |session| session.handle_timeout(now));
                }
                _ => return,
            }
        }
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Now> {
        self.due.first().map(|(at, _)| *at)
    }

    /// What is to be done next.
    pub(super) fn poll_output(&mut self) -> Option<(Guest, Output)> {
        self.outputs.pop_front()
    }

    /// Does something with a session, and keeps what it says, and when it wants to be asked again.
    fn with(&mut self, guest: Guest, act: impl FnOnce(&mut Session)) {
        let Some(seat) = self.seats.get_mut(&guest) else {
            return;
        };
        let before = seat.session.refused();
        act(&mut seat.session);
        let after = seat.session.refused();
        self.counts.forged += u64::from(after.checks - before.checks);
        self.counts.strange += u64::from(after.records - before.records);
        while let Some(output) = seat.session.poll_output() {
            match &output {
                Output::Path(at) => {
                    self.by_path.insert((guest.worker, *at), guest);
                }
                Output::NoPath(at) => part(&mut self.by_path, guest, *at),
                Output::Keys(_) => self.counts.secured += 1,
                Output::Ended(_) => self.counts.lost += 1,
                Output::Transmit { .. } | Output::Chosen(_) => {}
            }
            self.outputs.push_back((guest, output));
        }
        let due = seat.session.deadline();
        if due != seat.due {
            let before = std::mem::replace(&mut seat.due, due);
            before.map(|at| self.due.remove(&(at, guest)));
            due.map(|at| self.due.insert((at, guest)));
        }
    }
}

/// Names of one seat that are still answered to.
const NAMES_MAX: usize = 4;

/// An address is nobody's, unless it is somebody else's by now.
fn part(paths: &mut HashMap<(u8, SocketAddr), Guest>, guest: Guest, path: SocketAddr) {
    let place = (guest.worker, path);
    if paths.get(&place) == Some(&guest) {
        paths.remove(&place);
    }
}
