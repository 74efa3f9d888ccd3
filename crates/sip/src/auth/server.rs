//! The digest server: challenges, and verifies what comes back.
//!
//! A nonce is `serial ‖ time ‖ HMAC-SHA-256(secret, serial ‖ time ‖ peer address ‖ realm)`: nothing is
//! stored when it is given out, so a flood of unauthenticated requests costs no memory. Only a nonce
//! that was used successfully occupies one of [`SEEN_MAX`] cells, where its counts are remembered.

use super::fields::{AuthorizationHeader, quote};
use super::{Algorithm, Exchange, HEX, Ha1, Hex, Qop, response};
use clock::{Duration, Now};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use std::net::IpAddr;
use subtle::ConstantTimeEq;

/// Verifies digest credentials of one realm.
#[derive(Clone)]
pub struct DigestServer {
    secret: [u8; 32],
    realm: String,
    nonce_life: Duration,
    next_serial: u64,
    seen: Box<[Seen]>,
    decoys: [Ha1; 3],
    hashes_decoys: bool,
}

/// A user whose proof was right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticated {
    /// The user name, as the lookup knows it.
    pub user: String,
    /// The algorithm of the proof.
    pub algorithm: Algorithm,
}

/// What a lookup found for a user: his secret, or a decoy that proves nothing.
#[derive(Clone, Copy, Debug)]
pub struct Looked {
    /// Of the algorithm asked for.
    pub ha1: Ha1,
    /// Whether there is such a user.
    pub exists: bool,
}

/// Why credentials were not accepted, and whether the next challenge should say `stale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied {
    /// For logs and counters; never told to the peer.
    pub why: DenyReason,
    /// The nonce was not good any more, whatever the proof: the client may retry without asking its
    /// user (RFC 7616 §3.3).
    pub stale: bool,
    /// The nonce was ours, given to this very address: whoever sent it hears what we send there.
    pub hears_us: bool,
}

/// What was wrong with credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenyReason {
    /// For another realm.
    OtherRealm,
    /// An algorithm or quality of protection that was not offered.
    Unsupported,
    /// The nonce is not ours, or was given to another address.
    ForeignNonce,
    /// The nonce is too old.
    ExpiredNonce,
    /// The nonce count was used before.
    Replayed,
    /// Unknown user or wrong password: deliberately one case.
    WrongProof,
    /// Right, but made for a request to somebody else: see [`AuthorizationHeader::is_for_another`].
    OtherTarget,
}

impl DigestServer {
    /// Makes a server for `realm`. `secret` must be random; nonces live for `nonce_life`.
    pub fn new(secret: [u8; 32], realm: &str, nonce_life: Duration) -> Self {
        let secret_hex = Hex::encode(&secret).to_string();
        let decoy = |algorithm| Ha1::from_password("", realm, &secret_hex, algorithm);
        Self {
            secret,
            realm: realm.to_owned(),
            nonce_life,
            next_serial: 1,
            seen: vec![Seen::default(); SEEN_MAX].into_boxed_slice(),
            decoys: [Algorithm::Md5, Algorithm::Sha256, Algorithm::Sha512_256].map(decoy),
            hashes_decoys: true,
        }
    }

    /// Answers for users it does not know at once, without hashing: what the tests of the defence find.
    #[doc(hidden)]
    pub fn without_decoys(mut self) -> Self {
        self.hashes_decoys = false;
        self
    }

    /// The realm the server speaks for.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// Makes the value of a `WWW-Authenticate` or `Proxy-Authenticate` header with a fresh nonce.
    pub fn challenge(
        &mut self,
        now: Now,
        peer: IpAddr,
        algorithm: Algorithm,
        stale: bool,
    ) -> String {
        let serial = self.next_serial;
        self.next_serial += 1;
        let nonce = self.nonce(serial, now.as_millis(), peer);
        let realm = quote(&self.realm);
        let algorithm = algorithm.token();
        let stale = if stale { ", stale=true" } else { "" };
        format!(
            "Digest realm={realm}, nonce=\"{nonce}\", algorithm={algorithm}, qop=\"auth\"{stale}"
        )
    }

    /// Verifies credentials that came with a request (method, Request-URI, body) from `peer`.
    ///
    /// `lookup` gives the secret of a user under an algorithm. A user it does not know costs the same
    /// as a wrong password and gets the same answer.
    ///
    /// # Errors
    /// [`Denied`] with the reason; answer it with a fresh [`DigestServer::challenge`].
    pub fn verify(
        &mut self,
        now: Now,
        peer: IpAddr,
        header: &AuthorizationHeader<'_>,
        (method, request_uri, body): (&str, &str, &[u8]),
        lookup: impl Fn(&str, Algorithm) -> Option<Ha1>,
    ) -> Result<Authenticated, Denied> {
        let decoys = self.decoys;
        let looked = |user: &str, algorithm: Algorithm| {
            let known = lookup(user, algorithm);
            let ha1 = known.unwrap_or(decoys[algorithm as usize]);
            let exists = known.is_some();
            Looked { ha1, exists }
        };
        self.verify_with(now, peer, header, (method, request_uri, body), looked)
    }

    /// As [`DigestServer::verify`], with a lookup that does the same work whether there is such a user
    /// or not.
    ///
    /// # Errors
    /// As [`DigestServer::verify`].
    pub fn verify_with(
        &mut self,
        now: Now,
        peer: IpAddr,
        header: &AuthorizationHeader<'_>,
        (method, request_uri, body): (&str, &str, &[u8]),
        lookup: impl Fn(&str, Algorithm) -> Looked,
    ) -> Result<Authenticated, Denied> {
        let nonce = self.read_nonce(&header.nonce, peer);
        let hears_us = nonce.is_some();
        let denied = |why, stale| {
            Err(Denied {
                why,
                stale,
                hears_us,
            })
        };
        if header.realm != self.realm {
            return denied(DenyReason::OtherRealm, false);
        }
        let Some(algorithm) = header.algorithm else {
            return denied(DenyReason::Unsupported, false);
        };
        let Ok((qop, count)) = use_of(header) else {
            return denied(DenyReason::Unsupported, false);
        };
        let Looked { ha1, exists } = lookup(&header.username, algorithm);
        let exists = exists & (ha1.algorithm == algorithm);
        if !exists && !self.hashes_decoys {
            return denied(DenyReason::WrongProof, false);
        }
        let (uri, token) = (header.uri.as_ref(), header.nonce.as_ref());
        let wanted = response(
            &ha1,
            &Exchange {
                method,
                uri,
                nonce: token,
                qop,
                body,
            },
        );
        let given = header.response.to_ascii_lowercase();
        let right = bool::from(wanted.as_bytes().ct_eq(given.as_bytes())) & exists;
        // A nonce that is not good is said to be stale before anything is said of the proof: nobody
        // learns about a password from an address that is not his.
        let stale = |why| denied(why, true);
        let Some((serial, made_ms)) = nonce else {
            return stale(DenyReason::ForeignNonce);
        };
        let age = now.as_millis().checked_sub(made_ms);
        if age.is_none_or(|age| u128::from(age) > self.nonce_life.as_millis()) {
            return stale(DenyReason::ExpiredNonce);
        }
        if !right {
            return denied(DenyReason::WrongProof, false);
        }
        if header.is_for_another(request_uri) {
            return denied(DenyReason::OtherTarget, false);
        }
        let Some(seen) = self.seen.get_mut((serial % SEEN_MAX as u64) as usize) else {
            return stale(DenyReason::Replayed);
        };
        if !seen.accept(serial, count) {
            return stale(DenyReason::Replayed);
        }
        Ok(Authenticated {
            user: header.username.clone().into_owned(),
            algorithm,
        })
    }

    fn nonce(&self, serial: u64, made_ms: u64, peer: IpAddr) -> String {
        let mac = self.mac(serial, made_ms, peer);
        format!("{serial:x}.{made_ms:x}.{mac}")
    }

    /// The serial and time of a nonce that this server gave to `peer`.
    fn read_nonce(&self, nonce: &str, peer: IpAddr) -> Option<(u64, u64)> {
        let mut parts = nonce.split('.');
        let serial = u64::from_str_radix(parts.next()?, 16).ok()?;
        let made_ms = u64::from_str_radix(parts.next()?, 16).ok()?;
        let given = parts.next()?;
        let ours = self.mac(serial, made_ms, peer);
        let same = bool::from(ours.as_bytes().ct_eq(given.as_bytes()));
        (same && parts.next().is_none()).then_some((serial, made_ms))
    }

    fn mac(&self, serial: u64, made_ms: u64, peer: IpAddr) -> String {
        // A v4 peer seen on a v6 socket is the same peer.
        let peer = match peer.to_canonical() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        let mut key = [0; 64];
        for (to, from) in key.iter_mut().zip(self.secret) {
            *to = from;
        }
        let mut mac = Hmac::<Sha256>::new(&key.into());
        mac.update(&serial.to_be_bytes());
        mac.update(&made_ms.to_be_bytes());
        mac.update(&peer.octets());
        mac.update(self.realm.as_bytes());
        let tag = mac.finalize().into_bytes();
        // 128 bits: as hard to forge as the nonce is worth.
        tag.iter()
            .take(16)
            .flat_map(|byte| [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]])
            .map(char::from)
            .collect()
    }
}

impl fmt::Debug for DigestServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DigestServer")
            .field("realm", &self.realm)
            .finish_non_exhaustive()
    }
}

/// The quality of protection that a header claims, and the count of its nonce.
fn use_of<'a>(header: &'a AuthorizationHeader<'_>) -> Result<(Option<Qop<'a>>, Option<u32>), ()> {
    let Some((token, nc, cnonce)) = &header.qop else {
        return Ok((None, None));
    };
    let is_served = token.eq_ignore_ascii_case("auth") || token.eq_ignore_ascii_case("auth-int");
    match nonce_count(nc) {
        Some(count) if is_served => Ok((Some(Qop { token, nc, cnonce }), Some(count))),
        _ => Err(()),
    }
}

/// `nc` is 32 bits of hex (RFC 7616 §3.4), whatever its case.
fn nonce_count(nc: &str) -> Option<u32> {
    let hex = (1..=8).contains(&nc.len()) && nc.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hex {
        u32::from_str_radix(nc, 16).ok()
    } else {
        None
    }
}

/// The counts used with one nonce. A later nonce that falls into the same cell retires this one.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    serial: u64,
    highest: u32,
    /// Bit `n`: count `highest - n` was used.
    window: u64,
    /// Used without a count: good for once.
    spent: bool,
}

impl Seen {
    fn accept(&mut self, serial: u64, count: Option<u32>) -> bool {
        if self.serial > serial {
            return false;
        }
        let fresh = self.serial < serial;
        if fresh {
            *self = Self {
                serial,
                ..Self::default()
            };
        }
        let Some(count) = count else {
            self.spent = true;
            return fresh;
        };
        if self.spent || count == 0 {
            return false;
        }
        if count > self.highest {
            let shift = count - self.highest;
            self.window = self.window.checked_shl(shift).unwrap_or(0) | 1;
            self.highest = count;
            return true;
        }
        let back = self.highest - count;
        let bit = 1_u64.checked_shl(back).unwrap_or(0);
        // Further back than the window reaches counts as used: requests do not travel that far apart.
        let unused = bit != 0 && self.window & bit == 0;
        self.window |= bit;
        unused
    }
}

/// How many nonces in use are remembered. The oldest beyond it becomes stale, which costs its client
/// one more round trip.
const SEEN_MAX: usize = 4096;
