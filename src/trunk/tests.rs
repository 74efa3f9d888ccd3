//! Tables and properties of admission, registration, configuration and numbers.

mod admitting;
mod configuring;
mod emergency;
mod fraud;
mod identity;
mod locating;
mod numbering;
mod outbound;
mod registering;
mod routing;
mod sources;

use clock::{Duration, Now};
use sip::message::Message;
use sip::transport::{ConnectionId, Flow, ListenerId, Transport};

use super::{Digests, EndpointConfig, Handling, Limits, Secrets, TrunkConfig};

const REALM: &str = "tandem";

/// A point in time, in milliseconds from the start.
fn at_ms(ms: u64) -> Now {
    Now::ZERO + Duration::from_millis(ms)
}

/// A datagram from `remote` to the first listener.
fn udp(remote: &str) -> Flow {
    Flow::udp(ListenerId(0), remote.parse().unwrap())
}

/// Bytes from `remote` on an accepted connection to the second listener.
fn tcp(remote: &str, connection: u64) -> Flow {
    Flow {
        transport: Transport::Tcp,
        listener: ListenerId(1),
        connection: Some(ConnectionId(connection)),
        ..udp(remote)
    }
}

/// A request whose lines after the usual ones are `lines`, with `|` between them.
fn request(method: &str, uri: &str, from: &str, lines: &str) -> Message {
    let more = lines.replace('|', "\r\n");
    let text = format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bK1\r\n\
         From: <sip:{from}@example.org>;tag=1\r\nMax-Forwards: 70\r\n{more}\r\n\r\n"
    );
    Message::parse(text.into()).unwrap()
}

/// An INVITE to `called` from `caller`.
fn invite(called: &str, caller: &str, lines: &str) -> Message {
    let uri = format!("sip:{called}@192.0.2.1");
    let lines = format!("To: <{uri}>|Call-ID: c1|CSeq: 1 INVITE|{lines}");
    request("INVITE", &uri, caller, lines.trim_end_matches('|'))
}

/// A trunk with one access-list entry and nothing else.
fn trunk(name: &str, sources: &[&str]) -> TrunkConfig {
    TrunkConfig {
        sources: sources
            .iter()
            .map(|source| source.parse().unwrap())
            .collect(),
        ..TrunkConfig::bare(name)
    }
}

/// An endpoint whose password is its name twice.
fn endpoint(name: &str, digests: Digests) -> EndpointConfig {
    let password = format!("{name}{name}");
    EndpointConfig {
        name: name.to_owned(),
        secrets: Some(Secrets::from_password(name, REALM, &password, digests)),
        sources: Vec::new(),
        codecs: Vec::new(),
        contacts_max: 3,
        contact: None,
        caller_id: None,
        limits: Limits::default(),
        handling: Handling::ENDPOINT,
    }
}
