//! A stateless proxy that records its route and may ask for credentials (RFC 3261 §16.11): what stands between
//! the ends of RFC 3665.

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use sip::message::{Builder, Message, Method, Name};

/// One proxy of a chain.
pub(crate) struct Proxy {
    index: u8,
    asks: bool,
}

impl Proxy {
    pub(crate) fn new(index: u8, asks: bool) -> Self {
        Self { index, asks }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::new(10, 0, 0, 10 + self.index), 5060))
    }

    /// Passes a message on (`false`), or answers it (`true`); `None`: it was for the proxy.
    pub(crate) fn pass(&self, bytes: &Bytes, from: SocketAddr) -> Option<(bool, Bytes)> {
        let message = Message::parse(bytes.clone()).unwrap();
        if message.status().is_some() {
            return Some((false, self.strip(bytes)));
        }
        let tag = format!("proxy{}", self.index);
        let to_tag = message.to().unwrap().tag().map(str::to_owned);
        if to_tag.as_deref() == Some(&tag) {
            return None;
        }
        let proof = format!("realm=\"{tag}\"");
        let knows = message
            .headers(Name::ProxyAuthorization)
            .any(|it| it.contains(&proof));
        if self.asks && message.method() == Some(Method::Invite) && to_tag.is_none() && !knows {
            let ask =
                format!("Digest realm=\"{tag}\", nonce=\"{tag}-1\", algorithm=MD5, qop=\"auth\"");
            let answer = Builder::response(&message, 407, "Proxy Authentication Required")
                .received(from)
                .to_tag(&tag)
                .header(Name::ProxyAuthenticate, &ask)
                .build();
            return Some((true, answer.unwrap().bytes().clone()));
        }
        let records = message.method() == Some(Method::Invite) && to_tag.is_none();
        Some((false, self.forward(&message, records)))
    }

    fn forward(&self, message: &Message, records: bool) -> Bytes {
        let here = self.address();
        let branch = message.via().unwrap().branch().unwrap().to_owned();
        let text = String::from_utf8(message.bytes().to_vec()).unwrap();
        let (start, rest) = text.split_once("\r\n").unwrap();
        let mut out = format!(
            "{start}\r\nVia: SIP/2.0/UDP {here};branch={branch}-p{}\r\n",
            self.index
        );
        if records {
            out += &format!("Record-Route: <sip:{here};lr>\r\n");
        }
        let (head, body) = rest.split_once("\r\n\r\n").unwrap();
        let own_route = format!("Route: <sip:{here};lr>");
        for line in head.split("\r\n").filter(|line| *line != own_route) {
            match line.strip_prefix("Max-Forwards: ") {
                Some(hops) => out += &format!("Max-Forwards: {}", hops.parse::<u8>().unwrap() - 1),
                None => out += line,
            }
            out += "\r\n";
        }
        Bytes::from(out + "\r\n" + body)
    }

    /// Takes the proxy's own Via off a response, if it is on top.
    pub(crate) fn strip(&self, bytes: &Bytes) -> Bytes {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let own = format!("Via: SIP/2.0/UDP {}", self.address());
        let (start, rest) = text.split_once("\r\n").unwrap();
        match rest.split_once("\r\n") {
            Some((via, rest)) if via.starts_with(&own) => Bytes::from(format!("{start}\r\n{rest}")),
            _ => bytes.clone(),
        }
    }
}
