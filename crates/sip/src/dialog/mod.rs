//! Dialogs (RFC 3261 §12) and the session timer that runs in one (RFC 4028): plain data and its rules.

mod session_timer;

pub use session_timer::{
    Agreement, Refresher, SessionTimer, TimerPolicy, TimerRefusal, TimerUse, agree_as_callee,
    agree_as_caller,
};

use crate::message::{Message, Name, NameAddr, ParseError, Uri};
use crate::transport::{Flow, Transport};
use std::net::{IpAddr, SocketAddr};

/// One dialog as one of its ends sees it.
#[derive(Clone, Debug)]
pub struct Dialog {
    /// The tag the peer chose; empty if it predates tags (§12.1.1).
    pub remote_tag: String,
    /// Our From value in requests of ours, tag included.
    pub local: String,
    /// Our To value in requests of ours, tag included.
    pub remote: String,
    /// The Request-URI of requests of ours, unless a strict router comes first.
    pub remote_target: String,
    /// The Route values of requests of ours, next hop first.
    pub routes: Vec<String>,
    /// The highest CSeq the peer used; gaps are legal (§12.2.2).
    pub remote_cseq: Option<u32>,
    /// The flow that carried the latest message of the peer.
    pub flow: Flow,
    /// The peer wrote an address into its Via that is not the one it sends from: its Contact is as
    /// unreachable as that.
    natted: bool,
}

impl Dialog {
    /// The caller's end, made by a response to an INVITE (§12.1.2). `target` serves when it has no
    /// Contact.
    ///
    /// # Errors
    /// The To or From of the response is malformed.
    pub fn of_caller(response: &Message, flow: Flow, target: &str) -> Result<Self, ParseError> {
        let mut routes = values(response, Name::RecordRoute);
        routes.reverse();
        let mut dialog = Self {
            remote_tag: response.to()?.tag().unwrap_or_default().to_owned(),
            local: response.header(Name::From).unwrap_or_default().to_owned(),
            remote: response.header(Name::To).unwrap_or_default().to_owned(),
            remote_target: target.to_owned(),
            routes,
            remote_cseq: None,
            flow,
            natted: false,
        };
        dialog.refresh_target(response);
        Ok(dialog)
    }

    /// The callee's end, made by an INVITE that we tag with `tag` (§12.1.1).
    ///
    /// # Errors
    /// The From, CSeq or Via of the request is malformed.
    pub fn of_callee(request: &Message, flow: Flow, tag: &str) -> Result<Self, ParseError> {
        let from = request.from()?;
        let local = request.header(Name::To).unwrap_or_default();
        let mut dialog = Self {
            remote_tag: from.tag().unwrap_or_default().to_owned(),
            local: format!("{local};tag={tag}"),
            remote: request.header(Name::From).unwrap_or_default().to_owned(),
            remote_target: from.uri.as_str().to_owned(),
            routes: values(request, Name::RecordRoute),
            remote_cseq: Some(request.cseq()?.number),
            flow,
            natted: request
                .via()?
                .host
                .ip()
                .is_some_and(|ip| ip != flow.remote.ip().to_canonical()),
        };
        dialog.refresh_target(request);
        Ok(dialog)
    }

    /// Takes over the Contact of a target refresh request or its 2xx (§12.2.1.2, §12.2.2).
    pub fn refresh_target(&mut self, message: &Message) {
        if let Ok(Some(contact)) = message.contact()
            && contact.uri.is_sip()
        {
            contact.uri.as_str().clone_into(&mut self.remote_target);
        }
    }

    /// Notes the CSeq of a request of the peer; `false` when it is lower than one before (§12.2.2).
    pub fn accept_cseq(&mut self, number: u32) -> bool {
        let in_order = self.remote_cseq.is_none_or(|highest| number >= highest);
        if in_order {
            self.remote_cseq = Some(number);
        }
        in_order
    }

    /// The Request-URI and Route values of our next request (§12.2.1.1): a first hop without `lr` is a
    /// strict router, which wants itself as the Request-URI and the target as the last Route.
    pub fn request_line(&self) -> (String, Vec<String>) {
        let strict = self.routes.first().and_then(|first| {
            let uri = NameAddr::parse(first).ok()?.uri;
            (!uri.params.has("lr")).then(|| uri.as_str().to_owned())
        });
        match strict {
            None => (self.remote_target.clone(), self.routes.clone()),
            Some(uri) => {
                let rest = self.routes.iter().skip(1).cloned();
                (
                    uri,
                    rest.chain([format!("<{}>", self.remote_target)]).collect(),
                )
            }
        }
    }

    /// Where our next request goes (§12.2.1.1, §8.1.2).
    ///
    /// On UDP, to the address that the first Route or the remote target names. Two cases stay on the
    /// flow of the peer's latest message: a name, which somebody with a resolver turned into that flow,
    /// and an address behind a NAT, which would lead nowhere. A connection is kept in any case.
    pub fn next_hop(&self) -> Flow {
        if self.flow.transport != Transport::Udp || self.natted {
            return self.flow;
        }
        let first = self
            .routes
            .first()
            .and_then(|first| NameAddr::parse(first).ok());
        let uri = match first {
            Some(first) => Some(first.uri),
            None => Uri::parse(&self.remote_target).ok(),
        };
        let address = uri.filter(|uri| !names_stream(uri)).and_then(|uri| {
            let ip = uri.host?.ip()?;
            Some(SocketAddr::new(
                ip,
                uri.port.unwrap_or(Transport::Udp.default_port()),
            ))
        });
        let peer = self.flow.remote.ip().to_canonical();
        match address {
            Some(address)
                if address.is_ipv4() == peer.is_ipv4()
                    && (is_private(peer) || !is_private(address.ip())) =>
            {
                Flow {
                    remote: as_seen(address, self.flow.remote),
                    ..self.flow
                }
            }
            _ => self.flow,
        }
    }
}

/// Each value of a list header, as written.
fn values(message: &Message, name: Name) -> Vec<String> {
    message.values(name).map(str::to_owned).collect()
}

/// An IPv4 address as a dual-stack socket writes it, if that is how it wrote the peer's.
fn as_seen(address: SocketAddr, peer: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(v4) if peer.is_ipv6() => (v4.to_ipv6_mapped(), address.port()).into(),
        _ => address,
    }
}

fn names_stream(uri: &Uri<'_>) -> bool {
    uri.params
        .get("transport")
        .is_some_and(|transport| !transport.eq_ignore_ascii_case("udp"))
}

/// Whether an address means nothing outside its own network (RFC 1918, RFC 6598, RFC 4193).
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests;
