//! The part of the offer/answer machine that secures the stream (RFC 4568 §5 and §7, RFC 8643).
//!
//! Their first key that we can use is taken; ours follows from the leg's seed and stays as long as the
//! suite and the port do, so that a re-offer moves nothing. A secured stream never goes on in clear.

use super::crypto::{Crypto, CryptoSuite, KeySeed, Srtp, StreamKeys};
use super::negotiation::Negotiation;
use super::offer_error::OfferError;
use super::remote::Remote;
use super::web::WEB_PROTOCOL;

impl Negotiation {
    /// Whether our keys may stand in an offer, if there must be keys.
    pub(super) fn may_tell_keys(&self) -> Result<(), OfferError> {
        match self.local.srtp {
            Srtp::Withheld if self.local.web.is_none() => Err(OfferError::KeysInClear),
            _ => Ok(()),
        }
    }

    /// The transport of a stream that we offer first.
    pub(super) fn offered_protocol(&self) -> &'static str {
        match self.local.srtp {
            _ if self.local.web.is_some() => WEB_PROTOCOL,
            Srtp::Required(_) | Srtp::Withheld => "RTP/SAVP",
            Srtp::Off | Srtp::Optional(_) => "RTP/AVP",
        }
    }

    /// The keys of an offer: of every suite at first, then of the one that was agreed.
    pub(super) fn our_keys(&self) -> Vec<Crypto> {
        let Some(seed) = self.seed() else {
            return Vec::new();
        };
        let agreed = self.agreed.as_ref();
        let suites = match agreed.map(|agreed| &agreed.keys) {
            None => CryptoSuite::ALL.to_vec(),
            Some(keys) => keys.iter().map(|keys| keys.send.suite()).collect(),
        };
        let key = |(tag, suite)| Crypto {
            tag,
            key: seed.key(suite, self.generation),
        };
        (1..).zip(suites).map(key).collect()
    }

    /// The key of theirs that we answer, `None` for sound in clear.
    pub(super) fn their_key(&self, remote: &Remote) -> Result<Option<Crypto>, OfferError> {
        match self.local.srtp {
            // A handshake makes them.
            _ if self.local.web.is_some() => return Ok(None),
            Srtp::Off if remote.savp => return Err(OfferError::Profile(remote.protocol.clone())),
            Srtp::Off => return Ok(None),
            Srtp::Withheld => return Err(OfferError::KeysInClear),
            Srtp::Optional(_) | Srtp::Required(_) => {}
        }
        match remote.keys.iter().find_map(|line| line.as_ref().ok()) {
            Some(line) => Ok(Some(line.clone())),
            None => self.go_without(remote).map(|()| None),
        }
    }

    /// The line that answers theirs, and the keys that are agreed by it.
    pub(super) fn answer_key(&self, theirs: Crypto) -> Option<(Crypto, StreamKeys)> {
        let send = self.seed()?.key(theirs.key.suite(), self.generation);
        let keys = StreamKeys {
            send: send.clone(),
            receive: theirs.key,
        };
        let line = Crypto {
            tag: theirs.tag,
            key: send,
        };
        Some((line, keys))
    }

    /// The keys that an answer to our offer agrees on: one of ours by its tag, with its suite.
    pub(super) fn answered_keys(&self, remote: &Remote) -> Result<Option<StreamKeys>, OfferError> {
        if self.offered.is_empty() {
            return match remote.savp && self.local.web.is_none() {
                true => Err(OfferError::Profile(remote.protocol.clone())),
                false => Ok(None),
            };
        }
        let taken = |theirs: &Crypto| {
            let ours = self.offered.iter().find(|ours| ours.tag == theirs.tag)?;
            let same = ours.key.suite() == theirs.key.suite();
            same.then(|| StreamKeys {
                send: ours.key.clone(),
                receive: theirs.key.clone(),
            })
        };
        let mut usable = remote.keys.iter().flatten();
        match usable.find_map(taken) {
            Some(keys) => Ok(Some(keys)),
            None if remote.keys.is_empty() => self.go_without(remote).map(|()| None),
            None => Err(OfferError::Mismatch("its key is none that was offered")),
        }
    }

    /// Whether the stream may be in clear, as they want it.
    fn go_without(&self, remote: &Remote) -> Result<(), OfferError> {
        let faults = remote.keys.iter().filter_map(|line| line.as_ref().err());
        let faults: Vec<_> = faults.cloned().collect();
        let agreed = self.agreed.as_ref();
        let was_secured = agreed.is_some_and(|agreed| agreed.keys.is_some());
        match self.local.srtp {
            _ if remote.savp || (!faults.is_empty() && was_secured) => {
                Err(OfferError::NoUsableKey(faults))
            }
            _ if was_secured => Err(OfferError::Downgrade),
            Srtp::Required(_) if faults.is_empty() => Err(OfferError::Unsecured),
            Srtp::Required(_) => Err(OfferError::NoUsableKey(faults)),
            _ => Ok(()),
        }
    }

    fn seed(&self) -> Option<&KeySeed> {
        match &self.local.srtp {
            _ if self.local.web.is_some() => None,
            Srtp::Optional(seed) | Srtp::Required(seed) => Some(seed),
            Srtp::Off | Srtp::Withheld => None,
        }
    }
}
