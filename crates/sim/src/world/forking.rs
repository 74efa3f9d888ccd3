//! The carrier's proxy, which forks an INVITE to all its phones (RFC 3261 §16.7): each phone's early media and
//! 2xx go on to the server, of the refusals the best one when all have refused; whoever still rings when one
//! has answered is cancelled.

use std::collections::BTreeMap;

use bytes::Bytes;
use sip::message::{Message, Method};

use super::{Task, World};
use crate::check::Seen;

/// An INVITE that was forked, by its call and number.
#[derive(Default)]
pub(super) struct Forked {
    /// As it went to every phone.
    invite: Bytes,
    /// The final response of each, once it came.
    finals: BTreeMap<usize, (u16, Bytes, Seen)>,
    phones: usize,
}

/// The phone that the server knows of.
const FIRST: usize = 0;

impl World<'_> {
    /// The phones that a message of the server to `host` goes to.
    pub(super) fn forks_of(&mut self, host: usize, seen: &Seen, bytes: &Bytes) -> Vec<usize> {
        let goes_on = host == FIRST && self.swarm.races.forks && seen.status == 0 && !seen.inside;
        if !goes_on || !matches!(seen.method, Some(Method::Invite | Method::Cancel)) {
            return vec![host];
        }
        let phones = self.hosts.iter().enumerate();
        let phones = phones.filter(|(_, it)| it.phone.user() == "carrier" && !it.crashed);
        let mut phones: Vec<usize> = phones.map(|(index, _)| index).collect();
        if seen.method == Some(Method::Invite) {
            let forked = self.forked.entry((seen.call, seen.cseq)).or_default();
            if forked.invite.is_empty() {
                forked.invite = bytes.clone();
                forked.phones = phones.len();
            }
            // The proxy takes a repetition for whoever has answered.
            phones.retain(|phone| !forked.finals.contains_key(phone));
        }
        phones
    }

    /// Whether a phone's response goes on to the server at once.
    pub(super) fn passes_proxy(&mut self, host: usize, seen: &Seen, bytes: &Bytes) -> bool {
        let Some(forked) = self.forked.get_mut(&(seen.call, seen.cseq)) else {
            return true;
        };
        match (seen.method, seen.status) {
            (_, 0) => return true,
            // The proxy has answered both for all.
            (Some(Method::Cancel), _) => return host == FIRST,
            (Some(Method::Invite), 101..=199) => return true,
            (Some(Method::Invite), 200..) => {}
            _ => return host == FIRST,
        }
        let answer = (seen.status, bytes.clone(), seen.clone());
        let is_first = forked.finals.insert(host, answer).is_none();
        let invite = forked.invite.clone();
        let answered = |forked: &Forked| forked.finals.values().any(|it| it.0 < 300);
        if seen.status < 300 {
            let done: Vec<usize> = forked.finals.keys().copied().collect();
            if is_first {
                self.cancel_others(&done, &invite);
            }
            return true;
        }
        let all = forked.finals.len() == forked.phones && !answered(forked);
        let best = forked.finals.values().min_by_key(|it| it.0).cloned();
        if let Some(ack) = own_request("ACK", &invite, bytes) {
            self.tell_phone(host, ack);
        }
        if let Some((_, bytes, seen)) = best.filter(|_| all && is_first) {
            let at = self.now + self.swarm.signalling.delay;
            self.plan(at, Task::ToServer(FIRST, bytes, seen));
        }
        false
    }

    fn cancel_others(&mut self, done: &[usize], invite: &Bytes) {
        for host in 0..self.hosts.len() {
            let is_phone = |it: &super::Host| it.phone.user() == "carrier";
            if done.contains(&host) || !self.hosts.get(host).is_some_and(is_phone) {
                continue;
            }
            if let Some(cancel) = own_request("CANCEL", invite, invite) {
                self.tell_phone(host, cancel);
            }
        }
    }

    /// The proxy stands beside its phones: what it says itself is never lost.
    fn tell_phone(&mut self, host: usize, bytes: Bytes) {
        self.checks.word(format!(
            "the carrier's proxy tells host {host}: {:?}",
            first_line(&bytes)
        ));
        let seen = Seen::of(&bytes).unwrap_or_default();
        let at = self.now + self.swarm.signalling.delay;
        self.plan(at, Task::ToHost(host, bytes, seen));
    }
}

fn first_line(bytes: &Bytes) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.lines().next().unwrap_or_default().to_owned()
}

/// A request of the proxy's own for a branch: the INVITE's without its body, with the To of `like`.
fn own_request(method: &str, invite: &Bytes, like: &Bytes) -> Option<Bytes> {
    let invite = Message::parse(invite.clone()).ok()?;
    let like = Message::parse(like.clone()).ok()?;
    let uri = invite.request_uri()?;
    let mut text = format!("{method} {uri} SIP/2.0\r\n");
    let of = |message: &Message, name: &str| message.header_named(name).map(str::to_owned);
    for name in ["Via", "From", "Call-ID", "Max-Forwards"] {
        text += &format!("{name}: {}\r\n", of(&invite, name)?);
    }
    text += &format!("To: {}\r\n", of(&like, "To")?);
    let number = invite.cseq().ok()?.number;
    text += &format!("CSeq: {number} {method}\r\nContent-Length: 0\r\n\r\n");
    Some(text.into())
}
