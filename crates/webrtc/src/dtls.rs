//! The handshake that makes SRTP's keys (RFC 5764), as the passive end: `dimpl` does it, and keys are
//! given out only after the peer's certificate has been found to be the one that was signalled, which
//! `dimpl` leaves to its user.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use clock::{Duration, Now};
use dimpl::{Dtls, DtlsCertificate, SrtpProfile};
use media::srtp::{MasterKey, Suite};

use crate::Fingerprint;

/// Our certificate, with its key: one for all sessions of a process.
#[derive(Clone)]
pub struct Identity {
    certificate: DtlsCertificate,
    config: Arc<dimpl::Config>,
    fingerprint: Fingerprint,
    /// The system's time at `Now::ZERO`, which is the clock that `dimpl` reckons by.
    epoch: Instant,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", self.fingerprint)
    }
}

/// The handshake library does not take its own configuration: never with the one given here.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the handshake cannot be configured: {0}")]
pub struct Unconfigured(pub(crate) String);

impl Identity {
    /// From a certificate in DER, of P-256 or P-384, and its key in PKCS#8 or SEC1. `epoch` is the
    /// system's time at `Now::ZERO`.
    ///
    /// # Errors
    /// [`Unconfigured`].
    pub fn new(
        certificate: Vec<u8>,
        private_key: Vec<u8>,
        epoch: Instant,
    ) -> Result<Self, Unconfigured> {
        // No cookie: whoever shakes hands has proven his address by a check, which is what a cookie is
        // for, and it would cost a round trip.
        let config = dimpl::Config::builder()
            .use_server_cookie(false)
            .flight_start_rto(FLIGHT)
            .handshake_timeout(HANDSHAKE)
            .max_queue_rx(QUEUE_MAX)
            .max_queue_tx(QUEUE_MAX)
            .build()
            .map_err(|error| Unconfigured(error.to_string()))?;
        Ok(Self {
            fingerprint: Fingerprint::of(&certificate),
            certificate: DtlsCertificate {
                certificate,
                private_key,
            },
            config: Arc::new(config),
            epoch,
        })
    }

    #[cfg(any(test, feature = "peer"))]
    pub(crate) fn certificate(&self) -> DtlsCertificate {
        self.certificate.clone()
    }

    /// The system's time at ours, which is the library's.
    pub(crate) fn instant(&self, now: Now) -> Instant {
        instant(self.epoch, now)
    }

    /// What our SDP says of it.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}

/// The keys of both directions.
#[derive(Debug)]
pub struct SrtpKeys {
    /// What we send is protected with.
    pub send: MasterKey,
    /// What comes is opened with.
    pub receive: MasterKey,
}

/// What a handshake came to.
#[derive(Debug)]
pub enum Made {
    /// Keys, with whom it should be.
    Keys(Box<SrtpKeys>),
    /// It failed, or the peer ended it.
    Failed(Failure),
}

/// Why there are no keys, or are no longer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Failure {
    /// Whoever it is, his certificate is not the signalled one.
    #[error("the peer's certificate is not the one that its SDP names")]
    Stranger,
    /// It had no certificate, or no common SRTP profile.
    #[error("the handshake made no keys for media")]
    NoKeys,
    /// An alert, or a time-out.
    #[error("the handshake failed: {0}")]
    Handshake(String),
    /// The peer closed what had been made.
    #[error("the peer closed the connection")]
    Closed,
}

/// One handshake.
pub(crate) struct Handshake {
    dtls: Dtls,
    epoch: Instant,
    /// Whom it should be with.
    expected: Option<Fingerprint>,
    /// Whom it is with, whose print is not yet known.
    met: Option<Vec<u8>>,
    is_proven: bool,
    keys: Option<Box<SrtpKeys>>,
    out: VecDeque<Vec<u8>>,
    deadline: Option<Now>,
}

impl std::fmt::Debug for Handshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handshake(proven: {})", self.is_proven)
    }
}

impl Handshake {
    pub(crate) fn new(now: Now, identity: &Identity, expected: Option<Fingerprint>) -> Self {
        let (config, certificate) = (Arc::clone(&identity.config), identity.certificate.clone());
        let at = identity.instant(now);
        Self {
            dtls: Dtls::new_auto(config, certificate, at),
            epoch: identity.epoch,
            expected,
            met: None,
            is_proven: false,
            keys: None,
            out: VecDeque::new(),
            deadline: None,
        }
    }

    /// The print that was signalled: what was met already is held against it.
    pub(crate) fn expect(&mut self, print: Fingerprint) -> Option<Made> {
        self.expected = Some(print);
        self.judge()
    }

    pub(crate) fn receive(&mut self, now: Now, datagram: &[u8]) -> Option<Made> {
        self.step(now, |dtls, _| dtls.handle_packet(datagram))
    }

    pub(crate) fn handle_timeout(&mut self, now: Now) -> Option<Made> {
        self.step(now, |_, _| Ok(()))
    }

    /// Tells the peer that it is over.
    pub(crate) fn close(&mut self, now: Now) {
        let _ = self.step(now, |dtls, _| dtls.close());
    }

    /// A datagram to send.
    pub(crate) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.out.pop_front()
    }

    pub(crate) fn deadline(&self) -> Option<Now> {
        self.deadline
    }

    fn step(
        &mut self,
        now: Now,
        input: impl FnOnce(&mut Dtls, Instant) -> Result<(), dimpl::Error>,
    ) -> Option<Made> {
        let at = instant(self.epoch, now);
        // Its clock stands still unless it is told.
        let result = self.dtls.handle_timeout(at);
        let result = result.and_then(|()| input(&mut self.dtls, at));
        let made = self.drain(now);
        match result {
            Ok(()) => made,
            Err(error) => Some(Made::Failed(Failure::Handshake(error.to_string()))),
        }
    }

    fn drain(&mut self, now: Now) -> Option<Made> {
        let mut buffer = vec![0; BUFFER];
        let mut made = None;
        // It ends with a timeout; a bound in case that it does not.
        for _ in 0..OUTPUTS_MAX {
            match self.dtls.poll_output(&mut buffer) {
                dimpl::Output::Packet(packet) => self.out.push_back(packet.to_vec()),
                dimpl::Output::BufferTooSmall { needed } if needed <= BUFFER_MAX => {
                    buffer.resize(needed, 0);
                }
                dimpl::Output::Timeout(at) => {
                    self.deadline = later(self.epoch, at).filter(|at| at.since(now) < HANDSHAKE);
                    break;
                }
                dimpl::Output::PeerCert(der) => {
                    self.met = Some(der.to_vec());
                    made = made.or_else(|| self.judge());
                }
                dimpl::Output::KeyingMaterial(material, profile) => {
                    self.keys = keys(&material, profile);
                    made = made.or_else(|| match self.keys {
                        None => Some(Made::Failed(Failure::NoKeys)),
                        Some(_) => self.judge(),
                    });
                }
                dimpl::Output::CloseNotify => {
                    made = made.or(Some(Made::Failed(Failure::Closed)));
                }
                // A data channel is nothing that we have.
                _ => {}
            }
        }
        made
    }

    /// Gives out the keys once it is known whom they are shared with.
    fn judge(&mut self) -> Option<Made> {
        let (Some(expected), Some(met)) = (&self.expected, &self.met) else {
            return None;
        };
        if !expected.is_of(met) {
            self.keys = None;
            return Some(Made::Failed(Failure::Stranger));
        }
        self.is_proven = true;
        self.keys.take().map(Made::Keys)
    }
}

/// The peer is the client: it writes with the first key and the first salt (RFC 5764 §4.2).
pub(crate) fn keys(material: &[u8], profile: SrtpProfile) -> Option<Box<SrtpKeys>> {
    let suite = match profile {
        SrtpProfile::AES128_CM_SHA1_80 => Suite::AesCm128HmacSha1_80,
        SrtpProfile::AEAD_AES_128_GCM => Suite::AeadAes128Gcm,
        SrtpProfile::AEAD_AES_256_GCM => Suite::AeadAes256Gcm,
        _ => return None,
    };
    let (key, salt) = (suite.key_len(), suite.salt_len());
    let part = |at: usize, len: usize| material.get(at..at + len);
    let master = |which: usize| {
        let mut both = part(which * key, key)?.to_vec();
        both.extend(part(2 * key + which * salt, salt)?);
        let master = MasterKey::new(suite, &both);
        zeroize::Zeroize::zeroize(&mut both);
        master
    };
    Some(Box::new(SrtpKeys {
        receive: master(0)?,
        send: master(1)?,
    }))
}

fn instant(epoch: Instant, now: Now) -> Instant {
    epoch + Duration::from_nanos(now.as_nanos())
}

/// The time of ours at the library's; `None` before `Now::ZERO`.
fn later(epoch: Instant, at: Instant) -> Option<Now> {
    let since = at.checked_duration_since(epoch)?;
    Some(Now::from_nanos(u64::try_from(since.as_nanos()).ok()?))
}

/// How long a handshake may take from its first message on.
pub const HANDSHAKE: Duration = Duration::from_secs(40);
/// What is lost is sent again after this: a browser's own time is 50 ms.
const FLIGHT: Duration = Duration::from_millis(200);
/// Records of a handshake that wait for those before them.
const QUEUE_MAX: usize = 16;
const BUFFER: usize = 2_048;
const BUFFER_MAX: usize = 65_536;
const OUTPUTS_MAX: usize = 256;
