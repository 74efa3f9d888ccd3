//! JSON Web Tokens, as RFC 7519 and RFC 7515 §7.1 write them: `HEADER.CLAIMS.TAG` in base64url.
//!
//! One algorithm, HS256, and one header, compared byte for byte: a token cannot choose how it is
//! verified. Any library that knows the secret reads and makes them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Denied;

/// What a token says. The wire's own type: nobody beside this folder sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claims {
    /// [`ISSUER`].
    pub(super) iss: String,
    /// What it is good for.
    pub(super) r#for: Use,
    /// The agent, the credential's id, or the number that may be called.
    pub(super) sub: String,
    /// The endpoint that its bearer is; for a click, whom the call shows.
    pub(super) endpoint: String,
    /// Which password was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stamp: Option<String>,
    /// The session that it takes up again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sid: Option<String>,
    /// When it was made, in seconds since 1970 UTC; so are the next two.
    pub(super) iat: i64,
    /// From when it is good.
    pub(super) nbf: i64,
    /// Until when.
    pub(super) exp: i64,
    /// Its own id.
    pub(super) jti: String,
}

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Use {
    /// To be an agent's endpoint.
    Login,
    /// To be a credential's.
    Credential,
    /// One call.
    Click,
}

/// The secret, as HMAC takes it.
#[derive(Clone)]
pub(super) struct Key([u8; BLOCK]);

impl Key {
    /// The key that is `secret`; of one longer than a block, its hash (RFC 2104 §2).
    pub(super) fn new(secret: &str) -> Self {
        let hashed;
        let key = match secret.len() > BLOCK {
            true => {
                hashed = Sha256::digest(secret.as_bytes());
                hashed.as_slice()
            }
            false => secret.as_bytes(),
        };
        let mut block = [0; BLOCK];
        for (to, from) in block.iter_mut().zip(key) {
            *to = *from;
        }
        Self(block)
    }

    #[cfg(test)]
    pub(super) const fn of_bytes(block: [u8; BLOCK]) -> Self {
        Self(block)
    }

    pub(super) fn seal(&self, claims: &Claims) -> String {
        // Text and numbers: there is nothing that could not be written.
        let claims = serde_json::to_vec(claims).unwrap_or_default();
        let mut token = format!("{HEADER}.{}", URL_SAFE_NO_PAD.encode(claims));
        let tag = URL_SAFE_NO_PAD.encode(self.tag(&token));
        token.push('.');
        token.push_str(&tag);
        token
    }

    /// What a token of ours says, whenever that was.
    pub(super) fn open(&self, token: &str) -> Result<Claims, Denied> {
        if token.len() > TOKEN_MAX {
            return Err(Denied::Malformed);
        }
        let (signed, tag) = token.rsplit_once('.').ok_or(Denied::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Denied::Malformed)?;
        let tag = URL_SAFE_NO_PAD.decode(tag);
        let tag = tag.map_err(|_| Denied::Malformed)?;
        let right = bool::from(self.tag(signed).as_slice().ct_eq(&tag));
        if header != HEADER || !right {
            return Err(Denied::Forged);
        }
        let claims = URL_SAFE_NO_PAD.decode(claims);
        let claims = claims.map_err(|_| Denied::Malformed)?;
        let claims: Claims = serde_json::from_slice(&claims).map_err(|_| Denied::Malformed)?;
        match claims.iss == ISSUER {
            true => Ok(claims),
            false => Err(Denied::Forged),
        }
    }

    /// A text that only this secret makes of `what` and `of`: 160 bits, in 40 hexadecimal digits.
    pub(super) fn derive(&self, what: &str, of: &str) -> String {
        // No token begins like this: its first byte is that of HEADER.
        let tag = self.tag(&format!("{what}:{of}"));
        let hex = |byte: &u8| format!("{byte:02x}");
        tag.iter().take(20).map(hex).collect()
    }

    pub(super) fn tag(&self, signed: &str) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new(&self.0.into());
        mac.update(signed.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

/// `{"alg":"HS256","typ":"JWT"}`.
pub(super) const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
/// Who makes tokens.
pub(super) const ISSUER: &str = "tandem";
/// Bytes of the longest token that is looked at; ours have some 400.
const TOKEN_MAX: usize = 2_048;
/// HMAC's block with SHA-256.
const BLOCK: usize = 64;
