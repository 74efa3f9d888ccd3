//! What a carrier was once satisfied with, it may not fall behind: its realm, and the strength of the
//! digest. Whoever asks for less, or in another name, is somebody else (digest leak, CVE-2021-41158).

use std::collections::BTreeMap;

use sip::auth::{Algorithm, Credentials};
use sip::transport::Flow;
use sip::ua::{RequestId, SessionId};

use super::Control;
use crate::trunk::{Host, SendTo, TrunkConfig};

/// By trunk: one entry for each that has credentials, so bounded by the configuration.
pub(super) type Pins = BTreeMap<String, (String, Algorithm)>;

impl Control {
    /// The trunk took a call of ours: whatever it asked for is what it may ask for from now on.
    pub(super) fn pin(&mut self, trunk: &str, session: SessionId) {
        self.pin_to(trunk, self.ua.proven_with(session));
    }

    /// The same of a carrier that took a REGISTER of ours.
    pub(super) fn pin_registered(
        &mut self,
        request: RequestId,
        status: u16,
        proven: Option<(String, Algorithm)>,
    ) {
        let trunk = self.carriers.registers.get(&request).cloned();
        if let Some(trunk) = trunk.filter(|_| (200..300).contains(&status)) {
            self.pin_to(&trunk, proven);
        }
    }

    fn pin_to(&mut self, trunk: &str, proven: Option<(String, Algorithm)>) {
        if let Some((realm, algorithm)) = proven {
            let least = self.pins.get(trunk).map_or(algorithm, |(_, least)| *least);
            let pin = (realm, algorithm.max(least));
            self.pins.insert(trunk.to_owned(), pin);
        }
    }

    /// Who we are to a trunk, for a request on `flow`: to be proven to its own addresses alone, and in
    /// no other realm, nor by a weaker digest, than before.
    pub(super) fn credentials_of(&self, trunk: &TrunkConfig, flow: Flow) -> Option<Credentials> {
        let mut credentials = trunk.credentials.clone()?;
        if credentials.scope.peers.is_empty() {
            let sources = trunk.sources.iter().map(|source| source.network());
            let target = |target: &SendTo| match &target.hop.host {
                Host::Ip(ip) => Some((*ip, 128)),
                Host::Name(_) => None,
            };
            let targets = trunk.targets.iter().filter_map(target);
            let here = [(flow.remote.ip(), 128)];
            credentials.scope.peers = sources.chain(targets).chain(here).collect();
        }
        if let Some((realm, least)) = self.pins.get(&trunk.name) {
            credentials.realm.get_or_insert_with(|| realm.clone());
            credentials.scope.least = credentials.scope.least.max(Some(*least));
        }
        Some(credentials)
    }
}
