//! Digest authentication for both roles: RFC 7616 with the algorithms of RFC 8760, and RFC 2617's
//! form without `qop` for old clients.
//!
//! Pure: secrets, nonces' randomness and time are given. A stored secret is an [`Ha1`], never a
//! password; neither ever appears in `Debug` output.

mod client;
mod fields;
mod server;

pub use client::{Challenge, Credentials, Scope, Secret, answer};
pub use fields::{AuthorizationHeader, FieldError};
pub use server::{Authenticated, Denied, DenyReason, DigestServer, Looked};

use md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};
use std::fmt;

/// A digest algorithm, from weak to strong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// `MD5`: broken as a hash, but what most phones speak.
    Md5,
    /// `SHA-256` (RFC 8760).
    Sha256,
    /// `SHA-512-256` (RFC 8760).
    Sha512_256,
}

impl Algorithm {
    /// The name used in `algorithm=`.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
            Self::Sha512_256 => "SHA-512-256",
        }
    }

    /// Reads an `algorithm=` value, case-insensitively; the `-sess` variants are not supported.
    pub fn parse(token: &str) -> Option<Self> {
        [Self::Md5, Self::Sha256, Self::Sha512_256]
            .into_iter()
            .find(|algorithm| algorithm.token().eq_ignore_ascii_case(token))
    }

    /// Hashes `parts` joined by colons, as digest does everywhere.
    fn hash(self, parts: &[&[u8]]) -> Hex {
        fn run<D: Digest>(parts: &[&[u8]]) -> Hex {
            let mut hash = D::new();
            for (index, part) in parts.iter().enumerate() {
                if index > 0 {
                    hash.update(b":");
                }
                hash.update(part);
            }
            Hex::encode(&hash.finalize())
        }
        match self {
            Self::Md5 => run::<Md5>(parts),
            Self::Sha256 => run::<Sha256>(parts),
            Self::Sha512_256 => run::<Sha512_256>(parts),
        }
    }
}

/// What proves a user: the hash of user, realm and password under one algorithm.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ha1 {
    algorithm: Algorithm,
    hex: Hex,
}

impl Ha1 {
    /// Computes the secret of `user` in `realm`.
    pub fn from_password(user: &str, realm: &str, password: &str, algorithm: Algorithm) -> Self {
        let hex = algorithm.hash(&[user.as_bytes(), realm.as_bytes(), password.as_bytes()]);
        Self { algorithm, hex }
    }

    /// Reads a stored secret: lower- or upper-case hex of the algorithm's length.
    pub fn from_hex(text: &str, algorithm: Algorithm) -> Option<Self> {
        let length = match algorithm {
            Algorithm::Md5 => 32,
            Algorithm::Sha256 | Algorithm::Sha512_256 => 64,
        };
        let bytes = text.as_bytes();
        if bytes.len() != length || !bytes.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let mut hex = Hex {
            digits: [0; 64],
            len: 0,
        };
        for (to, from) in hex.digits.iter_mut().zip(bytes) {
            *to = from.to_ascii_lowercase();
            hex.len += 1;
        }
        Some(Self { algorithm, hex })
    }

    /// The secret as it is stored.
    pub fn to_hex(&self) -> String {
        self.hex.to_string()
    }

    /// The algorithm it was made with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ha1({}, …)", self.algorithm.token())
    }
}

/// The inputs of one digest, as the header gives them.
#[derive(Clone, Copy)]
struct Exchange<'a> {
    method: &'a str,
    uri: &'a str,
    nonce: &'a str,
    /// `None` is RFC 2617's compatibility form.
    qop: Option<Qop<'a>>,
    body: &'a [u8],
}

#[derive(Clone, Copy)]
struct Qop<'a> {
    /// `auth` or `auth-int`, as written.
    token: &'a str,
    nc: &'a str,
    cnonce: &'a str,
}

/// The `response` value that proves `ha1` over one exchange.
fn response(ha1: &Ha1, exchange: &Exchange<'_>) -> Hex {
    let algorithm = ha1.algorithm;
    let (method, uri) = (exchange.method.as_bytes(), exchange.uri.as_bytes());
    let ha2 = match exchange.qop {
        Some(qop) if qop.token.eq_ignore_ascii_case("auth-int") => {
            let body = algorithm.hash(&[exchange.body]);
            algorithm.hash(&[method, uri, body.as_bytes()])
        }
        _ => algorithm.hash(&[method, uri]),
    };
    let nonce = exchange.nonce.as_bytes();
    match exchange.qop {
        None => algorithm.hash(&[ha1.hex.as_bytes(), nonce, ha2.as_bytes()]),
        Some(qop) => algorithm.hash(&[
            ha1.hex.as_bytes(),
            nonce,
            qop.nc.as_bytes(),
            qop.cnonce.as_bytes(),
            qop.token.as_bytes(),
            ha2.as_bytes(),
        ]),
    }
}

/// A hash in lower-case hex, without an allocation.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Hex {
    digits: [u8; 64],
    len: usize,
}

impl Hex {
    fn encode(bytes: &[u8]) -> Self {
        let mut digits = [0; 64];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
            pair.copy_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
        Self {
            digits,
            len: (bytes.len() * 2).min(64),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        self.digits.get(..self.len).unwrap_or_default()
    }
}

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(self.as_bytes()).unwrap_or_default())
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests;
