//! What is proven over TLS between a carrier and us: `tls_name`, `tls_certificate`, `tls_key` and
//! `tls_caller` of `[trunks.NAME]`.

use std::path::PathBuf;

use sha2::{Digest, Sha256};
use sip::transport::{PeerId, Transport};

use super::super::hop::{Host, SendTo};
use super::TrunkConfig;
use crate::config::{ConfigError, Section};

/// What either side proves over TLS (RFC 5922).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrunkTls {
    /// The name that the certificate of every target must have; the host of the target if `None`
    /// (`tls_name`).
    pub name: Option<String>,
    /// Who we are to the carrier; the server's own certificate is never shown (`tls_certificate`,
    /// `tls_key`).
    pub ours: Option<KeyFiles>,
    /// The name in the client certificate of whoever may call by the trunk, wherever he is
    /// (`tls_caller`).
    pub caller: Option<String>,
}

/// A certificate with its key, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFiles {
    /// The chain, our own first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Somebody who proves who he is over TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsPeer {
    /// What stands for him in a flow. Whatever is asked of him is in it, so that a connection on which
    /// something else was proven is never taken for his.
    pub id: PeerId,
    /// The trunk that he is.
    pub trunk: String,
    /// The name that he must prove; the address that he is at if `None`.
    pub name: Option<String>,
    /// What we show him.
    pub ours: Option<KeyFiles>,
}

impl TrunkTls {
    pub(super) fn read(file: &mut Section, targets: &[SendTo]) -> Result<Self, ConfigError> {
        // A name without a transport may turn out to be served by TLS.
        let may_be = |target: &SendTo| match target.hop.transport {
            None => matches!(target.hop.host, Host::Name(_)),
            Some(transport) => transport == Transport::Tls,
        };
        let is_used = targets.iter().any(may_be);
        let mut sent = |key: &str| match file.text(key)? {
            Some(text) if !is_used => Err(file.refuse(key, "transport = \"tls\" beside it", &text)),
            text => Ok(text),
        };
        let name = sent("tls_name")?;
        if let Some(name) = name.as_deref().filter(|name| Host::parse(name).is_none()) {
            return Err(file.refuse("tls_name", NAME_RULE, name));
        }
        let (certificate, key) = (sent("tls_certificate")?, sent("tls_key")?);
        let ours = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(KeyFiles {
                certificate: certificate.into(),
                key: key.into(),
            }),
            (None, None) => None,
            (Some(_), None) => {
                return Err(file.missing("tls_key", "the private key of tls_certificate"));
            }
            (None, Some(_)) => {
                return Err(file.missing("tls_certificate", "the certificate of tls_key"));
            }
        };
        let caller = file.text("tls_caller")?;
        if let Some(caller) = caller.as_deref().filter(|it| Host::parse(it).is_none()) {
            return Err(file.refuse("tls_caller", NAME_RULE, caller));
        }
        Ok(Self { name, ours, caller })
    }
}

impl TrunkConfig {
    /// Whom a TLS connection to that host of the trunk has to lead to; `None` if to whoever proves the
    /// numeric address, with nothing shown of us.
    pub fn peer_at(&self, host: &Host) -> Option<PeerId> {
        self.called_peer(host).map(|peer| peer.id)
    }

    /// The name by which a caller proves over TLS to be the trunk.
    pub fn caller_peer(&self) -> Option<TlsPeer> {
        let name = self.tls.caller.clone()?;
        Some(TlsPeer {
            id: id_of(["caller", &self.name, &name, ""]),
            trunk: self.name.clone(),
            name: Some(name),
            ours: None,
        })
    }

    /// Everybody that connections of the trunk are opened to.
    pub fn called_peers(&self) -> Vec<TlsPeer> {
        let mut peers: Vec<TlsPeer> = Vec::new();
        for peer in self.hosts().filter_map(|host| self.called_peer(host)) {
            if !peers.contains(&peer) {
                peers.push(peer);
            }
        }
        peers
    }

    fn called_peer(&self, host: &Host) -> Option<TlsPeer> {
        let ours = self.hosts().any(|own| own == host);
        let named = self.tls.name.clone();
        let name = named.or_else(|| host.name().map(|name| name.to_string()));
        if !ours || (name.is_none() && self.tls.ours.is_none()) {
            return None;
        }
        let files = self.tls.ours.as_ref();
        let shown = files.map(|it| it.certificate.to_string_lossy().into_owned());
        let proven = name.as_deref().unwrap_or_default();
        Some(TlsPeer {
            id: id_of(["called", &self.name, proven, &shown.unwrap_or_default()]),
            trunk: self.name.clone(),
            name,
            ours: files.cloned(),
        })
    }

    /// Every host of its own that a connection may be opened to.
    fn hosts(&self) -> impl Iterator<Item = &Host> {
        let registrar = self.registration.as_ref().map(|it| &it.registrar.host);
        let proxy = self.proxy.as_ref().map(|it| &it.host);
        let targets = self.targets.iter().map(|it| &it.hop.host);
        targets.chain(registrar).chain(proxy)
    }
}

/// A number that two different lots of words share by no accident.
fn id_of(words: [&str; 4]) -> PeerId {
    let mut hash = Sha256::new();
    for word in words {
        hash.update(word);
        hash.update([0]);
    }
    let digest = hash.finalize();
    let first = digest.iter().take(8);
    PeerId(first.fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

const NAME_RULE: &str =
    "a name or an address that a certificate can hold, such as sip.carrier.example";
