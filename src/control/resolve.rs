//! Whom to ring becomes where to ring: contacts of endpoints, targets of trunks, numeric URIs.

use clock::Now;
use media::worker::IpFamily;
use sip::message::{Uri, escape_user};
use sip::sdp::{Codec, CodecOrder};
use sip::transport::{Flow, Transport};
use sip::ua::Invite;

use super::{Control, Refusal};
use crate::call::{self, CallId, Destination, Label};
use crate::trunk::{self, Contact, Target, Way};

/// A place to ring before it has media.
struct Place {
    label: Label,
    request_uri: String,
    flow: Flow,
    to: String,
    codecs: Vec<Codec>,
    order: Option<CodecOrder>,
    credentials: Option<sip::auth::Credentials>,
    shown: String,
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
        let shown = caller_id.unwrap_or(slot.call.parties().0).to_owned();
        let worker = slot.call.worker();
        let mut targets = Vec::new();
        for destination in to {
            match self.places(now, call, destination, &shown) {
                Ok(places) => {
                    for place in places {
                        targets.extend(self.equip(now, call, worker, place));
                    }
                }
                Err(why) => self.trouble(now, call, &why),
            }
        }
        targets
    }

    fn places(
        &mut self,
        now: Now,
        call: CallId,
        destination: &Destination,
        shown: &str,
    ) -> Result<Vec<Place>, Refusal> {
        match destination {
            Destination::Endpoint(name) => self.endpoint_places(now, name, shown),
            Destination::Trunk { trunk, number } => self
                .trunk_place(now, call, trunk, number, shown)
                .map(|place| vec![place]),
            Destination::Uri(uri) => self.uri_places(now, call, uri, shown),
        }
    }

    fn endpoint_places(&self, now: Now, name: &str, shown: &str) -> Result<Vec<Place>, Refusal> {
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
                shown: shown.to_owned(),
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
        shown: &str,
    ) -> Result<Place, Refusal> {
        let (config, admitted) = self.trunks.dial(now, trunk)?;
        let reached = config
            .targets
            .iter()
            .find_map(|target| Some((*target, self.flow_to(*target)?)));
        let Some((target, flow)) = reached else {
            self.trunks.release(admitted);
            let first = config.targets.first().copied();
            let none = || trunk::Refusal::NoTarget {
                trunk: trunk.to_owned(),
            };
            return Err(first.map_or_else(
                || none().into(),
                |target| no_listener(format!("trunk {trunk}"), target),
            ));
        };
        if let Some(slot) = self.calls.get_mut(&call) {
            slot.dialled.push_back(admitted);
        }
        let number = config.numbers.sent(number);
        let uri = format!(
            "sip:{}@{}{}",
            escape_user(&number),
            target.address,
            transport_param(target.transport)
        );
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
            credentials: config.credentials.clone(),
            shown: config.numbers.sent(shown),
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
        shown: &str,
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
    fn flow_to(&self, target: Target) -> Option<Flow> {
        let v6 = target.address.is_ipv6();
        let listener = self
            .listeners
            .iter()
            .find(|listener| listener.transport == target.transport && listener.v6 == v6)?;
        Some(Flow {
            transport: target.transport,
            listener: listener.id,
            remote: target.address,
            connection: None,
        })
    }

    fn equip(&mut self, now: Now, call: CallId, worker: u8, place: Place) -> Option<call::Target> {
        let family = IpFamily::of(place.flow.remote.ip().to_canonical());
        let reserved = match self.media.reserve_beside(worker, family) {
            Ok(reserved) => reserved,
            Err(why) => {
                self.trouble(now, call, &Refusal::NoMedia { why, family });
                return None;
            }
        };
        self.ports.insert((reserved.worker, reserved.port), call);
        let mut media = self.leg_media(place.flow.listener, reserved, &place.codecs, place.order);
        // Keys are the caller's to press: what a callee's audio sounds like is nobody's choice.
        media.inband_dtmf = false;
        let host = self.host_of(place.flow);
        let from = format!("<sip:{}@{host}>", escape_user(&place.shown));
        Some(call::Target {
            label: place.label,
            route: Box::new(Invite {
                request_uri: place.request_uri,
                flow: place.flow,
                from,
                to: place.to,
                contact_user: "tandem".to_owned(),
                headers: Vec::new(),
                offer: None,
                credentials: place.credentials,
                max_forwards: 70,
            }),
            media,
        })
    }

    /// What we call ourselves on that flow.
    fn host_of(&self, flow: Flow) -> &str {
        let found = self.hosts.iter().find(|(id, _)| *id == flow.listener);
        found.map_or("localhost", |(_, host)| host.as_str())
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

fn transport_param(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "",
        Transport::Tcp => ";transport=tcp",
        Transport::Tls => ";transport=tls",
        Transport::Ws | Transport::Wss => ";transport=ws",
    }
}
