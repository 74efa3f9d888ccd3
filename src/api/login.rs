//! `/v1/login`: an agent gives his password and gets a token; and gives it back.
//!
//! The law: nothing tells an agent who exists from one who does not. Both are compared with a hash, both are
//! told the same, both count against their source. Comparing takes memory and time, so one is compared at
//! once, and what waits is bounded, of all together and of each source.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use clock::Now;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::access::AccessCommand;
use super::center::read;
use super::key::bearer;
use super::serve::Peer;
use super::wire::ErrorJson;
use super::wire::access::{LoginJson, TokenJson};
use super::{Api, ApiError, Command};
use crate::access::{Book, Denied, Kind, Login, PASSWORD_BYTES, Slow, Subject};
use crate::explain::Explanation;
use crate::trunk::Origin;

/// Who may log in, and who tries to.
#[derive(Debug)]
pub struct Logins {
    book: ArcSwap<Book>,
    slow: Mutex<Slow>,
    /// One password is compared at once.
    turn: Arc<Semaphore>,
    since: Instant,
}

impl Logins {
    /// These may log in.
    pub fn new(book: Book) -> Self {
        Self {
            book: ArcSwap::from_pointee(book),
            slow: Mutex::new(Slow::default()),
            turn: Arc::new(Semaphore::new(1)),
            since: Instant::now(),
        }
    }

    /// Others may, from now on.
    pub fn replace(&self, book: Book) {
        self.book.store(Arc::new(book));
    }

    fn now(&self) -> Now {
        Now::ZERO + self.since.elapsed()
    }

    /// Who that is, if the password is his. Whoever asked may go away: the place that comparing takes is
    /// given back when it is done.
    async fn check(&self, given: LoginJson) -> Result<Option<Login>, ApiError> {
        let unavailable = || ApiError::Unavailable { what: "the edge" };
        let turn = Arc::clone(&self.turn).acquire_owned().await;
        let turn = turn.map_err(|_| unavailable())?;
        let book = self.book.load_full();
        let compare = move || {
            let _turn = turn;
            book.check(&given.agent, &given.password)
        };
        let compared = tokio::task::spawn_blocking(compare).await;
        compared.map_err(|_| unavailable())
    }
}

/// An attempt under way: its place is free again when it is dropped.
struct Attempt<'a> {
    logins: &'a Logins,
    source: IpAddr,
}

impl<'a> Attempt<'a> {
    fn begin(logins: &'a Logins, source: IpAddr) -> Result<Self, ApiError> {
        // Of IPv6 the /64: whoever has one address of it has them all.
        let source = Origin::of(source).address();
        match logins.slow.lock().enter(logins.now(), source) {
            true => Ok(Self { logins, source }),
            false => Err(Turned::Busy.into()),
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.logins.slow.lock().leave(self.source);
    }
}

/// Why nobody is logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turned {
    Wrong,
    Banned,
    Busy,
}

impl Turned {
    fn id(&self) -> &'static str {
        match self {
            Self::Wrong => "login-refused",
            Self::Banned => "login-banned",
            Self::Busy => "login-busy",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::Wrong => StatusCode::UNAUTHORIZED,
            Self::Banned => StatusCode::FORBIDDEN,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn explanation(self) -> Explanation {
        let parts = match self {
            Self::Wrong => (
                "the name of an agent who may log in, and his password",
                "another name or another password",
                "try again; tandem hash-password makes what agents.NAME.password_hash wants",
            ),
            Self::Banned => (
                "a source that has not guessed passwords",
                "one that is not heard for a while",
                "wait, or have an operator lift the ban: DELETE /v1/bans/ADDRESS",
            ),
            Self::Busy => (
                "few attempts to log in at once",
                "more than are served",
                "try again in a second",
            ),
        };
        Explanation::new(self.id(), parts)
    }
}

impl From<Turned> for ApiError {
    fn from(turned: Turned) -> Self {
        Self::Refused(turned.status(), Box::new(turned.explanation()))
    }
}

/// Logs an agent in: a token for his password.
#[utoipa::path(post, path = "/v1/login", tag = "access", security(()), request_body = LoginJson,
    responses((status = 200, body = TokenJson), (status = 400, body = ErrorJson),
    (status = 401, body = ErrorJson), (status = 403, body = ErrorJson),
    (status = 503, body = ErrorJson)
))]
pub(super) async fn log_in(
    State(api): State<Arc<Api>>,
    Extension(peer): Extension<Peer>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<TokenJson>, ApiError> {
    let given: LoginJson = read(body)?;
    if given.agent.len() > AGENT_MAX || given.password.len() > *PASSWORD_BYTES.end() {
        let rule = format!(
            "want an agent of at most {AGENT_MAX} bytes and a password of at most {}",
            PASSWORD_BYTES.end()
        );
        return Err(ApiError::BadRequest(rule));
    }
    let attempt = Attempt::begin(&api.logins, peer.remote.ip())?;
    let source = peer.remote;
    let heard = api
        .control
        .ask(|reply| Command::Access(AccessCommand::MayLogIn { source, reply }));
    if !heard.await? {
        return Err(Turned::Banned.into());
    }
    let agent = given.agent.clone();
    let Some(login) = api.logins.check(given).await? else {
        let secure = peer.secure;
        let failed = api.control.ask(|reply| {
            Command::Access(AccessCommand::LoginFailed {
                source,
                secure,
                agent,
                reply,
            })
        });
        failed.await?;
        let held = api
            .logins
            .slow
            .lock()
            .failed(api.logins.now(), attempt.source);
        tokio::time::sleep(held).await;
        return Err(Turned::Wrong.into());
    };
    api.logins.slow.lock().succeeded(attempt.source);
    let minted = api.access.login(&login, &new_id()?, jiff::Timestamp::now());
    tracing::info!(agent = login.agent, source = %source.ip(), "logged in");
    Ok(Json(minted.into()))
}

/// Logs out: the token of the request, and those made from it, are good for nothing any more.
#[utoipa::path(delete, path = "/v1/login", tag = "access", responses(
    (status = 204), (status = 401, body = ErrorJson)
))]
pub(super) async fn log_out(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let subject = subject(&api, &headers).await?;
    if subject.kind == Kind::Click {
        return Err(refused(Denied::Misplaced));
    }
    let subject = Box::new(subject);
    let out = api
        .control
        .ask(|reply| Command::Access(AccessCommand::LogOut { subject, reply }));
    out.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whoever shows a token that is good, and still is somebody.
pub(super) async fn subject(api: &Api, headers: &HeaderMap) -> Result<Subject, ApiError> {
    let token = bearer(headers).ok_or(ApiError::Unauthorized)?;
    let verified = api.access.verify(token, jiff::Timestamp::now());
    let subject = verified.map_err(refused)?;
    let stands = {
        let subject = Box::new(subject.clone());
        api.control
            .ask(|reply| Command::Access(AccessCommand::Stands { subject, reply }))
    };
    stands.await?.map_err(refused)?;
    Ok(subject)
}

/// One word for every reason: the log has the true one.
fn refused(why: Denied) -> ApiError {
    tracing::warn!(
        id = why.id(),
        why = why.explanation().sentence(),
        "token refused"
    );
    ApiError::Unauthorized
}

/// An id that nobody can guess.
pub(super) fn new_id() -> Result<String, ApiError> {
    Ok(uuid::Builder::from_random_bytes(random()?)
        .into_uuid()
        .to_string())
}

/// Random bytes of the system.
pub(super) fn random<const N: usize>() -> Result<[u8; N], ApiError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| ApiError::Unavailable {
        what: "the system's randomness",
    })?;
    Ok(bytes)
}

/// Bytes of the longest name of an agent.
const AGENT_MAX: usize = 64;
