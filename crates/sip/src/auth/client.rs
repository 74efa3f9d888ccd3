//! The digest client: reads challenges and proves who we are.

use super::fields::{FieldError, Fields, quote};
use super::{Algorithm, Exchange, Ha1, Qop, response};
use std::fmt;

/// Who we are to a server that asks.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name to give.
    pub user: String,
    /// What proves it.
    pub secret: Secret,
    /// When set, no other realm ever sees a proof.
    pub realm: Option<String>,
}

/// A password, or the hash of one.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// Serves every algorithm and realm.
    Password(String),
    /// Serves its own algorithm, and the realm it was made for.
    Ha1(Ha1),
}

impl Credentials {
    /// Credentials by password for any realm.
    pub fn password(user: &str, password: &str) -> Self {
        Self {
            user: user.to_owned(),
            secret: Secret::Password(password.to_owned()),
            realm: None,
        }
    }

    fn serves(&self, challenge: &Challenge) -> Option<Algorithm> {
        let realm = self
            .realm
            .as_deref()
            .is_none_or(|realm| realm == challenge.realm);
        let algorithm = challenge.algorithm.filter(|&algorithm| match &self.secret {
            Secret::Password(_) => true,
            Secret::Ha1(ha1) => ha1.algorithm() == algorithm,
        });
        algorithm.filter(|_| realm && challenge.qop != OfferedQop::Unknown)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("realm", &self.realm)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// One `WWW-Authenticate` or `Proxy-Authenticate` value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The protection space.
    pub realm: String,
    /// The server's nonce.
    pub nonce: String,
    /// To be returned unchanged.
    pub opaque: Option<String>,
    /// `None` when the server names one that is not supported.
    pub algorithm: Option<Algorithm>,
    /// The nonce was old, not the password wrong.
    pub stale: bool,
    qop: OfferedQop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OfferedQop {
    None,
    Auth,
    AuthInt,
    Unknown,
}

impl Challenge {
    /// Reads a header value.
    ///
    /// # Errors
    /// [`FieldError`] names what is missing or where the value breaks.
    pub fn parse(value: &str) -> Result<Self, FieldError> {
        let fields = Fields::parse(value)?;
        let qop = match fields.get("qop")? {
            None => OfferedQop::None,
            Some(list) => {
                let offers = |token: &str| {
                    list.split(',')
                        .any(|offer| offer.trim().eq_ignore_ascii_case(token))
                };
                match (offers("auth"), offers("auth-int")) {
                    (true, _) => OfferedQop::Auth,
                    (false, true) => OfferedQop::AuthInt,
                    (false, false) => OfferedQop::Unknown,
                }
            }
        };
        Ok(Self {
            realm: fields.need("realm")?.into_owned(),
            nonce: fields.need("nonce")?.into_owned(),
            opaque: fields.get("opaque")?.map(std::borrow::Cow::into_owned),
            algorithm: fields.algorithm()?,
            stale: fields
                .get("stale")?
                .is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
            qop,
        })
    }
}

/// Makes the `Authorization` value for one request: the strongest challenge that `credentials` serve
/// is answered, of equals the topmost (RFC 8760 §2.4). `None` when they serve none.
///
/// `count` is how often this nonce was used, from 1; `cnonce` must be fresh.
pub fn answer(
    challenges: &[Challenge],
    credentials: &Credentials,
    (method, uri, body): (&str, &str, &[u8]),
    cnonce: &str,
    count: u32,
) -> Option<String> {
    let served = challenges
        .iter()
        .filter_map(|c| credentials.serves(c).map(|algorithm| (algorithm, c)));
    // `max_by_key` keeps the last of equals, hence the reversal.
    let all: Vec<_> = served.collect();
    let (algorithm, challenge) = all
        .into_iter()
        .rev()
        .max_by_key(|&(algorithm, _)| algorithm)?;
    let ha1 = match &credentials.secret {
        Secret::Ha1(ha1) => *ha1,
        Secret::Password(password) => {
            Ha1::from_password(&credentials.user, &challenge.realm, password, algorithm)
        }
    };
    let nc = format!("{count:08x}");
    let token = match challenge.qop {
        OfferedQop::None | OfferedQop::Unknown => None,
        OfferedQop::Auth => Some("auth"),
        OfferedQop::AuthInt => Some("auth-int"),
    };
    let qop = token.map(|token| Qop {
        token,
        nc: &nc,
        cnonce,
    });
    let proof = response(
        &ha1,
        &Exchange {
            method,
            uri,
            nonce: &challenge.nonce,
            qop,
            body,
        },
    );
    let mut value = format!(
        "Digest username={}, realm={}, nonce={}, uri={}, response=\"{proof}\", algorithm={}",
        quote(&credentials.user),
        quote(&challenge.realm),
        quote(&challenge.nonce),
        quote(uri),
        algorithm.token(),
    );
    if let Some(token) = token {
        value.push_str(&format!(", qop={token}, nc={nc}, cnonce={}", quote(cnonce)));
    }
    if let Some(opaque) = &challenge.opaque {
        value.push_str(&format!(", opaque={}", quote(opaque)));
    }
    Some(value)
}
