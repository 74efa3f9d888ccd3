//! The registrar (RFC 3261 §10.3): where endpoints are now, and the flow on which they can be rung.
//!
//! Pure: [`Registrar::handle`] is told a REGISTER that was admitted and returns the reply; changes for
//! the store and for the centre are polled; [`Registrar::handle_timeout`] expires what is due. What it
//! holds is bounded by the configured endpoints and their contacts.

mod wanted;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use clock::{Duration, Now};
use sip::message::{Message, Name, Uri};
use sip::transport::{ConnectionId, Flow};
use std::net::SocketAddr;

use super::binding::{Binding, Device, OUTBOUND, Row, outrun, user_agent};
use super::contact::{Contact, Target, Way};
use super::file::EndpointConfig;
use wanted::{Wanted, failed, sequence};

/// How long registrations last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistrarConfig {
    /// What a phone that asks for less is told by a 423.
    pub expires_min: Duration,
    /// What a phone gets that asks for nothing.
    pub expires_default: Duration,
    /// What a phone gets that asks for more.
    pub expires_max: Duration,
}

impl Default for RegistrarConfig {
    fn default() -> Self {
        Self {
            expires_min: Duration::from_secs(30),
            expires_default: Duration::from_secs(600),
            expires_max: Duration::from_secs(3_600),
        }
    }
}

/// The answer to a REGISTER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// 200, 400, 403, 423 or 500.
    pub status: u16,
    /// `Contact` for each binding after a 200; `Min-Expires` with a 423.
    pub headers: Vec<(String, String)>,
    /// Why it failed, for the log; empty after a 200.
    pub why: &'static str,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A binding was made or renewed: keep it.
    Bound(Row),
    /// A binding is gone: forget it.
    Unbound {
        /// Whose.
        endpoint: String,
        /// The contact's URI.
        contact: String,
    },
    /// An endpoint can be rung, or no longer.
    Reachable {
        /// Which.
        endpoint: String,
        /// Whether.
        yes: bool,
    },
    /// Whoever was on one connection has registered again by another: what he is sent goes there.
    Moved {
        /// The connection he was on; it may be gone.
        from: Flow,
        /// The one he is on.
        to: Flow,
    },
}

/// Where endpoints are registered.
#[derive(Clone, Debug)]
pub struct Registrar {
    config: RegistrarConfig,
    /// Only endpoints with bindings are here.
    bindings: BTreeMap<String, Vec<Binding>>,
    statics: BTreeMap<String, Contact>,
    by_expiry: BTreeSet<(Now, u64, String)>,
    /// Who is on a connection: one that is lost may be one of thousands.
    by_connection: BTreeSet<(ConnectionId, String)>,
    /// Registrations whose connection was lost, until they would have expired: calls may still be of it. At
    /// most [`LOST_MAX`] an endpoint.
    lost: BTreeMap<String, VecDeque<Binding>>,
    next_id: u64,
    changes: VecDeque<Change>,
}

impl Registrar {
    /// A registrar that knows nobody yet.
    pub fn new(config: RegistrarConfig) -> Self {
        Self {
            config,
            bindings: BTreeMap::new(),
            statics: BTreeMap::new(),
            by_expiry: BTreeSet::new(),
            by_connection: BTreeSet::new(),
            lost: BTreeMap::new(),
            next_id: 0,
            changes: VecDeque::new(),
        }
    }

    /// Takes the endpoints in force: their static contacts, and who is none any more.
    pub fn configure<'a>(&mut self, endpoints: impl IntoIterator<Item = &'a EndpointConfig>) {
        let before: BTreeSet<String> = self.reachable().map(str::to_owned).collect();
        let mut known = BTreeSet::new();
        self.statics.clear();
        for endpoint in endpoints {
            known.insert(endpoint.name.as_str());
            if let Some((uri, target)) = &endpoint.contact {
                let contact = Contact {
                    uri: uri.clone(),
                    way: Way::Address(*target),
                    q: 1_000,
                };
                self.statics.insert(endpoint.name.clone(), contact);
            }
        }
        self.lost.retain(|name, _| known.contains(name.as_str()));
        let unknown = |name: &&String| !known.contains(name.as_str());
        let gone: Vec<String> = self.bindings.keys().filter(unknown).cloned().collect();
        for endpoint in &gone {
            self.replace(endpoint, Vec::new());
        }
        let after: BTreeSet<String> = self.reachable().map(str::to_owned).collect();
        for endpoint in after.difference(&before) {
            self.tell_reachable(endpoint, true);
        }
        // Those that lost their bindings above were told there.
        for endpoint in before
            .difference(&after)
            .filter(|endpoint| !gone.contains(endpoint))
        {
            self.tell_reachable(endpoint, false);
        }
    }

    /// Takes a binding back from the store. One that came by a connection is dropped unless its
    /// contact names an address: the connection did not outlive the server.
    pub fn restore(&mut self, now: Now, row: Row) {
        let remote = if row.transport.is_reliable() {
            let uri = Uri::parse(&row.contact).ok();
            uri.and_then(|uri| Target::of_uri(&uri))
                .map(|target| target.address)
        } else {
            Some(row.remote)
        };
        let Some(remote) = remote.filter(|_| row.expires_in > Duration::ZERO) else {
            let (endpoint, contact) = (row.endpoint, row.contact);
            self.changes
                .push_back(Change::Unbound { endpoint, contact });
            return;
        };
        let id = self.id();
        let mut bindings = self
            .bindings
            .get(&row.endpoint)
            .cloned()
            .unwrap_or_default();
        bindings.push(Binding {
            id,
            contact: row.contact,
            flow: Flow {
                transport: row.transport,
                listener: row.listener,
                remote,
                connection: None,
                peer: None,
            },
            expires_at: now + row.expires_in,
            q: row.q,
            call_id: row.call_id,
            cseq: row.cseq,
            user_agent: row.user_agent,
            device: None,
        });
        self.store(&row.endpoint, bindings);
    }

    /// Answers a REGISTER of `endpoint`, who proved itself, for its own address.
    pub fn handle(
        &mut self,
        now: Now,
        endpoint: &EndpointConfig,
        request: &Message,
        flow: Flow,
    ) -> Reply {
        self.handle_until(now, endpoint, request, flow, None)
    }

    /// The same where the proof holds until then: no longer does the registration.
    pub fn handle_until(
        &mut self,
        now: Now,
        endpoint: &EndpointConfig,
        request: &Message,
        flow: Flow,
        until: Option<Now>,
    ) -> Reply {
        self.expire(now);
        let result = if request.is_contact_star() {
            self.remove_all(endpoint, request).map(|()| false)
        } else {
            self.update(now, endpoint, request, (flow, until))
        };
        match result {
            Ok(is_outbound) => {
                let mut headers = self.contact_headers(now, &endpoint.name);
                if is_outbound {
                    headers.push(("Require".to_owned(), OUTBOUND.to_owned()));
                }
                Reply {
                    status: 200,
                    headers,
                    why: "",
                }
            }
            Err(reply) => reply,
        }
    }

    /// The places to ring, the preferred first; of equal ones the latest registered first.
    pub fn contacts(&self, now: Now, endpoint: &str) -> Vec<Contact> {
        let bindings = self
            .bindings
            .get(endpoint)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let mut live: Vec<&Binding> = bindings
            .iter()
            .filter(|binding| binding.expires_at > now)
            .collect();
        live.sort_by_key(|binding| std::cmp::Reverse((binding.q, binding.id)));
        let registered = live.into_iter().map(|binding| Contact {
            uri: binding.contact.clone(),
            way: Way::Flow(binding.flow),
            q: binding.q,
        });
        registered
            .chain(self.statics.get(endpoint).cloned())
            .collect()
    }

    /// Where the endpoint is registered now: the contact's URI, the true source, how long it holds.
    pub fn bindings(&self, now: Now, endpoint: &str) -> Vec<(String, SocketAddr, Duration)> {
        let bindings = self
            .bindings
            .get(endpoint)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let live = bindings.iter().filter(|binding| binding.expires_at > now);
        live.map(|it| (it.contact.clone(), it.flow.remote, it.expires_at - now))
            .collect()
    }

    /// Removes every binding of an endpoint that is no more.
    pub fn forget(&mut self, endpoint: &str) {
        self.statics.remove(endpoint);
        self.lost.remove(endpoint);
        self.replace(endpoint, Vec::new());
    }

    /// Whether the endpoint has any contact.
    pub fn is_reachable(&self, endpoint: &str) -> bool {
        self.bindings.contains_key(endpoint) || self.statics.contains_key(endpoint)
    }

    /// How many bindings there are.
    pub fn len(&self) -> usize {
        self.by_expiry.len()
    }

    /// Whether nobody is registered.
    pub fn is_empty(&self) -> bool {
        self.by_expiry.is_empty()
    }

    /// A connection closed or failed: who registered on it cannot be rung any more. A datagram that
    /// was not delivered says nothing; the registration stands until it expires.
    pub fn flow_failed(&mut self, _now: Now, flow: Flow) {
        let Some(lost) = flow.connection else {
            return;
        };
        let on_it = |binding: &Binding| binding.flow.connection == Some(lost);
        let from = self.by_connection.range((lost, String::new())..);
        let hit = from.take_while(|(connection, _)| *connection == lost);
        let endpoints: Vec<String> = hit.map(|(_, endpoint)| endpoint.clone()).collect();
        for endpoint in endpoints {
            let bindings = self.bindings.get(&endpoint).into_iter().flatten();
            let gone: Vec<Binding> = bindings.filter(|it| on_it(it)).cloned().collect();
            let lost = self.lost.entry(endpoint.clone()).or_default();
            lost.extend(gone);
            lost.drain(..lost.len().saturating_sub(LOST_MAX));
            self.keep(&endpoint, |binding| !on_it(binding));
        }
    }

    /// Removes what expired.
    pub fn handle_timeout(&mut self, now: Now) {
        self.expire(now);
    }

    /// When the next binding expires.
    pub fn deadline(&self) -> Option<Now> {
        self.by_expiry.first().map(|(at, ..)| *at)
    }

    /// The next change.
    pub fn poll_output(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    /// `Contact: *` (§10.3, sixth step): alone, and with `Expires: 0`.
    fn remove_all(&mut self, endpoint: &EndpointConfig, request: &Message) -> Result<(), Reply> {
        if request.headers(Name::Contact).count() != 1 {
            return Err(failed(400, "Contact: * beside others"));
        }
        if request.expires() != Ok(Some(0)) {
            return Err(failed(400, "Contact: * without Expires: 0"));
        }
        let (call_id, cseq) = sequence(request)?;
        let bindings = self
            .bindings
            .get(&endpoint.name)
            .map(Vec::as_slice)
            .unwrap_or_default();
        if bindings
            .iter()
            .any(|binding| outrun(binding, call_id, cseq))
        {
            return Err(OUT_OF_ORDER);
        }
        self.replace(&endpoint.name, Vec::new());
        Ok(())
    }

    /// Every contact of the request or none (§10.3, seventh step); whether one is of a device that we
    /// know by its instance (RFC 5626 §6).
    fn update(
        &mut self,
        now: Now,
        endpoint: &EndpointConfig,
        request: &Message,
        (flow, until): (Flow, Option<Now>),
    ) -> Result<bool, Reply> {
        let wanted = self.config.wanted(request)?;
        if wanted.is_empty() {
            return Ok(false);
        }
        let (call_id, cseq) = sequence(request)?;
        let mut bindings = self
            .bindings
            .get(&endpoint.name)
            .cloned()
            .unwrap_or_default();
        let mut left = Vec::new();
        for want in &wanted {
            let is_it = |binding: &Binding| binding.is_of(&want.uri, want.device.as_ref());
            if let Some(index) = bindings.iter().position(is_it) {
                let binding = bindings.remove(index);
                if outrun(&binding, call_id, cseq) {
                    return Err(OUT_OF_ORDER);
                }
                left.push(binding.flow);
            }
            if want.expires > Duration::ZERO {
                bindings.push(Binding {
                    id: self.id(),
                    contact: want.uri.as_str().to_owned(),
                    flow,
                    expires_at: until
                        .map_or(now + want.expires, |until| until.min(now + want.expires)),
                    q: want.q,
                    call_id: call_id.to_owned(),
                    cseq,
                    user_agent: user_agent(request),
                    device: want.device.clone(),
                });
            }
        }
        if wanted.len() > endpoint.contacts_max {
            return Err(failed(403, "more contacts than the endpoint may have"));
        }
        // A phone that restarts behind a NAT leaves a stale contact each time: the oldest makes room.
        let surplus = bindings.len().saturating_sub(endpoint.contacts_max);
        bindings.drain(..surplus);
        self.store_renewed(now, &endpoint.name, bindings);
        left.extend(self.found_again(now, &endpoint.name, &wanted));
        let moved = left.into_iter().filter(|from| from.connection.is_some());
        for from in moved.filter(|from| from.connection != flow.connection) {
            self.changes.push_back(Change::Moved { from, to: flow });
        }
        Ok(wanted.iter().any(|want| want.device.is_some()))
    }

    /// The lost connections on which the wanted registrations were before.
    fn found_again(&mut self, now: Now, endpoint: &str, wanted: &[Wanted<'_>]) -> Vec<Flow> {
        let Some(lost) = self.lost.get_mut(endpoint) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        lost.retain(|binding| {
            let is_it = |want: &Wanted<'_>| binding.is_of(&want.uri, want.device.as_ref());
            let stands = binding.expires_at > now;
            let found_here = stands && wanted.iter().any(is_it);
            if found_here {
                found.push(binding.flow);
            }
            stands && !found_here
        });
        if lost.is_empty() {
            self.lost.remove(endpoint);
        }
        found
    }

    fn contact_headers(&self, now: Now, endpoint: &str) -> Vec<(String, String)> {
        let bindings = self
            .bindings
            .get(endpoint)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let header = |binding: &Binding| {
            let left = binding.expires_at.since(now).as_secs();
            let q = match binding.q {
                1_000 => String::new(),
                q => format!(";q=0.{q:03}"),
            };
            let device = binding.device.as_ref().map(Device::params);
            let device = device.unwrap_or_default();
            let value = format!("<{}>;expires={left}{q}{device}", binding.contact);
            ("Contact".to_owned(), value)
        };
        bindings.iter().map(header).collect()
    }

    fn expire(&mut self, now: Now) {
        while let Some((at, _, endpoint)) = self.by_expiry.first().cloned() {
            if at > now {
                return;
            }
            self.keep(&endpoint, |binding| binding.expires_at > now);
        }
    }

    fn keep(&mut self, endpoint: &str, wanted: impl Fn(&Binding) -> bool) {
        let bindings = self.bindings.get(endpoint).cloned().unwrap_or_default();
        self.replace(
            endpoint,
            bindings
                .into_iter()
                .filter(|binding| wanted(binding))
                .collect(),
        );
    }

    /// As [`Registrar::replace`], and tells the store of what was made or renewed.
    fn store_renewed(&mut self, now: Now, endpoint: &str, bindings: Vec<Binding>) {
        let before = self.bindings.get(endpoint).cloned().unwrap_or_default();
        let rows: Vec<Row> = bindings
            .iter()
            .filter(|binding| !before.contains(binding))
            .map(|binding| binding.row(now, endpoint))
            .collect();
        self.replace(endpoint, bindings);
        self.changes.extend(rows.into_iter().map(Change::Bound));
    }

    /// Puts `bindings` in the place of the endpoint's and tells what is gone and who can be rung.
    fn replace(&mut self, endpoint: &str, bindings: Vec<Binding>) {
        let before = self.bindings.get(endpoint).cloned().unwrap_or_default();
        for gone in &before {
            if !bindings
                .iter()
                .any(|binding| binding.contact == gone.contact)
            {
                self.changes.push_back(Change::Unbound {
                    endpoint: endpoint.to_owned(),
                    contact: gone.contact.clone(),
                });
            }
        }
        self.store(endpoint, bindings);
    }

    fn store(&mut self, endpoint: &str, bindings: Vec<Binding>) {
        let was = self.is_reachable(endpoint);
        for old in self.bindings.remove(endpoint).unwrap_or_default() {
            self.by_expiry
                .remove(&(old.expires_at, old.id, endpoint.to_owned()));
            if let Some(connection) = old.flow.connection {
                self.by_connection
                    .remove(&(connection, endpoint.to_owned()));
            }
        }
        for new in &bindings {
            self.by_expiry
                .insert((new.expires_at, new.id, endpoint.to_owned()));
            if let Some(connection) = new.flow.connection {
                self.by_connection.insert((connection, endpoint.to_owned()));
            }
        }
        if !bindings.is_empty() {
            self.bindings.insert(endpoint.to_owned(), bindings);
        }
        let is = self.is_reachable(endpoint);
        if was != is {
            self.tell_reachable(endpoint, is);
        }
    }

    fn tell_reachable(&mut self, endpoint: &str, yes: bool) {
        let endpoint = endpoint.to_owned();
        self.changes.push_back(Change::Reachable { endpoint, yes });
    }

    fn reachable(&self) -> impl Iterator<Item = &str> {
        self.bindings
            .keys()
            .chain(self.statics.keys())
            .map(String::as_str)
    }

    const fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

/// The binding was renewed by a later request of the same Call-ID (§10.3, seventh step).
const OUT_OF_ORDER: Reply = failed(500, "CSeq is not higher than the binding's");
/// Lost registrations of one endpoint that are remembered: two for each device that reconnects at its worst.
const LOST_MAX: usize = 16;
