//! Locating SIP servers (RFC 3263 §4): a next hop becomes addresses, best first.
//!
//! ```text
//!   numeric ───────────────────────────────────────────────────▶ that address
//!   name with a port ──────────────────────────────▶ A, AAAA ──▶ addresses, that port
//!   name with a transport ──────────────▶ SRV ─────▶ A, AAAA ──▶ by priority and weight
//!   name alone ──▶ NAPTR ──(none)──▶ SRV of each transport ──(none)──▶ A, AAAA and the usual port
//! ```
//!
//! The law: pure. What is not known yet is noted in the cache to be asked, and the same walk made again
//! when an answer has come finds more; nothing is remembered between two walks.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use clock::Now;
use sip::transport::Transport;

use super::contact::Target;
use super::hop::{Host, NextHop};
use super::names::{Look, NameCache, Naptr, Question, Records, Srv};

/// What this server can send by: each transport with each family of a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Speaks(Vec<(Transport, bool)>);

/// What a walk has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Located {
    /// Where to send, best first; at most [`LOCATED_MAX`].
    pub targets: Vec<Target>,
    /// Something is being asked for: more may be found.
    pub asking: bool,
    /// What is in the way, for whoever finds nothing.
    pub trouble: Vec<String>,
}

/// A stream of random numbers.
pub type Randomness<'a> = &'a mut dyn FnMut() -> u64;

impl Speaks {
    /// Of listeners: transport, and whether their addresses are IPv6.
    pub fn of(listeners: impl IntoIterator<Item = (Transport, bool)>) -> Self {
        Self(listeners.into_iter().collect())
    }

    /// Whether anything is sent by that transport.
    pub fn transport(&self, transport: Transport) -> bool {
        self.0.iter().any(|(spoken, _)| *spoken == transport)
    }

    /// Whether that address can be reached by that transport.
    pub fn reaches(&self, transport: Transport, ip: IpAddr) -> bool {
        self.0.contains(&(transport, ip.is_ipv6()))
    }
}

/// Finds where `hop` is.
pub fn locate(
    now: Now,
    hop: &NextHop,
    speaks: &Speaks,
    names: &mut NameCache,
    random: Randomness<'_>,
) -> Located {
    let mut walk = Walk {
        now,
        speaks,
        names,
        random,
        found: Located::default(),
    };
    match &hop.host {
        Host::Ip(ip) => {
            let transport = hop.transport.unwrap_or(Transport::Udp);
            let port = hop.port.unwrap_or(transport.default_port());
            walk.put(transport, *ip, port);
        }
        Host::Name(name) => walk.name(name, hop.port, hop.transport),
    }
    walk.found.targets.truncate(LOCATED_MAX);
    walk.found
}

struct Walk<'a> {
    now: Now,
    speaks: &'a Speaks,
    names: &'a mut NameCache,
    random: Randomness<'a>,
    found: Located,
}

impl Walk<'_> {
    fn name(&mut self, name: &Arc<str>, port: Option<u16>, transport: Option<Transport>) {
        match (port, transport) {
            // §4.1, §4.2: a port says that neither NAPTR nor SRV is wanted.
            (Some(port), transport) => {
                let transport = transport.unwrap_or(Transport::Udp);
                self.addresses(name, transport, port);
            }
            (None, Some(transport)) => {
                if !self.service(name, transport) {
                    self.addresses(name, transport, transport.default_port());
                }
            }
            (None, None) => self.anything(name),
        }
    }

    /// Nothing but a name: NAPTR says by which transport, or SRV does (§4.1).
    fn anything(&mut self, name: &Arc<str>) {
        match self.look(Question::Naptr(name.clone())) {
            Found::Asking => {}
            Found::Records(Records::Naptr(records)) if self.naptr(&records) => {}
            Found::Records(_) | Found::Nothing => {
                let ways = [Transport::Udp, Transport::Tcp, Transport::Tls];
                let spoken: Vec<Transport> = ways
                    .into_iter()
                    .filter(|way| self.speaks.transport(*way))
                    .collect();
                let mut any = false;
                for transport in spoken {
                    any |= self.service(name, transport);
                }
                if !any {
                    let transport = Transport::Udp;
                    self.addresses(name, transport, transport.default_port());
                }
            }
        }
    }

    /// Follows the services of the lowest order that we speak; `false` if there is none.
    fn naptr(&mut self, records: &[Naptr]) -> bool {
        let usable = |record: &Naptr| {
            let transport = transport_of(&record.service)?;
            let srv = record.flags.eq_ignore_ascii_case("s") && !record.replacement.is_empty();
            (srv && self.speaks.transport(transport)).then(|| {
                let place = (record.order, record.preference);
                (place, transport, record.replacement.clone())
            })
        };
        let mut services: Vec<_> = records.iter().filter_map(usable).collect();
        services.sort_by_key(|(place, ..)| *place);
        let Some(order) = services.first().map(|((order, _), ..)| *order) else {
            return false;
        };
        // RFC 3403 §4.1: once an order has matched, none behind it is looked at.
        services.retain(|((of, _), ..)| *of == order);
        for (_, transport, replacement) in services {
            self.srv(&replacement, transport);
        }
        true
    }

    /// The hosts of a transport's service; `false` if there are no such records.
    fn service(&mut self, name: &str, transport: Transport) -> bool {
        let prefix = match transport {
            Transport::Udp => "_sip._udp",
            Transport::Tcp => "_sip._tcp",
            Transport::Tls => "_sips._tcp",
            Transport::Ws | Transport::Wss => return false,
        };
        self.srv(&format!("{prefix}.{name}").into(), transport)
    }

    fn srv(&mut self, service: &Arc<str>, transport: Transport) -> bool {
        let records = match self.look(Question::Srv(service.clone())) {
            Found::Records(Records::Srv(records)) => records,
            Found::Asking => return true,
            Found::Records(_) | Found::Nothing => return false,
        };
        let items = records.into_iter();
        let items = items.map(|srv| ((srv.priority, srv.weight), srv)).collect();
        for Srv { port, target, .. } in weighted(items, self.random) {
            if target.is_empty() {
                // RFC 2782: a dot says that the service is decidedly not there.
                self.trouble(format!("{service}: the service is not offered"));
                continue;
            }
            self.addresses(&target, transport, port);
        }
        true
    }

    fn addresses(&mut self, name: &Arc<str>, transport: Transport, port: u16) {
        // SRV may name a numeric address where it should name a host.
        if let Some(Host::Ip(ip)) = Host::parse(name) {
            return self.put(transport, ip, port);
        }
        match self.look(Question::Addresses(name.clone())) {
            Found::Records(Records::Addresses(addresses)) => {
                for ip in addresses {
                    self.put(transport, ip, port);
                }
            }
            Found::Nothing => self.trouble(format!("{name} has no address")),
            Found::Records(_) | Found::Asking => {}
        }
    }

    fn put(&mut self, transport: Transport, ip: IpAddr, port: u16) {
        let address = SocketAddr::new(ip, port);
        if !self.speaks.reaches(transport, ip) {
            return self.trouble(format!("no listener reaches {address} by {transport}"));
        }
        let target = Target { transport, address };
        if !self.found.targets.contains(&target) {
            self.found.targets.push(target);
        }
    }

    fn look(&mut self, question: Question) -> Found {
        match self.names.look(self.now, &question) {
            Look::Known(Some(records)) => Found::Records(records),
            Look::Known(None) => Found::Nothing,
            Look::Asking => {
                self.found.asking = true;
                Found::Asking
            }
            Look::Dead(why) => {
                self.trouble(format!("{question}: {why}"));
                Found::Nothing
            }
        }
    }

    fn trouble(&mut self, what: String) {
        if self.found.trouble.len() < LOCATED_MAX && !self.found.trouble.contains(&what) {
            self.found.trouble.push(what);
        }
    }
}

/// One look into the cache.
enum Found {
    Records(Records),
    Nothing,
    Asking,
}

/// The transport of a NAPTR service (RFC 3263 §4.1).
fn transport_of(service: &str) -> Option<Transport> {
    let services = [
        ("SIP+D2U", Transport::Udp),
        ("SIP+D2T", Transport::Tcp),
        ("SIPS+D2T", Transport::Tls),
    ];
    let found = services
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(service));
    found.map(|(_, transport)| *transport)
}

/// Orders items by priority, and those of one priority at random by weight: the algorithm of RFC 2782,
/// by which one of weight 0 comes first only when its lot is the very lowest.
pub fn weighted<T>(mut items: Vec<((u16, u16), T)>, random: Randomness<'_>) -> Vec<T> {
    // Those of weight 0 stand before the others of their priority.
    items.sort_by_key(|((priority, weight), _)| (*priority, *weight > 0));
    let mut ordered = Vec::with_capacity(items.len());
    while let Some(((priority, _), _)) = items.first() {
        let priority = *priority;
        let group = items
            .iter()
            .take_while(|((other, _), _)| *other == priority)
            .map(|((_, weight), _)| u64::from(*weight));
        let sum: u64 = group.clone().sum();
        let lot = random() % (sum + 1);
        let mut running = 0;
        let chosen = group.into_iter().position(|weight| {
            running += weight;
            running >= lot
        });
        let (_, item) = items.remove(chosen.unwrap_or(0));
        ordered.push(item);
    }
    ordered
}

/// Addresses of one next hop: more are not worth a caller's patience.
pub const LOCATED_MAX: usize = 16;
