//! A browser's end of the transport, for tests and load: it checks one path and shakes hands as the client.

use std::sync::Arc;

use clock::Now;
use dimpl::{Dtls, Output};

use crate::dtls::{self, Identity, SrtpKeys};
use crate::ice::Credentials;
use crate::stun::{self, CONTROLLING, Check, Message, PRIORITY, USE_CANDIDATE, USERNAME};
use crate::{Fingerprint, Kind};

/// The other end of a [`Session`](crate::Session).
pub struct Peer {
    identity: Identity,
    ours: Credentials,
    /// What the server's SDP says.
    theirs: Credentials,
    dtls: Dtls,
    checks: u32,
    met: Option<Vec<u8>>,
    keys: Option<SrtpKeys>,
    answers: u32,
    /// Its own answers, not sent yet.
    said: Vec<Vec<u8>>,
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Peer({:?} to {:?})", self.ours, self.theirs)
    }
}

impl Peer {
    /// A browser that is known by `ours` and calls whoever is known by `theirs`.
    ///
    /// # Errors
    /// [`dtls::Unconfigured`].
    pub fn new(
        now: Now,
        identity: Identity,
        ours: Credentials,
        theirs: Credentials,
    ) -> Result<Self, dtls::Unconfigured> {
        let config = dimpl::Config::builder().flight_start_rto(RTO).build();
        let config = config.map_err(|error| dtls::Unconfigured(error.to_string()))?;
        let at = identity.instant(now);
        let mut dtls = Dtls::new_auto(Arc::new(config), identity.certificate(), at);
        dtls.set_active(true);
        Ok(Self {
            identity,
            ours,
            theirs,
            dtls,
            checks: 0,
            met: None,
            keys: None,
            answers: 0,
            said: Vec::new(),
        })
    }

    /// A connectivity check, which nominates its path or not.
    pub fn check(&mut self, nominates: bool) -> Vec<u8> {
        self.checks += 1;
        let mut name = stun::Transaction::default();
        for (place, byte) in name.iter_mut().zip(self.checks.to_be_bytes()) {
            *place = byte;
        }
        let mut message = Message::request(name);
        let names = format!("{}:{}", self.theirs.ufrag, self.ours.ufrag);
        message.push(USERNAME, names.as_bytes());
        message.push(PRIORITY, &0x6E00_01FF_u32.to_be_bytes());
        message.push(CONTROLLING, &[7; 8]);
        if nominates {
            message.push(USE_CANDIDATE, b"");
        }
        message.seal(&self.theirs.password)
    }

    /// Takes what came from the server, apart from media.
    pub fn receive(&mut self, now: Now, datagram: &[u8]) {
        match datagram.first().map(|first| Kind::of(*first)) {
            Some(Kind::Stun) => match Check::parse(datagram) {
                Ok(check) => self.answer(&check),
                Err(_) => self.answers += 1,
            },
            Some(Kind::Dtls) => {
                let _ = self.dtls.handle_timeout(self.identity.instant(now));
                let _ = self.dtls.handle_packet(datagram);
            }
            _ => {}
        }
    }

    /// It is asked whether it is there, by its own password.
    fn answer(&mut self, check: &Check<'_>) {
        let Credentials { ufrag, password } = &self.ours;
        if check.ours == ufrag && check.theirs == self.theirs.ufrag && check.is_by(password) {
            // Where it is asked from, nobody reads.
            let from = ([0, 0, 0, 0], 0).into();
            let answer = stun::success(check.transaction, from, password);
            self.said.push(answer);
        }
    }

    /// What it has to send by now: its answers, and its handshake.
    pub fn says(&mut self, now: Now) -> Vec<Vec<u8>> {
        let _ = self.dtls.handle_timeout(self.identity.instant(now));
        let mut said = std::mem::take(&mut self.said);
        let mut buffer = vec![0; 4_096];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => said.push(packet.to_vec()),
                Output::PeerCert(der) => self.met = Some(der.to_vec()),
                Output::KeyingMaterial(keys, profile) => {
                    let server = dtls::keys(&keys, profile);
                    self.keys = server.map(|it| SrtpKeys {
                        send: it.receive,
                        receive: it.send,
                    });
                }
                Output::Timeout(_) => return said,
                _ => {}
            }
        }
    }

    /// Its page is left: the next that it says is a goodbye.
    pub fn close(&mut self, now: Now) {
        let _ = self.dtls.handle_timeout(self.identity.instant(now));
        let _ = self.dtls.close();
    }

    /// The keys of its side, once there are some.
    pub fn keys(&self) -> Option<&SrtpKeys> {
        self.keys.as_ref()
    }

    /// The same, taken out.
    pub fn take_keys(&mut self) -> Option<SrtpKeys> {
        self.keys.take()
    }

    /// Whose certificate the server has shown.
    pub fn met(&self) -> Option<Fingerprint> {
        self.met.as_deref().map(Fingerprint::of)
    }

    /// Checks that were answered.
    pub fn answers(&self) -> u32 {
        self.answers
    }
}

/// A browser's.
const RTO: clock::Duration = clock::Duration::from_millis(50);
