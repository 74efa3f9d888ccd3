//! Who proves to be whom: credentials are verified, and asked for. Whoever does not exist is answered by a
//! decoy, in the same words and in the same time.

use std::collections::BTreeMap;
use std::sync::Arc;

use clock::Now;
use sip::auth::{Algorithm, AuthorizationHeader, Denied, FieldError, Looked};
use sip::message::{Message, Name};
use sip::transport::Flow;

use super::admission::{Admission, Challenge, Trunk, Trunks, claimed_user};
use super::bearer::{Guest, token_of};
use super::decoy::Decoys;
use super::file::{EndpointConfig, TrunkConfig};
use super::refusal::Refusal;
use super::secrets::Secrets;
use crate::access;

/// Why what came was no proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disproof {
    /// A digest.
    Digest(Denied),
    /// A token.
    Token(access::Denied),
}

impl Disproof {
    /// Whether the client is to try again by itself, without anybody being asked.
    pub const fn is_stale(&self) -> bool {
        matches!(self, Self::Digest(Denied { stale: true, .. }))
    }
}

/// Who proved to be there.
pub(super) enum Proven {
    /// A device.
    Endpoint(Arc<EndpointConfig>),
    /// A carrier.
    Trunk(Arc<TrunkConfig>),
    /// Whoever a token was made for.
    Guest(Arc<EndpointConfig>, Guest),
}

impl Trunks {
    /// Verifies the credentials for our realm; without good ones the inner result is a challenge.
    pub(super) fn prove(
        &mut self,
        now: Now,
        request: &Message,
        flow: Flow,
    ) -> Result<Result<Proven, Admission>, Refusal> {
        if let Some(token) = token_of(request, flow) {
            let guest = self.guest(now, request, token);
            return Ok(guest.map_err(|denied| {
                let claimed = claimed_user(request);
                self.challenge(now, flow, &claimed, Some(Disproof::Token(denied)))
            }));
        }
        let mut ours = None;
        for value in request.headers(Name::Authorization) {
            let header = match AuthorizationHeader::parse(value) {
                Ok(header) => header,
                Err(FieldError::OtherScheme) => continue,
                Err(fault) => {
                    let (header, fault) = ("Authorization", fault.to_string());
                    return Err(Refusal::Malformed { header, fault });
                }
            };
            if header.realm == self.digest.realm() {
                ours = Some(header);
                break;
            }
        }
        let Some(header) = ours else {
            let claimed = claimed_user(request);
            return Ok(Err(self.challenge(now, flow, &claimed, None)));
        };
        let method = request.method_str().unwrap_or_default();
        let uri = request.request_uri().unwrap_or_default();
        let (endpoints, trunks, decoys) = (&self.endpoints, &self.trunks, &self.decoys);
        // The same is done whether there is such a user or not: else he would be known by the time.
        let lookup = |user: &str, algorithm: Algorithm| {
            let (secrets, exists) = stand_in(endpoints, trunks, decoys, user);
            match secrets.hash(algorithm) {
                Some(ha1) => Looked { ha1, exists },
                // No user of that kind has such a proof, nor has a decoy.
                None => Looked {
                    ha1: decoys.of_algorithm(algorithm),
                    exists: false,
                },
            }
        };
        let ip = flow.remote.ip();
        match self
            .digest
            .verify_with(now, ip, &header, (method, uri, request.body()), lookup)
        {
            Ok(proven) => match self.endpoints.get(&proven.user) {
                Some(endpoint) => Ok(Ok(Proven::Endpoint(endpoint.clone()))),
                None => match inbound_of(&self.trunks, &proven.user) {
                    Some(trunk) => Ok(Ok(Proven::Trunk(trunk.clone()))),
                    None => Ok(Err(self.challenge(now, flow, &proven.user, None))),
                },
            },
            Err(denied) => Ok(Err(self.challenge(
                now,
                flow,
                &header.username,
                Some(Disproof::Digest(denied)),
            ))),
        }
    }

    /// One challenge per algorithm of the user that is claimed, known or not.
    pub(super) fn challenge(
        &mut self,
        now: Now,
        flow: Flow,
        claimed: &str,
        denied: Option<Disproof>,
    ) -> Admission {
        let (secrets, _) = stand_in(&self.endpoints, &self.trunks, &self.decoys, claimed);
        let digests = secrets.digests();
        let stale = denied.is_some_and(|denied| denied.is_stale());
        // Digests last: of several challenges JsSIP and SIP.js take the last.
        let bearer = matches!(denied, Some(Disproof::Token(_))).then(|| {
            let realm = self.digest.realm();
            let value = format!("Bearer realm=\"{realm}\", error=\"invalid_token\"");
            ("WWW-Authenticate".to_owned(), value)
        });
        let header = |&algorithm: &Algorithm| {
            let value = self
                .digest
                .challenge(now, flow.remote.ip(), algorithm, stale);
            ("WWW-Authenticate".to_owned(), value)
        };
        Admission::Challenge(Challenge {
            status: 401,
            headers: bearer
                .into_iter()
                .chain(digests.algorithms().iter().map(header))
                .collect(),
            denied,
        })
    }
}

/// The secrets of a user, or of whoever stands in for one who does not exist; and whether he does. The
/// same is done and read in both cases: else he would be known by the time.
fn stand_in<'a>(
    endpoints: &'a BTreeMap<String, Arc<EndpointConfig>>,
    trunks: &'a BTreeMap<String, Trunk>,
    decoys: &'a Decoys,
    user: &str,
) -> (&'a Secrets, bool) {
    let (decoy, real) = (decoys.of(user), endpoints.get(user));
    let inbound = inbound_of(trunks, user);
    // One that proves itself by no digest is as good as none.
    let real = real.filter(|real| real.secrets.is_some());
    let (device, exists) = match (real, decoy) {
        (Some(real), _) => (Some(real), true),
        (None, decoy) => (decoy, false),
    };
    let carrier = match inbound {
        Some(trunk) if !exists => trunk.inbound.as_ref(),
        _ => None,
    };
    match (carrier, device) {
        (Some((_, secrets)), _) => (secrets, true),
        (None, Some(device)) => match &device.secrets {
            Some(secrets) => (secrets, exists),
            None => (decoys.usual(user), false),
        },
        (None, None) => (decoys.usual(user), false),
    }
}

/// The trunk whose inbound user that is.
pub(super) fn inbound_of<'a>(
    trunks: &'a BTreeMap<String, Trunk>,
    user: &str,
) -> Option<&'a Arc<TrunkConfig>> {
    let named = |trunk: &&Trunk| {
        trunk
            .config
            .inbound
            .as_ref()
            .is_some_and(|(name, _)| name == user)
    };
    trunks.values().find(named).map(|trunk| &trunk.config)
}
