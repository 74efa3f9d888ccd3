//! TLS for SIP: versions 1.2 and 1.3, the ring provider, and certificates that can be replaced while
//! calls go on.
//!
//! Who opens a connection verifies the peer: its certificate must name the host that was asked for
//! (RFC 5922 §7.1). A flow says who that is by a [`PeerId`]; without one it is whoever proves the
//! numeric address. A listener may ask callers for a certificate too; whose name is configured is then
//! known by it.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WantsClientCert, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, ServerConfig,
    SignatureScheme,
};
use sip::transport::{ListenerId, PeerId};

/// Whom we believe when we open a TLS connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The authorities in this PEM file.
    Authorities(PathBuf),
    /// The authorities that the system trusts: `SSL_CERT_FILE`, else the first of [`SYSTEM_BUNDLES`].
    System,
    /// Anybody: for development on one machine, and said so in the log at start.
    Anybody,
}

/// A certificate with its key, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPairFiles {
    /// The certificate first, then its issuers.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Somebody to whom connections are opened, and what is proven on them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callee {
    /// How flows name him.
    pub id: PeerId,
    /// How the log names him.
    pub told: String,
    /// The name in his certificate; the numeric address if `None`.
    pub name: Option<String>,
    /// What he is shown when he asks who we are.
    pub ours: Option<KeyPairFiles>,
}

/// Somebody who is known by the name in his client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// How flows name him.
    pub id: PeerId,
    /// How the log names him.
    pub told: String,
    /// The name.
    pub name: String,
}

/// What a listener asks of whoever opens a connection to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTrust {
    /// PEM: who may have signed the certificate.
    pub authorities: PathBuf,
    /// Whether nobody is let in without one.
    pub required: bool,
}

/// Where the certificates are, and whom to believe.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// Ours.
    pub own: KeyPairFiles,
    /// For connections we open.
    pub trust: Trust,
    /// To whom we open connections.
    pub callees: Vec<Callee>,
    /// Who is known by a certificate.
    pub callers: Vec<Caller>,
    /// Listeners that ask for one.
    pub clients: BTreeMap<u16, ClientTrust>,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is absent, unreadable or not PEM of the right kind.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The parts do not fit: a key of another certificate, an empty store, a name that is none.
    #[error("TLS: {0}")]
    Unfit(String),
    /// It is wrong for one peer.
    #[error("{told}: {error}")]
    Of {
        /// Which peer.
        told: String,
        /// What is wrong.
        error: Box<Self>,
    },
}

/// TLS of both directions, ready for use. Cheap to clone; clones share what is in force.
#[derive(Clone)]
pub struct TlsConfig {
    /// Asks nobody for a certificate.
    server: Arc<ServerConfig>,
    current: Arc<Current>,
    parts: Arc<ArcSwap<Parts>>,
}

/// What a reload may change besides our certificate.
struct Parts {
    /// For whoever is not configured.
    client: Arc<ClientConfig>,
    callees: HashMap<PeerId, Peer>,
    callers: Vec<(ServerName<'static>, PeerId)>,
    /// By listener: those that ask for a certificate.
    servers: BTreeMap<u16, Arc<ServerConfig>>,
}

struct Peer {
    name: Option<ServerName<'static>>,
    client: Arc<ClientConfig>,
}

impl std::fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsConfig").finish_non_exhaustive()
    }
}

impl TlsConfig {
    /// Reads the files and builds both directions.
    ///
    /// # Errors
    /// [`TlsError`] names the file and what is wrong with it.
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let key = certified_key(&provider, &files.own)?;
        let current = Arc::new(Current(ArcSwap::from_pointee(key)));
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(unfit)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        if files.trust == Trust::Anybody {
            tracing::warn!("TLS connections that we open believe any certificate");
        }
        let parts = Parts::load(files, &provider, &current)?;
        Ok(Self {
            server: Arc::new(server),
            current,
            parts: Arc::new(ArcSwap::from_pointee(parts)),
        })
    }

    /// Reads them again: everything holds for connections from now on, open ones keep theirs.
    ///
    /// # Errors
    /// [`TlsError`]; nothing has changed then.
    pub fn reload(&self, files: &TlsFiles) -> Result<(), TlsError> {
        let provider = self.server.crypto_provider();
        let key = certified_key(provider, &files.own)?;
        let parts = Parts::load(files, provider, &self.current)?;
        self.current.0.store(Arc::new(key));
        self.parts.store(Arc::new(parts));
        Ok(())
    }

    /// Takes a new certificate and key for connections accepted from now on; open ones keep theirs.
    ///
    /// # Errors
    /// [`TlsError`]; the old certificate then stays in use.
    pub fn replace(&self, certificate: &Path, key: &Path) -> Result<(), TlsError> {
        let files = KeyPairFiles {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        };
        let provider = self.server.crypto_provider();
        self.current
            .0
            .store(Arc::new(certified_key(provider, &files)?));
        Ok(())
    }

    /// For connections accepted by others than SIP: the same certificate, also once it is replaced.
    pub fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// For connections that a SIP listener accepts.
    pub(super) fn server_of(&self, listener: ListenerId) -> Arc<ServerConfig> {
        let parts = self.parts.load();
        let asks = parts.servers.get(&listener.0);
        Arc::clone(asks.unwrap_or(&self.server))
    }

    /// For a connection opened to `address`: what we show, and the name that must be proven there.
    /// `None` for a peer that is not configured any more.
    pub(super) fn client_of(
        &self,
        peer: Option<PeerId>,
        address: IpAddr,
    ) -> Option<(Arc<ClientConfig>, ServerName<'static>)> {
        let parts = self.parts.load();
        let numeric = ServerName::IpAddress(address.into());
        let Some(peer) = peer else {
            return Some((Arc::clone(&parts.client), numeric));
        };
        let peer = parts.callees.get(&peer)?;
        let name = peer.name.clone().unwrap_or(numeric);
        Some((Arc::clone(&peer.client), name))
    }

    /// Who has proven to be there by that chain, which was verified: the first whose name is in its
    /// certificate.
    pub(super) fn caller(&self, chain: Option<&[CertificateDer<'_>]>) -> Option<PeerId> {
        let parsed = ParsedCertificate::try_from(chain?.first()?).ok()?;
        let parts = self.parts.load();
        let mut callers = parts.callers.iter();
        let found = callers.find(|(name, _)| verify_server_name(&parsed, name).is_ok());
        found.map(|(_, id)| *id)
    }
}

impl Parts {
    fn load(
        files: &TlsFiles,
        provider: &Arc<CryptoProvider>,
        current: &Arc<Current>,
    ) -> Result<Self, TlsError> {
        let believed = Believed::load(&files.trust)?;
        let mut callees = HashMap::new();
        for callee in &files.callees {
            let peer = Peer::load(callee, &believed, provider).map_err(of(&callee.told))?;
            callees.insert(callee.id, peer);
        }
        let mut callers = Vec::new();
        for caller in &files.callers {
            let name = ServerName::try_from(caller.name.clone());
            let name = name.map_err(unfit).map_err(of(&caller.told))?;
            callers.push((name, caller.id));
        }
        let mut servers = BTreeMap::new();
        for (listener, trust) in &files.clients {
            servers.insert(*listener, asking(trust, provider, current)?);
        }
        Ok(Self {
            client: Arc::new(believed.client(provider)?.with_no_client_auth()),
            callees,
            callers,
            servers,
        })
    }
}

impl Peer {
    fn load(
        callee: &Callee,
        believed: &Believed,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, TlsError> {
        let name = callee.name.clone().map(ServerName::try_from);
        let client = believed.client(provider)?;
        let client = match &callee.ours {
            None => client.with_no_client_auth(),
            Some(files) => {
                let key = certified_key(provider, files)?;
                client.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
            }
        };
        Ok(Self {
            name: name.transpose().map_err(unfit)?,
            client: Arc::new(client),
        })
    }
}

/// [`Trust`], read.
enum Believed {
    These(Arc<RootCertStore>),
    Anybody,
}

impl Believed {
    fn load(trust: &Trust) -> Result<Self, TlsError> {
        Ok(match trust {
            Trust::Authorities(path) => Self::These(Arc::new(authorities(path)?)),
            Trust::System => Self::These(Arc::new(system_authorities()?)),
            Trust::Anybody => Self::Anybody,
        })
    }

    fn client(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TlsError> {
        let client = ClientConfig::builder_with_provider(Arc::clone(provider))
            .with_safe_default_protocol_versions()
            .map_err(unfit)?;
        Ok(match self {
            Self::These(store) => client.with_root_certificates(Arc::clone(store)),
            Self::Anybody => client
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(BelieveAnybody(Arc::clone(provider)))),
        })
    }
}

/// A server that asks for a client's certificate.
fn asking(
    trust: &ClientTrust,
    provider: &Arc<CryptoProvider>,
    current: &Arc<Current>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let roots = Arc::new(authorities(&trust.authorities)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
    let verifier = match trust.required {
        true => verifier,
        false => verifier.allow_unauthenticated(),
    };
    let verifier = verifier
        .build()
        .map_err(|error| file(&trust.authorities, error))?;
    let server = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(unfit)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::clone(current) as Arc<dyn ResolvesServerCert>);
    Ok(Arc::new(server))
}

#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

fn certified_key(
    provider: &CryptoProvider,
    KeyPairFiles { certificate, key }: &KeyPairFiles,
) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(certificate)?;
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| file(key, error))?;
    let signer = provider
        .key_provider
        .load_private_key(key_der)
        .map_err(unfit)?;
    let certified = CertifiedKey::new(chain, signer);
    certified.keys_match().map_err(|error| {
        TlsError::Unfit(format!(
            "{} and {}: {error}",
            certificate.display(),
            key.display()
        ))
    })?;
    Ok(certified)
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store.add(certificate).map_err(|error| file(path, error))?;
    }
    Ok(store)
}

/// What the system trusts; certificates of kinds that nobody here can check are left out.
fn system_authorities() -> Result<RootCertStore, TlsError> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let usual = SYSTEM_BUNDLES.iter().map(PathBuf::from);
    let found = named.or_else(|| usual.into_iter().find(|path| path.is_file()));
    let Some(path) = found else {
        let why = "no authorities: want the package ca-certificates, or sip.trust = \"FILE\"";
        return Err(unfit(why));
    };
    let mut store = RootCertStore::empty();
    let (usable, _) = store.add_parsable_certificates(certificates(&path)?);
    match usable {
        0 => Err(file(&path, "holds no authority")),
        _ => Ok(store),
    }
}

/// Where Debian, Fedora and Alpine keep their authorities.
pub const SYSTEM_BUNDLES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).map_err(|error| file(path, error))?;
    let chain = read
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| file(path, error))?;
    if chain.is_empty() {
        return Err(file(path, "holds no certificate"));
    }
    Ok(chain)
}

fn file(path: &Path, reason: impl ToString) -> TlsError {
    TlsError::File {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

fn of(told: &str) -> impl Fn(TlsError) -> TlsError {
    move |error| TlsError::Of {
        told: told.to_owned(),
        error: Box::new(error),
    }
}

fn unfit(reason: impl ToString) -> TlsError {
    TlsError::Unfit(reason.to_string())
}

/// Accepts any certificate, but only from who holds its key.
#[derive(Debug)]
struct BelieveAnybody(Arc<CryptoProvider>);

impl ServerCertVerifier for BelieveAnybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
