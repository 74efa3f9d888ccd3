//! Who may prove himself by a token, and what the tokens are (docs/access.md).
//!
//! The law: pure. Time and randomness come with the question; a password is compared where one may wait.
//! [`Access`] says whose a token is, from the token alone; [`Roll`] says whether he still is anybody, and
//! lives with whoever admits. What a peer hears of a token that is not good is the same whatever the
//! reason: a [`Denied`] is for the log and `explain`.
//!
//! ```text
//!   agent, password ─▶ Book ─┐
//!   API: credential ─────────┼─▶ token ─▶ Access::verify ─▶ Subject ─▶ Roll: is he still? ─▶ admitted
//!   API: click to call ──────┘                                              └ once, for a click
//! ```

mod book;
mod denied;
mod password;
mod roll;
mod slow;
#[cfg(test)]
mod tests;
mod token;
mod turn;

use std::time::Duration;

use jiff::Timestamp;

pub use book::{Book, Login};
pub use denied::Denied;
pub use password::{PASSWORD_BYTES, PasswordHash, hash};
pub use roll::{CREDENTIALS_MAX, Credential, Roll, SPENT_MAX};
pub use slow::Slow;
pub use turn::IceServer;

use crate::config;
use token::{Claims, Key, Use};

/// What a token was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An agent has given his password.
    Login,
    /// The API has made it for a telephony credential.
    Credential,
    /// The API has made it for one call into one entry.
    Click,
}

/// Whose a token is.
#[derive(Clone, PartialEq, Eq)]
pub struct Subject {
    /// What it was made for.
    pub kind: Kind,
    /// Its own id; a token that a reconnect is made with has that of the token it goes back to.
    pub id: String,
    /// The endpoint that its holder is; for a click, whom its call shows.
    pub endpoint: String,
    /// The agent, of [`Kind::Login`].
    pub agent: Option<String>,
    /// The credential's id, of [`Kind::Credential`].
    pub credential: Option<String>,
    /// The only number that it may call, of [`Kind::Click`].
    pub entry: Option<String>,
    /// Which password it was given for, of [`Kind::Login`].
    stamp: Option<String>,
    /// The session that it takes up again.
    pub session: Option<String>,
    /// Until when it is good.
    pub expires: Timestamp,
}

/// Without what could be used: an id is no proof, but nobody needs to read it either.
impl std::fmt::Debug for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subject")
            .field("kind", &self.kind)
            .field("endpoint", &self.endpoint)
            .field("agent", &self.agent)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// A token that was made just now.
#[derive(Clone, PartialEq, Eq)]
pub struct Minted {
    /// The token.
    pub token: String,
    /// Until when it is good.
    pub expires: Timestamp,
}

/// Makes tokens and says whose they are. Cheap to clone, the same on every thread.
#[derive(Clone)]
pub struct Access {
    key: Key,
    lives: Lives,
}

/// How long tokens are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lives {
    login: Duration,
    credential: Duration,
    click_max: Duration,
}

/// The secret is not shown.
impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access")
            .field("lives", &self.lives)
            .finish_non_exhaustive()
    }
}

impl Access {
    /// Tokens of that secret, [`config::SECRET_MIN`] bytes or more.
    pub fn new(secret: &config::Secret, config: &config::Access) -> Self {
        Self {
            key: Key::new(secret.reveal()),
            lives: Lives {
                login: config.login,
                credential: config.credential,
                click_max: config.click_max,
            },
        }
    }

    /// Says whose a token is. Whether that agent or credential still exists is another question: control
    /// asks it ([`Roll::stands`]) of every request that a token comes with.
    ///
    /// # Errors
    /// [`Denied`]; tell its bearer no more than that it is not good.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Subject, Denied> {
        let claims = self.key.open(token)?;
        let until = |at: i64| Timestamp::from_second(at).map_err(|_| Denied::Malformed);
        let (begins, expires) = (until(claims.nbf)?, until(claims.exp)?);
        if now < begins || now >= expires {
            return Err(Denied::Expired { at: expires });
        }
        let Claims {
            sub,
            endpoint,
            stamp,
            sid,
            jti,
            ..
        } = claims;
        let (kind, agent, credential, entry) = match claims.r#for {
            Use::Login => (Kind::Login, Some(sub), None, None),
            Use::Credential => (Kind::Credential, None, Some(sub), None),
            Use::Click => (Kind::Click, None, None, Some(sub)),
        };
        Ok(Subject {
            kind,
            id: jti,
            endpoint,
            agent,
            credential,
            entry,
            stamp,
            session: sid,
            expires,
        })
    }

    /// The token of an agent who has given his password.
    pub fn login(&self, login: &Login, id: &str, now: Timestamp) -> Minted {
        let claims = Claims {
            stamp: Some(login.stamp.clone()),
            ..claims(Use::Login, &login.agent, &login.endpoint, id)
        };
        self.mint(claims, now, self.lives.login, None)
    }

    /// A token for a credential; good for no longer than that is.
    pub fn credential(&self, credential: &Credential, id: &str, now: Timestamp) -> Minted {
        let claims = claims(Use::Credential, &credential.id, &credential.endpoint, id);
        self.mint(claims, now, self.lives.credential, credential.ends)
    }

    /// A token for one call to `entry`, which shows `from`; for `life`, at most `access.click_max`.
    pub fn click(
        &self,
        (entry, from): (&str, &str),
        id: &str,
        now: Timestamp,
        life: Option<Duration>,
    ) -> Minted {
        let life = life.unwrap_or(CLICK_LIFE).min(self.lives.click_max);
        self.mint(claims(Use::Click, entry, from, id), now, life, None)
    }

    /// A token that proves the same as the one of `subject`, for as long, and names a session: who
    /// reconnects needs no password and has nobody hash one.
    pub fn resume(&self, subject: &Subject, session: &str, now: Timestamp) -> Minted {
        let (r#for, sub) = match subject.kind {
            Kind::Login => (Use::Login, &subject.agent),
            Kind::Credential => (Use::Credential, &subject.credential),
            Kind::Click => (Use::Click, &subject.entry),
        };
        let sub = sub.as_deref().unwrap_or_default();
        let claims = Claims {
            stamp: subject.stamp.clone(),
            sid: Some(session.to_owned()),
            ..claims(r#for, sub, &subject.endpoint, &subject.id)
        };
        self.mint(claims, now, Duration::MAX, Some(subject.expires))
    }

    /// The password of a credential in SIP's digest: made from the secret, so stored nowhere.
    pub fn sip_password(&self, credential: &str) -> config::Secret {
        config::Secret::new(self.key.derive("sip password", credential))
    }

    fn mint(
        &self,
        claims: Claims,
        now: Timestamp,
        life: Duration,
        no_later: Option<Timestamp>,
    ) -> Minted {
        let expires = now.saturating_add(life).unwrap_or(Timestamp::MAX);
        let expires = no_later.map_or(expires, |last| expires.min(last));
        let claims = Claims {
            iat: now.as_second(),
            // A second of grace for clocks that are not quite ours.
            nbf: now.as_second() - 1,
            exp: expires.as_second(),
            ..claims
        };
        Minted {
            token: self.key.seal(&claims),
            // As the token says it: in whole seconds.
            expires: Timestamp::from_second(expires.as_second()).unwrap_or(expires),
        }
    }
}

fn claims(r#for: Use, sub: &str, endpoint: &str, id: &str) -> Claims {
    Claims {
        iss: token::ISSUER.to_owned(),
        r#for,
        sub: sub.to_owned(),
        endpoint: endpoint.to_owned(),
        stamp: None,
        sid: None,
        iat: 0,
        nbf: 0,
        exp: 0,
        jti: id.to_owned(),
    }
}

/// How long a click waits for its call where nobody says how long.
const CLICK_LIFE: Duration = Duration::from_secs(300);

/// An endpoint name that nobody else has or can guess: 160 random bits.
pub fn generated_name(random: [u8; 20]) -> String {
    let digits = random.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0');
    let mut name = GENERATED.to_owned();
    name.extend(digits.map(digit));
    name
}

/// Whether a name has the form of [`generated_name`]'s, whoever it may be.
pub fn is_generated(name: &str) -> bool {
    let digits = name.strip_prefix(GENERATED);
    digits.is_some_and(|it| it.len() == 40 && it.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// What generated endpoint names begin with, as those of the API that they stand in for.
const GENERATED: &str = "gencred";
