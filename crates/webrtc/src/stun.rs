//! STUN as connectivity checks use it (RFC 8489, RFC 8445 §7): a Binding request is read and
//! authenticated, and answered; one of ours is written, and its answer read. Nothing else is understood.

use std::net::{IpAddr, SocketAddr};

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// The name of one request, repeated in its answer.
pub type Transaction = [u8; 12];

/// A check that has been read, and not been proven yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Check<'a> {
    bytes: &'a [u8],
    /// Its name.
    pub transaction: Transaction,
    /// Whom it is for: our name.
    pub ours: &'a str,
    /// Who says so: the peer's name.
    pub theirs: &'a str,
    /// Whether the peer chooses this way (USE-CANDIDATE).
    pub nominates: bool,
    /// Whether the peer says that it decides; a lite end's peer always does (RFC 8445 §6.1.1).
    pub controls: bool,
    /// Where MESSAGE-INTEGRITY begins.
    integrity: usize,
}

/// A success that has been read, and not been proven yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer<'a> {
    bytes: &'a [u8],
    /// The request that it answers.
    pub transaction: Transaction,
    /// Where MESSAGE-INTEGRITY begins.
    integrity: usize,
}

impl<'a> Answer<'a> {
    /// Reads a message of at most 65,555 bytes. It is proven by [`Answer::is_by`].
    ///
    /// # Errors
    /// [`StunError`]: it answers nothing.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, StunError> {
        let (kind, transaction) = head(bytes)?;
        if kind != BINDING_SUCCESS {
            return Err(StunError::Type(kind));
        }
        let mut integrity = 0;
        each_attribute(bytes, |kind, value, at| {
            match kind {
                _ if integrity > 0 => {}
                INTEGRITY if value.len() == 20 => integrity = at,
                XOR_MAPPED => {}
                must if must < 0x8000 => return Err(StunError::Unknown(must)),
                _ => {}
            }
            Ok(())
        })?;
        match integrity {
            0 => Err(StunError::Unproven),
            _ => Ok(Self {
                bytes,
                transaction,
                integrity,
            }),
        }
    }

    /// Whether whoever sent it knows `password`; in the same time whether or not.
    pub fn is_by(&self, password: &str) -> bool {
        is_proven(self.bytes, self.integrity, password)
    }
}

/// Why a message is no check.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StunError {
    /// It ends before its header does, or is not as long as it says.
    #[error("{0} bytes, which is not what its header says")]
    Length(usize),
    /// It has not the magic cookie.
    #[error("no magic cookie")]
    Cookie,
    /// Not a Binding request, or not the success of one, whichever it was to be.
    #[error("type {0:#06x} is not what is expected here")]
    Type(u16),
    /// An attribute goes beyond the message's end.
    #[error("attribute {0:#06x} ends beyond the message")]
    Attribute(u16),
    /// It must be understood, and is not.
    #[error("attribute {0:#06x} is unknown and must be understood")]
    Unknown(u16),
    /// No USERNAME of two names.
    #[error("no user name of the form ours:theirs")]
    Name,
    /// No MESSAGE-INTEGRITY: nobody can have meant it.
    #[error("no MESSAGE-INTEGRITY")]
    Unproven,
    /// FINGERPRINT is wrong or not the last.
    #[error("a FINGERPRINT that does not fit")]
    Fingerprint,
    /// More attributes than a check has.
    #[error("more than {ATTRIBUTES_MAX} attributes")]
    TooMany,
}

impl<'a> Check<'a> {
    /// Reads a message of at most 65,555 bytes. It is proven by [`Check::is_by`].
    ///
    /// # Errors
    /// [`StunError`]: whatever it is, it is answered with nothing.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, StunError> {
        let (kind, transaction) = head(bytes)?;
        if kind != BINDING_REQUEST {
            return Err(StunError::Type(kind));
        }
        let mut check = Self {
            bytes,
            transaction,
            ours: "",
            theirs: "",
            nominates: false,
            controls: false,
            integrity: 0,
        };
        each_attribute(bytes, |kind, value, at| {
            match kind {
                // What follows the proof is not proven (RFC 8489 §14.5).
                _ if check.integrity > 0 => {}
                USERNAME => (check.ours, check.theirs) = names(value).ok_or(StunError::Name)?,
                INTEGRITY if value.len() == 20 => check.integrity = at,
                USE_CANDIDATE => check.nominates = true,
                CONTROLLING => check.controls = true,
                CONTROLLED | PRIORITY => {}
                must if must < 0x8000 => return Err(StunError::Unknown(must)),
                _ => {}
            }
            Ok(())
        })?;
        check.finish()
    }

    fn finish(self) -> Result<Self, StunError> {
        match (self.ours.is_empty(), self.integrity) {
            (true, _) => Err(StunError::Name),
            (_, 0) => Err(StunError::Unproven),
            _ => Ok(self),
        }
    }

    /// Whether whoever sent it knows `password` (RFC 8489 §14.5); in the same time whether or not.
    pub fn is_by(&self, password: &str) -> bool {
        is_proven(self.bytes, self.integrity, password)
    }
}

/// Whether the proof that begins at `integrity` is by `password`.
fn is_proven(bytes: &[u8], integrity: usize, password: &str) -> bool {
    let Some(mut mac) = keyed(password) else {
        return false;
    };
    // The length counts up to the proof's end.
    let length = (integrity + INTEGRITY_LEN).saturating_sub(HEADER) as u16;
    let (Some(kind), Some(rest), Some(claim)) = (
        bytes.get(..2),
        bytes.get(4..integrity),
        bytes.get(integrity + 4..integrity + INTEGRITY_LEN),
    ) else {
        return false;
    };
    mac.update(kind);
    mac.update(&length.to_be_bytes());
    mac.update(rest);
    mac.verify_slice(claim).is_ok()
}

/// For whom a datagram is, if it is a check: our name in it. Cheap; nothing is proven.
pub fn addressee(bytes: &[u8]) -> Option<&str> {
    Check::parse(bytes).ok().map(|check| check.ours)
}

/// The answer to a check: where it came from, proven with the same password.
pub fn success(transaction: Transaction, from: SocketAddr, password: &str) -> Vec<u8> {
    let mut message = Message::new(BINDING_SUCCESS, transaction);
    message.push(XOR_MAPPED, &mapped(from, transaction));
    message.seal(password)
}

/// The answer to a proven check of a peer that says that we decide: 487 (RFC 8445 §7.3.1.1).
pub fn role_conflict(transaction: Transaction, password: &str) -> Vec<u8> {
    let mut message = Message::new(BINDING_ERROR, transaction);
    message.push(ERROR_CODE, b"\0\0\x04\x57Role Conflict");
    message.seal(password)
}

/// A message that is being written.
#[derive(Debug)]
pub struct Message(Vec<u8>);

impl Message {
    /// A check.
    pub fn request(transaction: Transaction) -> Self {
        Self::new(BINDING_REQUEST, transaction)
    }

    fn new(kind: u16, transaction: Transaction) -> Self {
        let mut bytes = Vec::with_capacity(96);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(COOKIE);
        bytes.extend(transaction);
        Self(bytes)
    }

    /// Adds an attribute; what is longer than 65,535 bytes is cut.
    pub fn push(&mut self, kind: u16, value: &[u8]) {
        let value = value.get(..usize::from(u16::MAX)).unwrap_or(value);
        self.0.extend(kind.to_be_bytes());
        self.0.extend((value.len() as u16).to_be_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// Adds the proof and the print, and is done.
    pub fn seal(mut self, password: &str) -> Vec<u8> {
        self.claims(INTEGRITY_LEN);
        let proof = keyed(password).map(|mut mac| {
            mac.update(&self.0);
            mac.finalize().into_bytes()
        });
        self.push(INTEGRITY, &proof.unwrap_or_default());
        self.claims(8);
        let print = crc32fast::hash(&self.0) ^ FINGERPRINT_XOR;
        self.push(FINGERPRINT, &print.to_be_bytes());
        self.0
    }

    /// Writes the length as it will be when `more` bytes have followed.
    fn claims(&mut self, more: usize) {
        let length = (self.0.len() + more - HEADER) as u16;
        if let Some(place) = self.0.get_mut(2..4) {
            place.copy_from_slice(&length.to_be_bytes());
        }
    }
}

fn head(bytes: &[u8]) -> Result<(u16, Transaction), StunError> {
    let fault = StunError::Length(bytes.len());
    let (kind, length) = (word(bytes, 0).ok_or(fault)?, word(bytes, 2).ok_or(fault)?);
    let named = bytes.get(8..HEADER).and_then(|name| name.try_into().ok());
    let transaction = named.ok_or(fault)?;
    if bytes.get(4..8) != Some(&COOKIE) {
        return Err(StunError::Cookie);
    }
    match usize::from(length) + HEADER == bytes.len() && length % 4 == 0 {
        true => Ok((kind, transaction)),
        false => Err(fault),
    }
}

/// Shows every attribute: its kind, its value, and where it begins. A FINGERPRINT has to fit.
fn each_attribute<'a>(
    bytes: &'a [u8],
    mut see: impl FnMut(u16, &'a [u8], usize) -> Result<(), StunError>,
) -> Result<(), StunError> {
    let mut at = HEADER;
    for _ in 0..ATTRIBUTES_MAX {
        if at == bytes.len() {
            return Ok(());
        }
        let (kind, value, next) = attribute(bytes, at)?;
        if kind == FINGERPRINT {
            let print = (crc32fast::hash(upto(bytes, at)) ^ FINGERPRINT_XOR).to_be_bytes();
            if value != print || next != bytes.len() {
                return Err(StunError::Fingerprint);
            }
        } else {
            see(kind, value, at)?;
        }
        at = next;
    }
    Err(StunError::TooMany)
}

/// The attribute at a place: its kind, its value, and where the next begins.
fn attribute(bytes: &[u8], at: usize) -> Result<(u16, &[u8], usize), StunError> {
    let cut = StunError::Length(bytes.len());
    let (kind, length) = (word(bytes, at).ok_or(cut)?, word(bytes, at + 2).ok_or(cut)?);
    let (start, length) = (at + 4, usize::from(length));
    let value = bytes.get(start..start + length);
    let next = start + length.next_multiple_of(4);
    match value.filter(|_| next <= bytes.len()) {
        Some(value) => Ok((kind, value, next)),
        None => Err(StunError::Attribute(kind)),
    }
}

/// Whom a check is for and who sends it: `ours:theirs` (RFC 8445 §7.2.2), up to 256 bytes each.
fn names(value: &[u8]) -> Option<(&str, &str)> {
    let (ours, theirs) = str::from_utf8(value).ok()?.split_once(':')?;
    let fits = |name: &str| (1..=256).contains(&name.len());
    (fits(ours) && fits(theirs)).then_some((ours, theirs))
}

fn mapped(from: SocketAddr, transaction: Transaction) -> Vec<u8> {
    let port = from.port() ^ u16::from_be_bytes([COOKIE[0], COOKIE[1]]);
    let mask = COOKIE.into_iter().chain(transaction);
    let (family, address) = match from.ip().to_canonical() {
        IpAddr::V4(address) => (1, address.octets().to_vec()),
        IpAddr::V6(address) => (2, address.octets().to_vec()),
    };
    let mut value = vec![0, family];
    value.extend(port.to_be_bytes());
    value.extend(address.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
    value
}

fn keyed(password: &str) -> Option<Hmac<Sha1>> {
    Hmac::<Sha1>::new_from_slice(password.as_bytes()).ok()
}

fn upto(bytes: &[u8], end: usize) -> &[u8] {
    bytes.get(..end).unwrap_or_default()
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    let word = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes(word.try_into().ok()?))
}

const HEADER: usize = 20;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;
/// USERNAME.
pub const USERNAME: u16 = 0x0006;
const INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const XOR_MAPPED: u16 = 0x0020;
/// PRIORITY.
pub const PRIORITY: u16 = 0x0024;
/// USE-CANDIDATE.
pub const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
/// ICE-CONTROLLED.
pub const CONTROLLED: u16 = 0x8029;
/// ICE-CONTROLLING.
pub const CONTROLLING: u16 = 0x802A;
const FINGERPRINT_XOR: u32 = 0x5354_554E;
const INTEGRITY_LEN: usize = 24;
/// Browsers send seven.
const ATTRIBUTES_MAX: usize = 32;

#[cfg(test)]
mod tests;
