//! Who proves what to whom: users, passwords and hashes in the sections of trunks and endpoints.

use sip::auth::{self, Algorithm, Credentials, Ha1};

use super::super::secrets::{Digests, Secrets};
use crate::config::{ConfigError, Section};

/// Which digests are asked for (`digest`).
pub(super) fn digests(file: &mut Section) -> Result<Digests, ConfigError> {
    Ok(file.one_of("digest", &DIGESTS)?.unwrap_or_default())
}

/// What the carrier must prove besides its address.
pub(super) fn inbound(
    file: &mut Section,
    realm: &str,
) -> Result<Option<(String, Secrets)>, ConfigError> {
    let digests = digests(file)?;
    let user = file.text("inbound_user")?;
    let password = file.secret("inbound_password")?;
    match (user, password) {
        (Some(user), Some(password)) => {
            let secrets = Secrets::from_password(&user, realm, &password, digests);
            Ok(Some((user, secrets)))
        }
        (None, None) => Ok(None),
        (Some(_), None) => Err(file.missing("inbound_password", "the password of inbound_user")),
        (None, Some(_)) => Err(file.missing("inbound_user", "the user of inbound_password")),
    }
}

/// Who we are to the carrier.
pub(super) fn credentials(file: &mut Section) -> Result<Option<Credentials>, ConfigError> {
    let (user, password) = (file.text("user")?, file.secret("password")?);
    let realm = file.text("realm")?;
    match (user, password) {
        (Some(user), Some(password)) => Ok(Some(Credentials {
            user,
            secret: auth::Secret::Password(password),
            realm,
            scope: auth::Scope::default(),
        })),
        (None, None) if realm.is_some() => Err(file.missing("user", "the user of that realm")),
        (None, None) => Ok(None),
        (Some(_), None) => Err(file.missing("password", "the password of user")),
        (None, Some(_)) => Err(file.missing("user", "the user of password")),
    }
}

/// A password, or hashes made elsewhere; not both, so that it is clear what counts.
pub(super) fn secrets(
    file: &mut Section,
    user: &str,
    realm: &str,
    digests: Digests,
) -> Result<Option<Secrets>, ConfigError> {
    let password = file.secret("password")?;
    let mut hashes = Vec::new();
    for (key, algorithm, rule) in HASHES {
        if let Some(text) = file.secret(key)? {
            let hash = Ha1::from_hex(&text, algorithm);
            hashes.push(hash.ok_or_else(|| hidden(file, key, rule))?);
        }
    }
    match (password, hashes.is_empty()) {
        (Some(_), false) => Err(hidden(file, "password", "either a password or hashes")),
        (Some(password), true) if password.is_empty() => {
            Err(hidden(file, "password", "a password that is not empty"))
        }
        (Some(password), true) => Ok(Some(Secrets::from_password(
            user, realm, &password, digests,
        ))),
        (None, true) => Ok(None),
        (None, false) => match Secrets::from_hashes(hashes, digests) {
            Ok(secrets) => Ok(Some(secrets)),
            Err(missing) => {
                let wanted = HASHES
                    .iter()
                    .find(|&&(_, algorithm, _)| algorithm == missing);
                let (key, rule) = wanted.map_or(("password", ""), |&(key, _, rule)| (key, rule));
                Err(file.missing(key, rule))
            }
        },
    }
}

/// The error for a value that must not be shown.
fn hidden(file: &Section, key: &str, rule: &str) -> ConfigError {
    ConfigError::Value {
        key: file.key(key),
        rule: rule.to_owned(),
        value: "(hidden)".to_owned(),
    }
}

const DIGESTS: [(&str, Digests); 3] = [
    ("md5", Digests::Md5),
    ("sha-256", Digests::Sha256),
    ("both", Digests::Both),
];
const HASHES: [(&str, Algorithm, &str); 2] = [
    (
        "ha1_md5",
        Algorithm::Md5,
        "32 hexadecimal digits: MD5 of user:realm:password",
    ),
    (
        "ha1_sha256",
        Algorithm::Sha256,
        "64 hexadecimal digits: SHA-256 of user:realm:password",
    ),
];
