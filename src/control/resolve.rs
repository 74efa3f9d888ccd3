//! Whom to ring becomes where to ring: contacts of endpoints, targets of trunks, numeric URIs.

use clock::Now;
use media::worker::IpFamily;
use sip::dialog::TimerPolicy;
use sip::message::{Uri, escape_user};
use sip::sdp::{Codec, CodecOrder};
use sip::transport::Flow;
use sip::ua::{Invite, Reliable};

use super::hunting::Dialled;
use super::trouble::CarrierTrouble;
use super::{Control, Refusal, Slot};
use crate::call::{self, CallId, Destination, Label};
use crate::trunk::{
    Contact, DiversionReason, Hop, Host, Hunt, Identity, IdentityPolicy, Located, Outgoing, Shown,
    Target, TrunkConfig, Way,
};

/// A place to ring before it has media.
struct Place {
    label: Label,
    request_uri: String,
    flow: Flow,
    to: String,
    codecs: Vec<Codec>,
    order: Option<CodecOrder>,
    credentials: Option<sip::auth::Credentials>,
    /// Who calls, numbers in the form of this peer, and what its policy shows of it.
    identity: Identity,
    policy: IdentityPolicy,
    timers: Option<TimerPolicy>,
}

impl Control {
    /// Every place of the destinations, each with a media port on the call's worker. What cannot be
    /// reached is told as trouble and left out.
    pub(super) fn resolve(
        &mut self,
        now: Now,
        call: CallId,
        to: &[Destination],
        caller_id: Option<&str>,
    ) -> Vec<call::Target> {
        let Some(slot) = self.calls.get(&call) else {
            return Vec::new();
        };
        let shown = self.shown(slot, caller_id);
        let worker = slot.call.worker();
        let mut targets = Vec::new();
        for destination in to {
            match self.places(now, call, destination, &shown) {
                Ok(places) => {
                    for place in places {
                        targets.extend(self.equip(now, call, worker, place));
                    }
                }
                Err(why) => {
                    self.note_bar(call, &why);
                    self.trouble(now, call, &why);
                }
            }
        }
        targets
    }

    fn places(
        &mut self,
        now: Now,
        call: CallId,
        destination: &Destination,
        shown: &Identity,
    ) -> Result<Vec<Place>, Refusal> {
        match destination {
            Destination::Endpoint(name) => self.endpoint_places(now, name, shown),
            Destination::Trunk { trunk, number } => self
                .trunk_place(now, call, trunk, number, shown)
                .map(|place| vec![place]),
            Destination::Uri(uri) => self.uri_places(now, call, uri, shown),
        }
    }

    fn endpoint_places(
        &self,
        now: Now,
        name: &str,
        shown: &Identity,
    ) -> Result<Vec<Place>, Refusal> {
        let Some(endpoint) = self.trunks.endpoint(name) else {
            let names = self.trunks.endpoints().map(|it| it.name.as_str());
            return Err(Refusal::no_such_endpoint(name, names));
        };
        let contacts = self.registrar.contacts(now, name);
        if contacts.is_empty() {
            let endpoint = name.to_owned();
            return Err(Refusal::NotRegistered { endpoint });
        }
        let label = Label {
            address: name.to_owned(),
            endpoint: Some(name.to_owned()),
            trunk: None,
        };
        let place = |contact: Contact| {
            let flow = match contact.way {
                Way::Flow(flow) => flow,
                Way::Address(target) => self.flow_to(target)?,
            };
            Some(Place {
                label: label.clone(),
                to: format!("<{}>", contact.uri),
                request_uri: contact.uri,
                flow,
                codecs: endpoint.codecs.clone(),
                order: None,
                credentials: None,
                identity: shown.clone(),
                policy: IdentityPolicy::ENDPOINT,
                timers: None,
            })
        };
        let unreached = contacts.iter().find_map(|contact| match contact.way {
            Way::Address(target) => Some(no_listener(format!("endpoint {name}"), target)),
            Way::Flow(_) => None,
        });
        let places: Vec<Place> = contacts.into_iter().filter_map(place).collect();
        match unreached.filter(|_| places.is_empty()) {
            Some(refusal) => Err(refusal),
            None => Ok(places),
        }
    }

    fn trunk_place(
        &mut self,
        now: Now,
        call: CallId,
        trunk: &str,
        number: &str,
        shown: &Identity,
    ) -> Result<Place, Refusal> {
        let slot = self.calls.get(&call);
        let out = Outgoing {
            trunk,
            number,
            shown: &shown.number,
            sponsors: &slot.map(|slot| slot.sponsors()).unwrap_or_default(),
            depth: slot.map_or(0, |slot| slot.turns),
        };
        let (config, admitted) = self.trunks.dial(now, &out)?;
        if self.lacks_registration(now, trunk) {
            self.trunks.release(now, admitted);
            let trunk = trunk.to_owned();
            return Err(CarrierTrouble::Unregistered { trunk }.into());
        }
        let (ordered, found) = self.hops_of(now, &config);
        let hunt = Hunt::begin(&config, ordered.hops);
        let reached = hunt.and_then(|hunt| Some((self.flow_to_hop(trunk, &hunt.current)?, hunt)));
        let Some((flow, hunt)) = reached else {
            self.trunks.release(now, admitted);
            return Err(nowhere(&config, found));
        };
        if ordered.all_down {
            let trunk = config.name.clone();
            self.trouble(now, call, &CarrierTrouble::AllDown { trunk }.into());
        }
        let number = config.sent_number(number);
        let user = escape_user(&number);
        let uri = hunt.current.request_uri(&user);
        if let Some(slot) = self.calls.get_mut(&call) {
            slot.dialled.push_back(Box::new(Dialled {
                admitted,
                hunt,
                trunk: config.name.clone(),
                user,
            }));
        }
        Ok(Place {
            label: Label {
                address: number,
                endpoint: None,
                trunk: Some(config.name.clone()),
            },
            to: format!("<{uri}>"),
            request_uri: uri,
            flow,
            codecs: config.codecs.clone(),
            order: Some(config.codec_order),
            credentials: self.credentials_of(&config, flow),
            identity: self.sent_by(call, &config, shown),
            policy: config.identity,
            timers: Some(self.timers_of(&config)),
        })
    }

    /// A URI is one of our endpoints by its user, else a number for the trunk the call came by.
    ///
    /// An address that nobody provisioned is never dialled: that would make the server everybody's
    /// telephone.
    fn uri_places(
        &mut self,
        now: Now,
        call: CallId,
        text: &str,
        shown: &Identity,
    ) -> Result<Vec<Place>, Refusal> {
        let uri = Uri::parse(text).map_err(|error| Refusal::NotDialable {
            uri: text.to_owned(),
            fault: Some(error.to_string()),
        })?;
        let user = uri
            .user_name()
            .map(|user| user.into_owned())
            .unwrap_or_default();
        if self.trunks.endpoint(&user).is_some() {
            return self.endpoint_places(now, &user, shown);
        }
        let trunk = self.calls.get(&call).and_then(|slot| slot.trunk.clone());
        match trunk {
            Some(trunk) if is_number(&user) => self
                .trunk_place(now, call, &trunk, &user, shown)
                .map(|place| vec![place]),
            _ => Err(Refusal::NotDialable {
                uri: text.to_owned(),
                fault: None,
            }),
        }
    }

    /// The way to an address: the first listener of its transport and family.
    pub(super) fn flow_to(&self, target: Target) -> Option<Flow> {
        let v6 = target.address.is_ipv6();
        let listener = self
            .listeners
            .iter()
            .filter(|listener| !listener.transport.is_web())
            .find(|listener| listener.transport == target.transport && listener.v6 == v6)?;
        Some(Flow {
            transport: target.transport,
            listener: listener.id,
            remote: target.address,
            connection: None,
            peer: None,
        })
    }

    /// The way to a hop of a trunk: over TLS to whoever proves to be the carrier there.
    pub(super) fn flow_to_hop(&self, trunk: &str, hop: &Hop) -> Option<Flow> {
        self.flow_to_host(trunk, &hop.host, hop.target)
    }

    /// The same to a host that was looked up to be `target`.
    pub(super) fn flow_to_host(&self, trunk: &str, host: &Host, target: Target) -> Option<Flow> {
        let flow = self.flow_to(target)?;
        let secure = target.transport.is_secure();
        let trunk = self.trunks.trunk(trunk).filter(|_| secure);
        let peer = trunk.and_then(|trunk| trunk.peer_at(host));
        Some(Flow { peer, ..flow })
    }

    fn equip(&mut self, now: Now, call: CallId, worker: u8, place: Place) -> Option<call::Target> {
        let family = IpFamily::of(place.flow.remote.ip().to_canonical());
        let placed = match self.place(Some(worker), place.flow, None) {
            Ok(placed) => placed,
            Err(why) => {
                self.trouble(now, call, &Refusal::NoMedia { why, family });
                self.take_back(now, call, &place.label);
                return None;
            }
        };
        let reserved = placed.reserved;
        self.ports.insert((reserved.worker, reserved.port), call);
        let media = self.leg_media(place.flow.listener, placed, &place.codecs, place.order);
        let mut media = self.with_keys(&place.label, place.flow, media);
        // Keys are the caller's to press: what a callee's audio sounds like is nobody's choice.
        media.inband_dtmf = false;
        let account = place.credentials.as_ref().map(|it| it.user.as_str());
        let shown = place.policy.headers(&Shown {
            identity: &place.identity,
            host: self.host_of(place.flow),
            account,
            target: &place.request_uri,
        });
        let hops = self.calls.get(&call).map_or(0, |slot| slot.hops);
        Some(call::Target {
            label: place.label,
            route: Box::new(Invite {
                request_uri: place.request_uri,
                flow: place.flow,
                from: shown.from,
                to: place.to,
                contact_user: "tandem".to_owned(),
                headers: shown.others,
                offer: None,
                credentials: place.credentials,
                max_forwards: hops.saturating_sub(1),
                // The call makes the offer, so that no reliable response holds one.
                reliable: Reliable::Supported,
                timers: place.timers,
            }),
            media,
        })
    }

    /// Whom a leg of the call shows: the plan's number, else the caller; after a transfer also who
    /// asked for it.
    fn shown(&self, slot: &Slot, caller_id: Option<&str>) -> Identity {
        let mut shown = slot.identity.clone();
        if let Some(number) = caller_id {
            shown = Identity {
                diversions: shown.diversions,
                ..Identity::of_number(number)
            };
        }
        if let Some(by) = slot.call.transferor() {
            let endpoint = by.endpoint.as_deref();
            let endpoint = endpoint.and_then(|name| self.trunks.endpoint(name));
            let number = endpoint.and_then(|it| it.caller_id.as_deref());
            let number = number.unwrap_or(&by.address);
            shown.divert(number, DiversionReason::Deflection);
        }
        shown
    }

    /// The same in the numbers of a trunk. A call that came by a trunk and goes by one is sent on by
    /// the number that was called.
    fn sent_by(&self, call: CallId, config: &TrunkConfig, shown: &Identity) -> Identity {
        let mut sent = shown.clone();
        let slot = self.calls.get(&call);
        if let Some(slot) = slot.filter(|it| it.trunk.is_some() && it.call.transferor().is_none()) {
            sent.divert(slot.call.parties().1, DiversionReason::Unconditional);
        }
        sent.number = config.sent_number(&sent.number);
        for one in &mut sent.diversions {
            one.number = config.sent_number(&one.number);
        }
        sent
    }

    /// What we call ourselves on that flow.
    pub(super) fn host_of(&self, flow: Flow) -> &str {
        let found = self.hosts.iter().find(|(id, _)| *id == flow.listener);
        found.map_or("localhost", |(_, host)| host.as_str())
    }
}

/// Why a trunk has no target: for one that is an address, which listener is missing.
fn nowhere(trunk: &TrunkConfig, found: Located) -> Refusal {
    let first = trunk.targets.first();
    let numeric = first
        .and_then(|it| it.hop.numeric())
        .filter(|_| found.targets.is_empty());
    match numeric {
        Some(target) => no_listener(format!("trunk {}", trunk.name), target),
        None => Refusal::from(CarrierTrouble::NotLocated {
            trunk: trunk.name.clone(),
            why: found.trouble,
            asking: found.asking,
        }),
    }
}

fn no_listener(what: String, target: Target) -> Refusal {
    Refusal::NoListener {
        what,
        to: target.address,
        transport: target.transport,
    }
}

/// Whether the user part of a URI is a number that a trunk can be given.
pub(super) fn is_number(user: &str) -> bool {
    let dialled = |c: char| c.is_ascii_digit() || matches!(c, '+' | '*' | '#' | '-');
    !user.is_empty() && user.chars().all(dialled)
}
