//! One peer's transport from its first check to its end.
//!
//! ```text
//!   waiting ── a proven check ──▶ connected ── ClientHello by a path ──▶ shaking ── keys ──▶ secured
//!      │                             │                                      │                  │
//!      └── nobody came in 30 s ──────┴── consent ended, or no handshake ────┴── stranger, alert, close ──▶ ended
//! ```
//!
//! The 30 s begin when the peer's SDP is known: while its phone rings, nobody comes.
//!
//! What comes from an address that is no path and is no proven check changes nothing, and is answered
//! with nothing: so nobody can put his ClientHello before the peer's (CVE-2023-49786), nor have anything
//! sent to where he likes. Only of whom authentic media is heard from elsewhere it is asked there, whether it is he.

use std::collections::VecDeque;
use std::net::SocketAddr;

use clock::{Duration, Now};

use crate::dtls::{Failure, Handshake, Identity, Made, SrtpKeys};
use crate::ice::{Credentials, IceLite};
use crate::{Fingerprint, Kind};

/// What the peer's SDP says of its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Terms {
    /// Its name in checks, and what proves its answers to ours.
    pub credentials: Credentials,
    /// Its certificate's print.
    pub fingerprint: Fingerprint,
}

/// What is to be done, in order.
#[derive(Debug)]
pub enum Output {
    /// Send a datagram.
    Transmit {
        /// To where: always a path, or where a proven check or authentic media came from.
        to: SocketAddr,
        /// The datagram.
        bytes: Vec<u8>,
    },
    /// Media from there is the peer's from now on.
    Path(SocketAddr),
    /// It is no longer.
    NoPath(SocketAddr),
    /// Media goes there from now on.
    Chosen(SocketAddr),
    /// Media is protected so from now on.
    Keys(Box<SrtpKeys>),
    /// The session is over; it says nothing more.
    Ended(Why),
}

/// Why a session ended.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Why {
    /// Nobody proved an address.
    #[error("no connectivity check came within {} s", CONNECT.as_secs())]
    NoCheck,
    /// It checked, and never shook hands.
    #[error("no handshake within {} s of the first check", SHAKE.as_secs())]
    NoHandshake,
    /// It does not want to hear us any longer, or is gone (RFC 7675).
    #[error("no connectivity check for {} s", crate::ice::CONSENT.as_secs())]
    NoConsent,
    /// The handshake failed, or was ended.
    #[error(transparent)]
    Handshake(#[from] Failure),
}

/// What became of datagrams that were not answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Refused {
    /// Checks that are malformed, for others, or without the right proof.
    pub checks: u32,
    /// Handshake records from addresses that have proven nothing.
    pub records: u32,
}

/// One peer.
#[derive(Debug)]
pub struct Session {
    identity: Identity,
    ice: IceLite,
    handshake: Handshake,
    /// Whom it is to be with.
    met: Option<Fingerprint>,
    /// What ends it unless it gets on: `None` when it is secured.
    due: Option<(Now, Why)>,
    is_connected: bool,
    is_secured: bool,
    is_over: bool,
    refused: Refused,
    outputs: VecDeque<Output>,
}

impl Session {
    /// An end that is known by `ours`. `theirs` is in the peer's SDP: while it is still on the way, checks
    /// are answered, and nobody is trusted.
    pub fn new(now: Now, identity: &Identity, ours: Credentials, theirs: Option<Terms>) -> Self {
        let (theirs, print) = theirs.map(|it| (it.credentials, it.fingerprint)).unzip();
        Self {
            identity: identity.clone(),
            ice: IceLite::new(now, ours, theirs),
            handshake: Handshake::new(now, identity, print.clone()),
            due: print.as_ref().map(|_| (now + CONNECT, Why::NoCheck)),
            met: print,
            is_connected: false,
            is_secured: false,
            is_over: false,
            refused: Refused::default(),
            outputs: VecDeque::new(),
        }
    }

    /// What the peer's SDP says, when it comes after the session began, or says something new. Another name in
    /// checks holds beside the old one until the first check with it (RFC 8445 §9); another certificate's print
    /// is another end, with whom hands are shaken anew (RFC 8842), and the keys stay until that has made some.
    pub fn meet(&mut self, now: Now, theirs: Terms) {
        if self.is_over {
            return;
        }
        let print = theirs.fingerprint;
        self.ice.meet(theirs.credentials);
        let made = match self.met.replace(print.clone()) {
            Some(before) if before == print => return,
            Some(_) => {
                self.handshake = Handshake::new(now, &self.identity, Some(print));
                self.due = Some(match self.is_connected {
                    true => (now + SHAKE, Why::NoHandshake),
                    false => (now + CONNECT, Why::NoCheck),
                });
                None
            }
            None => {
                self.due.get_or_insert((now + CONNECT, Why::NoCheck));
                self.handshake.expect(print)
            }
        };
        self.made(made);
    }

    /// New names in checks, as a re-offer agreed on (ICE restart, RFC 8445 §9).
    pub fn restart(&mut self, ours: Credentials, theirs: Option<Credentials>) {
        self.ice.restart(ours, theirs);
    }

    /// Takes a datagram that is no media.
    pub fn receive(&mut self, now: Now, from: SocketAddr, datagram: &[u8]) {
        if self.is_over {
            return;
        }
        match datagram.first().map(|first| Kind::of(*first)) {
            Some(Kind::Stun) => self.check(now, from, datagram),
            Some(Kind::Dtls) if self.ice.is_path(from) => {
                let made = self.handshake.receive(now, datagram);
                self.flush(from);
                self.made(made);
            }
            _ => self.refused.records += 1,
        }
    }

    fn check(&mut self, now: Now, from: SocketAddr, datagram: &[u8]) {
        let Ok(checked) = self.ice.receive(now, from, datagram) else {
            self.refused.checks += 1;
            return;
        };
        self.outputs.extend(checked.forgotten.map(Output::NoPath));
        if checked.is_new {
            self.outputs.push_back(Output::Path(from));
        }
        if checked.is_chosen {
            self.outputs.push_back(Output::Chosen(from));
        }
        let reply = checked
            .reply
            .map(|bytes| Output::Transmit { to: from, bytes });
        self.outputs.extend(reply);
        if !self.is_connected && checked.is_new {
            self.is_connected = true;
            self.due = Some((now + SHAKE, Why::NoHandshake));
        }
    }

    /// Media that is authentically the peer's has come from an address that is no path: it is asked there.
    pub fn heard(&mut self, now: Now, from: SocketAddr) {
        if self.is_over || !self.is_secured {
            return;
        }
        let asks = self.ice.ask(now, from);
        let asks = asks.map(|bytes| Output::Transmit { to: from, bytes });
        self.outputs.extend(asks);
    }

    /// What is due by now.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.is_over {
            return;
        }
        if let Some((at, why)) = &self.due
            && *at <= now
        {
            let why = why.clone();
            return self.end(why);
        }
        if self.is_connected && self.ice.consent_ends() <= now {
            return self.end(Why::NoConsent);
        }
        if self.handshake.deadline().is_some_and(|at| at <= now) {
            let made = self.handshake.handle_timeout(now);
            self.flush_chosen();
            self.made(made);
        }
    }

    /// When to call [`Session::handle_timeout`] at the latest.
    pub fn deadline(&self) -> Option<Now> {
        if self.is_over {
            return None;
        }
        let consent = self.is_connected.then(|| self.ice.consent_ends());
        let due = self.due.as_ref().map(|(at, _)| *at);
        [consent, due, self.handshake.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Ends it from our side: the peer is told.
    pub fn close(&mut self, now: Now) {
        if !self.is_over {
            self.handshake.close(now);
            self.flush_chosen();
            self.is_over = true;
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What was not answered.
    pub fn refused(&self) -> Refused {
        self.refused
    }

    /// Whether it has said its last.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Every address that is the peer's.
    pub fn paths(&self) -> impl Iterator<Item = SocketAddr> {
        self.ice.paths()
    }

    fn made(&mut self, made: Option<Made>) {
        match made {
            None => {}
            Some(Made::Keys(keys)) => {
                self.due = None;
                self.is_secured = true;
                self.outputs.push_back(Output::Keys(keys));
            }
            Some(Made::Failed(failure)) => self.end(failure.into()),
        }
    }

    fn end(&mut self, why: Why) {
        self.is_over = true;
        self.outputs.push_back(Output::Ended(why));
    }

    fn flush_chosen(&mut self) {
        if let Some(to) = self.ice.chosen() {
            self.flush(to);
        }
    }

    fn flush(&mut self, to: SocketAddr) {
        while let Some(bytes) = self.handshake.poll_transmit() {
            self.outputs.push_back(Output::Transmit { to, bytes });
        }
    }
}

/// How long a peer has to find us, after its SDP or ours.
pub const CONNECT: Duration = Duration::from_secs(30);
/// How long it then has to shake hands.
pub const SHAKE: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests;
