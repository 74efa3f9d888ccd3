//! Certificates by ACME (RFC 8555) with the http-01 challenge: ordered, kept, renewed in time.
//!
//! Runs beside the server for as long as it lives. A failure never ends anything: the certificate in
//! use stays in use, the log says why, and the next try comes later each time.
//!
//! ```text
//!   none, or due ──▶ order ──▶ kept in certs/acme ──▶ in use from the next connection on ──▶ due again
//!                      │ ▲
//!                      └─┘ refused: after 1 minute, twice as long each time, 6 hours at most
//! ```

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Identifier, NewAccount,
    NewOrder, Order, OrderStatus, RetryPolicy,
};
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::net::certs;
use super::net::tls::TlsConfig;
use crate::config;

/// The files of a certificate by ACME, below the folder of certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeFiles {
    /// PEM: the chain.
    pub chain: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
    account: PathBuf,
}

impl AcmeFiles {
    /// The files in `certs`.
    pub fn below(certs: &Path) -> Self {
        let folder = certs.join("acme");
        Self {
            chain: folder.join("chain.pem"),
            key: folder.join("key.pem"),
            account: folder.join("account.json"),
        }
    }

    /// Whether a certificate is there that is good now.
    pub fn are_good(&self) -> bool {
        let now = jiff::Timestamp::now().as_second();
        let life = life_of(&self.chain);
        self.key.exists() && life.is_ok_and(|[from, until]| (from..until).contains(&now))
    }
}

/// Who orders, and where the result goes.
pub struct Acme {
    config: config::Acme,
    files: AcmeFiles,
    tls: TlsConfig,
    challenges: Challenges,
    listener: TcpListener,
}

impl Acme {
    /// Listens for challenges; nothing is asked of the authority before [`Acme::run`].
    ///
    /// # Errors
    /// When the address of `acme.listen` cannot be listened on.
    pub async fn listen(config: config::Acme, files: AcmeFiles, tls: TlsConfig) -> Result<Self> {
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("acme.listen: cannot listen on {}", config.listen))?;
        Ok(Self {
            config,
            files,
            tls,
            challenges: Challenges::default(),
            listener,
        })
    }

    /// Keeps a good certificate in use until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let Self {
            config,
            files,
            tls,
            challenges,
            listener,
        } = self;
        let router = Router::new()
            .route(
                "/.well-known/acme-challenge/{token}",
                axum::routing::get(answer),
            )
            .with_state(challenges.clone());
        let ordering = Ordering {
            config,
            files,
            tls,
            challenges,
        };
        let answering = axum::serve(listener, router).into_future();
        tokio::select! {
            served = answering => tracing::error!(?served, "acme: challenges are no longer answered"),
            () = ordering.keep_fresh() => {}
            () = stop.cancelled() => {}
        }
    }
}

/// What the authority asks for at port 80: the answer by its token.
type Challenges = Arc<Mutex<BTreeMap<String, String>>>;

async fn answer(
    State(challenges): State<Challenges>,
    UrlPath(token): UrlPath<String>,
) -> Result<String, StatusCode> {
    challenges
        .lock()
        .get(&token)
        .cloned()
        .ok_or(StatusCode::NOT_FOUND)
}

struct Ordering {
    config: config::Acme,
    files: AcmeFiles,
    tls: TlsConfig,
    challenges: Challenges,
}

impl Ordering {
    async fn keep_fresh(&self) {
        let mut failures = 0_u32;
        loop {
            let wait = match self.due_in() {
                Some(wait) if wait > Duration::ZERO => wait,
                _ => match self.renew().await {
                    Ok(()) => {
                        failures = 0;
                        tracing::info!(names = ?self.config.names, "acme: a new certificate is in use");
                        continue;
                    }
                    Err(why) => {
                        let wait = FIRST_RETRY.saturating_mul(1 << failures.min(16));
                        failures = failures.saturating_add(1);
                        let wait = wait.min(LAST_RETRY);
                        tracing::error!("acme: no certificate, next try in {wait:?}: {why:#}");
                        wait
                    }
                },
            };
            // A clock that is set must not keep an old certificate for ever.
            tokio::time::sleep(wait.min(LOOK)).await;
        }
    }

    /// How long until the certificate is to be renewed; `None` if there is none that is good.
    fn due_in(&self) -> Option<Duration> {
        let [from, until] = life_of(&self.files.chain).ok()?;
        let now = jiff::Timestamp::now().as_second();
        let before = match self.config.renew_before {
            Some(before) => i64::try_from(before.as_secs()).ok()?,
            None => (until - from) / 3,
        };
        let names = std::fs::read_to_string(self.names_file()).unwrap_or_default();
        let same = names
            .lines()
            .eq(self.config.names.iter().map(String::as_str));
        (same && self.files.key.exists())
            .then(|| Duration::from_secs(u64::try_from(until - before - now).unwrap_or(0)))
    }

    /// Beside the certificate: the names it was ordered for.
    fn names_file(&self) -> PathBuf {
        self.files.chain.with_file_name("names.txt")
    }

    async fn renew(&self) -> Result<()> {
        let account = self.account().await?;
        let names: Vec<Identifier> = self.config.names.iter().map(|it| identifier(it)).collect();
        let mut order = account.new_order(&NewOrder::new(&names)).await?;
        let proven = self.prove(&mut order).await;
        self.challenges.lock().clear();
        proven?;
        let key = order.finalize().await?;
        let chain = order.poll_certificate(&PATIENCE).await?;
        certs::write(&self.files.key, &key, 0o600)?;
        certs::write(&self.files.chain, &chain, 0o644)?;
        let names: String = self
            .config
            .names
            .iter()
            .map(|it| format!("{it}\n"))
            .collect();
        certs::write(&self.names_file(), &names, 0o644)?;
        Ok(self.tls.replace(&self.files.chain, &self.files.key)?)
    }

    async fn prove(&self, order: &mut Order) -> Result<()> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            match authorization.status {
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                status => bail!("{}: authorization {status:?}", authorization.identifier()),
            }
            let mut challenge = authorization
                .challenge(ChallengeType::Http01)
                .context("the authority offers no http-01 challenge")?;
            let answer = challenge.key_authorization().as_str().to_owned();
            self.challenges
                .lock()
                .insert(challenge.token.clone(), answer);
            challenge.set_ready().await?;
        }
        match order.poll_ready(&PATIENCE).await? {
            OrderStatus::Ready => Ok(()),
            status => bail!(
                "the order is {status:?}: does port 80 of every name lead to acme.listen ({})?",
                self.config.listen
            ),
        }
    }

    /// The account of before, or a new one.
    async fn account(&self) -> Result<Account> {
        let builder = || match &self.config.authority {
            Some(file) => Account::builder_with_root(file),
            None => Account::builder(),
        };
        if let Ok(kept) = std::fs::read_to_string(&self.files.account) {
            let kept: AccountCredentials = serde_json::from_str(&kept)
                .with_context(|| self.files.account.display().to_string())?;
            match builder()?.from_credentials(kept).await {
                Ok(account) => return Ok(account),
                Err(why) => {
                    tracing::warn!("acme: the account kept is of no use, making another: {why}")
                }
            }
        }
        let contact: Vec<&str> = self.config.contact.as_deref().into_iter().collect();
        let new = NewAccount {
            contact: &contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let (account, credentials) = builder()?
            .create(&new, self.config.directory.clone(), None)
            .await?;
        if let Some(folder) = self.files.account.parent() {
            std::fs::create_dir_all(folder)?;
        }
        certs::write(
            &self.files.account,
            &serde_json::to_string(&credentials)?,
            0o600,
        )?;
        Ok(account)
    }
}

/// From when until when a chain's own certificate holds, in seconds since 1970.
fn life_of(chain: &Path) -> Result<[i64; 2]> {
    let certificate = CertificateDer::from_pem_file(chain)
        .with_context(|| format!("{}: no certificate", chain.display()))?;
    let (_, certificate) = X509Certificate::from_der(&certificate)?;
    let life = certificate.validity();
    Ok([life.not_before.timestamp(), life.not_after.timestamp()])
}

/// An address is certified as one (RFC 8738).
fn identifier(name: &str) -> Identifier {
    match name.parse::<IpAddr>() {
        Ok(address) => Identifier::Ip(address),
        Err(_) => Identifier::Dns(name.to_owned()),
    }
}

/// How long the authority may take to look, and to sign.
const PATIENCE: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(120));

const FIRST_RETRY: Duration = Duration::from_secs(60);

const LAST_RETRY: Duration = Duration::from_secs(6 * 3_600);

/// How often at least it is looked whether the certificate is due.
const LOOK: Duration = Duration::from_secs(3_600);
