//! Who may speak: a request and its true source become a trunk's call, an endpoint's request, a
//! challenge, or a refusal that explains itself.
//!
//! A user who does not exist is challenged and denied exactly like one who does (the digest server
//! hashes a decoy), with the algorithms of `TrunksConfig::digests`.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use clock::{Duration, Now};
use sip::auth::DigestServer;
use sip::message::{Message, Method, Uri};
use sip::transport::{Flow, ListenerId, PeerId, Transport};

use super::bearer::{Bearers, Guest, token_of};
use super::caps::{Admitted, EndpointUse};
use super::decoy::Decoys;
use super::emergency::Emergency;
use super::file::{EndpointConfig, TrunkConfig};
use super::fraud::{Ledger, RETURNS_MAX, Spirals};
use super::hop::Host;
use super::identity::{Identity, user_of};
use super::proving::{Disproof, Proven, inbound_of};
use super::rate::Rate;
use super::refusal::{Nearest, Refusal};
use super::rewrite::HeaderRule;
use super::secrets::{Digests, Secrets};
use super::source::Source;

/// What [`Trunks`] starts from.
pub struct TrunksConfig {
    /// The carriers.
    pub trunks: Vec<TrunkConfig>,
    /// The devices.
    pub endpoints: Vec<EndpointConfig>,
    /// The realm of our challenges.
    pub realm: String,
    /// The algorithms that unknown users are challenged with.
    pub digests: Digests,
    /// Random, new at each start: nonces are made with it.
    pub nonce_secret: [u8; 32],
    /// How long a nonce is good for.
    pub nonce_life: Duration,
}

/// What a source that nobody knows gets to hear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strangers {
    /// Nothing on UDP, where a source may be forged; 403 on a connection.
    #[default]
    SilentOnUdp,
    /// Nothing at all.
    Silent,
    /// 403 always.
    Forbidden,
}

/// What became of a request.
#[derive(Debug)]
#[must_use]
pub enum Admission {
    /// It is the trunk's.
    Trunk(TrunkCall),
    /// It is the endpoint's, who proved it.
    Endpoint(EndpointCall),
    /// Whoever it is must prove it.
    Challenge(Challenge),
    /// It is not admitted.
    Refused(Refusal),
}

/// A request of a trunk.
#[derive(Debug)]
pub struct TrunkCall {
    /// Which trunk.
    pub trunk: Arc<TrunkConfig>,
    /// The call that it takes of the trunk's caps; `None` for anything but an INVITE.
    pub admitted: Option<Admitted>,
    /// The caller's number, in E.164 where it is one.
    pub caller: String,
    /// The called number, in E.164 where it is one.
    pub called: String,
    /// Who calls, as far as the trunk is believed.
    pub identity: Identity,
    /// How often the call has come back to us already.
    pub turns: u8,
}

/// A request of an endpoint.
#[derive(Debug)]
pub struct EndpointCall {
    /// Which endpoint.
    pub endpoint: Arc<EndpointConfig>,
    /// Whom it calls: the user part of the Request-URI.
    pub called: String,
    /// Who calls: what its calls show.
    pub identity: Identity,
    /// The call that it takes of the endpoint's caps; `None` for anything but an INVITE.
    pub admitted: Option<Admitted>,
    /// What its token allows; `None` for one that proved itself by digest.
    pub guest: Option<Guest>,
}

/// A 401 with these headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// 401: this is a user agent server, not a proxy.
    pub status: u16,
    /// `WWW-Authenticate`, once per algorithm.
    pub headers: Vec<(String, String)>,
    /// Why credentials that came were not enough; `None` if none came.
    pub denied: Option<Disproof>,
}

/// Trunks and endpoints, the caps in use, and the digest server.
#[derive(Clone, Debug)]
pub struct Trunks {
    pub(super) trunks: BTreeMap<String, Trunk>,
    pub(super) endpoints: BTreeMap<String, Arc<EndpointConfig>>,
    pub(super) endpoint_use: BTreeMap<String, EndpointUse>,
    pub(super) ledger: Ledger,
    pub(super) spirals: Spirals,
    strangers: BTreeMap<u16, Strangers>,
    pub(super) digests: Digests,
    pub(super) decoys: Decoys,
    pub(super) digest: DigestServer,
    pub(super) emergency: Emergency,
    pub(super) bearers: Bearers,
}

#[derive(Clone, Debug)]
pub(super) struct Trunk {
    pub(super) config: Arc<TrunkConfig>,
    /// What its caller proves over TLS.
    caller: Option<PeerId>,
    /// Hosts of targets that are names: their calls are the trunk's too.
    learned: Vec<Source>,
    pub(super) rate: Option<Rate>,
    pub(super) calls: u32,
}

impl Trunks {
    /// Trunks without calls.
    pub fn new(config: TrunksConfig) -> Self {
        let digest = DigestServer::new(config.nonce_secret, &config.realm, config.nonce_life);
        let mut trunks = Self {
            trunks: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            endpoint_use: BTreeMap::new(),
            ledger: Ledger::default(),
            spirals: Spirals::new(RETURNS_MAX),
            strangers: BTreeMap::new(),
            digests: config.digests,
            decoys: Decoys::among(std::iter::empty(), config.digests),
            digest,
            emergency: Emergency::default(),
            bearers: Bearers::default(),
        };
        trunks.configure(Now::ZERO, config.trunks, config.endpoints);
        trunks
    }

    /// Puts another configuration in force. Calls and rates of trunks that stay go on counting.
    pub fn configure(
        &mut self,
        now: Now,
        trunks: Vec<TrunkConfig>,
        endpoints: Vec<EndpointConfig>,
    ) {
        let mut before = std::mem::take(&mut self.trunks);
        for config in trunks {
            let old = before.remove(&config.name);
            let calls = old.as_ref().map_or(0, |old| old.calls);
            let rate = config.calls_per_second.map(|cap| {
                let kept = old.and_then(|old| old.rate);
                kept.filter(|rate| rate.per_second() == cap)
                    .unwrap_or_else(|| Rate::new(cap))
            });
            let name = config.name.clone();
            let caller = config.caller_peer().map(|peer| peer.id);
            let config = Arc::new(config);
            let learned = Vec::new();
            self.trunks.insert(
                name,
                Trunk {
                    config,
                    caller,
                    learned,
                    rate,
                    calls,
                },
            );
        }
        let named = |endpoint: EndpointConfig| (endpoint.name.clone(), Arc::new(endpoint));
        self.endpoints = endpoints.into_iter().map(named).collect();
        self.choose_decoys();
        self.configure_ledger(now);
    }

    fn choose_decoys(&mut self) {
        // Generated names have a stand-in of their own.
        let named = self.endpoints.values();
        let named = named.filter(|it| !crate::access::is_generated(&it.name));
        self.decoys = Decoys::among(named, self.digests);
    }

    /// Answers for unknown users without hashing: what the tests of the defence find.
    #[doc(hidden)]
    pub fn without_decoys(mut self) -> Self {
        self.digest = self.digest.without_decoys();
        self
    }

    /// Adds an endpoint, or replaces the one of that name.
    pub fn put_endpoint(&mut self, endpoint: EndpointConfig) {
        let generated = crate::access::is_generated(&endpoint.name);
        self.endpoints
            .insert(endpoint.name.clone(), Arc::new(endpoint));
        if !generated {
            self.choose_decoys();
        }
    }

    /// Removes an endpoint; `false` if there is none of that name.
    pub fn remove_endpoint(&mut self, name: &str) -> bool {
        let removed = self.endpoints.remove(name).is_some();
        if !crate::access::is_generated(name) {
            self.choose_decoys();
        }
        removed
    }

    /// Sets what strangers hear from a listener.
    pub fn set_strangers(&mut self, listener: ListenerId, strangers: Strangers) {
        self.strangers.insert(listener.0, strangers);
    }

    /// Sets how often a call of ours may come back to us, by a forwarding at a carrier.
    pub fn set_returns_max(&mut self, returns_max: u8) {
        self.spirals.set_returns_max(returns_max);
    }

    /// Sets which numbers are emergency numbers, and where their calls go.
    pub fn set_emergency(&mut self, emergency: Emergency) {
        self.emergency = emergency;
    }

    /// Which numbers are emergency numbers, and where their calls go.
    pub fn emergency(&self) -> &Emergency {
        &self.emergency
    }

    /// Whether somebody is on the access list of some trunk, or has proven to be one.
    pub fn is_of_trunk(&self, flow: Flow) -> bool {
        let mut trunks = self.trunks.values();
        let listed = trunks.any(|trunk| {
            let mut sources = trunk.config.sources.iter().chain(&trunk.learned);
            sources.any(|source| source.contains(flow.remote))
        });
        listed || self.proven(flow).is_some()
    }

    /// The trunk that the peer has proven to be by its certificate.
    fn proven(&self, flow: Flow) -> Option<&Arc<TrunkConfig>> {
        let peer = flow.peer?;
        let mut trunks = self.trunks.values();
        let found = trunks.find(|trunk| trunk.caller == Some(peer));
        found.map(|trunk| &trunk.config)
    }

    /// The networks of everybody who may speak to us, as addresses and lengths of their prefixes;
    /// `None` if that may be anybody.
    pub fn known_networks(&self) -> Option<Vec<(IpAddr, u8)>> {
        let roams = |trunk: &Trunk| trunk.config.is_roaming() && trunk.config.inbound.is_some();
        let anywhere = |it: &Arc<EndpointConfig>| it.secrets.is_some() && it.sources.is_empty();
        if self.trunks.values().any(roams) || self.endpoints.values().any(anywhere) {
            return None;
        }
        let mut known = Vec::new();
        for trunk in self.trunks.values() {
            let sources = trunk.config.sources.iter().chain(&trunk.learned);
            known.extend(sources.map(Source::network));
            for target in &trunk.config.targets {
                match &target.hop.host {
                    Host::Ip(ip) => known.push(Source::host(*ip).network()),
                    // Its addresses are among the learned ones.
                    Host::Name(_) if trunk.config.learns => {}
                    Host::Name(_) => return None,
                }
            }
        }
        let endpoints = self.endpoints.values();
        known.extend(endpoints.flat_map(|it| it.sources.iter().map(Source::network)));
        Some(known)
    }

    /// Whether a request calls an emergency number: such an INVITE goes before all others.
    pub fn is_emergency(&self, request: &Message) -> bool {
        request.method() == Some(Method::Invite)
            && self.is_emergency_uri(request.request_uri().unwrap_or_default())
    }

    /// Whether that is the Request-URI of a call to an emergency number, whatever its scheme and
    /// however its digits are written.
    pub fn is_emergency_uri(&self, uri: &str) -> bool {
        // Most calls are to none: they are not read for it.
        let reads = || Uri::parse(uri).ok().and_then(|uri| user_of(&uri));
        !self.emergency.numbers().is_empty()
            && reads().is_some_and(|called| self.emergency.is_emergency(&called))
    }

    /// The endpoint of that name.
    pub fn endpoint(&self, name: &str) -> Option<&Arc<EndpointConfig>> {
        self.endpoints.get(name)
    }

    /// Every endpoint, by name.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<EndpointConfig>> {
        self.endpoints.values()
    }

    /// The trunk of that name.
    pub fn trunk(&self, name: &str) -> Option<&Arc<TrunkConfig>> {
        self.trunks.get(name).map(|trunk| &trunk.config)
    }

    /// Every trunk with the calls it has, by name.
    pub fn trunks(&self) -> impl Iterator<Item = (&Arc<TrunkConfig>, u32)> {
        self.trunks
            .values()
            .map(|trunk| (&trunk.config, trunk.calls))
    }

    /// Whether anybody we know may be there: only he hears what is wrong with a malformed request.
    pub fn may_speak(&self, flow: Flow) -> bool {
        self.owner(flow).is_some() || self.endpoint_may_be_at(flow.remote)
    }

    /// Decides about a request that came outside a dialog. An admitted INVITE of a trunk takes one of
    /// its calls until [`Trunks::release`].
    pub fn admit(&mut self, now: Now, request: &Message, flow: Flow) -> Admission {
        let register = request.method() == Some(Method::Register);
        let by_token = token_of(request, flow).is_some();
        // A page at a trunk's address that says who it is is not the trunk.
        let is_page = by_token && flow.transport.is_web();
        let owner = if register || is_page {
            None
        } else {
            self.owner(flow)
        };
        let result = match owner {
            None if by_token => self.user_request(now, request, flow),
            Some(trunk) if trunk.inbound.is_none() => self.trunk_call(now, &trunk, request),
            Some(trunk) => self.proven_trunk_call(now, &trunk, request, flow),
            None if self.endpoint_may_be_at(flow.remote) => self.user_request(now, request, flow),
            None => Err(self.stranger(flow)),
        };
        result.unwrap_or_else(Admission::Refused)
    }

    /// An INVITE that begins a call, as the rules of its trunk want it read (`headers_in`); `None` where
    /// none changes it.
    pub fn rewritten(&self, request: &Message, remote: SocketAddr) -> Option<Message> {
        let mut trunks = self.trunks.values();
        if trunks.all(|trunk| trunk.config.headers_in.is_empty())
            || request.method() != Some(Method::Invite)
            || !request.is_untagged()
        {
            return None;
        }
        let rules = &self.owner_entry(remote)?.0.headers_in;
        (!rules.is_empty()).then(|| HeaderRule::received(rules, request))?
    }

    /// Takes what a trunk's targets, and its registrar and the names of `addresses`, were looked up to be.
    /// Without `addresses` the targets' hosts may call; the others always may: calls come from where we
    /// are registered.
    pub fn learn(&mut self, trunk: &str, targets: Vec<IpAddr>, others: Vec<IpAddr>) {
        if let Some(trunk) = self.trunks.get_mut(trunk) {
            let targets = targets.into_iter().filter(|_| trunk.config.learns);
            trunk.learned = targets.chain(others).map(Source::host).collect();
        }
    }

    /// The trunk that the peer has proven to be, else that whose access list contains the source: of
    /// several the narrowest entry's.
    pub fn owner(&self, flow: Flow) -> Option<Arc<TrunkConfig>> {
        let listed = || self.owner_entry(flow.remote).map(|(trunk, _)| trunk);
        self.proven(flow).or_else(listed).cloned()
    }

    /// The trunk that the source belongs to, and the entry of its access list that says so.
    pub fn owner_entry(&self, remote: SocketAddr) -> Option<(&Arc<TrunkConfig>, Source)> {
        let entries = self.trunks.values().flat_map(|trunk| {
            let sources = trunk.config.sources.iter().chain(&trunk.learned);
            let matching = sources.filter(|source| source.contains(remote));
            matching.map(|source| (&trunk.config, *source))
        });
        entries.max_by_key(|(_, source)| source.narrowness())
    }

    /// The trunk that must prove to be that user.
    pub fn inbound_user(&self, user: &str) -> Option<&Arc<TrunkConfig>> {
        inbound_of(&self.trunks, user)
    }

    /// What proves a user, endpoint or trunk.
    pub fn secret_of(&self, user: &str) -> Option<&Secrets> {
        match self.endpoints.get(user) {
            Some(endpoint) => endpoint.secrets.as_ref(),
            None => Some(&self.inbound_user(user)?.inbound.as_ref()?.1),
        }
    }

    /// Why a source is not that of the trunk `wanted`.
    pub fn not_of(&self, wanted: &str, source: SocketAddr) -> Refusal {
        let trunk = self.trunk(wanted);
        let entries = trunk.into_iter().flat_map(|trunk| &trunk.sources);
        let near = |&entry: &Source| Some((entry.nearness(source)?, entry));
        let nearest = entries.filter_map(near).max_by_key(|(bits, _)| *bits);
        Refusal::UnknownSource {
            source,
            nearest: nearest.map(|(_, entry)| Nearest {
                trunk: wanted.to_owned(),
                entry,
            }),
            silent: false,
        }
    }

    /// Whether some endpoint, or a trunk known by its credentials alone, may be at this address.
    fn endpoint_may_be_at(&self, remote: SocketAddr) -> bool {
        let roaming = |trunk: &Trunk| trunk.config.is_roaming() && trunk.config.inbound.is_some();
        let proves = |endpoint: &&Arc<EndpointConfig>| endpoint.secrets.is_some();
        self.endpoints
            .values()
            .filter(proves)
            .any(|endpoint| endpoint.may_be_at(remote))
            || self.trunks.values().any(roaming)
    }

    /// Why a source that nobody knows is refused.
    pub fn stranger(&self, flow: Flow) -> Refusal {
        let policy = self
            .strangers
            .get(&flow.listener.0)
            .copied()
            .unwrap_or_default();
        let silent = match policy {
            Strangers::SilentOnUdp => flow.transport == Transport::Udp,
            Strangers::Silent => true,
            Strangers::Forbidden => false,
        };
        let entries = self.trunks.values().flat_map(|trunk| {
            let near = |&entry: &Source| Some((entry.nearness(flow.remote)?, &trunk.config, entry));
            let sources = trunk.config.sources.iter().chain(&trunk.learned);
            sources.filter_map(near)
        });
        let nearest = entries
            .max_by_key(|(bits, ..)| *bits)
            .map(|(_, trunk, entry)| Nearest {
                trunk: trunk.name.clone(),
                entry,
            });
        Refusal::UnknownSource {
            source: flow.remote,
            nearest,
            silent,
        }
    }

    fn trunk_call(
        &mut self,
        now: Now,
        trunk: &Arc<TrunkConfig>,
        request: &Message,
    ) -> Result<Admission, Refusal> {
        let called = trunk.received_number(&called(request)?);
        let identity = Identity::received(request, &trunk.identity, &trunk.numbers)?;
        let turns = self.turns(&called, &identity.number)?;
        let admitted = match request.method() {
            Some(Method::Invite) => Some(self.take_call(now, trunk, &called)?),
            _ => None,
        };
        Ok(Admission::Trunk(TrunkCall {
            trunk: trunk.clone(),
            admitted,
            caller: identity.number.clone(),
            called,
            identity,
            turns,
        }))
    }

    fn proven_trunk_call(
        &mut self,
        now: Now,
        trunk: &Arc<TrunkConfig>,
        request: &Message,
        flow: Flow,
    ) -> Result<Admission, Refusal> {
        match self.prove(now, request, flow)? {
            Ok(Proven::Trunk(proven)) if proven.name == trunk.name => {
                self.trunk_call(now, trunk, request)
            }
            Ok(_) => Ok(self.challenge(now, flow, "", None)),
            Err(challenge) => Ok(challenge),
        }
    }

    fn user_request(
        &mut self,
        now: Now,
        request: &Message,
        flow: Flow,
    ) -> Result<Admission, Refusal> {
        let register = request.method() == Some(Method::Register);
        let (endpoint, guest) = match self.prove(now, request, flow)? {
            Ok(Proven::Endpoint(endpoint)) => (endpoint, None),
            Ok(Proven::Guest(endpoint, guest)) => (endpoint, Some(guest)),
            Ok(Proven::Trunk(trunk)) if !register && trunk.is_roaming() => {
                return self.trunk_call(now, &trunk, request);
            }
            Ok(Proven::Trunk(_)) => return Ok(self.challenge(now, flow, "", None)),
            Err(challenge) => return Ok(challenge),
        };
        if !endpoint.may_be_at(flow.remote) {
            return Err(Refusal::SourceNotAllowed {
                endpoint: endpoint.name.clone(),
                source: flow.remote.ip().to_canonical(),
                allowed: endpoint.sources.clone(),
            });
        }
        if register {
            let claimed = address_of_record(request)?;
            if claimed != endpoint.name {
                let endpoint = endpoint.name.clone();
                return Err(Refusal::NotYourAddress { endpoint, claimed });
            }
        }
        let called = called(request)?;
        let shown = endpoint.caller_id.as_deref().unwrap_or(&endpoint.name);
        let identity = Identity::of_endpoint(request, shown);
        let admitted = match request.method() {
            Some(Method::Invite) => Some(self.take_endpoint_call(now, &endpoint, &called)?),
            _ => None,
        };
        if let Some(denied) = guest.as_ref().and_then(|guest| self.spend(now, guest)) {
            if let Some(admitted) = admitted {
                self.release(now, admitted);
            }
            return Ok(self.challenge(now, flow, "", Some(Disproof::Token(denied))));
        }
        Ok(Admission::Endpoint(EndpointCall {
            endpoint,
            called,
            identity,
            admitted,
            guest,
        }))
    }
}

/// Who a request without credentials claims to come from: the address it registers, or its From.
pub(crate) fn claimed_user(request: &Message) -> String {
    let register = request.method() == Some(Method::Register);
    let address = if register {
        request.to()
    } else {
        request.from()
    };
    address
        .ok()
        .and_then(|address| user_of(&address.uri))
        .unwrap_or_default()
}

/// The user part of To: the address that a REGISTER binds (RFC 3261 §10.2).
fn address_of_record(request: &Message) -> Result<String, Refusal> {
    let to = request.to().map_err(|error| Refusal::Malformed {
        header: "To",
        fault: error.to_string(),
    })?;
    Ok(user_of(&to.uri).unwrap_or_default())
}

/// The user part of the Request-URI; empty where it has none.
fn called(request: &Message) -> Result<String, Refusal> {
    let uri = Uri::parse(request.request_uri().unwrap_or_default());
    let uri = uri.map_err(|error| Refusal::Malformed {
        header: "Request-URI",
        fault: error.to_string(),
    })?;
    Ok(user_of(&uri).unwrap_or_default())
}
