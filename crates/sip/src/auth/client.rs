//! The digest client: reads challenges and proves who we are.

use super::fields::{FieldError, Fields, quote};
use super::{Algorithm, Exchange, Ha1, Qop, response};
use std::fmt;
use std::net::IpAddr;

/// Who we are to a server that asks.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name to give.
    pub user: String,
    /// What proves it.
    pub secret: Secret,
    /// When set, no other realm ever sees a proof.
    pub realm: Option<String>,
    /// Who may ask for a proof, and how weak it may be.
    pub scope: Scope,
}

/// Who may ask for a proof, and how weak it may be.
///
/// A proof is a hash that its receiver can try passwords against, at leisure: whoever can make us send
/// one to him has half the password (digest leak, CVE-2021-41158).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Networks, as address and prefix length, whose challenges are answered. None at all means: only
    /// the address that the first request went to.
    pub peers: Vec<(IpAddr, u8)>,
    /// The weakest algorithm that is still answered: once a server took SHA-256, a challenge with MD5
    /// alone is somebody else's.
    pub least: Option<Algorithm>,
}

impl Scope {
    /// Whether a challenge from `ip` may be answered.
    pub fn admits(&self, ip: IpAddr) -> bool {
        self.peers
            .iter()
            .any(|&(network, prefix)| is_within(ip.to_canonical(), network.to_canonical(), prefix))
    }
}

fn is_within(ip: IpAddr, network: IpAddr, prefix: u8) -> bool {
    let shared = match (ip, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => return false,
    };
    let width = if ip.is_ipv4() { 32 } else { 128 };
    shared >= u32::from(prefix).min(width)
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
            scope: Scope::default(),
        }
    }

    /// The same; where nobody is named to prove it to, only whoever is at `ip`.
    pub(crate) fn kept_to(mut self, ip: IpAddr) -> Self {
        if self.scope.peers.is_empty() {
            self.scope.peers.push((ip, 128));
        }
        self
    }

    /// The same, kept to the realm and the strength of a proof that was just made.
    pub(crate) fn pinned_to(&self, realm: &str, algorithm: Algorithm) -> Self {
        let mut pinned = self.clone();
        pinned.realm = Some(realm.to_owned());
        pinned.scope.least = pinned.scope.least.max(Some(algorithm));
        pinned
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
        let algorithm = algorithm.filter(|&algorithm| Some(algorithm) >= self.scope.least);
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
/// `count` is how often this nonce was used, from 1; `cnonce` must be fresh. Who asked is the caller's
/// to check: [`Scope::admits`].
pub fn answer(
    challenges: &[Challenge],
    credentials: &Credentials,
    request: (&str, &str, &[u8]),
    cnonce: &str,
    count: u32,
) -> Option<String> {
    let (algorithm, challenge) = strongest(challenges, credentials)?;
    Some(prove(
        (algorithm, challenge),
        credentials,
        request,
        (cnonce, count),
    ))
}

fn strongest<'a>(
    challenges: &'a [Challenge],
    credentials: &Credentials,
) -> Option<(Algorithm, &'a Challenge)> {
    let served = challenges
        .iter()
        .filter_map(|c| credentials.serves(c).map(|algorithm| (algorithm, c)));
    // `max_by_key` keeps the last of equals, hence the reversal.
    let all: Vec<_> = served.collect();
    all.into_iter()
        .rev()
        .max_by_key(|&(algorithm, _)| algorithm)
}

fn prove(
    (algorithm, challenge): (Algorithm, &Challenge),
    credentials: &Credentials,
    (method, uri, body): (&str, &str, &[u8]),
    (cnonce, count): (&str, u32),
) -> String {
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
    value
}
