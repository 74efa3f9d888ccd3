//! TLS for SIP: versions 1.2 and 1.3, the ring provider, certificates that can be replaced while calls go on.
//!
//! Outgoing connections verify the peer: its certificate must name the host that was asked for
//! (RFC 5922 §7.1), which the flow cannot say, so known peers are listed by address; any other is
//! expected to be named by its address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};

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

/// Where the certificates are, and whom to believe.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// PEM: our certificate first, then its issuers.
    pub certificate: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
    /// For connections we open.
    pub trust: Trust,
    /// The names that peers at these addresses must prove.
    pub names: BTreeMap<IpAddr, String>,
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
}

/// TLS of both directions, ready for use. Cheap to clone; clones share the certificate.
#[derive(Clone)]
pub struct TlsConfig {
    pub(super) server: Arc<ServerConfig>,
    pub(super) client: Arc<ClientConfig>,
    names: Arc<BTreeMap<IpAddr, ServerName<'static>>>,
    current: Arc<Current>,
}

impl std::fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsConfig")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

impl TlsConfig {
    /// Reads the files and builds both directions.
    ///
    /// # Errors
    /// [`TlsError`] names the file and what is wrong with it.
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let key = certified_key(&provider, &files.certificate, &files.key)?;
        let current = Arc::new(Current(ArcSwap::from_pointee(key)));
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(unfit)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(unfit)?;
        let client = match &files.trust {
            Trust::Authorities(path) => client.with_root_certificates(authorities(path)?),
            Trust::System => client.with_root_certificates(system_authorities()?),
            Trust::Anybody => {
                tracing::warn!("TLS connections that we open believe any certificate");
                client
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(BelieveAnybody(provider)))
            }
        };
        let mut names = BTreeMap::new();
        for (address, name) in &files.names {
            names.insert(*address, ServerName::try_from(name.clone()).map_err(unfit)?);
        }
        Ok(Self {
            server: Arc::new(server),
            client: Arc::new(client.with_no_client_auth()),
            names: Arc::new(names),
            current,
        })
    }

    /// Takes a new certificate and key for connections accepted from now on; open ones keep theirs.
    ///
    /// # Errors
    /// [`TlsError`]; the old certificate then stays in use.
    pub fn replace(&self, certificate: &Path, key: &Path) -> Result<(), TlsError> {
        let provider = self.server.crypto_provider();
        self.current
            .0
            .store(Arc::new(certified_key(provider, certificate, key)?));
        Ok(())
    }

    /// For connections accepted by others than SIP: the same certificate, also once it is replaced.
    pub fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// The name that the peer at `address` must prove.
    pub(super) fn name_of(&self, address: IpAddr) -> ServerName<'static> {
        self.names
            .get(&address)
            .cloned()
            .unwrap_or(ServerName::IpAddress(address.into()))
    }
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
    certificate: &Path,
    key: &Path,
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
